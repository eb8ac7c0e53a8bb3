//! Kernels for ranks and thresholds over a long axis.
//!
//! Scores that do not depend on the row, over a pool that one affine guard lets grow with the row, are one streaming pass: position
//! by position, at most one score enters, and the best `k` pairs are carried. Otherwise a tile of rows streams the
//! pool and merges the best of each step.

use super::emit::Emitter;
use super::store::Target;
use super::{Error, Scheduler};
use weft_ir::DType;
use weft_ir::graph::{AxisId, Extent, InputId, MapFn, NodeId, Op, Role};
use weft_ir::kernel::{
    self, Attrs, AxisSet, BinOp, Domain, ElemType, Expr, Guard, KernelBuilder, Literal, MapFn as KernelFn, Monoid,
    OpCode, ValueId,
};

/// Rows between those whose members are stored, where no tiles are given: a reader may have tiles of any size.
const SHARED_ROWS: i64 = 32;
/// The largest rank that a carried list is made for.
const LARGEST: i64 = 1 << 16;

impl Scheduler {
    /// A kernel for a rank or a threshold.
    pub(crate) fn select_kernel(&mut self, name: &str, body: NodeId, target: &Target) -> Result<(), Error> {
        let op = self.c.g.op(body).clone();
        match op {
            Op::Threshold { .. } => return self.threshold_kernel(name, body, target),
            Op::Arg { .. } => return self.arg_kernel(name, body, target),
            _ => {}
        }
        let (axis, index) = match op {
            Op::KthValue { axis, .. } => (axis, false),
            Op::KthIndex { axis, .. } => (axis, true),
            _ => return self.unsupported(body, format!("`{}` over a long axis", op.name())),
        };
        let operands = self.c.g.operands(body).to_vec();
        let length = self.list_length(body, operands[1])?;
        let guards: Vec<NodeId> = self.c.g.guards(body).to_vec();
        // Ranks that are indices of their own are stored together, as one list.
        let shared = |a: &AxisId| !guards.iter().chain(&operands[..1]).any(|&x| self.has(x, *a));
        let ranks: Vec<AxisId> = self.c.g.free(operands[1]).iter().filter(shared).collect();
        if let Some(long) = ranks.iter().find(|&&a| self.c.g.static_extent(a).is_none()) {
            return self.unsupported(body, format!("ranks along `{}`, which is long", self.c.g.axis(*long).name));
        }
        let rows = self.c.long_axes(body);
        let grows = match rows[..] {
            [row] if !self.has(operands[0], row) => self.entry(&guards, row, axis).map(|e| (row, e)),
            _ => None,
        };
        if !ranks.is_empty() {
            self.notes.push(format!("{name}: one list of the best {length} serves all ranks"));
        }
        let selection = Selection { axis, x: operands[0], guards, rank: operands[1], length, ranks, index };
        self.notes.push(match grows {
            Some(_) => format!("{name}: scores are final and the pool only grows: one streaming pass"),
            None => format!("{name}: the pool is streamed for each tile of rows"),
        });
        let settled = match &grows {
            Some((row, entry)) => self.settle(name, &selection, *row, entry.delay, target)?,
            None => None,
        };
        let float = self.float_elem()?;
        let mut plan = std::mem::take(&mut self.plan);
        let kb = KernelBuilder::new(&mut plan, name);
        let mut e = Emitter::new(self, kb, float);
        let made = match grows {
            Some((row, entry)) => e.emit_growing(&selection, row, &entry, settled.as_ref(), target),
            None => e.emit_merged(&selection, target),
        };
        let finished = made.and_then(|()| e.kb.finish().map_err(Error::from));
        self.plan = plan;
        finished.map(|_| ())
    }

