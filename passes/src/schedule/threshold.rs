//! Kernels for thresholds over a long axis: `tau` with `sum_j phi(z_j - tau) = K` over a pool.
//!
//! The sum falls with `tau`. A first pass over the pool finds its size and a bracket; then Newton steps, each a pass over the
//! pool for the sum and its slope, kept inside the bracket by bisection. On the piece where the root lies a step
//! of a piecewise linear `phi` is exact, so few are needed. A pool that cannot reach `K` gives minus infinity
//! (for `ramp`: all members have weight 1).
//!
//! Where scores are final and the pool only grows there is a better way: see [`growing`](super::growing).

use super::emit::Emitter;
use super::store::Target;
use super::{Error, Scheduler};
use weft_ir::graph::{AxisId, NodeId, Op, ThresholdFamily};
use weft_ir::kernel::{AxisSet, Domain, ElemType, Expr, Guard, KernelBuilder, MapFn, Monoid, ValueId};

/// More steps than bisection of a whole float64 bracket could take.
const STEPS: i64 = 200;

/// What the kernel solves.
pub(super) struct Equation {
    pub(super) family: ThresholdFamily,
    pub(super) axis: AxisId,
    pub(super) guards: Vec<NodeId>,
    pub(super) x: NodeId,
    pub(super) k: NodeId,
}

/// Where a search for a root stands. All are over the same rows.
pub(super) struct Search {
    /// Is there a root to be found?
    pub(super) open: ValueId,
    /// The sum is at least `K` here.
    pub(super) lower: ValueId,
    /// The sum is at most `K` here.
    pub(super) upper: ValueId,
    /// First guess.
    pub(super) tau: ValueId,
}

impl Scheduler {
    /// A kernel for a threshold.
    pub(crate) fn threshold_kernel(&mut self, name: &str, body: NodeId, target: &Target) -> Result<(), Error> {
        let Op::Threshold { family, axis, .. } = *self.c.g.op(body) else {
            return self.unsupported(body, "a threshold");
        };
        let operands = self.c.g.operands(body).to_vec();
        let guards = self.c.g.guards(body).to_vec();
        let equation = Equation { family, axis, guards, x: operands[0], k: operands[1] };
        let growing = self.growing_pool(&equation, body);
        if let Some(g) = &growing {
            self.note_rising(target.input, g.row);
        }
        self.notes.push(match &growing {
            Some(g) => format!(
                "{name}: scores are final and the pool only grows: one streaming pass, the largest {} members carried",
                g.capacity
            ),
            None if family == ThresholdFamily::Mass => format!("{name}: bisection over the pool of each tile of rows"),
            None => format!("{name}: Newton steps over the pool of each tile of rows"),
        });
        let float = self.float_elem()?;
        let mut plan = std::mem::take(&mut self.plan);
        let kb = KernelBuilder::new(&mut plan, name);
        let mut e = Emitter::new(self, kb, float);
        let made = match &growing {
            Some(g) => e.emit_growing_threshold(&equation, g, target),
            None if family == ThresholdFamily::Mass => e.emit_mass(&equation, target),
            None => e.emit_threshold(&equation, target),
        };
        let finished = made.and_then(|()| e.kb.finish().map_err(Error::from));
        self.plan = plan;
        finished.map(|_| ())
    }
}

