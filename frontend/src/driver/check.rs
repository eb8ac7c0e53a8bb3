//! `weft check`: does a layer, as compiled, compute what its definition says?
//!
//! The kernels run on golden or generated inputs and give their outputs and the decisions that they took. The float64 evaluator
//! judges every decision (is it within rounding of optimal?), is run under those decisions, and outputs are compared. Scores that
//! ranks were taken of are compared and imposed, too: whoever is among the best is found by comparing them. A backend that holds float32 is given inputs rounded to float32, and the evaluator the same, so that what is measured is the
//! backend's own rounding.
//!
//! Bounds on the relative Euclidean distance of an output: 1e-10 for what computes in float64, 1e-4 for float32, 2e-2 for
//! bfloat16; of gradients, which are made of more products, 1e-9, 5e-4 and 5e-2. Where a layer itself magnifies the rounding of its inputs (the evaluator measures it), the bound is 8 times that.

use std::time::Duration;

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::algorithm;
use super::bind::{Bound, Length, bind};
use super::compare::{Distance, distance, take};
use super::costs::{KernelCost, costs};
use super::execute::{Executed, Memory, Ready, evaluator, execute, existing, prepare, sorted_by_axis};
use super::fault::Fault;
use super::generate::generate;
use super::load::Loaded;
use super::pipeline::{Backend, CompileOptions};
use super::tensors::{Entry, TensorFile};
use super::watch::{Phase, Watch};
use crate::diagnostics::codes;
use weft_ir::DType;
use weft_ir::eval::{Evaluator, Tensor, Tolerance};
use weft_ir::graph::{AxisId, Extent, Graph, NodeId, Op, Output, Role};
use weft_passes::autodiff::{COTANGENT, GRADIENT};
use weft_passes::saved::Saved;

/// How much of the outputs the evaluator computes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rows {
    /// Everything up to [`WHOLE`] positions of time, else [`SAMPLED`] of them.
    Automatic,
    /// Everything.
    All,
    /// So many positions of time: the first, the last, and others spread over the rest.
    Sampled(usize),
}

/// The longest time axis of which [`Rows::Automatic`] compares everything.
pub const WHOLE: usize = 1024;
/// How many positions [`Rows::Automatic`] compares of a longer one.
pub const SAMPLED: usize = 32;

/// What to check, and against what.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// What runs the layer.
    pub backend: Backend,
    /// How it is compiled.
    pub compile: CompileOptions,
    /// Inputs and outputs known from elsewhere; without them inputs are generated.
    pub golden: Option<TensorFile>,
    /// How much is compared with the evaluator.
    pub rows: Rows,
    /// Of generated inputs.
    pub seed: u64,
    /// Give the inputs back?
    pub keep_inputs: bool,
}

/// What an output is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Against {
    /// The float64 evaluator, under the same decisions.
    Evaluator,
    /// The golden file.
    Golden,
}

/// One comparison.
#[derive(Clone, PartialEq, Debug)]
pub struct OutputRow {
    /// The output.
    pub name: String,
    /// With what.
    pub against: Against,
    /// How far apart.
    pub distance: Distance,
}

/// One stored decision.
#[derive(Clone, PartialEq, Debug)]
pub struct DecisionRow {
    /// Its name for people.
    pub name: String,
    /// Distance from optimal in units of what rounding explains: at most 1 is good.
    pub worst: f64,
    /// Where that is, along the decision's axes.
    pub position: Vec<usize>,
}

