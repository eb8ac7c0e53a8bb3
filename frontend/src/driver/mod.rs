//! The driver: everything that the command line does, as functions.
//!
//! A command is a few calls: [`load`] reads and checks a layer; [`plan`], [`program`] and [`executable`] compile it;
//! [`check`] and [`run`] run it; [`emit`] shows it. Functions take their options as structs, report to a [`Watch`], and give values:
//! nothing here prints, and what goes wrong is a [`Fault`], which is either messages for the user or a bug of the compiler.
//!
//! ```
//! use weft::driver::{Backend, CheckOptions, CompileOptions, LoadOptions, Rows, Silent, Watch, check, load_bytes};
//!
//! let text = b"layer twice {\n  axis b, t: time\n  in x[b,t]\n  out y[b,t] = 2 * x\n}";
//! let (mut silent, options) = (Silent, LoadOptions::default());
//! let mut watch = Watch::new(&mut silent);
//! let loaded = load_bytes("twice.weft", text, std::path::Path::new(""), &options, &mut watch).unwrap();
//! let options = CheckOptions {
//!     backend: Backend::Interpreter,
//!     compile: CompileOptions::default(),
//!     golden: None,
//!     rows: Rows::Automatic,
//!     seed: 0,
//!     keep_inputs: false,
//! };
//! assert!(check(&loaded, &options, &mut watch).unwrap().ok());
//! ```

mod algorithm;
pub mod bind;
mod check;
pub mod compare;
mod costs;
mod deep;
mod dot;
mod emit;
pub mod execute;
mod explain;
mod fault;
mod files;
mod generate;
mod gradient;
mod load;
mod opt;
mod pipeline;
mod run;
mod tensors;
mod watch;

pub use bind::{Bound, Length, bind};
pub use check::{Against, CheckOptions, DecisionRow, OutputRow, Report, Rows, SAMPLED, WHOLE, check};
pub use compare::Distance;
pub use costs::{KernelCost, costs};
pub use deep::deep;
pub use dot::dot;
pub use emit::{Part, Stage, Text, emit};
pub use execute::{Executed, Ready, execute, prepare};
pub use explain::{Told, explain, explain_page};
pub use fault::{Failure, Fault};
pub use files::Place;
pub use generate::{DEFAULT_BATCH, DEFAULT_OTHER, DEFAULT_TIME, generate};
pub use gradient::{GradientOptions, differentiate};
pub(crate) use load::later;
pub use load::{LoadOptions, Loaded, Own, load, load_bytes, parse_define};
pub use opt::{Ir, OptOptions, Pass, optimise};
pub use pipeline::{Backend, CompileOptions, Planned, Training, clif, executable, plan, program, target};
pub use run::{RunOptions, encode_outputs, run};
pub use tensors::{Entry, TensorFile, encode, round_to};
pub use watch::{Observer, Phase, Silent, Watch};
