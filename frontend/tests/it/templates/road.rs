//! The whole road of a layer: source, graph, canonical graph, plan, interpreter, machine code; each compared with the evaluator.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use indexmap::IndexMap;

use super::inputs::{Lengths, at_node, inputs, norm, relative_error, zeros};
use crate::support::source;
use weft::diagnostics::{Color, render};
use weft::sema::{Number, Settings, compile};
use weft_cranelift::program::{Data, Executable, Length};
use weft_ir::DType;
use weft_ir::eval::{self, Evaluator, Tensor, Tolerance};
use weft_ir::graph::{Extent, Graph, NodeId, Op, Output};
use weft_ir::kernel::interp::{self, Counts};
use weft_ir::kernel::{Buffer, ElemType, Expr, Plan, Role, verify};
use weft_ir::loops::{from_bf16, to_bf16};
use weft_passes::cost::model::Typical;
use weft_passes::lower::{Target, lower};
use weft_passes::{autodiff, canon, fuse, rewrite, saved, schedule};
use weft_runtime::Pool;

/// One layer at one size, and how to run it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) text: String,
    /// Sizes and constants that the text lacks are ignored.
    pub(crate) sizes: Vec<(String, Number)>,
    pub(crate) lengths: Lengths,
    /// Seed of the inputs and of the order of grid points.
    pub(crate) seed: u64,
    pub(crate) tiles: schedule::Tiles,
    /// Inputs that are given instead of drawn.
    pub(crate) given: Vec<(String, Tensor)>,
    /// It is not the layer that travels, but its gradients.
    pub(crate) gradients: bool,
    /// It is rewritten, with blocks of this length.
    pub(crate) blocks: Option<i64>,
    /// With the rules up to this phase.
    pub(crate) phase: rewrite::Phase,
}

/// Where on the road something went wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    /// The source was refused.
    Front,
    /// It has no gradients.
    Gradient,
    /// The evaluator refused the graph.
    Evaluate,
    /// The canonical graph means something else.
    Canonical,
    /// Rewriting failed.
    Rewrite,
    /// There is no schedule.
    Schedule,
    /// Forward and backward cannot be told apart.
    Saved,
    /// A buffer has two long axes.
    Quadratic,
    /// The verifier refused the plan.
    Verify,
    /// The interpreter found a mistake.
    Interpret,
    /// The kernels compute something else.
    Kernels,
    /// There is no machine code.
    Lower,
    /// The machine code did not run.
    Launch,
    /// The machine decided otherwise than rounding explains.
    Decide,
    /// The machine code computes something else.
    Machine,
    /// Somewhere a panic.
    Panic,
}

/// What went wrong.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short: String = self.message.chars().take(600).collect();
        write!(f, "{:?}: {short}", self.stage)
    }
}

pub(crate) fn fail<T>(stage: Stage, message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure { stage, message: message.into() })
}

pub(super) trait At<T> {
    fn at(self, stage: Stage) -> Result<T, Failure>;
}

impl<T, E: std::fmt::Display> At<T> for Result<T, E> {
    fn at(self, stage: Stage) -> Result<T, Failure> {
        self.map_err(|e| Failure { stage, message: e.to_string() })
    }
}

/// How well a run agreed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Worst relative error of the interpreted kernels.
    pub(crate) kernels: f64,
    /// Worst error of the machine code, in units of its tolerance.
    pub(crate) machine: f64,
    /// Counts of the interpreter, by kernel.
    pub(crate) counts: Vec<(String, Counts)>,
}

impl Case {
    pub(crate) fn new(text: &str, sizes: &[(&str, i64)], lengths: &[usize]) -> Self {
        Self {
            text: text.to_owned(),
            sizes: sizes.iter().map(|&(n, v)| (n.to_owned(), Number::Int(v))).collect(),
            lengths: Lengths { time: lengths.to_vec(), memory: 5 },
            seed: 1,
            tiles: schedule::Tiles::default(),
            given: Vec::new(),
            gradients: false,
            blocks: None,
            phase: rewrite::Phase::Blocks,
        }
    }
}

