//! Tile code of a streaming kernel: rows and pairs on the grid, accumulators and running maxima carried past the streams.

use super::beside::Beside;
use super::{Fold, Group, Reduction, Stream, Term};
use crate::schedule::Error;
use crate::schedule::emit::Emitter;
use crate::schedule::kept_scales::Epilogue;
use crate::schedule::store::Target;
use weft_ir::graph::{AxisId, Extremum, InputId, NodeId};
use weft_ir::kernel::{
    Attrs, AxisSet, Domain, ElemType, Expr, Guard, Literal, MapFn as KernelFn, Monoid, OpCode, ValueId,
};

impl Emitter<'_, '_> {
    #[expect(clippy::too_many_arguments, reason = "the parts of one kernel, made in order by stream_kernel")]
    pub(super) fn emit_streams(
        &mut self,
        reductions: &[Reduction],
        groups: &[Group],
        streams: &[Stream],
        axis: AxisId,
        outer: &[AxisId],
        (epilogue, beside): (&Epilogue, &Beside),
        target: &Target,
    ) -> Result<(), Error> {
        self.place_rows(reductions, groups, target)?;
        // Guards may mention short axes that are summed with the long one.
        for &a in reductions.iter().flat_map(|r| &r.shorts) {
            self.whole_axis(a);
        }
        let mut state = State::default();
        for g in groups {
            let axes = self.input_axes(g.maximum.0);
            state.maxima.push(self.kb.fill("m", f64::NEG_INFINITY, self.float, axes));
        }
        for r in reductions {
            let Some((input, value)) = r.accumulator else { continue };
            let axes = self.input_axes(input);
            let elem = if self.s.c.g.dtype(value).is_float() { self.float } else { ElemType::I32 };
            let zero = match r.fold {
                Fold::Sum if elem.is_float() => Literal::Float(0.0),
                Fold::Sum => Literal::Int(0),
                Fold::Extremum(Extremum::Max) => Literal::Float(f64::NEG_INFINITY),
                Fold::Extremum(Extremum::Min) => Literal::Float(f64::INFINITY),
            };
            state.sums.push(self.kb.fill("acc", zero, elem, axes));
        }
        for &b in outer {
            state = self.begin_outer(b, &state)?;
        }
        for s in streams {
            for t in &s.terms {
                for &x in t.mantissas.iter().chain(&t.scale).chain(&s.guards) {
                    self.hoist(x, &[s.axis.unwrap_or(axis)])?;
                }
            }
        }
        for s in streams {
            state = self.emit_stream(reductions, groups, s, axis, &state)?;
        }
        for &b in outer.iter().rev() {
            state = self.end_outer(b, &state);
        }
        for (g, &m) in groups.iter().zip(&state.maxima) {
            // A row that nothing was added to: any finite maximum will do, and minus infinity would make 0 * inf.
            let none = self.kb.fill("none", f64::NEG_INFINITY, self.float, AxisSet::EMPTY);
            let zero = self.kb.fill("zero", 0.0, self.float, AxisSet::EMPTY);
            let empty = self.kb.map("empty", KernelFn::Eq, &[m, none]);
            let m = self.kb.select("m", empty, zero, m);
            self.given.insert(g.maximum.0, m);
        }
        for (r, &v) in reductions.iter().zip(&state.sums) {
            if let Some((input, _)) = r.accumulator {
                self.given.insert(input, v);
            }
        }
        let v = self.value(epilogue.value)?;
        self.store(target.input, v)?;
        for &(input, term) in epilogue.scale.iter().chain(&beside.stores) {
            let v = self.value(term)?;
            self.store(input, v)?;
        }
        Ok(())
    }

    /// Tile axes of a stand-in at the current positions.
    fn input_axes(&self, input: InputId) -> AxisSet {
        let axes = &self.s.c.g.input(input).axes;
        axes.iter()
            .filter_map(|a| self.positions.get(a))
            .map(|e| self.kb.kernel().expr_axes(e))
            .fold(AxisSet::EMPTY, AxisSet::union)
    }

