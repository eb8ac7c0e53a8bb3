//! The evaluator reproduces the golden tensors, outputs and gradients, from the example layers.

use crate::support::root;
use safetensors::{Dtype, SafeTensors};
use weft::diagnostics::SourceMap;
use weft::sema::{Checked, Number, Settings, compile};
use weft_ir::eval::{Bindings, Evaluator, Tensor};
use weft_passes::autodiff;

/// A golden file: the layer's name, its sizes, its tensors.
struct Golden {
    layer: String,
    sizes: Vec<(String, Number)>,
    tensors: Vec<(String, Tensor)>,
}

fn golden(name: &str) -> Golden {
    let bytes = std::fs::read(root().join("tests/golden").join(format!("{name}.safetensors"))).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    let sizes: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&metadata["sizes"]).unwrap();
    let sizes = sizes
        .into_iter()
        .map(|(name, v)| (name, v.as_i64().map_or_else(|| Number::Real(v.as_f64().unwrap()), Number::Int)))
        .collect();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let words = view.data().chunks_exact(8).map(|c| <[u8; 8]>::try_from(c).unwrap());
            let tensor = match view.dtype() {
                Dtype::F64 => Tensor::floats(view.shape(), words.map(f64::from_le_bytes).collect()),
                Dtype::I64 => Tensor::ints(view.shape(), words.map(i64::from_le_bytes).collect()),
                other => panic!("{name}: {other:?}"),
            };
            (name, tensor)
        })
        .collect();
    Golden { layer: metadata["layer"].clone(), sizes, tensors }
}

fn compiled(g: &Golden) -> Checked {
    let text = std::fs::read_to_string(root().join("examples").join(format!("{}.weft", g.layer))).unwrap();
    let mut map = SourceMap::new();
    let id = map.add(&g.layer, &text).unwrap();
    let settings = Settings { recorded: g.sizes.clone(), ..Settings::default() };
    compile(&mut map, id, Some(&g.layer), &settings, &mut |_| None).unwrap()
}

#[track_caller]
fn agrees(name: &str) {
    let g = golden(name);
    let checked = compiled(&g);
    for (size, value) in &g.sizes {
        assert_eq!(checked.values[size].as_f64(), value.as_f64(), "{size}");
    }
    let bindings = g.tensors.iter().filter_map(|(n, t)| Some((n.strip_prefix("in.")?, t)));
    let bindings = bindings.fold(Bindings::new(), |b, (n, t)| b.tensor(n, t.clone()));
    let found = Evaluator::new(&checked.graph, &bindings).unwrap().outputs().unwrap();
    compare(name, &g, "out.", 1e-10, |n| found.get(n));
}

/// Every gradient of the file; inputs of which it has none have none that is compared.
#[track_caller]
fn gradients_agree(name: &str) {
    let g = golden(name);
    let checked = compiled(&g);
    let gradients = autodiff::gradients(&checked.graph, &autodiff::Request::default()).unwrap();
    let bindings = g.tensors.iter().filter_map(|(n, t)| match n.strip_prefix("in.") {
        Some(input) => Some((input, t)),
        None => n.starts_with("cot.").then_some((n.as_str(), t)),
    });
    let bindings = bindings.fold(Bindings::new(), |b, (n, t)| b.tensor(n, t.clone()));
    let found = Evaluator::new(&gradients.graph, &bindings).unwrap().outputs().unwrap();
    compare(name, &g, "grad.", 1e-9, |n| found.get(&*format!("grad.{n}")));
}

/// Compares all tensors of a kind with those found.
#[track_caller]
fn compare<'t>(name: &str, g: &Golden, kind: &str, bound: f64, found: impl Fn(&str) -> Option<&'t Tensor>) {
    let mut compared = 0;
    for (n, want) in &g.tensors {
        let Some(n) = n.strip_prefix(kind) else { continue };
        let Some(found) = found(n) else { panic!("{name}: no {kind}{n}") };
        assert_eq!(found.shape, want.shape, "{n}");
        let (a, b) = (found.to_f64(), want.to_f64());
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
        let error = norm(&mut a.iter().zip(&b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied()).max(1e-300);
        assert!(error <= bound, "{name}: {kind}{n} differs by {error:e}");
        compared += 1;
    }
    assert!(compared > 0, "{name}: nothing to compare");
}

macro_rules! goldens {
    ($($test:ident = $name:literal;)*) => {
        $(#[test] fn $test() { agrees($name); })*
        mod gradients {
            $(#[test] fn $test() { super::gradients_agree($name); })*
        }
    };
}

goldens! {
    attamba_small = "attamba.small";
    attamba_gqa_ragged = "attamba.gqa_ragged";
    attamba_sparsek_small = "attamba_sparsek.small";
    attamba_sparsek_ragged = "attamba_sparsek.ragged";
    sparsek_small = "sparsek.small";
    sparsek_ragged = "sparsek.ragged";
    transformer_vq_small = "transformer_vq.small";
    transformer_vq_ragged = "transformer_vq.ragged";
}
