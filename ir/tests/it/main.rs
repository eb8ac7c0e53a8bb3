//! Tests of the IRs.

mod loops;
