//! Meaning of the operators on one lane. The interpreter computes with these; the builder folds constants with them.

use super::kernel::Const;
use super::ops::{Binary, Compare, Function, Reduction, Unary};
use super::types::Elem;

/// One lane.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// A single-precision float.
    F32(f32),
    /// A double-precision float.
    F64(f64),
}

/// The bfloat16 to which a store rounds: the nearest, ties to even; a NaN becomes the one with the bits `7fc0`.
#[must_use]
pub fn to_bf16(x: f32) -> u16 {
    if x.is_nan() {
        return 0x7fc0;
    }
    let bits = x.to_bits();
    // The sum cannot overflow: infinity, the largest pattern left, has zeros below.
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    u16::try_from(rounded).unwrap_or(0)
}

/// The value of a bfloat16.
#[must_use]
pub fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Quotient rounded down; `None` where the divisor is 0 or the quotient overflows.
pub(crate) fn div_floor(a: i64, b: i64) -> Option<i64> {
    let (q, r) = (a.checked_div(b)?, a.checked_rem(b)?);
    Some(if r != 0 && (r < 0) != (b < 0) { q - 1 } else { q })
}

/// Remainder with the sign of the divisor; `None` where the divisor is 0 or the quotient overflows.
pub(crate) fn mod_floor(a: i64, b: i64) -> Option<i64> {
    let r = a.checked_rem(b)?;
    Some(if r != 0 && (r < 0) != (b < 0) { r + b } else { r })
}

/// The op table's integer division: 0 by 0, wrapping where the quotient overflows.
fn divide(a: i64, b: i64) -> i64 {
    if b == -1 { a.wrapping_neg() } else { div_floor(a, b).unwrap_or(0) }
}

fn modulo(a: i64, b: i64) -> i64 {
    if b == -1 { 0 } else { mod_floor(a, b).unwrap_or(0) }
}

impl Scalar {
    /// Zero or false, as a value of the type that a load from such memory gives.
    #[must_use]
    pub fn zero(elem: Elem) -> Self {
        match elem {
            Elem::Bool => Self::Bool(false),
            Elem::I32 => Self::I32(0),
            Elem::I64 => Self::I64(0),
            Elem::F32 | Elem::Bf16 => Self::F32(0.0),
            Elem::F64 => Self::F64(0.0),
        }
    }

    /// Type of the lane.
    #[must_use]
    pub fn elem(self) -> Elem {
        match self {
            Self::Bool(_) => Elem::Bool,
            Self::I32(_) => Elem::I32,
            Self::I64(_) => Elem::I64,
            Self::F32(_) => Elem::F32,
            Self::F64(_) => Elem::F64,
        }
    }

