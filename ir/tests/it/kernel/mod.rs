//! Tests of the kernel IR.

#![cfg(test)]

mod build;
mod golden;
mod layers;
mod ops;
mod plans;
mod rejects;
mod run_errors;
mod text;
