//! What is told of a layer's algorithm, before it is text or a page.

use std::collections::HashSet;

use weft_ir::graph::{Graph, MapFn, NodeId, Op};
use weft_passes::rewrite::{self, Derived, RuleText, proof};

use super::notation::Notation;

/// How the algorithm came about.
pub(super) enum Outcome {
    /// It is the definition.
    Unchanged,
    /// There are too many steps.
    TooLarge,
    /// By these steps.
    Steps {
        /// One after the other.
        steps: Vec<Step>,
        /// What is computed in the end: values with their formulas, and recurrences.
        result: Vec<String>,
    },
}

/// A step of a derivation.
pub(super) struct Step {
    /// The rule.
    pub(super) rule: RuleText,
    /// Was it used from right to left?
    pub(super) backwards: bool,
    /// What it was used on.
    pub(super) before: String,
    /// What that became.
    pub(super) after: String,
    /// Recurrences that it made.
    pub(super) definitions: Vec<String>,
    /// Terms on which it was used in the same way: the same products with fewer factors, as a denominator is.
    pub(super) likewise: Vec<String>,
}

/// A rule that almost fired.
pub(super) struct Miss {
    pub(super) rule: &'static str,
    pub(super) term: String,
    pub(super) why: &'static str,
}

/// The steps in the names of the source.
pub(super) fn outcome(derived: &Derived, declared: usize) -> Outcome {
    match derived {
        Derived::Unchanged => Outcome::Unchanged,
        Derived::TooLarge => Outcome::TooLarge,
        Derived::Steps(d) => Outcome::Steps { steps: steps(d, declared), result: result(d, declared) },
    }
}

/// Near misses.
pub(super) fn misses(told: &rewrite::Explained, declared: usize) -> Vec<Miss> {
    let term = |id| Notation::new(&told.graph, declared).term(id);
    told.missed.iter().map(|m| Miss { rule: m.rule, term: term(m.term), why: m.why }).collect()
}

fn steps(d: &proof::Derivation, declared: usize) -> Vec<Step> {
    let rules: Vec<RuleText> = rewrite::rules().collect();
    let mut seen = HashSet::new();
    let mut defined: Vec<String> = Vec::new();
    let mut steps: Vec<(Step, NodeId)> = Vec::new();
    for step in &d.steps {
        let Some(&rule) = rules.get(step.rule) else { continue };
        // Substitutions are noise: what comes next shows where they lead.
        if !seen.insert((step.rule, step.before, step.after)) || rule.name == "substitute" {
            continue;
        }
        let before = Notation::new(&d.graph, declared).term(step.before);
        let mut n = Notation::new(&d.graph, declared);
        let after = n.term(step.after);
        let definitions: Vec<String> = n.definitions().into_iter().filter(|l| !defined.contains(l)).collect();
        defined.extend(definitions.iter().cloned());
        let new = Step { rule, backwards: step.backwards, before, after, definitions, likewise: Vec::new() };
        let same = |(old, _): &&mut (Step, NodeId)| old.rule.name == rule.name && old.backwards == step.backwards;
        match steps
            .iter_mut()
            .filter(same)
            .find_map(|old| fewer_factors(&d.graph, old.1, step.before).map(|f| (old, f)))
        {
            // The denominator came first: the numerator says more.
            Some((old, true)) => {
                let told = std::mem::replace(&mut old.0, new);
                old.1 = step.before;
                old.0.definitions.splice(0..0, told.definitions);
                old.0.likewise.extend(told.likewise.into_iter().chain([told.before]));
            }
            Some((old, false)) => {
                old.0.definitions.extend(new.definitions);
                old.0.likewise.push(new.before);
            }
            None => steps.push((new, step.before)),
        }
    }
    steps.into_iter().map(|s| s.0).collect()
}

/// Are two sums over the same positions, under the same conditions, of products of which one has all factors of the other and more? Says whether that is
/// the second.
fn fewer_factors(g: &Graph, a: NodeId, b: NodeId) -> Option<bool> {
    let (Op::Ein { .. }, Op::Ein { .. }) = (g.op(a), g.op(b)) else { return None };
    if g.guards(a) != g.guards(b) {
        return None;
    }
    let (x, y) = (leaves(g, a), leaves(g, b));
    let within = |x: &[NodeId], y: &[NodeId]| x.len() < y.len() && x.iter().all(|n| y.contains(n));
    match (within(&x, &y), within(&y, &x)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// Factors of a product, those of products in it included.
fn leaves(g: &Graph, id: NodeId) -> Vec<NodeId> {
    let mut found = Vec::new();
    let mut stack = g.operands(id).to_vec();
    while let Some(n) = stack.pop() {
        match g.op(n) {
            Op::Ein { guards: 0, .. } => stack.extend(g.operands(n)),
            _ => found.push(n),
        }
    }
    found
}

fn result(d: &proof::Derivation, declared: usize) -> Vec<String> {
    let last: &[NodeId] = d.steps.last().map_or(&d.start, |s| &s.outputs);
    let mut changed: Vec<(NodeId, NodeId)> = Vec::new();
    for (&from, &to) in d.start.iter().zip(last) {
        differences(&d.graph, from, to, &mut changed);
    }
    let mut lines: Vec<String> = Vec::new();
    let mut definitions: Vec<String> = Vec::new();
    for (from, to) in changed {
        let mut n = Notation::new(&d.graph, declared);
        let left = match d.derived.iter().zip(&d.start).find(|(_, s)| **s == from) {
            Some((&o, _)) => d.graph.outputs[o].name.to_string(),
            None => n.value(from),
        };
        lines.push(format!("{left}\n  = {}", n.term(to)));
        for line in n.definitions() {
            if !definitions.contains(&line) {
                definitions.push(line);
            }
        }
    }
    lines.extend(definitions);
    lines
}

/// The outermost terms that are others in the end.
fn differences(g: &Graph, from: NodeId, to: NodeId, found: &mut Vec<(NodeId, NodeId)>) {
    if from == to {
        return;
    }
    // Operands of sums and products have no order: one that is new stands for the one that is gone.
    let (a, b) = (g.args(from), g.args(to));
    let gone: Vec<NodeId> = a.iter().copied().filter(|x| !b.contains(x)).collect();
    let new: Vec<NodeId> = b.iter().copied().filter(|x| !a.contains(x)).collect();
    let same = g.op(from) == g.op(to) && a.len() == b.len();
    match (gone.as_slice(), new.as_slice()) {
        (&[x], &[y]) if same => differences(g, x, y, found),
        _ if same && a.len() == gone.len() && !matches!(g.op(from), Op::Ein { .. } | Op::Map(MapFn::Add)) => {
            for (&x, &y) in a.iter().zip(b) {
                differences(g, x, y, found);
            }
        }
        _ if !found.contains(&(from, to)) => found.push((from, to)),
        _ => {}
    }
}
