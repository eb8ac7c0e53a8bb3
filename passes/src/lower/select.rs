//! Selection: `topk`, `merge_topk`, `compact`, `rank_count`, `search`.
//!
//! A top-k list is kept sorted by insertion, all lanes at once: each candidate walks down the list and changes places with every
//! entry that it ranks before. Merging two lists takes one step per entry of the result. A missing entry has payload -1 and ranks after everything.

use weft_ir::kernel::{AxisId, Inst, Literal, OpCode, ValueId};
use weft_ir::loops::{Binary, Compare, Elem, Reduction, Ty, Unroll, Value};

use super::emit::{Emitter, Storage};
use super::error::Emit;
use super::point::Point;

/// A list under construction: values and payloads along an axis.
struct List<'s> {
    values: &'s Storage,
    payloads: &'s Storage,
    axis: AxisId,
}

impl Emitter<'_> {
    fn two_results(inst: &Inst) -> Emit<(ValueId, ValueId)> {
        match inst.results[..] {
            [a, b] => Ok((a, b)),
            _ => Err("has two results".into()),
        }
    }

    /// `topk`
    pub(super) fn topk(&mut self, inst: &Inst) -> Emit<()> {
        let (best, payload) = Self::two_results(inst)?;
        let (Some(from), Some(to), Some(&x)) = (inst.attrs.over.iter().next(), inst.attrs.to, inst.args.first()) else {
            return Err("needs an operand and two axes".into());
        };
        let given = inst.args.get(1).copied();
        let index = self.elem_of(payload)?;
        let row = self.ty(best)?.axes.minus(to.into());
        let (values, payloads) = (self.slot(best)?, self.slot(payload)?);
        let list = List { values: &values, payloads: &payloads, axis: to };
        let extent = self.extent(from);
        for storage in [&values, &payloads] {
            self.clear_padding(storage, self.layout.innermost(row))?;
        }
        let roots = [Some(x), given].into_iter().flatten().collect::<Vec<_>>();
        self.nest(row, self.layout.innermost(row), &roots, &Point::default(), &mut |e, p| {
            e.empty_list(&list, p)?;
            e.for_extent(extent, 1, |e, at| {
                let q = p.with(from, at);
                let mask = e.guard(&inst.attrs.guard, &q)?;
                let candidate = e.value(x, &q)?;
                let rank = match given {
                    Some(given) => e.value(given, &q)?,
                    None => e.kb.convert(at, index),
                };
                // So far the list has at most `at` entries.
                let entries = e.kb.add_int(at, 1);
                e.offer(&list, p, (candidate, rank), mask, entries)
            })
        })
    }

    /// `merge_topk`: position after position, the better one of the next entries of the two lists. How many came from the first
    /// differs from row to row, so rows go one by one.
    pub(super) fn merge_topk(&mut self, inst: &Inst) -> Emit<()> {
        let (best, payload) = Self::two_results(inst)?;
        let [v1, p1, v2, p2] = inst.args[..] else { return Err("merges two lists".into()) };
        let along = inst.attrs.over.iter().next().ok_or("has no axis")?;
        let row = self.ty(best)?.axes.minus(along.into());
        let index = self.elem_of(payload)?;
        let (values, payloads) = (self.slot(best)?, self.slot(payload)?);
        for storage in [&values, &payloads] {
            self.clear_padding(storage, None)?;
        }
        let taken = self.allocate("taken", Elem::I64, row, None)?;
        self.clear(&taken)?;
        let extent = self.extent(along);
        self.for_extent(extent, 1, |e, at| {
            e.nest(row, None, &[], &Point::default(), &mut |e, p| {
                let first = e.load_tile(&taken, p)?;
                let second = e.kb.sub(at, first);
                let (p_first, p_second) = (p.with(along, first), p.with(along, second));
                let a = (e.value(v1, &p_first)?, e.value(p1, &p_first)?);
                let b = (e.value(v2, &p_second)?, e.value(p2, &p_second)?);
                let other = e.ranks_before(b, a, index);
                let put = (e.kb.select(other, b.0, a.0), e.kb.select(other, b.1, a.1));
                let q = p.with(along, at);
                e.store_tile(&values, &q, put.0)?;
                e.store_tile(&payloads, &q, put.1)?;
                let more = e.kb.add_int(first, 1);
                let next = e.kb.select(other, first, more);
                e.store_tile(&taken, p, next)
            })
        })
    }

    /// Fills a list with missing entries.
    fn empty_list(&mut self, list: &List<'_>, p: &Point) -> Emit<()> {
        let extent = self.extent(list.axis);
        let value = self.kb.ty(list.values.ptr).elem();
        let index = self.kb.ty(list.payloads.ptr).elem();
        self.for_extent(extent, 1, |e, at| {
            let q = p.with(list.axis, at);
            let lowest = e.literal(Literal::Float(f64::NEG_INFINITY), value);
            e.store_tile(list.values, &q, lowest)?;
            let none = e.literal(Literal::Int(-1), index);
            e.store_tile(list.payloads, &q, none)
        })
    }

    /// Where (value, payload) ranks before another pair: larger, or equal and with the smaller payload, or the other is missing.
    fn before(&mut self, a: (Value, Value), b: (Value, Value)) -> Value {
        let larger = self.kb.compare(Compare::Gt, a.0, b.0);
        let same = self.kb.compare(Compare::Eq, a.0, b.0);
        let earlier = self.kb.compare(Compare::Lt, a.1, b.1);
        let tie = self.kb.binary(Binary::And, same, earlier);
        self.kb.binary(Binary::Or, larger, tie)
    }

    /// Inserts a candidate, where the mask holds, into a sorted list that will then have at most `entries` entries.
    fn offer(
        &mut self,
        list: &List<'_>,
        p: &Point,
        candidate: (Value, Value),
        mask: Option<Value>,
        entries: Value,
    ) -> Emit<()> {
        let extent = self.extent(list.axis);
        let width = p.span.map_or(1, |s| s.width);
        let index = self.kb.ty(list.payloads.ptr).elem();
        let last = self.kb.int(extent - 1);
        let q = p.with(list.axis, last);
        let end = (self.load_tile(list.values, &q)?, self.load_tile(list.payloads, &q)?);
        let wins = self.ranks_before(candidate, end, index);
        let wins = match mask {
            Some(mask) => self.kb.binary(Binary::And, wins, mask),
            None => wins,
        };
        let wins = if width > 1 && !self.kb.ty(wins).is_vector() { self.kb.splat(wins, width) } else { wins };
        // Lanes behind the end of the axis hold anything.
        let live = self.reach(Some(wins), p.span).unwrap_or(wins);
        let any = self.kb.reduce(Reduction::Any, live);
        self.if_then(any, |e| {
            let spread = |e: &mut Self, x: Value| {
                if width > 1 && !e.kb.ty(x).is_vector() { e.kb.splat(x, width) } else { x }
            };
            let (x, r) = (spread(e, candidate.0), spread(e, candidate.1));
            let (value, payload) = (e.kb.var("candidate", x), e.kb.var("payload", r));
            let (zero, room) = (e.kb.int(0), e.kb.int(extent));
            let hi = e.kb.min(entries, room);
            e.for_range((zero, hi, 1), Unroll::No, |e, at| {
                let q = p.with(list.axis, at);
                let here = (e.load_tile(list.values, &q)?, e.load_tile(list.payloads, &q)?);
                let moving = (e.kb.get(value), e.kb.get(payload));
                let wins = e.ranks_before(moving, here, index);
                let wins = e.kb.binary(Binary::And, wins, live);
                let put = (e.kb.select(wins, moving.0, here.0), e.kb.select(wins, moving.1, here.1));
                e.store_tile(list.values, &q, put.0)?;
                e.store_tile(list.payloads, &q, put.1)?;
                let rest = (e.kb.select(wins, here.0, moving.0), e.kb.select(wins, here.1, moving.1));
                e.kb.set(value, rest.0);
                e.kb.set(payload, rest.1);
                Ok(())
            })
        })
    }

    /// `before`, with missing entries last (and no missing candidate before one).
    fn ranks_before(&mut self, a: (Value, Value), b: (Value, Value), index: Elem) -> Value {
        let none = self.literal(Literal::Int(-1), index);
        let before = self.before(a, b);
        let missing = self.kb.compare(Compare::Eq, b.1, none);
        let present = self.kb.compare(Compare::Ne, a.1, none);
        let either = self.kb.binary(Binary::Or, before, missing);
        self.kb.binary(Binary::And, either, present)
    }

    /// `compact`: rows one by one, since each has its own length so far.
    pub(super) fn compact(&mut self, inst: &Inst) -> Emit<()> {
        let (packed, number) = Self::two_results(inst)?;
        let (Some(from), Some(to), Some(&x)) = (inst.attrs.over.iter().next(), inst.attrs.to, inst.args.first()) else {
            return Err("needs an operand and two axes".into());
        };
        let row = self.ty(number)?.axes;
        let (values, counts) = (self.slot(packed)?, self.slot(number)?);
        let (extent, room) = (self.extent(from), self.extent(to));
        // Elements behind the last one that is kept are undefined, but they are memory that vectors are loaded from.
        self.clear(&values)?;
        self.clear_padding(&counts, None)?;
        self.nest(row, None, &[x], &Point::default(), &mut |e, p| {
            let zero = e.kb.zero(Ty::I64);
            let count = e.kb.var("count", zero);
            e.for_extent(extent, 1, |e, at| {
                let q = p.with(from, at);
                let n = e.kb.get(count);
                let room = e.kb.int(room);
                let fits = e.kb.compare(Compare::Lt, n, room);
                let keep = match e.guard(&inst.attrs.guard, &q)? {
                    Some(mask) => e.kb.binary(Binary::And, mask, fits),
                    None => fits,
                };
                e.if_then(keep, |e| {
                    let x = e.value(x, &q)?;
                    e.store_tile(&values, &p.with(to, n), x)?;
                    let next = e.kb.add_int(n, 1);
                    e.kb.set(count, next);
                    Ok(())
                })
            })?;
            let n = e.kb.get(count);
            let n = e.kb.convert(n, Elem::I32);
            e.store_tile(&counts, p, n)
        })
    }

    /// `rank_count` and `search`: how many elements along an axis rank before an element.
    pub(super) fn count(&mut self, inst: &Inst) -> Emit<()> {
        let result = *inst.results.first().ok_or("has no result")?;
        let over: Vec<AxisId> = inst.attrs.over.iter().collect();
        let axes = self.ty(result)?.axes;
        let lanes = self.lanes_of(result);
        let storage = self.slot(result)?;
        self.nest(axes, lanes, &inst.args, &Point::default(), &mut |e, p| {
            let zero = e.kb.zero(Ty::vector(Elem::I32, p.span.map_or(1, |s| s.width)));
            let count = e.kb.var("count", zero);
            e.walk(&over, &inst.args, p, &mut |e, p| {
                let args = inst.args.iter().map(|a| e.value(*a, p)).collect::<Emit<Vec<_>>>()?;
                let before = match (inst.op, &args[..]) {
                    (OpCode::RankCount, [x, px, y, py]) => e.before((*y, *py), (*x, *px)),
                    (OpCode::Search, [sorted, x]) => e.kb.compare(Compare::Lt, *sorted, *x),
                    _ => return Err("lacks an operand".into()),
                };
                let counted = match e.guard(&inst.attrs.guard, p)? {
                    Some(mask) => e.kb.binary(Binary::And, before, mask),
                    None => before,
                };
                let one = e.kb.convert(counted, Elem::I32);
                let old = e.kb.get(count);
                let new = e.kb.add(old, one);
                e.kb.set(count, new);
                Ok(())
            })?;
            let n = e.kb.get(count);
            e.store_tile(&storage, p, n)
        })
    }
}
