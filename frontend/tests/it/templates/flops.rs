//! Executed operations against what a layer needs: no more than whole tiles cost.

use super::inputs::inputs;
use super::road::{Case, check_plan, graph, interpret, plan};
use super::spelling::Cost;
use weft_ir::DType;
use weft_passes::schedule::Tiles;

const ROWS: usize = 8;
const STREAM: usize = 4;
const HEADS: usize = 2;
const WIDTH: usize = 4;

fn cost(body: &str, lengths: &[usize]) -> Cost {
    let text = format!(
        "layer counted {{
  size H = {HEADS}, D = {WIDTH}, E = 6, F = 10
  axis b, t: time
  index j: t, h: H, d: D, e: E, f: F
  in q[b,t,h,d], k[b,t,h,d], v[b,t,h,d], x[b,t,e]
  param w[f,e]
{body}
}}"
    );
    let mut case = Case::new(&text, &[], lengths);
    case.tiles = Tiles { rows: ROWS as i64, stream: STREAM as i64, block: 16, depth: 16, vector: 64 };
    let made = graph(&case).and_then(|g| Ok((plan(&g, DType::F32, case.tiles)?.plan, g)));
    let (plan, graph) = made.unwrap_or_else(|f| panic!("{f}\n{text}"));
    check_plan(&plan).unwrap_or_else(|f| panic!("{f}\n{text}"));
    let outcome = interpret(&plan, &case, &inputs(&graph, &case)).unwrap_or_else(|f| panic!("{f}\n{text}"));
    Cost::of(outcome.counts.values())
}

/// Attention in which query t sees the keys for which `sees(t, j)` holds, walked as `streams` ranges of every `stride`-th key: pairs that
/// are needed, and pairs of whole tiles. A tile of rows walks what some row of it sees, and each end may be part of a step.
fn pairs(lengths: &[usize], sees: impl Fn(usize, usize) -> bool, streams: usize) -> (u64, u64) {
    let (mut needed, mut walked) = (0, 0);
    for &len in lengths {
        for t0 in (0..len).step_by(ROWS) {
            let rows = t0..(t0 + ROWS).min(len);
            let touched = (0..len).filter(|&j| rows.clone().any(|t| sees(t, j))).count();
            needed += rows.clone().map(|t| (0..len).filter(|&j| sees(t, j)).count()).sum::<usize>();
            walked += ROWS * (touched + streams * (STREAM - 1));
        }
    }
    ((needed * HEADS) as u64, (walked * HEADS) as u64)
}

const LENGTHS: &[&[usize]] = &[&[64], &[61, 7], &[1, 33]];

/// Softmax attention under a mask: a score and a weighted value a pair, one exponential a pair and one a row and step.
#[track_caller]
fn attention(mask: &str, sees: impl Fn(usize, usize) -> bool, streams: usize) {
    for lengths in LENGTHS {
        let found = cost(
            &format!(
                "  let s[b,t,h,j] = sum(d: q * k[b,j,h,d])
  out y[b,t,h,d] = sum(j: softmax[j](s where {mask}) * v[b,j,h,d])"
            ),
            lengths,
        );
        let (needed, walked) = pairs(lengths, &sees, streams);
        let per_pair = 2 * WIDTH as u64;
        let (least, most) = (needed * per_pair, walked * per_pair);
        assert!((least..=most).contains(&found.madds), "{mask} {lengths:?}: {} of {least}..={most}", found.madds);
        // Besides one exponential a pair: one for each row and step, to rescale.
        let (least, most) = (needed, walked + walked.div_ceil(STREAM as u64));
        assert!((least..=most).contains(&found.exps), "{mask} {lengths:?}: exps {} of {least}..={most}", found.exps);
        assert_eq!(found.kernels, 1, "{mask}");
    }
}

#[test]
fn causal_attention() {
    attention("j <= t", |t, j| j <= t, 1);
}

#[test]
fn window() {
    attention("0 <= t - j < 9", |t, j| j <= t && t - j < 9, 1);
}

#[test]
fn strided_ends() {
    attention("j <= t and j % 5 == 4", |t, j| j <= t && j % 5 == 4, 1);
}

#[test]
fn strided_ends_and_window() {
    let sees = |t: usize, j: usize| j <= t && (j == 0 || j % 5 == 4 || t - j < 6);
    attention("j <= t and (j == 0 or j % 5 == 4 or t - j < 6)", sees, 3);
}

#[test]
fn own_chunk() {
    attention("j <= t and j // 5 == t // 5", |t, j| j <= t && j / 5 == t / 5, 1);
}

#[test]
fn matmul() {
    for lengths in LENGTHS {
        let found = cost("  out y[b,t,f] = sum(e: w * x)", lengths);
        let rows: usize = lengths.iter().map(|n| n.next_multiple_of(ROWS)).sum();
        assert_eq!(found.madds, (rows * 6 * 10) as u64, "{lengths:?}");
    }
}

/// Known to fail: a contraction under elementwise functions of two outputs is made twice, once in the kernel of each.
#[test]
fn known_shared_projection_is_computed_twice() {
    let sum = "  let p[b,t,h] = sum(d: q * k)\n  let r[b,t,f] = sum(h, e: p * x * w)\n";
    let once = cost(&format!("{sum}  out y[b,t,f] = silu(r)"), &[40]);
    let twice = cost(&format!("{sum}  out y[b,t,f] = silu(r)\n  out z[b,t,f] = r * r"), &[40]);
    assert!(twice.madds > once.madds, "this works now: assert that they are equal");
}

#[test]
fn state_is_linear_in_length() {
    let body = "  rec m[b,t,h,d] = v + (if t == 0 then 0 else 0.5 * m[b, t - 1, h, d])\n  out y[b,t,h,d] = q * m";
    let (short, long) = (cost(body, &[64]), cost(body, &[512]));
    assert!(long.bytes_read <= 8 * short.bytes_read + 1024, "{} {}", short.bytes_read, long.bytes_read);
    assert!(long.madds <= 8 * short.madds + 1024, "{} {}", short.madds, long.madds);
}
