//! Lowering: plans run as machine code agree with the interpreter of kernel IR.

mod control;
mod generate;
pub(crate) mod harness;
mod ops;
mod plans;
mod programs;
mod storage;
