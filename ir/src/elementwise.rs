//! The table of elementwise functions, for graph IR and kernel IR alike: name, operands, type rule, cost and meaning.
//!
//! The two IRs differ in what types operands may have (in a graph they are joined, in a kernel they are equal), not in
//! what a function is. Canonical graphs have no `sub`, `neg`, `div`, `gt`, `ge` and `exp2`.

use crate::dtype::{Class, DType};

/// No upper bound on the number of operands.
const MANY: usize = usize::MAX;

/// How operand types determine the result type of a [`MapFn`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signature {
    /// Numbers of one class; the result is their join.
    Arith,
    /// Integers; the result is their join.
    Int,
    /// Floats; the result is their join.
    Float,
    /// Numbers (or truth values) of one class; the result is `bool`.
    Compare,
    /// Truth values; the result is `bool`.
    Logic,
}

macro_rules! map_fns {
    ($($variant:ident $name:literal ($lo:literal, $hi:expr) $sig:ident $flops:literal $doc:literal;)*) => {
        /// An elementwise function.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum MapFn { $(#[doc = $doc] $variant,)* }

        impl MapFn {
            /// Every function, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name in the text form.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Least and greatest number of operands.
            #[must_use]
            pub fn operands(self) -> (usize, usize) {
                match self { $(Self::$variant => ($lo, $hi),)* }
            }

            /// Type rule.
            #[must_use]
            pub fn signature(self) -> Signature {
                match self { $(Self::$variant => Signature::$sig,)* }
            }

            /// Cost of one evaluation in units of one f32 addition.
            #[must_use]
            pub fn flops(self) -> u32 {
                match self { $(Self::$variant => $flops,)* }
            }

            /// One line for the documentation.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }
    };
}

map_fns! {
    //       name     operands   signature flops doc
    Add      "add"    (2, MANY)  Arith     1     "Sum of two or more numbers, from left to right.";
    Sub      "sub"    (2, 2)     Arith     1     "Difference.";
    Mul      "mul"    (2, MANY)  Arith     1     "Product of two or more numbers, from left to right.";
    Neg      "neg"    (1, 1)     Arith     1     "Negation.";
    Div      "div"    (2, 2)     Float     4     "Quotient of floats.";
    Div0     "div0"   (2, 2)     Float     5     "Quotient of floats, 0 where the divisor is 0 (the zero-row convention).";
    Inv      "inv"    (1, 1)     Float     4     "Reciprocal.";
    Inv0     "inv0"   (1, 1)     Float     5     "Reciprocal, 0 of 0: normalises rows that may be empty.";
    IDiv     "idiv"   (2, 2)     Int       4     "Quotient of integers, rounded down.";
    Mod      "mod"    (2, 2)     Int       4     "Remainder of the division rounded down: has the sign of the divisor.";
    Pow      "pow"    (2, 2)     Float     20    "Power of floats.";
    Exp      "exp"    (1, 1)     Float     8     "Exponential.";
    Exp2     "exp2"   (1, 1)     Float     8     "Power of two.";
    Log      "log"    (1, 1)     Float     10    "Natural logarithm.";
    Sqrt     "sqrt"   (1, 1)     Float     6     "Square root.";
    Sin      "sin"    (1, 1)     Float     15    "Sine of an angle in radians.";
    Cos      "cos"    (1, 1)     Float     15    "Cosine of an angle in radians.";
    Tanh     "tanh"   (1, 1)     Float     15    "Hyperbolic tangent.";
    Erf      "erf"    (1, 1)     Float     15    "Error function.";
    Abs      "abs"    (1, 1)     Arith     1     "Absolute value.";
    Sign     "sign"   (1, 1)     Arith     1     "-1, 0 or 1.";
    Floor    "floor"  (1, 1)     Float     1     "Largest integer that is not larger, as a float.";
    Max      "max"    (2, MANY)  Arith     1     "Larger of two or more numbers.";
    Min      "min"    (2, MANY)  Arith     1     "Smaller of two or more numbers.";
    Lt       "lt"     (2, 2)     Compare   1     "Less than.";
    Le       "le"     (2, 2)     Compare   1     "Less than or equal.";
    Gt       "gt"     (2, 2)     Compare   1     "Greater than.";
    Ge       "ge"     (2, 2)     Compare   1     "Greater than or equal.";
    Eq       "eq"     (2, 2)     Compare   1     "Equal.";
    Ne       "ne"     (2, 2)     Compare   1     "Not equal.";
    And      "and"    (2, MANY)  Logic     1     "Conjunction of two or more truth values.";
    Or       "or"     (2, MANY)  Logic     1     "Disjunction of two or more truth values.";
    Not      "not"    (1, 1)     Logic     1     "Negation of a truth value.";
}

impl MapFn {
    /// Number of operands; 0 if it takes any number from two on.
    #[must_use]
    pub fn arity(self) -> usize {
        let (least, most) = self.operands();
        if least == most { least } else { 0 }
    }

    /// Inverse of [`MapFn::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|f| f.name() == name)
    }

    /// Result type for these operand types, or `None` where the type rule refuses them.
    #[must_use]
    pub fn result(self, operands: &[DType]) -> Option<DType> {
        let (least, most) = self.operands();
        if operands.len() < least || operands.len() > most {
            return None;
        }
        let joined = operands[1..].iter().try_fold(operands[0], |a, &b| a.join(b))?;
        match self.signature() {
            Signature::Arith => (joined.class() != Class::Bool).then_some(joined),
            Signature::Int => joined.is_int().then_some(joined),
            Signature::Float => joined.is_float().then_some(joined),
            Signature::Compare => Some(DType::Bool),
            Signature::Logic => (joined == DType::Bool).then_some(DType::Bool),
        }
    }

    /// Does the value not depend on the order of the operands?
    #[must_use]
    pub fn is_commutative(self) -> bool {
        use MapFn::{Add, And, Eq, Max, Min, Mul, Ne, Or};
        matches!(self, Add | Mul | Max | Min | Eq | Ne | And | Or)
    }

    /// The function on floats, in float64; comparisons and logic have no float result and give `None`.
    #[must_use]
    pub fn eval_float(self, x: &[f64]) -> Option<f64> {
        Some(match self {
            Self::Add => x[1..].iter().fold(x[0], |a, b| a + b),
            Self::Mul => x[1..].iter().fold(x[0], |a, b| a * b),
            Self::Sub => x[0] - x[1],
            Self::Neg => -x[0],
            Self::Div => x[0] / x[1],
            Self::Div0 => {
                if x[1] == 0.0 {
                    0.0
                } else {
                    x[0] / x[1]
                }
            }
            Self::Inv => 1.0 / x[0],
            Self::Inv0 => {
                if x[0] == 0.0 {
                    0.0
                } else {
                    1.0 / x[0]
                }
            }
            Self::Pow => x[0].powf(x[1]),
            Self::Exp => x[0].exp(),
            Self::Exp2 => x[0].exp2(),
            Self::Log => x[0].ln(),
            Self::Sqrt => x[0].sqrt(),
            Self::Sin => x[0].sin(),
            Self::Cos => x[0].cos(),
            Self::Tanh => x[0].tanh(),
            Self::Erf => erf(x[0]),
            Self::Abs => x[0].abs(),
            Self::Sign => {
                if x[0] == 0.0 {
                    0.0
                } else {
                    x[0].signum()
                }
            }
            Self::Floor => x[0].floor(),
            // A NaN must not disappear in a maximum: it marks poison.
            Self::Max => x.iter().copied().fold(f64::NEG_INFINITY, |a, b| if a >= b || a.is_nan() { a } else { b }),
            Self::Min => x.iter().copied().fold(f64::INFINITY, |a, b| if a <= b || a.is_nan() { a } else { b }),
            _ => return None,
        })
    }

    /// The function on elements of any type as floats: integers are exact below 2^53, truth values are 0 and 1. A NaN is an undefined
    /// element: a comparison with one is undefined, not false, so that it cannot decide anything unseen; a conjunction
    /// with a false operand is false all the same. Operands must be as many as the table says.
    #[must_use]
    pub fn eval(self, x: &[f64]) -> f64 {
        let truth = |holds: bool| if x.iter().any(|v| v.is_nan()) { f64::NAN } else { f64::from(u8::from(holds)) };
        match self {
            Self::IDiv => (x[0] / x[1]).floor(),
            Self::Mod => x[0] - x[1] * (x[0] / x[1]).floor(),
            Self::Lt => truth(x[0] < x[1]),
            Self::Le => truth(x[0] <= x[1]),
            Self::Gt => truth(x[0] > x[1]),
            Self::Ge => truth(x[0] >= x[1]),
            Self::Eq => truth(x[0] == x[1]),
            Self::Ne => truth(x[0] != x[1]),
            Self::And => {
                if x.contains(&0.0) {
                    0.0
                } else {
                    truth(true)
                }
            }
            Self::Or => {
                if x.contains(&1.0) {
                    1.0
                } else {
                    truth(false)
                }
            }
            Self::Not => 1.0 - x[0],
            _ => self.eval_float(x).unwrap_or(f64::NAN),
        }
    }

    /// The function on integers; wraps on overflow; division by zero gives 0 (it is refused where it can be seen).
    #[must_use]
    pub fn eval_int(self, x: &[i64]) -> Option<i64> {
        Some(match self {
            Self::Add => x.iter().fold(0, |a: i64, &b| a.wrapping_add(b)),
            Self::Mul => x.iter().fold(1, |a: i64, &b| a.wrapping_mul(b)),
            Self::Sub => x[0].wrapping_sub(x[1]),
            Self::Neg => x[0].wrapping_neg(),
            Self::IDiv => floor_div(x[0], x[1]),
            Self::Mod => x[0].wrapping_sub(floor_div(x[0], x[1]).wrapping_mul(x[1])),
            Self::Abs => x[0].wrapping_abs(),
            Self::Sign => x[0].signum(),
            Self::Max => *x.iter().max()?,
            Self::Min => *x.iter().min()?,
            _ => return None,
        })
    }
}

