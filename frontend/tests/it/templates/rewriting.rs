//! Rewriting keeps the meaning: of every layer and its gradients, with blocks much shorter than the sequences.

use super::examples::{EXAMPLES, Example};
use super::inputs::{inputs, relative_error};
use super::layers::{NAMES, text};
use super::road::{Case, Stage, bind, graph, rewritten, scale, travel};
use crate::support::root;
use weft_ir::DType;
use weft_ir::eval::{Elements, Evaluator, Options};
use weft_ir::graph::{AxisId, AxisSet, DomainId, Extent, Graph, NodeId};
use weft_passes::{autodiff, canon, rewrite};

/// Lengths of blocks and of documents: complete and incomplete blocks, none at all.
const RUNS: [(i64, &[usize]); 3] = [(4, &[19, 3, 8]), (3, &[1, 10]), (5, &[23])];

/// Layers that nobody has published, with the power of time that they should cost.
const VARIANTS: [&str; 15] = [
    "alibi_codes",
    "channel_decays",
    "chunk_codes",
    "chunk_means",
    "code_picks",
    "code_sigmoids",
    "cumulative",
    "cumulative_channels",
    "gated_features",
    "lagged_decay",
    "rungs",
    "squares",
    "two_decays",
    "unrolled",
    "whole",
];

fn variant(name: &str) -> String {
    std::fs::read_to_string(root().join(format!("tests/variants/{name}.weft"))).unwrap()
}

/// Is a layer rewritten to something that means the same? Says whether it was changed at all.
pub(super) fn keeps(case: &Case) -> Result<bool, String> {
    let source = graph(case).map_err(|f| f.to_string())?;
    let fast = rewritten(case, &source).map_err(|f| f.to_string())?;
    let tensors = inputs(&source, case);
    let truth = Evaluator::new(&source, &bind(&source, &tensors, &case.lengths)).and_then(|e| e.outputs());
    let truth = truth.map_err(|e| format!("the definition: {e}"))?;
    let found = Evaluator::new(&fast, &bind(&fast, &tensors, &case.lengths)).and_then(|e| e.outputs());
    let found = found.map_err(|e| format!("the algorithm: {e}"))?;
    // Gradients may cancel down to nothing.
    let largest = scale(case, &source, &truth);
    for out in &source.outputs {
        let (a, b) = (found[&out.name].to_f64(), truth[&out.name].to_f64());
        let least = if out.name.starts_with(autodiff::GRADIENT) { largest } else { 0.0 };
        let error = relative_error(&source, out, &case.lengths, &a, &b, least);
        if error.is_nan() || error > 1e-8 {
            return Err(format!("`{}` differs by {error:e}", out.name));
        }
    }
    Ok(fast.recs().len() > source.recs().len())
}

fn all(gradients: bool) -> Vec<(String, Case)> {
    let mut cases = Vec::new();
    for (length, documents) in RUNS {
        let held_out = NAMES.iter().map(|n| ((*n).to_owned(), Case::new(&text(n), &[], documents)));
        let gallery = EXAMPLES.iter().map(|e| (e.file.to_owned(), e.case(&[], documents)));
        let variants = VARIANTS.iter().map(|n| ((*n).to_owned(), Case::new(&variant(n), &[], documents)));
        for (name, mut case) in held_out.chain(gallery).chain(variants) {
            (case.blocks, case.gradients) = (Some(length), gradients);
            cases.push((name, case));
        }
    }
    let only = std::env::var("WEFT_LAYER").ok();
    cases.retain(|c| only.as_deref().is_none_or(|o| c.0.contains(o)));
    cases
}

