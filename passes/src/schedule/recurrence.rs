//! Kernels that walk a recurrence.
//!
//! If the coefficient of the previous state has a guard that is false at every position of a congruence class, the
//! recurrence starts anew there: chunks are independent, so they go into lanes and each is walked in order; no state
//! leaves the tile. Otherwise time is walked in order, and features of the state are in lanes.

use super::emit::Emitter;
use super::store::Target;
use super::{Error, Scheduler};
use weft_ir::graph::{AxisId, MapFn, NodeId, Op, RecId};
use weft_ir::kernel::{AxisSet, Domain, Expr, Guard, KernelBuilder, ValueId};

/// Elements of state that one grid point should hold: half a first-level cache of f32.
const STATE: i64 = 4096;

/// Where a recurrence starts anew: positions `first + period * c`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Restart {
    period: i64,
    first: i64,
}

impl Scheduler {
    /// A kernel for a recurrence, or for a term of its state.
    pub(crate) fn recurrence_kernel(
        &mut self,
        name: &str,
        body: NodeId,
        rec: NodeId,
        target: &Target,
    ) -> Result<(), Error> {
        let Op::Rec(id) = *self.c.g.op(rec) else { return self.unsupported(rec, "a recurrence") };
        let step = self.plain(self.c.g.args(rec)[0])?;
        let mut map = rustc_hash::FxHashMap::default();
        let (_, state) = self.stand_in("state", &self.state_axes(id), self.c.g.rec(id).dtype)?;
        let Op::Input(state_input) = *self.c.g.op(state) else { return self.unsupported(rec, "a recurrence") };
        map.insert(rec, state);
        let root = self.replace(body, &mut map)?;
        if self.find(root, |op| matches!(op, Op::Rec(_))).is_some() {
            return self.unsupported(body, "two recurrences in one stored value");
        }
        let root = self.plain(root)?;
        let restart = self.restart(step, id);
        self.notes.push(match restart {
            Some(r) => format!("{name}: starts anew every {} positions from {}: chunks in lanes", r.period, r.first),
            None => format!("{name}: walked in order"),
        });
        let float = self.float_elem()?;
        let mut plan = std::mem::take(&mut self.plan);
        let kb = KernelBuilder::new(&mut plan, name);
        let mut e = Emitter::new(self, kb, float);
        let walk = Walk { id, step, root, state_input, restart };
        let made = e.emit_recurrence(&walk, target);
        let finished = made.and_then(|()| e.kb.finish().map_err(Error::from));
        self.plan = plan;
        finished.map(|_| ())
    }

    fn state_axes(&self, rec: RecId) -> Vec<AxisId> {
        let decl = self.c.g.rec(rec);
        decl.state.iter().copied().chain([decl.time]).collect()
    }

    /// A congruence class of positions at which every path to the previous state is guarded off.
    fn restart(&self, step: NodeId, rec: RecId) -> Option<Restart> {
        let time = self.c.g.rec(rec).time;
        let mut guards: Option<Vec<NodeId>> = None;
        self.guards_of_previous(step, rec, &mut Vec::new(), &mut guards);
        guards?.into_iter().find_map(|g| {
            let (MapFn::Ne, form) = self.c.comparison(g)? else { return None };
            let (period, first) = self.congruence(&form, time)?;
            Some(Restart { period, first })
        })
    }

    /// Guards common to all paths from a term to the previous state.
    fn guards_of_previous(&self, id: NodeId, rec: RecId, open: &mut Vec<NodeId>, common: &mut Option<Vec<NodeId>>) {
        if *self.c.g.op(id) == Op::Prev(rec) {
            *common = Some(match common.take() {
                None => open.clone(),
                Some(c) => c.into_iter().filter(|g| open.contains(g)).collect(),
            });
            return;
        }
        if self.find(id, |op| *op == Op::Prev(rec)).is_none() {
            return;
        }
        let depth = open.len();
        open.extend_from_slice(self.c.g.guards(id));
        for &a in self.c.g.args(id) {
            self.guards_of_previous(a, rec, open, common);
        }
        open.truncate(depth);
    }
}

struct Walk {
    id: RecId,
    step: NodeId,
    root: NodeId,
    state_input: weft_ir::graph::InputId,
    restart: Option<Restart>,
}

