//! Saturation: rules are applied until nothing new is found, within bounds that hold inside the appliers too.

use super::extract::classes;
use super::rules::{RULES, Rule};
use super::term::Term;
use super::workshop::Eg;
use egg::Id;
use weft_ir::graph::Error;

/// Most rounds.
const ROUNDS: usize = 40;
/// Most nodes.
pub(crate) const NODES: usize = 20_000;

/// Applies all rules until nothing changes.
///
/// # Errors
/// Only for terms that are not well-formed.
pub(crate) fn saturate(eg: &mut Eg) -> Result<Vec<String>, Error> {
    let mut tally = vec![0usize; RULES.len()];
    let mut notes = Vec::new();
    for round in 0..ROUNDS {
        let mut changed = false;
        let snapshot: Vec<(Id, Vec<Term>)> = classes(eg).into_iter().map(|c| (c, eg[c].nodes.clone())).collect();
        for (class, nodes) in snapshot {
            for node in nodes {
                for (n, rule) in RULES.iter().enumerate() {
                    let found = applied(eg, rule, class, &node)?;
                    tally[n] += found;
                    changed |= found > 0;
                }
                if eg.total_size() > NODES {
                    notes.push(format!("stopped at {NODES} nodes"));
                    eg.rebuild();
                    return Ok(notes);
                }
            }
        }
        eg.rebuild();
        if !changed {
            let counts: Vec<String> = RULES.iter().zip(&tally).map(|(r, n)| format!("{} {n}", r.name)).collect();
            notes.push(format!("saturated in {round} rounds, {} nodes: {}", eg.total_size(), counts.join(", ")));
            return Ok(notes);
        }
    }
    let counts: Vec<String> = RULES.iter().zip(&tally).map(|(r, n)| format!("{} {n}", r.name)).collect();
    notes.push(format!("not saturated after {ROUNDS} rounds, {} nodes: {}", eg.total_size(), counts.join(", ")));
    Ok(notes)
}

fn applied(eg: &mut Eg, rule: &Rule, class: Id, node: &Term) -> Result<usize, Error> {
    let mut count = 0;
    for found in (rule.apply)(eg, class, node)? {
        let mut from = node.clone();
        for (at, term) in found.inner {
            from.args[at] = eg.add_uncanonical(term);
        }
        let from = if eg.are_explanations_enabled() { eg.add_uncanonical(from) } else { class };
        if eg.union_trusted(from, found.to, rule.name) {
            count += 1;
        }
    }
    Ok(count)
}
