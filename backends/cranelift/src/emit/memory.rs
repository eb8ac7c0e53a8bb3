//! Addresses, loads and stores.
//!
//! bf16 memory holds the upper halves of f32 values: a load shifts them up, a store rounds to nearest, ties to even.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, types};
use smallvec::{SmallVec, smallvec};
use weft_ir::loops::{Elem, Pattern, Place, Reference, Ty, Value};

use super::lanes::{lanes_per_piece, piece_count, piece_type, scalar_type};
use super::{Emit, Emitter, Lanes};

/// Memory accesses cannot trap (ranges are checked before the launch) and promise no alignment.
fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

impl Emitter<'_, '_> {
    /// `base + offset` for a constant offset.
    pub(super) fn offset_bytes(&mut self, base: ir::Value, offset: i64) -> ir::Value {
        if offset == 0 { base } else { self.fb.ins().iadd_imm_s(base, offset) }
    }

    fn scale(elem: Elem) -> i64 {
        i64::from(elem.bytes().trailing_zeros())
    }

    /// Base address and constant byte offset of a place.
    pub(super) fn address(&mut self, place: Place) -> Emit<(ir::Value, i64)> {
        let elem = self.ty(place.ptr).elem();
        let mut base = self.scalar(place.ptr)?;
        if let Some(index) = place.index {
            let index = self.scalar(index)?;
            let bytes = if Self::scale(elem) == 0 { index } else { self.fb.ins().ishl_imm_u(index, Self::scale(elem)) };
            base = self.fb.ins().iadd(base, bytes);
        }
        let offset = place.offset.wrapping_mul(1 << Self::scale(elem));
        Ok((base, offset))
    }

    /// Base and offset such that the offset and a whole register block behind it fit an instruction's displacement.
    fn displacement(&mut self, base: ir::Value, offset: i64) -> (ir::Value, i32) {
        match i32::try_from(offset) {
            Ok(small) if (-(1 << 30)..(1 << 30)).contains(&small) => (base, small),
            _ => (self.offset_bytes(base, offset), 0),
        }
    }

    pub(super) fn load(&mut self, r: &Reference, ty: Ty) -> Emit<Lanes> {
        let (base, offset) = self.address(r.place)?;
        let (base, offset) = self.displacement(base, offset);
        let elem = self.ty(r.place.ptr).elem();
        if let Some(mask) = r.mask {
            return self.masked_load(r, mask, ty, base, offset);
        }
        if !ty.is_vector() {
            return Ok(Lanes::scalar(self.load_scalar(elem, base, offset)));
        }
        match r.pattern {
            Pattern::Contiguous if elem == Elem::Bool => self.load_bools(ty, base, offset),
            Pattern::Contiguous if elem == Elem::Bf16 => Ok(self.load_bf16(ty, base, offset)),
            Pattern::Splat if elem == Elem::Bf16 => Ok(self.splat_bf16(ty, base, offset)),
            Pattern::Contiguous => {
                let pieces = (0..piece_count(ty))
                    .map(|i| self.fb.ins().load(piece_type(elem), flags(), base, offset + 16 * small(i)))
                    .collect();
                Ok(Lanes::vector(pieces))
            }
            Pattern::Splat => {
                let x = self.load_scalar(elem, base, offset);
                // Not remembered as a splat of `x`: a second use of the scalar would keep it from becoming one
                // broadcasting load.
                let lanes = self.splat(x, ty);
                Ok(Lanes { splat: None, ..lanes })
            }
            Pattern::Strided(_) | Pattern::Indexed(_) => {
                let mut scalars = SmallVec::<[ir::Value; 16]>::new();
                let mut lanes = LaneAddresses::new(self, r, elem, base, offset)?;
                for lane in 0..ty.lanes() {
                    let (base, offset) = lanes.next(self, lane);
                    scalars.push(self.load_scalar(elem, base, offset));
                }
                Ok(self.assemble(&scalars, elem.in_register()))
            }
        }
    }

    fn load_scalar(&mut self, elem: Elem, base: ir::Value, offset: i32) -> ir::Value {
        if elem == Elem::Bf16 {
            let half = self.fb.ins().uload16(types::I32, flags(), base, offset);
            let bits = self.fb.ins().ishl_imm_u(half, 16);
            return self.fb.ins().bitcast(types::F32, MemFlagsData::new(), bits);
        }
        let x = self.fb.ins().load(scalar_type(elem), flags(), base, offset);
        // A byte from outside counts as true if it is not 0.
        if elem == Elem::Bool { self.fb.ins().icmp_imm_u(IntCC::NotEqual, x, 0) } else { x }
    }

