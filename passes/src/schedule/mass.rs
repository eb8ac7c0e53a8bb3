//! Kernels for thresholds of the family `mass` over a long axis: the largest member such that it and all larger ones sum to `K`.
//!
//! The sum of the members at or above a value falls with it, in steps at members (only positive ones count towards reaching `K`). A
//! first pass finds the ends; then bisection, each step a pass that gives the sum at the middle, the least member at or above it
//! and the largest one below: a bracket whose lower end is a member and that has no member inside is closed.
//!
//! The threshold is a member, and whoever compares members with it computes them anew, rounded in another order. It is stored a
//! rounding lower, so that the member itself passes.

use super::Error;
use super::emit::Emitter;
use super::store::Target;
use super::threshold::Equation;
use weft_ir::kernel::{AxisSet, Guard, MapFn, Monoid, ValueId};

/// Halvings of the whole range of float64.
const STEPS: i64 = 2200;

impl Emitter<'_, '_> {
    pub(super) fn emit_mass(&mut self, q: &Equation, target: &Target) -> Result<(), Error> {
        let row = self.place_selection(target, &[]);
        let rows = row.and_then(|r| self.positions.get(&r)).map_or(AxisSet::EMPTY, |e| self.kb.kernel().expr_axes(e));
        self.hoist(q.x, &[q.axis])?;
        let k = self.value(q.k)?;
        let none = self.constant(0.0);
        let (top, never) = (self.constant(f64::INFINITY), self.constant(f64::NEG_INFINITY));
        let start = [
            self.kb.fill("least", f64::INFINITY, self.float, rows),
            self.kb.fill("low", f64::INFINITY, self.float, rows),
            self.kb.fill("most", f64::NEG_INFINITY, self.float, rows),
            self.kb.fill("total", 0.0, self.float, rows),
        ];
        let carried = [("least", start[0]), ("low", start[1]), ("most", start[2]), ("total", start[3])];
        let ends = self.pass(q, &carried, |e, x, tile, guard, old| {
            let positive = e.kb.map("positive", MapFn::Gt, &[x, none]);
            let counted = e.kb.select("counted", positive, x, none);
            let mut gain = guard.clone();
            gain.opaque.push(positive);
            let least = e.kb.reduce("least", x, Monoid::Min, tile, guard.clone());
            let low = e.kb.reduce("low", x, Monoid::Min, tile, gain);
            let most = e.kb.reduce("most", x, Monoid::Max, tile, guard.clone());
            let total = e.kb.reduce("total", counted, Monoid::Sum, tile, guard);
            vec![
                e.kb.map("least", MapFn::Min, &[old[0], least]),
                e.kb.map("low", MapFn::Min, &[old[1], low]),
                e.kb.map("most", MapFn::Max, &[old[2], most]),
                e.kb.map("total", MapFn::Add, &[old[3], total]),
            ]
        })?;
        let (least, low, most, total) = (ends[0], ends[1], ends[2], ends[3]);
        let wants = self.kb.map("wants", MapFn::Gt, &[k, none]);
        let reaches = self.kb.map("reaches", MapFn::Ge, &[total, k]);
        let some = self.kb.map("some", MapFn::Lt, &[low, top]);
        let mut parts = vec![wants, reaches, some];
        if let Some(at) = row.and_then(|r| self.positions.get(&r).cloned().map(|at| at.lt(self.extent(r)))) {
            parts.push(self.guard_tile(&Guard::from(at))?);
        }
        let open = self.kb.map("open", MapFn::And, &parts);
        // Above twice the largest member there is none.
        let twice = self.kb.map("twice", MapFn::Add, &[most, most]);
        let lower = self.kb.select("lower", open, low, none);
        let upper = self.kb.select("upper", open, twice, none);
        let go = self.any(open, rows, row);
        let state = self.kb.begin_while(STEPS, &[("go", go), ("open", open), ("lower", lower), ("upper", upper)]);
        self.enter();
        let (open2, lower, upper) = (state[1], state[2], state[3]);
        let half = self.constant(0.5);
        let (a, b) = (self.kb.map("a", MapFn::Mul, &[lower, half]), self.kb.map("b", MapFn::Mul, &[upper, half]));
        let middle = self.kb.map("middle", MapFn::Add, &[a, b]);
        let (zero, inf, minus) = (self.over(none, rows), self.over(top, rows), self.over(never, rows));
        let found = self.pass(q, &[("sum", zero), ("up", inf), ("down", minus)], |e, x, tile, guard, old| {
            let above = e.kb.map("above", MapFn::Ge, &[x, middle]);
            let below = e.kb.map("below", MapFn::Lt, &[x, middle]);
            let counted = e.kb.select("counted", above, x, none);
            let (mut at_least, mut less) = (guard.clone(), guard.clone());
            at_least.opaque.push(above);
            less.opaque.push(below);
            let sum = e.kb.reduce("sum", counted, Monoid::Sum, tile, guard);
            let up = e.kb.reduce("up", x, Monoid::Min, tile, at_least);
            let down = e.kb.reduce("down", x, Monoid::Max, tile, less);
            vec![
                e.kb.map("sum", MapFn::Add, &[old[0], sum]),
                e.kb.map("up", MapFn::Min, &[old[1], up]),
                e.kb.map("down", MapFn::Max, &[old[2], down]),
            ]
        })?;
        let enough = self.kb.map("enough", MapFn::Ge, &[found[0], k]);
        let next = self.kb.select("lower", enough, found[1], lower);
        let lower2 = self.kb.select("lower", open2, next, lower);
        let next = self.kb.select("upper", enough, upper, middle);
        let upper2 = self.kb.select("upper", open2, next, upper);
        // Closed where nothing lies between, or the middle is an end.
        let gap = self.kb.map("gap", MapFn::Gt, &[found[2], lower]);
        let gap = self.kb.map("gap", MapFn::Or, &[gap, enough]);
        let splits = self.kb.map("splits", MapFn::Gt, &[middle, lower]);
        let splits2 = self.kb.map("splits", MapFn::Lt, &[middle, upper]);
        let open2 = self.kb.map("open", MapFn::And, &[open2, gap, splits, splits2]);
        let go2 = self.any(open2, rows, row);
        self.leave();
        let state = self.kb.end_while(&[go2, open2, lower2, upper2]);
        let tau = self.kb.select("tau", open, state[2], least);
        let tau = self.kb.select("tau", wants, tau, most);
        let members = self.kb.map("members", MapFn::Lt, &[least, top]);
        let scale = self.kb.map("scale", MapFn::Abs, &[tau]);
        let rounding = self.unit_rounding();
        let few = self.constant(32.0);
        let slack = self.kb.map("slack", MapFn::Mul, &[scale, rounding, few]);
        let tau = self.kb.map("tau", MapFn::Sub, &[tau, slack]);
        let tau = self.kb.select("tau", members, tau, never);
        self.store(target.input, tau)
    }

    /// The rounding of the arithmetic in which this runs: what is left of 3 (4/3 - 1) - 1. (A plan in float32 is interpreted in
    /// float64, where a float32's rounding would be no rounding.)
    fn unit_rounding(&mut self) -> ValueId {
        let (c, one, three) = (self.constant(4.0 / 3.0), self.constant(1.0), self.constant(3.0));
        let third = self.kb.map("third", MapFn::Sub, &[c, one]);
        let whole = self.kb.map("whole", MapFn::Mul, &[third, three]);
        let rest = self.kb.map("rest", MapFn::Sub, &[whole, one]);
        self.kb.map("rounding", MapFn::Abs, &[rest])
    }
}
