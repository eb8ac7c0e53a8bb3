//! Sums of exponentials under a running maximum: `online`, `merge`, `combine`.
//!
//! A maximum of -inf means that nothing was added; differences from it are not taken.

use weft_ir::kernel::{AxisId, AxisSet, Inst, Literal, Monoid, OpCode, ValueId};
use weft_ir::loops::{Binary, Compare, Function, Ty, Value, Var};

use super::emit::Emitter;
use super::error::Emit;
use super::monoid::neutral_of;
use super::point::Point;

/// Independent accumulators of the maximum.
const CHAINS: i64 = 4;

impl Emitter<'_> {
    /// `online`: one pass for the maximum, one for the weights and, if it comes next, their sum.
    pub(super) fn online(&mut self, inst: &Inst) -> Emit<()> {
        let ([max, factor, weight], [s, before]) = (&inst.results[..], &inst.args[..]) else {
            return Err("needs scores and a maximum".into());
        };
        let (s, before, over) = (*s, *before, inst.attrs.over);
        let (row, elem) = (self.ty(*max)?.axes, self.elem_of(*max)?);
        let inner = self.across_axis(*weight, row, over);
        let lanes = if inner.is_some() { None } else { self.lanes_of(*max) };
        let sum = self.sum_of(*weight, over);
        let sum_slot = sum.map(|v| self.slot(v)).transpose()?;
        self.reduced.extend(sum);
        let in_place = self.home(*max) == self.home(before);
        let (max, factor, weight) = (self.slot(*max)?, self.slot(*factor)?, self.slot(*weight)?);
        // A maximum that is updated in place was stored whole before.
        for storage in [Some(&max).filter(|_| !in_place), Some(&factor), sum_slot.as_ref()].into_iter().flatten() {
            self.clear_padding(storage, lanes)?;
        }
        self.clear_padding(&weight, inner.or(lanes))?;
        let axes: Vec<AxisId> = over.iter().collect();
        self.nest(row, lanes, &[s, before], &Point::default(), &mut |e, p| {
            let old = e.value(before, p)?;
            let new = match inner {
                None => e.running_max(inst, s, old, &axes, p)?,
                Some(inner) => {
                    let most = e.fold_across(Monoid::Max, elem, (inner, over), &[s], p, &mut |e, p| {
                        let mask = e.guard(&inst.attrs.guard, p)?;
                        let x = e.value(s, p)?;
                        Ok(e.guarded(Monoid::Max, mask, x))
                    })?;
                    e.kb.max(old, most)
                }
            };
            let none = e.like(Literal::Float(f64::NEG_INFINITY), new);
            let empty = e.kb.compare(Compare::Eq, new, none);
            let zero = e.like(Literal::Float(0.0), new);
            // Under -inf every weight is 0 whatever is subtracted.
            let reference = e.kb.select(empty, zero, new);
            let gap = e.kb.sub(old, reference);
            let r = e.kb.call(Function::Exp, &[gap]);
            let one = e.like(Literal::Float(1.0), new);
            let r = e.kb.select(empty, one, r);
            e.store_tile(&factor, p, r)?;
            e.store_tile(&max, p, new)?;
            let weigh = &mut |e: &mut Self, p: &Point| {
                let mask = e.guard(&inst.attrs.guard, p)?;
                let x = e.value(s, p)?;
                let gap = e.kb.sub(x, reference);
                let w = e.kb.call(Function::Exp, &[gap]);
                let w = e.guarded(Monoid::Sum, mask, w);
                e.store_tile(&weight, p, w)?;
                Ok(w)
            };
            let total = match inner {
                Some(inner) => e.fold_across(Monoid::Sum, elem, (inner, over), &[s], p, weigh)?,
                None => {
                    let start = e.kb.zero(Ty::vector(elem, p.span.map_or(1, |s| s.width)));
                    let total = e.kb.var("total", start);
                    e.walk(&axes, &[s], p, &mut |e, p| {
                        let w = weigh(e, p)?;
                        if sum_slot.is_some() {
                            let old = e.kb.get(total);
                            let new = e.kb.add(old, w);
                            e.kb.set(total, new);
                        }
                        Ok(())
                    })?;
                    e.kb.get(total)
                }
            };
            match &sum_slot {
                Some(slot) => e.store_tile(slot, p, total),
                None => Ok(()),
            }
        })
    }

    /// The plain sum of weights over the axes of `online`, if the same body takes it: it costs no pass of its own then.
    fn sum_of(&self, weight: ValueId, over: AxisSet) -> Option<ValueId> {
        let (_, _, home) = (*self.layout.facts.defs.get(weight.index())?)?;
        self.layout.facts.uses.get(weight.index())?.iter().find_map(|u| {
            let inst = u.inst.filter(|i| u.region == home && i.op == OpCode::Reduce && i.attrs.over == over)?;
            let plain = inst.attrs.monoid == Some(Monoid::Sum) && inst.attrs.guard.is_always();
            inst.results.first().copied().filter(|_| plain)
        })
    }

    fn running_max(&mut self, inst: &Inst, s: ValueId, old: Value, over: &[AxisId], p: &Point) -> Emit<Value> {
        let Some((last, outer)) = over.split_last() else {
            // A single key: the tile itself.
            let mask = self.guard(&inst.attrs.guard, p)?;
            let x = self.value(s, p)?;
            let x = self.guarded(Monoid::Max, mask, x);
            return Ok(self.kb.max(old, x));
        };
        let extent = self.extent(*last);
        let chains = if extent % CHAINS == 0 && extent > CHAINS { CHAINS } else { 1 };
        let width = p.span.map_or(1, |s| s.width);
        let elem = self.kb.ty(old).elem();
        let start = neutral_of(&mut self.kb, Monoid::Max, Ty::vector(elem, width));
        let old = if self.kb.ty(old).is_vector() || width == 1 { old } else { self.kb.splat(old, width) };
        let vars: Vec<Var> = (0..chains).map(|i| self.kb.var("max", if i == 0 { old } else { start })).collect();
        self.walk(outer, &[s], p, &mut |e, p| {
            e.for_extent(extent, chains, |e, at| {
                for (i, var) in (0i64..).zip(&vars) {
                    let at = e.kb.add_int(at, i);
                    let p = p.with(*last, at);
                    let mask = e.guard(&inst.attrs.guard, &p)?;
                    let x = e.value(s, &p)?;
                    let x = e.guarded(Monoid::Max, mask, x);
                    let old = e.kb.get(*var);
                    let new = e.kb.max(old, x);
                    e.kb.set(*var, new);
                }
                Ok(())
            })
        })?;
        let parts: Vec<Value> = vars.iter().map(|v| self.kb.get(*v)).collect();
        Ok(parts.into_iter().reduce(|a, b| self.kb.binary(Binary::Max, a, b)).unwrap_or(start))
    }

    /// `exp(from - to)`, and 0 where `from` is -inf.
    fn scale(&mut self, from: Value, to: Value) -> Value {
        let gap = self.kb.sub(from, to);
        let scale = self.kb.call(Function::Exp, &[gap]);
        let none = self.like(Literal::Float(f64::NEG_INFINITY), from);
        let zero = self.like(Literal::Float(0.0), scale);
        let empty = self.kb.compare(Compare::Eq, from, none);
        self.kb.select(empty, zero, scale)
    }

    /// `x * scale`, and 0 where the scale is 0.
    fn scaled(&mut self, x: Value, scale: Value) -> Value {
        let product = self.kb.mul(x, scale);
        let zero = self.like(Literal::Float(0.0), scale);
        let empty = self.kb.compare(Compare::Eq, scale, zero);
        self.kb.select(empty, zero, product)
    }

    /// `merge`
    pub(super) fn merge(&mut self, inst: &Inst) -> Emit<()> {
        let half = inst.args.len() / 2;
        let (first, second) = inst.args.split_at(half);
        let (Some(&m1), Some(&m2)) = (first.first(), second.first()) else { return Err("needs two states".into()) };
        for (k, &result) in inst.results.iter().enumerate() {
            let axes = self.ty(result)?.axes;
            let (Some(&a), Some(&b)) = (first.get(k), second.get(k)) else { return Err("lacks an operand".into()) };
            let lanes = self.lanes_of(result);
            let storage = self.slot(result)?;
            self.nest(axes, lanes, &[m1, m2, a, b], &Point::default(), &mut |e, p| {
                let (x, y) = (e.value(m1, p)?, e.value(m2, p)?);
                let max = e.kb.max(x, y);
                let merged = if k == 0 {
                    max
                } else {
                    let (sx, sy) = (e.scale(x, max), e.scale(y, max));
                    let (a, b) = (e.value(a, p)?, e.value(b, p)?);
                    let (a, b) = (e.scaled(a, sx), e.scaled(b, sy));
                    e.kb.add(a, b)
                };
                e.store_tile(&storage, p, merged)
            })?;
        }
        Ok(())
    }

    /// `combine`
    pub(super) fn combine(&mut self, inst: &Inst) -> Emit<()> {
        let (Some(&maxima), Some(&max)) = (inst.args.first(), inst.results.first()) else {
            return Err("needs maxima".into());
        };
        let over: Vec<AxisId> = inst.attrs.over.iter().collect();
        let (row, elem) = (self.ty(max)?.axes, self.elem_of(max)?);
        let lanes = self.lanes_of(max);
        let storage = self.slot(max)?;
        self.nest(row, lanes, &[maxima], &Point::default(), &mut |e, p| {
            let start = neutral_of(&mut e.kb, Monoid::Max, Ty::vector(elem, p.span.map_or(1, |s| s.width)));
            let new = e.running_max(inst, maxima, start, &over, p)?;
            e.store_tile(&storage, p, new)
        })?;
        for (&result, &x) in inst.results.iter().zip(&inst.args).skip(1) {
            let axes = self.ty(result)?.axes;
            let lanes = self.lanes_of(result);
            let storage = self.slot(result)?;
            self.nest(axes, lanes, &[max, x], &Point::default(), &mut |e, p| {
                let to = e.value(max, p)?;
                let zero = e.kb.zero(Ty::vector(elem, p.span.map_or(1, |s| s.width)));
                let sum = e.kb.var("sum", zero);
                e.walk(&over, &[maxima, x], p, &mut |e, p| {
                    let mask = e.guard(&inst.attrs.guard, p)?;
                    let from = e.value(maxima, p)?;
                    let scale = e.scale(from, to);
                    let x = e.value(x, p)?;
                    let x = e.scaled(x, scale);
                    let x = e.guarded(Monoid::Sum, mask, x);
                    let old = e.kb.get(sum);
                    let new = e.kb.add(old, x);
                    e.kb.set(sum, new);
                    Ok(())
                })?;
                let total = e.kb.get(sum);
                e.store_tile(&storage, p, total)
            })?;
        }
        Ok(())
    }
}
