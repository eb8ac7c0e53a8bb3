//! An order of terms that does not depend on names or on the order in which terms were made.
//!
//! Commutative operands are sorted by a structural hash in which an axis counts by the shape of its domain and an input
//! by its element type and the shapes of its axes. Equal hashes of different terms are possible (two inputs of one
//! shape) and harmless: identity is hash-consing's; ties are broken by age.

use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};
use weft_ir::graph::{AxisId, Extent, Graph, NodeId, Op};

/// Structural hashes of axes and nodes of one graph.
pub(crate) struct Fingerprints {
    nodes: Vec<u64>,
}

fn hash(parts: impl Hash) -> u64 {
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

fn axis_print(g: &Graph, a: AxisId) -> u64 {
    let d = g.axis(a).domain;
    let shape = match g.domain(d).extent {
        Extent::Const(n) => (0u8, n, 0, 0),
        Extent::Runtime => (1, 0, 0, 0),
        Extent::Ragged(_) => (2, 0, 0, 0),
        Extent::Derived { mul, add, div, .. } => (3, mul, add, div),
    };
    // The first axis of a domain is where its row values live; bound ones are told apart by where they are bound (not by when they
    // were made, which depends on the order of statements), the others by their order.
    let place = bound_place(g, a);
    let before = || g.axes()[..a.index()].iter().enumerate();
    let is_free = |n: usize| bound_place(g, AxisId(n as u32)).is_none();
    let ordinal = if place.is_some() { 0 } else { before().filter(|&(n, x)| x.domain == d && is_free(n)).count() };
    hash((shape, g.domain(d).role as u8, place, ordinal))
}

impl Fingerprints {
    pub(crate) fn new(_: &Graph) -> Self {
        Self { nodes: Vec::new() }
    }

    /// Hash of a node.
    pub(crate) fn of(&self, id: NodeId) -> u64 {
        self.nodes[id.index()]
    }

    /// Computes the hash of the next node.
    pub(crate) fn push(&mut self, g: &Graph, id: NodeId) {
        debug_assert_eq!(self.nodes.len(), id.index());
        let op = g.op(id);
        let own = match op {
            Op::Input(i) => {
                let input = g.input(*i);
                hash((input.kind as u8, input.dtype, input.axes.iter().map(|&a| axis_print(g, a)).collect::<Vec<_>>()))
            }
            Op::Index(a) => axis_print(g, *a),
            Op::Rec(r) | Op::Prev(r) => hash(g.rec(*r).state.iter().map(|&a| axis_print(g, a)).collect::<Vec<_>>()),
            Op::Const(c) => hash(c),
            Op::Map(f) => hash(*f as u32),
            _ => {
                // Sets of axes: their order is that in which they were made.
                let mut bound: Vec<u64> = op.bound().iter().map(|&a| axis_print(g, a)).collect();
                bound.sort_unstable();
                hash(bound)
            }
        };
        let mut args: Vec<u64> = g.args(id).iter().map(|a| self.nodes[a.index()]).collect();
        if let Op::Sub { axes } = op {
            for (arg, &a) in args[1..].iter_mut().zip(axes) {
                *arg = hash((axis_print(g, a), *arg));
            }
            args[1..].sort_unstable();
        }
        self.nodes.push(hash((op.name(), op.guards(), own, args)));
    }
}
