//! Where terms are defined.
//!
//! A guarded sum is 0 where it has no members, whatever its factors are there: `sum over j < t of log(x[t - 1]) v[j]` is 0 at the first
//! position. A factor that is hoisted out of it is computed there, too. So what may be undefined, or infinite, is hoisted with a guard that says that there
//! are members, if there is one that says just that, and not at all if there is none.

use super::{Canon, IntForm};
use smallvec::SmallVec;
use weft_ir::DType;
use weft_ir::graph::prove::Prover;
use weft_ir::graph::{AxisId, DomainId, Error, MapFn, NodeId, Op};

/// A position, and the domain on which it must be.
pub(super) type Need = (NodeId, DomainId);
/// A few of these.
pub(super) type Needs = SmallVec<[Need; 2]>;

/// What is taken out of a sum.
#[derive(Default)]
pub(super) struct Hoisted {
    /// Factors.
    pub(super) out: Vec<NodeId>,
    /// Conditions before them.
    pub(super) conditions: Vec<NodeId>,
    /// Factors that are left in it.
    pub(super) stay: Vec<NodeId>,
}

impl Canon {
    /// May a term that has just been made be undefined or infinite where its guards hold? And which positions must be on which domains?
    pub(super) fn risk(&self, id: NodeId) -> (bool, Needs) {
        let args = self.g.args(id);
        let below = |args: &[NodeId]| {
            let all = args.iter().map(|a| &self.contents[a.index()]);
            let mut found = (false, Needs::new());
            for c in all {
                found.0 |= c.risky;
                found.1.extend(c.needs.iter().copied());
            }
            found
        };
        let mentions = |n: &Need, axes: &[AxisId]| axes.iter().any(|&a| self.g.free(n.0).contains(a));
        let (mut risky, mut needs) = match self.g.op(id) {
            _ if self.g.dtype(id) == DType::Bool => return (false, Needs::new()),
            Op::Rec(_) | Op::Prev(_) => return (false, Needs::new()),
            Op::Ein { guards, axes } => {
                let (risky, mut needs) = below(self.g.operands(id));
                let own = self.g.guards(id);
                if !needs.is_empty() {
                    let p = own.iter().fold(Prover::new(&self.g), |p, &g| p.assume(g, true));
                    needs.retain(|n| !p.in_range(n.0, n.1));
                }
                let hidden = needs.iter().any(|n| mentions(n, axes));
                needs.retain(|n| !mentions(n, axes));
                ((risky && *guards == 0) || hidden, needs)
            }
            op => {
                let (mut risky, mut needs) = below(if matches!(op, Op::Sub { .. }) { &args[..1] } else { args });
                risky |= needs.iter().any(|n| mentions(n, op.bound()));
                needs.retain(|n| !mentions(n, op.bound()));
                (risky, needs)
            }
        };
        match self.g.op(id) {
            Op::Reduce { guards, .. } => risky |= *guards > 0,
            Op::Map(MapFn::Log | MapFn::Inv) => risky |= !self.is_positive(args[0]),
            Op::Map(MapFn::Sqrt) => risky |= self.sign(args[0], &[], &|_| None) != Some(1),
            Op::Sub { axes } => {
                for (&a, &p) in axes.iter().zip(&args[1..]) {
                    let domain = self.g.axis(a).domain;
                    let plain = matches!(self.g.op(p), Op::Index(b) if self.g.axis(*b).domain == domain);
                    if !plain && !Prover::new(&self.g).in_range(p, domain) {
                        needs.push((p, domain));
                    }
                }
            }
            _ => {}
        }
        needs.sort_unstable();
        needs.dedup();
        (risky, needs)
    }

    /// Factors that are taken out of a sum over `axes`, with the conditions that then stand before them; and those that had better stay.
    ///
    /// # Errors
    /// Never for terms of this graph.
    pub(super) fn hoisted(
        &mut self,
        axes: &[AxisId],
        guards: &[NodeId],
        factors: Vec<NodeId>,
    ) -> Result<Hoisted, Error> {
        let mut found = Hoisted { out: factors, ..Hoisted::default() };
        if guards.is_empty() {
            return Ok(found);
        }
        if found.out.iter().any(|&f| self.may_be_undefined(f)) {
            match self.occupied(axes, guards)? {
                Some(conditions) => found.conditions = conditions,
                None => (found.stay, found.out) = found.out.into_iter().partition(|&f| self.may_be_undefined(f)),
            }
        }
        Ok(found)
    }

