//! Accumulation into buffers and scratch tables: `accum`, `table_add`, `hist`.
//!
//! Elements of a tile may meet in one place. Lanes are added as a vector where the access has them side by side, so that they
//! cannot meet; otherwise element by element in the order of the tile.

use weft_ir::kernel::{AxisId, AxisSet, Expr, Inst, Literal, Monoid, OpCode};
use weft_ir::loops::{Binary, Elem, Value};

use super::emit::Emitter;
use super::error::Emit;
use super::layout::is_offset;
use super::memory::{Address, Step};
use super::monoid::operator;
use super::point::{Point, Span};

impl Emitter<'_> {
    /// `accum`, `table_add`, `hist`
    pub(super) fn accumulate_into(&mut self, inst: &Inst) -> Emit<()> {
        let access = self.access_of(inst)?;
        let guard = self.remaining_access(&inst.attrs.guard);
        let op = operator(inst.attrs.monoid.unwrap_or(Monoid::Sum))?;
        let elem = self.place_elem(access)?;
        if elem == Elem::Bool {
            return Err("does not accumulate truth values".into());
        }
        let x = inst.args.first().copied();
        let mut axes = self.kernel.access_axes(access).union(self.kernel.guard_axes(&guard));
        if let Some(x) = x {
            axes = axes.union(self.ty(x)?.axes);
        }
        let lanes = self.distinct_axis(&access.index, axes, x.and_then(|x| self.lanes_of(x)));
        let roots: Vec<_> = x.into_iter().collect();
        self.nest(axes, lanes, &roots, &Point::default(), &mut |e, p| {
            let mask = e.conjunction(&guard, p)?;
            let address = e.address(access, p)?;
            let x = match x {
                Some(x) => e.value(x, p)?,
                None if inst.op == OpCode::Hist => e.literal(Literal::Int(1), elem),
                None => return Err("has nothing to add".into()),
            };
            e.update(&address, p.span, mask, op, x)
        })
    }

    /// An axis along which the places of an access are side by side or at a constant distance: it stands in one index, alone
    /// and linearly, and in no other.
    fn distinct_axis(&self, index: &[Expr], axes: AxisSet, preferred: Option<AxisId>) -> Option<AxisId> {
        let alone = |a: AxisId| {
            index.iter().filter(|e| self.kernel.expr_axes(e).contains(a)).count() == 1
                && index.iter().any(|e| is_offset(self.kernel, e, a))
        };
        let mut fit: Vec<AxisId> = axes.iter().filter(|a| self.extent(*a) > 1 && alone(*a)).collect();
        fit.sort_by_key(|a| {
            (Some(*a) == preferred, index.last().is_some_and(|e| is_offset(self.kernel, e, *a)), self.extent(*a))
        });
        fit.last().copied()
    }

    /// `place = op(place, x)` where the mask holds.
    fn update(&mut self, address: &Address, span: Option<Span>, mask: Option<Value>, op: Binary, x: Value) -> Emit<()> {
        if let Some(mask) = mask.filter(|m| !self.kb.ty(*m).is_vector()) {
            return self.if_then(mask, |e| e.update(address, span, None, op, x));
        }
        if matches!(address.step, Step::Const(0)) && self.kb.ty(x).is_vector() {
            return Err("several lanes are added to one element".into());
        }
        let old = self.load_from(address, span, mask, None)?;
        let new = self.kb.binary(op, old, x);
        self.store_to(address, span, mask, new)
    }
}
