//! The canonicaliser: a deterministic pass from a definition to the form that scheduling reads.
//!
//! It is mandatory, not an optimisation: hoisting row factors out of sums is what makes a softmax times values one pass
//! instead of two, and pushed substitutions are what makes equal terms equal.
//!
//! # Canonical form
//!
//! * Integers are affine: `add` of `mul(constant, atom)` and a constant, in canonical order; quotients and remainders by
//!   constants have multiples of the divisor taken out.
//! * Integer comparisons are `le(0, form)`, `eq(form, 0)` or `ne(form, 0)`, the coefficients without common divisor.
//!   `not` stands only before atoms without such a form (comparisons of floats, inputs).
//! * There is no subtraction, negation, division or float `select`: `a - b` is `a + (-1) b`, `a / b` is `a * inv(b)`, and
//!   `if c then a else b` is `[c] a + [not c] b`.
//! * Products are flat `ein` nodes: one constant, guards without conjunctions, sorted factors. A sum over axes holds only
//!   what mentions them; everything else is hoisted out of it (but see [`sums`]). A sum in a sum stays one, unless both are over short axes and nothing else
//!   is multiplied.
//! * Bound axes have names by domain and depth, so that equal sums are one node.
//! * `sub` stands only before inputs, `prev`, and *row values*: terms over at most one long axis that contain a
//!   reduction, and dear functions of positions alone (tables). Those will be stored, and the substitution is the index
//!   map of the read. It is pushed through all else.
//! * Membership in the best `K` by scores that depend on the row is membership in a stored list ([`members`]).
//! * `stop` is its operand, `ste` its value: gradients are taken before this pass.
//!
//! # Long and short axes
//!
//! An axis is *long* if its extent grows with a runtime extent that some axis of the layer is reduced, reread or ordered
//! over: time, what is derived from it, and runtime extents that more than one axis shares. A batch is not.

mod axes;
mod bools;
mod colours;
mod defined;
mod fingerprint;
mod floats;
mod ints;
mod members;
mod rebuild;
mod reused;
mod signs;
pub mod sums;

use crate::canon::colours::Colours;
use crate::canon::defined::Needs;
use crate::canon::fingerprint::Fingerprints;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::Cell;
use weft_ir::DType;
use weft_ir::graph::{AxisId, DomainId, Error, Extent, Graph, MapFn, NodeId, Op, Output, RecDecl, RecId, Role};

pub use axes::is_long_domain;
pub use ints::IntForm;

/// Settings of the pass.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What the type parameter `float` is.
    pub float: DType,
}

/// Brings a graph into canonical form.
///
/// # Errors
/// Only for graphs that do not verify.
pub fn canonicalise(graph: &Graph, settings: Settings) -> Result<Graph, Error> {
    graph.verify()?;
    let first = Canon::of(graph, settings, None)?;
    // Where shapes alone give an order, colours would not change it.
    let canon = if first.tied.get() { first.coloured(graph)? } else { first };
    canon.g.verify()?;
    Ok(canon.g)
}

/// What is somewhere in a term.
#[derive(Clone, Default, Debug)]
struct Contents {
    /// A reduction, recurrence or decision.
    reduction: bool,
    /// A reduction over a long axis, or a recurrence.
    long_reduction: bool,
    /// An input or a recurrence.
    data: bool,
    /// In the value itself, something of a set that may be empty, and is then undefined.
    partial: bool,
    /// In the value itself, something that may be undefined or infinite ([`defined`]).
    risky: bool,
    /// Positions that must be on these domains for the value to be defined.
    needs: Needs,
}

impl Contents {
    fn join(self, other: &Self) -> Self {
        Self {
            reduction: self.reduction || other.reduction,
            long_reduction: self.long_reduction || other.long_reduction,
            data: self.data || other.data,
            partial: self.partial || other.partial,
            risky: false,
            needs: Needs::new(),
        }
    }
}

