//! Index expressions as code: integers that vary along the lanes of a vector, or not.

use weft_ir::kernel::{BinOp, Expr, VarDef};
use weft_ir::loops::{Binary, Elem, Value};

use super::emit::{Emitter, Key};
use super::error::Emit;
use super::point::Point;

/// An `i64` in each lane.
#[derive(Clone, Debug)]
pub(super) enum Int {
    /// `base + step * lane`; the same in all lanes if the step is 0.
    Affine(Value, i64),
    /// One scalar for each lane.
    Lanes(Vec<Value>),
}

impl Emitter<'_> {
    /// An expression that is the same in all lanes.
    pub(super) fn scalar(&mut self, e: &Expr, p: &Point) -> Emit<Value> {
        match self.int(e, p)? {
            Int::Affine(base, 0) => Ok(base),
            _ => Err("an index that must be the same in all lanes is not".into()),
        }
    }

    /// The integers of an expression at a point.
    pub(super) fn int(&mut self, e: &Expr, p: &Point) -> Emit<Int> {
        match e {
            Expr::Const(n) => Ok(Int::Affine(self.kb.int(*n), 0)),
            Expr::Param(_) => {
                let n = self.static_value(e)?;
                Ok(Int::Affine(self.kb.int(n), 0))
            }
            Expr::Extent(id) => {
                let formula = weft_ir::program::Formula::Extent(id.index());
                Ok(Int::Affine(self.formula(&formula), 0))
            }
            Expr::Ragged(id, at) => {
                let at = self.scalar(at, p)?;
                let key = Key::Length(*id, at);
                if let Some(known) = self.known(&key) {
                    return Ok(Int::Affine(known, 0));
                }
                let table = *self.lengths.get(id).ok_or("a ragged extent has no table of lengths")?;
                let place = self.kb.at(table, at);
                let length = self.kb.load(place, 1);
                self.remember(key, length);
                Ok(Int::Affine(length, 0))
            }
            Expr::Dim(_) => Err("an index of a dimension outside the declaration of a buffer".into()),
            Expr::Axis(axis) => {
                let at = p.get(*axis).ok_or("an axis is not bound")?;
                Ok(Int::Affine(at, i64::from(p.span.is_some_and(|s| s.axis == *axis))))
            }
            Expr::Var(id) => {
                if let Some(known) = self.scalars.get(id) {
                    return Ok(Int::Affine(*known, 0));
                }
                let kernel = self.kernel;
                let var = kernel.var(*id).ok_or("a scalar is not declared")?;
                match &var.def {
                    VarDef::Let(e) | VarDef::Position(e) => self.int(e, p),
                    VarDef::Entry(_) => self.entry(*id, p),
                    _ => Err(format!("`{}` is read before it is computed", var.name)),
                }
            }
            Expr::Value(v) => {
                let x = self.value(*v, p)?;
                self.int_of(x)
            }
            Expr::Binary(op, a, b) => {
                let (a, b) = (self.int(a, p)?, self.int(b, p)?);
                self.int_binary(*op, a, b, p)
            }
        }
    }

    /// An integer tile value as an index.
    fn int_of(&mut self, x: Value) -> Emit<Int> {
        let ty = self.kb.ty(x);
        if !ty.elem().is_int() {
            return Err("an index is not an integer".into());
        }
        if !ty.is_vector() {
            return Ok(Int::Affine(self.kb.convert(x, Elem::I64), 0));
        }
        let lanes = (0..ty.lanes()).map(|l| {
            let lane = self.kb.extract(x, l);
            self.kb.convert(lane, Elem::I64)
        });
        Ok(Int::Lanes(lanes.collect()))
    }

    /// The positions of a list loop's elements.
    fn entry(&mut self, id: weft_ir::kernel::VarId, p: &Point) -> Emit<Int> {
        let storage = self.entries.get(&id).cloned().ok_or("the position of a list loop is read outside the loop")?;
        let Some((axis, _)) = storage.strides.first().copied() else {
            return Err("the position of a list loop is not stored".into());
        };
        let at = p.get(axis).ok_or("an axis is not bound")?;
        let place = self.kb.at(storage.ptr, at);
        match p.span.filter(|s| s.axis == axis) {
            None => Ok(Int::Affine(self.kb.load(place, 1), 0)),
            Some(span) => {
                let lanes = (0..i64::from(span.width)).map(|l| self.kb.load(place.plus(l), 1));
                Ok(Int::Lanes(lanes.collect()))
            }
        }
    }

    pub(super) fn int_binary(&mut self, op: BinOp, a: Int, b: Int, p: &Point) -> Emit<Int> {
        if let (Int::Affine(x, i), Int::Affine(y, j)) = (&a, &b) {
            let (x, i, y, j) = (*x, *i, *y, *j);
            match op {
                BinOp::Add => return Ok(Int::Affine(self.kb.add(x, y), i.wrapping_add(j))),
                BinOp::Sub => return Ok(Int::Affine(self.kb.sub(x, y), i.wrapping_sub(j))),
                BinOp::Mul => {
                    if let (0, Some(c)) = (j, self.kb.known_int(y)) {
                        return Ok(Int::Affine(self.kb.mul(x, y), i.wrapping_mul(c)));
                    }
                    if let (0, Some(c)) = (i, self.kb.known_int(x)) {
                        return Ok(Int::Affine(self.kb.mul(x, y), j.wrapping_mul(c)));
                    }
                }
                _ => {}
            }
            if i == 0 && j == 0 {
                return Ok(Int::Affine(self.scalar_binary(op, x, y), 0));
            }
        }
        let width = p.span.map_or(1, |s| usize::from(s.width));
        let (a, b) = (self.lanes(&a, width), self.lanes(&b, width));
        Ok(Int::Lanes(a.into_iter().zip(b).map(|(x, y)| self.scalar_binary(op, x, y)).collect()))
    }

    /// Each lane as a scalar.
    pub(super) fn lanes(&mut self, x: &Int, width: usize) -> Vec<Value> {
        match x {
            Int::Lanes(lanes) => lanes.clone(),
            Int::Affine(base, 0) => vec![*base; width],
            Int::Affine(base, step) => {
                (0i64..).take(width).map(|lane| self.kb.add_int(*base, step.wrapping_mul(lane))).collect()
            }
        }
    }

    fn scalar_binary(&mut self, op: BinOp, x: Value, y: Value) -> Value {
        let binary = match op {
            BinOp::Add => Binary::Add,
            BinOp::Sub => Binary::Sub,
            BinOp::Mul => Binary::Mul,
            BinOp::Div => Binary::DivFloor,
            BinOp::Mod => Binary::ModFloor,
            BinOp::Min => Binary::Min,
            BinOp::Max => Binary::Max,
            BinOp::CeilDiv => {
                // ceil(x / y) = floor((x + y - 1) / y) for positive y.
                let less = self.kb.add_int(y, -1);
                let sum = self.kb.add(x, less);
                return self.kb.binary(Binary::DivFloor, sum, y);
            }
        };
        self.kb.binary(binary, x, y)
    }
}
