//! Worker threads.
//!
//! The workers are started once and wait between launches. Each is pinned to a core where the system allows it:
//! unpinned threads were seen to share one core for a whole call while another idled. The launching thread sleeps, so that
//! it does not compete with a pinned worker; launches of a single task run on the launching thread instead, which saves
//! two thread switches.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use crate::buffer::Buffer;
use crate::error::RuntimeError;
use crate::memory::Region;
use crate::raw::{Job, Kernel, Memory, bind};

/// Largest number of workers.
const MAX_THREADS: usize = 1024;

/// Tasks are handed out in at least so many pieces per worker, if there are so many.
const PIECES_PER_WORKER: i64 = 32;

/// A fixed set of worker threads.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held during a launch; scratch for launches that run on the launching thread.
    launching: Mutex<Launching>,
}

struct Launching {
    scratch: Buffer,
    scratch_bytes: usize,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    done: Condvar,
    /// Next task to hand out.
    next: AtomicI64,
    /// Scratch memory of each worker.
    scratch: Vec<Mutex<Buffer>>,
}

struct State {
    /// Counts launches, so that a worker takes each once.
    generation: u64,
    job: Option<Job>,
    /// Workers that have not finished the current launch.
    running: usize,
    stop: bool,
}

/// A panic elsewhere leaves the data as consistent as it was: every update here is a plain assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// A pool with this many workers (1 to 1024). With one, kernels run on the launching thread.
    ///
    /// # Errors
    /// The number is out of range, or the system refuses a thread.
    pub fn new(threads: usize) -> Result<Self, RuntimeError> {
        if !(1..=MAX_THREADS).contains(&threads) {
            return Err(RuntimeError::BadThreadCount(threads.to_string()));
        }
        let workers = if threads == 1 { 0 } else { threads };
        let mut scratch = Vec::with_capacity(workers);
        for _ in 0..workers {
            scratch.push(Mutex::new(Buffer::zeroed(0)?));
        }
        let shared = Arc::new(Shared {
            state: Mutex::new(State { generation: 0, job: None, running: 0, stop: false }),
            wake: Condvar::new(),
            done: Condvar::new(),
            next: AtomicI64::new(0),
            scratch,
        });
        let launching = Mutex::new(Launching { scratch: Buffer::zeroed(0)?, scratch_bytes: 0 });
        let mut pool = Self { shared, threads: Vec::with_capacity(workers), launching };
        // More workers than cores cannot have a core each: leave their placement to the system.
        let cores = core_affinity::get_core_ids().filter(|cores| cores.len() >= workers);
        for worker in 0..workers {
            let shared = Arc::clone(&pool.shared);
            let core = cores.as_ref().map(|cores| cores[worker]);
            let thread = std::thread::Builder::new()
                .name(format!("weft-{worker}"))
                .spawn(move || {
                    if let Some(core) = core {
                        // Best effort: without the pin the worker still works.
                        core_affinity::set_for_current(core);
                    }
                    shared.work(worker);
                })
                .map_err(|e| RuntimeError::Threads(e.to_string()))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// A pool with as many workers as `WEFT_THREADS` says, or else as there are cores.
    ///
    /// # Errors
    /// `WEFT_THREADS` is not a number from 1 to 1024, or the system refuses a thread.
    pub fn from_environment() -> Result<Self, RuntimeError> {
        let threads = match std::env::var("WEFT_THREADS") {
            Ok(text) => match text.trim().parse() {
                Ok(n) if (1..=MAX_THREADS).contains(&n) => n,
                _ => return Err(RuntimeError::BadThreadCount(text)),
            },
            Err(_) => std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS)),
        };
        Self::new(threads)
    }

    /// The pool of this process, made by [`Pool::from_environment`] at the first call.
    ///
    /// # Errors
    /// Those of [`Pool::from_environment`], the same at every call.
    pub fn global() -> Result<&'static Self, RuntimeError> {
        static POOL: OnceLock<Result<Pool, RuntimeError>> = OnceLock::new();
        POOL.get_or_init(Self::from_environment).as_ref().map_err(Clone::clone)
    }

    /// Number of threads that run tasks.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.len().max(1)
    }

    /// Makes sure that every worker has at least this much scratch memory, so that no launch allocates.
    ///
    /// # Errors
    /// [`RuntimeError::OutOfMemory`].
    pub fn reserve(&self, scratch_bytes: u64) -> Result<(), RuntimeError> {
        let mut launching = lock(&self.launching);
        self.grow(&mut launching, scratch_bytes)
    }

    fn grow(&self, launching: &mut Launching, bytes: u64) -> Result<(), RuntimeError> {
        let bytes = usize::try_from(bytes).map_err(|_| RuntimeError::OutOfMemory { bytes })?;
        if bytes <= launching.scratch_bytes {
            return Ok(());
        }
        launching.scratch = Buffer::zeroed(bytes)?;
        for scratch in &self.shared.scratch {
            *lock(scratch) = Buffer::zeroed(bytes)?;
        }
        launching.scratch_bytes = bytes;
        Ok(())
    }

    /// Runs the tasks `0 .. tasks` of a kernel and waits for them. Concurrent launches take turns.
    ///
    /// # Errors
    /// The arguments do not fit the kernel's description, or scratch memory cannot be allocated. Then nothing has run.
    pub fn launch(
        &self,
        kernel: &Kernel,
        memory: &mut Memory<'_>,
        args: &[Region],
        dims: &[i64],
        tasks: u64,
    ) -> Result<(), RuntimeError> {
        let table = bind(kernel, memory, args, dims)?;
        let tasks = i64::try_from(tasks).map_err(|_| RuntimeError::Argument {
            kernel: kernel.spec().name.clone(),
            buffer: String::new(),
            problem: format!("{tasks} tasks are too many"),
        })?;
        let mut launching = lock(&self.launching);
        self.grow(&mut launching, kernel.spec().scratch_bytes)?;
        let workers = i64::try_from(self.threads.len()).unwrap_or(1);
        let chunk = (tasks / (workers.max(1) * PIECES_PER_WORKER)).max(1);
        let job = Job::new(kernel, &table, dims, tasks, chunk);
        if tasks <= 1 || self.threads.is_empty() {
            if tasks > 0 {
                job.run(0, tasks, &mut launching.scratch);
            }
            return Ok(());
        }
        let mut state = lock(&self.shared.state);
        self.shared.next.store(0, Ordering::Relaxed);
        state.job = Some(job);
        state.generation += 1;
        state.running = self.threads.len();
        self.shared.wake.notify_all();
        while state.running > 0 {
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.job = None;
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.state).stop = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A worker that panicked has nothing left to do.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} threads)", self.threads())
    }
}

impl Shared {
    /// A worker's life.
    fn work(&self, worker: usize) {
        let mut seen = 0;
        loop {
            let mut state = lock(&self.state);
            while !state.stop && state.generation == seen {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.stop {
                return;
            }
            seen = state.generation;
            let job = state.job;
            drop(state);
            if let Some(job) = job {
                let mut scratch = lock(&self.scratch[worker]);
                loop {
                    let begin = self.next.fetch_add(job.chunk, Ordering::Relaxed);
                    if begin >= job.tasks {
                        break;
                    }
                    job.run(begin, job.tasks.min(begin.saturating_add(job.chunk)), &mut scratch);
                }
            }
            let mut state = lock(&self.state);
            state.running -= 1;
            if state.running == 0 {
                self.done.notify_all();
            }
        }
    }
}
