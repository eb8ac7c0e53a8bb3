//! Running a layer on a backend.

use std::time::Duration;

use indexmap::IndexMap;

use super::bind::{Bound, Length};
use super::fault::Fault;
use super::load::Loaded;
use super::pipeline::{self, Backend, CompileOptions, Planned};
use super::tensors::{from_bf16, to_f32};
use super::watch::{Phase, Watch};
use crate::diagnostics::codes;
use weft_cranelift::program::{Data, Executable, Length as Lengths, Run, RunError};
use weft_ir::dtype::Class;
use weft_ir::eval::{self, Elements, Evaluator, Tensor};
use weft_ir::graph::{AxisId, AxisSet, Extent, Graph, NodeId};
use weft_ir::kernel::interp::{self, Counts};
use weft_ir::kernel::{BufferId, Role};
use weft_ir::loops::{Elem, to_bf16};
use weft_ir::program::Program;
use weft_passes::schedule::Decision;
use weft_runtime::Pool;

/// A layer made ready for a backend.
#[derive(Debug)]
pub enum Ready {
    /// Nothing is needed.
    Evaluator,
    /// Kernels.
    Interpreter(Box<Planned>),
    /// Kernels with machine code.
    Cranelift(Box<Planned>, Box<Executable>),
}

impl Ready {
    /// The kernels, if the backend has any.
    #[must_use]
    pub fn planned(&self) -> Option<&Planned> {
        match self {
            Self::Evaluator => None,
            Self::Interpreter(planned) | Self::Cranelift(planned, _) => Some(planned),
        }
    }
}

/// What a run gives.
#[derive(Clone, Debug)]
pub struct Executed {
    /// Outputs in source order. Elements of padding are 0.
    pub outputs: IndexMap<String, Tensor>,
    /// Decisions that the kernels stored: terms of the canonical graph, over their free axes in increasing order.
    pub decisions: Vec<(NodeId, Tensor)>,
    /// Stored scores that ranks were taken of, likewise; and their buffers, since terms that are equal but for names of axes have one.
    pub scores: Vec<(NodeId, Tensor, BufferId)>,
    /// What each kernel executed, if the backend counts.
    pub counts: Option<IndexMap<String, Counts>>,
    /// How long each kernel took, in the order of the plan, if the backend tells.
    pub times: Option<Vec<Duration>>,
    /// The memory of the run, if it is the backend's own.
    pub memory: Option<Memory>,
}

/// What a run holds in memory, in bytes. It is all there before the first kernel starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Inputs and parameters.
    pub inputs: u64,
    /// Outputs.
    pub outputs: u64,
    /// What is between kernels, and decisions.
    pub workspace: u64,
}

impl Memory {
    fn of(program: &Program, extents: &[i64]) -> Option<Self> {
        let sum = |want: fn(Role) -> bool| {
            let wanted = program.buffers.iter().filter(|b| want(b.role));
            wanted.map(|b| b.bytes(extents)).try_fold(0u64, |sum, bytes| sum.checked_add(bytes?))
        };
        Some(Self {
            inputs: sum(Role::is_given)?,
            outputs: sum(|r| r == Role::Output)?,
            workspace: program.workspace(extents)?.bytes,
        })
    }
}

/// Compiles a layer as far as a backend needs it.
///
/// # Errors
/// As [`pipeline::plan`], [`pipeline::program`] and [`pipeline::executable`].
pub fn prepare(
    loaded: &Loaded,
    backend: Backend,
    options: &CompileOptions,
    watch: &mut Watch<'_>,
) -> Result<Ready, Fault> {
    Ok(match backend {
        Backend::Evaluator => Ready::Evaluator,
        Backend::Interpreter => Ready::Interpreter(Box::new(pipeline::plan(loaded, options, watch)?)),
        Backend::Cranelift => {
            let planned = pipeline::plan(loaded, options, watch)?;
            let program = pipeline::program(&planned.scheduled.plan, watch)?;
            let executable = pipeline::executable(program, watch)?;
            Ready::Cranelift(Box::new(planned), Box::new(executable))
        }
    })
}

