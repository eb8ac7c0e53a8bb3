//! Integration tests of the crate, in one binary.
#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot read the repository or build its input fails the test that called it"
)]

mod codes;
mod docs;
mod fmt;
mod random;
mod robustness;
mod support;
mod syntax;
mod syntax_errors;
