//! Costs as formulas in the length of sequences.

/// Lengths at which costs are asked for.
pub(super) const LENGTHS: [i64; 3] = [1 << 13, 1 << 22, 1 << 24];

/// A cost as the sum of its two leading powers of `T`, which is what is left of it at long sequences.
///
/// Costs are counted by sampling: powers are told where two lengths agree on them, and coefficients to two digits.
pub(super) fn formula(cost: impl Fn(i64) -> f64) -> String {
    let at = |n: u32| (f64::from(n).exp2(), cost(1 << n));
    let ((t, low), (_, high)) = (at(22), at(24));
    let power = ((high / low).log2() / 2.0).round();
    if !(low.is_finite() && high.is_finite()) || low <= 0.0 {
        return "nothing that grows".into();
    }
    // c T^p + d T^(p - 1), solved at two lengths that are far apart.
    let ((s, few), c) = (at(13), low / t.powf(power));
    let rest = (few - c * s.powf(power)) / s.powf(power - 1.0);
    let mut text = term(c, power);
    if power > 1.0 && rest > 0.02 * c * s {
        text.push_str(" + ");
        text.push_str(&term(rest, power - 1.0));
    }
    text
}

fn term(c: f64, power: f64) -> String {
    let number = if (0.01..100_000.0).contains(&c) { two_digits(c) } else { format!("{c:.1e}") };
    match power as i64 {
        0 => number,
        1 => format!("{number} T"),
        p => format!("{number} T^{p}"),
    }
}

fn two_digits(x: f64) -> String {
    let digits = (1 - x.abs().log10().floor() as i32).max(0) as usize;
    let scale = 10f64.powi(1 - x.abs().log10().floor() as i32);
    format!("{:.digits$}", (x * scale).round() / scale)
}

#[cfg(test)]
mod tests {
    use super::formula;

    #[test]
    fn powers_of_time() {
        assert_eq!(formula(|t| 24.0 * t as f64), "24 T");
        assert_eq!(formula(|t| 1.5 * (t * t) as f64), "1.5 T^2");
        assert_eq!(formula(|t| 0.25 * (t * t) as f64 + 3000.0 * t as f64), "0.25 T^2 + 3000 T");
        assert_eq!(formula(|_| 7.0), "7.0");
    }
}
