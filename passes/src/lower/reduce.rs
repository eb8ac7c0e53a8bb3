//! `reduce`: over other axes than the lanes vertically, in vector accumulators; over the lanes by folding them at the end.

use weft_ir::kernel::{AxisId, AxisSet, Inst, Monoid, ValueId};
use weft_ir::loops::{Binary, Compare, Elem, LANE_QUANTUM, Ty, Value, Var};

use super::emit::Emitter;
use super::error::Emit;
use super::memory::QUANTUM;
use super::monoid::{across, neutral_of, operator};
use super::point::Point;

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
        if self.reduced.remove(&result) {
            return Ok(());
        }
        let storage = self.slot(result)?;
        if let (Some(inner), Some(_)) = (self.across_axis(x, row, over), across(monoid)) {
            let elem = self.elem_of(x)?;
            self.clear_padding(&storage, None)?;
            return self.nest(row, None, &[x], &Point::default(), &mut |e, p| {
                let total = e.fold_across(monoid, elem, (inner, over), &[x], p, &mut |e, p| {
                    let mask = e.guard(&inst.attrs.guard, p)?;
                    let x = e.value(x, p)?;
                    Ok(e.guarded(monoid, mask, x))
                })?;
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

    /// The axis along which a reduction of `x` to `row` runs across lanes: where the rows have no lanes of their own.
    pub(super) fn across_axis(&self, x: ValueId, row: AxisSet, over: AxisSet) -> Option<AxisId> {
        let has_rows = self.layout.lanes.is_some_and(|l| row.contains(l));
        self.lanes_of(x).filter(|a| !has_rows && over.contains(*a) && self.extent(*a) > 1)
    }

    /// A reduction over axes of which `inner` fills the lanes, of elements that `element` computes.
    pub(super) fn fold_across(
        &mut self,
        monoid: Monoid,
        elem: Elem,
        (inner, over): (AxisId, AxisSet),
        roots: &[ValueId],
        p: &Point,
        element: &mut dyn FnMut(&mut Self, &Point) -> Emit<Value>,
    ) -> Emit<Value> {
        let op = operator(monoid)?;
        let across = across(monoid).ok_or("does not fold lanes")?;
        let others: Vec<AxisId> = over.iter().filter(|a| *a != inner).collect();
        // One accumulator for whole vectors, one for the narrower last one.
        let extent = self.extent(inner);
        let accumulator = |e: &mut Self, lanes: i64| {
            let width = u16::try_from((lanes + QUANTUM - 1) / QUANTUM * QUANTUM).unwrap_or(LANE_QUANTUM);
            let start = neutral_of(&mut e.kb, monoid, Ty::vector(elem, width));
            e.kb.var("total", start)
        };
        let whole = (extent >= ACROSS).then(|| accumulator(self, ACROSS));
        let rest = (extent % ACROSS > 0).then(|| accumulator(self, extent % ACROSS));
        self.spans(inner, ACROSS, p, &mut |e, p| {
            let full = p.span.is_some_and(|s| s.width == s.valid && i64::from(s.width) == ACROSS);
            let var = if full { whole } else { rest }.ok_or("has no accumulator")?;
            e.walk(&others, roots, p, &mut |e, p| {
                let x = element(e, p)?;
                let inside = e.reach(None, p.span);
                let x = e.guarded(monoid, inside, x);
                let old = e.kb.get(var);
                let new = e.kb.binary(op, old, x);
                e.kb.set(var, new);
                Ok(())
            })
        })?;
        let mut total: Option<Value> = None;
        for var in [whole, rest].into_iter().flatten() {
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
