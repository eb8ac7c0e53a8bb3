//! Ops that range over bound axes: their guards, and what ragged extents add to them.

use super::contract::{Failure, Sum};
use super::decide::{Question, decide};
use super::frame::{Frame, undefined};
use super::region::Region;
use super::value::Value;
use super::{Error, elementwise, reduce};
use crate::graph::{AxisId, AxisSet, NodeId, Op};
use smallvec::SmallVec;

impl Frame<'_> {
    /// `position < length` for a ragged axis, over the axes of the scope that it takes; `None` where it always holds.
    fn inside(&self, axis: AxisId, scope: &Region) -> Option<Value> {
        let (batch, lengths) = self.run.evaluator.sizes.ragged(axis)?;
        let (positions, batches) = (scope.get(axis)?, scope.get(batch)?);
        let end = positions.last()?;
        if batches.iter().all(|b| lengths.get(b).is_some_and(|&l| end < l)) {
            return None;
        }
        let pair: AxisSet = [axis, batch].into_iter().collect();
        let region = scope.restrict(&pair);
        let data: Vec<u8> = if batch < axis {
            batches.iter().flat_map(|b| positions.iter().map(move |p| u8::from(p < lengths[b]))).collect()
        } else {
            positions.iter().flat_map(|p| batches.iter().map(move |b| u8::from(p < lengths[b]))).collect()
        };
        Some(Value::new(region, data))
    }

    /// A reduction over a batch axis sees positions that a batch element does not have, if it does not also range over
    /// the axis that is ragged: they are outside, as those of a `sub` are.
    fn within_lengths(&self, node: NodeId, operand: &Value) -> Value {
        let bound = self.run.graph.op(node).bound();
        let mut value = operand.clone();
        for (axis, _) in operand.region.iter().filter(|(a, _)| !bound.contains(a)) {
            let batch = self.run.evaluator.sizes.ragged(axis).map(|r| r.0);
            let Some(inside) = batch.filter(|b| bound.contains(b)).and_then(|_| self.inside(axis, &operand.region))
            else {
                continue;
            };
            let outside = undefined(node, &value.data, Region::default());
            value = elementwise::select(node, &value.region.clone(), &inside, &value, &outside).unwrap_or(value);
        }
        value
    }

    /// A node that ranges over bound axes, from the values of its operands over all of them. `None` where types do not fit.
    pub(super) fn reduction(&self, node: NodeId, region: &Region, args: &[Value]) -> Result<Option<Value>, Error> {
        let graph = self.run.graph;
        let op = graph.op(node);
        let mut scope = self.shapes().scope(node, region);
        if let Some((_, axis, positions)) = self.part.as_ref().filter(|p| p.0 == node) {
            scope.set(*axis, positions.clone());
        }
        let args: SmallVec<[Value; 4]> = args.iter().map(|a| self.within_lengths(node, a)).collect();
        let (guards, operands) = args.split_at(op.guards());
        let mut guards: Vec<Value> = guards.to_vec();
        guards.extend(op.bound().iter().filter_map(|&a| self.inside(a, &scope)));
        let malformed = || Error::Malformed { node: self.run.describe(node) };
        let conjunction = || -> Result<Option<Value>, Error> {
            if guards.is_empty() {
                return Ok(None);
            }
            let axes: AxisSet = guards.iter().flat_map(|g| g.region.axes()).collect();
            // The operand under the guards has the axes of all.
            let under: AxisSet = operands[0].region.axes().into_iter().chain(axes.iter()).collect();
            self.run.check_size(node, &scope.restrict(&under))?;
            elementwise::all(&scope.restrict(&axes), &guards).map(Some).ok_or_else(malformed)
        };
        Ok(match op {
            Op::Ein { axes, .. } => {
                // Rows in the padding have no value: they must not make the fast way look at padding.
                let valid: Vec<Value> = region.iter().filter_map(|(a, _)| self.inside(a, region)).collect();
                let involved: AxisSet = valid.iter().flat_map(|g| g.region.axes()).collect();
                let valid = elementwise::all(&region.restrict(&involved), &valid);
                if let Some(valid) = &valid {
                    guards = guards
                        .into_iter()
                        .map(|g| self.narrowed(node, &scope, g, valid))
                        .collect::<Result<Option<_>, _>>()?
                        .ok_or_else(malformed)?;
                    guards.push(valid.clone());
                }
                let limit = self.run.evaluator.memory() as f64;
                let factors = operands.to_vec();
                let sum = Sum { node, scope: &scope, bound: axes, guards, factors, region, limit };
                let (sum, count) = sum.run().map_err(|e| match e {
                    Failure::Types => malformed(),
                    Failure::Memory(need) => {
                        Error::Memory { node: self.run.describe(node), need: need as u64, limit: limit as u64 }
                    }
                })?;
                self.run.count(count);
                match valid {
                    None => Some(sum),
                    Some(valid) => {
                        let outside = undefined(node, &sum.data, Region::default());
                        elementwise::select(node, region, &valid, &sum, &outside)
                    }
                }
            }
            Op::Reduce { extremum, axes, .. } => {
                let guard = conjunction()?;
                reduce::extremum(
                    (node, *extremum, graph.dtype(node)),
                    &scope,
                    axes,
                    guard.as_ref(),
                    &operands[0],
                    region,
                )
            }
            _ => {
                let imposed = self.run.evaluator.imposed_index(node).map(|v| v.over(region));
                let question = match (op, &imposed) {
                    (Op::KthValue { .. }, Some(index)) => Question::At(index),
                    (Op::KthValue { .. }, None) => Question::KthValue(&operands[1]),
                    (Op::Arg { extremum, .. }, _) => Question::Arg(*extremum),
                    (Op::KthIndex { .. }, _) => Question::KthIndex(&operands[1]),
                    (Op::Threshold { family, .. }, _) => Question::Threshold(*family, &operands[1]),
                    _ => return Ok(None),
                };
                let guard = conjunction()?;
                let given = self.run.judging(node);
                decide((node, given), &question, &scope, op.bound()[0], guard.as_ref(), &operands[0], region)
            }
        })
    }

    /// A guard, restricted to valid rows where it depends on any of their axes.
    fn narrowed(&self, node: NodeId, scope: &Region, guard: Value, valid: &Value) -> Result<Option<Value>, Error> {
        if !valid.region.iter().any(|(a, _)| guard.region.get(a).is_some()) {
            return Ok(Some(guard));
        }
        let axes: AxisSet = guard.region.axes().into_iter().chain(valid.region.axes()).collect();
        let region = scope.restrict(&axes);
        self.run.check_size(node, &region)?;
        Ok(elementwise::all(&region, &[guard, valid.clone()]))
    }
}
