//! Guards of a streamed sum as disjoint conjunctions.

use super::{Error, Scheduler};
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::prove::{Prover, Var};
use weft_ir::graph::{AxisId, MapFn, NodeId, Op, Scalar};

impl Scheduler {
    fn prover(&self, guards: &[NodeId]) -> Prover<'_> {
        guards.iter().fold(Prover::new(&self.c.g), |p, &g| p.assume(g, true))
    }

    /// Can the guards hold together, as far as can be proven?
    pub(crate) fn feasible(&self, guards: &[NodeId]) -> bool {
        !guards.iter().any(|&g| self.c.known(g) == Some(false)) && !self.prover(guards).contradictory()
    }

    /// Does a condition hold wherever the guards do?
    pub(crate) fn implied(&self, condition: NodeId, guards: &[NodeId]) -> bool {
        guards.contains(&condition) || self.prover(guards).implies(condition)
    }

    /// An integer comparison without data in it: loop bounds can follow from it.
    pub(crate) fn is_affine(&self, condition: NodeId) -> bool {
        self.c.comparison(condition).is_some()
            && self
                .find(condition, |op| {
                    matches!(op, Op::Input(_) | Op::Arg { .. } | Op::KthIndex { .. } | Op::Ein { .. } | Op::Select)
                })
                .is_none()
    }

    fn has_affine_branch(&self, condition: NodeId) -> bool {
        self.is_affine(condition)
            || (*self.c.g.op(condition) == Op::Map(MapFn::And)
                && self.c.g.args(condition).iter().any(|&a| self.has_affine_branch(a)))
    }

    /// Which disjunct is taken first: its negation burdens all others, and those of inequalities are the cheapest.
    fn rank(&self, condition: NodeId) -> u8 {
        match self.c.comparison(condition) {
            Some((MapFn::Le, _)) => 0,
            Some((MapFn::Eq, form)) if form.terms().any(|(&v, _)| !matches!(self.c.g.op(v), Op::Index(_))) => 1,
            _ => 2,
        }
    }

    /// A conjunction with disjunctions in it as disjoint conjunctions. Only disjunctions with an affine branch are split;
    /// purely opaque ones are decided element by element.
    pub(crate) fn disjoint(&mut self, guards: &[NodeId]) -> Result<Vec<Vec<NodeId>>, Error> {
        let mut flat: Vec<NodeId> = Vec::new();
        for &g in guards {
            for c in self.c.conjuncts(g) {
                if self.c.known(c) != Some(true) && !flat.contains(&c) {
                    flat.push(c);
                }
            }
        }
        if !self.feasible(&flat) {
            return Ok(Vec::new());
        }
        let split = flat.iter().copied().find(|&g| {
            *self.c.g.op(g) == Op::Map(MapFn::Or) && self.c.g.args(g).iter().any(|&b| self.has_affine_branch(b))
        });
        if let Some(or) = split {
            let rest: Vec<NodeId> = flat.iter().copied().filter(|&g| g != or).collect();
            let mut branches = self.c.g.args(or).to_vec();
            branches.sort_by_key(|&b| self.rank(b));
            let mut out = Vec::new();
            let mut before: Vec<NodeId> = Vec::new();
            for b in branches {
                let mut case = rest.clone();
                case.push(b);
                case.extend(before.iter().copied());
                out.extend(self.disjoint(&case)?);
                before.push(self.c.negate(b)?);
            }
            return Ok(out);
        }
        let mut keep: Vec<NodeId> = Vec::new();
        for (n, &g) in flat.iter().enumerate() {
            let others: Vec<NodeId> = keep.iter().chain(&flat[n + 1..]).copied().collect();
            if !self.implied(g, &others) {
                keep.push(g);
            }
        }
        Ok(vec![keep])
    }

    /// Splits cases further at affine guards over `axis` inside the factors: what is zero in part of a stream is another stream.
    pub(crate) fn split_inside(
        &mut self,
        cases: Vec<Vec<NodeId>>,
        factors: &[NodeId],
        axis: AxisId,
    ) -> Result<Vec<Vec<NodeId>>, Error> {
        let mut cases = cases;
        for g in self.inner_guards(factors, axis) {
            let mut next = Vec::new();
            for case in cases {
                let mut with = case.clone();
                with.push(g);
                if self.implied(g, &case) || !self.feasible(&with) {
                    next.push(case);
                    continue;
                }
                let not = self.c.negate(g)?;
                let mut without = case;
                without.push(not);
                next.extend(self.disjoint(&with)?);
                next.extend(self.disjoint(&without)?);
            }
            cases = next;
        }
        Ok(cases)
    }

    fn inner_guards(&self, factors: &[NodeId], axis: AxisId) -> Vec<NodeId> {
        let mut found = Vec::new();
        let mut seen = FxHashSet::default();
        // A guard that mentions an axis bound further in says nothing about the stream.
        let scope: weft_ir::graph::AxisSet =
            factors.iter().flat_map(|&f| self.c.g.free(f).iter().collect::<Vec<_>>()).collect();
        let mut stack: Vec<NodeId> = factors.iter().rev().copied().collect();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            if let Op::Ein { .. } = self.c.g.op(n) {
                for &g in self.c.g.guards(n) {
                    let inequality = matches!(self.c.comparison(g), Some((MapFn::Le, _)));
                    let outside = self.c.g.free(g).is_subset(&scope);
                    if self.has(g, axis) && outside && inequality && self.is_affine(g) && !found.contains(&g) {
                        found.push(g);
                    }
                }
            }
            stack.extend(self.c.g.args(n).iter().rev());
        }
        found
    }

    /// The term where the guards hold: conditions that they decide are gone.
    pub(crate) fn simplify(&mut self, id: NodeId, guards: &[NodeId]) -> Result<NodeId, Error> {
        let mut memo = FxHashMap::default();
        self.simplify_at(id, guards, &mut memo)
    }

    fn simplify_at(
        &mut self,
        id: NodeId,
        guards: &[NodeId],
        memo: &mut FxHashMap<NodeId, NodeId>,
    ) -> Result<NodeId, Error> {
        if let Some(&done) = memo.get(&id) {
            return Ok(done);
        }
        let is_bool = self.c.g.dtype(id) == weft_ir::DType::Bool;
        let atom = is_bool && !matches!(self.c.g.op(id), Op::Const(_) | Op::Input(_) | Op::Map(MapFn::And | MapFn::Or));
        let known = if atom && !guards.is_empty() {
            if self.implied(id, guards) {
                Some(true)
            } else {
                let mut with = guards.to_vec();
                with.push(id);
                (!self.feasible(&with)).then_some(false)
            }
        } else {
            None
        };
        let made = if let Some(k) = known {
            self.c.make(&Op::Const(Scalar::Bool(k)), &[])?
        } else if self.c.g.args(id).is_empty() || matches!(self.c.g.op(id), Op::Sub { .. }) {
            id
        } else {
            let op = self.c.g.op(id).clone();
            let args = self.c.g.args(id).to_vec();
            let mut new = Vec::with_capacity(args.len());
            for a in args {
                new.push(self.simplify_at(a, guards, memo)?);
            }
            self.c.make(&op, &new)?
        };
        memo.insert(id, made);
        Ok(made)
    }

    /// Variables of the affine form of an integer term, as the prover sees them.
    pub(crate) fn form_vars(&self, id: NodeId) -> Option<weft_ir::graph::prove::Form> {
        Prover::new(&self.c.g).form_of(id).filter(|f| f.terms().all(|(v, _)| !matches!(v, Var::Term(..))))
    }
}
