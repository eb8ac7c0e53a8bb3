//! Which boxes of its operands a node reads to give a box of itself.

use super::region::{Positions, Region};
use super::sizes::Sizes;
use crate::graph::{AxisId, AxisSet, Graph, MapFn, NodeId, Op, Scalar, floor_div};
use smallvec::SmallVec;

/// How many terms of an index expression are looked into: terms are shared, paths are many.
const BUDGET: u32 = 300;

/// The graph with its extents.
#[derive(Clone, Copy)]
pub(super) struct Shapes<'a> {
    pub(super) graph: &'a Graph,
    pub(super) sizes: &'a Sizes,
}

impl Shapes<'_> {
    /// All positions of some axes.
    pub(super) fn full(&self, axes: &AxisSet) -> Region {
        axes.iter().map(|a| (a, Positions::full(self.sizes.of(a)))).collect()
    }

    /// Free and bound axes of a reduction.
    pub(super) fn scope(&self, node: NodeId, region: &Region) -> Region {
        let mut scope = region.clone();
        for &a in self.graph.op(node).bound() {
            scope.set(a, Positions::full(self.sizes.of(a)));
        }
        scope
    }

    /// The operands, and the box that is read of each. A recurrence names none: it is run step by step.
    pub(super) fn operands(&self, node: NodeId, region: &Region) -> SmallVec<[(NodeId, Region); 4]> {
        let op = self.graph.op(node);
        let args = self.graph.args(node);
        let part = |scope: &Region, a: NodeId| (a, scope.restrict(self.graph.free(a)));
        match op {
            Op::Rec(_) | Op::Prev(_) => SmallVec::new(),
            // The gradient's operand has no part in the value.
            Op::Ste => args.iter().take(1).map(|&a| part(region, a)).collect(),
            Op::Sub { axes } => {
                let mut all: SmallVec<[(NodeId, Region); 4]> = SmallVec::new();
                all.push((args[0], self.body(region, args[0], axes, &args[1..])));
                for (&axis, &p) in axes.iter().zip(&args[1..]) {
                    if self.graph.free(args[0]).contains(axis) {
                        all.push(part(region, p));
                    }
                }
                all
            }
            _ if op.is_reduction() => {
                let scope = self.scope(node, region);
                args.iter().map(|&a| part(&scope, a)).collect()
            }
            _ => args.iter().map(|&a| part(region, a)).collect(),
        }
    }

    /// Box of the body of a substitution.
    fn body(&self, region: &Region, body: NodeId, axes: &[AxisId], positions: &[NodeId]) -> Region {
        self.graph
            .free(body)
            .iter()
            .map(|a| match axes.iter().position(|&x| x == a) {
                Some(i) => (a, self.image(positions[i], region, self.sizes.of(a))),
                None => (a, region.get(a).cloned().unwrap_or_else(|| Positions::full(self.sizes.of(a)))),
            })
            .collect()
    }

    /// A superset of the values of an integer term over a box, within an axis of some extent.
    fn image(&self, term: NodeId, region: &Region, extent: usize) -> Positions {
        if let Op::Index(a) = self.graph.op(term)
            && let Some(own) = region.get(*a)
        {
            return own.below(extent);
        }
        match self.interval(term, region, &mut { BUDGET }) {
            Some((low, high)) => {
                let low = low.clamp(0, extent as i64) as usize;
                let end = high.saturating_add(1).clamp(low as i64, extent as i64) as usize;
                // One axis, shifted: the positions themselves, where they are few and far between.
                let shifted = self.shifted(term, region).filter(|l| l.len() < (end - low) / 2);
                match shifted {
                    Some(list) => Positions::from_sorted(
                        list.into_iter().filter_map(|p| usize::try_from(p).ok()).filter(|&p| p < extent).collect(),
                    ),
                    None => Positions::Range { start: low, len: end - low },
                }
            }
            None => Positions::full(extent),
        }
    }

    /// Values of a term `index + constant` where the positions are a list.
    fn shifted(&self, term: NodeId, region: &Region) -> Option<Vec<i64>> {
        let form = crate::graph::affine::Affine::of(self.graph, term)?;
        let mut terms = form.terms();
        let (Some((&axis, 1)), None) = (terms.next(), terms.next()) else { return None };
        let own = region.get(axis).filter(|p| matches!(p, Positions::List(_)))?;
        Some(own.iter().map(|p| (p as i64).saturating_add(form.constant())).collect())
    }

    /// Least and largest value of a term of indices, sizes and constants. `None` for others, or of an empty box.
    fn interval(&self, term: NodeId, region: &Region, budget: &mut u32) -> Option<(i64, i64)> {
        *budget = budget.checked_sub(1)?;
        let mut of = |n: NodeId| self.interval(n, region, budget);
        match self.graph.op(term) {
            Op::Const(Scalar::Int(c)) => Some((*c, *c)),
            Op::Index(a) => region.get(*a)?.hull(),
            Op::Size(d) if self.sizes.ragged_domain(*d).is_none() => {
                let n = self.sizes.domain(*d) as i64;
                Some((n, n))
            }
            Op::Select => {
                let args = self.graph.args(term);
                let ((a, b), (c, d)) = (of(args[1])?, of(args[2])?);
                Some((a.min(c), b.max(d)))
            }
            Op::Map(f) => {
                type Interval = (i64, i64);
                let parts: Option<SmallVec<[Interval; 4]>> = self.graph.args(term).iter().map(|&a| of(a)).collect();
                let parts = parts?;
                let first = *parts.first()?;
                let fold = |f: &dyn Fn(Interval, Interval) -> Option<Interval>| {
                    parts[1..].iter().try_fold(first, |acc, &x| f(acc, x))
                };
                let corners = |f: &dyn Fn(i64, i64) -> Option<i64>, (a, b): Interval, (c, d): Interval| {
                    let all = [f(a, c)?, f(a, d)?, f(b, c)?, f(b, d)?];
                    Some((*all.iter().min()?, *all.iter().max()?))
                };
                match f {
                    MapFn::Add => fold(&|(a, b), (c, d)| Some((a.checked_add(c)?, b.checked_add(d)?))),
                    MapFn::Sub => fold(&|(a, b), (c, d)| Some((a.checked_sub(d)?, b.checked_sub(c)?))),
                    MapFn::Mul => fold(&|x, y| corners(&i64::checked_mul, x, y)),
                    MapFn::Max => fold(&|(a, b), (c, d)| Some((a.max(c), b.max(d)))),
                    MapFn::Min => fold(&|(a, b), (c, d)| Some((a.min(c), b.min(d)))),
                    MapFn::Neg => Some((first.1.checked_neg()?, first.0.checked_neg()?)),
                    MapFn::IDiv => {
                        let &(c, d) = parts.get(1)?;
                        if c != d || c < 1 { None } else { Some((floor_div(first.0, c), floor_div(first.1, c))) }
                    }
                    MapFn::Mod => {
                        let &(c, d) = parts.get(1)?;
                        if c != d || c < 1 { None } else { Some((0, c - 1)) }
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}