/// The definition stratum of a case, or that of its gradients.
pub(crate) fn graph(case: &Case) -> Result<Graph, Failure> {
    let (mut map, id) = source(&case.text);
    let settings = Settings { recorded: case.sizes.clone(), ..Settings::default() };
    match compile(&mut map, id, None, &settings, &mut |_| None) {
        Ok(checked) if case.gradients => {
            let request = autodiff::Request { forward: true, ..Default::default() };
            Ok(autodiff::gradients(&checked.graph, &request).at(Stage::Gradient)?.graph)
        }
        Ok(checked) => Ok(checked.graph),
        Err(diags) => fail(Stage::Front, render(&diags, &map, Color::Never)),
    }
}

/// The schedule of a graph, its kernels fused; with gradients, forward and backward apart.
pub(crate) fn plan(graph: &Graph, float: DType, tiles: schedule::Tiles) -> Result<schedule::Scheduled, Failure> {
    let mut scheduled = unfused(graph, float, tiles)?;
    match split(graph, &scheduled, None)? {
        None => fuse::fuse(&mut scheduled, &fuse::planned_for(), &|_| None),
        Some(mut parts) => {
            fuse_parts(&mut parts)?;
            saved::join(&mut scheduled, &parts.forward, &parts.backward);
        }
    }
    Ok(scheduled)
}

/// Fuses forward and backward.
pub(crate) fn fuse_parts(parts: &mut saved::Split) -> Result<(), Failure> {
    for part in [&mut parts.forward, &mut parts.backward] {
        check_plan(&part.plan)?;
        let fused = fuse::fuse_plan(&mut part.plan, &fuse::planned_for(), &|_| None);
        part.moved(&fused.moved);
        check_plan(&part.plan)?;
    }
    Ok(())
}

/// Not fused; with gradients, as little saved for backward as can be.
fn apart(graph: &Graph, float: DType, tiles: schedule::Tiles) -> Result<schedule::Scheduled, Failure> {
    let mut scheduled = unfused(graph, float, tiles)?;
    if let Some(parts) = split(graph, &scheduled, Some(0))? {
        saved::join(&mut scheduled, &parts.forward, &parts.backward);
    }
    Ok(scheduled)
}

/// Forward and backward of a graph with gradients. If more must be saved than may be, that much is.
pub(crate) fn split(
    graph: &Graph,
    s: &schedule::Scheduled,
    most: Option<u64>,
) -> Result<Option<saved::Split>, Failure> {
    let inputs = graph.inputs().iter().filter(|i| !i.name.starts_with(autodiff::COTANGENT)).count();
    let outputs = graph.outputs.iter().filter(|o| !o.name.starts_with(autodiff::GRADIENT)).count();
    if outputs == graph.outputs.len() {
        return Ok(None);
    }
    let request = |most| saved::Request { inputs, outputs, most, extents: Typical::default().of(&s.plan) };
    let least = match saved::split(s, &request(most)) {
        Err(saved::Error::TooLittle { least, .. }) => Some(least),
        other => return other.at(Stage::Saved).map(Some),
    };
    saved::split(s, &request(least)).at(Stage::Saved).map(Some)
}

/// The schedule of a graph, every stored value in a kernel of its own.
pub(crate) fn unfused(graph: &Graph, float: DType, tiles: schedule::Tiles) -> Result<schedule::Scheduled, Failure> {
    let settings = canon::Settings { float };
    let canonical = canon::canonicalise(graph, settings).at(Stage::Canonical)?;
    let options = schedule::Options { tiles: Some(tiles), ..Default::default() };
    schedule::schedule(&canonical, settings, &options).at(Stage::Schedule)
}

/// Extents of a plan's buffers that grow with the length of the sequence.
fn long_dims(plan: &Plan, buffer: &Buffer) -> usize {
    let is_long = |e: &Expr| {
        let mut long = false;
        e.visit(&mut |e| match e {
            Expr::Ragged(..) => long = true,
            Expr::Extent(x) => long |= plan.extent(*x).is_some_and(|x| x.over.is_some()),
            _ => {}
        });
        long
    };
    buffer.dims.iter().filter(|d| is_long(&d.extent)).count()
}

