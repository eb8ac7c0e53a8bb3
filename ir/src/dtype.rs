//! Element types, shared by all IRs.

use std::fmt;

/// The type of one element of a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DType {
    /// Truth value.
    Bool,
    /// 32-bit signed integer: index arithmetic, counts, decisions.
    I32,
    /// 64-bit signed integer: only the type of an output or an input.
    I64,
    /// The type parameter `float` of a layer, chosen when it is compiled (`--float`).
    Float,
    /// bfloat16.
    BF16,
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
}

/// The three classes between which no conversion is implicit in the IR.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// Truth values.
    Bool,
    /// Integers.
    Int,
    /// Floating point.
    Float,
}

impl DType {
    /// Every type, in the order of the text form's documentation.
    pub const ALL: [Self; 8] =
        [Self::Bool, Self::I32, Self::I64, Self::Float, Self::BF16, Self::F16, Self::F32, Self::F64];

    /// The class of the type.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::Bool => Class::Bool,
            Self::I32 | Self::I64 => Class::Int,
            Self::Float | Self::BF16 | Self::F16 | Self::F32 | Self::F64 => Class::Float,
        }
    }

    /// Is this a floating-point type?
    #[must_use]
    pub fn is_float(self) -> bool {
        self.class() == Class::Float
    }

    /// Is this an integer type?
    #[must_use]
    pub fn is_int(self) -> bool {
        self.class() == Class::Int
    }

    /// Size of one element in bytes; `None` for the type parameter, which has none yet.
    #[must_use]
    pub fn bytes(self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::BF16 | Self::F16 => Some(2),
            Self::I32 | Self::F32 => Some(4),
            Self::I64 | Self::F64 => Some(8),
            Self::Float => None,
        }
    }

    /// The type in which two operands of one class are combined: the wider one. `None` across classes.
    #[must_use]
    pub fn join(self, other: Self) -> Option<Self> {
        (self.class() == other.class()).then(|| self.max(other))
    }

    /// Name in every text form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Float => "float",
            Self::BF16 => "bf16",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Inverse of [`DType::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.name() == name)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
