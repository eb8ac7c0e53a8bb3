//! Every form of every value that rules find: what a test evaluates.

use super::extract::classes;
use super::import::{Choice, Export};
use super::term::{Head, Term};
use super::workshop::Eg;
use super::{Phase, Saturated, Settings};
use egg::Id;
use rustc_hash::FxHashMap;
use weft_ir::graph::{Error, Graph, NodeId};

/// All forms of a graph's values.
#[derive(Clone, Debug)]
pub struct Forms {
    /// A graph in which all of them are.
    pub graph: Graph,
    /// Terms that are said to be equal, where they are more than one.
    pub classes: Vec<Vec<NodeId>>,
}

/// All forms that rules find with blocks of a length. What a form is made of is in its smallest form.
///
/// # Errors
/// Only for graphs that are not well-formed.
pub fn forms(graph: &Graph, settings: Settings, length: i64) -> Result<Forms, Error> {
    all_forms(&mut Saturated::new(graph, settings, length, Phase::Blocks, false)?.eg)
}

/// All forms that are in an e-graph.
pub(crate) fn all_forms(eg: &mut Eg) -> Result<Forms, Error> {
    let choice = smallest(eg);
    let all: Vec<(Id, Vec<Term>)> = classes(eg).into_iter().map(|c| (c, eg[c].nodes.clone())).collect();
    let mut export = Export { eg, choice: &choice, memo: FxHashMap::default(), ordered: false };
    let mut found = Vec::new();
    for (_, terms) in all {
        let mut made = Vec::new();
        // A term with a class in it that has no finite form stands for nothing.
        let finite = |t: &Term, e: &Eg| t.args.iter().all(|&a| choice.contains_key(&e.find(a)));
        for t in terms.iter().filter(|t| t.head != Head::Outputs) {
            if finite(t, export.eg) {
                made.push(export.term(t)?);
            }
        }
        if made.len() > 1 {
            found.push(made);
        }
    }
    let mut graph = export.eg.analysis.canon.g.clone();
    graph.outputs.clear();
    Ok(Forms { graph, classes: found })
}

/// The term of each class with the fewest terms in it.
pub(crate) fn smallest(eg: &Eg) -> Choice {
    let all = classes(eg);
    let mut choice = Choice::default();
    let mut size: FxHashMap<Id, f64> = FxHashMap::default();
    loop {
        let mut changed = false;
        for &id in &all {
            for t in &eg[id].nodes {
                let below = t.args.iter().map(|&a| size.get(&eg.find(a)).copied().unwrap_or(f64::INFINITY));
                let own = 1.0 + below.sum::<f64>();
                if own < size.get(&id).copied().unwrap_or(f64::INFINITY) {
                    size.insert(id, own);
                    choice.insert(id, t.clone());
                    changed = true;
                }
            }
        }
        if !changed {
            return choice;
        }
    }
}
