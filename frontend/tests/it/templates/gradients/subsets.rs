//! Some gradients of some outputs are what they are among all gradients of all outputs.

use super::super::examples::example;
use super::super::road::Case;
use super::driven::{BACKENDS, Driven, Tensors, distance, held_out, numbers};
use weft_passes::autodiff::GRADIENT;

#[test]
fn parts_of_the_whole() {
    let examples = ["transformer_vq", "sparsek"].map(|e| (e, example(e).case(&[], &[])));
    let held = ["moments", "two_states", "statistics", "refine", "sigmoids", "head_picks", "pools"];
    for (name, case) in examples.into_iter().chain(held.map(|name| (name, held_out(name)))) {
        let mut case = Case { seed: 3, ..case };
        case.lengths.time = vec![8, 3];
        parts(name, &Driven::new(&case));
    }
}

fn parts(name: &str, d: &Driven) {
    for (backend, bound) in [BACKENDS[0], BACKENDS[2]] {
        let whole = d.gradients(&d.tensors, None, backend);
        let close = |what: &str, found: &Tensors| {
            for (gradient, tensor) in found {
                let error = distance(&tensor.to_f64(), &whole[gradient].to_f64());
                assert!(error < bound, "{name}: {gradient} {what} differs by {error:e} on {}", backend.name());
            }
        };
        // Of some inputs: the first, the last, and every second one.
        let names: Vec<&str> = whole.keys().map(|n| n.strip_prefix(GRADIENT).unwrap()).collect();
        let every_second: Vec<&str> = names.iter().step_by(2).copied().collect();
        for wrt in [&names[..1], &names[names.len() - 1..], &every_second] {
            let found = d.gradients(&d.tensors, Some(wrt), backend);
            assert_eq!(found.len(), wrt.len(), "{name}: {wrt:?}");
            close(&format!("in {wrt:?}"), &found);
        }
        // Gradients are linear in cotangents: those of one output alone add up, and an absent cotangent is one of zeros.
        let cotangents = d.cotangents();
        if let [one] = cotangents[..] {
            assert_eq!(one, "y", "{name}");
            continue;
        }
        let mut sum: Option<Tensors> = None;
        for &one in &cotangents {
            let alone = d.gradients(&d.with_cotangents(|c| c == one), None, backend);
            assert_eq!(alone.len(), whole.len(), "{name}: gradients of {one}");
            let mut zeros = d.tensors.clone();
            for other in cotangents.iter().filter(|&&c| c != one) {
                numbers(&mut zeros[&format!("cot.{other}")]).fill(0.0);
            }
            for (gradient, tensor) in d.gradients(&zeros, None, backend) {
                let error = distance(&alone[&gradient].to_f64(), &tensor.to_f64());
                assert!(error < bound, "{name}: {gradient} of {one} differs by {error:e} on {}", backend.name());
            }
            match &mut sum {
                None => sum = Some(alone),
                Some(sum) => {
                    for (gradient, tensor) in alone {
                        numbers(&mut sum[&gradient]).iter_mut().zip(tensor.to_f64()).for_each(|(s, x)| *s += x);
                    }
                }
            }
        }
        close("as a sum over outputs", &sum.unwrap());
    }
}
