//! Kernels that walk recurrences.
//!
//! One kernel walks every recurrence of its term ([`super::walks`]), those first that others read. If the coefficients of all
//! previous states have guards that are false at every position of a congruence class, the recurrences start anew there:
//! chunks are independent, so they go into lanes and each is walked in order; no state leaves the tile. Otherwise time is
//! walked in order, and features of the state are in lanes.
//!
//! Axes of a state that the stored value lacks, or along which a state is read at other positions, are whole in a tile; the
//! others are spread over the grid, so that there is work for every thread.

use super::emit::Emitter;
use super::store::Target;
use super::{Error, Scheduler};
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::{AxisId, InputId, MapFn, NodeId, Op, RecDecl, RecId};
use weft_ir::kernel::{self, AxisSet, Domain, Expr, Guard, KernelBuilder, Literal, ValueId};

/// Elements of state that one grid point should hold: half a first-level cache of f32.
const STATE: i64 = 4096;

/// Grid points that features should give, however few elements of state each then has, down to [`LANES`].
const POINTS: i64 = 16;

/// Elements along features that a grid point has at least.
const LANES: i64 = 16;

/// Where a recurrence starts anew: positions `first + period * c`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Restart {
    period: i64,
    first: i64,
}

/// A recurrence of the kernel.
struct State {
    id: RecId,
    decl: RecDecl,
    /// The next state.
    step: NodeId,
    /// Stand-in for it in the steps of others and in the stored term.
    input: InputId,
}

struct Walk {
    states: Vec<State>,
    root: NodeId,
    time: AxisId,
    restart: Option<Restart>,
    reads: Reads,
}

/// How the states of a walk are read at positions of their own axes.
#[derive(Default)]
struct Reads {
    /// Axes that must be whole in a tile.
    whole: Vec<AxisId>,
    /// Bound axes under which they are read.
    aliases: Vec<AxisId>,
    /// Axes of which only one position is wanted, that of a grid point: a group's state for one of its heads.
    placed: Vec<(AxisId, NodeId)>,
}

impl Scheduler {
    /// A kernel for recurrences, or for a term of their states.
    pub(crate) fn recurrence_kernel(&mut self, name: &str, body: NodeId, target: &Target) -> Result<(), Error> {
        let mut found = Vec::new();
        self.recurrences(body, &mut found, &mut FxHashSet::default());
        let mut map = FxHashMap::default();
        let mut states: Vec<State> = Vec::new();
        for rec in found {
            let Op::Rec(id) = *self.c.g.op(rec) else { continue };
            let decl = self.c.g.rec(id).clone();
            if states.iter().any(|s| s.id == id || s.decl.time != decl.time) {
                return self.unsupported(rec, "recurrences over two kinds of time in one kernel");
            }
            let step = self.c.g.args(rec)[0];
            let step = self.with_states(step, &mut map)?;
            let step = self.plain(step)?;
            let axes: Vec<AxisId> = decl.state.iter().copied().chain([decl.time]).collect();
            let (input, state) = self.stand_in(&decl.name, &axes, decl.dtype)?;
            map.insert(rec, state);
            states.push(State { id, decl, step, input });
        }
        let root = self.with_states(body, &mut map)?;
        let root = self.plain(root)?;
        let Some(time) = states.first().map(|s| s.decl.time) else {
            return self.unsupported(body, "a recurrence that is not there");
        };
        let restart = self.restart(&states, time);
        let mut how = match restart {
            Some(r) => format!("starts anew every {} positions from {}: chunks in lanes", r.period, r.first),
            None => "walked in order".to_owned(),
        };
        if let [_, _, ..] = states[..] {
            how += &format!(", {} recurrences together", states.len());
        }
        self.notes.push(format!("{name}: {how}"));
        let reads = self.reads_of_states(&states, root, target);
        let walk = Walk { states, root, time, restart, reads };
        let float = self.float_elem()?;
        let mut plan = std::mem::take(&mut self.plan);
        let kb = KernelBuilder::new(&mut plan, name);
        let mut e = Emitter::new(self, kb, float);
        let made = e.emit_recurrence(&walk, target);
        let finished = made.and_then(|()| e.kb.finish().map_err(Error::from));
        self.plan = plan;
        finished.map(|_| ())
    }

    /// The recurrences of a term, those first that others read.
    fn recurrences(&self, id: NodeId, found: &mut Vec<NodeId>, seen: &mut FxHashSet<NodeId>) {
        if !seen.insert(id) {
            return;
        }
        for &a in self.c.g.args(id) {
            self.recurrences(a, found, seen);
        }
        if matches!(self.c.g.op(id), Op::Rec(_)) {
            found.push(id);
        }
    }

    /// The term with stand-ins for states, also where they are read at other positions.
    fn with_states(&mut self, id: NodeId, map: &mut FxHashMap<NodeId, NodeId>) -> Result<NodeId, Error> {
        if let Some(&to) = map.get(&id) {
            return Ok(to);
        }
        let args = self.c.g.args(id).to_vec();
        let mut new = Vec::with_capacity(args.len());
        for &a in &args {
            new.push(self.with_states(a, map)?);
        }
        let op = self.c.g.op(id).clone();
        let made = if new == args { id } else { self.c.make(&op, &new)? };
        map.insert(id, made);
        Ok(made)
    }

