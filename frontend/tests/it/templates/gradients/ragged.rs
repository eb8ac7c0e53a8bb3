//! Sequences of different lengths: what lies behind an end is nobody's, and sequences do not meet unless the layer says so.

use super::super::examples::example;
use super::super::road::Case;
use super::driven::{BACKENDS, Driven, Tensors, distance, held_out, numbers};
use weft_ir::eval::{Elements, Tensor};
use weft_passes::autodiff::GRADIENT;

const LENGTHS: [usize; 3] = [5, 1, 9];

fn driven(mut case: Case) -> Driven {
    case.lengths.time = LENGTHS.to_vec();
    Driven::new(&case)
}

/// Gradients with NaN behind the ends, as drawn, and with large numbers there are the same to the bit; and 0 behind the ends.
fn padding(name: &str, case: Case) {
    let d = driven(case);
    let mut filled = d.tensors.clone();
    let mut padded = 0;
    for (name, tensor) in &mut filled {
        if !matches!(tensor.data, Elements::F64(_)) {
            continue;
        }
        for (x, _) in numbers(tensor).iter_mut().zip(d.exists(name)).filter(|(_, exists)| !exists) {
            assert!(x.is_nan());
            *x = 1e30;
            padded += 1;
        }
    }
    assert!(padded > 0, "{name} has no padding");
    for (backend, _) in [BACKENDS[0], BACKENDS[2]] {
        let compiled = d.compiled(&d.tensors, None, backend);
        let (a, b) = (compiled.run(&d.tensors), compiled.run(&filled));
        let mut zeros = 0;
        for (gradient, tensor) in &a {
            let (a, b) = (tensor.to_f64(), b[gradient].to_f64());
            for (n, exists) in d.exists(gradient.strip_prefix(GRADIENT).unwrap()).into_iter().enumerate() {
                assert_eq!(a[n].to_bits(), b[n].to_bits(), "{name}: {gradient} at {n} on {}", backend.name());
                assert!(a[n].is_finite() && (exists || a[n] == 0.0), "{name}: {gradient} is {} at {n}", a[n]);
                zeros += usize::from(!exists);
            }
        }
        assert!(zeros > 0, "{name} has no gradient with padding");
    }
}

#[test]
fn padding_has_no_gradient_in_examples() {
    for name in ["attamba", "attamba_sparsek", "sparsek", "transformer_vq"] {
        padding(name, example(name).case(&[], &[]));
    }
}

#[test]
fn padding_has_no_gradient_in_held_out_layers() {
    for name in ["moments", "sigmoids", "delta_heads", "pools", "segments", "statistics", "two_clocks", "lagging"] {
        padding(name, held_out(name));
    }
}

/// Sequence `b` of a padded tensor, cut to a shape without padding.
fn cut(tensor: &Tensor, batch: usize, b: usize, shape: &[usize]) -> Tensor {
    let all = tensor.to_f64();
    let mut data = Vec::new();
    let mut at = vec![0; shape.len()];
    for _ in 0..shape.iter().product() {
        let place = |(n, (&i, &extent)): (usize, (&usize, &usize))| (if n == batch { b } else { i }, extent);
        let index = at.iter().zip(&tensor.shape).enumerate().map(place).fold(0, |k, (i, extent)| k * extent + i);
        data.push(all[index]);
        for (i, n) in at.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *n {
                break;
            }
            *i = 0;
        }
    }
    if matches!(tensor.data, Elements::F64(_)) {
        return Tensor::floats(shape, data);
    }
    #[allow(clippy::cast_possible_truncation, reason = "integers are small")]
    Tensor::ints(shape, data.iter().map(|&x| x as i64).collect())
}

/// A batch is its sequences, one by one: gradients of inputs are theirs, those of parameters the sum of theirs.
fn one_by_one(name: &str, case: &Case) {
    let d = driven(case.clone());
    let batch = |name: &str| d.axes(name).iter().position(|&a| &*d.graph.domain_of(a).name == "b");
    for (backend, bound) in [BACKENDS[0], BACKENDS[2]] {
        let mut compiled = d.compiled(&d.tensors, None, backend);
        let whole = compiled.run(&d.tensors);
        let mut sums = Tensors::default();
        for (b, &length) in LENGTHS.iter().enumerate() {
            let mut case = case.clone();
            case.lengths.time = vec![length];
            let mut alone = Driven::new(&case);
            for (name, tensor) in &mut alone.tensors {
                *tensor = match batch(name) {
                    Some(at) => cut(&d.tensors[name], at, b, &tensor.shape),
                    None => d.tensors[name].clone(),
                };
            }
            for (gradient, tensor) in compiled.of_lengths(&[length]).run(&alone.tensors) {
                if let Some(at) = batch(gradient.strip_prefix(GRADIENT).unwrap()) {
                    let want = cut(&whole[&gradient], at, b, &tensor.shape);
                    let error = distance(&tensor.to_f64(), &want.to_f64());
                    assert!(
                        error < bound,
                        "{name}: {gradient} of sequence {b} differs by {error:e} on {}",
                        backend.name()
                    );
                } else if let Some(sum) = sums.get_mut(&gradient) {
                    numbers(sum).iter_mut().zip(tensor.to_f64()).for_each(|(s, x)| *s += x);
                } else {
                    sums.insert(gradient, tensor);
                }
            }
        }
        assert!(!sums.is_empty());
        for (gradient, sum) in &sums {
            let error = distance(&whole[gradient].to_f64(), &sum.to_f64());
            assert!(error < bound, "{name}: {gradient} differs by {error:e} on {}", backend.name());
        }
    }
}

#[test]
fn a_batch_is_its_sequences() {
    for name in ["attamba", "attamba_sparsek", "sparsek"] {
        one_by_one(name, &example(name).case(&[], &[]));
    }
    for name in ["sigmoids", "delta_heads", "segments", "two_clocks", "lagging", "gates"] {
        one_by_one(name, &held_out(name));
    }
}