/// `floor(a / b)`; 0 where `b` is 0.
#[must_use]
pub fn floor_div(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let q = a.wrapping_div(b);
    if a.wrapping_rem(b) != 0 && ((a < 0) != (b < 0)) { q - 1 } else { q }
}

/// Error function by its Maclaurin series near 0 and a continued fraction (Lentz) in the tails: 1e-15 absolute.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return x;
    }
    let value = if a < 2.5 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-17 * sum.abs() && n < 200.0 {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    } else if a > 6.0 {
        1.0
    } else {
        let mut f = 0.0;
        for k in (1..=80).rev() {
            f = f64::from(k) / 2.0 / (a + f);
        }
        1.0 - (-a * a).exp() / std::f64::consts::PI.sqrt() / (a + f)
    };
    value.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_division_rounds_down() {
        assert_eq!([floor_div(-1, 8), floor_div(7, 8), floor_div(-8, 8), floor_div(1, -2)], [-1, 0, -1, -1]);
        assert_eq!(MapFn::Mod.eval_int(&[-1, 8]), Some(7));
    }

    #[test]
    fn erf_agrees_with_tables() {
        for (x, y) in [(0.5, 0.520_499_877_813_046_5), (1.0, 0.842_700_792_949_714_9), (3.0, 0.999_977_909_503_001_4)] {
            assert!((erf(x) - y).abs() < 1e-14, "{x}: {}", erf(x));
            assert!((erf(-x) + y).abs() < 1e-14);
        }
    }

    #[test]
    fn names_round_trip() {
        for &f in MapFn::ALL {
            assert_eq!(MapFn::from_name(f.name()), Some(f));
        }
    }
}