impl Emitter<'_, '_> {
    fn emit_recurrence(&mut self, w: &Walk, target: &Target) -> Result<(), Error> {
        let decl = self.s.c.g.rec(w.id).clone();
        let time = decl.time;
        let rows = self.s.tiles.rows;
        // Axes of the state that the stored value does not have are summed in it: whole, as are the innermost of the others.
        let mut all: Vec<AxisId> = target.axes.clone();
        all.extend(decl.state.iter().copied().filter(|a| !target.axes.contains(a)));
        let is_short = |e: &Self, a: AxisId| e.s.c.g.static_extent(a).is_some();
        let mut short: Vec<AxisId> = all.iter().copied().filter(|&a| a != time && is_short(self, a)).collect();
        let runtime: Vec<AxisId> = all.iter().copied().filter(|&a| a != time && !is_short(self, a)).collect();
        if runtime.iter().any(|&a| self.s.c.is_long(a)) {
            return self.s.unsupported(w.root, "a recurrence whose state has a long axis");
        }
        for &a in &runtime {
            self.grid_axis(a);
        }
        let lanes = if w.restart.is_some() { rows } else { 1 };
        let summed: Vec<AxisId> = short.iter().copied().filter(|a| !target.axes.contains(a)).collect();
        let mut room = (STATE / lanes).max(1);
        for &a in &summed {
            room = (room / self.s.static_size(a)).max(1);
        }
        short.retain(|a| target.axes.contains(a));
        let mut whole = Vec::new();
        let mut blocked = None;
        let mut on_grid = Vec::new();
        for &a in short.iter().rev() {
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
        let chunk = w.restart.map(|r| self.chunks(r, time, rows));
        if let Some(a) = blocked {
            self.tiled_axis(a, Expr::Const(room), room);
        }
        for &a in whole.iter().rev().chain(&summed) {
            let t = self.whole_axis(a);
            if w.restart.is_none()
                && self.kb.kernel().lanes.is_none()
                && self.s.static_size(a) > 1
                && !summed.contains(&a)
            {
                self.kb.lanes(t);
            }
        }
        let lane_axes = chunk.as_ref().map_or(AxisSet::EMPTY, |(tile, _)| AxisSet::from(*tile));
        let mut axes = lane_axes;
        for &a in &decl.state {
            if let Some(e) = self.positions.get(&a) {
                axes = axes.union(self.kb.kernel().expr_axes(e));
            }
        }
        let zero = self.kb.fill("state", 0.0, self.float, axes);
        let (hi, extent) = match w.restart {
            Some(r) => (Expr::Const(r.period), None),
            None => {
                let t = self.extent(time);
                (t.clone(), Some(t))
            }
        };
        let name = self.axis_name(time);
        let body = self.kb.begin_loop(&name, None, Domain::Dense { lo: Expr::Const(0), hi }, None, &[("state", zero)]);
        self.note_bounds(body.index, 0, None);
        self.note_bounds(body.pos, 0, None);
        self.enter();
        let position = match chunk {
            Some((_, start)) => {
                let at = self.kb.let_expr("pos", start + Expr::Var(body.pos));
                Expr::Var(at)
            }
            None => Expr::Var(body.pos),
        };
        self.positions.insert(time, position);
        self.previous.insert(w.id, body.carried[0]);
        let next = self.value(w.step)?;
        let next = self.spread_to(next, axes);
        self.given.insert(w.state_input, next);
        let out = self.value(w.root)?;
        let guard = Guard::always();
        let _ = extent;
        self.store_where(target.input, out, guard)?;
        self.positions.remove(&time);
        self.leave();
        self.kb.end_loop(&[next]);
        Ok(())
    }

    /// Chunks in lanes: the tile axis and the position of a chunk's start, the first of which may lie before position 0.
    fn chunks(&mut self, r: Restart, time: AxisId, rows: i64) -> (weft_ir::kernel::AxisId, Expr) {
        let count = (self.extent(time) + (r.period - r.first + r.period - 1)).floor_div(r.period);
        let var = self.kb.grid("chunk_tile", count.clone().ceil_div(rows));
        self.note_bounds(var, 0, None);
        let tile = self.kb.axis("chunk", rows);
        let c0 = self.kb.let_expr("chunk0", Expr::Var(var) * rows);
        self.note_bounds(c0, 0, None);
        let chunk = Expr::Var(c0) + tile;
        self.kb.set_valid(tile, Guard::from(chunk.clone().lt(count)));
        self.kb.lanes(tile);
        (tile, chunk * r.period + (r.first - r.period))
    }

    fn spread_to(&mut self, v: ValueId, axes: AxisSet) -> ValueId {
        let missing = axes.minus(self.kb.type_of(v).map_or(AxisSet::EMPTY, |t| t.axes));
        if missing.is_empty() { v } else { self.kb.expand("state", v, missing) }
    }
}