    /// Four halves at a time become four floats.
    fn load_bf16(&mut self, ty: Ty, base: ir::Value, offset: i32) -> Lanes {
        Lanes::vector((0..piece_count(ty)).map(|i| self.load_bf16_piece(base, offset + 8 * small(i))).collect())
    }

    fn load_bf16_piece(&mut self, base: ir::Value, offset: i32) -> ir::Value {
        let halves = self.fb.ins().uload16x4(flags(), base, offset);
        self.upper_halves(halves)
    }

    /// One element in every lane: broadcast as it lies in memory, then shifted.
    fn splat_bf16(&mut self, ty: Ty, base: ir::Value, offset: i32) -> Lanes {
        let half = self.fb.ins().load(types::I16, flags(), base, offset);
        let halves = self.fb.ins().splat(types::I16X8, half);
        let halves = self.fb.ins().bitcast(types::I32X4, little_endian(), halves);
        let piece = self.upper_halves(halves);
        Lanes::vector(smallvec![piece; piece_count(ty)])
    }

    /// The floats whose upper halves are the lower halves of the lanes.
    fn upper_halves(&mut self, halves: ir::Value) -> ir::Value {
        let bits = self.fb.ins().ishl_imm_u(halves, 16);
        self.fb.ins().bitcast(types::F32X4, little_endian(), bits)
    }

    /// The bits of floats, scalar or four, rounded to their upper halves and shifted down: integers from 0 to `ffff`.
    fn rounded_bf16(&mut self, x: ir::Value) -> ir::Value {
        let vector = self.fb.func.dfg.value_type(x).is_vector();
        let ty = if vector { types::I32X4 } else { types::I32 };
        let bits = self.fb.ins().bitcast(ty, little_endian(), x);
        let constant = |e: &mut Self, n: i32| {
            if vector {
                e.vector_constant(types::I32X4, &n.to_le_bytes().repeat(4))
            } else {
                e.fb.ins().iconst(types::I32, i64::from(n))
            }
        };
        let (one, half, nan) = (constant(self, 1), constant(self, 0x7fff), constant(self, 0x7fc0));
        let odd = self.fb.ins().ushr_imm_u(bits, 16);
        let odd = self.fb.ins().band(odd, one);
        let sum = self.fb.ins().iadd(bits, half);
        let sum = self.fb.ins().iadd(sum, odd);
        let rounded = self.fb.ins().ushr_imm_u(sum, 16);
        let unordered = self.fb.ins().fcmp(FloatCC::Unordered, x, x);
        if vector {
            self.fb.ins().bitselect(unordered, nan, rounded)
        } else {
            self.fb.ins().select(unordered, nan, rounded)
        }
    }

    fn store_scalar(&mut self, elem: Elem, x: ir::Value, base: ir::Value, offset: i32) {
        if elem == Elem::Bf16 {
            let bits = self.rounded_bf16(x);
            self.fb.ins().istore16(flags(), bits, base, offset);
        } else {
            self.fb.ins().store(flags(), x, base, offset);
        }
    }

    /// Adjacent pieces of any type but `bool`.
    fn store_pieces(&mut self, elem: Elem, pieces: &[ir::Value], base: ir::Value, offset: i32) {
        if elem != Elem::Bf16 {
            for (i, &piece) in pieces.iter().enumerate() {
                self.fb.ins().store(flags(), piece, base, offset + 16 * small(i));
            }
            return;
        }
        for (i, pair) in pieces.chunks(2).enumerate() {
            let at = offset + 16 * small(i);
            let first = self.rounded_bf16(pair[0]);
            let second = if pair.len() == 2 { self.rounded_bf16(pair[1]) } else { first };
            let halves = self.fb.ins().unarrow(first, second);
            if pair.len() == 2 {
                self.fb.ins().store(flags(), halves, base, at);
            } else {
                let words = self.fb.ins().bitcast(types::I64X2, little_endian(), halves);
                let low = self.fb.ins().extractlane(words, 0);
                self.fb.ins().store(flags(), low, base, at);
            }
        }
    }

