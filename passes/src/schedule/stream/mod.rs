//! Kernels that stream a long axis past a tile of rows.

mod beside;
mod groups;
mod leaving;
mod list;
mod settled;
mod split;
mod walk;
mod walked;

pub use self::walked::{Walked, Way};

use self::beside::Beside;
use super::emit::Emitter;
use super::kept_scales::Epilogue;
use super::store::Target;
use super::{Error, Scheduler};
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::{AxisId, DomainId, Extremum, InputId, MapFn, NodeId, Op};
use weft_ir::kernel::KernelBuilder;

/// How the elements of a reduction are put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fold {
    Sum,
    Extremum(Extremum),
}

/// A reduction over a streamed axis.
struct Reduction {
    node: NodeId,
    fold: Fold,
    guards: Vec<NodeId>,
    factors: Vec<NodeId>,
    /// Its scale, where it keeps one; index of its group.
    scale: Option<NodeId>,
    group: Option<usize>,
    /// The scale of the sum, where a maximum in memory gives it.
    anchor: Option<NodeId>,
    /// Short axes that it sums as well.
    shorts: Vec<AxisId>,
    /// Stand-in for its value after the streams.
    accumulator: Option<(InputId, NodeId)>,
}

/// Reductions under one running maximum.
struct Group {
    members: Vec<usize>,
    maximum: (InputId, NodeId),
}

/// What one reduction gets from one stream.
struct Term {
    reduction: usize,
    mantissas: Vec<NodeId>,
    scale: Option<NodeId>,
}

/// One pass over part of the streamed axis.
struct Stream {
    /// The loop's axis; none for a single position.
    axis: Option<AxisId>,
    /// The streamed position in terms of the loop's axis.
    position: NodeId,
    guards: Vec<NodeId>,
    terms: Vec<Term>,
}

impl Scheduler {
    /// A kernel for a term with streamed reductions in it.
    pub(crate) fn stream_kernel(
        &mut self,
        name: &str,
        body: NodeId,
        found: &[NodeId],
        target: &Target,
    ) -> Result<(), Error> {
        let domain = self.stream_domain(found[0])?;
        let axis = self.c.g.add_axis("j", domain);
        // A sum over a batch alone is an outer loop around a single step.
        let batch = !self.c.is_long(axis);
        let mut outer: Vec<AxisId> = Vec::new();
        let mut reductions = Vec::new();
        for &s in found {
            if self.stream_domain(s)? != domain {
                return self.unsupported(s, "sums over two kinds of long axes in one stored value");
            }
            let r = self.reduction(s, axis, batch, body, &mut outer)?;
            reductions.push(r);
        }
        let groups = self.group(&mut reductions, body)?;
        let streams = self.streams(&reductions, axis, batch)?;
        self.note_walks(name, &streams, axis);
        if !groups.is_empty() {
            self.notes.push(format!(
                "{name}: {} running maxima for {} sums of exponentials",
                groups.len(),
                groups.iter().map(|g| g.members.len()).sum::<usize>()
            ));
        }
        let (epilogue, beside) = self.epilogue(name, body, &reductions, &groups, axis, target)?;
        let float = self.float_elem()?;
        let mut plan = std::mem::take(&mut self.plan);
        let kb = KernelBuilder::new(&mut plan, name);
        let mut e = Emitter::new(self, kb, float);
        let made = e.emit_streams(&reductions, &groups, &streams, axis, &outer, (&epilogue, &beside), target);
        let finished = made.and_then(|()| e.kb.finish().map_err(Error::from));
        self.plan = plan;
        finished.map(|_| ())
    }

    /// The domain that a reduction streams.
    pub(crate) fn stream_domain(&self, id: NodeId) -> Result<DomainId, Error> {
        let bound = self.c.g.op(id).bound();
        let long: Vec<AxisId> = bound.iter().copied().filter(|&a| self.c.is_long(a)).collect();
        let runtime = bound.iter().copied().find(|&a| self.c.g.static_extent(a).is_none());
        match (long.as_slice(), runtime) {
            ([a], _) => Ok(self.c.g.axis(*a).domain),
            ([], Some(a)) => Ok(self.c.g.axis(a).domain),
            _ => self.unsupported(id, "a sum over two long axes at once"),
        }
    }

