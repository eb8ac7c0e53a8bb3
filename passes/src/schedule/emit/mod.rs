//! Tile code: terms of the working graph as kernel IR.
//!
//! Every graph axis in scope has a *position*, an index expression over grid variables, loop positions and tile axes; a
//! term becomes the tile of its values over the tile axes on which its positions depend. Values are remembered by scope,
//! so a term that a loop does not change, once computed before it, is not computed again inside ([`Emitter::hoist`]).

mod index;
mod kth;
mod memory;
mod sums;

use super::ranges::TileSpan;
use super::{Error, Scheduler};
use rustc_hash::FxHashMap;
use weft_ir::graph::{self, AxisId, DomainId, Extremum, InputId, MapFn, NodeId, Op, Scalar};
use weft_ir::kernel::{self, AxisSet, ElemType, Expr, Guard, KernelBuilder, Literal, Monoid, ValueId, VarId};

/// Emitted terms of one block of code.
#[derive(Default)]
struct Scope {
    values: FxHashMap<NodeId, ValueId>,
    /// Axes that stand at other positions here than outside.
    moved: Vec<AxisId>,
}

/// Emits one kernel.
pub(crate) struct Emitter<'s, 'p> {
    pub(crate) s: &'s mut Scheduler,
    pub(crate) kb: KernelBuilder<'p>,
    /// Where axes stand.
    pub(crate) positions: FxHashMap<AxisId, Expr>,
    /// Values that stand for inputs of the working graph: accumulators, carried state.
    pub(crate) given: FxHashMap<InputId, ValueId>,
    /// Previous values of recurrences.
    pub(crate) previous: FxHashMap<graph::RecId, ValueId>,
    /// Emitted terms, innermost scope last.
    memo: Vec<Scope>,
    /// Whole tile axes of short bound axes.
    pub(crate) whole: FxHashMap<AxisId, kernel::AxisId>,
    /// Ranges of scalars, for leaving out guards that cannot fail.
    bounds: FxHashMap<VarId, (i64, Option<i64>)>,
    /// What the tiles of rows and of loops cover: sums inside a loop are bounded by them.
    pub(crate) spans: Vec<TileSpan>,
    /// The float type of tile values.
    pub(crate) float: ElemType,
}

impl<'s, 'p> Emitter<'s, 'p> {
    pub(crate) fn new(s: &'s mut Scheduler, kb: KernelBuilder<'p>, float: ElemType) -> Self {
        Self {
            s,
            kb,
            positions: FxHashMap::default(),
            given: FxHashMap::default(),
            previous: FxHashMap::default(),
            memo: vec![Scope::default()],
            whole: FxHashMap::default(),
            bounds: FxHashMap::default(),
            spans: Vec::new(),
            float,
        }
    }

    /// Puts an axis on the grid, one position a point.
    pub(crate) fn grid_axis(&mut self, axis: AxisId) {
        let extent = self.extent(axis);
        let name = self.axis_name(axis);
        let var = self.kb.grid(&name, extent);
        self.bounds.insert(var, (0, self.s.c.g.static_extent(axis).map(|n| n - 1)));
        self.positions.insert(axis, Expr::Var(var));
    }

    /// Puts an axis on the grid in tiles of `size`; gives the tile axis, and the first position of a tile.
    pub(crate) fn tiled_axis(&mut self, axis: AxisId, size: Expr, extent_value: i64) -> (kernel::AxisId, Expr) {
        let extent = self.extent(axis);
        let name = self.axis_name(axis);
        let var = self.kb.grid(&format!("{name}_tile"), extent.clone().ceil_div(size.clone()));
        self.bounds.insert(var, (0, self.s.c.g.static_extent(axis).map(|n| (n - 1) / extent_value.max(1))));
        let tile = self.kb.axis(&name, size.clone());
        let start = self.kb.let_expr(&format!("{name}0"), Expr::Var(var) * size);
        self.bounds.insert(start, (0, None));
        let position = Expr::Var(start) + tile;
        if self.s.c.g.static_extent(axis).is_none_or(|n| n % extent_value != 0) {
            self.kb.set_valid(tile, Guard::from(position.clone().lt(extent)));
        }
        self.positions.insert(axis, position);
        (tile, Expr::Var(start))
    }

