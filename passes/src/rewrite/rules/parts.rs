//! A sum taken apart by one of its axes: what mentions the axis, and the rest.

use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::graph::{AxisId, AxisSet, Error, NodeId};

/// Conditions that must stand before what is taken out of a sum over `axes`, so that it is nowhere computed where the sum has no members: none
/// if nothing that is taken out needs them, and nothing if they cannot be told.
pub(super) fn kept_from(
    eg: &mut Eg,
    axes: &[AxisId],
    guards: &[NodeId],
    taken: &[Id],
) -> Result<Option<Vec<NodeId>>, Error> {
    if guards.is_empty() || !taken.iter().any(|&f| eg[f].data.may_be_undefined()) {
        return Ok(Some(Vec::new()));
    }
    eg.analysis.canon.occupied(axes, guards)
}

/// Guards and factors of a sum, parted by an axis `x`.
pub(super) struct Parts {
    /// Factors that mention `x`, and what they share other long axes with.
    pub(super) own: Vec<Id>,
    /// Guards of these.
    pub(super) own_guards: Vec<NodeId>,
    /// The other factors.
    pub(super) rest: Vec<Id>,
    /// The other guards.
    pub(super) rest_guards: Vec<NodeId>,
    /// Bound axes other than `x` that only the own part mentions.
    pub(super) private: Vec<AxisId>,
    /// Bound axes that are left.
    pub(super) left: Vec<AxisId>,
}

/// Parts a sum over `axes`. Axes in `outside` stay bound outside, and so do documents over whose lengths an axis is ragged that is bound
/// outside, or is one of `ends`.
pub(super) fn part(
    eg: &Eg,
    axes: &[AxisId],
    guards: &[NodeId],
    factors: &[Id],
    x: AxisId,
    outside: &AxisSet,
    ends: &[AxisId],
) -> Parts {
    let w = &eg.analysis;
    let free = |f: Id| &eg[f].data.free;
    let of = |g: NodeId| w.canon.g.free(g);
    // What shares a long bound axis with the own part comes along.
    let mut along: AxisSet = [x].into_iter().collect();
    loop {
        let mut grown = along.clone();
        let mentions = |set: &AxisSet| !set.is_disjoint(&along);
        let sets = factors.iter().map(|&f| free(f)).chain(guards.iter().map(|&g| of(g)));
        for set in sets.filter(|s| mentions(s)) {
            let long = |a: &AxisId| axes.contains(a) && w.is_long(*a) && !outside.contains(*a);
            set.iter().filter(long).for_each(|a| grown.insert(a));
        }
        if grown == along {
            break;
        }
        along = grown;
    }
    let is_own = |set: &AxisSet| !set.is_disjoint(&along);
    let (own, rest): (Vec<Id>, Vec<Id>) = factors.iter().partition(|&&f| is_own(free(f)));
    let (own_guards, rest_guards): (Vec<NodeId>, Vec<NodeId>) = guards.iter().partition(|&&g| is_own(of(g)));
    let mut used = AxisSet::new();
    rest.iter().for_each(|&f| used.extend(free(f)));
    rest_guards.iter().for_each(|&g| used.extend(of(g)));
    let ragged: Vec<AxisId> =
        axes.iter().copied().filter(|a| outside.contains(*a)).chain(ends.iter().copied()).collect();
    let private: Vec<AxisId> = axes
        .iter()
        .copied()
        .filter(|&a| a != x && !outside.contains(a) && !used.contains(a) && !w.is_batch_of(a, &ragged))
        .collect();
    let left = axes.iter().copied().filter(|a| *a != x && !private.contains(a)).collect();
    Parts { own, own_guards, rest, rest_guards, private, left }
}
