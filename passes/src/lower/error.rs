//! Why a plan cannot be lowered.

/// A construct that lowering does not know, or a plan that is not well-formed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot lower kernel `{kernel}`, {what}: {message}")]
pub struct Error {
    /// Name of the kernel (of the plan, for what is outside kernels).
    pub kernel: String,
    /// The op or statement.
    pub what: String,
    /// What is wrong with it.
    pub message: String,
}

/// Why a statement cannot be lowered; its place is added where it is known.
pub(super) type Fault = String;

/// Result of lowering a part of a kernel.
pub(super) type Emit<T> = Result<T, Fault>;