/// Runs a layer.
///
/// # Errors
/// E0518 if memory does not suffice, E0606 if an undefined value reaches an output.
pub fn execute(loaded: &Loaded, ready: &Ready, bound: &Bound, watch: &mut Watch<'_>) -> Result<Executed, Fault> {
    let graph = &loaded.checked.graph;
    match ready {
        Ready::Evaluator => {
            let outputs = watch.time(Phase::Run, || evaluate(graph, bound))?;
            Ok(Executed { outputs, decisions: Vec::new(), scores: Vec::new(), counts: None, times: None, memory: None })
        }
        Ready::Interpreter(planned) => watch.time(Phase::Run, || interpret(graph, planned, bound)),
        Ready::Cranelift(planned, executable) => watch.time(Phase::Run, || {
            let run = start(graph, executable, bound)?;
            launch(graph, planned, executable, bound, run)
        }),
    }
}

/// Runs a layer once: on a backend that has memory of its own, what is bound is let go as soon as it is there.
///
/// # Errors
/// As [`execute`] has.
pub fn execute_once(
    loaded: &Loaded,
    ready: &Ready,
    mut bound: Bound,
    watch: &mut Watch<'_>,
) -> Result<Executed, Fault> {
    let Ready::Cranelift(planned, executable) = ready else { return execute(loaded, ready, &bound, watch) };
    let graph = &loaded.checked.graph;
    watch.time(Phase::Run, || {
        let run = start(graph, executable, &bound)?;
        bound.release();
        launch(graph, planned, executable, &bound, run)
    })
}

fn evaluate(graph: &Graph, bound: &Bound) -> Result<IndexMap<String, Tensor>, Fault> {
    let outputs = Evaluator::new(graph, &bound.bindings(graph)).and_then(|e| e.outputs()).map_err(evaluator)?;
    Ok(outputs.into_iter().map(|(name, t)| (name.into_string(), t)).collect())
}

/// What an error of the evaluator is to the user, whose inputs have passed [`bind`](super::bind::bind).
pub(crate) fn evaluator(error: eval::Error) -> Fault {
    match error {
        eval::Error::Memory { .. } => {
            Fault::user(codes::E0518, format!("the evaluator: {error}")).hint("make the runtime extents smaller")
        }
        eval::Error::Undefined { .. } => Fault::user(codes::E0606, error.to_string()),
        eval::Error::Input { .. } | eval::Error::Extent { .. } => {
            Fault::bug(format!("the evaluator refuses inputs that were checked: {error}"))
        }
        // Forms that the evaluator does not have are none that the front end lets through.
        eval::Error::Request(_)
        | eval::Error::Graph(_)
        | eval::Error::Malformed { .. }
        | eval::Error::Unsupported { .. } => Fault::bug(format!("the evaluator: {error}")),
    }
}

/// The runtime extents of a plan, in order: those of the graph's domains that only the inputs know.
fn runtime<'g>(graph: &'g Graph, bound: &'g Bound) -> impl Iterator<Item = (&'g Length, Option<usize>)> {
    graph.domains().iter().enumerate().filter_map(|(d, domain)| {
        let length = bound.length(weft_ir::graph::DomainId(d as u32));
        match domain.extent {
            Extent::Runtime => Some((length, None)),
            Extent::Ragged(batch) => Some((length, Some(bound.length(graph.axis(batch).domain).padded()))),
            _ => None,
        }
    })
}

/// Lengths of a ragged extent, one for each of `batch` positions.
fn per_position(length: &Length, batch: usize) -> Vec<i64> {
    match length {
        Length::Uniform(n) => vec![*n as i64; batch],
        Length::Ragged { lengths, .. } => lengths.iter().map(|&n| n as i64).collect(),
    }
}

fn interpret(graph: &Graph, planned: &Planned, bound: &Bound) -> Result<Executed, Fault> {
    interpret_with(graph, planned, bound, interp::Options::default())
}

