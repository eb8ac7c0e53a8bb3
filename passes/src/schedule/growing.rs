//! Thresholds in one pass: final scores over a pool that only grows.
//!
//! If scores do not depend on the row, and row `t` differs from row `t - 1` by at most one new member, the sum of
//! `phi(z - tau)` can only grow from row to row, so `tau` never falls: a member at or below `tau` weighs nothing, now and in all
//! later rows. This holds for every family whose `phi` is 0 below 0 and does not fall (`ramp`, `relu`, `entmax15`).
//!
//! What is carried: the largest members, unordered; `tau`; how many members there are; and the largest member that was ever left
//! behind. A row whose newcomer is not above `tau` costs a comparison. Any other replaces the least of the list and takes
//! Newton steps over the list from the last `tau`: a constant amount of work.
//!
//! How many members are above `tau` is not bounded by `K`: equal scores all weigh the same (with scores in a range R that
//! rise by `e` a position, there are at most `K + (R + 1) / e` for `ramp`). If a member that was left behind is above the
//! `tau` of the list, the row is solved over the whole pool: its cost is no longer constant, its result is right.

use super::emit::Emitter;
use super::select::Entry;
use super::store::Target;
use super::threshold::{Equation, Search};
use super::{Error, Scheduler};
use weft_ir::graph::{AxisId, NodeId, ThresholdFamily};
use weft_ir::kernel::{
    Access, Attrs, AxisSet, Domain, ElemType, Expr, Guard, Literal, MapFn, Monoid, OpCode, ScratchId, ValueId,
};

/// Members that are carried at least.
const LEAST: i64 = 128;
/// Members that are carried at most.
const MOST: i64 = 1 << 16;

/// A pool that grows with the row.
pub(super) struct Growing {
    pub(super) row: AxisId,
    entry: Entry,
    pub(super) capacity: i64,
}

/// What goes from row to row.
#[derive(Clone, Copy)]
struct State {
    tau: ValueId,
    /// How many members came in; exact as long as they cannot reach `K`.
    size: ValueId,
    /// The largest member that the list had no room for.
    lost: ValueId,
}

impl State {
    fn of(values: &[ValueId]) -> Self {
        Self { tau: values[0], size: values[1], lost: values[2] }
    }

    fn values(self) -> [ValueId; 3] {
        [self.tau, self.size, self.lost]
    }
}

impl Scheduler {
    /// Is the threshold one of final scores over a pool that only grows, for a constant sum?
    pub(super) fn growing_pool(&self, q: &Equation, body: NodeId) -> Option<Growing> {
        let &[row] = self.c.long_axes(body).as_slice() else { return None };
        let k = self.c.g.constant(q.k)?.as_f64();
        if q.family == ThresholdFamily::Mass || k <= 0.0 || k >= (MOST / 2) as f64 || self.has(q.x, row) {
            return None;
        }
        let entry = self.entry(&q.guards, row, q.axis)?;
        // Scores of a spread of order one have two or three times K members above the threshold.
        let capacity = (4 * k.ceil() as i64).clamp(LEAST, MOST);
        Some(Growing { row, entry, capacity })
    }
}

impl Emitter<'_, '_> {
    pub(super) fn emit_growing_threshold(&mut self, q: &Equation, g: &Growing, target: &Target) -> Result<(), Error> {
        for &a in target.axes.iter().filter(|&&a| a != g.row) {
            self.grid_axis(a);
        }
        let axis = self.kb.axis("member", g.capacity);
        self.kb.lanes(axis);
        let never = Literal::Float(f64::NEG_INFINITY);
        let members = self.kb.scratch("members", self.float, vec![Expr::Const(g.capacity)], Some(never));
        let k = self.value(q.k)?;
        let (least, none) = (self.constant(f64::NEG_INFINITY), self.constant(0.0));
        let name = self.axis_name(g.row);
        let domain = Domain::Dense { lo: Expr::Const(0), hi: self.extent(g.row) };
        let body = self.kb.begin_loop(&name, None, domain, None, &[("tau", least), ("size", none), ("lost", least)]);
        self.note_bounds(body.index, 0, None);
        self.note_bounds(body.pos, 0, None);
        self.enter();
        self.positions.insert(g.row, Expr::Var(body.pos));
        let before = State::of(&body.carried);
        let (z, inside) = self.newcomer(q, g, body.pos.into())?;
        let above = self.kb.map("above", MapFn::Gt, &[z, before.tau]);
        let enters = self.kb.map("enters", MapFn::And, &[inside, above]);
        let mut condition = Guard::always();
        condition.opaque.push(enters);
        self.kb.begin_if(condition);
        self.enter();
        let after = self.admit(q, (members, axis), z, k, before)?;
        self.leave();
        self.kb.begin_else(&after.values());
        let next = self.kb.end_if(&before.values());
        self.store(target.input, next[0])?;
        self.positions.remove(&g.row);
        self.leave();
        self.kb.end_loop(&next);
        Ok(())
    }