    /// A buffer for the members at the first row of each so many, if somebody asks who is a member.
    fn settle(
        &mut self,
        name: &str,
        s: &Selection,
        row: AxisId,
        delay: i64,
        target: &Target,
    ) -> Result<Option<Settled>, Error> {
        let Some(other) = target.partner.filter(|_| target.paired && s.ranks.is_empty()) else { return Ok(None) };
        let (value, place) = if s.index { (other, target.input) } else { (target.input, other) };
        let rows = self.options.tiles.map_or(SHARED_ROWS, |t| t.rows);
        let extent = Extent::Derived { base: self.c.g.axis(row).domain, mul: 1, add: rows - 1, div: rows };
        let tiles = self.c.g.add_domain("tile", extent, Role::Plain);
        let tile = self.c.g.add_axis("tile", tiles);
        let members = self.c.g.add_domain("member", Extent::Const(s.length), Role::Plain);
        let member = self.c.g.add_axis("member", members);
        let mut axes: Vec<AxisId> = target.axes.iter().map(|&a| if a == row { tile } else { a }).collect();
        axes.push(member);
        let list = self.side_buffer(&format!("{name}_members"), &axes, DType::I32, kernel::Role::Temp)?;
        self.notes.push(format!("{name}: the members at every {rows}th row are stored, {} at most", s.length));
        let settled = Settled {
            value,
            place,
            list,
            tile,
            member,
            row,
            rows,
            delay,
            axis: s.axis,
            x: s.x,
            guards: s.guards.clone(),
            length: s.length,
        };
        self.note_rising(value, row);
        self.settled.push(settled.clone());
        Ok(Some(settled))
    }

    /// How long a list must be to have every value of a rank in it: a constant, or affine in short axes.
    pub(super) fn list_length(&self, id: NodeId, rank: NodeId) -> Result<i64, Error> {
        let most = |s: &Self| {
            let form = s.c.int_form(rank)?;
            let (mut low, mut high) = (form.constant(), form.constant());
            for (&v, c) in form.terms() {
                let &Op::Index(a) = s.c.g.op(v) else { return None };
                let end = s.c.g.static_extent(a)?.checked_sub(1)?.checked_mul(c)?;
                (low, high) = (low.checked_add(end.min(0))?, high.checked_add(end.max(0))?);
            }
            (low >= 0 && high < LARGEST).then_some(high + 1)
        };
        match most(self) {
            Some(n) => Ok(n),
            None => self.unsupported(
                id,
                format!("a rank that is neither a constant nor affine in short axes, from 0 and below {LARGEST}"),
            ),
        }
    }

    /// If exactly one guard mentions the row, and it is `row - axis >= delay`: that delay, and the other guards.
    pub(super) fn entry(&self, guards: &[NodeId], row: AxisId, axis: AxisId) -> Option<Entry> {
        let (on_row, filter): (Vec<NodeId>, Vec<NodeId>) = guards.iter().partition(|&&g| self.has(g, row));
        let &[guard] = on_row.as_slice() else { return None };
        let (MapFn::Le, form) = self.c.comparison(guard)? else { return None };
        let position = |a: AxisId| form.terms().find(|&(&v, _)| *self.c.g.op(v) == Op::Index(a)).map(|(_, c)| c);
        let affine = form.terms().count() == 2 && position(row) == Some(1) && position(axis) == Some(-1);
        // With a negative delay several scores would enter in the first row.
        (affine && form.constant() <= 0).then(|| Entry { delay: -form.constant(), filter })
    }
}

/// When a score enters the pool: `delay` rows after its position, if the filter holds there.
pub(super) struct Entry {
    pub(super) delay: i64,
    pub(super) filter: Vec<NodeId>,
}

/// A selection by final scores from a pool that only grows. Its members at every so-manieth row are stored: of what later rows
/// select, only what is younger is not among them.
#[derive(Clone)]
pub(crate) struct Settled {
    /// Where the value and the position of the last rank are stored.
    pub(crate) value: InputId,
    pub(crate) place: InputId,
    /// Where the members are, and the term that reads them.
    pub(crate) list: (InputId, NodeId),
    /// The axes of those rows and of members.
    pub(crate) tile: AxisId,
    pub(crate) member: AxisId,
    pub(crate) row: AxisId,
    /// The members of every so-manieth row are stored.
    pub(crate) rows: i64,
    /// Row `t` has a pool of positions up to `t - delay`.
    pub(crate) delay: i64,
    /// What is selected from: scores along an axis, where guards hold.
    pub(crate) axis: AxisId,
    pub(crate) x: NodeId,
    pub(crate) guards: Vec<NodeId>,
    /// How many members there are at most.
    pub(crate) length: i64,
}

