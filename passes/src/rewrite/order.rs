//! The order in which a product is summed over several short axes.
//!
//! The e-graph has a product with all its axes, since the price of a sum is that of its cheapest order. What is taken out of it must have that order:
//! `sum over s and v of X(t, s) C(s, d) S(s, v) g(t, v)` is a product for every row, code and channel, unless the sum over `v` is inside.

use crate::canon::Canon;
use weft_ir::graph::{AxisId, AxisSet, Error, NodeId};

/// How much cheaper sums one in the other must be.
const GAIN: f64 = 0.5;
/// What stands for an extent that a run gives.
const ROWS: f64 = 4096.0;

/// The sum of a product over some axes, one inside the other if that is cheaper.
///
/// # Errors
/// Only for terms that are not well-formed.
pub(crate) fn sum(c: &mut Canon, axes: &[AxisId], guards: &[NodeId], factors: &[NodeId]) -> Result<NodeId, Error> {
    let short = axes.iter().all(|&a| c.g.static_extent(a).is_some());
    if axes.len() < 2 || factors.len() < 3 || !short {
        return c.ein(axes, guards, factors);
    }
    let together = points(c, &mentioned(c, guards.iter().chain(factors)));
    let first = axes.iter().copied().filter_map(|a| {
        let inner = with(c, a, guards, factors);
        // What mentions all the others is the whole sum.
        let alone = inner.1.len() < factors.len();
        let size = points(c, &mentioned(c, inner.0.iter().chain(&inner.1)));
        alone.then_some((a, size))
    });
    // What is left has no more points than the product of all others.
    let Some((axis, cost)) = first.min_by(|x, y| x.1.total_cmp(&y.1)) else { return c.ein(axes, guards, factors) };
    if cost > GAIN * together {
        return c.ein(axes, guards, factors);
    }
    let (own_guards, own) = with(c, axis, guards, factors);
    let inner = c.ein(&[axis], &own_guards, &own)?;
    let guards: Vec<NodeId> = guards.iter().copied().filter(|g| !own_guards.contains(g)).collect();
    let rest = factors.iter().copied().filter(|f| !own.contains(f)).chain([inner]).collect::<Vec<_>>();
    let left: Vec<AxisId> = axes.iter().copied().filter(|&a| a != axis).collect();
    sum(c, &left, &guards, &rest)
}

/// Guards and factors that mention an axis.
fn with(c: &Canon, axis: AxisId, guards: &[NodeId], factors: &[NodeId]) -> (Vec<NodeId>, Vec<NodeId>) {
    let own = |ns: &[NodeId]| ns.iter().copied().filter(|&n| c.g.free(n).contains(axis)).collect();
    (own(guards), own(factors))
}

fn mentioned<'a>(c: &Canon, terms: impl Iterator<Item = &'a NodeId>) -> AxisSet {
    terms.fold(AxisSet::new(), |mut all, &n| {
        all.extend(c.g.free(n));
        all
    })
}

fn points(c: &Canon, axes: &AxisSet) -> f64 {
    axes.iter().map(|a| c.g.static_extent(a).map_or(ROWS, |n| n as f64)).product()
}
