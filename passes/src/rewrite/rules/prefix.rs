//! Sums over the positions between two others, anywhere in a sequence: differences of sums from its start, in double precision.
//!
//! Both sums grow with the sequence and their difference does not, so in single precision it would lose what it is about. In double
//! precision it loses a few roundings of the larger one: 1e-16 of what a whole sequence adds up to. Where both positions stand in one block there is no need
//! for that ([`super::window`]), and costs prefer it.

use super::window::rewritten;
use super::{Found, Phase, Rounding, Rule};
use crate::canon::IntForm;
use crate::rewrite::build;
use crate::rewrite::carried::{Carried, declare};
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::DType;
use weft_ir::graph::{AxisId, Error, MapFn, NodeId, Op};

pub(super) const PREFIX: Rule = Rule {
    name: "difference of prefixes",
    phase: Phase::Sums,
    mathematics: "sum over x < i <= y of g[i] = G[y] - G[x], where G[i] = g[i] + (if i >= 1 then G[i - 1] else 0)",
    conditions: &[
        "the guards say x <= y",
        "g depends on i alone of the three",
        "x and y are positions of the sequence, whatever is substituted: only this sum is written so",
        "G and the difference are in float64, or integers",
    ],
    guard: "the sum stands in a sum over x or y",
    rounding: Rounding::Cancels,
    example: (
        "sum(j: exp(s[t,j] + sum(i: g[i] where j < i <= t)) where j <= t)",
        "sum(j: exp(s[t,j] + G[t] - G[j]) where j <= t)",
    ),
    apply: prefix,
};

/// A sum over positions between two others.
struct Window {
    i: AxisId,
    early: AxisId,
    late: AxisId,
    /// Is the earlier end not in it, but the later?
    strict: bool,
    /// Conditions on `i` alone.
    guards: Vec<NodeId>,
    factors: Vec<NodeId>,
    /// Do both depend on `i` alone of the three?
    alone: bool,
}

fn window(eg: &Eg, axes: &[AxisId], guards: &[NodeId], factors: Vec<NodeId>) -> Option<Window> {
    let w = &eg.analysis;
    let g = &w.canon.g;
    let &[i] = axes else { return None };
    let other = |f: &IntForm| {
        let mut terms = f.terms().map(|(&v, c)| match g.op(v) {
            Op::Index(a) => Some((*a, c)),
            _ => None,
        });
        let (a, b) = (terms.next()??, terms.next()??);
        let (x, own) = if a.0 == i { (b, a) } else { (a, b) };
        (terms.next().is_none() && own.0 == i && x.1 == -own.1 && own.1.abs() == 1).then_some((x.0, own.1 == 1))
    };
    let (mut low, mut high, mut rest) = (None, None, Vec::new());
    for &x in guards {
        let found = w.at_least_zero(x).and_then(|f| Some((other(&f)?, f.constant())));
        match found {
            Some(((a, true), c)) if low.is_none() => low = Some((a, c)),
            Some(((a, false), c)) if high.is_none() => high = Some((a, c)),
            _ => rest.push(x),
        }
    }
    let ((early, a), (late, b)) = low.zip(high)?;
    let strict = match (a, b) {
        (-1, 0) => true,
        (0, -1) => false,
        _ => return None,
    };
    let domain = |a: AxisId| g.axis(a).domain;
    let fits = w.is_base(i) && early != late && domain(early) == domain(i) && domain(late) == domain(i);
    let free = |n: &NodeId| !g.free(*n).contains(early) && !g.free(*n).contains(late);
    let alone = rest.iter().chain(&factors).all(free);
    fits.then_some(Window { i, early, late, strict, guards: rest, factors, alone })
}

fn prefix(eg: &mut Eg, _: Id, term: &Term) -> Result<Vec<Found>, Error> {
    rewritten(eg, &PREFIX, term, difference)
}

/// A sum between two positions as a difference.
fn difference(eg: &mut Eg, term: &Term, x: AxisId, y: AxisId) -> Result<Option<Id>, Error> {
    let window = match &term.head {
        Head::Ein { axes, guards } => {
            let leaves: Option<Vec<NodeId>> = term.args.iter().map(|&a| eg[a].data.leaf).collect();
            leaves.and_then(|l| window(eg, axes, guards, l))
        }
        // A number of positions.
        Head::Other(Op::Cast(_)) => eg[term.args[0]].data.leaf.and_then(|n| {
            let g = &eg.analysis.canon.g;
            let Op::Ein { axes, .. } = g.op(n) else { return None };
            window(eg, axes, g.guards(n), g.operands(n).to_vec())
        }),
        _ => None,
    };
    let Some(window) = window.filter(|w| (w.early, w.late) == (x, y)) else { return Ok(None) };
    if !eg.analysis.met(&PREFIX, 1, window.alone) {
        return Ok(None);
    }
    let (upto, sign) = upto(eg, &window)?;
    let c = &mut eg.analysis.canon;
    let early = c.make(&Op::Index(window.early), &[])?;
    let before = c.substitute(upto, &[(window.late, early)])?;
    let made = c.map(MapFn::Sub, &[upto, before])?;
    let mut made = c.float_of(made)?;
    if let Some(sign) = sign {
        // Not to be seen in a difference, nor does rounding keep it.
        let zero = c.float(0.0)?;
        made = c.map(if sign < 0 { MapFn::Min } else { MapFn::Max }, &[made, zero])?;
    }
    Ok(Some(build::leaf(eg, made)))
}

/// The sum over all positions up to that on `late`, or before it; and the sign of what is added.
fn upto(eg: &mut Eg, w: &Window) -> Result<(NodeId, Option<i32>), Error> {
    let c = &mut eg.analysis.canon;
    let here = c.make(&Op::Index(w.late), &[])?;
    let at = [(w.i, here)];
    let guards = w.guards.iter().map(|&g| c.substitute(g, &at)).collect::<Result<Vec<_>, _>>()?;
    let factors = w.factors.iter().map(|&f| c.substitute(f, &at)).collect::<Result<Vec<_>, _>>()?;
    let addend = c.ein(&[], &guards, &factors)?;
    let sign = c.sign(addend, &[], &|_| None);
    let wide = if c.g.dtype(addend).is_int() { DType::I32 } else { DType::F64 };
    let addend = if wide == DType::F64 { c.make(&Op::Cast(wide), &[addend])? } else { addend };
    let key = (w.late, false, addend);
    let sum = match eg.analysis.counted.get(&key) {
        Some(&made) => made,
        None => {
            let Carried { rec, last, started } = declare(eg, "prefix", w.late, false, &[addend], wide)?;
            let c = &mut eg.analysis.canon;
            let kept = c.ein(&[], &[started], &[last])?;
            let body = c.map(MapFn::Add, &[addend, kept])?;
            let made = c.raw(Op::Rec(rec), &[body])?;
            eg.analysis.counted.insert(key, made);
            made
        }
    };
    let sum = if w.strict { sum } else { eg.analysis.canon.map(MapFn::Sub, &[sum, addend])? };
    Ok((sum, sign))
}
