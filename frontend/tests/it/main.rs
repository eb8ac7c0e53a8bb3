//! Integration tests of the crate, in one binary.

mod codes;
mod fmt;
mod random;
mod support;
mod syntax;
