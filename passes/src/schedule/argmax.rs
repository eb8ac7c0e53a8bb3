//! Kernels for the position of an extremum over a long axis.
//!
//! A tile of rows streams the axis and carries the best so far with its position. Steps come in the order of positions, so ties go
//! to the lower one if only something better takes its place.

use super::emit::Emitter;
use super::store::Target;
use super::{Error, Scheduler};
use weft_ir::graph::{AxisId, Extremum, NodeId, Op};
use weft_ir::kernel::{Attrs, AxisSet, Domain, ElemType, Expr, KernelBuilder, Literal, MapFn, Monoid, OpCode, ValueId};

impl Scheduler {
    /// A kernel for `argmin` or `argmax` over a long axis.
    pub(crate) fn arg_kernel(&mut self, name: &str, body: NodeId, target: &Target) -> Result<(), Error> {
        let Op::Arg { extremum, axis, .. } = *self.c.g.op(body) else {
            return self.unsupported(body, "the position of an extremum");
        };
        let x = self.c.g.operands(body)[0];
        if !self.c.g.dtype(x).is_float() {
            return self.unsupported(body, "the position of an extremum of integers over a long axis");
        }
        self.notes.push(format!("{name}: the axis is streamed, the best so far and its position are carried"));
        let guards = self.c.g.guards(body).to_vec();
        let float = self.float_elem()?;
        let mut plan = std::mem::take(&mut self.plan);
        let kb = KernelBuilder::new(&mut plan, name);
        let mut e = Emitter::new(self, kb, float);
        let made = e.emit_long_arg(extremum, axis, &guards, x, target);
        let finished = made.and_then(|()| e.kb.finish().map_err(Error::from));
        self.plan = plan;
        finished.map(|_| ())
    }
}

impl Emitter<'_, '_> {
    fn emit_long_arg(
        &mut self,
        extremum: Extremum,
        axis: AxisId,
        guards: &[NodeId],
        x: NodeId,
        target: &Target,
    ) -> Result<(), Error> {
        let row = self.place_selection(target, &[]);
        let rows = row.and_then(|r| self.positions.get(&r)).map_or(AxisSet::EMPTY, |e| self.kb.kernel().expr_axes(e));
        self.hoist(x, &[axis])?;
        let max = extremum == Extremum::Max;
        let worst = if max { f64::NEG_INFINITY } else { f64::INFINITY };
        let best = self.kb.fill("best", worst, self.float, rows);
        let at = self.kb.fill("at", Literal::Int(-1), ElemType::I32, rows);
        let none = self.kb.fill("none", Literal::Int(0), ElemType::I32, AxisSet::EMPTY);
        let extent = self.extent(axis);
        let (bounding, opaque) = self.bounding(guards, axis);
        let range = self.range(&bounding, axis, extent.clone());
        let name = self.axis_name(axis);
        let tile = self.kb.axis(&name, self.s.tiles.stream);
        let full = if self.s.claims_hold(&[x], &opaque, &bounding, axis)? { range.full } else { None };
        let domain = Domain::Dense { lo: range.lo, hi: range.hi };
        let body = self.kb.begin_loop(&name, Some(tile), domain, full, &[("best", best), ("at", at)]);
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
        let v = self.value(x)?;
        let v = self.over(v, tile.into());
        let position = self.kb.index("position", Expr::Var(body.pos), ElemType::I32);
        let monoid = if max { Monoid::ArgMax } else { Monoid::ArgMin };
        let attrs = Attrs { monoid: Some(monoid), over: tile.into(), guard, ..Attrs::default() };
        let found = self.kb.inst("found", OpCode::Reduce, &[v, position], attrs);
        let order = if max { [body.carried[0], found[0]] } else { [found[0], body.carried[0]] };
        let better = self.kb.map("better", MapFn::Lt, &order);
        // An infinite member is still better than none.
        let first = self.kb.map("first", MapFn::Lt, &[body.carried[1], none]);
        let better = self.kb.map("better", MapFn::Or, &[better, first]);
        let best = self.kb.select("best", better, found[0], body.carried[0]);
        let at = self.kb.select("at", better, found[1], body.carried[1]);
        let (best, at) = (self.over(best, rows), self.over(at, rows));
        self.positions.remove(&axis);
        self.leave();
        let state = self.kb.end_loop(&[best, at]);
        let at = self.kb.map("at", MapFn::Max, &[state[1], none]);
        self.store(target.input, at)
    }

    /// A tile that varies over at least these axes.
    pub(super) fn over(&mut self, v: ValueId, axes: AxisSet) -> ValueId {
        let missing = axes.minus(self.kb.type_of(v).map_or(AxisSet::EMPTY, |t| t.axes));
        if missing.is_empty() { v } else { self.kb.expand("x", v, missing) }
    }
}
