//! Room for layers of many lines that build on one another.

/// Bytes of stack for each thread. They are reserved, not used: passes walk terms by recursion, some kilobytes for each value that another is made of.
const STACK: usize = 1 << 29;

/// Runs something, and all that it does in parallel, on threads with large stacks; where there are none to be had, on this one.
pub fn deep<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    match rayon::ThreadPoolBuilder::new().stack_size(STACK).build() {
        Ok(pool) => pool.install(f),
        Err(_) => f(),
    }
}
