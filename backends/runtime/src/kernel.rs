//! What a kernel demands of its launches.

use crate::error::RuntimeError;

/// What a kernel does with a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// Only loads.
    Read,
    /// Loads and stores; the region overlaps no other region of the launch.
    Write,
}

/// One factor of a buffer's size.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Extent {
    /// A constant.
    Const(u64),
    /// A dimension, by position; negative ones count as 0.
    Dim(usize),
}

/// A buffer parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BufferSpec {
    /// Name for messages.
    pub name: String,
    /// Size of one element in bytes; also the alignment that its region must have.
    pub elem_bytes: usize,
    /// Loads only, or stores too.
    pub access: Access,
    /// Factors of the number of elements that the kernel may touch.
    pub extents: Vec<Extent>,
}

/// The description of a kernel's parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelSpec {
    /// Name for messages.
    pub name: String,
    /// Buffers in the order of the argument table.
    pub buffers: Vec<BufferSpec>,
    /// Names of the dimensions in the order of the dimension table.
    pub dims: Vec<String>,
    /// Scratch memory of one worker, in bytes.
    pub scratch_bytes: u64,
}

impl KernelSpec {
    /// Bytes that the kernel may touch in one of its buffers, for these dimensions. `None` on overflow.
    #[must_use]
    pub fn buffer_bytes(&self, buffer: usize, dims: &[i64]) -> Option<u64> {
        let spec = self.buffers.get(buffer)?;
        spec.extents.iter().try_fold(spec.elem_bytes as u64, |n, extent| {
            let factor = match extent {
                Extent::Const(c) => *c,
                Extent::Dim(d) => u64::try_from(*dims.get(*d)?).unwrap_or(0),
            };
            n.checked_mul(factor)
        })
    }

    pub(crate) fn argument_error(&self, buffer: usize, problem: impl Into<String>) -> RuntimeError {
        let buffer = self.buffers.get(buffer).map_or_else(String::new, |b| b.name.clone());
        RuntimeError::Argument { kernel: self.name.clone(), buffer, problem: problem.into() }
    }

    pub(crate) fn check_counts(&self, buffers: usize, dims: usize) -> Result<(), RuntimeError> {
        for (what, expected, got) in [("buffers", self.buffers.len(), buffers), ("dimensions", self.dims.len(), dims)] {
            if expected != got {
                return Err(RuntimeError::ArgumentCount { kernel: self.name.clone(), what, expected, got });
            }
        }
        Ok(())
    }
}
