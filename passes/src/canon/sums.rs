//! Canonical guarded sum-products.
//!
//! Products are flattened into sums, but a sum into a sum only if both are over short axes and nothing else is multiplied: merging
//! the sum over heads of an output projection into attention would project once a pair. What does not mention the bound axes is hoisted, unless that gains nothing:
//! a factor whose long sums the body computes anyway saves no pass, and hoisting it would hide that an exponent minus
//! its maximum is not positive. Nor is a factor with a long sum in it hoisted out of a short sum whose body has one too:
//! the two are one stored product. Inside a sum over a long axis, sums over short axes are done first, over the factors
//! that mention them. A sum over several long axes is one in the other, that with the fewest long axes in its result inside. A factor that may be undefined
//! is hoisted out of a guarded sum, which is 0 where its set is empty, to where it is not ([`super::defined`]).

use super::Canon;
use super::axes::has_extent_of;
use super::fingerprint::{bound_name, use_of};
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::DType;
use weft_ir::graph::{AxisId, AxisSet, DomainId, Error, Extent, MapFn, NodeId, Op};

impl Canon {
    /// Sum over `axes` of the product of `factors` where all `guards` hold.
    ///
    /// # Errors
    /// Only for operands that do not fit the op.
    pub fn ein(&mut self, axes: &[AxisId], guards: &[NodeId], factors: &[NodeId]) -> Result<NodeId, Error> {
        let dtype =
            factors.iter().map(|&f| self.g.dtype(f)).reduce(|a, b| a.join(b).unwrap_or(a)).unwrap_or(DType::Float);
        let (mut gs, mut fs, mut k) = (Vec::new(), Vec::new(), 1.0);
        for &g in guards {
            gs.extend(self.conjuncts(g));
        }
        let mut pending: Vec<NodeId> = factors.iter().rev().copied().collect();
        while let Some(f) = pending.pop() {
            if let Some(c) = self.g.constant(f) {
                k *= c.as_f64();
            } else if matches!(self.g.op(f), Op::Ein { axes, .. } if axes.is_empty()) {
                gs.extend_from_slice(self.g.guards(f));
                pending.extend(self.g.operands(f).iter().rev());
            } else {
                fs.push(f);
            }
        }
        let mut seen = FxHashSet::default();
        gs.retain(|&g| self.known(g) != Some(true) && seen.insert(g));
        if k == 0.0 || gs.iter().any(|&g| self.known(g) == Some(false)) || self.contradict(&gs)? {
            return self.number(0.0, dtype);
        }
        self.sort(&mut gs);
        self.sort(&mut fs);
        let axes = self.count_unused(dtype, axes, &gs, &mut fs, &mut k)?;
        if axes.is_empty() { self.plain_product(dtype, k, &gs, fs) } else { self.sum(dtype, &axes, k, gs, fs) }
    }

