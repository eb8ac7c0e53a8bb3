//! The hand-written plans, in single and double precision, at several tile sizes, with ragged batches.

use super::harness::{check, plan, set_tiles, text};

fn single(text: &str) -> String {
    text.replace("f64", "f32")
}

#[test]
fn matrix_product() {
    for (n, (text, tolerance)) in [(text("matmul"), 1e-13), (single(&text("matmul")), 1e-6)].into_iter().enumerate() {
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
fn gradients_of_dense_causal_attention() {
    hand_written("causal_backward", &[("HKV", 2)], 1e-5);
    hand_written("causal_backward_one_side", &[], 1e-5);
}

#[test]
fn gradients_of_attention_over_three_streams() {
    hand_written("three_streams_backward", &[("HKV", 2), ("OFFSET", 1)], 1e-5);
}

#[test]
fn attention_over_selected_keys() {
    selected_keys("prefix_threshold");
}

#[test]
fn gradients_of_attention_over_selected_keys() {
    selected_keys("prefix_threshold_backward");
}

fn selected_keys(name: &str) {
    for tile in [0, 1, 3, 8, 17] {
        let mut plan = plan(&text(name), &[]);
        if tile > 0 {
            set_tiles(&mut plan, tile);
        }
        for lengths in [&[1i64][..], &[2], &[37, 5, 16], &[0, 29], &[53]] {
            check(&plan, &[("B", &[lengths.len() as i64]), ("T", lengths)], 11, 1e-12);
        }
    }
}
