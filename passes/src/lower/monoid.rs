//! The associative operations of reductions, scans and accumulations.

use weft_ir::kernel::{Literal, Monoid};
use weft_ir::loops::{Binary, Elem, KernelBuilder, Reduction, Ty, Value};

use super::emit::{Emitter, constant};
use super::error::Emit;

/// The operator of a monoid on single values.
pub(super) fn operator(m: Monoid) -> Emit<Binary> {
    Ok(match m {
        Monoid::Sum => Binary::Add,
        Monoid::Prod => Binary::Mul,
        Monoid::Max => Binary::Max,
        Monoid::Min => Binary::Min,
        Monoid::Any => Binary::Or,
        Monoid::All => Binary::And,
        Monoid::ArgMax | Monoid::ArgMin | Monoid::Affine => {
            return Err(format!("`{}` does not work on single values", m.name()));
        }
    })
}

/// The reduction of lanes by a monoid, if loop IR has it.
pub(super) fn across(m: Monoid) -> Option<Reduction> {
    match m {
        Monoid::Sum => Some(Reduction::Add),
        Monoid::Max => Some(Reduction::Max),
        Monoid::Min => Some(Reduction::Min),
        Monoid::Any => Some(Reduction::Any),
        Monoid::All => Some(Reduction::All),
        Monoid::Prod | Monoid::ArgMax | Monoid::ArgMin | Monoid::Affine => None,
    }
}

/// The result of a reduction of nothing.
pub(super) fn neutral(m: Monoid, elem: Elem) -> Literal {
    let least = |lo: bool| match (elem, lo) {
        (Elem::I32, true) => Literal::Int(i64::from(i32::MIN)),
        (Elem::I32, false) => Literal::Int(i64::from(i32::MAX)),
        (Elem::I64, true) => Literal::Int(i64::MIN),
        (Elem::I64, false) => Literal::Int(i64::MAX),
        (_, true) => Literal::Float(f64::NEG_INFINITY),
        (_, false) => Literal::Float(f64::INFINITY),
    };
    let number = |n: i64| if elem.is_int() { Literal::Int(n) } else { Literal::Float(if n == 0 { 0.0 } else { 1.0 }) };
    match m {
        Monoid::Sum | Monoid::Affine => number(0),
        Monoid::Prod => number(1),
        Monoid::Max | Monoid::ArgMax => least(true),
        Monoid::Min | Monoid::ArgMin => least(false),
        Monoid::Any => Literal::Bool(false),
        Monoid::All => Literal::Bool(true),
    }
}

/// The neutral element as a constant of a type.
pub(super) fn neutral_of(kb: &mut KernelBuilder, m: Monoid, ty: Ty) -> Value {
    kb.constant(ty, constant(neutral(m, ty.elem()), ty.elem()))
}

impl Emitter<'_> {
    /// `x` where the mask is true, else the neutral element: a strong zero.
    pub(super) fn guarded(&mut self, m: Monoid, mask: Option<Value>, x: Value) -> Value {
        let Some(mask) = mask else { return x };
        let elem = self.kb.ty(x).elem();
        let neutral = self.literal(neutral(m, elem), elem);
        self.kb.select(mask, x, neutral)
    }
}
