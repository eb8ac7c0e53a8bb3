//! Decays: exponentials of what adds up along time.
//!
//! `A(t, j)` adds up if `A(t, j) = A(t, e) + A(e, j)` for every `j <= e <= t`: a multiple of `t - j`, a sum over the positions between `j` and
//! `t`, sums of such. Its exponential then splits at the end of a block into a part of the row and a part of the block. All
//! exponents are at most 0 and stay so, since the place of the split lies between the two: nothing overflows.

use super::{Found, Phase, Rounding, Rule, terms};
use crate::canon::IntForm;
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::graph::{AxisId, Error, MapFn, NodeId, Op};

pub(super) const ANCHOR: Rule = Rule {
    name: "decay up to a block",
    phase: Phase::Blocks,
    mathematics: "exp(A(y, x)) = exp(A(y, e)) exp(A(e, x)) for x <= e <= y",
    conditions: &["A adds up along time", "A is nowhere positive for x <= y", "the guards say x <= e, and e <= y"],
    guard: "e is the end of a block",
    rounding: Rounding::Bounded,
    example: (
        "sum(j: exp(c * (t - j)) * k[j] where j < 64*n)",
        "exp(c * (t - (64*n - 1))) * sum(j: exp(c * (64*n - 1 - j)) * k[j] where j < 64*n)",
    ),
    apply: anchor,
};

/// How deep a term is looked into.
const DEPTH: u32 = 6;

/// Does a class add up along time between positions on `early` and `late`?
pub(super) fn adds_up(eg: &Eg, id: Id, late: AxisId, early: AxisId) -> bool {
    adds(eg, id, late, early, DEPTH)
}

fn adds(eg: &Eg, id: Id, late: AxisId, early: AxisId, depth: u32) -> bool {
    let free = &eg[id].data.free;
    if depth == 0 || !free.contains(late) || !free.contains(early) {
        return false;
    }
    let g = &eg.analysis.canon.g;
    let without = |f: Id| !eg[f].data.free.contains(late) && !eg[f].data.free.contains(early);
    let without_leaf = |n: NodeId| !g.free(n).contains(late) && !g.free(n).contains(early);
    eg[id].nodes.iter().any(|t| match &t.head {
        Head::Leaf(n) => matches!(g.op(*n), Op::Cast(_)) && distance(eg, g.args(*n)[0], late, early),
        Head::Other(Op::Cast(_)) => eg[t.args[0]].data.leaf.is_some_and(|n| distance(eg, n, late, early)),
        Head::Map(MapFn::Add) => t.args.iter().all(|&a| adds(eg, a, late, early, depth - 1)),
        Head::Ein { axes, guards } if axes.is_empty() => {
            let own: Vec<Id> = t.args.iter().copied().filter(|&a| !without(a)).collect();
            guards.is_empty() && own.len() == 1 && adds(eg, own[0], late, early, depth - 1)
        }
        Head::Ein { axes, guards } => {
            let between: Vec<NodeId> = guards.iter().copied().filter(|&x| !without_leaf(x)).collect();
            t.args.iter().all(|&a| without(a)) && axes.iter().any(|&i| window(eg, &between, i, late, early))
        }
        _ => false,
    })
}

/// Is an integer a multiple of `late - early`?
fn distance(eg: &Eg, n: NodeId, late: AxisId, early: AxisId) -> bool {
    let w = &eg.analysis;
    let g = &w.canon.g;
    if *g.op(n) == Op::Map(MapFn::Mul) && w.canon.int_form(n).is_some_and(|f| f.as_var() == Some(&n)) {
        let has = |&&a: &&NodeId| g.free(a).contains(late) || g.free(a).contains(early);
        let own: Vec<NodeId> = g.args(n).iter().filter(has).copied().collect();
        return own.len() == 1 && distance(eg, own[0], late, early);
    }
    let Some(form) = w.canon.int_form(n) else { return false };
    let c = w.coefficient(&form, late);
    form.terms().count() == 2 && form.constant() == 0 && c != 0 && w.coefficient(&form, early) == -c
}

/// Do two guards say that `i` runs over the positions from one to the other, either end counted once?
fn window(eg: &Eg, guards: &[NodeId], i: AxisId, late: AxisId, early: AxisId) -> bool {
    let w = &eg.analysis;
    let [a, b] = *guards else { return false };
    let (Some(a), Some(b)) = (w.at_least_zero(a), w.at_least_zero(b)) else { return false };
    let is = |f: &IntForm, up: AxisId, down: AxisId| {
        f.terms().count() == 2 && w.coefficient(f, up) == 1 && w.coefficient(f, down) == -1
    };
    let one = |lo: &IntForm, hi: &IntForm| is(lo, i, early) && is(hi, late, i) && lo.constant() + hi.constant() == -1;
    one(&a, &b) || one(&b, &a)
}

/// The sign of a class where guards hold.
pub(super) fn sign(eg: &Eg, id: Id, guards: &[NodeId]) -> Option<i32> {
    sign_within(eg, id, guards, DEPTH)
}

fn sign_within(eg: &Eg, id: Id, guards: &[NodeId], depth: u32) -> Option<i32> {
    if depth == 0 {
        return None;
    }
    let of = |a: Id| sign_within(eg, a, guards, depth - 1);
    eg[id].nodes.iter().find_map(|t| match &t.head {
        Head::Leaf(n) => eg.analysis.canon.sign(*n, guards, &|_| None),
        Head::Other(Op::Cast(_)) => eg.analysis.canon.int_sign(eg[t.args[0]].data.leaf?, guards),
        Head::Map(MapFn::Exp) => Some(1),
        Head::Map(MapFn::Add) => {
            let first = of(t.args[0])?;
            t.args[1..].iter().all(|&a| of(a) == Some(first)).then_some(first)
        }
        Head::Ein { .. } => {
            let even = |a: Id| t.args.iter().filter(|&&x| x == a).count() % 2 == 0;
            t.args.iter().filter(|&&a| !even(a)).try_fold(1, |s, &a| Some(s * of(a)?))
        }
        _ => None,
    })
}

