//! An order of terms that does not depend on names or on the order in which terms were made.
//!
//! Commutative operands are sorted by a structural hash in which an axis counts by the shape of its domain and an input
//! by its element type and the shapes of its axes. Equal hashes of different terms are possible (two inputs of one
//! shape) and harmless: identity is hash-consing's. Ties are broken by a second hash, in which axes and inputs count by how
//! the whole graph uses them ([`Colours`]), and then by age. Terms that tie even so can be exchanged for one another without
//! changing the graph, up to what colours cannot tell apart.

use super::colours::Colours;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};
use weft_ir::graph::{AxisId, Extent, Graph, InputId, MapFn, NodeId, Op, RecId};

/// Structural hashes of axes and nodes of one graph.
pub(crate) struct Fingerprints {
    nodes: Vec<u64>,
    /// With colours: what breaks ties.
    ties: Vec<u64>,
    colours: Option<Colours>,
}

pub(crate) fn hash(parts: impl Hash) -> u64 {
    let mut h = FxHasher::default();
    parts.hash(&mut h);
    // FxHash is weak in its low bits; a finaliser makes sorting by it stable against small changes.
    let x = h.finish();
    (x ^ (x >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The name of the canonical bound axis of a domain, by depth and number.
pub(crate) fn bound_name(domain: &str, depth: u32, n: u32) -> String {
    let suffix = if n == 0 { String::new() } else { format!("_{n}") };
    format!("{domain}'{depth}{suffix}")
}

/// Depth and number of a canonical bound axis; none for others. The mark in the name is no letter of the language.
fn bound_place(g: &Graph, a: AxisId) -> Option<(u32, u32)> {
    let (_, place) = g.axis(a).name.rsplit_once('\'')?;
    let (depth, n) = place.split_once('_').unwrap_or((place, "0"));
    Some((depth.parse().ok()?, n.parse().ok()?))
}

pub(crate) fn axis_print(g: &Graph, a: AxisId) -> u64 {
    let d = g.axis(a).domain;
    let shape = match g.domain(d).extent {
        Extent::Const(n) => (0u8, n, 0, 0),
        Extent::Runtime => (1, 0, 0, 0),
        Extent::Ragged(_) => (2, 0, 0, 0),
        Extent::Derived { mul, add, div, .. } => (3, mul, add, div),
    };
    // The first axis of a domain is where its row values live; bound ones are told apart by where they are bound (not by when they
    // were made, which depends on the order of statements).
    let place = bound_place(g, a);
    let first = place.is_some() || !g.axes()[..a.index()].iter().any(|x| x.domain == d);
    hash((shape, g.domain(d).role as u8, place, usize::from(!first)))
}

/// What stands at the leaves of a hash.
trait Leaves {
    /// Are operands that have no order hashed as a set? They may not stand in their canonical order yet, or in one that age decided.
    const AS_SETS: bool;
    fn axis(&self, a: AxisId) -> u64;
    fn input(&self, i: InputId) -> u64;
    fn rec(&self, r: RecId) -> u64;
}

/// Leaves by their shapes.
struct Shapes<'g>(&'g Graph);

impl Leaves for Shapes<'_> {
    const AS_SETS: bool = false;
    fn axis(&self, a: AxisId) -> u64 {
        axis_print(self.0, a)
    }
    fn input(&self, i: InputId) -> u64 {
        input_print(self.0, i)
    }
    fn rec(&self, r: RecId) -> u64 {
        rec_print(self.0, r)
    }
}

pub(crate) fn input_print(g: &Graph, i: InputId) -> u64 {
    let input = g.input(i);
    hash((input.kind as u8, input.dtype, input.axes.iter().map(|&a| axis_print(g, a)).collect::<Vec<_>>()))
}

pub(crate) fn rec_print(g: &Graph, r: RecId) -> u64 {
    // A set of axes: their order is that in which they were made.
    let mut state: Vec<u64> = g.rec(r).state.iter().map(|&a| axis_print(g, a)).collect();
    state.sort_unstable();
    if g.rec(r).reverse { hash((state, "reverse")) } else { hash(state) }
}

/// Leaves by their colours; those that the colours do not know by their shapes.
struct Coloured<'g>(&'g Graph, &'g Colours);

impl Leaves for Coloured<'_> {
    const AS_SETS: bool = true;
    fn axis(&self, a: AxisId) -> u64 {
        self.1.axes.get(a.index()).copied().unwrap_or_else(|| axis_print(self.0, a))
    }
    fn input(&self, i: InputId) -> u64 {
        self.1.inputs.get(i.index()).copied().unwrap_or_else(|| input_print(self.0, i))
    }
    fn rec(&self, r: RecId) -> u64 {
        self.1.recs.get(r.index()).copied().unwrap_or_else(|| rec_print(self.0, r))
    }
}

