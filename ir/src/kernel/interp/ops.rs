//! Tile code: one arm per op.

use std::rc::Rc;

use super::super::ids::{AxisSet, ScratchId};
use super::super::ops::{Access, AccumMode, Inst, Monoid, OpCode, Place};
use super::super::types::{ElemType, Type};
use super::env::{Env, to_index};
use super::tile::{Tile, Walk};
use super::{Fault, Run, RunErrorKind, fault};
use crate::elementwise::MapFn;

/// Rounds to an element type. bf16: to nearest, ties to even.
fn rounded(elem: ElemType, x: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
    let single = x as f32;
    match elem {
        ElemType::F32 => f64::from(single),
        ElemType::Bf16 if single.is_finite() => {
            let bits = single.to_bits();
            let even = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
            f64::from(f32::from_bits(even))
        }
        _ => x,
    }
}

/// The neutral element of a monoid, and its operation.
pub(super) fn monoid(m: Monoid) -> (f64, fn(f64, f64) -> f64) {
    fn max(a: f64, b: f64) -> f64 {
        MapFn::Max.eval(&[a, b])
    }
    fn min(a: f64, b: f64) -> f64 {
        MapFn::Min.eval(&[a, b])
    }
    match m {
        Monoid::Prod | Monoid::Affine => (1.0, |a, b| a * b),
        Monoid::Max | Monoid::ArgMax => (f64::NEG_INFINITY, max),
        Monoid::Min | Monoid::ArgMin => (f64::INFINITY, min),
        Monoid::Any => (0.0, max),
        Monoid::All => (1.0, min),
        Monoid::Sum => (0.0, |a, b| a + b),
    }
}

impl<'a> Env<'a> {
    /// Runs one statement of tile code.
    pub(super) fn inst(&mut self, inst: &'a Inst) -> Run<()> {
        let kernel = self.kernel;
        let mut out = Vec::new();
        for r in &inst.results {
            let Some(ty) = kernel.value_type(*r) else {
                return fault(RunErrorKind::Malformed, "a result is not declared");
            };
            self.size_of(ty.axes)?;
            out.push((Tile::undefined(ty.axes, &self.axis_extents), ty));
        }
        let args = inst.args.iter().map(|a| self.tile(*a)).collect::<Run<Vec<_>>>()?;
        self.compute(inst, &args, &mut out)?;
        for (r, (mut tile, ty)) in inst.results.iter().zip(out) {
            if self.options.round && ty.elem.is_float() {
                tile.data.iter_mut().for_each(|x| *x = rounded(ty.elem, *x));
            }
            self.set_value(*r, Rc::new(tile));
        }
        Ok(())
    }

    /// Fills the first result, element by element.
    fn fill(&self, out: &mut [(Tile, Type)], mut element: impl FnMut(&[i64]) -> Run<f64>) -> Run<()> {
        let Some((tile, ty)) = out.first_mut() else { return Ok(()) };
        let mut walk = Walk::new(ty.axes, &self.axis_extents, &self.origin());
        while walk.next() {
            let x = element(&walk.coords)?;
            tile.set(&walk.coords, x);
        }
        Ok(())
    }

    /// Calls `f` for all elements of `axes`, other coordinates as in `at`.
    pub(super) fn each(&self, axes: AxisSet, at: &[i64], mut f: impl FnMut(&[i64]) -> Run<()>) -> Run<()> {
        let mut walk = Walk::new(axes, &self.axis_extents, at);
        while walk.next() {
            f(&walk.coords)?;
        }
        Ok(())
    }

