//! Causality: the latest input time on which every value may depend.
//!
//! The *clock* of a term is a set of entries `(position, guards)`: under the guards, the term may depend on inputs up to
//! that position of a time axis. Positions and guards are terms over the free axes of the value, and over axes that stand
//! for "some position": those that a reduction has bound. Entries are computed operands first, one summary per node:
//!
//! * an input over time axis t is known at t; over a derived axis `c = |t| // LB`, at `c*LB + LB-1`, when block c is complete;
//! * `|t|` is known at the end, and so is a reduction over all of a time axis: the *existence* of position j is known at j;
//! * a branch, the right side of `and` and `or`, and an operand with guards are under their conditions;
//! * in a product, a factor is under the conditions outside of which another factor is zero ([`support`]), so that
//!   `sum(j: p * v[j])` is causal if the weights `p` are;
//! * a substitution substitutes; a recurrence at t has the clocks of its body at all positions up to t.
//!
//! An output at t is causal if every entry's guards imply that its position is at most t. All is sound: what
//! cannot be proven is reported. Entries that others dominate are dropped, and where there are too many they are merged
//! ([`order`]), which keeps the sets small.

mod order;
mod report;
mod support;

use super::Definition;
use crate::diagnostics::{Diagnostic, Span};
use rustc_hash::FxHashMap;
use std::rc::Rc;
use weft_ir::graph::{AxisId, DomainId, Extent, Graph, MapFn, NodeId, Op, RecId, Role};

/// When a value is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clock {
    /// It depends on no input that changes with time.
    Always,
    /// At the latest of these positions, as formulas in its indices.
    At(Vec<String>),
    /// At the end of the sequence.
    End,
}

/// When one value of a layer is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockInfo {
    /// The value.
    pub name: String,
    /// The time axis.
    pub time: String,
    /// Its clock on that axis.
    pub clock: Clock,
}

/// How a value comes to depend on a position: from the value at hand down to the input.
#[derive(Debug)]
struct Read {
    node: NodeId,
    /// Is the node here because it binds the position, rather than because it has a name?
    binds: bool,
    below: Option<Rc<Read>>,
}

/// A term may depend on inputs up to a position, under guards.
#[derive(Clone, Debug)]
struct Entry {
    /// The time domain.
    time: DomainId,
    /// The position; `None` is the end.
    at: Option<NodeId>,
    guards: Vec<NodeId>,
    /// The reduction nearest to the value that binds the position.
    binder: Option<NodeId>,
    why: Rc<Read>,
}

/// Guards of one entry; the others are forgotten, which is sound.
const MAX_GUARDS: usize = 24;

/// Computes clocks and checks outputs.
pub(super) fn check(
    graph: &Graph,
    definitions: &[Definition],
    spans: &FxHashMap<NodeId, Span>,
) -> (Vec<ClockInfo>, Vec<Diagnostic>) {
    if !graph.domains().iter().any(|d| d.role == Role::Time) {
        return (Vec::new(), Vec::new());
    }
    let mut clocks = Clocks {
        graph: graph.clone(),
        known: FxHashMap::default(),
        support: FxHashMap::default(),
        named: definitions.iter().map(|d| d.node).collect(),
        somewhere: FxHashMap::default(),
    };
    for id in graph.ids() {
        clocks.support(id);
        let entries = clocks.node(id);
        clocks.known.insert(id, Rc::new(entries));
    }
    let info = definitions.iter().flat_map(|d| clocks.describe(d)).collect();
    let errors = graph.outputs.iter().filter_map(|o| clocks.output(o, definitions, spans)).collect();
    (info, errors)
}

struct Clocks {
    /// A copy of the graph, to which terms for positions and guards are added.
    graph: Graph,
    known: FxHashMap<NodeId, Rc<Vec<Entry>>>,
    support: FxHashMap<NodeId, Rc<Vec<NodeId>>>,
    named: Vec<NodeId>,
    /// Axes that stand for "some position" of a domain, by the name of the axis that was bound.
    somewhere: FxHashMap<(DomainId, String), Vec<AxisId>>,
}

impl Clocks {
    // ---- building terms; the types fit by construction, and a term that cannot be made loses precision, not soundness

    fn int(&mut self, i: i64) -> NodeId {
        self.graph.int(i)
    }

    fn map(&mut self, f: MapFn, args: &[NodeId]) -> Option<NodeId> {
        self.graph.map(f, args).ok()
    }

