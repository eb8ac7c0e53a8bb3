//! Random small kernels for each group of ops, against the interpreter.
//!
//! Every kernel runs over rows `t` of a ragged batch in tiles of `I`, with columns `c` of a tile; extents, lanes, element type and
//! guards are random. Inputs are multiples of 1/4, so that ties occur and sums are exact in either precision.

use proptest::prelude::*;

use super::generate::{Case, Gen, cases, list, union, without};
use super::harness::{check_with, plan};

/// `term`: size of the terms of which the outputs are sums.
fn verify_case(case: &Case, term: f64, build: impl Fn(&mut Gen)) {
    let mut g = Gen::new(case.seed);
    g.inputs();
    build(&mut g);
    let plan = plan(&g.plan(case), &[]);
    let lengths = [("B", &[case.lengths.len() as i64][..]), ("T", &case.lengths[..])];
    let tolerance = if case.double { 1e-12 } else { 2e-6 };
    check_with(&plan, &lengths, case.seed, (tolerance, term), |name, x| {
        if !["ids", "marks", "flags"].contains(&name) {
            x.data.iter_mut().for_each(|x| *x = (*x * 8.0).round() / 4.0);
        }
    });
}

/// One random elementwise statement.
fn elementwise(g: &mut Gen) {
    match g.pick(14) {
        0 => {
            let (a, x) = g.any("FLOAT");
            let (b, y) = g.any("FLOAT");
            let f = g.one(&["add", "sub", "mul", "min", "max"]);
            g.add("FLOAT", &union(&x, &y), &format!("{f} {a}, {b}"));
        }
        1 => {
            let f = g.one(&["neg", "abs", "floor", "sin", "cos", "tanh", "inv0"]);
            let (a, x) = if f == "floor" { g.loaded("FLOAT") } else { g.any("FLOAT") };
            g.add("FLOAT", &x, &format!("{f} {a}"));
        }
        2 => {
            // Kept away from overflow.
            let (a, x) = g.any("FLOAT");
            let t = g.add("FLOAT", &x, &format!("tanh {a}"));
            let f = g.one(&["exp", "exp2"]);
            g.add("FLOAT", &x, &format!("{f} {t}"));
        }
        3 => {
            let (a, x) = g.any("FLOAT");
            let s = g.add("FLOAT", &x, &format!("mul {a}, {a}"));
            let one = g.add("FLOAT", &[], "fill 1.5 as FLOAT");
            let sum = g.add("FLOAT", &x, &format!("add {s}, {one}"));
            let f = g.one(&["log", "sqrt", "inv"]);
            g.add("FLOAT", &x, &format!("{f} {sum}"));
            let (b, y) = g.any("FLOAT");
            g.add("FLOAT", &union(&x, &y), &format!("div {b}, {sum}"));
        }
        4 => {
            let (a, x) = g.any("i32");
            let (b, y) = g.any("i32");
            let f = g.one(&["add", "sub", "mul", "min", "max"]);
            let wide = g.add("i32", &union(&x, &y), &format!("{f} {a}, {b}"));
            // Bounded, so that products of products stay small.
            let m = g.add("i32", &[], "fill 11 as i32");
            g.add("i32", &union(&x, &y), &format!("mod {wide}, {m}"));
            g.add("i32", &union(&x, &y), &format!("idiv {wide}, {m}"));
        }
        5 => {
            let elem = if g.chance(0.5) { "FLOAT" } else { "i32" };
            let (a, x) = g.loaded(elem);
            let (b, y) = g.loaded(elem);
            let f = g.one(&["lt", "le", "gt", "ge", "eq", "ne"]);
            g.add("bool", &union(&x, &y), &format!("{f} {a}, {b}"));
        }
        6 => {
            let (a, x) = g.any("bool");
            let (b, y) = g.any("bool");
            let f = g.one(&["and", "or", "lt", "eq", "ne"]);
            g.add("bool", &union(&x, &y), &format!("{f} {a}, {b}"));
            g.add("bool", &x, &format!("not {a}"));
        }
        7 => {
            let elem = g.one(&["FLOAT", "i32", "bool"]);
            let (c, z) = g.any("bool");
            let (a, x) = g.any(elem);
            let (b, y) = g.any(elem);
            g.add(elem, &union(&union(&x, &y), &z), &format!("select {c}, {a}, {b}"));
        }
        8 => {
            let from = g.one(&["FLOAT", "i32", "bool"]);
            let to = g.one(&["FLOAT", "i32", "bool", "i64"]);
            let (a, x) = g.any(from);
            // Between -1 and 1 and not at them: to which side 1 rounds decides the cast.
            let a = if from == "FLOAT" && to != "bool" {
                let small = g.add("FLOAT", &x, &format!("tanh {a}"));
                let half = g.add("FLOAT", &[], "fill 0.5 as FLOAT");
                g.add("FLOAT", &x, &format!("mul {small}, {half}"))
            } else {
                a
            };
            let cast = g.add(to, &x, &format!("cast {a} as {to}"));
            if to == "i64" {
                g.add("FLOAT", &x, &format!("cast {cast} as FLOAT"));
            }
        }
        9 => {
            let (a, x) = g.any("FLOAT");
            g.add("FLOAT", &union(&x, &['c']), &format!("expand {a} on [c]"));
        }
        10 => {
            // A renamed axis, and an element of it for each column.
            let (a, x) = g.with_axis("FLOAT", 'c');
            let renamed = g.fresh();
            g.line(&format!("{renamed} = rename {a} over c to c2"));
            let position = g.one(&["C - 1 - c", "(c * 2) % C", "0", "%n"]);
            let y = match position {
                "0" => vec![],
                "%n" => vec!['i', 'c'],
                _ => vec!['c'],
            };
            g.add("FLOAT", &union(&without(&x, &['c']), &y), &format!("take {renamed} over c2 at {position}"));
        }
        11 => {
            // Gathers.
            let (text, axes) = [
                ("load w[%n, k]", vec!['i', 'c', 'k']),
                ("load w[C - 1 - c, k]", vec!['c', 'k']),
                ("load w[(c * 5 + k) % C, k] where [k < 2] else 2.0", vec!['c', 'k']),
                ("load x[b, max(0, t0 + i - c), c] where [t0 + i < T[b]] else 0.25", vec!['i', 'c']),
                ("load y[b, t0 + i - c] where [t0 + i < T[b], c <= t0 + i] else -2.0", vec!['i', 'c']),
                ("load w[%n, %m] where [%p] else 0.0", vec!['i', 'c', 'k']),
            ][g.pick(6)]
            .clone();
            g.add("FLOAT", &axes, text);
        }
        12 => {
            let e =
                g.one(&["c + 2 * k", "(t0 + i) // 3", "max(c, k) - 1", "(t0 + i + c) % 7", "min(t0 + i, 5)", "C - k"]);
            let mut axes = Vec::new();
            for a in ['i', 'c', 'k'] {
                if e.contains(&format!(" {a}")) || e.starts_with(a) || e.contains(&format!("({a}")) {
                    axes.push(a);
                }
            }
            g.add("i32", &axes, &format!("index at {e} as i32"));
        }
        _ => {
            let (a, x) = g.any("FLOAT");
            let (b, y) = g.any("FLOAT");
            g.add("FLOAT", &union(&x, &y), &format!("rescale {a}, {b}"));
        }
    }
}

