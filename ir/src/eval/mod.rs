//! The float64 evaluator: the meaning of the graph IR.
//!
//! A term denotes an element for every environment; the evaluator computes it for boxes of environments at once. All
//! floats are float64, whatever their type says: rounding is a property of a backend.
//!
//! * **Strong zeros by poisoning.** Every value of a box is computed, also where a guard is false, and the selection
//!   comes afterwards. What a read outside an axis gives is *poison*; a false guard selects zero whatever it hides, and
//!   poison that reaches an output at a valid position is an error that names the node where it arose. The same holds
//!   for `prev` where a recurrence begins, for padding of inputs, and for conversion of NaN to an integer.
//! * **Ragged extents.** Tensors are padded to a common length. Padding of inputs is never read, whatever it holds; in
//!   outputs it is 0 or false.
//! * **Memory.** Values with one long axis are computed once; values with two are computed for blocks of rows, and
//!   forgotten. So rows of an output can be had for a long sequence at the cost of these rows, see [`Evaluator::rows`].
//! * **Decisions** can be read out, imposed, and checked for being optimal within a tolerance: [`check`].
//! * Results depend neither on the number of threads nor on which rows are asked for, but for the rounding of sums.

mod border;
pub mod check;
mod contract;
mod decide;
mod demand;
mod elementwise;
mod frame;
mod gather;
mod judge;
mod matmul;
mod poison;
mod recur;
mod reduce;
mod reduction;
mod region;
mod run;
mod sizes;
mod tensor;
mod threshold;
mod value;

pub use judge::Tolerance;
pub use tensor::{Elements, Tensor};

use crate::graph::{AxisId, AxisSet, Graph, NodeId, Op, Output, RecId};
use indexmap::IndexMap;
use region::{Positions, Region};
use run::Run;
use rustc_hash::FxHashMap;
use sizes::Sizes;
use smallvec::SmallVec;
use value::Value;

/// Why an evaluation is not possible.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Error {
    /// An input that is missing, unknown, or of the wrong type or shape.
    #[error("input `{name}` {what}")]
    Input {
        /// Its name.
        name: Box<str>,
        /// What is wrong.
        what: String,
    },
    /// An extent that is unknown or contradictory.
    #[error("the extent of `{domain}` {what}")]
    Extent {
        /// The domain.
        domain: Box<str>,
        /// What is wrong.
        what: String,
    },
    /// An output, axis or node that the graph does not have, or a value that does not fit it.
    #[error("{0}")]
    Request(String),
    /// A graph that [`Graph::verify`] refuses.
    #[error(transparent)]
    Graph(#[from] crate::graph::Error),
    /// A read outside an axis that no guard hides.
    #[error("`{output}` at {position:?} depends on an undefined value: {node}")]
    Undefined {
        /// The output.
        output: Box<str>,
        /// Position on each of its axes.
        position: Vec<usize>,
        /// Where it arose, as well as is known.
        node: String,
    },
    /// More memory than the limit.
    #[error("{node} needs {need} bytes at once, more than the limit of {limit}")]
    Memory {
        /// The node.
        node: String,
        /// Bytes needed.
        need: u64,
        /// [`Options::memory`].
        limit: u64,
    },
    /// A form that the evaluator does not have.
    #[error("{node} {what}")]
    Unsupported {
        /// The node.
        node: String,
        /// What it does.
        what: String,
    },
    /// A node whose operands do not have the types that its op takes.
    #[error("{node} is malformed")]
    Malformed {
        /// The node.
        node: String,
    },
}

/// What a run is given.
#[derive(Clone, Default, Debug)]
pub struct Bindings {
    tensors: IndexMap<Box<str>, Tensor>,
    lengths: IndexMap<Box<str>, Vec<usize>>,
    sizes: IndexMap<Box<str>, usize>,
}

impl Bindings {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives an input or parameter by its name.
    #[must_use]
    pub fn tensor(mut self, name: &str, tensor: Tensor) -> Self {
        self.tensors.insert(name.into(), tensor);
        self
    }

