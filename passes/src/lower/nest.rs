//! Loops over the elements of tiles.

use weft_ir::kernel::{AxisId, AxisSet, OpCode, ValueId};
use weft_ir::loops::Value;

use super::emit::Emitter;
use super::error::Emit;
use super::memory::QUANTUM;
use super::point::{Point, Span};

/// Lanes of elementwise code: two registers of f32, so that neighbouring chains overlap and long expressions do not spill.
const LANES: i64 = 8;

impl Emitter<'_> {
    /// Runs `body` for every element over `axes`, `lanes` of them at a time along the axis `lane_axis` (which is outermost, so
    /// that what varies along it alone is computed once for all the others); the others in order of declaration. Parts of
    /// `roots` that vary over outer axes only are computed outside the inner loops.
    pub(super) fn nest(
        &mut self,
        axes: AxisSet,
        lane_axis: Option<AxisId>,
        roots: &[ValueId],
        base: &Point,
        body: &mut dyn FnMut(&mut Self, &Point) -> Emit<()>,
    ) -> Emit<()> {
        let others: Vec<AxisId> = axes.iter().filter(|a| Some(*a) != lane_axis).collect();
        match lane_axis {
            Some(axis) if axes.contains(axis) => self.spans(axis, LANES, base, &mut |e, p| {
                e.hoist_all(roots, p)?;
                e.walk(&others, roots, p, body)
            }),
            _ => self.walk(&others, roots, base, body),
        }
    }

    /// Binds the lane axis to one vector after the other; the last may be narrower, with lanes behind the end.
    pub(super) fn spans(
        &mut self,
        axis: AxisId,
        lanes: i64,
        base: &Point,
        body: &mut dyn FnMut(&mut Self, &Point) -> Emit<()>,
    ) -> Emit<()> {
        let extent = self.extent(axis);
        let whole = extent / lanes * lanes;
        let narrow = |n: i64| u16::try_from(n).unwrap_or(u16::MAX);
        if whole > 0 {
            let span = Span { axis, width: narrow(lanes), valid: narrow(lanes) };
            let base = base.with_span(Some(span));
            self.for_extent(whole, lanes, |e, at| e.scope(|e| body(e, &base.with(axis, at))))?;
        }
        let rest = extent - whole;
        if rest > 0 {
            let width = (rest + QUANTUM - 1) / QUANTUM * QUANTUM;
            let span = Span { axis, width: narrow(width), valid: narrow(rest) };
            let at = self.kb.int(whole);
            let p = base.with(axis, at).with_span(Some(span));
            self.scope(|e| body(e, &p))?;
        }
        Ok(())
    }

    /// Binds the axes to one index after the other.
    pub(super) fn walk(
        &mut self,
        axes: &[AxisId],
        roots: &[ValueId],
        base: &Point,
        body: &mut dyn FnMut(&mut Self, &Point) -> Emit<()>,
    ) -> Emit<()> {
        let Some((axis, inner)) = axes.split_first() else { return body(self, base) };
        let extent = self.extent(*axis);
        self.for_extent(extent, 1, |e, at| {
            e.scope(|e| {
                let p = base.with(*axis, at);
                if !inner.is_empty() {
                    e.hoist_all(roots, &p)?;
                }
                e.walk(inner, roots, &p, body)
            })
        })
    }

    fn hoist_all(&mut self, roots: &[ValueId], p: &Point) -> Emit<()> {
        roots.iter().try_for_each(|v| self.hoist(*v, p))
    }

    /// Computes the largest parts of an expression that the point determines, so that inner loops find them computed.
    pub(super) fn hoist(&mut self, v: ValueId, p: &Point) -> Emit<()> {
        let axes = self.ty(v)?.axes;
        if axes.iter().all(|a| p.get(a).is_some()) {
            let _: Value = self.value(v, p)?;
            return Ok(());
        }
        if !self.is_expression(v) {
            return Ok(());
        }
        let Some((inst, _)) = self.layout.facts.inst_of(v) else { return Ok(()) };
        // Operands of these are read at other points.
        if matches!(inst.op, OpCode::Rename | OpCode::Take) {
            return Ok(());
        }
        inst.args.iter().try_for_each(|a| self.hoist(*a, p))
    }
}
