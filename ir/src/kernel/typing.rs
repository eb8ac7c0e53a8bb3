//! Type rules: the types of an op's results from its operands and attributes.

use smallvec::{SmallVec, smallvec};

use super::ids::{AxisId, AxisSet};
use super::ops::{Access, AttrKind, Attrs, Inst, MANY, Monoid, OpCode, Place};
use super::plan::{Kernel, Plan};
use super::types::{ElemType, Type};
use crate::elementwise::{MapFn, Signature};

/// Types of results, in order.
pub type Types = SmallVec<[Type; 3]>;

/// The types of the results of `inst` (whose `results` are not looked at), or what is wrong with it.
///
/// # Errors
/// A message that names the op: wrong number or types of operands, a missing or foreign attribute, an id outside its table, a
/// rank that does not match, axes that do not fit.
pub fn infer(plan: &Plan, kernel: &Kernel, inst: &Inst) -> Result<Types, String> {
    Rule { plan, kernel, inst }.types().map_err(|e| format!("`{}`: {e}", name_of(inst)))
}

/// The name under which a statement's op stands in the text form.
pub fn name_of(inst: &Inst) -> &'static str {
    match (inst.op, inst.attrs.function) {
        (OpCode::Map, Some(function)) => function.name(),
        _ => inst.op.spec().name,
    }
}

/// Is the attribute given?
pub(super) fn has_attr(attrs: &Attrs, kind: AttrKind) -> bool {
    match kind {
        AttrKind::Access => attrs.access.is_some(),
        AttrKind::Function => attrs.function.is_some(),
        AttrKind::Value => attrs.value.is_some(),
        AttrKind::At => attrs.at.is_some(),
        AttrKind::As => attrs.elem.is_some(),
        AttrKind::On => !attrs.on.is_empty(),
        AttrKind::By => attrs.monoid.is_some(),
        AttrKind::Over => !attrs.over.is_empty(),
        AttrKind::To => attrs.to.is_some(),
        AttrKind::Where => !attrs.guard.is_always(),
        AttrKind::Else => attrs.otherwise.is_some(),
        AttrKind::Mode => attrs.mode.is_some(),
        AttrKind::Rev => attrs.rev,
        AttrKind::Excl => attrs.excl,
    }
}

const ATTRS: [AttrKind; 14] = [
    AttrKind::Access,
    AttrKind::Function,
    AttrKind::Value,
    AttrKind::At,
    AttrKind::As,
    AttrKind::On,
    AttrKind::By,
    AttrKind::Over,
    AttrKind::To,
    AttrKind::Where,
    AttrKind::Else,
    AttrKind::Mode,
    AttrKind::Rev,
    AttrKind::Excl,
];

struct Rule<'a> {
    plan: &'a Plan,
    kernel: &'a Kernel,
    inst: &'a Inst,
}

fn need(condition: bool, message: impl Into<String>) -> Result<(), String> {
    if condition { Ok(()) } else { Err(message.into()) }
}

