//! What rules share: the workshop in which leaves are made, axes of blocks, and facts about classes.

use super::conditions::Conditions;
use super::engine::NODES;
use super::rules::Rule;
use super::term::{Head, Leaves, Term};
use crate::canon::{Canon, IntForm};
use egg::{Analysis, DidMerge, EGraph, Id};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use weft_ir::DType;
use weft_ir::graph::op::Axes;
use weft_ir::graph::prove::Prover;
use weft_ir::graph::{AxisId, AxisSet, DomainId, Error, Extent, Graph, MapFn, NodeId, Op};

/// The e-graph of a layer.
pub(crate) type Eg = EGraph<Term, Workshop>;

/// What is known of all terms of a class.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Facts {
    /// Axes on which the value may depend: those free in every term of the class.
    pub(crate) free: AxisSet,
    /// Element type.
    pub(crate) dtype: DType,
    /// A term of the workshop that is equal, if one is.
    pub(crate) leaf: Option<NodeId>,
    /// Is there a reduction in its terms?
    pub(crate) heavy: bool,
    /// Conditions without which some of its terms are not defined: that positions are on the axes that are read there.
    pub(crate) needs: Leaves,
    /// May a term be undefined or infinite for reasons that no condition tells?
    pub(crate) risky: bool,
}

impl Facts {
    /// May some term be undefined or infinite where others are not? A product with a sum that may be empty needs a guard then.
    pub(crate) fn may_be_undefined(&self) -> bool {
        self.risky || !self.needs.is_empty()
    }

    /// What is needed of axes that are bound here can no longer be told.
    fn hide(&mut self, g: &Graph, bound: &[AxisId]) {
        let mentions = |n: &NodeId| bound.iter().any(|&a| g.free(*n).contains(a));
        self.risky |= self.needs.iter().any(mentions);
        self.needs.retain(|n| !mentions(n));
    }
}

/// An axis split into blocks of a constant length: position `x` is `length * block + place`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Blocks {
    /// Axis of blocks.
    pub(crate) block: AxisId,
    /// Axis of places in a block.
    pub(crate) place: AxisId,
}

/// Pairs of axes, the earlier position first.
pub(crate) type Pairs = Vec<(AxisId, AxisId)>;

/// Makes leaves and axes, and answers questions about them.
pub(crate) struct Workshop {
    /// The graph in which leaves are.
    pub(crate) canon: Canon,
    /// The length of blocks in this run.
    pub(crate) length: i64,
    domains: FxHashMap<(DomainId, bool), DomainId>,
    /// Domains of blocks.
    made: Vec<DomainId>,
    /// Most nodes that the e-graph may have.
    pub(crate) most: usize,
    /// Conditions of rules.
    pub(crate) conditions: Conditions,
    /// Recurrences of the workshop that add up: by axis, direction, and addend.
    pub(crate) counted: FxHashMap<(AxisId, bool, NodeId), NodeId>,
    /// Recurrences that were made of scans: by axis, direction, addend and what is kept.
    pub(crate) carried: FxHashMap<(AxisId, bool, Vec<NodeId>), NodeId>,
    places: Option<DomainId>,
    /// Axes of every so manieth position: by domain, how many, and which of them.
    every: FxHashMap<(DomainId, i64, i64), Vec<AxisId>>,
    split: FxHashMap<(DomainId, bool, usize), Blocks>,
    fresh: FxHashMap<DomainId, Vec<AxisId>>,
    /// Answers that were given: what a term of the workshop means does not change.
    simple: FxHashMap<Leaves, Option<Leaves>>,
    implied: RefCell<FxHashMap<(Leaves, NodeId), bool>>,
    /// By guards and an axis: pairs of positions, as a rule asks for them.
    pub(crate) pairs: FxHashMap<(&'static str, Leaves, AxisId), Pairs>,
    /// By guards and two axes: is the first up to the second, in its block?
    pub(crate) starts: FxHashMap<(Leaves, AxisId, AxisId), bool>,
    /// By axes and positions in their place: what must hold for all of them to be on their axes.
    ranges: FxHashMap<(Axes, Leaves), Vec<NodeId>>,
}

impl Workshop {
    /// A workshop over a canonical graph.
    pub(crate) fn new(canon: Canon, length: i64) -> Self {
        Self {
            canon,
            length,
            domains: FxHashMap::default(),
            made: Vec::new(),
            most: NODES,
            conditions: Conditions::default(),
            counted: FxHashMap::default(),
            carried: FxHashMap::default(),
            places: None,
            every: FxHashMap::default(),
            split: FxHashMap::default(),
            fresh: FxHashMap::default(),
            simple: FxHashMap::default(),
            implied: RefCell::default(),
            pairs: FxHashMap::default(),
            starts: FxHashMap::default(),
            ranges: FxHashMap::default(),
        }
    }

