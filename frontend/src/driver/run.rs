//! `weft run`: tensors in, tensors out.

use super::bind::bind;
use super::execute::{execute_once, prepare};
use super::fault::Fault;
use super::load::Loaded;
use super::pipeline::{Backend, CompileOptions};
use super::tensors::{Entry, TensorFile, encode};
use super::watch::{Phase, Watch};
use weft_ir::DType;
use weft_passes::autodiff::COTANGENT;

/// How to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// What runs the layer.
    pub backend: Backend,
    /// How it is compiled.
    pub compile: CompileOptions,
}

/// Runs a layer on the tensors of a file. Outputs of floats have the type that the layer is compiled for on a backend that holds
/// it, and f64 on one that computes in float64.
///
/// # Errors
/// Inputs that do not fit (see [`super::bind`]), and what keeps the layer from being compiled or run.
pub fn run(
    loaded: &Loaded,
    inputs: TensorFile,
    options: &RunOptions,
    watch: &mut Watch<'_>,
) -> Result<Vec<Entry>, Fault> {
    let checked = &loaded.checked;
    let graph = &checked.graph;
    // Inputs are checked before anything is compiled for them.
    let mut given = inputs.tensors;
    if loaded.own.is_none() {
        // One file serves forward and backward: a forward run does not look at cotangents.
        let output =
            |name: &str| name.strip_prefix(COTANGENT).is_some_and(|n| graph.outputs.iter().any(|o| &*o.name == n));
        given.retain(|name, _| !output(name) || graph.inputs().iter().any(|i| *i.name == **name));
    }
    let bound = watch.time(Phase::Inputs, || bind(graph, given, &checked.extents, &inputs.name))?;
    let compile = CompileOptions { extents: bound.extents(graph), ..options.compile.clone() };
    let ready = prepare(loaded, options.backend, &compile, watch)?;
    let mut executed = execute_once(loaded, &ready, bound, watch)?;
    let dtype = |dtype: DType| match dtype {
        d if d.is_float() && !options.backend.rounds() => DType::F64,
        DType::Float => checked.float,
        d => d,
    };
    // Of a layer with its gradients they are what is asked for.
    let wanted = graph.outputs.iter().skip(loaded.own.map_or(0, |own| own.outputs));
    let entries = wanted.map(|o| {
        let tensor = executed.outputs.swap_remove(&*o.name);
        let tensor = tensor.ok_or_else(|| Fault::bug(format!("the run gives no `{}`", o.name)))?;
        Ok(Entry { name: o.name.to_string(), tensor, dtype: dtype(o.dtype) })
    });
    entries.collect()
}

/// The bytes of a file of outputs. Its metadata say which layer made it, and with which sizes.
///
/// # Errors
/// A bug, if an output does not fit its type.
pub fn encode_outputs(loaded: &Loaded, outputs: &[Entry]) -> Result<Vec<u8>, Fault> {
    let checked = &loaded.checked;
    let number = |n: &crate::sema::Number| match n {
        crate::sema::Number::Int(i) => serde_json::json!(i),
        crate::sema::Number::Real(x) => serde_json::json!(x),
    };
    let sizes: serde_json::Map<String, serde_json::Value> =
        checked.values.iter().map(|(name, n)| (name.clone(), number(n))).collect();
    let metadata = [
        ("layer", checked.graph.name.to_string()),
        ("sizes", serde_json::Value::Object(sizes).to_string()),
        ("weft", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    encode(outputs, &metadata)
}
