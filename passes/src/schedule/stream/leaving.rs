//! Ends of streams that memory knows.
//!
//! If scores are final and the pool only grows, the last rank and the threshold never fall from row to row. A key that has dropped out of the
//! selection stays out: the rows that see it are an interval. Where a kernel has keys as its rows, as the gradients of keys do, it
//! streams rows of queries, and most of them have long left the tile's keys behind. So the last row that still selects a key is stored
//! for every key, and the loop ends with the last of the tile.
//!
//! That the end is right does not hang on the interval: it is the last position at which the condition holds, whatever is before it.

use crate::schedule::{Error, Scheduler};
use weft_ir::DType;
use weft_ir::graph::{AxisId, Extremum, InputId, MapFn, NodeId, Op};

/// Positions are floats here, which are exact up to 2^24; beyond, this much more makes up for their rounding.
const ROUNDED_UP: f64 = 1.0 + 1e-6;

impl Scheduler {
    /// Notes that a stored value never falls along a row axis.
    pub(in crate::schedule) fn note_rising(&mut self, input: InputId, row: AxisId) {
        self.rising.push((input, row));
    }

    /// If a case selects rows by a value that rises along `axis`: a condition `axis < end`, where the end is in memory.
    pub(super) fn leaving(&mut self, case: &[NodeId], axis: AxisId) -> Result<Option<NodeId>, Error> {
        if self.is_leaving || !case.iter().any(|&g| self.falls_behind(g, axis)) {
            return Ok(None);
        }
        let rows: Vec<AxisId> = case.iter().flat_map(|&g| self.c.long_axes(g)).filter(|&a| a != axis).collect();
        let Some(&row) = rows.first().filter(|&&r| rows.iter().all(|&x| x == r)) else { return Ok(None) };
        // Conditions that are made of positions and of such comparisons; more would cost more than they save.
        let guards: Vec<NodeId> =
            case.iter().copied().filter(|&g| self.falls_behind(g, axis) || self.c.comparison(g).is_some()).collect();
        let one = self.c.int(1)?;
        let index = self.c.make(&Op::Index(axis), &[])?;
        let next = self.c.map(MapFn::Add, &[index, one])?;
        let next = self.c.make(&Op::Cast(DType::F32), &[next])?;
        let reduce =
            Op::Reduce { extremum: Extremum::Max, axes: [axis].as_slice().into(), guards: guards.len() as u32 };
        let last = self.c.make(&reduce, &[guards.as_slice(), &[next]].concat())?;
        let zero = self.c.number(0.0, DType::F32)?;
        let end = self.c.map(MapFn::Max, &[zero, last])?;
        let end = self.c.scaled(ROUNDED_UP, end)?;
        if self.c.long_axes(end) != [row] || self.at_home(end)?.0 != end {
            return Ok(None);
        }
        // A kernel before the one that is being made.
        let (inline, tiles) = (std::mem::replace(&mut self.c.inline, false), self.tiles);
        self.is_leaving = true;
        let read = self.stored(end);
        self.is_leaving = false;
        self.c.inline = inline;
        self.tiles = tiles;
        let (read, position) = (read?, self.c.make(&Op::Cast(DType::F32), &[index])?);
        let condition = self.c.map(MapFn::Lt, &[position, read])?;
        self.ends.insert(condition, read);
        Ok(Some(condition))
    }

    /// Is a condition `v[axis] < z`, or the comparison with a rank `v[axis]`, where `v` rises along `axis` and `z` does not depend on it?
    fn falls_behind(&self, condition: NodeId, axis: AxisId) -> bool {
        let rises = |v: NodeId| {
            let Some((input, at)) = self.read_of(v) else { return false };
            let moves = |row: AxisId| at.iter().any(|&(a, p)| a == row && *self.c.g.op(p) == Op::Index(axis));
            self.rising.iter().any(|&(i, row)| i == input && moves(row))
        };
        match *self.c.g.op(condition) {
            Op::Map(MapFn::Lt | MapFn::Le) => {
                matches!(self.c.g.args(condition), &[v, z] if rises(v) && !self.has(z, axis))
            }
            Op::Map(MapFn::Or) => {
                let rows = self.c.long_axes(condition).into_iter().filter(|&a| a != axis);
                rows.into_iter().any(|row| {
                    let rank = self.comparison_with_rank(condition, row);
                    rank.is_some_and(|(v, z, _)| rises(v) && !self.has(z, axis))
                })
            }
            _ => false,
        }
    }
}
