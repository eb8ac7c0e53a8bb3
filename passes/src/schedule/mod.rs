//! Scheduling: from a canonical graph to a plan of kernels over tiles.
//!
//! No layer, no softmax and no kind of mask is named anywhere below. What is there:
//!
//! 1. **Stored values** ([`store`]). Every output is stored. Going down from a stored term, a *row value* (a term with a
//!    reduction in it, over at most one long axis) is stored too where it is read at other positions, inside a
//!    streamed sum, under another contraction, or where it is a long sum, a recurrence or a decision of its own. Each
//!    stored value is one kernel, computed at the home axes of its domains; equal values are stored once.
//!    A state that is summed away is not stored: what is made of it is ([`walks`]).
//! 2. **Kinds of kernels** follow from what is left in the term: sums over a long axis stream it ([`stream`]); a recurrence is
//!    walked chunk by chunk or in order ([`recurrence`]); ranks and thresholds over a long axis are a streaming pass
//!    ([`select`]); everything else works row tile by row tile ([`rows`]).
//! 3. **Streams** ([`cases`]): the guards of a streamed sum are split into disjoint conjunctions; a congruence becomes a
//!    strided loop, an equation a single point, membership in a list a gather, the rest a dense range. Loop bounds are projections of the affine
//!    guards onto the loop's axis ([`ranges`]): this is all there is to causality, windows and chunk ends.
//! 4. **Scales** ([`scales`]): every value is a mantissa times exp(scale). Sums of exponentials get a running maximum where their
//!    scale has no upper bound; online softmax, several streams under one maximum and stored log-sum-exps
//!    follow from the algebra.
//! 5. **Tile code** ([`emit`]): terms become kernel IR over tiles; what a loop does not change is computed before it.
//!
//! A term over two long axes that would have to be stored is refused with the path to it ([`Error::Quadratic`]).

mod argmax;
mod cases;
mod cut;
mod emit;
mod exprs;
mod finite;
mod growing;
mod identity;
mod kept_scales;
mod mass;
mod maxima;
mod order;
mod pins;
mod products;
mod ranges;
mod recurrence;
mod reuse;
mod rows;
mod scales;
mod scatter;
mod select;
mod store;
mod stream;
mod threshold;
mod tiles;
mod walks;

use crate::canon::{Canon, Settings};
use crate::lower::Target;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;
use weft_ir::graph::{self, AxisId, DomainId, Graph, InputId, NodeId, Op};
use weft_ir::kernel::{BufferId, BuildError, ExtentId, Plan, Role};

/// What the scheduler may do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Tile extents of all kernels; without any, the cost model chooses for each.
    pub tiles: Option<Tiles>,
    /// Store terms over two long axes where nothing else is possible, instead of refusing them.
    pub allow_quadratic_memory: bool,
    /// Choices that are made already.
    pub pins: Pins,
    /// The machine.
    pub target: Target,
}

pub use pins::{PinError, Pins, TilePins};
pub use stream::{Walked, Way};
pub use tiles::Tiles;

/// Why a graph has no schedule.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A term over two long axes would have to be stored.
    #[error("needs memory that grows with the square of the length: {path}")]
    Quadratic {
        /// From the output to the term, in the source's names.
        path: String,
        /// The term in the canonical graph.
        node: NodeId,
    },
    /// A term that no kernel kind computes.
    #[error("cannot schedule {what}")]
    Unsupported {
        /// The term and what about it.
        what: String,
        /// The term in the canonical graph.
        node: NodeId,
    },
    /// A pinned choice about a kernel that there is not.
    #[error("the schedule file speaks of a kernel `{name}`; there are {known}")]
    UnknownKernel {
        /// The name.
        name: String,
        /// The kernels, in order.
        known: String,
    },
    /// A bug: the scheduler made a faulty graph term.
    #[error(transparent)]
    Graph(#[from] graph::Error),
    /// A bug: the scheduler made a faulty kernel.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// A plan, and how it came about.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The plan.
    pub plan: Plan,
    /// One line for each choice, in order.
    pub notes: Vec<String>,
    /// The loops over positions of kernels that sum over long axes.
    pub walked: Vec<Walked>,
    /// Stored decisions, in the order in which they are made.
    pub decisions: Vec<Decision>,
    /// Stored values along time that ranks are taken of: whoever compares two runs needs them, since near a rank two roundings of a score
    /// decide otherwise.
    pub scores: Vec<Decision>,
    /// The buffers of the layer's outputs, in their order. (Inputs are the first buffers. Names may differ from the layer's, which
    /// may have words of the text form.)
    pub outputs: Vec<BufferId>,
    /// The canonical graph with the terms that scheduling added. Inputs that stand for stored values come behind the layer's own,
    /// under names of their own; no output reads them.
    pub graph: Graph,
    /// The choices that a schedule file can pin, as they were made.
    pub choices: Pins,
}

