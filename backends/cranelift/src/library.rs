//! Functions that generated code calls because no instruction computes them.

use weft_ir::loops::Function;

/// One function in one precision.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Import {
    pub(crate) function: Function,
    /// f64, else f32.
    pub(crate) double: bool,
}

macro_rules! library {
    ($($function:ident $single:ident $double:ident ($($arg:ident),+) $body32:expr, $body64:expr;)*) => {
        $(
            extern "C" fn $single($($arg: f32),+) -> f32 { $body32 }
            extern "C" fn $double($($arg: f64),+) -> f64 { $body64 }
        )*

        impl Import {
            /// Every function in both precisions.
            pub(crate) fn all() -> impl Iterator<Item = Self> {
                [$(Function::$function,)*]
                    .into_iter()
                    .flat_map(|function| [false, true].map(|double| Self { function, double }))
            }

            /// Symbol name.
            pub(crate) fn symbol(self) -> &'static str {
                match (self.function, self.double) {
                    $(
                        (Function::$function, false) => concat!("weft_", stringify!($single)),
                        (Function::$function, true) => concat!("weft_", stringify!($double)),
                    )*
                }
            }

            /// Address of the code.
            pub(crate) fn address(self) -> *const u8 {
                match (self.function, self.double) {
                    $(
                        (Function::$function, false) => $single as *const u8,
                        (Function::$function, true) => $double as *const u8,
                    )*
                }
            }
        }
    };
}

library! {
    Exp  exp_f32  exp_f64  (x) x.exp(), x.exp();
    Exp2 exp2_f32 exp2_f64 (x) x.exp2(), x.exp2();
    Log  log_f32  log_f64  (x) x.ln(), x.ln();
    Log2 log2_f32 log2_f64 (x) x.log2(), x.log2();
    Sin  sin_f32  sin_f64  (x) x.sin(), x.sin();
    Cos  cos_f32  cos_f64  (x) x.cos(), x.cos();
    Tanh tanh_f32 tanh_f64 (x) x.tanh(), x.tanh();
    Erf  erf_f32  erf_f64  (x) libm::erff(x), libm::erf(x);
    Pow  pow_f32  pow_f64  (x, y) x.powf(y), x.powf(y);
}
