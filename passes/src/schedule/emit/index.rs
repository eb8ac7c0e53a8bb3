//! Integer terms as index expressions, conditions as guards.

use super::Emitter;
use crate::schedule::Error;
use weft_ir::graph::{MapFn, NodeId, Op, Scalar};
use weft_ir::kernel::{self, AxisSet, BinOp, ElemType, Expr, Guard, ValueId, VarId};
use weft_ir::linear::gcd;

impl Emitter<'_, '_> {
    /// An integer term as an index expression.
    pub(crate) fn index(&mut self, id: NodeId) -> Result<Expr, Error> {
        let args = self.s.c.g.args(id).to_vec();
        Ok(match self.s.c.g.op(id).clone() {
            Op::Const(Scalar::Int(n)) => Expr::Const(n),
            Op::Index(a) => match self.positions.get(&a) {
                Some(e) => e.clone(),
                None => return self.s.unsupported(id, format!("axis `{}` outside its kernel", self.axis_name(a))),
            },
            Op::Size(d) => self.domain_extent(d),
            Op::Map(f) => {
                let mut parts = Vec::with_capacity(args.len());
                for &a in &args {
                    parts.push(self.index(a)?);
                }
                let op = match f {
                    MapFn::Add => BinOp::Add,
                    MapFn::Mul => BinOp::Mul,
                    MapFn::Max => BinOp::Max,
                    MapFn::Min => BinOp::Min,
                    MapFn::IDiv => BinOp::Div,
                    MapFn::Mod => BinOp::Mod,
                    _ => return Ok(Expr::Value(self.value(id)?)),
                };
                let affine = f != MapFn::Mul || parts.iter().filter(|p| !p.is_static()).count() <= 1;
                let constant_divisor = !matches!(f, MapFn::IDiv | MapFn::Mod) || parts[1].is_static();
                if !affine || !constant_divisor {
                    return Ok(Expr::Value(self.value(id)?));
                }
                if f == MapFn::IDiv
                    && let [position, Expr::Const(m)] = &parts[..]
                    && let Some(start) = self.start_of_tile(position, *m)
                {
                    return Ok(start.floor_div(*m));
                }
                let mut parts = parts.into_iter();
                let first = parts.next().unwrap_or(Expr::Const(0));
                parts.fold(first, |a, b| Expr::binary(op, a, b))
            }
            _ => Expr::Value(self.value(id)?),
        })
    }

    /// A position in a tile without the place in the tile, where tiles divide blocks of `m`: all of a tile is in one block. What is read by
    /// block is then read once for the tile, and what multiplies it is a product.
    fn start_of_tile(&self, position: &Expr, m: i64) -> Option<Expr> {
        let Expr::Binary(BinOp::Add, a, b) = position else { return None };
        let (start, axis) = match (&**a, &**b) {
            (start, Expr::Axis(axis)) | (Expr::Axis(axis), start) => (start, *axis),
            // `(start + place) + constant`
            (inner, Expr::Const(n)) | (Expr::Const(n), inner) => {
                let start = self.start_of_tile(inner, m)?;
                let extent = self.tile_extent(inner)?;
                return (n % extent == 0).then(|| Expr::binary(BinOp::Add, start, Expr::Const(*n)));
            }
            _ => return None,
        };
        let extent = self.kb.kernel().axis_extent(self.kb.kernel_plan(), axis)?;
        let whole = self.kb.kernel().expr_axes(start).is_empty() && self.multiple(start, 8) % extent == 0;
        (whole && extent > 0 && m % extent == 0).then(|| start.clone())
    }

    /// The extent of the only tile axis in a position.
    fn tile_extent(&self, position: &Expr) -> Option<i64> {
        let mut axes = self.kb.kernel().expr_axes(position).iter();
        let axis = axes.next().filter(|_| axes.next().is_none())?;
        self.kb.kernel().axis_extent(self.kb.kernel_plan(), axis).filter(|&n| n > 0)
    }