/// A decision in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The term that decides, in [`Scheduled::graph`].
    pub node: NodeId,
    /// Where its values are.
    pub buffer: BufferId,
    /// The axis of the term along each dimension of the buffer.
    pub axes: Vec<AxisId>,
}

/// A value in memory, standing for an input of the working graph.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) buffer: BufferId,
    /// Axes of the dimensions, at home.
    pub(crate) axes: Vec<AxisId>,
}

/// A value under way: its name, and whether that is the source's.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) defined: bool,
}

/// The state of one scheduling.
pub(crate) struct Scheduler {
    pub(crate) c: Canon,
    pub(crate) plan: Plan,
    pub(crate) options: Options,
    /// Tile extents of the kernel that is being made.
    pub(crate) tiles: Tiles,
    /// Choices so far.
    pub(crate) choices: Pins,
    pub(crate) notes: Vec<String>,
    pub(crate) walked: Vec<Walked>,
    /// Axes in the order of the memory that terms read.
    pub(crate) orders: RefCell<FxHashMap<NodeId, Vec<AxisId>>>,
    pub(crate) decisions: Vec<Decision>,
    /// As in [`Scheduled`].
    pub(crate) scores: Vec<Decision>,
    /// Buffers of outputs that are stored, by name.
    pub(crate) outputs: Vec<(Box<str>, BufferId)>,
    /// Inputs of the working graph that stand for buffers.
    pub(crate) memory: FxHashMap<InputId, Memory>,
    /// Stored values at home axes: the term that reads them.
    pub(crate) stored: FxHashMap<NodeId, NodeId>,
    /// Shared terms that the kernel which is being cut may store as well.
    pub(crate) beside: Vec<(NodeId, NodeId)>,
    /// Stored products: their factors, and the term, at home axes.
    pub(crate) products: Vec<(Vec<NodeId>, NodeId)>,
    /// Runtime extents, and whether they are ragged.
    pub(crate) extents: FxHashMap<DomainId, (ExtentId, bool)>,
    /// What is known of stored values: whether they may be infinite, and a bound.
    pub(crate) known: FxHashMap<InputId, finite::Known>,
    /// Buffers that hold the scales of stored values.
    pub(crate) scales: FxHashSet<InputId>,
    /// Maxima in memory.
    maxima: Vec<maxima::Maximum>,
    /// Stored values that never fall along an axis.
    rising: Vec<(InputId, AxisId)>,
    /// Conditions that only end loops, and the terms that read the ends.
    ends: FxHashMap<NodeId, NodeId>,
    /// Is the end of a stream being stored?
    is_leaving: bool,
    /// Axes that count the steps of strided loops, by streamed axis.
    pub(crate) steps: FxHashMap<AxisId, AxisId>,
    /// Axes that walk shared lists of members, by length.
    pub(crate) settled_axes: FxHashMap<i64, AxisId>,
    /// Axes that walk lists of positions: by streamed axis, entries, and positions of an entry.
    pub(crate) lists: FxHashMap<(AxisId, i64, i64), AxisId>,
    /// Axes that stand at the first row of a tile, by rows.
    pub(crate) starts: FxHashMap<AxisId, AxisId>,
    /// Selections whose members are stored for every so-manieth row.
    pub(crate) settled: Vec<select::Settled>,
    /// How many terms of the canonical graph read a term.
    pub(crate) readers: FxHashMap<NodeId, usize>,
    /// Recurrences that are read at other times, and so are stored.
    pub(crate) kept: FxHashSet<graph::RecId>,
    /// What is known of the states in terms.
    pub(crate) states: FxHashMap<NodeId, walks::States>,
    /// Names of values under way, from the output inwards, for error paths.
    pub(crate) path: Vec<Step>,
    /// Keys of terms, by id.
    pub(crate) keys: Vec<identity::Key>,
    /// Keys of terms at their home axes, as far as they were asked for.
    pub(crate) home_keys: FxHashMap<NodeId, identity::Key>,
    /// Which short axes the layer's own memory has outside which.
    pub(crate) votes: order::Votes,
    /// What several kernels need.
    pub(crate) reuse: reuse::Reuse,
}

