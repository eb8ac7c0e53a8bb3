//! Differences of sums from the start as sums of what lies between.
//!
//! A decay is often written as a quotient of cumulative products, `exp(G[t] - G[j])`. In float32 that loses what both sums have in common; and that the exponent is
//! nowhere positive, which everything else needs to know, is to be seen in the sum only.

use super::window::rewritten;
use super::{Found, Phase, Rounding, Rule, push, terms};
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::graph::{AxisId, AxisSet, Error, MapFn, NodeId};

pub(super) const TELESCOPE: Rule = Rule {
    name: "what lies between",
    phase: Phase::Sums,
    mathematics: "sum over i <= y of g[i] - sum over i <= x of g[i] = sum over x < i <= y of g[i]",
    conditions: &["the guards say x <= y", "i is not x, or is renamed"],
    guard: "the difference stands in a sum over x or y",
    rounding: Rounding::Reassociates,
    example: ("sum(j: exp(G[t] - G[j]) where j <= t)", "sum(j: exp(sum(i: g[i] where j < i <= t)) where j <= t)"),
    apply: telescope,
};

fn telescope(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    rewritten(eg, &TELESCOPE, term, between)
}

/// A sum of addends, two of which are sums up to `y`, and less the same up to `x`.
fn between(eg: &mut Eg, term: &Term, x: AxisId, y: AxisId) -> Result<Option<Id>, Error> {
    if term.head != Head::Map(MapFn::Add) {
        return Ok(None);
    }
    let alone = |eg: &Eg, a: AxisId, b: AxisId| -> Vec<usize> {
        let free = |n: usize| &eg[term.args[n]].data.free;
        (0..term.args.len()).filter(|&n| free(n).contains(a) && !free(n).contains(b)).collect()
    };
    let (late, early) = (alone(eg, y, x), alone(eg, x, y));
    for (n, m) in late.iter().flat_map(|&n| early.iter().map(move |&m| (n, m))) {
        let (ups, lesses) = (upto(eg, term.args[n], y, 4)?, upto(eg, term.args[m], x, 4)?);
        for (up, less) in ups.iter().flat_map(|u| lesses.iter().map(move |l| (u, l))) {
            if !opposite(eg, up, less, x, y)? {
                continue;
            }
            let sum = from(eg, up, x)?;
            let rest = term.args.iter().enumerate().filter(|&(k, _)| k != n && k != m).map(|(_, &f)| f);
            let all: Vec<Id> = rest.chain([sum]).collect();
            return build::map(eg, MapFn::Add, &all).map(Some);
        }
    }
    Ok(None)
}

/// The part of a sum that is after `x`.
fn from(eg: &mut Eg, up: &Upto, x: AxisId) -> Result<Id, Error> {
    let i = if eg.analysis.met(&TELESCOPE, 1, up.i != x) {
        up.i
    } else {
        let mut taken: AxisSet = [x].into_iter().collect();
        up.factors.iter().for_each(|&f| taken.extend(&eg[f].data.free));
        up.guards.iter().for_each(|&g| taken.extend(eg.analysis.canon.g.free(g)));
        eg.analysis.fresh(up.i, &taken)
    };
    let (first, at) = (eg.analysis.index(x)?, eg.analysis.index(i)?);
    let name = [(up.i, at)];
    let mut guards = vec![eg.analysis.canon.map(MapFn::Lt, &[first, at])?];
    for &g in &up.guards {
        guards.push(eg.analysis.canon.substitute(g, &name)?);
    }
    let factors = up.factors.iter().map(|&f| build::sub(eg, f, &name)).collect::<Result<Vec<Id>, Error>>()?;
    build::ein(eg, &[i], &guards, &factors)
}

/// A sum over the positions up to another.
struct Upto {
    i: AxisId,
    guards: Vec<NodeId>,
    factors: Vec<Id>,
}

/// A class as sums over the positions up to `y`.
fn upto(eg: &mut Eg, id: Id, y: AxisId, depth: u32) -> Result<Vec<Upto>, Error> {
    let mut found = Vec::new();
    if depth == 0 {
        return Ok(found);
    }
    for t in terms(eg, id) {
        for sum in push::sums_in(eg, &t)? {
            let Head::Ein { axes, guards } = &sum.head else { continue };
            let own: Vec<Id> = sum.args.iter().copied().filter(|&f| eg[f].data.free.contains(y)).collect();
            match (&axes[..], &own[..]) {
                // A multiple of one.
                ([], &[own]) if guards.is_empty() => {
                    for mut u in upto(eg, own, y, depth - 1)? {
                        u.factors.extend(sum.args.iter().copied().filter(|&f| f != own));
                        found.push(u);
                    }
                }
                (&[i], []) if eg.analysis.is_base(i) => {
                    let (at, last) = (eg.analysis.index(i)?, eg.analysis.index(y)?);
                    if guards[..] == [eg.analysis.canon.map(MapFn::Le, &[at, last])?] {
                        found.push(Upto { i, guards: guards.to_vec(), factors: sum.args.to_vec() });
                    }
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Is one sum up to `y` what the other is up to `x`, but for the sign?
fn opposite(eg: &mut Eg, up: &Upto, less: &Upto, x: AxisId, y: AxisId) -> Result<bool, Error> {
    let (at, last) = (eg.analysis.index(up.i)?, eg.analysis.index(y)?);
    let minus = build::number(eg, -1.0)?;
    let mut other = vec![minus];
    for &f in &less.factors {
        // Under the names of the first.
        let f = build::sub(eg, f, &[(less.i, at), (x, last)])?;
        other.push(f);
    }
    let (a, b) = (build::ein(eg, &[], &[], &up.factors)?, build::ein(eg, &[], &[], &other)?);
    Ok(eg.find(a) == eg.find(b))
}
