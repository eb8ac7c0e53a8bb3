//! What compiled Weft code needs while it runs: memory, worker threads, launches.
//!
//! A [`Kernel`] is machine code with a description of what it may touch. A [`Memory`] holds the buffers of a run, owned or
//! borrowed from the caller. A [`Pool`] has the worker threads; [`Pool::launch`] checks a kernel's arguments against its
//! description and covers the tasks `0 .. n` by calls on all workers. Tasks are handed out by an atomic counter, so
//! uneven tasks balance; kernels compute the same whatever the hand-out, so results do not depend on the number of threads.
//!
//! Nothing is allocated during a launch: threads and their scratch memory exist before (scratch grows when a kernel
//! wants more than any before it; [`Pool::reserve`] does that ahead of time).

mod buffer;
mod error;
mod kernel;
mod memory;
mod pool;
mod raw;

pub use buffer::Buffer;
pub use error::RuntimeError;
pub use kernel::{Access, BufferSpec, Extent, KernelSpec};
pub use memory::{BufferId, Region};
pub use pool::Pool;
pub use raw::{Entry, Kernel, Memory};