/// The graph being made, with what its smart constructors need. Axes and domains keep the ids that they have in the
/// source graph; canonical bound axes come after them.
pub struct Canon {
    /// The graph being made.
    pub g: Graph,
    settings: Settings,
    prints: Fingerprints,
    /// Depth of binders in a node, by id.
    depth: Vec<u32>,
    /// What nodes contain, by id.
    contents: Vec<Contents>,
    long: Vec<bool>,
    bound: FxHashMap<(DomainId, u32, u32), AxisId>,
    recs: FxHashMap<RecId, RecId>,
    /// Axes of the lists of selections, by the position of the last rank.
    ranks: FxHashMap<NodeId, AxisId>,
    /// Colours of recurrences of the source, for when they are imported.
    rec_colours: FxHashMap<RecId, u64>,
    /// Comparisons of integer terms with 0 that were made.
    comparisons: FxHashMap<NodeId, NodeId>,
    /// Was an order decided by age?
    tied: Cell<bool>,
    /// Are sums looked for in another form ([`reused`])?
    reuses: bool,
    /// Is a form being tried ([`reused`])?
    trial: bool,
    /// Nodes that were made on trial only.
    tried: FxHashSet<NodeId>,
    /// Substitutions do not stop at row values: all that will be stored already is.
    pub(crate) inline: bool,
}

impl Canon {
    /// The canonical form of a graph.
    fn of(graph: &Graph, settings: Settings, colours: Option<(Colours, FxHashMap<RecId, u64>)>) -> Result<Self, Error> {
        let mut canon = Self::new(graph, settings);
        canon.reuses = true;
        if let Some((colours, recs)) = colours {
            canon.prints = Fingerprints::new(Some(colours));
            canon.rec_colours = recs;
        }
        let mut memo = FxHashMap::default();
        for out in &graph.outputs {
            let node = canon.import(graph, out.node, &mut memo)?;
            let dtype = canon.resolve(out.dtype);
            canon.g.outputs.push(Output { name: out.name.clone(), axes: out.axes.clone(), dtype, node });
        }
        Ok(canon)
    }

    /// The same, with ties broken by the colours that this form gives.
    fn coloured(&self, graph: &Graph) -> Result<Self, Error> {
        let mut colours = Colours::of(&self.g);
        // Bound axes and recurrences may be made in another order.
        colours.axes.truncate(graph.axes().len());
        let recs = self.recs.iter().map(|(&from, to)| (from, colours.recs[to.index()])).collect();
        colours.recs.clear();
        Self::of(graph, self.settings, Some((colours, recs)))
    }

    /// An empty graph over the axes, domains and inputs of `source`.
    #[must_use]
    pub fn new(source: &Graph, settings: Settings) -> Self {
        let mut g = Graph::new(&source.name);
        for d in source.domains() {
            g.add_domain(&d.name, d.extent, d.role);
        }
        for a in source.axes() {
            g.add_axis(&a.name, a.domain);
        }
        for i in source.inputs() {
            let mut i = i.clone();
            i.dtype = if i.dtype == DType::Float { settings.float } else { i.dtype };
            g.add_input(i);
        }
        let long = (0..g.domains().len() as u32).map(|d| is_long_domain(source, DomainId(d))).collect();
        Self {
            prints: Fingerprints::new(None),
            g,
            settings,
            depth: Vec::new(),
            contents: Vec::new(),
            long,
            bound: FxHashMap::default(),
            recs: FxHashMap::default(),
            ranks: FxHashMap::default(),
            rec_colours: FxHashMap::default(),
            comparisons: FxHashMap::default(),
            tied: Cell::new(false),
            reuses: false,
            trial: false,
            tried: FxHashSet::default(),
            inline: false,
        }
    }

    /// Continues from a canonical graph, to make further canonical terms in it.
    #[must_use]
    pub fn resume(graph: Graph, settings: Settings) -> Self {
        let long = (0..graph.domains().len() as u32).map(|d| is_long_domain(&graph, DomainId(d))).collect();
        let mut canon = Self {
            prints: Fingerprints::new(Some(Colours::of(&graph))),
            g: graph,
            settings,
            depth: Vec::new(),
            contents: Vec::new(),
            long,
            bound: FxHashMap::default(),
            recs: FxHashMap::default(),
            ranks: FxHashMap::default(),
            rec_colours: FxHashMap::default(),
            comparisons: FxHashMap::default(),
            tied: Cell::new(false),
            reuses: false,
            trial: false,
            tried: FxHashSet::default(),
            inline: false,
        };
        canon.catch_up();
        canon
    }

