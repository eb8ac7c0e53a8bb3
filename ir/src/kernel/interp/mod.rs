//! The interpreter: runs a plan with no target in mind, and with every doubt raised.
//!
//! Values are f64 (integers and booleans exactly), or rounded to their element type on request ([`Options::round`]). It
//! - runs grid points in a shuffled order (by seed);
//! - makes NaN of everything undefined: padding without an `else`, buffers and scratch tables before they are written, elements
//!   of buffers beyond their ragged extents. An undefined element in an index or a condition is an error;
//! - reports reads of elements that nobody wrote, indices out of range, two stores into one element by one kernel, and elements
//!   that one grid point reads and another writes;
//! - checks every `full` claim at every element, ranges of integer buffers at every store, `exclusive` accumulation, and that
//!   other accumulations do not depend on their order beyond rounding;
//! - counts what it executes ([`Counts`]).

mod env;
mod exec;
mod memory;
mod ops;
mod select;
mod tile;

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::ids::KernelId;
use super::plan::{Plan, Role};
use env::Extents;
use memory::Memory;

/// A dense row-major tensor of f64; integers and booleans as floats.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Elements.
    pub data: Vec<f64>,
}

/// What the caller gives: run-time extents and the contents of input and parameter buffers, by name.
#[derive(Clone, Default, Debug)]
pub struct Bindings {
    /// Values of extents: one number, or for a ragged extent one for each index of its outer extent.
    pub extents: FxHashMap<String, Vec<i64>>,
    /// Contents of buffers, padded to the largest ragged extents.
    pub buffers: FxHashMap<String, Tensor>,
}

impl Bindings {
    /// Sets an extent.
    #[must_use]
    pub fn extent(mut self, name: &str, values: impl Into<Vec<i64>>) -> Self {
        self.extents.insert(name.to_owned(), values.into());
        self
    }
    /// Sets the contents of a buffer.
    #[must_use]
    pub fn buffer(mut self, name: &str, tensor: Tensor) -> Self {
        self.buffers.insert(name.to_owned(), tensor);
        self
    }
}

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Seed of the order of grid points.
    pub seed: u64,
    /// Round every result to its element type, instead of computing all floats in f64.
    pub round: bool,
    /// Greatest number of elements of a buffer or of a tile.
    pub max_elements: usize,
    /// Greatest number of loop iterations and grid points together.
    pub fuel: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 1, round: false, max_elements: 1 << 27, fuel: 1 << 32 }
    }
}

/// What a kernel executed. Elements of tiles count as a whole, padding and masked elements included, unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Grid points.
    pub points: u64,
    /// Iterations of loops.
    pub iterations: u64,
    /// Multiply-adds of `dot`.
    pub madds: u64,
    /// Elements of `online`: pairs of a row and a key.
    pub pairs: u64,
    /// Those of them whose guard is true.
    pub live_pairs: u64,
    /// Exponentials, in `online` and as elementwise functions.
    pub exps: u64,
    /// Bytes read from buffers, where guards are true.
    pub bytes_read: u64,
    /// Bytes written to buffers, where guards are true.
    pub bytes_written: u64,
}

/// What a run gives.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Every buffer that is not an input or a parameter, by name, padded; elements that were not written are NaN.
    pub buffers: IndexMap<String, Tensor>,
    /// What each kernel executed, by name.
    pub counts: IndexMap<String, Counts>,
}

/// What kind of mistake a run met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunErrorKind {
    /// Extents or buffers given by the caller do not fit the plan.
    Binding,
    /// An index outside its dimension.
    OutOfRange,
    /// A read of an element that was never written.
    Unwritten,
    /// Two stores into one element, or contributions of two grid points where `exclusive` was promised.
    Overlap,
    /// One grid point reads what another one writes.
    Race,
    /// An undefined element in an index, a condition or an integer store.
    Undefined,
    /// An atom is false inside a `full` range.
    FullClaim,
    /// An integer outside the range that was declared for its buffer.
    Range,
    /// The result of an accumulation depends on the order.
    Order,
    /// More elements, iterations or grid points than allowed.
    Limit,
    /// The plan is malformed; the verifier would have said so.
    Malformed,
}

/// A run that could not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct RunError {
    /// What kind of mistake.
    pub kind: RunErrorKind,
    /// The kernel and the statement, or the binding.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

/// A mistake before its place is known.
#[derive(Debug)]
struct Fault(RunErrorKind, String);

type Run<T> = Result<T, Fault>;

fn fault<T>(kind: RunErrorKind, message: impl Into<String>) -> Run<T> {
    Err(Fault(kind, message.into()))
}

/// Runs a plan.
///
/// # Errors
/// The first mistake met; see [`RunErrorKind`]. Never panics, also on plans that were not verified.
pub fn run(plan: &Plan, bindings: &Bindings, options: Options) -> Result<Outcome, RunError> {
    let bound = |Fault(kind, message): Fault| RunError { kind, place: format!("plan `{}`", plan.name), message };
    let extents = Extents::bind(plan, bindings).map_err(bound)?;
    let mut memory = Memory::new(plan, bindings, &extents, options.max_elements).map_err(bound)?;
    let mut counts = IndexMap::new();
    let mut fuel = options.fuel;
    for (i, kernel) in plan.kernels.iter().enumerate() {
        let count = exec::run_kernel(plan, KernelId::new(i), &extents, &mut memory, options, &mut fuel)?;
        counts.insert(kernel.name.clone(), count);
    }
    let given = |role: Role| role.is_given();
    let buffers = plan.buffers.iter().zip(memory.into_tensors());
    let buffers = buffers.filter(|(b, _)| !given(b.role)).map(|(b, t)| (b.name.clone(), t)).collect();
    Ok(Outcome { buffers, counts })
}
