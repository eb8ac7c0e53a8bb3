//! Runs small layers in the evaluator.

use super::good;
use weft_ir::eval::{Bindings, Evaluator, Tensor};

/// Values that differ from one another and follow no line.
pub(super) fn noise(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
    };
    Tensor::floats(shape, (0..shape.iter().product()).map(|_| next()).collect())
}

/// The only output of a layer.
#[track_caller]
pub(super) fn output(text: &str, inputs: &[(&str, Tensor)]) -> Tensor {
    let checked = good(text);
    let bindings = inputs.iter().fold(Bindings::new(), |b, (n, t)| b.tensor(n, t.clone()));
    let outputs = Evaluator::new(&checked.graph, &bindings).unwrap().outputs().unwrap();
    assert_eq!(outputs.len(), 1);
    outputs.into_iter().next().unwrap().1
}

/// Compares an output with a formula of the position.
#[track_caller]
pub(super) fn is(found: &Tensor, want: impl Fn(&[usize]) -> f64) {
    let values = found.to_f64();
    for (k, &v) in values.iter().enumerate() {
        let mut at = vec![0; found.shape.len()];
        let mut rest = k;
        for (a, &n) in at.iter_mut().zip(&found.shape).rev() {
            *a = rest % n;
            rest /= n;
        }
        let w = want(&at);
        assert!((v - w).abs() <= 1e-12 * (1.0 + w.abs()), "at {at:?}: {v} instead of {w}");
    }
}