fn group_elementwise(g: &mut Gen) {
    let start = g.values.len();
    for _ in 0..8 {
        elementwise(g);
    }
    g.outputs_since(start);
}

fn group_reduce(g: &mut Gen) {
    elementwise(g);
    let start = g.values.len();
    for _ in 0..5 {
        let axis = if g.chance(0.7) { 'c' } else { 'k' };
        let kind = g.pick(3);
        let elem = ["FLOAT", "i32", "bool"][kind];
        let elem = if axis == 'k' && elem == "bool" { "FLOAT" } else { elem };
        let arg = elem != "bool" && g.chance(0.35);
        // Which is the largest of computed values may depend on their last bits.
        let (x, axes) = if arg { g.loaded_with_axis(elem, axis) } else { g.with_axis(elem, axis) };
        let over: Vec<char> =
            if axes.contains(&'c') && axes.contains(&'k') && g.chance(0.5) { vec!['c', 'k'] } else { vec![axis] };
        let guard = g.guard(&axes);
        let row = without(&axes, &over);
        if elem == "bool" {
            let m = g.one(&["any", "all"]);
            g.add("bool", &row, &format!("reduce {x} by {m} over {}{guard}", list(&over)));
            continue;
        }
        if arg {
            let m = g.one(&["argmin", "argmax"]);
            let payload = g.fresh();
            let at = if over.len() == 2 { "c * K + k".to_owned() } else { list(&over) };
            g.line(&format!("{payload} = index at {at} as i32"));
            let (a, b) = (g.fresh(), g.fresh());
            g.line(&format!("{a}, {b} = reduce {x}, {payload} by {m} over {}{guard}", list(&over)));
            // The extreme of no integers is as large as they get: not to be added to others.
            if elem == "i32" {
                g.output(&a, elem, &row);
            } else {
                g.push(&a, elem, &row);
            }
            g.push(&b, "i32", &row);
            continue;
        }
        let m = g.one(&["sum", "max", "min"]);
        let made = g.add(elem, &row, &format!("reduce {x} by {m} over {}{guard}", list(&over)));
        if elem == "i32" && m != "sum" {
            g.values.pop();
            g.output(&made, elem, &row);
        }
        if elem == "FLOAT" {
            let half = g.fresh();
            g.line(&format!("{half} = tanh {x}"));
            g.add("FLOAT", &row, &format!("reduce {half} by prod over {}{guard}", list(&over)));
        }
    }
    // Over the rows: elements of padding must be left out.
    let (x, axes) = g.with_axis("FLOAT", 'i');
    let m = g.one(&["sum", "max"]);
    let total = g.fresh();
    g.line(&format!("{total} = reduce {x} by {m} over i where [t0 + i < T[b]]"));
    g.push(&total, "FLOAT", &without(&axes, &['i']));
    let made = g.values[start..].to_vec();
    for (name, elem, axes) in made {
        g.output(&name, &elem, &axes);
    }
}