    /// The same bits; for comparisons that tell zeros apart. All NaNs are one.
    #[must_use]
    pub fn bits(self) -> u64 {
        match self {
            Self::Bool(b) => u64::from(b),
            Self::I32(n) => u64::from(n.cast_unsigned()),
            Self::I64(n) => n.cast_unsigned(),
            Self::F32(x) => u64::from(if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }),
            Self::F64(x) => {
                if x.is_nan() {
                    f64::NAN.to_bits()
                } else {
                    x.to_bits()
                }
            }
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "the verifier found the constant representable")]
    pub(super) fn constant(c: Const, elem: Elem) -> Option<Self> {
        Some(match (c, elem) {
            (Const::Bool(b), Elem::Bool) => Self::Bool(b),
            (Const::Int(n), Elem::I32) => Self::I32(n as i32),
            (Const::Int(n), Elem::I64) => Self::I64(n),
            (Const::Float(x), Elem::F32) => Self::F32(x as f32),
            (Const::Float(x), Elem::F64) => Self::F64(x),
            _ => return None,
        })
    }

    /// `None` where the domain excludes the operand; so for all that follow.
    pub(super) fn unary(op: Unary, a: Self) -> Option<Self> {
        macro_rules! float {
            ($x:expr, $wrap:path) => {
                $wrap(match op {
                    Unary::Neg => -$x,
                    Unary::Abs => $x.abs(),
                    Unary::Sqrt => $x.sqrt(),
                    Unary::Floor => $x.floor(),
                    Unary::Ceil => $x.ceil(),
                    Unary::Trunc => $x.trunc(),
                    Unary::Round => $x.round_ties_even(),
                    Unary::Not => return None,
                })
            };
        }
        Some(match (op, a) {
            (_, Self::F32(x)) => float!(x, Self::F32),
            (_, Self::F64(x)) => float!(x, Self::F64),
            (Unary::Not, Self::Bool(b)) => Self::Bool(!b),
            (Unary::Not, Self::I32(n)) => Self::I32(!n),
            (Unary::Not, Self::I64(n)) => Self::I64(!n),
            (Unary::Neg, Self::I32(n)) => Self::I32(n.wrapping_neg()),
            (Unary::Neg, Self::I64(n)) => Self::I64(n.wrapping_neg()),
            (Unary::Abs, Self::I32(n)) => Self::I32(n.wrapping_abs()),
            (Unary::Abs, Self::I64(n)) => Self::I64(n.wrapping_abs()),
            _ => return None,
        })
    }

    pub(super) fn binary(op: Binary, a: Self, b: Self) -> Option<Self> {
        macro_rules! float {
            ($x:expr, $y:expr, $wrap:path) => {
                $wrap(match op {
                    Binary::Add => $x + $y,
                    Binary::Sub => $x - $y,
                    Binary::Mul => $x * $y,
                    Binary::Div => $x / $y,
                    Binary::Min => {
                        if $x < $y {
                            $x
                        } else {
                            $y
                        }
                    }
                    Binary::Max => {
                        if $x > $y {
                            $x
                        } else {
                            $y
                        }
                    }
                    _ => return None,
                })
            };
        }
        macro_rules! int {
            ($x:expr, $y:expr, $wrap:path, $ty:ty, $unsigned:ty) => {{
                #[allow(clippy::cast_possible_truncation, reason = "results fit; shift amounts count modulo the width")]
                #[allow(clippy::cast_sign_loss, reason = "shift amounts count modulo the width")]
                #[allow(clippy::cast_possible_wrap, reason = "a logical shift reinterprets the bits")]
                #[allow(trivial_numeric_casts, clippy::unnecessary_cast, reason = "one macro for two widths")]
                let result = $wrap(match op {
                    Binary::Add => $x.wrapping_add($y),
                    Binary::Sub => $x.wrapping_sub($y),
                    Binary::Mul => $x.wrapping_mul($y),
                    Binary::DivFloor => divide(i64::from($x), i64::from($y)) as $ty,
                    Binary::ModFloor => modulo(i64::from($x), i64::from($y)) as $ty,
                    Binary::Min => $x.min($y),
                    Binary::Max => $x.max($y),
                    Binary::And => $x & $y,
                    Binary::Or => $x | $y,
                    Binary::Xor => $x ^ $y,
                    Binary::Shl => $x.wrapping_shl($y as u32),
                    Binary::Shr => $x.wrapping_shr($y as u32),
                    Binary::ShrU => ($x as $unsigned).wrapping_shr($y as u32) as $ty,
                    Binary::Div => return None,
                });
                result
            }};
        }
        Some(match (a, b) {
            (Self::F32(x), Self::F32(y)) => float!(x, y, Self::F32),
            (Self::F64(x), Self::F64(y)) => float!(x, y, Self::F64),
            (Self::I32(x), Self::I32(y)) => int!(x, y, Self::I32, i32, u32),
            (Self::I64(x), Self::I64(y)) => int!(x, y, Self::I64, i64, u64),
            (Self::Bool(x), Self::Bool(y)) => Self::Bool(match op {
                Binary::And => x & y,
                Binary::Or => x | y,
                Binary::Xor => x ^ y,
                _ => return None,
            }),
            _ => return None,
        })
    }

    pub(super) fn compare(op: Compare, a: Self, b: Self) -> Option<bool> {
        fn of<T: PartialOrd>(op: Compare, x: &T, y: &T) -> bool {
            match op {
                Compare::Eq => x == y,
                Compare::Ne => x != y,
                Compare::Lt => x < y,
                Compare::Le => x <= y,
                Compare::Gt => x > y,
                Compare::Ge => x >= y,
            }
        }
        Some(match (a, b) {
            (Self::F32(x), Self::F32(y)) => of(op, &x, &y),
            (Self::F64(x), Self::F64(y)) => of(op, &x, &y),
            (Self::I32(x), Self::I32(y)) => of(op, &x, &y),
            (Self::I64(x), Self::I64(y)) => of(op, &x, &y),
            (Self::Bool(x), Self::Bool(y)) => of(op, &x, &y),
            _ => return None,
        })
    }

    pub(super) fn fma(a: Self, b: Self, c: Self) -> Option<Self> {
        Some(match (a, b, c) {
            (Self::F32(a), Self::F32(b), Self::F32(c)) => Self::F32(a.mul_add(b, c)),
            (Self::F64(a), Self::F64(b), Self::F64(c)) => Self::F64(a.mul_add(b, c)),
            _ => return None,
        })
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "`as` saturates, wraps and rounds as the op table says"
    )]
    pub(super) fn convert(self, to: Elem) -> Self {
        macro_rules! number {
            ($x:expr, $zero:expr) => {
                match to {
                    Elem::Bool => Self::Bool($x != $zero),
                    Elem::I32 => Self::I32($x as i32),
                    Elem::I64 => Self::I64($x as i64),
                    // No value has the type bf16.
                    Elem::F32 | Elem::Bf16 => Self::F32($x as f32),
                    Elem::F64 => Self::F64($x as f64),
                }
            };
        }
        #[allow(clippy::cast_lossless, clippy::unnecessary_cast, reason = "one macro for all pairs of types")]
        match self {
            Self::Bool(b) => {
                let n = i32::from(b);
                number!(n, 0)
            }
            Self::I32(n) => number!(n, 0),
            Self::I64(n) => number!(n, 0),
            Self::F32(x) => number!(x, 0.0),
            Self::F64(x) => number!(x, 0.0),
        }
    }

    pub(super) fn bitcast(self, to: Elem) -> Option<Self> {
        Some(match (self, to) {
            (Self::I32(n), Elem::F32) => Self::F32(f32::from_bits(n.cast_unsigned())),
            (Self::F32(x), Elem::I32) => Self::I32(x.to_bits().cast_signed()),
            (Self::I64(n), Elem::F64) => Self::F64(f64::from_bits(n.cast_unsigned())),
            (Self::F64(x), Elem::I64) => Self::I64(x.to_bits().cast_signed()),
            (x, to) if x.elem() == to => x,
            _ => return None,
        })
    }

    pub(super) fn call(function: Function, args: &[Self]) -> Option<Self> {
        macro_rules! of {
            ($x:expr, $y:expr, $wrap:path, $erf:path) => {
                $wrap(match function {
                    Function::Exp => $x.exp(),
                    Function::Exp2 => $x.exp2(),
                    Function::Log => $x.ln(),
                    Function::Log2 => $x.log2(),
                    Function::Sin => $x.sin(),
                    Function::Cos => $x.cos(),
                    Function::Tanh => $x.tanh(),
                    Function::Erf => $erf($x),
                    Function::Pow => $x.powf($y),
                })
            };
        }
        let (first, last) = (*args.first()?, *args.last()?);
        Some(match (first, last) {
            (Self::F32(x), Self::F32(y)) => of!(x, y, Self::F32, libm::erff),
            (Self::F64(x), Self::F64(y)) => of!(x, y, Self::F64, libm::erf),
            _ => return None,
        })
    }

    /// Folds lanes in the order that [`Reduction`] fixes; at least four lanes.
    pub(super) fn reduce(op: Reduction, lanes: &[Self]) -> Option<Self> {
        let fold = |a: Self, b: Self| match op {
            Reduction::Add => Self::binary(Binary::Add, a, b),
            Reduction::Min => Self::binary(Binary::Min, a, b),
            Reduction::Max => Self::binary(Binary::Max, a, b),
            Reduction::Any => Self::binary(Binary::Or, a, b),
            Reduction::All => Self::binary(Binary::And, a, b),
        };
        let mut partial: [Self; 4] = lanes.get(..4)?.try_into().ok()?;
        for (l, &x) in lanes.iter().enumerate().skip(4) {
            partial[l % 4] = fold(partial[l % 4], x)?;
        }
        let [p0, p1, p2, p3] = partial;
        fold(fold(p0, p2)?, fold(p1, p3)?)
    }
}
