//! Three executions of every golden layer agree: the definition, its canonical form, the scheduled kernels.

use indexmap::IndexMap;

use crate::support::root;
use weft::driver::execute::interpret_with;
use weft::driver::{
    Bound, CompileOptions, Executed, LoadOptions, Loaded, Planned, Silent, TensorFile, Watch, bind, load, plan,
};
use weft_ir::eval::{Elements, Evaluator, Tensor};
use weft_ir::graph::Graph;
use weft_ir::kernel::interp;
use weft_passes::rewrite;
use weft_passes::schedule::Tiles;

const NAMES: [&str; 8] = [
    "attamba.small",
    "attamba.gqa_ragged",
    "attamba_sparsek.small",
    "attamba_sparsek.ragged",
    "sparsek.small",
    "sparsek.ragged",
    "transformer_vq.small",
    "transformer_vq.ragged",
];

fn golden(name: &str) -> (Loaded, IndexMap<String, Tensor>) {
    let path = root().join(format!("tests/golden/{name}.safetensors"));
    let file = TensorFile::parse(name, &std::fs::read(path).unwrap()).unwrap();
    let options =
        LoadOptions { recorded: file.sizes.clone(), recorded_layer: file.layer.clone(), ..LoadOptions::default() };
    let source = root().join(format!("examples/{}.weft", file.layer.clone().unwrap()));
    let loaded = load(&source, &options, &mut Watch::new(&mut Silent)).unwrap();
    (loaded, file.with_prefix("in."))
}

/// Rewritten with blocks that are shorter than the sequences.
fn planned(loaded: &Loaded, tiles: Tiles) -> Planned {
    planned_by(loaded, tiles, Some(rewrite::Options { lengths: vec![8], ..rewrite::Options::default() }))
}

fn planned_by(loaded: &Loaded, tiles: Tiles, rewrite: Option<rewrite::Options>) -> Planned {
    let mut options = CompileOptions { rewrite, ..CompileOptions::default() };
    options.schedule.tiles = Some(tiles);
    plan(loaded, &options, &mut Watch::new(&mut Silent)).unwrap_or_else(|e| panic!("{e:?}"))
}

fn uniform(n: i64) -> Tiles {
    Tiles { rows: n, stream: n, block: n, depth: n, vector: n }
}

fn bound(loaded: &Loaded, inputs: &IndexMap<String, Tensor>) -> Bound {
    bind(&loaded.checked.graph, inputs.clone(), &IndexMap::new(), "golden").unwrap_or_else(|e| panic!("{e:?}"))
}

/// The inputs with another number of batch elements and of positions; those that the golden lacks repeat what it has, shifted.
fn resized(inputs: &IndexMap<String, Tensor>, batch: usize, time: usize) -> IndexMap<String, Tensor> {
    let mut result = inputs.clone();
    let x = &inputs["x"];
    let (shape, data) = (&x.shape, x.to_f64());
    let inner: usize = shape[2..].iter().product();
    let mut made = Vec::new();
    for b in 0..batch {
        for t in 0..time {
            let from = ((b % shape[0]) * shape[1] + (t + 29 * (b / shape[0])) % shape[1]) * inner;
            made.extend_from_slice(&data[from..from + inner]);
        }
    }
    let shape = [&[batch, time], &shape[2..]].concat();
    result.insert("x".to_owned(), Tensor::floats(&shape, made));
    result
}

fn evaluate(graph: &Graph, bound: &Bound) -> IndexMap<Box<str>, Tensor> {
    Evaluator::new(graph, &bound.bindings(graph)).unwrap().outputs().unwrap()
}

fn interpret(loaded: &Loaded, planned: &Planned, bound: &Bound, seed: u64) -> Executed {
    let options = interp::Options { seed, ..interp::Options::default() };
    interpret_with(&loaded.checked.graph, planned, bound, options).unwrap_or_else(|e| panic!("{e:?}"))
}

