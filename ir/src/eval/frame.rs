//! Evaluation of some nodes over some boxes, with everything between them and what is known already.
//!
//! Demands go down the graph from users to operands; values come up again. A node may be wanted over several boxes (a
//! score at (t, j) and at (j, t)); each is computed.

use super::demand::Shapes;
use super::poison;
use super::region::{Positions, Region};
use super::run::Run;
use super::value::{Data, IntoData, Item, Value};
use super::{Error, elementwise, gather};
use crate::graph::{AxisId, NodeId, Op, RecId, Scalar};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The state of a recurrence while one step of it is evaluated.
pub(super) struct Step {
    pub(super) rec: RecId,
    /// `prev` over the state at the position of this step.
    pub(super) prev: Value,
}

/// Values of one evaluation. A child sees the values of its parents.
pub(super) struct Frame<'r> {
    pub(super) run: &'r Run<'r>,
    parent: Option<&'r Frame<'r>>,
    values: FxHashMap<NodeId, SmallVec<[Value; 1]>>,
    step: Option<Step>,
    /// A bound axis of one node that is to be covered only in part.
    pub(super) part: Option<(NodeId, AxisId, Positions)>,
}

impl<'r> Frame<'r> {
    pub(super) fn new(run: &'r Run<'r>) -> Self {
        Self { run, parent: None, values: FxHashMap::default(), step: None, part: None }
    }

    /// A frame in which the sum or extremum `part.0` covers only some positions of its bound axis `part.1`.
    pub(super) fn partial(run: &'r Run<'r>, part: Option<(NodeId, AxisId, Positions)>) -> Self {
        Self { part, ..Self::new(run) }
    }

    pub(super) fn child(&'r self, step: Option<Step>) -> Self {
        Self { run: self.run, parent: Some(self), values: FxHashMap::default(), step, part: None }
    }