fn check(gradients: bool) {
    let mut failures = Vec::new();
    for (name, case) in all(gradients) {
        let tried = std::panic::catch_unwind(|| keeps(&case));
        match tried.unwrap_or_else(|_| Err("panicked".to_owned())) {
            Ok(_) => {}
            Err(e) => failures.push(format!("{name} {:?} {:?}: {e}", case.blocks, case.lengths.time)),
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// It keeps the meaning wherever it stops.
#[test]
fn phases() {
    let mut failures = Vec::new();
    for (name, case) in all(true).into_iter().filter(|(_, c)| c.blocks == Some(RUNS[0].0)) {
        for phase in [rewrite::Phase::Sums, rewrite::Phase::Factors] {
            let case = Case { phase, ..case.clone() };
            if let Err(e) = keeps(&case) {
                failures.push(format!("{name}, {phase:?}: {e}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What is changed is scheduled and runs: interpreter and machine code agree with the evaluator.
#[test]
fn roads() {
    travelled(all(false));
}

/// The same of gradients, at one length of blocks.
#[test]
fn roads_of_gradients() {
    let mut cases = all(true);
    cases.retain(|(_, c)| c.blocks == Some(RUNS[0].0));
    travelled(cases);
}

fn travelled(cases: Vec<(String, Case)>) {
    let mut failures = Vec::new();
    let mut count = 0;
    for (name, case) in cases {
        if !std::panic::catch_unwind(|| keeps(&case)).is_ok_and(|k| k == Ok(true)) {
            continue;
        }
        count += 1;
        if let Err(f) = travel(&case) {
            // Nothing is refused that is not refused as it is written.
            let written = travel(&Case { blocks: None, ..case.clone() });
            if f.stage == Stage::Schedule && written.is_err_and(|w| w.stage == Stage::Schedule) {
                continue;
            }
            failures.push(format!("{name} {:?} {:?}: {f}", case.blocks, case.lengths.time));
        }
    }
    assert!(failures.is_empty(), "{} failures of {count}\n{}", failures.len(), failures.join("\n"));
}

/// Every step of every derivation keeps the meaning.
#[test]
fn steps() {
    let mut failures = Vec::new();
    let mut lines = Vec::new();
    for (name, case) in all(false) {
        if !std::panic::catch_unwind(|| keeps(&case)).is_ok_and(|k| k == Ok(true)) {
            continue;
        }
        match every_step(&case) {
            Ok(rules) if case.blocks == Some(RUNS[0].0) => lines.push(format!("{name}: {rules}")),
            Ok(_) => {}
            Err(e) => failures.push(format!("{name} {:?}: {e}", case.blocks)),
        }
    }
    insta::assert_snapshot!("rules", lines.join("\n"));
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// No rule is there for one layer. Left out, it makes some layers, or their gradients, dearer: at least two, or it has a reason. Costs are those of float32.
#[test]
fn economy() {
    const ALONE: [(&str, &str); 4] = [
        (
            "a weight that adds up",
            "the gradient of a rate that multiplies a distance: small layers have it cheaply enough otherwise at this length",
        ),
        (
            "exponential of a sum",
            "a bias by distance beside a score under one exponential, of which there is one here with codes",
        ),
        ("count", "the constant feature of a polynomial kernel: a sum of ones over the keys that a row sees"),
        (
            "positions first",
            "layers without a mask, of which there is one here: nothing to carry, one sum for all rows",
        ),
    ];
    let settings = canon::Settings { float: DType::F32 };
    let variants = VARIANTS.iter().flat_map(|n| [(*n, false), (*n, true)]).map(|(n, g)| (n.to_owned(), variant(n), g));
    let example = |e: &Example| e.case(&[], RUNS[0].1).text;
    let gallery = EXAMPLES.iter().map(|e| (e.file.to_owned(), example(e), false));
    let trained = EXAMPLES.iter().filter(|e| e.file.ends_with("mamba2")).map(|e| (e.file.to_owned(), example(e), true));
    let gallery = gallery.chain(trained);
    let held_out = ["forget", "gates", "levels", "sink_table"].map(|n| (n.to_owned(), text(n), n == "forget"));
    let mut layers = Vec::new();
    for (name, source, gradients) in variants.chain(gallery).chain(held_out) {
        let mut case = Case::new(&source, &[], RUNS[0].1);
        case.gradients = gradients;
        let Ok(source) = graph(&case) else { continue };
        layers.push((
            format!("{name}{}", if gradients { "'" } else { "" }),
            canon::canonicalise(&source, settings).unwrap(),
        ));
    }
    let cost = |graph: &Graph, without: Option<&'static str>| {
        let options = rewrite::Options { lengths: vec![64], without, ..rewrite::Options::default() };
        rewrite::rewrite(graph, settings, &options).unwrap().cost.1
    };
    let all: Vec<f64> = layers.iter().map(|(_, g)| cost(g, None)).collect();
    let mut lines = Vec::new();
    let mut few = Vec::new();
    for rule in rewrite::rules() {
        let dearer = layers.iter().zip(&all).filter(|((_, g), best)| cost(g, Some(rule.name)) > **best * 1.01);
        let names: Vec<&str> = dearer.map(|((n, _), _)| n.as_str()).collect();
        lines.push(format!("{}: {}", rule.name, names.join(", ")));
        let different: std::collections::BTreeSet<&str> = names.iter().map(|n| n.trim_end_matches('\'')).collect();
        if different.len() < 2 && !ALONE.iter().any(|a| a.0 == rule.name) {
            few.push(rule.name);
        }
    }
    insta::assert_snapshot!("economy", lines.join("\n"));
    assert!(few.is_empty(), "rules that hardly any layer needs: {few:?}");
}

/// Steps of derivations are what their rules give, applied to what was there and to nothing else. The snapshot has those that are not: where the
/// factor of a decay over a whole block is known not to depend on the place in it by what other terms of its class say.
#[test]
fn replayed() {
    let settings = canon::Settings { float: DType::F64 };
    let (mut failures, mut count) = (Vec::new(), 0);
    for (name, case) in all(false).into_iter().filter(|(_, c)| c.blocks == Some(RUNS[0].0)) {
        let Ok(source) = graph(&case) else { continue };
        let canonical = canon::canonicalise(&source, settings).unwrap();
        let done = rewrite::replay(&canonical, settings, RUNS[0].0, 8192).unwrap();
        count += done.steps;
        failures.extend(done.failed.iter().map(|(n, rule, _)| format!("{name}, step {n}: {rule}")));
    }
    insta::assert_snapshot!("not_replayed", failures.join("\n"));
    assert!(count > 400 || std::env::var("WEFT_LAYER").is_ok(), "{count} steps");
}

/// Every form of every value that the rules find, whether it is chosen or not, has the value's elements. Gradients have those of the layer
/// with them.
#[test]
fn forms() {
    let mut failures = Vec::new();
    let mut count = 0;
    for (name, mut case) in all(true).into_iter().filter(|(_, c)| c.blocks == Some(RUNS[0].0)) {
        case.lengths.time = vec![11, 3, 6];
        match every_form(&case) {
            Ok(n) => count += n,
            Err(e) => failures.push(format!("{name}: {e}")),
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(count > 1000 || std::env::var("WEFT_LAYER").is_ok(), "{count} forms");
}

fn every_form(case: &Case) -> Result<usize, String> {
    let Ok(source) = graph(case) else { return Ok(0) };
    let settings = canon::Settings { float: DType::F64 };
    let canonical = canon::canonicalise(&source, settings).map_err(|e| e.to_string())?;
    let found = rewrite::forms(&canonical, settings, case.blocks.unwrap_or(4)).map_err(|e| e.to_string())?;
    let mut tensors = inputs(&source, case);
    // What stands under an exponential without its maximum is of a size with the rest, or differences would be lost in it.
    for (name, t) in &mut tensors {
        if let (Elements::F64(x), false) = (&mut t.data, name.starts_with("cot.")) {
            x.iter_mut().for_each(|x| *x *= 0.25);
        }
    }
    let graph = &found.graph;
    let options = Options { undefined: true, ..Options::default() };
    let e =
        Evaluator::with_options(graph, &bind(graph, &tensors, &case.lengths), options).map_err(|e| e.to_string())?;
    let mut count = 0;
    for class in &found.classes {
        let values = e.nodes(class).map_err(|e| e.to_string())?;
        let all: Vec<Vec<f64>> = values.iter().map(weft_ir::eval::Tensor::to_f64).collect();
        count += all.len();
        for (n, other) in all.iter().enumerate().skip(1) {
            // On the axes of these two: zeros may have been found to be so over any axes.
            let axes: AxisSet = graph.free(class[0]).iter().chain(graph.free(class[n]).iter()).collect();
            let space = Space { graph, evaluator: &e, time: &case.lengths.time, axes: axes.iter().collect() };
            let first = space.spread(&all[0], graph.free(class[0]));
            let other = space.spread(other, graph.free(class[n]));
            let inside = space.inside();
            let scale = first.iter().filter(|x| x.is_finite()).fold(1e-2, |m: f64, x| m.max(x.abs()));
            let wrong = |at: usize| {
                let (a, b) = (first[at], other[at]);
                inside[at] && (a.is_nan() != b.is_nan() || (a - b).abs() > 1e-7 * scale)
            };
            if let Some(at) = (0..inside.len()).find(|&n| wrong(n)) {
                return Err(format!(
                    "element {at} is {:e} as\n    {}\n  and {:e} as\n    {}",
                    first[at],
                    shown(graph, class[0], 5),
                    other[at],
                    shown(graph, class[n], 5)
                ));
            }
        }
    }
    Ok(count)
}

fn shown(graph: &Graph, n: NodeId, depth: usize) -> String {
    if depth == 0 {
        return "..".to_owned();
    }
    let args: Vec<String> = graph.args(n).iter().map(|&a| shown(graph, a, depth - 1)).collect();
    format!("{:?}({})", graph.op(n), args.join(", "))
}

/// The positions on some axes.
struct Space<'a> {
    graph: &'a Graph,
    evaluator: &'a Evaluator<'a>,
    /// Lengths of documents.
    time: &'a [usize],
    axes: Vec<AxisId>,
}

impl Space<'_> {
    /// Visits all points, the last axis fastest.
    fn visit(&self, mut f: impl FnMut(&[usize])) {
        let extents: Vec<usize> = self.axes.iter().map(|&a| self.evaluator.extent(a)).collect();
        let mut point = vec![0; extents.len()];
        for _ in 0..extents.iter().product() {
            f(&point);
            for (at, &n) in point.iter_mut().zip(&extents).rev() {
                *at += 1;
                if *at < n {
                    break;
                }
                *at = 0;
            }
        }
    }

    /// Which points lie within their documents? What is beyond is nobody's business.
    fn inside(&self) -> Vec<bool> {
        let documents = 0..self.time.len();
        // Axes with the places of their documents, and their extents in each.
        let ragged = self.axes.iter().enumerate().filter_map(|(n, &a)| {
            let domain = self.graph.axis(a).domain;
            let batch = self.graph.ragged_over(domain)?;
            let extents: Vec<usize> = documents.clone().map(|b| self.extent(domain, b)).collect();
            Some((n, self.axes.iter().position(|&x| x == batch), extents))
        });
        let ragged: Vec<_> = ragged.collect();
        let mut found = Vec::new();
        self.visit(|point| {
            found.push(ragged.iter().all(|(n, batch, extents)| match batch {
                Some(b) => point[*n] < extents[point[*b]],
                // Without a document, within all of them.
                None => extents.iter().all(|&e| point[*n] < e),
            }));
        });
        found
    }

    fn extent(&self, domain: DomainId, document: usize) -> usize {
        match self.graph.domain(domain).extent {
            Extent::Derived { base, mul, add, div } => {
                ((self.extent(base, document) as i64 * mul + add) / div).try_into().unwrap_or(0)
            }
            _ => self.time[document],
        }
    }

    /// A value over some of the axes, at all points.
    fn spread(&self, values: &[f64], own: &AxisSet) -> Vec<f64> {
        let mut strides = vec![0; self.axes.len()];
        let mut step = 1;
        for (s, &a) in strides.iter_mut().zip(&self.axes).rev().filter(|(_, a)| own.contains(**a)) {
            *s = step;
            step *= self.evaluator.extent(a);
        }
        let mut found = Vec::new();
        self.visit(|point| found.push(values[point.iter().zip(&strides).map(|(p, s)| p * s).sum::<usize>()]));
        found
    }
}

fn every_step(case: &Case) -> Result<String, String> {
    let source = graph(case).map_err(|f| f.to_string())?;
    let settings = canon::Settings { float: DType::F64 };
    let canonical = canon::canonicalise(&source, settings).map_err(|e| e.to_string())?;
    let made = rewrite::derivation(&canonical, settings, case.blocks.unwrap_or(4), 8192).map_err(|e| e.to_string())?;
    let tensors = inputs(&source, case);
    let evaluate = |g: &Graph| Evaluator::new(g, &bind(g, &tensors, &case.lengths)).and_then(|e| e.outputs());
    let truth = evaluate(&source).map_err(|e| e.to_string())?;
    let mut rules = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (n, step) in made.steps.iter().enumerate() {
        let graph = made.at(&step.outputs).map_err(|e| e.to_string())?;
        let rule = format!("{}{}", if step.backwards { "<-" } else { "" }, rewrite::rule_name(step.rule));
        let found = evaluate(&graph).map_err(|e| format!("step {n}, {rule}: {e}"))?;
        for &o in &made.derived {
            let out = &source.outputs[o];
            let (a, b) = (found[&out.name].to_f64(), truth[&out.name].to_f64());
            let error = relative_error(&source, out, &case.lengths, &a, &b, 0.0);
            if error.is_nan() || error > 1e-8 {
                return Err(format!("step {n}, {rule}: `{}` differs by {error:e}", out.name));
            }
        }
        // Terms are shared, and a proof speaks of each occurrence.
        if seen.insert((step.rule, step.before, step.after)) {
            rules.push(rule);
        }
    }
    Ok(rules.join(", "))
}

#[test]
fn layers() {
    check(false);
}

#[test]
fn gradients() {
    check(true);
}

/// The powers of time that definitions and algorithms cost, at the sizes in their files.
#[test]
fn degrees() {
    let mut lines = Vec::new();
    let held_out = NAMES.iter().map(|n| (*n, text(n)));
    let gallery = EXAMPLES.iter().map(|e| (e.file, e.case(&[], &[1]).text));
    let variants = VARIANTS.iter().map(|n| (*n, variant(n)));
    for (name, text) in held_out.chain(gallery).chain(variants) {
        for gradients in [false, true] {
            let case = Case { gradients, ..Case::new(&text, &[], &[1]) };
            let Ok(source) = graph(&case) else { continue };
            let settings = canon::Settings { float: DType::F32 };
            let canonical = canon::canonicalise(&source, settings).unwrap();
            let made = rewrite::rewrite(&canonical, settings, &rewrite::Options::default()).unwrap();
            let (from, to) = made.degree;
            let what = if gradients { "with gradients" } else { "forward" };
            if (from - to).abs() > 0.1 || from > 1.1 {
                lines.push(format!("{name}, {what}: {from:.1} -> {to:.1}"));
            }
        }
    }
    insta::assert_snapshot!("degrees", lines.join("\n"));
}
