//! Which nodes a gradient can pass.

use rustc_hash::FxHashMap;
use weft_ir::graph::{Derivative, Graph, NodeId, Op, RecId};

/// Nodes of floats that depend on what is differentiated for, on paths that have a derivative.
#[derive(Clone, Debug)]
pub(super) struct Active {
    nodes: Vec<bool>,
}

impl Active {
    /// Nodes from which a gradient reaches a leaf that `is_leaf` names.
    pub(super) fn new(g: &Graph, is_leaf: impl Fn(&Op) -> bool) -> Self {
        // A state at t - 1 is active if its recurrence is; which is known after the first pass.
        let mut states: FxHashMap<RecId, bool> = FxHashMap::default();
        loop {
            let mut nodes = vec![false; g.len()];
            let mut changed = false;
            for id in g.ids() {
                let op = g.op(id);
                let above = |a: NodeId| nodes[a.index()];
                let active = match op.derivative() {
                    _ if is_leaf(op) => true,
                    Derivative::Leaf | Derivative::Zero => false,
                    Derivative::StraightThrough => above(g.args(id)[1]),
                    Derivative::Previous => matches!(op, Op::Prev(r) if states.get(r) == Some(&true)),
                    Derivative::Elementwise
                    | Derivative::Identity
                    | Derivative::Branch
                    | Derivative::Product
                    | Derivative::Extremum
                    | Derivative::Rank
                    | Derivative::Threshold
                    | Derivative::Read
                    | Derivative::Recurrence => g.operands(id).iter().any(|&a| above(a)),
                };
                nodes[id.index()] = active && g.dtype(id).is_float();
                if let Op::Rec(r) = op
                    && nodes[id.index()]
                {
                    changed |= states.insert(*r, true) != Some(true);
                }
            }
            if !changed {
                return Self { nodes };
            }
        }
    }

    /// Does a gradient pass this node? Nodes made later pass none.
    pub(super) fn is(&self, id: NodeId) -> bool {
        self.nodes.get(id.index()).copied().unwrap_or(false)
    }
}