/// Schedules a canonical graph.
///
/// # Errors
/// [`Error::Quadratic`] and [`Error::Unsupported`] for graphs that it cannot do, [`Error::UnknownKernel`] for pinned choices that
/// do not fit; the others are bugs.
pub fn schedule(graph: &Graph, settings: Settings, options: &Options) -> Result<Scheduled, Error> {
    let (first, reuse) = rounds(graph, settings, options)?;
    let mut pins = options.pins.clone();
    let made = if options.tiles.is_some() {
        first
    } else {
        // What is stored does not depend on tiles, so one round each will do.
        let once = |o: &Options| Ok(round(graph.clone(), settings, o, reuse.clone())?.finish());
        let mut chosen = tiles::choose(options, first, once);
        for (kernel, pinned) in &pins.tiles {
            if let Some(own) = chosen.tiles.get_mut(kernel) {
                *own = pinned.or(own.or(Tiles::default())).into();
            }
        }
        // A pin of an unknown kernel stays, to be refused below.
        pins.tiles.extend(chosen.tiles);
        once(&Options { pins: pins.clone(), ..options.clone() })?
    };
    match pins.tiles.keys().find(|&k| !made.plan.kernels.iter().any(|made| made.name == *k)) {
        None => Ok(made),
        Some(name) => {
            let known: Vec<String> = made.plan.kernels.iter().map(|k| format!("`{}`", k.name)).collect();
            Err(Error::UnknownKernel { name: name.clone(), known: known.join(", ") })
        }
    }
}

/// Rounds of scheduling until nothing is computed twice; gives also what the last one started from.
fn rounds(graph: &Graph, settings: Settings, options: &Options) -> Result<(Scheduled, reuse::Reuse), Error> {
    let mut reuse = reuse::Reuse::default();
    for _ in 1..reuse::ROUNDS {
        let s = round(graph.clone(), settings, options, reuse.clone())?;
        match s.reuse.clone().next() {
            Some(next) => reuse = next,
            None => return Ok((s.finish(), reuse)),
        }
    }
    Ok((round(graph.clone(), settings, options, reuse.clone())?.finish(), reuse))
}

/// Schedules once, with what earlier rounds found out.
fn round(graph: Graph, settings: Settings, options: &Options, reuse: reuse::Reuse) -> Result<Scheduler, Error> {
    // An output that another one reads comes first: then it is stored once, as the output. (Operands are older than their users.)
    let mut outputs = graph.outputs.clone();
    outputs.sort_by_key(|o| o.node);
    let mut readers: FxHashMap<NodeId, usize> = FxHashMap::default();
    for id in graph.reachable() {
        for &a in graph.args(id) {
            *readers.entry(a).or_insert(0) += 1;
        }
    }
    let kept = walks::kept(&graph);
    let mut s = Scheduler {
        plan: Plan::new(&graph.name),
        c: Canon::resume(graph, settings),
        options: options.clone(),
        tiles: options.tiles.unwrap_or_default(),
        choices: Pins::default(),
        notes: Vec::new(),
        walked: Vec::new(),
        orders: RefCell::default(),
        decisions: Vec::new(),
        scores: Vec::new(),
        outputs: Vec::new(),
        memory: FxHashMap::default(),
        stored: FxHashMap::default(),
        beside: Vec::new(),
        products: Vec::new(),
        extents: FxHashMap::default(),
        known: FxHashMap::default(),
        scales: FxHashSet::default(),
        maxima: Vec::new(),
        rising: Vec::new(),
        ends: FxHashMap::default(),
        is_leaving: false,
        steps: FxHashMap::default(),
        lists: FxHashMap::default(),
        settled_axes: FxHashMap::default(),
        starts: FxHashMap::default(),
        settled: Vec::new(),
        readers,
        kept,
        states: FxHashMap::default(),
        path: Vec::new(),
        keys: Vec::new(),
        home_keys: FxHashMap::default(),
        votes: order::Votes::default(),
        reuse,
    };
    s.count_votes();
    s.declare_extents();
    s.declare_inputs()?;
    s.share_scores()?;
    for out in outputs {
        s.path = vec![Step { name: out.name.to_string(), defined: true }];
        s.output(&out)?;
    }
    s.keep_scores()?;
    Ok(s)
}

impl Scheduler {
    fn finish(mut self) -> Scheduled {
        self.name_inputs_apart();
        let buffer = |o: &graph::Output| self.outputs.iter().find(|(name, _)| *name == o.name).map(|(_, b)| *b);
        Scheduled {
            outputs: self.c.g.outputs.iter().filter_map(buffer).collect(),
            plan: self.plan,
            notes: self.notes,
            walked: self.walked,
            decisions: self.decisions,
            scores: self.scores,
            graph: self.c.g,
            choices: self.choices,
        }
    }