    fn not(&mut self, c: NodeId) -> Option<NodeId> {
        self.map(MapFn::Not, &[c])
    }

    /// The time domain from which the extent of a domain follows.
    fn time_of(&self, d: DomainId) -> Option<DomainId> {
        match (self.graph.domain(d).role, self.graph.domain(d).extent) {
            (Role::Time, _) => Some(d),
            (_, Extent::Derived { base, .. }) if base != d => self.time_of(base),
            _ => None,
        }
    }

    /// The time at which position `at` of a domain exists: t itself, or the last position that it takes of the base.
    fn exists(&mut self, d: DomainId, at: NodeId) -> Option<NodeId> {
        let domain = self.graph.domain(d);
        match (domain.role, domain.extent) {
            (Role::Time, _) => Some(at),
            (_, Extent::Derived { base, mul, add, div }) if base != d => {
                // position c exists once mul * T + add >= div * (c + 1); the last position needed is T - 1
                let (n, rest) = (self.int(div), self.int(div.checked_sub(add)?));
                let mut t = self.map(MapFn::Mul, &[at, n])?;
                t = self.map(MapFn::Add, &[t, rest])?;
                if mul != 1 {
                    let (round, by) = (self.int(mul - 1), self.int(mul));
                    t = self.map(MapFn::Add, &[t, round])?;
                    t = self.map(MapFn::IDiv, &[t, by])?;
                }
                let one = self.int(1);
                let last = self.map(MapFn::Sub, &[t, one])?;
                self.exists(base, last)
            }
            _ => None,
        }
    }

    /// The entry for the existence of a position of an axis.
    fn existence(&mut self, axis: AxisId, guards: &[NodeId], why: &Rc<Read>) -> Option<Entry> {
        let domain = self.graph.axis(axis).domain;
        let time = self.time_of(domain)?;
        let index = self.graph.index(axis).ok()?;
        let at = self.exists(domain, index);
        let binder = why.binds.then_some(why.node);
        Some(Entry { time, at, guards: guards.to_vec(), binder, why: why.clone() })
    }

    // ---- the summary of one node

    fn node(&mut self, id: NodeId) -> Vec<Entry> {
        let op = self.graph.op(id).clone();
        let args = self.graph.args(id).to_vec();
        let here = Rc::new(Read { node: id, binds: false, below: None });
        let mut entries = match &op {
            Op::Input(i) => {
                let axes = self.graph.input(*i).axes.clone();
                axes.into_iter().filter_map(|a| self.existence(a, &[], &here)).collect()
            }
            Op::Const(_) | Op::Index(_) | Op::Prev(_) => Vec::new(),
            Op::Size(d) => match self.time_of(*d) {
                Some(time) => vec![Entry { time, at: None, guards: Vec::new(), binder: None, why: here }],
                None => Vec::new(),
            },
            Op::Map(f @ (MapFn::And | MapFn::Or)) => self.short_circuit(&args, *f == MapFn::And),
            Op::Map(MapFn::Mul) => self.product(&[], &args),
            Op::Select => {
                let mut all = self.of(args[0], &[]);
                all.extend(self.of(args[1], &[args[0]]));
                let otherwise: Vec<NodeId> = self.not(args[0]).into_iter().collect();
                all.extend(self.of(args[2], &otherwise));
                all
            }
            Op::Ein { axes, guards } => {
                let (guards, factors) = args.split_at(*guards as usize);
                let mut all = self.product(guards, factors);
                let zero_outside = self.supports(factors);
                let under: Vec<NodeId> = guards.iter().copied().chain(zero_outside).collect();
                self.close(id, axes, &under, &mut all);
                all
            }
            Op::Sub { axes } => {
                let pairs: Vec<(AxisId, NodeId)> = axes.iter().copied().zip(args[1..].iter().copied()).collect();
                let mut all: Vec<Entry> =
                    self.of(args[0], &[]).into_iter().flat_map(|e| self.read_at(e, &pairs)).collect();
                for &p in &args[1..] {
                    all.extend(self.of(p, &[]));
                }
                all
            }
            Op::Rec(r) => self.recurrence(*r, args[0]),
            _ if op.is_reduction() => {
                let (guards, operands) = args.split_at(op.guards());
                let mut all = self.short_circuit(guards, true);
                for &x in operands {
                    all.extend(self.of(x, guards));
                }
                self.close(id, op.bound(), guards, &mut all);
                all
            }
            _ => args.iter().flat_map(|&a| self.of(a, &[])).collect(),
        };
        let worth = op.is_reduction() || matches!(op, Op::Select | Op::Rec(_)) || self.named.contains(&id);
        self.prune(id, &mut entries, worth);
        if self.named.contains(&id) || self.graph.label(id).is_some() {
            for e in &mut entries {
                e.why = Rc::new(Read { node: id, binds: false, below: Some(e.why.clone()) });
            }
        }
        entries
    }

