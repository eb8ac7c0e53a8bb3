//! The data structures of loop IR: kernels, blocks, statements, operations.

use smallvec::SmallVec;

use super::ops::{Binary, Compare, Function, Reduction, Unary};
use super::types::{Elem, Ty};

/// A value, assigned exactly once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Value(pub u32);

/// A register variable, assigned any number of times. Accumulators live in these.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Var(pub u32);

/// What a kernel does with a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// Only loads; nobody stores to the buffer while the kernel runs, and it may overlap other read buffers.
    Read,
    /// Loads and stores; overlaps no other buffer of the launch.
    Write,
}

/// One factor of the number of elements that a kernel may touch in a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Extent {
    /// A constant.
    Const(u64),
    /// The value of a dimension, by position in [`Kernel::dims`]; a negative one counts as 0.
    Dim(u32),
}

/// A buffer that the caller passes in.
#[derive(Clone, PartialEq, Debug)]
pub struct Buffer {
    /// Pointer to the first element; type `ptr<elem, global>`.
    pub value: Value,
    /// Name for people and messages.
    pub name: String,
    /// Type of the elements.
    pub elem: Elem,
    /// Loads only, or stores too.
    pub access: Access,
    /// Factors whose product is the number of elements; a launch with less is refused.
    pub extents: Vec<Extent>,
}

/// A whole number that the caller passes in (an extent, a count).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dim {
    /// The number, an `i64`.
    pub value: Value,
    /// Name for people and messages.
    pub name: String,
}

/// An array in the worker's own memory, 64-byte aligned, undefined when the kernel is entered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scratch {
    /// Pointer to the first element; type `ptr<elem, scratch>`.
    pub value: Value,
    /// Name for people.
    pub name: String,
    /// Type of the elements.
    pub elem: Elem,
    /// Number of elements.
    pub len: u64,
}

/// Alignment of each scratch array, in bytes: one cache line.
pub const SCRATCH_ALIGN: u64 = 64;

/// Largest total size of a kernel's scratch arrays, in bytes.
pub const MAX_SCRATCH_BYTES: u64 = 1 << 30;

/// A variable's declaration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VarData {
    /// Name, unique within the kernel.
    pub name: String,
    /// Type: data or pointer.
    pub ty: Ty,
}

/// A kernel: the code that one call runs for the tasks `begin .. end`.
#[derive(Clone, PartialEq, Debug)]
pub struct Kernel {
    /// Name, an identifier.
    pub name: String,
    /// Buffers, in the order of the argument table.
    pub buffers: Vec<Buffer>,
    /// Dimensions, in the order of the dimension table.
    pub dims: Vec<Dim>,
    /// First task of this call; `i64`.
    pub begin: Value,
    /// One past the last task of this call; `i64`.
    pub end: Value,
    /// Scratch arrays.
    pub scratch: Vec<Scratch>,
    /// Types of all values, by number.
    pub values: Vec<Ty>,
    /// Variables, by number.
    pub vars: Vec<VarData>,
    /// The code.
    pub body: Block,
}

impl Kernel {
    /// Type of a value; `None` if the kernel has no such value.
    #[must_use]
    pub fn ty(&self, value: Value) -> Option<Ty> {
        self.values.get(value.0 as usize).copied()
    }

    /// Declaration of a variable; `None` if the kernel has no such variable.
    #[must_use]
    pub fn var(&self, var: Var) -> Option<&VarData> {
        self.vars.get(var.0 as usize)
    }

    /// Byte offset of each scratch array in the worker's memory, and the total size in bytes.
    /// `None` if the total exceeds [`MAX_SCRATCH_BYTES`].
    #[must_use]
    pub fn scratch_layout(&self) -> Option<(Vec<u64>, u64)> {
        let mut at = 0u64;
        let mut offsets = Vec::with_capacity(self.scratch.len());
        for array in &self.scratch {
            offsets.push(at);
            let bytes = array.len.checked_mul(array.elem.bytes() as u64)?;
            at = at.checked_add(bytes)?.checked_next_multiple_of(SCRATCH_ALIGN)?;
            if at > MAX_SCRATCH_BYTES {
                return None;
            }
        }
        Some((offsets, at))
    }
}

/// Statements, run in order. A block's values are visible in it, after their definition, and in the blocks inside.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Block {
    /// The statements.
    pub stmts: Vec<Stmt>,
}

/// A constant; of vector type it fills every lane.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Const {
    /// A truth value, for `bool`.
    Bool(bool),
    /// An integer, for `i32` (must fit) and `i64`.
    Int(i64),
    /// A float, for `f64`, and for `f32` if exactly representable.
    Float(f64),
}

/// Position of an element: `ptr[index + offset]`, counted in elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Base pointer.
    pub ptr: Value,
    /// Index, an `i64`.
    pub index: Option<Value>,
    /// Constant part of the index.
    pub offset: i64,
}

impl Place {
    /// The place `n` elements further on.
    #[must_use]
    pub fn plus(self, n: i64) -> Self {
        Self { offset: self.offset.wrapping_add(n), ..self }
    }
}

