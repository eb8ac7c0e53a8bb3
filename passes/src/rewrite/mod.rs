//! Rewriting: from the canonical graph of a definition to that of an algorithm, by equality saturation.
//!
//! # The road
//!
//! 1. [`import`]: the outputs become classes of an e-graph. What rules look into are sums, products and functions over pairs of positions, and
//!    whatever is above them; everything else is a leaf, a canonical term of the [`workshop`].
//! 2. [`engine`]: rules are applied until none finds anything new. A class then has every form of its value that the rules can reach.
//! 3. [`extract`]: the cheapest form of all outputs together, by the prices of [`cost`].
//! 4. [`import::Export`]: the chosen terms as a canonical graph. Recurrences over blocks are `rec` over a derived axis; no op is needed that a user
//!    could not write.
//!
//! One saturation is for one length of blocks, and the cheapest of some lengths is taken: with several lengths in one e-graph, two that are equal by
//! coincidence would be one.
//!
//! # What an algorithm is made of
//!
//! A sum over the past, `sum over j <= t of F(j) G(t)`, is what is near, one by one, and what is far, in whole blocks of `L` positions:
//!
//! ```text
//! sum over j < L*n of F(j)                       n = t // L
//!   = sum over m < n of (sum over l < L of F(L*m + l))        blocks
//!   = S[n - 1],   S[m] = S[m - 1] + sum over l of F(L*m + l)  carried
//! ```
//!
//! That works wherever `F` does not depend on the row `t`. Most rules make it so: inner sums are merged so that `G` can be taken out; decays are split
//! at the ends of blocks; a score of a quantised key is read from a table by its code, and the sum becomes one over codes; what a guard inside decides is decided.
//! None of them knows what the sum is for.
//!
//! Rows are not put into blocks. A row asks for the state before its block, and where a tile of rows lies in one block the scheduler reads that
//! state once. So there are no remainders: only complete blocks have a state. (What comes *after* a row, in gradients, is carried
//! from the end; there the last block may be incomplete, and its places beyond the end are guarded.)
//!
//! # Soundness
//!
//! Guards are strong zeros here as everywhere: what they hide may be undefined. A rule that takes a factor out of a guarded sum keeps a guard in
//! front of it, or takes it where it is defined. Sums over blocks that the data may leave empty are guarded by how many there are, since a weight that
//! belongs to no position may be larger than all others and would take their place in a scale.

mod build;
mod carried;
mod conditions;
mod cost;
mod count;
mod engine;
mod exact;
mod explained;
mod extract;
mod forms;
mod import;
mod linear;
mod order;
pub mod proof;
mod replay;
mod rules;
mod term;
mod workshop;

pub use explained::{Derived, Explained, Missed, explained};
pub use forms::{Forms, forms};
pub use replay::{Replayed, replay};
pub use rules::{Phase, Rounding};

use crate::canon::{Canon, Settings};
use egg::Id;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use term::{Head, Term};
use weft_ir::graph::{Error, Graph, NodeId};
use workshop::{Eg, Workshop};

/// Lengths of blocks that are tried.
pub const LENGTHS: [i64; 3] = [64, 128, 256];

/// The share of a definition's cost that an algorithm may have at most: the model is not better than that.
const WORTH: f64 = 0.9;

/// How a graph is rewritten.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Lengths of blocks to try.
    pub lengths: Vec<i64>,
    /// The length of sequences at which costs are compared.
    pub at: i64,
    /// The last phase whose rules are used.
    pub phase: Phase,
    /// The name of a rule that is not: to see what it is good for.
    pub without: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self { lengths: LENGTHS.to_vec(), at: 8192, phase: Phase::Blocks, without: None }
    }
}