    /// Four bytes become four 32-bit masks.
    fn load_bools(&mut self, ty: Ty, base: ir::Value, offset: i32) -> Emit<Lanes> {
        let mut pieces = SmallVec::new();
        for i in 0..piece_count(ty) {
            let bytes = self.fb.ins().load(types::I32, flags(), base, offset + 4 * small(i));
            let v = self.fb.ins().scalar_to_vector(types::I32X4, bytes);
            let v = self.fb.ins().bitcast(types::I8X16, little_endian(), v);
            let v = self.fb.ins().uwiden_low(v);
            let v = self.fb.ins().uwiden_low(v);
            let zero = self.vector_constant(types::I32X4, &[0; 16]);
            pieces.push(self.fb.ins().icmp(IntCC::NotEqual, v, zero));
        }
        Ok(Lanes::vector(pieces))
    }

    pub(super) fn store(&mut self, r: &Reference, value: Value) -> Emit<()> {
        let ty = self.ty(value);
        let elem = self.ty(r.place.ptr).elem();
        let x = self.lanes(value)?;
        let (base, offset) = self.address(r.place)?;
        let (base, offset) = self.displacement(base, offset);
        if let Some(mask) = r.mask {
            return self.masked_store(r, mask, ty, &x, base, offset);
        }
        match r.pattern {
            _ if !ty.is_vector() => {
                self.store_scalar(elem, x.pieces[0], base, offset);
            }
            Pattern::Contiguous if elem != Elem::Bool => self.store_pieces(elem, &x.pieces, base, offset),
            Pattern::Contiguous => self.store_bools(&x, base, offset),
            _ => {
                let mut lanes = LaneAddresses::new(self, r, elem, base, offset)?;
                for lane in 0..ty.lanes() {
                    let scalar = self.extract(&x, elem.in_register(), lane);
                    let (base, offset) = lanes.next(self, lane);
                    self.store_scalar(elem, scalar, base, offset);
                }
            }
        }
        Ok(())
    }

    /// Masks of 32 bits become bytes, 0 or 1, of which eight (or, of the last piece, four) are stored at once.
    fn store_bools(&mut self, x: &Lanes, base: ir::Value, offset: i32) {
        for (i, pair) in x.pieces.chunks(2).enumerate() {
            let (first, second) = (pair[0], pair[pair.len() - 1]);
            let words = self.fb.ins().snarrow(first, second);
            let bytes = self.fb.ins().snarrow(words, words);
            let ones = self.vector_constant(types::I8X16, &[1; 16]);
            let bits = self.fb.ins().band(bytes, ones);
            let (vector, at) = (if pair.len() == 2 { types::I64X2 } else { types::I32X4 }, offset + 8 * small(i));
            let lanes = self.fb.ins().bitcast(vector, little_endian(), bits);
            let low = self.fb.ins().extractlane(lanes, 0);
            self.fb.ins().store(flags(), low, base, at);
        }
    }

    /// Is every lane of the mask true? An `i8`.
    fn all_true(&mut self, mask: &Lanes, ty: Ty) -> ir::Value {
        if !ty.is_vector() {
            return mask.pieces[0];
        }
        let mut all = mask.pieces[0];
        for &piece in &mask.pieces[1..] {
            all = self.fb.ins().band(all, piece);
        }
        self.fb.ins().vall_true(all)
    }

