//! Where a rule must not fire: for each condition a term that has all that the rule asks for but that, by name.

use super::mill::Mill;
use crate::rewrite::build;
use weft_ir::graph::{MapFn, NodeId};

/// A case.
pub(super) struct Negative {
    /// What is in the way.
    pub(super) name: &'static str,
    /// The rule.
    pub(super) rule: &'static str,
    /// The number of the condition.
    pub(super) condition: usize,
    /// Makes the term.
    pub(super) make: fn(&mut Mill),
}

const fn case(rule: &'static str, condition: usize, name: &'static str, make: fn(&mut Mill)) -> Negative {
    Negative { name, rule, condition, make }
}

pub(super) const ALL: &[Negative] = &[
    case("substitute", 0, "the position is on an axis that the sum binds", |m| {
        let (near, parts) = (m.upto("j", "t", 0), [m.leaf("f", &["j"]), m.leaf("g", &["t"]), m.leaf("g", &["i"])]);
        let (sum, to) = (m.sum(&["j"], &[near], &parts), m.at("j"));
        m.read(sum, "t", to);
    }),
    case("substitute", 1, "a recurrence at another position", |m| {
        let parts = [m.leaf("f", &["t"]), m.leaf("g", &["i"])];
        let (addend, to) = (m.sum(&[], &[], &parts), m.at("j"));
        let scan = m.scan("t", false, addend, None);
        m.read(scan, "t", to);
    }),
    case("merge sums", 0, "two sums bind one axis", |m| {
        let parts = [m.leaf("q", &["t", "d"]), m.leaf("k", &["j", "d"])];
        let (near, score, w) = (m.upto("j", "t", 0), m.sum(&["d"], &[], &parts), m.leaf("w", &["d"]));
        m.sum(&["j", "d"], &[near], &[w, score]);
    }),
    case("the other sum first", 0, "two sums bind one axis", |m| {
        let (late, parts) = (m.upto("j", "i", 0), [m.leaf("q", &["i", "d"]), m.leaf("f", &["i"])]);
        let (inner, k) = (m.sum(&["i", "d"], &[late], &parts), m.leaf("k", &["j", "d"]));
        m.sum(&["j", "d"], &[], &[k, inner]);
    }),
    case("pairs around a position", 0, "the pairs depend on the position", |m| {
        let guards = around(m);
        let parts = [m.leaf("f", &["t"]), m.leaf("f", &["j"]), m.leaf("g", &["i"])];
        m.sum(&["t", "j"], &guards, &parts);
    }),
    case("pairs around a position", 1, "pairs of all documents", |m| {
        let guards = around(m);
        let parts = [m.leaf("f", &["t"]), m.leaf("f", &["j"])];
        m.sum(&["b", "t", "j"], &guards, &parts);
    }),
    case("a weight that adds up", 1, "positions in any order", |m| {
        let parts = [m.distance("j", "t", 1.0), m.leaf("f", &["t"]), m.leaf("g", &["j"])];
        m.sum(&["t", "j"], &[], &parts);
    }),
    case("a sum over pairs", 0, "the inner sum binds the row", |m| {
        let (late, f) = (m.upto("j", "t", 0), m.leaf("f", &["t"]));
        let inner = m.sum(&["t"], &[late], &[f]);
        let parts = [m.leaf("f", &["j"]), m.leaf("g", &["t"]), inner];
        m.sum(&["j"], &[late], &parts);
    }),
    case("count", 0, "what is summed differs", |m| {
        let (near, f) = (m.upto("j", "t", 0), m.leaf("f", &["j"]));
        m.sum(&["j"], &[near], &[f]);
    }),
    case("count", 1, "the last position may be behind the end", |m| {
        let (near, f) = (m.upto("j", "t", 2), m.leaf("f", &["t"]));
        m.sum(&["j"], &[near], &[f]);
    }),
    case("exponential of a sum", 0, "one part alone is too large", |m| {
        let (rate, f) = (m.number(1500.0), m.leaf("f", &["t"]));
        let large = m.sum(&[], &[], &[rate, f]);
        let (minus, distance) = (m.number(-1500.0), m.distance("j", "t", -1e-6));
        let nearly = m.map(MapFn::Exp, &[distance]);
        let back = m.sum(&[], &[], &[minus, f, nearly]);
        let sum = m.map(MapFn::Add, &[large, back]);
        m.map(MapFn::Exp, &[sum]);
    }),
    case("decided by the guards", 0, "some of what is summed is nearer", |m| {
        let (near, far, f) = (m.upto("j", "t", 0), m.upto("j", "t", -2), m.leaf("f", &["j"]));
        let part = m.sum(&[], &[far], &[f]);
        let parts = [m.map(MapFn::Exp, &[part]), m.leaf("g", &["j"])];
        m.sum(&["j"], &[near], &parts);
    }),
    case("once for each code", 0, "each position has its code", |m| {
        let (scores, code) = (m.scores("t"), m.code("j"));
        let part = m.read(scores, "s", code);
        let f = m.leaf("g", &["t"]);
        m.sum(&["j"], &[], &[part, f]);
    }),
    case("once for each code", 1, "another code is in it", |m| {
        let (scores, code) = (m.scores("t"), m.code("j"));
        let part = m.read(scores, "s", code);
        let c = m.leaf("c", &["s", "e"]);
        m.sum(&["e"], &[], &[part, c]);
    }),
    case("solve for a position", 0, "a code that may be none", |m| {
        let (code, one, s) = (m.code("j"), m.canon().int(1).unwrap(), m.at("s"));
        let next = m.canon().map(MapFn::Add, &[code, one]).unwrap();
        let (guard, parts) = (m.is(MapFn::Eq, next, s), [m.leaf("p", &["t", "s"]), m.leaf("f", &["j"])]);
        m.sum(&["j", "s"], &[guard], &parts);
    }),
    case("sum by code", 1, "the axis of codes is in use", |m| {
        let (near, scores, code) = (m.upto("j", "t", 0), m.scores("t"), m.code("j"));
        let parts = [m.read(scores, "s", code), m.leaf("p", &["j", "s"])];
        m.sum(&["j"], &[near], &parts);
    }),
    case("decay up to a block", 2, "the row may stand before the end of the block", |m| {
        let (at, end) = (m.at("j"), block_of(m, "i"));
        let before = m.is(MapFn::Lt, at, end);
        let window = m.window("f", "i", "j", "t");
        let parts = [m.map(MapFn::Exp, &[window]), m.leaf("g", &["j"])];
        m.sum(&["j"], &[before], &parts);
    }),
    case("sums within a block", 0, "positions in any two blocks", |m| {
        let near = m.upto("j", "t", 0);
        let window = m.window("f", "i", "j", "t");
        let parts = [m.map(MapFn::Exp, &[window]), m.leaf("g", &["j"])];
        m.sum(&["j"], &[near], &parts);
    }),
    case("sums within a block", 1, "what is added up depends on the row", |m| {
        let (start, at) = (block_of(m, "t"), m.at("j"));
        let guards = [m.upto("j", "t", 0), m.is(MapFn::Le, start, at)];
        let parts = [by_row(m), m.leaf("g", &["j"])];
        m.sum(&["j"], &guards, &parts);
    }),
    case("difference of prefixes", 0, "positions in any order", |m| {
        let (near, g) = (m.upto("j", "t", 2), m.leaf("g", &["i"]));
        let window = m.between("i", "j", "t", &[g]);
        let parts = [m.map(MapFn::Exp, &[window]), m.leaf("g", &["j"])];
        m.sum(&["j"], &[near], &parts);
    }),
    case("difference of prefixes", 1, "what is added up depends on the row", |m| {
        let near = m.upto("j", "t", 0);
        let parts = [by_row(m), m.leaf("g", &["j"])];
        m.sum(&["j"], &[near], &parts);
    }),
    case("what lies between", 0, "positions in any order", |m| {
        let near = m.upto("j", "t", 2);
        let (early, late) = (upto(m, "j"), upto(m, "t"));
        let minus = m.number(-1.0);
        let early = m.sum(&[], &[], &[minus, early]);
        let difference = m.map(MapFn::Add, &[late, early]);
        let parts = [m.map(MapFn::Exp, &[difference]), m.leaf("g", &["j"])];
        m.sum(&["j"], &[near], &parts);
    }),
    case("what lies between", 1, "the sum binds the axis of the other position", |m| {
        let (near, late) = (m.upto("i", "t", 0), upto(m, "t"));
        let (at, minus) = (m.at("i"), m.number(-1.0));
        let early = m.read(late, "t", at);
        let early = m.sum(&[], &[], &[minus, early]);
        let difference = m.map(MapFn::Add, &[late, early]);
        let parts = [m.map(MapFn::Exp, &[difference]), m.leaf("g", &["i"])];
        m.sum(&["i"], &[near], &parts);
    }),
    case("blocks", 0, "the last block may be incomplete", |m| {
        let (three, start) = (m.canon().int(super::mill::LENGTH).unwrap(), block_of(m, "t"));
        let (at, end) = (m.at("j"), m.canon().map(MapFn::Add, &[start, three]).unwrap());
        let (before, f) = (m.is(MapFn::Lt, at, end), m.leaf("f", &["j"]));
        m.sum(&["j"], &[before], &[f]);
    }),
    case("carry over blocks", 0, "every row is summed, too", |m| {
        let (at, end) = (m.at("j"), block_of(m, "i"));
        let (before, f) = (m.is(MapFn::Lt, at, end), m.leaf("f", &["j"]));
        m.sum(&["j", "i"], &[before], &[f]);
    }),
];