/// Which elements the lanes of a load or a store address, relative to a [`Place`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// Lane `l` is element `l`; a scalar is element 0. Needs no alignment beyond the element's own.
    Contiguous,
    /// Every lane is element 0 (loads only).
    Splat,
    /// Lane `l` is element `l * stride`; the stride is an `i64` value.
    Strided(Value),
    /// Lane `l` is element `indices[l]`; the indices are an `i32` vector of as many lanes.
    /// A store with equal indices leaves the value of the highest lane.
    Indexed(Value),
}

/// A memory reference of a load or a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reference {
    /// Where.
    pub place: Place,
    /// Which elements.
    pub pattern: Pattern,
    /// `bool` in as many lanes: memory of a false lane is not touched; a load gives 0 there.
    pub mask: Option<Value>,
}

/// A computation of one value.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// A constant of the result type.
    Const(Const),
    /// Current content of a variable.
    Get(Var),
    /// Operator of one operand.
    Unary(Unary, Value),
    /// Operator of two operands.
    Binary(Binary, Value, Value),
    /// Comparison.
    Compare(Compare, Value, Value),
    /// `a * b + c`, rounded once; floats.
    Fma(Value, Value, Value),
    /// Second operand where the first (a `bool`, scalar or in as many lanes) is true, else the third.
    Select(Value, Value, Value),
    /// Conversion to the result's element type. Float to integer truncates and saturates, NaN gives 0; to `bool` means
    /// `!= 0`; from `bool` gives 0 or 1; narrowing of integers wraps; narrowing of floats rounds to nearest.
    Convert(Value),
    /// The same bits as another element type of the same size (`i32`/`f32`, `i64`/`f64`).
    Bitcast(Value),
    /// A scalar in every lane of the result.
    Splat(Value),
    /// 0, 1, 2 ... in the lanes; `i32`.
    Iota,
    /// One lane as a scalar.
    Extract(Value, u16),
    /// The vector with one lane replaced by a scalar.
    Insert(Value, Value, u16),
    /// Lane `l` of the result is lane `lanes[l]` of the two operands laid end to end (operands of one type).
    Shuffle(Value, Value, SmallVec<[u16; 8]>),
    /// Lanes folded into a scalar.
    Reduce(Reduction, Value),
    /// The pointer some number (`i64`) of elements further on.
    Advance(Value, Value),
    /// Load of the result type (`f32` from `bf16` memory).
    Load(Reference),
    /// Intrinsic function.
    Call(Function, SmallVec<[Value; 2]>),
}

/// Hint for a loop with a constant trip count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unroll {
    /// As it is.
    No,
    /// This many copies of the body per round, with a remainder loop where needed; 2 or more.
    By(u32),
    /// Every iteration written out; only with constant bounds, and at most [`MAX_UNROLL`] iterations.
    Full,
}

/// Largest number of copies of a loop body that an [`Unroll`] hint may ask for.
pub const MAX_UNROLL: u32 = 64;

/// A counted loop: `index` takes `lo`, `lo + step` ... while less than `hi`.
#[derive(Clone, PartialEq, Debug)]
pub struct For {
    /// The counter, an `i64` defined in the body.
    pub index: Value,
    /// First value, an `i64`.
    pub lo: Value,
    /// Bound, an `i64`, not reached.
    pub hi: Value,
    /// Increment, positive.
    pub step: i64,
    /// Unrolling hint; never changes what the loop computes.
    pub unroll: Unroll,
    /// The code of one iteration.
    pub body: Block,
}

/// A statement.
#[derive(Clone, PartialEq, Debug)]
pub enum Stmt {
    /// Definition of a value.
    Let(Value, Op),
    /// Assignment of a variable.
    Set(Var, Value),
    /// Store of a value.
    Store(Reference, Value),
    /// Load of a block of L rows and 4 columns, transposed: lane `l` of result `j` is element `l * stride + j`.
    /// The four results are vectors of L lanes of one 4-byte element type.
    LoadBlock {
        /// Columns 0 to 3 of the block.
        columns: [Value; 4],
        /// Row 0, column 0.
        place: Place,
        /// Distance of two rows in elements, an `i64`.
        stride: Value,
    },
    /// Store of a block of L rows and 4 columns from its columns: the inverse of [`Stmt::LoadBlock`].
    StoreBlock {
        /// Columns 0 to 3 of the block.
        columns: [Value; 4],
        /// Row 0, column 0.
        place: Place,
        /// Distance of two rows in elements, an `i64`.
        stride: Value,
    },
    /// Counted loop.
    For(Box<For>),
    /// Conditional on a scalar `bool`.
    If(Value, Block, Block),
    /// Loop that runs `header`, then leaves if `cond` (a scalar `bool` of the header) is false, then runs `body`.
    /// The header's values are visible in the body.
    While {
        /// Code that computes the condition.
        header: Block,
        /// Go on?
        cond: Value,
        /// The code of one iteration.
        body: Block,
    },
}
