//! Integers of a run: extents, scalars, index expressions, guards.

use std::rc::Rc;

use super::super::expr::{Expr, Guard};
use super::super::ids::{AxisSet, ValueId, VarId};
use super::super::plan::{Domain, Kernel, Loop, Plan, VarDef};
use super::memory::Memory;
use super::tile::Tile;
use super::{Bindings, Counts, Fault, Options, Run, RunErrorKind, fault};

/// Values of the plan's extents.
pub(super) struct Extents {
    values: Vec<Vec<i64>>,
}

impl Extents {
    pub(super) fn bind(plan: &Plan, bindings: &Bindings) -> Run<Self> {
        let mut values: Vec<Vec<i64>> = Vec::new();
        for extent in &plan.extents {
            let Some(given) = bindings.extents.get(&extent.name) else {
                return fault(RunErrorKind::Binding, format!("extent `{}` is not given", extent.name));
            };
            let outer = extent.over.and_then(|e| values.get(e.index())).map(|v| v.iter().max().copied().unwrap_or(0));
            let count = outer.map_or(1, |n| usize::try_from(n).unwrap_or(0));
            if given.len() != count || given.iter().any(|n| *n < 0) {
                return fault(
                    RunErrorKind::Binding,
                    format!("extent `{}` needs {count} numbers, none negative", extent.name),
                );
            }
            values.push(given.clone());
        }
        Ok(Self { values })
    }
    fn greatest(&self, index: usize) -> i64 {
        self.values.get(index).and_then(|v| v.iter().max().copied()).unwrap_or(0)
    }
    fn at(&self, index: usize, i: i64) -> Run<i64> {
        let found = self.values.get(index).and_then(|v| v.get(usize::try_from(i).ok()?));
        found.copied().ok_or_else(|| Fault(RunErrorKind::OutOfRange, format!("a ragged extent is asked at {i}")))
    }
    /// An expression of a declaration. `dims`: indices of earlier dimensions; without them every ragged extent is the largest.
    pub(super) fn eval(&self, plan: &Plan, expr: &Expr, dims: Option<&[i64]>) -> Run<i64> {
        match expr {
            Expr::Const(n) => Ok(*n),
            Expr::Param(p) => plan.param(*p).map_or_else(|| malformed("a parameter"), |p| Ok(p.value)),
            Expr::Extent(e) => Ok(self.greatest(e.index())),
            Expr::Ragged(e, at) => match dims {
                None => Ok(self.greatest(e.index())),
                Some(_) => self.at(e.index(), self.eval(plan, at, dims)?),
            },
            Expr::Dim(d) => {
                let found = dims.and_then(|dims| dims.get(*d as usize));
                found.copied().map_or_else(|| malformed("a dimension"), Ok)
            }
            Expr::Binary(op, a, b) => binary(*op, self.eval(plan, a, dims)?, self.eval(plan, b, dims)?),
            Expr::Var(_) | Expr::Axis(_) | Expr::Value(_) => malformed("a scalar in a declaration"),
        }
    }
}

fn malformed<T>(what: &str) -> Run<T> {
    fault(RunErrorKind::Malformed, format!("{what} is out of place"))
}

fn binary(op: super::super::expr::BinOp, a: i64, b: i64) -> Run<i64> {
    op.eval(a, b)
        .map_or_else(|| fault(RunErrorKind::Limit, "integer overflow, or division by what is not positive"), Ok)
}

/// A loop around the statement that runs.
pub(super) struct Frame<'a> {
    pub(super) l: &'a Loop,
    /// The current iteration lies inside the `full` range.
    pub(super) full: bool,
}

/// Everything that a grid point of a kernel sees.
pub(super) struct Env<'a> {
    pub(super) plan: &'a Plan,
    pub(super) kernel: &'a Kernel,
    pub(super) extents: &'a Extents,
    pub(super) memory: &'a mut Memory,
    pub(super) options: Options,
    pub(super) counts: Counts,
    pub(super) fuel: &'a mut u64,
    /// Static extents of tile axes.
    pub(super) axis_extents: Vec<usize>,
    /// Number of the grid point, from 1, in the order of the grid.
    pub(super) point: u64,
    pub(super) vars: Vec<Option<i64>>,
    pub(super) values: Vec<Option<Rc<Tile>>>,
    pub(super) scratch: Vec<Vec<f64>>,
    pub(super) frames: Vec<Frame<'a>>,
}

impl<'a> Env<'a> {
    /// Coordinates with every axis at 0.
    pub(super) fn origin(&self) -> Vec<i64> {
        vec![0; self.axis_extents.len()]
    }
    pub(super) fn size_of(&self, axes: AxisSet) -> Run<u64> {
        let mut size = 1usize;
        for axis in axes.iter() {
            let n = self.axis_extents.get(axis.index()).copied().unwrap_or(0);
            size = size.saturating_mul(n);
        }
        if size > self.options.max_elements {
            return fault(RunErrorKind::Limit, "a tile has too many elements");
        }
        Ok(size as u64)
    }
    pub(super) fn tile(&self, id: ValueId) -> Run<Rc<Tile>> {
        let found = self.values.get(id.index()).and_then(Clone::clone);
        found.map_or_else(|| malformed("a value that is not defined"), Ok)
    }
    pub(super) fn scalar(&self, expr: &Expr) -> Run<i64> {
        self.eval(expr, &self.origin())
    }

