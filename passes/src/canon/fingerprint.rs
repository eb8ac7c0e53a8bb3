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

fn axis_print(g: &Graph, a: AxisId) -> u64 {
    let d = g.axis(a).domain;
    let shape = match g.domain(d).extent {
        Extent::Const(n) => (0u8, n, 0, 0),
        Extent::Runtime => (1, 0, 0, 0),
        Extent::Ragged(_) => (2, 0, 0, 0),
        Extent::Derived { mul, add, div, .. } => (3, mul, add, div),
    };
    // The first axis of a domain is where its row values live; the others are told apart by their order.
    let ordinal = g.axes()[..a.index()].iter().filter(|x| x.domain == d).count();
    hash((shape, g.domain(d).role as u8, ordinal))
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
            _ => hash(op.bound().iter().map(|&a| axis_print(g, a)).collect::<Vec<_>>()),
        };
        let args: Vec<u64> = g.args(id).iter().map(|a| self.nodes[a.index()]).collect();
        self.nodes.push(hash((op.name(), op.guards(), own, args)));
    }
}
