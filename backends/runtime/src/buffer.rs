//! Memory that starts on a cache line.
//!
//! Large buffers are mapped: their pages are zero without anybody writing zeros, exist from when they are first touched, and are huge where the system
//! has such, so that states of a long sequence do not cost a fault and an entry of the address cache for every 4 KiB.

use bytemuck::{Pod, Zeroable};
use memmap2::MmapMut;

use crate::error::RuntimeError;

/// One cache line; its alignment is the buffer's.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Buffers of this size and above are mapped.
const MAPPED: usize = 1 << 20;

/// Zero-filled memory, 64-byte aligned, of fixed size.
pub struct Buffer {
    memory: Owned,
    bytes: usize,
}

enum Owned {
    Lines(Vec<Line>),
    Pages(MmapMut),
}

impl Buffer {
    /// A buffer of `bytes` zero bytes.
    ///
    /// # Errors
    /// [`RuntimeError::OutOfMemory`] if the system has no room for it.
    pub fn zeroed(bytes: usize) -> Result<Self, RuntimeError> {
        if bytes >= MAPPED {
            let pages = MmapMut::map_anon(bytes).map_err(|_| RuntimeError::OutOfMemory { bytes: bytes as u64 })?;
            // A wish, which a system may not know.
            #[cfg(target_os = "linux")]
            let _ = pages.advise(memmap2::Advice::HugePage);
            return Ok(Self { memory: Owned::Pages(pages), bytes });
        }
        let count = bytes.div_ceil(size_of::<Line>());
        let mut lines = Vec::new();
        lines.try_reserve_exact(count).map_err(|_| RuntimeError::OutOfMemory { bytes: bytes as u64 })?;
        lines.resize(count, Line::zeroed());
        Ok(Self { memory: Owned::Lines(lines), bytes })
    }

    /// A buffer with a copy of the elements.
    ///
    /// # Errors
    /// [`RuntimeError::OutOfMemory`] if the system has no room for it.
    pub fn copy_of<T: Pod>(elements: &[T]) -> Result<Self, RuntimeError> {
        let source: &[u8] = bytemuck::cast_slice(elements);
        let mut buffer = Self::zeroed(source.len())?;
        buffer.bytes_mut().copy_from_slice(source);
        Ok(buffer)
    }

    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Is the size 0?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The content.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.memory {
            Owned::Lines(lines) => &bytemuck::cast_slice(lines)[..self.bytes],
            Owned::Pages(pages) => pages,
        }
    }

    /// The content, to be changed.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Owned::Lines(lines) => &mut bytemuck::cast_slice_mut(lines)[..self.bytes],
            Owned::Pages(pages) => pages,
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.bytes)
    }
}

/// Bytes seen as elements.
pub(crate) fn view<T: Pod>(bytes: &[u8]) -> Result<&[T], RuntimeError> {
    bytemuck::try_cast_slice(bytes).map_err(|e| view_error::<T>(bytes.len(), &e))
}

/// Bytes seen as elements, to be changed.
pub(crate) fn view_mut<T: Pod>(bytes: &mut [u8]) -> Result<&mut [T], RuntimeError> {
    let len = bytes.len();
    bytemuck::try_cast_slice_mut(bytes).map_err(|e| view_error::<T>(len, &e))
}

fn view_error<T>(bytes: usize, e: &bytemuck::PodCastError) -> RuntimeError {
    RuntimeError::View { bytes, elem: std::any::type_name::<T>(), problem: e.to_string() }
}
