//! Recurrences in the bodies of others. A state for every pair of positions has no kernels; the evaluator has it all the same.

use super::super::road::{Case, Stage, travel};
use super::differences::differences;
use weft_passes::schedule::Tiles;

/// A state over chunks, for each token, made from what the token's state was before.
fn layer(step: &str) -> String {
    format!(
        "fn over_chunks[c](x[c], g[c]) {{
  rec R[c] = x + (if c == 0 then 0 else g * R[c - 1])
  return R
}}
layer nested {{
  axis  b, t: time, c = |t| // 3
  index l: 3
  in    x[b,t], a[b,t]
  param p
  let w[b,c] = sum(l: a[b, 3 * c + l])
  rec S[b,t] = x + (if t == 0 then 0 else 0.3 * sum(c: over_chunks[c]({step}) where 3 * c + 2 <= t))
  out y[b,t] = S
}}"
    )
}

/// What a chunk adds, and what it keeps of the chunk before.
const STEPS: [&str; 4] = [
    "w * S[b, t - 1], sigmoid(w)",
    "tanh(w * S[b, t - 1]), p * w",
    "w, sigmoid(p * w * S[b, t - 1])",
    "sin(w) * S[b, t - 1]^2, cos(w + S[b, t - 1])",
];

#[test]
fn finite_differences() {
    for step in STEPS {
        let mut case = Case::new(&layer(step), &[], &[11, 2, 7]);
        for seed in 1..4 {
            case.seed = seed;
            differences(&case).unwrap_or_else(|f| panic!("{step}: {f}"));
        }
    }
}

/// No kernel, and no wrong number: either the whole road is right, or the schedule says what it cannot do.
#[test]
fn kernels_are_right_or_refused() {
    let mut refused = 0;
    for step in STEPS {
        for gradients in [false, true] {
            let case = Case { gradients, ..Case::new(&layer(step), &[], &[11, 2, 7]) };
            if let Err(f) = travel(&Case { tiles: Tiles::default(), ..case }) {
                assert!(f.stage == Stage::Schedule && !f.message.is_empty(), "{step}: {f}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
}
