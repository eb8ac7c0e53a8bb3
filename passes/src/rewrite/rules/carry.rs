//! Sums over all blocks before one, or from one on, are carried from block to block.

use super::decay::{self, Decay};
use super::parts::{Parts, part};
use super::{Found, Phase, Rounding, Rule, window};
use crate::canon::IntForm;
use crate::rewrite::build;
use crate::rewrite::carried::{Carried, declare};
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::{Eg, Workshop};
use egg::Id;
use weft_ir::DType;
use weft_ir::graph::{AxisId, AxisSet, Error, MapFn, NodeId, Op};

pub(super) const CARRY: Rule = Rule {
    name: "carry over blocks",
    phase: Phase::Blocks,
    mathematics: "sum over m < n of D(n - 1, m) F(m) G = G S[n - 1] if n >= 1, where S[m] = F(m) + D(m, m - 1) S[m - 1]; \
                  and likewise for m >= n, from the last block to the first",
    conditions: &[
        "n and G do not depend on m",
        "D is a decay between the ends of blocks, or 1",
        "G is defined, or there is something in the nearest block",
    ],
    guard: "S depends on no long axis but m",
    rounding: Rounding::Reassociates,
    example: ("sum(m: p[m] where m < n)", "if n >= 1 then S[n - 1] else 0"),
    apply: carry,
};

/// A condition on the blocks that are summed.
struct Range {
    /// The block nearest to whoever sums.
    nearest: IntForm,
    /// Do they lie before it?
    past: bool,
}

fn range(w: &mut Workshop, g: NodeId, m: AxisId) -> Result<Option<Range>, Error> {
    let Some(form) = w.at_least_zero(g) else { return Ok(None) };
    let sign = w.coefficient(&form, m);
    if sign.abs() != 1 || w.hides(&form, m) {
        return Ok(None);
    }
    let here = IntForm::var(w.index(m)?);
    let nearest = if sign < 0 { form.checked_add(&here, 1) } else { here.checked_add(&form, -1) };
    Ok(nearest.filter(|n| n.as_constant().is_none()).map(|nearest| Range { nearest, past: sign < 0 }))
}

fn carry(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for &m in axes {
        if !eg.analysis.is_long(m) || eg.analysis.is_base(m) {
            continue;
        }
        for (at, &g) in guards.iter().enumerate() {
            if let Some(to) = carried(eg, term, axes, guards, m, at, g)? {
                found.push(Found::plain(to));
            }
        }
    }
    Ok(found)
}

/// The sum over `m < n`, which the guard `g` says, as what is carried up to the nearest block.
fn carried(
    eg: &mut Eg,
    term: &Term,
    axes: &[AxisId],
    guards: &[NodeId],
    m: AxisId,
    at: usize,
    g: NodeId,
) -> Result<Option<Id>, Error> {
    let Some(range) = range(&mut eg.analysis, g, m)? else { return Ok(None) };
    let w = &mut eg.analysis;
    let nearest = w.canon.int_term(&range.nearest)?;
    let outside = !axes.iter().any(|&a| w.canon.g.free(nearest).contains(a));
    if !w.met(&CARRY, 0, outside) {
        return Ok(None);
    }
    // Decays up to the end of the last block are carried as a decay of the state.
    let mut kept: Vec<Id> = Vec::new();
    let mut factors: Vec<Id> = Vec::new();
    for &f in &term.args {
        match decayed(eg, f, m, &range, guards)? {
            Some((inside, step)) => {
                factors.push(inside);
                kept.push(step);
            }
            None => factors.push(f),
        }
    }
    let kept = if kept.is_empty() { None } else { Some(build::ein(eg, &[], &[], &kept)?) };
    // What is kept of a state may depend on an axis of the result only.
    let stay = kept.map_or_else(AxisSet::new, |k| eg[k].data.free.iter().filter(|&a| a != m).collect());
    let others: Vec<NodeId> = guards.iter().copied().enumerate().filter(|&(k, _)| k != at).map(|(_, g)| g).collect();
    let mut p = part(eg, axes, &others, &factors, m, &stay, &[m]);
    let mut kept = kept;
    let mut read_at = first_names(eg, m, &mut p, &mut kept)?;
    read_at.push((m, nearest));
    let body = build::ein(eg, &p.private, &p.own_guards, &p.own)?;
    let free = eg[body].data.free.clone();
    if !free.contains(m) || free.iter().any(|a| a != m && eg.analysis.is_long(a)) {
        return Ok(None);
    }
    let state = build::scan(eg, m, !range.past, body, kept);
    let read = build::sub(eg, state, &read_at)?;
    let mut gs = p.rest_guards;
    let there = there_is(&mut eg.analysis, m, &range)?;
    gs.push(there);
    let counted = occurs(eg, m, &range, &p.private, &p.own_guards, &read_at, there)?;
    let counted_too = counted.is_some();
    gs.extend(counted);
    let risky = p.rest.iter().any(|&f| eg[f].data.may_be_undefined());
    let member = counted_too || !risky || has_member(eg, m, nearest, &p.private, &p.own_guards, there)?;
    if !eg.analysis.met(&CARRY, 2, member) {
        return Ok(None);
    }
    let fs: Vec<Id> = p.rest.into_iter().chain([read]).collect();
    Ok(Some(build::ein(eg, &p.left, &gs, &fs)?))
}