    /// Gives the lengths `T[b]` of a ragged domain (by the domain's name). Without them all have the padded length.
    #[must_use]
    pub fn lengths(mut self, domain: &str, lengths: &[usize]) -> Self {
        self.lengths.insert(domain.into(), lengths.to_vec());
        self
    }

    /// Gives the extent of a runtime domain that no input has.
    #[must_use]
    pub fn size(mut self, domain: &str, extent: usize) -> Self {
        self.sizes.insert(domain.into(), extent);
        self
    }
}

/// Limits of memory, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// What one value or one block may take.
    pub memory: usize,
    /// What the values of a block should take, if cutting helps.
    pub block: usize,
    /// What a value may take that is computed once and kept.
    pub store: usize,
    /// Undefined elements are given as NaN, and are no error.
    pub undefined: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { memory: 2 << 30, block: 64 << 20, store: 128 << 20, undefined: false }
    }
}

/// A graph with the inputs of one run.
#[derive(Debug)]
pub struct Evaluator<'g> {
    pub(crate) graph: &'g Graph,
    options: Options,
    sizes: Sizes,
    inputs: Vec<Value>,
    imposed: FxHashMap<NodeId, Value>,
    /// By node: the recurrences whose state it reads from within.
    open: Vec<SmallVec<[RecId; 1]>>,
    multiply_adds: std::sync::atomic::AtomicU64,
}

impl<'g> Evaluator<'g> {
    /// Checks the inputs against the graph.
    ///
    /// # Errors
    /// If the graph is not valid, an input is missing, unknown or of the wrong class or shape, or an extent is unknown
    /// or contradictory.
    pub fn new(graph: &'g Graph, bindings: &Bindings) -> Result<Self, Error> {
        Self::with_options(graph, bindings, Options::default())
    }

    /// As [`Evaluator::new`], with other limits.
    ///
    /// # Errors
    /// As [`Evaluator::new`].
    pub fn with_options(graph: &'g Graph, bindings: &Bindings, options: Options) -> Result<Self, Error> {
        graph.verify()?;
        if let Some(unknown) = bindings.tensors.keys().find(|k| !graph.inputs().iter().any(|i| i.name == **k)) {
            return Err(Error::Input { name: unknown.clone(), what: "is not one of the layer's".into() });
        }
        let sizes = Sizes::resolve(graph, bindings)?;
        let inputs = graph
            .inputs()
            .iter()
            .enumerate()
            .map(|(i, input)| {
                let bad = |what: &str| Error::Input { name: input.name.clone(), what: what.into() };
                let tensor = bindings.tensors.get(&input.name).ok_or_else(|| bad("is missing"))?;
                let blame = graph.ids().find(|&n| matches!(graph.op(n), Op::Input(k) if k.index() == i));
                border::take(&sizes, tensor, &input.axes, input.dtype, blame.unwrap_or(NodeId(0))).map_err(|w| bad(&w))
            })
            .collect::<Result<_, _>>()?;
        for id in graph.ids() {
            let (op, operands) = (graph.op(id), graph.operands(id));
            if let (Op::KthValue { axis, .. } | Op::KthIndex { axis, .. } | Op::Threshold { axis, .. }, [_, extra]) =
                (op, operands)
                && graph.free(*extra).contains(*axis)
            {
                let what = format!("has a rank or sum that varies along `{}`", graph.axis(*axis).name);
                return Err(Error::Unsupported { node: describe(graph, id), what });
            }
        }
        let mut open: Vec<SmallVec<[RecId; 1]>> = Vec::with_capacity(graph.len());
        for id in graph.ids() {
            let mut here: SmallVec<[RecId; 1]> =
                graph.args(id).iter().flat_map(|a| open[a.index()].iter().copied()).collect();
            match graph.op(id) {
                Op::Prev(r) => here.push(*r),
                Op::Rec(r) => here.retain(|x| x != r),
                _ => {}
            }
            here.sort_unstable();
            here.dedup();
            open.push(here);
        }
        Ok(Self {
            graph,
            options,
            sizes,
            inputs,
            imposed: FxHashMap::default(),
            open,
            multiply_adds: std::sync::atomic::AtomicU64::new(0),
        })
    }

