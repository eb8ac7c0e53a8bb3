//! `reduce`: over other axes than the lanes vertically, in vector accumulators; over the lanes by folding them at the end.

use weft_ir::kernel::{AxisId, AxisSet, Inst, Monoid, ValueId};
use weft_ir::loops::{Binary, Compare, Ty, Value, Var};

use super::emit::Emitter;
use super::error::Emit;
use super::monoid::{across, neutral_of, operator};
use super::point::{Point, Span};

/// Independent accumulators of one reduction: one alone would wait for its own latency at every step.
const CHAINS: i64 = 4;
/// Lanes of a reduction across lanes.
const ACROSS: i64 = 8;

impl Emitter<'_> {
    /// `reduce`
    pub(super) fn reduce(&mut self, inst: &Inst) -> Emit<()> {
        let monoid = inst.attrs.monoid.ok_or("has no monoid")?;
        if matches!(monoid, Monoid::ArgMax | Monoid::ArgMin) {
            return self.reduce_pairs(inst, monoid);
        }
        let (Some(&result), Some(&x)) = (inst.results.first(), inst.args.first()) else {
            return Err("lacks an operand".into());
        };
        let row = self.ty(result)?.axes;
        let over = inst.attrs.over;
        let lanes = self.lanes_of(result);
        let inner = self.lanes_of(x).filter(|a| over.contains(*a) && self.extent(*a) > 1);
        let storage = self.slot(result)?;
        let has_rows = self.layout.lanes.is_some_and(|l| row.contains(l));
        if let (Some(inner), Some(_), false) = (inner, across(monoid), has_rows) {
            return self.nest(row, None, &[x], &Point::default(), &mut |e, p| {
                let total = e.fold_lanes(inst, monoid, x, inner, over, p)?;
                e.store_tile(&storage, p, total)
            });
        }
        self.nest(row, lanes, &[x], &Point::default(), &mut |e, p| {
            let total = e.fold(inst, monoid, x, over, p)?;
            e.store_tile(&storage, p, total)
        })
    }

    /// A vertical reduction at one point of the row axes.
    fn fold(&mut self, inst: &Inst, monoid: Monoid, x: ValueId, over: AxisSet, p: &Point) -> Emit<Value> {
        let ty = Ty::vector(self.elem_of(x)?, p.span.map_or(1, |s| s.width));
        let start = neutral_of(&mut self.kb, monoid, ty);
        let op = operator(monoid)?;
        let axes: Vec<AxisId> = over.iter().collect();
        let Some((last, outer)) = axes.split_last() else { return Err("has no axis".into()) };
        let extent = self.extent(*last);
        let chains = if extent % CHAINS == 0 && extent > CHAINS { CHAINS } else { 1 };
        let vars: Vec<Var> = (0..chains).map(|_| self.kb.var("total", start)).collect();
        self.walk(outer, &[x], p, &mut |e, p| {
            e.for_extent(extent, chains, |e, at| {
                for (i, var) in (0i64..).zip(&vars) {
                    let at = e.kb.add_int(at, i);
                    e.accumulate(inst, monoid, op, x, &p.with(*last, at), *var)?;
                }
                Ok(())
            })
        })?;
        let parts: Vec<Value> = vars.iter().map(|v| self.kb.get(*v)).collect();
        Ok(parts.into_iter().reduce(|a, b| self.kb.binary(op, a, b)).unwrap_or(start))
    }

    fn accumulate(&mut self, inst: &Inst, m: Monoid, op: Binary, x: ValueId, p: &Point, var: Var) -> Emit<()> {
        let mask = self.guard(&inst.attrs.guard, p)?;
        let x = self.value(x, p)?;
        let x = self.guarded(m, mask, x);
        let old = self.kb.get(var);
        let new = self.kb.binary(op, old, x);
        self.kb.set(var, new);
        Ok(())
    }

    /// A reduction over axes one of which fills the lanes.
    fn fold_lanes(
        &mut self,
        inst: &Inst,
        monoid: Monoid,
        x: ValueId,
        inner: AxisId,
        over: AxisSet,
        p: &Point,
    ) -> Emit<Value> {
        let elem = self.elem_of(x)?;
        let op = operator(monoid)?;
        let across = across(monoid).ok_or("does not fold lanes")?;
        let others: Vec<AxisId> = over.iter().filter(|a| *a != inner).collect();
        // One accumulator for whole vectors, one for the narrower last one.
        let mut parts: Vec<(u16, Var)> = Vec::new();
        let extent = self.extent(inner);
        for width in [ACROSS, extent % ACROSS] {
            let width = u16::try_from((width + 3) / 4 * 4).unwrap_or(4);
            let exists = if parts.is_empty() { extent >= ACROSS } else { extent % ACROSS > 0 };
            let start = neutral_of(&mut self.kb, monoid, Ty::vector(elem, width.max(4)));
            parts.push((u16::from(exists), self.kb.var("total", start)));
        }
        self.spans(inner, ACROSS, p, &mut |e, p| {
            let whole = p.span.is_some_and(|s| s.width == s.valid && i64::from(s.width) == ACROSS);
            let Some((_, var)) = parts.get(usize::from(!whole)).copied() else { return Ok(()) };
            e.walk(&others, &[x], p, &mut |e, p| {
                let mask = e.guard(&inst.attrs.guard, p)?;
                let span: Option<Span> = p.span;
                let mask = e.reach(mask, span);
                let x = e.value(x, p)?;
                let x = e.guarded(monoid, mask, x);
                let old = e.kb.get(var);
                let new = e.kb.binary(op, old, x);
                e.kb.set(var, new);
                Ok(())
            })
        })?;
        let mut total: Option<Value> = None;
        for (exists, var) in parts {
            if exists == 0 {
                continue;
            }
            let lanes = self.kb.get(var);
            let part = self.kb.reduce(across, lanes);
            total = Some(match total {
                Some(total) => self.kb.binary(op, total, part),
                None => part,
            });
        }
        total.ok_or_else(|| "reduces nothing".into())
    }

    /// `argmin` and `argmax` with payload; ties take the smaller payload.
    fn reduce_pairs(&mut self, inst: &Inst, monoid: Monoid) -> Emit<()> {
        let ([best, payload], [x, y]) = (&inst.results[..], &inst.args[..]) else {
            return Err("needs a value and a payload".into());
        };
        let (best, payload, x, y) = (*best, *payload, *x, *y);
        let (elem, index) = (self.elem_of(x)?, self.elem_of(y)?);
        let row = self.ty(best)?.axes;
        let lanes = self.lanes_of(best);
        let (best, payload) = (self.slot(best)?, self.slot(payload)?);
        let over: Vec<AxisId> = inst.attrs.over.iter().collect();
        let compare = if monoid == Monoid::ArgMax { Compare::Gt } else { Compare::Lt };
        self.nest(row, lanes, &[x, y], &Point::default(), &mut |e, p| {
            let width = p.span.map_or(1, |s| s.width);
            let start = neutral_of(&mut e.kb, monoid, Ty::vector(elem, width));
            let none = e.literal(weft_ir::kernel::Literal::Int(-1), index);
            let none = e.kb.splat(none, width);
            let (value, place) = (e.kb.var("best", start), e.kb.var("payload", none));
            e.walk(&over, &[x, y], p, &mut |e, p| {
                let mask = e.guard(&inst.attrs.guard, p)?;
                let (x, y) = (e.value(x, p)?, e.value(y, p)?);
                let (old, at) = (e.kb.get(value), e.kb.get(place));
                let zero = e.literal(weft_ir::kernel::Literal::Int(0), index);
                let first = e.kb.compare(Compare::Lt, at, zero);
                let better = e.kb.compare(compare, x, old);
                let same = e.kb.compare(Compare::Eq, x, old);
                let earlier = e.kb.compare(Compare::Lt, y, at);
                let tie = e.kb.binary(Binary::And, same, earlier);
                let wins = e.kb.binary(Binary::Or, better, tie);
                let mut wins = e.kb.binary(Binary::Or, wins, first);
                if let Some(mask) = mask {
                    wins = e.kb.binary(Binary::And, wins, mask);
                }
                let x = e.kb.select(wins, x, old);
                e.kb.set(value, x);
                let y = e.kb.select(wins, y, at);
                e.kb.set(place, y);
                Ok(())
            })?;
            let (x, y) = (e.kb.get(value), e.kb.get(place));
            e.store_tile(&best, p, x)?;
            e.store_tile(&payload, p, y)
        })
    }
}
