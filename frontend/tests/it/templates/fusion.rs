//! Fused plans: fewer kernels, the same results.

use std::fmt::Write as _;

use super::examples::EXAMPLES;
use super::inputs::inputs;
use super::road::{Case, Stage, check_plan, graph, interpret, output, plan, travel, unfused};
use crate::support::root;
use weft_ir::DType;
use weft_ir::kernel::{Plan, Role};
use weft_passes::fuse::{fuse_plan, planned_for};
use weft_passes::lower::{Target, lower};
use weft_passes::schedule::Tiles;

fn all(tile: i64) -> Tiles {
    Tiles { rows: tile, stream: tile, block: tile, depth: tile, vector: tile }
}

/// Both plans of a case give the same outputs, element by element.
#[track_caller]
fn agree(what: &str, case: &Case) {
    let show = |f| -> ! { panic!("{what}: {f}") };
    let graph = graph(case).unwrap_or_else(|f| show(f));
    let tensors = inputs(&graph, case);
    let together = plan(&graph, DType::F64, case.tiles).unwrap_or_else(|f| show(f)).plan;
    let apart = unfused(&graph, DType::F64, case.tiles).unwrap_or_else(|f| show(f)).plan;
    let found = interpret(&together, case, &tensors).unwrap_or_else(|f| show(f));
    let wanted = interpret(&apart, case, &tensors).unwrap_or_else(|f| show(f));
    for out in &graph.outputs {
        let buffer = |p: &Plan| output(p, &out.name).unwrap_or_else(|f| show(f)).name.clone();
        let (a, b) = (&found.buffers[&buffer(&together)], &wanted.buffers[&buffer(&apart)]);
        assert_eq!(a.shape, b.shape, "{what}: {}", out.name);
        for (n, (x, y)) in a.data.iter().zip(&b.data).enumerate() {
            // What lies behind the end of a document is undefined in both.
            let same = (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-12 * y.abs().max(1.0);
            assert!(same, "{what}: {} at {n}: {x} in place of {y}", out.name);
        }
    }
    assert!(together.kernels.len() <= apart.kernels.len(), "{what}");
}

#[test]
fn examples_and_gallery() {
    for example in EXAMPLES {
        for tiles in [Tiles::default(), all(5), Tiles { rows: 3, stream: 4, block: 2, depth: 3, vector: 5 }] {
            for lengths in [&[37usize][..], &[7, 2, 19], &[1]] {
                let mut case = example.case(&[], lengths);
                case.tiles = tiles;
                agree(&format!("{}, {tiles:?}, {lengths:?}", example.file), &case);
            }
        }
    }
}

/// The held-out layers, all the way to machine code. Those that have no right schedule yet are not for this test, nor are those whose
/// time is not ragged.
#[test]
fn held_out_layers() {
    let mut files: Vec<_> =
        std::fs::read_dir(root().join("tests/layers")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let (mut ran, mut failures) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for tiles in [Tiles::default(), all(3)] {
            let mut case = Case::new(&text, &[], &[17, 1, 40]);
            case.tiles = tiles;
            let scheduled = graph(&case).and_then(|g| unfused(&g, DType::F64, tiles)).and_then(|s| check_plan(&s.plan));
            if scheduled.is_err() {
                continue;
            }
            match travel(&case) {
                Ok(_) => ran += 1,
                Err(f) if f.stage == Stage::Evaluate => {}
                Err(f) => failures.push(format!("{}, {tiles:?}: {f}", file.display())),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(ran >= 24, "only {ran} runs");
}

/// Names have no part in what is fused, and cannot collide: axes, inputs and values called as the passes call theirs.
#[test]
fn awkward_names() {
    let text = "layer q_tile {
  size E = 6, D = 4
  axis b, t: time
  index t0: t, e0: E, d_tile: D, acc: D
  in x_1[b,t,e0]
  param zero[d_tile,e0], c[d_tile,e0], t_tile[e0,d_tile]
  let q_tile_1[b,t,d_tile] = rope_pairs[d_tile](sum(e0: zero * x_1), t, 100)
  let one[b,t,d_tile] = rms[d_tile](sum(e0: c * x_1), 1e-6)
  let loop_[b,t,t0] = sum(d_tile: q_tile_1 * one[b,t0,d_tile])
  out y_tile[b,t,e0] = sum(d_tile: t_tile * sum(t0: softmax[t0](loop_ where t0 <= t) * one[b,t0,d_tile]))
}";
    for tiles in [Tiles::default(), all(1), all(3)] {
        let mut case = Case::new(text, &[], &[9, 1, 5]);
        case.tiles = tiles;
        agree("awkward names", &case);
        travel(&case).unwrap_or_else(|f| panic!("{f}"));
    }
}

/// A choice overrides the cost: nothing is fused where everything is forbidden.
#[test]
fn choices() {
    let case = EXAMPLES[0].case(&[], &[5]);
    let made = unfused(&graph(&case).unwrap(), DType::F32, case.tiles).unwrap().plan;
    let mut plan = made.clone();
    let notes = fuse_plan(&mut plan, &planned_for(), &|_| Some(false)).notes;
    assert_eq!(plan.to_string(), made.to_string());
    assert!(!notes.is_empty() && notes.iter().all(|n| n.ends_with("two kernels, as chosen")), "{notes:?}");
}

/// Bytes of workspace for a sequence of 2048 tokens, in kB.
fn workspace(plan: &Plan) -> u64 {
    let program = lower(plan, &Target::default()).unwrap();
    let extents: Vec<i64> = program.extents.iter().map(|e| if e.name == "B" { 1 } else { 2048 }).collect();
    program.workspace(&extents).unwrap().bytes / 1000
}

/// Number of kernels, of stored values, and the workspace, before and after.
#[test]
fn what_is_fused() {
    let mut table = String::new();
    for example in EXAMPLES {
        let text = example.text();
        let case = Case::new(&text, &[], &[5]);
        let graph = graph(&case).unwrap();
        let apart = unfused(&graph, DType::F32, Tiles::default()).unwrap();
        let together = plan(&graph, DType::F32, Tiles::default()).unwrap();
        let temps = |p: &Plan| p.buffers.iter().filter(|b| b.role == Role::Temp).count();
        let (a, b) = (&apart.plan, &together.plan);
        let (ka, kb, ta, tb) = (a.kernels.len(), b.kernels.len(), temps(a), temps(b));
        let (wa, wb) = (workspace(a), workspace(b));
        writeln!(table, "{}: {ka} kernels become {kb}, {ta} temporary values {tb}, {wa} kB {wb} kB", example.file)
            .unwrap();
        for note in together.notes.iter().filter(|n| n.contains(" kernels") || n.contains("one kernel")) {
            writeln!(table, "  {note}").unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

/// A projection, its rotation by position and a gate in one kernel.
#[test]
fn a_fused_plan() {
    let text = "layer turned {
  size E = 96, H = 2, D = 8
  axis b, t: time
  index e: E, h: H, d: D
  in x[b,t,e]
  param wq[h,d,e], wg[h,d,e]
  let q[b,t,h,d] = rope_pairs[d](sum(e: wq * x), t, 10000)
  out y[b,t,h,d] = q * sigmoid(sum(e: wg * x))
}";
    let case = Case::new(text, &[], &[40, 3]);
    let made = plan(&graph(&case).unwrap(), DType::F32, Tiles::default()).unwrap();
    insta::assert_snapshot!(made.plan.to_string());
    agree("turned", &case);
}
