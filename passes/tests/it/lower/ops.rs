//! Random small kernels for each group of ops, against the interpreter.
//!
//! Every kernel runs over rows `t` of a ragged batch in tiles of `I`, with columns `c` of a tile; extents, lanes, element type and
//! guards are random. Inputs are multiples of 1/4, so that ties occur and sums are exact in either precision.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::harness::{Random, check_with, plan};

/// Sizes of one case.
#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    rows: i64,
    columns: i64,
    other: i64,
    lengths: Vec<i64>,
    /// Axis of the lanes: none, i, c, k.
    lanes: usize,
    double: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let lengths = prop::collection::vec(0i64..40, 1..3);
    (any::<u64>(), 1i64..20, 1i64..14, 1i64..10, lengths, 0usize..4, any::<bool>()).prop_map(
        |(seed, rows, columns, other, lengths, lanes, double)| Case {
            seed: seed | 1,
            rows,
            columns,
            other,
            lengths,
            lanes,
            double,
        },
    )
}

/// Number of values that are loaded at the start of every kernel.
const LOADED: usize = 10;

/// Writes statements and keeps track of values by type.
struct Gen {
    r: Random,
    /// Outputs: name and declared type.
    outputs: Vec<(String, String)>,
    body: String,
    scratch: String,
    /// Name, element type, axes.
    values: Vec<(String, String, Vec<char>)>,
    count: usize,
}

impl Gen {
    fn new(seed: u64) -> Self {
        let mut r = Random(seed);
        // The first numbers of neighbouring seeds are alike.
        for _ in 0..4 {
            r.next();
        }
        Self { r, outputs: vec![], body: String::new(), scratch: String::new(), values: vec![], count: 0 }
    }
    fn pick(&mut self, n: usize) -> usize {
        ((self.r.next() * n as f64) as usize).min(n - 1)
    }
    fn chance(&mut self, p: f64) -> bool {
        self.r.next() < p
    }
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.pick(of.len())]
    }
    fn fresh(&mut self) -> String {
        self.count += 1;
        format!("%v{}", self.count)
    }
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.body, "    {text}");
    }
    fn add(&mut self, elem: &str, axes: &[char], text: &str) -> String {
        let name = self.fresh();
        self.line(&format!("{name} = {text}"));
        self.push(&name, elem, axes);
        name
    }
    fn push(&mut self, name: &str, elem: &str, axes: &[char]) {
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        axes.dedup();
        self.values.push((name.into(), elem.into(), axes));
    }
    fn any(&mut self, elem: &str) -> (String, Vec<char>) {
        let of: Vec<_> = self.values.iter().filter(|v| v.1 == elem).cloned().collect();
        let v = of[self.pick(of.len())].clone();
        (v.0, v.2)
    }
    /// A value that was loaded: computed ones may differ in their last bit from the interpreter's, which decides comparisons.
    fn loaded(&mut self, elem: &str) -> (String, Vec<char>) {
        let of: Vec<_> = self.values[..LOADED].iter().filter(|v| v.1 == elem).cloned().collect();
        let v = of[self.pick(of.len())].clone();
        (v.0, v.2)
    }
    fn with_axis(&mut self, elem: &str, axis: char) -> (String, Vec<char>) {
        let of: Vec<_> = self.values.iter().filter(|v| v.1 == elem && v.2.contains(&axis)).cloned().collect();
        let v = of[self.pick(of.len())].clone();
        (v.0, v.2)
    }
    /// The loads that every kernel starts with.
    fn inputs(&mut self) {
        let f = "FLOAT";
        let row = "t0 + i < T[b]";
        for (name, elem, axes, text) in [
            ("%x", f, "ic", format!("load x[b, t0 + i, c] where [{row}] else 0.5")),
            ("%k", f, "ik", format!("load xk[b, t0 + i, k] where [{row}] else 0.0")),
            ("%y", f, "i", format!("load y[b, t0 + i] where [{row}] else -1.0")),
            ("%w", f, "ck", "load w[c, k]".into()),
            ("%u", f, "c", "load w[c, 0]".into()),
            ("%n", "i32", "ic", format!("load ids[b, t0 + i, c] where [{row}] else 0")),
            ("%m", "i32", "k", "load marks[k]".into()),
            ("%p", "bool", "ic", format!("load flags[b, t0 + i, c] where [{row}] else false")),
            ("%at", "i32", "i", "index at t0 + i as i32".into()),
            ("%ck", "i32", "ck", "index at (c * 3 + k) % 5 as i32".into()),
        ] {
            if elem == f && name == "%u" && self.chance(0.5) {
                self.line(&format!("{name} = fill 0.75 as FLOAT on [c]"));
            } else {
                self.line(&format!("{name} = {text}"));
            }
            self.push(name, elem, &axes.chars().collect::<Vec<_>>());
        }
    }
    /// A guard over axes, or none: atoms and opaque conditions.
    fn guard(&mut self, axes: &[char]) -> String {
        let mut parts = Vec::new();
        if axes.contains(&'i') && self.chance(0.5) {
            parts.push("t0 + i < T[b]".to_owned());
        }
        if axes.contains(&'c') && self.chance(0.4) {
            parts.push(self.one(&["c % 3 != 1", "c < 5", "2 * c >= 3"]).to_owned());
        }
        if axes.contains(&'c') && axes.contains(&'i') && self.chance(0.4) {
            parts.push(self.one(&["c <= t0 + i", "t0 + i - c < 7", "(t0 + i) % 4 >= c"]).to_owned());
        }
        if axes.contains(&'k') && self.chance(0.4) {
            parts.push(self.one(&["k > 0", "k == 2", "k // 2 <= 1"]).to_owned());
        }
        let opaque: Vec<_> =
            self.values.iter().filter(|v| v.1 == "bool" && v.2.iter().all(|a| axes.contains(a))).cloned().collect();
        if !opaque.is_empty() && self.chance(0.4) {
            let i = self.pick(opaque.len());
            parts.push(opaque[i].0.clone());
        }
        if parts.is_empty() { String::new() } else { format!(" where [{}]", parts.join(", ")) }
    }
    /// Stores a value into an output of its own.
    fn output(&mut self, name: &str, elem: &str, axes: &[char]) {
        let out = format!("out{}", self.outputs.len());
        let mut dims = vec!["b: B", "t: T[b]"];
        let mut index = vec!["b", "t0 + i"];
        for (axis, dim) in [('c', "c: C"), ('k', "k: K")] {
            if axes.contains(&axis) {
                dims.push(dim);
                index.push(if axis == 'c' { "c" } else { "k" });
            }
        }
        self.line(&format!("store {out}[{}] = {name} where [t0 + i < T[b]]", index.join(", ")));
        self.outputs.push((out, format!("{elem}[{}]", dims.join(", "))));
    }
    /// Stores all values made since `from`.
    fn outputs_since(&mut self, from: usize) {
        let made = self.values.split_off(from);
        for (name, elem, axes) in &made {
            self.output(name, elem, axes);
        }
        self.values.extend(made);
    }
    fn plan(&self, case: &Case) -> String {
        let float = if case.double { "f64" } else { "f32" };
        let lanes = ["", "lanes i", "lanes c", "lanes k"][case.lanes];
        let mut outputs = String::new();
        for (name, ty) in &self.outputs {
            let _ = writeln!(outputs, "  buffer {name}: {ty} output");
        }
        format!(
            "plan random {{
  size C = {}, K = {}
  tile I = {}
  extent B, T[B]
  buffer x: FLOAT[b: B, t: T[b], c: C] input
  buffer xk: FLOAT[b: B, t: T[b], k: K] input
  buffer y: FLOAT[b: B, t: T[b]] input
  buffer w: FLOAT[c: C, k: K] param
  buffer ids: i32[b: B, t: T[b], c: C] input range 0 .. C
  buffer marks: i32[k: K] input range 0 .. K
  buffer flags: bool[b: B, t: T[b], c: C] input
{outputs}
  kernel ops {{
    grid b: B, n: ceil(T[b] / I)
    axis i: I where [n * I + i < T[b]]
    axis c: C, k: K, c2: C
    {lanes}
{}    let t0 = n * I
{}  }}
}}",
            case.columns, case.other, case.rows, self.scratch, self.body
        )
        .replace("FLOAT", float)
    }
}