impl Emitter<'_, '_> {
    fn emit_threshold(&mut self, q: &Equation, target: &Target) -> Result<(), Error> {
        let row = self.place_selection(target, &[]);
        let rows = row.and_then(|r| self.positions.get(&r)).map_or(AxisSet::EMPTY, |e| self.kb.kernel().expr_axes(e));
        self.hoist(q.x, &[q.axis])?;
        let k = self.value(q.k)?;
        let none = self.constant(0.0);
        let start = [
            self.kb.fill("least", f64::INFINITY, self.float, rows),
            self.kb.fill("most", f64::NEG_INFINITY, self.float, rows),
            self.kb.fill("size", 0.0, self.float, rows),
        ];
        let pool =
            self.pass(q, &[("least", start[0]), ("most", start[1]), ("size", start[2])], |e, x, tile, guard, old| {
                let least = e.kb.reduce("least", x, Monoid::Min, tile, guard.clone());
                let most = e.kb.reduce("most", x, Monoid::Max, tile, guard.clone());
                let ones = e.kb.fill("one", 1.0, e.float, tile);
                let size = e.kb.reduce("size", ones, Monoid::Sum, tile, guard);
                vec![
                    e.kb.map("least", MapFn::Min, &[old[0], least]),
                    e.kb.map("most", MapFn::Max, &[old[1], most]),
                    e.kb.map("size", MapFn::Add, &[old[2], size]),
                ]
            })?;
        let (least, most, size) = (pool[0], pool[1], pool[2]);
        // At `least - reach` every member counts fully, or the sum is at least K; at `most` it is 0.
        let (reaches, low) = self.bracket(q, k, least, most, size);
        let inside = match row {
            None => reaches,
            Some(r) => {
                let mut guard = Guard::always();
                let at = self.positions.get(&r).cloned().unwrap_or(Expr::Const(0));
                let extent = self.extent(r);
                guard.atoms.push(at.lt(extent));
                let valid = self.guard_tile(&guard)?;
                self.kb.map("open", MapFn::And, &[reaches, valid])
            }
        };
        let low = self.kb.select("lower", inside, low, none);
        let high = self.kb.select("upper", inside, most, none);
        let search = Search { open: inside, lower: low, upper: high, tau: low };
        let tau = self.newton(k, &search, rows, row, |e, tau| e.pool_sums(q, tau, rows))?;
        let never = self.constant(f64::NEG_INFINITY);
        let tau = self.kb.select("tau", inside, tau, never);
        self.store(target.input, tau)
    }

    /// Newton steps inside a bracket; `sums` gives the sum of `phi` at a `tau`, and minus its slope.
    pub(super) fn newton(
        &mut self,
        k: ValueId,
        search: &Search,
        rows: AxisSet,
        row: Option<AxisId>,
        sums: impl FnOnce(&mut Self, ValueId) -> Result<(ValueId, ValueId), Error>,
    ) -> Result<ValueId, Error> {
        let (one, none) = (self.constant(1.0), self.constant(0.0));
        let go = self.any(search.open, rows, row);
        let eps = self.constant(self.rounding());
        let carried =
            [("go", go), ("open", search.open), ("lower", search.lower), ("upper", search.upper), ("tau", search.tau)];
        let state = self.kb.begin_while(STEPS, &carried);
        self.enter();
        let (open, lower, upper, tau) = (state[1], state[2], state[3], state[4]);
        let (f, slope) = sums(self, tau)?;
        let above = self.kb.map("above", MapFn::Ge, &[f, k]);
        let lower2 = self.kb.select("lower", above, tau, lower);
        let upper2 = self.kb.select("upper", above, upper, tau);
        let excess = self.kb.map("excess", MapFn::Sub, &[f, k]);
        let inverse = self.kb.map("inverse", MapFn::Inv0, &[slope]);
        let step = self.kb.map("step", MapFn::Mul, &[excess, inverse]);
        let newton = self.kb.map("newton", MapFn::Add, &[tau, step]);
        let half = self.constant(0.5);
        let both = self.kb.map("both", MapFn::Add, &[lower2, upper2]);
        let middle = self.kb.map("middle", MapFn::Mul, &[both, half]);
        let sloped = self.kb.map("sloped", MapFn::Gt, &[slope, none]);
        let after = self.kb.map("after", MapFn::Gt, &[newton, lower2]);
        let before = self.kb.map("before", MapFn::Lt, &[newton, upper2]);
        // Rounding of the sum may put the root on the wrong side of the position that is it: a step that hardly moves is taken.
        let scale = self.kb.map("scale", MapFn::Abs, &[tau]);
        let scale = self.kb.map("scale", MapFn::Max, &[scale, one]);
        let least_move = self.kb.map("bound", MapFn::Mul, &[scale, eps]);
        let distance = self.kb.map("distance", MapFn::Abs, &[step]);
        let here = self.kb.map("here", MapFn::Le, &[distance, least_move]);
        let within = self.kb.map("within", MapFn::And, &[after, before]);
        let fits = self.kb.map("fits", MapFn::Or, &[within, here]);
        let good = self.kb.map("good", MapFn::And, &[sloped, fits]);
        let next = self.kb.select("next", good, newton, middle);
        // Done where the step does not move any more, or the sum is K exactly.
        let moved = self.kb.map("moved", MapFn::Sub, &[next, tau]);
        let moved = self.kb.map("moved", MapFn::Abs, &[moved]);
        let moves = self.kb.map("moves", MapFn::Gt, &[moved, least_move]);
        let off = self.kb.map("off", MapFn::Ne, &[f, k]);
        let open2 = self.kb.map("open", MapFn::And, &[open, moves, off]);
        let take = self.kb.map("take", MapFn::And, &[open, off]);
        let tau2 = self.kb.select("tau", take, next, tau);
        let go2 = self.any(open2, rows, row);
        self.leave();
        let state = self.kb.end_while(&[go2, open2, lower2, upper2, tau2]);
        Ok(state[4])
    }

