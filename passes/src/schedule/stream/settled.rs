//! Streams over the members that a tile of rows shares.
//!
//! If scores are final and the pool only grows, a position that has dropped out of the best never comes back. So what some row of a
//! tile selects is either selected by a row at or before the tile's first, or has entered the pool since: a list that the whole
//! tile shares, and a few positions before the tile. Both are asked for membership element by element, since later rows drop
//! members.

use super::split::Walk;
use crate::schedule::select::Settled;
use crate::schedule::{Error, Scheduler};
use weft_ir::graph::{AxisId, Extent, InputId, MapFn, NodeId, Op, Role};

/// What a read of a stored value stands at, beside its own axes.
pub(super) type Positions = Vec<(AxisId, NodeId)>;

impl Scheduler {
    /// Does a loop's axis walk the members that a tile of rows shares?
    pub(super) fn walks_settled(&self, loop_axis: AxisId) -> bool {
        self.settled_axes.values().any(|&a| a == loop_axis)
    }

    /// If the case asks for membership in a selection whose members are stored: the walk over those, and the case of the positions
    /// that are younger.
    pub(super) fn settled(&mut self, case: &[NodeId], axis: AxisId) -> Result<Option<(Walk, Vec<NodeId>)>, Error> {
        for &condition in case {
            for n in 0..self.settled.len() {
                let s = self.settled[n].clone();
                // A tile must lie within the rows of one list.
                if s.rows % self.tiles.rows != 0 {
                    continue;
                }
                if let Some(at) = self.asks(condition, &s, axis)
                    && self.is_selected_from(condition, &s, &at, case, axis)?
                {
                    return Ok(Some((self.walk_settled(&s, &at, case, axis)?, self.younger(&s, case, axis)?)));
                }
            }
        }
        Ok(None)
    }

    /// Does a condition compare with the last rank of a selection? Gives what the selection's axes stand at.
    fn asks(&self, condition: NodeId, s: &Settled, axis: AxisId) -> Option<Positions> {
        let (value, _, place) = self.comparison_with_rank(condition, axis)?;
        let (input, at) = self.read_of(value)?;
        let (other, at2) = self.read_of(place)?;
        // The row must be the kernel's own: its tiles are what the list is made for.
        let moved = at.iter().any(|&(a, p)| a == s.row || self.has(p, s.row) || self.has(p, axis));
        (input == s.value && other == s.place && at == at2 && !moved).then_some(at)
    }

    /// `v < z or (v == z and j <= at)` as (v, z, at).
    pub(super) fn comparison_with_rank(&self, condition: NodeId, axis: AxisId) -> Option<(NodeId, NodeId, NodeId)> {
        let &Op::Map(MapFn::Or) = self.c.g.op(condition) else { return None };
        let &[a, b] = self.c.g.args(condition) else { return None };
        let (above, tie) = if *self.c.g.op(a) == Op::Map(MapFn::Lt) { (a, b) } else { (b, a) };
        let (&Op::Map(MapFn::Lt), &Op::Map(MapFn::And)) = (self.c.g.op(above), self.c.g.op(tie)) else { return None };
        let (&[v, z], &[c, d]) = (self.c.g.args(above), self.c.g.args(tie)) else { return None };
        let (equal, first) = if *self.c.g.op(c) == Op::Map(MapFn::Eq) { (c, d) } else { (d, c) };
        let same = matches!(self.c.g.args(equal), [x, y] if (*x, *y) == (v, z) || (*x, *y) == (z, v));
        if *self.c.g.op(equal) != Op::Map(MapFn::Eq) || !same {
            return None;
        }
        let (MapFn::Le, form) = self.c.comparison(first)? else { return None };
        let terms: Vec<(NodeId, i64)> = form.terms().map(|(&v, c)| (v, c)).collect();
        let own = |&(n, c): &(NodeId, i64)| *self.c.g.op(n) == Op::Index(axis) && c == -1;
        let at = terms.iter().find(|&t| !own(t) && t.1 == 1)?.0;
        (terms.len() == 2 && terms.iter().any(own) && form.constant() == 0).then_some((v, z, at))
    }

    /// A read of memory, and what some of its axes stand at.
    pub(super) fn read_of(&self, id: NodeId) -> Option<(InputId, Positions)> {
        match self.c.g.op(id) {
            Op::Input(i) => Some((*i, Vec::new())),
            Op::Sub { axes } => {
                let args = self.c.g.args(id);
                let &Op::Input(i) = self.c.g.op(args[0]) else { return None };
                Some((i, axes.iter().copied().zip(args[1..].iter().copied()).collect()))
            }
            _ => None,
        }
    }

