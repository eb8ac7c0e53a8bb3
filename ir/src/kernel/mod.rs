//! Kernel IR: a plan of launches over tiles.
//!
//! # What it is
//!
//! A [`Plan`] is a list of [`Kernel`]s in dependence order over [`Buffer`]s. Run-time extents stay symbolic (`B`, and `T[b]`, which
//! differs along `B`); every other size is a number or a named parameter with a value. A kernel is a parallel `grid`, whose points
//! run in any order, and for each point ordered loops and straight-line *tile code*. A tile value has an element type and a set of
//! named tile axes with static extents; operations broadcast over the union of the axes of their operands, so there are no
//! shapes, transpositions or reshapes. Values are in static single assignment; only buffers and scratch tables are mutable.
//! Nothing here names threads, lanes, caches, shared memory or barriers: those are the lowering's.
//!
//! ```text
//! plan window {
//!   size D = 8
//!   tile BQ = 16
//!   tile BJ = 16
//!   extent B
//!   extent T[B]
//!   buffer q: f64[b: B, t: T[b], d: D] input
//!   buffer k: f64[b: B, t: T[b], d: D] input
//!   buffer l: f64[b: B, t: T[b]] output
//!
//!   kernel normaliser {
//!     grid b: B, n: ceil(T[b] / BQ)
//!     axis i: BQ where [n * BQ + i < T[b]]
//!     axis j: BJ
//!     axis d: D
//!     let t0 = n * BQ
//!     %q: f64[i, d] = load q[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
//!     %m0: f64[i] = fill -inf as f64 on [i]
//!     %l0: f64[i] = fill 0.0 as f64 on [i]
//!     %m: f64[i], %l: f64[i] = loop j0 at p over j in dense(0, min(T[b], t0 + BQ)) full [0, t0 + 1) carry (%m1 = %m0, %l1 = %l0) {
//!       %k: f64[j, d] = load k[b, p, d] where [p < T[b]] else 0.0
//!       %s: f64[i, j] = dot %q, %k over d
//!       %m2: f64[i], %r: f64[i], %w: f64[i, j] = online %s, %m1 over j where [p <= t0 + i, p < T[b]]
//!       %l2: f64[i] = rescale %l1, %r
//!       %l3: f64[i] = reduce %w by sum over j
//!       %l4: f64[i] = add %l2, %l3
//!       yield %m2, %l4
//!     }
//!     store l[b, t0 + i] = %l where [t0 + i < T[b]]
//!   }
//! }
//! ```
//!
//! # Integers: scalars, positions, guards
//!
//! Index arithmetic is separate from tile code. An [`Expr`] is quasi-affine over grid and loop variables, extents, tile axes and
//! named scalars (`let`); an integer tile value may stand in it as a gather. A [`Guard`] is a conjunction of affine [`Atom`]s and
//! opaque boolean tiles, and a *strong zero*: where it is false the guarded element is selected away, never multiplied by 0.
//! A guarded load does not touch memory there.
//!
//! # Ragged edges
//!
//! Tiles are full-sized; what sticks out over an edge is *padding*. Nothing masks it by itself: loads, stores, reductions and
//! `online` say where they hold, and the verifier checks that they do. A row axis says which of its elements are not padding
//! (`axis i: BQ where [..]`); for the axis of a loop the loop's upper bound says it. Elements of padding that no guard
//! replaced are undefined; the interpreter makes them NaN. A `dot` needs 0 in both operands on padding of the contracted
//! axis (0 * NaN is NaN), so loads that feed one have an `else 0.0`.
//!
//! # Loops
//!
//! A [`Loop`] walks a dense or strided range, a list in memory, a table, or a single point; tile by tile along its axis, in order,
//! carrying values. In iterations inside its `full` range all affine atoms that speak of the loop (and not of data) hold at all
//! elements, so that a lowering makes a second body without them; this is all there is to causal skipping and windows. Opaque
//! conditions stay.
//!
//! # Sums of exponentials
//!
//! `online` keeps a running maximum; a value under it stands for `value * exp(maximum)`. **Every** carry under one maximum is
//! rescaled in every stream, also those that the stream does not add to. A maximum of -inf means that nothing was added:
//! normalise with `inv0`. Exponentials are natural here; a lowering folds log2(e) into the scores. Two states meet by `merge`. A
//! reduction that is split over a grid axis stores its partial states with the split as a dimension of the buffer; a second
//! kernel puts them together by `combine`, in the order of the splits.
//!
//! # Determinism
//!
//! `store` maps are injective over grid and tile. `accum` says in its mode who else adds into the same element and in which
//! order. All other orders (of a `reduce`, of a `dot`) are the lowering's, fixed per target.
//!
//! # What is trusted
//!
//! Two statements are promises and not proven: a buffer's `range` (for given buffers it is the caller's, to be checked before a
//! run) and a loop's `full` range ([`verify::unproven_claims`] lists those that need an argument). The interpreter checks both
//! at every element.
//!
//! # Files
//!
//! `ops` the op table; [`crate::elementwise`] the elementwise functions; `typing` type rules; `expr` index expressions and guards; `plan` everything
//! else that a plan is made of; `declare` and `build` make plans from code; `print` and `parse` the text form; `verify` the invariants, with `linear`, a
//! small solver of linear inequalities; `interp` the interpreter.

mod build;
mod declare;
mod expr;
mod ids;
pub mod interp;
mod ops;
mod parse;
mod plan;
mod print;
mod renumber;
mod types;
mod typing;
pub mod verify;

pub use crate::elementwise::{MapFn, Signature};
pub use build::{BuildError, KernelBuilder, LoopBody};
pub use declare::is_name;
pub use expr::{Atom, BinOp, Cmp, Expr, Guard};
pub use ids::{AxisId, AxisSet, BufferId, ExtentId, KernelId, ParamId, ScratchId, ValueId, VarId};
pub use ops::{Access, AccumMode, AttrKind, Attrs, Inst, MANY, Monoid, OpCode, OpSpec, Place, Results, docs};
pub use parse::{ParseError, parse};
pub use plan::{
    Axis, Buffer, Carried, Dim, Domain, Extent, GridAxis, If, Kernel, Loop, Param, ParamKind, Plan, Role, Scratch,
    Stmt, Value, Var, VarDef, While,
};
pub use print::{expr_text, guard_text, stmt_text};
pub use types::{ElemType, Literal, Type};
pub use typing::{Types, infer, name_of};