fn group_scan(g: &mut Gen) {
    let start = g.values.len();
    for _ in 0..4 {
        let axis = if g.chance(0.6) { 'c' } else { 'k' };
        let (x, axes) = g.with_axis("FLOAT", axis);
        let mut flags = String::new();
        for flag in [" rev", " excl"] {
            if g.chance(0.4) {
                flags += flag;
            }
        }
        let init = if g.chance(0.5) { Some(g.any("FLOAT")).filter(|(_, y)| !y.contains(&axis)) } else { None };
        let (start, extra) = init.map_or((String::new(), vec![]), |(v, y)| (format!(", {v}"), y));
        if g.chance(0.4) {
            let (a, y) = g.with_axis("FLOAT", axis);
            let gate = g.fresh();
            g.line(&format!("{gate} = tanh {a}"));
            g.add(
                "FLOAT",
                &union(&union(&axes, &y), &extra),
                &format!("scan {gate}, {x}{start} by affine over {axis}{flags}"),
            );
        } else {
            let m = if start.is_empty() && flags.contains("excl") { "sum" } else { g.one(&["sum", "max", "min"]) };
            g.add("FLOAT", &union(&axes, &extra), &format!("scan {x}{start} by {m} over {axis}{flags}"));
        }
    }
    let (n, axes) = g.with_axis("i32", 'c');
    g.add("i32", &axes, &format!("scan {n} by sum over c"));
    g.outputs_since(start);
}

fn group_dot(g: &mut Gen) {
    for _ in 0..2 {
        elementwise(g);
    }
    let start = g.values.len();
    for _ in 0..4 {
        let axis = if g.chance(0.5) { 'c' } else { 'k' };
        let (a, x) = g.with_axis("FLOAT", axis);
        let (b, y) = g.any("FLOAT");
        let all = union(&x, &y);
        let over: Vec<char> =
            if all.contains(&'c') && all.contains(&'k') && g.chance(0.4) { vec!['c', 'k'] } else { vec![axis] };
        let rest = without(&all, &over);
        let guard = if g.chance(0.4) { g.guard(&all) } else { String::new() };
        let mut acc = String::new();
        let mut axes = rest;
        if g.chance(0.4) {
            let (c, z) = g.any("FLOAT");
            if !z.iter().any(|a| over.contains(a)) {
                acc = format!(", {c}");
                axes = union(&axes, &z);
            }
        }
        g.add("FLOAT", &axes, &format!("dot {a}, {b}{acc} over {}{guard}", list(&over)));
    }
    g.outputs_since(start);
}

