//! Loop IR: the last representation before machine code.
//!
//! # What it is
//! A [`Kernel`] is straight, typed, structured code over memory: `for`, `if`, `while`, loads, stores, arithmetic on
//! scalars and on vectors of a fixed number of lanes. It knows nothing of tensors, axes or tiles (those are kernel IR)
//! and nothing of registers, calling conventions or instruction sets (those are a backend's). It is the place where
//! register blocking, lane choice, unrolling and address arithmetic are explicit, so that a backend that has no loop
//! optimiser and no vectoriser still reaches the machine's rate.
//!
//! # Values and variables
//! Most things are SSA values: defined once, visible in the rest of their block and in the blocks inside. What changes
//! over iterations is a *variable* ([`Var`]), read with [`Op::Get`] and assigned with [`Stmt::Set`]. Variables have no
//! address: a backend keeps them in registers and turns them into block parameters. Accumulators of a register-blocked
//! product are a dozen vector variables.
//!
//! # Vectors
//! The lane count is logical: 4, 8, 12 ... 64. A backend splits a vector into pieces as wide as its registers, so a
//! `f32x16` is four 128-bit registers on one machine and one 512-bit register on another. Reductions over lanes fix
//! their order of summation (see [`Reduction`]), so results do not depend on that width. Truth values are `bool`; a
//! backend represents a `bool` vector as masks, in memory each is a byte.
//!
//! # Storage types
//! `bf16` is a type of elements of buffers and scratch, never of values: a load from such memory gives `f32`, a store takes `f32`
//! and rounds to nearest, ties to even; a NaN is stored as the bits `7fc0`.
//!
//! # Memory
//! A [`Place`] is `ptr[index + offset]`, counted in elements, so a constant offset is free and one index serves a whole
//! register block. Loads and stores are contiguous, strided or indexed, with an optional mask; a masked-off lane does not
//! touch memory. `load_block` and `store_block` transpose: they are how row-major operands meet vertical lanes. There
//! are no alignment promises except that scratch arrays start on a cache line.
//!
//! # The entry
//! A kernel is a function of
//! 1. a table of pointers to its buffers, in order of [`Kernel::buffers`],
//! 2. a table of `i64` dimensions, in order of [`Kernel::dims`],
//! 3. `begin` and `end`, a range of *tasks*, and
//! 4. the calling worker's scratch memory, 64-byte aligned, of [`Kernel::scratch_layout`]'s size.
//!
//! A launch covers the tasks `0 .. n` by calls with disjoint ranges, in any order and on any worker, so a kernel must
//! compute the same whatever the ranges are: tasks write disjoint elements and read nothing that another task writes.
//! Scratch is undefined on entry. Each [`Buffer`] states the number of elements that the kernel may touch as a product
//! of [`Extent`]s, which the runtime checks before the launch; that the code stays within it is what the interpreter
//! checks, and what the lowering that made the code must ensure.
//!
//! # Text
//! `Display` prints a kernel and [`parse`] reads it back:
//! ```text
//! kernel @scale(%0..%1) {
//!   dim %2 = n
//!   buffer %3 = read x f32[%2 * 8]
//!   buffer %4 = write y f32[%2 * 8]
//!   %5: i64 = const 8
//!   for %6 in %0..%1 step 1 {
//!     %7: i64 = mul %6, %5
//!     %8: f32x8 = load %3[%7]
//!     %9: f32x8 = add %8, %8
//!     store %4[%7], %9
//!   }
//! }
//! ```
//!
//! # Where things are
//! Types in `types`, operators and functions with their meaning in `ops` (the op table), data structures in `kernel`,
//! the builder in `build`, the rules of well-formedness in `verify`, the meaning in `scalar` (one lane) and `interp`
//! (everything else). Two passes: arithmetic for transcendental functions in `expand`, common and loop-invariant
//! operations in `tidy`.

mod array;
mod build;
mod expand;
mod interp;
mod kernel;
mod lex;
mod ops;
mod parse;
mod print;
mod scalar;
mod tidy;
mod types;
mod verify;
mod visit;

pub use array::Array;
pub use build::KernelBuilder;
pub use expand::expand_math;
pub use interp::{InterpError, interpret};
pub use kernel::{
    Access, Block, Buffer, Const, Dim, Extent, For, Kernel, MAX_SCRATCH_BYTES, MAX_UNROLL, Op, Pattern, Place,
    Reference, SCRATCH_ALIGN, Scratch, Stmt, Unroll, Value, Var, VarData,
};
pub use ops::{Binary, Compare, Domain, Function, Reduction, Unary};
pub use parse::{ParseError, parse};
pub use scalar::{Scalar, from_bf16, to_bf16};
pub use tidy::tidy;
pub use types::{Elem, LANE_QUANTUM, MAX_LANES, Space, Ty};
pub use verify::{MAX_DEPTH, VerifyError, verify};
