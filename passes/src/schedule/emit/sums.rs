//! Sums and extrema over short axes, and sums over a long axis inside a tile.

use super::Emitter;
use crate::schedule::Error;
use weft_ir::graph::{AxisId, Extremum, NodeId, Op};
use weft_ir::kernel::{self, Attrs, AxisSet, Domain, ElemType, Expr, Guard, Literal, Monoid, OpCode, ValueId};

impl Emitter<'_, '_> {
    /// Whole tile axes of bound axes.
    pub(super) fn whole_axes(&mut self, id: NodeId, axes: &[AxisId]) -> Result<AxisSet, Error> {
        let mut set = AxisSet::EMPTY;
        for &a in axes {
            if self.s.c.g.static_extent(a).is_none() {
                return self.s.unsupported(id, format!("a reduction over `{}` inside tile code", self.axis_name(a)));
            }
            set.insert(self.whole_axis(a));
        }
        Ok(set)
    }

    /// A sum over short axes, in steps along those that are too long for one tile.
    pub(super) fn emit_sum(
        &mut self,
        id: NodeId,
        axes: &[AxisId],
        guards: &[NodeId],
        factors: &[NodeId],
        hint: &str,
    ) -> Result<ValueId, Error> {
        if let Some(&long) = axes.iter().find(|&&a| self.s.c.g.static_extent(a).is_none()) {
            if axes.len() > 1 {
                return self
                    .s
                    .unsupported(id, format!("a sum over `{}` and other axes inside tile code", self.axis_name(long)));
            }
            return self.emit_inner_stream(id, long, guards, factors, hint);
        }
        // Innermost in memory first, as whole tile axes while they fit; the others are walked.
        let mut order = axes.to_vec();
        order.sort_by_key(|&a| std::cmp::Reverse(self.innermost(a, factors)));
        let depth = self.s.tiles.depth;
        let (mut room, mut walked) = (depth, Vec::new());
        for &a in &order {
            let n = self.s.static_size(a);
            if self.whole.contains_key(&a) || (n <= room && walked.is_empty()) {
                self.whole_axis(a);
                room = (room / n.max(1)).max(1);
            } else {
                walked.push(a);
            }
        }
        if walked.is_empty() {
            return self.sum_tile(id, axes, guards, factors, None, hint);
        }
        for &f in factors.iter().chain(guards) {
            self.hoist(f, &walked)?;
        }
        self.walk(id, &walked, room, axes, guards, factors, None, hint)
    }

    /// A sum over a long axis inside the tile of another stream: a loop of its own for every tile of pairs.
    pub(super) fn emit_inner_stream(
        &mut self,
        id: NodeId,
        axis: AxisId,
        guards: &[NodeId],
        factors: &[NodeId],
        hint: &str,
    ) -> Result<ValueId, Error> {
        for &x in factors.iter().chain(guards) {
            self.hoist(x, &[axis])?;
        }
        let mut around = AxisSet::EMPTY;
        for a in self.s.c.g.free(id).iter().collect::<Vec<_>>() {
            if let Some(e) = self.positions.get(&a) {
                around = around.union(self.kb.kernel().expr_axes(e));
            }
        }
        let elem = self.elem_of(id)?;
        let zero =
            self.kb.fill("zero", if elem.is_float() { Literal::Float(0.0) } else { Literal::Int(0) }, elem, around);
        let extent = self.extent(axis);
        let (bounding, opaque) = self.bounding(guards, axis);
        let range = self.range(&bounding, axis, extent.clone());
        let name = self.axis_name(axis);
        let tile = self.kb.axis(&name, self.s.tiles.stream);
        let full = if self.s.claims_hold(factors, &opaque, &bounding, axis)? { range.full } else { None };
        let domain = Domain::Dense { lo: range.lo, hi: range.hi };
        let body = self.kb.begin_loop(&name, Some(tile), domain, full, &[("acc", zero)]);
        self.note_bounds(body.index, 0, None);
        self.note_bounds(body.pos, 0, None);
        self.enter();
        self.positions.insert(axis, Expr::Var(body.pos));
        let mut guard = self.guard(&bounding)?;
        guard.atoms.push(Expr::Var(body.pos).lt(extent));
        for c in opaque {
            let v = self.value(c)?;
            guard.opaque.push(v);
        }
        let mut values = Vec::new();
        for &f in factors {
            values.push(self.value(f)?);
        }
        let p = self.multiply(&values, hint);
        let missing = AxisSet::from(tile).union(around).minus(self.kb.type_of(p).map_or(AxisSet::EMPTY, |t| t.axes));
        let p = if missing.is_empty() { p } else { self.kb.expand(hint, p, missing) };
        let sum = self.kb.reduce(hint, p, Monoid::Sum, tile, guard);
        let next = self.kb.map(hint, kernel::MapFn::Add, &[body.carried[0], sum]);
        self.positions.remove(&axis);
        self.leave();
        Ok(self.kb.end_loop(&[next])[0])
    }

