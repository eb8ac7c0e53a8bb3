//! The past in blocks: what is near is summed one by one, what is far block by block, and sums over all blocks before one are carried.

use super::{Found, Rounding, Rule, decay, guards};
use crate::canon::IntForm;
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::{Eg, Workshop};
use egg::Id;
use weft_ir::graph::prove::Prover;
use weft_ir::graph::{AxisId, AxisSet, Error, MapFn, NodeId, Op};

pub(super) const NEAR_FAR: Rule = Rule {
    name: "near and far",
    mathematics: "sum over x <= y - w of F = sum over x < L*n of F + sum over L*n <= x <= y - w of F, where n = y//L - c",
    conditions: &["c = ceil((w - 1) / L), so that x < L*n implies x <= y - w"],
    guard: "every factor depends on x or on y, not on both, but for decays; no other condition relates the two",
    rounding: Rounding::Reassociates,
    example: ("sum(j: k[j] where j <= t)", "sum(j: k[j] where j < t//64*64) + sum(j: k[j] where t//64*64 <= j <= t)"),
    apply: near_far,
};

pub(super) const BLOCKS: Rule = Rule {
    name: "blocks",
    mathematics: "sum over x < L*n of F = sum over m < n and l < L of F[x := L*m + l]",
    conditions: &["L*n <= T, so that blocks before n are complete"],
    guard: "L is the length of blocks that is being tried",
    rounding: Rounding::Reassociates,
    example: ("sum(j: k[j] where j < 64*n)", "sum(m, l: k[64*m + l] where m < n)"),
    apply: blocks,
};

pub(super) const PREFIX: Rule = Rule {
    name: "carry over blocks",
    mathematics: "sum over m < n of F(m) G = G S[n - 1] if n >= 1, where S[m] = F(m) + S[m - 1]",
    conditions: &["n and G do not depend on m"],
    guard: "S depends on no long axis but m",
    rounding: Rounding::Reassociates,
    example: ("sum(m: p[m] where m < n)", "if n >= 1 then S[n - 1] else 0"),
    apply: prefix,
};

/// A condition `x <= y - w` for a bound axis `x` and a free one `y` of the same domain.
struct Before {
    guard: usize,
    x: AxisId,
    y: AxisId,
    w: i64,
}