    /// A number of which an expression is a multiple.
    fn multiple(&self, e: &Expr, depth: u32) -> i64 {
        match e {
            _ if depth == 0 => 1,
            Expr::Const(n) => *n,
            Expr::Param(_) => self.kb.kernel_plan().static_value(e).unwrap_or(1),
            Expr::Var(v) => match self.kb.kernel().var(*v).map(|v| &v.def) {
                Some(kernel::VarDef::Let(e)) => self.multiple(e, depth - 1),
                _ => 1,
            },
            Expr::Binary(op, a, b) => {
                let (a, b) = (self.multiple(a, depth - 1), self.multiple(b, depth - 1));
                match op {
                    BinOp::Add | BinOp::Sub => gcd(a, b),
                    BinOp::Mul => a.checked_mul(b).unwrap_or(1),
                    _ => 1,
                }
            }
            _ => 1,
        }
    }

    /// Least and greatest value of an expression, as far as they are known when compiling.
    pub(super) fn interval(&self, e: &Expr) -> (Option<i64>, Option<i64>) {
        let both = |x: Option<i64>, y: Option<i64>, f: fn(i64, i64) -> Option<i64>| x.zip(y).and_then(|(x, y)| f(x, y));
        match e {
            Expr::Const(n) => (Some(*n), Some(*n)),
            Expr::Param(_) => {
                let v = self.kb.kernel_plan().static_value(e);
                (v, v)
            }
            Expr::Extent(_) | Expr::Ragged(..) => (Some(1), None),
            Expr::Axis(a) => (Some(0), self.kb.kernel().axis_extent(self.kb.kernel_plan(), *a).map(|n| n - 1)),
            Expr::Var(v) => self.bounds.get(v).map_or((None, None), |&(lo, hi)| (Some(lo), hi)),
            Expr::Dim(_) | Expr::Value(_) => (None, None),
            Expr::Binary(op, a, b) => {
                let ((al, ah), (bl, bh)) = (self.interval(a), self.interval(b));
                match op {
                    BinOp::Add => (both(al, bl, i64::checked_add), both(ah, bh, i64::checked_add)),
                    BinOp::Sub => (both(al, bh, i64::checked_sub), both(ah, bl, i64::checked_sub)),
                    BinOp::Mul => match (bl, bh, al, ah) {
                        (Some(k), Some(k2), ..) if k == k2 && k >= 0 => {
                            (al.and_then(|x| x.checked_mul(k)), ah.and_then(|x| x.checked_mul(k)))
                        }
                        (_, _, Some(k), Some(k2)) if k == k2 && k >= 0 => {
                            (bl.and_then(|x| x.checked_mul(k)), bh.and_then(|x| x.checked_mul(k)))
                        }
                        (Some(k), Some(k2), ..) if k == k2 => {
                            (ah.and_then(|x| x.checked_mul(k)), al.and_then(|x| x.checked_mul(k)))
                        }
                        (_, _, Some(k), Some(k2)) if k == k2 => {
                            (bh.and_then(|x| x.checked_mul(k)), bl.and_then(|x| x.checked_mul(k)))
                        }
                        _ => (None, None),
                    },
                    BinOp::Div => match (bl, bh) {
                        (Some(k), Some(k2)) if k == k2 && k > 0 => {
                            (al.map(|x| x.div_euclid(k)), ah.map(|x| x.div_euclid(k)))
                        }
                        _ => (None, None),
                    },
                    BinOp::Mod => (Some(0), bh.map(|k| k - 1)),
                    BinOp::CeilDiv => (None, None),
                    BinOp::Min => (both(al, bl, |x, y| Some(x.min(y))), ah.into_iter().chain(bh).min()),
                    BinOp::Max => (al.into_iter().chain(bl).max(), both(ah, bh, |x, y| Some(x.max(y)))),
                }
            }
        }
    }

    /// The atoms that keep an index inside `0 .. extent`, where that is not plain.
    pub(crate) fn stay_inside(&self, guard: &mut Guard, index: &Expr, extent: &Expr) {
        let (lo, hi) = self.interval(index);
        if lo.is_none_or(|l| l < 0) {
            guard.atoms.push(index.clone().ge(0));
        }
        let grid_exact =
            matches!(index, Expr::Var(v) if self.kb.kernel().grid.iter().any(|g| g.var == *v && g.extent == *extent));
        let below = match extent {
            Expr::Const(n) => hi.is_some_and(|h| h < *n),
            _ => false,
        };
        if !below && !grid_exact {
            guard.atoms.push(index.clone().lt(extent.clone()));
        }
    }