    /// The score that enters the pool at a row, and whether one does.
    fn newcomer(&mut self, q: &Equation, g: &Growing, row: Expr) -> Result<(ValueId, ValueId), Error> {
        let at = row - g.entry.delay;
        // What stands at this position must not be taken for the scores of a pass over the pool.
        self.enter_moved(q.axis);
        self.positions.insert(q.axis, at.clone());
        let z = self.value(q.x)?;
        let mut guard = self.guard(&g.entry.filter)?;
        let extent = self.extent(q.axis);
        self.stay_inside(&mut guard, &at, &extent);
        let inside = self.guard_tile(&guard)?;
        self.positions.remove(&q.axis);
        self.leave();
        Ok((z, inside))
    }

    /// Takes a member into the list and solves the equation anew.
    fn admit(
        &mut self,
        q: &Equation,
        (members, axis): (ScratchId, weft_ir::kernel::AxisId),
        z: ValueId,
        k: ValueId,
        before: State,
    ) -> Result<State, Error> {
        let never = self.constant(f64::NEG_INFINITY);
        let one = self.constant(1.0);
        let attrs = Attrs { access: Some(Access::scratch(members, [Expr::Axis(axis)])), ..Attrs::default() };
        let old = self.kb.inst("old", OpCode::TableRead, &[], attrs)[0];
        let place = self.kb.index("place", Expr::Axis(axis), ElemType::I32);
        let attrs = Attrs { monoid: Some(Monoid::ArgMin), over: axis.into(), ..Attrs::default() };
        let least = self.kb.inst("least", OpCode::Reduce, &[old, place], attrs);
        // The newcomer stands in for the least one, unless it is less itself.
        let larger = self.kb.map("larger", MapFn::Gt, &[z, least[0]]);
        let here = self.kb.map("here", MapFn::Eq, &[place, least[1]]);
        let here = self.kb.map("here", MapFn::And, &[here, larger]);
        let list = self.kb.select("list", here, z, old);
        let attrs = Attrs { access: Some(Access::scratch(members, [Expr::Axis(axis)])), ..Attrs::default() };
        self.kb.inst("", OpCode::TableSet, &[list], attrs);
        let left = self.kb.map("left", MapFn::Min, &[z, least[0]]);
        let lost = self.kb.map("lost", MapFn::Max, &[before.lost, left]);
        let size = self.kb.map("size", MapFn::Add, &[before.size, one]);

        let exists = self.kb.map("exists", MapFn::Gt, &[list, never]);
        let mut guard = Guard::always();
        guard.opaque.push(exists);
        let bottom = self.kb.reduce("bottom", list, Monoid::Min, axis, guard);
        let top = self.kb.reduce("top", list, Monoid::Max, axis, Guard::always());
        let (reaches, low) = self.bracket(q, k, bottom, top, size);
        // The last threshold is a lower bound too, up to rounding.
        let rounding = self.constant(4.0 * self.rounding());
        let scale = self.kb.map("scale", MapFn::Abs, &[before.tau]);
        let scale = self.kb.map("scale", MapFn::Max, &[scale, one]);
        let slack = self.kb.map("slack", MapFn::Mul, &[scale, rounding]);
        let last = self.kb.map("last", MapFn::Sub, &[before.tau, slack]);
        let low = self.kb.map("lower", MapFn::Max, &[low, last]);
        let search = Search { open: reaches, lower: low, upper: top, tau: low };
        let tau = self.newton(k, &search, AxisSet::EMPTY, None, |e, tau| Ok(e.list_sums(q, list, axis, tau)))?;
        let short = self.kb.map("short", MapFn::Gt, &[lost, tau]);
        let short = self.kb.map("short", MapFn::And, &[short, reaches]);
        let mut condition = Guard::always();
        condition.opaque.push(short);
        self.kb.begin_if(condition);
        self.enter();
        let search = Search { open: reaches, lower: tau, upper: top, tau };
        let whole = self.newton(k, &search, AxisSet::EMPTY, None, |e, tau| e.pool_sums(q, tau, AxisSet::EMPTY))?;
        self.leave();
        self.kb.begin_else(&[whole]);
        let tau = self.kb.end_if(&[tau])[0];
        let tau = self.kb.select("tau", reaches, tau, never);
        Ok(State { tau, size, lost })
    }

    /// The sum of `phi` over the list at a `tau`, and minus its slope.
    fn list_sums(
        &mut self,
        q: &Equation,
        list: ValueId,
        axis: weft_ir::kernel::AxisId,
        tau: ValueId,
    ) -> (ValueId, ValueId) {
        let (one, none) = (self.constant(1.0), self.constant(0.0));
        let over = self.kb.map("over", MapFn::Sub, &[list, tau]);
        let (phi, slope) = self.phi(q.family, over, one, none);
        let f = self.kb.reduce("f", phi, Monoid::Sum, axis, Guard::always());
        (f, self.kb.reduce("slope", slope, Monoid::Sum, axis, Guard::always()))
    }
}
