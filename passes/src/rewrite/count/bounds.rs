//! What conditions leave of axes: each narrows each by what is known of the others, until nothing changes.

use crate::canon::{Canon, IntForm};
use rustc_hash::FxHashMap;
use weft_ir::graph::{AxisId, MapFn, NodeId, Op, Scalar};

/// First and last position of each axis.
pub(super) type Bounds = FxHashMap<AxisId, (i64, i64)>;

/// Most rounds in which conditions narrow axes.
const ROUNDS: usize = 4;

/// A sum of terms that is at least 0.
pub(super) struct Condition {
    constant: i64,
    terms: Vec<(i64, Part)>,
}

/// A term of a condition.
enum Part {
    /// A position.
    Position(AxisId),
    /// `(factor * position + offset) // divisor`.
    Quotient { axis: AxisId, factor: i64, offset: i64, divisor: i64 },
    /// Something else: known where all of its positions are.
    Other(NodeId),
}

impl Condition {
    /// A guard, if it compares integers.
    pub(super) fn new(canon: &Canon, guard: NodeId) -> Option<Self> {
        let (MapFn::Le, form) = canon.comparison(guard)? else { return None };
        let terms = form.terms().map(|(&v, k)| (k, part(canon, v))).collect();
        Some(Self { constant: form.constant(), terms })
    }
}

fn part(canon: &Canon, v: NodeId) -> Part {
    let g = &canon.g;
    match g.op(v) {
        Op::Index(a) => Part::Position(*a),
        Op::Map(MapFn::IDiv) => {
            let args = g.args(v);
            let divisor = match g.constant(args[1]) {
                Some(Scalar::Int(m)) if m > 0 => m,
                _ => return Part::Other(v),
            };
            let linear = |f: IntForm| {
                let (&one, factor) = f.terms().next().filter(|_| f.terms().count() == 1)?;
                let Op::Index(axis) = g.op(one) else { return None };
                Some(Part::Quotient { axis: *axis, factor, offset: f.constant(), divisor })
            };
            canon.int_form(args[0]).and_then(linear).unwrap_or(Part::Other(v))
        }
        _ => Part::Other(v),
    }
}

impl Part {
    /// Least and greatest value.
    fn range(&self, bounds: &Bounds, value: &impl Fn(NodeId) -> Option<i64>) -> Option<(i64, i64)> {
        match *self {
            Part::Position(a) => bounds.get(&a).copied(),
            Part::Quotient { axis, factor, offset, divisor } => {
                let &(lo, hi) = bounds.get(&axis)?;
                let at = |x: i64| Some(x.checked_mul(factor)?.checked_add(offset)?.div_euclid(divisor));
                let (a, b) = (at(lo)?, at(hi)?);
                Some((a.min(b), a.max(b)))
            }
            Part::Other(v) => value(v).map(|x| (x, x)),
        }
    }

    /// The positions at which the term is at least, or at most, a number.
    fn solved(&self, least: bool, number: i64) -> Option<(AxisId, Side)> {
        match *self {
            Part::Position(a) => Some((a, if least { Side::From(number) } else { Side::To(number) })),
            Part::Quotient { axis, factor, offset, divisor } => {
                // The dividend is at least `divisor * number`, or at most that and what is less than another divisor.
                let above = number.checked_mul(divisor)?;
                let edge = if least { above } else { above.checked_add(divisor - 1)? };
                let room = edge.checked_sub(offset)?;
                let from = if factor > 0 { least } else { !least };
                if factor == 0 {
                    return None;
                }
                let exact = room.div_euclid(factor);
                let over = room.rem_euclid(factor) != 0;
                // Division rounds down for positive factors, up for negative ones.
                let at = match (from, factor > 0) {
                    (true, true) => exact + i64::from(over),
                    (false, false) => exact - i64::from(over),
                    _ => exact,
                };
                Some((axis, if from { Side::From(at) } else { Side::To(at) }))
            }
            Part::Other(_) => None,
        }
    }
}

enum Side {
    From(i64),
    To(i64),
}

/// Narrows the bounds of all axes.
pub(super) fn narrow(conditions: &[Condition], bounds: &mut Bounds, value: impl Fn(NodeId) -> Option<i64>) {
    for _ in 0..ROUNDS {
        let mut changed = false;
        for c in conditions {
            changed |= c.narrow(bounds, &value);
        }
        if !changed {
            return;
        }
    }
}

impl Condition {
    fn narrow(&self, bounds: &mut Bounds, value: &impl Fn(NodeId) -> Option<i64>) -> bool {
        // The most that the other terms can be.
        let most = |(k, p): &(i64, Part), bounds: &Bounds| {
            let (lo, hi) = p.range(bounds, value)?;
            k.checked_mul(if *k > 0 { hi } else { lo })
        };
        let mut changed = false;
        for (n, (k, p)) in self.terms.iter().enumerate() {
            let others = self.terms.iter().enumerate().filter(|&(m, _)| m != n);
            let rest = others.map(|(_, t)| most(t, bounds)).try_fold(self.constant, |s, x| s.checked_add(x?));
            let Some(rest) = rest else { continue };
            // k * p + rest >= 0
            let Some((axis, side)) = (if *k > 0 {
                p.solved(true, (-rest).div_euclid(*k) + i64::from((-rest).rem_euclid(*k) != 0))
            } else {
                p.solved(false, rest.div_euclid(-k))
            }) else {
                continue;
            };
            let Some((lo, hi)) = bounds.get_mut(&axis) else { continue };
            let before = (*lo, *hi);
            match side {
                Side::From(at) => *lo = at.max(*lo),
                Side::To(at) => *hi = at.min(*hi),
            }
            changed |= before != (*lo, *hi);
        }
        changed
    }
}