    fn reduction(
        &mut self,
        id: NodeId,
        axis: AxisId,
        batch: bool,
        body: NodeId,
        outer: &mut Vec<AxisId>,
    ) -> Result<Reduction, Error> {
        let op = self.c.g.op(id).clone();
        let fold = match &op {
            Op::Ein { .. } => Fold::Sum,
            Op::Reduce { extremum, .. } => Fold::Extremum(*extremum),
            _ => return self.unsupported(id, format!("`{}` over a long axis", op.name())),
        };
        let domain = self.c.g.axis(axis).domain;
        let mut map = Vec::new();
        let mut shorts = Vec::new();
        let mut streamed = batch;
        for &a in op.bound() {
            if !streamed && self.c.g.axis(a).domain == domain {
                streamed = true;
                map.push((a, self.c.make(&Op::Index(axis), &[])?));
            } else if self.c.g.static_extent(a).is_some() {
                shorts.push(a);
            } else {
                // A batch that is summed: an outer loop, under the name that its extents refer to.
                let home = self.home(a);
                if home != a {
                    map.push((a, self.c.make(&Op::Index(home), &[])?));
                }
                if !outer.contains(&home) {
                    outer.push(home);
                }
            }
        }
        let args = self.c.g.args(id).to_vec();
        let mut all = Vec::new();
        for a in args {
            all.push(self.c.substitute(a, &map)?);
        }
        let mut factors = all.split_off(op.guards());
        let mut guards = all;
        if fold == Fold::Sum {
            let divided = self.is_divided_by(body, id);
            self.merge_short_sums(&mut factors, &mut guards, &mut shorts, divided)?;
            self.sum_inside(&mut factors, &guards, &mut shorts)?;
        }
        let mut r = Reduction {
            node: id,
            fold,
            guards,
            factors,
            scale: None,
            group: None,
            anchor: None,
            shorts,
            accumulator: None,
        };
        if fold == Fold::Sum {
            let mut scales = Vec::new();
            for &f in &r.factors.clone() {
                let (_, s) = self.scaled(f)?;
                scales.extend(s);
            }
            if !scales.is_empty() {
                let total = self.c.sum_of(&scales)?;
                if !self.is_bounded(total) || self.is_divided_by(body, id) {
                    match self.anchor(total, &r.guards, axis)? {
                        None => r.scale = Some(total),
                        Some(a) => {
                            r.anchor = a.outside;
                            let mut factors = Vec::with_capacity(r.factors.len() + 1);
                            for &f in &r.factors {
                                factors.push(self.scaled(f)?.0);
                            }
                            factors.push(self.c.map(MapFn::Exp, &[a.inside])?);
                            r.factors = factors;
                        }
                    }
                }
            }
        }
        Ok(r)
    }

    /// A factor that sums exponentials over short axes becomes part of the long sum: `sum_j sum_g exp(s[g, j]) ..` is one sum over `g`
    /// and `j`. Apart it would need a maximum over `g` for every position. Exponentials that cannot be large do not, unless the sum is `divided` by.
    fn merge_short_sums(
        &mut self,
        factors: &mut Vec<NodeId>,
        guards: &mut Vec<NodeId>,
        shorts: &mut Vec<AxisId>,
        divided: bool,
    ) -> Result<(), Error> {
        let mut at = 0;
        while at < factors.len() {
            let f = factors[at];
            at += 1;
            let Op::Ein { axes, guards: own } = self.c.g.op(f).clone() else { continue };
            if axes.is_empty() || axes.iter().any(|&a| self.c.g.static_extent(a).is_none() || shorts.contains(&a)) {
                continue;
            }
            let (own, inner) = {
                let (own, inner) = self.c.g.args(f).split_at(own as usize);
                (own.to_vec(), inner.to_vec())
            };
            let mut varies = false;
            for &x in &inner {
                let scale = self.scaled(x)?.1;
                let needed = |s| divided || !self.is_bounded(s);
                varies |= scale.is_some_and(|s| axes.iter().any(|&a| self.has(s, a)) && needed(s));
            }
            if varies {
                shorts.extend(&axes);
                guards.extend(own);
                at -= 1;
                factors.splice(at..=at, inner);
            }
        }
        Ok(())
    }

