//! The op table: elementwise operators and intrinsic functions, each with its domain and meaning.
//!
//! All operators work lane by lane on operands of one type. Integers wrap. Nothing traps: an integer division
//! by zero gives 0. Floating-point operators are IEEE operations in the lane's own precision with
//! round-to-nearest and no contraction, so that an interpreter and a backend agree to the bit.

use super::types::Elem;

/// Which element types an operator takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// Integers and floats.
    Number,
    /// Integers.
    Int,
    /// Floats.
    Float,
    /// Integers and truth values, bit by bit.
    Bits,
    /// Truth values.
    Bool,
    /// Everything but pointers.
    Any,
}

impl Domain {
    /// Does the domain contain the type?
    #[must_use]
    pub fn contains(self, elem: Elem) -> bool {
        match self {
            Self::Number => elem != Elem::Bool,
            Self::Int => elem.is_int(),
            Self::Float => elem.is_float(),
            Self::Bits => !elem.is_float(),
            Self::Bool => elem == Elem::Bool,
            Self::Any => true,
        }
    }

    /// The domain in words, for messages.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Int => "an integer",
            Self::Float => "a float",
            Self::Bits => "an integer or a bool",
            Self::Bool => "a bool",
            Self::Any => "a data value",
        }
    }
}

macro_rules! op_table {
    ($(#[$meta:meta])* $ty:ident { $($variant:ident $name:literal $domain:ident $doc:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $ty { $(#[doc = $doc] $variant,)* }

        impl $ty {
            /// Every member, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Mnemonic in the text form.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Element types that the operands may have.
            #[must_use]
            pub fn domain(self) -> Domain {
                match self { $(Self::$variant => Domain::$domain,)* }
            }

            /// One line for the documentation.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }

            /// Inverse of `name`.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|op| op.name() == name)
            }
        }
    };
}

op_table! {
    /// Operators of one operand; the result has the operand's type.
    Unary {
        Neg   "neg"   Number "Negation; wraps for the smallest integer.";
        Abs   "abs"   Number "Absolute value; wraps for the smallest integer.";
        Not   "not"   Bits   "Complement of every bit; negation of a truth value.";
        Sqrt  "sqrt"  Float  "Square root, correctly rounded.";
        Floor "floor" Float  "Largest integer that is not larger.";
        Ceil  "ceil"  Float  "Smallest integer that is not smaller.";
        Trunc "trunc" Float  "Nearest integer towards zero.";
        Round "round" Float  "Nearest integer, ties to even.";
    }
}

op_table! {
    /// Operators of two operands of one type; the result has that type.
    Binary {
        Add      "add"       Number "Sum.";
        Sub      "sub"       Number "Difference.";
        Mul      "mul"       Number "Product.";
        Div      "div"       Float  "Quotient of floats.";
        DivFloor "div_floor" Int    "Quotient rounded down; 0 where the divisor is 0.";
        ModFloor "mod_floor" Int    "Remainder of the division rounded down, with the sign of the divisor; 0 where the divisor is 0.";
        Min      "min"       Number "`a` if `a < b`, else `b`: a NaN in either operand gives `b`.";
        Max      "max"       Number "`a` if `a > b`, else `b`: a NaN in either operand gives `b`.";
        And      "and"       Bits   "Bitwise and; conjunction of truth values.";
        Or       "or"        Bits   "Bitwise or; disjunction of truth values.";
        Xor      "xor"       Bits   "Bitwise exclusive or; inequality of truth values.";
        Shl      "shl"       Int    "Shift left; the amount counts modulo the width.";
        Shr      "shr"       Int    "Arithmetic shift right; the amount counts modulo the width.";
        ShrU     "shr_u"     Int    "Logical shift right; the amount counts modulo the width.";
    }
}

op_table! {
    /// Comparisons of two operands of one type; the result is `bool` in as many lanes.
    Compare {
        Eq "eq" Any    "Equal.";
        Ne "ne" Any    "Not equal; true where an operand is NaN.";
        Lt "lt" Number "Less than.";
        Le "le" Number "Less than or equal.";
        Gt "gt" Number "Greater than.";
        Ge "ge" Number "Greater than or equal.";
    }
}

op_table! {
    /// Reductions of the lanes of a vector to a scalar. The order is fixed: lane `l` is folded into partial result
    /// `l mod 4` in increasing `l`, then the four partial results as `(p0 . p2) . (p1 . p3)`.
    Reduction {
        Add "add" Number "Sum of the lanes.";
        Min "min" Number "Smallest lane, by `min`.";
        Max "max" Number "Largest lane, by `max`.";
        Any "any" Bool   "Is some lane true?";
        All "all" Bool   "Is every lane true?";
    }
}

op_table! {
    /// Intrinsic functions of floats, with no rounding guarantee to the bit: a backend may use its own
    /// approximation, within 4e-7 relative error in f32 and 4e-16 in f64 unless the table says otherwise.
    /// [`expand_math`](super::expand_math) rewrites the f32 forms of `exp`, `exp2`, `log` and `log2` into arithmetic.
    Function {
        Exp  "exp"  Float "Exponential; results below 2^-125 may be flushed to zero.";
        Exp2 "exp2" Float "Power of two; results below 2^-125 may be flushed to zero.";
        Log  "log"  Float "Natural logarithm.";
        Log2 "log2" Float "Logarithm to base 2.";
        Sin  "sin"  Float "Sine of an angle in radians.";
        Cos  "cos"  Float "Cosine of an angle in radians.";
        Tanh "tanh" Float "Hyperbolic tangent.";
        Erf  "erf"  Float "Error function.";
        Pow  "pow"  Float "First operand to the power of the second.";
    }
}

impl Function {
    /// Number of operands.
    #[must_use]
    pub fn arity(self) -> usize {
        if self == Self::Pow { 2 } else { 1 }
    }
}
