//! From a layer to the layer of its gradients.
//!
//! What comes out is a [`Loaded`] like any other, so it is bound, planned, run and checked as layers are. Its inputs are those of the
//! layer and a cotangent `cot.NAME` for each output that has one; its outputs are those of the layer and gradients `grad.NAME`.

use std::collections::HashSet;

use super::fault::Fault;
use super::load::{Loaded, Own};
use super::tensors::TensorFile;
use super::watch::{Phase, Watch};
use crate::diagnostics::{Diagnostic, codes};
use weft_ir::graph::{Graph, InputId, Output};
use weft_passes::autodiff::{self, COTANGENT, GRADIENT, Request};

/// Which gradients.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GradientOptions {
    /// Inputs and parameters whose gradients are wanted, by name; without a list, all that hold floats.
    pub wrt: Option<Vec<String>>,
    /// Outputs that have a cotangent, by name; without a list, all that hold floats.
    pub cotangents: Option<Vec<String>>,
}

impl GradientOptions {
    /// The options for tensors at hand: their names say which outputs have a cotangent.
    #[must_use]
    pub fn for_tensors(mut self, file: &TensorFile) -> Self {
        let names = file.tensors.keys();
        self.cotangents = Some(names.filter_map(|n| Some(n.strip_prefix(COTANGENT)?.to_owned())).collect());
        self
    }
}

/// Differentiates a layer. Outputs come first, then gradients in the order of the inputs; one that no cotangent reaches is 0.
///
/// # Errors
/// E0522 for an input or output without a gradient, E0523 if no output has a cotangent.
pub fn differentiate(loaded: &Loaded, options: &GradientOptions, watch: &mut Watch<'_>) -> Result<Loaded, Fault> {
    let graph = &loaded.checked.graph;
    let request = Request { wrt: wanted(graph, options)?, cotangents: seeds(graph, options)?, forward: true };
    let made = watch.time(Phase::Differentiate, || autodiff::gradients(graph, &request));
    let made = made.map_err(|e| Fault::bug(format!("differentiation: {e}")))?;
    let mut gradients = made.graph;
    for input in made.unreached {
        let decl = gradients.input(input).clone();
        let node = gradients.float(0.0);
        let name = format!("{GRADIENT}{}", decl.name).into();
        gradients.outputs.push(Output { name, axes: decl.axes, dtype: decl.dtype, node });
    }
    let own = Own { inputs: graph.inputs().len(), outputs: graph.outputs.len() };
    let position = |o: &Output| graph.inputs().iter().position(|i| Some(&*i.name) == o.name.strip_prefix(GRADIENT));
    if let Some(gradients) = gradients.outputs.get_mut(own.outputs..) {
        gradients.sort_by_key(position);
    }
    watch.show(Phase::Differentiate, &gradients);
    let mut result = loaded.clone();
    result.checked.graph = gradients;
    result.own = Some(own);
    Ok(result)
}

/// The inputs of `--wrt`.
fn wanted(graph: &Graph, options: &GradientOptions) -> Result<Option<Vec<InputId>>, Fault> {
    let Some(names) = &options.wrt else { return Ok(None) };
    let floats = || graph.inputs().iter().filter(|i| i.dtype.is_float());
    let known = || format!("it has {}", list(floats().map(|i| &*i.name)));
    let mut wrong = Vec::new();
    let (mut ids, mut seen) = (Vec::new(), HashSet::new());
    for name in names {
        match graph.inputs().iter().position(|i| *i.name == **name) {
            Some(n) if !graph.inputs()[n].dtype.is_float() => {
                let what = format!("`{name}` of the layer `{}` holds no floats and has no gradient", graph.name);
                wrong.push(Diagnostic::error(codes::E0522, what).hint(known()));
            }
            Some(n) => {
                if seen.insert(n) {
                    ids.push(InputId(n as u32));
                }
            }
            None => {
                let what = format!("the layer `{}` has no input or parameter `{name}`", graph.name);
                wrong.push(Diagnostic::error(codes::E0522, what).hint(known()));
            }
        }
    }
    if wrong.is_empty() { Ok(Some(ids)) } else { Err(Fault::User(wrong)) }
}

/// Positions of the outputs that have a cotangent.
fn seeds(graph: &Graph, options: &GradientOptions) -> Result<Option<Vec<usize>>, Fault> {
    let floats = || graph.outputs.iter().filter(|o| o.dtype.is_float());
    let known = || list(floats().map(|o| &*o.name));
    if floats().next().is_none() {
        let what = format!("the layer `{}` has no output of floats, so there is nothing to differentiate", graph.name);
        return Err(Fault::user(codes::E0523, what).hint("gradients are of outputs that hold floats"));
    }
    let Some(names) = &options.cotangents else { return Ok(None) };
    let mut positions = Vec::new();
    let mut wrong = Vec::new();
    for name in names {
        match graph.outputs.iter().position(|o| *o.name == **name && o.dtype.is_float()) {
            Some(n) => positions.push(n),
            None => {
                let what = format!("`{COTANGENT}{name}`: the layer `{}` has no output of floats `{name}`", graph.name);
                wrong.push(Diagnostic::error(codes::E0522, what).hint(format!("it has {}", known())));
            }
        }
    }
    if !wrong.is_empty() {
        return Err(Fault::User(wrong));
    }
    if positions.is_empty() {
        let what = format!("no output of the layer `{}` has a cotangent", graph.name);
        let names = list(floats().map(|o| &*o.name).map(|n| format!("{COTANGENT}{n}")));
        return Err(Fault::user(codes::E0523, what).hint(format!("the inputs need one or more of {names}")));
    }
    Ok(Some(positions))
}

fn list(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    names.map(|n| format!("`{}`", n.as_ref())).collect::<Vec<_>>().join(", ")
}
