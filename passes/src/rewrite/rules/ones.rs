//! Counting.

use super::{Found, Phase, Rounding, Rule};
use crate::canon::IntForm;
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::graph::prove::Prover;
use weft_ir::graph::{AxisId, Error, MapFn, NodeId};

pub(super) const COUNT: Rule = Rule {
    name: "count",
    phase: Phase::Sums,
    mathematics: "sum over x <= h of F = (h + 1) F",
    conditions: &["F does not depend on x", "-1 <= h < T"],
    guard: "none",
    rounding: Rounding::Reassociates,
    example: ("sum(j: 1 where j <= t)", "t + 1"),
    apply: count,
};

fn count(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for &x in axes {
        let own: Vec<usize> = (0..guards.len()).filter(|&n| eg.analysis.canon.g.free(guards[n]).contains(x)).collect();
        let [at] = own[..] else { continue };
        let alone = !term.args.iter().any(|&f| eg[f].data.free.contains(x));
        if !eg.analysis.met(&COUNT, 0, alone) {
            continue;
        }
        let Some(number) = number(eg, guards[at], x)? else { continue };
        let float = eg.analysis.canon.float_of(number)?;
        let mut fs = term.args.to_vec();
        fs.push(build::leaf(eg, float));
        let mut gs: Vec<NodeId> =
            guards.iter().copied().enumerate().filter(|&(n, _)| n != at).map(|(_, g)| g).collect();
        // What is undefined without a position would be times 0.
        if term.args.iter().any(|&f| eg[f].data.may_be_undefined()) {
            let one = eg.analysis.canon.int(1)?;
            gs.push(eg.analysis.canon.map(MapFn::Le, &[one, number])?);
        }
        let left: Vec<AxisId> = axes.iter().copied().filter(|&a| a != x).collect();
        found.push(Found::plain(build::ein(eg, &left, &gs, &fs)?));
    }
    Ok(found)
}

/// How many positions a guard `x <= h` leaves.
fn number(eg: &mut Eg, guard: NodeId, x: AxisId) -> Result<Option<NodeId>, Error> {
    let w = &mut eg.analysis;
    let Some(form) = w.at_least_zero(guard) else { return Ok(None) };
    if w.coefficient(&form, x) != -1 || w.hides(&form, x) {
        return Ok(None);
    }
    let here = IntForm::var(w.index(x)?);
    let Some(last) = form.checked_add(&here, 1) else { return Ok(None) };
    let Some(number) = last.offset(1) else { return Ok(None) };
    let (last, number) = (w.canon.int_term(&last)?, w.canon.int_term(&number)?);
    let domain = w.canon.g.axis(x).domain;
    let p = Prover::new(&w.canon.g);
    let inside = p.not_negative(number) && p.below_extent(last, domain);
    Ok(w.met(&COUNT, 1, inside).then_some(number))
}