fn group_online(g: &mut Gen) {
    let start = g.values.len();
    let (s, axes) = g.with_axis("FLOAT", 'c');
    let row = without(&axes, &['c']);
    let m0 = g.fresh();
    g.line(&format!("{m0} = fill -inf as FLOAT"));
    let guard = g.guard(&axes);
    let (m1, r1, w1) = (g.fresh(), g.fresh(), g.fresh());
    g.line(&format!("{m1}, {r1}, {w1} = online {s}, {m0} over c{guard}"));
    let l1 = g.fresh();
    g.line(&format!("{l1} = reduce {w1} by sum over c"));
    let (t, other) = g.with_axis("FLOAT", 'c');
    let row2 = union(&row, &without(&other, &['c']));
    let guard = g.guard(&other);
    let (m2, r2, w2) = (g.fresh(), g.fresh(), g.fresh());
    g.line(&format!("{m2}, {r2}, {w2} = online {t}, {m1} over c{guard}"));
    let old = g.add("FLOAT", &row2, &format!("rescale {l1}, {r2}"));
    let more = g.fresh();
    g.line(&format!("{more} = reduce {w2} by sum over c"));
    let l2 = g.add("FLOAT", &row2, &format!("add {old}, {more}"));
    for (name, axes) in [(&r1, &row), (&r2, &row2), (&m2, &row2)] {
        g.push(name, "FLOAT", axes);
    }
    g.push(&w2, "FLOAT", &union(&row2, &['c']));
    let (ma, la) = (g.fresh(), g.fresh());
    g.line(&format!("{ma}, {la} = merge {m1}, {l1}, {m2}, {l2}"));
    g.push(&ma, "FLOAT", &row2);
    g.push(&la, "FLOAT", &row2);
    // A combine over k of states that vary along it.
    let (ms, ax) = g.with_axis("FLOAT", 'k');
    let (xs, ay) = g.with_axis("FLOAT", 'k');
    let guard = g.guard(&['k']);
    let (mc, xc) = (g.fresh(), g.fresh());
    g.line(&format!("{mc}, {xc} = combine {ms}, {xs} over k{guard}"));
    g.push(&mc, "FLOAT", &without(&ax, &['k']));
    g.push(&xc, "FLOAT", &without(&union(&ax, &ay), &['k']));
    g.outputs_since(start);
}

fn group_tables(g: &mut Gen) {
    let start = g.values.len();
    g.scratch =
        "    scratch U: FLOAT[C, K] init 0.25\n    scratch N: i32[C] init 0\n    scratch W: FLOAT[K, I] init 0.5\n"
            .into();
    let guard = "where [t0 + i < T[b]]";
    let kind = g.one(&["", " by max", " by min"]);
    g.line(&format!("table_add U[%n, k] += %k{kind} {guard}"));
    g.line(&format!("hist N[%n] {guard}"));
    if g.chance(0.5) {
        g.line("table_add U[c, %m] += %w");
    }
    g.line(&format!("table_set W[k, i] = %k {guard}"));
    if g.chance(0.5) {
        g.line("table_set W[0, i] = %y where [t0 + i < T[b]]");
    }
    g.add("FLOAT", &['c', 'k'], "table_read U[c, k]");
    g.add("i32", &['c'], "table_read N[c]");
    g.add("FLOAT", &['i', 'k'], "table_read W[k, i]");
    g.add("FLOAT", &['i', 'c', 'k'], "table_read U[%n, k]");
    if g.chance(0.5) {
        // Read, changed, read again.
        let (x, axes) = g.with_axis("FLOAT", 'k');
        let _ = axes;
        g.add("FLOAT", &['i', 'k'], "dot %x, %w over c");
        g.line(&format!("table_add W[k, i] += %k {guard}"));
        g.add("FLOAT", &['i', 'k'], "table_read W[k, i] where [k > 0] else 1.0");
        let _ = x;
    }
    g.outputs_since(start);
}