    /// The tile axis of a short axis as a whole.
    pub(crate) fn whole_axis(&mut self, axis: AxisId) -> kernel::AxisId {
        if let Some(&t) = self.whole.get(&axis) {
            return t;
        }
        let name = self.axis_name(axis);
        let t = self.kb.axis(&name, self.s.static_size(axis));
        self.whole.insert(axis, t);
        self.positions.insert(axis, Expr::Axis(t));
        t
    }

    pub(crate) fn axis_name(&self, axis: AxisId) -> String {
        self.s.c.g.axis(axis).name.to_string()
    }

    /// Extent of an axis at the current position of the batch.
    pub(crate) fn extent(&self, axis: AxisId) -> Expr {
        self.domain_extent(self.s.c.g.axis(axis).domain)
    }

    pub(crate) fn domain_extent(&self, domain: DomainId) -> Expr {
        self.s.extent_expr(domain, &|b| self.positions.get(&b).cloned())
    }

    /// Does an expression vary over no tile axis?
    pub(crate) fn is_scalar(&self, e: &Expr) -> bool {
        self.kb.kernel().expr_axes(e).is_empty()
    }

    pub(crate) fn note_bounds(&mut self, var: VarId, lo: i64, hi: Option<i64>) {
        self.bounds.insert(var, (lo, hi));
    }

    pub(crate) fn enter(&mut self) {
        self.memo.push(Scope::default());
    }

    /// A block in which an axis stands elsewhere: what was emitted outside over the whole of it is not valid inside.
    pub(crate) fn enter_moved(&mut self, axis: AxisId) {
        self.memo.push(Scope { values: FxHashMap::default(), moved: vec![axis] });
    }

    pub(crate) fn leave(&mut self) {
        self.memo.pop();
    }

    fn known(&self, id: NodeId) -> Option<ValueId> {
        for scope in self.memo.iter().rev() {
            if let Some(&v) = scope.values.get(&id) {
                return Some(v);
            }
            // What was emitted outside stands at other positions of these axes.
            if scope.moved.iter().any(|&a| self.s.has(id, a)) {
                return None;
            }
        }
        None
    }

    /// Emits the parts of a term that do not depend on `axes`, so that a loop over them finds them done.
    pub(crate) fn hoist(&mut self, id: NodeId, axes: &[AxisId]) -> Result<(), Error> {
        if !axes.iter().any(|&a| self.s.has(id, a)) {
            if self.bound_axes_known(id) && !self.s.c.g.free(id).is_empty() && !self.s.c.g.dtype(id).is_int() {
                self.value(id)?;
            }
            return Ok(());
        }
        if matches!(self.s.c.g.op(id), Op::Sub { .. }) {
            return Ok(());
        }
        for a in self.s.c.g.args(id).to_vec() {
            // Bound axes get their tile axes when their sum is emitted; operands over them can be emitted before it.
            for &x in &self.s.c.g.op(id).bound().to_vec() {
                if self.s.c.g.static_extent(x).is_some_and(|n| n <= self.s.tiles.depth * 2) {
                    self.whole_axis(x);
                }
            }
            self.hoist(a, axes)?;
        }
        Ok(())
    }

    fn bound_axes_known(&self, id: NodeId) -> bool {
        self.s.c.g.free(id).iter().all(|a| self.positions.contains_key(&a))
    }

    /// A term as a tile.
    pub(crate) fn value(&mut self, id: NodeId) -> Result<ValueId, Error> {
        if let Some(v) = self.known(id) {
            return Ok(v);
        }
        let v = self.emit(id)?;
        if let Some(scope) = self.memo.last_mut() {
            scope.values.insert(id, v);
        }
        Ok(v)
    }

    fn hint(&self, id: NodeId) -> String {
        self.s.c.g.label(id).map_or_else(|| self.s.c.g.op(id).name().chars().take(3).collect(), ToOwned::to_owned)
    }

    fn elem_of(&self, id: NodeId) -> Result<ElemType, Error> {
        let dtype = self.s.c.g.dtype(id);
        if dtype.is_float() { Ok(self.float) } else { self.s.elem(dtype) }
    }