impl Rule<'_> {
    fn types(&self) -> Result<Types, String> {
        let spec = self.inst.op.spec();
        for kind in ATTRS {
            let given = has_attr(&self.inst.attrs, kind);
            let word = format!("{kind:?}").to_lowercase();
            need(given || !spec.required.contains(&kind), format!("needs the attribute `{word}`"))?;
            need(!given || spec.allows(kind), format!("does not take the attribute `{word}`"))?;
        }
        let (lo, hi) = match self.inst.attrs.function {
            Some(function) => function.operands(),
            None => spec.operands,
        };
        let n = self.inst.args.len();
        need(
            n >= lo && n <= hi,
            format!(
                "has {n} operands, takes {lo} to {}",
                if hi == MANY { "any number".into() } else { hi.to_string() }
            ),
        )?;
        let args = (0..n).map(|i| self.arg(i)).collect::<Result<Types, _>>()?;
        let attrs = &self.inst.attrs;
        for v in &attrs.guard.opaque {
            let ty = self.kernel.value_type(*v).ok_or("a condition of the guard is not defined")?;
            need(ty.elem == ElemType::Bool, "a condition of the guard is not boolean")?;
        }
        for axis in attrs.over.iter().chain(attrs.on.iter()).chain(attrs.to) {
            need(self.kernel.axis(axis).is_some(), "an axis is not declared")?;
        }
        self.results(&args)
    }

    fn results(&self, args: &[Type]) -> Result<Types, String> {
        let attrs = &self.inst.attrs;
        let over = attrs.over;
        let guard_axes = self.kernel.guard_axes(&attrs.guard);
        let elem = attrs.elem.unwrap_or(ElemType::F64);
        let first = args.first().copied().unwrap_or(Type::scalar(elem));
        let second = args.get(1).copied().unwrap_or(first);
        let union = args.iter().fold(AxisSet::EMPTY, |s, t| s.union(t.axes));
        let one = |elem, axes: AxisSet| -> Result<Types, String> { Ok(smallvec![Type::new(elem, axes)]) };
        match self.inst.op {
            OpCode::Index => {
                need(elem.is_int(), "the type is not an integer type")?;
                one(elem, attrs.at.as_ref().map_or(AxisSet::EMPTY, |e| self.kernel.expr_axes(e)))
            }
            OpCode::Fill => {
                need(attrs.value.is_some_and(|v| v.fits(elem)), "the constant does not fit the type")?;
                one(elem, attrs.on)
            }
            OpCode::Load | OpCode::TableRead => {
                let (elem, axes) = self.place(self.inst.op == OpCode::TableRead)?;
                need(attrs.otherwise.is_none_or(|v| v.fits(elem)), "the `else` constant does not fit the type")?;
                need(attrs.otherwise.is_none() || !attrs.guard.is_always(), "`else` without `where`")?;
                one(elem, axes.union(guard_axes))
            }
            OpCode::Store | OpCode::Accum | OpCode::TableSet | OpCode::TableAdd => {
                let (elem, axes) = self.place(matches!(self.inst.op, OpCode::TableSet | OpCode::TableAdd))?;
                need(first.elem == elem, format!("stores {} into {}", first.elem.name(), elem.name()))?;
                let spread = axes.contains_all(first.axes) || matches!(self.inst.op, OpCode::Accum | OpCode::TableAdd);
                need(spread, "the tile has an axis that the map does not have: several elements go to one place")?;
                let folds = [None, Some(Monoid::Sum), Some(Monoid::Max), Some(Monoid::Min)];
                need(folds.contains(&attrs.monoid), "accumulates by sum, max or min only")?;
                Ok(smallvec![])
            }
            OpCode::Hist => {
                let (elem, _) = self.place(true)?;
                need(elem.is_int(), "the table does not hold integers")?;
                Ok(smallvec![])
            }
            OpCode::Map => {
                let function = attrs.function.ok_or("has no function")?;
                one(map_type(function, args)?, union)
            }
            OpCode::Cast => one(elem, first.axes),
            OpCode::Select => {
                need(first.elem == ElemType::Bool, "the condition is not boolean")?;
                let third = args.get(2).copied().unwrap_or(second);
                need(second.elem == third.elem, "the branches have different element types")?;
                one(second.elem, union)
            }
            OpCode::Expand => one(first.elem, union.union(attrs.on)),
            OpCode::Rename => {
                let (from, to) = self.over_to(first)?;
                let size = |a| self.kernel.axis_extent(self.plan, a);
                need(size(from) == size(to), "the axes have different extents")?;
                one(first.elem, first.axes.minus(over).union(to.into()))
            }
            OpCode::Take => {
                need(over.len() == 1 && first.axes.contains_all(over), "takes along one axis of the operand")?;
                let at = attrs.at.as_ref().map_or(AxisSet::EMPTY, |e| self.kernel.expr_axes(e));
                need(!at.contains_all(over), "the position varies along the axis itself")?;
                one(first.elem, first.axes.minus(over).union(at))
            }
            OpCode::Dot => {
                need(first.elem == second.elem && first.elem.is_float(), "multiplies floats of one type")?;
                need(first.axes.union(second.axes).contains_all(over), "contracts an axis that no operand has")?;
                let sum = match first.elem {
                    ElemType::Bf16 => ElemType::F32,
                    other => other,
                };
                let result = attrs.elem.unwrap_or(sum);
                need(result.is_float(), "the result is not a float")?;
                let axes = first.axes.union(second.axes).union(guard_axes).minus(over);
                if let Some(acc) = args.get(2) {
                    need(acc.elem == result, format!("accumulates into {}, not {}", acc.elem.name(), result.name()))?;
                    need(acc.axes.intersection(over).is_empty(), "the accumulator has a contracted axis")?;
                    return one(result, axes.union(acc.axes));
                }
                one(result, axes)
            }
            OpCode::Reduce => self.reduce(args, over, guard_axes),
            OpCode::Scan => self.scan(args, over),
            OpCode::Online => {
                need(first.elem.is_float() && first.elem == second.elem, "works on floats of one type")?;
                let all = first.axes.union(guard_axes);
                need(all.contains_all(over), "the scores lack the axis")?;
                need(second.axes.intersection(over).is_empty(), "the running maximum varies along the axis")?;
                let row = all.minus(over).union(second.axes);
                Ok(smallvec![
                    Type::new(first.elem, row),
                    Type::new(first.elem, row),
                    Type::new(first.elem, row.union(over))
                ])
            }
            OpCode::Rescale => {
                need(first.elem.is_float() && first.elem == second.elem, "works on floats of one type")?;
                one(first.elem, union)
            }
            OpCode::Merge => {
                let half = args.len() / 2;
                need(args.len().is_multiple_of(2), "has an odd number of operands")?;
                need(args.iter().all(|t| t.elem == first.elem && t.elem.is_float()), "works on floats of one type")?;
                let scale = first.axes.union(args.get(half).map_or(first.axes, |t| t.axes));
                let states = args.iter().zip(args.iter().skip(half));
                Ok(states.take(half).map(|(a, b)| Type::new(first.elem, a.axes.union(b.axes).union(scale))).collect())
            }
            OpCode::Combine => {
                need(args.iter().all(|t| t.elem == first.elem && t.elem.is_float()), "works on floats of one type")?;
                need(first.axes.contains_all(over), "the maxima lack the axis")?;
                let row = first.axes.union(guard_axes);
                Ok(args.iter().map(|t| Type::new(t.elem, t.axes.union(row).minus(over))).collect())
            }
            OpCode::TopK => {
                let (_, to) = self.over_to(first)?;
                need(
                    second.axes.minus(over).is_empty() || first.axes.contains_all(second.axes),
                    "the payload has foreign axes",
                )?;
                let payload = if args.len() == 2 { second.elem } else { ElemType::I32 };
                need(payload.is_int(), "the payload is not an integer")?;
                need(!first.elem.is_int() && first.elem.is_float(), "ranks floats")?;
                let axes = first.axes.union(guard_axes).minus(over).union(to.into());
                Ok(smallvec![Type::new(first.elem, axes), Type::new(payload, axes)])
            }
            OpCode::MergeTopK => {
                need(
                    over.len() == 1 && args.iter().all(|t| t.axes.contains_all(over)),
                    "merges along one axis of all operands",
                )?;
                let same = |a: usize, b: usize| args.get(a).map(|t| t.elem) == args.get(b).map(|t| t.elem);
                need(
                    same(0, 2) && same(1, 3) && first.elem.is_float() && second.elem.is_int(),
                    "merges (value, payload) pairs of one type",
                )?;
                Ok(smallvec![Type::new(first.elem, union), Type::new(second.elem, union)])
            }
            OpCode::Compact => {
                let (from, to) = self.over_to(first)?;
                let size = |a| self.kernel.axis_extent(self.plan, a).unwrap_or(0);
                need(size(to) >= size(from), "the axis `to` cannot hold all elements")?;
                let rest = first.axes.union(guard_axes).minus(over);
                Ok(smallvec![Type::new(first.elem, rest.union(to.into())), Type::new(ElemType::I32, rest)])
            }
            OpCode::RankCount => {
                let other = args.get(2).copied().unwrap_or(first);
                need(over.len() == 1 && other.axes.contains_all(over), "counts along one axis of the third operand")?;
                need(
                    first.elem == other.elem && second.elem.is_int(),
                    "compares pairs (value, integer payload) of one type",
                )?;
                one(ElemType::I32, union.union(guard_axes).minus(over))
            }
            OpCode::Search => {
                need(over.len() == 1 && first.axes.contains_all(over), "searches along one axis of the first operand")?;
                need(first.elem == second.elem, "searches for another type")?;
                one(ElemType::I32, union.union(guard_axes).minus(over))
            }
        }
    }

    fn arg(&self, i: usize) -> Result<Type, String> {
        let id = self.inst.args.get(i).copied().ok_or("lacks an operand")?;
        self.kernel.value_type(id).ok_or_else(|| format!("operand {i} is not defined"))
    }

    /// Element type and axes of the access; `scratch` says which kind of place the op works on.
    fn place(&self, scratch: bool) -> Result<(ElemType, AxisSet), String> {
        let access = self.inst.attrs.access.as_ref().ok_or("has no access")?;
        place(self.plan, self.kernel, access, scratch)
    }

    fn over_to(&self, operand: Type) -> Result<(AxisId, AxisId), String> {
        let over = self.inst.attrs.over;
        let (Some(from), Some(to)) = (over.iter().next(), self.inst.attrs.to) else {
            return Err("needs `over` and `to`".into());
        };
        need(over.len() == 1 && operand.axes.contains(from), "`over` is not one axis of the operand")?;
        need(!operand.axes.contains(to), "the operand already has the axis `to`")?;
        Ok((from, to))
    }

    fn reduce(&self, args: &[Type], over: AxisSet, guard_axes: AxisSet) -> Result<Types, String> {
        let monoid = self.inst.attrs.monoid.unwrap_or(Monoid::Sum);
        let x = self.arg(0)?;
        let axes = args.iter().fold(guard_axes, |s, t| s.union(t.axes));
        need(axes.contains_all(over), "reduces an axis that no operand has")?;
        let row = axes.minus(over);
        let pairs = matches!(monoid, Monoid::ArgMax | Monoid::ArgMin);
        need(args.len() == 1 + usize::from(pairs), "argmin and argmax take a value and a payload, the others a value")?;
        match monoid {
            Monoid::Any | Monoid::All => need(x.elem == ElemType::Bool, "works on booleans")?,
            Monoid::Affine => return Err("affine maps are composed by `scan` only".into()),
            _ => need(x.elem != ElemType::Bool, "does not work on booleans")?,
        }
        if pairs {
            let payload = self.arg(1)?;
            need(payload.elem.is_int(), "the payload is not an integer")?;
            return Ok(smallvec![Type::new(x.elem, row), Type::new(payload.elem, row)]);
        }
        Ok(smallvec![Type::new(x.elem, row)])
    }

    fn scan(&self, args: &[Type], over: AxisSet) -> Result<Types, String> {
        let monoid = self.inst.attrs.monoid.unwrap_or(Monoid::Sum);
        let x = self.arg(0)?;
        let scanned = match monoid {
            Monoid::Affine => 2,
            Monoid::Sum | Monoid::Prod | Monoid::Max | Monoid::Min => 1,
            _ => return Err(format!("does not scan by {}", monoid.name())),
        };
        need(
            args.len() == scanned || args.len() == scanned + 1,
            format!("by {} takes {scanned} operands and an initial value", monoid.name()),
        )?;
        need(over.len() == 1, "scans along one axis")?;
        need(args.iter().all(|t| t.elem == x.elem) && x.elem != ElemType::Bool, "works on numbers of one type")?;
        let axes = args.iter().take(scanned).fold(AxisSet::EMPTY, |s, t| s.union(t.axes));
        need(axes.contains_all(over), "the operand lacks the axis")?;
        let init = args.get(scanned).map_or(AxisSet::EMPTY, |t| t.axes);
        need(init.intersection(over).is_empty(), "the initial value varies along the axis")?;
        Ok(smallvec![Type::new(x.elem, axes.union(init))])
    }
}

