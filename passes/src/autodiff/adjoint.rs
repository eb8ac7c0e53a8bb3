//! Adjoints: sums of guarded products over the free axes of their node.

use smallvec::SmallVec;
use weft_ir::graph::{Error, Graph, MapFn, NodeId, Op, Scalar};

/// One contribution: the product of the factors where all guards hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Term {
    /// Sorted, without conjunctions and repetitions.
    pub(super) guards: Vec<NodeId>,
    /// At least one.
    pub(super) factors: SmallVec<[NodeId; 4]>,
}

impl Term {
    /// Adds a guard, its conjuncts one by one.
    pub(super) fn guard(&mut self, g: &Graph, condition: NodeId) {
        match g.op(condition) {
            Op::Map(MapFn::And) => g.args(condition).iter().for_each(|&a| self.guard(g, a)),
            Op::Const(Scalar::Bool(true)) => {}
            _ => {
                if let Err(at) = self.guards.binary_search(&condition) {
                    self.guards.insert(at, condition);
                }
            }
        }
    }

    /// The product, without the guards.
    fn product(&self, g: &mut Graph) -> Result<NodeId, Error> {
        match self.factors[..] {
            [one] => Ok(one),
            _ => g.ein(&[], &[], &self.factors),
        }
    }
}

/// What all users so far contribute.
#[derive(Clone, Debug, Default)]
pub(super) struct Adjoint(Vec<Term>);

/// Terms of a node that is not defined everywhere; with more they become one behind the disjunction of their guards.
const TERMS: usize = 8;

impl Adjoint {
    pub(super) fn push(&mut self, term: Term) {
        self.0.push(term);
    }

    /// One value, for a node that is defined everywhere.
    pub(super) fn close(&self, g: &mut Graph) -> Result<NodeId, Error> {
        let mut parts = Vec::new();
        for (guards, value) in self.by_guards(g)? {
            parts.push(if guards.is_empty() { value } else { g.ein(&[], &guards, &[value])? });
        }
        sum(g, &parts)
    }

    /// Terms with different guards, each with one factor.
    pub(super) fn apart(&self, g: &mut Graph) -> Result<Vec<Term>, Error> {
        let groups = self.by_guards(g)?;
        if groups.len() <= TERMS {
            let term = |(guards, value)| Term { guards, factors: SmallVec::from_slice(&[value]) };
            return Ok(groups.into_iter().map(term).collect());
        }
        let mut any = Vec::new();
        for (guards, _) in &groups {
            match guards[..] {
                [] => return Ok(vec![Term { guards: vec![], factors: SmallVec::from_slice(&[self.close(g)?]) }]),
                [one] => any.push(one),
                _ => any.push(g.map(MapFn::And, guards)?),
            }
        }
        let any = g.map(MapFn::Or, &any)?;
        Ok(vec![Term { guards: vec![any], factors: SmallVec::from_slice(&[self.close(g)?]) }])
    }

    /// Contributions with equal guards, added up.
    fn by_guards(&self, g: &mut Graph) -> Result<Vec<(Vec<NodeId>, NodeId)>, Error> {
        let mut groups: Vec<(Vec<NodeId>, Vec<NodeId>)> = Vec::new();
        for term in &self.0 {
            let value = term.product(g)?;
            match groups.iter_mut().find(|(guards, _)| *guards == term.guards) {
                Some((_, values)) => values.push(value),
                None => groups.push((term.guards.clone(), vec![value])),
            }
        }
        groups.into_iter().map(|(guards, values)| Ok((guards, sum(g, &values)?))).collect()
    }
}

fn sum(g: &mut Graph, parts: &[NodeId]) -> Result<NodeId, Error> {
    match parts {
        [one] => Ok(*one),
        _ => g.map(MapFn::Add, parts),
    }
}
