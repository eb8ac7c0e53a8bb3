//! Runs a [`Program`] on host tensors.
//!
//! This module knows programs, not the pass that makes them: a backend depends on the representation only, so that the pass
//! crate and the backends do not depend on each other. [`Executable::new`] compiles every kernel; [`Executable::prepare`] checks
//! extents and allocates all memory of a run once; [`Run::launch`] may then be called any number of times and allocates nothing.

use std::sync::Arc;

use weft_ir::kernel::{Literal, Role};
use weft_ir::loops::{Elem, to_bf16};
use weft_ir::program::{Argument, Program};
use weft_runtime::{Buffer, BufferId, Kernel, Memory, Pool, Region, RuntimeError};

use crate::error::CompileError;

/// Elements of a tensor on the host.
#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// Truth values, one byte each, 0 or 1.
    Bool(Vec<u8>),
    /// bfloat16, as bits.
    Bf16(Vec<u16>),
}

impl Data {
    /// Type of the elements.
    #[must_use]
    pub fn elem(&self) -> Elem {
        match self {
            Self::F32(_) => Elem::F32,
            Self::F64(_) => Elem::F64,
            Self::I32(_) => Elem::I32,
            Self::I64(_) => Elem::I64,
            Self::Bool(_) => Elem::Bool,
            Self::Bf16(_) => Elem::Bf16,
        }
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(x) => x.len(),
            Self::F64(x) => x.len(),
            Self::I32(x) => x.len(),
            Self::I64(x) => x.len(),
            Self::Bool(x) => x.len(),
            Self::Bf16(x) => x.len(),
        }
    }

    /// Are there no elements?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Lengths along one run-time extent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Length {
    /// The same everywhere.
    Uniform(i64),
    /// One for each index of the outer extent.
    Ragged(Vec<i64>),
}

/// Why a program could not be run.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum RunError {
    /// A kernel could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Memory or a launch was refused.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The extents do not fit the program.
    #[error("extent {name}: {problem}")]
    Extent {
        /// Name of the extent.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A buffer was addressed that the program does not have, or that is not the caller's.
    #[error("the program has no {what} `{name}`")]
    Unknown {
        /// "buffer that the caller gives" or the like.
        what: &'static str,
        /// The name asked for.
        name: String,
    },
    /// Elements do not fit a buffer.
    #[error("buffer {name} holds {expected} elements of {elem}, got {got} of {found}")]
    Shape {
        /// Name of the buffer.
        name: String,
        /// Its number of elements.
        expected: u64,
        /// Its type.
        elem: Elem,
        /// Number of elements given.
        got: usize,
        /// Type of the elements given.
        found: Elem,
    },
    /// An integer lies outside the range that its buffer declares; kernels use such integers as indices.
    #[error("buffer {name}: element {index} is {value}, must be in {lo}..{hi}")]
    Range {
        /// Name of the buffer.
        name: String,
        /// Position of the element, row-major.
        index: usize,
        /// Its value.
        value: i64,
        /// Least value.
        lo: i64,
        /// One past the greatest value.
        hi: i64,
    },
    /// A size does not fit 64 bits.
    #[error("the size of {0} overflows")]
    Overflow(String),
}

/// A program with machine code.
#[derive(Debug)]
pub struct Executable {
    program: Program,
    kernels: Vec<Arc<Kernel>>,
}

/// A program with all memory for one choice of extents.
pub struct Run<'x> {
    executable: &'x Executable,
    memory: Memory<'static>,
    /// Where each buffer lies; `None` for those that nothing uses.
    regions: Vec<Option<Region>>,
    /// Size of each buffer in elements.
    elements: Vec<u64>,
    /// Values that integers of each buffer may have.
    ranges: Vec<Option<(i64, i64)>>,
    launches: Vec<Call>,
}

struct Call {
    args: Vec<Region>,
    dims: Vec<i64>,
    tasks: u64,
    /// Buffers that are filled with their initial value first.
    fills: Vec<usize>,
}

