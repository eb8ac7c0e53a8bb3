//! Sums over the positions between two others, where both stand in one block: differences of sums from the start of the block.
//!
//! A difference of sums from the start of the *sequence* would cancel: both grow without bound. From the start of a block they hold at most
//! one block's worth, and what a difference loses is a few roundings of that.

use super::{Found, Phase, Rounding, Rule, decay, terms};
use crate::canon::IntForm;
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::{Eg, Workshop};
use egg::Id;
use weft_ir::graph::{AxisId, Error, Graph, MapFn, NodeId, Op};

pub(super) const WITHIN: Rule = Rule {
    name: "sums within a block",
    phase: Phase::Blocks,
    mathematics: "sum over x < i <= y of g[i] = C[y] - C[x], where C[i] = g[i] + (if i % L == 0 then 0 else C[i - 1]); \
                  and C[y] from the start of the block of y",
    conditions: &[
        "the guards say that x and y stand in one block, in this order",
        "g depends on i alone of the three",
        "C[y] stands where x and y are on their axis by guards, or beside what is read at y as well",
    ],
    guard: "the sum stands in a sum over x or y, or begins with the block",
    rounding: Rounding::Reassociates,
    example: (
        "sum(j: exp(sum(i: g[i] where j < i <= t)) where t//64*64 <= j <= t)",
        "sum(j: exp(C[t] - C[j]) where t//64*64 <= j <= t)",
    ),
    apply: within,
};

fn within(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let mut found: Vec<Found> = beside(eg, axes, guards, &term.args)?.map(Found::plain).into_iter().collect();
    for &bound in axes {
        if !eg.analysis.is_base(bound) {
            continue;
        }
        for (x, y) in in_one_block(eg, guards, bound)? {
            let mut factors = Vec::with_capacity(term.args.len());
            let mut changed = false;
            for &f in &term.args {
                let new = replaced(eg, f, x, y, 6, difference)?;
                changed |= new.is_some();
                factors.push(new.unwrap_or(f));
            }
            if changed {
                found.push(Found::plain(build::ein(eg, axes, guards, &factors)?));
            }
        }
    }
    Ok(found)
}

/// Pairs of an axis and another whose positions stand in one block, the earlier first.
fn in_one_block(eg: &mut Eg, guards: &[NodeId], bound: AxisId) -> Result<Vec<(AxisId, AxisId)>, Error> {
    let key = (WITHIN.name, guards.into(), bound);
    if let Some(known) = eg.analysis.pairs.get(&key) {
        return Ok(known.clone());
    }
    let found = look_in_one_block(eg, guards, bound)?;
    eg.analysis.pairs.insert(key, found.clone());
    Ok(found)
}

fn look_in_one_block(eg: &mut Eg, guards: &[NodeId], bound: AxisId) -> Result<Vec<(AxisId, AxisId)>, Error> {
    let w = &mut eg.analysis;
    let domain = w.canon.g.axis(bound).domain;
    let mut candidates: Vec<AxisId> = Vec::new();
    for &g in guards {
        let free = w.canon.g.free(g).clone();
        for y in free.iter().filter(|&y| y != bound && free.contains(bound)) {
            if w.canon.g.axis(y).domain == domain && !candidates.contains(&y) {
                candidates.push(y);
            }
        }
    }
    let mut found = Vec::new();
    for row in candidates {
        let length = w.canon.int(w.length)?;
        let (here, other) = (w.index(bound)?, w.index(row)?);
        let block = w.canon.map(MapFn::IDiv, &[other, length])?;
        let Some(start) = IntForm::var(block).scaled(w.length) else { continue };
        // here - start >= 0, and start + L - 1 - here >= 0
        let after = IntForm::var(here).checked_add(&start, -1);
        let before = start.offset(w.length - 1).and_then(|end| end.checked_add(&IntForm::var(here), -1));
        let Some((after, before)) = after.zip(before) else { continue };
        let (after, before) = (w.canon.at_least_zero(&after)?, w.canon.at_least_zero(&before)?);
        let (first, last) = (w.canon.map(MapFn::Le, &[here, other])?, w.canon.map(MapFn::Le, &[other, here])?);
        let (first, after) = (w.implied(guards, first), w.implied(guards, after));
        let (last, before) = (w.implied(guards, last), w.implied(guards, before));
        if first && w.met(&WITHIN, 0, after) {
            found.push((bound, row));
        } else if last && w.met(&WITHIN, 0, before) {
            found.push((row, bound));
        }
    }
    Ok(found)
}

/// Pairs of an axis and another of its domain whose positions the guards put in order, the earlier first: that is the first condition of the rule.
fn pairs_in_order(eg: &mut Eg, rule: &Rule, guards: &[NodeId], bound: AxisId) -> Result<Vec<(AxisId, AxisId)>, Error> {
    let key = (rule.name, guards.into(), bound);
    if let Some(known) = eg.analysis.pairs.get(&key) {
        return Ok(known.clone());
    }
    let found = look_for_pairs(eg, rule, guards, bound)?;
    eg.analysis.pairs.insert(key, found.clone());
    Ok(found)
}

