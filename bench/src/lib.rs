//! Kernels written by hand in loop IR, and the machine's peak to compare them with.
//!
//! The kernels show which loop structures the Cranelift backend compiles well; `docs/cranelift-notes.md` has the
//! findings. They are measurements and tests, not part of the compiler: the scheduler makes its own.

pub mod attention;
pub mod dot;
pub mod gradient;
pub mod idioms;
pub mod matmul;
pub mod peak;
pub mod timing;
