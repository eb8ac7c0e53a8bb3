//! Weft's passes from IR to IR: canonicaliser, scheduling, lowering.

pub mod canon;
pub mod cost;
pub mod lower;
pub mod schedule;