impl DecisionRow {
    /// Is the decision within rounding of optimal?
    #[must_use]
    pub fn ok(&self) -> bool {
        self.worst <= 1.0
    }
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The layer.
    pub layer: String,
    /// What `float` stands for.
    pub float: DType,
    /// What ran it.
    pub backend: Backend,
    /// Sizes and constants with their values, in source order.
    pub sizes: Vec<(String, String)>,
    /// Runtime extents with their values.
    pub extents: Vec<(String, String)>,
    /// Are these gradients of the layer?
    pub gradients: bool,
    /// Are the outputs functions of the past? `None` if the layer has no time, and for gradients.
    pub causal: Option<bool>,
    /// What is computed in place of the definition, in a few words.
    pub algorithm: Option<String>,
    /// Recurrences with their classes.
    pub recurrences: Vec<(String, String)>,
    /// Where the inputs come from.
    pub inputs: String,
    /// The positions of time that were compared with the evaluator, if not all.
    pub rows: Option<(String, Vec<usize>)>,
    /// The kernels, if the backend has any.
    pub kernels: Vec<KernelCost>,
    /// Of gradients: so many kernels, from the first, are forward's.
    pub forward: Option<usize>,
    /// Of gradients: what forward saves for backward.
    pub saved: Vec<Saved>,
    /// The memory of the run, if it is the backend's own.
    pub memory: Option<Memory>,
    /// The scheduler's choices, one a line.
    pub notes: Vec<String>,
    /// The decisions that the kernels stored.
    pub decisions: Vec<DecisionRow>,
    /// Scores that ranks were taken of, as [`Report::outputs`].
    pub scores: Vec<OutputRow>,
    /// The comparisons.
    pub outputs: Vec<OutputRow>,
    /// The inputs that it ran on, if they were asked for.
    pub inputs_kept: Vec<Entry>,
    /// Phases with their times.
    pub phases: Vec<(Phase, Duration)>,
}

impl Report {
    /// Did every comparison succeed?
    #[must_use]
    pub fn ok(&self) -> bool {
        self.outputs.iter().chain(&self.scores).all(|o| o.distance.ok()) && self.decisions.iter().all(DecisionRow::ok)
    }
}

/// What rounding may do to outputs and to the scores of decisions.
fn bounds(backend: Backend, float: DType, gradients: bool) -> (f64, Tolerance) {
    match (backend.rounds(), float) {
        (false, _) | (true, DType::F64) => {
            (if gradients { 1e-9 } else { 1e-10 }, Tolerance { absolute: 1e-12, relative: 1e-10 })
        }
        (true, DType::BF16 | DType::F16) => {
            (if gradients { 5e-2 } else { 2e-2 }, Tolerance { absolute: 1e-3, relative: 2e-2 })
        }
        (true, _) => (if gradients { 5e-4 } else { 1e-4 }, Tolerance { absolute: 1e-6, relative: 1e-5 }),
    }
}

/// A gradient may vanish because of what cancels in it, and rounding stays: elements below this part of the largest gradient's are not
/// told from 0. It is less than what float32 resolves beside that one.
const NOISE: f64 = 1.0 / (1u64 << 22) as f64;

/// The largest root mean square of the elements of a tensor.
fn largest<'t>(tensors: impl Iterator<Item = &'t Tensor>) -> f64 {
    let rms = |t: &Tensor| {
        let x = t.to_f64();
        (x.iter().filter(|v| v.is_finite()).map(|v| v * v).sum::<f64>() / x.len().max(1) as f64).sqrt()
    };
    tensors.map(rms).fold(0.0, f64::max)
}

