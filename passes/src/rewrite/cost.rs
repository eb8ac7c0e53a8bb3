//! What chosen terms cost.
//!
//! A value over at most one long axis is stored: it is computed once, whoever reads it. A value over pairs of positions is not: whoever sums
//! it computes it, at the points that the guards of the sum leave. So the cost of a choice is a walk over it from the root that
//! meets stored values once, and others once for each sum that they stand in.
//!
//! Units are operations at the rate of products; an operation on vectors costs [`VECTOR`], an element of memory [`MEMORY`].

use super::count::Points;
use super::import::Choice;
use super::term::{Head, Term};
use super::workshop::Eg;
use egg::Id;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;
use weft_ir::DType;
use weft_ir::graph::{AxisId, AxisSet, MapFn, NodeId, Op};

/// An operation that is not part of a product, in operations of products.
const VECTOR: f64 = 4.0;
/// A transcendental function.
const DEAR: f64 = 16.0 * VECTOR;
/// An operation in double precision that has to be converted.
const DOUBLE: f64 = 128.0 * VECTOR;
/// Sums over more axes than these are priced in the order of their axes.
const MOST: usize = 6;
/// The price of what has no kernel.
const REFUSED: f64 = 1e6;
/// An element written and read, in a cache.
const MEMORY: f64 = 16.0;
/// The same in main memory: states of a long sequence. Measured with Transformer-VQ's, at 131072 positions.
const FAR: f64 = 6.0 * MEMORY;
/// Rows that read a state together.
const TILE: f64 = 64.0;
/// Elements that a cache holds.
const CACHED: f64 = (1 << 23) as f64;

/// Prices terms at one length.
pub(crate) struct Cost<'a> {
    /// The e-graph.
    pub(crate) eg: &'a Eg,
    /// Counts.
    pub(crate) points: Points<'a>,
    /// What the cost of something is multiplied by that the scheduler refuses.
    refused: f64,
    /// Are there recurrences over positions in both directions?
    both_ways: bool,
    memo: RefCell<Memo>,
}

/// Costs of terms alone, by the guards around them.
type Memo = FxHashMap<(Term, Vec<NodeId>), f64>;

/// Where values over pairs are computed: which sum asked, and what its guards are.
struct Context {
    guards: Vec<NodeId>,
    seen: FxHashSet<Id>,
    /// How often.
    times: f64,
}

impl<'a> Cost<'a> {
    /// Prices at a length.
    pub(crate) fn new(eg: &'a Eg, length: i64) -> Self {
        let runs = |way| eg.analysis.canon.g.recs().iter().any(|r| r.reverse == way && eg.analysis.is_base(r.time));
        let both_ways = runs(false) && runs(true);
        let points = Points::new(&eg.analysis.canon, length);
        Self { eg, points, refused: REFUSED, both_ways, memo: RefCell::default() }
    }

    /// The same, whether there is a kernel for it or not: the cost of what is defined.
    pub(crate) fn plain(eg: &'a Eg, length: i64) -> Self {
        Self { refused: 1.0, ..Self::new(eg, length) }
    }

    fn is_double(&self, n: NodeId) -> bool {
        let c = &self.eg.analysis.canon;
        match c.g.op(n) {
            Op::Cast(_) => c.g.dtype(c.g.args(n)[0]) == DType::F64,
            Op::Map(MapFn::Min | MapFn::Max) => c.g.args(n).iter().any(|&a| self.is_double(a)),
            _ => false,
        }
    }

    /// Is a value stored, and paid for once?
    pub(crate) fn is_row(&self, id: Id) -> bool {
        self.eg[id].data.free.iter().filter(|&a| self.eg.analysis.is_long(a)).count() <= 1
    }

    /// The cost of a choice from a root; infinite where it goes in circles.
    pub(crate) fn total(&self, choice: &Choice, root: Id) -> f64 {
        let mut done = FxHashMap::default();
        let mut open = FxHashSet::default();
        self.rows(choice, self.eg.find(root), &mut done, &mut open)
    }

    /// The cost of a row without that of other rows, which are all in `rows`.
    pub(crate) fn alone(&self, choice: &Choice, row: Id, rows: &mut FxHashMap<Id, ()>) -> f64 {
        let Some(term) = choice.get(&row) else { return f64::INFINITY };
        let mut context = Context { guards: Vec::new(), seen: FxHashSet::default(), times: 1.0 };
        let mut open: FxHashSet<Id> = [row].into_iter().collect();
        self.walk(choice, row, term, &mut context, rows, &mut open)
    }

