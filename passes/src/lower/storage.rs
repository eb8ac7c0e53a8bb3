//! bf16 as a type of memory: tiles of it are held as f32 tiles with values that bf16 has.
//!
//! The kernel is rewritten before anything else looks at it. Loads from bf16 buffers give f32 tiles and stores take them, as loads
//! and stores of loop IR do; a conversion of such a tile to f32 is the tile itself, and a conversion to bf16 that is only stored
//! is left to the store. What remains are conversions to bf16 whose results are read in the kernel, such as those of values that
//! fusion passes on instead of storing them: these round. Tables in scratch memory hold f32.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};
use weft_ir::kernel::{Attrs, ElemType, Inst, Kernel, Literal, OpCode, Place, Plan, Stmt, Type, Value, ValueId};
use weft_ir::loops::{from_bf16, to_bf16};

use super::error::Emit;
use crate::fuse::ids::Ids;
use crate::fuse::refs::{self, Ref};

/// The kernel without bf16 tiles; itself if it has none.
pub(super) fn without_bf16<'k>(plan: &Plan, kernel: &'k Kernel) -> Emit<Cow<'k, Kernel>> {
    let tiles = kernel.values.iter().any(|v| v.ty.elem == ElemType::Bf16);
    if !tiles && kernel.scratch.iter().all(|s| s.elem != ElemType::Bf16) {
        return Ok(Cow::Borrowed(kernel));
    }
    let mut out = kernel.clone();
    let mut body = std::mem::take(&mut out.body);
    let mut pass =
        Widening { kernel, ids: Ids::same(kernel), stored: only_stored(plan, kernel), values: &mut out.values };
    pass.stmts(&mut body)?;
    let ids = pass.ids;
    for value in &mut out.values {
        value.ty.elem = in_tiles(value.ty.elem);
    }
    for table in out.scratch.iter_mut().filter(|t| t.elem == ElemType::Bf16) {
        table.elem = ElemType::F32;
        table.init = table.init.map(rounded);
    }
    out.body = body;
    ids.apply(&mut out);
    Ok(Cow::Owned(out))
}

fn in_tiles(elem: ElemType) -> ElemType {
    if elem == ElemType::Bf16 { ElemType::F32 } else { elem }
}

/// The constant that bf16 has in place of another.
fn rounded(x: Literal) -> Literal {
    #[expect(clippy::cast_possible_truncation, reason = "a constant is rounded to the type it stands in")]
    Literal::Float(f64::from(from_bf16(to_bf16(x.as_f64() as f32))))
}

/// Values that nothing reads but stores into bf16 buffers, which round.
fn only_stored(plan: &Plan, kernel: &Kernel) -> Vec<bool> {
    let mut uses = vec![0usize; kernel.values.len()];
    let mut stores = uses.clone();
    let mut count = |r: Ref| {
        if let Ref::UseValue(v) = r {
            uses.get_mut(v.index()).into_iter().for_each(|n| *n += 1);
        }
    };
    kernel.body.iter().for_each(|stmt| refs::in_stmt(kernel, stmt, &mut count));
    refs::each_inst(&kernel.body, &mut Vec::new(), &mut |inst, _| {
        let into = inst.attrs.access.as_ref().and_then(|a| match a.place {
            Place::Buffer(b) => plan.buffer(b),
            Place::Scratch(_) => None,
        });
        if inst.op == OpCode::Store && into.is_some_and(|b| b.elem == ElemType::Bf16) {
            let stored = inst.args.first().and_then(|v| stores.get_mut(v.index()));
            stored.into_iter().for_each(|n| *n += 1);
        }
    });
    uses.iter().zip(stores).map(|(n, stored)| *n == stored).collect()
}

/// Does an op give elements that it was given, and no others?
fn moves(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::Load
            | OpCode::TableRead
            | OpCode::Fill
            | OpCode::Select
            | OpCode::Expand
            | OpCode::Rename
            | OpCode::Take
            | OpCode::TopK
            | OpCode::MergeTopK
    )
}

