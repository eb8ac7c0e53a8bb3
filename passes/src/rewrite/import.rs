//! From the canonical graph into the e-graph, and back.

use super::build;
use super::carried::{Carried, declare};
use super::linear::{Linear, linear, logarithm};
use super::order;
use super::term::{Head, Leaves, Term};
use super::workshop::Eg;
use egg::Id;
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::op::Axes;
use weft_ir::graph::{AxisId, Error, Graph, NodeId, Op};

/// Which nodes rules look into: floats with a long sum in them, floats over pairs of positions, and what reads a table at positions that
/// the data decide. Decisions never: they are taken on what the definition says.
pub(crate) fn interesting(eg: &Eg, graph: &Graph, recurrences: &Recurrences) -> Vec<bool> {
    let w = &eg.analysis;
    // What a recurrence adds is a product, whose factors are looked at one by one.
    let product = |n: NodeId| matches!(graph.op(n), Op::Ein { axes, .. } if axes.is_empty()).then_some(n);
    let added: FxHashSet<NodeId> = recurrences.values().filter_map(|r| product(r.addend)).collect();
    let mut found = vec![false; graph.len()];
    for id in graph.ids() {
        let op = graph.op(id);
        if !graph.dtype(id).is_float() || op.is_decision() {
            continue;
        }
        let long = |axes: &[AxisId]| axes.iter().any(|&a| w.is_long(a));
        let by_data = |n: &NodeId| !w.canon.is_data_free(*n);
        let own = match op {
            Op::Ein { axes, .. } => long(axes),
            Op::Sub { .. } => graph.args(id)[1..].iter().any(by_data),
            _ => false,
        };
        let pairs = graph.free(id).iter().filter(|&a| w.is_long(a)).count() > 1;
        let recurrence = recurrences.contains_key(&id) || added.contains(&id);
        found[id.index()] = own || pairs || recurrence || graph.args(id).iter().any(|a| found[a.index()]);
    }
    found
}

/// The class of a term of the canonical graph.
///
/// Bound axes get names that are not canonical. Canonical names are by depth, which protects them from capture as long as terms keep
/// their nesting; rules do not keep it.
pub(crate) fn import(eg: &mut Eg, roots: &[NodeId]) -> Result<Vec<Id>, Error> {
    let recurrences = recurrences(eg, roots)?;
    let graph = eg.analysis.canon.g.clone();
    let interesting = interesting(eg, &graph, &recurrences);
    let below = |n: NodeId| match recurrences.get(&n) {
        _ if !interesting[n.index()] => Vec::new(),
        Some(r) => [Some(r.addend), r.kept].into_iter().flatten().collect(),
        None => graph.args(n).to_vec(),
    };
    // What a term is made of comes before it.
    let mut order: Vec<NodeId> = Vec::new();
    let mut seen = FxHashSet::default();
    let mut open: Vec<(NodeId, bool)> = roots.iter().map(|&n| (n, false)).collect();
    while let Some((n, done)) = open.pop() {
        if done {
            order.push(n);
        } else if seen.insert(n) {
            open.push((n, true));
            open.extend(below(n).into_iter().map(|a| (a, false)));
        }
    }
    let mut names: Vec<(AxisId, AxisId)> = Vec::new();
    for &n in order.iter().filter(|n| interesting[n.index()]) {
        for &a in graph.op(n).bound() {
            if is_canonical(&graph, a) && !names.iter().any(|p| p.0 == a) {
                names.push((a, eg.analysis.renamed(a)));
            }
        }
    }
    let mut positions = Vec::with_capacity(names.len());
    for &(from, to) in &names {
        positions.push((from, eg.analysis.index(to)?));
    }
    let mut importer = Importer { graph: &graph, recurrences, names, positions, memo: FxHashMap::default() };
    for n in order {
        let id = if interesting[n.index()] { importer.node(eg, n)? } else { importer.leaf(eg, n)? };
        importer.memo.insert(n, id);
    }
    Ok(roots.iter().map(|r| importer.memo[r]).collect())
}

/// Linear recurrences.
pub(crate) type Recurrences = FxHashMap<NodeId, Linear>;

/// The linear recurrences that outputs need, if what they keep is a decay, or everything.
fn recurrences(eg: &mut Eg, roots: &[NodeId]) -> Result<Recurrences, Error> {
    let mut found = Recurrences::default();
    let mut seen = FxHashSet::default();
    let mut stack = roots.to_vec();
    while let Some(n) = stack.pop() {
        if !seen.insert(n) {
            continue;
        }
        stack.extend(eg.analysis.canon.g.args(n));
        let Some(l) = linear(&mut eg.analysis, n)? else { continue };
        let decays = match l.kept {
            Some(k) => logarithm(&mut eg.analysis.canon, k)?.is_some(),
            None => true,
        };
        if decays {
            // Where it is chosen, it is the recurrence that was written.
            let args = [Some(l.addend), l.kept].into_iter().flatten().collect();
            eg.analysis.carried.insert((l.time, l.reverse, args), n);
            found.insert(n, l);
        }
    }
    Ok(found)
}

