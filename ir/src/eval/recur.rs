//! Recurrences: sequential in their time axis, in chunks within which everything that does not read the state is
//! evaluated at once.

use super::Error;
use super::frame::{Frame, Step, assemble, bytes, undefined};
use super::region::{Positions, Region};
use super::value::{IntoData, Value};
use crate::dtype::Class;
use crate::graph::{NodeId, Op, RecId};
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
    let Some(last) = wanted.last() else { return Ok(Value { region: region.clone(), data: like }) };
    let carried = if frame.in_step() { None } else { run.carried(node, wanted.get(0)) };
    let (start, mut previous) = match carried {
        Some((t, v)) => (t, Some(v)),
        None => (0, None),
    };
    let one = at(&state, Positions::Range { start, len: 1 });
    let chunk = chunk_length(frame, rec, body, &one, last + 1 - start);
    let mut parts: Vec<Value> = Vec::new();
    let mut t0 = start;
    while t0 <= last {
        let len = chunk.min(last + 1 - t0);
        let mut ahead = frame.child(None);
        let roots = frontier(frame, rec, body, &at(&state, Positions::Range { start: t0, len }));
        ahead.eval(&roots)?;
        for t in t0..t0 + len {
            let here = at(&state, Positions::Range { start: t, len: 1 });
            let prev = match previous.take() {
                Some(Value { data, .. }) => Value { region: here.clone(), data },
                None => undefined(prev_of(frame, rec).unwrap_or(node), &like, here.clone()),
            };
            let mut step = ahead.child(Some(Step { rec, prev }));
            let body_region = here.restrict(graph.free(body));
            step.eval(&[(body, body_region.clone())])?;
            let value = step.get(body, &body_region)?.over(&here);
            if wanted.find(t).is_some() {
                parts.push(value.over(&at(region, Positions::Range { start: t, len: 1 })));
            }
            previous = Some(value);
        }
        t0 += len;
    }
    if let (false, Some(v)) = (frame.in_step(), previous) {
        run.carry(node, last + 1, v);
    }
    assemble(region, parts).ok_or_else(|| Error::Malformed { node: run.describe(node) })
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