    /// Axes on which what is computed for pairs depends go onto the grid, the rows into lanes; what only values have stays whole in the
    /// tile. (A table that is read for each pair is a value.)
    fn place_rows(&mut self, reductions: &[Reduction], groups: &[Group], target: &Target) -> Result<(), Error> {
        let c = &self.s.c;
        let pair = self.s.pair_axes(reductions, groups);
        let axes = &target.axes;
        let long: Vec<AxisId> = axes.iter().copied().filter(|&a| c.is_long(a)).collect();
        let batch: Vec<AxisId> =
            axes.iter().copied().filter(|&a| !c.is_long(a) && c.g.static_extent(a).is_none()).collect();
        let mut short: Vec<AxisId> = axes.iter().copied().filter(|&a| c.g.static_extent(a).is_some()).collect();
        let mut room = self.s.tiles.vector;
        // Without a long axis, as in the gradient of a weight, the largest short one gives the rows, and features come in blocks.
        let row = long.first().copied().or_else(|| {
            let free = |&n: &usize| !pair.contains(&short[n]) && self.s.static_size(short[n]) > 1;
            let largest = |&n: &usize| (self.s.static_size(short[n]), std::cmp::Reverse(n));
            let at = (0..short.len()).filter(free).max_by_key(largest)?;
            room = self.s.tiles.block;
            Some(short.remove(at))
        });
        for a in batch.into_iter().chain(long.iter().skip(1).copied()) {
            self.grid_axis(a);
        }
        let block = room;
        let mut blocked = None;
        let mut whole = Vec::new();
        let mut on_grid = Vec::new();
        for &a in short.iter().rev() {
            let n = self.s.static_size(a);
            if pair.contains(&a) || (n > room && !whole.is_empty()) || blocked.is_some() {
                on_grid.push(a);
            } else if n > room {
                blocked = Some(a);
            } else {
                whole.push(a);
                room = (room / n.max(1)).max(1);
            }
        }
        for &a in on_grid.iter().rev() {
            self.grid_axis(a);
        }
        if let Some(r) = row {
            self.row_tile(r);
        }
        if let Some(a) = blocked {
            self.tiled_axis(a, Expr::Const(block), block);
        }
        for &a in whole.iter().rev() {
            self.whole_axis(a);
        }
        Ok(())
    }

    /// A loop over a batch that is summed.
    fn begin_outer(&mut self, batch: AxisId, state: &State) -> Result<State, Error> {
        let name = self.axis_name(batch);
        let domain = Domain::Dense { lo: Expr::Const(0), hi: self.extent(batch) };
        let body = self.kb.begin_loop(&name, None, domain, None, &state.carried());
        self.note_bounds(body.index, 0, None);
        self.note_bounds(body.pos, 0, None);
        self.enter();
        self.positions.insert(batch, Expr::Var(body.pos));
        Ok(state.replaced(&body.carried))
    }

    fn end_outer(&mut self, batch: AxisId, state: &State) -> State {
        self.positions.remove(&batch);
        self.leave();
        let results = self.kb.end_loop(&state.values());
        state.replaced(&results)
    }