    fn compute(&mut self, inst: &'a Inst, args: &[Rc<Tile>], out: &mut [(Tile, Type)]) -> Run<()> {
        let attrs = &inst.attrs;
        let guard = &attrs.guard;
        let over = attrs.over;
        let arg = |i: usize, c: &[i64]| args.get(i).map_or(f64::NAN, |t| t.get(c));
        match inst.op {
            OpCode::Index => {
                let Some(at) = &attrs.at else { return Ok(()) };
                #[expect(clippy::cast_precision_loss, reason = "positions are far below 2^53")]
                self.fill(out, |c| Ok(self.eval(at, c)? as f64))
            }
            OpCode::Fill => self.fill(out, |_| Ok(attrs.value.map_or(f64::NAN, |v| v.as_f64()))),
            OpCode::Load | OpCode::TableRead => {
                let Some(access) = &attrs.access else { return Ok(()) };
                let otherwise = attrs.otherwise.map_or(f64::NAN, |v| v.as_f64());
                let Some((tile, ty)) = out.first_mut() else { return Ok(()) };
                let mut walk = Walk::new(ty.axes, &self.axis_extents, &self.origin());
                while walk.next() {
                    let x = if self.holds(guard, &walk.coords)? { self.read(access, &walk.coords)? } else { otherwise };
                    tile.set(&walk.coords, x);
                }
                Ok(())
            }
            OpCode::Store | OpCode::Accum | OpCode::TableSet | OpCode::TableAdd | OpCode::Hist => {
                self.write(inst, args)
            }
            OpCode::Map => {
                let Some(function) = attrs.function else { return Ok(()) };
                if matches!(function, MapFn::Exp | MapFn::Exp2) {
                    self.counts.exps += out.first().map_or(0, |(t, _)| t.data.len() as u64);
                }
                let mut xs = vec![0.0; args.len()];
                self.fill(out, |c| {
                    xs.iter_mut().zip(args).for_each(|(x, t)| *x = t.get(c));
                    Ok(function.eval(&xs))
                })
            }
            OpCode::Cast => {
                let elem = out.first().map_or(ElemType::F64, |(_, t)| t.elem);
                let from = inst.args.first().and_then(|v| self.kernel.value_type(*v)).map_or(elem, |t| t.elem);
                self.fill(out, |c| {
                    let x = arg(0, c);
                    Ok(match elem {
                        ElemType::Bool if x.is_nan() => x,
                        ElemType::Bool => f64::from(u8::from(x != 0.0)),
                        _ if elem.is_int() && from.is_float() => x.floor(),
                        _ => x,
                    })
                })
            }
            OpCode::Select => self.fill(out, |c| {
                let cond = arg(0, c);
                Ok(if cond.is_nan() { f64::NAN } else { arg(if cond == 0.0 { 2 } else { 1 }, c) })
            }),
            OpCode::Expand => self.fill(out, |c| Ok(arg(0, c))),
            OpCode::Rename => {
                let (from, to) = (over.iter().next(), attrs.to);
                let (Some(from), Some(to)) = (from, to) else { return Ok(()) };
                self.fill(out, |c| {
                    let mut source = c.to_vec();
                    if let (Some(i), Some(slot)) = (c.get(to.index()), source.get_mut(from.index())) {
                        *slot = *i;
                    }
                    Ok(arg(0, &source))
                })
            }
            OpCode::Take => {
                let (Some(from), Some(at)) = (over.iter().next(), &attrs.at) else { return Ok(()) };
                let extent = self.axis_extents.get(from.index()).copied().unwrap_or(0);
                self.fill(out, |c| {
                    let i = self.eval(at, c)?;
                    if usize::try_from(i).is_ok_and(|i| i < extent) {
                        let mut source = c.to_vec();
                        if let Some(slot) = source.get_mut(from.index()) {
                            *slot = i;
                        }
                        return Ok(arg(0, &source));
                    }
                    fault(RunErrorKind::OutOfRange, format!("position {i} is outside 0..{extent}"))
                })
            }
            OpCode::Dot => {
                let all = out.first().map_or(over, |(_, t)| t.axes.union(over));
                self.counts.madds += self.size_of(all)?;
                if let (true, [a, b, ..]) = (guard.is_always(), args) {
                    // The hot loop of every plan: offsets instead of coordinates.
                    let (in_a, in_b) = (a.offsets(over, &self.axis_extents), b.offsets(over, &self.axis_extents));
                    return self.fill(out, |c| {
                        let (at_a, at_b) = (a.offset(c), b.offset(c));
                        let products = in_a.iter().zip(&in_b).map(|(i, j)| {
                            let x = a.data.get(at_a + i).copied().unwrap_or(f64::NAN);
                            x * b.data.get(at_b + j).copied().unwrap_or(f64::NAN)
                        });
                        let start = if args.len() > 2 { arg(2, c) } else { 0.0 };
                        Ok(products.fold(start, |sum, p| sum + p))
                    });
                }
                self.fill(out, |c| {
                    let mut sum = if args.len() > 2 { arg(2, c) } else { 0.0 };
                    self.each(over, c, |c| {
                        if self.holds(guard, c)? {
                            sum += arg(0, c) * arg(1, c);
                        }
                        Ok(())
                    })?;
                    Ok(sum)
                })
            }
            OpCode::Reduce => {
                let m = attrs.monoid.unwrap_or(Monoid::Sum);
                if matches!(m, Monoid::ArgMax | Monoid::ArgMin) {
                    return self.arg_reduce(inst, m, args, out);
                }
                let (neutral, fold) = monoid(m);
                self.fill(out, |c| {
                    let mut acc = neutral;
                    self.each(over, c, |c| {
                        if self.holds(guard, c)? {
                            acc = fold(acc, arg(0, c));
                        }
                        Ok(())
                    })?;
                    Ok(acc)
                })
            }
            OpCode::Scan => self.scan(inst, args, out),
            OpCode::Online => self.online(inst, args, out),
            OpCode::Rescale => self.fill(out, |c| {
                let (x, r) = (arg(0, c), arg(1, c));
                Ok(if r == 0.0 { 0.0 } else { x * r })
            }),
            OpCode::Merge => self.merge(args, out),
            OpCode::Combine => self.combine(inst, args, out),
            OpCode::TopK | OpCode::MergeTopK | OpCode::Compact | OpCode::RankCount | OpCode::Search => {
                self.selection(inst, args, out)
            }
        }
    }

