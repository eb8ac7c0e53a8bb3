//! Affine integer terms over the axes of a graph.

use super::axes::AxisId;
use super::node::{Graph, NodeId};
use super::op::{Op, Scalar};
use crate::elementwise::MapFn;
use crate::linear::Lin;

/// `constant + sum of coefficient * axis`.
pub type Affine = Lin<AxisId>;

impl Affine {
    /// The form of a node, or `None` where it is not affine or its coefficients leave i64.
    #[must_use]
    pub fn of(graph: &Graph, id: NodeId) -> Option<Self> {
        // Terms are shared: a chain of doublings has exponentially many paths.
        Self::within(graph, id, &mut 1000)
    }

    fn within(graph: &Graph, id: NodeId, budget: &mut u32) -> Option<Self> {
        *budget = budget.checked_sub(1)?;
        match graph.op(id) {
            Op::Const(Scalar::Int(c)) => Some(Self::new(*c)),
            Op::Index(a) => Some(Self::var(*a)),
            Op::Map(f) => {
                let mut args = graph.args(id).iter().map(|&a| Self::within(graph, a, budget));
                match f {
                    MapFn::Add => args.try_fold(Self::default(), |acc, x| acc.checked_add(&x?, 1)),
                    MapFn::Sub => args.next()??.checked_add(&args.next()??, -1),
                    MapFn::Neg => args.next()??.scaled(-1),
                    MapFn::Mul => args.try_fold(Self::new(1), |acc, x| acc.times(&x?)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}
