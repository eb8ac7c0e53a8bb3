//! How far two tensors are apart.

use weft_ir::eval::{Elements, Tensor};

/// The distance of one output from what it should be.
#[derive(Clone, PartialEq, Debug)]
pub struct Distance {
    /// Largest absolute difference; infinite where one is NaN and the other is not.
    pub max_abs: f64,
    /// Euclidean norm of the difference over that of the expected value; the norm itself where nothing but zeros is expected.
    pub relative: f64,
    /// Elements compared.
    pub elements: usize,
    /// The greatest `relative` that is accepted.
    pub bound: f64,
}

impl Distance {
    /// Is the distance within its bound?
    #[must_use]
    pub fn ok(&self) -> bool {
        self.relative <= self.bound
    }
}

/// Compares elements that exist (see `existing`; absent: all). Integers and truth values must be equal, whatever the bound.
/// `None` if the shapes or classes differ.
///
/// The distance is relative to the expected value, or to a tensor whose elements are all of size `least`, if that is larger.
#[must_use]
pub fn distance(
    found: &Tensor,
    wanted: &Tensor,
    existing: Option<&[bool]>,
    bound: f64,
    least: f64,
) -> Option<Distance> {
    if found.shape != wanted.shape || !found.is_consistent() || !wanted.is_consistent() {
        return None;
    }
    let bound = match (&found.data, &wanted.data) {
        (Elements::F64(_), Elements::F64(_)) => bound,
        (Elements::I64(_), Elements::I64(_)) | (Elements::Bool(_), Elements::Bool(_)) => 0.0,
        _ => return None,
    };
    let (a, b) = (found.to_f64(), wanted.to_f64());
    let (mut max_abs, mut squares, mut norm, mut elements) = (0f64, 0f64, 0f64, 0usize);
    for (i, (&x, &y)) in a.iter().zip(&b).enumerate() {
        if existing.is_some_and(|e| !e.get(i).copied().unwrap_or(true)) {
            continue;
        }
        elements += 1;
        // Equal infinities are no difference; two NaNs are none either, since both sides say "no number".
        let d = if x == y || (x.is_nan() && y.is_nan()) { 0.0 } else { (x - y).abs() };
        let d = if d.is_nan() { f64::INFINITY } else { d };
        max_abs = max_abs.max(d);
        squares += d * d;
        if y.is_finite() {
            norm += y * y;
        }
    }
    let norm = norm.max(least * least * elements as f64);
    let relative = if norm > 0.0 { (squares / norm).sqrt() } else { squares.sqrt() };
    Some(Distance { max_abs, relative, elements, bound })
}

/// The positions of one dimension, in the given order.
#[must_use]
pub fn take(tensor: &Tensor, dimension: usize, positions: &[usize]) -> Option<Tensor> {
    let &extent = tensor.shape.get(dimension)?;
    if positions.iter().any(|&p| p >= extent) {
        return None;
    }
    let inner: usize = tensor.shape[dimension + 1..].iter().product();
    let outer: usize = tensor.shape[..dimension].iter().product();
    let sources = (0..outer).flat_map(|o| {
        positions.iter().flat_map(move |&p| {
            let start = (o * extent + p) * inner;
            start..start + inner
        })
    });
    let data = match &tensor.data {
        Elements::F64(x) => Elements::F64(sources.map(|i| x[i]).collect()),
        Elements::I64(x) => Elements::I64(sources.map(|i| x[i]).collect()),
        Elements::Bool(x) => Elements::Bool(sources.map(|i| x[i]).collect()),
    };
    let mut shape = tensor.shape.clone();
    shape[dimension] = positions.len();
    Some(Tensor { shape, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let a = Tensor::floats(&[3], vec![3.0, 4.0, f64::NAN]);
        let b = Tensor::floats(&[3], vec![3.0, 4.5, f64::NAN]);
        let d = distance(&a, &b, None, 0.2, 0.0).unwrap();
        assert_eq!((d.max_abs, d.elements), (0.5, 3));
        assert!((d.relative - 0.5 / 29.25f64.sqrt()).abs() < 1e-15 && d.ok());
        let c = Tensor::floats(&[3], vec![3.0, 4.0, 1.0]);
        assert!(!distance(&a, &c, None, 1e9, 0.0).unwrap().ok());
        assert!(distance(&a, &c, Some(&[true, true, false]), 0.0, 0.0).unwrap().ok());
        assert!(
            distance(&Tensor::ints(&[1], vec![1]), &Tensor::ints(&[1], vec![2]), None, 1e9, 0.0)
                .is_some_and(|d| !d.ok())
        );
        let nothing = Tensor::floats(&[3], vec![0.0; 3]);
        let small = Tensor::floats(&[3], vec![2e-3, 0.0, 0.0]);
        assert_eq!(distance(&small, &nothing, None, 1.0, 0.0).map(|d| d.relative), Some(2e-3));
        assert!(distance(&small, &nothing, None, 1e-2, 1.0).is_some_and(|d| d.ok() && d.relative < 2e-3));
        assert_eq!(distance(&a, &Tensor::floats(&[2], vec![0.0; 2]), None, 1.0, 0.0), None);
        assert_eq!(distance(&a, &Tensor::ints(&[3], vec![0; 3]), None, 1.0, 0.0), None);
    }

    #[test]
    fn positions() {
        let t = Tensor::ints(&[2, 3, 2], (0..12).collect());
        assert_eq!(take(&t, 1, &[2, 0]), Some(Tensor::ints(&[2, 2, 2], vec![4, 5, 0, 1, 10, 11, 6, 7])));
        assert_eq!(take(&t, 1, &[3]), None);
        assert_eq!(take(&t, 3, &[]), None);
    }
}
