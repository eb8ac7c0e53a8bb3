//! Tables that the data index: what depends on a position only through its code is computed once for each code, and sums over positions
//! are sums over codes of sums over the positions that have it.

use super::{Found, Phase, Rounding, Rule, decay, terms};
use crate::canon::IntForm;
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::graph::{AxisId, AxisSet, Error, MapFn, NodeId};

pub(super) const PULL: Rule = Rule {
    name: "once for each code",
    phase: Phase::Factors,
    mathematics: "f(e[s := z]) = f(e)[s := z]; sum over A of e[s := z] F = (sum over A of e F)[s := z]",
    conditions: &["z does not depend on A", "s occurs in e alone"],
    guard: "nothing else in the term depends on all long axes of z",
    rounding: Rounding::Exact,
    example: ("exp(sum(d: q[t,d] * C[z[j],d]))", "exp(sum(d: q[t,d] * C[s,d])) at s = z[j]"),
    apply: pull,
};

pub(super) const SOLVE: Rule = Rule {
    name: "solve for a position",
    phase: Phase::Factors,
    mathematics: "sum over A, s of F where z = s = sum over A of F[s := z]",
    conditions: &["z does not depend on s, and is a position on its axis"],
    guard: "z depends on the data",
    rounding: Rounding::Exact,
    example: ("sum(j, s: X[t,s] * v[j] where z[j] == s)", "sum(j: X[t,z[j]] * v[j])"),
    apply: solve,
};

fn solve(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (n, &g) in guards.iter().enumerate() {
        let Some((axis, at)) = equation(eg, g, axes)? else { continue };
        let w = &mut eg.analysis;
        let domain = w.canon.g.axis(axis).domain;
        let inside = w.prover(&[]).in_range(at, domain);
        if w.canon.is_data_free(at) || !w.met(&SOLVE, 0, inside) {
            continue;
        }
        let map = [(axis, at)];
        let mut gs = Vec::new();
        for (m, &g) in guards.iter().enumerate() {
            if m != n {
                gs.push(w.canon.substitute(g, &map)?);
            }
        }
        let mut fs = Vec::new();
        for &f in &term.args {
            fs.push(build::sub(eg, f, &map)?);
        }
        let left: Vec<AxisId> = axes.iter().copied().filter(|&a| a != axis).collect();
        found.push(Found::plain(build::ein(eg, &left, &gs, &fs)?));
    }
    Ok(found)
}

/// A guard as an equation for the position on one of these axes.
fn equation(eg: &mut Eg, guard: NodeId, axes: &[AxisId]) -> Result<Option<(AxisId, NodeId)>, Error> {
    let w = &mut eg.analysis;
    let Some((MapFn::Eq, form)) = w.canon.comparison(guard) else { return Ok(None) };
    for &a in axes {
        let k = w.coefficient(&form, a);
        if k.abs() != 1 || w.hides(&form, a) {
            continue;
        }
        let here = IntForm::var(w.index(a)?);
        // k * a + rest == 0
        let rest = form.checked_add(&here, -k).and_then(|f| f.scaled(-k));
        if let Some(rest) = rest {
            return Ok(Some((a, w.canon.int_term(&rest)?)));
        }
    }
    Ok(None)
}

pub(super) const ONE_HOT: Rule = Rule {
    name: "sum by code",
    phase: Phase::Factors,
    mathematics: "sum over A of e[s := z] F = sum over A, s of e F where z = s",
    conditions: &["z is a position on the axis of s", "s is renamed where F mentions it"],
    guard: "z depends on a long axis of A, e on another long axis, and not on that one",
    rounding: Rounding::Reassociates,
    example: ("sum(j: X[t,z[j]] * v[j])", "sum(j, s: X[t,s] * v[j] where z[j] == s)"),
    apply: one_hot,
};

/// A read of a term at a position that the data decide.
struct Read {
    term: Term,
    body: Id,
    axis: AxisId,
    at: NodeId,
}

fn reads(eg: &mut Eg, id: Id) -> Result<Vec<Read>, Error> {
    reads_at(eg, id, |eg, p| !eg.analysis.canon.is_data_free(p))
}

/// The same, or at a distance between two positions.
fn reads_apart(eg: &mut Eg, id: Id) -> Result<Vec<Read>, Error> {
    reads_at(eg, id, |eg, p| {
        let long = eg.analysis.canon.g.free(p).iter().filter(|&a| eg.analysis.is_long(a)).count();
        long > 1 || !eg.analysis.canon.is_data_free(p)
    })
}

/// Reads of a term at one position of a kind.
fn reads_at(eg: &mut Eg, id: Id, kind: impl Fn(&Eg, NodeId) -> bool) -> Result<Vec<Read>, Error> {
    let mut found = Vec::new();
    for t in terms(eg, id) {
        let Head::Sub { axes, at } = &t.head else { continue };
        let by_data: Vec<usize> = (0..axes.len()).filter(|&n| kind(eg, at[n])).collect();
        let [n] = by_data[..] else { continue };
        let (axis, position) = (axes[n], at[n]);
        // Whatever else is replaced is replaced first, if that is the same.
        let rest: Vec<(AxisId, NodeId)> =
            axes.iter().copied().zip(at.iter().copied()).enumerate().filter(|&(m, _)| m != n).map(|(_, p)| p).collect();
        if rest.iter().any(|&(_, p)| eg.analysis.canon.g.free(p).contains(axis)) {
            continue;
        }
        let body = build::sub(eg, t.args[0], &rest)?;
        found.push(Read { term: t.clone(), body, axis, at: position });
    }
    Ok(found)
}

