//! Graphs in text form beside this file, at other sizes, with reproducible inputs.

use weft_ir::DType;
use weft_ir::eval::{Bindings, Tensor};
use weft_ir::graph::{Extent, Graph};

/// Reads `name.graph`, with other numbers for some domains. A constant that is the extent of `d` in `attention` does
/// not change: it scales logits only.
pub(super) fn load(name: &str, sizes: &[(&str, i64)]) -> Graph {
    let path = format!("{}/tests/it/graph/{name}.graph", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut g = Graph::parse(&text).unwrap();
    for (name, n) in sizes {
        let d = g.axes().iter().find(|a| &*a.name == *name).unwrap().domain;
        g.set_extent(d, Extent::Const(*n));
    }
    g
}

/// Uniform in (-1, 1).
pub(super) fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    };
    std::iter::repeat_with(next).take(n).collect()
}

/// Random inputs for batches of these lengths, with NaN in the padding of what has axes `b` and `t`.
pub(super) fn tensors(g: &Graph, lengths: &[usize], seed: u64) -> Vec<(String, Tensor)> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let tensor = |(i, input): (usize, &weft_ir::graph::Input)| {
        let shape: Vec<usize> = input
            .axes
            .iter()
            .map(|&a| match (g.extent(a), &*g.axis(a).name) {
                (Extent::Const(n), _) => n as usize,
                (_, "b") => lengths.len(),
                _ => longest,
            })
            .collect();
        let mut x = noise(shape.iter().product(), seed * 1000 + i as u64);
        let names: Vec<&str> = input.axes.iter().map(|&a| &*g.axis(a).name).collect();
        if names.starts_with(&["b", "t"]) {
            let inner: usize = shape[2..].iter().product();
            for (i, x) in x.iter_mut().enumerate() {
                if i / inner % longest >= lengths[i / inner / longest] {
                    *x = f64::NAN;
                }
            }
        }
        let tensor = match input.dtype {
            DType::Bool => Tensor::bools(&shape, x.iter().map(|&x| x > 0.0).collect()),
            t if t.is_int() => Tensor::ints(&shape, x.iter().map(|&x| (x * 4.0) as i64).collect()),
            _ => Tensor::floats(&shape, x),
        };
        (input.name.to_string(), tensor)
    };
    g.inputs().iter().enumerate().map(tensor).collect()
}

/// The same as bindings.
pub(super) fn inputs(g: &Graph, lengths: &[usize], seed: u64) -> Bindings {
    let bind = Bindings::new().lengths("t", lengths).size("b", lengths.len());
    tensors(g, lengths, seed).into_iter().fold(bind, |b, (name, t)| b.tensor(&name, t))
}
