//! How states are read along their own axes: which of these must be whole in a tile.

use super::State;
use crate::schedule::Scheduler;
use crate::schedule::store::Target;
use rustc_hash::FxHashSet;
use weft_ir::graph::{AxisId, NodeId, Op};

/// How the states of a walk are read at positions of their own axes.
#[derive(Default)]
pub(super) struct Reads {
    /// Axes that must be whole in a tile.
    pub(super) whole: Vec<AxisId>,
    /// Bound axes under which they are read.
    pub(super) aliases: Vec<AxisId>,
    /// Axes of which only one position is wanted, that of a grid point: a group's state for one of its heads.
    pub(super) placed: Vec<(AxisId, NodeId)>,
}

impl Scheduler {
    /// Where the states of a walk are read along their own axes.
    pub(super) fn reads_of_states(&self, states: &[State], root: NodeId, target: &Target) -> Reads {
        let steps: Vec<NodeId> = states.iter().map(|s| s.step).collect();
        let in_steps = self.positions_of_states(states, &steps);
        let all: Vec<(AxisId, NodeId)> =
            self.positions_of_states(states, &[root]).into_iter().chain(in_steps.iter().copied()).collect();
        let mut reads = Reads::default();
        let mut own: Vec<AxisId> = states.iter().flat_map(|s| s.decl.state.iter().copied()).collect();
        own.sort_unstable();
        own.dedup();
        for a in own.iter().copied().filter(|&a| self.c.g.static_extent(a).is_some()) {
            let mut at: Vec<NodeId> = all.iter().filter(|r| r.0 == a).map(|r| r.1).collect();
            at.dedup();
            let known = |p: NodeId| self.c.g.free(p).iter().all(|x| target.axes.contains(&x));
            match at[..] {
                [p] if known(p) && !target.axes.contains(&a) && in_steps.iter().all(|r| r.0 != a) => {
                    reads.placed.push((a, p));
                }
                [] if target.axes.contains(&a) => {}
                _ => reads.whole.push(a),
            }
        }
        for (_, p) in all {
            if let Op::Index(x) = self.c.g.op(p)
                && !target.axes.contains(x)
                && !own.contains(x)
                && !reads.aliases.contains(x)
            {
                reads.aliases.push(*x);
            }
        }
        reads
    }

    /// Axes of states and the positions at which terms read them.
    fn positions_of_states(&self, states: &[State], terms: &[NodeId]) -> Vec<(AxisId, NodeId)> {
        let mut found = Vec::new();
        let mut seen = FxHashSet::default();
        let mut stack = terms.to_vec();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            let args = self.c.g.args(n);
            if let Op::Sub { axes } = self.c.g.op(n) {
                let state = match self.c.g.op(args[0]) {
                    Op::Prev(_) => true,
                    Op::Input(i) => states.iter().any(|s| s.input == *i),
                    _ => false,
                };
                if state {
                    found.extend(axes.iter().copied().zip(args[1..].iter().copied()));
                }
            }
            stack.extend(args);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