struct Widening<'k, 'v> {
    kernel: &'k Kernel,
    /// What stands for a value.
    ids: Ids,
    stored: Vec<bool>,
    values: &'v mut Vec<Value>,
}

impl Widening<'_, '_> {
    fn is_bf16(&self, v: ValueId) -> bool {
        self.kernel.value_type(v).is_some_and(|t| t.elem == ElemType::Bf16)
    }

    fn stmts(&mut self, stmts: &mut Vec<Stmt>) -> Emit<()> {
        for mut stmt in std::mem::take(stmts) {
            match &mut stmt {
                Stmt::Let(_) => {}
                Stmt::Inst(inst) => {
                    if self.replaced(inst) {
                        continue;
                    }
                    let conversions = self.inst(inst)?;
                    stmts.push(stmt);
                    stmts.extend(conversions);
                    continue;
                }
                Stmt::Loop(l) => self.stmts(&mut l.body)?,
                Stmt::While(w) => self.stmts(&mut w.body)?,
                Stmt::If(i) => {
                    self.stmts(&mut i.then_body)?;
                    self.stmts(&mut i.else_body)?;
                }
            }
            stmts.push(stmt);
        }
        Ok(())
    }

    /// Is a statement a conversion that does nothing to the elements? Then its operand stands for its result.
    fn replaced(&mut self, inst: &Inst) -> bool {
        let (OpCode::Cast, Some(&x), Some(&result)) = (inst.op, inst.args.first(), inst.results.first()) else {
            return false;
        };
        let (Some(from), Some(to)) = (self.kernel.value_type(x), self.kernel.value_type(result)) else { return false };
        let exact = from.elem == ElemType::Bf16 && in_tiles(to.elem) == ElemType::F32;
        let left = from.elem == ElemType::F32 && to.elem == ElemType::Bf16 && self.stored[result.index()];
        if exact || left {
            self.ids.values[result.index()] = self.ids.value(x);
        }
        exact || left
    }

    /// Rewrites a statement that has to do with bf16; gives the statements that round its results.
    fn inst(&mut self, inst: &mut Inst) -> Emit<SmallVec<[Stmt; 1]>> {
        let mut rounding = SmallVec::new();
        let operand = inst.args.first().is_some_and(|v| self.is_bf16(*v));
        match inst.op {
            OpCode::TableAdd if operand => {
                return Err("sums in a bf16 table are not supported by the CPU lowering".into());
            }
            OpCode::Cast => {
                // A store rounds what is f32.
                if inst.results.first().is_some_and(|v| self.is_bf16(*v) && self.stored[v.index()]) {
                    inst.attrs.elem = Some(ElemType::F32);
                }
            }
            op if moves(op) => {
                if inst.results.first().is_some_and(|v| self.is_bf16(*v)) {
                    inst.attrs.elem = inst.attrs.elem.map(in_tiles);
                    inst.attrs.value = inst.attrs.value.map(rounded);
                    inst.attrs.otherwise = inst.attrs.otherwise.map(rounded);
                }
            }
            _ => {
                // Computed in f32, then rounded.
                inst.attrs.elem = inst.attrs.elem.map(in_tiles);
                for slot in &mut inst.results {
                    let v = *slot;
                    let Some(data) = self.kernel.value(v).filter(|d| d.ty.elem == ElemType::Bf16) else { continue };
                    let ty = Type { elem: ElemType::F32, ..data.ty };
                    *slot = ValueId::new(self.values.len());
                    self.values.push(Value { name: format!("{}_f32", data.name), ty });
                    let attrs = Attrs { elem: Some(ElemType::Bf16), ..Attrs::default() };
                    let cast = Inst { op: OpCode::Cast, args: smallvec![*slot], attrs, results: smallvec![v] };
                    rounding.push(Stmt::Inst(Box::new(cast)));
                }
            }
        }
        Ok(rounding)
    }
}
