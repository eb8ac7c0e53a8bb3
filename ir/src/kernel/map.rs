//! Elementwise functions.

/// What a function asks of its operands and what type it gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signature {
    /// Floats of one type, giving that type.
    Float,
    /// Numbers (float or integer) of one type, giving that type.
    Number,
    /// Integers of one type, giving that type.
    Integer,
    /// Numbers or booleans of one type, giving a boolean.
    Compare,
    /// Booleans, giving a boolean.
    Logic,
}

macro_rules! map_table {
    ($($f:ident $name:literal ($lo:literal, $hi:expr) $sig:ident $doc:literal)*) => {
        /// An elementwise function of one or more tiles.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum MapFn { $(#[doc = $doc] $f),* }

        impl MapFn {
            /// Every function.
            pub const ALL: &'static [Self] = &[$(Self::$f),*];
            /// Name in the text form.
            pub fn name(self) -> &'static str { match self { $(Self::$f => $name),* } }
            /// Least and greatest number of operands.
            pub fn operands(self) -> (usize, usize) { match self { $(Self::$f => ($lo, $hi)),* } }
            /// Types of operands and result.
            pub fn signature(self) -> Signature { match self { $(Self::$f => Signature::$sig),* } }
            /// The function of that name, if there is one.
            pub fn from_name(name: &str) -> Option<Self> { Self::ALL.iter().copied().find(|f| f.name() == name) }
        }
    };
}

const MANY: usize = usize::MAX;

map_table! {
    Neg "neg" (1, 1) Number "`-a`"
    Add "add" (2, MANY) Number "`a + b + ..`, from left to right"
    Sub "sub" (2, 2) Number "`a - b`"
    Mul "mul" (2, MANY) Number "`a * b * ..`, from left to right"
    Div "div" (2, 2) Float "`a / b`"
    IDiv "idiv" (2, 2) Integer "`a // b`, rounding towards minus infinity; the divisor is positive"
    Mod "mod" (2, 2) Integer "`a % b`, in `0..b`; the divisor is positive"
    Pow "pow" (2, 2) Float "`a` to the power `b`"
    Exp "exp" (1, 1) Float "the exponential"
    Exp2 "exp2" (1, 1) Float "2 to the power `a`"
    Log "log" (1, 1) Float "the natural logarithm"
    Sqrt "sqrt" (1, 1) Float "the square root"
    Abs "abs" (1, 1) Number "the absolute value"
    Sin "sin" (1, 1) Float "the sine"
    Cos "cos" (1, 1) Float "the cosine"
    Tanh "tanh" (1, 1) Float "the hyperbolic tangent"
    Floor "floor" (1, 1) Float "the greatest integer not above `a`"
    Inv "inv" (1, 1) Float "`1 / a`"
    Inv0 "inv0" (1, 1) Float "`1 / a`, and 0 where `a` is 0: normalises rows that may be empty"
    Min "min" (2, MANY) Number "the smallest"
    Max "max" (2, MANY) Number "the largest"
    Lt "lt" (2, 2) Compare "`a < b`"
    Le "le" (2, 2) Compare "`a <= b`"
    Gt "gt" (2, 2) Compare "`a > b`"
    Ge "ge" (2, 2) Compare "`a >= b`"
    Eq "eq" (2, 2) Compare "`a == b`"
    Ne "ne" (2, 2) Compare "`a != b`"
    And "and" (2, MANY) Logic "conjunction"
    Or "or" (2, MANY) Logic "disjunction"
    Not "not" (1, 1) Logic "negation"
}

impl MapFn {
    /// The function on floats (integers and booleans as floats, exact below 2^53): the meaning that the interpreter uses.
    pub fn eval(self, args: &[f64]) -> f64 {
        let a = args.first().copied().unwrap_or(f64::NAN);
        let b = args.get(1).copied().unwrap_or(f64::NAN);
        let truth = |x: bool| f64::from(u8::from(x));
        // A comparison with an undefined (NaN) operand is undefined, not false, so that it cannot decide anything unseen.
        let compare = |x: bool| if a.is_nan() || b.is_nan() { f64::NAN } else { truth(x) };
        let fold = |f: fn(f64, f64) -> f64| args.iter().copied().reduce(f).unwrap_or(f64::NAN);
        match self {
            Self::Neg => -a,
            Self::Add => fold(|x, y| x + y),
            Self::Sub => a - b,
            Self::Mul => fold(|x, y| x * y),
            Self::Div => a / b,
            Self::IDiv => (a / b).floor(),
            Self::Mod => a - b * (a / b).floor(),
            Self::Pow => a.powf(b),
            Self::Exp => a.exp(),
            Self::Exp2 => a.exp2(),
            Self::Log => a.ln(),
            Self::Sqrt => a.sqrt(),
            Self::Abs => a.abs(),
            Self::Sin => a.sin(),
            Self::Cos => a.cos(),
            Self::Tanh => a.tanh(),
            Self::Floor => a.floor(),
            Self::Inv => 1.0 / a,
            Self::Inv0 => {
                if a == 0.0 {
                    0.0
                } else {
                    1.0 / a
                }
            }
            // f64::min drops NaN; an undefined operand must stay visible.
            Self::Min => fold(|x, y| if x.is_nan() || y.is_nan() { f64::NAN } else { x.min(y) }),
            Self::Max => fold(|x, y| if x.is_nan() || y.is_nan() { f64::NAN } else { x.max(y) }),
            Self::Lt => compare(a < b),
            Self::Le => compare(a <= b),
            Self::Gt => compare(a > b),
            Self::Ge => compare(a >= b),
            Self::Eq => compare(a == b),
            Self::Ne => compare(a != b),
            Self::And => {
                if args.contains(&0.0) {
                    0.0
                } else {
                    fold(|x, y| x * y)
                }
            }
            Self::Or => {
                if args.contains(&1.0) {
                    1.0
                } else {
                    fold(|x, y| x + y)
                }
            }
            Self::Not => 1.0 - a,
        }
    }
}