/// Checks a layer.
///
/// # Errors
/// What keeps it from being compiled or run; see the functions of [`super::execute`] and [`super::bind`]. A mismatch is no error
/// but a report that is not [`Report::ok`].
pub fn check(loaded: &Loaded, options: &CheckOptions, watch: &mut Watch<'_>) -> Result<Report, Fault> {
    let checked = &loaded.checked;
    let graph = &checked.graph;
    let bound = watch.time(Phase::Inputs, || match &options.golden {
        None => generate(graph, &checked.extents, options.seed),
        Some(golden) => {
            let mut given = golden.with_prefix("in.");
            if loaded.own.is_some() {
                let cotangents = golden.tensors.iter().filter(|(name, _)| name.starts_with(COTANGENT));
                given.extend(cotangents.map(|(name, t)| (name.clone(), t.clone())));
            }
            bind(graph, given, &checked.extents, &golden.name)
        }
    })?;
    let bound = if options.backend.rounds() { bound.rounded(graph, checked.float) } else { bound };
    let compile = CompileOptions { extents: bound.extents(graph), ..options.compile.clone() };
    let ready = prepare(loaded, options.backend, &compile, watch)?;
    let executed = execute(loaded, &ready, &bound, watch)?;
    let training = ready.planned().and_then(|p| p.training.as_ref());
    let mut report = Report {
        layer: graph.name.to_string(),
        float: checked.float,
        backend: options.backend,
        sizes: checked.values.iter().map(|(n, v)| (n.clone(), v.to_string())).collect(),
        extents: extents(graph, &bound),
        gradients: loaded.own.is_some(),
        causal: if loaded.own.is_some() { None } else { causal(loaded) },
        algorithm: ready.planned().and_then(|p| algorithm::told(p.rewritten.as_ref())),
        recurrences: checked.recurrences.iter().map(|r| (r.name.clone(), r.class.to_string())).collect(),
        inputs: match &options.golden {
            None => format!("generated, seed {}", options.seed),
            Some(golden) => golden.name.clone(),
        },
        rows: None,
        kernels: ready.planned().map(|p| costs(&p.scheduled.plan, graph, &bound)).unwrap_or_default(),
        forward: training.map(|t| t.forward.kernels.len()),
        saved: training.map(|t| t.saved.clone()).unwrap_or_default(),
        memory: executed.memory,
        notes: ready.planned().map(|p| p.scheduled.notes.clone()).unwrap_or_default(),
        decisions: Vec::new(),
        scores: Vec::new(),
        outputs: Vec::new(),
        inputs_kept: if options.keep_inputs { bound.entries(graph, checked.float) } else { Vec::new() },
        phases: Vec::new(),
    };
    for (kernel, time) in report.kernels.iter_mut().zip(executed.times.iter().flatten()) {
        kernel.time = Some(*time);
    }
    let sample = sample(graph, &bound, options.rows);
    compare_with_evaluator(loaded, &ready, &bound, &executed, sample.as_ref(), &mut report, watch)?;
    report.rows = sample.map(|s| (graph.axis(s.axis).name.to_string(), s.positions));
    if let Some(golden) = &options.golden {
        compare_with_golden(loaded, &bound, &executed, golden, &mut report)?;
    }
    report.phases = watch.times().to_vec();
    Ok(report)
}

fn compare_with_evaluator(
    loaded: &Loaded,
    ready: &Ready,
    bound: &Bound,
    executed: &Executed,
    sample: Option<&Sample>,
    report: &mut Report,
    watch: &mut Watch<'_>,
) -> Result<(), Fault> {
    let Some(planned) = ready.planned() else { return Ok(()) };
    let (_, tolerance) = bounds(report.backend, report.float, false);
    // Decisions are terms of the canonical graph. A layer without any is compared with the definition itself.
    let decides = !executed.decisions.is_empty();
    let graph = if decides { &planned.canonical } else { &loaded.checked.graph };
    let mut truth = Evaluator::new(graph, &bound.bindings(graph)).map_err(evaluator)?;
    if decides {
        let decisions = executed.decisions.iter().cloned().collect();
        let judged = watch.time(Phase::Decisions, || {
            let judged = truth.judge(&decisions, tolerance)?;
            truth.impose_decisions(&decisions)?;
            Ok(judged)
        });
        let rows = judged.map_err(evaluator)?.into_iter();
        report.decisions =
            rows.map(|j| DecisionRow { name: label(graph, j.node), worst: j.worst, position: j.position }).collect();
        impose_scores(graph, bound, &mut truth, executed, report)?;
    }
    let wanted = watch.time(Phase::Evaluate, || expected(graph, &truth, &executed.outputs, sample))?;
    let mut magnified: Option<FxHashMap<String, f64>> = None;
    let own = loaded.own.map_or(usize::MAX, |own| own.outputs);
    let noise = NOISE * largest(wanted.iter().skip(own).map(|(_, w)| w));
    for (n, (output, (found, wanted))) in graph.outputs.iter().zip(wanted).enumerate() {
        let least = if n < own { 0.0 } else { noise };
        let (limit, _) = bounds(report.backend, report.float, n >= own);
        let exists = existing(graph, bound, &output.axes).map(|e| {
            let shape = bound.shape(graph, &output.axes);
            let e = Tensor::bools(&shape, e);
            let kept = sample.and_then(|s| take(&e, s.dimension(output)?, &s.positions)).unwrap_or(e);
            kept.to_f64().into_iter().map(|x| x > 0.0).collect::<Vec<_>>()
        });
        let between = |limit: f64| {
            distance(&found, &wanted, exists.as_deref(), limit, least)
                .ok_or_else(|| Fault::bug(format!("output `{}` has another shape or class", output.name)))
        };
        let mut row = between(limit)?;
        if !row.ok() && row.bound > 0.0 && sample.is_none() && report.backend.rounds() {
            if magnified.is_none() {
                let measured = watch.time(Phase::Evaluate, || truth.sensitivity(1)).map_err(evaluator)?;
                magnified = Some(measured.into_iter().map(|(n, s)| (n.into_string(), s)).collect());
            }
            let by = magnified.as_ref().and_then(|m| m.get(&*output.name)).copied().unwrap_or(0.0);
            row = between(limit.max(8.0 * by))?;
        }
        report.outputs.push(OutputRow { name: output.name.to_string(), against: Against::Evaluator, distance: row });
    }
    Ok(())
}

