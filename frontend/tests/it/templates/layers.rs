//! Every held-out layer and every layer of the gallery, all the way: one token, ragged documents, a prime number of tokens.

use super::examples::EXAMPLES;
use super::random::Random;
use super::road::{Case, Stage, travel};
use crate::support::root;
use weft_passes::schedule::Tiles;

/// Lengths of documents, and tiles.
fn runs() -> [(&'static [usize], Tiles); 3] {
    let small = Tiles { rows: 4, stream: 3, block: 5, depth: 2, vector: 7 };
    [(&[1], Tiles::default()), (&[7, 1, 19], small), (&[37, 5], Tiles::default())]
}

#[track_caller]
fn survives(name: &str, case: impl Fn(&[usize]) -> Case) {
    let mut failures = Vec::new();
    for (seed, (lengths, tiles)) in (1..).zip(runs()) {
        let mut case = case(lengths);
        (case.tiles, case.seed) = (tiles, seed);
        if let Err(f) = travel(&case) {
            failures.push(format!("{lengths:?} {tiles:?}: {f}"));
        }
    }
    assert!(failures.is_empty(), "{name}: {} failures\n{}", failures.len(), failures.join("\n"));
}

pub(super) fn text(name: &str) -> String {
    std::fs::read_to_string(root().join(format!("tests/layers/{name}.weft"))).unwrap()
}

macro_rules! held_out {
    ($($name:ident)*) => {
        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { survives(stringify!($name), |lengths| Case::new(&text(stringify!($name)), &[], lengths)); })*
    };
}

held_out! {
    aged blocked buckets cadence contrast delta_heads delta_restart dilated echo encoder entmax filters forget gated_delta gates
    gather head_picks head_windows lagging levels lookup moments pooled pooled_queries pools refine ring rotating
    running seek segments sigmoids sink_table slots sparsemax stack statistics surprise top_codes top_p triples
    two_clocks two_states whitened window_mix
}

#[test]
fn none_is_missing() {
    let mut found: Vec<String> = std::fs::read_dir(root().join("tests/layers"))
        .unwrap()
        .filter_map(|e| Some(e.unwrap().file_name().into_string().unwrap().strip_suffix(".weft")?.to_owned()))
        .collect();
    found.sort();
    assert_eq!(found, NAMES);
}

#[test]
fn the_gallery() {
    for example in EXAMPLES.iter().filter(|e| e.file.starts_with("gallery/")) {
        survives(example.file, |lengths| example.case(&[], lengths));
    }
}

/// Every held-out layer at tiles and lengths that nobody chose.
#[test]
fn random_tiles() {
    let first: u64 = std::env::var("WEFT_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let mut failures = Vec::new();
    for (n, name) in (0u64..).zip(NAMES) {
        let text = text(name);
        for round in 0..super::effort() as u64 {
            let mut r = Random(first + 1000 * n + round);
            let lengths: Vec<usize> = (0..=r.below(2)).map(|_| r.pick(&[1, 2, 3, 5, 7, 8, 11, 16, 23])).collect();
            let mut case = Case::new(&text, &[], &lengths);
            let mut tile = || r.pick(&[1, 2, 3, 4, 5, 7, 16]);
            case.tiles = Tiles { rows: tile(), stream: tile(), block: tile(), depth: tile(), vector: tile() };
            case.seed = 1 + round;
            if let Err(f) = travel(&case) {
                failures.push(format!("{name} {lengths:?} {:?} seed {}: {f}", case.tiles, case.seed));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// What is refused for good reasons says which value, and how the output reaches it.
#[test]
fn refusals_name_the_path() {
    for (text, message) in [
        (
            "layer l { size D = 3 axis b, t: time index i, j: t, d: D in x[b,t,d]
             let p[b,t,j] = softmax[j](sum(d: x * x[b,j,d]) where j <= t)
             let r[b,t,j] = sum(i: p[b,t,i] * p[b,i,j] where j <= i <= t)
             out y[b,t,d] = sum(j: r * x[b,j,d] where j <= t) }",
            "needs memory that grows with the square of the length: out y <- a sum over `t` for every pair of positions",
        ),
        (
            "layer l { axis b, t: time index j: t in x[b,t]
             rec S[b,t,j] = x * x[b,j] + (if t == 0 then 0 else 0.5 * S[b, t - 1, j])
             out y[b,t] = sum(j: S where j <= t) }",
            "needs memory that grows with the square of the length: out y <- S",
        ),
    ] {
        let failure = travel(&Case::new(text, &[], &[5])).expect_err("these need quadratic memory");
        assert_eq!((failure.stage, failure.message.as_str()), (Stage::Schedule, message));
    }
}