#[track_caller]
fn close(what: &str, found: &Tensor, wanted: &Tensor, bound: f64) {
    assert_eq!(found.shape, wanted.shape, "{what}");
    if let Elements::I64(_) = wanted.data {
        assert_eq!(found, wanted, "{what}");
        return;
    }
    let (a, b) = (found.to_f64(), wanted.to_f64());
    let far = a.iter().zip(&b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
    let norm = b.iter().map(|y| y * y).sum::<f64>().sqrt();
    // Written so that a NaN fails.
    assert!(far <= bound * norm.max(1e-300), "{what}: {far:e} of {norm:e}");
}

/// Definition, canonical form and kernels give the same outputs; kernels give the same whatever the order of the grid.
#[track_caller]
fn all_agree(what: &str, loaded: &Loaded, planned: &Planned, inputs: &IndexMap<String, Tensor>) {
    let bound = bound(loaded, inputs);
    let raw = evaluate(&loaded.checked.graph, &bound);
    let canonical = evaluate(&planned.canonical, &bound);
    for (name, wanted) in &raw {
        close(&format!("{what}: {name} of the canonical graph"), &canonical[name], wanted, 1e-12);
    }
    let first = interpret(loaded, planned, &bound, 1);
    for (name, wanted) in &raw {
        close(&format!("{what}: {name} of the kernels"), &first.outputs[&**name], wanted, 1e-10);
    }
    let second = interpret(loaded, planned, &bound, 77);
    assert_eq!(first.outputs, second.outputs, "{what}: the order of the grid");
}

fn at_tiles(name: &str, tiles: Tiles) {
    let (loaded, inputs) = golden(name);
    all_agree(&format!("{name}, {tiles:?}"), &loaded, &planned(&loaded, tiles), &inputs);
}

fn as_written(name: &str) {
    let (loaded, inputs) = golden(name);
    let planned = planned_by(&loaded, Tiles::default(), None);
    assert!(planned.rewritten.is_none());
    all_agree(&format!("{name}, as written"), &loaded, &planned, &inputs);
}

/// Rewriting that stops after some of its rules.
fn by_phase(name: &str) {
    let (loaded, inputs) = golden(name);
    let inputs = resized(&inputs, 1, 43);
    for phase in [rewrite::Phase::Sums, rewrite::Phase::Factors] {
        let options = rewrite::Options { lengths: vec![8], phase, ..rewrite::Options::default() };
        let planned = planned_by(&loaded, Tiles::default(), Some(options));
        all_agree(&format!("{name}, {phase:?}"), &loaded, &planned, &inputs);
    }
}

/// Tiles so small that the interpreter has a lot to do: for one sequence, just longer than every chunk, block and window.
fn at_small_tiles(name: &str, n: i64) {
    let (loaded, inputs) = golden(name);
    let inputs = resized(&inputs, 1, 43);
    all_agree(&format!("{name}, tiles of {n}"), &loaded, &planned(&loaded, uniform(n)), &inputs);
}

/// Times shorter than every tile, chunk and window; and a prime.
fn at_times(name: &str) {
    let (loaded, inputs) = golden(name);
    let default = planned(&loaded, Tiles::default());
    let small = planned(&loaded, uniform(3));
    for time in [1, 2, 3, 53] {
        let inputs = resized(&inputs, 1, time);
        all_agree(&format!("{name}, t = {time}"), &loaded, &default, &inputs);
        all_agree(&format!("{name}, t = {time}, tiles of 3"), &loaded, &small, &inputs);
    }
}

/// A batch of sequences of three lengths gives what each gives alone; what lies behind their ends is never looked at.
fn at_ragged_lengths(name: &str) {
    let (loaded, inputs) = golden(name);
    let planned = planned(&loaded, Tiles::default());
    let lengths = [50, 1, 37];
    let all = resized(&inputs, 3, 50);
    let x = all["x"].clone();
    let inner: usize = x.shape[2..].iter().product();
    let mut poisoned = x.to_f64();
    for (b, &n) in lengths.iter().enumerate() {
        poisoned[(b * 50 + n) * inner..(b + 1) * 50 * inner].fill(f64::NAN);
    }
    let mut given = all.clone();
    given.insert("x".to_owned(), Tensor::floats(&x.shape, poisoned));
    given.insert("t.len".to_owned(), Tensor::ints(&[3], lengths.iter().map(|&n| n as i64).collect()));
    all_agree(&format!("{name}, ragged"), &loaded, &planned, &given);
    let together = interpret(&loaded, &planned, &bound(&loaded, &given), 5);
    for (b, &n) in lengths.iter().enumerate() {
        let mut alone = all.clone();
        let start = b * 50 * inner;
        let own = x.to_f64()[start..start + n * inner].to_vec();
        alone.insert("x".to_owned(), Tensor::floats(&[&[1, n], &x.shape[2..]].concat(), own));
        let alone = interpret(&loaded, &planned, &bound(&loaded, &alone), 5);
        for output in loaded.checked.graph.outputs.iter().filter(|o| o.axes.len() >= 2) {
            let name = &*output.name;
            let (whole, part) = (&together.outputs[name], &alone.outputs[name]);
            let inner: usize = whole.shape[2..].iter().product();
            let at = b * 50 * inner;
            let cut = whole.to_f64()[at..at + n * inner].to_vec();
            let wanted = Tensor::floats(&part.shape, part.to_f64());
            close(&format!("{name} of sequence {b} of {n}"), &Tensor::floats(&part.shape, cut), &wanted, 1e-12);
        }
    }
}

/// The outputs at the first positions do not depend on what comes later, nor on how much of it.
fn first_outputs_stay(name: &str) {
    let (loaded, inputs) = golden(name);
    let planned = planned(&loaded, Tiles::default());
    let long = interpret(&loaded, &planned, &bound(&loaded, &resized(&inputs, 1, 90)), 3);
    for n in [1, 7, 64, 89] {
        let short = interpret(&loaded, &planned, &bound(&loaded, &resized(&inputs, 1, n)), 3);
        for output in loaded.checked.graph.outputs.iter().filter(|o| o.axes.len() >= 2) {
            let name = &*output.name;
            let (whole, part) = (&long.outputs[name], &short.outputs[name]);
            let count = part.to_f64().len();
            let cut = Tensor::floats(&part.shape, whole.to_f64()[..count].to_vec());
            close(&format!("{name} at t = {n}"), &cut, &Tensor::floats(&part.shape, part.to_f64()), 1e-12);
        }
    }
}

macro_rules! each {
    ($($module:ident: $check:expr;)*) => { $(
        mod $module {
            #[allow(unused_imports, reason = "each check needs some of them")]
            use super::*;
            #[test] fn attamba_small() { $check("attamba.small"); }
            #[test] fn attamba_gqa_ragged() { $check("attamba.gqa_ragged"); }
            #[test] fn attamba_sparsek_small() { $check("attamba_sparsek.small"); }
            #[test] fn attamba_sparsek_ragged() { $check("attamba_sparsek.ragged"); }
            #[test] fn sparsek_small() { $check("sparsek.small"); }
            #[test] fn sparsek_ragged() { $check("sparsek.ragged"); }
            #[test] fn transformer_vq_small() { $check("transformer_vq.small"); }
            #[test] fn transformer_vq_ragged() { $check("transformer_vq.ragged"); }
        }
    )* };
}

each! {
    written: as_written;
    phases: by_phase;
    default_tiles: |n| at_tiles(n, Tiles::default());
    tiles_of_1: |n| at_small_tiles(n, 1);
    tiles_of_3: |n| at_small_tiles(n, 3);
    tiles_of_17: |n| at_tiles(n, uniform(17));
    times: at_times;
    ragged: at_ragged_lengths;
    prefixes: first_outputs_stay;
}

#[test]
fn every_golden_is_tested() {
    let folder = std::fs::read_dir(root().join("tests/golden")).unwrap();
    let mut found: Vec<String> = folder
        .filter_map(|e| Some(e.unwrap().file_name().into_string().unwrap().strip_suffix(".safetensors")?.to_owned()))
        .collect();
    found.sort();
    let mut names = NAMES.map(str::to_owned);
    names.sort();
    assert_eq!(found, names);
}