    /// Is a condition of a rule met?
    pub(crate) fn met(&mut self, rule: &Rule, number: usize, holds: bool) -> bool {
        self.conditions.met(rule, number, holds)
    }

    /// The same, of a class where everything else is as the rule wants it.
    pub(crate) fn met_by(&mut self, class: Id, rule: &Rule, number: usize, holds: bool) -> bool {
        self.conditions.met_by(class, rule, number, holds)
    }

    /// The position on an axis.
    pub(crate) fn index(&mut self, axis: AxisId) -> Result<NodeId, Error> {
        self.canon.make(&Op::Index(axis), &[])
    }

    /// Axes for the blocks of an axis of `domain`, other than those in `taken`. Only complete blocks, unless `partial`: then the last
    /// block may have places beyond the end.
    pub(crate) fn blocks(&mut self, domain: DomainId, partial: bool, taken: &AxisSet) -> Blocks {
        for n in 0.. {
            let key = (domain, partial, n);
            let known = self.split.get(&key).copied();
            let blocks = known.unwrap_or_else(|| self.make_blocks(domain, partial, n));
            self.split.insert(key, blocks);
            if !taken.contains(blocks.block) && !taken.contains(blocks.place) {
                return blocks;
            }
        }
        unreachable!("there are more axes than are taken")
    }

    fn make_blocks(&mut self, domain: DomainId, partial: bool, n: usize) -> Blocks {
        let length = self.length;
        let base = self.canon.g.domain(domain).clone();
        let blocks = *self.domains.entry((domain, partial)).or_insert_with(|| {
            let name = self.canon.unused_name(&format!("{}{}", base.name, if partial { "blocks" } else { "block" }));
            let add = if partial { length - 1 } else { 0 };
            self.canon.add_domain(&name, Extent::Derived { base: domain, mul: 1, add, div: length })
        });
        if !self.made.contains(&blocks) {
            self.made.push(blocks);
        }
        let places = match self.places {
            Some(p) => p,
            None => {
                let name = self.canon.unused_name("place");
                let p = self.canon.add_domain(&name, Extent::Const(length));
                self.places = Some(p);
                p
            }
        };
        let mut named = |domain: DomainId| {
            let own = self.canon.g.domain(domain).name.to_string();
            // The first axis of a domain has its name.
            let name = if n == 0 { own } else { self.canon.unused_name(&own) };
            self.canon.g.add_axis(&name, domain)
        };
        Blocks { block: named(blocks), place: named(places) }
    }

    /// An axis that counts the positions `every * c + offset` of another, which is not in `taken`.
    pub(crate) fn every(&mut self, of: AxisId, every: i64, offset: i64, taken: &AxisSet) -> AxisId {
        let base = self.canon.g.axis(of).domain;
        let key = (base, every, offset);
        let known = self.every.get(&key).cloned().unwrap_or_default();
        if let Some(&a) = known.iter().find(|&&a| !taken.contains(a)) {
            return a;
        }
        let domain = match known.first() {
            Some(&a) => self.canon.g.axis(a).domain,
            None => {
                let name = self.canon.unused_name(&format!("{}step", self.canon.g.domain(base).name));
                self.canon.add_domain(&name, Extent::Derived { base, mul: 1, add: every - 1 - offset, div: every })
            }
        };
        let own = self.canon.g.domain(domain).name.to_string();
        let name = if known.is_empty() { own } else { self.canon.unused_name(&own) };
        let axis = self.canon.g.add_axis(&name, domain);
        self.every.entry(key).or_default().push(axis);
        axis
    }

    /// Does an axis count some positions of another? Not every position has a step, so what is read there stays a read.
    pub(crate) fn counts_steps(&self, axis: AxisId) -> bool {
        self.every.values().any(|all| all.contains(&axis))
    }

    /// An axis over the domain of `like` that is not in `taken`.
    pub(crate) fn fresh(&mut self, like: AxisId, taken: &AxisSet) -> AxisId {
        let domain = self.canon.g.axis(like).domain;
        let known = self.fresh.entry(domain).or_default().iter().copied().find(|&a| !taken.contains(a));
        known.unwrap_or_else(|| {
            let axis = self.renamed(like);
            self.fresh.entry(domain).or_default().push(axis);
            axis
        })
    }