fn group_select(g: &mut Gen) {
    let start = g.values.len();
    let (x, axes) = g.with_axis("FLOAT", 'c');
    if axes.contains(&'k') {
        return group_compact(g, start);
    }
    let guard = g.guard(&axes);
    let row = without(&axes, &['c']);
    let position = g.fresh();
    g.line(&format!("{position} = index at c as i32"));
    let (v1, p1) = (g.fresh(), g.fresh());
    if g.chance(0.5) {
        g.line(&format!("{v1}, {p1} = topk {x} over c to k{guard}"));
    } else {
        g.line(&format!("{v1}, {p1} = topk {x}, {position} over c to k{guard}"));
    }
    let (v2, p2) = (g.fresh(), g.fresh());
    let later = g.fresh();
    g.line(&format!("{later} = index at c + C as i32"));
    g.line(&format!("{v2}, {p2} = topk %x, {later} over c to k"));
    let (v3, p3) = (g.fresh(), g.fresh());
    g.line(&format!("{v3}, {p3} = merge_topk {v1}, {p1}, {v2}, {p2} over k"));
    let with_k = union(&row, &['k']);
    for (v, p, axes) in [(&v1, &p1, with_k.clone()), (&v3, &p3, vec!['i', 'k'])] {
        g.push(v, "FLOAT", &union(&axes, &without(&row, &[])));
        g.push(p, "i32", &union(&axes, &without(&row, &[])));
    }
    let x2 = g.fresh();
    g.line(&format!("{x2} = rename {x} over c to c2"));
    let pc2 = g.fresh();
    g.line(&format!("{pc2} = index at c2 as i32"));
    g.add("i32", &axes, &format!("rank_count {x}, {position}, {x2}, {pc2} over c2"));
    group_compact(g, start);
}

fn group_compact(g: &mut Gen, start: usize) {
    let (y, n) = (g.fresh(), g.fresh());
    let condition = g.one(&["c % 2 == 0", "%p", "c <= t0 + i", "t0 + i < T[b], %p"]);
    g.line(&format!("{y}, {n} = compact %n over c to c2 where [{condition}]"));
    let axes = ['i'];
    let slot = g.fresh();
    g.line(&format!("{slot} = index at c2 as i32"));
    let filled = g.fresh();
    g.line(&format!("{filled} = lt {slot}, {n}"));
    let (kept, none) = (g.fresh(), g.fresh());
    g.line(&format!("{none} = fill -7 as i32"));
    g.line(&format!("{kept} = select {filled}, {y}, {none}"));
    let back = g.fresh();
    g.line(&format!("{back} = rename {kept} over c2 to c"));
    g.push(&back, "i32", &['i', 'c']);
    g.push(&n, "i32", &axes);
    // A rising list to search.
    let rising = g.fresh();
    g.line("%magnitude = abs %w");
    g.line(&format!("{rising} = scan %magnitude by sum over c"));
    let guard = g.one(&["", " where [c < 3]"]);
    g.add("i32", &['i', 'k'], &format!("search {rising}, %y over c{guard}"));
    g.outputs_since(start);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn elementwise_ops(case in cases()) { verify_case(&case, 1.0, group_elementwise); }
    #[test]
    fn reductions(case in cases()) { verify_case(&case, 1.0, group_reduce); }
    #[test]
    fn scans(case in cases()) { verify_case(&case, 1.0, group_scan); }
    #[test]
    fn products(case in cases()) { verify_case(&case, 16.0, group_dot); }
    #[test]
    fn exponential_sums(case in cases()) { verify_case(&case, 1.0, group_online); }
    #[test]
    fn tables(case in cases()) { verify_case(&case, 1.0, group_tables); }
    #[test]
    fn selections(case in cases()) { verify_case(&case, 1.0, group_select); }
}
