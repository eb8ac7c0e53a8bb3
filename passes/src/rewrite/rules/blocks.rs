//! A sum over whole blocks, block by block.

use super::near::is_only;
use super::{Found, Phase, Rounding, Rule};
use crate::canon::IntForm;
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::{Eg, Workshop};
use egg::Id;
use weft_ir::graph::prove::Prover;
use weft_ir::graph::{AxisId, Error, NodeId, Op};

pub(super) const BLOCKS: Rule = Rule {
    name: "blocks",
    phase: Phase::Blocks,
    mathematics: "sum over x < L*n of F = sum over m < n and l < L of F[x := L*m + l]; \
                  sum over x >= L*n of F = sum over m >= n and l < L of F[x := L*m + l] where L*m + l < T; \
                  sum over L*n <= x < L*n + L of F = sum over l < L of F[x := L*n + l]",
    conditions: &["L*n <= T, so that blocks before n are complete, or L*n + L <= T, if it is block n"],
    guard: "L is the length of blocks that is being tried",
    rounding: Rounding::Reassociates,
    example: ("sum(j: k[j] where j < 64*n)", "sum(m, l: k[64*m + l] where m < n)"),
    apply: blocks,
};

/// A condition that cuts an axis at the start of a block.
struct Cut {
    /// The first block behind the cut.
    block: IntForm,
    /// Is it what lies before that is summed?
    before: bool,
}

fn blocks(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let length = eg.analysis.length;
    let mut found = Vec::new();
    for &x in axes {
        if !eg.analysis.is_base(x) {
            continue;
        }
        found.extend(one_block(eg, term, axes, guards, x)?.map(Found::plain));
        for (at, &g) in guards.iter().enumerate() {
            if !is_only(&eg.analysis, guards, at, x) {
                continue;
            }
            let Some(cut) = cut(&mut eg.analysis, g, x, length)? else { continue };
            let taken = build::mentioned(eg, term);
            let domain = eg.analysis.canon.g.axis(x).domain;
            let b = eg.analysis.blocks(domain, !cut.before, &taken);
            let w = &mut eg.analysis;
            let (m, l) = (IntForm::var(w.index(b.block)?), IntForm::var(w.index(b.place)?));
            let Some(position) = m.scaled(length).and_then(|m| m.checked_add(&l, 1)) else { continue };
            let inside = if cut.before {
                cut.block.checked_add(&m, -1).and_then(|f| f.offset(-1))
            } else {
                m.checked_add(&cut.block, -1)
            };
            let Some(inside) = inside else { continue };
            let map = [(x, w.canon.int_term(&position)?)];
            let mut gs = vec![w.canon.at_least_zero(&inside)?];
            if !cut.before {
                let size = IntForm::var(w.canon.make(&Op::Size(domain), &[])?);
                let Some(room) = size.checked_add(&position, -1).and_then(|f| f.offset(-1)) else { continue };
                gs.push(w.canon.at_least_zero(&room)?);
            }
            for (k, &g) in guards.iter().enumerate() {
                if k != at {
                    gs.push(w.canon.substitute(g, &map)?);
                }
            }
            let all: Vec<AxisId> = axes.iter().copied().filter(|&a| a != x).chain([b.block, b.place]).collect();
            let mut fs = Vec::new();
            for &f in &term.args {
                fs.push(build::sub(eg, f, &map)?);
            }
            found.push(Found::plain(build::ein(eg, &all, &gs, &fs)?));
        }
    }
    Ok(found)
}

/// A sum over the positions of one block.
fn one_block(eg: &mut Eg, term: &Term, axes: &[AxisId], guards: &[NodeId], x: AxisId) -> Result<Option<Id>, Error> {
    let w = &mut eg.analysis;
    let own: Vec<NodeId> = guards.iter().copied().filter(|&g| w.canon.g.free(g).contains(x)).collect();
    let &[a, b] = &own[..] else { return Ok(None) };
    let Some((a, b)) = w.at_least_zero(a).zip(w.at_least_zero(b)) else { return Ok(None) };
    let (low, high) = if w.coefficient(&a, x) == 1 { (a, b) } else { (b, a) };
    if w.coefficient(&low, x) != 1 || w.coefficient(&high, x) != -1 || w.hides(&low, x) || w.hides(&high, x) {
        return Ok(None);
    }
    // x - first >= 0 and first + L - 1 - x >= 0
    let here = IntForm::var(w.index(x)?);
    let span = low.checked_add(&high, 1).and_then(|f| f.as_constant());
    let Some(first) = here.checked_add(&low, -1).filter(|_| span == Some(w.length - 1)) else { return Ok(None) };
    let (block, rest) = first.split_multiple(w.length);
    if rest.as_constant() != Some(0) || block.as_constant().is_some() {
        return Ok(None);
    }
    let domain = w.canon.g.axis(x).domain;
    let Some(last) = first.offset(w.length - 1) else { return Ok(None) };
    let (first_term, last) = (w.canon.int_term(&first)?, w.canon.int_term(&last)?);
    let p = Prover::new(&w.canon.g);
    let complete = p.not_negative(first_term) && p.below_extent(last, domain);
    if !w.met(&BLOCKS, 0, complete) {
        return Ok(None);
    }
    let taken = build::mentioned(eg, term);
    let place = eg.analysis.blocks(domain, false, &taken).place;
    let at = IntForm::var(eg.analysis.index(place)?);
    let Some(position) = first.checked_add(&at, 1) else { return Ok(None) };
    let map = [(x, eg.analysis.canon.int_term(&position)?)];
    let mut fs = Vec::new();
    for &f in &term.args {
        fs.push(build::sub(eg, f, &map)?);
    }
    let rest: Vec<NodeId> = guards.iter().copied().filter(|g| !own.contains(g)).collect();
    let all: Vec<AxisId> = axes.iter().copied().filter(|&a| a != x).chain([place]).collect();
    build::ein(eg, &all, &rest, &fs).map(Some)
}

/// The `n` of a condition `x < L*n` with `L*n <= T`, or of `x >= L*n`.
fn cut(w: &mut Workshop, guard: NodeId, x: AxisId, length: i64) -> Result<Option<Cut>, Error> {
    let Some(form) = w.at_least_zero(guard) else { return Ok(None) };
    let sign = w.coefficient(&form, x);
    if sign.abs() != 1 || w.hides(&form, x) {
        return Ok(None);
    }
    let here = IntForm::var(w.index(x)?);
    let before = sign < 0;
    let end = if before { form.checked_add(&here, 1).and_then(|f| f.offset(1)) } else { here.checked_add(&form, -1) };
    let Some(end) = end else { return Ok(None) };
    let (block, rest) = end.split_multiple(length);
    if rest.as_constant() != Some(0) || block.as_constant().is_some() {
        return Ok(None);
    }
    if !before {
        return Ok(Some(Cut { block, before }));
    }
    let Some(last) = end.offset(-1) else { return Ok(None) };
    let last = w.canon.int_term(&last)?;
    let domain = w.canon.g.axis(x).domain;
    let complete = Prover::new(&w.canon.g).below_extent(last, domain);
    Ok(w.met(&BLOCKS, 0, complete).then_some(Cut { block, before }))
}
