//! Gradients as the driver computes them for tensors at hand, on each backend.

use super::super::inputs::{inputs, valid};
use super::super::road::{self, Case};
use crate::support::root;
use indexmap::IndexMap;
use std::path::Path;
use weft::diagnostics::{Color, render};
use weft::driver::{
    Backend, CompileOptions, Fault, GradientOptions, LoadOptions, Loaded, Ready, Silent, TensorFile, Watch, bind,
    differentiate, execute, load_bytes, prepare,
};
use weft_ir::eval::{Elements, Tensor};
use weft_ir::graph::{AxisId, Extent, Graph};
use weft_passes::autodiff::{COTANGENT, GRADIENT};

/// The backends, and how far from each other two of their numbers may be, relative to the largest of the tensor.
pub(super) const BACKENDS: [(Backend, f64); 3] =
    [(Backend::Evaluator, 1e-11), (Backend::Interpreter, 1e-10), (Backend::Cranelift, 2e-4)];

pub(super) type Tensors = IndexMap<String, Tensor>;

/// A layer at some sizes, and tensors for it: its inputs and a cotangent for every output of floats.
pub(super) struct Driven {
    pub(super) case: Case,
    /// The layer with its gradients.
    pub(super) graph: Graph,
    pub(super) tensors: Tensors,
}

impl Driven {
    /// Floats that every backend holds exactly.
    pub(super) fn new(case: &Case) -> Self {
        let case = Case { gradients: true, ..case.clone() };
        let graph = road::graph(&case).unwrap();
        let single = |(name, mut tensor): (String, Tensor)| {
            if let Elements::F64(x) = &mut tensor.data {
                #[allow(clippy::cast_possible_truncation, reason = "they are to be numbers of single precision")]
                x.iter_mut().for_each(|x| *x = f64::from(*x as f32));
            }
            (name, tensor)
        };
        let tensors = inputs(&graph, &case).into_iter().map(single).collect();
        Self { case, graph, tensors }
    }

    /// Axes of an input, a cotangent or a gradient.
    pub(super) fn axes(&self, name: &str) -> &[AxisId] {
        let input = self.graph.inputs().iter().find(|i| &*i.name == name).map(|i| &i.axes[..]);
        let output = || self.graph.outputs.iter().find(|o| &*o.name == name).map(|o| &o.axes[..]);
        input.or_else(output).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// Which elements of a tensor exist.
    pub(super) fn exists(&self, name: &str) -> Vec<bool> {
        valid(&self.graph, self.axes(name), &self.case.lengths)
    }

    /// The gradients in some inputs, or in all, of the outputs whose cotangents are among `tensors`, made ready for a backend.
    pub(super) fn compiled(&self, tensors: &Tensors, wrt: Option<&[&str]>, backend: Backend) -> Compiled {
        let (mut silent, options) =
            (Silent, LoadOptions { recorded: self.case.sizes.clone(), ..LoadOptions::default() });
        let mut watch = Watch::new(&mut silent);
        let layer = load_bytes("layer.weft", self.case.text.as_bytes(), Path::new(""), &options, &mut watch).unwrap();
        let file = TensorFile { tensors: tensors.clone(), ..TensorFile::default() };
        let wrt = wrt.map(|names| names.iter().map(|&n| n.to_owned()).collect());
        let options = GradientOptions { wrt, ..GradientOptions::default() }.for_tensors(&file);
        let loaded = good(differentiate(&layer, &options, &mut watch), &layer);
        let ready = good(prepare(&loaded, backend, &CompileOptions::default(), &mut watch), &layer);
        Compiled { loaded, ready, lengths: self.case.lengths.time.clone() }
    }

    /// Gradients in some inputs, or in all, for the cotangents among `tensors`.
    pub(super) fn gradients(&self, tensors: &Tensors, wrt: Option<&[&str]>, backend: Backend) -> Tensors {
        self.compiled(tensors, wrt, backend).run(tensors)
    }

    /// The tensors with only some of the cotangents.
    pub(super) fn with_cotangents(&self, keep: impl Fn(&str) -> bool) -> Tensors {
        let kept = |(n, _): &(&String, &Tensor)| n.strip_prefix(COTANGENT).is_none_or(&keep);
        self.tensors.iter().filter(kept).map(|(n, t)| (n.clone(), t.clone())).collect()
    }

    /// Names of the outputs that have a cotangent.
    pub(super) fn cotangents(&self) -> Vec<&str> {
        self.tensors.keys().filter_map(|n| n.strip_prefix(COTANGENT)).collect()
    }
}

/// Gradients that are ready to run.
pub(super) struct Compiled {
    loaded: Loaded,
    ready: Ready,
    lengths: Vec<usize>,
}

impl Compiled {
    /// For sequences of other lengths.
    pub(super) fn of_lengths(&mut self, lengths: &[usize]) -> &Self {
        self.lengths = lengths.to_vec();
        self
    }

    /// The gradients for some tensors.
    pub(super) fn run(&self, tensors: &Tensors) -> Tensors {
        let graph = &self.loaded.checked.graph;
        let mut given = tensors.clone();
        for d in graph.domains().iter().filter(|d| matches!(d.extent, Extent::Ragged(_))) {
            let lengths: Vec<i64> = self.lengths.iter().map(|&n| n as i64).collect();
            given.insert(format!("{}.len", d.name), Tensor::ints(&[lengths.len()], lengths));
        }
        let bound = good(bind(graph, given, &self.loaded.checked.extents, "tensors"), &self.loaded);
        let mut silent = Silent;
        let done = execute(&self.loaded, &self.ready, &bound, &mut Watch::new(&mut silent));
        let gradient = |(name, _): &(String, Tensor)| name.starts_with(GRADIENT);
        good(done, &self.loaded).outputs.into_iter().filter(gradient).collect()
    }
}

#[track_caller]
fn good<T>(result: Result<T, Fault>, loaded: &Loaded) -> T {
    match result {
        Ok(value) => value,
        Err(Fault::User(diagnostics)) => panic!("{}", render(&diagnostics, &loaded.sources, Color::Never)),
        Err(Fault::Bug(what)) => panic!("{what}"),
    }
}

/// The floats of a tensor, to be changed.
pub(super) fn numbers(tensor: &mut Tensor) -> &mut Vec<f64> {
    match &mut tensor.data {
        Elements::F64(x) => x,
        other => panic!("floats, not {other:?}"),
    }
}

/// The largest difference, relative to the largest number that should be there.
pub(super) fn distance(found: &[f64], want: &[f64]) -> f64 {
    assert_eq!(found.len(), want.len());
    let size = want.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let worst =
        found.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, |m: f64, d| if d.is_nan() { d } else { m.max(d) });
    if worst == 0.0 { 0.0 } else { worst / size.max(1e-3) }
}

/// A layer of `tests/layers`.
pub(super) fn held_out(name: &str) -> Case {
    Case::new(&std::fs::read_to_string(root().join(format!("tests/layers/{name}.weft"))).unwrap(), &[], &[])
}