    /// The guards that hold for the children of a term.
    pub(crate) fn guards_inside(&self, id: Id, term: &Term, guards: &[NodeId]) -> Vec<NodeId> {
        match &term.head {
            Head::Ein { guards: own, .. } => guards.iter().copied().chain(self.skipping(id, own)).collect(),
            _ => guards.to_vec(),
        }
    }

    /// Those guards of a term that spare something. A tile of rows has all of its rows: that only some of them are wanted, here and there, spares nothing.
    fn skipping(&self, id: Id, guards: &[NodeId]) -> impl Iterator<Item = NodeId> {
        let c = &self.eg.analysis.canon;
        let free = &self.eg[id].data.free;
        let by_row =
            move |g: NodeId| c.comparison(g).is_some_and(|(f, _)| f == MapFn::Eq) && c.g.free(g).is_subset(free);
        guards.iter().copied().filter(move |&g| match c.g.op(g) {
            Op::Map(MapFn::Or) => !c.g.args(g).iter().any(|&d| by_row(d)),
            _ => !by_row(g),
        })
    }

    fn rows(&self, choice: &Choice, id: Id, done: &mut FxHashMap<Id, ()>, open: &mut FxHashSet<Id>) -> f64 {
        if done.contains_key(&id) {
            return 0.0;
        }
        if !open.insert(id) {
            return f64::INFINITY;
        }
        let Some(term) = choice.get(&id) else { return f64::INFINITY };
        let mut context = Context { guards: Vec::new(), seen: FxHashSet::default(), times: 1.0 };
        let cost = self.walk(choice, id, term, &mut context, done, open);
        open.remove(&id);
        done.insert(id, ());
        cost
    }

    /// The cost of one term in its context, and of everything below it that is not paid for yet.
    fn walk(
        &self,
        choice: &Choice,
        id: Id,
        term: &Term,
        context: &mut Context,
        done: &mut FxHashMap<Id, ()>,
        open: &mut FxHashSet<Id>,
    ) -> f64 {
        let mut cost = context.times * self.remembered(id, term, &context.guards);
        let sums = matches!(&term.head, Head::Ein { axes, .. } if !axes.is_empty());
        let guards = self.guards_inside(id, term, &context.guards);
        // Whoever sums asks anew: what stands under other guards is another computation.
        let times = context.times * self.repeated(id, term);
        let mut inner = Context { guards, seen: FxHashSet::default(), times };
        for &a in &term.args {
            let a = self.eg.find(a);
            if self.is_row(a) {
                cost += self.rows(choice, a, done, open);
                continue;
            }
            let seen = if sums { &mut inner.seen } else { &mut context.seen };
            if !seen.insert(a) {
                continue;
            }
            if !open.insert(a) {
                return f64::INFINITY;
            }
            let Some(t) = choice.get(&a) else { return f64::INFINITY };
            cost += if sums || matches!(term.head, Head::Ein { .. }) {
                self.walk(choice, a, t, &mut inner, done, open)
            } else {
                self.walk(choice, a, t, context, done, open)
            };
            open.remove(&a);
            if cost.is_infinite() {
                break;
            }
        }
        cost
    }

    /// The cost of a term alone, computed once.
    pub(crate) fn remembered(&self, id: Id, term: &Term, guards: &[NodeId]) -> f64 {
        let key = (term.clone(), guards.to_vec());
        if let Some(&known) = self.memo.borrow().get(&key) {
            return known;
        }
        let cost = self.own(id, term, guards);
        self.memo.borrow_mut().insert(key, cost);
        cost
    }

