//! Which entries of a clock say more than others, and how many become few.

use super::{Clocks, Entry};
use weft_ir::graph::prove::Prover;
use weft_ir::graph::{DomainId, MapFn, NodeId, Op};

/// Up to this many entries, one is kept beside another that says more if its cause is earlier: that is what is told of a leak.
const MANY: usize = 16;
/// More entries than this are merged.
const MAX_ENTRIES: usize = 64;

impl Clocks {
    /// Do the guards imply `at <= bound`?
    pub(super) fn at_most(&mut self, e: &Entry, bound: NodeId) -> bool {
        let Some(at) = e.at else { return false };
        if at == bound {
            return true;
        }
        let Some(goal) = self.map(MapFn::Le, &[at, bound]) else { return false };
        self.implied(&e.guards, goal)
    }

    pub(super) fn implied(&self, guards: &[NodeId], goal: NodeId) -> bool {
        let prover = guards.iter().fold(Prover::new(&self.graph), |p, &g| p.assume(g, true));
        prover.implies(goal)
    }

    /// Drops entries that others dominate. An entry dominates another if it is no earlier wherever the other's guards hold.
    /// They may share axes that stand for "some position": where the other takes one, this one may take the same.
    pub(super) fn prune(&mut self, id: NodeId, all: &mut Vec<Entry>, thoroughly: bool) {
        all.sort_by_key(Entry::cause);
        let mut kept: Vec<Entry> = Vec::with_capacity(all.len());
        for e in all.drain(..) {
            // Those that came before have earlier causes.
            if !kept.iter().any(|k| says_more(k, &e)) {
                kept.push(e);
            }
        }
        if kept.len() > MANY {
            let all = std::mem::take(&mut kept);
            for e in all {
                if !kept.iter().any(|k| says_more(k, &e)) {
                    kept.retain(|k| !says_more(&e, k));
                    kept.push(e);
                }
            }
        }
        if thoroughly {
            // A bare position of a free axis: it is what nearly every value has.
            let free = self.graph.free(id).clone();
            let plain = |c: &Self, k: &Entry| {
                k.guards.is_empty()
                    && k.at.is_some_and(|at| matches!(c.graph.op(at), Op::Index(a) if free.contains(*a)))
            };
            self.drop_dominated(&mut kept, plain);
            if kept.len() > MANY {
                self.drop_dominated(&mut kept, |_, _| true);
            }
        }
        if kept.len() > MAX_ENTRIES {
            kept = self.merged(id, kept);
        }
        *all = kept;
    }

    /// Drops what is provably dominated by one of those that `by` names.
    fn drop_dominated(&mut self, kept: &mut Vec<Entry>, by: impl Fn(&Self, &Entry) -> bool) {
        // From the back: of two that say the same, the first stays.
        for at in (0..kept.len()).rev() {
            let e = kept[at].clone();
            let dominated = (0..kept.len()).any(|k| {
                let other = &kept[k];
                if k == at || other.time != e.time || !by(self, other) || !subset(&other.guards, &e.guards) {
                    return false;
                }
                let bound = other.at;
                bound.is_none_or(|bound| self.at_most(&e, bound))
            });
            if dominated {
                kept.remove(at);
            }
        }
    }

    /// Fewer entries that say at least as much. Those that are provably no later than a position of the value itself become
    /// that position, under the guards that they have in common; what is left becomes the end.
    fn merged(&mut self, id: NodeId, all: Vec<Entry>) -> Vec<Entry> {
        let mut own: Vec<(DomainId, NodeId)> = Vec::new();
        for a in self.graph.free(id).clone().iter() {
            let domain = self.graph.axis(a).domain;
            if let Some(time) = self.time_of(domain)
                && let Ok(index) = self.graph.index(a)
                && let Some(at) = self.exists(domain, index)
            {
                own.push((time, at));
            }
        }
        let mut merged: Vec<Entry> = Vec::new();
        let mut rest = all;
        // Entries at a position first, so that `j` under `j <= t` stays at j.
        for exact in [true, false] {
            for &(time, at) in &own {
                let near =
                    |c: &mut Self, e: &Entry| e.time == time && if exact { e.at == Some(at) } else { c.at_most(e, at) };
                let (here, others) = rest.into_iter().partition::<Vec<Entry>, _>(|e| near(self, e));
                rest = others;
                let before: Vec<Entry> =
                    merged.extract_if(.., |m| m.time == time && m.at == Some(at)).chain(here).collect();
                if let Some(one) = self.one_at(at, &before, &own) {
                    merged.push(one);
                }
            }
        }
        if merged.len() + rest.len() > MAX_ENTRIES {
            let mut ends: Vec<Entry> = Vec::new();
            for e in rest {
                if !ends.iter().any(|k| k.time == e.time) {
                    ends.push(Entry { at: None, guards: Vec::new(), ..e });
                }
            }
            rest = ends;
        }
        merged.append(&mut rest);
        merged
    }

    /// One entry at a position for several that are no later: under the guards of all, and before those other positions of the
    /// value before which all are.
    fn one_at(&mut self, at: NodeId, all: &[Entry], own: &[(DomainId, NodeId)]) -> Option<Entry> {
        let (first, others) = all.split_first()?;
        let mut guards = first.guards.clone();
        guards.retain(|g| others.iter().all(|e| e.guards.contains(g)));
        if !others.is_empty() {
            for &(time, bound) in own {
                if time != first.time || bound == at {
                    continue;
                }
                let Some(goal) = self.map(MapFn::Le, &[at, bound]) else { continue };
                if !guards.contains(&goal) && all.iter().all(|e| self.implied(&e.guards, goal)) {
                    guards.push(goal);
                }
            }
        }
        Some(Entry { at: Some(at), guards, ..first.clone() })
    }
}

impl Entry {
    /// Of several leaks, the one whose reduction is written first is the cause of the others.
    fn cause(&self) -> NodeId {
        self.binder.unwrap_or(NodeId(u32::MAX))
    }
}

fn subset(some: &[NodeId], all: &[NodeId]) -> bool {
    some.iter().all(|g| all.contains(g))
}

/// Does an entry plainly dominate another?
fn says_more(a: &Entry, b: &Entry) -> bool {
    a.time == b.time && (a.at.is_none() || a.at == b.at) && subset(&a.guards, &b.guards)
}
