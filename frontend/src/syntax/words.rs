//! The spelling of everything in the tree that is an enumeration: one table per type, read by the parser, the formatter and the messages.

use super::ast::{AxisRole, BinaryOp, CompareOp, Dtype, Reducer, UnaryOp};

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
spelled!(AxisRole { Time = "time" });
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
spelled!(CompareOp { Lt = "<", Le = "<=", Gt = ">", Ge = ">=", Eq = "==", Ne = "!=" });
spelled!(UnaryOp { Neg = "-", Not = "not" });
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
