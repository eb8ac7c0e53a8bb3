//! Maxima, minima and sums along axes.

use super::elementwise;
use super::poison;
use super::region::Region;
use super::value::{Data, Dims, IntoData, Item, Nest, Value, dense, strides};
use crate::dtype::DType;
use crate::graph::{AxisId, AxisSet, Extremum, NodeId};

/// Least and largest integer of a type, short of poison.
pub(super) fn int_range(dtype: DType) -> (i64, i64) {
    if dtype == DType::I64 { (i64::MIN + (1 << 32), i64::MAX) } else { (i64::from(i32::MIN), i64::from(i32::MAX)) }
}

/// Folds `x`, dense over `shape`, along the axes where `out_strides` is 0.
fn fold<T: Copy>(
    x: &[T],
    shape: &[usize],
    out_strides: &[usize],
    size: usize,
    start: T,
    f: impl Fn(T, T) -> T,
) -> Vec<T> {
    let mut out = vec![start; size];
    let nest = Nest::new(shape, [&dense(shape), out_strides]);
    let n = nest.inner;
    nest.run(|[i, o]| match nest.strides {
        [1, 0] => {
            // Four partial results: a chain of dependent operations would be bound by their latency.
            let (chunks, rest) = x[i..i + n].as_chunks::<4>();
            let mut part = [start; 4];
            for c in chunks {
                for k in 0..4 {
                    part[k] = f(part[k], c[k]);
                }
            }
            let tail = rest.iter().fold(start, |a, &b| f(a, b));
            let all = f(f(f(part[0], part[1]), f(part[2], part[3])), tail);
            out[o] = f(out[o], all);
        }
        [1, 1] => {
            for (a, &b) in out[o..o + n].iter_mut().zip(&x[i..i + n]) {
                *a = f(*a, b);
            }
        }
        [p, q] => {
            for k in 0..n {
                out[o + k * q] = f(out[o + k * q], x[i + k * p]);
            }
        }
    });
    out
}

/// Box of a value without some axes, and strides of an array over it along the axes of the value.
fn without(value: &Value, axes: &[AxisId]) -> (Region, Dims) {
    let keep: AxisSet = value.region.axes().into_iter().filter(|a| !axes.contains(a)).collect();
    let out = value.region.restrict(&keep);
    let strides = strides(&out, &value.region.axes());
    (out, strides)
}

/// Sum of floats along axes of the value.
pub(super) fn sum(value: &Value, axes: &[AxisId]) -> Option<Value> {
    let Data::F(x) = &value.data else { return None };
    let (out, strides) = without(value, axes);
    let size = out.shape().iter().product();
    let data = fold(x, &value.region.shape(), &strides, size, 0.0, |a, b| a + b);
    Some(Value::new(out, data))
}

/// Is any truth value along the axes other than false?
pub(super) fn any(value: &Value, axes: &[AxisId]) -> Option<Value> {
    let Data::B(x) = &value.data else { return None };
    let (out, strides) = without(value, axes);
    let size = out.shape().iter().product();
    let data = fold(x, &value.region.shape(), &strides, size, 0, |a, b| a | b);
    Some(Value::new(out, data))
}

/// Largest or smallest value over `axes` where the guard holds. `None` where the types do not fit.
pub(super) fn extremum(
    (node, which, dtype): (NodeId, Extremum, DType),
    scope: &Region,
    axes: &[AxisId],
    guard: Option<&Value>,
    x: &Value,
    region: &Region,
) -> Option<Value> {
    let max = which == Extremum::Max;
    let (low, high) = int_range(dtype);
    let identity = match &x.data {
        Data::F(_) => Item::F(if max { f64::NEG_INFINITY } else { f64::INFINITY }),
        Data::I(_) => Item::I(if max { low } else { high }),
        Data::B(_) => return None,
    };
    let identity = Value::scalar(identity);
    if axes.iter().any(|&a| scope.get(a).is_none_or(|p| p.len() == 0)) {
        return Some(identity.over(region));
    }
    let masked = match guard {
        None => x.clone(),
        Some(g) => {
            let both: AxisSet = x.region.axes().into_iter().chain(g.region.axes()).collect();
            elementwise::select(node, &scope.restrict(&both), g, x, &identity)?
        }
    };
    let (out, strides) = without(&masked, axes);
    let size = out.shape().iter().product();
    let shape = masked.region.shape();
    let data = match (&masked.data, identity.item(0)) {
        (Data::F(x), Item::F(start)) => {
            // A NaN must not disappear in a maximum.
            let pick = |a: f64, b: f64| if (max && a >= b) || (!max && a <= b) || a.is_nan() { a } else { b };
            fold(x, &shape, &strides, size, start, pick).into_data()
        }
        (Data::I(x), Item::I(start)) => {
            let pick = |a: i64, b: i64| {
                if poison::is_int(a) {
                    a
                } else if poison::is_int(b) {
                    b
                } else if max {
                    a.max(b)
                } else {
                    a.min(b)
                }
            };
            fold(x, &shape, &strides, size, start, pick).into_data()
        }
        _ => return None,
    };
    Some(Value { region: out, data }.over(region))
}