    /// Extent of an axis in this run: the longest, where it is ragged.
    #[must_use]
    pub fn extent(&self, axis: AxisId) -> usize {
        self.sizes.of(axis)
    }

    pub(crate) fn memory(&self) -> usize {
        self.options.memory
    }

    /// Multiply-adds executed so far in sums of products, blocks that were computed twice included.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        self.multiply_adds.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// All outputs, whole.
    ///
    /// # Errors
    /// If memory does not suffice, or an undefined value reaches an output.
    pub fn outputs(&self) -> Result<IndexMap<Box<str>, Tensor>, Error> {
        let roots: Vec<(&Output, Region)> = self.graph.outputs.iter().map(|o| (o, self.region(o.node, &[]))).collect();
        let values = self.values_over(&roots.iter().map(|(o, r)| (o.node, r.clone())).collect::<Vec<_>>())?;
        roots
            .iter()
            .zip(&values)
            .map(|((o, _), v)| {
                let rows: Vec<Positions> = o.axes.iter().map(|&a| Positions::full(self.sizes.of(a))).collect();
                Ok((o.name.clone(), self.give(&o.name, v, &o.axes, &rows)?))
            })
            .collect()
    }

    /// One output at some positions of one of its axes (in the given order), without computing the others.
    ///
    /// # Errors
    /// As [`Evaluator::outputs`], and if there is no such output, axis or position.
    pub fn rows(&self, output: &str, axis: &str, positions: &[usize]) -> Result<Tensor, Error> {
        let o = self.graph.outputs.iter().find(|o| &*o.name == output);
        let o = o.ok_or_else(|| Error::Request(format!("there is no output `{output}`")))?;
        let own = o.axes.iter().copied().find(|&a| &*self.graph.axis(a).name == axis);
        let axis = own.ok_or_else(|| Error::Request(format!("output `{output}` has no axis `{axis}`")))?;
        if let Some(bad) = positions.iter().find(|&&p| p >= self.sizes.of(axis)) {
            return Err(Error::Request(format!("position {bad} is outside of axis `{}`", self.graph.axis(axis).name)));
        }
        let mut sorted = positions.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let region = self.region(o.node, &[(axis, Positions::from_sorted(sorted))]);
        let value = self.values_over(&[(o.node, region)])?.swap_remove(0);
        let rows: Vec<Positions> = o
            .axes
            .iter()
            .map(|&a| if a == axis { Positions::List(positions.into()) } else { Positions::full(self.sizes.of(a)) })
            .collect();
        self.give(&o.name, &value, &o.axes, &rows)
    }

    /// Values of any nodes over all positions of their free axes, in increasing order of axis.
    ///
    /// # Errors
    /// As [`Evaluator::outputs`], and for a node that is not in the graph or reads the state of a recurrence.
    pub fn nodes(&self, nodes: &[NodeId]) -> Result<Vec<Tensor>, Error> {
        for &n in nodes {
            self.check_node(n)?;
        }
        let roots: Vec<(NodeId, Region)> = nodes.iter().map(|&n| (n, self.region(n, &[]))).collect();
        let values = self.values_over(&roots)?;
        let give = |(v, &n): (&Value, &NodeId)| {
            let rows: Vec<Positions> = v.region.iter().map(|(_, p)| p.clone()).collect();
            self.give(&describe(self.graph, n), v, &v.region.axes(), &rows)
        };
        values.iter().zip(nodes).map(give).collect()
    }