/// An algorithm, and how it came about.
#[derive(Clone, Debug)]
pub struct Rewritten {
    /// The graph of the algorithm.
    pub graph: Graph,
    /// Is it another one than that of the definition?
    pub changed: bool,
    /// The length of blocks, if it has any.
    pub blocks: Option<i64>,
    /// The length of blocks with which it was found.
    length: i64,
    /// Terms of the algorithm that are terms of the definition: where they are there. Decisions always are.
    origin: FxHashMap<NodeId, NodeId>,
    /// Costs of definition and algorithm.
    pub cost: (f64, f64),
    /// The powers of time with which they grow.
    pub degree: (f64, f64),
    /// What happened, line by line.
    pub notes: Vec<String>,
}

/// Finds the cheapest form of a canonical graph.
///
/// # Errors
/// Only for graphs that are not well-formed.
pub fn rewrite(graph: &Graph, settings: Settings, options: &Options) -> Result<Rewritten, Error> {
    let mut best: Option<Rewritten> = None;
    let all: Vec<_> = options.lengths.par_iter().map(|&length| with_blocks(graph, settings, length, options)).collect();
    for found in all {
        let (found, blocks) = found?;
        if best.as_ref().is_none_or(|b| found.cost.1 < b.cost.1 * (1.0 - 1e-6)) {
            best = Some(found);
        }
        // Without blocks in it, an e-graph is the same for every length.
        if !blocks {
            break;
        }
    }
    match best {
        Some(best) if best.cost.1 < best.cost.0 * WORTH => Ok(best),
        Some(best) => Ok(Rewritten { graph: graph.clone(), changed: false, blocks: None, ..best }),
        None => Err(Error::Missing("a length of blocks".into())),
    }
}

impl Rewritten {
    /// The term of the definition that a term of the algorithm is, if it is one.
    #[must_use]
    pub fn origin(&self, node: NodeId) -> Option<NodeId> {
        if self.changed { self.origin.get(&node).copied() } else { Some(node) }
    }
}

/// The derivation of the cheapest form with blocks of this length.
///
/// # Errors
/// Only for graphs that are not well-formed.
pub fn derivation(graph: &Graph, settings: Settings, length: i64, at: i64) -> Result<proof::Derivation, Error> {
    let mut s = Saturated::new(graph, settings, length, Phase::Blocks, true)?;
    let choice = extract::extract(&s.eg, s.root, &s.start, at).choice;
    let (start, derived) = (s.start.clone(), s.derived.clone());
    proof::derive(&mut s.eg, s.root, &start, &choice, derived)
}

/// What is told of a rule.
#[derive(Clone, Copy, Debug)]
pub struct RuleText {
    /// The name.
    pub name: &'static str,
    /// The equality.
    pub mathematics: &'static str,
    /// What makes it sound.
    pub conditions: &'static [&'static str],
    /// What makes it worthwhile.
    pub guard: &'static str,
    /// What it does to rounding.
    pub rounding: Rounding,
    /// A worked example, before and after.
    pub example: (&'static str, &'static str),
}

/// Every rule, by its number.
pub fn rules() -> impl ExactSizeIterator<Item = RuleText> {
    rules::RULES.iter().map(|r| RuleText {
        name: r.name,
        mathematics: r.mathematics,
        conditions: r.conditions,
        guard: r.guard,
        rounding: r.rounding,
        example: r.example,
    })
}

/// The name of a rule by its number.
#[must_use]
pub fn rule_name(number: usize) -> &'static str {
    rules::RULES.get(number).map_or("congruence", |r| r.name)
}

/// All forms of a graph that the rules find.
struct Saturated {
    eg: Eg,
    /// The classes of the outputs.
    classes: Vec<Id>,
    /// All outputs that are floats, as one term: what they share is paid for once.
    root: Id,
    /// Their numbers.
    derived: Vec<usize>,
    /// The definition.
    start: import::Choice,
    /// How saturation ended.
    ended: engine::Ended,
}

impl Saturated {
    fn new(graph: &Graph, settings: Settings, length: i64, phase: Phase, explained: bool) -> Result<Self, Error> {
        Self::by(graph, settings, length, explained, |r| r.phase <= phase)
    }

