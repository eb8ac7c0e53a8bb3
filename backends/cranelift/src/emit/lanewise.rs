//! Arithmetic, comparisons, selection and calls.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, types};
use cranelift_frontend::FunctionBuilder;
use weft_ir::loops::{Binary, Compare, Elem, Function, Ty, Unary, Value};

use super::{Emit, Emitter, Lanes};
use crate::library::Import;

impl Emitter<'_, '_> {
    pub(super) fn unary(&mut self, op: Unary, ty: Ty, a: Value) -> Emit<Lanes> {
        let (elem, a) = (ty.elem(), self.lanes(a)?);
        if op == Unary::Not && elem == Elem::Bool && !ty.is_vector() {
            return Ok(self.zip([a], |fb, [a]| fb.ins().icmp_imm_u(IntCC::Equal, a, 0)));
        }
        Ok(self.zip([a], |fb, [a]| match (op, elem.is_float()) {
            (Unary::Neg, true) => fb.ins().fneg(a),
            (Unary::Neg, false) => fb.ins().ineg(a),
            (Unary::Abs, true) => fb.ins().fabs(a),
            (Unary::Abs, false) => fb.ins().iabs(a),
            (Unary::Not, _) => fb.ins().bnot(a),
            (Unary::Sqrt, _) => fb.ins().sqrt(a),
            (Unary::Floor, _) => fb.ins().floor(a),
            (Unary::Ceil, _) => fb.ins().ceil(a),
            (Unary::Trunc, _) => fb.ins().trunc(a),
            (Unary::Round, _) => fb.ins().nearest(a),
        }))
    }

    pub(super) fn binary(&mut self, op: Binary, ty: Ty, a: Value, b: Value) -> Emit<Lanes> {
        let (x, y) = (self.lanes(a)?, self.lanes(b)?);
        let divisor = self.ints.get(&b).copied();
        Ok(match op {
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div => {
                let float = ty.elem().is_float();
                self.zip([x, y], |fb, [a, b]| match (op, float) {
                    (Binary::Add, true) => fb.ins().fadd(a, b),
                    (Binary::Add, false) => fb.ins().iadd(a, b),
                    (Binary::Sub, true) => fb.ins().fsub(a, b),
                    (Binary::Sub, false) => fb.ins().isub(a, b),
                    (Binary::Mul, true) => fb.ins().fmul(a, b),
                    (Binary::Mul, false) => fb.ins().imul(a, b),
                    _ => fb.ins().fdiv(a, b),
                })
            }
            Binary::And => self.zip([x, y], |fb, [a, b]| fb.ins().band(a, b)),
            Binary::Or => self.zip([x, y], |fb, [a, b]| fb.ins().bor(a, b)),
            Binary::Xor => self.zip([x, y], |fb, [a, b]| fb.ins().bxor(a, b)),
            Binary::Min | Binary::Max => self.extremum(op == Binary::Max, ty, x, y),
            Binary::Shl | Binary::Shr | Binary::ShrU => self.shift(op, ty, x, y),
            Binary::DivFloor | Binary::ModFloor => {
                let divide = |e: &mut Self, [a, b]: [ir::Value; 2]| e.divide(op == Binary::ModFloor, a, b, divisor);
                if ty.is_vector() {
                    self.per_lane([(x, ty.elem()), (y, ty.elem())], ty, divide)
                } else {
                    Lanes::scalar(divide(self, [x.pieces[0], y.pieces[0]]))
                }
            }
        })
    }

    /// `a` if it is the greater (or the smaller), else `b`. For float vectors the shape that Cranelift makes one
    /// `maxps` of; scalars go through lane 0 of a vector for the same reason.
    pub(super) fn extremum(&mut self, max: bool, ty: Ty, x: Lanes, y: Lanes) -> Lanes {
        let elem = ty.elem();
        if elem == Elem::I64 {
            let cc = if max { IntCC::SignedGreaterThan } else { IntCC::SignedLessThan };
            let vector = ty.is_vector();
            return self.zip([x, y], |fb, [a, b]| {
                let c = fb.ins().icmp(cc, a, b);
                if vector { fb.ins().bitselect(c, a, b) } else { fb.ins().select(c, a, b) }
            });
        }
        if elem == Elem::I32 {
            return self.zip([x, y], |fb, [a, b]| if max { fb.ins().smax(a, b) } else { fb.ins().smin(a, b) });
        }
        let vector = super::lanes::piece_type(elem);
        let scalar = !ty.is_vector();
        self.zip([x, y], |fb, [a, b]| {
            if scalar {
                let (a, b) = (fb.ins().scalar_to_vector(vector, a), fb.ins().scalar_to_vector(vector, b));
                let m = float_extremum(fb, max, vector, a, b);
                fb.ins().extractlane(m, 0)
            } else {
                float_extremum(fb, max, vector, a, b)
            }
        })
    }