    /// Whole-vector load where all lanes are on; else lane by lane, each behind its own branch.
    fn masked_load(&mut self, r: &Reference, mask: Value, ty: Ty, base: ir::Value, offset: i32) -> Emit<Lanes> {
        let memory = self.ty(r.place.ptr).elem();
        let elem = ty.elem();
        let mask = self.lanes(mask)?;
        let (full, partial, done) = (self.fb.create_block(), self.fb.create_block(), self.fb.create_block());
        let clif = self.clif_type(ty);
        let results: SmallVec<[cranelift_frontend::Variable; 4]> =
            (0..piece_count(ty)).map(|_| self.fb.declare_var(clif)).collect();
        let all = self.all_true(&mask, ty);
        self.fb.ins().brif(all, full, &[], partial, &[]);

        self.fb.seal_block(full);
        self.fb.switch_to_block(full);
        let whole = self.load(&Reference { mask: None, ..*r }, ty)?;
        for (&var, &piece) in results.iter().zip(&whole.pieces) {
            self.fb.def_var(var, piece);
        }
        self.fb.ins().jump(done, &[]);

        self.fb.seal_block(partial);
        self.fb.switch_to_block(partial);
        let zero = if elem.is_float() {
            weft_ir::loops::Const::Float(0.0)
        } else if elem == Elem::Bool {
            weft_ir::loops::Const::Bool(false)
        } else {
            weft_ir::loops::Const::Int(0)
        };
        let zeros = self.constant(ty, zero);
        for (&var, &piece) in results.iter().zip(&zeros.pieces) {
            self.fb.def_var(var, piece);
        }
        let mut lanes = LaneAddresses::new(self, r, memory, base, offset)?;
        for lane in 0..ty.lanes() {
            let (base, offset) = lanes.next(self, lane);
            self.when_lane(&mask, ty, lane, |e| {
                let x = e.load_scalar(memory, base, offset);
                if ty.is_vector() {
                    let slot = usize::from(lane) / lanes_per_piece(elem);
                    let pieces: SmallVec<[ir::Value; 4]> = results.iter().map(|&v| e.fb.use_var(v)).collect();
                    let with = e.insert(Lanes::vector(pieces), elem, x, lane);
                    e.fb.def_var(results[slot], with.pieces[slot]);
                } else {
                    e.fb.def_var(results[0], x);
                }
            });
        }
        self.fb.ins().jump(done, &[]);

        self.fb.seal_block(done);
        self.fb.switch_to_block(done);
        let pieces = results.iter().map(|&v| self.fb.use_var(v)).collect();
        Ok(Lanes::vector(pieces))
    }

    fn masked_store(
        &mut self,
        r: &Reference,
        mask: Value,
        ty: Ty,
        x: &Lanes,
        base: ir::Value,
        offset: i32,
    ) -> Emit<()> {
        let elem = self.ty(r.place.ptr).elem();
        let mask = self.lanes(mask)?;
        let (full, partial, done) = (self.fb.create_block(), self.fb.create_block(), self.fb.create_block());
        let all = self.all_true(&mask, ty);
        let wide = r.pattern == Pattern::Contiguous && elem != Elem::Bool && ty.is_vector();
        if wide {
            self.fb.ins().brif(all, full, &[], partial, &[]);
        } else {
            self.fb.ins().jump(partial, &[]);
        }
        self.fb.seal_block(full);
        self.fb.switch_to_block(full);
        if wide {
            self.store_pieces(elem, &x.pieces, base, offset);
        }
        self.fb.ins().jump(done, &[]);

        self.fb.seal_block(partial);
        self.fb.switch_to_block(partial);
        let mut lanes = LaneAddresses::new(self, r, elem, base, offset)?;
        for lane in 0..ty.lanes() {
            let (base, offset) = lanes.next(self, lane);
            self.when_lane(&mask, ty, lane, |e| {
                let scalar = if ty.is_vector() { e.extract(x, ty.elem(), lane) } else { x.pieces[0] };
                e.store_scalar(elem, scalar, base, offset);
            });
        }
        self.fb.ins().jump(done, &[]);
        self.fb.seal_block(done);
        self.fb.switch_to_block(done);
        Ok(())
    }

    /// Code that runs if one lane of a mask is true.
    fn when_lane(&mut self, mask: &Lanes, ty: Ty, lane: u16, then: impl FnOnce(&mut Self)) {
        let on = if ty.is_vector() { self.extract(mask, Elem::Bool, lane) } else { mask.pieces[0] };
        let (inside, after) = (self.fb.create_block(), self.fb.create_block());
        self.fb.ins().brif(on, inside, &[], after, &[]);
        self.fb.seal_block(inside);
        self.fb.switch_to_block(inside);
        then(self);
        self.fb.ins().jump(after, &[]);
        self.fb.seal_block(after);
        self.fb.switch_to_block(after);
    }

    pub(super) fn load_block(&mut self, columns: [Value; 4], place: Place, stride: Value) -> Emit<()> {
        let ty = self.ty(columns[0]);
        let piece = piece_type(ty.elem());
        let narrow = self.ty(place.ptr).elem() == Elem::Bf16;
        let mut rows = self.rows(place, stride)?;
        let mut pieces: [SmallVec<[ir::Value; 4]>; 4] = std::array::from_fn(|_| smallvec![]);
        for _ in 0..piece_count(ty) {
            let block = std::array::from_fn(|_| {
                let (base, offset) = rows.next(self);
                if narrow {
                    self.load_bf16_piece(base, offset)
                } else {
                    self.fb.ins().load(piece, flags(), base, offset)
                }
            });
            let block = self.transpose(piece, block);
            pieces.iter_mut().zip(block).for_each(|(column, p)| column.push(p));
        }
        for (column, pieces) in columns.into_iter().zip(pieces) {
            self.define(column, Lanes::vector(pieces));
        }
        Ok(())
    }