impl Executable {
    /// Compiles every kernel of a program.
    ///
    /// # Errors
    /// A kernel is ill-formed, or the machine is not supported.
    pub fn new(program: Program) -> Result<Self, CompileError> {
        let kernels = program.launches.iter().map(|l| crate::compile(&l.kernel)).collect::<Result<_, _>>()?;
        Ok(Self { program, kernels })
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Checks the lengths, one for each extent of the program, and allocates all memory of a run.
    ///
    /// # Errors
    /// Lengths that are missing, negative or of the wrong number; sizes that overflow or do not fit memory.
    pub fn prepare(&self, lengths: &[Length]) -> Result<Run<'_>, RunError> {
        let program = &self.program;
        let extents = self.extents(lengths)?;
        let overflow = |what: &str| RunError::Overflow(what.to_owned());
        let mut memory = Memory::new();
        let tables = lengths
            .iter()
            .map(|l| match l {
                Length::Uniform(_) => Ok(None),
                Length::Ragged(rows) => {
                    let id: BufferId = memory.own(Buffer::copy_of(rows)?);
                    Ok(Some(memory.whole(id)))
                }
            })
            .collect::<Result<Vec<_>, RuntimeError>>()?;
        let workspace = program.workspace(&extents).ok_or_else(|| overflow("the workspace"))?;
        let bytes = usize::try_from(workspace.bytes).map_err(|_| overflow("the workspace"))?;
        let shared = memory.own(Buffer::zeroed(bytes)?);
        let (mut regions, mut elements, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
        for (buffer, offset) in program.buffers.iter().zip(&workspace.offsets) {
            let count = buffer.elements(&extents).ok_or_else(|| overflow(&buffer.name))?;
            let bytes = count.checked_mul(buffer.elem.bytes() as u64).ok_or_else(|| overflow(&buffer.name))?;
            let bytes = usize::try_from(bytes).map_err(|_| overflow(&buffer.name))?;
            elements.push(count);
            let ends = buffer.range.as_ref().map(|(lo, hi)| Some((lo.eval(&extents)?, hi.eval(&extents)?)));
            ranges.push(ends.map(|e| e.ok_or_else(|| overflow(&buffer.name))).transpose()?);
            regions.push(match (offset, buffer.role) {
                (Some(offset), _) => {
                    let offset = usize::try_from(*offset).map_err(|_| overflow(&buffer.name))?;
                    Some(Region { buffer: shared, offset, bytes })
                }
                (None, Role::Temp | Role::Decision) => None,
                (None, _) => {
                    let id = memory.own(Buffer::zeroed(bytes)?);
                    Some(memory.whole(id))
                }
            });
        }
        let mut launches = Vec::new();
        for (i, launch) in program.launches.iter().enumerate() {
            let place = |a: &Argument| match a {
                Argument::Buffer(b) => regions.get(*b).copied().flatten(),
                Argument::Lengths(e) => tables.get(*e).copied().flatten(),
            };
            let args = launch.args.iter().map(place).collect::<Option<Vec<_>>>();
            let args =
                args.ok_or_else(|| RunError::Unknown { what: "argument of", name: launch.kernel.name.clone() })?;
            let value = |f: &weft_ir::program::Formula| f.eval(&extents).ok_or_else(|| overflow(&launch.kernel.name));
            let dims = launch.dims.iter().map(value).collect::<Result<_, _>>()?;
            let tasks = u64::try_from(value(&launch.tasks)?).unwrap_or(0);
            let starts = |b: &usize| program.life(*b).is_some_and(|(first, _)| first == i);
            let fills = (0..program.buffers.len()).filter(|b| program.buffers[*b].init.is_some() && starts(b));
            launches.push(Call { args, dims, tasks, fills: fills.collect() });
        }
        Ok(Run { executable: self, memory, regions, elements, ranges, launches })
    }

    /// The extents as numbers, of ragged ones the largest length.
    fn extents(&self, lengths: &[Length]) -> Result<Vec<i64>, RunError> {
        let mut values: Vec<i64> = Vec::new();
        for (i, extent) in self.program.extents.iter().enumerate() {
            let fail = |problem: String| RunError::Extent { name: extent.name.clone(), problem };
            let value = match (lengths.get(i), extent.over) {
                (None, _) => return Err(fail("is not given".into())),
                (Some(Length::Uniform(n)), None) => *n,
                (Some(Length::Ragged(_)), None) => return Err(fail("is not ragged".into())),
                (Some(Length::Uniform(_)), Some(_)) => {
                    return Err(fail("is ragged: give one length for each index of its outer extent".into()));
                }
                (Some(Length::Ragged(rows)), Some(over)) => {
                    let expected = values.get(over).copied().unwrap_or(0);
                    if i64::try_from(rows.len()) != Ok(expected) {
                        return Err(fail(format!("has {} lengths, needs {expected}", rows.len())));
                    }
                    if let Some(bad) = rows.iter().find(|n| **n < 0) {
                        return Err(fail(format!("{bad} is negative")));
                    }
                    rows.iter().copied().max().unwrap_or(0)
                }
            };
            if value < 0 {
                return Err(fail(format!("{value} is negative")));
            }
            values.push(value);
        }
        Ok(values)
    }
}

impl Run<'_> {
    fn find(&self, name: &str, wanted: impl Fn(Role) -> bool, what: &'static str) -> Result<usize, RunError> {
        let buffers = &self.executable.program.buffers;
        let found = buffers.iter().position(|b| b.name == name && wanted(b.role));
        found.ok_or_else(|| RunError::Unknown { what, name: name.to_owned() })
    }

