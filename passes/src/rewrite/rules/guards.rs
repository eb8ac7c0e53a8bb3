//! Conditions inside terms, decided by conditions around them.

use super::{Found, Phase, Rounding, Rule, terms};
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::graph::{AxisId, AxisSet, Error, NodeId};

pub(super) const DECIDE: Rule = Rule {
    name: "decided by the guards",
    phase: Phase::Factors,
    mathematics: "sum over A of F([P] a) where G = sum over A of F(0) where G, if G implies not P; of F(a), if G implies P",
    conditions: &["G implies P, or that it is false"],
    guard: "P stands under a function or a sum in F",
    rounding: Rounding::Exact,
    example: ("sum(j: exp(s + (if t - j <= 8 then r else 0)) where j < t - 8)", "sum(j: exp(s) where j < t - 8)"),
    apply: decide,
};

fn decide(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    if guards.is_empty() {
        return Ok(Vec::new());
    }
    let mut changed = false;
    let mut factors = Vec::with_capacity(term.args.len());
    for &f in &term.args {
        let new = decided(eg, f, guards, 6)?;
        changed |= new.is_some();
        factors.push(new.unwrap_or(f));
    }
    if !changed {
        return Ok(Vec::new());
    }
    Ok(vec![Found::plain(build::ein(eg, axes, guards, &factors)?)])
}

/// The class where the guards hold, if conditions in it are decided by them.
fn decided(eg: &mut Eg, id: Id, guards: &[NodeId], depth: u32) -> Result<Option<Id>, Error> {
    let pairs = |free: &AxisSet, eg: &Eg| free.iter().filter(|&a| eg.analysis.is_long(a)).count() > 1;
    if depth == 0 || !pairs(&eg[id].data.free, eg) {
        return Ok(None);
    }
    for t in terms(eg, id) {
        let (axes, own): (&[AxisId], &[NodeId]) = match &t.head {
            Head::Map(_) => (&[], &[]),
            Head::Ein { axes, guards } => (axes, guards),
            _ => continue,
        };
        let mut around = AxisSet::new();
        for &g in guards {
            around.extend(eg.analysis.canon.g.free(g));
        }
        if axes.iter().any(|&a| around.contains(a)) {
            continue;
        }
        let mut left = Vec::new();
        let mut never = false;
        for &g in own {
            let not = eg.analysis.canon.negate(g)?;
            never |= eg.analysis.implied(guards, not);
            let implied = eg.analysis.implied(guards, g);
            if !eg.analysis.met(&DECIDE, 0, implied) {
                left.push(g);
            }
        }
        if never {
            return Ok(Some(build::number(eg, 0.0)?));
        }
        let mut changed = left.len() < own.len();
        let mut args = Vec::with_capacity(t.args.len());
        for &a in &t.args {
            let new = decided(eg, a, guards, depth - 1)?;
            changed |= new.is_some();
            args.push(new.unwrap_or(a));
        }
        if changed {
            return Ok(Some(match &t.head {
                Head::Map(f) => build::map(eg, *f, &args)?,
                _ => build::ein(eg, axes, &left, &args)?,
            }));
        }
    }
    Ok(None)
}

/// Conditions on positions within the terms of a class: those that may become decided when a sum is split.
pub(super) fn conditions(eg: &Eg, id: Id, depth: u32, found: &mut Vec<NodeId>) {
    if depth == 0 {
        return;
    }
    for t in &eg[id].nodes {
        match &t.head {
            Head::Map(_) => {}
            Head::Ein { guards, .. } => {
                for &g in guards {
                    if !found.contains(&g) {
                        found.push(g);
                    }
                }
            }
            _ => continue,
        }
        for &a in &t.args {
            conditions(eg, a, depth - 1, found);
        }
    }
}
