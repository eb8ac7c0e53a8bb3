//! Decisions: read out, imposed, checked; and how much outputs move when inputs are rounded.
//!
//! A backend computes in f32, and where two scores nearly tie it may decide otherwise than float64 would; everything
//! after that decision differs, and no tolerance on values helps. So a comparison goes:
//!
//! 1. the backend returns its outputs and the values of its decisions, as [`Evaluator::decision_nodes`] lists them;
//! 2. [`Evaluator::judge`] verifies that each decision is within rounding of optimal, under the other given decisions;
//! 3. the decisions are imposed ([`Evaluator::impose_decisions`]) and outputs are compared under them.
//!
//! Of a pair (`kth_value`, `kth_index`) the index should be imposed, alone: the value is then read at it, so that
//! comparisons of scores with the value are exact for the k-th member itself. Scores that come close to it on the other
//! side may still be compared differently; a backend that stores the scores can have them imposed too, as the
//! value of any node can ([`Evaluator::impose`]).

use super::border;
use super::decide::Given;
use super::poison;
use super::region::Positions;
use super::run::Run;
use super::value::{Data, IntoData, Value};
use super::{Error, Evaluator, Tensor, Tolerance, describe};
use crate::graph::{AxisId, NodeId, Op};
use indexmap::IndexMap;

/// Values of decision nodes, each over its free axes in increasing order of axis; padding is ignored.
pub type Decisions = IndexMap<NodeId, Tensor>;

/// How far the given values of one decision node are from optimal.
#[derive(Clone, PartialEq, Debug)]
pub struct Judgement {
    /// The node.
    pub node: NodeId,
    /// Its name for people.
    pub name: String,
    /// The worst distance in units of the tolerance: at most 1 is within. Infinite for an index that is no member.
    pub worst: f64,
    /// Where that is: positions on the free axes of the node, in increasing order of axis. Empty if there are none.
    pub position: Vec<usize>,
}

impl Judgement {
    /// Is the decision within rounding of optimal?
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.worst <= 1.0
    }
}

