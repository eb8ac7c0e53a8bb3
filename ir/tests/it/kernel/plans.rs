//! Hand-written plans against golden tensors: at several tile sizes, orders of the grid, lengths and ragged batches.

use weft_ir::kernel::interp::{Bindings, Options, Outcome, Tensor, run};
use weft_ir::kernel::verify::verify;
use weft_ir::kernel::{Plan, parse};

use super::golden::{At, Golden, first_tokens, root, tensor};
use super::layers::{chunk_inputs, code_inputs, selection_inputs, unproject};

/// Reads a plan, sets its sizes from the golden file and all tile extents to `tile` (if given).
fn plan(name: &str, g: &Golden, tile: Option<i64>) -> Plan {
    let text = std::fs::read_to_string(root().join("tests/kernels").join(format!("{name}.kir"))).unwrap();
    let mut plan = parse(&text).unwrap_or_else(|e| panic!("{name}.kir:{e}"));
    for param in plan.params.clone() {
        match param.kind {
            weft_ir::kernel::ParamKind::Size => {
                let value = match (name, param.name.as_str()) {
                    // Grouped heads of the selecting layer, as one axis, and the other way round.
                    ("causal" | "split_keys", "H") => g.size("HKV") * g.size("GQ"),
                    ("prefix_threshold", "H") => g.size("HKV"),
                    ("prefix_threshold", "G") => g.size("GQ"),
                    (_, size) => g.size(size),
                };
                plan.set_param(&param.name, value as i64);
            }
            weft_ir::kernel::ParamKind::Tile => {
                if let Some(tile) = tile {
                    plan.set_param(&param.name, tile);
                }
            }
        }
    }
    assert_eq!(parse(&plan.to_string()).as_ref(), Ok(&plan), "{name} prints and parses back");
    if let Err(errors) = verify(&plan) {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        panic!("{name} at tile {tile:?}:\n{}", lines.join("\n"));
    }
    plan
}

fn options(seed: u64) -> Options {
    Options { seed, ..Options::default() }
}

/// Runs a plan at the given lengths; `inputs` are cut to the longest.
fn execute(plan: &Plan, lengths: &[usize], inputs: &[(&str, &Tensor)], seed: u64) -> Outcome {
    let longest = *lengths.iter().max().unwrap();
    let mut bindings = Bindings::default()
        .extent("B", vec![lengths.len() as i64])
        .extent("T", lengths.iter().map(|t| *t as i64).collect::<Vec<_>>());
    for (name, x) in inputs {
        let buffer = &plan.buffers[plan.buffer_named(name).unwrap().index()];
        let mut shape = x.shape.clone();
        for (d, dim) in buffer.dims.iter().enumerate() {
            match dim.name.as_str() {
                "t" => shape[d] = longest,
                "b" => shape[d] = lengths.len(),
                _ => {}
            }
        }
        bindings = bindings.buffer(name, tensor(&shape, |i| x.at(i)));
    }
    run(plan, &bindings, options(seed)).unwrap_or_else(|e| panic!("{}: {e}", plan.name))
}

/// Compares y[b, t, e] with the golden output at every token that exists.
fn compare(what: &str, y: &Tensor, golden: &Tensor, lengths: &[usize]) {
    let mut worst = 0f64;
    for (b, length) in lengths.iter().enumerate() {
        for t in 0..*length {
            for e in 0..golden.shape[2] {
                let error = (y.at(&[b, t, e]) - golden.at(&[b, t, e])).abs();
                assert!(error.is_finite(), "{what}: b {b} t {t} e {e}: {}", y.at(&[b, t, e]));
                worst = worst.max(error);
            }
        }
    }
    assert!(worst < 1e-10, "{what}: error {worst:e}");
}

/// Cases of (lengths, tile, seed) for a golden file of `batch` sequences of `time` tokens. All outputs are causal, so a shorter
/// sequence has a prefix of the golden output.
fn cases(batch: usize, time: usize) -> Vec<(Vec<usize>, Option<i64>, u64)> {
    let whole = vec![time; batch];
    let mut cases = vec![
        (whole.clone(), None, 1),
        (whole.clone(), Some(17), 2),
        (whole, Some(3), 3),
        (vec![1; batch], None, 4),
        (vec![2; batch], Some(3), 5),
        (vec![37.min(time)], Some(1), 6),
        (vec![31.min(time)], Some(5), 7),
    ];
    if batch > 1 {
        cases.push((vec![time.min(53), 20], Some(17), 8));
        cases.push((vec![7, time], Some(3), 9));
        cases.push((vec![0, 12], None, 10));
    }
    cases
}

