//! Recurrences: sequential in their time axis, in chunks within which everything that does not read the state is
//! evaluated at once.

use super::Error;
use super::frame::{Frame, Step, assemble, bytes, undefined};
use super::region::{Positions, Region};
use super::run::Run;
use super::value::{IntoData, Value};
use crate::dtype::{Class, DType};
use crate::graph::{AxisId, NodeId, Op, RecId};
use std::collections::BTreeMap;

/// A recurrence over the wanted positions of its time axis.
pub(super) fn recur(frame: &Frame<'_>, node: NodeId, rec: RecId, region: &Region) -> Result<Value, Error> {
    let run = frame.run;
    let graph = run.graph;
    let body = graph.args(node)[0];
    let decl = graph.rec(rec);
    let wanted = region.get(decl.time).cloned().unwrap_or(Positions::full(0));
    // All of the state: a step may read any part of it. But a time axis of a recurrence around this one has one position.
    let state: Region = graph
        .free(node)
        .iter()
        .filter(|&a| a != decl.time)
        .map(|a| {
            let all = Positions::full(run.evaluator.sizes.of(a));
            (a, if frame.is_stepping_over(a) { region.get(a).cloned().unwrap_or(all) } else { all })
        })
        .collect();
    let at = |region: &Region, positions: Positions| {
        let mut r = region.clone();
        r.set(decl.time, positions);
        r
    };
    let like = match decl.dtype.class() {
        Class::Float => Vec::<f64>::new().into_data(),
        Class::Int => Vec::<i64>::new().into_data(),
        Class::Bool => Vec::<u8>::new().into_data(),
    };
    if wanted.len() == 0 {
        return Ok(Value { region: region.clone(), data: like });
    }
    let reverse = decl.reverse;
    let steps = wanted.steps(reverse, run.evaluator.sizes.of(decl.time));
    let (Some(mut low), Some(mut high)) = (steps.first(), steps.last()) else {
        return Err(Error::Malformed { node: run.describe(node) });
    };
    let near = wanted.get(if reverse { wanted.len() - 1 } else { 0 });
    let carried = if frame.in_step() { None } else { run.carried(node, reverse, near) };
    let anew = carried.is_none();
    let mut previous = None;
    if let Some((t, v)) = carried {
        *(if reverse { &mut high } else { &mut low }) = t;
        previous = Some(v);
    }
    let begin = if reverse { high } else { low };
    let one = at(&state, Positions::Range { start: begin, len: 1 });
    let marks = Marks::new(run, decl.dtype, &one, &wanted, high);
    let chunk = chunk_length(frame, rec, body, &one, high + 1 - low);
    let mut parts: Vec<Value> = Vec::new();
    while low <= high {
        let len = chunk.min(high + 1 - low);
        let here = Positions::Range { start: if reverse { high + 1 - len } else { low }, len };
        let mut ahead = frame.child(None);
        let roots = frontier(frame, rec, body, &at(&state, here.clone()));
        ahead.eval(&roots)?;
        for i in 0..len {
            let t = here.get(if reverse { len - 1 - i } else { i });
            let here = at(&state, Positions::Range { start: t, len: 1 });
            let none = || undefined(prev_of(frame, rec).unwrap_or(node), &like, here.clone());
            let prev = match previous.take() {
                Some(Value { data, .. }) => {
                    let prev = Value { region: here.clone(), data };
                    if reverse { without_ends(frame, decl.time, t, prev, none) } else { Some(prev) }
                }
                None => Some(none()),
            };
            let prev = prev.ok_or_else(|| Error::Malformed { node: run.describe(node) })?;
            let mut step = ahead.child(Some(Step { rec, prev }));
            let body_region = here.restrict(graph.free(body));
            step.eval(&[(body, body_region.clone())])?;
            let value = step.get(body, &body_region)?.over(&here);
            if wanted.find(t).is_some() {
                parts.push(value.over(&at(region, Positions::Range { start: t, len: 1 })));
            }
            if reverse && anew && !frame.in_step() && marks.is_at(t) {
                run.carry(node, reverse, t - 1, value.clone());
            }
            previous = Some(value);
        }
        if !reverse {
            low += len;
        } else if let Some(next) = (high + 1 - len).checked_sub(1) {
            high = next;
        } else {
            break;
        }
    }
    if let (false, false, Some(v)) = (frame.in_step(), reverse, previous) {
        run.carry(node, reverse, high + 1, v);
    }
    assemble(region, parts).ok_or_else(|| Error::Malformed { node: run.describe(node) })
}

