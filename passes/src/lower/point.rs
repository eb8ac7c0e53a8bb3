//! Where in a tile code is computing: positions along axes, and the axis that fills vector lanes.

use smallvec::SmallVec;
use weft_ir::kernel::AxisId;
use weft_ir::loops::Value;

/// The axis whose consecutive elements are in the lanes of vectors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Span {
    /// The axis.
    pub(super) axis: AxisId,
    /// Number of lanes; a multiple of 4.
    pub(super) width: u16,
    /// Number of lanes, counted from the first, whose elements exist; the rest lies behind the end of the axis.
    pub(super) valid: u16,
}

/// A position in a tile: one index for each bound axis (for the lane axis the index of the first lane).
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub(super) struct Point {
    at: SmallVec<[(AxisId, Value); 4]>,
    /// The lane axis, if code at this point is vector code.
    pub(super) span: Option<Span>,
}

impl Point {
    /// The index along an axis; `None` if the axis is not bound.
    pub(super) fn get(&self, axis: AxisId) -> Option<Value> {
        self.at.iter().find(|(a, _)| *a == axis).map(|(_, v)| *v)
    }

    /// This point with an axis bound to an index (bound anew, if it was).
    pub(super) fn with(&self, axis: AxisId, index: Value) -> Self {
        let mut at: SmallVec<[(AxisId, Value); 4]> = self.at.iter().copied().filter(|(a, _)| *a != axis).collect();
        at.push((axis, index));
        // Sorted, so that equal points are equal as keys.
        at.sort_by_key(|(a, _)| *a);
        Self { at, span: self.span }
    }

    /// This point with another lane axis.
    pub(super) fn with_span(&self, span: Option<Span>) -> Self {
        Self { at: self.at.clone(), span }
    }

    /// This point without an axis.
    pub(super) fn without(&self, axis: AxisId) -> Self {
        Self {
            at: self.at.iter().copied().filter(|(a, _)| *a != axis).collect(),
            span: self.span.filter(|s| s.axis != axis),
        }
    }

    /// The part of the point that matters to what varies over these axes.
    pub(super) fn restrict(&self, axes: weft_ir::kernel::AxisSet) -> Self {
        Self {
            at: self.at.iter().copied().filter(|(a, _)| axes.contains(*a)).collect(),
            span: self.span.filter(|s| axes.contains(s.axis)),
        }
    }
}