    fn emit_stream(
        &mut self,
        reductions: &[Reduction],
        groups: &[Group],
        s: &Stream,
        axis: AxisId,
        state: &State,
    ) -> Result<State, Error> {
        let Some(loop_axis) = s.axis else {
            // One position: no loop, the axis stands at an expression.
            self.enter();
            let at = self.index(s.position)?;
            self.positions.insert(axis, at);
            let guard = self.guard(&s.guards)?;
            let next = self.accumulate(reductions, groups, s, AxisSet::EMPTY, &guard, &Guard::always(), state)?;
            self.positions.remove(&axis);
            self.leave();
            return Ok(next);
        };
        let extent = self.extent(loop_axis);
        let (ends, guards): (Vec<NodeId>, Vec<NodeId>) = s.guards.iter().partition(|g| self.s.ends.contains_key(g));
        let (bounding, opaque) = self.bounding(&guards, loop_axis);
        let mut range = self.range(&bounding, loop_axis, extent.clone());
        let mut last_rows = Vec::new();
        for end in ends {
            let last = self.last_of_tile(end)?;
            range.hi = range.hi.min(last.clone());
            range.full = range.full.map(|(lo, hi)| (lo, hi.min(last.clone())));
            last_rows.push(last);
        }
        // Guards of a sum inside the tile speak of this loop too, and no range of it makes them all true.
        let terms: Vec<NodeId> = s.terms.iter().flat_map(|t| t.mantissas.iter().chain(&t.scale).copied()).collect();
        let inner = terms.iter().any(|&x| !self.s.streamed(x).is_empty());
        // Where no row has anything to add, no step is made. (Bounds of sums inside are proved from those of this loop: they stay simple.)
        if let Some(end) = self.end_by_rows(&opaque, loop_axis).filter(|_| !inner) {
            let end = Expr::Var(self.kb.let_expr("last", end));
            range.hi = range.hi.min(end.clone());
            range.full = range.full.map(|(lo, hi)| (lo, hi.min(end.clone())));
            last_rows.push(end);
        }
        let step = self.s.tiles.stream;
        let name = self.axis_name(loop_axis);
        let tile = self.kb.axis(&name, step);
        let last = range.hi.clone();
        let domain = Domain::Dense { lo: range.lo, hi: range.hi };
        let full = if !inner && self.s.claims_hold(&terms, &opaque, &bounding, loop_axis)? { range.full } else { None };
        let body = self.kb.begin_loop(&name, Some(tile), domain, full, &state.carried());
        self.note_bounds(body.index, 0, None);
        self.note_bounds(body.pos, 0, None);
        self.enter();
        let start = Expr::Var(body.index);
        self.spans.push(crate::schedule::ranges::TileSpan {
            axis: loop_axis,
            t0: start.clone(),
            t1: (start + step).min(extent.clone()),
        });
        self.positions.insert(loop_axis, Expr::Var(body.pos));
        // What the start of the loop ensures need not be asked of each element.
        let asked: Vec<NodeId> = bounding.into_iter().filter(|&g| !self.starts_inside(g, loop_axis)).collect();
        let mut guard = self.guard(&asked)?;
        guard.atoms.push(Expr::Var(body.pos).lt(extent));
        guard.atoms.extend(last_rows.into_iter().map(|last| Expr::Var(body.pos).lt(last)));
        let exists = Guard::from(Expr::Var(body.pos).lt(last));
        for c in opaque {
            let v = self.value(c)?;
            guard.opaque.push(v);
        }
        let state = state.replaced(&body.carried);
        let inner = self.accumulate(reductions, groups, s, tile.into(), &guard, &exists, &state)?;
        self.positions.remove(&loop_axis);
        self.spans.pop();
        self.leave();
        let results = self.kb.end_loop(&inner.values());
        Ok(inner.replaced(&results))
    }

    /// The last of the ends of a stream that the rows of the tile have.
    fn last_of_tile(&mut self, end: NodeId) -> Result<Expr, Error> {
        let end = self.value(self.s.ends[&end])?;
        let axes = self.kb.type_of(end).map_or(AxisSet::EMPTY, |t| t.axes);
        let mut exists = Guard::always();
        for a in axes.iter() {
            let valid = self.kb.kernel().axes.get(a.index()).map(|x| x.valid.clone());
            exists.atoms.extend(valid.into_iter().flat_map(|g| g.atoms));
        }
        let last = if axes.is_empty() { end } else { self.kb.reduce("last", end, Monoid::Max, axes, exists) };
        let last = self.kb.cast("last", last, ElemType::I32);
        Ok(Expr::Var(self.kb.let_scalar("last", last)))
    }