    fn write(&mut self, inst: &'a Inst, args: &[Rc<Tile>]) -> Run<()> {
        let kernel = self.kernel;
        let Some(access) = &inst.attrs.access else { return Ok(()) };
        let guard = &inst.attrs.guard;
        let m = inst.attrs.monoid.unwrap_or(Monoid::Sum);
        let operand = inst.args.first().and_then(|v| kernel.value_type(*v));
        let axes = kernel
            .access_axes(access)
            .union(kernel.guard_axes(guard))
            .union(operand.map_or(AxisSet::EMPTY, |t| t.axes));
        self.size_of(axes)?;
        let mut walk = Walk::new(axes, &self.axis_extents, &self.origin());
        let mut seen = rustc_hash::FxHashSet::default();
        while walk.next() {
            let c = &walk.coords;
            if !self.holds(guard, c)? {
                continue;
            }
            let x = args.first().map_or(1.0, |t| t.get(c));
            match access.place {
                Place::Scratch(id) => {
                    let offset = self.scratch_offset(id, access, c)?;
                    if inst.op == OpCode::TableSet && !seen.insert(offset) {
                        return fault(
                            RunErrorKind::Overlap,
                            "two elements of a tile are written to one place of a scratch table",
                        );
                    }
                    let Some(slot) = self.scratch.get_mut(id.index()).and_then(|t| t.get_mut(offset)) else { continue };
                    *slot = if inst.op == OpCode::TableSet { x } else { monoid(m).1(*slot, x) };
                }
                Place::Buffer(id) => {
                    let index = access.index.iter().map(|e| self.eval(e, c)).collect::<Run<Vec<_>>>()?;
                    self.counts.bytes_written += self.plan.buffer(id).map_or(0, |b| b.elem.bytes());
                    let (plan, extents, point) = (self.plan, self.extents, self.point);
                    if inst.op == OpCode::Accum {
                        let mode = inst.attrs.mode.unwrap_or(AccumMode::Exclusive);
                        self.memory.accumulate(plan, extents, id, &index, x, point, mode, m)?;
                    } else {
                        self.memory.write(plan, extents, id, &index, x, point)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// One element of a buffer or a scratch table.
    pub(super) fn read(&mut self, access: &Access, coords: &[i64]) -> Run<f64> {
        match access.place {
            Place::Buffer(id) => {
                let index = access.index.iter().map(|e| self.eval(e, coords)).collect::<Run<Vec<_>>>()?;
                self.counts.bytes_read += self.plan.buffer(id).map_or(0, |b| b.elem.bytes());
                self.memory.read(self.plan, self.extents, id, &index, self.point)
            }
            Place::Scratch(id) => {
                let offset = self.scratch_offset(id, access, coords)?;
                let found = self.scratch.get(id.index()).and_then(|t| t.get(offset));
                found.copied().ok_or(Fault(RunErrorKind::Malformed, "no such scratch table".into()))
            }
        }
    }

    fn scratch_offset(&self, id: ScratchId, access: &Access, coords: &[i64]) -> Run<usize> {
        let Some(table) = self.kernel.scratch_table(id) else {
            return fault(RunErrorKind::Malformed, "no such scratch table");
        };
        let mut offset = 0usize;
        for (dim, index) in table.dims.iter().zip(&access.index) {
            let (n, i) = (self.scalar(dim)?, self.eval(index, coords)?);
            if i < 0 || i >= n {
                return fault(RunErrorKind::OutOfRange, format!("index {i} is outside 0..{n} in `{}`", table.name));
            }
            offset = offset * usize::try_from(n).unwrap_or(0) + usize::try_from(i).unwrap_or(0);
        }
        Ok(offset)
    }

    fn scan(&self, inst: &Inst, args: &[Rc<Tile>], out: &mut [(Tile, Type)]) -> Run<()> {
        let attrs = &inst.attrs;
        let m = attrs.monoid.unwrap_or(Monoid::Sum);
        let (Some((tile, ty)), Some(axis)) = (out.first_mut(), attrs.over.iter().next()) else { return Ok(()) };
        let extent = self.axis_extents.get(axis.index()).copied().unwrap_or(0);
        let scanned = 1 + usize::from(m == Monoid::Affine);
        let arg = |i: usize, c: &[i64]| args.get(i).map_or(f64::NAN, |t| t.get(c));
        let mut walk = Walk::new(ty.axes.minus(attrs.over), &self.axis_extents, &self.origin());
        while walk.next() {
            let neutral = if m == Monoid::Affine { 0.0 } else { monoid(m).0 };
            let mut state = if args.len() > scanned { arg(scanned, &walk.coords) } else { neutral };
            let mut c = walk.coords.clone();
            for step in 0..extent {
                let i = if attrs.rev { extent - 1 - step } else { step };
                if let Some(slot) = c.get_mut(axis.index()) {
                    *slot = i64::try_from(i).unwrap_or(0);
                }
                let next = match m {
                    // The restart of a recurrence (a = 0) forgets the state, whatever it is.
                    Monoid::Affine if arg(0, &c) == 0.0 => arg(1, &c),
                    Monoid::Affine => arg(0, &c) * state + arg(1, &c),
                    _ => monoid(m).1(state, arg(0, &c)),
                };
                tile.set(&c, if attrs.excl { state } else { next });
                state = next;
            }
        }
        Ok(())
    }

    fn online(&mut self, inst: &Inst, args: &[Rc<Tile>], out: &mut [(Tile, Type)]) -> Run<()> {
        let (guard, over) = (&inst.attrs.guard, inst.attrs.over);
        let [(max, row), (factor, _), (weight, all)] = out else { return Ok(()) };
        let arg = |i: usize, c: &[i64]| args.get(i).map_or(f64::NAN, |t| t.get(c));
        let size = self.size_of(all.axes)?;
        self.counts.pairs += size;
        self.counts.exps += size;
        let mut live = 0;
        let mut walk = Walk::new(row.axes, &self.axis_extents, &self.origin());
        while walk.next() {
            let old = arg(1, &walk.coords);
            let mut new = old;
            let mut held = Vec::new();
            self.each(over, &walk.coords, |c| {
                held.push(self.holds(guard, c)?);
                if held.last() == Some(&true) {
                    new = MapFn::Max.eval(&[new, arg(0, c)]);
                }
                Ok(())
            })?;
            live += held.iter().filter(|h| **h).count() as u64;
            max.set(&walk.coords, new);
            // Equal covers -inf on both sides, where the difference is NaN.
            factor.set(&walk.coords, if old == new { 1.0 } else { (old - new).exp() });
            let mut held = held.into_iter();
            self.each(over, &walk.coords, |c| {
                let on = held.next() == Some(true) && new != f64::NEG_INFINITY;
                weight.set(c, if on { (arg(0, c) - new).exp() } else { 0.0 });
                Ok(())
            })?;
        }
        self.counts.live_pairs += live;
        Ok(())
    }

    fn merge(&self, args: &[Rc<Tile>], out: &mut [(Tile, Type)]) -> Run<()> {
        let half = args.len() / 2;
        let arg = |i: usize, c: &[i64]| args.get(i).map_or(f64::NAN, |t| t.get(c));
        for (k, (tile, ty)) in out.iter_mut().enumerate() {
            let mut walk = Walk::new(ty.axes, &self.axis_extents, &self.origin());
            while walk.next() {
                let c = &walk.coords;
                let (m1, m2) = (arg(0, c), arg(half, c));
                let m = MapFn::Max.eval(&[m1, m2]);
                let x = if k == 0 { m } else { scaled(arg(k, c), m1, m) + scaled(arg(half + k, c), m2, m) };
                tile.set(c, x);
            }
        }
        Ok(())
    }

    fn combine(&self, inst: &Inst, args: &[Rc<Tile>], out: &mut [(Tile, Type)]) -> Run<()> {
        let (guard, over) = (&inst.attrs.guard, inst.attrs.over);
        let arg = |i: usize, c: &[i64]| args.get(i).map_or(f64::NAN, |t| t.get(c));
        for (k, (tile, ty)) in out.iter_mut().enumerate() {
            let mut walk = Walk::new(ty.axes, &self.axis_extents, &self.origin());
            while walk.next() {
                let mut m = f64::NEG_INFINITY;
                self.each(over, &walk.coords, |c| {
                    if self.holds(guard, c)? {
                        m = MapFn::Max.eval(&[m, arg(0, c)]);
                    }
                    Ok(())
                })?;
                let mut sum = 0.0;
                self.each(over, &walk.coords, |c| {
                    if self.holds(guard, c)? {
                        sum += scaled(arg(k, c), arg(0, c), m);
                    }
                    Ok(())
                })?;
                tile.set(&walk.coords, if k == 0 { m } else { sum });
            }
        }
        Ok(())
    }

    fn arg_reduce(&self, inst: &Inst, m: Monoid, args: &[Rc<Tile>], out: &mut [(Tile, Type)]) -> Run<()> {
        let (guard, over) = (&inst.attrs.guard, inst.attrs.over);
        let [(value, row), (payload, _)] = out else { return Ok(()) };
        let arg = |i: usize, c: &[i64]| args.get(i).map_or(f64::NAN, |t| t.get(c));
        let mut walk = Walk::new(row.axes, &self.axis_extents, &self.origin());
        while walk.next() {
            let mut best = (monoid(m).0, -1.0);
            self.each(over, &walk.coords, |c| {
                if !self.holds(guard, c)? {
                    return Ok(());
                }
                let (x, p) = (arg(0, c), arg(1, c));
                to_index(p)?;
                let better = if m == Monoid::ArgMax { x > best.0 } else { x < best.0 };
                if x.is_nan() || best.1 < 0.0 || better || (x == best.0 && p < best.1) {
                    best = (x, p);
                }
                Ok(())
            })?;
            value.set(&walk.coords, best.0);
            payload.set(&walk.coords, best.1);
        }
        Ok(())
    }
}

/// `x * exp(from - to)`; nothing was added under -inf.
fn scaled(x: f64, from: f64, to: f64) -> f64 {
    if from == f64::NEG_INFINITY { 0.0 } else { x * (from - to).exp() }
}