    /// A new axis over the domain of another.
    pub(crate) fn renamed(&mut self, like: AxisId) -> AxisId {
        let domain = self.canon.g.axis(like).domain;
        let name = self.canon.unused_name(&self.canon.g.domain(domain).name.clone());
        self.canon.g.add_axis(&name, domain)
    }

    /// Does the extent of an axis grow with time?
    pub(crate) fn is_long(&self, axis: AxisId) -> bool {
        self.canon.is_long(axis)
    }

    /// Is an axis long, and not one of blocks that rewriting made?
    pub(crate) fn is_base(&self, axis: AxisId) -> bool {
        self.is_long(axis) && !self.made.contains(&self.canon.g.axis(axis).domain)
    }

    /// Did a rule ask for blocks?
    pub(crate) fn has_blocks(&self) -> bool {
        !self.made.is_empty()
    }

    /// Conditions as a list in canonical order, without those that others imply; none if they contradict one another.
    pub(crate) fn simplified(&mut self, guards: &[NodeId]) -> Result<Option<Leaves>, Error> {
        if let Some(known) = self.simple.get(guards) {
            return Ok(known.clone());
        }
        let found = self.simplify(guards)?;
        self.simple.insert(guards.into(), found.clone());
        Ok(found)
    }

    fn simplify(&mut self, guards: &[NodeId]) -> Result<Option<Leaves>, Error> {
        let all = self.canon.all(guards)?;
        if self.canon.known(all) == Some(false) {
            return Ok(None);
        }
        let mut left = self.canon.conjuncts(all);
        if self.prover(&left).contradictory() {
            return Ok(None);
        }
        let mut n = left.len();
        while n > 0 {
            n -= 1;
            let g = left.remove(n);
            if !self.prover(&left).implies(g) {
                left.insert(n, g);
            }
        }
        Ok(Some(left.into_iter().collect()))
    }

    /// Makes the conditions under which positions are on their axes, if they are not always.
    pub(crate) fn note_ranges(&mut self, axes: &[AxisId], at: &[NodeId]) -> Result<(), Error> {
        let key = (Axes::from(axes), Leaves::from(at));
        if self.ranges.contains_key(&key) {
            return Ok(());
        }
        let mut needed = Vec::new();
        for (&a, &p) in axes.iter().zip(at) {
            let domain = self.canon.g.axis(a).domain;
            if matches!(self.canon.g.op(p), Op::Index(b) if self.canon.g.axis(*b).domain == domain) {
                continue;
            }
            let (not_below, not_beyond) = (self.prover(&[]).not_negative(p), self.prover(&[]).below_extent(p, domain));
            let (zero, size) = (self.canon.int(0)?, self.canon.make(&Op::Size(domain), &[])?);
            if !not_below {
                needed.push(self.canon.map(MapFn::Le, &[zero, p])?);
            }
            if !not_beyond {
                needed.push(self.canon.map(MapFn::Lt, &[p, size])?);
            }
        }
        self.ranges.insert(key, needed);
        Ok(())
    }

    /// Does a condition hold wherever guards do?
    pub(crate) fn implied(&self, guards: &[NodeId], condition: NodeId) -> bool {
        let key = (guards.into(), condition);
        if let Some(&known) = self.implied.borrow().get(&key) {
            return known;
        }
        let found = self.prover(guards).implies(condition);
        self.implied.borrow_mut().insert(key, found);
        found
    }

    /// Is `batch` the axis of documents over whose lengths one of these axes is ragged?
    pub(crate) fn is_batch_of(&self, batch: AxisId, axes: &[AxisId]) -> bool {
        let g = &self.canon.g;
        axes.iter().any(|&a| g.ragged_over(g.axis(a).domain) == Some(batch))
    }

    /// Facts that hold where guards do.
    pub(crate) fn prover(&self, guards: &[NodeId]) -> Prover<'_> {
        guards.iter().fold(Prover::new(&self.canon.g), |p, &g| p.assume(g, true))
    }

    /// A condition `form >= 0` as its form.
    pub(crate) fn at_least_zero(&self, guard: NodeId) -> Option<IntForm> {
        match self.canon.comparison(guard) {
            Some((MapFn::Le, form)) => Some(form),
            _ => None,
        }
    }

