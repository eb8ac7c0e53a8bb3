//! Movement of lanes between and within pieces, masks of other widths, transposition, reductions.

use cranelift_codegen::ir::{self, InstBuilder, types};
use smallvec::{SmallVec, smallvec};
use weft_ir::loops::{Binary, Elem, Reduction, Ty, Value};

use super::lanes::{lanes_per_piece, piece_type};
use super::memory::little_endian;
use super::{Emit, Emitter, Lanes};

impl Emitter<'_, '_> {
    /// Bytes of two 128-bit values picked by number (0 to 31), as `ty`.
    fn shuffle_bytes(&mut self, ty: ir::Type, a: ir::Value, b: ir::Value, bytes: [u8; 16]) -> ir::Value {
        let mask = self.fb.func.dfg.immediates.push(ir::ConstantData::from(&bytes[..]));
        let a = self.fb.ins().bitcast(types::I8X16, little_endian(), a);
        let b = self.fb.ins().bitcast(types::I8X16, little_endian(), b);
        let picked = self.fb.ins().shuffle(a, b, mask);
        self.fb.ins().bitcast(ty, little_endian(), picked)
    }

    /// Four 32-bit lanes of two 128-bit values picked by number (0 to 7), as `ty`.
    fn shuffle_words(&mut self, ty: ir::Type, a: ir::Value, b: ir::Value, lanes: [u8; 4]) -> ir::Value {
        let bytes = std::array::from_fn(|i| {
            let byte = u8::try_from(i % 4).unwrap_or(0);
            lanes[i / 4] * 4 + byte
        });
        self.shuffle_bytes(ty, a, b, bytes)
    }

    /// Two 64-bit lanes of two 128-bit values picked by number (0 to 3), as `ty`.
    fn shuffle_doubles(&mut self, ty: ir::Type, a: ir::Value, b: ir::Value, lanes: [u8; 2]) -> ir::Value {
        self.shuffle_words(ty, a, b, [lanes[0] * 2, lanes[0] * 2 + 1, lanes[1] * 2, lanes[1] * 2 + 1])
    }

    /// Any shuffle: a result piece that draws on at most two pieces is one instruction, others are assembled.
    pub(super) fn shuffle(&mut self, elem: Elem, a: &Lanes, b: &Lanes, lanes: &[u16]) -> Lanes {
        let per_piece = lanes_per_piece(elem);
        let all: SmallVec<[ir::Value; 16]> = a.pieces.iter().chain(&b.pieces).copied().collect();
        let mut pieces = SmallVec::new();
        for group in lanes.chunks(per_piece) {
            let mut sources = SmallVec::<[usize; 4]>::new();
            for &lane in group {
                let source = usize::from(lane) / per_piece;
                if !sources.contains(&source) {
                    sources.push(source);
                }
            }
            if sources.len() > 2 {
                let whole = Lanes::vector(all.iter().copied().collect());
                let scalars: SmallVec<[ir::Value; 4]> =
                    group.iter().map(|&lane| self.extract(&whole, elem, lane)).collect();
                pieces.push(self.assemble(&scalars, elem).pieces[0]);
                continue;
            }
            let (first, second) = (sources[0], *sources.last().unwrap_or(&sources[0]));
            let place = |lane: u16| {
                let (source, within) = (usize::from(lane) / per_piece, usize::from(lane) % per_piece);
                let side = if source == first { 0 } else { per_piece };
                u8::try_from(side + within).unwrap_or(0)
            };
            let (ty, x, y) = (piece_type(elem), all[first], all[second]);
            pieces.push(if per_piece == 4 {
                self.shuffle_words(ty, x, y, std::array::from_fn(|i| place(group[i])))
            } else {
                self.shuffle_doubles(ty, x, y, std::array::from_fn(|i| place(group[i])))
            });
        }
        Lanes::vector(pieces)
    }

    /// 64-bit masks, two to a piece, as 32-bit masks, four to a piece.
    pub(super) fn narrow_mask(&mut self, mask: &Lanes) -> Lanes {
        let pieces = mask
            .pieces
            .chunks(2)
            .map(|pair| self.shuffle_words(types::I32X4, pair[0], pair[pair.len() - 1], [0, 2, 4, 6]))
            .collect();
        Lanes::vector(pieces)
    }

