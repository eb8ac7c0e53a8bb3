//! How a fast algorithm follows from a layer: the derivation as text.

mod notation;

use std::collections::HashSet;
use std::fmt::Write as _;

use indexmap::IndexMap;
use notation::Notation;
use weft_ir::graph::{Graph, NodeId};
use weft_passes::rewrite::{self, Derived, RuleText};

use super::algorithm::rewriting;
use super::fault::Fault;
use super::load::Loaded;
use super::pipeline::canonical;
use super::watch::Watch;

/// Lengths for which costs are told.
const LENGTHS: [i64; 4] = [2048, 8192, 32768, 131_072];

/// What is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// The steps from the definition to the algorithm.
    pub derivation: bool,
    /// What both cost.
    pub cost: bool,
}

/// The derivation of a layer's algorithm, and what it gains.
///
/// # Errors
/// Only for bugs.
pub fn explain(loaded: &Loaded, what: Told, watch: &mut Watch<'_>) -> Result<String, Fault> {
    let (graph, settings) = canonical(loaded, watch)?;
    let declared = loaded.checked.graph.axes().len();
    let told = rewrite::explained(
        &graph,
        settings,
        &rewriting(loaded, &IndexMap::new(), &rewrite::Options::default()),
        &LENGTHS,
    );
    let told = told.map_err(|e| Fault::bug(format!("rewriting: {e}")))?;
    let mut text = format!("layer {}\n", graph.name);
    match &told.derivation {
        _ if !what.derivation => {}
        Derived::Unchanged => text.push_str("\nNo form was found that costs less: it is computed as it is written.\n"),
        Derived::TooLarge => text.push_str("\nThe derivation is too long to be told; `--notes` lists the rules.\n"),
        Derived::Steps(d) => steps(&mut text, d, declared),
    }
    if let Some(warning) = &told.warning {
        let _ = writeln!(text, "\n{warning}");
    }
    if what.derivation && !told.missed.is_empty() {
        let _ = writeln!(text, "\nIt grows faster than time. Rules that would have been of use");
        for missed in &told.missed {
            let term = Notation::new(&told.graph, declared).term(missed.term);
            let _ = writeln!(text, "    {}: not for\n        {term}\n      {}", missed.rule, missed.why);
        }
    }
    if what.cost {
        costs(&mut text, &told);
    }
    Ok(text)
}

fn steps(text: &mut String, d: &rewrite::proof::Derivation, declared: usize) {
    let rules: Vec<RuleText> = rewrite::rules().collect();
    let mut seen = HashSet::new();
    let mut carried: Vec<String> = Vec::new();
    let mut number = 0;
    // Consecutive substitutions are one step: from what the first found to what the last left.
    for step in &d.steps {
        let Some(rule) = rules.get(step.rule) else { continue };
        if !seen.insert((step.rule, step.before, step.after)) || rule.name == "substitute" {
            continue;
        }
        number += 1;
        let way = if step.backwards { ", from right to left" } else { "" };
        let _ = writeln!(text, "\n{number}. {}{way}", rule.name);
        let _ = writeln!(text, "   {}", rule.mathematics);
        let mut n = Notation::new(&d.graph, declared);
        let _ = writeln!(text, "\n       {}", n.term(step.before));
        let mut n = Notation::new(&d.graph, declared);
        let _ = writeln!(text, "     = {}", n.term(step.after));
        for line in n.definitions() {
            if !carried.contains(&line) {
                let _ = writeln!(text, "       with {line}");
                carried.push(line);
            }
        }
        if !rule.conditions.is_empty() {
            let _ = writeln!(text, "\n   allowed, since {}", rule.conditions.join("; "));
        }
    }
    let last: &[NodeId] = d.steps.last().map_or(&d.start, |s| &s.outputs);
    let _ = writeln!(text, "\nSo");
    let mut changed: Vec<(NodeId, NodeId)> = Vec::new();
    for (&from, &to) in d.start.iter().zip(last) {
        differences(&d.graph, from, to, &mut changed);
    }
    let mut definitions: Vec<String> = Vec::new();
    for (from, to) in changed {
        let mut n = Notation::new(&d.graph, declared);
        let left = match d.derived.iter().zip(&d.start).find(|(_, s)| **s == from) {
            Some((&o, _)) => d.graph.outputs[o].name.to_string(),
            None => n.value(from),
        };
        let _ = writeln!(text, "    {left}\n      = {}", n.term(to));
        for line in n.definitions() {
            if !definitions.contains(&line) {
                definitions.push(line);
            }
        }
    }
    for line in definitions {
        let _ = writeln!(text, "    {line}");
    }
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
    match (gone.as_slice(), new.as_slice()) {
        (&[x], &[y]) if g.op(from) == g.op(to) && a.len() == b.len() => differences(g, x, y, found),
        _ if g.op(from) == g.op(to) && a.len() == b.len() && a.len() == gone.len() && g.op(from).guards() == 0 => {
            let pairs: Vec<(NodeId, NodeId)> = a.iter().copied().zip(b.iter().copied()).collect();
            let ordered = !matches!(
                g.op(from),
                weft_ir::graph::Op::Ein { .. } | weft_ir::graph::Op::Map(weft_ir::graph::MapFn::Add)
            );
            if ordered {
                for (x, y) in pairs {
                    differences(g, x, y, found);
                }
            } else if !found.contains(&(from, to)) {
                found.push((from, to));
            }
        }
        _ if !found.contains(&(from, to)) => found.push((from, to)),
        _ => {}
    }
}

fn costs(text: &mut String, told: &rewrite::Explained) {
    let _ = writeln!(
        text,
        "\nCosts, in operations of products: T^{:.1} as written, T^{:.1} as computed{}",
        told.degree.0,
        told.degree.1,
        told.blocks.map_or_else(String::new, |l| format!(", in blocks of {l}"))
    );
    let _ = writeln!(text, "    {:>8} {:>12} {:>12} {:>8}", "T", "as written", "as computed", "gain");
    for &(t, from, to) in &told.costs {
        let _ = writeln!(text, "    {t:>8} {from:>12.3e} {to:>12.3e} {:>7.1}x", from / to);
    }
}