    /// Is a term greater than 0, wherever it is?
    fn is_positive(&self, id: NodeId) -> bool {
        let args = self.g.args(id);
        match self.g.op(id) {
            Op::Const(k) => k.as_f64() > 0.0,
            Op::Map(MapFn::Exp) => true,
            Op::Map(MapFn::Sqrt | MapFn::Inv) | Op::Sub { .. } => self.is_positive(args[0]),
            Op::Map(MapFn::Max) => args.iter().any(|&a| self.is_positive(a)),
            Op::Map(MapFn::Add) if self.g.dtype(id).is_float() => {
                let never_less = |&a: &NodeId| self.sign(a, &[], &|_| None) == Some(1);
                args.iter().any(|&a| self.is_positive(a)) && args.iter().all(never_less)
            }
            Op::Ein { axes, guards: 0 } if axes.is_empty() => args.iter().all(|&a| self.is_positive(a)),
            Op::Cast(_) if self.g.dtype(args[0]).is_int() => self.is_positive(args[0]),
            _ if self.g.dtype(id).is_int() => {
                let p = Prover::new(&self.g);
                p.form_of(id).and_then(|f| f.offset(-1)).is_some_and(|f| p.proves(&f))
            }
            _ => false,
        }
    }

    /// Conditions on what is free that hold exactly where a sum over `axes` has members; none if they cannot be told.
    ///
    /// # Errors
    /// Never for conditions.
    pub(crate) fn occupied(&mut self, axes: &[AxisId], guards: &[NodeId]) -> Result<Option<Vec<NodeId>>, Error> {
        let mut left = guards.to_vec();
        // The end of a ragged axis mentions its batch.
        let mut order = axes.to_vec();
        order.sort_by_key(|&a| self.g.ragged_over(self.g.axis(a).domain).is_none());
        for (n, &a) in order.iter().enumerate() {
            if self.has_witness(a, &order[n..], &mut left)? {
                continue;
            }
            let Some(without) = self.eliminated(a, &left)? else { return Ok(None) };
            left = without;
        }
        Ok(Some(left))
    }

    /// Is there a free axis whose position is a member, wherever it is? Conditions on the axis are taken out then.
    fn has_witness(&mut self, axis: AxisId, bound: &[AxisId], guards: &mut Vec<NodeId>) -> Result<bool, Error> {
        let own: Vec<NodeId> = guards.iter().copied().filter(|&g| self.g.free(g).contains(axis)).collect();
        let domain = self.g.axis(axis).domain;
        let free = own.iter().flat_map(|&g| self.g.free(g).iter());
        let others: Vec<AxisId> = free.filter(|c| !bound.contains(c) && self.g.axis(*c).domain == domain).collect();
        for c in others {
            let at = [(axis, self.make(&Op::Index(c), &[])?)];
            let mut all = true;
            for &g in &own {
                let g = self.substitute(g, &at)?;
                all &= self.known(g) == Some(true) || Prover::new(&self.g).implies(g);
            }
            if all {
                guards.retain(|g| !own.contains(g));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Conditions without one of their axes: every lower bound of it is at most every upper one. Exact, since coefficients are 1.
    fn eliminated(&mut self, axis: AxisId, guards: &[NodeId]) -> Result<Option<Vec<NodeId>>, Error> {
        let here = IntForm::var(self.make(&Op::Index(axis), &[])?);
        let size = IntForm::var(self.make(&Op::Size(self.g.axis(axis).domain), &[])?);
        let Some(last) = size.offset(-1) else { return Ok(None) };
        let (mut low, mut high) = (vec![IntForm::new(0)], vec![last]);
        let mut left = Vec::new();
        for &g in guards {
            if !self.g.free(g).contains(axis) {
                left.push(g);
                continue;
            }
            let Some((f @ (MapFn::Le | MapFn::Eq), form)) = self.comparison(g) else { return Ok(None) };
            let k = form.terms().find(|&(&v, _)| *self.g.op(v) == Op::Index(axis)).map_or(0, |(_, c)| c);
            // form = k * axis + rest
            let rest = form.checked_add(&here, -k).and_then(|f| f.scaled(-k));
            let Some(rest) = rest.filter(|_| k.abs() == 1) else { return Ok(None) };
            if rest.terms().any(|(&v, _)| self.g.free(v).contains(axis)) {
                return Ok(None);
            }
            if f == MapFn::Eq || k == 1 {
                low.push(rest.clone());
            }
            if f == MapFn::Eq || k == -1 {
                high.push(rest);
            }
        }
        for (l, h) in low.iter().flat_map(|l| high.iter().map(move |h| (l, h))) {
            let Some(room) = h.checked_add(l, -1) else { return Ok(None) };
            let room = self.at_least_zero(&room)?;
            if self.known(room) != Some(true) && !Prover::new(&self.g).implies(room) && !left.contains(&room) {
                left.push(room);
            }
        }
        Ok(Some(left))
    }
}
