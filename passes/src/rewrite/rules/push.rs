//! Substitution moves inwards.

use super::{Found, Phase, Rounding, Rule, terms};
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::graph::{AxisId, AxisSet, Error, NodeId, Op};

pub(super) const PUSH: Rule = Rule {
    name: "substitute",
    phase: Phase::Sums,
    mathematics: "f(a, b)[x := i] = f(a[x := i], b[x := i]); (sum over y of F)[x := i] = sum over y of F[x := i]",
    conditions: &[
        "y is not x and does not occur in i, or is renamed",
        "a recurrence over x, or over an axis in i, is read as it is",
    ],
    guard: "not into values of one long axis that are stored anyway",
    rounding: Rounding::Exact,
    example: ("exp(s)[j := 64*m + l]", "exp(s[j := 64*m + l])"),
    apply: push,
};

fn push(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Sub { axes, at } = &term.head else { return Ok(Vec::new()) };
    // A row may have no step: what stands there instead would have a value.
    if axes.iter().any(|&a| eg.analysis.counts_steps(a)) {
        return Ok(Vec::new());
    }
    let body = term.args[0];
    let map: Vec<(AxisId, NodeId)> = axes.iter().copied().zip(at.iter().copied()).collect();
    let facts = eg[body].data.clone();
    let mut found = Vec::new();
    if let Some(l) = facts.leaf {
        let node = eg.analysis.canon.substitute(l, &map)?;
        let to = build::leaf(eg, node);
        found.push(Found { inner: vec![(0, Term::new(Head::Leaf(l), &[]))], to });
        return Ok(found);
    }
    let long: Vec<AxisId> = facts.free.iter().filter(|&a| eg.analysis.is_long(a)).collect();
    // A read at a position that depends on the row itself: only what is read should be computed.
    let by_row =
        map.iter().any(|&(_, p)| long.iter().any(|&a| !axes.contains(&a) && eg.analysis.canon.g.free(p).contains(a)));
    if facts.heavy && long.len() <= 1 && !by_row {
        return Ok(found);
    }
    for inner in terms(eg, body) {
        if let Some(to) = pushed(eg, &inner, &map)? {
            found.push(Found { inner: vec![(0, inner)], to });
        }
    }
    Ok(found)
}

pub(super) fn pushed(eg: &mut Eg, term: &Term, map: &[(AxisId, NodeId)]) -> Result<Option<Id>, Error> {
    let mut in_positions = AxisSet::new();
    for &(a, p) in map {
        in_positions.extend(eg.analysis.canon.g.free(p));
        in_positions.insert(a);
    }
    let each = |eg: &mut Eg, args: &[Id], map: &[(AxisId, NodeId)]| {
        args.iter().map(|&a| build::sub(eg, a, map)).collect::<Result<Vec<Id>, Error>>()
    };
    Ok(match &term.head {
        Head::Map(f) => {
            let args = each(eg, &term.args, map)?;
            Some(build::map(eg, *f, &args)?)
        }
        Head::Ein { axes, guards } => {
            // Bound axes that would be captured get other names.
            let mut taken = in_positions.clone();
            taken.extend(&build::mentioned(eg, term));
            let mut names: Vec<(AxisId, NodeId)> = Vec::new();
            let mut bound = Vec::new();
            for &a in axes {
                if !eg.analysis.met(&PUSH, 0, !in_positions.contains(a)) {
                    let new = eg.analysis.fresh(a, &taken);
                    taken.insert(new);
                    names.push((a, eg.analysis.index(new)?));
                    bound.push(new);
                } else {
                    bound.push(a);
                }
            }
            let map: Vec<(AxisId, NodeId)> =
                map.iter().copied().filter(|(a, _)| !axes.contains(a)).chain(names).collect();
            let mut gs = Vec::new();
            for &g in guards {
                gs.push(eg.analysis.canon.substitute(g, &map)?);
            }
            let args = each(eg, &term.args, &map)?;
            Some(build::ein(eg, &bound, &gs, &args)?)
        }
        Head::Sub { axes, at } => {
            let inner = eg[term.args[0]].data.free.clone();
            let mut all = Vec::new();
            for (&a, &p) in axes.iter().zip(at) {
                all.push((a, eg.analysis.canon.substitute(p, map)?));
            }
            all.extend(map.iter().copied().filter(|(a, _)| !axes.contains(a) && inner.contains(*a)));
            Some(build::sub(eg, term.args[0], &all)?)
        }
        Head::Scan { axis, reverse } => {
            if !eg.analysis.met(&PUSH, 1, !in_positions.contains(*axis)) {
                return Ok(None);
            }
            let args = each(eg, &term.args, map)?;
            Some(build::scan(eg, *axis, *reverse, args[0], args.get(1).copied()))
        }
        Head::Other(Op::Cast(t)) => {
            let args = each(eg, &term.args, map)?;
            Some(eg.add_uncanonical(Term::new(Head::Other(Op::Cast(*t)), &args)))
        }
        Head::Leaf(_) | Head::Outputs | Head::Other(_) => None,
    })
}

/// A sum; or the sums that a stored value is, if that is read under another name.
pub(super) fn sums_in(eg: &mut Eg, t: &Term) -> Result<Vec<Term>, Error> {
    let is_sum = |t: &Term| matches!(t.head, Head::Ein { .. });
    Ok(match &t.head {
        Head::Ein { .. } => vec![t.clone()],
        Head::Sub { axes, at } if at.iter().all(|&p| matches!(eg.analysis.canon.g.op(p), Op::Index(_))) => {
            let map: Vec<(AxisId, NodeId)> = axes.iter().copied().zip(at.iter().copied()).collect();
            let mut all = Vec::new();
            for body in terms(eg, t.args[0]).into_iter().filter(is_sum) {
                if let Some(id) = pushed(eg, &body, &map)? {
                    all.extend(terms(eg, id).into_iter().filter(is_sum));
                }
            }
            all
        }
        _ => Vec::new(),
    })
}
