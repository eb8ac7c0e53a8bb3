//! Integration tests of the crate, in one binary.
#![allow(
    clippy::unwrap_used,
    reason = "supporting functions that cannot read the repository or build their input fail the test that called them"
)]

mod cli;
mod codes;
mod docs;
mod fmt;
mod fuzzed;
mod golden;
mod plans;
mod random;
mod robustness;
mod sema;
mod support;
mod syntax;
mod syntax_errors;
mod templates;
mod texts;
