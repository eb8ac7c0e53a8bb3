//! Random terms over few axes, so that names meet: what is bound here is free there, and bound again inside.

use super::mill::Mill;
use crate::rewrite::build;
use egg::Id;
use weft_ir::graph::{MapFn, NodeId};

const TIMES: [&str; 3] = ["t", "i", "j"];
const FEATURES: [&str; 2] = ["d", "e"];
const CODES: [&str; 2] = ["s", "u"];

/// Choices, one after the other; when they run out, always the first.
struct Genes<'a>(&'a [u8]);

impl Genes<'_> {
    fn below(&mut self, n: usize) -> usize {
        match self.0.split_first() {
            Some((&x, rest)) => {
                self.0 = rest;
                x as usize % n
            }
            None => 0,
        }
    }

    fn pick<'s>(&mut self, of: &[&'s str]) -> &'s str {
        of[self.below(of.len())]
    }
}

/// A term that choices make.
pub(super) fn root(m: &mut Mill, genes: &[u8]) -> Id {
    term(m, &mut Genes(genes), 4)
}

/// A term of at most this depth.
fn term(m: &mut Mill, r: &mut Genes<'_>, depth: usize) -> Id {
    if depth == 0 {
        return leaf(m, r);
    }
    match r.below(12) {
        0 => leaf(m, r),
        1 | 2 => sum(m, r, depth),
        3 => {
            let parts = [term(m, r, depth - 1), term(m, r, depth - 1)];
            m.map(MapFn::Add, &parts)
        }
        4 => small(m, r, depth),
        5 => {
            let x = term(m, r, depth - 1);
            let (axis, to) = (r.pick(&TIMES), r.pick(&TIMES));
            let to = m.at(to);
            m.read(x, axis, to)
        }
        6 => {
            let x = term(m, r, depth - 1);
            let (axis, of) = (r.pick(&CODES), r.pick(&TIMES));
            let code = m.code(of);
            m.read(x, axis, code)
        }
        _ => shaped(m, r, depth),
    }
}

/// The exponential of what is not large.
fn small(m: &mut Mill, r: &mut Genes<'_>, depth: usize) -> Id {
    let (x, eighth) = (term(m, r, depth - 1), m.number(0.125));
    let x = m.sum(&[], &[], &[eighth, x]);
    let bounded = m.map(MapFn::Tanh, &[x]);
    m.map(MapFn::Exp, &[bounded])
}