/// Gives the axes of a state their first names, so that what is carried for two rows that call an axis differently is one state. Gives
/// where the rows read it.
fn first_names(eg: &mut Eg, m: AxisId, p: &mut Parts, kept: &mut Option<Id>) -> Result<Vec<(AxisId, NodeId)>, Error> {
    let mut free = AxisSet::new();
    p.own.iter().chain(kept.iter()).for_each(|&f| free.extend(&eg[f].data.free));
    p.own_guards.iter().for_each(|&g| free.extend(eg.analysis.canon.g.free(g)));
    let mut taken = free.clone();
    taken.extend(&p.private.iter().copied().chain([m]).collect());
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for a in free.iter().filter(|&a| a != m && !p.private.contains(&a)) {
        let g = &eg.analysis.canon.g;
        let domain = g.axis(a).domain;
        let first = (0..).map(AxisId).find(|&x| g.axis(x).domain == domain).unwrap_or(a);
        // Only what has a size of its own: documents are called by name in their lengths.
        if g.static_extent(a).is_some() && !taken.contains(first) {
            taken.insert(first);
            there.push((a, eg.analysis.index(first)?));
            back.push((first, eg.analysis.index(a)?));
        }
    }
    if there.is_empty() {
        return Ok(back);
    }
    for f in p.own.iter_mut().chain(kept.iter_mut()) {
        *f = build::sub(eg, *f, &there)?;
    }
    for g in &mut p.own_guards {
        *g = eg.analysis.canon.substitute(*g, &there)?;
    }
    Ok(back)
}

/// Where the data decide what is summed, a sum over blocks may be one of nothing. What multiplies it is then hidden by a guard: it may be
/// anything, and a weight that is nobody's weight may be larger than all others.
fn occurs(
    eg: &mut Eg,
    m: AxisId,
    range: &Range,
    private: &[AxisId],
    guards: &[NodeId],
    read_at: &[(AxisId, NodeId)],
    there: NodeId,
) -> Result<Option<NodeId>, Error> {
    let by_data = |&&g: &&NodeId| !eg.analysis.canon.is_data_free(g);
    if !guards.iter().any(|g| by_data(&g)) {
        return Ok(None);
    }
    let reverse = !range.past;
    let one = eg.analysis.canon.int(1)?;
    let number = eg.analysis.canon.ein(private, guards, &[one])?;
    let carried = match eg.analysis.counted.get(&(m, reverse, number)) {
        Some(&c) => c,
        None => {
            let Carried { rec, last, started } = declare(eg, "number", m, reverse, &[number], DType::I32)?;
            let c = &mut eg.analysis.canon;
            let kept = c.ein(&[], &[started], &[last])?;
            let body = c.map(MapFn::Add, &[number, kept])?;
            let made = c.raw(Op::Rec(rec), &[body])?;
            eg.analysis.counted.insert((m, reverse, number), made);
            made
        }
    };
    let c = &mut eg.analysis.canon;
    let found = c.substitute(carried, read_at)?;
    // Conditions are asked everywhere: also where there is no such block.
    let found = c.ein(&[], &[there], &[found])?;
    c.map(MapFn::Le, &[one, found]).map(Some)
}

