//! What constructs of the language mean, by running them.

use super::run::{is, noise, output};
use weft_ir::eval::Tensor;

/// A layer over `x[t,d]`, D = 6, with functions before it.
fn layer(functions: &str, statements: &str) -> String {
    format!("{functions}\nlayer l {{\n size D = 6\n axis t: time\n index j: t, d: D\n in x[t,d]\n {statements}\n}}")
}

fn x() -> Tensor {
    noise(&[9, 6], 1)
}

fn at(x: &Tensor, t: usize, d: usize) -> f64 {
    x.to_f64()[t * x.shape[1] + d]
}

#[track_caller]
fn equals(functions: &str, statements: &str, want: impl Fn(&Tensor, usize, usize) -> f64) {
    let x = x();
    let y = output(&layer(functions, statements), &[("x", x.clone())]);
    is(&y, |p| want(&x, p[0], p.get(1).copied().unwrap_or(0)));
}

#[test]
fn pieces_interleave_halve_and_shift() {
    equals(
        "fn f[d](x[d]) -> y[d] { index i: |d| // 2\n y[2*i] = x[2*i + 1]\n y[2*i + 1] = -x[2*i] }",
        "out y[t,d] = f[d](x)",
        |x, t, d| {
            if d % 2 == 0 { at(x, t, d + 1) } else { -at(x, t, d - 1) }
        },
    );
    equals(
        "fn f[d](x[d]) -> y[d] { index i: |d| // 2\n y[i + |d|//2] = x[i]\n y[i] = x[|d| - 1 - i] }",
        "out y[t,d] = f[d](x)",
        |x, t, d| {
            if d >= 3 { at(x, t, d - 3) } else { at(x, t, 5 - d) }
        },
    );
    equals(
        "fn f[d](x[d]) -> y[d] { index i: |d| - 1\n y[0] = 7\n y[i + 1] = x[i] }",
        "out y[t,d] = f[d](x)",
        |x, t, d| {
            if d == 0 { 7.0 } else { at(x, t, d - 1) }
        },
    );
    equals(
        "fn f[d](x[d]) -> y[d] { index i: 2\n y[3*i + 2] = 2\n y[3*i] = x[3*i]\n y[3*i + 1] = x[i] }",
        "out y[t,d] = f[d](x)",
        |x, t, d| match d % 3 {
            0 => at(x, t, d),
            1 => at(x, t, d / 3),
            _ => 2.0,
        },
    );
}

#[test]
fn pieces_of_two_indices_are_digits() {
    equals(
        "fn f[d](x[d]) -> y[d] { index h: 2, k: 2\n y[3*h + k] = x[3*h + k] + 10*h + k\n y[3*h + 2] = x[h] }",
        "out y[t,d] = f[d](x)",
        |x, t, d| if d % 3 == 2 { at(x, t, d / 3) } else { at(x, t, d) + (10 * (d / 3) + d % 3) as f64 },
    );
    equals(
        "fn f[d](x[d]) -> y[d] { index h: 2, k: 3\n y[3*h + k] = x[2*k + h] }",
        "out y[t,d] = f[d](x)",
        |x, t, d| at(x, t, 2 * (d % 3) + d / 3),
    );
}

#[test]
fn reducers_and_their_guards() {
    equals("", "out y[t] = mean(j: x[j,0] where j < t)", |x, t, _| {
        if t == 0 { 0.0 } else { (0..t).map(|j| at(x, j, 0)).sum::<f64>() / t as f64 }
    });
    equals("", "out y[t] = mean(d: x)", |x, t, _| (0..6).map(|d| at(x, t, d)).sum::<f64>() / 6.0);
    equals("", "out y[t] = max(d: x where d >= 2)", |x, t, _| (2..6).map(|d| at(x, t, d)).fold(f64::MIN, f64::max));
    equals("", "out y[t] = min(d: x)", |x, t, _| (0..6).map(|d| at(x, t, d)).fold(f64::MAX, f64::min));
    equals("", "out y[t] = count(j, d: x[j,d] > 0 where j <= t)", |x, t, _| {
        (0..=t).flat_map(|j| (0..6).map(move |d| (j, d))).filter(|&(j, d)| at(x, j, d) > 0.0).count() as f64
    });
    equals("", "out y[t] = if any(d: x > 0.9) then 1 else 0", |x, t, _| f64::from((0..6).any(|d| at(x, t, d) > 0.9)));
    equals("", "out y[t] = if all(d: x > -0.5 where d < 3) then 1 else 0", |x, t, _| {
        f64::from((0..3).all(|d| at(x, t, d) > -0.5))
    });
    equals("", "out y[t] = argmax(d: x)", |x, t, _| {
        (0..6).max_by(|&a, &b| at(x, t, a).total_cmp(&at(x, t, b))).unwrap() as f64
    });
}

#[test]
fn mean_over_everything_counts_every_place() {
    let x = noise(&[2, 5], 3);
    let y = output("layer l { axis b, t: time\n in x[b,t]\n out y = mean(b, t: x) }", &[("x", x.clone())]);
    is(&y, |_| x.to_f64().iter().sum::<f64>() / 10.0);
}

/// Values of a row, best first.
fn ranked(x: &Tensor, t: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..6).collect();
    order.sort_by(|&a, &b| at(x, t, b).total_cmp(&at(x, t, a)).then(a.cmp(&b)));
    order
}

