//! Sums and products.

use super::{Found, Phase, Rounding, Rule, push, terms};
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
    guard: "one of the sums is over short axes alone, and what the inner one multiplies depends on an axis of A in part only: a long one, if the inner is short, \
            and else one on which a factor of the row depends",
    rounding: Rounding::Reassociates,
    example: ("sum(j: sum(d: q[t,d] * k[j,d]) * v[j])", "sum(j, d: q[t,d] * k[j,d] * v[j])"),
    apply: flatten,
};

fn flatten(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, .. } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let axes = &axes[..];
    let long: Vec<AxisId> = axes.iter().copied().filter(|&a| eg.analysis.is_long(a)).collect();
    for (n, &factor) in term.args.iter().enumerate() {
        for t in terms(eg, factor) {
            let renamed = matches!(t.head, Head::Sub { .. });
            for inner in push::sums_in(eg, &t)? {
                let Head::Ein { axes: below, .. } = &inner.head else { continue };
                let deep = below.iter().any(|&a| eg.analysis.is_long(a));
                let plain = below.is_empty();
                // Parts of the inner sum, but not all, depend on an axis of the outer: summed over it first, they are smaller.
                let over = if deep { axes } else { &long[..] };
                let parts = |a: AxisId| inner.args.iter().filter(|&&f| eg[f].data.free.contains(a)).count();
                // A state is read by what the row has; a projection of what it holds is better done once for each row.
                let of_row = |f: Id, a: AxisId| {
                    let free = &eg[f].data.free;
                    free.contains(a) && free.iter().any(|x| eg.analysis.is_long(x))
                };
                let read = |a: AxisId| term.args.iter().enumerate().any(|(m, &f)| m != n && of_row(f, a));
                let worth = over.iter().any(|&a| (1..inner.args.len()).contains(&parts(a)) && (!deep || read(a)));
                if (deep && !long.is_empty()) || (renamed && !deep) || !(plain || worth) {
                    continue;
                }
                let (all, gs, fs) = build::merged(eg, &FLATTEN, term, n, &inner)?;
                let to = build::ein(eg, &all, &gs, &fs)?;
                found.push(Found { inner: vec![(n, t.clone())], to });
            }
        }
    }
    Ok(found)
}