/// Element type of a place and axes of the access to it.
pub(super) fn place(
    plan: &Plan,
    kernel: &Kernel,
    access: &Access,
    scratch: bool,
) -> Result<(ElemType, AxisSet), String> {
    let (name, elem, rank) = match access.place {
        Place::Buffer(id) => {
            need(!scratch, "works on scratch tables, not on buffers")?;
            let buffer = plan.buffer(id).ok_or("the buffer is not declared")?;
            (&buffer.name, buffer.elem, buffer.dims.len())
        }
        Place::Scratch(id) => {
            need(scratch, "works on buffers, not on scratch tables")?;
            let table = kernel.scratch_table(id).ok_or("the scratch table is not declared")?;
            (&table.name, table.elem, table.dims.len())
        }
    };
    let n = access.index.len();
    need(n == rank, format!("`{name}` has {rank} dimensions, the access has {n}"))?;
    Ok((elem, kernel.access_axes(access)))
}

fn map_type(function: MapFn, args: &[Type]) -> Result<ElemType, String> {
    let first = args.first().map(|t| t.elem).ok_or("has no operand")?;
    need(args.iter().all(|t| t.elem == first), "the operands have different element types")?;
    let wants = |ok: bool, what: &str| need(ok, format!("works on {what}, not on {}", first.name()));
    match function.signature() {
        Signature::Float => wants(first.is_float(), "floats").map(|()| first),
        Signature::Arith => wants(first != ElemType::Bool, "numbers").map(|()| first),
        Signature::Int => wants(first.is_int(), "integers").map(|()| first),
        Signature::Compare => Ok(ElemType::Bool),
        Signature::Logic => wants(first == ElemType::Bool, "booleans").map(|()| ElemType::Bool),
    }
}
