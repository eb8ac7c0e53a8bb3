//! Ranks over a short axis, inside tile code.

use super::Emitter;
use crate::schedule::Error;
use weft_ir::graph::{AxisId, NodeId};
use weft_ir::kernel::{self, Attrs, AxisSet, ElemType, Expr, Literal, OpCode, ValueId};

impl Emitter<'_, '_> {
    /// The value or the position of the pair of some rank over a short axis.
    pub(super) fn emit_kth(
        &mut self,
        id: NodeId,
        axis: AxisId,
        guards: &[NodeId],
        (x, rank): (NodeId, NodeId),
        index: bool,
    ) -> Result<ValueId, Error> {
        if self.s.c.g.static_extent(axis).is_none() {
            return self.s.unsupported(id, format!("a rank over `{}` inside tile code", self.axis_name(axis)));
        }
        let length = self.s.list_length(id, rank)?;
        let tile = self.whole_axis(axis);
        let at = self.index(rank)?;
        let guard = self.guard(guards)?;
        let x = self.value(x)?;
        let x = self.over(x, tile.into());
        let payload = self.kb.index("at", Expr::Axis(tile), ElemType::I32);
        let list = self.kb.axis("rank", length);
        let (values, places) = self.kb.topk("best", x, payload, tile, list, guard);
        Ok(if index { self.ranked_place(places, list, &at) } else { self.ranked(values, list, &at) })
    }

    /// The entry of a list at a rank.
    pub(crate) fn ranked(&mut self, list: ValueId, axis: kernel::AxisId, rank: &Expr) -> ValueId {
        let size = self.kb.kernel().axis_extent(self.kb.kernel_plan(), axis).unwrap_or(1);
        // Where a block of ranks sticks out over the last one, anything will do.
        let inside = self.interval(rank).1.is_some_and(|most| most < size);
        let rank = if inside { rank.clone() } else { rank.clone().min(size - 1) };
        let attrs = Attrs { over: axis.into(), at: Some(rank), ..Attrs::default() };
        self.kb.inst("kth", OpCode::Take, &[list], attrs)[0]
    }

    /// The position at a rank: the largest i32 for a missing one.
    pub(crate) fn ranked_place(&mut self, list: ValueId, axis: kernel::AxisId, rank: &Expr) -> ValueId {
        let at = self.ranked(list, axis, rank);
        let zero = self.kb.fill("zero", Literal::Int(0), ElemType::I32, AxisSet::EMPTY);
        let missing = self.kb.map("missing", kernel::MapFn::Lt, &[at, zero]);
        let last = self.kb.fill("last", Literal::Int(i64::from(i32::MAX)), ElemType::I32, AxisSet::EMPTY);
        self.kb.select("at", missing, last, at)
    }
}
