//! Guards as code.
//!
//! A guard becomes a truth value: a scalar if it is the same in all lanes, a vector if not, and nothing at all if it always
//! holds. Atoms that speak of a loop in whose `full` range the code runs are left out.

use weft_ir::kernel::{Atom, AxisId, AxisSet, BinOp, Cmp, Expr, Guard, VarDef, VarId};
use weft_ir::loops::{Binary, Compare, Elem, Value};

use super::emit::Emitter;
use super::error::Emit;
use super::int::Int;
use super::point::{Point, Span};

/// Lane offsets are compared as `i32`; a bound clamped to this is on the same side of all of them.
const FAR: i64 = 1 << 30;

impl Emitter<'_> {
    /// The atoms of a guard that the code being made must test, and its opaque conditions.
    pub(super) fn remaining(&self, guard: &Guard) -> Guard {
        let atoms = guard.atoms.iter().filter(|a| !self.holds_in_full(a));
        Guard { atoms: atoms.cloned().collect(), opaque: guard.opaque.clone() }
    }

    /// The same for a guard that keeps an access within memory. In a `full` range atoms hold at all elements that are not
    /// padding of other axes; padding must not be accessed either, so an atom that speaks of an axis with padding stays.
    pub(super) fn remaining_access(&self, guard: &Guard) -> Guard {
        let padded = |a: &Atom| {
            let axes = self.kernel.expr_axes(&a.lhs).union(self.kernel.expr_axes(&a.rhs));
            axes.iter().any(|a| self.kernel.axis(a).is_some_and(|a| !a.valid.is_always()))
        };
        let atoms = guard.atoms.iter().filter(|a| padded(a) || !self.holds_in_full(a));
        Guard { atoms: atoms.cloned().collect(), opaque: guard.opaque.clone() }
    }

    fn holds_in_full(&self, atom: &Atom) -> bool {
        self.full.iter().any(|l| self.speaks_of(&atom.lhs, l) || self.speaks_of(&atom.rhs, l))
    }

    /// Does an expression speak of a loop's index, position or axis, also through names?
    pub(super) fn speaks_of(&self, e: &Expr, l: &(VarId, VarId, Option<AxisId>)) -> bool {
        let mut found = false;
        e.visit(&mut |e| match e {
            Expr::Axis(a) => found |= l.2 == Some(*a),
            Expr::Var(v) if *v == l.0 || *v == l.1 => found = true,
            Expr::Var(v) => {
                if let Some(VarDef::Let(e) | VarDef::Position(e)) = self.kernel.var(*v).map(|v| &v.def) {
                    found |= self.speaks_of(e, l);
                }
            }
            _ => {}
        });
        found
    }

    /// Where a guard holds; `None` if it holds everywhere. Lanes behind the end of the axis are not looked at.
    pub(super) fn guard(&mut self, guard: &Guard, p: &Point) -> Emit<Option<Value>> {
        let guard = self.remaining(guard);
        self.conjunction(&guard, p)
    }

    /// Where all conditions of a guard hold; `None` if there are none.
    pub(super) fn conjunction(&mut self, guard: &Guard, p: &Point) -> Emit<Option<Value>> {
        let mut all = None;
        for atom in &guard.atoms {
            if let Some(holds) = self.atom(atom, p)? {
                all = Some(self.both(all, holds));
            }
        }
        for condition in &guard.opaque {
            let holds = self.value(*condition, p)?;
            all = Some(self.both(all, holds));
        }
        Ok(all)
    }

    fn both(&mut self, all: Option<Value>, holds: Value) -> Value {
        match all {
            Some(all) => self.kb.binary(Binary::And, all, holds),
            None => holds,
        }
    }

    /// A guard and the end of the lane axis: where a vector access may touch memory. `vector` says whether the access has lanes.
    pub(super) fn reach(&mut self, guard: Option<Value>, span: Option<Span>) -> Option<Value> {
        let Some(span) = span.filter(|s| s.valid < s.width) else { return guard };
        let lanes = self.kb.iota(span.width);
        let end = self.kb.int32(i32::from(span.valid));
        let inside = self.kb.compare(Compare::Lt, lanes, end);
        Some(self.both(guard, inside))
    }

    fn atom(&mut self, atom: &Atom, p: &Point) -> Emit<Option<Value>> {
        let op = comparison(atom.cmp);
        let (a, b) = (self.int(&atom.lhs, p)?, self.int(&atom.rhs, p)?);
        if let (Int::Affine(x, i), Int::Affine(y, j)) = (&a, &b) {
            let (x, y, step) = (*x, *y, i.wrapping_sub(*j));
            if let (0, Some(m), Some(n)) = (step, self.kb.known_int(x), self.kb.known_int(y)) {
                let holds = atom.cmp.eval(m, n);
                return Ok(if holds { None } else { Some(self.kb.bool(false)) });
            }
            if step == 0 {
                return Ok(Some(self.kb.compare(op, x, y)));
            }
            let width = p.span.map_or(1, |s| s.width);
            if step.unsigned_abs().saturating_mul(u64::from(width)) < FAR.unsigned_abs() {
                // x + i*lane ? y + j*lane, as (i - j)*lane ? y - x.
                let gap = self.kb.sub(y, x);
                let (lo, hi) = (self.kb.int(-FAR), self.kb.int(FAR));
                let gap = self.kb.max(gap, lo);
                let gap = self.kb.min(gap, hi);
                let gap = self.kb.convert(gap, Elem::I32);
                let lanes = self.kb.iota(width);
                let lanes = if step == 1 { lanes } else { self.kb.mul_int(lanes, step) };
                return Ok(Some(self.kb.compare(op, lanes, gap)));
            }
        }
        let width = p.span.map_or(1, |s| usize::from(s.width));
        let (a, b) = (self.lanes(&a, width), self.lanes(&b, width));
        let bits: Vec<Value> = a.into_iter().zip(b).map(|(x, y)| self.kb.compare(op, x, y)).collect();
        Ok(Some(self.assemble(&bits, Elem::Bool)))
    }

    /// A vector from its lanes.
    pub(super) fn assemble(&mut self, lanes: &[Value], elem: Elem) -> Value {
        let width = u16::try_from(lanes.len()).unwrap_or(1);
        let mut vector = match lanes.first() {
            Some(first) => self.kb.splat(*first, width),
            None => self.kb.zero(weft_ir::loops::Ty::scalar(elem)),
        };
        for (lane, x) in (0u16..).zip(lanes).skip(1) {
            vector = self.kb.insert(vector, *x, lane);
        }
        vector
    }

    /// A scalar that is true only if a guard holds for all elements over `axes` (others are bound by the point), so that code
    /// without it may run. `None` if that cannot be told before looking at the elements, and for guards without atoms.
    /// All atoms of the guard are tested: leave out the others first.
    pub(super) fn holds_everywhere(&mut self, guard: &Guard, axes: AxisSet, p: &Point) -> Emit<Option<Value>> {
        if !guard.opaque.is_empty() || guard.atoms.is_empty() {
            return Ok(None);
        }
        let mut all = None;
        for atom in &guard.atoms {
            let (Some((al, ah)), Some((bl, bh))) = (self.ends(&atom.lhs, axes, p)?, self.ends(&atom.rhs, axes, p)?)
            else {
                return Ok(None);
            };
            let holds = match atom.cmp {
                Cmp::Lt | Cmp::Le => self.kb.compare(comparison(atom.cmp), ah, bl),
                Cmp::Gt | Cmp::Ge => self.kb.compare(comparison(atom.cmp), al, bh),
                Cmp::Eq | Cmp::Ne => return Ok(None),
            };
            all = Some(self.both(all, holds));
        }
        Ok(all)
    }

    /// Least and greatest value of an expression over axes, where that can be told from the ends of the axes.
    pub(super) fn ends(&mut self, e: &Expr, axes: AxisSet, p: &Point) -> Emit<Option<(Value, Value)>> {
        match e {
            Expr::Axis(a) if axes.contains(*a) => {
                let last = self.extent(*a) - 1;
                Ok(Some((self.kb.int(0), self.kb.int(last))))
            }
            Expr::Value(_) => Ok(None),
            Expr::Var(v) if !self.scalars.contains_key(v) => match self.kernel.var(*v).map(|v| &v.def) {
                Some(VarDef::Let(e) | VarDef::Position(e)) => self.ends(e, axes, p),
                _ => Ok(None),
            },
            Expr::Binary(op, a, b) => {
                let (Some((al, ah)), Some((bl, bh))) = (self.ends(a, axes, p)?, self.ends(b, axes, p)?) else {
                    return Ok(None);
                };
                let mut f = |x, y| match self.int_binary(*op, Int::Affine(x, 0), Int::Affine(y, 0), p) {
                    Ok(Int::Affine(z, _)) => Ok(z),
                    Ok(Int::Lanes(_)) => Err("an index that must be the same in all lanes is not".to_owned()),
                    Err(e) => Err(e),
                };
                Ok(match op {
                    BinOp::Add | BinOp::Min | BinOp::Max => Some((f(al, bl)?, f(ah, bh)?)),
                    BinOp::Sub => Some((f(al, bh)?, f(ah, bl)?)),
                    BinOp::Mul | BinOp::Div | BinOp::CeilDiv if bl == bh => {
                        let (x, y) = (f(al, bl)?, f(ah, bl)?);
                        match self.kb.known_int(bl) {
                            Some(c) if c >= 0 => Some((x, y)),
                            Some(_) => Some((y, x)),
                            None => None,
                        }
                    }
                    _ => None,
                })
            }
            other => {
                let x = self.scalar(other, p)?;
                Ok(Some((x, x)))
            }
        }
    }
}

pub(super) fn comparison(cmp: Cmp) -> Compare {
    match cmp {
        Cmp::Lt => Compare::Lt,
        Cmp::Le => Compare::Le,
        Cmp::Gt => Compare::Gt,
        Cmp::Ge => Compare::Ge,
        Cmp::Eq => Compare::Eq,
        Cmp::Ne => Compare::Ne,
    }
}
