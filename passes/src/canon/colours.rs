//! Colours of axes, inputs and recurrences: what the whole graph does with them, without names or the order of declarations.
//!
//! This is the refinement of Weisfeiler and Leman. At first a colour is a shape. Each round hashes terms from their leaves up,
//! and from the outputs down the places at which they stand; an axis or an input then gets the hash of all places at which it is
//! used. Rounds end when they tell nothing further apart. What still has one colour is, but for rare regular graphs, exchanged by
//! a symmetry of the graph, and it does not matter which of the two comes first.

use super::fingerprint::{axis_print, coloured, hash, input_print, is_commutative, rec_print};
use weft_ir::graph::{AxisId, Graph, InputId, NodeId, Op, RecId};

/// A colour for each axis, input and recurrence of a graph, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Colours {
    pub(crate) axes: Vec<u64>,
    pub(crate) inputs: Vec<u64>,
    pub(crate) recs: Vec<u64>,
}

/// More rounds than chains of distinctions are long in practice; each graph ends earlier.
const ROUNDS: usize = 16;

impl Colours {
    /// The colours of a canonical graph.
    pub(crate) fn of(g: &Graph) -> Self {
        let count = |n: usize| 0..n as u32;
        let mut colours = Self {
            axes: count(g.axes().len()).map(|a| axis_print(g, AxisId(a))).collect(),
            inputs: count(g.inputs().len()).map(|i| input_print(g, InputId(i))).collect(),
            recs: count(g.recs().len()).map(|r| rec_print(g, RecId(r))).collect(),
        };
        let mut distinct = colours.distinct();
        for _ in 0..ROUNDS {
            let next = colours.refined(g);
            let now = next.distinct();
            if now == distinct {
                break;
            }
            (colours, distinct) = (next, now);
        }
        colours
    }

    fn distinct(&self) -> usize {
        let mut all: Vec<u64> = self.axes.iter().chain(&self.inputs).chain(&self.recs).copied().collect();
        all.sort_unstable();
        all.dedup();
        all.len()
    }

    fn refined(&self, g: &Graph) -> Self {
        let up = coloured(g, self);
        // Uses are a multiset, so their hashes are added.
        let mut places = vec![0u64; g.len()];
        let mut axes = vec![0u64; g.axes().len()];
        let mut inputs = vec![0u64; g.inputs().len()];
        let mut recs = vec![0u64; g.recs().len()];
        let add = |to: &mut u64, what: u64| *to = to.wrapping_add(what);
        for out in &g.outputs {
            add(&mut places[out.node.index()], hash((1u8, out.dtype)));
            for (k, &a) in out.axes.iter().enumerate() {
                add(&mut axes[a.index()], hash((2u8, k, up[out.node.index()])));
            }
        }
        // Users come after what they use.
        for n in (0..g.len()).rev() {
            let id = NodeId(n as u32);
            let here = hash((places[n], up[n]));
            let op = g.op(id);
            for (k, &arg) in g.args(id).iter().enumerate() {
                let slot = match op {
                    Op::Map(f) if is_commutative(*f) => 0,
                    Op::Sub { axes } if k > 0 => self.axes[axes[k - 1].index()],
                    Op::Ein { guards, .. } => u64::from(k >= *guards as usize),
                    _ if k < op.guards() => 0,
                    _ => 1 + k as u64,
                };
                add(&mut places[arg.index()], hash((3u8, here, slot)));
            }
            match op {
                Op::Index(a) => add(&mut axes[a.index()], hash((4u8, here))),
                Op::Sub { axes: of } => {
                    for (&a, &by) in of.iter().zip(&g.args(id)[1..]) {
                        add(&mut axes[a.index()], hash((5u8, here, up[by.index()])));
                    }
                }
                Op::Input(i) => {
                    add(&mut inputs[i.index()], here);
                    for (k, &a) in g.input(*i).axes.iter().enumerate() {
                        add(&mut axes[a.index()], hash((6u8, k, here)));
                    }
                }
                Op::Rec(r) | Op::Prev(r) => {
                    add(&mut recs[r.index()], here);
                    for &a in &g.rec(*r).state {
                        add(&mut axes[a.index()], hash((7u8, here)));
                    }
                    add(&mut axes[g.rec(*r).time.index()], hash((8u8, here)));
                }
                _ => {
                    for &a in op.bound() {
                        add(&mut axes[a.index()], hash((9u8, here)));
                    }
                }
            }
        }
        let merge = |old: &[u64], new: Vec<u64>| old.iter().zip(new).map(|(&o, n)| hash((o, n))).collect();
        Self { axes: merge(&self.axes, axes), inputs: merge(&self.inputs, inputs), recs: merge(&self.recs, recs) }
    }
}