    /// How far inside the memory of some factor an axis is.
    pub(crate) fn innermost(&self, axis: AxisId, factors: &[NodeId]) -> usize {
        factors
            .iter()
            .filter_map(|&f| {
                let at = match self.s.c.g.op(f) {
                    Op::Input(_) => f,
                    Op::Sub { .. } => self.s.c.g.args(f)[0],
                    _ => return None,
                };
                let Op::Input(i) = self.s.c.g.op(at) else { return None };
                let axes = &self.s.c.g.input(*i).axes;
                let direct = axes.iter().position(|&x| x == axis || (at != f && self.mentions(f, x, axis)));
                direct.map(|p| p + 16 - axes.len())
            })
            .max()
            .unwrap_or(0)
    }

    /// Is a factor a read of memory that has an axis as a dimension? Behind the end of the axis it is 0.
    fn ends_with(&self, factor: NodeId, axis: AxisId) -> bool {
        let (at, positions) = match self.s.c.g.op(factor) {
            Op::Sub { axes } => (self.s.c.g.args(factor)[0], axes.to_vec()),
            _ => (factor, Vec::new()),
        };
        let Op::Input(i) = self.s.c.g.op(at) else { return false };
        let index = |a: AxisId| match positions.iter().position(|&x| x == a) {
            Some(p) => *self.s.c.g.op(self.s.c.g.args(factor)[p + 1]) == Op::Index(axis),
            None => a == axis,
        };
        let same = |a: AxisId| self.s.static_size(a) == self.s.static_size(axis);
        !self.given.contains_key(i) && self.s.c.g.input(*i).axes.iter().any(|&a| index(a) && same(a))
    }

    pub(super) fn mentions(&self, sub: NodeId, dimension: AxisId, axis: AxisId) -> bool {
        let Op::Sub { axes } = self.s.c.g.op(sub) else { return false };
        axes.iter().position(|&a| a == dimension).is_some_and(|p| self.s.has(self.s.c.g.args(sub)[p + 1], axis))
    }

    /// Loops over the axes that are left, then the tile's sum, accumulated.
    #[expect(clippy::too_many_arguments, reason = "one recursive step of emit_sum with its whole state")]
    pub(super) fn walk(
        &mut self,
        id: NodeId,
        walked: &[AxisId],
        room: i64,
        axes: &[AxisId],
        guards: &[NodeId],
        factors: &[NodeId],
        acc: Option<ValueId>,
        hint: &str,
    ) -> Result<ValueId, Error> {
        let Some((&axis, rest)) = walked.split_last() else {
            return self.sum_tile(id, axes, guards, factors, acc, hint);
        };
        let init = match acc {
            Some(a) => a,
            None => self.zero_like_sum(id, axes, guards, factors)?,
        };
        let n = self.s.static_size(axis);
        // The outermost axes go one by one.
        let step = if rest.is_empty() { room.clamp(1, n) } else { 1 };
        let name = self.axis_name(axis);
        let tile = (step > 1).then(|| self.kb.axis(&name, step));
        let domain = Domain::Dense { lo: Expr::Const(0), hi: Expr::Const(n) };
        let body = self.kb.begin_loop(&name, tile, domain, None, &[("acc", init)]);
        self.note_bounds(body.index, 0, Some(n - 1));
        self.note_bounds(body.pos, 0, if n % step == 0 { Some(n - 1) } else { None });
        // An extremum in a factor may have put the whole axis into a tile before.
        self.enter_moved(axis);
        let outside = self.positions.insert(axis, Expr::Var(body.pos));
        let mut guards = guards.to_vec();
        let wild = |f: NodeId| self.s.is_wild(f) && !self.s.is_zero_on_padding(f);
        let ends = factors.iter().any(|&f| self.ends_with(f, axis)) && !factors.iter().any(|&f| wild(f));
        if n % step != 0 && !ends {
            guards.push(self.s.below(axis, n)?);
        }
        let inner = self.walk(id, rest, room, axes, &guards, factors, Some(body.carried[0]), hint)?;
        self.restore(axis, outside);
        self.leave();
        let results = self.kb.end_loop(&[inner]);
        Ok(results[0])
    }