/// The checks of a plan that need no inputs.
pub(crate) fn check_plan(plan: &Plan) -> Result<(), Failure> {
    if let Some(b) = plan.buffers.iter().find(|b| long_dims(plan, b) > 1) {
        return fail(Stage::Quadratic, format!("buffer `{}` has two long axes", b.name));
    }
    match verify::verify(plan) {
        Ok(()) => Ok(()),
        Err(e) => {
            let list: Vec<String> = e.iter().take(3).map(ToString::to_string).collect();
            fail(Stage::Verify, format!("{} errors: {}", e.len(), list.join("; ")))
        }
    }
}

/// The whole road; a panic is a failure like others.
pub(crate) fn travel(case: &Case) -> Result<Report, Failure> {
    match catch_unwind(AssertUnwindSafe(|| inner(case))) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            fail(Stage::Panic, text.unwrap_or_default())
        }
    }
}

fn inner(case: &Case) -> Result<Report, Failure> {
    let graph = graph(case)?;
    let tensors = inputs(&graph, case);
    let bindings = bind(&graph, &tensors, &case.lengths);
    let truth = Evaluator::new(&graph, &bindings).and_then(|e| e.outputs()).at(Stage::Evaluate)?;
    let mut report = Report::default();
    let scale = scale(case, &graph, &truth);
    let scale = |o: &Output| if o.name.starts_with(autodiff::GRADIENT) { scale } else { 0.0 };

    let source = graph;
    let graph = rewritten(case, &source)?;
    let wide = plan(&graph, DType::F64, case.tiles)?;
    let narrow = plan(&graph, DType::F32, case.tiles)?;
    let scheduled = wide.graph.clone();
    let canonical = bind(&scheduled, &tensors, &case.lengths);
    let same = Evaluator::new(&scheduled, &canonical).and_then(|e| e.outputs()).at(Stage::Canonical)?;
    for out in &graph.outputs {
        let error = relative_error(
            &graph,
            out,
            &case.lengths,
            &same[&out.name].to_f64(),
            &truth[&out.name].to_f64(),
            scale(out),
        );
        if error.is_nan() || error > 1e-9 {
            return fail(Stage::Canonical, format!("`{}` differs by {error:e}", out.name));
        }
    }
    let apart = apart(&graph, DType::F64, case.tiles)?.plan;
    for plan in [&apart, &narrow.plan, &wide.plan] {
        check_plan(plan)?;
    }
    for plan in [&apart, &wide.plan] {
        let outcome = interpret(plan, case, &tensors)?;
        for out in &graph.outputs {
            let buffer = output(plan, &out.name)?;
            let found = &outcome.buffers[buffer.name.as_str()].data;
            let error = relative_error(&graph, out, &case.lengths, found, &truth[&out.name].to_f64(), scale(out));
            if error.is_nan() || error > 1e-9 {
                return fail(Stage::Kernels, format!("`{}` differs by {error:e}", out.name));
            }
            report.kernels = report.kernels.max(error);
        }
        report.counts = outcome.counts.into_iter().collect();
    }
    report.machine = machine(case, &narrow, &tensors)?;
    Ok(report)
}

/// The graph to be scheduled: the definition, or what it is rewritten to.
pub(crate) fn rewritten(case: &Case, graph: &Graph) -> Result<Graph, Failure> {
    let Some(length) = case.blocks else { return Ok(graph.clone()) };
    let settings = canon::Settings { float: DType::F64 };
    let canonical = canon::canonicalise(graph, settings).at(Stage::Canonical)?;
    let options = rewrite::Options { lengths: vec![length], phase: case.phase, ..Default::default() };
    Ok(rewrite::rewrite(&canonical, settings, &options).at(Stage::Rewrite)?.graph)
}

/// What errors of gradients are relative to, if it is larger than the gradient: the largest of all. The terms of a gradient may
/// cancel, down to nothing where there is only one key, and then what is left is rounding of the others.
pub(crate) fn scale(case: &Case, graph: &Graph, truth: &IndexMap<Box<str>, Tensor>) -> f64 {
    let of = |o: &Output| norm(graph, o, &case.lengths, &truth[&o.name].to_f64());
    let gradients = graph.outputs.iter().filter(|o| o.name.starts_with(autodiff::GRADIENT));
    if case.gradients { gradients.map(of).fold(0.0, f64::max) } else { 0.0 }
}

