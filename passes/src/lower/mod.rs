//! Lowering of kernel IR plans to programs of loop IR kernels for CPUs.
//!
//! # What it does
//! Each kernel of a plan becomes one loop kernel, each grid point one task. Loops of kernel IR become loops; tile code becomes
//! loops over tile elements with vectors along one axis, the *lanes*. Kernel IR leaves open where tiles live, which loops run
//! over their elements and in which order sums are added; all that is decided here, from the plan and a [`Target`] alone.
//!
//! # Where things are
//! - `kernel`: parameters, grid and tasks; `control`: statements, loops, carried values.
//! - `facts`: definitions and readers of values; `layout`: which values get memory and how it is laid out.
//! - `point`, `nest`: positions in tiles, loops over tiles; `int`, `guard`: index expressions and guards as code.
//! - `expr`: elementwise expressions; `memory`: addresses, loads, stores; `transfer`: tiles to and from buffers.
//! - `dot`, `reduce`, `online`, `scan`, `select`, `tables`: the ops with loops of their own.
//! - `bounds`: sizes as formulas in the extents.
//!
//! # What it relies on
//! That the plan is verified: accesses in range where their guards hold, stores injective, what is read defined. An ill-formed
//! plan gives an error or a kernel that the verifier of loop IR refuses; a construct that is not supported gives an error that
//! names it.

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
mod tables;
mod target;
mod transfer;

pub use error::Error;
pub use target::{Block, Target};

use weft_ir::kernel::{BinOp, Expr, Plan};
use weft_ir::program::{Buffer, Extent, Formula, Program};

/// Lowers a verified plan: one launch per kernel, in the order of the plan.
///
/// # Errors
/// A construct that the CPU lowering does not support, or a plan that is not well-formed; the kernel and the statement
/// are named.
pub fn lower(plan: &Plan, target: &Target) -> Result<Program, Error> {
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
        program.buffers.push(Buffer { name: buffer.name.clone(), elem, dims, role: buffer.role, init: buffer.init });
    }
    for kernel in &plan.kernels {
        program.launches.push(kernel::lower_kernel(plan, kernel, target, &program.buffers)?);
    }
    Ok(program)
}