/// Something that rules look for, over axes in any roles, of anything.
fn shaped(m: &mut Mill, r: &mut Genes<'_>, depth: usize) -> Id {
    let mut axes = TIMES;
    axes.rotate_left(r.below(3));
    if r.below(2) == 1 {
        axes.swap(0, 1);
    }
    let [t, j, i] = axes;
    let near = m.upto(j, t, [0, -1, 1, -3][r.below(4)]);
    let d = r.pick(&FEATURES);
    let of = |m: &mut Mill, r: &mut Genes<'_>, name: &str, axes: &[&str]| match r.below(4) {
        0 => term(m, r, depth - 1),
        _ => m.leaf(name, axes),
    };
    match r.below(10) {
        // Decayed sums over the past, and over the future.
        0 => {
            let window = m.window("f", i, j, t);
            let parts = [m.map(MapFn::Exp, &[window]), of(m, r, "g", &[j]), of(m, r, "q", &[t, d])];
            let bound = if r.below(3) == 0 { t } else { j };
            m.sum(&[bound], &[near], &parts)
        }
        // Scores and a bias, under an exponential.
        1 => {
            let parts = [m.leaf("q", &[t, d]), m.leaf("k", &[j, d])];
            let score = m.sum(&[d], &[], &parts);
            let score = m.map(MapFn::Tanh, &[score]);
            let bias = if r.below(2) == 0 { m.distance(j, t, -0.25) } else { m.window("f", i, j, t) };
            let sum = m.map(MapFn::Add, &[score, bias]);
            let parts = [m.map(MapFn::Exp, &[sum]), of(m, r, "g", &[j])];
            m.sum(&[j], &[near], &parts)
        }
        // Pairs around a position.
        2 => {
            let guards = [m.upto(j, i, -1), m.upto(i, t, 0)];
            let parts = [of(m, r, "g", &[t]), of(m, r, "f", &[j])];
            m.sum(&[t, j], &guards, &parts)
        }
        3 => {
            let parts = [m.distance(j, t, 0.5), of(m, r, "g", &[t]), of(m, r, "f", &[j])];
            m.sum(&[t, j], &[near], &parts)
        }
        // A recurrence, summed over its features.
        4 => {
            let parts = [m.leaf("k", &[t, d]), m.leaf("g", &[t])];
            let addend = m.sum(&[], &[], &parts);
            let kept = (r.below(3) > 0).then(|| leaf_of(m, t));
            let state = m.scan(t, r.below(2) == 1, addend, kept);
            let q = of(m, r, "q", &[t, d]);
            m.sum(&[d], &[], &[state, q])
        }
        // A table by code.
        5 | 6 => {
            let (scores, code) = (m.scores(t), m.code(j));
            let read = m.read(scores, "s", code);
            let read = if r.below(2) == 0 { read } else { m.map(MapFn::Exp, &[read]) };
            let parts = [read, of(m, r, "g", &[j])];
            m.sum(&[j], &[near], &parts)
        }
        // A quotient of cumulative products.
        7 => {
            let (minus, loss) = (m.number(-1.0), m.loss("f", i));
            let loss = build::leaf(&mut m.eg, loss);
            let (a, b) = (m.upto(i, t, 0), m.upto(i, j, 0));
            let (a, b) = (m.sum(&[i], &[a], &[loss]), m.sum(&[i], &[b], &[loss]));
            let b = m.sum(&[], &[], &[minus, b]);
            let difference = m.map(MapFn::Add, &[a, b]);
            let parts = [m.map(MapFn::Exp, &[difference]), of(m, r, "g", &[j])];
            m.sum(&[j], &[near], &parts)
        }
        // Rows here and there, and what is near them.
        8 => {
            let (here, near) = (m.every(t, [0, 2, 3][r.below(3)], r.below(2) as i64), m.upto(t, j, 1));
            let here = if r.below(2) == 0 { here } else { m.is(MapFn::Or, here, near) };
            let parts = [of(m, r, "q", &[t, d]), of(m, r, "k", &[j, d])];
            let last = m.upto(j, t, 2);
            m.sum(&[j], &[here, last], &parts)
        }
        // Sums in sums, in the other order.
        _ => {
            let (late, parts) = (m.upto(j, i, 0), [m.leaf("f", &[i]), of(m, r, "q", &[i, d])]);
            let inner = m.sum(&[i], &[late], &parts);
            let g = of(m, r, "g", &[j]);
            m.sum(&[j], &[], &[inner, g])
        }
    }
}

/// A decay from one position to the next, as a leaf.
fn leaf_of(m: &mut Mill, t: &str) -> Id {
    let loss = m.loss("f", t);
    let decay = m.canon().map(MapFn::Exp, &[loss]).unwrap();
    build::leaf(&mut m.eg, decay)
}

fn leaf(m: &mut Mill, r: &mut Genes<'_>) -> Id {
    let (t, d, s) = (r.pick(&TIMES), r.pick(&FEATURES), r.pick(&CODES));
    match r.below(8) {
        0 => m.leaf("f", &[t]),
        1 => m.leaf("g", &[t]),
        2 => m.leaf("q", &[t, d]),
        3 => m.leaf("k", &[t, d]),
        4 => m.leaf("w", &[d]),
        5 => m.leaf("p", &[t, s]),
        6 => m.leaf("c", &[s, d]),
        _ => m.number(0.5),
    }
}

fn guard(m: &mut Mill, r: &mut Genes<'_>) -> NodeId {
    let (a, b) = (r.pick(&TIMES), r.pick(&TIMES));
    match r.below(6) {
        0..=2 => m.upto(a, b, 0),
        3 => m.upto(a, b, -1),
        4 => m.upto(a, b, 2),
        _ => {
            let (code, s) = (m.code(a), r.pick(&CODES));
            let s = m.at(s);
            m.is(MapFn::Eq, code, s)
        }
    }
}

fn sum(m: &mut Mill, r: &mut Genes<'_>, depth: usize) -> Id {
    let mut axes = vec![r.pick(&TIMES)];
    if r.below(2) == 0 {
        let more = r.pick(&["d", "e", "s", "u", "t", "i", "j"]);
        if !axes.contains(&more) {
            axes.push(more);
        }
    }
    let guards: Vec<NodeId> = (0..1 + r.below(2)).map(|_| guard(m, r)).collect();
    let factors: Vec<Id> = (0..1 + r.below(3)).map(|_| term(m, r, depth - 1)).collect();
    m.sum(&axes, &guards, &factors)
}