/// `prev` at a step of a reverse recurrence, given the state of the step before: in a ragged batch, elements whose last
/// position this is have none.
fn without_ends(frame: &Frame<'_>, time: AxisId, t: usize, prev: Value, none: impl FnOnce() -> Value) -> Option<Value> {
    let Some((batch, lengths)) = frame.run.evaluator.sizes.ragged(time) else { return Some(prev) };
    let Some(rows) = prev.region.get(batch) else { return Some(prev) };
    let (on, ended): (Vec<usize>, Vec<usize>) = rows.iter().partition(|&b| lengths.get(b).is_some_and(|&n| t + 1 < n));
    if ended.is_empty() {
        return Some(prev);
    }
    let of = |rows: Vec<usize>| {
        let mut region = prev.region.clone();
        region.set(batch, Positions::from_sorted(rows));
        region
    };
    let parts = vec![prev.over(&of(on)), none().over(&of(ended))];
    assemble(&prev.region, parts)
}

/// Where a reverse recurrence keeps its state. Blocks go upwards; each of them then goes on from the state above it.
struct Marks {
    first: usize,
    /// A multiple of the blocks' length. None if the first block is the last.
    stride: Option<usize>,
}

impl Marks {
    fn new(run: &Run<'_>, dtype: DType, state: &Region, wanted: &Positions, high: usize) -> Self {
        let (first, last) = (wanted.first().unwrap_or(0), wanted.last().unwrap_or(0));
        let block = last + 1 - first;
        let blocks = (high - last.min(high)).div_ceil(block);
        let room = ((run.evaluator.options.store as f64 / bytes(dtype, state).max(1.0)) as usize).max(1);
        Self { first, stride: (blocks > 0).then(|| block * blocks.div_ceil(room)) }
    }

    /// Is the state of this position kept for the step below?
    fn is_at(&self, t: usize) -> bool {
        self.stride.is_some_and(|n| t > self.first && (t - self.first).is_multiple_of(n))
    }
}

fn prev_of(frame: &Frame<'_>, rec: RecId) -> Option<NodeId> {
    frame.run.graph.ids().find(|&n| *frame.run.graph.op(n) == Op::Prev(rec))
}

/// What the body reads that does not itself read the state, nor that of a recurrence inside the body.
fn frontier(frame: &Frame<'_>, rec: RecId, body: NodeId, region: &Region) -> Vec<(NodeId, Region)> {
    let run = frame.run;
    let time = |a| a == run.graph.rec(rec).time || frame.is_stepping_over(a);
    let mut pending: BTreeMap<NodeId, Vec<Region>> = BTreeMap::new();
    pending.insert(body, vec![region.restrict(run.graph.free(body))]);
    let mut found = Vec::new();
    while let Some((node, regions)) = pending.pop_last() {
        for r in regions {
            if run.open(node).iter().all(|&r| frame.stepping(r).is_some()) {
                found.push((node, r));
                continue;
            }
            let inner: Vec<(NodeId, Region)> = match run.graph.op(node) {
                Op::Rec(_) => {
                    let body = run.graph.args(node)[0];
                    let mut all = run.shapes().full(run.graph.free(body));
                    for (a, p) in r.iter().filter(|(a, _)| time(*a) && run.graph.free(body).contains(*a)) {
                        all.set(a, p.clone());
                    }
                    vec![(body, all)]
                }
                _ => run.shapes().operands(node, &r).into_vec(),
            };
            for (n, r) in inner {
                let wanted = pending.entry(n).or_default();
                if !wanted.iter().any(|w| w.covers(&r)) {
                    wanted.push(r);
                }
            }
        }
    }
    found
}

/// How many steps are prepared at once: as many as the memory of a block allows.
fn chunk_length(frame: &Frame<'_>, rec: RecId, body: NodeId, one: &Region, steps: usize) -> usize {
    let run = frame.run;
    let roots = frontier(frame, rec, body, one);
    let step: f64 = frame.demand(&roots).iter().map(|(n, r)| bytes(run.graph.dtype(*n), r)).sum();
    ((run.evaluator.options.block as f64 / 2.0 / step.max(1.0)) as usize).clamp(1, steps.max(1))
}