    /// Fixes the value of a node for all later evaluations: a tensor over its free axes, in increasing order of axis.
    ///
    /// # Errors
    /// If there is no such node, or the tensor does not fit it.
    pub fn impose(&mut self, node: NodeId, tensor: &Tensor) -> Result<(), Error> {
        self.check_node(node)?;
        let axes: Vec<AxisId> = self.graph.free(node).iter().collect();
        let value = border::take(&self.sizes, tensor, &axes, self.graph.dtype(node), node)
            .map_err(|what| Error::Request(format!("the value for {} {what}", describe(self.graph, node))))?;
        self.imposed.insert(node, value);
        Ok(())
    }

    /// The index that is imposed on the other half of a `kth_value`: then that is the value at the index.
    fn imposed_index(&self, node: NodeId) -> Option<&Value> {
        let Op::KthValue { axis, guards } = *self.graph.op(node) else { return None };
        let args = self.graph.args(node);
        let twin = |&&n: &&NodeId| *self.graph.op(n) == Op::KthIndex { axis, guards } && self.graph.args(n) == args;
        self.imposed.keys().find(twin).and_then(|n| self.imposed.get(n))
    }

    /// Lets all nodes be computed again.
    pub fn impose_nothing(&mut self) {
        self.imposed.clear();
    }

    fn check_node(&self, node: NodeId) -> Result<(), Error> {
        if node.index() >= self.graph.len() {
            return Err(Error::Request(format!("node {} is not in the graph", node.0)));
        }
        if !self.open[node.index()].is_empty() {
            return Err(Error::Request(format!(
                "{} has no value outside of its recurrence",
                describe(self.graph, node)
            )));
        }
        Ok(())
    }

    /// All positions of a node's free axes, but for some.
    fn region(&self, node: NodeId, but: &[(AxisId, Positions)]) -> Region {
        let free: &AxisSet = self.graph.free(node);
        free.iter()
            .map(|a| {
                let only = but.iter().find(|b| b.0 == a).map(|b| b.1.clone());
                (a, only.unwrap_or_else(|| Positions::full(self.sizes.of(a))))
            })
            .collect()
    }

    fn values_over(&self, roots: &[(NodeId, Region)]) -> Result<Vec<Value>, Error> {
        let mut run = Run::new(self);
        let values = run.values(roots);
        self.multiply_adds.fetch_add(run.multiply_adds(), std::sync::atomic::Ordering::Relaxed);
        values
    }

    fn give(&self, name: &str, value: &Value, axes: &[AxisId], rows: &[Positions]) -> Result<Tensor, Error> {
        let need = rows.iter().map(|p| p.len() as f64).product::<f64>() * 8.0;
        if need > self.options.memory as f64 {
            let limit = self.options.memory as u64;
            return Err(Error::Memory { node: format!("output `{name}`"), need: need as u64, limit });
        }
        // A term may depend on the batch axis through a ragged extent, though its output has no such axis.
        if let Some((other, p)) = value.region.iter().find(|(a, p)| !axes.contains(a) && p.len() != 1) {
            let other = &self.graph.axis(other).name;
            return Err(Error::Request(format!("`{name}` has {} values, one for each position of `{other}`", p.len())));
        }
        border::give(&self.sizes, value, axes, rows, self.options.undefined).map_err(|(position, node)| {
            Error::Undefined {
                output: name.into(),
                position,
                node: node.map_or_else(|| "a truth value".into(), |n| describe(self.graph, n)),
            }
        })
    }
}

/// How people know a node: its op, its label, its number.
pub(crate) fn describe(graph: &Graph, node: NodeId) -> String {
    if node.index() >= graph.len() {
        return format!("node {}", node.0);
    }
    let op = graph.op(node);
    let name = match op {
        Op::Map(f) => f.name(),
        _ => op.name(),
    };
    match (op, graph.label(node)) {
        (Op::Input(i), _) => format!("input `{}`", graph.input(*i).name),
        (_, Some(label)) => format!("`{label}` ({name}, node {})", node.0),
        _ => format!("`{name}` (node {})", node.0),
    }
}