    pub(super) fn shapes(&self) -> Shapes<'r> {
        self.run.shapes()
    }

    /// Position of `prev` on the time axis, if a step of that recurrence is being evaluated here.
    pub(super) fn stepping(&self, rec: RecId) -> Option<&Step> {
        let here = self.step.as_ref().filter(|s| s.rec == rec);
        here.or_else(|| self.parent.and_then(|p| p.stepping(rec)))
    }

    /// Is a step of a recurrence over this axis being evaluated?
    pub(super) fn is_stepping_over(&self, axis: AxisId) -> bool {
        self.step.as_ref().is_some_and(|s| self.run.graph.rec(s.rec).time == axis)
            || self.parent.is_some_and(|p| p.is_stepping_over(axis))
    }

    /// Is a step of any recurrence being evaluated?
    pub(super) fn in_step(&self) -> bool {
        self.step.is_some() || self.parent.is_some_and(Self::in_step)
    }

    fn held(&self, node: NodeId, region: &Region) -> Option<&Value> {
        let own = self.values.get(&node).and_then(|vs| vs.iter().find(|v| v.region.covers(region)));
        own.or_else(|| self.parent.and_then(|p| p.held(node, region)))
    }

    /// Is a value over the box known without evaluating anything?
    fn known(&self, node: NodeId, region: &Region) -> bool {
        match self.run.graph.op(node) {
            Op::Input(_) | Op::Const(_) | Op::Index(_) => true,
            Op::Prev(r) => self.stepping(*r).is_some_and(|s| s.prev.region.covers(region)),
            _ => self.run.stored(node).is_some_and(|v| v.region.covers(region)) || self.held(node, region).is_some(),
        }
    }

    /// A known value over a box.
    pub(super) fn get(&self, node: NodeId, region: &Region) -> Result<Value, Error> {
        let run = self.run;
        if let Some(v) = run.stored(node).filter(|v| v.region.covers(region)) {
            return Ok(v.over(region));
        }
        match run.graph.op(node) {
            Op::Input(i) => Ok(run.evaluator.inputs[i.index()].over(region)),
            Op::Const(c) => Ok(Value::scalar(match c {
                Scalar::Bool(b) => Item::B(u8::from(*b)),
                Scalar::Int(i) => Item::I(*i),
                Scalar::Float(f) => Item::F(f64::from_bits(*f)),
            })),
            Op::Index(a) => run.check_size(node, region).map(|()| index(*a, region)),
            Op::Prev(r) => match self.stepping(*r) {
                Some(s) if s.prev.region.covers(region) => Ok(s.prev.over(region)),
                _ => Err(Error::Unsupported {
                    node: run.describe(node),
                    what: "is read at another position than that of the step before, or summed over time".into(),
                }),
            },
            _ => match self.held(node, region) {
                Some(v) => Ok(v.over(region)),
                None => Err(Error::Malformed { node: run.describe(node) }),
            },
        }
    }

    /// Operands and the boxes read of them, where a bound axis may be covered in part.
    fn operands(&self, node: NodeId, region: &Region) -> SmallVec<[(NodeId, Region); 4]> {
        let mut all = self.shapes().operands(node, region);
        if let Some((_, axis, positions)) = self.part.as_ref().filter(|p| p.0 == node) {
            for (_, r) in &mut all {
                if r.get(*axis).is_some() {
                    r.set(*axis, positions.clone());
                }
            }
        }
        all
    }

    /// What must be evaluated for some nodes over some boxes, operands first.
    pub(super) fn demand(&self, roots: &[(NodeId, Region)]) -> Vec<(NodeId, Region)> {
        let mut pending: BTreeMap<NodeId, SmallVec<[Region; 1]>> = BTreeMap::new();
        let push = |pending: &mut BTreeMap<NodeId, SmallVec<[Region; 1]>>, node, region: Region| {
            let wanted = pending.entry(node).or_default();
            if !wanted.iter().any(|w| w.covers(&region)) {
                wanted.retain(|w| !region.covers(w));
                wanted.push(region);
            }
        };
        for (n, r) in roots {
            push(&mut pending, *n, r.clone());
        }
        let mut order = Vec::new();
        while let Some((node, regions)) = pending.pop_last() {
            for region in regions {
                if self.known(node, &region) {
                    continue;
                }
                for (n, r) in self.operands(node, &region) {
                    push(&mut pending, n, r);
                }
                order.push((node, region));
            }
        }
        order.reverse();
        order
    }

    /// Evaluates some nodes over some boxes; `get` then has them.
    pub(super) fn eval(&mut self, roots: &[(NodeId, Region)]) -> Result<(), Error> {
        for (node, region) in self.demand(roots) {
            self.run.check_size(node, &region)?;
            let value = self.compute(node, &region)?;
            self.values.entry(node).or_default().push(value);
        }
        Ok(())
    }

    fn compute(&self, node: NodeId, region: &Region) -> Result<Value, Error> {
        let graph = self.run.graph;
        let op = graph.op(node);
        let malformed = || Error::Malformed { node: self.run.describe(node) };
        match op {
            Op::Rec(r) => return super::recur::recur(self, node, *r, region),
            // It is known wherever it may be read.
            Op::Prev(_) => return self.get(node, region),
            _ => {}
        }
        let demands = self.operands(node, region);
        let args: SmallVec<[Value; 4]> = demands.iter().map(|(n, r)| self.get(*n, r)).collect::<Result<_, _>>()?;
        let value = match op {
            Op::Size(d) => Some(self.size(*d, region)),
            Op::Map(f) => elementwise::map(*f, region, &args),
            Op::Cast(to) => Some(elementwise::cast(*to, node, &args[0])),
            Op::Select => elementwise::select(node, region, &args[0], &args[1], &args[2]),
            Op::Stop | Op::Ste => Some(args[0].clone()),
            Op::Sub { axes } => Some(self.substitute(node, axes, region, &args)),
            _ => self.reduction(node, region, &args)?,
        };
        Ok(value.ok_or_else(malformed)?.over(region))
    }

    fn size(&self, domain: crate::graph::DomainId, region: &Region) -> Value {
        let sizes = &self.run.evaluator.sizes;
        match (sizes.ragged_domain(domain), region.iter().next()) {
            (Some((batch, lengths)), Some((axis, positions))) if batch == axis => {
                let data: Vec<i64> = positions.iter().map(|p| lengths.get(p).map_or(0, |&l| l as i64)).collect();
                Value::new(region.clone(), data)
            }
            _ => Value::scalar(Item::I(sizes.domain(domain) as i64)).over(region),
        }
    }

    fn substitute(&self, node: NodeId, axes: &[AxisId], region: &Region, args: &[Value]) -> Value {
        let graph = self.run.graph;
        let sizes = &self.run.evaluator.sizes;
        let body = graph.args(node)[0];
        let free = graph.free(body);
        let used: SmallVec<[AxisId; 4]> = axes.iter().copied().filter(|&a| free.contains(a)).collect();
        let indices: Vec<gather::Index<'_>> =
            used.iter().zip(&args[1..]).map(|(&axis, at)| gather::Index { axis, at, extent: sizes.of(axis) }).collect();
        // Padding of an input is poison already.
        let is_input = matches!(graph.op(body), Op::Input(_));
        let position = |axis: AxisId| match used.iter().position(|&a| a == axis) {
            Some(i) => args[i + 1].clone(),
            None => index(axis, &region.restrict(&std::iter::once(axis).collect())),
        };
        let ragged: Vec<gather::Ragged<'_>> = free
            .iter()
            .filter_map(|axis| {
                let (batch, lengths) = sizes.ragged(axis).filter(|r| !is_input && free.contains(r.0))?;
                // What keeps both axes as they are stays inside.
                let moved = used.contains(&axis) || used.contains(&batch);
                moved.then(|| gather::Ragged { at: position(axis), batch: position(batch), lengths })
            })
            .collect();
        gather::gather(node, region, &args[0], &indices, &ragged)
    }
}

