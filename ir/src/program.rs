//! Programs: loop IR kernels with the buffers and launches around them.
//!
//! This is what lowering gives to a backend. It speaks of nothing but memory: every size is a [`Formula`] in the run-time
//! extents, every launch says how many tasks it has and which buffers and numbers its kernel is called with. A *ragged*
//! extent (`T[b]`) has one length for each index of its outer extent; in formulas it stands for the largest of them, by which
//! buffers are padded, and kernels read the lengths themselves from a table ([`Argument::Lengths`]).
//!
//! Buffers that the caller neither gives nor receives are workspace. [`Program::workspace`] places them in one block of
//! memory so that buffers whose lives do not overlap share bytes.

use std::fmt;

use crate::kernel::{BinOp, Literal, Role};
use crate::loops::{Elem, Kernel};

/// Each workspace buffer starts on a multiple of this many bytes.
pub const BUFFER_ALIGN: u64 = 64;

/// A whole number as a function of the run-time extents.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Formula {
    /// A number.
    Const(i64),
    /// The extent of this number in [`Program::extents`]; of a ragged one the largest length.
    Extent(usize),
    /// An operation on two numbers.
    Binary(BinOp, Box<Formula>, Box<Formula>),
}

impl Formula {
    /// The value for these extents; `None` on overflow, a divisor that is not positive, or a missing extent.
    #[must_use]
    pub fn eval(&self, extents: &[i64]) -> Option<i64> {
        match self {
            Self::Const(n) => Some(*n),
            Self::Extent(e) => extents.get(*e).copied(),
            Self::Binary(op, a, b) => op.eval(a.eval(extents)?, b.eval(extents)?),
        }
    }

    /// `op(a, b)`, with constants folded.
    #[must_use]
    pub fn binary(op: BinOp, a: Self, b: Self) -> Self {
        match (op, &a, &b) {
            (_, Self::Const(x), Self::Const(y)) => {
                if let Some(n) = op.eval(*x, *y) {
                    return Self::Const(n);
                }
            }
            (BinOp::Add | BinOp::Sub, _, Self::Const(0))
            | (BinOp::Mul | BinOp::Div | BinOp::CeilDiv, _, Self::Const(1)) => return a,
            (BinOp::Add, Self::Const(0), _) | (BinOp::Mul, Self::Const(1), _) => return b,
            _ => {}
        }
        Self::Binary(op, Box::new(a), Box::new(b))
    }

    /// The number, if it does not depend on extents.
    #[must_use]
    pub fn known(&self) -> Option<i64> {
        if let Self::Const(n) = self { Some(*n) } else { None }
    }

    /// Text with the names of the program's extents.
    #[must_use]
    pub fn display(&self, program: &Program) -> String {
        match self {
            Self::Const(n) => n.to_string(),
            Self::Extent(e) => program.extents.get(*e).map_or_else(|| "?".to_owned(), |e| e.name.clone()),
            Self::Binary(op, a, b) => {
                let (a, b) = (a.display(program), b.display(program));
                match op {
                    BinOp::Add => format!("({a} + {b})"),
                    BinOp::Sub => format!("({a} - {b})"),
                    BinOp::Mul => format!("{a} * {b}"),
                    BinOp::Div => format!("({a} // {b})"),
                    BinOp::Mod => format!("({a} % {b})"),
                    BinOp::CeilDiv => format!("ceil({a} / {b})"),
                    BinOp::Min => format!("min({a}, {b})"),
                    BinOp::Max => format!("max({a}, {b})"),
                }
            }
        }
    }
}

/// A run-time extent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Name.
    pub name: String,
    /// For a ragged extent the number of the extent along which it differs.
    pub over: Option<usize>,
}

/// A tensor in memory, row-major and dense, ragged dimensions padded to the longest.
#[derive(Clone, PartialEq, Debug)]
pub struct Buffer {
    /// Name.
    pub name: String,
    /// Type of the elements.
    pub elem: Elem,
    /// Dimensions in memory, outermost first.
    pub dims: Vec<Formula>,
    /// What it is to the caller.
    pub role: Role,
    /// The value of all elements before the first launch that uses the buffer.
    pub init: Option<Literal>,
    /// Integers: least value and one past the greatest. Kernels use elements as indices without looking, so whoever fills the
    /// buffer must check them.
    pub range: Option<(Formula, Formula)>,
}

impl Buffer {
    /// Number of elements for these extents; `None` on overflow.
    #[must_use]
    pub fn elements(&self, extents: &[i64]) -> Option<u64> {
        self.dims.iter().try_fold(1u64, |n, d| n.checked_mul(u64::try_from(d.eval(extents)?.max(0)).ok()?))
    }

