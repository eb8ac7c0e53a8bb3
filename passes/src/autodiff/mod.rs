//! Reverse-mode differentiation of a definition.
//!
//! From a graph that computes outputs from inputs, [`gradients`] makes the graph that computes, for cotangents `cot.NAME` of the
//! outputs, the gradients `grad.NAME` of the inputs: `d (sum over outputs of output * cotangent) / d input`. It works on the
//! definition, before canonicalisation and scheduling, because
//!
//! * `stop` and `ste` say what the gradient is, and canonical graphs do not have them;
//! * softmax is a quotient there, so its derivative is that of a quotient: the stored denominator serves the backward kernels as it
//!   serves the forward ones, weights are computed again from it, and the row sums that flash attention calls Delta come out of
//!   hoisting, not out of a rule for softmax;
//! * the gradient of an algorithm (a scan, a list, a table) would have to be derived for each algorithm, while the
//!   gradient of a definition is a definition, for which algorithms are found as for any other.
//!
//! # Adjoints
//!
//! A node is a function of its free axes; so is its adjoint. Users of a node contribute to it one by one, from the
//! last node of the graph to the first. What a contribution depends on and the node does not is summed over. Each op's rule is
//! named in the op table ([`weft_ir::graph::Derivative`]), elementwise functions have partial derivatives in
//! [`weft_ir::graph::derivative`].
//!
//! **Guards are strong zeros, here too.** Where a guard hides an operand in the definition, it stands in front of the whole
//! product in the adjoint, the operand's own derivative included: `exp(x)` that overflows behind a false guard must not be
//! multiplied by the 0 that its cotangent is there. So an adjoint is a list of guarded products ([`adjoint::Term`]). They are added up
//! to one value at nodes that are defined everywhere ([`defined`]); at others the terms stay apart, each behind its own guards.
//!
//! # Reads
//!
//! `y[t] = x[p(t)]` gives `x'[u] = sum over t of [p(t) == u] y'[t]`. [`solve`] solves the equation for `t`, so that renamed,
//! shifted, strided and blocked reads become reads again. What cannot be solved (a position that is data) stays a guarded sum.
//!
//! # Recurrences
//!
//! What reaches the state at t - 1 through the step at t is itself a recurrence, from the last position to the first
//! ([`recurrence`]); it starts anew where the recurrence does.
//!
//! # Decisions
//!
//! Integers and truth values have no gradient. The backward terms refer to the same decision nodes as the forward ones, so
//! whatever schedules both stores each of them once.

mod active;
mod adjoint;
mod defined;
mod read;
mod recurrence;
mod rules;
mod solve;

use active::Active;
use adjoint::{Adjoint, Term};
use defined::Defined;
use rustc_hash::FxHashMap;
use solve::Spare;
use weft_ir::graph::{AxisId, AxisSet, Error, Extent, Graph, Input, InputId, InputKind, MapFn, NodeId, Op, Output};

/// Before the name of an output: its cotangent.
pub const COTANGENT: &str = "cot.";
/// Before the name of an input: its gradient.
pub const GRADIENT: &str = "grad.";

/// What to differentiate.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// Inputs whose gradients are wanted; without a list, all inputs of floats.
    pub wrt: Option<Vec<InputId>>,
    /// Outputs (by position) that have a cotangent; without a list, all outputs of floats.
    pub cotangents: Option<Vec<usize>>,
    /// Keep the outputs of the layer before the gradients, so that one plan computes both.
    pub forward: bool,
}

/// A graph with gradients.
#[derive(Clone, Debug)]
pub struct Differentiated {
    /// Inputs of the layer, then one cotangent for each output that has one, with its axes. Outputs: those of the layer if they were asked
    /// for, then one gradient for each wanted input that any cotangent reaches, with the input's axes.
    pub graph: Graph,
    /// Wanted inputs that no cotangent reaches: their gradient is 0 everywhere.
    pub unreached: Vec<InputId>,
}

/// The graph of gradients of a definition.
///
/// # Errors
/// Only for graphs that do not verify, and for positions in the request that are not in the graph.
pub fn gradients(graph: &Graph, request: &Request) -> Result<Differentiated, Error> {
    graph.verify()?;
    let floats = |i: &u32| graph.input(InputId(*i)).dtype.is_float();
    let wrt: Vec<InputId> = match &request.wrt {
        Some(list) => list.clone(),
        None => (0..graph.inputs().len() as u32).filter(floats).map(InputId).collect(),
    };
    if let Some(bad) = wrt.iter().find(|i| i.index() >= graph.inputs().len()) {
        return Err(Error::Missing(format!("input {}", bad.0)));
    }
    let seeds: Vec<usize> = match &request.cotangents {
        Some(list) => list.clone(),
        None => (0..graph.outputs.len()).filter(|&o| graph.outputs[o].dtype.is_float()).collect(),
    };
    let mut g = graph.clone();
    let outputs = std::mem::take(&mut g.outputs);
    let mut d = Differentiation::new(g, &wrt);
    for at in seeds {
        let Some(out) = outputs.get(at) else { return Err(Error::Missing(format!("output {at}"))) };
        d.seed(out)?;
    }
    let roots: Vec<NodeId> = outputs.iter().map(|o| o.node).collect();
    d.sweep(&roots, None)?;
    let (mut made, mut unreached) = (Vec::new(), Vec::new());
    for &input in &wrt {
        match d.gradient_of(input)? {
            Some(output) => made.push(output),
            None => unreached.push(input),
        }
    }
    let mut g = d.g;
    g.outputs = if request.forward { outputs } else { Vec::new() };
    g.outputs.extend(made);
    g.verify()?;
    Ok(Differentiated { graph: g, unreached })
}