fn check(name: &str, golden: &str, attention: impl Fn(&Golden, &Plan, &[usize], u64) -> Tensor, time: Option<usize>) {
    let g = Golden::read(golden);
    let y = g.get("out.y");
    for (lengths, tile, seed) in cases(y.shape[0], time.unwrap_or(y.shape[1])) {
        let plan = plan(name, &g, tile);
        let out = attention(&g, &plan, &lengths, seed);
        compare(&format!("{name} on {golden} at {lengths:?}, tile {tile:?}"), &out, y, &lengths);
    }
}

fn chunk_streams(golden: &str) {
    let g = Golden::read(golden);
    let (q, k, v) = chunk_inputs(&g, g.get("in.x"));
    check(
        "three_streams",
        golden,
        |g, plan, lengths, seed| {
            let out = execute(plan, lengths, &[("q", &q), ("k", &k), ("v", &v)], seed);
            unproject(&out.buffers["o"], g.get("in.wo"))
        },
        None,
    );
}

#[test]
fn three_streams_small() {
    chunk_streams("attamba.small");
}

#[test]
fn three_streams_grouped_heads_and_offset() {
    chunk_streams("attamba.gqa_ragged");
}

fn codes(name: &str, golden: &str) {
    let g = Golden::read(golden);
    let inputs = code_inputs(&g, g.get("in.x"));
    assert_eq!(inputs.code, *g.get("out.z"), "codes");
    check(
        name,
        golden,
        |g, plan, lengths, seed| {
            let given = [
                ("qu", &inputs.qu),
                ("qw", &inputs.qw),
                ("code", &inputs.code),
                ("codebook", g.get("in.codebook")),
                ("place", &inputs.place),
                ("v", &inputs.v),
            ];
            let o = &execute(plan, lengths, &given, seed).buffers["o"];
            let gated = tensor(&o.shape, |i| o.at(i) * inputs.gate.at(i));
            unproject(&gated, g.get("in.wo"))
        },
        None,
    );
}

#[test]
fn codes_sequential_small() {
    codes("codes_sequential", "transformer_vq.small");
}

#[test]
fn codes_sequential_ragged() {
    codes("codes_sequential", "transformer_vq.ragged");
}

#[test]
fn codes_two_pass_small() {
    codes("codes_two_pass", "transformer_vq.small");
}

#[test]
fn codes_two_pass_ragged() {
    codes("codes_two_pass", "transformer_vq.ragged");
}

fn selection(golden: &str) {
    let g = Golden::read(golden);
    let [z, q, k, v] = selection_inputs(&g, g.get("in.x"));
    check(
        "prefix_threshold",
        golden,
        |g, plan, lengths, seed| {
            let out = execute(plan, lengths, &[("z", &z), ("q", &q), ("k", &k), ("v", &v)], seed);
            unproject(&out.buffers["o"], g.get("in.wo"))
        },
        None,
    );
}

#[test]
fn selection_small() {
    selection("sparsek.small");
}

#[test]
fn selection_ragged() {
    selection("sparsek.ragged");
}

/// While no more keys than K + WIN exist, the selecting layer is dense causal attention.
fn dense(name: &str) {
    let g = Golden::read("sparsek.ragged");
    let short = first_tokens(g.get("in.x"), g.size("K") + g.size("WIN"));
    let [_, q, k, v] = selection_inputs(&g, &short);
    let q = Tensor { shape: vec![q.shape[0], q.shape[1], q.shape[2] * q.shape[3], q.shape[4]], data: q.data };
    check(
        name,
        "sparsek.ragged",
        |g, plan, lengths, seed| {
            let out = execute(plan, lengths, &[("q", &q), ("k", &k), ("v", &v)], seed);
            unproject(&out.buffers["o"], g.get("in.wo"))
        },
        Some(short.shape[1]),
    );
}

#[test]
fn dense_causal() {
    dense("causal");
}

#[test]
fn dense_causal_with_split_keys() {
    dense("split_keys");
}
