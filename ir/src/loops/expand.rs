//! Expansion of transcendental functions of f32 into arithmetic.
//!
//! Every machine has the operations used here, in vectors too, so a backend that expands first never calls a library
//! in an inner loop, and gives the same bits as the interpreter. Left alone: f64, and functions that inner loops do not
//! need.
//!
//! - `exp2`: `x = n + f` with `n` the nearest integer, `2^f` by a polynomial of degree 5 on `[-1/2, 1/2]` (relative error
//!   2.1e-7), scaled by `2^n`, which is assembled from the bits of `n`. The polynomial is doubled and the scale halved, so
//!   that `n = 128` works up to the true overflow; results below 2^-125 become 0. NaN stays NaN.
//! - `exp`: the same with `f = x - n ln 2` in two steps (Cody and Waite) and the polynomial's coefficients for `e^f`.
//! - `log`, `log2`: `x = 2^e m` with `m` in `[sqrt 1/2, sqrt 2)`, polynomial of degree 8 for `log m` (Cephes `logf`);
//!   0 gives -inf, negative numbers NaN, subnormal numbers are scaled up first.

use super::kernel::{Block, Const, Kernel, Op, Stmt, Value};
use super::ops::{Binary, Compare, Function};
use super::types::{Elem, Ty};

/// The kernel with `exp`, `exp2`, `log` and `log2` of f32 expanded. Results keep their value numbers.
#[must_use]
pub fn expand_math(kernel: &Kernel) -> Kernel {
    let mut values = kernel.values.clone();
    let body = expand_block(&kernel.body, &mut values);
    Kernel { values, body, ..kernel.clone() }
}

fn expand_block(block: &Block, values: &mut Vec<Ty>) -> Block {
    let mut stmts = Vec::with_capacity(block.stmts.len());
    for stmt in &block.stmts {
        match stmt {
            Stmt::Let(result, Op::Call(function, args)) => {
                let ty = values.get(result.0 as usize).copied();
                match (ty, &args[..]) {
                    (Some(ty), &[x]) if ty.elem() == Elem::F32 && is_expanded(*function) => {
                        Expansion { ty, values, stmts: &mut stmts }.function(*function, x, *result);
                    }
                    _ => stmts.push(stmt.clone()),
                }
            }
            Stmt::For(l) => {
                let mut l = l.clone();
                l.body = expand_block(&l.body, values);
                stmts.push(Stmt::For(l));
            }
            Stmt::If(cond, a, b) => {
                stmts.push(Stmt::If(*cond, expand_block(a, values), expand_block(b, values)));
            }
            Stmt::While { header, cond, body } => stmts.push(Stmt::While {
                header: expand_block(header, values),
                cond: *cond,
                body: expand_block(body, values),
            }),
            other => stmts.push(other.clone()),
        }
    }
    Block { stmts }
}

fn is_expanded(function: Function) -> bool {
    matches!(function, Function::Exp | Function::Exp2 | Function::Log | Function::Log2)
}

/// Twice the coefficients of `2^f` on `[-1/2, 1/2]`, from the highest power down; minimax in f32.
const EXP2: [f32; 6] = [0.002_655_294_3, 0.019_351_082, 0.111_014_26, 0.480_442_4, 1.386_293_9, 2.000_000_2];
/// Twice the coefficients of `e^f` on `[-ln 2 / 2, ln 2 / 2]`.
const EXP: [f32; 6] = [0.016_595_31, 0.083_830_76, 0.333_351_5, 0.999_977_95, 1.999_999_3, 2.000_000_2];
/// `1.5 * 2^23 + 126`: adding it to `n` leaves `n + 126` in the low bits, which is the exponent field of `2^(n-1)`.
const ROUND: f32 = 12_582_912.0 + 126.0;
/// ln 2 = `LN2_HIGH + LN2_LOW`; products of the high part with exponents are exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Cephes `logf`: `log(1 + z) = z - z^2/2 + z^3 P(z)`.
const LOG: [f32; 9] = [
    7.037_683_6e-2,
    -1.151_461e-1,
    1.167_699_9e-1,
    -1.242_014_1e-1,
    1.424_932_3e-1,
    -1.666_805_7e-1,
    2.000_071_5e-1,
    -2.499_999_4e-1,
    3.333_333e-1,
];
/// Bits of sqrt 1/2.
const SQRT_HALF: i64 = 0x3f35_04f3;

/// Statements for one call, all on values of one shape.
struct Expansion<'a> {
    ty: Ty,
    values: &'a mut Vec<Ty>,
    stmts: &'a mut Vec<Stmt>,
}