    /// A condition as an atom, if it is an integer comparison without gathers.
    pub(crate) fn atom(&mut self, id: NodeId) -> Result<Option<kernel::Atom>, Error> {
        if !self.s.is_affine(id) {
            return Ok(None);
        }
        let args = self.s.c.g.args(id).to_vec();
        let atom = match self.s.c.g.op(id) {
            Op::Map(MapFn::Le) => {
                let term = self.index(args[1])?;
                term.ge(0)
            }
            Op::Map(MapFn::Eq) => self.index(args[0])?.equals(0),
            Op::Map(MapFn::Ne) => kernel::Atom { lhs: self.index(args[0])?, cmp: kernel::Cmp::Ne, rhs: Expr::Const(0) },
            _ => return Ok(None),
        };
        Ok(Some(atom))
    }

    /// A conjunction as a guard: integer comparisons as atoms, the rest as tiles.
    pub(crate) fn guard(&mut self, conditions: &[NodeId]) -> Result<Guard, Error> {
        let mut guard = Guard::always();
        for &c in conditions {
            match self.atom(c)? {
                Some(a) => guard.atoms.push(a),
                None => {
                    let v = self.value(c)?;
                    guard.opaque.push(v);
                }
            }
        }
        Ok(guard)
    }

    /// Can an integer term be an index expression: products with a constant, quotients by constants?
    pub(super) fn is_quasi_affine(&self, id: NodeId) -> bool {
        let args = self.s.c.g.args(id);
        let constant = |a: NodeId| self.s.c.g.constant(a).is_some();
        match self.s.c.g.op(id) {
            Op::Const(_) | Op::Index(_) | Op::Size(_) => true,
            Op::Map(MapFn::Mul) => {
                args.iter().filter(|&&a| !constant(a)).count() <= 1 && args.iter().all(|&a| self.is_quasi_affine(a))
            }
            Op::Map(MapFn::IDiv | MapFn::Mod) => constant(args[1]) && self.is_quasi_affine(args[0]),
            Op::Map(MapFn::Add | MapFn::Max | MapFn::Min) => args.iter().all(|&a| self.is_quasi_affine(a)),
            _ => false,
        }
    }

    /// A guard as a tile of truth values.
    pub(crate) fn guard_tile(&mut self, guard: &Guard) -> Result<ValueId, Error> {
        let mut parts: Vec<ValueId> = guard.opaque.to_vec();
        for a in &guard.atoms {
            let (l, r) =
                (self.kb.index("l", a.lhs.clone(), ElemType::I32), self.kb.index("r", a.rhs.clone(), ElemType::I32));
            let f = match a.cmp {
                kernel::Cmp::Lt => MapFn::Lt,
                kernel::Cmp::Le => MapFn::Le,
                kernel::Cmp::Gt => MapFn::Gt,
                kernel::Cmp::Ge => MapFn::Ge,
                kernel::Cmp::Eq => MapFn::Eq,
                kernel::Cmp::Ne => MapFn::Ne,
            };
            parts.push(self.kb.map("ok", f, &[l, r]));
        }
        Ok(match parts[..] {
            [] => self.kb.fill("ok", true, ElemType::Bool, AxisSet::EMPTY),
            [one] => one,
            _ => self.kb.map("ok", MapFn::And, &parts),
        })
    }

    /// Does an expression depend on a scalar, through definitions?
    pub(super) fn uses(&self, e: &Expr, var: VarId) -> bool {
        let mut found = false;
        e.visit(&mut |x| {
            if let Expr::Var(v) = x {
                found |= *v == var
                    || match self.kb.kernel().var(*v).map(|v| &v.def) {
                        Some(kernel::VarDef::Let(e) | kernel::VarDef::Position(e)) => self.uses(e, var),
                        _ => false,
                    };
            }
        });
        found
    }
}
