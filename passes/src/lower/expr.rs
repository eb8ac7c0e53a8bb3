//! Tile values as code at a point: from memory, or computed from their operands.

use weft_ir::kernel::{Inst, MapFn, OpCode, ValueId};
use weft_ir::loops::{Binary, Compare, Elem, Function, Ty, Unary, Value};

use super::emit::{Emitter, Key, constant, elem};
use super::error::Emit;
use super::int::Int;
use super::point::Point;

impl Emitter<'_> {
    /// The element of a value at a point: a vector if the value varies along the lanes, else (mostly) a scalar.
    pub(super) fn value(&mut self, v: ValueId, p: &Point) -> Emit<Value> {
        let axes = self.ty(v)?.axes;
        let key = Key::Value(v, p.restrict(axes));
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        let x = if self.is_expression(v) {
            let (inst, _) = self.layout.facts.inst_of(v).ok_or("a value has no definition")?;
            self.expression(inst, p)?
        } else {
            let storage = self.slot(v)?;
            self.load_tile(&storage, p)?
        };
        self.remember(key, x);
        Ok(x)
    }

    /// An elementwise statement's result at a point.
    pub(super) fn expression(&mut self, inst: &Inst, p: &Point) -> Emit<Value> {
        let attrs = &inst.attrs;
        let arg = |i: usize| inst.args.get(i).copied().ok_or("lacks an operand");
        match inst.op {
            OpCode::Fill => {
                let ty = elem(attrs.elem.ok_or("has no element type")?)?;
                let literal = attrs.value.ok_or("has no constant")?;
                Ok(self.literal(literal, ty))
            }
            OpCode::Index => {
                let ty = elem(attrs.elem.ok_or("has no element type")?)?;
                let at = self.int(attrs.at.as_ref().ok_or("has no index")?, p)?;
                Ok(self.index_tile(&at, ty, p))
            }
            OpCode::Load | OpCode::TableRead => {
                let access = self.access_of(inst)?;
                let guard = self.remaining_access(&attrs.guard);
                let mask = self.conjunction(&guard, p)?;
                let address = self.address(access, p)?;
                self.load_from(&address, p.span, mask, attrs.otherwise)
            }
            OpCode::Map => {
                let function = attrs.function.ok_or("has no function")?;
                let args = inst.args.iter().map(|a| self.value(*a, p)).collect::<Emit<Vec<_>>>()?;
                self.map(function, &args)
            }
            OpCode::Cast => {
                let x = self.value(arg(0)?, p)?;
                Ok(self.cast(x, elem(attrs.elem.ok_or("has no element type")?)?))
            }
            OpCode::Select => {
                let c = self.value(arg(0)?, p)?;
                let (a, b) = (self.value(arg(1)?, p)?, self.value(arg(2)?, p)?);
                Ok(self.kb.select(c, a, b))
            }
            OpCode::Expand => self.value(arg(0)?, p),
            OpCode::Rescale => {
                let (x, r) = (self.value(arg(0)?, p)?, self.value(arg(1)?, p)?);
                let product = self.kb.mul(x, r);
                let zero = self.kb.zero(self.kb.ty(r).with_lanes(1));
                let is_zero = self.kb.compare(Compare::Eq, r, zero);
                Ok(self.kb.select(is_zero, zero, product))
            }
            OpCode::Rename => self.renamed(inst, arg(0)?, p),
            OpCode::Take => self.taken(inst, arg(0)?, p),
            _ => Err("is not elementwise".into()),
        }
    }

    /// An index expression as tile elements.
    fn index_tile(&mut self, at: &Int, ty: Elem, p: &Point) -> Value {
        match at {
            Int::Affine(base, 0) => self.kb.convert(*base, ty),
            Int::Affine(base, step) => {
                let width = p.span.map_or(1, |s| s.width);
                let lanes = self.kb.iota(width);
                let lanes = self.kb.convert(lanes, ty);
                let lanes = self.kb.mul_int(lanes, *step);
                let base = self.kb.convert(*base, ty);
                self.kb.add(lanes, base)
            }
            Int::Lanes(lanes) => {
                let lanes: Vec<Value> = lanes.iter().map(|x| self.kb.convert(*x, ty)).collect();
                self.assemble(&lanes, ty)
            }
        }
    }

    /// The operand with axis `over` bound to what `to` is bound to.
    fn renamed(&mut self, inst: &Inst, operand: ValueId, p: &Point) -> Emit<Value> {
        let from = inst.attrs.over.iter().next().ok_or("has no axis")?;
        let to = inst.attrs.to.ok_or("has no new axis")?;
        let at = p.get(to).ok_or("an axis is not bound")?;
        // A lane axis of the same name as the old axis belongs to something else in this nest.
        let span = p.span.filter(|s| s.axis != from).map(|mut s| {
            if s.axis == to {
                s.axis = from;
            }
            s
        });
        self.value(operand, &p.without(to).with_span(span).with(from, at))
    }

    /// The operand with axis `over` bound to the position.
    fn taken(&mut self, inst: &Inst, operand: ValueId, p: &Point) -> Emit<Value> {
        let over = inst.attrs.over.iter().next().ok_or("has no axis")?;
        let at = self.int(inst.attrs.at.as_ref().ok_or("has no position")?, p)?;
        let at = match at {
            Int::Affine(base, 0) => return self.value(operand, &p.without(over).with(over, base)),
            other => self.lanes(&other, p.span.map_or(1, |s| usize::from(s.width))),
        };
        let Some(span) = p.span else { return Err("takes lanes without lanes".into()) };
        let operand_axes = self.ty(operand)?.axes;
        let start = p.get(span.axis).ok_or("an axis is not bound")?;
        let ty = self.elem_of(operand)?;
        let zero = self.kb.zero(Ty::scalar(ty));
        let mut lanes = vec![zero; at.len()];
        for (lane, (slot, x)) in (0i64..).zip(lanes.iter_mut().zip(at)).take(usize::from(span.valid)) {
            let mut q = p.with_span(None).with(over, x);
            if operand_axes.contains(span.axis) && span.axis != over {
                let here = self.kb.add_int(start, lane);
                q = q.with(span.axis, here);
            }
            *slot = self.value(operand, &q)?;
        }
        Ok(self.assemble(&lanes, ty))
    }

    /// Conversion of the element type as the kernel IR means it.
    pub(super) fn cast(&mut self, x: Value, to: Elem) -> Value {
        let from = self.kb.ty(x).elem();
        if to == Elem::Bf16 {
            let x = self.kb.convert(x, Elem::F32);
            return self.rounded_to_bf16(x);
        }
        if from.is_float() && to.is_int() {
            let floor = self.kb.unary(Unary::Floor, x);
            return self.kb.convert(floor, to);
        }
        self.kb.convert(x, to)
    }

    /// An f32 rounded to what a bf16 can hold, as a store would round it.
    fn rounded_to_bf16(&mut self, x: Value) -> Value {
        let bits = self.kb.bitcast(x, Elem::I32);
        let int = |e: &mut Self, n: i32| e.kb.int32(n);
        let (sixteen, one, half) = (int(self, 16), int(self, 1), int(self, 0x7fff));
        let odd = self.kb.binary(Binary::ShrU, bits, sixteen);
        let odd = self.kb.binary(Binary::And, odd, one);
        let sum = self.kb.add(bits, half);
        let sum = self.kb.add(sum, odd);
        let mask = int(self, -0x1_0000);
        let rounded = self.kb.binary(Binary::And, sum, mask);
        let rounded = self.kb.bitcast(rounded, Elem::F32);
        // Rounding up would carry a NaN's bits away.
        let is_number = self.kb.compare(Compare::Eq, x, x);
        self.kb.select(is_number, rounded, x)
    }

    fn map(&mut self, function: MapFn, args: &[Value]) -> Emit<Value> {
        let a = *args.first().ok_or("lacks an operand")?;
        let ty = self.kb.ty(a);
        let element = ty.elem();
        let b = args.get(1).copied().unwrap_or(a);
        let fold = |e: &mut Self, op: Binary| args.iter().skip(1).fold(a, |acc, x| e.kb.binary(op, acc, *x));
        Ok(match function {
            MapFn::Neg => self.kb.unary(Unary::Neg, a),
            MapFn::Add => fold(self, Binary::Add),
            MapFn::Sub => self.kb.sub(a, b),
            MapFn::Mul => fold(self, Binary::Mul),
            MapFn::Div => self.kb.div(a, b),
            MapFn::IDiv => self.kb.binary(Binary::DivFloor, a, b),
            MapFn::Mod => self.kb.binary(Binary::ModFloor, a, b),
            MapFn::Pow => self.kb.call(Function::Pow, &[a, b]),
            MapFn::Exp => self.kb.call(Function::Exp, &[a]),
            MapFn::Exp2 => self.kb.call(Function::Exp2, &[a]),
            MapFn::Log => self.kb.call(Function::Log, &[a]),
            MapFn::Sin => self.kb.call(Function::Sin, &[a]),
            MapFn::Cos => self.kb.call(Function::Cos, &[a]),
            MapFn::Tanh => self.kb.call(Function::Tanh, &[a]),
            MapFn::Erf => self.kb.call(Function::Erf, &[a]),
            MapFn::Sqrt => self.kb.unary(Unary::Sqrt, a),
            MapFn::Abs => self.kb.unary(Unary::Abs, a),
            MapFn::Floor => self.kb.unary(Unary::Floor, a),
            MapFn::Sign => {
                // What is neither above nor below 0 is 0, or NaN.
                let unit = |n: i64| {
                    if element.is_float() {
                        weft_ir::kernel::Literal::Float(n as f64)
                    } else {
                        weft_ir::kernel::Literal::Int(n)
                    }
                };
                let (zero, one, minus) =
                    (self.literal(unit(0), element), self.literal(unit(1), element), self.literal(unit(-1), element));
                let below = self.kb.compare(Compare::Lt, a, zero);
                let rest = self.kb.select(below, minus, a);
                let above = self.kb.compare(Compare::Gt, a, zero);
                self.kb.select(above, one, rest)
            }
            MapFn::Div0 => {
                let quotient = self.kb.div(a, b);
                let zero = self.float(0.0, element);
                let is_zero = self.kb.compare(Compare::Eq, b, zero);
                self.kb.select(is_zero, zero, quotient)
            }
            MapFn::Inv | MapFn::Inv0 => {
                let one = self.float(1.0, element);
                let inverse = self.kb.div(one, a);
                if function == MapFn::Inv {
                    return Ok(inverse);
                }
                let zero = self.float(0.0, element);
                let is_zero = self.kb.compare(Compare::Eq, a, zero);
                self.kb.select(is_zero, zero, inverse)
            }
            MapFn::Min => fold(self, Binary::Min),
            MapFn::Max => fold(self, Binary::Max),
            MapFn::And => fold(self, Binary::And),
            MapFn::Or => fold(self, Binary::Or),
            MapFn::Not => self.kb.unary(Unary::Not, a),
            MapFn::Lt => self.compare(Compare::Lt, a, b),
            MapFn::Le => self.compare(Compare::Le, a, b),
            MapFn::Gt => self.compare(Compare::Gt, a, b),
            MapFn::Ge => self.compare(Compare::Ge, a, b),
            MapFn::Eq => self.compare(Compare::Eq, a, b),
            MapFn::Ne => self.compare(Compare::Ne, a, b),
        })
    }

    /// A comparison; truth values are ordered as 0 and 1.
    fn compare(&mut self, op: Compare, a: Value, b: Value) -> Value {
        if self.kb.ty(a).elem() == Elem::Bool && !matches!(op, Compare::Eq | Compare::Ne) {
            let (a, b) = (self.kb.convert(a, Elem::I32), self.kb.convert(b, Elem::I32));
            return self.kb.compare(op, a, b);
        }
        self.kb.compare(op, a, b)
    }

    /// A constant in as many lanes as another value has.
    pub(super) fn like(&mut self, literal: weft_ir::kernel::Literal, other: Value) -> Value {
        let ty = self.kb.ty(other);
        self.kb.constant(ty, constant(literal, ty.elem()))
    }
}