    /// The entries of an operand, under further guards.
    fn of(&self, id: NodeId, guards: &[NodeId]) -> Vec<Entry> {
        let mut all = self.known.get(&id).map(|e| (**e).clone()).unwrap_or_default();
        for e in &mut all {
            self.add_guards(e, guards);
        }
        all
    }

    fn add_guards(&self, e: &mut Entry, guards: &[NodeId]) {
        for &g in guards {
            if !e.guards.contains(&g) && e.guards.len() < MAX_GUARDS {
                e.guards.push(g);
            }
        }
    }

    /// Operands of which each is looked at only if those before hold (or do not hold).
    fn short_circuit(&mut self, args: &[NodeId], hold: bool) -> Vec<Entry> {
        let mut before: Vec<NodeId> = Vec::new();
        let mut all = Vec::new();
        for &a in args {
            all.extend(self.of(a, &before));
            before.extend(if hold { Some(a) } else { self.not(a) });
        }
        all
    }

    /// Guards and factors of a product: each factor counts only where the guards hold and the other factors are not zero.
    fn product(&mut self, guards: &[NodeId], factors: &[NodeId]) -> Vec<Entry> {
        let mut all = Vec::new();
        let zero_outside = self.supports(factors);
        for (k, &g) in guards.iter().enumerate() {
            let mut entries = self.of(g, &guards[..k]);
            entries.iter_mut().for_each(|e| self.add_guards(e, &zero_outside));
            all.append(&mut entries);
        }
        for (k, &f) in factors.iter().enumerate() {
            let others: Vec<NodeId> = factors.iter().enumerate().filter(|(i, _)| *i != k).map(|(_, &f)| f).collect();
            let mut entries = self.of(f, guards);
            let outside = self.supports(&others);
            entries.iter_mut().for_each(|e| self.add_guards(e, &outside));
            all.append(&mut entries);
        }
        all
    }

    /// Leaves the scope of bound axes: their positions become "some position", whose existence is known in time.
    fn close(&mut self, id: NodeId, axes: &[AxisId], guards: &[NodeId], all: &mut Vec<Entry>) {
        let here = Rc::new(Read { node: id, binds: true, below: None });
        for &a in axes {
            all.extend(self.existence(a, guards, &here));
        }
        for &a in axes {
            let touched = |g: &Graph, e: &Entry| e.at.iter().chain(&e.guards).any(|&x| g.free(x).contains(a));
            for e in all.iter_mut() {
                if !touched(&self.graph, e) {
                    continue;
                }
                // Where the guards do not look at it, the largest position stands for all.
                let by = self.topmost(e, a).or_else(|| {
                    let some = self.some_position(a, e);
                    self.graph.index(some).ok()
                });
                let Some(by) = by else { continue };
                let moves = e.at.is_some_and(|at| self.graph.free(at).contains(a));
                *e = self.substituted(e.clone(), &[(a, by)]);
                if moves {
                    e.binder = Some(id);
                    e.why = Rc::new(Read { node: id, binds: true, below: Some(e.why.clone()) });
                }
            }
        }
    }

    /// An axis for "some position" of a bound axis that an entry does not use yet. Entries share such axes, so that two that
    /// say the same are the same terms.
    fn some_position(&mut self, bound: AxisId, e: &Entry) -> AxisId {
        let (name, domain) = (self.graph.axis(bound).name.to_string(), self.graph.axis(bound).domain);
        let used = |g: &Graph, a: AxisId| e.at.iter().chain(&e.guards).any(|&x| g.free(x).contains(a));
        let known = self.somewhere.entry((domain, name.clone())).or_default();
        if let Some(&a) = known.iter().find(|&&a| !used(&self.graph, a)) {
            return a;
        }
        let a = self.graph.add_axis(&name, domain);
        known.push(a);
        a
    }

    /// The position of a bound axis at which an entry is latest, if that is plain.
    fn topmost(&mut self, e: &Entry, axis: AxisId) -> Option<NodeId> {
        let n = self.graph.static_extent(axis)?;
        if e.guards.iter().any(|&g| self.graph.free(g).contains(axis)) {
            return None;
        }
        let step = self.affine(e.at?)?.coefficient(&axis);
        Some(self.int(if step > 0 { n - 1 } else { 0 }))
    }

