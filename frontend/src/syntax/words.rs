//! Operators, reducers, element types and roles, with their spelling: one table per type, read by the parser, the formatter and the messages.

/// Gives an enumeration its spellings, both ways.
macro_rules! spelled {
    ($type:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        impl $type {
            /// All of them, in the order of the reference manual.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// How it is written in a source.
            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $text),+ }
            }

            /// The one that is written so.
            pub fn from_word(word: &str) -> Option<$type> {
                match word { $($text => Some($type::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// Element types that can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// `bool`
    Bool,
    /// `int`: an integer of the compiler's choice (i32 or i64)
    Int,
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `float`: the type parameter that `--float` sets
    Float,
    /// `f16`
    F16,
    /// `bf16`
    Bf16,
    /// `f32`
    F32,
    /// `f64`
    F64,
}
spelled!(Dtype {
    Bool = "bool",
    Int = "int",
    I32 = "i32",
    I64 = "i64",
    Float = "float",
    F16 = "f16",
    Bf16 = "bf16",
    F32 = "f32",
    F64 = "f64",
});

/// What an axis is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AxisRole {
    /// Values arrive along it, one by one, in decode.
    Time,
}
spelled!(AxisRole { Time = "time" });

/// Binary operators except comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `or`, short-circuit
    Or,
    /// `and`, short-circuit
    And,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`, of reals
    Div,
    /// `//`, floor division of integers
    FloorDiv,
    /// `%`, the remainder of floor division
    Rem,
    /// `^`, right-associative; its left operand binds tighter than unary minus
    Pow,
}
spelled!(BinaryOp {
    Or = "or",
    And = "and",
    Add = "+",
    Sub = "-",
    Mul = "*",
    Div = "/",
    FloorDiv = "//",
    Rem = "%",
    Pow = "^",
});

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `==`
    Eq,
    /// `!=`
    Ne,
}
spelled!(CompareOp { Lt = "<", Le = "<=", Gt = ">", Ge = ">=", Eq = "==", Ne = "!=" });

/// Unary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `not`
    Not,
}
spelled!(UnaryOp { Neg = "-", Not = "not" });

/// The reducers: each binds its indices and removes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reducer {
    /// Sum; 0 over nothing.
    Sum,
    /// Mean over the places where the guard holds.
    Mean,
    /// Greatest value.
    Max,
    /// Least value.
    Min,
    /// Number of places where the (boolean) value holds, i32.
    Count,
    /// Whether the (boolean) value holds anywhere.
    Any,
    /// Whether it holds everywhere.
    All,
    /// The lowest index of the least value.
    Argmin,
    /// The lowest index of the greatest value.
    Argmax,
}
spelled!(Reducer {
    Sum = "sum",
    Mean = "mean",
    Max = "max",
    Min = "min",
    Count = "count",
    Any = "any",
    All = "all",
    Argmin = "argmin",
    Argmax = "argmax",
});
