//! Decisions over boxes: `arg`, `kth_value`, `kth_index`, `threshold`.
//!
//! One order for all of them: value descending (for `argmin` ascending), then index ascending. -0 equals 0. A NaN
//! among the members makes the value NaN and the index poison: there is no order.

use super::poison::{self, Element};
use super::region::Region;
use super::threshold;
use super::value::{Data, IntoData, Nest, Value};
use crate::graph::{AxisId, Extremum, NodeId, ThresholdFamily};
use std::cmp::Ordering;

/// What a row of members decides.
pub(super) enum Question<'a> {
    Arg(Extremum),
    KthValue(&'a Value),
    KthIndex(&'a Value),
    Threshold(ThresholdFamily, &'a Value),
}

/// Index of nothing: the largest i32.
const NO_INDEX: i64 = i32::MAX as i64;

/// Why a row has no answer.
struct Undefined(NodeId);

/// Calls `f(element of x, position)` for every member of a row.
struct Row<'a, T> {
    x: &'a [T],
    step: usize,
    guard: Option<(&'a [u8], usize)>,
    len: usize,
}

impl<T: Element> Row<'_, T> {
    fn members(&self, node: NodeId, mut f: impl FnMut(T, usize)) -> Result<(), Undefined> {
        for i in 0..self.len {
            match self.guard.map_or(1, |(g, step)| g[i * step]) {
                0 => {}
                1 => {
                    let x = self.x[i * self.step];
                    if let Some(at) = x.poisoned() {
                        return Err(Undefined(at.unwrap_or(node)));
                    }
                    f(x, i);
                }
                _ => return Err(Undefined(node)),
            }
        }
        Ok(())
    }
}

fn best<T: Element + PartialOrd>(node: NodeId, row: &Row<'_, T>, max: bool) -> Result<usize, Undefined> {
    let mut best: Option<(T, usize)> = None;
    let mut unordered = false;
    row.members(node, |x, i| {
        #[expect(clippy::eq_op, reason = "only a NaN differs from itself")]
        let nan = x != x;
        unordered |= nan;
        if best.is_none_or(|(b, _)| if max { x > b } else { x < b }) {
            best = Some((x, i));
        }
    })?;
    if unordered { Err(Undefined(node)) } else { Ok(best.map_or(0, |b| b.1)) }
}

/// The member of a rank, or why there is none.
enum Kth {
    Member(f64, usize),
    /// The rank is negative: better than all.
    Above,
    /// There are too few members.
    Below,
    Nan(f64),
}

fn kth(node: NodeId, row: &Row<'_, f64>, rank: i64, scratch: &mut Vec<(f64, usize)>) -> Result<Kth, Undefined> {
    scratch.clear();
    row.members(node, |x, i| scratch.push((x, i)))?;
    if poison::is_int(rank) {
        return Err(Undefined(poison::of_int(rank).unwrap_or(node)));
    }
    if let Some(bad) = scratch.iter().find(|m| m.0.is_nan()) {
        return Ok(Kth::Nan(bad.0));
    }
    let Ok(r) = usize::try_from(rank) else { return Ok(Kth::Above) };
    if r >= scratch.len() {
        return Ok(Kth::Below);
    }
    let order = |a: &(f64, usize), b: &(f64, usize)| {
        b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(&b.1))
    };
    let (_, &mut (x, i), _) = scratch.select_nth_unstable_by(r, order);
    Ok(Kth::Member(x, i))
}

