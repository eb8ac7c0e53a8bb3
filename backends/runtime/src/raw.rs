//! The only place with raw pointers: the memory of a run, and calls of machine code.
//!
//! Why `unsafe` is needed: machine code takes addresses, several kernels use disjoint parts of one workspace at once,
//! and worker threads write to buffers that the launching thread owns. What makes it sound:
//! - a [`Memory`] owns its buffers or holds a Rust borrow of them for its lifetime, so they outlive every launch, and
//!   `launch` takes the memory by `&mut`, so nobody else looks while a kernel runs;
//! - a [`Job`] exists only while `Pool::launch` waits for all workers;
//! - [`Kernel::new`] is `unsafe`: whoever makes a kernel promises that its code stays within its description.
#![allow(unsafe_code, reason = "machine code is called by address, on memory shared with worker threads")]

use std::marker::PhantomData;
use std::sync::Arc;

use bytemuck::Pod;
use smallvec::SmallVec;

use crate::buffer::{Buffer, view, view_mut};
use crate::error::RuntimeError;
use crate::kernel::{Access, KernelSpec};
use crate::memory::{BufferId, Region};

/// Machine code of a kernel: argument table (one address per buffer), dimension table, first task, end of tasks,
/// the worker's scratch memory (64-byte aligned).
pub type Entry = unsafe extern "C" fn(*const *mut u8, *const i64, i64, i64, *mut u8);

/// Machine code with the description of what it may touch.
#[derive(Clone)]
pub struct Kernel {
    entry: Entry,
    spec: KernelSpec,
    /// Owns the memory of the code; it is freed with the last kernel that shares it.
    _code: Arc<dyn Send + Sync>,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel").field("entry", &self.entry).field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Kernel {
    /// A kernel from code and description.
    ///
    /// # Safety
    /// `entry` must stay valid as long as `code` is alive, and any call must touch only the first
    /// [`KernelSpec::buffer_bytes`] bytes of each buffer, store only to [`Access::Write`] buffers, and use only
    /// `scratch_bytes` bytes of scratch; calls for different tasks must not write the same bytes, nor read what another
    /// writes.
    #[must_use]
    pub unsafe fn new(entry: Entry, spec: KernelSpec, code: Arc<dyn Send + Sync>) -> Self {
        Self { entry, spec, _code: code }
    }

    /// The description.
    #[must_use]
    pub fn spec(&self) -> &KernelSpec {
        &self.spec
    }
}

struct Slot {
    start: *mut u8,
    bytes: usize,
    writable: bool,
    /// Keeps an owned buffer alive; only touched through `start`.
    _owner: Option<Buffer>,
}

/// The buffers of a run: owned ones, and ones borrowed from the caller for `'a`.
#[derive(Default)]
pub struct Memory<'a> {
    slots: Vec<Slot>,
    borrows: PhantomData<&'a mut [u8]>,
}

// SAFETY: the pointers are to memory that is owned, or borrowed as `&'a [u8]` or `&'a mut [u8]`, all of which may
// move to another thread; access through a `Memory` follows `&` and `&mut` of it.
unsafe impl Send for Memory<'_> {}
// SAFETY: as above; `&Memory` only reads.
unsafe impl Sync for Memory<'_> {}

impl<'a> Memory<'a> {
    /// Memory without buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an owned buffer.
    pub fn own(&mut self, mut buffer: Buffer) -> BufferId {
        let bytes = buffer.bytes_mut();
        let (start, bytes) = (bytes.as_mut_ptr(), bytes.len());
        self.add(Slot { start, bytes, writable: true, _owner: Some(buffer) })
    }

    /// Adds the caller's elements, for reading.
    pub fn lend<T: Pod>(&mut self, elements: &'a [T]) -> BufferId {
        let bytes: &[u8] = bytemuck::cast_slice(elements);
        self.add(Slot { start: bytes.as_ptr().cast_mut(), bytes: bytes.len(), writable: false, _owner: None })
    }

    /// Adds the caller's elements, for reading and writing.
    pub fn lend_mut<T: Pod>(&mut self, elements: &'a mut [T]) -> BufferId {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(elements);
        self.add(Slot { start: bytes.as_mut_ptr(), bytes: bytes.len(), writable: true, _owner: None })
    }

    fn add(&mut self, slot: Slot) -> BufferId {
        self.slots.push(slot);
        BufferId(self.slots.len() - 1)
    }

    /// The whole of a buffer; an empty region if there is no such buffer.
    #[must_use]
    pub fn whole(&self, buffer: BufferId) -> Region {
        let bytes = self.slots.get(buffer.0).map_or(0, |slot| slot.bytes);
        Region { buffer, offset: 0, bytes }
    }