/// Compares scores that ranks were taken of, and has the evaluator go on with those of the run: two scores that differ by less than their
/// roundings stand in one order there and in another here, and membership is a comparison of scores.
fn impose_scores(
    graph: &Graph,
    bound: &Bound,
    truth: &mut Evaluator<'_>,
    executed: &Executed,
    report: &mut Report,
) -> Result<(), Fault> {
    let mut compared = Vec::new();
    for (node, found, buffer) in &executed.scores {
        let wanted = truth.nodes(&[*node]).map_err(evaluator)?.swap_remove(0);
        let axes: Vec<AxisId> = graph.free(*node).iter().collect();
        let exists = existing(graph, bound, &axes);
        let (limit, _) = bounds(report.backend, report.float, false);
        let name = label(graph, *node);
        let row = distance(found, &wanted, exists.as_deref(), limit, 0.0)
            .ok_or_else(|| Fault::bug(format!("the scores `{name}` have another shape or class")))?;
        truth.impose(*node, found).map_err(evaluator)?;
        if compared.contains(buffer) {
            continue;
        }
        compared.push(*buffer);
        report.scores.push(OutputRow { name, against: Against::Evaluator, distance: row });
    }
    Ok(())
}

/// The decision's name in the source, or its op and what it decides about.
fn label(graph: &Graph, node: NodeId) -> String {
    if let Some(label) = graph.label(node) {
        return label.to_owned();
    }
    let mut about = graph.operands(node).first().copied();
    while let Some(id) = about {
        match (graph.label(id), graph.op(id)) {
            (Some(label), _) => return format!("{} of {label}", graph.op(node).name()),
            (None, Op::Sub { .. }) => about = graph.args(id).first().copied(),
            (None, Op::Input(i)) => return format!("{} of {}", graph.op(node).name(), graph.input(*i).name),
            (None, _) => break,
        }
    }
    graph.op(node).name().to_owned()
}