    /// Where the states of a walk are read along their own axes.
    fn reads_of_states(&self, states: &[State], root: NodeId, target: &Target) -> Reads {
        let steps: Vec<NodeId> = states.iter().map(|s| s.step).collect();
        let in_steps = self.positions_of_states(states, &steps);
        let all: Vec<(AxisId, NodeId)> =
            self.positions_of_states(states, &[root]).into_iter().chain(in_steps.iter().copied()).collect();
        let mut reads = Reads::default();
        let mut own: Vec<AxisId> = states.iter().flat_map(|s| s.decl.state.iter().copied()).collect();
        own.sort_unstable();
        own.dedup();
        for a in own.iter().copied().filter(|&a| self.c.g.static_extent(a).is_some()) {
            let mut at: Vec<NodeId> = all.iter().filter(|r| r.0 == a).map(|r| r.1).collect();
            at.dedup();
            let known = |p: NodeId| self.c.g.free(p).iter().all(|x| target.axes.contains(&x));
            match at[..] {
                [p] if known(p) && !target.axes.contains(&a) && in_steps.iter().all(|r| r.0 != a) => {
                    reads.placed.push((a, p));
                }
                [] if target.axes.contains(&a) => {}
                _ => reads.whole.push(a),
            }
        }
        for (_, p) in all {
            if let Op::Index(x) = self.c.g.op(p)
                && !target.axes.contains(x)
                && !own.contains(x)
                && !reads.aliases.contains(x)
            {
                reads.aliases.push(*x);
            }
        }
        reads
    }

    /// Axes of states and the positions at which terms read them.
    fn positions_of_states(&self, states: &[State], terms: &[NodeId]) -> Vec<(AxisId, NodeId)> {
        let mut found = Vec::new();
        let mut seen = FxHashSet::default();
        let mut stack = terms.to_vec();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            let args = self.c.g.args(n);
            if let Op::Sub { axes } = self.c.g.op(n) {
                let state = match self.c.g.op(args[0]) {
                    Op::Prev(_) => true,
                    Op::Input(i) => states.iter().any(|s| s.input == *i),
                    _ => false,
                };
                if state {
                    found.extend(axes.iter().copied().zip(args[1..].iter().copied()));
                }
            }
            stack.extend(args);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// A congruence class of positions at which every path to every previous state is guarded off.
    fn restart(&self, states: &[State], time: AxisId) -> Option<Restart> {
        let mut common: Option<Vec<Restart>> = None;
        for s in states {
            let mut guards: Option<Vec<NodeId>> = None;
            self.guards_of_previous(s.step, s.id, &mut Vec::new(), &mut guards);
            // Without a previous state there is nothing to start anew.
            let Some(guards) = guards else { continue };
            let mut own: Vec<Restart> = guards
                .into_iter()
                .filter_map(|g| {
                    let (MapFn::Ne, form) = self.c.comparison(g)? else { return None };
                    let (period, first) = self.congruence(&form, time)?;
                    Some(Restart { period, first })
                })
                .collect();
            own.retain(|r| common.as_ref().is_none_or(|c| c.contains(r)));
            common = Some(own);
        }
        common?.first().copied()
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

impl Emitter<'_, '_> {
    fn emit_recurrence(&mut self, w: &Walk, target: &Target) -> Result<(), Error> {
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
        let position = match chunk {
            Some((_, start)) => Expr::Var(self.kb.let_expr("pos", start + Expr::Var(body.pos))),
            None => Expr::Var(body.pos),
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
        let chunk = w.restart.map(|r| self.chunks(r, w.time, rows));
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

    /// Chunks in lanes: the tile axis and the position of a chunk's start, the first of which may lie before position 0.
    fn chunks(&mut self, r: Restart, time: AxisId, rows: i64) -> (kernel::AxisId, Expr) {
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

    /// A value of the kernel, such as a state, with some of its axes at other positions.
    pub(super) fn moved(&mut self, v: ValueId, axes: &[AxisId], positions: &[NodeId]) -> Result<ValueId, Error> {
        // The tile axes that move go out of the way first, or two of them could not change places.
        let mut v = v;
        let mut moves = Vec::new();
        for (&a, &p) in axes.iter().zip(positions) {
            let at = self.index(p)?;
            if self.positions.get(&a) == Some(&at) {
                continue;
            }
            let Some(&from) = self.whole.get(&a) else {
                return self.s.unsupported(p, format!("a state at other positions of `{}`", self.axis_name(a)));
            };
            if !self.kb.type_of(v).is_some_and(|t| t.axes.contains(from)) {
                continue;
            }
            let n = self.s.static_size(a);
            let is_free = |e: &Self, to| e.kb.type_of(v).is_some_and(|t| !t.axes.contains(to));
            if let Expr::Axis(to) = at
                && is_free(self, to)
                && self.kb.kernel().axis_extent(self.kb.kernel_plan(), to) == Some(n)
            {
                v = self.kb.rename("state", v, from, to);
                continue;
            }
            let name = self.axis_name(a);
            let away = self.kb.axis(&name, n);
            v = self.kb.rename("state", v, from, away);
            moves.push((away, at, n));
        }
        for (away, at, n) in moves {
            v = match at {
                Expr::Axis(to) if self.kb.kernel().axis_extent(self.kb.kernel_plan(), to) == Some(n) => {
                    self.kb.rename("state", v, away, to)
                }
                _ => {
                    let mut inside = Guard::always();
                    self.stay_inside(&mut inside, &at, &Expr::Const(n));
                    // Where a condition hides the read, any position will do.
                    let at = if inside.is_always() { at } else { at.max(Expr::Const(0)).min(Expr::Const(n - 1)) };
                    let attrs = kernel::Attrs { over: away.into(), at: Some(at), ..kernel::Attrs::default() };
                    self.kb.inst("state", kernel::OpCode::Take, &[v], attrs)[0]
                }
            };
        }
        Ok(v)
    }
}