/// Is an axis one that canonical sums bind?
fn is_canonical(graph: &Graph, axis: AxisId) -> bool {
    graph.axis(axis).name.contains('\'')
}

struct Importer<'g> {
    graph: &'g Graph,
    recurrences: Recurrences,
    /// Other names of canonical bound axes.
    names: Vec<(AxisId, AxisId)>,
    /// The same as positions.
    positions: Vec<(AxisId, NodeId)>,
    memo: FxHashMap<NodeId, Id>,
}

impl Importer<'_> {
    fn leaf(&self, eg: &mut Eg, n: NodeId) -> Result<Id, Error> {
        let n = self.renamed(eg, n)?;
        Ok(build::leaf(eg, n))
    }

    fn renamed(&self, eg: &mut Eg, n: NodeId) -> Result<NodeId, Error> {
        eg.analysis.canon.substitute(n, &self.positions)
    }

    fn all_renamed(&self, eg: &mut Eg, ns: &[NodeId]) -> Result<Leaves, Error> {
        ns.iter().map(|&n| self.renamed(eg, n)).collect()
    }

    fn axis(&self, a: AxisId) -> AxisId {
        self.names.iter().find(|p| p.0 == a).map_or(a, |p| p.1)
    }

    fn axes(&self, axes: &[AxisId]) -> Axes {
        let mut all: Vec<AxisId> = axes.iter().map(|&a| self.axis(a)).collect();
        all.sort_unstable();
        all.into()
    }

    fn class(&self, ns: &[NodeId]) -> Vec<Id> {
        ns.iter().map(|a| self.memo[a]).collect()
    }

    fn node(&self, eg: &mut Eg, n: NodeId) -> Result<Id, Error> {
        let graph = self.graph;
        let term = match graph.op(n) {
            Op::Map(f) => Term::new(Head::Map(*f), &self.class(graph.args(n))),
            Op::Ein { axes, .. } => {
                let guards = self.all_renamed(eg, graph.guards(n))?;
                Term::new(Head::Ein { axes: self.axes(axes), guards }, &self.class(graph.operands(n)))
            }
            Op::Sub { axes } => {
                let at = self.all_renamed(eg, &graph.args(n)[1..])?;
                let mut pairs: Vec<(AxisId, NodeId)> = axes.iter().map(|&a| self.axis(a)).zip(at).collect();
                pairs.sort_unstable();
                let (axes, at): (Vec<AxisId>, Vec<NodeId>) = pairs.into_iter().unzip();
                eg.analysis.note_ranges(&axes, &at)?;
                let (axes, at) = (axes.into(), at.into());
                Term::new(Head::Sub { axes, at }, &self.class(&graph.args(n)[..1]))
            }
            Op::Rec(_) if self.recurrences.contains_key(&n) => {
                let Linear { time, reverse, addend, kept } = self.recurrences[&n];
                let args: Vec<NodeId> = [Some(addend), kept].into_iter().flatten().collect();
                Term::new(Head::Scan { axis: time, reverse }, &self.class(&args))
            }
            op => Term::new(Head::Other(self.op(op)), &self.class(graph.args(n))),
        };
        Ok(eg.add_uncanonical(term))
    }

    fn op(&self, op: &Op) -> Op {
        match op.clone() {
            Op::Reduce { extremum, axes, guards } => Op::Reduce { extremum, axes: self.axes(&axes), guards },
            Op::Arg { extremum, axis, guards } => Op::Arg { extremum, axis: self.axis(axis), guards },
            Op::KthValue { axis, guards } => Op::KthValue { axis: self.axis(axis), guards },
            Op::KthIndex { axis, guards } => Op::KthIndex { axis: self.axis(axis), guards },
            Op::Threshold { family, axis, guards } => Op::Threshold { family, axis: self.axis(axis), guards },
            other => other,
        }
    }
}

/// The chosen term of each class.
pub(crate) type Choice = FxHashMap<Id, Term>;

/// Makes graph IR of chosen terms.
pub(crate) struct Export<'a> {
    /// The e-graph; its workshop takes the nodes.
    pub(crate) eg: &'a mut Eg,
    /// The chosen terms.
    pub(crate) choice: &'a Choice,
    /// What is made already.
    pub(crate) memo: FxHashMap<Id, NodeId>,
    /// Are sums over several axes put into the order in which they are cheapest? Not where terms are compared.
    pub(crate) ordered: bool,
}

