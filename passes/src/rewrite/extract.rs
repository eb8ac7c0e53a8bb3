//! The cheapest terms of an e-graph.
//!
//! Costs of shared values are paid once, so the best term of a class depends on what else is chosen. Classes get the term that is best
//! on its own first; then single choices are changed as long as that helps the whole. Where what is found grows faster than the length, what is
//! best at a much greater length is a start, too: several choices that help only together are the same there, and help more. From the best of these
//! an exact search ([`super::exact`]) goes on for a while, and says whether nothing is cheaper.

use super::cost::Cost;
use super::exact::{Searched, search};
use super::import::Choice;
use super::workshop::Eg;
use egg::Id;
use rustc_hash::FxHashMap;

/// Chooses a term for every class that the root needs: what is cheapest at a length, of what grows no faster than the definition. A program
/// is run at other lengths, too.
pub(crate) fn extract(eg: &Eg, root: Id, start: &Choice, length: i64) -> Extracted {
    let cost = Cost::new(eg, length);
    let mut found: Vec<(Choice, f64)> = Vec::new();
    for c in [start.clone(), greedy(eg, &cost, start)] {
        found.push(climb(eg, &cost, root, c));
    }
    let best = if found[1].1 < found[0].1 { &found[1] } else { &found[0] };
    let longer = Cost::new(eg, length.saturating_mul(FURTHER));
    if longer.total(&best.0, root) > best.1 * FURTHER as f64 * 1.2 {
        let (seed, _) = climb(eg, &longer, root, greedy(eg, &longer, start));
        found.push(climb(eg, &cost, root, seed.clone()));
        let price = cost.total(&seed, root);
        found.push((seed, price));
    }
    found.push((start.clone(), cost.total(start, root)));
    let cheapest = found.iter().min_by(|a, b| a.1.total_cmp(&b.1)).cloned().unwrap_or_default();
    let Searched { best, proven } = search(eg, &cost, root, cheapest, STEPS);
    found.push(best);
    let grows = Degree::new(eg, root);
    let most = grows.of(start) + STEEPER;
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    let at = found.iter().position(|(c, _)| grows.of(c) <= most).unwrap_or(found.len() - 1);
    let (choice, price) = found.swap_remove(at);
    Extracted { choice, price, proven: proven && at == 0 }
}

/// Terms for all classes that a root needs.
pub(crate) struct Extracted {
    /// The terms.
    pub(crate) choice: Choice,
    /// What they cost.
    pub(crate) price: f64,
    /// Is there no choice that costs less?
    pub(crate) proven: bool,
}

/// Steps of the exact search: a microsecond each.
const STEPS: usize = 20_000;

/// Degrees that differ by less are equal: counts of points are estimates.
const STEEPER: f64 = 0.1;

/// The power of the length with which costs grow, at lengths where nothing else matters.
pub(crate) struct Degree<'a> {
    long: [Cost<'a>; 2],
    root: Id,
}

impl<'a> Degree<'a> {
    pub(crate) fn new(eg: &'a Eg, root: Id) -> Self {
        Self { long: [Cost::new(eg, 1 << 22), Cost::new(eg, 1 << 28)], root }
    }

    pub(crate) fn of(&self, choice: &Choice) -> f64 {
        let [short, long] = &self.long;
        (long.total(choice, self.root) / short.total(choice, self.root)).log2() / 6.0
    }
}

/// How many times as long a sequence is at which choices are made once more.
const FURTHER: i64 = 32;

/// Classes in a fixed order.
pub(crate) fn classes(eg: &Eg) -> Vec<Id> {
    let mut all: Vec<Id> = eg.classes().map(|c| c.id).collect();
    all.sort_unstable();
    all
}

/// For each class the term that is cheapest with everything below it.
fn greedy(eg: &Eg, cost: &Cost<'_>, start: &Choice) -> Choice {
    let all = classes(eg);
    let mut choice = start.clone();
    let mut price: FxHashMap<Id, f64> = FxHashMap::default();
    // Where there is one term there is no choice, and most classes have one.
    let (forced, all): (Vec<Id>, Vec<Id>) = all.into_iter().partition(|&id| eg[id].nodes.len() == 1);
    choice.extend(forced.into_iter().map(|id| (id, eg[id].nodes[0].clone())));
    for _ in 0..all.len().min(40) {
        let mut changed = false;
        for &id in &all {
            for term in &eg[id].nodes {
                let before = choice.insert(id, term.clone());
                let now = cost.total(&choice, id);
                let known = price.get(&id).copied().unwrap_or(f64::INFINITY);
                if now < known * (1.0 - 1e-9) {
                    price.insert(id, now);
                    changed = true;
                } else {
                    match before {
                        Some(b) => choice.insert(id, b),
                        None => choice.remove(&id),
                    };
                }
            }
        }
        if !changed {
            break;
        }
    }
    choice
}

/// Changes single choices as long as the whole gets cheaper.
fn climb(eg: &Eg, cost: &Cost<'_>, root: Id, mut choice: Choice) -> (Choice, f64) {
    let mut best = cost.total(&choice, root);
    loop {
        let mut improved = false;
        for id in reachable(eg, &choice, root) {
            if eg[id].nodes.len() < 2 {
                continue;
            }
            for term in &eg[id].nodes {
                let Some(before) = choice.insert(id, term.clone()) else { continue };
                let now = cost.total(&choice, root);
                if now < best * (1.0 - 1e-9) {
                    best = now;
                    improved = true;
                } else {
                    choice.insert(id, before);
                }
            }
        }
        if !improved {
            return (choice, best);
        }
    }
}

/// Classes that a choice uses, root first.
pub(crate) fn reachable(eg: &Eg, choice: &Choice, root: Id) -> Vec<Id> {
    let mut found = Vec::new();
    let mut seen = rustc_hash::FxHashSet::default();
    let mut stack = vec![eg.find(root)];
    while let Some(id) = stack.pop() {
        if seen.insert(id) {
            found.push(id);
            if let Some(t) = choice.get(&id) {
                stack.extend(t.args.iter().rev().map(|&a| eg.find(a)));
            }
        }
    }
    found
}