/// Bindings of a graph. Scheduling adds inputs that stand for stored values, behind the layer's own; no output reads them.
pub(crate) fn bind(graph: &Graph, tensors: &[(String, Tensor)], lengths: &Lengths) -> eval::Bindings {
    let runtime = |name: &str| graph.domains().iter().any(|d| &*d.name == name && d.extent == Extent::Runtime);
    let mut bindings = eval::Bindings::new();
    // A layer without time has sequences of one length.
    if runtime("t") {
        bindings = bindings.size("t", lengths.longest()).size("b", lengths.time.len());
    } else {
        bindings = bindings.lengths("t", &lengths.time);
    }
    if graph.domains().iter().any(|d| &*d.name == "m") {
        bindings = bindings.size("m", lengths.memory);
    }
    graph.inputs().iter().enumerate().fold(bindings, |bindings, (n, input)| {
        let tensor = tensors.get(n).map_or_else(|| zeros(graph, input, lengths), |t| t.1.clone());
        bindings.tensor(&input.name, tensor)
    })
}

/// The buffer of an output: by its name, with a number behind it where another buffer had the name.
pub(crate) fn output<'p>(plan: &'p Plan, name: &str) -> Result<&'p Buffer, Failure> {
    let is = |b: &&Buffer| {
        let rest = b.name.strip_prefix(name).map(|r| r.trim_start_matches('_'));
        b.role == Role::Output && rest.is_some_and(|r| r.chars().all(|c| c.is_ascii_digit()))
    };
    let found = plan.buffers.iter().find(|b| b.role == Role::Output && b.name == name);
    found
        .or_else(|| plan.buffers.iter().find(is))
        .ok_or_else(|| Failure { stage: Stage::Schedule, message: format!("no buffer for output `{name}`") })
}

fn extents(plan: &Plan, lengths: &Lengths) -> Vec<(String, Length)> {
    let value = |e: &weft_ir::kernel::Extent| match e.over {
        Some(_) => Length::Ragged(lengths.time.iter().map(|&n| n as i64).collect()),
        None if e.name == "B" => Length::Uniform(lengths.time.len() as i64),
        None if e.name == "T" => Length::Uniform(lengths.longest() as i64),
        None => Length::Uniform(lengths.memory as i64),
    };
    plan.extents.iter().map(|e| (e.name.clone(), value(e))).collect()
}

/// Runs a plan in the interpreter.
pub(crate) fn interpret(plan: &Plan, case: &Case, tensors: &[(String, Tensor)]) -> Result<interp::Outcome, Failure> {
    let given = plan.buffers.iter().filter(|b| b.role.is_given()).zip(tensors);
    let tensor = |t: &Tensor| interp::Tensor { shape: t.shape.clone(), data: t.to_f64() };
    interpret_on(plan, case, given.map(|(b, (_, t))| (b.name.as_str(), tensor(t))))
}

/// The same on buffers by name.
pub(crate) fn interpret_on<'t>(
    plan: &Plan,
    case: &Case,
    given: impl Iterator<Item = (&'t str, interp::Tensor)>,
) -> Result<interp::Outcome, Failure> {
    let mut bindings = interp::Bindings::default();
    for (name, length) in extents(plan, &case.lengths) {
        let values = match length {
            Length::Uniform(n) => vec![n],
            Length::Ragged(rows) => rows,
        };
        bindings = bindings.extent(&name, values);
    }
    for (name, tensor) in given {
        bindings = bindings.buffer(name, tensor);
    }
    let options = interp::Options { seed: case.seed, ..interp::Options::default() };
    interp::run(plan, &bindings, options).at(Stage::Interpret)
}

pub(crate) fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::new(2).unwrap())
}

pub(crate) fn to_data(elem: ElemType, x: &[f64]) -> Data {
    #[allow(clippy::cast_possible_truncation, reason = "inputs are exact in the types that they have")]
    match elem {
        ElemType::F32 => Data::F32(x.iter().map(|x| *x as f32).collect()),
        ElemType::Bf16 => Data::Bf16(x.iter().map(|x| to_bf16(*x as f32)).collect()),
        ElemType::F64 => Data::F64(x.to_vec()),
        ElemType::I32 => Data::I32(x.iter().map(|x| *x as i32).collect()),
        ElemType::I64 => Data::I64(x.iter().map(|x| *x as i64).collect()),
        ElemType::Bool => Data::Bool(x.iter().map(|x| u8::from(*x != 0.0)).collect()),
    }
}