impl Evaluator<'_> {
    /// The decisions that outputs depend on, operands first. Those inside a recurrence that read its state have no value
    /// outside of it and are left out.
    #[must_use]
    pub fn decision_nodes(&self) -> Vec<NodeId> {
        let decides = |&n: &NodeId| self.graph.op(n).is_decision() && self.open[n.index()].is_empty();
        self.graph.reachable().into_iter().filter(decides).collect()
    }

    /// Values of all decisions.
    ///
    /// # Errors
    /// As [`Evaluator::outputs`].
    pub fn decisions(&self) -> Result<Decisions, Error> {
        let nodes = self.decision_nodes();
        let values = self.nodes(&nodes)?;
        Ok(nodes.into_iter().zip(values).collect())
    }

    /// Imposes decisions; of each pair of `kth_value` and `kth_index` that is given, the index only.
    ///
    /// # Errors
    /// As [`Evaluator::impose`].
    pub fn impose_decisions(&mut self, decisions: &Decisions) -> Result<(), Error> {
        for (&node, tensor) in decisions {
            self.check_node(node)?;
            let args = self.graph.args(node);
            let paired = match *self.graph.op(node) {
                Op::KthValue { axis, guards } => decisions.keys().any(|&n| {
                    n.index() < self.graph.len()
                        && *self.graph.op(n) == Op::KthIndex { axis, guards }
                        && self.graph.args(n) == args
                }),
                _ => false,
            };
            if !paired {
                self.impose(node, tensor)?;
            }
        }
        Ok(())
    }

    /// How far each given decision is from optimal, when the others are as given.
    ///
    /// # Errors
    /// As [`Evaluator::impose`] and [`Evaluator::outputs`], and for a node that is no decision.
    pub fn judge(&self, decisions: &Decisions, tolerance: Tolerance) -> Result<Vec<Judgement>, Error> {
        let mut under = self.with_inputs(self.inputs.clone());
        under.imposed.clone_from(&self.imposed);
        under.impose_decisions(decisions)?;
        let mut judgements = Vec::new();
        for (&node, tensor) in decisions {
            if !self.graph.op(node).is_decision() {
                return Err(Error::Request(format!("{} is no decision", describe(self.graph, node))));
            }
            let axes: Vec<AxisId> = self.graph.free(node).iter().collect();
            let value = border::take(&self.sizes, tensor, &axes, self.graph.dtype(node), node)
                .map_err(|what| Error::Request(format!("the value for {} {what}", describe(self.graph, node))))?;
            // A value that was read at an imposed index must be judged against its own rank.
            let mut free = under.with_inputs(under.inputs.clone());
            free.imposed = under.imposed.clone();
            free.imposed.remove(&node);
            if matches!(self.graph.op(node), Op::KthValue { .. }) {
                free.imposed.retain(|&n, _| {
                    !(matches!(self.graph.op(n), Op::KthIndex { .. }) && self.graph.args(n) == self.graph.args(node))
                });
            }
            let region = self.region(node, &[]);
            let given = Given { value: &value, tolerance };
            let judged = Run::judge(&free, node, given).values(&[(node, region.clone())])?.swap_remove(0);
            judgements.push(self.worst(node, &judged)?);
        }
        Ok(judgements)
    }

    fn worst(&self, node: NodeId, judged: &Value) -> Result<Judgement, Error> {
        let axes = judged.region.axes();
        let rows: Vec<Positions> = judged.region.iter().map(|(_, p)| p.clone()).collect();
        let name = describe(self.graph, node);
        let tensor = self.give(&name, judged, &axes, &rows)?;
        let (mut worst, mut at) = (0.0, None);
        for (i, x) in tensor.to_f64().into_iter().enumerate() {
            if at.is_none() || x.is_nan() || x > worst {
                (worst, at) = (if x.is_nan() { f64::INFINITY } else { x }, Some(i));
            }
        }
        let mut position = Vec::new();
        if let Some(mut at) = at {
            for &n in tensor.shape.iter().rev() {
                position.push(at % n.max(1));
                at /= n.max(1);
            }
            position.reverse();
        }
        Ok(Judgement { node, name, worst, position })
    }

    /// Relative change (in the 2-norm) of every output of floats when each element of each float input moves by 2^-23 of
    /// itself, up or down at random. Indices that are decided stay as they are: what is measured is rounding, not a jump.
    ///
    /// # Errors
    /// As [`Evaluator::outputs`].
    pub fn sensitivity(&self, seed: u64) -> Result<IndexMap<Box<str>, f64>, Error> {
        let nodes: Vec<NodeId> = self
            .decision_nodes()
            .into_iter()
            .filter(|&n| matches!(self.graph.op(n), Op::Arg { .. } | Op::KthIndex { .. }))
            .collect();
        let before = self.outputs()?;
        let values = self.values_over(&nodes.iter().map(|&n| (n, self.region(n, &[]))).collect::<Vec<_>>())?;
        let mut random = seed;
        let mut up = move || {
            // SplitMix64.
            random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) & 1 == 0
        };
        let step = 1.0 / f64::from(1 << 23);
        let mut nudge = |x: f64| {
            let moved = if up() { x * (1.0 + step) } else { x * (1.0 - step) };
            if poison::of_float(x).is_some() { x } else { moved }
        };
        let inputs = self
            .inputs
            .iter()
            .map(|v| match &v.data {
                Data::F(x) => {
                    let data = x.iter().map(|&x| nudge(x)).collect::<Vec<f64>>().into_data();
                    Value { region: v.region.clone(), data }
                }
                _ => v.clone(),
            })
            .collect();
        let mut moved = self.with_inputs(inputs);
        moved.imposed.clone_from(&self.imposed);
        for (n, v) in nodes.into_iter().zip(values) {
            moved.imposed.entry(n).or_insert(v);
        }
        let after = moved.outputs()?;
        let floats = |t: &Tensor| matches!(t.data, super::Elements::F64(_));
        let change = |a: &Tensor, b: &Tensor| {
            let (a, b) = (a.to_f64(), b.to_f64());
            let moved: f64 = a.iter().zip(&b).filter(|(x, y)| x != y).map(|(x, y)| (x - y) * (x - y)).sum();
            let norm: f64 = a.iter().map(|x| x * x).sum();
            if moved == 0.0 { 0.0 } else { (moved / norm).sqrt() }
        };
        Ok(before.iter().filter(|(_, t)| floats(t)).map(|(n, t)| (n.clone(), change(t, &after[n]))).collect())
    }

    fn with_inputs(&self, inputs: Vec<Value>) -> Self {
        Self {
            graph: self.graph,
            options: self.options,
            sizes: self.sizes.clone(),
            inputs,
            imposed: rustc_hash::FxHashMap::default(),
            open: self.open.clone(),
            multiply_adds: std::sync::atomic::AtomicU64::new(0),
        }
    }
}