struct Selection {
    axis: AxisId,
    x: NodeId,
    guards: Vec<NodeId>,
    rank: NodeId,
    /// Entries of the list that has every rank.
    length: i64,
    /// Axes along which only the rank varies: whole in the tile.
    ranks: Vec<AxisId>,
    index: bool,
}

impl Emitter<'_, '_> {
    /// Row by row: the score that enters is merged into the carried list.
    fn emit_growing(
        &mut self,
        s: &Selection,
        row: AxisId,
        entry: &Entry,
        settled: Option<&Settled>,
        target: &Target,
    ) -> Result<(), Error> {
        for &a in target.axes.iter().filter(|&&a| a != row && !s.ranks.contains(&a)) {
            self.grid_axis(a);
        }
        for &a in &s.ranks {
            self.whole_axis(a);
        }
        let list = self.kb.axis("rank", s.length);
        let (values, places) = self.empty_list(list.into());
        let name = self.axis_name(row);
        let domain = Domain::Dense { lo: Expr::Const(0), hi: self.extent(row) };
        let body = self.kb.begin_loop(&name, None, domain, None, &[("v", values), ("p", places)]);
        self.note_bounds(body.index, 0, None);
        self.note_bounds(body.pos, 0, None);
        self.enter();
        self.positions.insert(row, Expr::Var(body.pos));
        let at = Expr::Var(body.pos) - entry.delay;
        self.positions.insert(s.axis, at.clone());
        let x = self.value(s.x)?;
        let mut guard = self.guard(&entry.filter)?;
        let extent = self.extent(s.axis);
        self.stay_inside(&mut guard, &at, &extent);
        let inside = self.guard_tile(&guard)?;
        let (none, _) = self.nothing();
        let x = self.kb.select("x", inside, x, none);
        let at = self.kb.index("at", at, ElemType::I32);
        let merged = self.insert([body.carried[0], body.carried[1]], x, at, list);
        self.store_ranked(s, &merged, list, target)?;
        if let Some(settled) = settled {
            self.store_members(settled, merged[1], list, &Expr::Var(body.pos))?;
        }
        self.positions.remove(&s.axis);
        self.positions.remove(&row);
        self.leave();
        self.kb.end_loop(&merged);
        Ok(())
    }

    /// Stores the members if the row is one of those of which they are stored.
    fn store_members(&mut self, s: &Settled, places: ValueId, list: kernel::AxisId, row: &Expr) -> Result<(), Error> {
        let rows = s.rows;
        let first = Expr::binary(BinOp::Mod, row.clone(), Expr::Const(rows)).equals(0);
        self.kb.begin_if(first);
        self.enter();
        let number = self.kb.let_expr("tile", row.clone().floor_div(rows));
        self.note_bounds(number, 0, None);
        self.positions.insert(s.tile, Expr::Var(number));
        let member = self.whole_axis(s.member);
        let at = self.ranked_place(places, list, &Expr::Axis(member));
        self.store(s.list.0, at)?;
        self.positions.remove(&s.tile);
        self.leave();
        self.kb.end_if(&[]);
        Ok(())
    }

