//! Sums by a position that the data decide: `sum over l of x[l] where z[l] == s`, for every `s`.
//!
//! As a sum it would look at every addend once for each `s`. Instead a table on chip has a row for every `s`, and every addend goes into one
//! row of it. The table must be whole along `s`; it is narrow along another axis, in tiles on the grid.

use super::emit::Emitter;
use super::store::Target;
use super::{Error, Scheduler};
use weft_ir::graph::{AxisId, MapFn, NodeId, Op};
use weft_ir::kernel::{Access, Attrs, Domain, ElemType, Expr, Guard, KernelBuilder, Literal, OpCode};

/// Bytes of a table that stays on chip.
const TABLE: i64 = 128 << 10;
/// Addends in one step.
const STEP: i64 = 64;
/// Elements of the other axis in one tile.
const WIDTH: i64 = 64;

/// A sum that is a scatter.
pub(crate) struct Scatter {
    /// The axis of the rows of the table.
    rows: AxisId,
    /// The row of an addend.
    at: NodeId,
    /// The axis of the addends.
    over: AxisId,
    guards: Vec<NodeId>,
    factors: Vec<NodeId>,
}

impl Scheduler {
    /// A sum whose guard says into which row of the result each addend goes.
    pub(crate) fn scatter_of(&mut self, id: NodeId, target: &[AxisId]) -> Result<Option<Scatter>, Error> {
        let Op::Ein { axes, .. } = self.c.g.op(id).clone() else { return Ok(None) };
        let (guards, factors) = (self.c.g.guards(id).to_vec(), self.c.g.operands(id).to_vec());
        let &[over] = axes.as_slice() else { return Ok(None) };
        if self.c.g.static_extent(over).is_none() {
            return Ok(None);
        }
        for (n, &g) in guards.iter().enumerate() {
            let Some((MapFn::Eq, form)) = self.c.comparison(g) else { continue };
            let row = form.terms().find_map(|(&v, k)| match self.c.g.op(v) {
                Op::Index(a) if k.abs() == 1 && target.contains(a) && *a != over => Some((*a, v, k)),
                _ => None,
            });
            let Some((rows, index, k)) = row else { continue };
            // k * s + rest == 0
            let rest = form.substitute(&index, &crate::canon::IntForm::new(0)).and_then(|f| f.scaled(-k));
            let Some(rest) = rest else { continue };
            let at = self.c.int_term(&rest)?;
            let others: Vec<NodeId> =
                guards.iter().copied().enumerate().filter(|&(m, _)| m != n).map(|p| p.1).collect();
            let apart = !factors.iter().chain(&others).chain([&at]).any(|&x| self.has(x, rows));
            let fits = self.c.g.static_extent(rows).is_some_and(|n| n * 4 * 8 <= TABLE);
            if fits && self.has(at, over) && apart && !self.c.is_data_free(at) {
                return Ok(Some(Scatter { rows, at, over, guards: others, factors }));
            }
        }
        Ok(None)
    }

    /// The kernel of a scatter.
    pub(crate) fn scatter_kernel(&mut self, name: &str, scatter: &Scatter, target: &Target) -> Result<(), Error> {
        let float = self.float_elem()?;
        let mut plan = std::mem::take(&mut self.plan);
        let kb = KernelBuilder::new(&mut plan, name);
        let mut e = Emitter::new(self, kb, float);
        let made = e.emit_scatter(scatter, target);
        let finished = made.and_then(|()| e.kb.finish().map_err(Error::from));
        self.plan = plan;
        finished?;
        self.notes.push(format!("{name}: added up by `{}` in a table on chip", self.c.g.axis(scatter.rows).name));
        Ok(())
    }
}