    fn shift(&mut self, op: Binary, ty: Ty, x: Lanes, y: Lanes) -> Lanes {
        let shift = |fb: &mut FunctionBuilder<'_>, a: ir::Value, n: ir::Value| match op {
            Binary::Shl => fb.ins().ishl(a, n),
            Binary::Shr => fb.ins().sshr(a, n),
            _ => fb.ins().ushr(a, n),
        };
        match (ty.is_vector(), y.splat) {
            (false, _) => self.zip([x, y], |fb, [a, n]| shift(fb, a, n)),
            (true, Some(n)) => self.zip([x], |fb, [a]| shift(fb, a, n)),
            (true, None) => self.per_lane([(x, ty.elem()), (y, ty.elem())], ty, |e, [a, n]| shift(&mut e.fb, a, n)),
        }
    }

    /// Division rounded down of two scalars. Cranelift's division traps on 0 and on overflow, so a divisor that is not
    /// a harmless constant is replaced: 0 by 1 with a result of 0, and -1 by negation.
    fn divide(&mut self, remainder: bool, a: ir::Value, b: ir::Value, known: Option<i64>) -> ir::Value {
        let ty = self.fb.func.dfg.value_type(a);
        let ins = &mut self.fb;
        if let Some(d) = known.filter(|&d| d > 0) {
            if d & (d - 1) == 0 {
                // Rounding down is what shifts and masks do.
                return if remainder {
                    ins.ins().band_imm_s(a, d - 1)
                } else {
                    ins.ins().sshr_imm_u(a, i64::from(d.trailing_zeros()))
                };
            }
            let (q, r) = quotient_and_remainder(ins, a, b);
            let negative = ins.ins().icmp_imm_s(IntCC::SignedLessThan, r, 0);
            return if remainder {
                let fixed = ins.ins().iadd(r, b);
                ins.ins().select(negative, fixed, r)
            } else {
                let fixed = ins.ins().iadd_imm_s(q, -1);
                ins.ins().select(negative, fixed, q)
            };
        }
        let zero = ins.ins().iconst(ty, 0);
        let one = ins.ins().iconst(ty, 1);
        // b in {0, -1} becomes 1: the quotient by -1 is the negation, both remainders are 0.
        let shifted = ins.ins().iadd(b, one);
        let special = ins.ins().icmp(IntCC::UnsignedLessThanOrEqual, shifted, one);
        let safe = ins.ins().select(special, one, b);
        let (q, r) = quotient_and_remainder(ins, a, safe);
        let signs = ins.ins().bxor(r, safe);
        let opposite = ins.ins().icmp(IntCC::SignedLessThan, signs, zero);
        let inexact = ins.ins().icmp(IntCC::NotEqual, r, zero);
        let adjust = ins.ins().band(opposite, inexact);
        if remainder {
            let fixed = ins.ins().iadd(r, safe);
            return ins.ins().select(adjust, fixed, r);
        }
        let fixed = ins.ins().isub(q, one);
        let floored = ins.ins().select(adjust, fixed, q);
        let negated = ins.ins().ineg(a);
        let is_zero = ins.ins().icmp(IntCC::Equal, b, zero);
        let odd = ins.ins().select(is_zero, zero, negated);
        ins.ins().select(special, odd, floored)
    }

    pub(super) fn compare(&mut self, op: Compare, a: Value, b: Value) -> Emit<Lanes> {
        let of = self.ty(a);
        let (x, y) = (self.lanes(a)?, self.lanes(b)?);
        let float = of.elem().is_float();
        let mask = self.zip([x, y], |fb, [a, b]| {
            if float {
                let cc = match op {
                    Compare::Eq => FloatCC::Equal,
                    Compare::Ne => FloatCC::NotEqual,
                    Compare::Lt => FloatCC::LessThan,
                    Compare::Le => FloatCC::LessThanOrEqual,
                    Compare::Gt => FloatCC::GreaterThan,
                    Compare::Ge => FloatCC::GreaterThanOrEqual,
                };
                fb.ins().fcmp(cc, a, b)
            } else {
                let cc = match op {
                    Compare::Eq => IntCC::Equal,
                    Compare::Ne => IntCC::NotEqual,
                    Compare::Lt => IntCC::SignedLessThan,
                    Compare::Le => IntCC::SignedLessThanOrEqual,
                    Compare::Gt => IntCC::SignedGreaterThan,
                    Compare::Ge => IntCC::SignedGreaterThanOrEqual,
                };
                fb.ins().icmp(cc, a, b)
            }
        });
        if !of.is_vector() {
            return Ok(Lanes::scalar(mask.pieces[0]));
        }
        Ok(if of.elem().bytes() == 8 { self.narrow_mask(&mask) } else { mask })
    }

    pub(super) fn select(&mut self, ty: Ty, cond: Value, a: Value, b: Value) -> Emit<Lanes> {
        let (x, y) = (self.lanes(a)?, self.lanes(b)?);
        let c = self.lanes(cond)?;
        if !self.ty(cond).is_vector() {
            let c = c.pieces[0];
            return Ok(self.zip([x, y], |fb, [a, b]| fb.ins().select(c, a, b)));
        }
        let (c, mask) = match ty.elem().bytes() {
            8 => (self.widen_mask(&c), types::I64X2),
            _ => (c, types::I32X4),
        };
        let blend = self.has_blend;
        Ok(self.zip([c, x, y], |fb, [c, a, b]| {
            let ty = fb.func.dfg.value_type(a);
            let cast = |fb: &mut FunctionBuilder<'_>, to: ir::Type, v: ir::Value| {
                if fb.func.dfg.value_type(v) == to { v } else { fb.ins().bitcast(to, MemFlagsData::new(), v) }
            };
            let (a, b) = (cast(fb, mask, a), cast(fb, mask, b));
            // Masks are all ones or all zeros; bit by bit the choice is three instructions.
            let chosen = if blend { fb.ins().blendv(c, a, b) } else { fb.ins().bitselect(c, a, b) };
            cast(fb, ty, chosen)
        }))
    }

    /// Calls a library function, lane by lane.
    pub(super) fn call(&mut self, function: Function, ty: Ty, args: &[Value]) -> Emit<Lanes> {
        let import = Import { function, double: ty.elem() == Elem::F64 };
        let callee = match self.imports.get(&import) {
            Some(&callee) => callee,
            None => {
                let callee = (self.importer)(import, self.fb.func)?;
                self.imports.insert(import, callee);
                callee
            }
        };
        let invoke = |e: &mut Self, args: &[ir::Value]| {
            let inst = e.fb.ins().call(callee, args);
            e.fb.inst_results(inst)[0]
        };
        let operands = args.iter().map(|&a| self.lanes(a)).collect::<Emit<Vec<_>>>()?;
        if !ty.is_vector() {
            let scalars: Vec<ir::Value> = operands.iter().map(|a| a.pieces[0]).collect();
            return Ok(Lanes::scalar(invoke(self, &scalars)));
        }
        match &operands[..] {
            [a] => Ok(self.per_lane([(a.clone(), ty.elem())], ty, |e, [a]| invoke(e, &[a]))),
            [a, b] => {
                let operands = [(a.clone(), ty.elem()), (b.clone(), ty.elem())];
                Ok(self.per_lane(operands, ty, |e, [a, b]| invoke(e, &[a, b])))
            }
            _ => Err(format!("{} with {} operands", function.name(), args.len())),
        }
    }
}

/// Rounded towards zero. The remainder by multiplication: a second division would cost ten times as much.
fn quotient_and_remainder(fb: &mut FunctionBuilder<'_>, a: ir::Value, b: ir::Value) -> (ir::Value, ir::Value) {
    let q = fb.ins().sdiv(a, b);
    let product = fb.ins().imul(q, b);
    (q, fb.ins().isub(a, product))
}

/// `max`: `b < a ? a : b`; `min`: `a < b ? a : b`.
fn float_extremum(fb: &mut FunctionBuilder<'_>, max: bool, ty: ir::Type, a: ir::Value, b: ir::Value) -> ir::Value {
    let (l, r) = if max { (b, a) } else { (a, b) };
    let c = fb.ins().fcmp(FloatCC::LessThan, l, r);
    let c = fb.ins().bitcast(ty, MemFlagsData::new(), c);
    fb.ins().bitselect(c, a, b)
}

/// Signature elements of library functions.
pub(crate) fn import_type(import: Import) -> ir::Type {
    if import.double { types::F64 } else { types::F32 }
}
