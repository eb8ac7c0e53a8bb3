//! Where recurrences start anew: chunks are independent, so they go into lanes.

use super::{State, Walk};
use crate::schedule::Scheduler;
use crate::schedule::emit::Emitter;
use weft_ir::graph::{AxisId, MapFn, NodeId, Op, RecId};
use weft_ir::kernel::{self, Expr, Guard};

/// Where a recurrence starts anew, in its own direction: positions `first + period * c`, with `first` below `period`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Restart {
    pub(super) period: i64,
    pub(super) first: i64,
}

impl Scheduler {
    /// A congruence class of positions at which every path to every previous state is guarded off.
    pub(super) fn restart(&self, states: &[State], time: AxisId) -> Option<Restart> {
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
    /// Chunks in lanes: the tile axis and the position at which the walk of a chunk begins, which may lie outside the sequence.
    pub(super) fn chunks(&mut self, w: &Walk, r: Restart, rows: i64) -> (kernel::AxisId, Expr) {
        // Forwards the first chunk begins before position 0, if that is no restart; backwards the last one at or behind the last
        // position.
        let begin = if w.reverse { r.first } else { r.first - r.period };
        let last = if w.reverse { r.period - 1 } else { 0 };
        let count = (self.extent(w.time) + (last - begin + r.period - 1)).floor_div(r.period);
        let var = self.kb.grid("chunk_tile", count.clone().ceil_div(rows));
        self.note_bounds(var, 0, None);
        let tile = self.kb.axis("chunk", rows);
        let c0 = self.kb.let_expr("chunk0", Expr::Var(var) * rows);
        self.note_bounds(c0, 0, None);
        let chunk = Expr::Var(c0) + tile;
        self.kb.set_valid(tile, Guard::from(chunk.clone().lt(count)));
        self.kb.lanes(tile);
        (tile, chunk * r.period + begin)
    }
}