/// For every output what was found and what the evaluator says, cut to the sample.
fn expected(
    graph: &Graph,
    truth: &Evaluator<'_>,
    outputs: &IndexMap<String, Tensor>,
    sample: Option<&Sample>,
) -> Result<Vec<(Tensor, Tensor)>, Fault> {
    let found = |output: &Output| {
        outputs.get(&*output.name).ok_or_else(|| Fault::bug(format!("the run gives no `{}`", output.name)))
    };
    let Some(sample) = sample else {
        let mut wanted = truth.outputs().map_err(evaluator)?;
        let pair = |output: &Output| {
            let wanted = wanted.swap_remove(&output.name);
            let wanted = wanted.ok_or_else(|| Fault::bug(format!("the evaluator gives no `{}`", output.name)))?;
            Ok((found(output)?.clone(), wanted))
        };
        return graph.outputs.iter().map(pair).collect();
    };
    let mut pairs = Vec::new();
    for output in &graph.outputs {
        let found = found(output)?;
        let refuse = || Fault::bug(format!("output `{}` has another shape", output.name));
        pairs.push(match (sample.dimension(output), output.axes.first()) {
            (Some(d), _) => {
                let axis = &graph.axis(output.axes[d]).name;
                let wanted = truth.rows(&output.name, axis, &sample.positions).map_err(evaluator)?;
                (take(found, d, &sample.positions).ok_or_else(refuse)?, wanted)
            }
            (None, Some(&first)) => {
                let all: Vec<usize> = (0..truth.extent(first)).collect();
                (found.clone(), truth.rows(&output.name, &graph.axis(first).name, &all).map_err(evaluator)?)
            }
            (None, None) => {
                let wanted = truth.nodes(&[output.node]).map_err(evaluator)?.pop();
                (sorted_by_axis(found, &output.axes), wanted.ok_or_else(refuse)?)
            }
        });
    }
    Ok(pairs)
}

fn compare_with_golden(
    loaded: &Loaded,
    bound: &Bound,
    executed: &Executed,
    golden: &TensorFile,
    report: &mut Report,
) -> Result<(), Fault> {
    let graph = &loaded.checked.graph;
    let mut outputs = golden.with_prefix("out.");
    if loaded.own.is_some() {
        let all = golden.tensors.iter().filter(|(name, _)| name.starts_with(GRADIENT));
        outputs.extend(all.map(|(name, t)| (name.clone(), t.clone())));
    }
    let own = loaded.own.map_or(usize::MAX, |own| own.outputs);
    let gradients = graph.outputs.iter().skip(own).filter_map(|o| outputs.get(&*o.name));
    let noise = NOISE * largest(gradients);
    for name in outputs.keys() {
        if !executed.outputs.contains_key(name) {
            let what = format!("{}: the layer `{}` has no output `{name}`", golden.name, graph.name);
            return Err(Fault::user(codes::E0512, what));
        }
    }
    for (n, output) in graph.outputs.iter().enumerate() {
        let (limit, _) = bounds(report.backend, report.float, n >= own);
        let least = if n < own { 0.0 } else { noise };
        let (Some(wanted), Some(found)) = (outputs.get(&*output.name), executed.outputs.get(&*output.name)) else {
            continue;
        };
        let exists = existing(graph, bound, &output.axes);
        let row = distance(found, wanted, exists.as_deref(), limit, least).ok_or_else(|| {
            let what = format!(
                "{}: output `{}` has the shape {:?}; the layer gives {:?}, and integers only for integers",
                golden.name, output.name, wanted.shape, found.shape
            );
            Fault::user(codes::E0513, what)
        })?;
        report.outputs.push(OutputRow { name: output.name.to_string(), against: Against::Golden, distance: row });
    }
    Ok(())
}

/// Some positions of a time axis.
struct Sample {
    axis: AxisId,
    /// Axes of the same domain: an output may have another name for it.
    axes: Vec<AxisId>,
    positions: Vec<usize>,
}

impl Sample {
    fn dimension(&self, output: &Output) -> Option<usize> {
        output.axes.iter().position(|a| self.axes.contains(a))
    }
}

