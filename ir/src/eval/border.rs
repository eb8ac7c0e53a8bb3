//! Between tensors, which have an order of dimensions and padding, and values over boxes.

use super::poison::Element;
use super::region::{Positions, Region};
use super::sizes::Sizes;
use super::tensor::{Elements, Tensor};
use super::value::{Data, IntoData, Value, dense, for_each};
use crate::dtype::{Class, DType};
use crate::graph::{AxisId, NodeId};
use smallvec::SmallVec;

/// Which elements of a box with these dimensions are padding; `None` if none is.
fn padding(sizes: &Sizes, axes: &[AxisId], rows: &[Positions]) -> Option<Vec<bool>> {
    let pairs: Vec<(usize, usize, &[usize])> = axes
        .iter()
        .enumerate()
        .filter_map(|(i, &a)| {
            let (batch, lengths) = sizes.ragged(a)?;
            Some((i, axes.iter().position(|&b| b == batch)?, lengths))
        })
        .collect();
    if pairs.is_empty() {
        return None;
    }
    let shape: Vec<usize> = rows.iter().map(Positions::len).collect();
    let mut out = Vec::with_capacity(shape.iter().product());
    for_each(&shape, |index| {
        out.push(pairs.iter().any(|&(t, b, lengths)| {
            let length = lengths.get(rows[b].get(index[b])).copied().unwrap_or(0);
            rows[t].get(index[t]) >= length
        }));
    });
    Some(out)
}

/// A tensor with these axes as a value; what is padding becomes poison of a node.
pub(super) fn take(
    sizes: &Sizes,
    tensor: &Tensor,
    axes: &[AxisId],
    dtype: DType,
    node: NodeId,
) -> Result<Value, String> {
    let rows: Vec<Positions> = axes.iter().map(|&a| Positions::full(sizes.of(a))).collect();
    let shape: Vec<usize> = rows.iter().map(Positions::len).collect();
    if tensor.shape != shape {
        return Err(format!("has shape {:?}, not {shape:?}", tensor.shape));
    }
    if !tensor.is_consistent() {
        return Err(format!("has {} elements, which is not its shape {shape:?}", tensor.data.len()));
    }
    let padding = padding(sizes, axes, &rows);
    let region: Region = axes.iter().copied().zip(rows).collect();
    if region.iter().len() != axes.len() {
        return Err("has one axis twice".into());
    }
    // Strides of the tensor along the value's axes.
    let own = dense(&shape);
    let strides: SmallVec<[usize; 6]> =
        region.iter().map(|(a, _)| axes.iter().position(|&x| x == a).map_or(0, |i| own[i])).collect();
    fn arrange<A: Copy, T: Element>(
        x: &[A],
        region: &Region,
        strides: &[usize],
        padding: Option<&Vec<bool>>,
        node: NodeId,
        f: impl Fn(A) -> T,
    ) -> Vec<T> {
        let mut out = Vec::with_capacity(x.len());
        for_each(&region.shape(), |index| {
            let at: usize = index.iter().zip(strides).map(|(i, s)| i * s).sum();
            out.push(if padding.is_some_and(|p| p[at]) { T::poison(node) } else { f(x[at]) });
        });
        out
    }
    let pad = padding.as_ref();
    let data = match (&tensor.data, dtype.class()) {
        (Elements::F64(x), Class::Float) => arrange(x, &region, &strides, pad, node, |x| x).into_data(),
        (Elements::I64(x), Class::Int) => arrange(x, &region, &strides, pad, node, |x| x).into_data(),
        (Elements::Bool(x), Class::Bool) => arrange(x, &region, &strides, pad, node, u8::from).into_data(),
        (data, _) => {
            let have = match data {
                Elements::F64(_) => "floats",
                Elements::I64(_) => "integers",
                Elements::Bool(_) => "truth values",
            };
            return Err(format!("has {have}, not {dtype}"));
        }
    };
    Ok(Value { region, data })
}

/// Position of an undefined element, and where it arose if that is known.
pub(super) type Undefined = (Vec<usize>, Option<NodeId>);

/// A value as a tensor with these axes, at these positions. Padding is 0; what is undefined is an error, or else stays what it is.
pub(super) fn give(
    sizes: &Sizes,
    value: &Value,
    axes: &[AxisId],
    rows: &[Positions],
    undefined: bool,
) -> Result<Tensor, Undefined> {
    let shape: Vec<usize> = rows.iter().map(Positions::len).collect();
    let padding = padding(sizes, axes, rows);
    let strides = value.strides(axes);
    let tables: Vec<Vec<usize>> = axes
        .iter()
        .zip(rows)
        .zip(&strides)
        .map(|((&a, rows), &s)| match value.region.get(a) {
            Some(own) => rows.iter().map(|p| own.find(p).unwrap_or(0) * s).collect(),
            None => vec![0; rows.len()],
        })
        .collect();
    fn arrange<T: Element, B>(
        x: &[T],
        shape: &[usize],
        tables: &[Vec<usize>],
        (padding, undefined): (Option<&Vec<bool>>, bool),
        f: impl Fn(T) -> B,
    ) -> Result<Vec<B>, Undefined> {
        let mut out = Vec::with_capacity(shape.iter().product());
        let mut bad = None;
        for_each(shape, |index| {
            let at: usize = index.iter().zip(tables).map(|(&i, t)| t[i]).sum();
            let x = if padding.is_some_and(|p| p[out.len()]) { T::ZERO } else { x[at] };
            if let (Some(node), None, false) = (x.poisoned(), &bad, undefined) {
                bad = Some((index.to_vec(), node));
            }
            out.push(f(x));
        });
        bad.map_or(Ok(out), Err)
    }
    let pad = (padding.as_ref(), undefined);
    let data = match &value.data {
        Data::F(x) => arrange(x, &shape, &tables, pad, |x| x).map(Elements::F64),
        Data::I(x) => arrange(x, &shape, &tables, pad, |x| x).map(Elements::I64),
        Data::B(x) => arrange(x, &shape, &tables, pad, |x| x == 1).map(Elements::Bool),
    };
    let data = data.map_err(|(index, node)| (index.iter().zip(rows).map(|(&i, r)| r.get(i)).collect(), node))?;
    Ok(Tensor { shape, data })
}