/// The positions on an axis.
fn index(axis: AxisId, region: &Region) -> Value {
    let positions = region.get(axis).map_or_else(Vec::new, |p| p.iter().map(|i| i as i64).collect());
    Value::new(region.clone(), positions)
}

/// A value that is poison everywhere.
pub(super) fn undefined(node: NodeId, like: &Data, region: Region) -> Value {
    let n: usize = region.shape().iter().product();
    let data = match like {
        Data::F(_) => vec![poison::float(node); n].into_data(),
        Data::I(_) => vec![poison::int(node); n].into_data(),
        Data::B(_) => vec![poison::BOOL; n].into_data(),
    };
    Value { region, data }
}

/// Bytes of a value of this node over a box.
pub(super) fn bytes(dtype: crate::DType, region: &Region) -> f64 {
    region.volume() * if dtype == crate::DType::Bool { 1.0 } else { 8.0 }
}

/// Joins values over disjoint boxes into one over a box that they cover.
pub(super) fn assemble(region: &Region, parts: Vec<Value>) -> Option<Value> {
    let mut parts = parts.into_iter();
    let first = parts.next()?;
    if first.region == *region {
        return Some(first);
    }
    let mut whole = undefined(NodeId(0), &first.data, region.clone());
    let axes = region.axes();
    let strides = whole.strides(&axes);
    for part in std::iter::once(first).chain(parts) {
        let tables: SmallVec<[Vec<usize>; 6]> = region
            .iter()
            .zip(&strides)
            .map(|((a, own), s)| {
                part.region.get(a).map_or_else(Vec::new, |p| p.iter().map(|p| own.find(p).unwrap_or(0) * s).collect())
            })
            .collect();
        fn put<T: Copy>(to: &mut [T], from: &[T], tables: &[Vec<usize>]) {
            let Some((last, outer)) = tables.split_last() else {
                to[0] = from[0];
                return;
            };
            let shape: SmallVec<[usize; 6]> = outer.iter().map(Vec::len).collect();
            let mut rows = from.chunks_exact(last.len().max(1));
            super::value::for_each(&shape, |i| {
                let base: usize = i.iter().zip(outer).map(|(&i, t)| t[i]).sum();
                if let Some(row) = rows.next() {
                    for (x, o) in row.iter().zip(last) {
                        to[base + o] = *x;
                    }
                }
            });
        }
        match (&mut whole.data, &part.data) {
            (Data::F(a), Data::F(b)) => put(Arc::make_mut(a).as_mut_slice(), b.as_slice(), &tables),
            (Data::I(a), Data::I(b)) => put(Arc::make_mut(a).as_mut_slice(), b.as_slice(), &tables),
            (Data::B(a), Data::B(b)) => put(Arc::make_mut(a).as_mut_slice(), b.as_slice(), &tables),
            _ => return None,
        }
    }
    Some(whole)
}
