//! Element types, literals, and the types of tile values.

use super::ids::AxisSet;

/// Element type of a buffer, a scratch table or a tile value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ElemType {
    /// IEEE binary32.
    F32,
    /// IEEE binary64.
    F64,
    /// The upper half of binary32; for storage and as operands of `dot`, whose result is then f32.
    Bf16,
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
    /// Truth value, one byte in memory.
    Bool,
}

impl ElemType {
    /// Every element type with its name in the text form.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::F32, "f32"),
        (Self::F64, "f64"),
        (Self::Bf16, "bf16"),
        (Self::I32, "i32"),
        (Self::I64, "i64"),
        (Self::Bool, "bool"),
    ];

    /// Name in the text form.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(ty, _)| *ty == self).map_or("?", |(_, name)| name)
    }
    /// The type of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(ty, _)| *ty)
    }
    /// Size of one element in memory, in bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::Bf16 => 2,
            Self::Bool => 1,
        }
    }
    /// Is it a floating-point type?
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::Bf16)
    }
    /// Is it an integer type? (`bool` is not.)
    pub fn is_int(self) -> bool {
        matches!(self, Self::I32 | Self::I64)
    }
}

/// A constant of the text form: `0.5`, `inf`, `-3`, `true`. It takes the element type of its context.
#[derive(Clone, Copy, Debug)]
pub enum Literal {
    /// A floating-point constant, exact; infinities are allowed, NaN is not.
    Float(f64),
    /// An integer constant.
    Int(i64),
    /// A truth value.
    Bool(bool),
}

impl Literal {
    /// Can the constant stand where elements have type `ty`? (An integer may stand for a float, not the reverse.)
    pub fn fits(self, ty: ElemType) -> bool {
        match self {
            Self::Float(x) => ty.is_float() && !x.is_nan(),
            Self::Int(_) => ty.is_float() || ty.is_int(),
            Self::Bool(_) => ty == ElemType::Bool,
        }
    }
    /// Its value as a float; `true` is 1.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Float(x) => x,
            #[expect(clippy::cast_precision_loss, reason = "an integer constant in a float tile is rounded to it")]
            Self::Int(n) => n as f64,
            Self::Bool(b) => f64::from(u8::from(b)),
        }
    }
}

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            // By bits: 0.0 and -0.0 are different constants.
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            _ => false,
        }
    }
}

impl From<f64> for Literal {
    fn from(x: f64) -> Self {
        Self::Float(x)
    }
}

impl From<i64> for Literal {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl From<bool> for Literal {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

/// Type of a tile value: an element type and the set of tile axes over which it varies (none: one element).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Type {
    /// Element type.
    pub elem: ElemType,
    /// Axes over which the value varies; as an array, their static extents in the order of declaration.
    pub axes: AxisSet,
}

impl Type {
    /// A tile type.
    pub fn new(elem: ElemType, axes: impl Into<AxisSet>) -> Self {
        Self { elem, axes: axes.into() }
    }
    /// The type of a single element.
    pub fn scalar(elem: ElemType) -> Self {
        Self { elem, axes: AxisSet::EMPTY }
    }
}
