//! A loop-IR value as CLIF values, and the lane-level tools that every legalisation uses.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, types};
use cranelift_frontend::FunctionBuilder;
use smallvec::{SmallVec, smallvec};
use weft_ir::loops::{Elem, Ty};

use super::Emitter;

/// The CLIF values that make up one loop-IR value.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    /// One scalar, or the 128-bit pieces in order of their lanes.
    pub(super) pieces: SmallVec<[ir::Value; 4]>,
    /// The scalar that fills every lane, where that is known: vector shifts want it.
    pub(super) splat: Option<ir::Value>,
}

impl Lanes {
    pub(super) fn scalar(value: ir::Value) -> Self {
        Self { pieces: smallvec![value], splat: Some(value) }
    }

    pub(super) fn vector(pieces: SmallVec<[ir::Value; 4]>) -> Self {
        Self { pieces, splat: None }
    }

    /// All pieces are one value: compute on it once.
    fn uniform(&self) -> bool {
        self.pieces.iter().all(|&p| p == self.pieces[0])
    }
}

/// CLIF type of one lane as a scalar.
pub(super) fn scalar_type(elem: Elem) -> ir::Type {
    match elem {
        Elem::Bool => types::I8,
        Elem::I32 => types::I32,
        Elem::I64 => types::I64,
        // Values of bf16 memory are f32.
        Elem::F32 | Elem::Bf16 => types::F32,
        Elem::F64 => types::F64,
    }
}

/// CLIF type of one piece.
pub(super) fn piece_type(elem: Elem) -> ir::Type {
    match elem {
        Elem::Bool | Elem::I32 => types::I32X4,
        Elem::I64 => types::I64X2,
        Elem::F32 | Elem::Bf16 => types::F32X4,
        Elem::F64 => types::F64X2,
    }
}

/// Lanes in one piece.
pub(super) fn lanes_per_piece(elem: Elem) -> usize {
    if elem.bytes() == 8 { 2 } else { 4 }
}

/// Number of CLIF values that a value of this type takes.
pub(super) fn piece_count(ty: Ty) -> usize {
    if ty.is_vector() { usize::from(ty.lanes()) / lanes_per_piece(ty.elem()) } else { 1 }
}

impl Emitter<'_, '_> {
    /// Applies `f` piece by piece; once only where all operands are uniform.
    pub(super) fn zip<const N: usize>(
        &mut self,
        operands: [Lanes; N],
        mut f: impl FnMut(&mut FunctionBuilder<'_>, [ir::Value; N]) -> ir::Value,
    ) -> Lanes {
        let count = operands[0].pieces.len();
        if operands.iter().all(Lanes::uniform) {
            let one = f(&mut self.fb, std::array::from_fn(|k| operands[k].pieces[0]));
            return Lanes::vector(smallvec![one; count]);
        }
        let pieces = (0..count).map(|i| f(&mut self.fb, std::array::from_fn(|k| operands[k].pieces[i]))).collect();
        Lanes::vector(pieces)
    }

    /// Applies the scalar code `f` lane by lane: for what no vector instruction does.
    pub(super) fn per_lane<const N: usize>(
        &mut self,
        operands: [(Lanes, Elem); N],
        result: Ty,
        mut f: impl FnMut(&mut Self, [ir::Value; N]) -> ir::Value,
    ) -> Lanes {
        let mut scalars = SmallVec::<[ir::Value; 16]>::new();
        for lane in 0..result.lanes() {
            let args = std::array::from_fn(|k| {
                let (lanes, elem) = &operands[k];
                lanes.splat.unwrap_or_else(|| self.extract(lanes, *elem, lane))
            });
            scalars.push(f(self, args));
        }
        self.assemble(&scalars, result.elem())
    }

    /// A vector from its lanes.
    pub(super) fn assemble(&mut self, scalars: &[ir::Value], elem: Elem) -> Lanes {
        let per_piece = lanes_per_piece(elem);
        let mut pieces = SmallVec::new();
        for group in scalars.chunks(per_piece) {
            let first = self.lane_bits(group[0], elem);
            let mut piece = self.fb.ins().scalar_to_vector(piece_type(elem), first);
            for (i, &x) in group.iter().enumerate().skip(1) {
                let x = self.lane_bits(x, elem);
                piece = self.fb.ins().insertlane(piece, x, lane_immediate(i));
            }
            pieces.push(piece);
        }
        Lanes::vector(pieces)
    }

    /// A scalar as it stands in a piece: a `bool` becomes a 32-bit mask.
    fn lane_bits(&mut self, x: ir::Value, elem: Elem) -> ir::Value {
        if elem == Elem::Bool { self.fb.ins().bmask(types::I32, x) } else { x }
    }

    /// One lane as a scalar.
    pub(super) fn extract(&mut self, a: &Lanes, elem: Elem, lane: u16) -> ir::Value {
        let (piece, within) = split(elem, lane);
        let x = self.fb.ins().extractlane(a.pieces[piece], lane_immediate(within));
        if elem == Elem::Bool {
            let zero = self.fb.ins().iconst(types::I32, 0);
            self.fb.ins().icmp(IntCC::NotEqual, x, zero)
        } else {
            x
        }
    }

    /// The vector with one lane replaced.
    pub(super) fn insert(&mut self, mut a: Lanes, elem: Elem, x: ir::Value, lane: u16) -> Lanes {
        let (piece, within) = split(elem, lane);
        let x = self.lane_bits(x, elem);
        a.pieces[piece] = self.fb.ins().insertlane(a.pieces[piece], x, lane_immediate(within));
        a.splat = None;
        a
    }

    /// A scalar in every lane.
    pub(super) fn splat(&mut self, scalar: ir::Value, ty: Ty) -> Lanes {
        let bits = self.lane_bits(scalar, ty.elem());
        let piece = self.fb.ins().splat(piece_type(ty.elem()), bits);
        Lanes { pieces: smallvec![piece; piece_count(ty)], splat: Some(scalar) }
    }

    /// 0, 1, 2 ... as `i32`.
    pub(super) fn iota(&mut self, ty: Ty) -> Lanes {
        let pieces = (0..piece_count(ty))
            .map(|p| {
                let bytes: Vec<u8> = (0..4u32).flat_map(|l| (small(p) * 4 + l).to_le_bytes()).collect();
                self.vector_constant(types::I32X4, &bytes)
            })
            .collect();
        Lanes::vector(pieces)
    }
}

/// Piece that holds a lane, and the lane's number in it.
fn split(elem: Elem, lane: u16) -> (usize, usize) {
    let per_piece = lanes_per_piece(elem);
    (usize::from(lane) / per_piece, usize::from(lane) % per_piece)
}

fn lane_immediate(lane: usize) -> u8 {
    u8::try_from(lane).unwrap_or(0)
}

/// A count of lanes or pieces; those are small by the verifier's rules.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(0)
}
