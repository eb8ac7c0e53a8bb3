//! Weft's passes from IR to IR: differentiation, canonicaliser, scheduling, fusion, lowering.

pub mod autodiff;
pub mod canon;
pub mod cost;
pub mod fuse;
pub mod lower;
pub mod rewrite;
pub mod saved;
pub mod schedule;
