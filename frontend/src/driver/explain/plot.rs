//! Costs against the length of sequences, on logarithmic scales.

use std::fmt::Write as _;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 320.0;
const MARGIN: f64 = 48.0;

/// A picture of lengths with the costs of definition and algorithm.
pub(super) fn plot(costs: &[(i64, f64, f64)]) -> String {
    let all = costs.iter().flat_map(|c| [c.1, c.2]).filter(|y| y.is_finite() && *y > 0.0);
    let (low, high) = all.fold((f64::INFINITY, 0.0f64), |(l, h), y| (l.min(y), h.max(y)));
    let (Some(first), Some(last)) = (costs.first(), costs.last()) else { return String::new() };
    let (low, high) = (low.log10().floor(), high.log10().ceil().max(low.log10().floor() + 1.0));
    let (from, to) = ((first.0 as f64).log2(), (last.0 as f64).log2().max((first.0 as f64).log2() + 1.0));
    let x = |t: i64| MARGIN + ((t as f64).log2() - from) / (to - from) * (WIDTH - 1.5 * MARGIN);
    let y = |c: f64| HEIGHT - MARGIN - (c.log10() - low) / (high - low) * (HEIGHT - 1.5 * MARGIN);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" role=\"img\" aria-label=\"cost against the length of sequences\">"
    );
    for power in low as i32..=high as i32 {
        let at = y(10f64.powi(power));
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{MARGIN}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"8\" y=\"{:.1}\">1e{power}</text>",
            WIDTH - MARGIN / 2.0,
            at + 4.0
        );
    }
    for c in costs {
        let _ =
            write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", x(c.0), HEIGHT - 28.0, c.0);
    }
    for (class, label, of) in [("old", "as written", 1), ("new", "as computed", 2)] {
        let value = |c: &(i64, f64, f64)| if of == 1 { c.1 } else { c.2 };
        let points: Vec<String> = costs.iter().map(|c| format!("{:.1},{:.1}", x(c.0), y(value(c)))).collect();
        let _ = write!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            x(last.0) - 6.0,
            y(value(last)) - 8.0
        );
    }
    let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">T</text></svg>", WIDTH / 2.0, HEIGHT - 8.0);
    svg
}
