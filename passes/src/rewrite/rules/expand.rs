//! Products over sums, and exponentials of sums: taken apart where that separates positions.

use super::{Found, Phase, Rounding, Rule, decay, terms};
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::graph::{AxisId, AxisSet, Error, MapFn};

pub(super) const DISTRIBUTE: Rule = Rule {
    name: "distribute",
    phase: Phase::Factors,
    mathematics: "sum over A of (a + b) F = sum over A of a F + sum over A of b F",
    conditions: &[],
    guard: "a + b depends on a long axis of A and on another long axis, and some addend depends on fewer of them or is a sum of products",
    rounding: Rounding::Reassociates,
    example: ("sum(j: (1 + sum(d: q[t,d] * k[j,d])) * v[j])", "sum(j: v[j]) + sum(j: sum(d: q[t,d] * k[j,d]) * v[j])"),
    apply: distribute,
};

pub(super) const SPLIT_EXP: Rule = Rule {
    name: "exponential of a sum",
    phase: Phase::Factors,
    mathematics: "exp(a + b) = exp(a) exp(b)",
    conditions: &["a part that depends on one position is nowhere positive: its exponential alone could overflow"],
    guard: "a + b depends on two long axes; what is split off is a decay, or depends on one of them",
    rounding: Rounding::Bounded,
    example: ("exp(s - c * (t - j))", "exp(s) * exp(-c * (t - j))"),
    apply: split_exp,
};

fn long_axes(eg: &Eg, free: &AxisSet) -> Vec<AxisId> {
    free.iter().filter(|&a| eg.analysis.is_long(a)).collect()
}

fn distribute(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (n, &factor) in term.args.iter().enumerate() {
        let long = long_axes(eg, &eg[factor].data.free);
        let pairs = long.len() > 1 && long.iter().any(|a| axes.contains(a));
        // One of equal factors is enough.
        if !pairs || term.args[..n].contains(&factor) {
            continue;
        }
        for sum in terms(eg, factor) {
            if sum.head != Head::Map(MapFn::Add) {
                continue;
            }
            let simpler = |eg: &Eg, a: Id| {
                let own = long_axes(eg, &eg[a].data.free);
                own.len() < long.len()
                    || eg[a].nodes.iter().any(|t| matches!(&t.head, Head::Ein { .. }) && t.args.len() > 1)
            };
            if !sum.args.iter().any(|&a| simpler(eg, a)) {
                continue;
            }
            let mut parts = Vec::with_capacity(sum.args.len());
            for &a in &sum.args {
                let mut fs = term.args.to_vec();
                fs[n] = a;
                parts.push(build::ein(eg, axes, guards, &fs)?);
            }
            let to = build::map(eg, MapFn::Add, &parts)?;
            found.push(Found { inner: vec![(n, sum)], to });
        }
    }
    Ok(found)
}

fn split_exp(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    if term.head != Head::Map(MapFn::Exp) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let long = long_axes(eg, &eg[term.args[0]].data.free);
    for sum in terms(eg, term.args[0]) {
        if sum.head != Head::Map(MapFn::Add) || long.len() < 2 {
            continue;
        }
        // Decays leave, and what one position has of its own if it cannot be large; all else stays together under one exponential.
        let mut groups: Vec<(Vec<AxisId>, Vec<Id>)> = vec![(Vec::new(), Vec::new())];
        let mut rest = Vec::new();
        for &a in &sum.args {
            let own = long_axes(eg, &eg[a].data.free);
            if falls(eg, a, &long)? {
                groups[0].1.push(a);
            } else if own.len() != 1 {
                rest.push(a);
            } else {
                let falls = decay::sign(eg, a, &[]) == Some(-1);
                if !eg.analysis.met_by(a, &SPLIT_EXP, 0, falls) {
                    rest.push(a);
                } else if let Some(g) = groups[1..].iter_mut().find(|g| g.0 == own) {
                    g.1.push(a);
                } else {
                    groups.push((own, vec![a]));
                }
            }
        }
        // Two positions take their part in what stays together, or it is a part of one position as well.
        let left: AxisSet = rest.iter().flat_map(|&a| eg[a].data.free.iter()).collect();
        if let (Some(&a), true) = (rest.first(), long_axes(eg, &left).len() < 2)
            && !eg.analysis.met_by(a, &SPLIT_EXP, 0, false)
        {
            continue;
        }
        let groups: Vec<Vec<Id>> = groups.into_iter().map(|g| g.1).chain([rest]).filter(|g| !g.is_empty()).collect();
        if groups.len() < 2 {
            continue;
        }
        let mut parts = Vec::new();
        for group in groups {
            let exponent = build::map(eg, MapFn::Add, &group)?;
            parts.push(build::map(eg, MapFn::Exp, &[exponent])?);
        }
        let to = build::ein(eg, &[], &[], &parts)?;
        found.push(Found { inner: vec![(0, sum)], to });
    }
    Ok(found)
}

/// Is a term a decay's exponent between two of these axes?
fn falls(eg: &mut Eg, id: Id, long: &[AxisId]) -> Result<bool, Error> {
    for &late in long {
        for &early in long {
            if late != early && decay::adds_up(eg, id, late, early) && decay::falls(eg, id, late, early)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
