//! Tensors at the border of the evaluator: dense, row-major, in the order of an input's or output's own axes.

/// Elements of a [`Tensor`]. Narrower types are widened by the caller; every conversion is exact.
#[derive(Clone, PartialEq, Debug)]
pub enum Elements {
    /// Floats of any width.
    F64(Vec<f64>),
    /// Integers of any width.
    I64(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

impl Elements {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F64(x) => x.len(),
            Self::I64(x) => x.len(),
            Self::Bool(x) => x.len(),
        }
    }

    /// Has it no elements?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A dense row-major tensor.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// Length of each dimension.
    pub shape: Vec<usize>,
    /// As many elements as the product of `shape`.
    pub data: Elements,
}

impl Tensor {
    /// A tensor of floats.
    #[must_use]
    pub fn floats(shape: &[usize], data: Vec<f64>) -> Self {
        Self { shape: shape.to_vec(), data: Elements::F64(data) }
    }

    /// A tensor of integers.
    #[must_use]
    pub fn ints(shape: &[usize], data: Vec<i64>) -> Self {
        Self { shape: shape.to_vec(), data: Elements::I64(data) }
    }

    /// A tensor of truth values.
    #[must_use]
    pub fn bools(shape: &[usize], data: Vec<bool>) -> Self {
        Self { shape: shape.to_vec(), data: Elements::Bool(data) }
    }

    /// The elements as floats: exact for floats, for integers below 2^53, and 0 or 1 for truth values.
    #[must_use]
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Elements::F64(x) => x.clone(),
            Elements::I64(x) => x.iter().map(|&i| i as f64).collect(),
            Elements::Bool(x) => x.iter().map(|&b| f64::from(u8::from(b))).collect(),
        }
    }

    /// Does the number of elements agree with the shape?
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) == Some(self.data.len())
    }
}