/// Leaves by their shapes, one axis told apart from all others.
struct Marked<'g>(&'g Graph, AxisId);

impl Leaves for Marked<'_> {
    const AS_SETS: bool = true;
    fn axis(&self, a: AxisId) -> u64 {
        hash((axis_print(self.0, a), a == self.1))
    }
    fn input(&self, i: InputId) -> u64 {
        let marks: Vec<u64> = self.0.input(i).axes.iter().map(|&a| self.axis(a)).collect();
        hash((input_print(self.0, i), marks))
    }
    fn rec(&self, r: RecId) -> u64 {
        rec_print(self.0, r)
    }
}

/// The hash of a node from those of its operands.
fn node_print<L: Leaves>(g: &Graph, id: NodeId, leaves: &L, of: &dyn Fn(NodeId) -> u64) -> u64 {
    let op = g.op(id);
    let own = match op {
        Op::Input(i) => leaves.input(*i),
        Op::Index(a) => leaves.axis(*a),
        Op::Rec(r) | Op::Prev(r) => leaves.rec(*r),
        Op::Const(c) => hash(c),
        Op::Map(f) => hash(*f as u32),
        _ => {
            // Sets of axes: their order is that in which they were made.
            let mut bound: Vec<u64> = op.bound().iter().map(|&a| leaves.axis(a)).collect();
            bound.sort_unstable();
            hash(bound)
        }
    };
    let mut args: Vec<u64> = g.args(id).iter().map(|&a| of(a)).collect();
    match op {
        Op::Sub { axes } => {
            for (arg, &a) in args[1..].iter_mut().zip(axes) {
                *arg = hash((leaves.axis(a), *arg));
            }
            args[1..].sort_unstable();
        }
        _ if !L::AS_SETS => {}
        Op::Map(f) if is_commutative(*f) => args.sort_unstable(),
        Op::Ein { guards, .. } => {
            let (guards, factors) = args.split_at_mut(*guards as usize);
            guards.sort_unstable();
            factors.sort_unstable();
        }
        _ => {
            let guards = op.guards();
            args[..guards].sort_unstable();
        }
    }
    hash((op.name(), op.guards(), own, args))
}

pub(crate) fn is_commutative(f: MapFn) -> bool {
    use MapFn::{Add, And, Eq, Max, Min, Mul, Ne, Or};
    matches!(f, Add | Mul | And | Or | Min | Max | Eq | Ne)
}

/// Hashes of all nodes of a graph with these colours.
pub(crate) fn coloured(g: &Graph, colours: &Colours) -> Vec<u64> {
    let mut all: Vec<u64> = Vec::with_capacity(g.len());
    for id in g.ids() {
        let print = node_print(g, id, &Coloured(g, colours), &|a: NodeId| all[a.index()]);
        all.push(print);
    }
    all
}

/// Hash of how terms use one axis, whatever the others of its shape are.
pub(crate) fn use_of(g: &Graph, body: &[NodeId], axis: AxisId) -> u64 {
    let mut known: FxHashMap<NodeId, u64> = FxHashMap::default();
    let mut needed: Vec<NodeId> = body.to_vec();
    let mut order = Vec::new();
    let mut seen = rustc_hash::FxHashSet::default();
    while let Some(n) = needed.pop() {
        if seen.insert(n) {
            order.push(n);
            needed.extend(g.args(n));
        }
    }
    order.sort_unstable();
    for n in order {
        let print = node_print(g, n, &Marked(g, axis), &|a: NodeId| known[&a]);
        known.insert(n, print);
    }
    let mut all: Vec<u64> = body.iter().map(|n| known[n]).collect();
    all.sort_unstable();
    hash(all)
}

impl Fingerprints {
    pub(crate) fn new(colours: Option<Colours>) -> Self {
        Self { nodes: Vec::new(), ties: Vec::new(), colours }
    }

    /// What a node is sorted by.
    pub(crate) fn of(&self, id: NodeId) -> (u64, u64) {
        (self.nodes[id.index()], self.ties.get(id.index()).copied().unwrap_or(0))
    }

    /// Colours of a recurrence that is made next.
    pub(crate) fn add_rec(&mut self, colour: Option<u64>) {
        if let (Some(c), Some(colour)) = (&mut self.colours, colour) {
            c.recs.push(colour);
        }
    }

    /// Computes the hash of the next node.
    pub(crate) fn push(&mut self, g: &Graph, id: NodeId) {
        debug_assert_eq!(self.nodes.len(), id.index());
        let print = node_print(g, id, &Shapes(g), &|a: NodeId| self.nodes[a.index()]);
        self.nodes.push(print);
        if let Some(colours) = &self.colours {
            let tie = node_print(g, id, &Coloured(g, colours), &|a: NodeId| self.ties[a.index()]);
            self.ties.push(tie);
        }
    }
}