    /// Is the score that is compared the selection's, and does the case keep to its pool?
    fn is_selected_from(
        &mut self,
        condition: NodeId,
        s: &Settled,
        at: &[(AxisId, NodeId)],
        case: &[NodeId],
        axis: AxisId,
    ) -> Result<bool, Error> {
        let Some((_, score, _)) = self.comparison_with_rank(condition, axis) else { return Ok(false) };
        let mut map = at.to_vec();
        map.push((s.axis, self.c.make(&Op::Index(axis), &[])?));
        let own = self.c.substitute(s.x, &map)?;
        if own != score {
            return Ok(false);
        }
        for &g in &s.guards {
            let g = self.c.substitute(g, &map)?;
            for part in self.c.conjuncts(g) {
                if self.c.known(part) != Some(true) && !self.implied(part, case) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The guards of a case that members of a pool do not satisfy anyhow; the map says where the pool's axes stand.
    pub(super) fn beside_pool(
        &mut self,
        case: &[NodeId],
        pool: &[NodeId],
        map: &[(AxisId, NodeId)],
    ) -> Result<Vec<NodeId>, Error> {
        let mut known = Vec::new();
        for &g in pool {
            let g = self.c.substitute(g, map)?;
            known.extend(self.c.conjuncts(g));
        }
        Ok(case.iter().copied().filter(|&g| !self.implied(g, &known)).collect())
    }

    /// The last row before the tile, or its first, of which the members are stored; as its number among those.
    fn stored_row(&mut self, s: &Settled) -> Result<NodeId, Error> {
        let start = match self.starts.get(&s.row) {
            Some(&a) => a,
            None => {
                let a = self.c.g.add_axis("start", self.c.g.axis(s.row).domain);
                self.starts.insert(s.row, a);
                a
            }
        };
        let (start, rows) = (self.c.make(&Op::Index(start), &[])?, self.c.int(s.rows)?);
        Ok(self.c.map(MapFn::IDiv, &[start, rows])?)
    }

    /// `sign * (the last position of the pool of the stored row - x) + constant >= 0`
    fn against_settled(&mut self, s: &Settled, x: NodeId, sign: i64, constant: i64) -> Result<NodeId, Error> {
        let number = self.stored_row(s)?;
        let (rows, delay) = (self.c.int(s.rows)?, self.c.int(s.delay)?);
        let row = self.c.map(MapFn::Mul, &[rows, number])?;
        let last = self.c.map(MapFn::Sub, &[row, delay])?;
        let room = self.c.map(MapFn::Sub, &[last, x])?;
        let form = self.c.int_form(room).and_then(|f| f.scaled(sign)).and_then(|f| f.offset(constant));
        match form {
            Some(f) => Ok(self.c.make_raw_inequality(&f)?),
            None => self.unsupported(x, "positions beyond all integers"),
        }
    }

    fn walk_settled(
        &mut self,
        s: &Settled,
        at: &[(AxisId, NodeId)],
        case: &[NodeId],
        axis: AxisId,
    ) -> Result<Walk, Error> {
        let walker = self.settled_axis(s.length);
        let step = self.c.make(&Op::Index(walker), &[])?;
        let mut map = at.to_vec();
        map.push((s.tile, self.stored_row(s)?));
        map.push((s.member, step));
        let entry = self.c.substitute(s.list.1, &map)?;
        let size = self.c.make(&Op::Size(self.c.g.axis(axis).domain), &[])?;
        let position = self.c.map(MapFn::Min, &[entry, size])?;
        // A member has been in the pool since the stored row, and stays there.
        let mut map = at.to_vec();
        map.push((s.axis, self.c.make(&Op::Index(axis), &[])?));
        let mut guards = self.beside_pool(case, &s.guards, &map)?;
        // There are no more members than positions in the pool.
        guards.push(self.against_settled(s, step, 1, 0)?);
        let (Some(form), Some(size)) = (self.c.int_form(position), self.c.int_form(size)) else {
            return self.unsupported(position, "a position that is no integer");
        };
        if let Some(room) = size.checked_add(&form, -1).and_then(|f| f.offset(-1)) {
            guards.push(self.c.make_raw_inequality(&room)?);
        }
        Ok((Some(walker), position, guards))
    }

    /// The case of positions that the stored row's pool does not have.
    fn younger(&mut self, s: &Settled, case: &[NodeId], axis: AxisId) -> Result<Vec<NodeId>, Error> {
        let position = self.c.make(&Op::Index(axis), &[])?;
        let mut young = case.to_vec();
        young.push(self.against_settled(s, position, -1, -1)?);
        Ok(young)
    }

    /// The axis that walks the members of a tile: one for each number of members, so that equal streams meet.
    fn settled_axis(&mut self, length: i64) -> AxisId {
        if let Some(&known) = self.settled_axes.get(&length) {
            return known;
        }
        let domain = self.c.g.add_domain("settled", Extent::Const(length), Role::Plain);
        let axis = self.c.g.add_axis("settled", domain);
        self.settled_axes.insert(length, axis);
        axis
    }
}
