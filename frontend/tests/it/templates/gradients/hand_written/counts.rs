//! Executed operations of the hand-written backward plans against what is needed: no more than whole tiles cost.

use super::{CAUSAL, PREFIX_THRESHOLD, Pair, THREE_STREAMS, passes, truth};
use indexmap::IndexMap;
use weft_ir::kernel::interp::Counts;

const TILE: usize = 8;
const HEADS: u64 = 2;
const WIDTH: u64 = 4;

/// Pairs of a row and a position of the stream that are needed, and pairs of whole tiles: a tile of rows walks what some row of it
/// sees, in `streams` ranges, and the ends of each may be part of a step.
fn pairs(lengths: &[usize], sees: impl Fn(usize, usize) -> bool, streams: usize) -> (u64, u64) {
    let (mut needed, mut walked) = (0, 0);
    for &len in lengths {
        for r0 in (0..len).step_by(TILE) {
            let rows = r0..(r0 + TILE).min(len);
            let touched = (0..len).filter(|&c| rows.clone().any(|r| sees(r, c))).count();
            needed += rows.clone().map(|r| (0..len).filter(|&c| sees(r, c)).count()).sum::<usize>();
            walked += TILE * (touched + streams * (TILE - 1));
        }
    }
    (needed as u64 * HEADS, walked as u64 * HEADS)
}

/// Executed multiply-adds are those of `dots` products of the head's width, exponentials one, for all pairs that are walked.
#[track_caller]
fn within(counts: &Counts, dots: u64, (needed, walked): (u64, u64)) {
    let products = counts.madds / (dots * WIDTH);
    assert!((needed..=walked).contains(&products), "{products} pairs of {needed}..={walked}");
    assert!((needed..=walked).contains(&counts.exps), "{} exponentials of {needed}..={walked}", counts.exps);
}

fn counted(pair: &Pair, lengths: &[usize]) -> IndexMap<String, Counts> {
    let truth = truth(pair.case(lengths, 1));
    let (_, [_, backward]) = passes(pair, &truth);
    backward.counts
}

fn sum(counts: &[&Counts], of: impl Fn(&Counts) -> u64) -> u64 {
    counts.iter().map(|c| of(c)).sum()
}

/// The score and the product with the cotangent on both sides; dq on one, dk and dv on the other: seven products, where the forward
/// pass has two.
#[test]
fn causal_gradients_take_seven_products() {
    let sizes = [("H", HEADS as i64), ("HKV", 1), ("D", WIDTH as i64)];
    let lengths = [61, 7];
    let counts = counted(&Pair::new(CAUSAL, "causal", &sizes, TILE as i64), &lengths);
    within(&counts["queries"], 3, pairs(&lengths, |t, j| j <= t, 1));
    within(&counts["keys"], 4, pairs(&lengths, |j, t| j <= t, 1));
}

#[test]
fn gradients_over_three_streams_visit_what_is_seen() {
    let sizes = [("H", HEADS as i64), ("HKV", 1), ("D", WIDTH as i64), ("P", 8), ("LEAD", 5), ("OFFSET", 2)];
    let lengths = [120, 61];
    let counts = counted(&Pair::new(THREE_STREAMS, "three_streams", &sizes, TILE as i64), &lengths);
    let end = |j: usize| j == 0 || (j + 2) % 8 == 7;
    let near = |t: usize, j: usize| j <= t && t - j <= 5;
    within(&counts["queries"], 3, pairs(&lengths, |t, j| near(t, j) || (j <= t && end(j)), 3));
    within(&counts["band"], 4, pairs(&lengths, |j, t| near(t, j), 1));
    // Rows of `ends` are every eighth key, packed: pairs of whole tiles are those of the packed keys.
    let far = |len: usize, j: usize| len.saturating_sub(j + 6);
    let ends: usize = lengths.iter().flat_map(|&len| (5..len).step_by(8).map(move |j| far(len, j))).sum();
    let walked: usize =
        lengths.iter().flat_map(|&len| (5..len).step_by(8 * TILE).map(move |j| TILE * (far(len, j) + TILE - 1))).sum();
    within(&counts["ends"], 4, (HEADS * ends as u64, HEADS * walked as u64));
    let first: usize = lengths.iter().map(|&len| far(len, 0)).sum();
    within(&counts["first_key"], 4, (HEADS * first as u64, HEADS * (first + lengths.len() * (TILE - 1)) as u64));
}

/// Four times the length, four times the work, of queries and of keys in their window; of keys that live longer a little more, as
/// each of these is walked with its neighbours in the list of all of them. Nothing grows with the square.
#[test]
fn gradients_over_selected_keys_are_linear_in_length() {
    let sizes = [("H", 1), ("G", HEADS as i64), ("D", WIDTH as i64)];
    let pair = Pair::new(PREFIX_THRESHOLD, "prefix_threshold", &sizes, TILE as i64);
    let [short, long] = [128, 512].map(|len| counted(&pair, &[len]));
    let (keys, window) = (12, 9);
    for (len, counts) in [(128, &short), (512, &long)] {
        // Lists hold what the first row of a tile selects; what comes in later is in the slab of its windows.
        let walked = |keys: u64| HEADS * len * (keys + 2 * (TILE as u64 - 1));
        let all = keys + window;
        within(&counts["queries"], 3, (HEADS * (all * (len - all)), walked(all + TILE as u64)));
        within(&counts["keys"], 4, (HEADS * (window * (len - window)), walked(window)));
        let far = &counts["far_keys"];
        let needed = HEADS * keys * (len - all);
        assert!(far.madds >= 4 * WIDTH * needed, "{} of at least {needed}", far.madds);
    }
    let growth = |kernels: &[&str], of: fn(&Counts) -> u64| {
        let [short, long] = [&short, &long].map(|c| kernels.iter().map(|k| &c[*k]).collect::<Vec<_>>());
        sum(&long, of) as f64 / sum(&short, of) as f64
    };
    let all: Vec<&str> = short.keys().map(String::as_str).collect();
    assert!(growth(&["far_keys"], |c| c.madds) < 8.0, "{}", growth(&["far_keys"], |c| c.madds));
    for of in [|c: &Counts| c.madds, |c: &Counts| c.exps, |c: &Counts| c.bytes_read, |c: &Counts| c.iterations] {
        assert!(growth(&all, of) < 6.0, "{}", growth(&all, of));
    }
}
