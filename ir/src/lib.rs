//! Weft's intermediate representations: graph, kernel and loop IR, with verifiers, text forms, evaluator and interpreter.

pub mod loops;
