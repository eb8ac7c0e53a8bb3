//! Linear recurrences of a graph: `S[t] = b[t] + a[t] S[t - 1]`, and `b[t]` at the first position.

use super::carried::started;
use super::workshop::Workshop;
use crate::canon::Canon;
use rustc_hash::FxHashSet;
use weft_ir::graph::{AxisId, Error, MapFn, NodeId, Op, RecDecl, RecId};

/// A linear recurrence, element by element.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Linear {
    /// The axis over which it runs.
    pub(crate) time: AxisId,
    /// From the last position to the first?
    pub(crate) reverse: bool,
    /// `b`
    pub(crate) addend: NodeId,
    /// `a`; without it, everything is kept.
    pub(crate) kept: Option<NodeId>,
}

/// A recurrence as a linear one, if it is one that starts at the end of the sequence only.
///
/// # Errors
/// Never for terms of the workshop.
pub(crate) fn linear(w: &mut Workshop, node: NodeId) -> Result<Option<Linear>, Error> {
    let c = &mut w.canon;
    let &Op::Rec(rec) = c.g.op(node) else { return Ok(None) };
    let RecDecl { time, reverse, dtype, state, .. } = c.g.rec(rec).clone();
    let body = c.g.args(node)[0];
    if !dtype.is_float() || state.iter().any(|&a| c.is_long(a)) {
        return Ok(None);
    }
    let addends = if *c.g.op(body) == Op::Map(MapFn::Add) { c.g.args(body).to_vec() } else { vec![body] };
    let (with, without): (Vec<NodeId>, Vec<NodeId>) = addends.into_iter().partition(|&n| !open(c, n).is_empty());
    let &[step] = &with[..] else { return Ok(None) };
    let plain = matches!(c.g.op(step), Op::Ein { axes, .. } if axes.is_empty());
    if !plain || without.is_empty() {
        return Ok(None);
    }
    let guards = c.g.guards(step).to_vec();
    let (last, others): (Vec<NodeId>, Vec<NodeId>) =
        c.g.operands(step).iter().partition(|&&n| *c.g.op(n) == Op::Prev(rec));
    if last.len() != 1 || others.iter().chain(&guards).any(|&n| !open(c, n).is_empty()) {
        return Ok(None);
    }
    let started = started(c, time, reverse)?;
    let first_only = w.implied(&guards, started) && guards.iter().all(|&g| w.implied(&[started], g));
    if !first_only {
        return Ok(None);
    }
    let c = &mut w.canon;
    let addend = c.sum_of(&without)?;
    let kept = if others.is_empty() { None } else { Some(c.ein(&[], &[], &others)?) };
    Ok(Some(Linear { time, reverse, addend, kept }))
}

/// Recurrences whose previous state a term reads, and that it stands in.
fn open(c: &Canon, node: NodeId) -> FxHashSet<RecId> {
    let (mut read, mut closed) = (FxHashSet::default(), FxHashSet::default());
    let mut seen = FxHashSet::default();
    let mut stack = vec![node];
    while let Some(n) = stack.pop() {
        if !seen.insert(n) {
            continue;
        }
        match c.g.op(n) {
            Op::Prev(r) => read.insert(*r),
            Op::Rec(r) => closed.insert(*r),
            _ => false,
        };
        stack.extend(c.g.args(n));
    }
    read.retain(|r| !closed.contains(r));
    read
}

/// The logarithm of a factor that is positive whatever the data are: of an exponential, a sigmoid, a number, and products of these.
///
/// # Errors
/// Never for terms of the workshop.
pub(crate) fn logarithm(c: &mut Canon, node: NodeId) -> Result<Option<NodeId>, Error> {
    let args = c.g.args(node).to_vec();
    if let Some(k) = c.g.constant(node) {
        return if k.as_f64() > 0.0 { c.float(k.as_f64().ln()).map(Some) } else { Ok(None) };
    }
    match c.g.op(node).clone() {
        Op::Map(MapFn::Exp) => Ok(Some(args[0])),
        Op::Map(MapFn::Inv) => {
            let Some(x) = logarithm_of_sum(c, args[0])? else { return Ok(None) };
            let minus = c.float(-1.0)?;
            c.ein(&[], &[], &[minus, x]).map(Some)
        }
        Op::Ein { axes, .. } if axes.is_empty() && c.g.guards(node).is_empty() => {
            let mut logs = Vec::new();
            for f in c.g.operands(node).to_vec() {
                let Some(log) = logarithm(c, f)? else { return Ok(None) };
                logs.push(log);
            }
            c.sum_of(&logs).map(Some)
        }
        _ => Ok(None),
    }
}

/// `log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))`
fn logarithm_of_sum(c: &mut Canon, node: NodeId) -> Result<Option<NodeId>, Error> {
    let one = c.float(1.0)?;
    let args = c.g.args(node).to_vec();
    let (Op::Map(MapFn::Add), &[a, b]) = (c.g.op(node).clone(), &args[..]) else { return Ok(None) };
    let other = if a == one {
        b
    } else if b == one {
        a
    } else {
        return Ok(None);
    };
    let Op::Map(MapFn::Exp) = c.g.op(other) else { return Ok(None) };
    let x = c.g.args(other)[0];
    let (zero, minus) = (c.float(0.0)?, c.float(-1.0)?);
    let positive = c.map(MapFn::Max, &[x, zero])?;
    let size = c.map(MapFn::Abs, &[x])?;
    let size = c.ein(&[], &[], &[minus, size])?;
    let small = c.map(MapFn::Exp, &[size])?;
    let sum = c.sum_of(&[one, small])?;
    let log = c.map(MapFn::Log, &[sum])?;
    c.sum_of(&[positive, log]).map(Some)
}