/// Decides for every element of `region`; `scope` also has the bound `axis`. `None` where types do not fit.
pub(super) fn decide(
    node: NodeId,
    question: &Question<'_>,
    scope: &Region,
    axis: AxisId,
    guard: Option<&Value>,
    x: &Value,
    region: &Region,
) -> Option<Value> {
    let along = scope.get(axis)?;
    let axes = region.axes();
    let extra = match question {
        Question::Arg(_) => None,
        Question::KthValue(v) | Question::KthIndex(v) | Question::Threshold(_, v) => Some(*v),
    };
    let strides = |v: Option<&Value>| v.map_or_else(|| axes.iter().map(|_| 0).collect(), |v| v.strides(&axes));
    let nest = Nest::new(&region.shape(), [&x.strides(&axes), &strides(guard), &strides(extra)]);
    let step = x.strides(&[axis])[0];
    let guard = match guard {
        None => None,
        Some(g) => match &g.data {
            Data::B(b) => Some((b.as_slice(), g.strides(&[axis])[0])),
            _ => return None,
        },
    };
    let len = along.len();
    let each = |f: &mut dyn FnMut([usize; 3])| {
        nest.run(|at| {
            for i in 0..nest.inner {
                f([at[0] + i * nest.strides[0], at[1] + i * nest.strides[1], at[2] + i * nest.strides[2]]);
            }
        });
    };
    fn row<'a, T>(x: &'a [T], step: usize, guard: Option<(&'a [u8], usize)>, at: [usize; 3], len: usize) -> Row<'a, T> {
        // Without elements along the axis the arrays are empty, and there is nothing to point at.
        let x = x.get(at[0]..).unwrap_or(&[]);
        Row { x, step, guard: guard.map(|(g, s)| (g.get(at[1]..).unwrap_or(&[]), s)), len }
    }
    let position = |i: usize| if len == 0 { 0 } else { along.get(i) as i64 };
    let mut ints: Vec<i64> = Vec::new();
    let mut floats: Vec<f64> = Vec::new();
    match (question, &x.data, extra.map(|e| &e.data)) {
        (Question::Arg(which), Data::F(x), _) => each(&mut |at| {
            let r = row(x, step, guard, at, len);
            ints.push(best(node, &r, *which == Extremum::Max).map_or_else(|u| poison::int(u.0), position));
        }),
        (Question::Arg(which), Data::I(x), _) => each(&mut |at| {
            let r = row(x, step, guard, at, len);
            ints.push(best(node, &r, *which == Extremum::Max).map_or_else(|u| poison::int(u.0), position));
        }),
        (Question::KthValue(_), Data::F(x), Some(Data::I(ranks))) => {
            let mut scratch = Vec::with_capacity(len);
            each(&mut |at| {
                let r = row(x, step, guard, at, len);
                floats.push(match kth(node, &r, ranks[at[2]], &mut scratch) {
                    Ok(Kth::Member(v, _) | Kth::Nan(v)) => v,
                    Ok(Kth::Above) => f64::INFINITY,
                    Ok(Kth::Below) => f64::NEG_INFINITY,
                    Err(u) => poison::float(u.0),
                });
            });
        }
        (Question::KthIndex(_), Data::F(x), Some(Data::I(ranks))) => {
            let mut scratch = Vec::with_capacity(len);
            each(&mut |at| {
                let r = row(x, step, guard, at, len);
                ints.push(match kth(node, &r, ranks[at[2]], &mut scratch) {
                    Ok(Kth::Member(_, i)) => position(i),
                    Ok(Kth::Above) => -1,
                    Ok(Kth::Below) => NO_INDEX,
                    Ok(Kth::Nan(_)) => poison::int(node),
                    Err(u) => poison::int(u.0),
                });
            });
        }
        (Question::Threshold(family, _), Data::F(x), Some(Data::F(sums))) => {
            let mut scratch = Vec::with_capacity(len);
            each(&mut |at| {
                scratch.clear();
                let r = row(x, step, guard, at, len);
                floats.push(match r.members(node, |x, _| scratch.push(x)) {
                    Ok(()) => threshold::solve(*family, &mut scratch, sums[at[2]]),
                    Err(u) => poison::float(u.0),
                });
            });
        }
        _ => return None,
    }
    let data = match question {
        Question::Arg(_) | Question::KthIndex(_) => ints.into_data(),
        _ => floats.into_data(),
    };
    Some(Value { region: region.clone(), data })
}
