//! Typed arrays: the memory of the interpreter.

use super::scalar::{self, Scalar};
use super::types::Elem;

/// Elements of one type.
#[derive(Clone, PartialEq, Debug)]
pub enum Array {
    /// Truth values.
    Bool(Vec<bool>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// Single-precision floats.
    F32(Vec<f32>),
    /// Double-precision floats.
    F64(Vec<f64>),
    /// bfloat16, as bits.
    Bf16(Vec<u16>),
}

macro_rules! each {
    ($array:expr, $x:ident => $body:expr) => {
        match $array {
            Array::Bool($x) => $body,
            Array::I32($x) => $body,
            Array::I64($x) => $body,
            Array::F32($x) => $body,
            Array::F64($x) => $body,
            Array::Bf16($x) => $body,
        }
    };
}

impl Array {
    /// Type of the elements.
    #[must_use]
    pub fn elem(&self) -> Elem {
        match self {
            Self::Bool(_) => Elem::Bool,
            Self::I32(_) => Elem::I32,
            Self::I64(_) => Elem::I64,
            Self::F32(_) => Elem::F32,
            Self::F64(_) => Elem::F64,
            Self::Bf16(_) => Elem::Bf16,
        }
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        each!(self, v => v.len())
    }

    /// Are there no elements?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `len` zeros.
    #[must_use]
    pub fn zeros(elem: Elem, len: usize) -> Self {
        match elem {
            Elem::Bool => Self::Bool(vec![false; len]),
            Elem::I32 => Self::I32(vec![0; len]),
            Elem::I64 => Self::I64(vec![0; len]),
            Elem::F32 => Self::F32(vec![0.0; len]),
            Elem::F64 => Self::F64(vec![0.0; len]),
            Elem::Bf16 => Self::Bf16(vec![0; len]),
        }
    }

    /// One element, as the value that a load gives.
    #[must_use]
    pub fn get(&self, i: usize) -> Option<Scalar> {
        Some(match self {
            Self::Bool(v) => Scalar::Bool(*v.get(i)?),
            Self::I32(v) => Scalar::I32(*v.get(i)?),
            Self::I64(v) => Scalar::I64(*v.get(i)?),
            Self::F32(v) => Scalar::F32(*v.get(i)?),
            Self::F64(v) => Scalar::F64(*v.get(i)?),
            Self::Bf16(v) => Scalar::F32(scalar::from_bf16(*v.get(i)?)),
        })
    }

    /// Replaces one element, as a store does; `None` if there is no such element or its type differs.
    pub(super) fn set(&mut self, i: usize, x: Scalar) -> Option<()> {
        match (self, x) {
            (Self::Bool(v), Scalar::Bool(x)) => *v.get_mut(i)? = x,
            (Self::I32(v), Scalar::I32(x)) => *v.get_mut(i)? = x,
            (Self::I64(v), Scalar::I64(x)) => *v.get_mut(i)? = x,
            (Self::F32(v), Scalar::F32(x)) => *v.get_mut(i)? = x,
            (Self::F64(v), Scalar::F64(x)) => *v.get_mut(i)? = x,
            (Self::Bf16(v), Scalar::F32(x)) => *v.get_mut(i)? = scalar::to_bf16(x),
            _ => return None,
        }
        Some(())
    }
}
