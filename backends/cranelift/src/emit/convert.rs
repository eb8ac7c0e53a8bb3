//! Conversions between element types.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, types};
use smallvec::SmallVec;
use weft_ir::loops::{Elem, Ty, Value};

use super::lanes::{piece_type, scalar_type};
use super::{Emit, Emitter, Lanes};

impl Emitter<'_, '_> {
    pub(super) fn convert(&mut self, a: Value, to: Ty) -> Emit<Lanes> {
        let from = self.ty(a);
        let x = self.lanes(a)?;
        if from == to {
            return Ok(x);
        }
        if !to.is_vector() {
            return Ok(Lanes::scalar(self.convert_scalar(x.pieces[0], from.elem(), to.elem())));
        }
        let (source, target) = (from.elem(), to.elem());
        Ok(match (source, target) {
            (_, Elem::Bool) => {
                let zeros = self.constant(from, zero(source));
                let mask = self.zip([x, zeros], |fb, [a, z]| {
                    if source.is_float() {
                        fb.ins().fcmp(FloatCC::NotEqual, a, z)
                    } else {
                        fb.ins().icmp(IntCC::NotEqual, a, z)
                    }
                });
                if source.bytes() == 8 { self.narrow_mask(&mask) } else { mask }
            }
            (Elem::Bool, _) => self.mask_to_number(&x, to),
            (Elem::I32, Elem::F32) => self.zip([x], |fb, [a]| fb.ins().fcvt_from_sint(types::F32X4, a)),
            (Elem::F32, Elem::I32) => self.zip([x], |fb, [a]| fb.ins().fcvt_to_sint_sat(types::I32X4, a)),
            (Elem::I32, Elem::I64 | Elem::F64) => {
                let mut pieces = SmallVec::new();
                for &piece in &x.pieces {
                    let high = self.high_half(types::I32X4, piece);
                    for half in [piece, high] {
                        let wide = self.fb.ins().swiden_low(half);
                        pieces.push(if target == Elem::F64 {
                            self.fb.ins().fcvt_from_sint(types::F64X2, wide)
                        } else {
                            wide
                        });
                    }
                }
                Lanes::vector(pieces)
            }
            (Elem::F32, Elem::F64) => {
                let mut pieces = SmallVec::new();
                for &piece in &x.pieces {
                    let high = self.high_half(types::F32X4, piece);
                    pieces.push(self.fb.ins().fvpromote_low(piece));
                    pieces.push(self.fb.ins().fvpromote_low(high));
                }
                Lanes::vector(pieces)
            }
            (Elem::F64, Elem::F32) => {
                let mut pieces = SmallVec::new();
                for pair in x.pieces.chunks(2) {
                    let low = self.fb.ins().fvdemote(pair[0]);
                    let high = self.fb.ins().fvdemote(pair[pair.len() - 1]);
                    pieces.push(self.low_halves(types::F32X4, low, high));
                }
                Lanes::vector(pieces)
            }
            // The low words; `narrow_mask` picks just these.
            (Elem::I64, Elem::I32) => self.narrow_mask(&x),
            _ => self.per_lane([(x, source)], to, |e, [a]| e.convert_scalar(a, source, target)),
        })
    }

    fn mask_to_number(&mut self, mask: &Lanes, to: Ty) -> Lanes {
        let one = if to.elem().is_float() { weft_ir::loops::Const::Float(1.0) } else { weft_ir::loops::Const::Int(1) };
        let ones = self.constant(to, one);
        let mask = if to.elem().bytes() == 8 { self.widen_mask(mask) } else { mask.clone() };
        let ty = piece_type(to.elem());
        self.zip([mask, ones], |fb, [m, one]| {
            let m = if fb.func.dfg.value_type(m) == ty { m } else { fb.ins().bitcast(ty, MemFlagsData::new(), m) };
            fb.ins().band(m, one)
        })
    }

    fn convert_scalar(&mut self, a: ir::Value, from: Elem, to: Elem) -> ir::Value {
        let ty = scalar_type(to);
        let fb = &mut self.fb;
        match (from, to) {
            _ if from == to => a,
            (Elem::F32, Elem::Bool) => {
                let zero = fb.ins().f32const(0.0);
                fb.ins().fcmp(FloatCC::NotEqual, a, zero)
            }
            (Elem::F64, Elem::Bool) => {
                let zero = fb.ins().f64const(0.0);
                fb.ins().fcmp(FloatCC::NotEqual, a, zero)
            }
            (_, Elem::Bool) => fb.ins().icmp_imm_u(IntCC::NotEqual, a, 0),
            (Elem::Bool, Elem::I32 | Elem::I64) => fb.ins().uextend(ty, a),
            (Elem::Bool, _) => {
                let wide = fb.ins().uextend(types::I32, a);
                fb.ins().fcvt_from_sint(ty, wide)
            }
            (Elem::I32, Elem::I64) => fb.ins().sextend(ty, a),
            (Elem::I64, Elem::I32) => fb.ins().ireduce(ty, a),
            (Elem::I32 | Elem::I64, _) => fb.ins().fcvt_from_sint(ty, a),
            (Elem::F32, Elem::F64) => fb.ins().fpromote(ty, a),
            (Elem::F64, Elem::F32) => fb.ins().fdemote(ty, a),
            (_, _) => fb.ins().fcvt_to_sint_sat(ty, a),
        }
    }
}

fn zero(elem: Elem) -> weft_ir::loops::Const {
    if elem.is_float() { weft_ir::loops::Const::Float(0.0) } else { weft_ir::loops::Const::Int(0) }
}
