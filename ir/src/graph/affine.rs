//! Affine integer terms: `constant + sum of coefficient * axis`.

use super::axes::AxisId;
use super::map::MapFn;
use super::node::{Graph, NodeId};
use super::op::{Op, Scalar};
use std::collections::BTreeMap;

/// An affine form over the axes of one graph.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Affine {
    terms: BTreeMap<AxisId, i64>,
    constant: i64,
}

impl Affine {
    /// A constant form.
    #[must_use]
    pub fn new(constant: i64) -> Self {
        Self { terms: BTreeMap::new(), constant }
    }

    /// The position on an axis.
    #[must_use]
    pub fn axis(axis: AxisId) -> Self {
        Self { terms: BTreeMap::from([(axis, 1)]), constant: 0 }
    }

    /// The form of a node, or `None` where it is not affine or its coefficients leave i64.
    #[must_use]
    pub fn of(graph: &Graph, id: NodeId) -> Option<Self> {
        match graph.op(id) {
            Op::Const(Scalar::Int(c)) => Some(Self::new(*c)),
            Op::Index(a) => Some(Self::axis(*a)),
            Op::Map(f) => {
                let mut args = graph.args(id).iter().map(|&a| Self::of(graph, a));
                match f {
                    MapFn::Add => args.try_fold(Self::default(), |acc, x| acc.checked_add(&x?, 1)),
                    MapFn::Sub => args.next()??.checked_add(&args.next()??, -1),
                    MapFn::Neg => Self::default().checked_add(&args.next()??, -1),
                    MapFn::Mul => args.try_fold(Self::new(1), |acc, x| acc.times(&x?)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn times(&self, other: &Self) -> Option<Self> {
        match (self.terms.is_empty(), other.terms.is_empty()) {
            (true, _) => Self::default().checked_add(other, self.constant),
            (_, true) => Self::default().checked_add(self, other.constant),
            _ => None,
        }
    }

    /// `self + factor * other`, or `None` on overflow.
    #[must_use]
    pub fn checked_add(&self, other: &Self, factor: i64) -> Option<Self> {
        let mut sum = self.clone();
        sum.constant = sum.constant.checked_add(other.constant.checked_mul(factor)?)?;
        for (&a, &c) in &other.terms {
            let slot = sum.terms.entry(a).or_insert(0);
            *slot = slot.checked_add(c.checked_mul(factor)?)?;
        }
        sum.terms.retain(|_, c| *c != 0);
        Some(sum)
    }

    /// `self - other`; saturates to the form 0 with an extreme constant only where i64 overflows, which no index does.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.checked_add(other, -1).unwrap_or_else(|| Self::new(i64::MAX))
    }

    /// Axes with coefficients other than 0, in order of id.
    pub fn terms(&self) -> impl Iterator<Item = (AxisId, i64)> + '_ {
        self.terms.iter().map(|(&a, &c)| (a, c))
    }

    /// Coefficient of an axis.
    #[must_use]
    pub fn coefficient(&self, axis: AxisId) -> i64 {
        self.terms.get(&axis).copied().unwrap_or(0)
    }

    /// The constant.
    #[must_use]
    pub fn constant(&self) -> i64 {
        self.constant
    }
}
