//! Integration tests of the crate, in one binary.

mod codes;
mod support;
mod syntax;
