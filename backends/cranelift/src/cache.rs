//! Compiled kernels of this process.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustc_hash::FxHashMap;
use weft_ir::loops::Kernel;

use crate::error::CompileError;
use crate::{host, jit, prepare};

/// Compiled code by the kernel's text, which says everything that the code depends on; the machine does not change
/// while the process runs. The whole text is the key, so that no collision of hashes can run the wrong code.
type Cache = Mutex<FxHashMap<String, Arc<weft_runtime::Kernel>>>;

/// Machine code of a kernel, compiled at the first call and taken from the cache afterwards.
///
/// # Errors
/// The kernel breaks a rule of loop IR, or this machine is not supported.
pub fn compile(kernel: &Kernel) -> Result<Arc<weft_runtime::Kernel>, CompileError> {
    static CACHE: OnceLock<Cache> = OnceLock::new();
    let cache = CACHE.get_or_init(Cache::default);
    let text = kernel.to_string();
    if let Some(code) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&text) {
        return Ok(Arc::clone(code));
    }
    // Compiled outside the lock: other threads may compile other kernels meanwhile.
    let code = Arc::new(jit::compile(&prepare(kernel)?, host::isa()?)?);
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Arc::clone(cache.entry(text).or_insert(code)))
}