/// Conditions that no term can fail alone: how the rule makes its result is how it meets them.
pub(super) const MADE: &[(&str, usize, &str)] = &[
    ("a weight that adds up", 0, "steps are read off the form that adds up"),
    ("where it is wanted", 0, "r and the number of c are computed so"),
    ("positions first", 0, "what does not mention x is what is left over"),
    ("carry over blocks", 2, "guards of positions can be told"),
    ("positions first", 1, "guards of positions can be told"),
    ("the other sum first", 1, "guards of positions can be told"),
    ("sum by code", 0, "what is read at z is read within its axis"),
    ("near and far", 0, "c is computed so"),
    ("decay up to a block", 0, "only forms that add up are found"),
    ("decay up to a block", 1, "about overflow: the equality holds without it"),
    ("a recurrence as a sum", 0, "about overflow: the equality holds without it"),
    (
        "sums within a block",
        2,
        "needs a place behind the end of the last block, where this does not look: `forms` of the layer `gates` does",
    ),
    ("difference of prefixes", 2, "the rule replaces a factor of one sum, and joins no class of its own"),
    ("difference of prefixes", 3, "both are made in float64"),
    ("carry over blocks", 1, "about overflow: the equality holds without it"),
];

/// `j < i <= t`
fn around(m: &mut Mill) -> [NodeId; 2] {
    [m.upto("j", "i", -1), m.upto("i", "t", 0)]
}

/// `sum(i: g[i] where i <= t)`
fn upto(m: &mut Mill, t: &str) -> egg::Id {
    let (last, g) = (m.upto("i", t, 0), m.leaf("g", &["i"]));
    m.sum(&["i"], &[last], &[g])
}

/// The start of the block of a position.
fn block_of(m: &mut Mill, axis: &str) -> NodeId {
    let (at, length) = (m.at(axis), m.canon().int(super::mill::LENGTH).unwrap());
    let block = m.canon().map(MapFn::IDiv, &[at, length]).unwrap();
    m.canon().map(MapFn::Mul, &[block, length]).unwrap()
}

/// `exp(sum(i: loss[i] * g[t] where j < i <= t))`
fn by_row(m: &mut Mill) -> egg::Id {
    let loss = m.loss("f", "i");
    let parts = [build::leaf(&mut m.eg, loss), m.leaf("g", &["t"])];
    let guards = around(m);
    let window = m.sum(&["i"], &guards, &parts);
    m.map(MapFn::Exp, &[window])
}