fn before(w: &Workshop, axes: &[AxisId], guard: NodeId, at: usize) -> Option<Before> {
    let form = w.at_least_zero(guard)?;
    let g = &w.canon.g;
    let mut parts = form.terms().map(|(&v, c)| match g.op(v) {
        Op::Index(a) => Some((*a, c)),
        _ => None,
    });
    let (a, b) = (parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let ((x, -1), (y, 1)) = (if a.1 < 0 { (a, b) } else { (b, a) }) else { return None };
    let fits = axes.contains(&x) && !axes.contains(&y) && w.is_base(x) && g.axis(x).domain == g.axis(y).domain;
    fits.then_some(Before { guard: at, x, y, w: -form.constant() })
}

/// Does no other guard relate `x` to a long axis?
fn is_only(w: &Workshop, guards: &[NodeId], at: usize, x: AxisId) -> bool {
    let relates = |g: NodeId| {
        let free = w.canon.g.free(g);
        free.contains(x) && free.iter().any(|a| a != x && w.is_long(a))
    };
    guards.iter().enumerate().all(|(n, &g)| n == at || !relates(g))
}

fn near_far(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (at, &g) in guards.iter().enumerate() {
        let Some(b) = before(&eg.analysis, axes, g, at) else { continue };
        let both = |free: &AxisSet| free.contains(b.x) && free.contains(b.y);
        let mut apart = true;
        for &f in &term.args {
            if both(&eg[f].data.free) {
                apart &= match decay::decay(eg, f, b.y, b.x) {
                    Some(e) => decay::falls(eg, e, b.y, b.x)?,
                    None => false,
                };
            }
        }
        let alone = is_only(&eg.analysis, guards, b.guard, b.x);
        if !alone {
            continue;
        }
        let distances = if apart { vec![b.w] } else { turns(eg, &term.args, &b) };
        for distance in distances {
            let start = block_start(&mut eg.analysis, b.y, distance)?;
            let here = IntForm::var(eg.analysis.index(b.x)?);
            let Some((far, near)) =
                start.checked_add(&here, -1).and_then(|f| f.offset(-1)).zip(here.checked_add(&start, -1))
            else {
                continue;
            };
            let far = eg.analysis.canon.at_least_zero(&far)?;
            let near = eg.analysis.canon.at_least_zero(&near)?;
            let mut with: Vec<NodeId> = guards.to_vec();
            with.push(far);
            let far = build::ein(eg, axes, &with, &term.args)?;
            with.pop();
            with.push(near);
            let near = build::ein(eg, axes, &with, &term.args)?;
            let to = build::map(eg, MapFn::Add, &[far, near])?;
            found.push(Found::plain(to));
        }
    }
    Ok(found)
}

/// Distances beyond which a condition within the factors is false: further away they may be simpler.
fn turns(eg: &Eg, factors: &[Id], b: &Before) -> Vec<i64> {
    let mut all = Vec::new();
    for &f in factors {
        guards::conditions(eg, f, 6, &mut all);
    }
    let w = &eg.analysis;
    let mut found: Vec<i64> = all
        .into_iter()
        .filter_map(|g| {
            // x >= y - last, which is false for x <= y - (last + 1)
            let form = w.at_least_zero(g)?;
            let band = form.terms().count() == 2 && w.coefficient(&form, b.x) == 1 && w.coefficient(&form, b.y) == -1;
            band.then(|| form.constant() + 1).filter(|&d| d > b.w)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// `L*(y//L - c)`: the start of a block such that all before it is at a distance of at least `w`.
fn block_start(w: &mut Workshop, y: AxisId, distance: i64) -> Result<IntForm, Error> {
    let length = w.length;
    let c = (distance - 1 + length - 1).div_euclid(length);
    let (here, by) = (w.index(y)?, w.canon.int(length)?);
    let block = w.canon.map(MapFn::IDiv, &[here, by])?;
    let form = IntForm::var(block).offset(-c).and_then(|f| f.scaled(length));
    form.ok_or_else(|| Error::Missing("a position beyond 64 bits".into()))
}

fn blocks(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let length = eg.analysis.length;
    let mut found = Vec::new();
    for &x in axes {
        if !eg.analysis.is_base(x) {
            continue;
        }
        for (at, &g) in guards.iter().enumerate() {
            if !is_only(&eg.analysis, guards, at, x) {
                continue;
            }
            let Some(n) = whole_blocks(&mut eg.analysis, g, x, length)? else { continue };
            let taken = build::mentioned(eg, term);
            let domain = eg.analysis.canon.g.axis(x).domain;
            let b = eg.analysis.blocks(domain, false, &taken);
            let w = &mut eg.analysis;
            let (m, l) = (IntForm::var(w.index(b.block)?), IntForm::var(w.index(b.place)?));
            let Some(position) = m.scaled(length).and_then(|m| m.checked_add(&l, 1)) else { continue };
            let Some(earlier) = n.checked_add(&m, -1).and_then(|f| f.offset(-1)) else { continue };
            let map = [(x, w.canon.int_term(&position)?)];
            let mut gs = vec![w.canon.at_least_zero(&earlier)?];
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
            let to = build::ein(eg, &all, &gs, &fs)?;
            found.push(Found::plain(to));
        }
    }
    Ok(found)
}

/// The `n` of a condition `x < L*n` with `L*n <= T`.
fn whole_blocks(w: &mut Workshop, guard: NodeId, x: AxisId, length: i64) -> Result<Option<IntForm>, Error> {
    let Some(form) = w.at_least_zero(guard) else { return Ok(None) };
    if w.coefficient(&form, x) != -1 || w.hides(&form, x) {
        return Ok(None);
    }
    let here = IntForm::var(w.index(x)?);
    let Some(end) = form.checked_add(&here, 1).and_then(|f| f.offset(1)) else { return Ok(None) };
    let (n, rest) = end.split_multiple(length);
    if rest.as_constant() != Some(0) {
        return Ok(None);
    }
    // L*n <= T
    let last = end.offset(-1);
    let Some(last) = last else { return Ok(None) };
    let last = w.canon.int_term(&last)?;
    let domain = w.canon.g.axis(x).domain;
    Ok(Prover::new(&w.canon.g).below_extent(last, domain).then_some(n))
}

fn prefix(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
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

/// The sum over `m < n`, which the guard `g` says, as what is carried up to `n - 1`.
fn carried(
    eg: &mut Eg,
    term: &Term,
    axes: &[AxisId],
    guards: &[NodeId],
    m: AxisId,
    at: usize,
    g: NodeId,
) -> Result<Option<Id>, Error> {
    let w = &mut eg.analysis;
    let Some(form) = w.at_least_zero(g) else { return Ok(None) };
    if w.coefficient(&form, m) != -1 || w.hides(&form, m) {
        return Ok(None);
    }
    // m <= last
    let here = IntForm::var(w.index(m)?);
    let Some(last) = form.checked_add(&here, 1) else { return Ok(None) };
    let last_term = w.canon.int_term(&last)?;
    if axes.iter().any(|&a| w.canon.g.free(last_term).contains(a)) {
        return Ok(None);
    }
    // Decays up to the end of the last block are carried as a decay of the state.
    let mut kept: Vec<Id> = Vec::new();
    let mut factors: Vec<Id> = Vec::new();
    for &f in &term.args {
        match decayed(eg, f, m, &last, guards)? {
            Some((inside, step)) => {
                factors.push(inside);
                kept.push(step);
            }
            None => factors.push(f),
        }
    }
    let kept = if kept.is_empty() { None } else { Some(build::ein(eg, &[], &[], &kept)?) };
    // Everything that mentions m, and axes that only that mentions.
    let mut inner: Vec<bool> = factors.iter().map(|&f| eg[f].data.free.contains(m)).collect();
    let others: Vec<NodeId> = guards.iter().copied().enumerate().filter(|&(k, _)| k != at).map(|(_, g)| g).collect();
    let mut inside: Vec<bool> = others.iter().map(|&g| eg.analysis.canon.g.free(g).contains(m)).collect();
    // What shares a long bound axis with it comes along.
    loop {
        let mut bound = AxisSet::new();
        for (&f, &i) in factors.iter().zip(&inner) {
            if i {
                bound.extend(&eg[f].data.free);
            }
        }
        for (&g, &i) in others.iter().zip(&inside) {
            if i {
                bound.extend(eg.analysis.canon.g.free(g));
            }
        }
        let tied = |free: &AxisSet| {
            free.iter().any(|a| a != m && axes.contains(&a) && bound.contains(a) && eg.analysis.is_long(a))
        };
        let more: Vec<bool> = factors.iter().map(|&f| tied(&eg[f].data.free)).collect();
        let grown: Vec<bool> = inner.iter().zip(&more).map(|(a, b)| *a || *b).collect();
        if grown == inner {
            break;
        }
        inner = grown;
    }
    let outer: AxisSet = {
        let mut free = AxisSet::new();
        for (&f, &i) in factors.iter().zip(&inner) {
            if !i {
                free.extend(&eg[f].data.free);
            }
        }
        for (&g, &i) in others.iter().zip(&inside) {
            if !i {
                free.extend(eg.analysis.canon.g.free(g));
            }
        }
        free
    };
    let private: Vec<AxisId> = axes.iter().copied().filter(|&a| a != m && !outer.contains(a)).collect();
    for (k, &g) in others.iter().enumerate() {
        inside[k] |= private.iter().any(|&a| eg.analysis.canon.g.free(g).contains(a));
    }
    let pick = |flags: &[bool], want: bool| -> Vec<usize> { (0..flags.len()).filter(|&k| flags[k] == want).collect() };
    let body_factors: Vec<Id> = pick(&inner, true).into_iter().map(|k| factors[k]).collect();
    let body_guards: Vec<NodeId> = pick(&inside, true).into_iter().map(|k| others[k]).collect();
    let body = build::ein(eg, &private, &body_guards, &body_factors)?;
    let free = eg[body].data.free.clone();
    if !free.contains(m) || free.iter().any(|a| a != m && eg.analysis.is_long(a)) {
        return Ok(None);
    }
    let state = build::scan(eg, m, false, body, kept);
    let read = build::sub(eg, state, &[(m, last_term)])?;
    let mut gs: Vec<NodeId> = pick(&inside, false).into_iter().map(|k| others[k]).collect();
    gs.push(eg.analysis.canon.at_least_zero(&last)?);
    let mut fs: Vec<Id> = pick(&inner, false).into_iter().map(|k| factors[k]).collect();
    fs.push(read);
    let left: Vec<AxisId> = axes.iter().copied().filter(|&a| a != m && !private.contains(&a)).collect();
    Ok(Some(build::ein(eg, &left, &gs, &fs)?))
}

/// A factor that is a decay from the end of block `last` back to a position in block `m <= last`: the decay from the end of that block, and
/// the decay over the whole of block `m`.
fn decayed(eg: &mut Eg, factor: Id, m: AxisId, last: &IntForm, guards: &[NodeId]) -> Result<Option<(Id, Id)>, Error> {
    if !eg[factor].data.free.contains(m) {
        return Ok(None);
    }
    let length = eg.analysis.length;
    for d in decay::decay_between(eg, factor)? {
        let w = &mut eg.analysis;
        let (Some(late), Some(early)) = (w.canon.int_form(d.late.1), w.canon.int_form(d.early.1)) else { continue };
        let here = IntForm::var(w.index(m)?);
        let end_of = |f: &IntForm| f.scaled(length).and_then(|f| f.offset(length - 1));
        let (Some(end), Some(own)) = (end_of(last), end_of(&here)) else { continue };
        let same = late.checked_add(&end, -1).and_then(|f| f.as_constant()) == Some(0);
        // early <= the end of block m
        let Some(room) = own.checked_add(&early, -1) else { continue };
        let room = w.canon.at_least_zero(&room)?;
        let within = w.canon.known(room) == Some(true) || w.prover(guards).implies(room);
        let Some(before) = here.scaled(length).and_then(|f| f.offset(-1)) else { continue };
        let (own, before) = (w.canon.int_term(&own)?, w.canon.int_term(&before)?);
        if !same || !within || !decay::falls(eg, d.exponent, d.late.0, d.early.0)? {
            continue;
        }
        let inside = build::sub(eg, d.exponent, &[d.late_at(own), d.early])?;
        let step = build::sub(eg, d.exponent, &[d.late_at(own), d.early_at(before)])?;
        return Ok(Some((build::map(eg, MapFn::Exp, &[inside])?, build::map(eg, MapFn::Exp, &[step])?)));
    }
    Ok(None)
}
