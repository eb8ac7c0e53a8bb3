//! The hand-written plans, in single and double precision, at several tile sizes, with ragged batches.

use super::harness::{check, plan, set_tiles, text};

/// A matrix product as the scheduler would make it: row tiles, column blocks, a loop over the contracted axis.
const MATMUL: &str = "
plan matmul {
  size K = 20, N = 24
  tile BT = 8, BN = 8, BK = 16
  extent T
  buffer x: f64[t: T, k: K] input
  buffer w: f64[k: K, n: N] input
  buffer y: f64[t: T, n: N] output

  kernel product {
    grid tt: ceil(T / BT), nn: ceil(N / BN)
    axis i: BT where [tt * BT + i < T]
    axis e: BN where [nn * BN + e < N]
    axis k: BK
    lanes e
    %z = fill 0.0 as f64 on [i, e]
    %y = loop k0 at p over k in dense(0, K) full [0, K) carry (%y0 = %z) {
      %x = load x[tt * BT + i, p] where [p < K, tt * BT + i < T] else 0.0
      %w = load w[p, nn * BN + e] where [p < K, nn * BN + e < N] else 0.0
      %y1 = dot %x, %w, %y0 over k
      yield %y1
    }
    store y[tt * BT + i, nn * BN + e] = %y where [tt * BT + i < T, nn * BN + e < N]
  }
}";

fn single(text: &str) -> String {
    text.replace("f64", "f32")
}

#[test]
fn matrix_product() {
    for (n, (text, tolerance)) in [(MATMUL.to_owned(), 1e-13), (single(MATMUL), 1e-6)].into_iter().enumerate() {
        for tile in [1, 3, 4, 8, 17, 32] {
            let mut plan = plan(&text, &[]);
            set_tiles(&mut plan, tile);
            for t in [1, 2, 7, 32, 45] {
                check(&plan, &[("T", &[t])], 1 + n as u64, tolerance);
            }
        }
    }
}

#[test]
fn dense_causal_attention() {
    for (text, tolerance) in [(text("causal"), 1e-12), (single(&text("causal")), 1e-5)] {
        for tile in [1, 3, 8, 16, 17] {
            let mut plan = plan(&text, &[("HKV", 2)]);
            set_tiles(&mut plan, tile);
            for lengths in [&[1i64][..], &[2], &[33], &[37, 5, 16], &[0, 12]] {
                check(&plan, &[("B", &[lengths.len() as i64]), ("T", lengths)], 7, tolerance);
            }
        }
    }
}

/// Every hand-written plan at several tile extents and lengths, in single precision unless that changes its decisions.
fn hand_written(name: &str, sizes: &[(&str, i64)], tolerance: f64) {
    for (text, tolerance) in [(text(name), 1e-12), (single(&text(name)), tolerance)] {
        for tile in [0, 1, 3, 8, 17] {
            let mut plan = plan(&text, sizes);
            if tile > 0 {
                set_tiles(&mut plan, tile);
            }
            for lengths in [&[1i64][..], &[2], &[37, 5, 16], &[0, 29], &[53]] {
                check(&plan, &[("B", &[lengths.len() as i64]), ("T", lengths)], 11, tolerance);
            }
        }
    }
}

#[test]
fn attention_over_three_streams() {
    hand_written("three_streams", &[("HKV", 2), ("OFFSET", 1)], 1e-5);
}

#[test]
fn attention_over_codes() {
    hand_written("codes_sequential", &[], 1e-5);
    hand_written("codes_two_pass", &[], 1e-5);
}

#[test]
fn attention_over_split_keys() {
    hand_written("split_keys", &[("HKV", 1)], 1e-5);
}

#[test]
fn attention_over_selected_keys() {
    for tile in [0, 1, 3, 8, 17] {
        let mut plan = plan(&text("prefix_threshold"), &[]);
        if tile > 0 {
            set_tiles(&mut plan, tile);
        }
        for lengths in [&[1i64][..], &[2], &[37, 5, 16], &[0, 29], &[53]] {
            check(&plan, &[("B", &[lengths.len() as i64]), ("T", lengths)], 11, 1e-12);
        }
    }
}
