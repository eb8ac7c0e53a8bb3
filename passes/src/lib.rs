//! Weft's passes from IR to IR: canonicaliser, scheduling, fusion, lowering.

pub mod canon;
pub mod cost;
pub mod fuse;
pub mod lower;
pub mod schedule;