fn verify_case(case: &Case, build: impl Fn(&mut Gen)) {
    let mut g = Gen::new(case.seed);
    g.inputs();
    build(&mut g);
    let plan = plan(&g.plan(case), &[]);
    let lengths = [("B", &[case.lengths.len() as i64][..]), ("T", &case.lengths[..])];
    let tolerance = if case.double { 1e-12 } else { 2e-6 };
    check_with(&plan, &lengths, case.seed, tolerance, |name, x| {
        if !["ids", "marks", "flags"].contains(&name) {
            x.data.iter_mut().for_each(|x| *x = (*x * 8.0).round() / 4.0);
        }
    });
}

fn union(a: &[char], b: &[char]) -> Vec<char> {
    let mut all: Vec<char> = a.iter().chain(b).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn without(a: &[char], axes: &[char]) -> Vec<char> {
    a.iter().copied().filter(|x| !axes.contains(x)).collect()
}

fn list(axes: &[char]) -> String {
    axes.iter().map(char::to_string).collect::<Vec<_>>().join(", ")
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
            let a = if from == "FLOAT" && to != "bool" { g.add("FLOAT", &x, &format!("tanh {a}")) } else { a };
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
        let (x, axes) = g.with_axis(elem, axis);
        let over: Vec<char> =
            if axes.contains(&'c') && axes.contains(&'k') && g.chance(0.5) { vec!['c', 'k'] } else { vec![axis] };
        let guard = g.guard(&axes);
        let row = without(&axes, &over);
        if elem == "bool" {
            let m = g.one(&["any", "all"]);
            g.add("bool", &row, &format!("reduce {x} by {m} over {}{guard}", list(&over)));
            continue;
        }
        if g.chance(0.35) {
            let m = g.one(&["argmin", "argmax"]);
            let payload = g.fresh();
            let at = if over.len() == 2 { "c * K + k".to_owned() } else { list(&over) };
            g.line(&format!("{payload} = index at {at} as i32"));
            let (a, b) = (g.fresh(), g.fresh());
            g.line(&format!("{a}, {b} = reduce {x}, {payload} by {m} over {}{guard}", list(&over)));
            g.push(&a, elem, &row);
            g.push(&b, "i32", &row);
            continue;
        }
        let m = g.one(&["sum", "max", "min"]);
        g.add(elem, &row, &format!("reduce {x} by {m} over {}{guard}", list(&over)));
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
    fn elementwise_ops(case in cases()) { verify_case(&case, group_elementwise); }
    #[test]
    fn reductions(case in cases()) { verify_case(&case, group_reduce); }
    #[test]
    fn scans(case in cases()) { verify_case(&case, group_scan); }
    #[test]
    fn products(case in cases()) { verify_case(&case, group_dot); }
    #[test]
    fn exponential_sums(case in cases()) { verify_case(&case, group_online); }
    #[test]
    fn tables(case in cases()) { verify_case(&case, group_tables); }
    #[test]
    fn selections(case in cases()) { verify_case(&case, group_select); }
}