#[test]
fn decisions_along_an_axis() {
    equals("", "out y[t] = kth[d](x, 2)", |x, t, _| at(x, t, ranked(x, t)[1]));
    equals("", "out y[t] = arg_top_k[d](x, 1)", |x, t, _| ranked(x, t)[1] as f64);
    equals("", "out y[t,d] = if in_top_k[d](x, 3) then x else 0", |x, t, d| {
        if ranked(x, t)[..3].contains(&d) { at(x, t, d) } else { 0.0 }
    });
    // ties go to the lower index
    equals("", "out y[t,d] = if in_top_k[d](0.0 * x, 2) then 1 else 0", |_, _, d| f64::from(d < 2));
    // fewer candidates than places: all
    equals("", "out y[t,d] = if in_top_k[d](x where d < 2, 4) then 1 else 0", |_, _, d| f64::from(d < 2));
}

#[test]
fn softmax_and_sparsek_of_an_empty_row_are_zero() {
    equals("", "out y[t] = sum(j: softmax[j](x[j,0] where j < t))", |_, t, _| f64::from(t > 0));
    equals("", "out y[t] = sum(j: sparsek[j](x[j,0] where j < t, 2))", |_, t, _| t.min(2) as f64);
}

#[test]
fn thresholds_solve_their_equation() {
    let relu = "let tau[t] = threshold[d](x, 2, relu)\n out y[t] = sum(d: max2(x - tau, 0))";
    equals("", relu, |_, _, _| 2.0);
    let entmax = "let tau[t] = threshold[d](x, 1, entmax15)\n out y[t] = sum(d: max2((x - tau) / 2, 0)^2)";
    equals("", entmax, |_, _, _| 1.0);
}

#[test]
fn arguments_are_not_captured() {
    // w stands at the caller's d, also where the function sums over d
    equals("fn f[c](x[c], w) = sum(c: x * w)", "out y[t,d] = f[d](x, x)", |x, t, d| {
        (0..6).map(|c| at(x, t, c)).sum::<f64>() * at(x, t, d)
    });
    // names of the function mean nothing to its arguments
    equals("fn f[j](x[j], t) { let d[j] = x * t\n return sum(j: d) }", "out y[t] = f[d](x, 1 + t)", |x, t, _| {
        (0..6).map(|c| at(x, t, c)).sum::<f64>() * (1 + t) as f64
    });
}

#[test]
fn a_condition_of_the_caller_does_not_hold_at_other_positions() {
    let text = layer(
        "fn total[t](u[t]) { index s: t\n return sum(s: u[s] where s <= t) }",
        "out y[t] = if t >= 1 then total[t](x[t - 1, 0]) else 0",
    );
    assert!(super::messages(&text, &Default::default()).contains("[E0202]"));
    equals(
        "fn total[t](u[t]) { index s: t\n return sum(s: u[s] where 1 <= s <= t) }",
        "out y[t] = total[t](if t >= 1 then x[t - 1, 0] else 0)",
        |x, t, _| (1..=t).map(|s| at(x, s - 1, 0)).sum(),
    );
}

#[test]
fn numbers_are_exact() {
    equals("", "out y[t] = 7 // 2 + (-7) // 2 + (-7) % 4", |_, _, _| 3.0 - 4.0 + 1.0);
    equals("", "out y[t] = 7 / 2", |_, _, _| 3.5);
    equals("", "out y[t] = 2^10 + 2^0.5", |_, _, _| 1024.0 + 2f64.powf(0.5));
    equals("", "out y[t] = -2^2", |_, _, _| -4.0);
    equals("", "out y[t] = cast(x[t,0] * 10, i32)", |x, t, _| (at(x, t, 0) * 10.0).trunc());
    equals("", "out y[t] = sign(x[t,0]) + abs(-3) + floor(2.5) + max2(1, 2.5, 2) + min2(1, 2)", |x, t, _| {
        at(x, t, 0).signum() + 3.0 + 2.0 + 2.5 + 1.0
    });
}

#[test]
fn recurrences_run_and_restart() {
    equals("", "rec s[t,d] = x + (if t % 3 == 0 then 0 else 0.5 * s[t - 1, d])\n out y[t,d] = s", |x, t, d| {
        (t - t % 3..=t).fold(0.0, |s, u| 0.5 * s + at(x, u, d))
    });
    // the riding axis d is part of the state
    equals(
        "fn run[t](u[t]) { rec s[t] = u + (if t == 0 then 0 else s[t - 1])\n return s }",
        "out y[t,d] = run[t](x)",
        |x, t, d| (0..=t).map(|u| at(x, u, d)).sum(),
    );
    // other axes may be re-indexed
    equals("", "rec s[t,d] = x + (if t == 0 or d == 0 then 0 else s[t - 1, d - 1])\n out y[t,d] = s", |x, t, d| {
        (0..=t.min(d)).map(|k| at(x, t - k, d - k)).sum()
    });
}

#[test]
fn inputs_of_integers_are_positions_under_a_guard() {
    let text = "layer l { size V = 4\n axis t: time\n index v: V\n in id[t]: i32\n param table[v]\n out y[t] = if 0 <= id < V then table[id] else -1 }";
    let (ids, table) = (Tensor::ints(&[5], vec![0, 3, 9, -1, 2]), noise(&[4], 2));
    let y = output(text, &[("id", ids), ("table", table.clone())]);
    let w = table.to_f64();
    let want = [w[0], w[3], -1.0, -1.0, w[2]];
    is(&y, |p| want[p[0]]);
}