/// Is the first place of the nearest block among what is summed, if there is such a block?
fn has_member(
    eg: &mut Eg,
    m: AxisId,
    nearest: NodeId,
    private: &[AxisId],
    guards: &[NodeId],
    there: NodeId,
) -> Result<bool, Error> {
    let w = &mut eg.analysis;
    let zero = w.canon.int(0)?;
    let at: Vec<(AxisId, NodeId)> = private.iter().map(|&a| (a, zero)).chain([(m, nearest)]).collect();
    for &g in guards {
        let first = w.canon.substitute(g, &at)?;
        if w.canon.known(first) != Some(true) && !w.implied(&[there], first) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Is there a block in a range?
fn there_is(w: &mut Workshop, m: AxisId, range: &Range) -> Result<NodeId, Error> {
    if range.past {
        return w.canon.at_least_zero(&range.nearest);
    }
    let size = w.canon.make(&Op::Size(w.canon.g.axis(m).domain), &[])?;
    let nearest = w.canon.int_term(&range.nearest)?;
    w.canon.map(MapFn::Lt, &[nearest, size])
}

/// A factor that is a decay between a border of the nearest block and a position in block `m`: the decay between that position and the border
/// of its own block, and the decay over the whole of block `m`.
///
/// The border is the last position of the block for what lies before, and the first for what comes after.
fn decayed(eg: &mut Eg, factor: Id, m: AxisId, range: &Range, guards: &[NodeId]) -> Result<Option<(Id, Id)>, Error> {
    if !eg[factor].data.free.contains(m) {
        return Ok(None);
    }
    let length = eg.analysis.length;
    for d in decay::decay_between(eg, factor)? {
        let w = &mut eg.analysis;
        let Decay { exponent, late, early } = d;
        let (outer, inner) = if range.past { (late, early) } else { (early, late) };
        let (Some(at), Some(position)) = (w.canon.int_form(outer.1), w.canon.int_form(inner.1)) else { continue };
        let side = if range.past { length - 1 } else { 0 };
        let border = |f: &IntForm| f.scaled(length).and_then(|f| f.offset(side));
        let here = IntForm::var(w.index(m)?);
        let (Some(end), Some(own)) = (border(&range.nearest), border(&here)) else { continue };
        if at.checked_add(&end, -1).and_then(|f| f.as_constant()) != Some(0) {
            continue;
        }
        // The position lies on the far side of the border of its block.
        let room = if range.past { own.checked_add(&position, -1) } else { position.checked_add(&own, -1) };
        let next = own.offset(if range.past { -length } else { length });
        let Some((room, next)) = room.zip(next) else { continue };
        let room = w.canon.at_least_zero(&room)?;
        let within = w.canon.known(room) == Some(true) || w.prover(guards).implies(room);
        let (own, next) = (w.canon.int_term(&own)?, w.canon.int_term(&next)?);
        let falls = decay::falls(eg, exponent, late.0, early.0)?;
        if !eg.analysis.met(&CARRY, 1, within && falls) {
            continue;
        }
        // Both positions stand in the block.
        let within = window::replaced(eg, exponent, early.0, late.0, 6, window::difference)?.unwrap_or(exponent);
        let inside = build::sub(eg, within, &[(outer.0, own), inner])?;
        let step = build::sub(eg, exponent, &[(outer.0, own), (inner.0, next)])?;
        return Ok(Some((build::map(eg, MapFn::Exp, &[inside])?, build::map(eg, MapFn::Exp, &[step])?)));
    }
    Ok(None)
}
