//! What does not change during a search: terms with their children, rows that are needed, lower bounds.

use crate::rewrite::cost::Cost;
use crate::rewrite::extract::classes;
use crate::rewrite::term::Term;
use crate::rewrite::workshop::Eg;
use egg::Id;
use rustc_hash::FxHashMap;
use weft_ir::graph::NodeId;

/// What does not change during a search.
pub(super) struct Space<'a> {
    eg: &'a Eg,
    pub(super) ids: Vec<Id>,
    at: FxHashMap<Id, usize>,
    /// Is it stored, and paid for once?
    pub(super) row: Vec<bool>,
    /// Terms in the order in which they are tried, each with its children.
    pub(super) terms: Vec<Vec<(Term, Vec<usize>)>>,
    /// Rows that every choice for a class needs.
    pub(super) must: Vec<Vec<u64>>,
    /// What a row costs at least, without other rows.
    pub(super) least: Vec<f64>,
}

impl<'a> Space<'a> {
    pub(super) fn new(eg: &'a Eg, cost: &Cost<'_>, root: Id) -> Self {
        let ids = classes(eg);
        let at: FxHashMap<Id, usize> = ids.iter().enumerate().map(|(n, &id)| (id, n)).collect();
        let row: Vec<bool> = ids.iter().map(|&id| id == root || cost.is_row(id)).collect();
        let mut space = Space { eg, at, row, terms: Vec::new(), must: Vec::new(), least: Vec::new(), ids };
        let mut lower = Lower { space: &space, cost, known: FxHashMap::default() };
        let mut priced: Vec<Vec<(f64, Term, Vec<usize>)>> = Vec::new();
        for &id in &space.ids {
            let mut terms: Vec<_> = eg[id]
                .nodes
                .iter()
                .map(|t| (lower.of(id, t, &[], DEPTH), t.clone(), t.args.iter().map(|&a| space.number(a)).collect()))
                .collect();
            terms.sort_by(|a, b| a.0.total_cmp(&b.0));
            priced.push(terms);
        }
        space.least = priced.iter().map(|t| t.first().map_or(f64::INFINITY, |t| t.0)).collect();
        space.terms = priced.into_iter().map(|t| t.into_iter().map(|(_, t, kids)| (t, kids)).collect()).collect();
        space.must = space.musts();
        space
    }

    pub(super) fn number(&self, id: Id) -> usize {
        self.at[&self.eg.find(id)]
    }

    /// The largest sets that are consistent: what is needed by each term is what its children need.
    fn musts(&self) -> Vec<Vec<u64>> {
        let n = self.ids.len();
        let mut must = vec![vec![u64::MAX; n.div_ceil(64)]; n];
        loop {
            let mut changed = false;
            for c in 0..n {
                let mut all = vec![u64::MAX; n.div_ceil(64)];
                for (_, kids) in &self.terms[c] {
                    let mut own = vec![0u64; n.div_ceil(64)];
                    for &k in kids {
                        own.iter_mut().zip(&must[k]).for_each(|(a, b)| *a |= b);
                    }
                    all.iter_mut().zip(&own).for_each(|(a, b)| *a &= b);
                }
                if self.row[c] {
                    all[c / 64] |= 1 << (c % 64);
                }
                changed |= all != must[c];
                must[c] = all;
            }
            if !changed {
                return must;
            }
        }
    }
}

/// How far into values over pairs lower bounds look.
const DEPTH: usize = 6;

/// Least costs of classes that are computed where they stand, by the guards there.
struct Lower<'a, 'c> {
    space: &'a Space<'a>,
    cost: &'a Cost<'c>,
    known: FxHashMap<(Id, Vec<NodeId>, usize), f64>,
}

impl Lower<'_, '_> {
    /// What a term costs at least, without rows. Of its children the dearest counts: they may share what they are made of.
    fn of(&mut self, id: Id, term: &Term, guards: &[NodeId], depth: usize) -> f64 {
        let own = self.cost.remembered(id, term, guards);
        if depth == 0 {
            return own;
        }
        let inner = self.cost.guards_inside(id, term, guards);
        let mut most = 0.0f64;
        for &a in &term.args {
            if !self.space.row[self.space.number(a)] {
                most = most.max(self.class(self.space.eg.find(a), &inner, depth - 1));
            }
        }
        own + most
    }

    fn class(&mut self, id: Id, guards: &[NodeId], depth: usize) -> f64 {
        let key = (id, guards.to_vec(), depth);
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        let terms = self.space.eg[id].nodes.clone();
        let least = terms.iter().map(|t| self.of(id, t, guards, depth)).fold(f64::INFINITY, f64::min);
        self.known.insert(key, least);
        least
    }
}
