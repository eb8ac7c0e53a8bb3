//! Decisions over boxes: `arg`, `kth_value`, `kth_index`, `threshold`.
//!
//! One order for all of them: value descending (for `argmin` ascending), then index ascending. -0 equals 0. A NaN
//! among the members makes the value NaN and the index poison: there is no order.

use super::judge::{self, Tolerance};
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
    /// The value of the member at an index that was imposed.
    At(&'a Value),
}

/// Decisions to be judged instead of made.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) value: &'a Value,
    pub(super) tolerance: Tolerance,
}

/// Index of nothing: the largest i32.
pub(super) const NO_INDEX: i64 = i32::MAX as i64;

/// Why a row has no answer.
pub(super) struct Undefined(pub(super) NodeId);

/// The members of a row.
pub(super) struct Row<'a, T> {
    x: &'a [T],
    step: usize,
    guard: Option<(&'a [u8], usize)>,
    len: usize,
}

impl Row<'_, f64> {
    pub(super) fn list(&self, node: NodeId) -> Result<Vec<(f64, usize)>, Undefined> {
        let mut list = Vec::new();
        self.members(node, |x, i| list.push((x, i)))?;
        Ok(list)
    }
}

impl<T: Element> Row<'_, T> {
    /// Calls `f(element of x, index)` for every member.
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
pub(super) enum Kth {
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
    Ok(kth_of(scratch, rank))
}

/// The member of a rank (0 is the best); the members are put in another order.
pub(super) fn kth_of(members: &mut [(f64, usize)], rank: i64) -> Kth {
    if let Some(bad) = members.iter().find(|m| m.0.is_nan()) {
        return Kth::Nan(bad.0);
    }
    let Ok(r) = usize::try_from(rank) else { return Kth::Above };
    if r >= members.len() {
        return Kth::Below;
    }
    let order = |a: &(f64, usize), b: &(f64, usize)| {
        b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(&b.1))
    };
    let (_, &mut (x, i), _) = members.select_nth_unstable_by(r, order);
    Kth::Member(x, i)
}

/// Decides for every element of `region`; `scope` also has the bound `axis`. `None` where types do not fit.
pub(super) fn decide(
    (node, given): (NodeId, Option<Given<'_>>),
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
        Question::KthValue(v) | Question::KthIndex(v) | Question::Threshold(_, v) | Question::At(v) => Some(*v),
    };
    let strides = |v: Option<&Value>| v.map_or_else(|| axes.iter().map(|_| 0).collect(), |v| v.strides(&axes));
    let answers = given.map(|g| g.value.over(region));
    let nest =
        Nest::new(&region.shape(), [&x.strides(&axes), &strides(guard), &strides(extra), &strides(answers.as_ref())]);
    let step = x.strides(&[axis])[0];
    let guard = match guard {
        None => None,
        Some(g) => match &g.data {
            Data::B(b) => Some((b.as_slice(), g.strides(&[axis])[0])),
            _ => return None,
        },
    };
    let len = along.len();
    let each = |f: &mut dyn FnMut([usize; 4])| {
        nest.run(|at| {
            for i in 0..nest.inner {
                f(std::array::from_fn(|k| at[k] + i * nest.strides[k]));
            }
        });
    };
    fn row<'a, T>(x: &'a [T], step: usize, guard: Option<(&'a [u8], usize)>, at: [usize; 4], len: usize) -> Row<'a, T> {
        // Without elements along the axis the arrays are empty, and there is nothing to point at.
        let x = x.get(at[0]..).unwrap_or(&[]);
        Row { x, step, guard: guard.map(|(g, s)| (g.get(at[1]..).unwrap_or(&[]), s)), len }
    }
    let position = |i: usize| if len == 0 { 0 } else { along.get(i) as i64 };
    let mut ints: Vec<i64> = Vec::new();
    let mut floats: Vec<f64> = Vec::new();
    if let (Some(g), Some(answers)) = (given, &answers) {
        // Integers are judged as floats: their differences are small.
        let x = super::elementwise::cast(crate::DType::F64, node, x);
        let Data::F(x) = &x.data else { return None };
        let mut fits = true;
        each(&mut |at| {
            let r = row(x, step, guard, at, len);
            let rank = extra.and_then(|e| if let Data::I(v) = &e.data { Some(v[at[2]]) } else { None });
            let sum = extra.and_then(|e| if let Data::F(v) = &e.data { Some(v[at[2]]) } else { None });
            let other = rank.map(judge::Extra::Rank).or(sum.map(judge::Extra::Sum));
            let judged = match (&answers.data, other) {
                (Data::I(v), _) => judge::index(node, question, &r, rank, v[at[3]], position, g.tolerance),
                (Data::F(v), Some(e)) => judge::value(node, question, &r, e, v[at[3]], g.tolerance),
                _ => {
                    fits = false;
                    Ok(0.0)
                }
            };
            floats.push(judged.unwrap_or_else(|u| poison::float(u.0)));
        });
        return fits.then(|| Value::new(region.clone(), floats));
    }
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
        (Question::At(_), Data::F(x), Some(Data::I(indices))) => each(&mut |at| {
            let i = indices[at[2]];
            let found = usize::try_from(i).ok().and_then(|i| along.find(i)).and_then(|i| x.get(at[0] + i * step));
            floats.push(match (found, i) {
                (Some(&v), _) => v,
                (None, NO_INDEX) => f64::NEG_INFINITY,
                (None, -1) => f64::INFINITY,
                _ => poison::float(poison::of_int(i).unwrap_or(node)),
            });
        }),
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