    /// What a type is when the type parameter is known.
    #[must_use]
    pub fn concrete(&self, dtype: DType) -> DType {
        self.resolve(dtype)
    }

    fn resolve(&self, dtype: DType) -> DType {
        if dtype == DType::Float { self.settings.float } else { dtype }
    }

    /// Adds a domain to the graph.
    pub fn add_domain(&mut self, name: &str, extent: Extent) -> DomainId {
        let domain = self.g.add_domain(name, extent, Role::Plain);
        self.long.push(is_long_domain(&self.g, domain));
        domain
    }

    /// Declares a recurrence.
    pub fn add_rec(&mut self, rec: RecDecl) -> RecId {
        self.prints.add_rec(None);
        self.g.add_rec(rec)
    }

    /// A name that no domain, axis or recurrence has.
    #[must_use]
    pub fn unused_name(&self, wanted: &str) -> String {
        let g = &self.g;
        let taken = |name: &str| {
            g.domains().iter().any(|d| &*d.name == name)
                || g.axes().iter().any(|a| &*a.name == name)
                || g.recs().iter().any(|r| &*r.name == name)
        };
        let mut name = wanted.to_owned();
        let mut n = 1;
        while taken(&name) {
            n += 1;
            name = format!("{wanted}{n}");
        }
        name
    }

    /// An integer as a float.
    ///
    /// # Errors
    /// Only for terms that are no numbers.
    pub fn float_of(&mut self, x: NodeId) -> Result<NodeId, Error> {
        self.make(&Op::Cast(self.settings.float), &[x])
    }

    /// Makes a node as it stands and keeps the side tables in step.
    pub(crate) fn raw(&mut self, op: Op, args: &[NodeId]) -> Result<NodeId, Error> {
        let id = self.g.add(op, args)?;
        if !self.trial && !self.tried.is_empty() {
            self.tried.remove(&id);
        }
        self.catch_up();
        Ok(id)
    }

    fn catch_up(&mut self) {
        for n in self.depth.len()..self.g.len() {
            let id = NodeId(n as u32);
            let op = self.g.op(id);
            let inner = self.g.args(id).iter().map(|a| self.depth[a.index()]).max().unwrap_or(0);
            self.depth.push(inner + u32::from(op.is_reduction()));
            let below =
                self.g.args(id).iter().map(|a| &self.contents[a.index()]).fold(Contents::default(), Contents::join);
            let reduces = op.is_reduction() || matches!(op, Op::Rec(_));
            let long = matches!(op, Op::Rec(_)) || op.bound().iter().any(|&a| self.is_long(a));
            let (risky, needs) = self.risk(id);
            self.contents.push(Contents {
                reduction: below.reduction || reduces,
                long_reduction: below.long_reduction || (reduces && long),
                data: below.data || matches!(op, Op::Input(_) | Op::Prev(_) | Op::Rec(_)),
                partial: self.is_partial(id),
                risky,
                needs,
            });
            self.prints.push(&self.g, id);
        }
    }

    /// What stands under a guard, and what only decides something, makes nothing undefined.
    fn is_partial(&self, id: NodeId) -> bool {
        let of = |args: &[NodeId]| args.iter().any(|a| self.contents[a.index()].partial);
        let op = self.g.op(id);
        match op {
            Op::Threshold { .. } | Op::KthValue { .. } | Op::KthIndex { .. } => true,
            Op::Ein { .. } => of(self.g.operands(id)),
            _ if self.g.dtype(id) == DType::Bool => false,
            _ => of(self.g.args(id)),
        }
    }

    /// May a term be undefined because there is nothing that it is taken of, or because it is nowhere, or infinite?
    #[must_use]
    pub(crate) fn may_be_undefined(&self, id: NodeId) -> bool {
        let c = &self.contents[id.index()];
        c.partial || c.risky || !c.needs.is_empty()
    }

    /// Does the extent of an axis grow with time?
    #[must_use]
    pub fn is_long(&self, axis: AxisId) -> bool {
        self.long.get(self.g.axis(axis).domain.index()).copied().unwrap_or(false)
    }

