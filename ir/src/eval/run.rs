//! One evaluation: what is computed once and kept, in which order, and in which blocks.
//!
//! A value is *stored* over all that anyone reads of it when it does not vary with the rows of its reader (the keys, for a
//! block of queries), or when several stored values need it and it is not cheap; and only if it is small
//! enough. All else, above all what depends on two long axes, is evaluated again in each block of rows of a stored
//! value, and forgotten after the block. Blocks are cut so that a block's values fit a budget.

use super::decide::Given;
use super::demand::Shapes;
use super::frame::{Frame, assemble, bytes};
use super::region::{Positions, Region};
use super::value::Value;
use super::{Error, Evaluator, elementwise};
use crate::graph::{AxisId, Extremum, Graph, MapFn, NodeId, Op, RecId, Role};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The state of one evaluation.
pub(super) struct Run<'r> {
    pub(super) evaluator: &'r Evaluator<'r>,
    pub(super) graph: &'r Graph,
    stored: FxHashMap<NodeId, Value>,
    /// States of recurrences, by the position of the step that reads them as `prev`.
    carried: Mutex<FxHashMap<NodeId, BTreeMap<usize, Value>>>,
    multiply_adds: AtomicU64,
    /// A decision that is judged instead of made.
    judged: Option<(NodeId, Given<'r>)>,
}

/// A value to compute and keep.
struct Keep {
    node: NodeId,
    region: Region,
    /// Index of the last step that reads it; none for what was asked for.
    last_use: Option<usize>,
}

impl<'r> Run<'r> {
    pub(super) fn new(evaluator: &'r Evaluator<'r>) -> Self {
        Self {
            evaluator,
            graph: evaluator.graph,
            stored: evaluator.imposed.clone(),
            carried: Mutex::default(),
            multiply_adds: AtomicU64::new(0),
            judged: None,
        }
    }

    /// A run in which a decision's value is how far given decisions are from optimal, in units of the tolerance.
    pub(super) fn judge(evaluator: &'r Evaluator<'r>, node: NodeId, given: Given<'r>) -> Self {
        let mut run = Self::new(evaluator);
        run.stored.remove(&node);
        run.judged = Some((node, given));
        run
    }

