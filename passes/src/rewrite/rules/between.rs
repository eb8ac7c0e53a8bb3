//! Sums over pairs of positions with a third between them: what gradients of decays are made of.
//!
//! A decay `exp(sum over x < i <= y of g[i])` has, with respect to `g[i]`, the gradient `sum over x < i <= y of W(y, x)`: of all pairs that `i`
//! stands between. From `i` to its neighbour two lines of pairs come and go, so it is a sum along time of rows minus columns, each of which is a
//! sum over the past or the future like any other. (Yang et al., "Gated Linear Attention", arXiv:2312.06635, section 4, take the gradient
//! of gates so.) And what adds up along time, as a weight of a pair, is the sum of its steps: each step with the pairs around it.

use super::decay::adds_up;
use super::{Found, Phase, Rounding, Rule, push, terms};
use crate::canon::IntForm;
use crate::rewrite::build;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::graph::{AxisId, AxisSet, Error, MapFn, NodeId, Op};

pub(super) const AROUND: Rule = Rule {
    name: "pairs around a position",
    phase: Phase::Sums,
    mathematics: "sum over x < i <= y of W(y, x) = P[i], where P[i] = P[i + 1] + sum over x < i of W(i, x) - sum over y > i of W(y, i); \
                  and likewise for x <= i < y, from the first position on",
    conditions: &["W does not depend on i", "x, i and y are positions of one sequence"],
    guard: "the result depends on no other position than i",
    rounding: Rounding::Cancels,
    example: (
        "sum(t, j: w[t,j] where j < i <= t)",
        "P[i], P[i] = P[i + 1] + sum(j: w[i,j] where j < i) - sum(t: w[t,i] where t > i)",
    ),
    apply: around,
};

pub(super) const STEPS: Rule = Rule {
    name: "a weight that adds up",
    phase: Phase::Sums,
    mathematics: "sum over x, y of A(y, x) F = sum over i of a[i] (sum over x < i <= y of F), where A(y, x) = sum over x < i <= y of a[i]",
    conditions: &["A adds up along time, in steps a", "the guards say x <= y"],
    guard: "the result depends on no position",
    rounding: Rounding::Reassociates,
    example: ("sum(t, j: (t - j) * w[t,j] where j <= t)", "sum(i: sum(t, j: w[t,j] where j < i <= t))"),
    apply: steps,
};

pub(super) const MERGE: Rule = Rule {
    name: "a sum over pairs",
    phase: Phase::Sums,
    mathematics: "sum over x of F (sum over y of G) = sum over x, y of F G",
    conditions: &["y is not x and F does not mention it, or it is renamed"],
    guard: "x and y are positions; a factor may add up between them, or a position that is left may stand between them",
    rounding: Rounding::Reassociates,
    example: ("sum(j: sum(t: (t - j) * w[t,j] where j <= t))", "sum(t, j: (t - j) * w[t,j] where j <= t)"),
    apply: merge,
};

/// A sum over pairs of positions.
struct Sum {
    axes: Vec<AxisId>,
    guards: Vec<NodeId>,
    factors: Vec<Id>,
}

impl Sum {
    fn new(eg: &Eg, term: &Term) -> Option<Self> {
        let Head::Ein { axes, guards } = &term.head else { return None };
        let sum = Self { axes: axes.to_vec(), guards: guards.to_vec(), factors: term.args.to_vec() };
        (positions(eg, axes).len() > 1).then_some(sum)
    }
}

fn positions(eg: &Eg, axes: &[AxisId]) -> Vec<AxisId> {
    axes.iter().copied().filter(|&a| eg.analysis.is_base(a)).collect()
}