    /// Copies elements, row-major and padded, into a buffer that the caller gives.
    ///
    /// # Errors
    /// There is no such buffer, or the elements do not fit it, or integers lie outside the range that it declares.
    pub fn write(&mut self, name: &str, data: &Data) -> Result<(), RunError> {
        let i = self.find(name, Role::is_given, "input")?;
        let buffer = &self.executable.program.buffers[i];
        let expected = self.elements[i];
        if data.elem() != buffer.elem || data.len() as u64 != expected {
            let (name, elem) = (buffer.name.clone(), buffer.elem);
            return Err(RunError::Shape { name, expected, elem, got: data.len(), found: data.elem() });
        }
        if let Some(range) = self.ranges[i] {
            check_range(&buffer.name, data, range)?;
        }
        let Some(region) = self.regions[i] else { return Ok(()) };
        match data {
            Data::F32(x) => self.memory.write::<f32>(region)?.copy_from_slice(x),
            Data::F64(x) => self.memory.write::<f64>(region)?.copy_from_slice(x),
            Data::I32(x) => self.memory.write::<i32>(region)?.copy_from_slice(x),
            Data::I64(x) => self.memory.write::<i64>(region)?.copy_from_slice(x),
            Data::Bool(x) => self.memory.write::<u8>(region)?.copy_from_slice(x),
            Data::Bf16(x) => self.memory.write::<u16>(region)?.copy_from_slice(x),
        }
        Ok(())
    }

    /// Copies an output or a decision out. Elements behind ragged ends, which no kernel writes, are 0 in outputs and anything in
    /// decisions, which lie in workspace.
    ///
    /// # Errors
    /// There is no such output.
    pub fn read(&self, name: &str) -> Result<Data, RunError> {
        let i = self.find(name, |r| matches!(r, Role::Output | Role::Decision), "output")?;
        let buffer = &self.executable.program.buffers[i];
        let Some(region) = self.regions[i] else {
            return Err(RunError::Unknown { what: "output", name: name.to_owned() });
        };
        Ok(match buffer.elem {
            Elem::F32 => Data::F32(self.memory.read(region)?.to_vec()),
            Elem::F64 => Data::F64(self.memory.read(region)?.to_vec()),
            Elem::I32 => Data::I32(self.memory.read(region)?.to_vec()),
            Elem::I64 => Data::I64(self.memory.read(region)?.to_vec()),
            Elem::Bool => Data::Bool(self.memory.read(region)?.to_vec()),
            Elem::Bf16 => Data::Bf16(self.memory.read(region)?.to_vec()),
        })
    }

    /// Runs all launches in order.
    ///
    /// # Errors
    /// A launch is refused, or scratch memory cannot be allocated.
    pub fn launch(&mut self, pool: &Pool) -> Result<(), RunError> {
        self.launch_observed(pool, &mut |_, _| {})
    }

    /// Runs all launches in order, and says after each its number in the program and the time that it took.
    ///
    /// # Errors
    /// As [`Run::launch`].
    pub fn launch_observed(
        &mut self,
        pool: &Pool,
        observe: &mut dyn FnMut(usize, std::time::Duration),
    ) -> Result<(), RunError> {
        let Self { executable, memory, regions, launches, .. } = self;
        for (n, (call, kernel)) in launches.iter().zip(&executable.kernels).enumerate() {
            let start = std::time::Instant::now();
            for b in &call.fills {
                let buffer = &executable.program.buffers[*b];
                if let (Some(region), Some(init)) = (regions[*b], buffer.init) {
                    fill(memory, region, buffer.elem, init)?;
                }
            }
            pool.launch(kernel, memory, &call.args, &call.dims, call.tasks)?;
            observe(n, start.elapsed());
        }
        Ok(())
    }
}

fn check_range(name: &str, data: &Data, (lo, hi): (i64, i64)) -> Result<(), RunError> {
    let outside = |x: &i64| !(lo..hi).contains(x);
    let found = match data {
        Data::I32(x) => x.iter().map(|x| i64::from(*x)).enumerate().find(|(_, x)| outside(x)),
        Data::I64(x) => x.iter().copied().enumerate().find(|(_, x)| outside(x)),
        Data::F32(_) | Data::F64(_) | Data::Bool(_) | Data::Bf16(_) => None,
    };
    match found {
        None => Ok(()),
        Some((index, value)) => Err(RunError::Range { name: name.to_owned(), index, value, lo, hi }),
    }
}

/// Fills a buffer with its initial value.
fn fill(memory: &mut Memory<'_>, region: Region, elem: Elem, init: Literal) -> Result<(), RuntimeError> {
    let float = init.as_f64();
    let int = if let Literal::Int(n) = init { n } else { 0 };
    match elem {
        #[allow(clippy::cast_possible_truncation, reason = "a constant is rounded to the type it stands in")]
        Elem::F32 => memory.write::<f32>(region)?.fill(float as f32),
        Elem::F64 => memory.write::<f64>(region)?.fill(float),
        #[allow(clippy::cast_possible_truncation, reason = "a constant is rounded to the type it stands in")]
        Elem::Bf16 => memory.write::<u16>(region)?.fill(to_bf16(float as f32)),
        #[allow(clippy::cast_possible_truncation, reason = "a constant wraps to the type it stands in")]
        Elem::I32 => memory.write::<i32>(region)?.fill(int as i32),
        Elem::I64 => memory.write::<i64>(region)?.fill(int),
        Elem::Bool => memory.write::<u8>(region)?.fill(u8::from(init == Literal::Bool(true))),
    }
    Ok(())
}