    /// Do two of the guards exclude each other?
    fn contradict(&mut self, guards: &[NodeId]) -> Result<bool, Error> {
        for &g in guards {
            if guards.contains(&self.negate(g)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes out bound axes that nothing mentions: each counts its extent.
    fn count_unused(
        &mut self,
        dtype: DType,
        axes: &[AxisId],
        gs: &[NodeId],
        fs: &mut Vec<NodeId>,
        k: &mut f64,
    ) -> Result<Vec<AxisId>, Error> {
        let mut left = axes.to_vec();
        // A ragged extent mentions its batch axis, so ragged axes go first.
        left.sort_by_key(|&a| !matches!(self.g.extent(a), Extent::Ragged(_) | Extent::Derived { .. }));
        let mut used = Vec::new();
        for a in left {
            if gs.iter().chain(fs.iter()).any(|&x| self.g.free(x).contains(a)) {
                used.push(a);
            } else if let Some(n) = self.g.static_extent(a) {
                *k *= n as f64;
            } else {
                let size = self.raw(Op::Size(self.g.axis(a).domain), &[])?;
                let number = if dtype.is_int() { size } else { self.raw(Op::Cast(self.settings.float), &[size])? };
                fs.push(number);
                self.sort(fs);
            }
        }
        Ok(used)
    }

    fn plain_product(&mut self, dtype: DType, k: f64, gs: &[NodeId], fs: Vec<NodeId>) -> Result<NodeId, Error> {
        if let Some(mut fewer) = self.absorbed(&fs)? {
            fewer.push(self.number(k, dtype)?);
            return self.ein(&[], gs, &fewer);
        }
        let mut factors = Vec::with_capacity(fs.len() + 1);
        if k != 1.0 || fs.is_empty() {
            factors.push(self.number(k, dtype)?);
        }
        factors.extend(fs);
        match factors[..] {
            [one] if gs.is_empty() => Ok(one),
            _ if gs.is_empty() && dtype.is_int() => self.int_map(MapFn::Mul, &factors),
            _ => {
                let args: Vec<NodeId> = gs.iter().chain(&factors).copied().collect();
                self.raw(Op::Ein { axes: weft_ir::graph::op::Axes::new(), guards: gs.len() as u32 }, &args)
            }
        }
    }

    fn sum(
        &mut self,
        dtype: DType,
        axes: &[AxisId],
        k: f64,
        gs: Vec<NodeId>,
        fs: Vec<NodeId>,
    ) -> Result<NodeId, Error> {
        let set: AxisSet = axes.iter().copied().collect();
        let inside = |c: &Self, x: NodeId| !c.g.free(x).is_disjoint(&set);
        let (in_g, mut out_g): (Vec<_>, Vec<_>) = gs.into_iter().partition(|&g| inside(self, g));
        let (mut in_f, mut out_f): (Vec<_>, Vec<_>) = fs.into_iter().partition(|&f| inside(self, f));
        // A sum of nothing is 0, whatever multiplies it: what may be undefined is hoisted to where there is something, or stays inside.
        let hoisted = self.hoisted(axes, &in_g, out_f)?;
        out_f = hoisted.out;
        out_g.extend(hoisted.conditions);
        in_f.extend(hoisted.stay);
        if axes.iter().any(|&a| self.is_long(a)) {
            let below: FxHashSet<NodeId> = in_f.iter().flat_map(|&f| self.long_sums(f)).collect();
            let (keep, hoist): (Vec<_>, Vec<_>) = out_f.into_iter().partition(|&f| {
                let own = self.long_sums(f);
                !own.is_empty() && own.iter().all(|s| below.contains(s))
            });
            in_f.extend(keep);
            out_f = hoist;
        } else if in_f.iter().any(|&f| self.has_long_reduction(f)) {
            // A normaliser and what it normalises are one pass over the pairs if they are stored as one product.
            let (keep, hoist): (Vec<_>, Vec<_>) = out_f.into_iter().partition(|&f| self.has_long_reduction(f));
            in_f.extend(keep);
            out_f = hoist;
        }
        if let Some((all, guards, mut factors)) = self.flat_sum(axes, &in_f) {
            let guards: Vec<NodeId> = in_g.into_iter().chain(guards).collect();
            factors.push(self.number(k, dtype)?);
            let sum = self.ein(&all, &guards, &factors)?;
            return self.ein(&[], &out_g, &[&[sum], out_f.as_slice()].concat());
        }
        if let Some(nested) = self.nest(dtype, axes, &in_g, &in_f)? {
            let mut factors = vec![self.number(k, dtype)?, nested];
            factors.extend(out_f);
            return self.ein(&[], &out_g, &factors);
        }
        if let Some(split) = self.bucket(axes, &set, &in_g, &in_f)? {
            let mut factors = vec![self.number(k, dtype)?, split];
            factors.extend(out_f);
            return self.ein(&[], &out_g, &factors);
        }
        if let Some(turned) = self.reused(axes, &in_g, &in_f)? {
            let mut factors = vec![self.number(k, dtype)?, turned];
            factors.extend(out_f);
            return self.ein(&[], &out_g, &factors);
        }
        let sum = self.named_sum(dtype, axes, &in_g, &in_f)?;
        if out_g.is_empty() && out_f.is_empty() && k == 1.0 {
            return Ok(sum);
        }
        let mut factors = vec![self.number(k, dtype)?, sum];
        factors.extend(out_f);
        self.ein(&[], &out_g, &factors)
    }

    /// A sum over several long axes as one in the other: each axis is walked on its own.
    fn nest(&mut self, dtype: DType, axes: &[AxisId], gs: &[NodeId], fs: &[NodeId]) -> Result<Option<NodeId>, Error> {
        let Some(inner) = self.innermost_long(axes, gs, fs) else { return Ok(None) };
        let has = |c: &Self, x: NodeId| c.g.free(x).contains(inner);
        let (own_g, mut gs): (Vec<_>, Vec<_>) = gs.iter().copied().partition(|&g| has(self, g));
        let (mut own_f, fs): (Vec<_>, Vec<_>) = fs.iter().copied().partition(|&f| has(self, f));
        let hoisted = self.hoisted(&[inner], &own_g, fs)?;
        let mut fs = hoisted.out;
        gs.extend(hoisted.conditions);
        own_f.extend(hoisted.stay);
        // A count is of the type of the whole.
        own_f.push(self.number(1.0, dtype)?);
        fs.push(self.ein(&[inner], &own_g, &own_f)?);
        let left: Vec<AxisId> = axes.iter().copied().filter(|&a| a != inner).collect();
        self.ein(&left, &gs, &fs).map(Some)
    }

    /// Of several long axes that are reduced together, the one to reduce first: the result has as few long axes as possible.
    pub(super) fn innermost_long(&self, axes: &[AxisId], gs: &[NodeId], fs: &[NodeId]) -> Option<AxisId> {
        let long: Vec<AxisId> = axes.iter().copied().filter(|&a| self.is_long(a)).collect();
        let rows = |a: AxisId| {
            let with = gs.iter().chain(fs).filter(|&&x| self.g.free(x).contains(a));
            let all: AxisSet = with.flat_map(|&x| self.long_axes(x)).collect();
            all.iter().count()
        };
        if long.len() < 2 { None } else { long.into_iter().min_by_key(|&a| rows(a)) }
    }

    /// Sums a short axis first, inside a sum over a long one, where other factors do not mention it.
    fn bucket(
        &mut self,
        axes: &[AxisId],
        set: &AxisSet,
        gs: &[NodeId],
        fs: &[NodeId],
    ) -> Result<Option<NodeId>, Error> {
        let short: Vec<AxisId> = axes.iter().copied().filter(|&a| !self.is_long(a)).collect();
        if short.is_empty() || short.len() == axes.len() {
            return Ok(None);
        }
        for &a in &short {
            // The lengths of documents have no meaning without the documents.
            if axes.iter().any(|&x| has_extent_of(&self.g, x, a)) {
                continue;
            }
            if gs.iter().any(|&g| self.g.free(g).contains(a)) {
                continue;
            }
            let (has, rest): (Vec<_>, Vec<_>) = fs.iter().copied().partition(|&f| self.g.free(f).contains(a));
            let any_long = |c: &Self, fs: &[NodeId]| fs.iter().any(|&f| !c.long_axes(f).is_empty());
            // A rest that is summed over nothing else would only move the long sum, not save work.
            let rest_summed = rest.iter().any(|&f| self.g.free(f).iter().any(|x| set.contains(x) && x != a));
            if !rest.is_empty() && rest_summed && any_long(self, &has) && any_long(self, &rest) {
                let inner = self.ein(&[a], &[], &has)?;
                let left: Vec<AxisId> = axes.iter().copied().filter(|&x| x != a).collect();
                let mut factors = rest;
                factors.push(inner);
                return self.ein(&left, gs, &factors).map(Some);
            }
        }
        // A body that is one product of pairs: its short sums stand inside, as if they were written so.
        let guarded = |c: &Self, a: AxisId| gs.iter().any(|&g| c.g.free(g).contains(a));
        let is_own = |&a: &AxisId| self.g.static_extent(a).is_some() && !guarded(self, a);
        let own: Vec<AxisId> = short.into_iter().filter(is_own).collect();
        let all = |c: &Self, a: AxisId| fs.iter().all(|&f| c.g.free(f).contains(a));
        if own.is_empty() || !own.iter().all(|&a| all(self, a)) {
            return Ok(None);
        }
        let inner = self.ein(&own, &[], fs)?;
        let left: Vec<AxisId> = axes.iter().copied().filter(|a| !own.contains(a)).collect();
        self.ein(&left, gs, &[inner]).map(Some)
    }

    /// Sums over short axes of nothing but a sum over short axes are one sum.
    fn flat_sum(&self, axes: &[AxisId], factors: &[NodeId]) -> Option<(Vec<AxisId>, Vec<NodeId>, Vec<NodeId>)> {
        let [inner] = *factors else { return None };
        let Op::Ein { axes: below, .. } = self.g.op(inner) else { return None };
        let short = !below.is_empty() && axes.iter().chain(below).all(|&a| self.g.static_extent(a).is_some());
        let apart = axes.iter().all(|a| !below.contains(a));
        let all = || axes.iter().chain(below).copied().collect();
        (short && apart).then(|| (all(), self.g.guards(inner).to_vec(), self.g.operands(inner).to_vec()))
    }

    /// The sum with its bound axes under their canonical names.
    fn named_sum(&mut self, dtype: DType, axes: &[AxisId], gs: &[NodeId], fs: &[NodeId]) -> Result<NodeId, Error> {
        let body: Vec<NodeId> = gs.iter().chain(fs).copied().collect();
        let names = self.bound_names(axes, &body);
        let (mut gs, mut fs) = (self.rename_all(gs, &names)?, self.rename_all(fs, &names)?);
        self.sort(&mut gs);
        self.sort(&mut fs);
        if fs.is_empty() {
            fs.push(self.number(1.0, dtype)?);
        }
        let mut bound: Vec<AxisId> = names.iter().map(|&(_, to)| to).collect();
        bound.sort_unstable();
        let args: Vec<NodeId> = gs.iter().chain(&fs).copied().collect();
        self.raw(Op::Ein { axes: bound.into(), guards: gs.len() as u32 }, &args)
    }

    /// Canonical names of bound axes: by domain, depth of what is below, what the body does with them, and order of first
    /// appearance.
    pub(crate) fn bound_names(&mut self, axes: &[AxisId], body: &[NodeId]) -> Vec<(AxisId, AxisId)> {
        let depth = body.iter().map(|b| self.depth[b.index()]).max().unwrap_or(0) + 1;
        let mut order: Vec<AxisId> = Vec::new();
        for &b in body {
            self.appearance(b, &mut order);
        }
        order.retain(|a| axes.contains(a));
        let domain = |a: AxisId| self.g.axis(a).domain;
        if order.iter().any(|&a| order.iter().any(|&b| a != b && domain(a) == domain(b))) {
            order.sort_by_cached_key(|&a| use_of(&self.g, body, a));
        }
        let mut count: FxHashMap<DomainId, u32> = FxHashMap::default();
        order
            .into_iter()
            .map(|a| {
                let domain = self.g.axis(a).domain;
                // Ragged extents refer to their batch axis by name.
                if self.g.domains().iter().any(|d| d.extent == Extent::Ragged(a)) {
                    return (a, a);
                }
                let n = count.entry(domain).or_insert(0);
                *n += 1;
                (a, self.bound_axis(domain, depth, *n - 1))
            })
            .collect()
    }

    pub(super) fn bound_axis(&mut self, domain: DomainId, depth: u32, n: u32) -> AxisId {
        if let Some(&a) = self.bound.get(&(domain, depth, n)) {
            return a;
        }
        let name = bound_name(&self.g.domain(domain).name, depth, n);
        // A resumed graph has them already.
        let a = match self.g.axes().iter().position(|a| *a.name == *name && a.domain == domain) {
            Some(at) => AxisId(at as u32),
            None => self.g.add_axis(&name, domain),
        };
        self.bound.insert((domain, depth, n), a);
        a
    }

    /// Free axes in the order in which a walk over operands meets them.
    pub(crate) fn axes_by_appearance(&self, id: NodeId) -> Vec<AxisId> {
        let mut order = Vec::new();
        self.appearance(id, &mut order);
        order.retain(|&a| self.g.free(id).contains(a));
        order
    }

    /// The same, after those that `order` already has.
    fn appearance(&self, id: NodeId, order: &mut Vec<AxisId>) {
        let mut seen = FxHashSet::default();
        let mut stack = vec![id];
        let free = self.g.free(id).clone();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) || self.g.free(n).is_disjoint(&free) {
                continue;
            }
            match self.g.op(n) {
                Op::Index(a) if !order.contains(a) => order.push(*a),
                Op::Input(i) => {
                    for &a in &self.g.input(*i).axes {
                        if !order.contains(&a) {
                            order.push(a);
                        }
                    }
                }
                _ => {}
            }
            stack.extend(self.g.args(n).iter().rev());
        }
        for a in free.iter() {
            if !order.contains(&a) {
                order.push(a);
            }
        }
    }

    /// The outermost and all inner sums over long axes in a term.
    pub(crate) fn long_sums(&self, id: NodeId) -> Vec<NodeId> {
        let mut found = Vec::new();
        let mut seen = FxHashSet::default();
        let mut stack = vec![id];
        while let Some(n) = stack.pop() {
            if self.contents[n.index()].long_reduction && seen.insert(n) {
                if self.g.op(n).is_reduction() && self.g.op(n).bound().iter().any(|&a| self.is_long(a)) {
                    found.push(n);
                }
                stack.extend(self.g.args(n));
            }
        }
        found
    }
}
