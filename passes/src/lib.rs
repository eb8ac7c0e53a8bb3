//! Weft's passes from IR to IR: canonicaliser, scheduling, lowering.

pub mod canon;
pub mod lower;
pub mod schedule;
