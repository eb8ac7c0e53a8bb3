//! Integration tests of the crate, in one binary.

mod codes;
mod fmt;
mod random;
mod robustness;
mod support;
mod syntax;
mod syntax_errors;