    /// A tile of rows streams the pool.
    fn emit_merged(&mut self, s: &Selection, target: &Target) -> Result<(), Error> {
        let row = self.place_selection(target, &s.ranks);
        let mut axes =
            row.and_then(|r| self.positions.get(&r)).map_or(AxisSet::EMPTY, |e| self.kb.kernel().expr_axes(e));
        let list = self.kb.axis("rank", s.length);
        axes.insert(list);
        let (values, places) = self.empty_list(axes);
        self.hoist(s.x, &[s.axis])?;
        let extent = self.extent(s.axis);
        let (bounding, opaque) = self.bounding(&s.guards, s.axis);
        let range = self.range(&bounding, s.axis, extent.clone());
        let name = self.axis_name(s.axis);
        let tile = self.kb.axis(&name, self.s.tiles.stream);
        let domain = Domain::Dense { lo: range.lo, hi: range.hi };
        let full = if self.s.claims_hold(&[s.x], &opaque, &bounding, s.axis)? { range.full } else { None };
        let body = self.kb.begin_loop(&name, Some(tile), domain, full, &[("v", values), ("p", places)]);
        self.note_bounds(body.index, 0, None);
        self.note_bounds(body.pos, 0, None);
        self.enter();
        self.positions.insert(s.axis, Expr::Var(body.pos));
        let mut guard = self.guard(&bounding)?;
        guard.atoms.push(Expr::Var(body.pos).lt(extent));
        for c in opaque {
            let v = self.value(c)?;
            guard.opaque.push(v);
        }
        let x = self.value(s.x)?;
        let missing = AxisSet::from(tile).minus(self.kb.type_of(x).map_or(AxisSet::EMPTY, |t| t.axes));
        let x = if missing.is_empty() { x } else { self.kb.expand("x", x, missing) };
        let at = self.kb.index("at", Expr::Var(body.pos), ElemType::I32);
        let (v, p) = self.kb.topk("best", x, at, tile, list, guard);
        let spread = |e: &mut Self, x: ValueId| {
            let missing = axes.minus(e.kb.type_of(x).map_or(AxisSet::EMPTY, |t| t.axes));
            if missing.is_empty() { x } else { e.kb.expand("best", x, missing) }
        };
        let (v, p) = (spread(self, v), spread(self, p));
        let attrs = Attrs { over: list.into(), ..Attrs::default() };
        let merged = self.kb.inst("best", OpCode::MergeTopK, &[body.carried[0], body.carried[1], v, p], attrs);
        self.positions.remove(&s.axis);
        self.leave();
        let best = self.kb.end_loop(&merged);
        self.store_ranked(s, &best, list, target)
    }

    /// A sorted list with one more pair, which is later than all of it: elements behind its place move back by one. Nothing
    /// changes for a score of minus infinity.
    fn insert(&mut self, list: [ValueId; 2], x: ValueId, at: ValueId, axis: kernel::AxisId) -> Vec<ValueId> {
        let before = self.kb.map("before", KernelFn::Ge, &[list[0], x]);
        let before = self.kb.cast("before", before, ElemType::I32);
        let place = self.kb.reduce("place", before, Monoid::Sum, axis, Guard::always());
        let rank = self.kb.index("r", Expr::Axis(axis), ElemType::I32);
        let ahead = self.kb.map("ahead", KernelFn::Lt, &[rank, place]);
        let here = self.kb.map("here", KernelFn::Eq, &[rank, place]);
        let size = self.kb.kernel().axis_extent(self.kb.kernel_plan(), axis).unwrap_or(1);
        let back = self.kb.axis("back", size);
        list.into_iter()
            .zip([x, at])
            .map(|(old, new)| {
                let attrs = Attrs { over: axis.into(), at: Some((Expr::Axis(back) - 1).max(0)), ..Attrs::default() };
                let moved = self.kb.inst("moved", OpCode::Take, &[old], attrs)[0];
                let moved = self.kb.rename("moved", moved, back, axis);
                let behind = self.kb.select("behind", here, new, moved);
                self.kb.select("best", ahead, old, behind)
            })
            .collect()
    }

    fn nothing(&mut self) -> (ValueId, ValueId) {
        let none = self.kb.fill("none", f64::NEG_INFINITY, self.float, AxisSet::EMPTY);
        (none, self.kb.fill("nowhere", Literal::Int(-1), ElemType::I32, AxisSet::EMPTY))
    }

    fn empty_list(&mut self, axes: AxisSet) -> (ValueId, ValueId) {
        let values = self.kb.fill("v", f64::NEG_INFINITY, self.float, axes);
        (values, self.kb.fill("p", Literal::Int(-1), ElemType::I32, axes))
    }

    /// Stores the pair of the wanted rank: its value, and its position with the largest i32 for a missing one.
    fn store_ranked(
        &mut self,
        s: &Selection,
        list: &[ValueId],
        axis: kernel::AxisId,
        target: &Target,
    ) -> Result<(), Error> {
        let rank = self.index(s.rank)?;
        let value = self.ranked(list[0], axis, &rank);
        let at = self.ranked_place(list[1], axis, &rank);
        let (own, other) = if s.index { (at, value) } else { (value, at) };
        self.store(target.input, own)?;
        match target.partner {
            Some(p) => self.store(p, other),
            None => Ok(()),
        }
    }
}