fn look_for_pairs(eg: &mut Eg, rule: &Rule, guards: &[NodeId], bound: AxisId) -> Result<Vec<(AxisId, AxisId)>, Error> {
    let w = &mut eg.analysis;
    let domain = w.canon.g.axis(bound).domain;
    let mut others: Vec<AxisId> = Vec::new();
    for &g in guards.iter().filter(|&&g| w.canon.g.free(g).contains(bound)) {
        let more = w.canon.g.free(g).iter().filter(|&y| y != bound && w.canon.g.axis(y).domain == domain);
        others.extend(more.filter(|y| !others.contains(y)).collect::<Vec<_>>());
    }
    let mut found = Vec::new();
    for other in others {
        let (here, there) = (w.index(bound)?, w.index(other)?);
        for (x, y, order) in [(bound, other, [here, there]), (other, bound, [there, here])] {
            let order = w.canon.map(MapFn::Le, &order)?;
            let ordered = w.implied(guards, order);
            if w.met(rule, 0, ordered) {
                found.push((x, y));
            }
        }
    }
    Ok(found)
}

/// A sum in which what stands between two positions in order is written otherwise, for each pair of them.
pub(super) fn rewritten(eg: &mut Eg, rule: &Rule, term: &Term, write: Writes) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let positions: Vec<AxisId> = axes.iter().copied().filter(|&a| eg.analysis.is_base(a)).collect();
    for bound in positions {
        for (x, y) in pairs_in_order(eg, rule, guards, bound)? {
            let mut factors = Vec::with_capacity(term.args.len());
            for &f in &term.args {
                factors.push(replaced(eg, f, x, y, 6, write)?.unwrap_or(f));
            }
            if factors[..] != term.args[..] {
                found.push(Found::plain(build::ein(eg, axes, guards, &factors)?));
            }
        }
    }
    Ok(found)
}

/// How a sum between two positions is written, if it can be.
pub(super) type Writes = fn(&mut Eg, &Term, AxisId, AxisId) -> Result<Option<Id>, Error>;

/// The class with sums between `x` and `y` written otherwise, if it has any.
pub(super) fn replaced(
    eg: &mut Eg,
    id: Id,
    x: AxisId,
    y: AxisId,
    depth: u32,
    write: Writes,
) -> Result<Option<Id>, Error> {
    let free = &eg[id].data.free;
    if depth == 0 || !free.contains(x) || !free.contains(y) {
        return Ok(None);
    }
    for t in terms(eg, id) {
        if let Some(new) = write(eg, &t, x, y)? {
            return Ok(Some(new));
        }
        let plain = match &t.head {
            Head::Map(_) => true,
            Head::Ein { axes, .. } => axes.is_empty(),
            _ => false,
        };
        if !plain {
            continue;
        }
        let args = t.args.iter().map(|&a| replaced(eg, a, x, y, depth - 1, write)).collect::<Result<Vec<_>, _>>()?;
        if args.iter().all(Option::is_none) {
            continue;
        }
        let args: Vec<Id> = args.iter().zip(&t.args).map(|(n, &a)| n.unwrap_or(a)).collect();
        return Ok(Some(match &t.head {
            Head::Map(f) => build::map(eg, *f, &args)?,
            Head::Ein { guards, .. } => build::ein(eg, &[], guards, &args)?,
            _ => continue,
        }));
    }
    Ok(None)
}

/// Sums from the start of the block of each position `y` up to it, and what is added up.
fn in_block(eg: &mut Eg, factors: &[Id], i: AxisId, y: AxisId) -> Result<(Id, Id), Error> {
    let w = &mut eg.analysis;
    let (late, length, zero) = (w.index(y)?, w.canon.int(w.length)?, w.canon.int(0)?);
    let place = w.canon.map(MapFn::Mod, &[late, length])?;
    let goes_on = w.canon.map(MapFn::Ne, &[place, zero])?;
    let mut own = Vec::new();
    for &f in factors {
        own.push(build::sub(eg, f, &[(i, late)])?);
    }
    let addend = build::ein(eg, &[], &[], &own)?;
    let one = build::number(eg, 1.0)?;
    let kept = build::ein(eg, &[], &[goes_on], &[one])?;
    Ok((build::scan(eg, y, false, addend, Some(kept)), addend))
}

/// A product in which sums over the positions of a block up to one of them are read where something else is read too.
fn beside(eg: &mut Eg, axes: &[AxisId], guards: &[NodeId], factors: &[Id]) -> Result<Option<Id>, Error> {
    let mut new = factors.to_vec();
    for f in &mut new {
        let rows: Vec<AxisId> = eg[*f].data.free.iter().filter(|&y| eg.analysis.is_base(y)).collect();
        for y in rows {
            let Some(to) = replaced(eg, *f, y, y, 3, from_start)? else { continue };
            // Behind the end of the sequence the sum still has a value, and what is read there has none: nor has then the product.
            let too = factors.iter().any(|g| g != f && reads_at(eg, *g, y, 4));
            if eg.analysis.met(&WITHIN, 2, too) {
                *f = to;
            }
        }
    }
    if new == factors { Ok(None) } else { build::ein(eg, axes, guards, &new).map(Some) }
}