impl Emitter<'_, '_> {
    fn emit_scatter(&mut self, s: &Scatter, target: &Target) -> Result<(), Error> {
        let rows = self.s.static_size(s.rows);
        // Of the other short axes, the innermost in memory is beside the rows in the table; the rest is on the grid.
        let short = |e: &Self, a: AxisId| e.s.c.g.static_extent(a).is_some();
        let used = |e: &Self, a: AxisId| s.factors.iter().any(|&f| e.s.has(f, a));
        let beside = target.axes.iter().copied().filter(|&a| a != s.rows && short(self, a) && used(self, a));
        let beside = beside.max_by_key(|&a| (self.innermost(a, &s.factors), self.s.static_size(a)));
        for &a in target.axes.iter().filter(|&&a| a != s.rows && Some(a) != beside) {
            self.grid_axis(a);
        }
        let elem = self.s.elem(target.dtype)?;
        let elem = if elem == ElemType::Bf16 { ElemType::F32 } else { elem };
        let width = beside.map(|a| self.s.static_size(a).min(WIDTH).min((TABLE / (4 * rows)).max(1)));
        let column = match (beside, width) {
            (Some(a), Some(w)) => {
                let (tile, _) = self.tiled_axis(a, Expr::Const(w), w);
                self.kb.lanes(tile);
                Some(tile)
            }
            _ => None,
        };
        let zero = if elem.is_float() { Literal::Float(0.0) } else { Literal::Int(0) };
        let dims = std::iter::once(Expr::Const(rows)).chain(width.map(Expr::Const)).collect();
        let table = self.kb.scratch("table", elem, dims, Some(zero));
        self.emit_addends(
            s,
            elem,
            |at| Access::scratch(table, std::iter::once(at).chain(column.map(Expr::Axis))),
            rows,
        )?;
        let row = self.whole_axis(s.rows);
        let access = Access::scratch(table, std::iter::once(Expr::Axis(row)).chain(column.map(Expr::Axis)));
        let attrs = Attrs { access: Some(access), ..Attrs::default() };
        let sum = self.kb.inst("sum", OpCode::TableRead, &[], attrs)[0];
        self.store(target.input, sum)
    }

    /// The loop over addends.
    fn emit_addends(
        &mut self,
        s: &Scatter,
        elem: ElemType,
        access: impl Fn(Expr) -> Access,
        rows: i64,
    ) -> Result<(), Error> {
        let n = self.s.static_size(s.over);
        let step = n.min(STEP);
        let name = self.axis_name(s.over);
        let tile = self.kb.axis(&name, step);
        let domain = Domain::Dense { lo: Expr::Const(0), hi: Expr::Const(n) };
        let body = self.kb.begin_loop(&name, Some(tile), domain, None, &[]);
        self.note_bounds(body.index, 0, Some(n - 1));
        self.note_bounds(body.pos, 0, if n % step == 0 { Some(n - 1) } else { None });
        self.enter();
        let outside = self.positions.insert(s.over, Expr::Var(body.pos));
        let mut guard: Guard = self.guard(&s.guards)?;
        self.stay_inside(&mut guard, &Expr::Var(body.pos), &Expr::Const(n));
        let at = self.value(s.at)?;
        self.stay_inside(&mut guard, &Expr::Value(at), &Expr::Const(rows));
        let mut values = Vec::new();
        for &f in &s.factors {
            values.push(self.value(f)?);
        }
        let product = self.multiply(&values, "addend");
        let ty = self.kb.type_of(product);
        let product = if ty.is_some_and(|t| t.elem != elem) { self.kb.cast("addend", product, elem) } else { product };
        let access = access(Expr::Value(at));
        let missing = self
            .kb
            .kernel()
            .access_axes(&access)
            .union(tile.into())
            .minus(ty.map_or_else(Default::default, |t| t.axes));
        let product = if missing.is_empty() { product } else { self.kb.expand("addend", product, missing) };
        let attrs = Attrs { access: Some(access), guard, ..Attrs::default() };
        self.kb.inst("", OpCode::TableAdd, &[product], attrs);
        self.restore(s.over, outside);
        self.leave();
        self.kb.end_loop(&[]);
        Ok(())
    }
}
