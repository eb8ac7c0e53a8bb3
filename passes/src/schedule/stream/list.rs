//! Streams over the entries of a list: positions that a decision of the row chose.

use super::split::Walk;
use crate::schedule::{Error, Scheduler};
use weft_ir::graph::{AxisId, Extent, MapFn, NodeId, Op, Role, Scalar};

/// How a membership names the list: `1 <= count(r: entry(r) == (x + shift) // block)` for a streamed `x`.
struct List {
    rank: AxisId,
    /// `(x + shift) // block`.
    own: NodeId,
    entry: crate::canon::IntForm,
    block: i64,
    shift: i64,
}

impl Scheduler {
    /// Does a loop's axis walk lists of positions of another axis?
    pub(super) fn walks_list(&self, loop_axis: Option<AxisId>, axis: AxisId) -> bool {
        loop_axis.is_some_and(|a| self.walks_settled(a) || self.lists.iter().any(|(&(x, ..), &l)| l == a && x == axis))
    }

    /// If the case asks for membership in a list, the walk over its entries: the loop's axis, the streamed position, and the guards
    /// that are left. An entry that does not exist is clamped to the extent, where a guard excludes it.
    pub(super) fn list_of(&mut self, case: &[NodeId], axis: AxisId) -> Result<Option<Walk>, Error> {
        let Some((at, list)) = case.iter().enumerate().find_map(|(n, &g)| Some((n, self.list(g, axis)?))) else {
            return Ok(None);
        };
        let mut guards: Vec<NodeId> = case.iter().enumerate().filter(|&(n, _)| n != at).map(|(_, &g)| g).collect();
        guards = self.beside_listed(&guards, &list)?;
        let walker = self.list_axis(axis, self.static_size(list.rank), list.block);
        let step = self.c.make(&Op::Index(walker), &[])?;
        let block = self.c.int(list.block)?;
        let place = self.c.map(MapFn::IDiv, &[step, block])?;
        let inside = self.c.map(MapFn::Mod, &[step, block])?;
        let entry = self.c.int_term(&list.entry)?;
        let entry = self.c.substitute(entry, &[(list.rank, place)])?;
        let size = self.c.make(&Op::Size(self.c.g.axis(axis).domain), &[])?;
        let entry = self.c.map(MapFn::Min, &[entry, size])?;
        let start = self.c.map(MapFn::Mul, &[block, entry])?;
        let shift = self.c.int(-list.shift)?;
        let position = self.c.map(MapFn::Add, &[start, inside, shift])?;
        let (Some(form), Some(size)) = (self.c.int_form(position), self.c.int_form(size)) else { return Ok(None) };
        if list.shift != 0 {
            guards.push(self.c.make_raw_inequality(&form)?);
        }
        let Some(room) = size.checked_add(&form, -1).and_then(|f| f.offset(-1)) else { return Ok(None) };
        guards.push(self.c.make_raw_inequality(&room)?);
        Ok(Some((Some(walker), position, guards)))
    }

    /// The guards of a case that entries of a list do not satisfy anyhow: they come from the pool of a decision.
    fn beside_listed(&mut self, case: &[NodeId], list: &List) -> Result<Vec<NodeId>, Error> {
        let entries: Vec<NodeId> = list.entry.terms().map(|(&n, _)| n).collect();
        let Some((input, at)) = entries.iter().find_map(|&n| self.read_of(n)) else { return Ok(case.to_vec()) };
        let Some(buffer) = self.memory.get(&input).map(|m| m.buffer) else { return Ok(case.to_vec()) };
        let Some(node) = self.decisions.iter().find(|d| d.buffer == buffer).map(|d| d.node) else {
            return Ok(case.to_vec());
        };
        let (&Op::KthIndex { axis, .. }, [_]) = (self.c.g.op(node), &entries[..]) else { return Ok(case.to_vec()) };
        let mut map = at;
        map.push((axis, list.own));
        let pool = self.c.g.guards(node).to_vec();
        self.beside_pool(case, &pool, &map)
    }

    /// A condition as membership in a list of positions, or of blocks of positions, of an axis.
    fn list(&self, condition: NodeId, axis: AxisId) -> Option<List> {
        let (MapFn::Le, form) = self.c.comparison(condition)? else { return None };
        let [(&count, 1)] = form.terms().collect::<Vec<_>>()[..] else { return None };
        let Op::Ein { axes, guards: 1 } = self.c.g.op(count) else { return None };
        let &[rank] = axes.as_slice() else { return None };
        let ones = self.c.g.operands(count).iter().all(|&f| self.c.g.constant(f).is_some_and(|k| k.as_f64() == 1.0));
        self.c.g.static_extent(rank)?;
        if form.constant() != -1 || !ones {
            return None;
        }
        let (MapFn::Eq, equation) = self.c.comparison(self.c.g.guards(count)[0])? else { return None };
        let mut own = equation.terms().filter(|&(&v, _)| self.has(v, axis));
        let (&v, c) = own.next()?;
        if own.next().is_some() || c.abs() != 1 || self.has(v, rank) {
            return None;
        }
        let entry = equation.substitute(&v, &crate::canon::IntForm::new(0))?.scaled(-c)?;
        let chosen = |&n: &NodeId| self.find(n, |op| matches!(op, Op::Input(_))).is_some();
        if !entry.terms().any(|(n, _)| chosen(n) && self.has(*n, rank)) {
            return None;
        }
        let (block, shift) = match self.c.g.op(v) {
            Op::Index(_) => (1, 0),
            Op::Map(MapFn::IDiv) => {
                let args = self.c.g.args(v);
                let Some(Scalar::Int(block)) = self.c.g.constant(args[1]) else { return None };
                let inside = self.c.int_form(args[0])?;
                let [(&x, 1)] = inside.terms().collect::<Vec<_>>()[..] else { return None };
                (*self.c.g.op(x) == Op::Index(axis) && block > 0).then(|| (block, inside.constant()))?
            }
            _ => return None,
        };
        Some(List { rank, own: v, entry, block, shift })
    }

    /// The axis that walks such lists: one, so that equal streams meet.
    fn list_axis(&mut self, axis: AxisId, entries: i64, block: i64) -> AxisId {
        if let Some(&a) = self.lists.get(&(axis, entries, block)) {
            return a;
        }
        let domain = self.c.g.add_domain("listed", Extent::Const(entries.saturating_mul(block)), Role::Plain);
        let a = self.c.g.add_axis("listed", domain);
        self.lists.insert((axis, entries, block), a);
        a
    }
}
