//! Tests of the kernel IR.

mod golden;
mod layers;
mod plans;
