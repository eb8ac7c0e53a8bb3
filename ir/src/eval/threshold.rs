//! Exact thresholds: `tau` with `sum phi(z - tau) = k`, by sorting and the closed form of the piece that holds it.

use crate::graph::ThresholdFamily;

/// The threshold of some members (in any order; the slice is sorted). See [`ThresholdFamily`] for the families and for
/// what happens where the sum cannot reach `k`. A sum of at most 0 is reached at the largest member already.
pub(super) fn solve(family: ThresholdFamily, z: &mut Vec<f64>, k: f64) -> f64 {
    if let Some(&bad) = z.iter().find(|x| x.is_nan()) {
        return bad;
    }
    if k.is_nan() {
        return k;
    }
    if family != ThresholdFamily::Mass {
        z.retain(|&x| x > f64::NEG_INFINITY); // weigh nothing at any threshold
    }
    z.sort_unstable_by(|a, b| b.total_cmp(a));
    let Some(&top) = z.first() else { return f64::NEG_INFINITY };
    match family {
        ThresholdFamily::Ramp if z.len() as f64 <= k => f64::NEG_INFINITY,
        ThresholdFamily::Mass => mass(z, k),
        // An infinite member alone reaches any sum.
        _ if k <= 0.0 || top == f64::INFINITY => top,
        ThresholdFamily::Ramp => ramp(z, k),
        ThresholdFamily::Relu => relu(z, k),
        ThresholdFamily::Entmax15 => entmax15(z, k),
    }
}

/// `f(b) = sum clip(z - b, 0, 1)`, with membership by `z - 1 >= b` and `z > b`, never by the rounded difference.
fn ramp_sum(z: &[f64], b: f64) -> f64 {
    let ones = z.partition_point(|&x| x - 1.0 >= b);
    let support = z.partition_point(|&x| x > b);
    // Small terms first would be better still; the sum is of at most `n` terms below 1.
    ones as f64 + z[ones.min(support)..support].iter().map(|x| x - b).sum::<f64>()
}

/// The last breakpoint `b` with `f(b) >= k`, then the line to its right. `z` is sorted, largest first.
fn ramp(z: &[f64], k: f64) -> f64 {
    let mut points: Vec<f64> = z.iter().copied().chain(z.iter().map(|x| x - 1.0)).collect();
    points.sort_unstable_by(f64::total_cmp);
    // f does not increase, so the breakpoints with f >= k come first. f(least) = n > k.
    let next = points.partition_point(|&b| ramp_sum(z, b) >= k);
    let b = points[next.max(1) - 1];
    let ones = z.partition_point(|&x| x - 1.0 > b);
    let support = z.partition_point(|&x| x > b);
    let end = points.get(next).copied().unwrap_or(f64::INFINITY);
    if support <= ones {
        // Flat to the right of b: any tau up to the next breakpoint has the same members; take the last, z_(k) - 1.
        return if end.is_finite() { end } else { b };
    }
    let above: f64 = z[ones..support].iter().map(|x| x - b).sum();
    (b + (above + (ones as f64 - k)) / (support - ones) as f64).clamp(b, end)
}

fn relu(z: &[f64], k: f64) -> f64 {
    let top = z[0];
    let (mut sum, mut tau) = (0.0, top);
    for (i, x) in z.iter().enumerate() {
        sum += x - top;
        let candidate = (sum - k) / (i + 1) as f64;
        if candidate >= x - top {
            break;
        }
        tau = top + candidate;
    }
    tau
}

fn entmax15(z: &[f64], k: f64) -> f64 {
    // With x = z / 2 and t = tau / 2: sum (x - t)^2 = k over the support, hence t = mean - sqrt((k - ss) / s).
    let top = z[0] / 2.0;
    let (mut sum, mut squares, mut t) = (0.0, 0.0, 0.0);
    for (i, x) in z.iter().enumerate() {
        let (x, s) = (x / 2.0 - top, (i + 1) as f64);
        sum += x;
        squares += x * x;
        let mean = sum / s;
        let rest = (k - (squares - sum * mean)) / s;
        if rest < 0.0 || mean - rest.sqrt() > x {
            break;
        }
        t = mean - rest.sqrt();
    }
    2.0 * (t + top)
}

fn mass(z: &[f64], k: f64) -> f64 {
    let mut sum = 0.0;
    for (i, &x) in z.iter().enumerate() {
        sum += x;
        // All equal members are at or above the threshold together.
        if z.get(i + 1).is_none_or(|&y| y < x) && sum >= k {
            return x;
        }
    }
    z[z.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ThresholdFamily::{Entmax15, Mass, Ramp, Relu};

    fn tau(f: ThresholdFamily, z: &[f64], k: f64) -> f64 {
        solve(f, &mut z.to_vec(), k)
    }

    #[test]
    fn ramp_by_hand() {
        // 0.9 - tau + 0.7 - tau = 1
        assert!((tau(Ramp, &[0.7, 0.9, -3.0], 1.0) - 0.3).abs() < 1e-15);
        // Gap of at least 1 after the second: exact top-2, tau = z_(2) - 1.
        assert_eq!(tau(Ramp, &[5.0, 3.0, 0.25, 0.1], 2.0), 2.0);
        assert_eq!(tau(Ramp, &[0.3, 0.31, -0.9], 2.0), 0.3 - 1.0);
        // All equal: p = k / n.
        assert!((tau(Ramp, &[2.0; 4], 1.0) - 1.75).abs() < 1e-15);
        assert_eq!(tau(Ramp, &[1.0, 2.0], 2.0), f64::NEG_INFINITY);
        assert_eq!(tau(Ramp, &[], 1.0), f64::NEG_INFINITY);
    }

    #[test]
    fn others_by_hand() {
        // sparsemax of (1, 0.5): both in, tau = 0.25
        assert!((tau(Relu, &[1.0, 0.5, -1.0], 1.0) - 0.25).abs() < 1e-15);
        assert_eq!(tau(Relu, &[5.0, 1.0], 1.0), 4.0);
        // entmax: ((z - tau) / 2)^2 of one member is 1 at tau = z - 2
        assert_eq!(tau(Entmax15, &[3.0, -9.0], 1.0), 1.0);
        assert_eq!(tau(Mass, &[0.1, 0.5, 0.4], 0.8), 0.4);
        assert_eq!(tau(Mass, &[0.25, 0.5, 0.25], 0.6), 0.25);
        assert_eq!(tau(Mass, &[0.25, 0.5], 9.0), 0.25);
    }

    #[test]
    fn sums_are_reached() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1u32 << 31)
        };
        for n in 1..60 {
            let z: Vec<f64> = (0..n).map(|_| next() * 5.0).collect();
            for k in [0.3, 1.0, 2.0, 7.0] {
                let sum = |t: f64, phi: fn(f64) -> f64| z.iter().map(|x| phi(x - t)).sum::<f64>();
                if f64::from(n) > k {
                    assert!((sum(tau(Ramp, &z, k), |x| x.clamp(0.0, 1.0)) - k).abs() < 1e-12);
                }
                assert!((sum(tau(Relu, &z, k), |x| x.max(0.0)) - k).abs() < 1e-12);
                assert!((sum(tau(Entmax15, &z, k), |x| (x / 2.0).max(0.0).powi(2)) - k).abs() < 1e-11);
            }
        }
    }
}