    /// Do the integer terms of a form mention an axis, other than as the position on it?
    pub(crate) fn hides(&self, form: &IntForm, axis: AxisId) -> bool {
        form.terms().any(|(&v, _)| *self.canon.g.op(v) != Op::Index(axis) && self.canon.g.free(v).contains(axis))
    }

    /// The coefficient of the position on an axis.
    pub(crate) fn coefficient(&self, form: &IntForm, axis: AxisId) -> i64 {
        form.terms().find(|&(&v, _)| *self.canon.g.op(v) == Op::Index(axis)).map_or(0, |(_, c)| c)
    }

    fn facts_of(&self, term: &Term, of: impl Fn(Id) -> Facts) -> Facts {
        let g = &self.canon.g;
        let args: Vec<Facts> = term.args.iter().map(|&a| of(a)).collect();
        let mut free = AxisSet::new();
        for a in &args {
            free.extend(&a.free);
        }
        let dtype = args.iter().map(|a| a.dtype).reduce(|a, b| a.join(b).unwrap_or(a)).unwrap_or(DType::Float);
        let risky = args.iter().any(|a| a.risky);
        let needs = args.iter().flat_map(|a| a.needs.iter().copied()).collect();
        let mut facts = Facts { free, dtype, leaf: None, heavy: args.iter().any(|a| a.heavy), needs, risky };
        match &term.head {
            Head::Leaf(n) => {
                let heavy = self.canon.is_heavy(*n);
                let risky = self.canon.may_be_undefined(*n);
                let free = g.free(*n).clone();
                return Facts { free, dtype: g.dtype(*n), leaf: Some(*n), heavy, needs: Leaves::new(), risky };
            }
            // What is positive is known of leaves only.
            Head::Map(MapFn::Log | MapFn::Inv | MapFn::Sqrt) => facts.risky = true,
            Head::Map(_) | Head::Outputs => {}
            Head::Ein { axes, guards } => {
                for &x in guards {
                    facts.free.extend(g.free(x));
                }
                // What stands under a guard is defined where it holds, if it says so.
                facts.risky &= guards.is_empty();
                facts.needs.retain(|n| !self.implied(guards, *n));
                facts.hide(g, axes);
                // The end of a ragged axis depends on the document.
                for &a in axes {
                    if let Some(batch) = g.ragged_over(g.axis(a).domain)
                        && !g.bounded_by_scope(a, axes, guards)
                    {
                        facts.free.insert(batch);
                    }
                }
                for &a in axes {
                    facts.free.remove(a);
                }
                facts.heavy |= !axes.is_empty();
            }
            Head::Sub { axes, at } => {
                let body = facts.free.clone();
                for &a in axes {
                    facts.free.remove(a);
                }
                for (&a, &p) in axes.iter().zip(at) {
                    if body.contains(a) {
                        facts.free.extend(g.free(p));
                    }
                }
                facts.hide(g, axes);
                facts.needs.extend(self.ranges.get(&(axes.clone(), at.clone())).into_iter().flatten().copied());
            }
            Head::Scan { axis, reverse } => {
                facts.free.insert(*axis);
                if *reverse {
                    facts.free.extend(&g.ragged_over(g.axis(*axis).domain).into_iter().collect());
                }
                facts.heavy = true;
            }
            Head::Other(op) => {
                for &a in op.bound() {
                    facts.free.remove(a);
                }
                facts.hide(g, op.bound());
                facts.heavy = true;
            }
        }
        facts.needs.sort_unstable();
        facts.needs.dedup();
        facts
    }
}

impl Analysis<Term> for Workshop {
    type Data = Facts;

    fn make(egraph: &mut Eg, term: &Term, _: Id) -> Facts {
        egraph.analysis.facts_of(term, |id| egraph[id].data.clone())
    }

    fn merge(&mut self, a: &mut Facts, b: Facts) -> DidMerge {
        let free: AxisSet = a.free.iter().filter(|&x| b.free.contains(x)).collect();
        let leaf = a.leaf.min(b.leaf).or(a.leaf).or(b.leaf);
        let mut needs: Leaves = a.needs.iter().chain(&b.needs).copied().collect();
        needs.sort_unstable();
        needs.dedup();
        let merged = Facts { free, dtype: a.dtype, leaf, heavy: a.heavy && b.heavy, needs, risky: a.risky || b.risky };
        let changed = DidMerge(merged != *a, merged != b);
        *a = merged;
        changed
    }
}