    fn substituted(&mut self, mut e: Entry, pairs: &[(AxisId, NodeId)]) -> Entry {
        e.at = e.at.and_then(|at| match self.graph.op(at) {
            // A bare position stays one: pruning looks for those.
            Op::Index(a) => Some(pairs.iter().find(|p| p.0 == *a).map_or(at, |p| p.1)),
            _ => self.graph.sub(at, pairs).ok(),
        });
        e.guards = e.guards.iter().filter_map(|&g| self.graph.sub(g, pairs).ok()).collect();
        e
    }

    /// An entry of a value that is read at these positions. A position that is a decision is one of those among which it
    /// was made, so its guards hold there; or it is 0, where there were none.
    fn read_at(&mut self, e: Entry, pairs: &[(AxisId, NodeId)]) -> Vec<Entry> {
        let mut all = vec![self.substituted(e.clone(), pairs)];
        for (k, &(axis, p)) in pairs.iter().enumerate() {
            if !e.at.iter().chain(&e.guards).any(|&x| self.graph.free(x).contains(axis)) {
                continue;
            }
            let Some((guards, or_zero)) = self.chosen(p, p) else { continue };
            for e in &mut all {
                self.add_guards(e, &guards);
            }
            if or_zero {
                let mut at_zero = pairs.to_vec();
                at_zero[k].1 = self.int(0);
                all.push(self.substituted(e.clone(), &at_zero));
            }
        }
        all
    }

    /// What holds at a position because it was chosen under guards, and whether it may be 0 instead. `term` is the decision
    /// at hand, `position` the whole term of which it is the value.
    fn chosen(&mut self, term: NodeId, position: NodeId) -> Option<(Vec<NodeId>, bool)> {
        let args = self.graph.args(term).to_vec();
        match self.graph.op(term).clone() {
            Op::Arg { axis, guards, .. } | Op::KthIndex { axis, guards } => {
                let or_zero = matches!(self.graph.op(term), Op::Arg { .. });
                let here = args[..guards as usize].iter().filter_map(|&g| self.graph.sub(g, &[(axis, position)]).ok());
                Some((here.collect(), or_zero))
            }
            Op::Sub { axes } if args[1..].iter().all(|&p| !self.graph.op(p).is_decision()) => {
                // The guards' own positions move with the decision; the chosen position is already the moved one.
                let inner = args[0];
                let (guards, or_zero) = self.chosen(inner, inner)?;
                let pairs: Vec<(AxisId, NodeId)> = axes.iter().copied().zip(args[1..].iter().copied()).collect();
                let moved = guards.iter().filter_map(|&g| self.graph.sub(g, &pairs).ok());
                Some((moved.collect(), or_zero))
            }
            _ => None,
        }
    }

    /// A recurrence at t depends on what its body depends on at all positions up to t.
    fn recurrence(&mut self, rec: RecId, body: NodeId) -> Vec<Entry> {
        let decl = self.graph.rec(rec).clone();
        let mixes =
            decl.state.iter().any(|&a| self.time_of(self.graph.axis(a).domain).is_some() && self.rebinds(body, rec, a));
        let Ok(now) = self.graph.index(decl.time) else { return Vec::new() };
        let mut all = self.of(body, &[]);
        for e in &mut all {
            if mixes {
                e.at = None;
            } else if e.at != Some(now) || !e.guards.is_empty() {
                let earlier = self.some_position(decl.time, e);
                let Ok(before) = self.graph.index(earlier) else { return Vec::new() };
                *e = self.substituted(e.clone(), &[(decl.time, before)]);
                e.guards.extend(self.map(MapFn::Le, &[before, now]));
            }
        }
        all
    }

    /// Does a term read the value before at other positions of a state axis?
    fn rebinds(&self, body: NodeId, rec: RecId, axis: AxisId) -> bool {
        let mut pending = vec![(body, false)];
        let mut seen = std::collections::BTreeSet::new();
        while let Some((x, inside)) = pending.pop() {
            if !seen.insert((x, inside)) {
                continue;
            }
            if inside && *self.graph.op(x) == Op::Prev(rec) {
                return true;
            }
            let inside = inside || self.graph.op(x).bound().contains(&axis);
            pending.extend(self.graph.args(x).iter().map(|&a| (a, inside)));
        }
        false
    }
}
