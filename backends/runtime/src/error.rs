//! Errors of the runtime.

/// Why memory could not be had or a kernel could not be launched.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The system refused an allocation.
    #[error("cannot allocate {bytes} bytes")]
    OutOfMemory {
        /// Size asked for.
        bytes: u64,
    },
    /// A worker thread could not be started.
    #[error("cannot start a worker thread: {0}")]
    Threads(String),
    /// `WEFT_THREADS` is not a number of threads.
    #[error("WEFT_THREADS is `{0}`; it must be a whole number from 1 to 1024")]
    BadThreadCount(String),
    /// The launch has the wrong number of arguments.
    #[error("kernel {kernel} takes {expected} {what}, got {got}")]
    ArgumentCount {
        /// Name of the kernel.
        kernel: String,
        /// "buffers" or "dimensions".
        what: &'static str,
        /// Number that it takes.
        expected: usize,
        /// Number that the launch has.
        got: usize,
    },
    /// An argument does not fit the kernel's description.
    #[error("kernel {kernel}, buffer {buffer}: {problem}")]
    Argument {
        /// Name of the kernel.
        kernel: String,
        /// Name of the buffer.
        buffer: String,
        /// What does not fit.
        problem: String,
    },
    /// A region lies outside its buffer, or the buffer does not exist.
    #[error("region of {bytes} bytes at {offset} lies outside its buffer of {size} bytes")]
    Region {
        /// First byte.
        offset: usize,
        /// Number of bytes.
        bytes: usize,
        /// Size of the buffer, 0 if there is none.
        size: usize,
    },
    /// A view of a buffer as elements of some type does not fit its size or alignment.
    #[error("cannot view {bytes} bytes as {elem}: {problem}")]
    View {
        /// Size of the buffer.
        bytes: usize,
        /// Name of the element type.
        elem: &'static str,
        /// Why not.
        problem: String,
    },
    /// A write to a buffer that was lent for reading.
    #[error("buffer {0} was lent for reading only")]
    ReadOnly(usize),
}