/// The state of one differentiation.
struct Differentiation {
    g: Graph,
    active: Active,
    defined: Defined,
    spare: Spare,
    /// Adjoints of nodes whose users have not all been visited.
    pending: FxHashMap<NodeId, Adjoint>,
    /// Recurrences of the definition; those behind them run the other way.
    recs: usize,
    /// Terms without previous states, by the terms with them.
    outside: FxHashMap<NodeId, NodeId>,
    /// Adjoints of inputs.
    inputs: FxHashMap<InputId, NodeId>,
}

impl Differentiation {
    fn new(g: Graph, wrt: &[InputId]) -> Self {
        let active = Active::new(&g, |op| matches!(op, Op::Input(i) if wrt.contains(i)));
        Self {
            active,
            defined: Defined::default(),
            spare: Spare::default(),
            pending: FxHashMap::default(),
            recs: g.recs().len(),
            outside: FxHashMap::default(),
            inputs: FxHashMap::default(),
            g,
        }
    }

    /// Starts from the cotangent of an output.
    fn seed(&mut self, out: &Output) -> Result<(), Error> {
        // Whoever has a cotangent may give it, whether it reaches a wanted input or not.
        let name = format!("{COTANGENT}{}", out.name);
        let input = self.g.add_input(Input {
            name: name.into(),
            axes: out.axes.clone(),
            dtype: out.dtype,
            kind: InputKind::In,
            init: None,
        });
        if !self.active.is(out.node) {
            return Ok(());
        }
        let cotangent = self.g.read(input)?;
        self.give(out.node, &out.axes.iter().copied().collect(), &[], &[cotangent])
    }

    /// Visits the nodes below some roots, users before operands, and lets each give to its operands; but for one whose adjoint is
    /// wanted.
    fn sweep(&mut self, roots: &[NodeId], wanted: Option<NodeId>) -> Result<(), Error> {
        // Nodes made on the way are younger than all of these, and have no adjoint of their own.
        let Some(&last) = roots.iter().max() else { return Ok(()) };
        for n in (0..=last.0).rev() {
            let id = NodeId(n);
            if Some(id) == wanted {
                continue;
            }
            if let Some(adjoint) = self.pending.remove(&id) {
                self.visit(id, adjoint)?;
            }
        }
        Ok(())
    }

    /// Adds `sum over (axes in scope but not the node's) of [guards] factors` to the adjoint of a node. All axes that guards and
    /// factors mention must be among `scope`.
    fn give(&mut self, to: NodeId, scope: &AxisSet, guards: &[NodeId], factors: &[NodeId]) -> Result<(), Error> {
        if !self.active.is(to) || guards.iter().any(|&x| self.g.constant(x).is_some_and(|c| c.as_f64() == 0.0)) {
            return Ok(());
        }
        let guards = &self.read_states(guards)?[..];
        let factors = &self.read_states(factors)?[..];
        let own = self.place_of(to);
        let summed: Vec<AxisId> = scope.iter().filter(|&a| !own.contains(a)).collect();
        let mut term = Term::default();
        let (mut inner_guards, mut inner) = (Vec::new(), Vec::new());
        let mentions = |g: &Graph, x: NodeId| g.free(x).iter().any(|a| summed.contains(&a));
        // Positions beyond a ragged end are none: where the batch is summed over, its lengths stand as guards.
        for a in own.iter() {
            let domain = self.g.axis(a).domain;
            if let Some(batch) = self.g.ragged_over(domain)
                && summed.contains(&batch)
            {
                let (at, end) = (self.g.index(a)?, self.g.add(Op::Size(domain), &[])?);
                inner_guards.push(self.g.map(MapFn::Lt, &[at, end])?);
            }
        }
        for &x in guards {
            if mentions(&self.g, x) { inner_guards.push(x) } else { term.guard(&self.g, x) }
        }
        for &x in factors {
            if mentions(&self.g, x) { inner.push(x) } else { term.factors.push(x) }
        }
        if !summed.is_empty() {
            if inner.is_empty() {
                inner.push(self.g.float(1.0));
            }
            inner_guards.sort_unstable();
            inner_guards.dedup();
            term.factors.push(self.g.ein(&summed, &inner_guards, &inner)?);
        }
        self.pending.entry(to).or_default().push(term);
        Ok(())
    }

    /// The axes over which the adjoint of a node is a function: its own, and the batch of those that are ragged, since its
    /// positions are others for each element of the batch. An input is one tensor for the whole batch.
    fn place_of(&self, id: NodeId) -> AxisSet {
        let mut axes = self.g.free(id).clone();
        if !matches!(self.g.op(id), Op::Input(_)) {
            let batches = self.g.free(id).iter().filter_map(|a| self.g.ragged_over(self.g.axis(a).domain));
            axes.extend(&batches.collect());
        }
        axes
    }

    /// The adjoint of a node as one value.
    fn closed(&mut self, adjoint: &Adjoint) -> Result<NodeId, Error> {
        adjoint.close(&mut self.g)
    }

    /// The output that holds the gradient of an input.
    fn gradient_of(&mut self, input: InputId) -> Result<Option<Output>, Error> {
        let Some(&node) = self.inputs.get(&input) else { return Ok(None) };
        let decl = self.g.input(input).clone();
        let name: Box<str> = format!("{GRADIENT}{}", decl.name).into();
        Ok(Some(Output { name, axes: decl.axes, dtype: decl.dtype, node }))
    }
}

/// Does the extent of an axis depend on where the layer runs?
fn is_runtime(g: &Graph, axis: AxisId) -> bool {
    !matches!(g.extent(axis), Extent::Const(_))
}