    pub(super) fn zero_like_sum(
        &mut self,
        id: NodeId,
        axes: &[AxisId],
        guards: &[NodeId],
        factors: &[NodeId],
    ) -> Result<ValueId, Error> {
        let mut set = AxisSet::EMPTY;
        let terms = guards.iter().chain(factors);
        let free: Vec<AxisId> = terms.flat_map(|&f| self.s.c.g.free(f).iter().collect::<Vec<_>>()).collect();
        for a in free {
            if !axes.contains(&a)
                && let Some(e) = self.positions.get(&a)
            {
                set = set.union(self.kb.kernel().expr_axes(e));
            }
        }
        let elem = self.elem_of(id)?;
        let zero = if elem.is_float() { Literal::Float(0.0) } else { Literal::Int(0) };
        Ok(self.kb.fill("zero", zero, elem, set))
    }

    /// Tile axes on which the positions of bound axes depend.
    pub(super) fn tile_axes_of(&self, axes: &[AxisId]) -> AxisSet {
        axes.iter()
            .filter_map(|a| self.positions.get(a))
            .map(|e| self.kb.kernel().expr_axes(e))
            .fold(AxisSet::EMPTY, AxisSet::union)
    }

    /// The sum of one tile: a dot of two groups of factors where that is what it is, else a reduction of the product.
    pub(super) fn sum_tile(
        &mut self,
        id: NodeId,
        axes: &[AxisId],
        guards: &[NodeId],
        factors: &[NodeId],
        acc: Option<ValueId>,
        hint: &str,
    ) -> Result<ValueId, Error> {
        // The mantissa of a bare exponential is 1: multiplied, it would hide that the other factor is a read.
        let one = |f: NodeId| self.s.c.g.constant(f).is_some_and(|k| k.as_f64() == 1.0);
        let factors: Vec<NodeId> = match factors.iter().copied().filter(|&f| !one(f)).collect::<Vec<_>>() {
            left if left.is_empty() => factors.to_vec(),
            left => left,
        };
        let mut values = Vec::new();
        for &f in &factors {
            values.push(self.value(f)?);
        }
        let mut guard = self.guard(guards)?;
        if !guard.is_always() {
            // A product of reads is zero behind the end of a walked axis; a count is not.
            for &a in axes {
                if let Some(at) = self.positions.get(&a).cloned() {
                    let extent = self.extent(a);
                    self.stay_inside(&mut guard, &at, &extent);
                }
            }
        }
        let over = self.tile_axes_of(axes);
        let wild: Vec<bool> = factors.iter().map(|&f| self.s.is_wild(f)).collect();
        self.contract(id, &values, &wild, over, guard, acc, hint)
    }

    /// The sum over tile axes of a product of tiles, where a guard holds. Of each it is known whether it is wild: maybe infinite, or no
    /// number at all, where the guard is false.
    #[expect(clippy::too_many_arguments, reason = "a sum has this many parts")]
    fn contract(
        &mut self,
        id: NodeId,
        values: &[ValueId],
        wild: &[bool],
        over: AxisSet,
        guard: Guard,
        acc: Option<ValueId>,
        hint: &str,
    ) -> Result<ValueId, Error> {
        let axes_of = |e: &Self, v: ValueId| e.kb.type_of(v).map_or(AxisSet::EMPTY, |t| t.axes);
        let is_float = values.iter().all(|&v| self.kb.type_of(v).is_some_and(|t| t.elem.is_float()));
        if over.is_empty() {
            // An axis of one element, walked without a tile axis.
            let mut p = self.multiply(values, hint);
            if !guard.is_always() {
                let ok = self.guard_tile(&guard)?;
                let elem = self.elem_of(id)?;
                let zero = self.kb.fill(
                    "zero",
                    if elem.is_float() { Literal::Float(0.0) } else { Literal::Int(0) },
                    elem,
                    AxisSet::EMPTY,
                );
                p = self.kb.select(hint, ok, p, zero);
            }
            return Ok(match acc {
                Some(a) => self.kb.map(hint, kernel::MapFn::Add, &[a, p]),
                None => p,
            });
        }
        // Two sides: those that vary with the lanes, and the others.
        let lanes = self.kb.kernel().lanes.map_or(AxisSet::EMPTY, AxisSet::from);
        let (rows, others): (Vec<ValueId>, Vec<ValueId>) =
            values.iter().partition(|&&v| !axes_of(self, v).intersection(lanes).is_empty());
        let outer =
            |e: &Self, vs: &[ValueId]| vs.iter().fold(AxisSet::EMPTY, |s, &v| s.union(axes_of(e, v))).minus(over);
        let separable = !rows.is_empty() && !others.is_empty() && !outer(self, &others).is_empty();
        if is_float && separable && guard.is_always() {
            let (a, b) = (self.multiply(&rows, hint), self.multiply(&others, hint));
            return Ok(self.kb.dot(hint, a, b, over, acc));
        }
        // A guard that speaks of one side only makes that side 0 where it is false. The other must be a number there.
        let sides = [(&rows, &others), (&others, &rows)];
        let calm = |vs: &[ValueId]| values.iter().zip(wild).all(|(v, &w)| !w || !vs.contains(v));
        if is_float && separable {
            let speaks = self.guard_axes(&guard);
            let fits = |e: &Self, own: &[ValueId]| {
                speaks.minus(own.iter().fold(over, |s, &v| s.union(axes_of(e, v)))).is_empty()
            };
            if let Some((own, other)) = sides.into_iter().find(|(own, other)| fits(self, own) && calm(other)) {
                let (own, other) = (self.multiply(own, hint), self.multiply(other, hint));
                let ok = self.guard_tile(&guard)?;
                let zero = self.kb.fill("zero", 0.0, self.float, AxisSet::EMPTY);
                let own = self.kb.select(hint, ok, own, zero);
                return Ok(self.kb.dot(hint, own, other, over, acc));
            }
        }
        let p = self.multiply(values, hint);
        let sum = self.kb.reduce(hint, p, Monoid::Sum, over, guard);
        Ok(match acc {
            Some(a) => self.kb.map(hint, kernel::MapFn::Add, &[a, sum]),
            None => sum,
        })
    }