pub(crate) fn to_floats(data: &Data) -> Vec<f64> {
    match data {
        Data::F32(x) => x.iter().copied().map(f64::from).collect(),
        Data::F64(x) => x.clone(),
        Data::I32(x) => x.iter().copied().map(f64::from).collect(),
        Data::I64(x) => x.iter().map(|x| *x as f64).collect(),
        Data::Bool(x) => x.iter().copied().map(f64::from).collect(),
        Data::Bf16(x) => x.iter().map(|x| f64::from(from_bf16(*x))).collect(),
    }
}

/// Runs the machine code and compares under its own decisions; gives the worst error in units of the tolerance.
fn machine(case: &Case, s: &schedule::Scheduled, tensors: &[(String, Tensor)]) -> Result<f64, Failure> {
    let plan = &s.plan;
    let program = lower(plan, &Target::default()).at(Stage::Lower)?;
    let executable = Executable::new(program).at(Stage::Lower)?;
    let lengths: Vec<Length> = extents(plan, &case.lengths).into_iter().map(|e| e.1).collect();
    let mut run = executable.prepare(&lengths).at(Stage::Launch)?;
    for (buffer, (_, tensor)) in plan.buffers.iter().filter(|b| b.role.is_given()).zip(tensors) {
        run.write(&buffer.name, &to_data(buffer.elem, &tensor.to_f64())).at(Stage::Launch)?;
    }
    run.launch(pool()).at(Stage::Launch)?;

    let graph = &s.graph;
    let bindings = bind(graph, tensors, &case.lengths);
    let mut evaluator = Evaluator::new(graph, &bindings).at(Stage::Evaluate)?;
    let reachable = evaluator.decision_nodes();
    let mut decisions = eval::check::Decisions::new();
    // The position of a rank says more than its value, also where only the value is asked for.
    let asked = |n: NodeId| {
        let pair = |m: NodeId| graph.args(m) == graph.args(n) && matches!(graph.op(m), Op::KthValue { .. });
        reachable.contains(&n) || (matches!(graph.op(n), Op::KthIndex { .. }) && reachable.iter().any(|&m| pair(m)))
    };
    for schedule::Decision { node, buffer, axes } in s.decisions.iter().filter(|d| asked(d.node)) {
        let buffer = &plan.buffers[buffer.index()];
        let found = to_floats(&run.read(&buffer.name).at(Stage::Launch)?);
        decisions.insert(*node, at_node(graph, *node, axes, &case.lengths, &found));
    }
    let tolerance = Tolerance { absolute: 1e-5, relative: 2e-5 };
    for judgement in evaluator.judge(&decisions, tolerance).at(Stage::Decide)? {
        if !judgement.is_within() {
            let (worst, at) = (judgement.worst, judgement.position);
            return fail(Stage::Decide, format!("{} is {worst:e} tolerances from optimal at {at:?}", judgement.name));
        }
    }
    evaluator.impose_decisions(&decisions).at(Stage::Decide)?;
    let truth = evaluator.outputs().at(Stage::Evaluate)?;
    let scale = scale(case, graph, &truth);
    let scale = |o: &Output| if o.name.starts_with(autodiff::GRADIENT) { scale } else { 0.0 };
    let sensitivity = evaluator.sensitivity(case.seed).at(Stage::Evaluate)?;
    let mut worst = 0.0f64;
    for out in &graph.outputs {
        let buffer = output(plan, &out.name)?;
        let found = to_floats(&run.read(&buffer.name).at(Stage::Launch)?);
        let error = relative_error(graph, out, &case.lengths, &found, &truth[&out.name].to_f64(), scale(out));
        let step = 1.0 / f64::from(1 << 23);
        let tolerance = 32.0 * (sensitivity.get(&out.name).copied().unwrap_or(0.0) + step);
        if error.is_nan() || error > tolerance {
            return fail(Stage::Machine, format!("`{}` differs by {error:e}, tolerance {tolerance:e}", out.name));
        }
        worst = worst.max(error / tolerance);
    }
    Ok(worst)
}
