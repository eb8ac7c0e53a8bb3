//! Tile code of a walk.

use super::Walk;
use crate::schedule::Error;
use crate::schedule::emit::Emitter;
use crate::schedule::store::Target;
use weft_ir::graph::AxisId;
use weft_ir::kernel::{self, AxisSet, Domain, Expr, Guard, Literal, ValueId};

/// Elements of state that one grid point should hold: half a first-level cache of f32.
const STATE: i64 = 4096;

/// Grid points that features should give, however few elements of state each then has, down to [`LANES`].
const POINTS: i64 = 16;

/// Elements along features that a grid point has at least.
const LANES: i64 = 16;

impl Emitter<'_, '_> {
    pub(super) fn emit_recurrence(&mut self, w: &Walk, target: &Target) -> Result<(), Error> {
        let rows = self.s.tiles.rows;
        let chunk = self.place_states(w, target, rows)?;
        let lanes = chunk.as_ref().map_or(AxisSet::EMPTY, |(tile, _)| AxisSet::from(*tile));
        let mut zeros = Vec::new();
        for s in &w.states {
            let elem = if s.decl.dtype.is_float() { self.float } else { self.s.elem(s.decl.dtype)? };
            let zero = match elem {
                kernel::ElemType::Bool => Literal::Bool(false),
                e if e.is_float() => Literal::Float(0.0),
                _ => Literal::Int(0),
            };
            let axes = s
                .decl
                .state
                .iter()
                .filter_map(|a| self.positions.get(a))
                .fold(lanes, |set, e| set.union(self.kb.kernel().expr_axes(e)));
            zeros.push((self.kb.fill("state", zero, elem, axes), axes));
        }
        for x in w.states.iter().map(|s| s.step).chain([w.root]) {
            self.hoist(x, &[w.time])?;
        }
        let hi = w.restart.map_or_else(|| self.extent(w.time), |r| Expr::Const(r.period));
        let name = self.axis_name(w.time);
        let carried: Vec<(&str, ValueId)> = zeros.iter().map(|&(zero, _)| ("state", zero)).collect();
        let body = self.kb.begin_loop(&name, None, Domain::Dense { lo: Expr::Const(0), hi }, None, &carried);
        self.note_bounds(body.index, 0, None);
        self.note_bounds(body.pos, 0, None);
        self.enter();
        let step = Expr::Var(body.pos);
        let position = match (chunk, w.reverse) {
            (None, false) => step,
            (None, true) => Expr::Var(self.kb.let_expr("pos", self.extent(w.time) + (-1) - step)),
            (Some((_, start)), false) => Expr::Var(self.kb.let_expr("pos", start + step)),
            (Some((_, start)), true) => Expr::Var(self.kb.let_expr("pos", start - step)),
        };
        self.positions.insert(w.time, position);
        let mut next = Vec::new();
        for (s, &carried) in w.states.iter().zip(&body.carried) {
            self.previous.insert(s.id, carried);
        }
        for (s, &(_, axes)) in w.states.iter().zip(&zeros) {
            let v = self.value(s.step)?;
            let v = self.spread_to(v, axes);
            self.given.insert(s.input, v);
            next.push(v);
        }
        let out = self.value(w.root)?;
        self.store_where(target.input, out, Guard::always())?;
        self.positions.remove(&w.time);
        self.leave();
        self.kb.end_loop(&next);
        Ok(())
    }

    /// Puts the axes of states and of the stored value on the grid and into tiles.
    fn place_states(&mut self, w: &Walk, target: &Target, rows: i64) -> Result<Option<(kernel::AxisId, Expr)>, Error> {
        let mut all: Vec<AxisId> = target.axes.iter().copied().filter(|&a| a != w.time).collect();
        for &a in w.states.iter().flat_map(|s| &s.decl.state) {
            if !all.contains(&a) && w.reads.placed.iter().all(|p| p.0 != a) {
                all.push(a);
            }
        }
        let (short, runtime): (Vec<AxisId>, Vec<AxisId>) =
            all.into_iter().partition(|&a| self.s.c.g.static_extent(a).is_some());
        if runtime.iter().any(|&a| self.s.c.is_long(a)) {
            return self.s.unsupported(w.root, "a recurrence whose state has a long axis");
        }
        for &a in &runtime {
            self.grid_axis(a);
        }
        let lanes = if w.restart.is_some() { rows } else { 1 };
        let mut room = w.reads.whole.iter().fold(STATE / lanes, |room, &a| room / self.s.static_size(a)).max(1);
        let free: Vec<AxisId> = short.iter().copied().filter(|a| !w.reads.whole.contains(a)).collect();
        let elements = free.iter().fold(1i64, |n, &a| n.saturating_mul(self.s.static_size(a)));
        if w.restart.is_none() {
            room = room.min((elements / POINTS).max(LANES));
        }
        let mut whole = Vec::new();
        let mut blocked = None;
        let mut on_grid = Vec::new();
        for &a in free.iter().rev() {
            let n = self.s.static_size(a);
            if blocked.is_none() && on_grid.is_empty() && n <= room {
                whole.push(a);
                room = (room / n.max(1)).max(1);
            } else if blocked.is_none() && on_grid.is_empty() && room > 1 {
                blocked = Some(a);
            } else {
                on_grid.push(a);
            }
        }
        for &a in on_grid.iter().rev() {
            self.grid_axis(a);
        }
        let chunk = w.restart.map(|r| self.chunks(w, r, rows));
        // Lanes: features of the stored value, the innermost first.
        let mut candidates = Vec::new();
        for &a in whole.iter().rev() {
            candidates.insert(0, (self.whole_axis(a), self.s.static_size(a)));
        }
        if let Some(a) = blocked {
            candidates.push((self.tiled_axis(a, Expr::Const(room), room).0, room));
        }
        for &a in w.reads.whole.iter().chain(&w.reads.aliases) {
            let tile = self.whole_axis(a);
            if target.axes.contains(&a) {
                candidates.push((tile, self.s.static_size(a)));
            }
        }
        for &(a, p) in &w.reads.placed {
            let at = self.index(p)?;
            self.positions.insert(a, at);
        }
        if chunk.is_none()
            && let Some(&(tile, _)) = candidates.iter().find(|&&(_, n)| n > 1)
        {
            self.kb.lanes(tile);
        }
        Ok(chunk)
    }

    fn spread_to(&mut self, v: ValueId, axes: AxisSet) -> ValueId {
        let missing = axes.minus(self.kb.type_of(v).map_or(AxisSet::EMPTY, |t| t.axes));
        if missing.is_empty() { v } else { self.kb.expand("state", v, missing) }
    }
}