    /// A term that binds an axis which stands somewhere already, since a term around it binds the same one, is emitted as if it did not.
    fn emit(&mut self, id: NodeId) -> Result<ValueId, Error> {
        let op = self.s.c.g.op(id);
        let bound = match op {
            Op::Ein { .. } | Op::Reduce { .. } | Op::Arg { .. } => op.bound(),
            _ => &[],
        };
        let hidden: Vec<(AxisId, Expr)> = bound
            .iter()
            .filter_map(|&a| Some((a, self.positions.get(&a)?.clone())))
            .filter(|(a, e)| self.whole.get(a).is_none_or(|&t| *e != Expr::Axis(t)))
            .collect();
        if hidden.is_empty() {
            return self.emit_term(id);
        }
        for (a, _) in &hidden {
            self.restore(*a, None);
        }
        self.memo.push(Scope { values: FxHashMap::default(), moved: hidden.iter().map(|h| h.0).collect() });
        let v = self.emit_term(id);
        self.leave();
        for (a, e) in hidden {
            self.restore(a, Some(e));
        }
        v
    }

    fn emit_term(&mut self, id: NodeId) -> Result<ValueId, Error> {
        let op = self.s.c.g.op(id).clone();
        let args = self.s.c.g.args(id).to_vec();
        let hint = self.hint(id);
        match &op {
            Op::Const(k) => {
                let elem = self.elem_of(id)?;
                let literal = match k {
                    Scalar::Bool(b) => Literal::Bool(*b),
                    Scalar::Int(n) => Literal::Int(*n),
                    Scalar::Float(bits) => Literal::Float(f64::from_bits(*bits)),
                };
                Ok(self.kb.fill("c", literal, elem, AxisSet::EMPTY))
            }
            Op::Index(_) | Op::Size(_) => {
                let e = self.index(id)?;
                Ok(self.kb.index(&hint, e, ElemType::I32))
            }
            Op::Map(f) => self.emit_map(id, *f, &args, &hint),
            Op::Cast(to) => {
                let x = self.value(args[0])?;
                let elem = if to.is_float() { self.float } else { self.s.elem(*to)? };
                Ok(self.kb.cast(&hint, x, elem))
            }
            Op::Select => {
                let (c, a, b) = (self.value(args[0])?, self.value(args[1])?, self.value(args[2])?);
                Ok(self.kb.select(&hint, c, a, b))
            }
            Op::Input(i) => match self.given.get(i) {
                Some(&v) => Ok(v),
                None => self.load(id, *i, &[], &hint),
            },
            Op::Sub { axes } => match self.s.c.g.op(args[0]).clone() {
                Op::Input(i) if self.given.contains_key(&i) => {
                    let (v, axes) = (self.given[&i], axes.clone());
                    self.moved(v, &axes, &args[1..])
                }
                Op::Input(i) => {
                    let mut at = Vec::new();
                    for (&a, &p) in axes.iter().zip(&args[1..]) {
                        at.push((a, self.index(p)?));
                    }
                    let name = self.s.c.g.input(i).name.to_string();
                    self.load(id, i, &at, &name)
                }
                Op::Prev(r) if self.previous.contains_key(&r) => {
                    let (v, axes) = (self.previous[&r], axes.clone());
                    self.moved(v, &axes, &args[1..])
                }
                _ => {
                    let axes = axes.clone();
                    self.emit_moved(args[0], &axes, &args[1..])
                }
            },
            Op::Prev(r) => match self.previous.get(r) {
                Some(&v) => Ok(v),
                None => self.s.unsupported(id, "the previous value of a recurrence outside it"),
            },
            Op::Ein { axes, guards } => {
                let (gs, fs) = args.split_at(*guards as usize);
                if axes.is_empty() {
                    self.emit_guarded(id, gs, fs, &hint)
                } else {
                    self.emit_sum(id, axes, gs, fs, &hint)
                }
            }
            Op::Reduce { extremum, axes, guards } => {
                let (gs, x) = args.split_at(*guards as usize);
                let over = self.whole_axes(id, axes)?;
                let guard = self.guard(gs)?;
                let v = self.value(x[0])?;
                let monoid = if *extremum == Extremum::Max { Monoid::Max } else { Monoid::Min };
                Ok(self.kb.reduce(&hint, v, monoid, over, guard))
            }
            Op::Arg { extremum, axis, guards } => {
                let (gs, x) = args.split_at(*guards as usize);
                self.emit_arg(*extremum, *axis, gs, x[0], &hint)
            }
            Op::KthValue { axis, guards } | Op::KthIndex { axis, guards } => {
                let (gs, rest) = args.split_at(*guards as usize);
                self.emit_kth(id, *axis, gs, (rest[0], rest[1]), matches!(op, Op::KthIndex { .. }))
            }
            _ => self.s.unsupported(id, format!("`{}` inside a kernel", op.name())),
        }
    }