    /// Relative distance at which two thresholds are the same.
    pub(super) fn rounding(&self) -> f64 {
        if self.float == ElemType::F64 { 1e-13 } else { 3e-7 }
    }

    /// The sum of `phi` over the pool at a `tau`, and minus its slope: one pass.
    pub(super) fn pool_sums(&mut self, q: &Equation, tau: ValueId, rows: AxisSet) -> Result<(ValueId, ValueId), Error> {
        let (one, none) = (self.constant(1.0), self.constant(0.0));
        let zero = self.kb.fill("zero", 0.0, self.float, rows);
        let sums = self.pass(q, &[("f", zero), ("slope", zero)], |e, x, tile, guard, old| {
            let over = e.kb.map("over", MapFn::Sub, &[x, tau]);
            let (phi, slope) = e.phi(q.family, over, one, none);
            let f = e.kb.reduce("f", phi, Monoid::Sum, tile, guard.clone());
            let slope = e.kb.reduce("slope", slope, Monoid::Sum, tile, guard);
            vec![e.kb.map("f", MapFn::Add, &[old[0], f]), e.kb.map("slope", MapFn::Add, &[old[1], slope])]
        })?;
        Ok((sums[0], sums[1]))
    }

    pub(super) fn constant(&mut self, value: f64) -> ValueId {
        self.kb.fill("c", value, self.float, AxisSet::EMPTY)
    }

    /// Does a condition hold in any row that exists?
    pub(super) fn any(&mut self, x: ValueId, rows: AxisSet, row: Option<AxisId>) -> ValueId {
        if rows.is_empty() {
            return x;
        }
        let mut guard = Guard::always();
        if let Some(at) = row.and_then(|r| self.positions.get(&r).cloned().map(|at| at.lt(self.extent(r)))) {
            guard.atoms.push(at);
        }
        self.kb.reduce("go", x, Monoid::Any, rows, guard)
    }

    /// `phi` and minus its derivative by `tau`.
    pub(super) fn phi(
        &mut self,
        family: ThresholdFamily,
        over: ValueId,
        one: ValueId,
        none: ValueId,
    ) -> (ValueId, ValueId) {
        let positive = self.kb.map("positive", MapFn::Max, &[over, none]);
        let in_support = self.kb.map("in", MapFn::Gt, &[over, none]);
        match family {
            ThresholdFamily::Ramp => {
                let phi = self.kb.map("phi", MapFn::Min, &[positive, one]);
                let soft = self.kb.map("soft", MapFn::Lt, &[over, one]);
                let both = self.kb.map("both", MapFn::And, &[in_support, soft]);
                (phi, self.kb.cast("slope", both, self.float))
            }
            ThresholdFamily::Entmax15 => {
                let half = self.constant(0.5);
                let h = self.kb.map("h", MapFn::Mul, &[positive, half]);
                (self.kb.map("phi", MapFn::Mul, &[h, h]), h)
            }
            ThresholdFamily::Relu | ThresholdFamily::Mass => (positive, self.kb.cast("slope", in_support, self.float)),
        }
    }