    /// Does a term contain a reduction, a recurrence or a decision?
    #[must_use]
    pub fn is_heavy(&self, id: NodeId) -> bool {
        self.contents[id.index()].reduction
    }

    /// Does a term contain a reduction over a long axis, or a recurrence?
    #[must_use]
    pub fn has_long_reduction(&self, id: NodeId) -> bool {
        self.contents[id.index()].long_reduction
    }

    /// Does the extent of a domain grow with time?
    #[must_use]
    pub fn is_long_domain(&self, domain: DomainId) -> bool {
        self.long.get(domain.index()).copied().unwrap_or(false)
    }

    /// Long free axes of a term.
    #[must_use]
    pub fn long_axes(&self, id: NodeId) -> Vec<AxisId> {
        self.g.free(id).iter().filter(|&a| self.is_long(a)).collect()
    }

    /// A term over at most one long axis with a reduction in it: it will be stored if it is read elsewhere.
    #[must_use]
    pub fn is_row_value(&self, id: NodeId) -> bool {
        self.is_heavy(id) && self.long_axes(id).len() <= 1
    }

    /// Does a term depend on positions and constants only?
    #[must_use]
    pub fn is_data_free(&self, id: NodeId) -> bool {
        !self.contents[id.index()].data
    }

    /// A dear function of positions alone, over at most one long axis: it will be stored as a table, and computed in float64.
    #[must_use]
    pub fn is_table(&self, id: NodeId) -> bool {
        let dear = matches!(self.g.op(id), Op::Map(MapFn::Sin | MapFn::Cos | MapFn::Pow | MapFn::Tanh));
        dear && self.is_data_free(id) && !self.g.free(id).is_empty() && self.long_axes(id).len() <= 1
    }

    /// Canonical form of a node of another graph with the same axes.
    fn import(&mut self, from: &Graph, id: NodeId, memo: &mut FxHashMap<NodeId, NodeId>) -> Result<NodeId, Error> {
        if let Some(&done) = memo.get(&id) {
            return Ok(done);
        }
        // Operands have smaller ids: visiting in order of id needs no recursion, and so no stack.
        let mut needed = vec![id];
        let mut order = Vec::new();
        while let Some(n) = needed.pop() {
            if !memo.contains_key(&n) && !order.contains(&n) {
                order.push(n);
                needed.extend(from.args(n));
            }
        }
        order.sort_unstable();
        for n in order {
            let args: Vec<NodeId> = from.args(n).iter().map(|a| memo[a]).collect();
            let op = match from.op(n) {
                Op::Rec(r) => Op::Rec(self.import_rec(from, *r)),
                Op::Prev(r) => Op::Prev(self.import_rec(from, *r)),
                Op::Cast(t) => Op::Cast(self.resolve(*t)),
                other => other.clone(),
            };
            let made = match (self.with_members(from, n, memo)?, from.op(n)) {
                (Some(all), Op::Map(_)) => all[0],
                (Some(args), _) => self.make(&op, &args)?,
                (None, _) => self.make(&op, &args)?,
            };
            if let Op::KthValue { axis, guards } = self.g.op(made).clone() {
                // The other half of the pair exists, so that a run can say which member it took: a value alone cannot.
                let args = self.g.args(made).to_vec();
                self.raw(Op::KthIndex { axis, guards }, &args)?;
            }
            if let Some(label) = from.label(n) {
                self.g.set_label(made, label);
            }
            memo.insert(n, made);
        }
        Ok(memo[&id])
    }

    fn import_rec(&mut self, from: &Graph, rec: RecId) -> RecId {
        if let Some(&r) = self.recs.get(&rec) {
            return r;
        }
        let RecDecl { name, time, state, dtype, reverse } = from.rec(rec).clone();
        let dtype = self.resolve(dtype);
        let made = self.g.add_rec(RecDecl { name, time, state, dtype, reverse });
        self.recs.insert(rec, made);
        self.prints.add_rec(self.rec_colours.get(&rec).copied());
        made
    }
}

#[cfg(test)]
mod tests;
