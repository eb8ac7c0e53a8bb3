//! Weft's intermediate representations: graph, kernel and loop IR, with verifiers, text forms, evaluator and interpreter.

pub mod dtype;
pub mod elementwise;
pub mod eval;
pub mod graph;
pub mod kernel;
pub mod linear;
pub mod loops;
pub mod program;

pub use dtype::DType;