/// The positions to compare, unless all are.
fn sample(graph: &Graph, bound: &Bound, rows: Rows) -> Option<Sample> {
    let is_time = |&a: &AxisId| {
        let domain = graph.domain_of(a);
        domain.role == Role::Time && matches!(domain.extent, Extent::Runtime | Extent::Ragged(_))
    };
    let axis = graph.outputs.iter().flat_map(|o| o.axes.iter().copied()).find(is_time)?;
    let domain = graph.axis(axis).domain;
    let extent = bound.length(domain).padded();
    let count = match rows {
        Rows::All => return None,
        Rows::Automatic if extent <= WHOLE => return None,
        Rows::Automatic => SAMPLED,
        Rows::Sampled(n) => n.max(1),
    };
    if count >= extent {
        return None;
    }
    // Evenly spread, each moved by an amount that has no relation to tiles and chunks.
    let stride = |i: usize| i * (extent - 1) / (count - 1).max(1);
    let moved = |i: usize| {
        let room = (stride(i + 1) - stride(i)).max(1);
        if i == 0 || i + 1 == count { stride(i) } else { stride(i) + (i * 7919) % room }
    };
    let mut positions: Vec<usize> = (0..count).map(|i| moved(i).min(extent - 1)).collect();
    positions.dedup();
    let axes = (0..graph.axes().len() as u32).map(AxisId).filter(|&a| graph.axis(a).domain == domain).collect();
    Some(Sample { axis, axes, positions })
}

fn extents(graph: &Graph, bound: &Bound) -> Vec<(String, String)> {
    let domains = graph.domains().iter().enumerate();
    let shown = domains.filter(|(_, d)| matches!(d.extent, Extent::Runtime | Extent::Ragged(_)));
    shown
        .map(|(i, d)| {
            let length = bound.length(weft_ir::graph::DomainId(i as u32));
            let text = match length {
                Length::Uniform(n) => n.to_string(),
                Length::Ragged { lengths, .. } => {
                    let least = lengths.iter().min().copied().unwrap_or(0);
                    let most = lengths.iter().max().copied().unwrap_or(0);
                    format!("{least}..{most}")
                }
            };
            (d.name.to_string(), text)
        })
        .collect()
}

/// Non-causal outputs are refused where time is declared, so a layer with a time axis is causal.
fn causal(loaded: &Loaded) -> Option<bool> {
    let graph = &loaded.checked.graph;
    if !graph.domains().iter().any(|d| d.role == Role::Time) {
        return None;
    }
    let late = |name: &str| {
        let clocks = loaded.checked.clocks.iter().filter(|c| c.name == name);
        clocks.into_iter().any(|c| c.clock == crate::sema::Clock::End)
    };
    // An output without time (a loss, a final state) is known at the end, and looks at no later input than that.
    let timed = |o: &&Output| o.axes.iter().any(|&a| graph.domain_of(a).role == Role::Time);
    Some(!graph.outputs.iter().filter(timed).any(|o| late(&o.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{LoadOptions, Silent, load_bytes};

    fn loaded() -> Loaded {
        let text = "layer l {\n  axis b, t: time\n  in x[b,t]\n  out y[b,t] = 2 * x\n}";
        load_bytes(
            "l",
            text.as_bytes(),
            std::path::Path::new(""),
            &LoadOptions::default(),
            &mut Watch::new(&mut Silent),
        )
        .unwrap()
    }

    #[test]
    fn samples_hold_both_ends_and_are_sorted() {
        let loaded = loaded();
        let graph = &loaded.checked.graph;
        for t in [1, 2, 3, 31, 33, 1024, 1025, 5000] {
            let extents = IndexMap::from([("t".to_owned(), t), ("b".to_owned(), 1)]);
            let bound = generate(graph, &extents, 0).unwrap();
            for rows in [Rows::Automatic, Rows::All, Rows::Sampled(1), Rows::Sampled(7)] {
                let Some(s) = sample(graph, &bound, rows) else { continue };
                assert!(rows != Rows::All && (rows != Rows::Automatic || t > 1024));
                assert!(s.positions.windows(2).all(|w| w[0] < w[1]), "{t} {rows:?} {:?}", s.positions);
                assert_eq!(s.positions[0], 0);
                if rows != Rows::Sampled(1) {
                    assert_eq!(s.positions.last().copied(), Some(t as usize - 1));
                }
            }
        }
    }
}
