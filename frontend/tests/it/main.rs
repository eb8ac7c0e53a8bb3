//! Integration tests of the crate, in one binary.

mod codes;
mod fmt;
mod golden;
mod random;
mod sema;
mod support;
mod syntax;