/// Is what adds up nowhere positive, whatever positions it is between, as long as they are in order?
pub(super) fn falls(eg: &mut Eg, exponent: Id, late: AxisId, early: AxisId) -> Result<bool, Error> {
    let w = &mut eg.analysis;
    let (x, y) = (w.index(early)?, w.index(late)?);
    let ordered = w.canon.map(MapFn::Le, &[x, y])?;
    Ok(sign(eg, exponent, &[ordered]) == Some(-1))
}

/// A decay: an exponential of what adds up between two positions.
pub(super) struct Decay {
    /// What adds up, between `late` and `early`.
    pub(super) exponent: Id,
    /// The later position.
    pub(super) late: (AxisId, NodeId),
    /// The earlier one.
    pub(super) early: (AxisId, NodeId),
}

/// A factor as a decay between any two positions.
pub(super) fn decay_between(eg: &mut Eg, factor: Id) -> Result<Vec<Decay>, Error> {
    let mut found = Vec::new();
    for t in terms(eg, factor) {
        if t.head != Head::Map(MapFn::Exp) {
            continue;
        }
        for e in terms(eg, t.args[0]) {
            let Head::Sub { axes, at } = &e.head else { continue };
            let body = e.args[0];
            for (n, &late) in axes.iter().enumerate() {
                for (m, &early) in axes.iter().enumerate() {
                    if n != m && adds_up(eg, body, late, early) {
                        // Everything else that is replaced is replaced first.
                        let rest: Vec<(AxisId, NodeId)> = axes
                            .iter()
                            .copied()
                            .zip(at.iter().copied())
                            .filter(|&(a, _)| a != late && a != early)
                            .collect();
                        let exponent = build::sub(eg, body, &rest)?;
                        found.push(Decay { exponent, late: (late, at[n]), early: (early, at[m]) });
                    }
                }
            }
        }
    }
    Ok(found)
}

/// The exponent of a factor that is a decay between the positions on two axes.
pub(super) fn decay(eg: &Eg, factor: Id, late: AxisId, early: AxisId) -> Option<Id> {
    let exps = eg[factor].nodes.iter().filter(|t| t.head == Head::Map(MapFn::Exp));
    exps.map(|t| t.args[0]).find(|&e| adds_up(eg, e, late, early))
}

fn anchor(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (n, &factor) in term.args.iter().enumerate() {
        let free = eg[factor].data.free.clone();
        let base = |a: &AxisId| eg.analysis.is_base(*a);
        let bound: Vec<AxisId> = axes.iter().copied().filter(|&x| free.contains(x)).filter(base).collect();
        let rows: Vec<AxisId> = free.iter().filter(|y| !axes.contains(y)).filter(base).collect();
        let pairs = bound.iter().flat_map(|&x| rows.iter().flat_map(move |&y| [(x, y, true), (x, y, false)]));
        for (x, y, past) in pairs {
            let (late, early) = if past { (y, x) } else { (x, y) };
            let Some(exponent) = decay(eg, factor, late, early) else { continue };
            for &g in guards {
                let Some(border) = block_border(eg, g, x, past)? else { continue };
                // The row stands on the other side of the border.
                let w = &mut eg.analysis;
                let here = w.index(y)?;
                let order = if past { [border, here] } else { [here, border] };
                let order = w.canon.map(MapFn::Le, &order)?;
                let holds = w.canon.known(order) == Some(true) || w.prover(guards).implies(order);
                let fallen = falls(eg, exponent, late, early)?;
                if !eg.analysis.met(&ANCHOR, 2, holds) || !eg.analysis.met_by(factor, &ANCHOR, 1, fallen) {
                    continue;
                }
                let row = build::sub(eg, exponent, &[(x, border)])?;
                let block = build::sub(eg, exponent, &[(y, border)])?;
                let (row, block) = (build::map(eg, MapFn::Exp, &[row])?, build::map(eg, MapFn::Exp, &[block])?);
                let mut fs: Vec<Id> = term.args.iter().enumerate().filter(|&(m, _)| m != n).map(|(_, &f)| f).collect();
                fs.extend([row, block]);
                found.push(Found::plain(build::ein(eg, axes, guards, &fs)?));
            }
        }
    }
    Ok(found)
}

/// The `e` of a guard `x <= e` where `e` is the last position of a block, or of `x >= e` where it is the first.
fn block_border(eg: &mut Eg, guard: NodeId, x: AxisId, past: bool) -> Result<Option<NodeId>, Error> {
    let w = &mut eg.analysis;
    let Some(form) = w.at_least_zero(guard) else { return Ok(None) };
    let sign = if past { -1 } else { 1 };
    if w.coefficient(&form, x) != sign || w.hides(&form, x) {
        return Ok(None);
    }
    let here = IntForm::var(w.index(x)?);
    let border = if past { form.checked_add(&here, 1) } else { here.checked_add(&form, -1) };
    let Some(border) = border else { return Ok(None) };
    let (high, rest) = border.split_multiple(w.length);
    if rest.as_constant() != Some(if past { w.length - 1 } else { 0 }) || high.as_constant().is_some() {
        return Ok(None);
    }
    Ok(Some(w.canon.int_term(&border)?))
}
