//! Graph IR: what a layer computes, as terms over named axes.
//!
//! # What a term is
//!
//! A node denotes a function from an *environment*, which gives every axis in scope a position, to one element.
//! The axes on which it depends are its *free axes*; there are no ranks, no transposes and no broadcasts, because a
//! value that does not depend on an axis is simply constant along it. Nodes are hash-consed: equal terms are one
//! node, so a graph is a DAG and `let` needs no representation of its own (its name stays as a label).
//!
//! # Axes and domains
//!
//! An [`Axis`] is an index variable; its [`Domain`] says over which range it runs. Several axes may share a domain
//! (`index j: t`). An extent is a number, a runtime size, a *ragged* runtime size `T[b]` (one per element of the
//! batch axis), or derived from another extent (`|t| // 16`). All sizes but runtime extents are numbers.
//!
//! # Two strata over one table
//!
//! *Definition* ops are what a user can write; *algorithm* ops are made only by rewriting. Both are declared in
//! [`op`], once: name, operands, attributes, axis and type rule. Definitions are quadratic as a paper prints them.
//!
//! * [`Op::Ein`] is the guarded sum-product: `sum over axes of [guards] * product of factors`. Guards are kept apart
//!   from factors because they are **strong zeros**: where a guard is false the factors are not evaluated at all, so
//!   a read out of range, an infinity or a NaN under a false guard is zero and not NaN. The same holds for the guards of
//!   `reduce`, `arg`, `kth` and `threshold`, and for the branch of a `select` that is not taken.
//! * [`Op::Sub`] is substitution, `e[x := i]`, simultaneous in several axes: rename, shift, stride, gather and codebook
//!   lookup in one. Positions must lie in the axis wherever the guards that dominate the read hold; no op pads or clamps.
//! * [`Op::Rec`] with [`Op::Prev`] is a recurrence over one axis, upwards or (`reverse`) downwards; restart is a
//!   conditional inside its body. Every axis on which the body depends is an axis of the state, those that ride along
//!   (batch) included.
//! * *Decisions* (`arg`, `kth`, comparisons of floats) are computed once per (term, environment), in f32 or wider.
//!
//! # Invariants
//!
//! Checked when a node is made, and again by [`Graph::verify`]: operand counts and types of the op table; bound axes
//! are not free in the result; guards are `bool`; substituted positions are integers; a recurrence reads itself only
//! through `prev`; outputs depend on no axis but their own (and the batch axis through a ragged extent).
//!
//! The float64 evaluator is the meaning of this IR; every other execution is compared with it.

pub mod affine;
mod axes;
mod build;
pub mod derivative;
mod node;
pub mod op;
mod parse;
mod print;
pub mod prove;

pub use crate::elementwise::{MapFn, Signature, floor_div};
pub use axes::{Axis, AxisId, AxisSet, Domain, DomainId, Extent, Role};
pub use node::{Error, Graph, Init, Input, InputId, InputKind, NodeId, Output, RecDecl, RecId};
pub use op::{Derivative, Extremum, Op, Scalar, ThresholdFamily};
pub use parse::ParseError;
