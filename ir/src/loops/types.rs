//! Types of loop IR: five element types, vectors of them, one more type that exists in memory only, and pointers.

use std::fmt;

/// Type of one lane of a value, or of one element of a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Elem {
    /// Truth value; one byte (0 or 1) in memory.
    Bool,
    /// 32-bit signed integer, wrapping.
    I32,
    /// 64-bit signed integer, wrapping; the type of indices, extents and loop counters.
    I64,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// bfloat16: the upper half of a single-precision float. It exists in memory only: a load gives `f32`, exactly, and a store
    /// takes `f32` and rounds to nearest, ties to even (see [`Elem::in_register`]).
    Bf16,
}

impl Elem {
    /// The element types that values have.
    pub const ALL: [Self; 5] = [Self::Bool, Self::I32, Self::I64, Self::F32, Self::F64];

    /// The element types that memory has.
    pub const MEMORY: [Self; 6] = [Self::Bool, Self::I32, Self::I64, Self::F32, Self::F64, Self::Bf16];

    /// Size in memory, in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Bf16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// The element type of a value that is loaded from, or stored to, memory of this type.
    #[must_use]
    pub fn in_register(self) -> Self {
        match self {
            Self::Bf16 => Self::F32,
            other => other,
        }
    }

    /// Is this a floating-point type?
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::Bf16)
    }

    /// Is this an integer type?
    #[must_use]
    pub fn is_int(self) -> bool {
        matches!(self, Self::I32 | Self::I64)
    }

    /// Name in the text form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bf16 => "bf16",
        }
    }

    /// Inverse of [`Elem::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::MEMORY.into_iter().find(|e| e.name() == name)
    }
}

impl fmt::Display for Elem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Address space of a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Space {
    /// Memory that the caller passes in: inputs, outputs, workspace. Seen by all workers.
    Global,
    /// Memory of one worker, undefined at the start of each call of the kernel.
    Scratch,
}

impl Space {
    /// Name in the text form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Scratch => "scratch",
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Smallest number of lanes of a vector; every vector has a multiple of it.
pub const LANE_QUANTUM: u16 = 4;

/// Largest number of lanes of a vector.
pub const MAX_LANES: u16 = 64;

/// Type of a value or a variable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Ty {
    /// A scalar (`lanes == 1`) or a vector (`lanes` a multiple of [`LANE_QUANTUM`], at most [`MAX_LANES`]).
    Data {
        /// Type of one lane; not [`Elem::Bf16`].
        elem: Elem,
        /// Number of lanes; logical: a backend splits wide vectors into the registers it has.
        lanes: u16,
    },
    /// Address of an element of a buffer.
    Ptr {
        /// Type of the elements that the pointer addresses.
        elem: Elem,
        /// Where they lie.
        space: Space,
    },
}

impl Ty {
    /// `bool`.
    pub const BOOL: Self = Self::scalar(Elem::Bool);
    /// `i32`.
    pub const I32: Self = Self::scalar(Elem::I32);
    /// `i64`.
    pub const I64: Self = Self::scalar(Elem::I64);
    /// `f32`.
    pub const F32: Self = Self::scalar(Elem::F32);
    /// `f64`.
    pub const F64: Self = Self::scalar(Elem::F64);

    /// The scalar type of one `elem`.
    #[must_use]
    pub const fn scalar(elem: Elem) -> Self {
        Self::Data { elem, lanes: 1 }
    }

    /// The vector type of `lanes` times `elem` (a scalar when `lanes` is 1).
    #[must_use]
    pub const fn vector(elem: Elem, lanes: u16) -> Self {
        Self::Data { elem, lanes }
    }

    /// The type of pointers to `elem` in `space`.
    #[must_use]
    pub const fn ptr(elem: Elem, space: Space) -> Self {
        Self::Ptr { elem, space }
    }

    /// Type of one lane, or of what a pointer addresses.
    #[must_use]
    pub fn elem(self) -> Elem {
        match self {
            Self::Data { elem, .. } | Self::Ptr { elem, .. } => elem,
        }
    }

    /// Number of lanes; 1 for scalars and pointers.
    #[must_use]
    pub fn lanes(self) -> u16 {
        match self {
            Self::Data { lanes, .. } => lanes,
            Self::Ptr { .. } => 1,
        }
    }

    /// Is this a pointer type?
    #[must_use]
    pub fn is_ptr(self) -> bool {
        matches!(self, Self::Ptr { .. })
    }

    /// Is this a vector type?
    #[must_use]
    pub fn is_vector(self) -> bool {
        self.lanes() > 1
    }

    /// The type with the same lanes and another element type; pointers stay as they are.
    #[must_use]
    pub fn with_elem(self, elem: Elem) -> Self {
        match self {
            Self::Data { lanes, .. } => Self::Data { elem, lanes },
            Self::Ptr { .. } => self,
        }
    }

    /// The type with the same element type and another number of lanes; pointers stay as they are.
    #[must_use]
    pub fn with_lanes(self, lanes: u16) -> Self {
        match self {
            Self::Data { elem, .. } => Self::Data { elem, lanes },
            Self::Ptr { .. } => self,
        }
    }

    /// Are the element type and the number of lanes such as the language has?
    #[must_use]
    pub fn is_valid(self) -> bool {
        if let Self::Data { elem: Elem::Bf16, .. } = self {
            return false;
        }
        let lanes = self.lanes();
        lanes == 1 || (lanes <= MAX_LANES && lanes > 0 && lanes.is_multiple_of(LANE_QUANTUM))
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data { elem, lanes: 1 } => write!(f, "{elem}"),
            Self::Data { elem, lanes } => write!(f, "{elem}x{lanes}"),
            Self::Ptr { elem, space } => write!(f, "ptr<{elem}, {space}>"),
        }
    }
}