/// Runs the kernels in the interpreter.
///
/// # Errors
/// E0518 if there is too much to do; a bug for every other refusal.
pub fn interpret_with(
    graph: &Graph,
    planned: &Planned,
    bound: &Bound,
    options: interp::Options,
) -> Result<Executed, Fault> {
    let plan = &planned.scheduled.plan;
    let mut bindings = interp::Bindings::default();
    for (extent, (length, batch)) in plan.extents.iter().zip(runtime(graph, bound)) {
        let values = match (extent.over, batch) {
            (Some(_), Some(batch)) => per_position(length, batch),
            _ => vec![length.padded() as i64],
        };
        bindings = bindings.extent(&extent.name, values);
    }
    // The layer's inputs are the first buffers, in their order.
    for (buffer, input) in plan.buffers.iter().filter(|b| b.role.is_given()).zip(graph.inputs()) {
        let Some(tensor) = bound.tensors().get(&*input.name) else {
            return Err(Fault::bug(format!("no tensor for `{}`", input.name)));
        };
        bindings = bindings.buffer(&buffer.name, interp::Tensor { shape: tensor.shape.clone(), data: tensor.to_f64() });
    }
    let outcome = interp::run(plan, &bindings, options).map_err(|e| match e.kind {
        interp::RunErrorKind::Limit => {
            Fault::user(codes::E0518, format!("the interpreter: {e}")).hint("make the runtime extents smaller")
        }
        _ => Fault::bug(format!("the interpreter: {e}")),
    })?;
    let read = |name: &str| outcome.buffers.get(name).map(|t| (t.shape.clone(), t.data.clone()));
    let mut executed = collect(graph, planned, bound, &read)?;
    executed.counts = Some(outcome.counts);
    Ok(executed)
}

fn failed(error: RunError) -> Fault {
    match &error {
        RunError::Overflow(_) | RunError::Runtime(_) => {
            Fault::user(codes::E0518, format!("the cranelift backend: {error}"))
        }
        _ => Fault::bug(format!("the cranelift backend: {error}")),
    }
}

/// Lengths of the runtime extents of a program, in order.
fn program_lengths(graph: &Graph, executable: &Executable, bound: &Bound) -> Vec<Lengths> {
    executable
        .program()
        .extents
        .iter()
        .zip(runtime(graph, bound))
        .map(|(extent, (length, batch))| match (extent.over, batch) {
            (Some(_), Some(batch)) => Lengths::Ragged(per_position(length, batch)),
            _ => Lengths::Uniform(length.padded() as i64),
        })
        .collect()
}

/// Machine code with memory for one set of inputs, which are written: ready to be launched, as often as one likes.
///
/// # Errors
/// E0518 if memory does not suffice.
pub fn start<'e>(graph: &Graph, executable: &'e Executable, bound: &Bound) -> Result<Run<'e>, Fault> {
    let program = executable.program();
    let mut run = executable.prepare(&program_lengths(graph, executable, bound)).map_err(failed)?;
    for (buffer, input) in program.buffers.iter().filter(|b| b.role.is_given()).zip(graph.inputs()) {
        let Some(tensor) = bound.tensors().get(&*input.name) else {
            return Err(Fault::bug(format!("no tensor for `{}`", input.name)));
        };
        run.write(&buffer.name, &data(tensor, buffer.elem)).map_err(failed)?;
    }
    Ok(run)
}

/// The memory of a run, `None` if its bytes are too many to be counted.
#[must_use]
pub fn memory(graph: &Graph, executable: &Executable, bound: &Bound) -> Option<Memory> {
    Memory::of(executable.program(), &lengths_in_memory(&program_lengths(graph, executable, bound)))
}

fn launch(
    graph: &Graph,
    planned: &Planned,
    executable: &Executable,
    bound: &Bound,
    mut run: Run<'_>,
) -> Result<Executed, Fault> {
    let program = executable.program();
    let pool = Pool::global().map_err(|e| failed(e.into()))?;
    let mut times = vec![Duration::ZERO; program.launches.len()];
    run.launch_observed(pool, &mut |n, time| times[n] = time).map_err(failed)?;
    let shapes: Vec<i64> = lengths_in_memory(&program_lengths(graph, executable, bound));
    let read = |name: &str| {
        let buffer = program.buffers.iter().find(|b| b.name == name)?;
        let shape: Option<Vec<usize>> = buffer.dims.iter().map(|d| usize::try_from(d.eval(&shapes)?).ok()).collect();
        let values = match run.read(name).ok()? {
            Data::F32(x) => x.iter().map(|&v| f64::from(v)).collect(),
            Data::F64(x) => x,
            Data::I32(x) => x.iter().map(|&v| f64::from(v)).collect(),
            // Integers of a run are counts and positions, far below 2^53.
            Data::I64(x) => x.iter().map(|&v| v as f64).collect(),
            Data::Bool(x) => x.iter().map(|&v| f64::from(v)).collect(),
            Data::Bf16(x) => x.iter().map(|&v| from_bf16(v)).collect(),
        };
        Some((shape?, values))
    };
    let mut executed = collect(graph, planned, bound, &read)?;
    executed.times = Some(times);
    executed.memory = memory(graph, executable, bound);
    Ok(executed)
}