    /// Can the sum reach K, and a `tau` at which it does?
    pub(super) fn bracket(
        &mut self,
        q: &Equation,
        k: ValueId,
        least: ValueId,
        most: ValueId,
        size: ValueId,
    ) -> (ValueId, ValueId) {
        let one = self.constant(1.0);
        let none = self.constant(0.0);
        match q.family {
            ThresholdFamily::Ramp => {
                let more = self.kb.map("more", MapFn::Gt, &[size, k]);
                (more, self.kb.map("low", MapFn::Sub, &[least, one]))
            }
            // The largest member alone reaches K at `most - K` (relu), or at `most - 2 sqrt(K)`.
            ThresholdFamily::Relu | ThresholdFamily::Mass => {
                let some = self.kb.map("some", MapFn::Gt, &[size, none]);
                (some, self.kb.map("low", MapFn::Sub, &[most, k]))
            }
            ThresholdFamily::Entmax15 => {
                let some = self.kb.map("some", MapFn::Gt, &[size, none]);
                let root = self.kb.map("root", MapFn::Sqrt, &[k]);
                let two = self.constant(2.0);
                let reach = self.kb.map("reach", MapFn::Mul, &[root, two]);
                (some, self.kb.map("low", MapFn::Sub, &[most, reach]))
            }
        }
    }

    /// Batches and heads on the grid, rows in lanes, some axes whole; gives the row axis.
    pub(crate) fn place_selection(&mut self, target: &Target, whole: &[AxisId]) -> Option<AxisId> {
        let row = target.axes.iter().copied().find(|&a| self.s.c.is_long(a));
        for &a in target.axes.iter().filter(|&&a| Some(a) != row && !whole.contains(&a)) {
            self.grid_axis(a);
        }
        for &a in whole {
            self.whole_axis(a);
        }
        if let Some(r) = row {
            self.row_tile(r);
        }
        row
    }

    /// One pass over the pool: `step(emitter, scores, tile axis, guard, carried)` gives the carried values after a tile.
    pub(super) fn pass(
        &mut self,
        q: &Equation,
        carried: &[(&str, ValueId)],
        step: impl FnOnce(&mut Self, ValueId, AxisSet, Guard, &[ValueId]) -> Vec<ValueId>,
    ) -> Result<Vec<ValueId>, Error> {
        let extent = self.extent(q.axis);
        let (bounding, opaque) = self.bounding(&q.guards, q.axis);
        let range = self.range(&bounding, q.axis, extent.clone());
        let name = self.axis_name(q.axis);
        let tile = self.kb.axis(&name, self.s.tiles.stream);
        let full = if self.s.claims_hold(&[q.x], &opaque, &bounding, q.axis)? { range.full } else { None };
        let body = self.kb.begin_loop(&name, Some(tile), Domain::Dense { lo: range.lo, hi: range.hi }, full, carried);
        self.note_bounds(body.index, 0, None);
        self.note_bounds(body.pos, 0, None);
        self.enter();
        let outside = self.positions.insert(q.axis, Expr::Var(body.pos));
        let mut guard = self.guard(&bounding)?;
        guard.atoms.push(Expr::Var(body.pos).lt(extent));
        for c in opaque {
            let v = self.value(c)?;
            guard.opaque.push(v);
        }
        let x = self.value(q.x)?;
        let missing = AxisSet::from(tile).minus(self.kb.type_of(x).map_or(AxisSet::EMPTY, |t| t.axes));
        let x = if missing.is_empty() { x } else { self.kb.expand("x", x, missing) };
        let next = step(self, x, tile.into(), guard, &body.carried);
        self.restore(q.axis, outside);
        self.leave();
        Ok(self.kb.end_loop(&next))
    }
}