    /// An index expression at the given coordinates of tile axes.
    pub(super) fn eval(&self, expr: &Expr, coords: &[i64]) -> Run<i64> {
        match expr {
            Expr::Const(n) => Ok(*n),
            Expr::Param(_) | Expr::Extent(_) | Expr::Dim(_) => self.extents.eval(self.plan, expr, Some(&[])),
            Expr::Ragged(e, at) => self.extents.at(e.index(), self.eval(at, coords)?),
            Expr::Axis(a) => coords.get(a.index()).copied().map_or_else(|| malformed("an axis"), Ok),
            Expr::Var(v) => self.var(*v, coords),
            Expr::Value(v) => to_index(self.tile(*v)?.get(coords)),
            Expr::Binary(op, a, b) => binary(*op, self.eval(a, coords)?, self.eval(b, coords)?),
        }
    }

    fn var(&self, id: VarId, coords: &[i64]) -> Run<i64> {
        if let Some(Some(n)) = self.vars.get(id.index()) {
            return Ok(*n);
        }
        // What varies over tile axes is not stored but computed where it is used.
        match self.kernel.var(id).map(|v| &v.def) {
            Some(VarDef::Let(e) | VarDef::Position(e)) => self.eval(e, coords),
            Some(VarDef::Entry(access)) => {
                let loops = self.frames.iter().find(|f| f.l.pos == id);
                let count = loops.map(|f| match &f.l.domain {
                    Domain::List { count, .. } => self.scalar(count),
                    _ => malformed("a list"),
                });
                let entry = access
                    .index
                    .last()
                    .map_or_else(|| malformed("a list without entries"), |e| self.eval(e, coords))?;
                if count.transpose()?.is_none_or(|n| entry >= n) {
                    return fault(RunErrorKind::Undefined, "the position of a list loop is used on padding");
                }
                let tile = self.values_of_list(id)?;
                to_index(tile.get(coords))
            }
            _ => malformed("a scalar that is not defined"),
        }
    }

    fn values_of_list(&self, pos: VarId) -> Run<Rc<Tile>> {
        self.tile(ValueId::new(self.kernel.values.len() + pos.index()))
    }

    /// Does the guard hold at these coordinates? Checks the `full` claims of the loops around.
    pub(super) fn holds(&self, guard: &Guard, coords: &[i64]) -> Run<bool> {
        let mut claimed = None;
        for atom in &guard.atoms {
            if atom.cmp.eval(self.eval(&atom.lhs, coords)?, self.eval(&atom.rhs, coords)?) {
                continue;
            }
            let speaks = |f: &&Frame<'_>| f.full && self.kernel.is_claimed(atom, f.l);
            let Some(frame) = self.frames.iter().find(speaks) else { return Ok(false) };
            claimed.get_or_insert((atom, frame));
        }
        if let Some((atom, frame)) = claimed {
            // Without the atom the guard would hold here: wrong, unless the element is padding of another axis.
            if self.is_padding(self.kernel.guard_axes(guard), frame, coords)? {
                return Ok(false);
            }
            let guard = Guard::from(atom.clone());
            let text = super::super::print::guard_text(self.plan, self.kernel, &guard);
            let index = self.vars.get(frame.l.index.index()).copied().flatten().unwrap_or(0);
            return fault(
                RunErrorKind::FullClaim,
                format!("{text} is false inside the `full` range, at index {index}"),
            );
        }
        for value in &guard.opaque {
            let x = self.tile(*value)?.get(coords);
            if x.is_nan() {
                return fault(RunErrorKind::Undefined, "a condition is undefined where it is tested");
            }
            if x == 0.0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_padding(&self, axes: AxisSet, claim: &Frame<'_>, coords: &[i64]) -> Run<bool> {
        for axis in axes.iter().filter_map(|a| self.kernel.axis(a)) {
            for atom in &axis.valid.atoms {
                if !atom.cmp.eval(self.eval(&atom.lhs, coords)?, self.eval(&atom.rhs, coords)?) {
                    return Ok(true);
                }
            }
        }
        for frame in &self.frames {
            let inside = frame.l.axis.filter(|a| axes.contains(*a) && Some(*a) != claim.l.axis);
            if let (Some(axis), Some(hi)) = (inside, frame.l.domain.end()) {
                let at = self.eval(&Expr::Var(frame.l.index), coords)? + coords.get(axis.index()).copied().unwrap_or(0);
                if at >= self.scalar(hi)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// An element as an index.
pub(super) fn to_index(x: f64) -> Run<i64> {
    if x.is_nan() {
        return fault(RunErrorKind::Undefined, "an undefined element is used as an index");
    }
    #[expect(clippy::cast_possible_truncation, reason = "saturates; the range check that follows reports it")]
    Ok(x as i64)
}
