//! Loop IR: text form, verifier, interpreter.
#![allow(clippy::unwrap_used, reason = "test helpers fail by panicking, as tests do")]

mod interp;
mod text;
mod verify;