    /// What one step of a stream adds to the accumulators, where a guard holds and the streamed position is in its range.
    #[expect(clippy::too_many_arguments, reason = "one stream of a kernel, where its loop stands")]
    fn accumulate(
        &mut self,
        reductions: &[Reduction],
        groups: &[Group],
        s: &Stream,
        tile: AxisSet,
        guard: &Guard,
        exists: &Guard,
        state: &State,
    ) -> Result<State, Error> {
        let mut next = state.clone();
        for (n, g) in groups.iter().enumerate() {
            let mut scales: Vec<NodeId> = Vec::new();
            for t in s.terms.iter().filter(|t| g.members.contains(&t.reduction)) {
                scales.extend(t.scale.filter(|x| !scales.contains(x)));
            }
            for scale in scales {
                let terms: Vec<&Term> =
                    s.terms.iter().filter(|t| g.members.contains(&t.reduction) && t.scale == Some(scale)).collect();
                let mut over = tile;
                let shorts: Vec<AxisId> = terms
                    .iter()
                    .flat_map(|t| reductions[t.reduction].shorts.iter().copied())
                    .filter(|&a| self.s.has(scale, a) || s.guards.iter().any(|&g| self.s.has(g, a)))
                    .collect();
                for a in shorts {
                    over.insert(self.whole_axis(a));
                }
                let x = self.value(scale)?;
                let x = self.spread(x, over);
                let (m, r, w) = if over.is_empty() {
                    self.online_point(x, next.maxima[n], guard)?
                } else {
                    self.kb.online("w", x, next.maxima[n], over, guard.clone())
                };
                next.maxima[n] = m;
                for &k in &g.members {
                    next.sums[k] = self.kb.rescale("acc", next.sums[k], r);
                }
                for t in terms {
                    let mut values = vec![w];
                    for &x in &t.mantissas {
                        let v = self.value(x)?;
                        // A weight is 0 on padding, and so must be what it multiplies.
                        values.push(if self.s.is_wild(x) {
                            let atoms = guard.atoms.iter().chain(&exists.atoms).cloned().collect();
                            self.guarded(v, &Guard { atoms, opaque: guard.opaque.clone() })?
                        } else if self.s.is_zero_on_padding(x) {
                            v
                        } else {
                            self.guarded(v, exists)?
                        });
                    }
                    let over = self.summed(&reductions[t.reduction], tile);
                    next.sums[t.reduction] =
                        self.add_products(&values, over, Guard::always(), next.sums[t.reduction])?;
                }
            }
        }
        for t in s.terms.iter().filter(|t| t.scale.is_none()) {
            let r = &reductions[t.reduction];
            let mut values = Vec::new();
            for &x in &t.mantissas {
                values.push(self.value(x)?);
            }
            let over = self.summed(r, tile);
            let old = next.sums[t.reduction];
            next.sums[t.reduction] = match r.fold {
                Fold::Sum => {
                    if values.is_empty() {
                        let elem = self.kb.type_of(old).map_or(self.float, |t| t.elem);
                        let one = if elem.is_float() { Literal::Float(1.0) } else { Literal::Int(1) };
                        values.push(self.kb.fill("one", one, elem, over));
                    }
                    self.add_products(&values, over, guard.clone(), old)?
                }
                Fold::Extremum(x) => {
                    let (monoid, f) =
                        if x == Extremum::Max { (Monoid::Max, KernelFn::Max) } else { (Monoid::Min, KernelFn::Min) };
                    let x = self.spread(values[0], over);
                    let new = if over.is_empty() { x } else { self.kb.reduce("ext", x, monoid, over, guard.clone()) };
                    self.kb.map("ext", f, &[old, new])
                }
            };
        }
        Ok(next)
    }

    /// A tile with zeros where a guard is false: a weight of 0 does not make an infinity 0.
    fn guarded(&mut self, v: ValueId, guard: &Guard) -> Result<ValueId, Error> {
        if guard.is_always() {
            return Ok(v);
        }
        let ok = self.guard_tile(guard)?;
        let zero = self.kb.fill("zero", 0.0, self.float, AxisSet::EMPTY);
        Ok(self.kb.select("x", ok, v, zero))
    }

    /// Tile axes that a reduction sums in a stream.
    fn summed(&mut self, r: &Reduction, tile: AxisSet) -> AxisSet {
        let mut over = tile;
        for &a in &r.shorts {
            over.insert(self.whole_axis(a));
        }
        over
    }

    /// A tile that varies over at least these axes.
    fn spread(&mut self, v: ValueId, axes: AxisSet) -> ValueId {
        let missing = axes.minus(self.kb.type_of(v).map_or(AxisSet::EMPTY, |t| t.axes));
        if missing.is_empty() { v } else { self.kb.expand("x", v, missing) }
    }