    /// A term of this kernel with some axes at other positions.
    fn emit_moved(&mut self, body: NodeId, axes: &[AxisId], positions: &[NodeId]) -> Result<ValueId, Error> {
        let mut at = Vec::with_capacity(axes.len());
        for &p in positions {
            at.push(self.index(p)?);
        }
        let before: Vec<Option<Expr>> = axes.iter().zip(at).map(|(&a, e)| self.positions.insert(a, e)).collect();
        self.memo.push(Scope { values: FxHashMap::default(), moved: axes.to_vec() });
        let v = self.value(body);
        self.leave();
        for (&a, e) in axes.iter().zip(before) {
            self.restore(a, e);
        }
        v
    }

    /// Puts an axis where it stood before. One that stood nowhere may have got a tile axis for the whole of it meanwhile.
    pub(crate) fn restore(&mut self, axis: AxisId, before: Option<Expr>) {
        match before.or_else(|| self.whole.get(&axis).map(|&t| Expr::Axis(t))) {
            Some(e) => self.positions.insert(axis, e),
            None => self.positions.remove(&axis),
        };
    }

    fn emit_map(&mut self, id: NodeId, f: MapFn, args: &[NodeId], hint: &str) -> Result<ValueId, Error> {
        if self.s.c.g.dtype(id).is_int() && matches!(f, MapFn::Add | MapFn::IDiv | MapFn::Mod | MapFn::Mul) {
            let affine = self.is_quasi_affine(id);
            if affine {
                let e = self.index(id)?;
                return Ok(self.kb.index(hint, e, ElemType::I32));
            }
        }
        let mut values = Vec::with_capacity(args.len());
        for &a in args {
            values.push(self.value(a)?);
        }
        Ok(self.kb.map(hint, f, &values))
    }

    /// A product under guards: selected, never multiplied.
    fn emit_guarded(
        &mut self,
        id: NodeId,
        guards: &[NodeId],
        factors: &[NodeId],
        hint: &str,
    ) -> Result<ValueId, Error> {
        let product = self.product(factors, hint)?;
        if guards.is_empty() {
            return Ok(product);
        }
        let elem = self.elem_of(id)?;
        let mut conditions = Vec::new();
        for &g in guards {
            conditions.push(self.value(g)?);
        }
        let condition = if conditions.len() == 1 { conditions[0] } else { self.kb.map("c", MapFn::And, &conditions) };
        let zero = if elem.is_float() { Literal::Float(0.0) } else { Literal::Int(0) };
        let zero = self.kb.fill("zero", zero, elem, AxisSet::EMPTY);
        Ok(self.kb.select(hint, condition, product, zero))
    }

    /// The product of terms.
    pub(crate) fn product(&mut self, factors: &[NodeId], hint: &str) -> Result<ValueId, Error> {
        let mut values = Vec::with_capacity(factors.len());
        for &f in factors {
            values.push(self.value(f)?);
        }
        Ok(self.multiply(&values, hint))
    }

    /// The product of tiles, those over the fewest axes first.
    pub(crate) fn multiply(&mut self, values: &[ValueId], hint: &str) -> ValueId {
        let mut values = values.to_vec();
        values.sort_by_key(|&v| self.kb.type_of(v).map_or(0, |t| t.axes.len()));
        match values[..] {
            [] => self.kb.fill(hint, 1.0, self.float, AxisSet::EMPTY),
            [one] => one,
            _ => self.kb.map(hint, MapFn::Mul, &values),
        }
    }
}