    pub(super) fn store_block(&mut self, columns: [Value; 4], place: Place, stride: Value) -> Emit<()> {
        let ty = self.ty(columns[0]);
        let piece = piece_type(ty.elem());
        let elem = self.ty(place.ptr).elem();
        let mut rows = self.rows(place, stride)?;
        let mut sources = Vec::with_capacity(4);
        for column in columns {
            sources.push(self.lanes(column)?);
        }
        for i in 0..piece_count(ty) {
            let block = self.transpose(piece, std::array::from_fn(|j| sources[j].pieces[i]));
            for row in block {
                let (base, offset) = rows.next(self);
                self.store_pieces(elem, &[row], base, offset);
            }
        }
        Ok(())
    }

    fn rows(&mut self, place: Place, stride: Value) -> Emit<Rows> {
        let elem = self.ty(place.ptr).elem();
        let (base, offset) = self.address(place)?;
        let (base, offset) = self.displacement(base, offset);
        let known = self.ints.get(&stride).and_then(|s| s.checked_mul(1 << Self::scale(elem)));
        let stride = self.scalar(stride)?;
        let stride = self.fb.ins().ishl_imm_u(stride, Self::scale(elem));
        Ok(Rows { base, offset, stride, known, row: 0 })
    }
}

/// Addresses of equally spaced rows: constant displacements where the stride is known, else a running pointer.
struct Rows {
    base: ir::Value,
    offset: i32,
    stride: ir::Value,
    known: Option<i64>,
    row: i64,
}

impl Rows {
    fn next(&mut self, e: &mut Emitter<'_, '_>) -> (ir::Value, i32) {
        let row = self.row;
        self.row += 1;
        let displacement =
            self.known.and_then(|s| s.checked_mul(row)).and_then(|d| d.checked_add(i64::from(self.offset)));
        if let Some(d) = displacement.and_then(|d| i32::try_from(d).ok()) {
            return (self.base, d);
        }
        // Once a displacement does not fit, none of the later ones do, and a pointer runs from row 0.
        self.known = None;
        if row == 0 {
            return (self.base, self.offset);
        }
        let at = e.fb.ins().imul_imm_s(self.stride, row);
        (e.fb.ins().iadd(self.base, at), self.offset)
    }
}

/// Addresses of the lanes of an access.
enum LaneAddresses {
    Rows(Rows),
    Indexed { base: ir::Value, offset: i32, indices: Lanes, scale: i64 },
}

impl LaneAddresses {
    fn new(e: &mut Emitter<'_, '_>, r: &Reference, elem: Elem, base: ir::Value, offset: i32) -> Emit<Self> {
        let scale = Emitter::scale(elem);
        Ok(match r.pattern {
            Pattern::Contiguous | Pattern::Splat => {
                let step = if r.pattern == Pattern::Splat { 0 } else { 1 << scale };
                Self::Rows(Rows { base, offset, stride: base, known: Some(step), row: 0 })
            }
            Pattern::Strided(stride) => {
                let known = e.ints.get(&stride).and_then(|s| s.checked_mul(1 << scale));
                let stride = e.scalar(stride)?;
                let stride = e.fb.ins().ishl_imm_u(stride, scale);
                Self::Rows(Rows { base, offset, stride, known, row: 0 })
            }
            Pattern::Indexed(indices) => Self::Indexed { base, offset, indices: e.lanes(indices)?, scale },
        })
    }

    fn next(&mut self, e: &mut Emitter<'_, '_>, lane: u16) -> (ir::Value, i32) {
        match self {
            Self::Rows(rows) => rows.next(e),
            Self::Indexed { base, offset, indices, scale } => {
                let index = e.extract(indices, Elem::I32, lane);
                let index = e.fb.ins().sextend(types::I64, index);
                let bytes = e.fb.ins().ishl_imm_u(index, *scale);
                (e.fb.ins().iadd(*base, bytes), *offset)
            }
        }
    }
}

/// Bit casts that change the number of lanes must name a byte order.
pub(super) fn little_endian() -> MemFlagsData {
    MemFlagsData::new().with_endianness(ir::Endianness::Little)
}

/// A piece number as a displacement factor; there are at most 32 pieces.
fn small(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(0)
}