    /// `online` for a single position, which has no axis to reduce.
    fn online_point(&mut self, x: ValueId, m: ValueId, guard: &Guard) -> Result<(ValueId, ValueId, ValueId), Error> {
        let one = self.kb.axis("one", 1i64);
        let x = self.kb.expand("x", x, one);
        let (m, r, w) = self.kb.online("w", x, m, one, guard.clone());
        let w = self.kb.reduce("w", w, Monoid::Sum, one, Guard::always());
        Ok((m, r, w))
    }

    /// Adds a sum of products to an accumulator.
    fn add_products(
        &mut self,
        values: &[ValueId],
        over: AxisSet,
        guard: Guard,
        acc: ValueId,
    ) -> Result<ValueId, Error> {
        let axes = |e: &Self, v: ValueId| e.kb.type_of(v).map_or(AxisSet::EMPTY, |t| t.axes);
        if over.is_empty() {
            let mut p = self.multiply(values, "p");
            if !guard.is_always() {
                let ok = self.guard_tile(&guard)?;
                let elem = self.kb.type_of(p).map_or(self.float, |t| t.elem);
                let zero = self.kb.fill(
                    "zero",
                    if elem.is_float() { Literal::Float(0.0) } else { Literal::Int(0) },
                    elem,
                    AxisSet::EMPTY,
                );
                p = self.kb.select("p", ok, p, zero);
            }
            return Ok(self.kb.map("acc", KernelFn::Add, &[acc, p]));
        }
        let kept = axes(self, acc);
        // Sides of a dot: what has the rows, and what has axes of the values only.
        let lanes = self.kb.kernel().lanes.map_or(AxisSet::EMPTY, AxisSet::from);
        let (rows, others): (Vec<ValueId>, Vec<ValueId>) = values
            .iter()
            .partition(|&&v| !axes(self, v).intersection(lanes).is_empty() || axes(self, v).minus(over).is_empty());
        let features = others.iter().fold(AxisSet::EMPTY, |s, &v| s.union(axes(self, v))).minus(over);
        let float = values.iter().all(|&v| self.kb.type_of(v).is_some_and(|t| t.elem.is_float()));
        if float && !rows.is_empty() && !features.is_empty() && kept.contains_all(features) {
            let (a, b) = (self.multiply(&rows, "p"), self.multiply(&others, "v"));
            let (a, b) = (self.spread_missing(a, b, over), b);
            let attrs = Attrs { over, guard, ..Attrs::default() };
            return Ok(self.kb.inst("acc", OpCode::Dot, &[a, b, acc], attrs)[0]);
        }
        let p = self.multiply(values, "p");
        let p = self.spread(p, over);
        let sum = self.kb.reduce("sum", p, Monoid::Sum, over, guard);
        Ok(self.kb.map("acc", KernelFn::Add, &[acc, sum]))
    }

    fn spread_missing(&mut self, a: ValueId, b: ValueId, over: AxisSet) -> ValueId {
        let axes = |e: &Self, v: ValueId| e.kb.type_of(v).map_or(AxisSet::EMPTY, |t| t.axes);
        let missing = over.minus(axes(self, a)).minus(axes(self, b));
        if missing.is_empty() { a } else { self.kb.expand("p", a, missing) }
    }
}

/// Accumulators and running maxima, as they stand.
#[derive(Clone, Default)]
struct State {
    maxima: Vec<ValueId>,
    sums: Vec<ValueId>,
}

impl State {
    fn values(&self) -> Vec<ValueId> {
        self.maxima.iter().chain(&self.sums).copied().collect()
    }

    fn carried(&self) -> Vec<(&'static str, ValueId)> {
        self.maxima.iter().map(|&v| ("m", v)).chain(self.sums.iter().map(|&v| ("acc", v))).collect()
    }

    fn replaced(&self, values: &[ValueId]) -> Self {
        let (maxima, sums) = values.split_at(self.maxima.len().min(values.len()));
        Self { maxima: maxima.to_vec(), sums: sums.to_vec() }
    }
}
