//! What is near is summed one by one, what is far block by block.

use super::{Found, Phase, Rounding, Rule, decay, guards};
use crate::canon::IntForm;
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::{Eg, Workshop};
use egg::Id;
use weft_ir::graph::{AxisId, Error, MapFn, NodeId, Op};

pub(super) const NEAR_FAR: Rule = Rule {
    name: "near and far",
    phase: Phase::Blocks,
    mathematics: "sum over x <= y - w of F = sum over x < L*n of F + sum over L*n <= x <= y - w of F, where n = y//L - c; \
                  and likewise for x >= y + w",
    conditions: &["c = ceil((w - 1) / L), so that x < L*n implies x <= y - w"],
    guard: "every factor depends on x or on y, not on both, but for decays; no other condition relates the two",
    rounding: Rounding::Reassociates,
    example: ("sum(j: k[j] where j <= t)", "sum(j: k[j] where j < t//64*64) + sum(j: k[j] where t//64*64 <= j <= t)"),
    apply: near_far,
};

/// A condition on the distance of a bound axis `x` from a free one `y` of the same domain.
struct Relation {
    x: AxisId,
    y: AxisId,
    /// `step * x <= scale * y - w`, or `x >= scale * y + w`.
    past: bool,
    step: i64,
    scale: i64,
    w: i64,
}

fn relation(w: &Workshop, axes: &[AxisId], guard: NodeId) -> Option<Relation> {
    let form = w.at_least_zero(guard)?;
    let g = &w.canon.g;
    let mut parts = form.terms().map(|(&v, c)| match g.op(v) {
        Op::Index(a) => Some((*a, c)),
        _ => None,
    });
    let (a, b) = (parts.next()??, parts.next()??);
    let (x, y) = if axes.contains(&a.0) { (a, b) } else { (b, a) };
    let opposite = (x.1 < 0) != (y.1 < 0);
    let fits = axes.contains(&x.0) && !axes.contains(&y.0) && w.is_base(x.0) && w.is_base(y.0);
    if parts.next().is_some() || !opposite || !fits {
        return None;
    }
    let (past, step, scale) = (x.1 < 0, x.1.abs(), y.1.abs());
    // What comes after is known for positions only, not for what is counted in steps.
    (past || step == 1).then_some(Relation { x: x.0, y: y.0, past, step, scale, w: -form.constant() })
}

/// Does no other guard relate `x` to a long axis?
pub(super) fn is_only(w: &Workshop, guards: &[NodeId], at: usize, x: AxisId) -> bool {
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
        let Some(r) = relation(&eg.analysis, axes, g) else { continue };
        if !is_only(&eg.analysis, guards, at, r.x) {
            continue;
        }
        let tied = tied(eg, &term.args, &r)?;
        let distances = if tied.is_none() { vec![r.w] } else { turns(eg, &term.args, &r) };
        if let (Some((factor, why)), true) = (tied, distances.is_empty()) {
            eg.analysis.conditions.miss(NEAR_FAR.name, factor, why);
        }
        for distance in distances {
            let border = border(&mut eg.analysis, &r, distance)?;
            let here = IntForm::var(eg.analysis.index(r.x)?);
            let before = border.checked_add(&here, -1).and_then(|f| f.offset(-1));
            let Some((before, after)) = before.zip(here.checked_add(&border, -1)) else { continue };
            let before = eg.analysis.canon.at_least_zero(&before)?;
            let after = eg.analysis.canon.at_least_zero(&after)?;
            let mut parts = Vec::new();
            for side in [before, after] {
                let with: Vec<NodeId> = guards.iter().copied().chain([side]).collect();
                parts.push(build::ein(eg, axes, &with, &term.args)?);
            }
            found.push(Found::plain(build::map(eg, MapFn::Add, &parts)?));
        }
    }
    Ok(found)
}

/// A factor that depends on both positions and is no decay between them, and what it lacks.
fn tied(eg: &mut Eg, factors: &[Id], r: &Relation) -> Result<Option<(Id, &'static str)>, Error> {
    let (late, early) = if r.past { (r.y, r.x) } else { (r.x, r.y) };
    for &f in factors {
        let free = &eg[f].data.free;
        if !free.contains(r.x) || !free.contains(r.y) {
            continue;
        }
        match decay::decay(eg, f, late, early) {
            Some(e) if decay::falls(eg, e, late, early)? => {}
            Some(_) => return Ok(Some((f, "its exponent adds up along time, but may be positive"))),
            None if eg[f].nodes.iter().any(|t| t.head == Head::Map(MapFn::Exp)) => {
                return Ok(Some((
                    f,
                    "its exponent depends on both positions, does not add up along time, and is read from no table",
                )));
            }
            None => {
                return Ok(Some((f, "it depends on both positions, and is neither a product of the two nor a decay")));
            }
        }
    }
    Ok(None)
}

/// Distances beyond which a condition within the factors is false: further away they may be simpler.
fn turns(eg: &Eg, factors: &[Id], r: &Relation) -> Vec<i64> {
    let mut all = Vec::new();
    for &f in factors {
        guards::conditions(eg, f, 6, &mut all);
    }
    let w = &eg.analysis;
    let sign = if r.past { 1 } else { -1 };
    let mut found: Vec<i64> = all
        .into_iter()
        .filter_map(|g| {
            // x >= y - last, which is false for x <= y - (last + 1); and mirrored.
            let form = w.at_least_zero(g)?;
            let (x, y) = (w.coefficient(&form, r.x), w.coefficient(&form, r.y));
            let band = form.terms().count() == 2 && x == sign * r.step && y == -sign * r.scale;
            band.then(|| form.constant() + 1).filter(|&d| d > r.w)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The start of a block of `x`, `L*(y//(L*step) + c)`, with everything before it (past) or from it on (future) at a distance of at least
/// `distance`.
fn border(w: &mut Workshop, r: &Relation, distance: i64) -> Result<IntForm, Error> {
    let beyond = || Error::Missing("a position beyond 64 bits".into());
    let length = w.length;
    let span = length.checked_mul(r.step).ok_or_else(beyond)?;
    let c = if r.past {
        -(distance - r.step + span - 1).div_euclid(span)
    } else {
        (2 * (length - 1) + distance).div_euclid(length)
    };
    let (here, by) = (w.index(r.y)?, w.canon.int(span)?);
    // Where the row counts in steps, what is whole blocks away from it starts anywhere in them.
    let (above, c) = match (r.scale, r.past) {
        (1, _) => (Some(IntForm::var(here)), c),
        (s, true) => (IntForm::var(here).scaled(s).and_then(|f| f.offset(r.step - distance)), 0),
        (s, false) => (IntForm::var(here).scaled(s).and_then(|f| f.offset(distance + length - 1)), 0),
    };
    let above = w.canon.int_term(&above.ok_or_else(beyond)?)?;
    let block = w.canon.map(MapFn::IDiv, &[above, by])?;
    let form = IntForm::var(block).offset(c).and_then(|f| f.scaled(length));
    form.ok_or_else(beyond)
}
