//! Values that a streaming kernel stores beside its own.
//!
//! A normaliser is part of what is normalised, and later kernels want it too: the denominator of a softmax, its reciprocal, the maximum.
//! The kernel has it in an accumulator, so it stores it instead of reading it from a kernel that would stream all pairs once
//! more. Such values have the kernel's rows; where the kernel makes its own value in blocks of features, each grid point
//! would store them again, and they are left to a kernel of their own.

use super::super::cut::Place;
use super::super::finite::Known;
use super::super::store::Target;
use super::{Error, Group, Reduction, Scheduler};
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::{AxisId, InputId, MapFn, NodeId, Op};
use weft_ir::kernel::Role;

/// What a kernel stores beside its value: buffers, and terms over its accumulators.
#[derive(Default)]
pub(super) struct Beside {
    pub(super) stores: Vec<(InputId, NodeId)>,
    /// Running maxima that are in memory after the kernel, and the terms that read them.
    maxima: FxHashMap<NodeId, NodeId>,
}

impl Scheduler {
    /// Can the kernel of `root` store a shared term as well? It streams for it anyway, over the same rows.
    pub(in crate::schedule) fn comes_along(&mut self, id: NodeId, place: Place, root: NodeId) -> Result<bool, Error> {
        if place != Place::Root || self.stored.contains_key(&id) || !self.c.g.dtype(id).is_float() {
            return Ok(false);
        }
        let sums = self.streamed(id);
        let sum = |s: &Self, n: NodeId| matches!(s.c.g.op(n), Op::Ein { .. }) && s.joins(n, root);
        let rows = self.c.g.free(id).is_subset(self.c.g.free(root)) && self.c.long_axes(id) == self.c.long_axes(root);
        let here = rows && !sums.is_empty() && sums.iter().all(|&n| sum(self, n)) && !self.is_inside(id, root);
        Ok(here && self.at_home(id)?.0 == id && self.dimension_order(id).iter().all(|&a| self.home(a) == a))
    }

    /// Does a term occur in another one under a reduction, or at other positions? There it is read, so it must be in memory before.
    fn is_inside(&self, id: NodeId, root: NodeId) -> bool {
        let mut stack = vec![root];
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if n == id || !seen.insert(n) {
                continue;
            }
            match self.c.g.op(n) {
                Op::Ein { axes, .. } if axes.is_empty() => stack.extend(self.c.g.args(n)),
                Op::Map(_) | Op::Cast(_) | Op::Select => stack.extend(self.c.g.args(n)),
                _ if self.contains(n, id) => return true,
                _ => {}
            }
        }
        false
    }

    /// Axes of what is computed for pairs: a kernel has them on its grid.
    pub(super) fn pair_axes(&self, reductions: &[Reduction], groups: &[Group]) -> FxHashSet<AxisId> {
        let mut pair: FxHashSet<AxisId> = FxHashSet::default();
        for r in reductions {
            // A table that is read for each pair is a value.
            for &x in r.guards.iter().chain(r.factors.iter().filter(|&&x| !self.is_read(x))) {
                if self.c.long_axes(x).len() > 1 || self.has_exp(x) {
                    pair.extend(self.c.g.free(x).iter());
                }
            }
        }
        for g in groups {
            pair.extend(self.c.g.input(g.maximum.0).axes.iter().copied());
        }
        pair
    }

    /// Does one grid point alone have each element of a value over `own`?
    fn has_alone(&self, own: &[AxisId], target: &Target, pair: &FxHashSet<AxisId>) -> bool {
        let other = |a: &&AxisId| !own.contains(a);
        let whole = |a: &AxisId| self.c.g.static_extent(*a).is_some() && !pair.contains(a);
        let short = target.axes.iter().filter(|a| whole(a)).map(|&a| self.static_size(a));
        target.axes.iter().filter(other).all(whole) && short.fold(1, i64::saturating_mul) <= self.tiles.vector
    }

    /// Declares what a kernel stores beside its value. `map` has the accumulators by sum.
    pub(super) fn beside(
        &mut self,
        reductions: &[Reduction],
        groups: &[Group],
        axis: AxisId,
        target: &Target,
        map: &mut FxHashMap<NodeId, NodeId>,
    ) -> Result<Beside, Error> {
        let mut made = Beside::default();
        let pair = self.pair_axes(reductions, groups);
        for &(home, cut) in &target.beside {
            let axes = self.dimension_order(home);
            let value = self.replace(cut, map)?;
            if self.stored.contains_key(&home)
                || !self.streamed(value).is_empty()
                || !self.has_alone(&axes, target, &pair)
            {
                continue;
            }
            let name = self.unused_name(home);
            self.notes.push(format!("{name}: stored by the kernel of what it is part of"));
            let own = self.target(&name, &axes, self.stored_dtype(home), Role::Temp)?;
            let (mantissa, scale) = self.scaled(value)?;
            let scale = self.scale_in_memory(scale, &made)?;
            let epilogue = self.keep_scale(&name, (mantissa, scale), &own)?;
            made.stores.push((own.input, epilogue.value));
            if let Some((input, scale)) = epilogue.scale {
                made.stores.push((input, scale));
                if let Some(read) = own.maximum.get() {
                    self.note_scale(input, scale, read, reductions, groups, axis);
                    made.maxima.insert(scale, read);
                }
            }
            let lower = self.lower_bound(cut).map(|b| if own.maximum.get().is_some() { 0.0 } else { b });
            self.known.insert(own.input, Known { kind: self.kind_of(cut), lower, sign: self.sign(cut) });
            let read = match own.maximum.get() {
                None => own.read,
                Some(m) => {
                    let e = self.c.map(MapFn::Exp, &[m])?;
                    self.c.product_of(&[own.read, e])?
                }
            };
            self.stored.insert(home, read);
            self.note_stored(home)?;
        }
        Ok(made)
    }

    /// A scale by what is in memory, if all of it is; the kernel itself must not read that.
    pub(super) fn scale_in_memory(&mut self, scale: Option<NodeId>, beside: &Beside) -> Result<Option<NodeId>, Error> {
        let Some(scale) = scale else { return Ok(None) };
        if self.is_bounded(scale) || beside.maxima.is_empty() {
            return Ok(Some(scale));
        }
        let read = self.replace(scale, &mut beside.maxima.clone())?;
        Ok(Some(if read != scale && self.is_in_memory(read) { read } else { scale }))
    }

    /// If a stored scale is a running maximum: notes of what.
    pub(super) fn note_scale(
        &mut self,
        input: InputId,
        scale: NodeId,
        read: NodeId,
        reductions: &[Reduction],
        groups: &[Group],
        axis: AxisId,
    ) {
        if let Some(g) = groups.iter().find(|g| g.maximum.1 == scale) {
            let of = |&r: &usize| Some((reductions[r].scale?, reductions[r].guards.clone()));
            let of: Vec<_> = g.members.iter().filter_map(of).collect();
            self.note_maximum(input, read, axis, &of);
        }
    }
}
