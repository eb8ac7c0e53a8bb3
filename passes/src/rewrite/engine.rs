//! Saturation: rules are applied until nothing new is found.
//!
//! The number of nodes is looked at after every application of a rule to one node, not once in a round: a round can be what does not end. One
//! application makes at most as many terms as there are pairs of terms in two classes.

use super::extract::classes;
use super::rules::{Phase, RULES, Rule};
use super::term::Term;
use super::workshop::{Eg, Facts};
use egg::Id;
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::Error;

/// Most rounds.
const ROUNDS: usize = 40;
/// Most nodes of an e-graph, unless it says otherwise.
pub(crate) const NODES: usize = 20_000;

/// Applies the rules of a phase, and of those before it, until nothing changes.
///
/// # Errors
/// Only for terms that are not well-formed.
pub(crate) fn saturate(eg: &mut Eg, phase: Phase) -> Result<Ended, Error> {
    saturate_by(eg, |rule| rule.phase <= phase)
}

/// Applies some rules until nothing changes.
///
/// # Errors
/// Only for terms that are not well-formed.
pub(crate) fn saturate_by(eg: &mut Eg, uses: impl Fn(&Rule) -> bool) -> Result<Ended, Error> {
    let mut tally = vec![0usize; RULES.len()];
    let mut seen = Seen::default();
    for round in 0..ROUNDS {
        let mut changed = false;
        let due = seen.due(eg);
        for (class, nodes) in due {
            for node in nodes {
                for (n, rule) in RULES.iter().enumerate().filter(|r| uses(r.1)) {
                    let found = applied(eg, rule, class, &node)?;
                    tally[n] += found;
                    changed |= found > 0;
                    if eg.total_size() > eg.analysis.most {
                        eg.rebuild();
                        return Ok(end(eg, round, &tally, false));
                    }
                }
            }
        }
        eg.rebuild();
        if !changed {
            return Ok(end(eg, round, &tally, true));
        }
    }
    Ok(end(eg, ROUNDS, &tally, false))
}

/// How far below a node rules look.
const DEPTH: usize = 8;

/// Classes as they were when rules were last applied to them.
#[derive(Default)]
struct Seen(FxHashMap<Id, (Vec<Term>, Facts)>);

impl Seen {
    /// Classes in which a rule may find something that it did not find before: those that changed, or have a class below them that did.
    fn due(&mut self, eg: &Eg) -> Vec<(Id, Vec<Term>)> {
        let all = classes(eg);
        let mut due: FxHashSet<Id> = FxHashSet::default();
        for &id in &all {
            let now = (eg[id].nodes.clone(), eg[id].data.clone());
            if self.0.get(&id) != Some(&now) {
                due.insert(id);
                self.0.insert(id, now);
            }
        }
        for _ in 0..DEPTH {
            let above = |id: &&Id| {
                let below = |t: &Term| t.args.iter().any(|&a| due.contains(&eg.find(a)));
                !due.contains(*id) && eg[**id].nodes.iter().any(below)
            };
            let more: Vec<Id> = all.iter().filter(above).copied().collect();
            if more.is_empty() {
                break;
            }
            due.extend(more);
        }
        all.into_iter().filter(|id| due.contains(id)).map(|id| (id, eg[id].nodes.clone())).collect()
    }
}

/// How saturation ended. If it did not, the rule that was applied most is named.
fn end(eg: &Eg, rounds: usize, tally: &[usize], saturated: bool) -> Ended {
    let most = RULES.iter().zip(tally).max_by_key(|p| p.1).map_or("", |p| p.0.name);
    let applied: Vec<(&'static str, usize)> =
        RULES.iter().zip(tally).filter(|p| *p.1 > 0).map(|(r, &n)| (r.name, n)).collect();
    let used: Vec<String> = applied.iter().map(|(name, n)| format!("{name} {n}")).collect();
    let size = eg.total_size();
    let note = if saturated {
        format!("saturated in {rounds} rounds, {size} nodes: {}", used.join(", "))
    } else {
        format!(
            "warning: not saturated after {rounds} rounds, {size} nodes; `{most}` was applied most: {}",
            used.join(", ")
        )
    };
    Ended { saturated, note, applied }
}

/// How saturation ended.
pub(crate) struct Ended {
    /// Was everything found that the rules can find?
    pub(crate) saturated: bool,
    /// The same, and how often each rule was applied, for people.
    pub(crate) note: String,
    /// How often each rule was applied.
    #[cfg_attr(not(test), expect(dead_code, reason = "the note has it for people"))]
    pub(crate) applied: Vec<(&'static str, usize)>,
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