/// Is a factor a decay between a summed axis and one of these?
fn decays(eg: &Eg, factor: Id, summed: &[AxisId], others: &AxisSet) -> bool {
    let pair =
        |a: AxisId, b: AxisId| decay::decay(eg, factor, a, b).is_some() || decay::decay(eg, factor, b, a).is_some();
    summed.iter().any(|&a| others.iter().any(|b| a != b && pair(a, b)))
}

fn pull(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let (axes, guards): (&[AxisId], &[NodeId]) = match &term.head {
        Head::Map(_) => (&[], &[]),
        Head::Ein { axes, guards } => (axes, guards),
        _ => return Ok(Vec::new()),
    };
    let bound: AxisSet = axes.iter().copied().collect();
    let mut found = Vec::new();
    let mut tried: Vec<(AxisId, NodeId)> = Vec::new();
    for n in 0..term.args.len() {
        for read in reads_apart(eg, term.args[n])? {
            let key = (read.axis, read.at);
            let positions = eg.analysis.canon.g.free(read.at).clone();
            let outside = positions.is_disjoint(&bound);
            if tried.contains(&key)
                || !eg.analysis.met(&PULL, 0, outside)
                || !eg.analysis.met(&PULL, 1, !bound.contains(read.axis))
            {
                continue;
            }
            tried.push(key);
            // Everything that reads at this position comes along; nothing else may know of it.
            let mut args = term.args.to_vec();
            let mut inner = Vec::new();
            let mut others = AxisSet::new();
            for (m, &f) in term.args.iter().enumerate() {
                match reads_apart(eg, f)?.into_iter().find(|r| (r.axis, r.at) == key) {
                    Some(r) => {
                        args[m] = r.body;
                        inner.push((m, r.term));
                    }
                    None if decays(eg, f, axes, &positions) && !eg[f].data.free.contains(read.axis) => {}
                    None => others.extend(&eg[f].data.free),
                }
            }
            let index = eg.analysis.index(read.axis)?;
            let mut conditions = Vec::with_capacity(guards.len());
            for &g in guards {
                conditions.push(eg.analysis.canon.replaced(g, read.at, index)?);
            }
            // Guards may, if there is something to be summed for each code: the sum may then be carried.
            let bodies = || args.iter().enumerate().filter(|(m, _)| inner.iter().any(|i| i.0 == *m)).map(|(_, &f)| f);
            let summed = axes.iter().any(|&a| eg.analysis.is_long(a) && bodies().any(|f| eg[f].data.free.contains(a)));
            for &g in guards {
                let free = eg.analysis.canon.g.free(g);
                if free.contains(read.axis) {
                    others.insert(read.axis);
                }
                if !summed {
                    others.extend(free);
                }
            }
            let long = |a: AxisId| eg.analysis.is_long(a) && positions.contains(a);
            let own = bodies().any(|f| eg[f].data.free.iter().any(long));
            // What is left must know less of where it is than what was there.
            let all = positions.iter().filter(|&a| long(a)).all(|a| others.contains(a));
            if all || own || !eg.analysis.met(&PULL, 1, !others.contains(read.axis)) {
                continue;
            }
            let table = match &term.head {
                Head::Map(f) => build::map(eg, *f, &args)?,
                _ => build::ein(eg, axes, &conditions, &args)?,
            };
            let to = build::sub(eg, table, &[key])?;
            found.push(Found { inner, to });
        }
    }
    Ok(found)
}

fn one_hot(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for n in 0..term.args.len() {
        for read in reads(eg, term.args[n])? {
            let positions = eg.analysis.canon.g.free(read.at).clone();
            let body = eg[read.body].data.free.clone();
            let by = |eg: &Eg, a: AxisId| eg.analysis.is_long(a) && axes.contains(&a);
            let summed = positions.iter().any(|a| by(eg, a));
            let apart = body.iter().any(|a| eg.analysis.is_long(a)) && !body.iter().any(|a| by(eg, a));
            if !summed || !apart {
                continue;
            }
            let mut used: AxisSet = axes.iter().copied().collect();
            used.extend(&positions);
            for (m, &f) in term.args.iter().enumerate() {
                if m != n {
                    used.extend(&eg[f].data.free);
                }
            }
            for &g in guards {
                used.extend(eg.analysis.canon.g.free(g));
            }
            let code = if !eg.analysis.met(&ONE_HOT, 1, !used.contains(read.axis)) {
                let mut taken = used.clone();
                taken.extend(&body);
                eg.analysis.fresh(read.axis, &taken)
            } else {
                read.axis
            };
            let w = &mut eg.analysis;
            let index = w.index(code)?;
            let here = w.canon.map(MapFn::Eq, &[read.at, index])?;
            // Whatever else reads at this position reads at the code.
            let mut gs = vec![here];
            for &g in guards {
                gs.push(w.canon.replaced(g, read.at, index)?);
            }
            let mut fs: Vec<Id> = Vec::new();
            let mut inner = Vec::new();
            for (m, &f) in term.args.iter().enumerate() {
                match reads(eg, f)?.into_iter().find(|r| (r.axis, r.at) == (read.axis, read.at)) {
                    Some(r) => {
                        fs.push(build::sub(eg, r.body, &[(r.axis, index)])?);
                        inner.push((m, r.term));
                    }
                    None => fs.push(f),
                }
            }
            let all: Vec<AxisId> = axes.iter().copied().chain([code]).collect();
            let to = build::ein(eg, &all, &gs, &fs)?;
            found.push(Found { inner, to });
        }
    }
    Ok(found)
}