    /// Gives inputs that stand for stored values names that no other input has: stored values may be called alike.
    fn name_inputs_apart(&mut self) {
        let mut taken: FxHashSet<Box<str>> = FxHashSet::default();
        for n in 0..self.c.g.inputs().len() as u32 {
            let id = InputId(n);
            let own = self.c.g.input(id).name.clone();
            let mut name = own.clone();
            let mut number = 1;
            while !taken.insert(name.clone()) {
                number += 1;
                name = format!("{own}#{number}").into();
            }
            if name != own {
                self.c.g.rename_input(id, &name);
            }
        }
    }

    /// A decision whose values the memory behind an input holds.
    pub(crate) fn decide(&mut self, node: NodeId, input: InputId) {
        let Memory { buffer, axes } = self.memory[&input].clone();
        self.decisions.push(Decision { node, buffer, axes });
    }

    /// Stored scores of one long axis stay in memory as long as what was decided about them.
    fn keep_scores(&mut self) -> Result<(), Error> {
        for n in 0..self.decisions.len() {
            let node = self.decisions[n].node;
            if !matches!(self.c.g.op(node), Op::KthValue { .. } | Op::KthIndex { .. }) {
                continue;
            }
            let Some(&score) = self.c.g.operands(node).first() else { continue };
            let (home, _) = self.at_home(score)?;
            let Some(&read) = self.stored.get(&home) else { continue };
            let Op::Input(input) = *self.c.g.op(read) else { continue };
            let long = self.c.g.free(home).iter().filter(|&a| self.c.is_long(a)).count();
            let Some(Memory { buffer, axes }) = self.memory.get(&input).cloned() else { continue };
            if long > 1 || self.scores.iter().any(|s| s.buffer == buffer) {
                continue;
            }
            let kept = &mut self.plan.buffers[buffer.index()];
            if kept.role == Role::Temp {
                kept.role = Role::Decision;
            }
            if kept.role == Role::Decision {
                self.scores.push(Decision { node: home, buffer, axes: axes.clone() });
                self.note_copies(home, buffer, &axes)?;
            }
        }
        Ok(())
    }

    /// The same scores under other names of their axes: light ones are terms of their own there.
    fn note_copies(&mut self, home: NodeId, buffer: BufferId, axes: &[AxisId]) -> Result<(), Error> {
        let rank = self.c.g.free(home).iter().count();
        for id in self.c.g.reachable() {
            let bound = matches!(self.c.g.op(id), Op::Sub { .. } | Op::Input(_));
            if id == home || bound || self.c.g.op(id) != self.c.g.op(home) || self.c.g.free(id).iter().count() != rank {
                continue;
            }
            let (other, back) = self.at_home(id)?;
            if other == home {
                let of = |a: &AxisId| back.iter().find(|(to, _)| to == a).map_or(*a, |(_, from)| *from);
                self.scores.push(Decision { node: id, buffer, axes: axes.iter().map(of).collect() });
            }
        }
        Ok(())
    }

    /// A name for a term: its label, or that of the value it is part of with what it does there.
    pub(crate) fn name_of(&self, id: NodeId) -> String {
        let mut at = id;
        loop {
            if let Some(label) = self.c.g.label(at) {
                return label.to_owned();
            }
            match self.c.g.op(at) {
                Op::Sub { .. } => at = self.c.g.args(at)[0],
                op => {
                    let what = match op {
                        Op::Ein { axes, .. } if axes.is_empty() => "product",
                        Op::Ein { .. } => "sum",
                        Op::Map(f) => f.name(),
                        _ => op.name(),
                    };
                    let whole = self.path.iter().rev().find(|p| p.defined);
                    return whole.map_or_else(|| what.to_owned(), |p| format!("{}_{what}", p.name));
                }
            }
        }
    }

    /// The names of the values under way, from the output inwards.
    pub(crate) fn path_text(&self) -> String {
        let names: Vec<&str> = self.path.iter().map(|p| p.name.as_str()).collect();
        format!("out {}", names.join(" <- "))
    }

    pub(crate) fn unsupported<T>(&self, node: NodeId, what: impl Into<String>) -> Result<T, Error> {
        let what = format!("{} (in {})", what.into(), self.path_text());
        Err(Error::Unsupported { what, node })
    }
}

#[cfg(test)]
mod tests;
