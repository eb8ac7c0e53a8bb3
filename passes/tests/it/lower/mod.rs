//! Lowering: plans run as machine code agree with the interpreter of kernel IR.

mod harness;
mod plans;
