//! The order of sums over positions.

use super::parts::{kept_from, part};
use super::{Found, Phase, Rounding, Rule, push, terms};
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::graph::{AxisId, AxisSet, Error, NodeId};

pub(super) const SWAP: Rule = Rule {
    name: "the other sum first",
    phase: Phase::Sums,
    mathematics: "sum over x of F(x) (sum over t of G(t, x) H(t)) = sum over t of H(t) (sum over x of F(x) G(t, x))",
    conditions: &[
        "x and t do not occur in each other's extents, and no axis is bound twice",
        "H is defined, or a guard before it says that there is an x",
    ],
    guard: "both axes are long, and the result has no long axis",
    rounding: Rounding::Reassociates,
    example: (
        "sum(j: v[j] * sum(t: X[t] * q[t] where t >= j) where z[j] == s)",
        "sum(t: X[t] * q[t] * sum(j: v[j] where z[j] == s and t >= j))",
    ),
    apply: swap,
};

pub(super) const FIRST: Rule = Rule {
    name: "positions first",
    phase: Phase::Sums,
    mathematics: "sum over x, A of F(x) G = sum over A of G (sum over x of F(x))",
    conditions: &["G does not mention x", "G is defined, or a guard before it says that there is an x"],
    guard: "x is long, the inner sum has no long axis, and something is left to sum with G",
    rounding: Rounding::Reassociates,
    example: ("sum(j, d: q[t,d] * k[j,d] * v[j])", "sum(d: q[t,d] * sum(j: k[j,d] * v[j]))"),
    apply: first,
};

fn first(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for &x in axes.iter().filter(|_| axes.len() > 1) {
        if !eg.analysis.is_long(x) {
            continue;
        }
        let p = part(eg, axes, guards, &term.args, x, &AxisSet::new(), &[]);
        if p.rest.is_empty() || p.left.is_empty() {
            continue;
        }
        let inner: Vec<AxisId> = p.private.iter().copied().chain([x]).collect();
        let sum = build::ein(eg, &inner, &p.own_guards, &p.own)?;
        if eg[sum].data.free.iter().any(|a| eg.analysis.is_long(a)) {
            continue;
        }
        let kept = kept_from(eg, &inner, &p.own_guards, &p.rest)?;
        if !eg.analysis.met(&FIRST, 1, kept.is_some()) {
            continue;
        }
        let guards: Vec<NodeId> = p.rest_guards.into_iter().chain(kept.into_iter().flatten()).collect();
        let factors: Vec<Id> = p.rest.into_iter().chain([sum]).collect();
        found.push(Found::plain(build::ein(eg, &p.left, &guards, &factors)?));
    }
    Ok(found)
}

fn swap(eg: &mut Eg, class: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let long = |eg: &Eg, axes: &[AxisId]| axes.iter().copied().filter(|&a| eg.analysis.is_long(a)).collect::<Vec<_>>();
    let [x] = long(eg, axes)[..] else { return Ok(Vec::new()) };
    if eg[class].data.free.iter().any(|a| eg.analysis.is_long(a)) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (n, &factor) in term.args.iter().enumerate() {
        if !eg[factor].data.free.contains(x) {
            continue;
        }
        for t in terms(eg, factor) {
            for i in push::sums_in(eg, &t)? {
                if let Some(to) = swapped(eg, term, axes, guards, n, &i, x)? {
                    found.push(Found { inner: vec![(n, t.clone())], to });
                }
            }
        }
    }
    Ok(found)
}

fn swapped(
    eg: &mut Eg,
    term: &Term,
    axes: &[AxisId],
    guards: &[NodeId],
    n: usize,
    inner: &Term,
    x: AxisId,
) -> Result<Option<Id>, Error> {
    let Head::Ein { axes: below, guards: conditions } = &inner.head else { return Ok(None) };
    let has_long = below.iter().any(|&a| eg.analysis.is_long(a));
    let others: Vec<Id> = term.args.iter().enumerate().filter(|&(m, _)| m != n).map(|(_, &f)| f).collect();
    let mut outside: AxisSet = axes.iter().copied().collect();
    for &f in &others {
        outside.extend(&eg[f].data.free);
    }
    for &g in guards {
        outside.extend(eg.analysis.canon.g.free(g));
    }
    let apart = !below.iter().any(|&a| outside.contains(a));
    if !has_long || !eg.analysis.met(&SWAP, 0, apart) {
        return Ok(None);
    }
    let factors: Vec<Id> = others.into_iter().chain(inner.args.iter().copied()).collect();
    let all: Vec<NodeId> = guards.iter().chain(conditions).copied().collect();
    let bound: Vec<AxisId> = axes.iter().chain(below).copied().collect();
    let stay: AxisSet = bound.iter().copied().filter(|&a| a != x && eg.analysis.is_long(a)).collect();
    let parts = part(eg, &bound, &all, &factors, x, &stay, &[x]);
    let first: Vec<AxisId> = parts.private.iter().copied().chain([x]).collect();
    let sum = build::ein(eg, &first, &parts.own_guards, &parts.own)?;
    let kept = kept_from(eg, &first, &parts.own_guards, &parts.rest)?;
    if !eg.analysis.met(&SWAP, 1, kept.is_some()) {
        return Ok(None);
    }
    let guards: Vec<NodeId> = parts.rest_guards.into_iter().chain(kept.into_iter().flatten()).collect();
    let factors: Vec<Id> = parts.rest.into_iter().chain([sum]).collect();
    build::ein(eg, &parts.left, &guards, &factors).map(Some)
}
