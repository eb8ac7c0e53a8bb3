//! Where a value may be other than zero: conditions outside of which it is zero by definition.

use super::Clocks;
use std::rc::Rc;
use weft_ir::graph::{AxisId, MapFn, NodeId, Op, Scalar};

/// Conditions of one value; the others are forgotten, which is sound.
const MAX_CONDITIONS: usize = 16;

impl Clocks {
    /// Conditions that all hold wherever the value is not zero. Operands must have been visited.
    pub(super) fn support(&mut self, id: NodeId) {
        let op = self.graph.op(id).clone();
        let args = self.graph.args(id).to_vec();
        let mut conditions: Vec<NodeId> = match &op {
            Op::Select if self.is_zero(args[2]) => {
                self.conjuncts(args[0]).into_iter().chain(self.known_support(args[1])).collect()
            }
            Op::Select if self.is_zero(args[1]) => {
                self.not(args[0]).into_iter().chain(self.known_support(args[2])).collect()
            }
            Op::Map(MapFn::Mul) => self.supports(&args),
            // These are zero where all of their operands are.
            Op::Map(MapFn::Add | MapFn::Sub | MapFn::Min | MapFn::Max) => {
                let others: Vec<Vec<NodeId>> = args[1..].iter().map(|&a| self.known_support(a)).collect();
                self.known_support(args[0]).into_iter().filter(|c| others.iter().all(|o| o.contains(c))).collect()
            }
            Op::Map(MapFn::Div | MapFn::Div0 | MapFn::Neg) | Op::Cast(_) | Op::Stop => self.known_support(args[0]),
            Op::Ein { axes, guards } => {
                let (guards, factors) = args.split_at(*guards as usize);
                let all: Vec<NodeId> = guards.iter().copied().chain(self.supports(factors)).collect();
                // What mentions a bound axis holds for some position only.
                all.into_iter().filter(|&c| !axes.iter().any(|&a| self.graph.free(c).contains(a))).collect()
            }
            Op::Sub { axes } => {
                let pairs: Vec<(AxisId, NodeId)> = axes.iter().copied().zip(args[1..].iter().copied()).collect();
                let body = self.known_support(args[0]);
                body.into_iter().filter_map(|c| self.graph.sub(c, &pairs).ok()).collect()
            }
            _ => Vec::new(),
        };
        conditions.dedup();
        conditions.truncate(MAX_CONDITIONS);
        self.support.insert(id, Rc::new(conditions));
    }

    fn known_support(&self, id: NodeId) -> Vec<NodeId> {
        self.support.get(&id).map(|s| (**s).clone()).unwrap_or_default()
    }

    /// Conditions outside of which a product of these values is zero.
    pub(super) fn supports(&self, factors: &[NodeId]) -> Vec<NodeId> {
        let mut all: Vec<NodeId> = Vec::new();
        for c in factors.iter().flat_map(|&f| self.known_support(f)) {
            if !all.contains(&c) {
                all.push(c);
            }
        }
        all
    }

    fn is_zero(&self, id: NodeId) -> bool {
        matches!(self.graph.constant(id), Some(Scalar::Int(0) | Scalar::Float(0)))
    }

    fn conjuncts(&self, c: NodeId) -> Vec<NodeId> {
        match self.graph.op(c) {
            Op::Map(MapFn::And) => self.graph.args(c).iter().flat_map(|&a| self.conjuncts(a)).collect(),
            _ => vec![c],
        }
    }
}