fn merge(eg: &mut Eg, class: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Head::Ein { axes, guards } = &term.head else { return Ok(Vec::new()) };
    let left: Vec<AxisId> = eg[class].data.free.iter().filter(|&a| eg.analysis.is_long(a)).collect();
    if positions(eg, axes).len() != 1 || left.len() > 1 {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (n, &factor) in term.args.iter().enumerate() {
        for t in terms(eg, factor) {
            for inner in push::sums_in(eg, &t)? {
                let Head::Ein { axes: below, guards: conditions } = &inner.head else { continue };
                if positions(eg, below).len() != 1 {
                    continue;
                }
                let mut all = guards.iter().chain(conditions);
                let worth = match left[..] {
                    [i] => all.any(|&g| eg.analysis.canon.g.free(g).contains(i)),
                    _ => inner.args.iter().any(|&f| is_weight(eg, f, DEPTH)),
                };
                if worth {
                    let (axes, guards, factors) = build::merged(eg, &MERGE, term, n, &inner)?;
                    let to = build::ein(eg, &axes, &guards, &factors)?;
                    found.push(Found { inner: vec![(n, t.clone())], to });
                }
            }
        }
    }
    Ok(found)
}

/// May a class add up between two positions?
fn is_weight(eg: &Eg, id: Id, depth: u32) -> bool {
    let pair = eg[id].data.free.iter().filter(|&a| eg.analysis.is_base(a)).count() > 1;
    let leaf = |n: NodeId| matches!(eg.analysis.canon.g.op(n), Op::Cast(_));
    let any = |args: &[Id]| args.iter().any(|&a| is_weight(eg, a, depth - 1));
    let is = |t: &Term| match &t.head {
        Head::Leaf(n) => leaf(*n),
        Head::Other(Op::Cast(_)) => true,
        Head::Ein { axes, .. } => axes.iter().any(|&a| eg.analysis.is_base(a)) || any(&t.args),
        Head::Map(MapFn::Add) | Head::Sub { .. } => any(&t.args),
        _ => false,
    };
    depth > 0 && pair && eg[id].nodes.iter().any(is)
}

fn around(eg: &mut Eg, class: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let left: Vec<AxisId> = eg[class].data.free.iter().filter(|&a| eg.analysis.is_long(a)).collect();
    let (Some(sum), [i]) = (Sum::new(eg, term), &left[..]) else { return Ok(Vec::new()) };
    if !eg.analysis.is_base(*i) {
        return Ok(Vec::new());
    }
    Ok(sum_around(eg, &sum, *i)?.map(Found::plain).into_iter().collect())
}

/// `earlier < i <= later` or `earlier <= i < later`, among guards.
struct Between {
    early: AxisId,
    late: AxisId,
    /// Is `i` different from the earlier position?
    after: bool,
}

/// The axes of two guards that alone mention `i`.
fn between(eg: &Eg, sum: &Sum, i: AxisId) -> Option<Between> {
    let w = &eg.analysis;
    let mentions = |g: &&NodeId| w.canon.g.free(**g).contains(i);
    let own: Vec<NodeId> = sum.guards.iter().filter(mentions).copied().collect();
    let &[a, b] = &own[..] else { return None };
    let (a, b) = (w.at_least_zero(a)?, w.at_least_zero(b)?);
    let other = |f: &IntForm| {
        let x = f.terms().find_map(|(&v, _)| match w.canon.g.op(v) {
            Op::Index(x) if *x != i => Some(*x),
            _ => None,
        })?;
        (f.terms().count() == 2 && w.coefficient(f, i) == -w.coefficient(f, x)).then_some(x)
    };
    let (low, high) = if w.coefficient(&a, i) == 1 { (a, b) } else { (b, a) };
    let (early, late) = (other(&low)?, other(&high)?);
    let fits = w.coefficient(&low, i) == 1 && w.coefficient(&high, i) == -1 && early != late;
    let bound =
        |x: AxisId| sum.axes.contains(&x) && w.is_base(x) && w.canon.g.axis(x).domain == w.canon.g.axis(i).domain;
    let after = match (low.constant(), high.constant()) {
        (-1, 0) => true,
        (0, -1) => false,
        _ => return None,
    };
    (fits && bound(early) && bound(late)).then_some(Between { early, late, after })
}

fn sum_around(eg: &mut Eg, sum: &Sum, i: AxisId) -> Result<Option<Id>, Error> {
    let Some(Between { early, late, after }) = between(eg, sum, i) else { return Ok(None) };
    if let Some(f) = sum.factors.iter().copied().find(|&f| eg[f].data.free.contains(i))
        && !eg.analysis.met_by(f, &AROUND, 0, false)
    {
        return Ok(None);
    }
    let batch = sum.axes.iter().any(|&a| eg.analysis.is_batch_of(a, &[i]));
    if !eg.analysis.met(&AROUND, 1, !batch) {
        return Ok(None);
    }
    // One of the two positions is `i`, the other on its side of it.
    let (x, y, here) = (eg.analysis.index(early)?, eg.analysis.index(late)?, eg.analysis.index(i)?);
    let before = eg.analysis.canon.map(MapFn::Lt, &[x, here])?;
    let behind = eg.analysis.canon.map(MapFn::Lt, &[here, y])?;
    let rest: Vec<NodeId> = sum.guards.iter().copied().filter(|&g| !eg.analysis.canon.g.free(g).contains(i)).collect();
    let mut line = |bound: AxisId, range: NodeId| -> Result<Id, Error> {
        let at = [(bound, here)];
        let axes: Vec<AxisId> = sum.axes.iter().copied().filter(|&a| a != bound).collect();
        let mut guards = vec![range];
        for &g in &rest {
            guards.push(eg.analysis.canon.substitute(g, &at)?);
        }
        let factors = sum.factors.iter().map(|&f| build::sub(eg, f, &at)).collect::<Result<Vec<Id>, Error>>()?;
        build::ein(eg, &axes, &guards, &factors)
    };
    let (row, column) = (line(late, before)?, line(early, behind)?);
    let (more, less) = if after { (row, column) } else { (column, row) };
    let minus = build::number(eg, -1.0)?;
    let less = build::ein(eg, &[], &[], &[minus, less])?;
    let step = build::map(eg, MapFn::Add, &[more, less])?;
    if !eg[step].data.free.contains(i) {
        return Ok(None);
    }
    Ok(Some(build::scan(eg, i, after, step, None)))
}

fn steps(eg: &mut Eg, class: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let Some(sum) = Sum::new(eg, term) else { return Ok(Vec::new()) };
    if eg[class].data.free.iter().any(|a| eg.analysis.is_long(a)) {
        return Ok(Vec::new());
    }
    let positions = positions(eg, &sum.axes);
    let mut found = Vec::new();
    for (&x, &y) in positions.iter().flat_map(|x| positions.iter().map(move |y| (x, y))).filter(|(x, y)| x != y) {
        for n in 0..sum.factors.len() {
            found.extend(stepped(eg, &sum, n, y, x)?.map(Found::plain));
        }
    }
    Ok(found)
}

fn stepped(eg: &mut Eg, sum: &Sum, n: usize, late: AxisId, early: AxisId) -> Result<Option<Id>, Error> {
    if !adds_up(eg, sum.factors[n], late, early) {
        return Ok(None);
    }
    let (x, y) = (eg.analysis.index(early)?, eg.analysis.index(late)?);
    let ordered = eg.analysis.canon.map(MapFn::Le, &[x, y])?;
    let ordered = eg.analysis.implied(&sum.guards, ordered);
    if !eg.analysis.met_by(sum.factors[n], &STEPS, 1, ordered) {
        return Ok(None);
    }
    let mut taken: AxisSet = sum.axes.iter().copied().collect();
    for &f in &sum.factors {
        taken.extend(&eg[f].data.free);
    }
    for &g in &sum.guards {
        taken.extend(eg.analysis.canon.g.free(g));
    }
    let i = eg.analysis.fresh(late, &taken);
    let Some(step) = step(eg, sum.factors[n], (late, early), i, DEPTH)? else { return Ok(None) };
    let here = eg.analysis.index(i)?;
    let mut guards = sum.guards.clone();
    guards.push(eg.analysis.canon.map(MapFn::Lt, &[x, here])?);
    guards.push(eg.analysis.canon.map(MapFn::Le, &[here, y])?);
    let others: Vec<Id> = sum.factors.iter().enumerate().filter(|&(m, _)| m != n).map(|(_, &f)| f).collect();
    // Documents over whose lengths the positions are ragged stay outside.
    let (outer, inner): (Vec<AxisId>, Vec<AxisId>) = sum.axes.iter().partition(|&&a| {
        eg.analysis.is_batch_of(a, &[late, early]) || (!eg.analysis.is_long(a) && eg[step].data.free.contains(a))
    });
    if inner.iter().any(|&a| eg[step].data.free.contains(a)) {
        return Ok(None);
    }
    let pairs = build::ein(eg, &inner, &guards, &others)?;
    let outer: Vec<AxisId> = outer.into_iter().chain([i]).collect();
    build::ein(eg, &outer, &[], &[step, pairs]).map(Some)
}

/// How deep a term is looked into.
const DEPTH: u32 = 6;

/// `a` with `A(late, early) = sum over early < i <= late of a[i]`.
fn step(eg: &mut Eg, id: Id, ends: (AxisId, AxisId), i: AxisId, depth: u32) -> Result<Option<Id>, Error> {
    let (late, early) = ends;
    if depth == 0 || !adds_up(eg, id, late, early) {
        return Ok(None);
    }
    let here = eg.analysis.index(i)?;
    let ends_of = |eg: &Eg, f: Id| eg[f].data.free.contains(late) || eg[f].data.free.contains(early);
    for t in terms(eg, id) {
        let distance = match &t.head {
            Head::Leaf(n) if matches!(eg.analysis.canon.g.op(*n), Op::Cast(_)) => Some(eg.analysis.canon.g.args(*n)[0]),
            Head::Other(Op::Cast(_)) => eg[t.args[0]].data.leaf,
            _ => None,
        };
        let found = match &t.head {
            _ if distance.is_some() => {
                // One step of it, from 0 to 1.
                let c = &mut eg.analysis.canon;
                let (zero, one) = (c.int(0)?, c.int(1)?);
                let one = c.substitute(distance.unwrap_or(zero), &[(late, one), (early, zero)])?;
                let one = c.float_of(one)?;
                Some(build::leaf(eg, one))
            }
            Head::Map(MapFn::Add) => {
                let mut parts = Vec::new();
                for &a in &t.args {
                    parts.extend(step(eg, a, ends, i, depth - 1)?);
                }
                if parts.len() == t.args.len() { Some(build::map(eg, MapFn::Add, &parts)?) } else { None }
            }
            Head::Ein { axes, guards } if axes.is_empty() && guards.is_empty() => {
                let own: Vec<Id> = t.args.iter().copied().filter(|&a| ends_of(eg, a)).collect();
                let &[own] = &own[..] else { continue };
                let Some(inner) = step(eg, own, ends, i, depth - 1)? else { continue };
                let mut fs: Vec<Id> = t.args.iter().copied().filter(|&a| a != own).collect();
                fs.push(inner);
                Some(build::ein(eg, &[], &[], &fs)?)
            }
            Head::Ein { axes, guards } => {
                let &[own] = &axes[..] else { continue };
                let (w, after) = (eg.analysis.index(own)?, eg.analysis.index(early)?);
                let strictly = eg.analysis.canon.map(MapFn::Lt, &[after, w])?;
                if guards.len() != 2 || !guards.contains(&strictly) {
                    continue;
                }
                let fs = t.args.iter().map(|&f| build::sub(eg, f, &[(own, here)])).collect::<Result<Vec<_>, _>>()?;
                Some(build::ein(eg, &[], &[], &fs)?)
            }
            _ => None,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