fn lengths_in_memory(lengths: &[Lengths]) -> Vec<i64> {
    let longest = |l: &Lengths| match l {
        Lengths::Uniform(n) => *n,
        Lengths::Ragged(rows) => rows.iter().copied().max().unwrap_or(0),
    };
    lengths.iter().map(longest).collect()
}

/// Elements in a buffer's type.
fn data(tensor: &Tensor, elem: Elem) -> Data {
    let floats = || tensor.to_f64();
    let ints = || match &tensor.data {
        Elements::I64(x) => x.clone(),
        other => {
            let as_int = |b: &bool| i64::from(*b);
            if let Elements::Bool(x) = other { x.iter().map(as_int).collect() } else { Vec::new() }
        }
    };
    match elem {
        Elem::F32 if let Elements::F64(x) = &tensor.data => Data::F32(x.iter().copied().map(to_f32).collect()),
        Elem::F32 => Data::F32(floats().into_iter().map(to_f32).collect()),
        Elem::F64 => Data::F64(floats()),
        Elem::Bf16 => Data::Bf16(floats().into_iter().map(|x| to_bf16(to_f32(x))).collect()),
        // Bounds were checked where the input was bound.
        Elem::I32 => Data::I32(ints().into_iter().map(|i| i32::try_from(i).unwrap_or(i32::MAX)).collect()),
        Elem::I64 => Data::I64(ints()),
        Elem::Bool => Data::Bool(ints().into_iter().map(|i| u8::from(i != 0)).collect()),
    }
}

/// Shape and elements of a buffer after a run.
type Read<'r> = dyn Fn(&str) -> Option<(Vec<usize>, Vec<f64>)> + 'r;

/// Outputs and decisions of a run of kernels.
fn collect(graph: &Graph, planned: &Planned, bound: &Bound, read: &Read<'_>) -> Result<Executed, Fault> {
    let missing = |name: &str| Fault::bug(format!("the kernels give no `{name}`"));
    let mut outputs = IndexMap::new();
    for (n, output) in graph.outputs.iter().enumerate() {
        let buffer = planned.scheduled.outputs.get(n).and_then(|&b| planned.scheduled.plan.buffer(b));
        let name = buffer.map_or("", |b| b.name.as_str());
        let (shape, values) = read(name).ok_or_else(|| missing(&output.name))?;
        if shape != bound.shape(graph, &output.axes) {
            return Err(Fault::bug(format!("output `{}` has the shape {shape:?}", output.name)));
        }
        let mut tensor = Tensor { shape, data: typed(values, output.dtype.class()) };
        clear_padding(graph, bound, &output.axes, &mut tensor);
        outputs.insert(output.name.to_string(), tensor);
    }
    let mut decisions = Vec::new();
    let computed = planned.computed();
    for Decision { node, buffer, axes } in &planned.scheduled.decisions {
        let node = *node;
        let plan = &planned.scheduled.plan;
        let Some(buffer) = plan.buffer(*buffer) else { return Err(Fault::bug("a decision without a buffer")) };
        let (shape, values) = read(&buffer.name).ok_or_else(|| missing(&buffer.name))?;
        let scheduled = &planned.scheduled.graph;
        let own: AxisSet = axes.iter().copied().collect();
        if own != *scheduled.free(node) || axes.len() != shape.len() {
            return Err(Fault::bug(format!("decision `{}` has other axes than its buffer", buffer.name)));
        }
        // Terms that scheduling made, with other names of the same axes, are not in the computed graph; a decision that is not in the
        // canonical graph is none of the layer's.
        let origin = if node.index() < computed.len() { planned.origin(node) } else { None };
        let Some(origin) = origin else {
            return Err(Fault::bug(format!("decision `{}` is no term of the canonical graph", buffer.name)));
        };
        let tensor = Tensor { shape, data: typed(values, scheduled.dtype(node).class()) };
        decisions.push((origin, sorted_by_axis(&tensor, axes)));
    }
    let scores = planned.scheduled.scores.iter().filter_map(|s| {
        let origin = if s.node.index() < computed.len() { planned.origin(s.node) } else { None };
        let buffer = planned.scheduled.plan.buffer(s.buffer)?;
        let (shape, values) = read(&buffer.name)?;
        let tensor = Tensor { shape, data: typed(values, planned.scheduled.graph.dtype(s.node).class()) };
        Some((origin?, sorted_by_axis(&tensor, &s.axes), s.buffer))
    });
    let scores = scores.collect();
    Ok(Executed { outputs, decisions, scores, counts: None, times: None, memory: None })
}

