//! A writer of random kernels: sizes, the loads that every kernel starts with, guards, outputs.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::harness::Random;

/// Sizes of one case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) rows: i64,
    pub(crate) columns: i64,
    pub(crate) other: i64,
    pub(crate) lengths: Vec<i64>,
    /// Axis of the lanes: none, i, c, k.
    pub(crate) lanes: usize,
    pub(crate) double: bool,
}

pub(crate) fn cases() -> impl Strategy<Value = Case> {
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
pub(crate) const LOADED: usize = 10;

/// Writes statements and keeps track of values by type.
pub(crate) struct Gen {
    pub(crate) r: Random,
    /// Outputs: name and declared type.
    pub(crate) outputs: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) scratch: String,
    /// Name, element type, axes.
    pub(crate) values: Vec<(String, String, Vec<char>)>,
    pub(crate) count: usize,
}

impl Gen {
    pub(crate) fn new(seed: u64) -> Self {
        let mut r = Random(seed);
        // The first numbers of neighbouring seeds are alike.
        for _ in 0..4 {
            r.next();
        }
        Self { r, outputs: vec![], body: String::new(), scratch: String::new(), values: vec![], count: 0 }
    }
    pub(crate) fn pick(&mut self, n: usize) -> usize {
        ((self.r.next() * n as f64) as usize).min(n - 1)
    }
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.r.next() < p
    }
    pub(crate) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.pick(of.len())]
    }
    pub(crate) fn fresh(&mut self) -> String {
        self.count += 1;
        format!("%v{}", self.count)
    }
    pub(crate) fn line(&mut self, text: &str) {
        let _ = writeln!(self.body, "    {text}");
    }
    pub(crate) fn add(&mut self, elem: &str, axes: &[char], text: &str) -> String {
        let name = self.fresh();
        self.line(&format!("{name} = {text}"));
        self.push(&name, elem, axes);
        name
    }
    pub(crate) fn push(&mut self, name: &str, elem: &str, axes: &[char]) {
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        axes.dedup();
        self.values.push((name.into(), elem.into(), axes));
    }
    pub(crate) fn any(&mut self, elem: &str) -> (String, Vec<char>) {
        let of: Vec<_> = self.values.iter().filter(|v| v.1 == elem).cloned().collect();
        let v = of[self.pick(of.len())].clone();
        (v.0, v.2)
    }
    /// A value that was loaded: computed ones may differ in their last bit from the interpreter's, which decides comparisons.
    pub(crate) fn loaded(&mut self, elem: &str) -> (String, Vec<char>) {
        let of: Vec<_> = self.values[..LOADED].iter().filter(|v| v.1 == elem).cloned().collect();
        let v = of[self.pick(of.len())].clone();
        (v.0, v.2)
    }
    /// The same, over an axis.
    pub(crate) fn loaded_with_axis(&mut self, elem: &str, axis: char) -> (String, Vec<char>) {
        let loaded = self.values[..LOADED].iter();
        let of: Vec<_> = loaded.filter(|v| v.1 == elem && v.2.contains(&axis)).cloned().collect();
        let v = of[self.pick(of.len())].clone();
        (v.0, v.2)
    }
    pub(crate) fn with_axis(&mut self, elem: &str, axis: char) -> (String, Vec<char>) {
        let of: Vec<_> = self.values.iter().filter(|v| v.1 == elem && v.2.contains(&axis)).cloned().collect();
        let v = of[self.pick(of.len())].clone();
        (v.0, v.2)
    }
    /// The loads that every kernel starts with.
    pub(crate) fn inputs(&mut self) {
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
    pub(crate) fn guard(&mut self, axes: &[char]) -> String {
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
    pub(crate) fn output(&mut self, name: &str, elem: &str, axes: &[char]) {
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
    pub(crate) fn outputs_since(&mut self, from: usize) {
        let made = self.values.split_off(from);
        for (name, elem, axes) in &made {
            self.output(name, elem, axes);
        }
        self.values.extend(made);
    }
    pub(crate) fn plan(&self, case: &Case) -> String {
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

pub(crate) fn union(a: &[char], b: &[char]) -> Vec<char> {
    let mut all: Vec<char> = a.iter().chain(b).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

pub(crate) fn without(a: &[char], axes: &[char]) -> Vec<char> {
    a.iter().copied().filter(|x| !axes.contains(x)).collect()
}

pub(crate) fn list(axes: &[char]) -> String {
    axes.iter().map(char::to_string).collect::<Vec<_>>().join(", ")
}
