//! Gradients under decisions that were taken elsewhere: decisions are read, so whoever imposes them gets the gradient of the layer
//! that decides so.

use super::super::examples::example;
use super::super::road::Case;
use super::differences::imposed;
use super::driven::held_out;

#[test]
fn decisions_of_other_inputs() {
    let examples = ["transformer_vq", "sparsek", "attamba_sparsek", "gallery/nsa"];
    let held = ["buckets", "seek", "gather", "head_picks", "top_codes", "filters"];
    let cases = examples.map(|e| (e, example(e).case(&[], &[])));
    for (name, case) in cases.into_iter().chain(held.map(|name| (name, held_out(name)))) {
        let mut case = Case { seed: 4, ..case };
        case.lengths.time = vec![9, 1, 14];
        match imposed(&case, 5) {
            Ok((_, changed)) => assert!(changed > 0, "{name} decides nothing else"),
            Err(f) => panic!("{name}: {f}"),
        }
    }
}