/// The tensor with its dimensions in increasing order of axis.
pub(crate) fn sorted_by_axis(tensor: &Tensor, axes: &[AxisId]) -> Tensor {
    let mut order: Vec<usize> = (0..axes.len()).collect();
    order.sort_by_key(|&d| axes[d]);
    let mut strides = vec![1usize; axes.len()];
    for d in (1..axes.len()).rev() {
        strides[d - 1] = strides[d] * tensor.shape[d];
    }
    let shape: Vec<usize> = order.iter().map(|&d| tensor.shape[d]).collect();
    let source = |flat: usize| {
        let mut rest = flat;
        let mut at = 0;
        for &d in order.iter().rev() {
            at += rest % tensor.shape[d] * strides[d];
            rest /= tensor.shape[d];
        }
        at
    };
    let count: usize = shape.iter().product();
    let data = match &tensor.data {
        Elements::F64(x) => Elements::F64((0..count).map(|i| x[source(i)]).collect()),
        Elements::I64(x) => Elements::I64((0..count).map(|i| x[source(i)]).collect()),
        Elements::Bool(x) => Elements::Bool((0..count).map(|i| x[source(i)]).collect()),
    };
    Tensor { shape, data }
}

/// Elements of a class. What is undefined (NaN in the interpreter, in padding) becomes 0 where it has no other form.
fn typed(values: Vec<f64>, class: Class) -> Elements {
    match class {
        Class::Float => Elements::F64(values),
        #[allow(clippy::cast_possible_truncation, reason = "the values are integers")]
        Class::Int => Elements::I64(values.into_iter().map(|x| x as i64).collect()),
        Class::Bool => Elements::Bool(values.into_iter().map(|x| x != 0.0 && !x.is_nan()).collect()),
    }
}

/// Sets elements behind ragged ends to 0.
fn clear_padding(graph: &Graph, bound: &Bound, axes: &[AxisId], tensor: &mut Tensor) {
    let Some(exists) = existing(graph, bound, axes) else { return };
    let holes = exists.iter().enumerate().filter(|(_, e)| !**e).map(|(i, _)| i);
    match &mut tensor.data {
        Elements::F64(x) => holes.for_each(|i| x[i] = 0.0),
        Elements::I64(x) => holes.for_each(|i| x[i] = 0),
        Elements::Bool(x) => holes.for_each(|i| x[i] = false),
    }
}

/// Which elements of a tensor over `axes` are not padding; `None` if all.
pub(crate) fn existing(graph: &Graph, bound: &Bound, axes: &[AxisId]) -> Option<Vec<bool>> {
    // (dimension, dimension of its batch axis, lengths); without its batch axis a tensor has all positions of an axis.
    let ragged: Vec<(usize, usize, &[usize])> = axes
        .iter()
        .enumerate()
        .filter_map(|(d, &a)| match bound.length(graph.axis(a).domain) {
            Length::Ragged { batch, lengths, .. } => {
                let domain = graph.axis(*batch).domain;
                let at = axes.iter().position(|&x| x == *batch);
                let at = at.or_else(|| axes.iter().position(|&x| graph.axis(x).domain == domain))?;
                Some((d, at, &**lengths))
            }
            Length::Uniform(_) => None,
        })
        .collect();
    if ragged.is_empty() {
        return None;
    }
    let shape = bound.shape(graph, axes);
    let mut index = vec![0usize; shape.len()];
    let count: usize = shape.iter().product();
    let mut exists = Vec::with_capacity(count);
    for _ in 0..count {
        exists.push(ragged.iter().all(|&(d, at, lengths)| lengths.get(index[at]).is_some_and(|&n| index[d] < n)));
        for d in (0..shape.len()).rev() {
            index[d] += 1;
            if index[d] < shape[d] {
                break;
            }
            index[d] = 0;
        }
    }
    Some(exists)
}