impl Expansion<'_> {
    fn function(&mut self, function: Function, x: Value, result: Value) {
        let op = match function {
            Function::Exp2 => self.exp2(x),
            Function::Exp => self.exp(x),
            _ => self.log(x, function == Function::Log2),
        };
        self.stmts.push(Stmt::Let(result, op));
    }

    fn exp2(&mut self, x: Value) -> Op {
        let x = self.clamp(x, -126.0, 129.0);
        let round = self.float(ROUND);
        let t = self.binary(Binary::Add, x, round);
        let n = self.binary(Binary::Sub, t, round);
        let f = self.binary(Binary::Sub, x, n);
        self.scaled(&EXP2, f, t)
    }

    fn exp(&mut self, x: Value) -> Op {
        let x = self.clamp(x, -87.4, 89.4);
        let round = self.float(ROUND);
        let log2e = self.float(std::f32::consts::LOG2_E);
        let t = self.fma(x, log2e, round);
        let n = self.binary(Binary::Sub, t, round);
        let (high, low) = (self.float(-LN2_HIGH), self.float(-LN2_LOW));
        let f = self.fma(n, high, x);
        let f = self.fma(n, low, f);
        self.scaled(&EXP, f, t)
    }

    /// Polynomial at `f` times the power of two whose exponent field is in the low bits of `t`.
    fn scaled(&mut self, coefficients: &[f32], f: Value, t: Value) -> Op {
        let p = self.polynomial(coefficients, f);
        let bits = self.int_op(Op::Bitcast(t));
        let by = self.int(23);
        let field = self.int_op(Op::Binary(Binary::Shl, bits, by));
        let scale = self.float_op(Op::Bitcast(field));
        Op::Binary(Binary::Mul, p, scale)
    }

    fn log(&mut self, x: Value, base2: bool) -> Op {
        let tiny = self.float(f32::MIN_POSITIVE);
        let subnormal = self.compare(Compare::Lt, x, tiny);
        let up = self.float(8_388_608.0);
        let raised = self.binary(Binary::Mul, x, up);
        let normal = self.float_op(Op::Select(subnormal, raised, x));
        let (down, zero) = (self.float(-23.0), self.float(0.0));
        let bias = self.float_op(Op::Select(subnormal, down, zero));

        // Exponent and mantissa, with the mantissa's range shifted to start at sqrt 1/2.
        let bits = self.int_op(Op::Bitcast(normal));
        let start = self.int(SQRT_HALF);
        let from_start = self.int_op(Op::Binary(Binary::Sub, bits, start));
        let by = self.int(23);
        let e = self.int_op(Op::Binary(Binary::Shr, from_start, by));
        let mantissa_mask = self.int(0x7f_ffff);
        let mantissa = self.int_op(Op::Binary(Binary::And, from_start, mantissa_mask));
        let m = self.int_op(Op::Binary(Binary::Add, mantissa, start));
        let m = self.float_op(Op::Bitcast(m));
        let e = self.float_op(Op::Convert(e));
        let e = self.binary(Binary::Add, e, bias);

        let one = self.float(1.0);
        let z = self.binary(Binary::Sub, m, one);
        let p = self.polynomial(&LOG, z);
        let zz = self.binary(Binary::Mul, z, z);
        let zzz = self.binary(Binary::Mul, zz, z);
        let y = self.binary(Binary::Mul, p, zzz);
        let minus_half = self.float(-0.5);
        let y = self.fma(zz, minus_half, y);
        let r = if base2 {
            // log2 e in two parts: the first product is exact enough to carry the sum.
            let (high, low) = (self.float(1.442_382_8), self.float(3.122_120_5e-4));
            let log_m = self.binary(Binary::Add, z, y);
            let small = self.binary(Binary::Mul, log_m, low);
            let small = self.fma(y, high, small);
            let sum = self.fma(z, high, small);
            self.binary(Binary::Add, e, sum)
        } else {
            let (high, low) = (self.float(LN2_HIGH), self.float(LN2_LOW));
            let y = self.fma(e, low, y);
            let sum = self.binary(Binary::Add, z, y);
            self.fma(e, high, sum)
        };

        let positive = self.compare(Compare::Gt, x, zero);
        let nan = self.float(f32::NAN);
        let r = self.float_op(Op::Select(positive, r, nan));
        let is_zero = self.compare(Compare::Eq, x, zero);
        let minus_infinity = self.float(f32::NEG_INFINITY);
        let r = self.float_op(Op::Select(is_zero, minus_infinity, r));
        let infinity = self.float(f32::INFINITY);
        let is_infinite = self.compare(Compare::Eq, x, infinity);
        Op::Select(is_infinite, infinity, r)
    }

    /// `x` within bounds; a NaN passes, because `min` and `max` give their second operand then.
    fn clamp(&mut self, x: Value, low: f32, high: f32) -> Value {
        let (low, high) = (self.float(low), self.float(high));
        let x = self.binary(Binary::Max, low, x);
        self.binary(Binary::Min, high, x)
    }

    /// Horner's rule, highest power first.
    fn polynomial(&mut self, coefficients: &[f32], x: Value) -> Value {
        let mut p = self.float(coefficients[0]);
        for &c in &coefficients[1..] {
            let c = self.float(c);
            p = self.fma(p, x, c);
        }
        p
    }

    fn define(&mut self, ty: Ty, op: Op) -> Value {
        let value = Value(u32::try_from(self.values.len()).unwrap_or(u32::MAX));
        self.values.push(ty);
        self.stmts.push(Stmt::Let(value, op));
        value
    }

    fn float_op(&mut self, op: Op) -> Value {
        self.define(self.ty, op)
    }

    fn int_op(&mut self, op: Op) -> Value {
        self.define(self.ty.with_elem(Elem::I32), op)
    }

    fn float(&mut self, x: f32) -> Value {
        self.float_op(Op::Const(Const::Float(x.into())))
    }

    fn int(&mut self, n: i64) -> Value {
        self.int_op(Op::Const(Const::Int(n)))
    }

    fn binary(&mut self, op: Binary, a: Value, b: Value) -> Value {
        self.float_op(Op::Binary(op, a, b))
    }

    fn fma(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.float_op(Op::Fma(a, b, c))
    }

    fn compare(&mut self, op: Compare, a: Value, b: Value) -> Value {
        self.define(self.ty.with_elem(Elem::Bool), Op::Compare(op, a, b))
    }
}