impl Export<'_> {
    /// The canonical term of a class.
    ///
    /// # Errors
    /// Only for terms that are not well-formed.
    pub(crate) fn node(&mut self, id: Id) -> Result<NodeId, Error> {
        let id = self.eg.find(id);
        if let Some(&n) = self.memo.get(&id) {
            return Ok(n);
        }
        let term = match self.choice.get(&id) {
            Some(t) => t.clone(),
            None => return Err(Error::Missing(format!("class {id}"))),
        };
        let node = self.term(&term)?;
        self.memo.insert(id, node);
        Ok(node)
    }

    /// The canonical form of a term, of chosen ones.
    ///
    /// # Errors
    /// Only for terms that are not well-formed.
    pub(crate) fn term(&mut self, term: &Term) -> Result<NodeId, Error> {
        let args = term.args.iter().map(|&a| self.node(a)).collect::<Result<Vec<_>, _>>()?;
        self.made(term, &args)
    }

    fn made(&mut self, term: &Term, args: &[NodeId]) -> Result<NodeId, Error> {
        let c = &mut self.eg.analysis.canon;
        match &term.head {
            Head::Leaf(n) => Ok(*n),
            Head::Map(f) => c.map(*f, args),
            Head::Ein { axes, guards } if self.ordered => order::sum(c, axes, guards, args),
            Head::Ein { axes, guards } => c.ein(axes, guards, args),
            Head::Sub { axes, at } => {
                let map: Vec<(AxisId, NodeId)> = axes.iter().copied().zip(at.iter().copied()).collect();
                c.substitute(args[0], &map)
            }
            Head::Scan { axis, reverse } => self.recurrence(*axis, *reverse, args),
            Head::Other(op) => c.make(op, args),
            Head::Outputs => Err(Error::Missing("outputs within a term".into())),
        }
    }

    fn recurrence(&mut self, time: AxisId, reverse: bool, args: &[NodeId]) -> Result<NodeId, Error> {
        // Two that are equal are one, whatever their terms called what they bind.
        let key = (time, reverse, args.to_vec());
        if let Some(&made) = self.eg.analysis.carried.get(&key) {
            return Ok(made);
        }
        let dtype = self.eg.analysis.canon.g.dtype(args[0]);
        let Carried { rec, last, started } = declare(self.eg, "carried", time, reverse, args, dtype)?;
        let c = &mut self.eg.analysis.canon;
        let factors: Vec<NodeId> = args[1..].iter().copied().chain([last]).collect();
        let kept = c.ein(&[], &[started], &factors)?;
        let body = c.sum_of(&[args[0], kept])?;
        let made = c.raw(Op::Rec(rec), &[body])?;
        self.eg.analysis.carried.insert(key, made);
        Ok(made)
    }
}

/// The part of a graph that its outputs need, and where its terms were before.
///
/// # Errors
/// Only for graphs that are not well-formed.
pub(crate) fn pruned(graph: &Graph) -> Result<(Graph, FxHashMap<NodeId, NodeId>), Error> {
    let mut keep = vec![false; graph.len()];
    let mut stack: Vec<NodeId> = graph.outputs.iter().map(|o| o.node).collect();
    while let Some(n) = stack.pop() {
        if !std::mem::replace(&mut keep[n.index()], true) {
            stack.extend(graph.args(n));
        }
    }
    // The other half of a pair: so that a run can say which member it took.
    for n in graph.ids() {
        if let Op::KthIndex { axis, guards } = graph.op(n) {
            let other = Op::KthValue { axis: *axis, guards: *guards };
            let paired =
                graph.ids().any(|m| keep[m.index()] && *graph.op(m) == other && graph.args(m) == graph.args(n));
            keep[n.index()] |= paired && graph.args(n).iter().all(|a| keep[a.index()]);
        }
    }
    let mut new = Graph::new(&graph.name);
    for d in graph.domains() {
        new.add_domain(&d.name, d.extent, d.role);
    }
    for a in graph.axes() {
        new.add_axis(&a.name, a.domain);
    }
    for i in graph.inputs() {
        new.add_input(i.clone());
    }
    for r in graph.recs() {
        new.add_rec(r.clone());
    }
    let mut to: FxHashMap<NodeId, NodeId> = FxHashMap::default();
    for n in graph.ids().filter(|n| keep[n.index()]) {
        let args: Vec<NodeId> = graph.args(n).iter().map(|a| to[a]).collect();
        let made = new.add(graph.op(n).clone(), &args)?;
        if let Some(label) = graph.label(n) {
            new.set_label(made, label);
        }
        to.insert(n, made);
    }
    for o in &graph.outputs {
        let mut o = o.clone();
        o.node = to[&o.node];
        new.outputs.push(o);
    }
    Ok((new, graph.ids().filter_map(|n| to.get(&n).map(|&m| (m, n))).collect()))
}
