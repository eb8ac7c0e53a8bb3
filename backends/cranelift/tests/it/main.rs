//! Tests of the Cranelift backend: against the interpreter, against exact functions, and of its texts.
#![allow(clippy::unwrap_used, reason = "test helpers fail by panicking, as tests do")]

mod coverage;
mod differential;
mod launch;
mod math;
mod random;
mod run;
mod texts;