    /// By some rules.
    fn by(
        graph: &Graph,
        settings: Settings,
        length: i64,
        explained: bool,
        uses: impl Fn(&rules::Rule) -> bool,
    ) -> Result<Self, Error> {
        let canon = Canon::resume(graph.clone(), settings);
        let mut eg = Eg::new(Workshop::new(canon, length));
        if explained {
            eg = eg.with_explanations_enabled();
        }
        let outputs: Vec<NodeId> = graph.outputs.iter().map(|o| o.node).collect();
        let classes = import::import(&mut eg, &outputs)?;
        eg.rebuild();
        let derived: Vec<usize> = (0..classes.len()).filter(|&n| eg[classes[n]].data.dtype.is_float()).collect();
        let roots: Vec<Id> = derived.iter().map(|&n| classes[n]).collect();
        let root = eg.add_uncanonical(Term::new(Head::Outputs, &roots));
        eg.rebuild();
        let start: import::Choice = extract::classes(&eg).into_iter().map(|id| (id, eg[id].nodes[0].clone())).collect();
        let ended = engine::saturate_by(&mut eg, uses)?;
        let found = |eg: &Eg, (id, mut t): (Id, Term)| {
            for a in &mut t.args {
                *a = eg.find(*a);
            }
            (eg.find(id), t)
        };
        let start = start.into_iter().map(|e| found(&eg, e)).collect();
        Ok(Self { eg, classes, root, derived, start, ended })
    }
}

/// What grows with less than this power of time is linear in it; the rest is how points are counted.
const LINEAR: f64 = 1.1;

/// The cheapest form with blocks of one length, and whether a rule made blocks at all.
fn with_blocks(graph: &Graph, settings: Settings, length: i64, options: &Options) -> Result<(Rewritten, bool), Error> {
    let uses = |r: &rules::Rule| r.phase <= options.phase && options.without != Some(r.name);
    let Saturated { mut eg, classes, root, start, ended, .. } = Saturated::by(graph, settings, length, false, uses)?;
    let mut notes = vec![ended.note];
    let blocked = eg.analysis.has_blocks();
    let before = cost::Cost::new(&eg, options.at).total(&start, root);
    let extract::Extracted { choice, price: after, proven } = extract::extract(&eg, root, &start, options.at);
    let grows = extract::Degree::new(&eg, root);
    let degree = (grows.of(&start), grows.of(&choice));
    notes.push(format!(
        "length {length}: cost {before:.3e} -> {after:.3e}, degree in time {:.2} -> {:.2}{}",
        degree.0,
        degree.1,
        if proven { ", the cheapest of all" } else { "" }
    ));
    for (n, o) in graph.outputs.iter().enumerate() {
        let own = extract::Degree::new(&eg, classes[n]).of(&choice);
        if own > LINEAR {
            notes.push(format!("{}: degree in time {own:.2}", o.name));
        }
    }
    let carries = |id: &Id| matches!(choice.get(id), Some(Term { head: Head::Scan { .. }, .. }));
    let blocks = extract::reachable(&eg, &choice, root).iter().any(carries).then_some(length);
    let mut export = import::Export { eg: &mut eg, choice: &choice, memo: FxHashMap::default(), ordered: true };
    let nodes = classes.iter().map(|&c| export.node(c)).collect::<Result<Vec<NodeId>, Error>>()?;
    let mut new = eg.analysis.canon.g.clone();
    for (o, n) in new.outputs.iter_mut().zip(nodes) {
        o.node = n;
    }
    let (new, mut origin) = import::pruned(&new)?;
    // The workshop began as the definition.
    origin.retain(|_, n| n.index() < graph.len());
    new.verify()?;
    let found = Rewritten { graph: new, changed: true, blocks, length, origin, cost: (before, after), degree, notes };
    Ok((found, blocked))
}

#[cfg(test)]
mod tests;
