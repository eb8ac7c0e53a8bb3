//! Awkward tiles, lengths and sizes for every example.

use super::examples::example;
use super::road::travel;
use weft_passes::schedule::Tiles;

fn all(tile: i64) -> Tiles {
    Tiles { rows: tile, stream: tile, block: tile, depth: tile, vector: tile }
}

/// Lengths of documents: one token, primes, ragged, more than a tile, two tokens.
const LENGTHS: &[&[usize]] = &[&[1], &[13], &[7, 2, 19], &[37, 1], &[2]];

fn survives(file: &str) {
    let example = example(file);
    let mut failures = Vec::new();
    let mut run = |sizes: &[(&str, i64)], lengths: &[usize], tiles: Tiles, seed: u64| {
        let mut case = example.case(sizes, lengths);
        (case.tiles, case.seed) = (tiles, seed);
        if let Err(f) = travel(&case) {
            failures.push(format!("{sizes:?} {lengths:?} {tiles:?} seed {seed}: {f}"));
        }
    };
    for round in 0..super::effort() as u64 {
        for (n, &tile) in [1, 3, 17].iter().enumerate() {
            run(&[], LENGTHS[1 + n % 2], all(tile), 1 + n as u64 + 10 * round);
        }
        run(&[], LENGTHS[3], Tiles { rows: 17, stream: 3, block: 1, depth: 5, vector: 2 }, 7 + round);
        run(&[], LENGTHS[2], Tiles { rows: 1, stream: 17, block: 3, depth: 1, vector: 64 }, 8 + round);
        for n in [0, 4] {
            run(&[], LENGTHS[n], Tiles::default(), 9 + round);
        }
        for (n, sizes) in example.awkward.iter().enumerate() {
            run(sizes, LENGTHS[2], all(4 + 3 * n as i64), 20 + n as u64 + round);
        }
    }
    assert!(failures.is_empty(), "{file}: {} failures\n{}", failures.len(), failures.join("\n"));
}

macro_rules! examples {
    ($($test:ident = $file:literal;)*) => { $(#[test] fn $test() { survives($file); })* };
}

examples! {
    attamba = "attamba";
    attamba_sparsek = "attamba_sparsek";
    sparsek = "sparsek";
    transformer_vq = "transformer_vq";
    gqa_window = "gallery/gqa_window";
    mamba2 = "gallery/mamba2";
    nsa = "gallery/nsa";
}
