//! The order of the dimensions of a stored value.
//!
//! Whoever contracts a stored value reads it beside an input, and both should be walked in the order of their memory. So short axes
//! stand in the order that the layer's own inputs and outputs have them in, by majority; where those say nothing, in the order in
//! which the memory that the term reads has them. The order of declaration of a value means nothing.

use super::Scheduler;
use rustc_hash::FxHashMap;
use weft_ir::graph::prove::{Prover, Var};
use weft_ir::graph::{AxisId, DomainId, Extent, NodeId, Op};

/// For each pair of domains, how many more inputs and outputs have the first one outside the second than inside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Votes(FxHashMap<(DomainId, DomainId), i64>);

impl Scheduler {
    /// Counts the orders of the layer's inputs and outputs.
    pub(crate) fn count_votes(&mut self) {
        let g = &self.c.g;
        let inputs = g.inputs().iter().map(|i| &i.axes[..]);
        let outputs = g.outputs.iter().map(|o| &o.axes[..]);
        let mut votes = Votes::default();
        for axes in inputs.chain(outputs) {
            for (n, &a) in axes.iter().enumerate() {
                for &b in &axes[n + 1..] {
                    let (a, b) = (g.axis(a).domain, g.axis(b).domain);
                    *votes.0.entry((a, b)).or_insert(0) += 1;
                    *votes.0.entry((b, a)).or_insert(0) -= 1;
                }
            }
        }
        self.votes = votes;
    }

    /// Axes of a stored value in the order of its dimensions: batch, then time, then the others.
    pub(crate) fn dimension_order(&self, id: NodeId) -> Vec<AxisId> {
        let mut axes = Vec::new();
        self.memory_order(id, &mut axes);
        // What only index terms mention.
        for a in self.c.axes_by_appearance(id) {
            if !axes.contains(&a) {
                axes.push(a);
            }
        }
        axes.retain(|&a| self.c.g.free(id).contains(a));
        let class = |a: AxisId| match self.c.g.extent(a) {
            Extent::Runtime if !self.c.is_long(a) => 0,
            Extent::Const(_) => 2,
            _ => 1,
        };
        axes.sort_by_key(|&a| class(a));
        let short = axes.iter().position(|&a| class(a) == 2).unwrap_or(axes.len());
        let rest = axes.split_off(short);
        axes.extend(self.by_majority(rest));
        axes
    }

    /// Repeatedly the first axis that no other one has a majority to stand before; a circle is broken at its first axis.
    fn by_majority(&self, mut rest: Vec<AxisId>) -> Vec<AxisId> {
        let domain = |a: AxisId| self.c.g.axis(a).domain;
        let before = |a: AxisId, b: AxisId| self.votes.0.get(&(domain(a), domain(b))).copied().unwrap_or(0) > 0;
        let mut out = Vec::with_capacity(rest.len());
        while !rest.is_empty() {
            let free = (0..rest.len()).find(|&n| !rest.iter().any(|&x| x != rest[n] && before(x, rest[n])));
            out.push(rest.remove(free.unwrap_or(0)));
        }
        out
    }

    /// The order of what a substitution reads: asked for wherever the term is read, and of all that is below it.
    fn order_of(&self, id: NodeId) -> Vec<AxisId> {
        if let Some(known) = self.orders.borrow().get(&id) {
            return known.clone();
        }
        let mut order = Vec::new();
        self.memory_order(id, &mut order);
        self.orders.borrow_mut().insert(id, order.clone());
        order
    }

    /// Axes in the order in which the memory has them that a term reads; a position `8*h + d` has `h` outside `d`.
    fn memory_order(&self, id: NodeId, out: &mut Vec<AxisId>) {
        let mut seen = rustc_hash::FxHashSet::default();
        let mut stack = vec![id];
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            let args = self.c.g.args(n);
            match self.c.g.op(n) {
                Op::Input(i) => {
                    let own: Vec<AxisId> =
                        self.c.g.input(*i).axes.iter().copied().filter(|a| !out.contains(a)).collect();
                    out.extend(own);
                }
                Op::Sub { axes } => {
                    for a in self.order_of(args[0]) {
                        let at = axes.iter().position(|&x| x == a).map(|p| args[p + 1]);
                        let moved = at.map_or_else(|| vec![a], |p| self.axes_of_position(p));
                        out.extend(moved.into_iter().filter(|a| !out.contains(a)).collect::<Vec<_>>());
                    }
                }
                _ => stack.extend(args.iter().rev()),
            }
        }
    }

    /// Axes of an index term, those with the largest steps first.
    fn axes_of_position(&self, id: NodeId) -> Vec<AxisId> {
        let mut steps: Vec<(i64, AxisId)> = Vec::new();
        if let Some(form) = Prover::new(&self.c.g).form_of(id) {
            for (v, c) in form.terms() {
                if let Var::Axis(a) = v {
                    steps.push((-c.abs(), *a));
                }
            }
        }
        steps.sort_by_key(|s| s.0);
        let mut axes: Vec<AxisId> = steps.into_iter().map(|s| s.1).collect();
        axes.extend(self.c.g.free(id).iter().filter(|a| !axes.contains(a)).collect::<Vec<_>>());
        axes
    }
}