    /// Short axes that only some factors have are summed over these first: `sum_j sum_g sum_d w[t, g, j] v[t, d] u[g, j, d]` is a product of
    /// `v` and `u` for every pair, then one of pairs.
    fn sum_inside(
        &mut self,
        factors: &mut Vec<NodeId>,
        guards: &[NodeId],
        shorts: &mut Vec<AxisId>,
    ) -> Result<(), Error> {
        for a in shorts.clone() {
            let (own, mut rest): (Vec<NodeId>, Vec<NodeId>) = factors.iter().partition(|&&f| self.has(f, a));
            let apart = !rest.is_empty() && !guards.iter().any(|&g| self.has(g, a));
            if own.is_empty() || !apart || own.iter().any(|&f| self.has_exp(f)) {
                continue;
            }
            rest.push(self.c.ein(&[a], &[], &own)?);
            *factors = rest;
            shorts.retain(|&x| x != a);
        }
        Ok(())
    }

    /// Does the value of a sum reach a reciprocal or a logarithm, so that its relative accuracy matters?
    fn is_divided_by(&self, body: NodeId, sum: NodeId) -> bool {
        let mut stack = vec![body];
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            if matches!(self.c.g.op(n), Op::Map(MapFn::Inv | MapFn::Inv0 | MapFn::Log))
                && self.find(n, |_| false).is_none()
                && self.contains(n, sum)
            {
                return true;
            }
            stack.extend(self.c.g.args(n));
        }
        false
    }

    fn contains(&self, id: NodeId, goal: NodeId) -> bool {
        let mut stack = vec![id];
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if n == goal {
                return true;
            }
            if seen.insert(n) {
                stack.extend(self.c.g.args(n));
            }
        }
        false
    }

    /// The stored term with accumulators for its reductions: mantissa and scale.
    fn epilogue(
        &mut self,
        name: &str,
        body: NodeId,
        reductions: &[Reduction],
        groups: &[Group],
        axis: AxisId,
        target: &Target,
    ) -> Result<(Epilogue, Beside), Error> {
        let mut map = FxHashMap::default();
        for r in reductions {
            let Some((_, value)) = r.accumulator else { continue };
            let value = match r.group.map(|g| groups[g].maximum.1).or(r.anchor) {
                None => value,
                Some(scale) => {
                    let e = self.c.map(MapFn::Exp, &[scale])?;
                    self.c.product_of(&[value, e])?
                }
            };
            map.insert(r.node, value);
        }
        let beside = self.beside(reductions, groups, axis, target, &mut map)?;
        let body = self.replace(body, &mut map)?;
        let (mantissa, scale) = self.scaled(body)?;
        let scale = if target.is_output { scale } else { self.scale_in_memory(scale, &beside)? };
        let epilogue = self.keep_scale(name, (mantissa, scale), target)?;
        if let Some(((input, scale), read)) = epilogue.scale.zip(target.maximum.get()) {
            self.note_scale(input, scale, read, reductions, groups, axis);
        }
        Ok((epilogue, beside))
    }

    /// The term with some subterms replaced.
    pub(crate) fn replace(&mut self, id: NodeId, map: &mut FxHashMap<NodeId, NodeId>) -> Result<NodeId, Error> {
        if let Some(&to) = map.get(&id) {
            return Ok(to);
        }
        let args = self.c.g.args(id).to_vec();
        if args.is_empty() || matches!(self.c.g.op(id), Op::Sub { .. }) {
            return Ok(id);
        }
        let mut new = Vec::with_capacity(args.len());
        for a in args {
            new.push(self.replace(a, map)?);
        }
        let op = self.c.g.op(id).clone();
        let made = self.c.make(&op, &new)?;
        map.insert(id, made);
        Ok(made)
    }
}