    /// Size in bytes for these extents; `None` on overflow.
    #[must_use]
    pub fn bytes(&self, extents: &[i64]) -> Option<u64> {
        self.elements(extents)?.checked_mul(self.elem.bytes() as u64)
    }
}

/// What stands for a buffer parameter of a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Argument {
    /// A buffer of the program, by number.
    Buffer(usize),
    /// The lengths of a ragged extent, by number, as `i64`, one for each index of its outer extent.
    Lengths(usize),
}

/// One kernel and how it is called.
#[derive(Clone, PartialEq, Debug)]
pub struct Launch {
    /// The code.
    pub kernel: Kernel,
    /// Number of tasks.
    pub tasks: Formula,
    /// What is passed for each of the kernel's buffers.
    pub args: Vec<Argument>,
    /// What is passed for each of the kernel's dimensions.
    pub dims: Vec<Formula>,
}

/// Launches, to be run one after the other, and what they work on.
#[derive(Clone, PartialEq, Debug)]
pub struct Program {
    /// Name.
    pub name: String,
    /// Run-time extents.
    pub extents: Vec<Extent>,
    /// Buffers.
    pub buffers: Vec<Buffer>,
    /// Launches in order.
    pub launches: Vec<Launch>,
}

/// Where the workspace buffers of one run lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workspace {
    /// First byte of each buffer; `None` for those that the caller gives or receives and for those that no launch uses.
    pub offsets: Vec<Option<u64>>,
    /// Size of the whole, in bytes.
    pub bytes: u64,
}

impl Program {
    /// First and last launch that uses a buffer; `None` if none does.
    #[must_use]
    pub fn life(&self, buffer: usize) -> Option<(usize, usize)> {
        let uses = |l: &Launch| l.args.contains(&Argument::Buffer(buffer));
        Some((self.launches.iter().position(uses)?, self.launches.iter().rposition(uses)?))
    }

    /// Places the workspace buffers: largest first, each at the lowest offset where it meets no buffer that lives at the same
    /// time. `None` if a size overflows.
    #[must_use]
    pub fn workspace(&self, extents: &[i64]) -> Option<Workspace> {
        struct Placed {
            life: (usize, usize),
            from: u64,
            to: u64,
        }
        let mut wanted = Vec::new();
        for (i, buffer) in self.buffers.iter().enumerate() {
            if let (Role::Temp | Role::Decision, Some(mut life)) = (buffer.role, self.life(i)) {
                // Decisions can be asked for after the run.
                if buffer.role == Role::Decision {
                    life.1 = self.launches.len();
                }
                wanted.push((buffer.bytes(extents)?.checked_next_multiple_of(BUFFER_ALIGN)?, i, life));
            }
        }
        wanted.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut offsets = vec![None; self.buffers.len()];
        let mut placed: Vec<Placed> = Vec::new();
        let mut bytes = 0;
        for (size, i, life) in wanted {
            // `placed` is kept sorted by offset, so that one pass finds the lowest gap.
            let mut from = 0u64;
            for p in placed.iter().filter(|p| p.life.0 <= life.1 && life.0 <= p.life.1) {
                if from.checked_add(size)? <= p.from {
                    break;
                }
                from = from.max(p.to);
            }
            let to = from.checked_add(size)?;
            offsets[i] = Some(from);
            bytes = bytes.max(to);
            let at = placed.partition_point(|p| p.from < from);
            placed.insert(at, Placed { life, from, to });
        }
        Some(Workspace { offsets, bytes })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "program {} {{", self.name)?;
        for buffer in &self.buffers {
            let dims: Vec<String> = buffer.dims.iter().map(|d| d.display(self)).collect();
            writeln!(f, "  {} {}: {}[{}]", buffer.role.name(), buffer.name, buffer.elem, dims.join(", "))?;
        }
        for launch in &self.launches {
            let dims: Vec<String> = launch.dims.iter().map(|d| d.display(self)).collect();
            let args: Vec<&str> = launch.args.iter().map(|a| self.argument_name(*a)).collect();
            let tasks = launch.tasks.display(self);
            writeln!(f, "  launch @{} x {tasks} ({}; {})", launch.kernel.name, args.join(", "), dims.join(", "))?;
        }
        writeln!(f, "}}")?;
        self.launches.iter().try_for_each(|l| write!(f, "\n{}", l.kernel))
    }
}

impl Program {
    fn argument_name(&self, argument: Argument) -> &str {
        match argument {
            Argument::Buffer(b) => self.buffers.get(b).map_or("?", |b| &b.name),
            Argument::Lengths(e) => self.extents.get(e).map_or("?", |e| &e.name),
        }
    }
}