    /// The cost of a term alone, under the guards around it.
    fn own(&self, id: Id, term: &Term, guards: &[NodeId]) -> f64 {
        let free = &self.eg[id].data.free;
        match &term.head {
            Head::Leaf(n) if !self.is_row(id) && self.is_double(*n) => self.count(free, guards) * DOUBLE,
            Head::Leaf(_) | Head::Outputs | Head::Other(Op::Cast(_)) => 0.0,
            Head::Map(f) => self.count(free, guards) * rate(*f),
            Head::Ein { axes, guards: own } => {
                let guards: Vec<NodeId> = guards.iter().copied().chain(self.skipping(id, own)).collect();
                let factors: Vec<AxisSet> = term.args.iter().map(|&f| self.eg[f].data.free.clone()).collect();
                let fine: Vec<AxisSet> = term.args.iter().map(|&f| self.fine(f)).collect();
                let factors = factors.into_iter().zip(fine).collect();
                let cost = self.contraction(free, axes, &guards, factors);
                let stored = !axes.is_empty() && self.is_row(id);
                // A sum over positions for every pair of positions, or over pairs for every position: no kernel does it.
                let long = |a: &AxisId| self.eg.analysis.is_long(*a);
                let summed = axes.iter().filter(|a| long(a)).count();
                let refused = summed > 0 && summed + free.iter().filter(long).count() > 2;
                let cost = cost * self.scatter(free, axes, own) * if refused { self.refused } else { 1.0 };
                cost + if stored { in_memory(self.points.count(free, &[])) } else { 0.0 }
            }
            Head::Sub { axes, .. } if self.is_row(id) => self.read(self.eg.find(term.args[0]), axes, free),
            Head::Sub { .. } => self.count(free, guards),
            // A recurrence over positions stays where it is computed unless it is read elsewhere: by one that runs the other way, for one.
            Head::Scan { axis, .. } => {
                let elements = self.points.count(free, &[]);
                let stored = self.both_ways || !self.eg.analysis.is_base(*axis);
                elements * 2.0 * VECTOR + if stored { in_memory(elements) } else { 0.0 }
            }
            // Recurrences and extrema, whatever they are: one operation for each position of what they range over.
            Head::Other(op) => {
                let mut all = free.clone();
                for &a in op.bound() {
                    all.insert(a);
                }
                self.points.count(&all, &[]) * 2.0 * VECTOR
            }
        }
    }

    /// The cost of reading a stored value at some positions. What is carried over blocks comes from memory for every tile of rows; a recurrence over
    /// positions is in memory only for those who read it at others.
    fn read(&self, body: Id, axes: &[AxisId], free: &AxisSet) -> f64 {
        let over = self.eg[body].nodes.iter().find_map(|t| match t.head {
            Head::Scan { axis, .. } if axes.contains(&axis) => Some(axis),
            _ => None,
        });
        match over {
            Some(a) if self.eg.analysis.is_base(a) => in_memory(self.points.count(&self.eg[body].data.free, &[])),
            Some(_) => self.points.count(free, &[]) * (MEMORY / 2.0) / TILE,
            None => 0.0,
        }
    }

    /// Axes on which a class depends position by position: not those of which it reads only in which block a position is.
    fn fine(&self, id: Id) -> AxisSet {
        let c = &self.eg.analysis.canon;
        let mut fine = self.eg[id].data.free.clone();
        for t in &self.eg[id].nodes {
            let Head::Sub { at, .. } = &t.head else { continue };
            let body = &self.eg[t.args[0]].data.free;
            for &p in at {
                let Some(form) = c.int_form(p) else { continue };
                let quotient = |v: NodeId| matches!(c.g.op(v), Op::Map(MapFn::IDiv));
                for a in c.g.free(p).iter().filter(|&a| !body.contains(a)) {
                    if form.terms().all(|(&v, _)| quotient(v) || !c.g.free(v).contains(a)) {
                        fine.remove(a);
                    }
                }
            }
        }
        fine
    }

    /// The share of a sum's work that is done where a guard says on which position of a result's axis each addend goes. The scheduler adds up so
    /// within a block.
    fn scatter(&self, free: &AxisSet, axes: &[AxisId], guards: &[NodeId]) -> f64 {
        let long = axes.iter().any(|&a| self.eg.analysis.is_long(a));
        if long { 1.0 } else { 1.0 / self.by_data(free, guards, |_| true) }
    }

    /// How often what stands under a sum over positions is computed: for every position of a result's axis on which the data decide what is summed.
    fn repeated(&self, id: Id, term: &Term) -> f64 {
        match &term.head {
            Head::Ein { axes, guards } if axes.iter().any(|&a| self.eg.analysis.is_long(a)) => {
                self.by_data(&self.eg[id].data.free, guards, |a| !self.eg.analysis.is_long(a))
            }
            _ => 1.0,
        }
    }

    /// Positions of a result's axes of which a guard says, by the data, to which one an addend belongs.
    fn by_data(&self, free: &AxisSet, guards: &[NodeId], of: impl Fn(AxisId) -> bool) -> f64 {
        let c = &self.eg.analysis.canon;
        let axis = |&g: &NodeId| {
            let (MapFn::Eq, form) = c.comparison(g)? else { return None };
            if form.terms().all(|(&v, _)| c.is_data_free(v)) {
                return None;
            }
            form.terms().find_map(|(&v, _)| match c.g.op(v) {
                Op::Index(a) if free.contains(*a) && of(*a) => Some(*a),
                _ => None,
            })
        };
        guards.iter().filter_map(axis).map(|a| self.points.extent(a)).product()
    }

