//! What is told of a rewriting: the derivation, costs, and what kept rules from firing.

use super::{LINEAR, Options, Saturated, cost, extract, import, proof, rewrite};
use crate::canon::Settings;
use rustc_hash::FxHashMap;
use weft_ir::graph::{Error, Graph, NodeId};

/// How an algorithm follows from a definition, if it can be told.
#[derive(Clone, Debug)]
pub enum Derived {
    /// The definition is the algorithm.
    Unchanged,
    /// The proof speaks of too many terms.
    TooLarge,
    /// Step by step.
    Steps(Box<proof::Derivation>),
}

/// What is told of a rewriting.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The steps.
    pub derivation: Derived,
    /// The length of blocks, if there are any.
    pub blocks: Option<i64>,
    /// If not everything was found that the rules can find: what there was most of.
    pub warning: Option<String>,
    /// The powers of time with which costs of definition and algorithm grow.
    pub degree: (f64, f64),
    /// Rules that almost fired. Only where the algorithm is not linear in time.
    pub missed: Vec<Missed>,
    /// The graph of those terms.
    pub graph: Graph,
    /// Lengths of sequences with the costs of definition and algorithm, in operations of products.
    pub costs: Vec<(i64, f64, f64)>,
}

/// A rule that almost fired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missed {
    /// The rule's name.
    pub rule: &'static str,
    /// What does not meet a condition: a term of [`Explained::graph`].
    pub term: NodeId,
    /// How it fails.
    pub why: &'static str,
}

/// The largest term of a proof, written out as a tree.
const LARGEST: f64 = 4000.0;

/// The derivation of the cheapest form, and costs at some lengths of sequences.
///
/// # Errors
/// Only for graphs that are not well-formed.
pub fn explained(graph: &Graph, settings: Settings, options: &Options, at: &[i64]) -> Result<Explained, Error> {
    let best = rewrite(graph, settings, options)?;
    let mut s = Saturated::new(graph, settings, best.length, options.phase, best.changed)?;
    let choice =
        if best.changed { extract::extract(&s.eg, s.root, &s.start, options.at).choice } else { s.start.clone() };
    let price = |c: &import::Choice, t: i64| cost::Cost::plain(&s.eg, t).total(c, s.root);
    let costs = at.iter().map(|&t| (t, price(&s.start, t), price(&choice, t))).collect();
    let degree = (extract::Degree::new(&s.eg, s.root).of(&s.start), extract::Degree::new(&s.eg, s.root).of(&choice));
    let size = |c: &import::Choice| proof::tree_size(&s.eg, c, s.root);
    let derivation = if !best.changed {
        Derived::Unchanged
    } else if size(&s.start).max(size(&choice)) > LARGEST {
        Derived::TooLarge
    } else {
        let (start, derived) = (s.start.clone(), s.derived.clone());
        Derived::Steps(Box::new(proof::derive(&mut s.eg, s.root, &start, &choice, derived)?))
    };
    let missed = if degree.1 > LINEAR { s.missed()? } else { Vec::new() };
    let warning = (!s.ended.saturated).then(|| s.ended.note.clone());
    let graph = s.eg.analysis.canon.g.clone();
    Ok(Explained { derivation, blocks: best.blocks, warning, degree, costs, missed, graph })
}

impl Saturated {
    /// Near misses, with terms in place of classes.
    fn missed(&mut self) -> Result<Vec<Missed>, Error> {
        // A class that no output needs has no term in the definition: any will do.
        let mut choice = self.start.clone();
        for id in extract::classes(&self.eg) {
            choice.entry(id).or_insert_with(|| self.eg[id].nodes[0].clone());
        }
        let missed = self.eg.analysis.conditions.missed.clone();
        let mut told: Vec<Missed> = Vec::new();
        for m in missed {
            if !cost::Cost::new(&self.eg, 1024).total(&choice, m.class).is_finite() {
                continue;
            }
            let mut export =
                import::Export { eg: &mut self.eg, choice: &choice, memo: FxHashMap::default(), ordered: false };
            let entry = Missed { rule: m.rule, term: export.node(m.class)?, why: m.why };
            if !told.contains(&entry) {
                told.push(entry);
            }
        }
        Ok(told)
    }
}