    /// Tile axes that a guard speaks of.
    fn guard_axes(&self, guard: &Guard) -> AxisSet {
        let atoms = guard.atoms.iter().flat_map(|a| [&a.lhs, &a.rhs]).map(|e| self.kb.kernel().expr_axes(e));
        let tiles = guard.opaque.iter().map(|&v| self.kb.type_of(v).map_or(AxisSet::EMPTY, |t| t.axes));
        atoms.chain(tiles).fold(AxisSet::EMPTY, AxisSet::union)
    }

    /// Position of an extremum over a short axis, walked in blocks.
    pub(super) fn emit_arg(
        &mut self,
        extremum: Extremum,
        axis: AxisId,
        guards: &[NodeId],
        x: NodeId,
        hint: &str,
    ) -> Result<ValueId, Error> {
        const BLOCK: i64 = 16;
        let n = self.s.static_size(axis);
        let monoid = if extremum == Extremum::Max { Monoid::ArgMax } else { Monoid::ArgMin };
        let pick =
            |e: &mut Self, position: Expr, tile: kernel::AxisId, guards: &[NodeId]| -> Result<Vec<ValueId>, Error> {
                let v = e.value(x)?;
                let mut guard = e.guard(guards)?;
                e.stay_inside(&mut guard, &position, &Expr::Const(n));
                let payload = e.kb.index("at", position, ElemType::I32);
                let attrs = Attrs { monoid: Some(monoid), over: tile.into(), guard, ..Attrs::default() };
                Ok(e.kb.inst(hint, OpCode::Reduce, &[v, payload], attrs))
            };
        if n <= BLOCK {
            let tile = self.whole_axis(axis);
            let best = pick(self, Expr::Axis(tile), tile, guards)?;
            return Ok(best[1]);
        }
        self.hoist(x, &[axis])?;
        let worst = if extremum == Extremum::Max { f64::NEG_INFINITY } else { f64::INFINITY };
        let mut set = AxisSet::EMPTY;
        for a in self.s.c.g.free(x).iter().filter(|&a| a != axis).collect::<Vec<_>>() {
            if let Some(e) = self.positions.get(&a) {
                set = set.union(self.kb.kernel().expr_axes(e));
            }
        }
        let best = self.kb.fill("best", worst, self.float, set);
        let at = self.kb.fill("at", 0i64, ElemType::I32, set);
        let name = self.axis_name(axis);
        let tile = self.kb.axis(&name, BLOCK);
        let domain = Domain::Dense { lo: Expr::Const(0), hi: Expr::Const(n) };
        let body = self.kb.begin_loop(&name, Some(tile), domain, None, &[("best", best), ("at", at)]);
        self.note_bounds(body.index, 0, Some(n - 1));
        self.note_bounds(body.pos, 0, if n % BLOCK == 0 { Some(n - 1) } else { None });
        self.enter();
        let outside = self.positions.insert(axis, Expr::Var(body.pos));
        let found = pick(self, Expr::Var(body.pos), tile, guards)?;
        // Ties go to the lower position, which an earlier block has.
        let order = if extremum == Extremum::Max { [body.carried[0], found[0]] } else { [found[0], body.carried[0]] };
        let better = self.kb.map("better", kernel::MapFn::Lt, &order);
        let best = self.kb.select("best", better, found[0], body.carried[0]);
        let at = self.kb.select("at", better, found[1], body.carried[1]);
        self.restore(axis, outside);
        self.leave();
        let results = self.kb.end_loop(&[best, at]);
        Ok(results[1])
    }
}
