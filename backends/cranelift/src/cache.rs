//! Compiled kernels of this process.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustc_hash::FxHashMap;
use weft_ir::loops;
use weft_runtime::Kernel;

use crate::error::CompileError;
use crate::{host, jit, prepare};

/// Bytes of code, and of the texts under which it is kept, that the process keeps for kernels which nobody may need any more:
/// some hundred layers.
const LIMIT: usize = 128 << 20;

/// Machine code of a kernel, compiled at the first call and taken from a cache afterwards, as long as it is there: what has not been
/// asked for the longest leaves a full cache, and is freed when the last of those who hold it lets go.
///
/// # Errors
/// The kernel breaks a rule of loop IR, or this machine is not supported.
pub fn compile(kernel: &loops::Kernel) -> Result<Arc<Kernel>, CompileError> {
    static CACHE: OnceLock<Mutex<Cache<Kernel>>> = OnceLock::new();
    let cache = CACHE.get_or_init(|| Mutex::new(Cache::new(LIMIT)));
    let text = kernel.to_string();
    if let Some(code) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&text) {
        return Ok(code);
    }
    // Compiled outside the lock: other threads may compile other kernels meanwhile.
    let (code, bytes) = jit::compile(&prepare(kernel)?, host::isa()?)?;
    let (code, left) = cache.lock().unwrap_or_else(PoisonError::into_inner).add(text, Arc::new(code), bytes);
    // Freeing memory is no work to do under a lock.
    drop(left);
    Ok(code)
}

/// Things by text, of a limited size together.
///
/// Code is kept by the kernel's text, which says everything that the code depends on; the machine does not change while the
/// process runs. The whole text is the key, so that no collision of hashes can run the wrong code.
struct Cache<T> {
    entries: FxHashMap<String, Entry<T>>,
    limit: usize,
    bytes: usize,
    /// Counts what was asked.
    clock: u64,
}

struct Entry<T> {
    value: Arc<T>,
    bytes: usize,
    used: u64,
}

impl<T> Cache<T> {
    fn new(limit: usize) -> Self {
        Self { entries: FxHashMap::default(), limit, bytes: 0, clock: 0 }
    }

    fn get(&mut self, text: &str) -> Option<Arc<T>> {
        self.clock += 1;
        let entry = self.entries.get_mut(text)?;
        entry.used = self.clock;
        Some(Arc::clone(&entry.value))
    }

    /// Adds what was made for a text, unless another thread was faster, and gives what is in the cache now, and what had to leave it.
    fn add(&mut self, text: String, value: Arc<T>, bytes: usize) -> (Arc<T>, Vec<Arc<T>>) {
        if let Some(earlier) = self.get(&text) {
            return (earlier, vec![value]);
        }
        let bytes = bytes.saturating_add(text.len());
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.insert(text, Entry { value: Arc::clone(&value), bytes, used: self.clock });
        let mut left = Vec::new();
        while self.bytes > self.limit && self.entries.len() > 1 {
            // Rare, and short beside a compilation: no order is kept for it.
            let Some(oldest) = self.entries.iter().min_by_key(|(_, e)| e.used).map(|(t, _)| t.clone()) else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= entry.bytes;
                left.push(entry.value);
            }
        }
        (value, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(cache: &mut Cache<String>, text: &str) -> Arc<String> {
        cache.add(text.to_owned(), Arc::new(text.to_owned()), 9).0
    }

    #[test]
    fn what_was_not_asked_for_leaves() {
        // Room for three entries of ten bytes.
        let mut cache = Cache::new(35);
        let a = add(&mut cache, "a");
        for text in ["b", "c"] {
            add(&mut cache, text);
        }
        assert!(cache.get("a").is_some());
        let (_, left) = cache.add("d".into(), Arc::new("d".to_owned()), 9);
        assert_eq!(left.iter().map(|x| x.as_str()).collect::<Vec<_>>(), ["b"]);
        assert!(cache.get("b").is_none() && cache.get("a").is_some() && cache.get("c").is_some());
        assert_eq!(cache.bytes, 30);
        // Those who hold what has left keep it.
        let weak = Arc::downgrade(&a);
        for text in ["e", "f", "g"] {
            add(&mut cache, text);
        }
        assert!(cache.get("a").is_none() && weak.upgrade().is_some());
        drop(a);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn one_entry_may_be_too_large_and_equal_ones_are_one() {
        let mut cache = Cache::new(5);
        let first = add(&mut cache, "a");
        let again = add(&mut cache, "a");
        assert!(Arc::ptr_eq(&first, &again) && cache.entries.len() == 1 && cache.bytes == 10);
        add(&mut cache, "b");
        assert_eq!(cache.bytes, 10);
    }

    #[test]
    fn code_that_left_the_cache_runs_as_long_as_it_is_held() {
        let kernel = |factor: i64| {
            let text = format!(
                "kernel @scale(%0..%1) {{
                   dim %2 = n
                   buffer %3 = read x i64[%2]
                   buffer %4 = write y i64[%2]
                   %5: i64 = const {factor}
                   for %6 in %0..%1 step 1 {{
                     %7: i64 = load %3[%6]
                     %8: i64 = mul %7, %5
                     store %4[%6], %8
                   }}
                 }}"
            );
            loops::parse(&text).unwrap()
        };
        let mut cache = Cache::new(1);
        let held: Vec<Arc<Kernel>> = (0..4)
            .map(|factor| {
                let (code, bytes) = jit::compile(&prepare(&kernel(factor)).unwrap(), host::isa().unwrap()).unwrap();
                assert!(bytes > 0);
                cache.add(factor.to_string(), Arc::new(code), bytes).0
            })
            .collect();
        assert_eq!(cache.entries.len(), 1);
        let pool = weft_runtime::Pool::new(2).unwrap();
        for (factor, code) in (0i64..).zip(held) {
            let (x, mut y) = (vec![1i64, 2, 3], vec![0i64; 3]);
            let mut memory = weft_runtime::Memory::new();
            let args = [memory.lend(&x), memory.lend_mut(&mut y)].map(|id| memory.whole(id));
            pool.launch(&code, &mut memory, &args, &[3], 3).unwrap();
            drop(memory);
            assert_eq!(y, [factor, 2 * factor, 3 * factor]);
        }
    }
}
