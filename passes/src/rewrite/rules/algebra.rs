//! Sums and products.

use super::{Found, Phase, Rounding, Rule, terms};
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::graph::{AxisId, Error};

pub(super) const FLATTEN: Rule = Rule {
    name: "merge sums",
    phase: Phase::Sums,
    mathematics: "sum over A of F (sum over B of G) = sum over A, B of F G",
    conditions: &["axes of B that F mentions, or that are in A, are renamed"],
    guard: "the inner sum is over short axes, and what it multiplies depends on a long axis of A in part only",
    rounding: Rounding::Reassociates,
    example: ("sum(j: sum(d: q[t,d] * k[j,d]) * v[j])", "sum(j, d: q[t,d] * k[j,d] * v[j])"),
    apply: flatten,
};

fn flatten(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, .. } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let long: Vec<AxisId> = axes.iter().copied().filter(|&a| eg.analysis.is_long(a)).collect();
    for (n, &factor) in term.args.iter().enumerate() {
        for inner in terms(eg, factor) {
            let Head::Ein { axes: below, .. } = &inner.head else { continue };
            if below.iter().any(|&a| eg.analysis.is_long(a)) {
                continue;
            }
            let plain = below.is_empty();
            let parts = |eg: &Eg, a: AxisId| inner.args.iter().filter(|&&f| eg[f].data.free.contains(a)).count();
            let worth = long.iter().any(|&a| (1..inner.args.len()).contains(&parts(eg, a)));
            if !plain && !worth {
                continue;
            }
            let (all, gs, fs) = build::merged(eg, term, n, &inner)?;
            let to = build::ein(eg, &all, &gs, &fs)?;
            found.push(Found { inner: vec![(n, inner.clone())], to });
        }
    }
    Ok(found)
}
