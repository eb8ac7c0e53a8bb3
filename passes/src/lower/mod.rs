//! Lowering of kernel IR plans to programs of loop IR kernels for CPUs.
//!
//! # What it does
//! Each kernel of a plan becomes one loop kernel, each grid point one task. Loops of kernel IR become loops; tile code becomes
//! loops over tile elements with vectors along one axis, the *lanes*. Kernel IR leaves open where tiles live, which loops run
//! over their elements and in which order sums are added; all that is decided here, from the plan and a [`Target`] alone.
//!
//! # Where things are
//! - `kernel`: parameters, grid and tasks; `control`: statements, loops, carried values.
//! - `storage`: bf16, which only memory has.
//! - `facts`: definitions and readers of values; `layout`: which values get memory and how it is laid out.
//! - `point`, `nest`: positions in tiles, loops over tiles; `int`, `guard`: index expressions and guards as code.
//! - `expr`: elementwise expressions; `memory`: addresses, loads, stores; `transfer`: tiles to and from buffers.
//! - `dot`, `reduce`, `online`, `scan`, `select`, `tables`: the ops with loops of their own.
//! - `bounds`: sizes as formulas in the extents.
//!
//! # What it relies on
//! What the verifier of kernel IR proves: accesses in range where their guards hold, stores injective, what is read defined.
//! What it trusts is trusted here too: ranges of integer buffers (checked for inputs when they are given) and `full` claims.
//! A construct that is not supported gives an error that names it.

mod bounds;
mod control;
mod dot;
mod emit;
mod error;
mod expr;
mod facts;
mod guard;
mod int;
mod kernel;
mod layout;
mod memory;
mod monoid;
mod nest;
mod online;
mod point;
mod reduce;
mod scan;
mod select;
mod storage;
mod tables;
mod target;
mod transfer;

pub use error::Error;
pub use target::{Block, Target};

use weft_ir::kernel::verify::verify;
use weft_ir::kernel::{BinOp, Expr, Plan};
use weft_ir::program::{Buffer, Extent, Formula, Program};

/// Lowers a plan: one launch per kernel, in the order of the plan.
///
/// # Errors
/// A plan that the verifier refuses (machine code relies on its proofs, so every plan is verified here), or a construct that the
/// CPU lowering does not support; the kernel and the statement are named.
pub fn lower(plan: &Plan, target: &Target) -> Result<Program, Error> {
    if let Err(errors) = verify(plan) {
        let message = errors.first().map_or_else(String::new, ToString::to_string);
        return Err(Error { kernel: plan.name.clone(), what: "the plan".into(), message });
    }
    let mut program =
        Program { name: plan.name.clone(), extents: Vec::new(), buffers: Vec::new(), launches: Vec::new() };
    for extent in &plan.extents {
        program
            .extents
            .push(Extent { name: extent.name.clone(), over: extent.over.map(weft_ir::kernel::ExtentId::index) });
    }
    for buffer in &plan.buffers {
        let fault =
            |message: String| Error { kernel: plan.name.clone(), what: format!("buffer {}", buffer.name), message };
        let mut dims: Vec<Formula> = Vec::new();
        for dim in &buffer.dims {
            let extent = bounds::range(plan, &dim.extent, &|e| match e {
                Expr::Dim(d) => {
                    let last = Formula::binary(BinOp::Sub, dims.get(*d as usize)?.clone(), Formula::Const(1));
                    Some((Formula::Const(0), last))
                }
                _ => None,
            });
            let (_, most) = extent.ok_or_else(|| fault(format!("dimension `{}` has no upper bound", dim.name)))?;
            dims.push(most);
        }
        let elem = emit::elem(buffer.elem).map_err(fault)?;
        let mut range = None;
        if let Some((lo, hi)) = &buffer.range {
            let ends = |e| bounds::range(plan, e, &|_| None).ok_or_else(|| fault("its range has no bounds".into()));
            range = Some((ends(lo)?.0, ends(hi)?.1));
        }
        let (name, role, init) = (buffer.name.clone(), buffer.role, buffer.init);
        program.buffers.push(Buffer { name, elem, dims, role, init, range });
    }
    for kernel in &plan.kernels {
        program.launches.push(kernel::lower_kernel(plan, kernel, target, &program.buffers)?);
    }
    Ok(program)
}
