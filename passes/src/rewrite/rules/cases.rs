//! Sums for which a condition on the row leaves some rows only: chunk ends, the first token.

use super::{Found, Phase, Rounding, Rule, push};
use crate::canon::IntForm;
use crate::rewrite::build;
use crate::rewrite::term::{Head, Leaves, Term};
use crate::rewrite::workshop::{Eg, Workshop};
use egg::Id;
use weft_ir::graph::{AxisId, Error, MapFn, NodeId, Op, Scalar};

pub(super) const CASES: Rule = Rule {
    name: "case by case",
    phase: Phase::Sums,
    mathematics: "sum over A of F where P or Q = sum over A of F where P + sum over A of F where Q and not P",
    conditions: &[],
    guard: "A has a long axis, and Q says of one position that is not summed that it is the first, or one of every so many",
    rounding: Rounding::Reassociates,
    example: (
        "sum(t: g[t] where t < j + 8 or j % 8 == 7)",
        "sum(t: g[t] where t < j + 8) + sum(t: g[t] where j % 8 == 7 and t >= j + 8)",
    ),
    apply: cases,
};

pub(super) const AT: Rule = Rule {
    name: "where it is wanted",
    phase: Phase::Sums,
    mathematics: "F where x % P == r = F[x := P*c + r][c := x//P] where x % P == r; F where x == 0 = F[x := 0] where x == 0",
    conditions: &["0 <= r < P, and P*c + r < T for every c"],
    guard: "F is a sum over a long axis, and x is none that it binds",
    rounding: Rounding::Exact,
    example: (
        "sum(t: g[t] * k[j] where j % 8 == 7 and t >= j)",
        "Y[j//8] where j % 8 == 7, with Y[c] = sum(t: g[t] * k[8*c + 7] where t >= 8*c + 7)",
    ),
    apply: at,
};

/// Some positions of an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Positions {
    First,
    /// `every * c + offset`
    Every(i64, i64),
}

/// Positions of an axis that is not summed, if that is what a condition is about.
fn positions(w: &Workshop, condition: NodeId, bound: &[AxisId]) -> Option<(AxisId, Positions)> {
    let mut free = w.canon.g.free(condition).iter();
    let (axis, None) = (free.next()?, free.next()) else { return None };
    let (MapFn::Eq, form) = w.canon.comparison(condition)? else { return None };
    let mut terms = form.terms();
    let ((&v, k), None) = (terms.next()?, terms.next()) else { return None };
    // k * v + constant == 0
    if k.abs() != 1 || bound.contains(&axis) || !w.is_base(axis) {
        return None;
    }
    let value = form.constant().checked_mul(-k)?;
    let g = &w.canon.g;
    match g.op(v) {
        Op::Index(_) => (value == 0).then_some((axis, Positions::First)),
        Op::Map(MapFn::Mod) => {
            let args = g.args(v);
            let Some(Scalar::Int(every)) = g.constant(args[1]) else { return None };
            let of = w.canon.int_form(args[0])?;
            let alone = of.terms().count() == 1 && w.coefficient(&of, axis) == 1;
            let offset = value.checked_sub(of.constant())?;
            let fits = alone && every > 1 && (0..every).contains(&value);
            fits.then(|| (axis, Positions::Every(every, offset.rem_euclid(every))))
        }
        _ => None,
    }
}

fn cases(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if !axes.iter().any(|&a| eg.analysis.is_long(a)) {
        return Ok(found);
    }
    for (n, &g) in guards.iter().enumerate() {
        if *eg.analysis.canon.g.op(g) != Op::Map(MapFn::Or) {
            continue;
        }
        let all = eg.analysis.canon.g.args(g).to_vec();
        let (some, other): (Vec<NodeId>, Vec<NodeId>) =
            all.into_iter().partition(|&d| positions(&eg.analysis, d, axes).is_some());
        if some.is_empty() {
            continue;
        }
        let rest: Vec<NodeId> = guards.iter().copied().enumerate().filter(|&(m, _)| m != n).map(|p| p.1).collect();
        let either = match other[..] {
            [] => None,
            [one] => Some(one),
            _ => Some(eg.analysis.canon.map(MapFn::Or, &other)?),
        };
        let (mut parts, mut before) = (Vec::new(), Vec::new());
        for case in either.into_iter().chain(some) {
            let with: Vec<NodeId> = rest.iter().chain(&before).copied().chain([case]).collect();
            parts.push(build::ein(eg, axes, &with, &term.args)?);
            before.push(eg.analysis.canon.negate(case)?);
        }
        found.push(Found::plain(build::map(eg, MapFn::Add, &parts)?));
    }
    Ok(found)
}

fn at(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if !axes.iter().any(|&a| eg.analysis.is_long(a)) {
        return Ok(found);
    }
    for (n, &g) in guards.iter().enumerate() {
        let Some((x, which)) = positions(&eg.analysis, g, axes) else { continue };
        let rest: Leaves = guards.iter().copied().enumerate().filter(|&(m, _)| m != n).map(|p| p.1).collect();
        let inner = Term::new(Head::Ein { axes: axes.clone(), guards: rest }, &term.args);
        let taken = build::mentioned(eg, term);
        let w = &mut eg.analysis;
        let (position, read) = match which {
            Positions::First => (w.canon.int(0)?, None),
            Positions::Every(every, offset) => {
                let c = w.every(x, every, offset, &taken);
                let (here, by) = (w.index(x)?, w.canon.int(every)?);
                let step = IntForm::var(w.index(c)?).scaled(every).and_then(|f| f.offset(offset));
                let Some(step) = step else { continue };
                (w.canon.int_term(&step)?, Some((c, w.canon.map(MapFn::IDiv, &[here, by])?)))
            }
        };
        let Some(table) = push::pushed(eg, &inner, &[(x, position)])? else { continue };
        let mut outer = vec![g];
        let value = match read {
            None => table,
            Some((c, at)) => {
                let w = &mut eg.analysis;
                let size = w.canon.make(&Op::Size(w.canon.g.axis(c).domain), &[])?;
                outer.push(w.canon.map(MapFn::Lt, &[at, size])?);
                build::sub(eg, table, &[(c, at)])?
            }
        };
        found.push(Found::plain(build::ein(eg, &[], &outer, &[value])?));
    }
    Ok(found)
}
