//! What can go wrong between loop IR and machine code.

use weft_ir::loops::VerifyError;

/// Why a kernel could not be compiled.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CompileError {
    /// Cranelift has no code generator for this machine's architecture.
    #[error("Cranelift cannot generate code for this machine: {0}")]
    Unsupported(String),
    /// The machine lacks instructions that the backend relies on.
    #[error("this machine lacks {missing}, which the Cranelift backend needs (x86-64 with AVX2 and FMA, or AArch64)")]
    MissingFeature {
        /// Names of what is missing, as `/proc/cpuinfo` spells them.
        missing: String,
    },
    /// The kernel breaks a rule of loop IR.
    #[error(transparent)]
    Invalid(#[from] VerifyError),
    /// Cranelift refused the code; the fault is in the backend.
    #[error("Cranelift refused kernel @{kernel}: {message}")]
    Codegen {
        /// Name of the kernel.
        kernel: String,
        /// Cranelift's message.
        message: String,
    },
}
