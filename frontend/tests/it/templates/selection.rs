//! Selections: thresholds in one pass, lists of the best, positions of extrema; by how much they cost and by what they give.

use super::examples::example;
use super::inputs::inputs;
use super::road::{Case, Stage, check_plan, graph, interpret, travel, unfused};
use crate::support::root;
use weft_ir::DType;
use weft_ir::eval::Tensor;
use weft_ir::kernel::interp::Counts;
use weft_passes::schedule::Tiles;

fn layer(name: &str) -> String {
    std::fs::read_to_string(root().join(format!("tests/layers/{name}.weft"))).unwrap()
}

fn all(tile: i64) -> Tiles {
    Tiles { rows: tile, stream: tile, block: tile, depth: tile, vector: tile }
}

/// One token, ragged documents, more than a tile; tiles of all sorts.
#[track_caller]
fn survives(text: &str, sizes: &[&[(&str, i64)]]) {
    let mut failures = Vec::new();
    for (n, sizes) in sizes.iter().enumerate() {
        for (lengths, tiles) in [
            (&[1][..], all(4)),
            (&[7, 2, 19], all(3)),
            (&[37, 1], Tiles::default()),
            (&[13], all(1 + 16 * (n as i64 % 2))),
        ] {
            let mut case = Case::new(text, sizes, lengths);
            (case.tiles, case.seed) = (tiles, 3 + n as u64);
            if let Err(f) = travel(&case) {
                failures.push(format!("{sizes:?} {lengths:?} {tiles:?}: {f}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

macro_rules! held_out {
    ($($name:ident: $sizes:expr;)*) => { $(#[test] fn $name() { survives(&layer(stringify!($name)), &$sizes); })* };
}

held_out! {
    top_codes: [&[][..], &[("K", 1)], &[("K", 17), ("S", 17)], &[("S", 3), ("K", 5)]];
    head_picks: [&[][..], &[("K", 1)], &[("K", 40)]];
    lagging: [&[][..], &[("LAG", 0), ("K", 1)], &[("LAG", 40)]];
    seek: [&[][..]];
    top_p: [&[][..]];
    gather: [&[][..], &[("R", 1)], &[("R", 9)]];
    filters: [&[][..], &[("W", 4)]];
    sparsemax: [&[][..], &[("W", 1)]];
    entmax: [&[][..]];
}

/// The counts of the kernels whose names, or names of whose axes, start so.
fn counts(case: &Case, kernel: &str) -> Vec<Counts> {
    let made = graph(case).and_then(|g| Ok((unfused(&g, DType::F32, case.tiles)?.plan, g)));
    let (plan, graph) = made.unwrap_or_else(|f| panic!("{f}"));
    check_plan(&plan).unwrap_or_else(|f| panic!("{f}"));
    let outcome = interpret(&plan, case, &inputs(&graph, case)).unwrap_or_else(|f| panic!("{f}"));
    let meant = |name: &str| {
        let axes = plan.kernels.iter().filter(|k| k.name == name).flat_map(|k| &k.axes);
        name.starts_with(kernel) || axes.into_iter().any(|a| a.name.starts_with(kernel))
    };
    let found: Vec<Counts> = outcome.counts.into_iter().filter(|(name, _)| meant(name)).map(|(_, c)| c).collect();
    assert!(!found.is_empty(), "no kernel `{kernel}`");
    found
}

/// As many further rows cost as much, however many there are already.
#[track_caller]
fn linear(case: impl Fn(usize) -> Case, kernel: &str) {
    let sum = |n: usize| {
        let all = counts(&case(n), kernel);
        [all.iter().map(|c| c.bytes_read).sum::<u64>(), all.iter().map(|c| c.iterations).sum::<u64>()]
    };
    let (short, middle, long) = (sum(256), sum(512), sum(768));
    for n in 0..2 {
        let (first, second) = (middle[n] - short[n], long[n] - middle[n]);
        // How many steps a threshold takes differs from row to row.
        assert!(second * 10 <= first * 11, "{kernel}: {short:?}, {middle:?}, {long:?} bytes read and iterations");
    }
}

#[test]
fn the_threshold_is_one_pass() {
    linear(|n| example("sparsek").case(&[], &[n]), "cut");
    linear(|n| Case::new(&layer("lagging"), &[], &[n]), "sharp");
    linear(|n| Case::new(&layer("lagging"), &[], &[n]), "smooth");
}

/// Selected keys of the past are walked as a list: what a row looks at does not grow with the length.
#[test]
fn members_are_shared_by_a_tile() {
    linear(|n| example("sparsek").case(&[], &[n]), "settled");
    linear(|n| example("attamba_sparsek").case(&[], &[n]), "settled");
}

#[test]
fn picked_blocks_are_gathered() {
    // What each row looks at token by token does not grow with the length: its picked blocks, its own, its window.
    let case = |n| example("gallery/nsa").case(&[], &[n]);
    linear(case, "listed");
}

/// Equal scores all weigh the same, so that more members are above the threshold than the pass carries.
#[test]
fn more_members_than_are_carried() {
    for (text, lengths) in [(layer("lagging"), &[301][..]), (layer("lagging"), &[150, 280])] {
        let mut case = Case::new(&text, &[], lengths);
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let tensor = |ones: bool| {
            let mut x = vec![f64::NAN; lengths.len() * longest * 12];
            for (b, &n) in lengths.iter().enumerate() {
                for (i, v) in x[b * longest * 12..(b * longest + n) * 12].iter_mut().enumerate() {
                    // A slow rise of tiny steps, or none.
                    *v = if ones { 0.5 } else { 0.5 + (i / 12 % 7) as f64 / 1024.0 };
                }
            }
            Tensor::floats(&[lengths.len(), longest, 12], x)
        };
        for ones in [true, false] {
            case.given =
                vec![("x".to_owned(), tensor(ones)), ("ws".to_owned(), Tensor::floats(&[12], vec![0.125; 12]))];
            travel(&case).unwrap_or_else(|f| panic!("{ones} {lengths:?}: {f}"));
        }
    }
}

/// Equal scores go to the lower position, whoever ranks.
#[test]
fn ties() {
    for name in ["head_picks", "seek", "gather", "top_codes", "filters"] {
        for lengths in [&[9][..], &[23, 5]] {
            let mut case = Case::new(&layer(name), &[], lengths);
            case.tiles = all(4);
            let width = if matches!(name, "gather") { 11 } else { 12 };
            let width = if name == "filters" { 10 } else { width };
            let longest = lengths.iter().copied().max().unwrap_or(0);
            // Tokens of two kinds.
            let x = (0..lengths.len() * longest * width).map(|i| if i / width % 3 == 0 { 0.5 } else { 0.25 }).collect();
            case.given = vec![("x".to_owned(), Tensor::floats(&[lengths.len(), longest, width], x))];
            travel(&case).unwrap_or_else(|f| panic!("{name} {lengths:?}: {f}"));
        }
    }
}

#[test]
fn what_cannot_be_selected_is_said() {
    let text = "layer refused {
  size  E = 6
  axis  b, t: time
  index j: t, e: E
  in    x[b,t,e], n[b,t]: i32
  param w[e]
  let z[b,t]   = sum(e: w * x)
  out y[b,t]   = if t >= 0 then kth[j](z[b,j] where j <= t, n) else 0
}";
    let failure = travel(&Case::new(text, &[], &[5])).expect_err("a rank that is data");
    assert_eq!(failure.stage, Stage::Schedule, "{failure}");
    assert!(failure.message.contains("a rank that is neither a constant nor affine"), "{failure}");
}