    fn count(&self, axes: &AxisSet, guards: &[NodeId]) -> f64 {
        let g = &self.eg.analysis.canon.g;
        let of: Vec<NodeId> = guards.iter().copied().filter(|&x| g.free(x).iter().any(|a| axes.contains(a))).collect();
        self.points.count(axes, &of)
    }

    /// The cheapest order in which to sum a product over its axes.
    fn contraction(&self, free: &AxisSet, axes: &[AxisId], guards: &[NodeId], factors: Vec<Factor>) -> f64 {
        if axes.is_empty() {
            return self.count(free, guards) * VECTOR * (factors.len().max(2) - 1) as f64;
        }
        let mut best = f64::INFINITY;
        self.orders(free, axes, guards, &factors, 0.0, &mut best);
        best
    }

    /// Tries each axis that is left as the next to be summed.
    fn orders(
        &self,
        free: &AxisSet,
        axes: &[AxisId],
        guards: &[NodeId],
        factors: &[Factor],
        paid: f64,
        best: &mut f64,
    ) {
        if paid >= *best {
            return;
        }
        if axes.is_empty() {
            // What is left is multiplied.
            let rest = self.count(free, guards) * VECTOR * (factors.len().max(1) - 1) as f64;
            *best = best.min(paid + rest);
            return;
        }
        let g = &self.eg.analysis.canon.g;
        // The canonical form sums short axes first, inside; another order is another term.
        let short = |a: AxisId| !self.eg.analysis.is_long(a);
        let any_short = axes.iter().any(|&a| short(a));
        let next = axes.iter().enumerate().filter(|(_, a)| !any_short || short(**a));
        for (k, &a) in next.take(if axes.len() > MOST { 1 } else { MOST }) {
            let (with, mut rest): (Vec<_>, Vec<_>) = factors.iter().cloned().partition(|f| f.0.contains(a));
            let mut all: AxisSet = [a].into_iter().collect();
            for f in &with {
                all.extend(&f.0);
            }
            // A guard on an axis must be met before the axis is gone.
            for &x in guards.iter().filter(|&&x| g.free(x).contains(a)) {
                all.extend(g.free(x));
            }
            let cost = self.product(a, &with, &all, guards);
            all.remove(a);
            rest.push((all.clone(), all));
            let left: Vec<AxisId> = axes.iter().copied().enumerate().filter(|&(n, _)| n != k).map(|(_, a)| a).collect();
            self.orders(free, &left, guards, &rest, paid + cost, best);
        }
    }

    /// The cheapest way to sum a product over one axis: as a product of two matrices, each a product of some of the factors, if both have
    /// axes of their own.
    fn product(&self, a: AxisId, with: &[Factor], all: &AxisSet, guards: &[NodeId]) -> f64 {
        let points = self.count(all, guards);
        let plain = points * VECTOR * with.len().max(1) as f64;
        // Which factors are in the first matrix; the last never is.
        let halves = 1..1usize << with.len().saturating_sub(1).min(MOST);
        let split = |half: usize| {
            let (mut parts, mut fine) = ([AxisSet::new(), AxisSet::new()], [AxisSet::new(), AxisSet::new()]);
            let mut number = [0usize; 2];
            for (n, f) in with.iter().enumerate() {
                let side = usize::from(half >> n & 1 == 0);
                parts[side].extend(&f.0);
                fine[side].extend(&f.1);
                number[side] += 1;
            }
            let own = |n: usize| fine[n].iter().any(|x| x != a && !fine[1 - n].contains(x));
            let rate = if own(0) && own(1) { 1.0 } else { VECTOR };
            let before = |n: usize| match number[n] {
                0 | 1 => 0.0,
                k => self.count(&parts[n], guards) * VECTOR * (k - 1) as f64,
            };
            points * rate * 2.0 + before(0) + before(1)
        };
        halves.map(split).fold(plain, f64::min)
    }
}

/// The axes of a factor, and those on which it depends position by position.
type Factor = (AxisSet, AxisSet);

/// What it costs to write elements and to read them.
fn in_memory(elements: f64) -> f64 {
    elements * if elements > CACHED { FAR } else { MEMORY }
}

fn rate(f: MapFn) -> f64 {
    use MapFn::{Abs, Add, Max, Min, Mul, Neg, Sub};
    if matches!(f, Add | Sub | Mul | Neg | Max | Min | Abs) { VECTOR } else { DEAR }
}
