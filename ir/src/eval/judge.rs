//! How far given decisions are from optimal, row by row.

use super::decide::{Question, Row, Undefined, kth_of};
use super::poison;
use super::threshold;
use crate::graph::{Extremum, NodeId, ThresholdFamily};

/// What counts as rounding: `absolute + relative * (largest finite magnitude among the members)`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tolerance {
    /// In the units of the operand.
    pub absolute: f64,
    /// Of the largest member.
    pub relative: f64,
}

impl Tolerance {
    fn of(&self, members: &[(f64, usize)]) -> f64 {
        let top = members.iter().map(|m| m.0.abs()).filter(|x| x.is_finite()).fold(0.0, f64::max);
        self.absolute + self.relative * top
    }
}

/// A distance in units of a tolerance, 0 of nothing.
fn units(distance: f64, tolerance: f64) -> f64 {
    if distance <= 0.0 { 0.0 } else { distance / tolerance }
}

/// The distance of a given index from optimal, in units of the tolerance; infinite for what is no member.
pub(super) fn index(
    node: NodeId,
    question: &Question<'_>,
    row: &Row<'_, f64>,
    rank: Option<i64>,
    given: i64,
    position: impl Fn(usize) -> i64,
    tolerance: Tolerance,
) -> Result<f64, Undefined> {
    let members = row.list(node)?;
    if poison::is_int(given) {
        return Ok(f64::INFINITY);
    }
    let chosen = members.iter().find(|m| position(m.1) == given).map(|m| m.0);
    // Equal infinities, as of rows without members, have no distance.
    let apart = |a: f64, b: f64| if a == b { 0.0 } else { (a - b).abs() };
    let far = |best: f64| chosen.map_or(f64::INFINITY, |x| units(apart(best, x), tolerance.of(&members)));
    let exactly = |x: i64| if given == x { 0.0 } else { f64::INFINITY };
    Ok(match (question, rank) {
        (Question::Arg(which), _) => {
            let max = *which == Extremum::Max;
            let best = members.iter().map(|m| m.0).reduce(|a, b| if (a >= b) == max { a } else { b });
            best.map_or_else(|| exactly(0), far)
        }
        (_, Some(rank)) => match kth_of(&mut members.clone(), rank) {
            super::decide::Kth::Member(v, _) => far(v),
            super::decide::Kth::Above => exactly(-1),
            super::decide::Kth::Below => exactly(super::decide::NO_INDEX),
            super::decide::Kth::Nan(_) => f64::INFINITY,
        },
        _ => f64::INFINITY,
    })
}

/// The distance of a given k-th value or threshold from optimal, in units of the tolerance.
pub(super) fn value(
    node: NodeId,
    question: &Question<'_>,
    row: &Row<'_, f64>,
    extra: Extra,
    given: f64,
    tolerance: Tolerance,
) -> Result<f64, Undefined> {
    let mut members = row.list(node)?;
    let unit = tolerance.of(&members);
    let distance = |best: f64| if best == given { 0.0 } else { (best - given).abs() };
    Ok(match (question, extra) {
        (Question::KthValue(_), Extra::Rank(rank)) => match kth_of(&mut members, rank) {
            super::decide::Kth::Member(v, _) => units(distance(v), unit),
            super::decide::Kth::Above => units(distance(f64::INFINITY), unit),
            super::decide::Kth::Below => units(distance(f64::NEG_INFINITY), unit),
            super::decide::Kth::Nan(_) => f64::INFINITY,
        },
        (Question::Threshold(family, _), Extra::Sum(k)) => {
            let mut z: Vec<f64> = members.iter().map(|m| m.0).collect();
            let best = threshold::solve(*family, &mut z, k);
            let off = distance(best).min(threshold_gap(*family, &z, k, best, given));
            units(off, unit.max(tolerance.absolute + tolerance.relative * k.abs()))
        }
        _ => f64::INFINITY,
    })
}

/// The operand of a decision beside its members.
#[derive(Clone, Copy)]
pub(super) enum Extra {
    Rank(i64),
    Sum(f64),
}

/// How far the sum at a given threshold is from the one wanted: where the sum is flat, all thresholds are as good.
fn threshold_gap(family: ThresholdFamily, z: &[f64], k: f64, best: f64, given: f64) -> f64 {
    let sum = |phi: &dyn Fn(f64) -> f64| z.iter().map(|x| phi(x - given)).sum::<f64>();
    match family {
        // Everyone weighs 1 at minus infinity, and at anything that is low enough.
        ThresholdFamily::Ramp if best == f64::NEG_INFINITY => z.last().map_or(0.0, |low| given - (low - 1.0)),
        ThresholdFamily::Ramp => (sum(&|x| x.clamp(0.0, 1.0)) - k).abs(),
        ThresholdFamily::Relu => (sum(&|x| x.max(0.0)) - k).abs(),
        ThresholdFamily::Entmax15 => (sum(&|x| (x / 2.0).max(0.0).powi(2)) - k).abs(),
        ThresholdFamily::Mass => {
            let with: f64 = z.iter().filter(|&&x| x >= given).sum();
            let without: f64 = z.iter().filter(|&&x| x > given).sum();
            (k - with).max(without - k)
        }
    }
}
