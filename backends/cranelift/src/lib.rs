//! Loop IR to native code by Cranelift, the embedded default backend: no system library, compilation in milliseconds.
//!
//! [`compile`] verifies a kernel, expands the transcendental functions that have vector code
//! ([`weft_ir::loops::expand_math`]), tidies ([`weft_ir::loops::tidy`], in place of Cranelift's optimiser), translates to CLIF with vectors split into 128-bit pieces (Cranelift's widest), and
//! places the machine code in memory. The result is a [`weft_runtime::Kernel`] for [`weft_runtime::Pool::launch`].
//! Instruction-set features are found at run time; a machine without vectors and FMA is an error.

mod cache;
mod emit;
mod error;
mod host;
mod jit;
mod library;
pub mod program;

pub use cache::compile;
pub use error::CompileError;
pub use host::describe_host;

use weft_ir::loops::{Kernel, expand_math, tidy, verify};

/// The CLIF of a kernel as text, before Cranelift's optimiser.
///
/// # Errors
/// As [`compile`].
pub fn clif(kernel: &Kernel) -> Result<String, CompileError> {
    jit::clif(&prepare(kernel)?, host::isa()?)
}

/// The same for x86-64 with AVX2 and FMA, whatever this machine is: a text that is the same everywhere.
///
/// # Errors
/// As [`compile`]; where this build of Cranelift has no x86-64.
pub fn clif_x86_64(kernel: &Kernel) -> Result<String, CompileError> {
    jit::clif(&prepare(kernel)?, host::least_x86()?)
}

/// The machine code of a kernel as text, in Cranelift's notation.
///
/// # Errors
/// As [`compile`].
pub fn assembly(kernel: &Kernel) -> Result<String, CompileError> {
    jit::assembly(&prepare(kernel)?, host::isa()?)
}

/// A verified kernel as the emitter wants it.
fn prepare(kernel: &Kernel) -> Result<Kernel, CompileError> {
    verify(kernel)?;
    let prepared = tidy(&expand_math(kernel));
    if cfg!(debug_assertions) {
        verify(&prepared)?;
    }
    Ok(prepared)
}
