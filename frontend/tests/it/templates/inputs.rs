//! Random inputs of a layer, and comparisons that know which positions exist.

use super::random::Random;
use super::road::Case;
use weft_ir::DType;
use weft_ir::eval::Tensor;
use weft_ir::graph::{AxisId, DomainId, Extent, Graph, Input, InputKind, NodeId, Output};

/// Extents that a layer gets when it runs.
#[derive(Clone, Debug)]
pub(crate) struct Lengths {
    /// One for each document: `T[b]`.
    pub(crate) time: Vec<usize>,
    /// Of every other runtime axis.
    pub(crate) memory: usize,
}

impl Lengths {
    pub(super) fn longest(&self) -> usize {
        self.time.iter().copied().max().unwrap_or(0)
    }
}

/// Extent of a domain in document `b`, or the largest.
fn extent(graph: &Graph, domain: DomainId, lengths: &Lengths, b: Option<usize>) -> usize {
    let d = graph.domain(domain);
    match d.extent {
        Extent::Const(n) => usize::try_from(n).unwrap_or(0),
        Extent::Runtime if &*d.name == "b" => lengths.time.len(),
        Extent::Runtime if &*d.name == "t" => lengths.longest(),
        Extent::Runtime => lengths.memory,
        Extent::Ragged(_) => b.map_or(lengths.longest(), |b| lengths.time[b]),
        Extent::Derived { base, mul, add, div } => {
            let n = extent(graph, base, lengths, b) as i64;
            usize::try_from((mul * n + add).div_euclid(div)).unwrap_or(0)
        }
    }
}

fn shape(graph: &Graph, axes: &[AxisId], lengths: &Lengths) -> Vec<usize> {
    axes.iter().map(|&a| extent(graph, graph.axis(a).domain, lengths, None)).collect()
}

/// For every element of a padded tensor over `axes`: does it exist?
pub(crate) fn valid(graph: &Graph, axes: &[AxisId], lengths: &Lengths) -> Vec<bool> {
    let shape = shape(graph, axes, lengths);
    let batch = axes.iter().position(|&a| &*graph.domain_of(a).name == "b");
    let count = shape.iter().product();
    let mut at = vec![0; shape.len()];
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        let b = batch.map(|p| at[p]);
        out.push(at.iter().zip(axes).all(|(&i, &a)| i < extent(graph, graph.axis(a).domain, lengths, b)));
        for (i, n) in at.iter_mut().zip(&shape).rev() {
            *i += 1;
            if *i < *n {
                break;
            }
            *i = 0;
        }
    }
    out
}

/// Draws the inputs of a graph, in its order. What lies behind the end of a document is NaN: nothing may depend on it.
pub(crate) fn inputs(graph: &Graph, case: &Case) -> Vec<(String, Tensor)> {
    let mut random = Random(case.seed ^ 0x5eed);
    let draw = |input: &Input| {
        let name = input.name.to_string();
        if let Some((_, given)) = case.given.iter().find(|g| g.0 == name) {
            return (name, given.clone());
        }
        let shape = shape(graph, &input.axes, &case.lengths);
        let exists = valid(graph, &input.axes, &case.lengths);
        let scale = if input.kind == InputKind::Param { 0.5 } else { 1.0 };
        let mut number = |ok: bool| if ok { random.normal() * scale } else { f64::NAN };
        let tensor = match input.dtype {
            DType::Bool => Tensor::bools(&shape, exists.iter().map(|&ok| number(ok) > -0.5).collect()),
            // Small numbers, some of them out of any range.
            d if d.is_int() => Tensor::ints(
                &shape,
                exists.iter().map(|&ok| if ok { random.below(7) as i64 - 1 } else { -9 }).collect(),
            ),
            _ => Tensor::floats(&shape, exists.iter().map(|&ok| number(ok)).collect()),
        };
        (name, tensor)
    };
    graph.inputs().iter().map(draw).collect()
}

/// A tensor of nothing for an input that no output reads.
pub(crate) fn zeros(graph: &Graph, input: &Input, lengths: &Lengths) -> Tensor {
    let shape = shape(graph, &input.axes, lengths);
    let count = shape.iter().product();
    match input.dtype {
        DType::Bool => Tensor::bools(&shape, vec![false; count]),
        d if d.is_int() => Tensor::ints(&shape, vec![0; count]),
        _ => Tensor::floats(&shape, vec![0.0; count]),
    }
}

/// The elements of a buffer as a value of a node: over its free axes in increasing order.
pub(crate) fn at_node(graph: &Graph, node: NodeId, dims: &[AxisId], lengths: &Lengths, found: &[f64]) -> Tensor {
    let axes: Vec<AxisId> = graph.free(node).iter().collect();
    let shape = shape(graph, &axes, lengths);
    // Where each dimension of the buffer lies among the axes, and the stride of each axis in the buffer.
    let place = |d: AxisId| axes.iter().position(|&a| a == d);
    let mut strides = vec![0; axes.len()];
    let mut stride = 1;
    for &d in dims.iter().rev() {
        let p = place(d).unwrap_or_else(|| panic!("a decision has no axis `{}`", graph.axis(d).name));
        strides[p] = stride;
        stride *= shape[p];
    }
    assert_eq!(stride, found.len(), "elements of a decision");
    let exists = valid(graph, &axes, lengths);
    let mut at = vec![0; shape.len()];
    let mut data = Vec::with_capacity(exists.len());
    for ok in exists {
        let k: usize = at.iter().zip(&strides).map(|(i, s)| i * s).sum();
        data.push(if ok { found[k] } else { 0.0 });
        for (i, n) in at.iter_mut().zip(&shape).rev() {
            *i += 1;
            if *i < *n {
                break;
            }
            *i = 0;
        }
    }
    #[allow(clippy::cast_possible_truncation, reason = "integers are small")]
    match graph.dtype(node) {
        DType::Bool => Tensor::bools(&shape, data.iter().map(|&x| x != 0.0).collect()),
        d if d.is_int() => Tensor::ints(&shape, data.iter().map(|&x| x as i64).collect()),
        _ => Tensor::floats(&shape, data),
    }
}

/// The 2-norm of an output over the positions that exist.
pub(crate) fn norm(graph: &Graph, out: &Output, lengths: &Lengths, x: &[f64]) -> f64 {
    let exists = valid(graph, &out.axes, lengths);
    exists.iter().zip(x).map(|(&ok, x)| if ok { x * x } else { 0.0 }).sum::<f64>().sqrt()
}

/// Relative error in the 2-norm over the positions that exist; NaN where one is undefined. Relative to `scale` if that is larger.
pub(crate) fn relative_error(
    graph: &Graph,
    out: &Output,
    lengths: &Lengths,
    found: &[f64],
    want: &[f64],
    scale: f64,
) -> f64 {
    let exists = valid(graph, &out.axes, lengths);
    if exists.len() != found.len() || found.len() != want.len() {
        return f64::NAN;
    }
    let mut error = 0.0;
    for ((&ok, &a), &b) in exists.iter().zip(found).zip(want) {
        if ok && a != b {
            error += (a - b) * (a - b);
        }
    }
    if error == 0.0 { 0.0 } else { error.sqrt() / norm(graph, out, lengths, want).max(scale).max(1e-30) }
}
