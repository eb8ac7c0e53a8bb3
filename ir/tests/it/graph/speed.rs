//! Sizes of real layers, in release builds: `cargo test --release -p weft-ir --test it speed -- --ignored --nocapture`.

use super::fixture::{inputs, load};
use std::time::Instant;
use weft_ir::eval::Evaluator;

fn timed(name: &str, sizes: &[(&str, i64)], lengths: &[usize], rows: Option<usize>) {
    let g = load(name, sizes);
    let bind = inputs(&g, lengths, 1);
    let ev = Evaluator::new(&g, &bind).unwrap();
    let start = Instant::now();
    match rows {
        None => {
            ev.outputs().unwrap();
        }
        Some(n) => {
            let positions: Vec<usize> = (0..n).map(|i| (i * 7919 + 13) % lengths[0]).collect();
            ev.rows("y", "t", &positions).unwrap();
        }
    }
    println!(
        "{name} T={lengths:?} rows={rows:?}: {:.2} s, {:.2} G multiply-adds",
        start.elapsed().as_secs_f64(),
        ev.multiply_adds() as f64 * 1e-9
    );
}

#[test]
#[ignore = "takes long in debug builds"]
fn layers() {
    let attention = [("e", 512), ("h", 8), ("d", 64)];
    timed("attention", &attention, &[2048], None);
    timed("attention", &attention, &[16384], Some(32));
    let vq = [("k", 128), ("v", 1536), ("s", 512), ("dist", 513)];
    timed("vq", &vq, &[2048], None);
    timed("vq", &vq, &[16384], Some(32));
    let ssm = [("h", 8), ("p", 32), ("n", 32), ("tap", 4)];
    timed("ssm", &ssm, &[2048], None);
    timed("ssm", &ssm, &[16384], None);
    timed("ssm", &ssm, &[16384], Some(32));
}
