//! Rewriting: from the canonical graph of a definition to that of an algorithm, by equality saturation.

mod build;
mod cost;
mod count;
mod engine;
mod extract;
mod import;
mod rules;
mod term;
mod workshop;

use crate::canon::{Canon, Settings};
use egg::Id;
use rustc_hash::FxHashMap;
use term::{Head, Term};
use weft_ir::graph::{Error, Graph, NodeId, Op};
use workshop::{Eg, Workshop};

/// Lengths of blocks that are tried.
pub const LENGTHS: [i64; 3] = [64, 128, 256];

/// How a graph is rewritten.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Lengths of blocks to try.
    pub lengths: Vec<i64>,
    /// The length of sequences at which costs are compared.
    pub at: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self { lengths: LENGTHS.to_vec(), at: 8192 }
    }
}

/// An algorithm, and how it came about.
#[derive(Clone, Debug)]
pub struct Rewritten {
    /// The graph of the algorithm.
    pub graph: Graph,
    /// The length of blocks, if the algorithm has blocks.
    pub length: Option<i64>,
    /// Costs of definition and algorithm.
    pub cost: (f64, f64),
    /// What happened, line by line.
    pub notes: Vec<String>,
}

/// Finds the cheapest form of a canonical graph.
///
/// # Errors
/// Only for graphs that are not well-formed.
pub fn rewrite(graph: &Graph, settings: Settings, options: &Options) -> Result<Rewritten, Error> {
    let mut best: Option<Rewritten> = None;
    for &length in &options.lengths {
        let found = with_blocks(graph, settings, length, options)?;
        if best.as_ref().is_none_or(|b| found.cost.1 < b.cost.1 * (1.0 - 1e-6)) {
            best = Some(found);
        }
    }
    let unchanged = || Rewritten { graph: graph.clone(), length: None, cost: (0.0, 0.0), notes: Vec::new() };
    let best = best.unwrap_or_else(unchanged);
    if best.cost.1 < best.cost.0 * 0.999 {
        Ok(best)
    } else {
        Ok(Rewritten { graph: graph.clone(), length: None, ..best })
    }
}

fn with_blocks(graph: &Graph, settings: Settings, length: i64, options: &Options) -> Result<Rewritten, Error> {
    let canon = Canon::resume(graph.clone(), settings);
    let mut eg = Eg::new(Workshop::new(canon, length));
    let outputs: Vec<NodeId> = graph.outputs.iter().map(|o| o.node).collect();
    let mut classes = import::import(&mut eg, &outputs)?;
    eg.rebuild();
    // One root: what outputs share is paid for once.
    let roots: Vec<Id> = classes.iter().copied().filter(|&c| eg[c].data.dtype.is_float()).collect();
    let all = Term::new(Head::Other(Op::Ste), &roots);
    let root = eg.add_uncanonical(all);
    eg.rebuild();
    let start: import::Choice = extract::classes(&eg).into_iter().map(|id| (id, eg[id].nodes[0].clone())).collect();
    let mut notes = engine::saturate(&mut eg)?;
    let start: import::Choice = start
        .into_iter()
        .map(|(id, mut t)| {
            for a in &mut t.args {
                *a = eg.find(*a);
            }
            (eg.find(id), t)
        })
        .collect();
    let before = cost::Cost::new(&eg, options.at).total(&start, root);
    let (choice, after) = extract::extract(&eg, root, &start, options.at);
    notes.push(format!("length {length}: cost {before:.3e} -> {after:.3e}"));
    let mut export = import::Export { eg: &mut eg, choice: &choice, memo: FxHashMap::default() };
    for c in &mut classes {
        *c = export.eg.find(*c);
    }
    let mut nodes = Vec::new();
    for &c in &classes {
        nodes.push(export.node(c)?);
    }
    let mut new = eg.analysis.canon.g.clone();
    for (o, n) in new.outputs.iter_mut().zip(nodes) {
        o.node = n;
    }
    let new = import::pruned(&new)?;
    new.verify()?;
    Ok(Rewritten { graph: new, length: Some(length), cost: (before, after), notes })
}