    pub(super) fn judging(&self, node: NodeId) -> Option<Given<'r>> {
        self.judged.as_ref().filter(|j| j.0 == node).map(|j| j.1)
    }

    pub(super) fn shapes(&self) -> Shapes<'r> {
        Shapes { graph: self.graph, sizes: &self.evaluator.sizes }
    }

    pub(super) fn stored(&self, node: NodeId) -> Option<&Value> {
        self.stored.get(&node)
    }

    /// Recurrences whose state a node reads from within.
    pub(super) fn open(&self, node: NodeId) -> &[RecId] {
        &self.evaluator.open[node.index()]
    }

    pub(super) fn count(&self, multiply_adds: f64) {
        self.multiply_adds.fetch_add(multiply_adds as u64, Ordering::Relaxed);
    }

    pub(super) fn multiply_adds(&self) -> u64 {
        self.multiply_adds.load(Ordering::Relaxed)
    }

    /// How people know a node.
    pub(super) fn describe(&self, node: NodeId) -> String {
        super::describe(self.graph, node)
    }

    /// Refuses values that cannot be held.
    pub(super) fn check_size(&self, node: NodeId, region: &Region) -> Result<(), Error> {
        let need = bytes(self.graph.dtype(node), region);
        let limit = self.evaluator.options.memory;
        if need > limit as f64 {
            return Err(Error::Memory { node: self.describe(node), need: need as u64, limit: limit as u64 });
        }
        Ok(())
    }

    /// The step nearest to a position from which a recurrence can go on to it, if a state is at hand, with that state.
    pub(super) fn carried(&self, node: NodeId, reverse: bool, to: usize) -> Option<(usize, Value)> {
        let states = self.carried.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let states = states.get(&node)?;
        let near = if reverse { states.range(to..).next() } else { states.range(..=to).next_back() };
        near.map(|(&t, v)| (t, v.clone()))
    }

    /// Keeps a state for the step that reads it; of a recurrence that runs upwards, as blocks do, only the last one.
    pub(super) fn carry(&self, node: NodeId, reverse: bool, next: usize, state: Value) {
        let mut states = self.carried.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let states = states.entry(node).or_default();
        if !reverse {
            states.clear();
        }
        states.insert(next, state);
    }

    /// Values of some nodes over some boxes.
    pub(super) fn values(&mut self, roots: &[(NodeId, Region)]) -> Result<Vec<Value>, Error> {
        let steps = self.plan(roots);
        for (i, step) in steps.iter().enumerate() {
            if !self.stored.get(&step.node).is_some_and(|v| v.region.covers(&step.region)) {
                let value = self.blocks(step.node, &step.region)?;
                self.stored.insert(step.node, value);
            }
            for done in steps.iter().filter(|s| s.last_use == Some(i)) {
                if !self.evaluator.imposed.contains_key(&done.node) {
                    self.stored.remove(&done.node);
                }
            }
        }
        let frame = Frame::new(self);
        roots.iter().map(|(n, r)| frame.get(*n, r)).collect()
    }

    /// The values to store, operands first.
    fn plan(&self, roots: &[(NodeId, Region)]) -> Vec<Keep> {
        /// A reader: the stored value (or recurrence) below which a node stands, and the axis of the node that is the
        /// reader's axis of rows.
        type Reader = (NodeId, Option<AxisId>);
        struct Wanted {
            region: Region,
            readers: SmallVec<[Reader; 2]>,
            asked: bool,
        }
        let mut pending: BTreeMap<NodeId, Wanted> = BTreeMap::new();
        for (n, r) in roots {
            let w = pending.entry(*n).or_insert_with(|| Wanted {
                region: r.clone(),
                readers: SmallVec::new(),
                asked: true,
            });
            w.region = w.region.union(r);
        }
        let mut keep: Vec<(NodeId, Region, bool)> = Vec::new();
        let mut readers_of: FxHashMap<NodeId, SmallVec<[NodeId; 2]>> = FxHashMap::default();
        while let Some((node, wanted)) = pending.pop_last() {
            let op = self.graph.op(node);
            readers_of.insert(node, wanted.readers.iter().map(|r| r.0).collect());
            // Before the first step only imposed values are stored.
            if matches!(op, Op::Input(_) | Op::Const(_) | Op::Index(_) | Op::Prev(_)) || self.stored.contains_key(&node)
            {
                continue;
            }
            let small = bytes(self.graph.dtype(node), &wanted.region) <= self.evaluator.options.store as f64;
            let invariant = wanted.readers.iter().any(|r| r.1.is_none());
            let first = wanted.readers.first().map(|r| r.0);
            let shared = wanted.readers.iter().any(|r| Some(r.0) != first);
            let costly = op.is_reduction() || matches!(op, Op::Rec(_));
            let store = wanted.asked || (self.open(node).is_empty() && small && (invariant || (shared && costly)));
            let readers: SmallVec<[Reader; 2]> = if store {
                keep.push((node, wanted.region.clone(), wanted.asked));
                SmallVec::from_elem((node, self.rows(&wanted.region)), 1)
            } else {
                wanted.readers
            };
            let mut push = |n: NodeId, region: Region, reader: Reader| {
                let w = pending.entry(n).or_insert_with(|| Wanted {
                    region: region.clone(),
                    readers: SmallVec::new(),
                    asked: false,
                });
                w.region = w.region.union(&region);
                if !w.readers.contains(&reader) {
                    w.readers.push(reader);
                }
            };
            if let Op::Rec(r) = op {
                let decl = self.graph.rec(*r);
                let time = decl.time;
                let body = self.graph.args(node)[0];
                let mut region = self.shapes().full(self.graph.free(body));
                if let (Some(p), true) = (wanted.region.get(time), region.get(time).is_some()) {
                    region.set(time, p.steps(decl.reverse, self.evaluator.sizes.of(time)));
                }
                push(body, region.clone(), (node, region.get(time).map(|_| time)));
                continue;
            }
            for (n, region) in self.shapes().operands(node, &wanted.region) {
                for &(reader, rows) in &readers {
                    push(n, region.clone(), (reader, rows.and_then(|a| self.rows_below(node, n, a))));
                }
            }
        }
        keep.reverse();
        let step_of: FxHashMap<NodeId, usize> = keep.iter().enumerate().map(|(i, k)| (k.0, i)).collect();
        // Readers that are not stored themselves are recurrences, read by others.
        let last_use = |node: NodeId| -> Option<usize> {
            let mut open: Vec<NodeId> = readers_of.get(&node).map_or_else(Vec::new, |r| r.to_vec());
            let mut last = None;
            let mut seen: Vec<NodeId> = Vec::new();
            while let Some(n) = open.pop() {
                if seen.contains(&n) {
                    continue;
                }
                seen.push(n);
                match step_of.get(&n) {
                    Some(&i) => last = last.max(Some(i)),
                    None => open.extend(readers_of.get(&n).into_iter().flatten().copied()),
                }
            }
            last
        };
        keep.into_iter()
            .map(|(node, region, asked)| Keep { node, last_use: if asked { None } else { last_use(node) }, region })
            .collect()
    }

    /// The axis along which a box is cut into blocks first: the longest, time before others.
    fn rows(&self, region: &Region) -> Option<AxisId> {
        let time = |a: AxisId| self.graph.domain_of(a).role == Role::Time;
        region
            .iter()
            .filter(|(_, p)| p.len() > 1)
            .max_by_key(|(a, p)| (p.len(), time(*a), std::cmp::Reverse(*a)))
            .map(|(a, _)| a)
    }

    /// Which axis of an operand runs with axis `rows` of the node.
    fn rows_below(&self, node: NodeId, operand: NodeId, rows: AxisId) -> Option<AxisId> {
        let free = self.graph.free(operand);
        if let Op::Sub { axes } = self.graph.op(node) {
            let args = self.graph.args(node);
            if operand == args[0] && !args[1..].contains(&operand) {
                let renamed = axes
                    .iter()
                    .zip(&args[1..])
                    .find(|(a, p)| free.contains(**a) && *self.graph.op(**p) == Op::Index(rows));
                return match renamed {
                    Some((&a, _)) => Some(a),
                    None => Some(rows).filter(|r| free.contains(*r) && !axes.contains(r)),
                };
            }
        }
        Some(rows).filter(|r| free.contains(*r))
    }

    /// Bytes of all values of a block, and the recurrences in it.
    fn estimate(&self, frame: &Frame<'_>, node: NodeId, region: &Region) -> (f64, SmallVec<[RecId; 2]>) {
        let mut recs = SmallVec::new();
        let mut total = 0.0;
        for (n, r) in frame.demand(&[(node, region.clone())]) {
            total += bytes(self.graph.dtype(n), &r);
            if let Op::Rec(rec) = self.graph.op(n) {
                recs.push(*rec);
            }
        }
        (total, recs)
    }

    /// Computes a value over a box, in blocks.
    fn blocks(&self, node: NodeId, region: &Region) -> Result<Value, Error> {
        self.check_size(node, region)?;
        let budget = self.evaluator.options.block as f64;
        let mut chunk: BTreeMap<AxisId, usize> = region.iter().map(|(a, p)| (a, p.len())).collect();
        let block = |chunk: &BTreeMap<AxisId, usize>| -> Region {
            region.iter().map(|(a, p)| (a, p.chunk(0, chunk[&a]))).collect()
        };
        let frame = Frame::new(self);
        let (mut need, recs) = self.estimate(&frame, node, region);
        // A recurrence keeps its state from one block to the next, if blocks follow each other in its time.
        let can_cut = |a: AxisId| recs.iter().all(|&r| self.graph.rec(r).time == a);
        while need > budget {
            let mut best: Option<(f64, AxisId)> = None;
            for (&a, &n) in chunk.iter().filter(|(a, n)| **n > 1 && can_cut(**a)) {
                let mut cut = chunk.clone();
                cut.insert(a, n.div_ceil(2));
                let (less, _) = self.estimate(&frame, node, &block(&cut));
                if best.is_none_or(|b| less < b.0) {
                    best = Some((less, a));
                }
            }
            match best {
                Some((less, a)) if less < 0.95 * need => {
                    if let Some(n) = chunk.get_mut(&a) {
                        *n = n.div_ceil(2);
                    }
                    need = less;
                }
                _ => break,
            }
        }
        let part =
            if need > budget && recs.is_empty() { self.cut_bound(node, &block(&chunk), &mut need) } else { None };
        if need > self.evaluator.options.memory as f64 {
            let limit = self.evaluator.options.memory as u64;
            return Err(Error::Memory { node: self.describe(node), need: need as u64, limit });
        }
        let mut regions = vec![region.clone()];
        for (a, p) in region.iter() {
            let n = chunk[&a].max(1);
            if n >= p.len() {
                continue;
            }
            regions = regions
                .iter()
                .flat_map(|r| {
                    (0..p.len()).step_by(n).map(move |i| {
                        let mut r = r.clone();
                        r.set(a, p.chunk(i, n));
                        r
                    })
                })
                .collect();
        }
        let one = |r: &Region| self.block(node, r, part);
        let parts: Vec<Value> = if regions.len() > 1 && recs.is_empty() {
            regions.par_iter().map(one).collect::<Result<_, _>>()?
        } else {
            regions.iter().map(one).collect::<Result<_, _>>()?
        };
        assemble(region, parts).ok_or_else(|| Error::Malformed { node: self.describe(node) })
    }

    /// One block of a value; where `part` says so, by parts of an axis that the node sums over.
    fn block(&self, node: NodeId, region: &Region, part: Option<(AxisId, usize)>) -> Result<Value, Error> {
        let Some((axis, length)) = part else {
            let mut frame = Frame::new(self);
            frame.eval(&[(node, region.clone())])?;
            return frame.get(node, region);
        };
        let join = match self.graph.op(node) {
            Op::Reduce { extremum: Extremum::Max, .. } => MapFn::Max,
            Op::Reduce { extremum: Extremum::Min, .. } => MapFn::Min,
            _ => MapFn::Add,
        };
        let all = Positions::full(self.evaluator.sizes.of(axis));
        let mut total: Option<Value> = None;
        for i in (0..all.len()).step_by(length.max(1)) {
            let mut frame = Frame::partial(self, Some((node, axis, all.chunk(i, length))));
            frame.eval(&[(node, region.clone())])?;
            let value = frame.get(node, region)?;
            total = Some(match total {
                None => value,
                Some(t) => elementwise::map(join, region, &[t, value])
                    .ok_or_else(|| Error::Malformed { node: self.describe(node) })?,
            });
        }
        total.ok_or_else(|| Error::Malformed { node: self.describe(node) })
    }

    /// The axis of a sum or extremum that is best covered in parts, and how long the parts should be.
    fn cut_bound(&self, node: NodeId, region: &Region, need: &mut f64) -> Option<(AxisId, usize)> {
        let (Op::Ein { axes, .. } | Op::Reduce { axes, .. }) = self.graph.op(node) else { return None };
        let mut found: Option<(AxisId, usize)> = None;
        while *need > self.evaluator.options.block as f64 {
            let candidates = axes.iter().filter(|&&a| found.is_none_or(|f| f.0 == a)).filter_map(|&a| {
                let full = self.evaluator.sizes.of(a);
                let length = found.map_or(full, |f| f.1).div_ceil(2);
                if full < 2 || found.is_some_and(|f| f.1 < 2) {
                    return None;
                }
                let frame = Frame::partial(self, Some((node, a, Positions::full(length))));
                Some((self.estimate(&frame, node, region).0, a, length))
            });
            match candidates.min_by(|x, y| x.0.total_cmp(&y.0)) {
                Some((less, axis, length)) if less < 0.95 * *need => {
                    found = Some((axis, length));
                    *need = less;
                }
                _ => break,
            }
        }
        found
    }
}