/// Is something read at the position `y`, whatever else holds, so that there is no value where `y` is not on its axis?
fn reads_at(eg: &Eg, id: Id, y: AxisId, depth: u32) -> bool {
    if depth == 0 || !eg[id].data.free.contains(y) {
        return false;
    }
    eg[id].nodes.iter().any(|t| match &t.head {
        Head::Leaf(n) => node_reads_at(&eg.analysis.canon.g, *n, y),
        Head::Scan { axis, .. } => *axis == y,
        Head::Ein { guards, .. } if !guards.is_empty() => false,
        Head::Map(_) | Head::Ein { .. } => t.args.iter().any(|&a| reads_at(eg, a, y, depth - 1)),
        _ => false,
    })
}

fn node_reads_at(g: &Graph, n: NodeId, y: AxisId) -> bool {
    g.free(n).contains(y)
        && match g.op(n) {
            Op::Input(_) => true,
            Op::Map(_) | Op::Ein { guards: 0, .. } => g.args(n).iter().any(|&a| node_reads_at(g, a, y)),
            _ => false,
        }
}

/// Do the guards say that `i` stands in the block of `y`, up to it, and no more than that?
fn is_from_start(w: &mut Workshop, guards: &[NodeId], i: AxisId, y: AxisId) -> Result<bool, Error> {
    let &[a, b] = guards else { return Ok(false) };
    if i == y || w.canon.g.axis(i).domain != w.canon.g.axis(y).domain || !w.canon.g.free(a).contains(y) {
        return Ok(false);
    }
    let key = (guards.into(), i, y);
    if let Some(&known) = w.starts.get(&key) {
        return Ok(known);
    }
    let (here, late, length) = (w.index(i)?, w.index(y)?, w.canon.int(w.length)?);
    let last = w.canon.map(MapFn::Le, &[here, late])?;
    let block = w.canon.map(MapFn::IDiv, &[late, length])?;
    let start = IntForm::var(block).scaled(w.length);
    let found = match start.and_then(|s| IntForm::var(here).checked_add(&s, -1)) {
        Some(after) => {
            let first = w.canon.at_least_zero(&after)?;
            (a, b) == (first, last) || (a, b) == (last, first)
        }
        None => false,
    };
    w.starts.insert(key, found);
    Ok(found)
}

/// A sum over the positions of a block up to one of them.
fn from_start(eg: &mut Eg, term: &Term, _: AxisId, y: AxisId) -> Result<Option<Id>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(None) };
    let &[i] = &axes[..] else { return Ok(None) };
    if !is_from_start(&mut eg.analysis, guards, i, y)? {
        return Ok(None);
    }
    let alone = !term.args.iter().any(|&f| eg[f].data.free.contains(y));
    if !eg.analysis.met(&WITHIN, 1, alone) {
        return Ok(None);
    }
    in_block(eg, &term.args, i, y).map(|(upto, _)| Some(upto))
}

/// A sum between positions of one block as a difference of sums from its start.
pub(super) fn difference(eg: &mut Eg, term: &Term, x: AxisId, y: AxisId) -> Result<Option<Id>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(None) };
    let (&[i], factors) = (&axes[..], &term.args) else { return Ok(None) };
    if guards.len() != 2 {
        return Ok(None);
    }
    let w = &mut eg.analysis;
    let (here, early, late) = (w.index(i)?, w.index(x)?, w.index(y)?);
    let after = w.canon.map(MapFn::Lt, &[early, here])?;
    let before = w.canon.map(MapFn::Le, &[here, late])?;
    if !guards.contains(&after) || !guards.contains(&before) {
        return Ok(None);
    }
    let alone = !factors.iter().any(|&f| eg[f].data.free.contains(x) || eg[f].data.free.contains(y));
    if !eg.analysis.met(&WITHIN, 1, alone) {
        return Ok(None);
    }
    let (upto, addend) = in_block(eg, factors, i, y)?;
    let earlier = build::sub(eg, upto, &[(y, early)])?;
    let minus = build::number(eg, -1.0)?;
    let earlier = build::ein(eg, &[], &[], &[minus, earlier])?;
    let difference = build::map(eg, MapFn::Add, &[upto, earlier])?;
    // Its sign is not to be seen in a difference, nor does rounding keep it.
    let bound = match decay::sign(eg, addend, &[]) {
        Some(1) => MapFn::Max,
        Some(-1) => MapFn::Min,
        _ => return Ok(Some(difference)),
    };
    let zero = build::number(eg, 0.0)?;
    build::map(eg, bound, &[difference, zero]).map(Some)
}
