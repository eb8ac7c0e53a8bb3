//! What must hold for every file of inputs.

use std::path::Path;
use std::sync::OnceLock;

use weft::driver::{LoadOptions, Loaded, Silent, TensorFile, Watch, bind, load_bytes};

/// A layer with an axis of each kind, inputs of each type, and lengths.
pub(crate) const LAYER: &str = "\
layer inputs {
  size  E = 2
  axis  b, m, t: time
  index e: E
  in    x[b,t,e], z[m], id[b,t]: i32, keep[b,t]: bool
  param gain[e]
  out y[b,t,e] = (if keep and id >= 0 then gain * x else 0) + sum(m: z)
}
";

fn layer() -> Option<&'static Loaded> {
    static LOADED: OnceLock<Option<Loaded>> = OnceLock::new();
    let load = || {
        let mut silent = Silent;
        let mut watch = Watch::new(&mut silent);
        load_bytes("inputs.weft", LAYER.as_bytes(), Path::new(""), &LoadOptions::default(), &mut watch).ok()
    };
    LOADED.get_or_init(load).as_ref()
}

/// Panics if the reader of tensor files, or what fits tensors to a layer, breaks one of its promises on `data`.
pub(crate) fn check(data: &[u8]) {
    let Ok(file) = TensorFile::parse("fuzz", data) else { return };
    for (name, tensor) in &file.tensors {
        let elements = tensor.shape.iter().product::<usize>();
        assert_eq!(tensor.to_f64().len(), elements, "`{name}` lies about its shape");
    }
    let Some(loaded) = layer() else { panic!("the layer of this target does not compile") };
    let graph = &loaded.checked.graph;
    if let Ok(bound) = bind(graph, file.tensors.clone(), &loaded.checked.extents, &file.name) {
        for input in graph.inputs() {
            let tensor = &bound.tensors()[&*input.name];
            assert_eq!(tensor.shape, bound.shape(graph, &input.axes), "`{}` is bound with another shape", input.name);
        }
    }
}