    /// 32-bit masks as 64-bit masks.
    pub(super) fn widen_mask(&mut self, mask: &Lanes) -> Lanes {
        let mut pieces = SmallVec::new();
        for &m in &mask.pieces {
            pieces.push(self.shuffle_words(types::I64X2, m, m, [0, 0, 1, 1]));
            pieces.push(self.shuffle_words(types::I64X2, m, m, [2, 2, 3, 3]));
        }
        Lanes::vector(pieces)
    }

    /// The upper two 32-bit lanes moved down.
    pub(super) fn high_half(&mut self, ty: ir::Type, a: ir::Value) -> ir::Value {
        self.shuffle_doubles(ty, a, a, [1, 1])
    }

    /// The lower halves of two values side by side.
    pub(super) fn low_halves(&mut self, ty: ir::Type, a: ir::Value, b: ir::Value) -> ir::Value {
        self.shuffle_doubles(ty, a, b, [0, 2])
    }

    /// Transposes a 4 x 4 block of 32-bit lanes.
    pub(super) fn transpose(&mut self, ty: ir::Type, r: [ir::Value; 4]) -> [ir::Value; 4] {
        let t0 = self.shuffle_words(ty, r[0], r[1], [0, 4, 1, 5]);
        let t1 = self.shuffle_words(ty, r[2], r[3], [0, 4, 1, 5]);
        let t2 = self.shuffle_words(ty, r[0], r[1], [2, 6, 3, 7]);
        let t3 = self.shuffle_words(ty, r[2], r[3], [2, 6, 3, 7]);
        [
            self.shuffle_doubles(ty, t0, t1, [0, 2]),
            self.shuffle_doubles(ty, t0, t1, [1, 3]),
            self.shuffle_doubles(ty, t2, t3, [0, 2]),
            self.shuffle_doubles(ty, t2, t3, [1, 3]),
        ]
    }

    pub(super) fn reduce(&mut self, op: Reduction, a: Value) -> Emit<Lanes> {
        let of = self.ty(a);
        let elem = of.elem();
        let a = self.lanes(a)?;
        let binary = match op {
            Reduction::Add => Binary::Add,
            Reduction::Min => Binary::Min,
            Reduction::Max => Binary::Max,
            Reduction::Any | Reduction::All => return Ok(self.reduce_mask(op, &a)),
        };
        // Partial results p0 .. p3 by lane number modulo 4: one piece of 32-bit lanes, two of 64-bit lanes.
        let per_group = 4 / lanes_per_piece(elem);
        let mut partial: SmallVec<[Lanes; 2]> =
            a.pieces[..per_group].iter().map(|&p| Lanes::vector(smallvec![p])).collect();
        let one_piece = Ty::vector(elem, 4);
        for group in a.pieces[per_group..].chunks(per_group) {
            for (slot, &piece) in partial.iter_mut().zip(group) {
                *slot = self.combine(binary, one_piece, slot.clone(), Lanes::vector(smallvec![piece]));
            }
        }
        let ty = piece_type(elem);
        // (p0 . p2, p1 . p3) in the lower lanes of one piece.
        let low = partial[0].clone();
        let high = match partial.get(1) {
            Some(high) => high.clone(),
            None => Lanes::vector(smallvec![self.high_half(ty, low.pieces[0])]),
        };
        let pair = self.combine(binary, one_piece, low, high);
        let x = self.fb.ins().extractlane(pair.pieces[0], 0);
        let y = self.fb.ins().extractlane(pair.pieces[0], 1);
        Ok(self.combine(binary, Ty::scalar(elem), Lanes::scalar(x), Lanes::scalar(y)))
    }

    fn combine(&mut self, op: Binary, ty: Ty, x: Lanes, y: Lanes) -> Lanes {
        let float = ty.elem().is_float();
        match op {
            Binary::Add => self.zip([x, y], |fb, [a, b]| if float { fb.ins().fadd(a, b) } else { fb.ins().iadd(a, b) }),
            _ => self.extremum(op == Binary::Max, ty, x, y),
        }
    }

    fn reduce_mask(&mut self, op: Reduction, a: &Lanes) -> Lanes {
        let mut all = a.pieces[0];
        for &piece in &a.pieces[1..] {
            all = if op == Reduction::Any { self.fb.ins().bor(all, piece) } else { self.fb.ins().band(all, piece) };
        }
        let bit = if op == Reduction::Any { self.fb.ins().vany_true(all) } else { self.fb.ins().vall_true(all) };
        Lanes::scalar(bit)
    }
}