    fn slot(&self, region: Region) -> Result<&Slot, RuntimeError> {
        let Region { buffer, offset, bytes } = region;
        let slot = self.slots.get(buffer.0).ok_or(RuntimeError::Region { offset, bytes, size: 0 })?;
        match offset.checked_add(bytes) {
            Some(end) if end <= slot.bytes => Ok(slot),
            _ => Err(RuntimeError::Region { offset, bytes, size: slot.bytes }),
        }
    }

    /// A region's content.
    ///
    /// # Errors
    /// The region lies outside its buffer, or its size or alignment does not fit the element type.
    pub fn read<T: Pod>(&self, region: Region) -> Result<&[T], RuntimeError> {
        let slot = self.slot(region)?;
        // SAFETY: the range is inside the slot's memory, which lives as long as `self`; no kernel runs, since a launch
        // borrows the memory mutably.
        let bytes = unsafe { std::slice::from_raw_parts(slot.start.add(region.offset), region.bytes) };
        view(bytes)
    }

    /// A region's content, to be changed.
    ///
    /// # Errors
    /// As [`Memory::read`], or the buffer was lent for reading.
    pub fn write<T: Pod>(&mut self, region: Region) -> Result<&mut [T], RuntimeError> {
        let slot = self.slot(region)?;
        if !slot.writable {
            return Err(RuntimeError::ReadOnly(region.buffer.0));
        }
        // SAFETY: as in `read`; `&mut self` makes the access exclusive, and the slot was borrowed mutably or is owned.
        let bytes = unsafe { std::slice::from_raw_parts_mut(slot.start.add(region.offset), region.bytes) };
        view_mut(bytes)
    }
}

/// Addresses of a launch's buffers; on the stack for any usual number of them.
pub(crate) type Table = SmallVec<[*mut u8; 32]>;

/// Checks the arguments of a launch against the kernel's description and takes their addresses.
pub(crate) fn bind(
    kernel: &Kernel,
    memory: &mut Memory<'_>,
    args: &[Region],
    dims: &[i64],
) -> Result<Table, RuntimeError> {
    let spec = &kernel.spec;
    spec.check_counts(args.len(), dims.len())?;
    let mut table = Table::new();
    for (i, (region, buffer)) in args.iter().zip(&spec.buffers).enumerate() {
        let slot = memory.slot(*region)?;
        let needed = spec.buffer_bytes(i, dims).ok_or_else(|| spec.argument_error(i, "its size overflows"))?;
        if (region.bytes as u64) < needed {
            return Err(spec.argument_error(i, format!("has {} bytes, needs {needed}", region.bytes)));
        }
        if buffer.access == Access::Write {
            if !slot.writable {
                return Err(spec.argument_error(i, "is written but was lent for reading only"));
            }
            if let Some(j) = (0..args.len()).find(|&j| j != i && region.overlaps(&args[j])) {
                let other = &spec.buffers[j].name;
                return Err(spec.argument_error(i, format!("is written and overlaps buffer {other}")));
            }
        }
        // SAFETY: the offset is inside the slot's memory, or one past its end for an empty region.
        let start = unsafe { slot.start.add(region.offset) };
        if start.align_offset(buffer.elem_bytes) != 0 {
            return Err(spec.argument_error(i, format!("is not aligned to {} bytes", buffer.elem_bytes)));
        }
        table.push(start);
    }
    Ok(table)
}

/// What a worker needs to run tasks of a launch. Valid only until the launch returns.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    entry: Entry,
    args: *const *mut u8,
    dims: *const i64,
    /// Number of tasks.
    pub(crate) tasks: i64,
    /// Tasks handed out at a time.
    pub(crate) chunk: i64,
}

// SAFETY: `Pool::launch` keeps the tables alive and waits until no worker holds the job any more.
unsafe impl Send for Job {}

impl Job {
    pub(crate) fn new(kernel: &Kernel, table: &Table, dims: &[i64], tasks: i64, chunk: i64) -> Self {
        Self { entry: kernel.entry, args: table.as_ptr(), dims: dims.as_ptr(), tasks, chunk }
    }

    /// Runs the tasks `begin .. end` with the scratch memory of the calling worker.
    pub(crate) fn run(&self, begin: i64, end: i64, scratch: &mut Buffer) {
        // SAFETY: `bind` checked the arguments, `Pool::launch` gave each worker enough scratch, and `Kernel::new`'s
        // caller promised that the code then stays within them; a job is only run during its launch.
        unsafe { (self.entry)(self.args, self.dims, begin, end, scratch.bytes_mut().as_mut_ptr()) }
    }
}
