//! Tile code: terms of the working graph as kernel IR.
//!
//! Every graph axis in scope has a *position*, an index expression over grid variables, loop positions and tile axes; a
//! term becomes the tile of its values over the tile axes on which its positions depend. Values are remembered by scope,
//! so a term that a loop does not change, once computed before it, is not computed again inside ([`Emitter::hoist`]).

use super::ranges::TileSpan;
use super::{Error, Scheduler};
use rustc_hash::FxHashMap;
use weft_ir::graph::{self, AxisId, DomainId, Extremum, InputId, MapFn, NodeId, Op, Scalar};
use weft_ir::kernel::{
    self, Access, Attrs, AxisSet, BinOp, Domain, ElemType, Expr, Guard, KernelBuilder, Literal, Monoid, OpCode,
    ValueId, VarId,
};

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

    // ---- axes

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

    // ---- scopes

    pub(crate) fn enter(&mut self) {
        self.memo.push(Scope::default());
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
                if self.s.c.g.static_extent(x).is_some_and(|n| n <= self.s.options.tiles.depth * 2) {
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

    // ---- integers

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
                let mut parts = parts.into_iter();
                let first = parts.next().unwrap_or(Expr::Const(0));
                parts.fold(first, |a, b| Expr::binary(op, a, b))
            }
            _ => Expr::Value(self.value(id)?),
        })
    }

    /// Least and greatest value of an expression, as far as they are known when compiling.
    fn interval(&self, e: &Expr) -> (Option<i64>, Option<i64>) {
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

    // ---- conditions

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

    // ---- values

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

    fn emit(&mut self, id: NodeId) -> Result<ValueId, Error> {
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
                Op::Input(i) => {
                    let mut at = Vec::new();
                    for (&a, &p) in axes.iter().zip(&args[1..]) {
                        at.push((a, self.index(p)?));
                    }
                    let name = self.s.c.g.input(i).name.to_string();
                    self.load(id, i, &at, &name)
                }
                Op::Prev(_) => self.s.unsupported(id, "the state of a recurrence at other positions of its own axes"),
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
            match e {
                Some(e) => self.positions.insert(a, e),
                None => self.positions.remove(&a),
            };
        }
        v
    }

    /// Whole tile axes of bound axes.
    fn whole_axes(&mut self, id: NodeId, axes: &[AxisId]) -> Result<AxisSet, Error> {
        let mut set = AxisSet::EMPTY;
        for &a in axes {
            if self.s.c.g.static_extent(a).is_none() {
                return self.s.unsupported(id, format!("a reduction over `{}` inside tile code", self.axis_name(a)));
            }
            set.insert(self.whole_axis(a));
        }
        Ok(set)
    }

    fn emit_map(&mut self, id: NodeId, f: MapFn, args: &[NodeId], hint: &str) -> Result<ValueId, Error> {
        if self.s.c.g.dtype(id).is_int() && matches!(f, MapFn::Add | MapFn::IDiv | MapFn::Mod | MapFn::Mul) {
            let affine =
                self.s.find(id, |op| !matches!(op, Op::Const(_) | Op::Index(_) | Op::Size(_) | Op::Map(_))).is_none();
            if affine {
                let e = self.index(id)?;
                return Ok(self.kb.index(hint, e, ElemType::I32));
            }
        }
        let mut values = Vec::with_capacity(args.len());
        for &a in args {
            values.push(self.value(a)?);
        }
        let function = match f {
            MapFn::Div0 => {
                let inverse = self.kb.map(hint, kernel::MapFn::Inv0, &values[1..]);
                return Ok(self.kb.map(hint, kernel::MapFn::Mul, &[values[0], inverse]));
            }
            _ => match kernel::MapFn::from_name(f.name()) {
                Some(k) => k,
                None => return self.s.unsupported(id, format!("the function `{}`", f.name())),
            },
        };
        Ok(self.kb.map(hint, function, &values))
    }

    /// Elements of memory at positions, zero where they would lie outside.
    fn load(&mut self, id: NodeId, input: InputId, at: &[(AxisId, Expr)], hint: &str) -> Result<ValueId, Error> {
        let Some(memory) = self.s.memory.get(&input).cloned() else {
            return self.s.unsupported(id, "a value that is not stored");
        };
        let mut index: Vec<Expr> = Vec::new();
        for &a in &memory.axes {
            let e = match at.iter().find(|(x, _)| *x == a) {
                Some((_, e)) => e.clone(),
                None => match self.positions.get(&a) {
                    Some(e) => e.clone(),
                    None => return self.s.unsupported(id, format!("axis `{}` outside its kernel", self.axis_name(a))),
                },
            };
            index.push(e);
        }
        let mut guard = Guard::always();
        for (n, &a) in memory.axes.iter().enumerate() {
            let batch = |b: AxisId| memory.axes.iter().position(|&x| x == b).map(|p| index[p].clone());
            let extent = self.s.extent_expr(self.s.c.g.axis(a).domain, &batch);
            self.stay_inside(&mut guard, &index[n], &extent);
        }
        let dtype = self.s.c.concrete(self.s.c.g.input(input).dtype);
        let elem = self.s.elem(dtype)?;
        let zero = match dtype {
            weft_ir::DType::Bool => Literal::Bool(false),
            t if t.is_int() => Literal::Int(0),
            _ => Literal::Float(0.0),
        };
        let v = self.kb.load(hint, memory.buffer, index, guard, Some(zero));
        let want = self.elem_of(id)?;
        Ok(if dtype.is_float() && elem != want { self.kb.cast(hint, v, want) } else { v })
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
        let condition =
            if conditions.len() == 1 { conditions[0] } else { self.kb.map("c", kernel::MapFn::And, &conditions) };
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
            _ => self.kb.map(hint, kernel::MapFn::Mul, &values),
        }
    }

    /// A sum over short axes, in steps along those that are too long for one tile.
    fn emit_sum(
        &mut self,
        id: NodeId,
        axes: &[AxisId],
        guards: &[NodeId],
        factors: &[NodeId],
        hint: &str,
    ) -> Result<ValueId, Error> {
        if let Some(&long) = axes.iter().find(|&&a| self.s.c.g.static_extent(a).is_none()) {
            if axes.len() > 1 {
                return self
                    .s
                    .unsupported(id, format!("a sum over `{}` and other axes inside tile code", self.axis_name(long)));
            }
            return self.emit_inner_stream(id, long, guards, factors, hint);
        }
        // Innermost in memory first, as whole tile axes while they fit; the others are walked.
        let mut order = axes.to_vec();
        order.sort_by_key(|&a| std::cmp::Reverse(self.innermost(a, factors)));
        let depth = self.s.options.tiles.depth;
        let (mut room, mut walked) = (depth, Vec::new());
        for &a in &order {
            let n = self.s.static_size(a);
            if self.whole.contains_key(&a) || (n <= room && walked.is_empty()) {
                self.whole_axis(a);
                room = (room / n.max(1)).max(1);
            } else {
                walked.push(a);
            }
        }
        if walked.is_empty() {
            return self.sum_tile(id, axes, guards, factors, None, hint);
        }
        for &f in factors.iter().chain(guards) {
            self.hoist(f, &walked)?;
        }
        self.walk(id, &walked, room, axes, guards, factors, None, hint)
    }

    /// A sum over a long axis inside the tile of another stream: a loop of its own for every tile of pairs.
    fn emit_inner_stream(
        &mut self,
        id: NodeId,
        axis: AxisId,
        guards: &[NodeId],
        factors: &[NodeId],
        hint: &str,
    ) -> Result<ValueId, Error> {
        for &x in factors.iter().chain(guards) {
            self.hoist(x, &[axis])?;
        }
        let mut around = AxisSet::EMPTY;
        for a in self.s.c.g.free(id).iter().collect::<Vec<_>>() {
            if let Some(e) = self.positions.get(&a) {
                around = around.union(self.kb.kernel().expr_axes(e));
            }
        }
        let elem = self.elem_of(id)?;
        let zero =
            self.kb.fill("zero", if elem.is_float() { Literal::Float(0.0) } else { Literal::Int(0) }, elem, around);
        let extent = self.extent(axis);
        let (bounding, opaque) = self.bounding(guards, axis);
        let range = self.range(&bounding, axis, extent.clone());
        let name = self.axis_name(axis);
        let tile = self.kb.axis(&name, self.s.options.tiles.stream);
        let body = self.kb.begin_loop(
            &name,
            Some(tile),
            Domain::Dense { lo: range.lo, hi: range.hi },
            range.full,
            &[("acc", zero)],
        );
        self.note_bounds(body.index, 0, None);
        self.note_bounds(body.pos, 0, None);
        self.enter();
        self.positions.insert(axis, Expr::Var(body.pos));
        let mut guard = self.guard(&bounding)?;
        guard.atoms.push(Expr::Var(body.pos).lt(extent));
        for c in opaque {
            let v = self.value(c)?;
            guard.opaque.push(v);
        }
        let mut values = Vec::new();
        for &f in factors {
            values.push(self.value(f)?);
        }
        let p = self.multiply(&values, hint);
        let missing = AxisSet::from(tile).union(around).minus(self.kb.type_of(p).map_or(AxisSet::EMPTY, |t| t.axes));
        let p = if missing.is_empty() { p } else { self.kb.expand(hint, p, missing) };
        let sum = self.kb.reduce(hint, p, Monoid::Sum, tile, guard);
        let next = self.kb.map(hint, kernel::MapFn::Add, &[body.carried[0], sum]);
        self.positions.remove(&axis);
        self.leave();
        Ok(self.kb.end_loop(&[next])[0])
    }

    /// How far inside the memory of some factor an axis is.
    fn innermost(&self, axis: AxisId, factors: &[NodeId]) -> usize {
        factors
            .iter()
            .filter_map(|&f| {
                let at = match self.s.c.g.op(f) {
                    Op::Input(_) => f,
                    Op::Sub { .. } => self.s.c.g.args(f)[0],
                    _ => return None,
                };
                let Op::Input(i) = self.s.c.g.op(at) else { return None };
                let axes = &self.s.c.g.input(*i).axes;
                let direct = axes.iter().position(|&x| x == axis || (at != f && self.mentions(f, x, axis)));
                direct.map(|p| p + 16 - axes.len())
            })
            .max()
            .unwrap_or(0)
    }

    fn mentions(&self, sub: NodeId, dimension: AxisId, axis: AxisId) -> bool {
        let Op::Sub { axes } = self.s.c.g.op(sub) else { return false };
        axes.iter().position(|&a| a == dimension).is_some_and(|p| self.s.has(self.s.c.g.args(sub)[p + 1], axis))
    }

    /// Loops over the axes that are left, then the tile's sum, accumulated.
    #[expect(clippy::too_many_arguments, reason = "one recursive step of emit_sum with its whole state")]
    fn walk(
        &mut self,
        id: NodeId,
        walked: &[AxisId],
        room: i64,
        axes: &[AxisId],
        guards: &[NodeId],
        factors: &[NodeId],
        acc: Option<ValueId>,
        hint: &str,
    ) -> Result<ValueId, Error> {
        let Some((&axis, rest)) = walked.split_last() else {
            return self.sum_tile(id, axes, guards, factors, acc, hint);
        };
        let init = match acc {
            Some(a) => a,
            None => self.zero_like_sum(id, axes, factors)?,
        };
        let n = self.s.static_size(axis);
        // The outermost axes go one by one.
        let step = if rest.is_empty() { room.clamp(1, n) } else { 1 };
        let name = self.axis_name(axis);
        let tile = (step > 1).then(|| self.kb.axis(&name, step));
        let domain = Domain::Dense { lo: Expr::Const(0), hi: Expr::Const(n) };
        let body = self.kb.begin_loop(&name, tile, domain, None, &[("acc", init)]);
        self.note_bounds(body.index, 0, Some(n - 1));
        self.note_bounds(body.pos, 0, if n % step == 0 { Some(n - 1) } else { None });
        self.enter();
        self.positions.insert(axis, Expr::Var(body.pos));
        let inner = self.walk(id, rest, room, axes, guards, factors, Some(body.carried[0]), hint)?;
        self.positions.remove(&axis);
        self.leave();
        let results = self.kb.end_loop(&[inner]);
        Ok(results[0])
    }

    fn zero_like_sum(&mut self, id: NodeId, axes: &[AxisId], factors: &[NodeId]) -> Result<ValueId, Error> {
        let mut set = AxisSet::EMPTY;
        let free: Vec<AxisId> = factors.iter().flat_map(|&f| self.s.c.g.free(f).iter().collect::<Vec<_>>()).collect();
        for a in free {
            if !axes.contains(&a)
                && let Some(e) = self.positions.get(&a)
            {
                set = set.union(self.kb.kernel().expr_axes(e));
            }
        }
        let elem = self.elem_of(id)?;
        let zero = if elem.is_float() { Literal::Float(0.0) } else { Literal::Int(0) };
        Ok(self.kb.fill("zero", zero, elem, set))
    }

    /// Tile axes on which the positions of bound axes depend.
    fn tile_axes_of(&self, axes: &[AxisId]) -> AxisSet {
        axes.iter()
            .filter_map(|a| self.positions.get(a))
            .map(|e| self.kb.kernel().expr_axes(e))
            .fold(AxisSet::EMPTY, AxisSet::union)
    }

    /// The sum of one tile: a dot of two groups of factors where that is what it is, else a reduction of the product.
    fn sum_tile(
        &mut self,
        id: NodeId,
        axes: &[AxisId],
        guards: &[NodeId],
        factors: &[NodeId],
        acc: Option<ValueId>,
        hint: &str,
    ) -> Result<ValueId, Error> {
        let mut values = Vec::new();
        for &f in factors {
            values.push(self.value(f)?);
        }
        let guard = self.guard(guards)?;
        let over = self.tile_axes_of(axes);
        self.contract(id, &values, over, guard, acc, hint)
    }

    /// The sum over tile axes of a product of tiles, where a guard holds.
    pub(crate) fn contract(
        &mut self,
        id: NodeId,
        values: &[ValueId],
        over: AxisSet,
        guard: Guard,
        acc: Option<ValueId>,
        hint: &str,
    ) -> Result<ValueId, Error> {
        let axes_of = |e: &Self, v: ValueId| e.kb.type_of(v).map_or(AxisSet::EMPTY, |t| t.axes);
        let is_float = values.iter().all(|&v| self.kb.type_of(v).is_some_and(|t| t.elem.is_float()));
        if over.is_empty() {
            // An axis of one element, walked without a tile axis.
            let mut p = self.multiply(values, hint);
            if !guard.is_always() {
                let ok = self.guard_tile(&guard)?;
                let elem = self.elem_of(id)?;
                let zero = self.kb.fill(
                    "zero",
                    if elem.is_float() { Literal::Float(0.0) } else { Literal::Int(0) },
                    elem,
                    AxisSet::EMPTY,
                );
                p = self.kb.select(hint, ok, p, zero);
            }
            return Ok(match acc {
                Some(a) => self.kb.map(hint, kernel::MapFn::Add, &[a, p]),
                None => p,
            });
        }
        // Two sides: those that vary with the lanes, and the others.
        let lanes = self.kb.kernel().lanes.map_or(AxisSet::EMPTY, AxisSet::from);
        let (rows, others): (Vec<ValueId>, Vec<ValueId>) =
            values.iter().partition(|&&v| !axes_of(self, v).intersection(lanes).is_empty());
        let outer =
            |e: &Self, vs: &[ValueId]| vs.iter().fold(AxisSet::EMPTY, |s, &v| s.union(axes_of(e, v))).minus(over);
        let separable = !rows.is_empty() && !others.is_empty() && !outer(self, &others).is_empty();
        if is_float && separable && guard.is_always() {
            let (a, b) = (self.multiply(&rows, hint), self.multiply(&others, hint));
            return Ok(self.kb.dot(hint, a, b, over, acc));
        }
        let p = self.multiply(values, hint);
        let sum = self.kb.reduce(hint, p, Monoid::Sum, over, guard);
        Ok(match acc {
            Some(a) => self.kb.map(hint, kernel::MapFn::Add, &[a, sum]),
            None => sum,
        })
    }

    /// A guard as a tile of truth values.
    pub(crate) fn guard_tile(&mut self, guard: &Guard) -> Result<ValueId, Error> {
        let mut parts: Vec<ValueId> = guard.opaque.to_vec();
        for a in &guard.atoms {
            let (l, r) =
                (self.kb.index("l", a.lhs.clone(), ElemType::I32), self.kb.index("r", a.rhs.clone(), ElemType::I32));
            let f = match a.cmp {
                kernel::Cmp::Lt => kernel::MapFn::Lt,
                kernel::Cmp::Le => kernel::MapFn::Le,
                kernel::Cmp::Gt => kernel::MapFn::Gt,
                kernel::Cmp::Ge => kernel::MapFn::Ge,
                kernel::Cmp::Eq => kernel::MapFn::Eq,
                kernel::Cmp::Ne => kernel::MapFn::Ne,
            };
            parts.push(self.kb.map("ok", f, &[l, r]));
        }
        Ok(match parts[..] {
            [] => self.kb.fill("ok", true, ElemType::Bool, AxisSet::EMPTY),
            [one] => one,
            _ => self.kb.map("ok", kernel::MapFn::And, &parts),
        })
    }

    /// Position of an extremum over a short axis, walked in blocks.
    fn emit_arg(
        &mut self,
        extremum: Extremum,
        axis: AxisId,
        guards: &[NodeId],
        x: NodeId,
        hint: &str,
    ) -> Result<ValueId, Error> {
        const BLOCK: i64 = 16;
        let n = self.s.static_size(axis);
        let monoid = if extremum == Extremum::Max { Monoid::ArgMax } else { Monoid::ArgMin };
        let pick =
            |e: &mut Self, position: Expr, tile: kernel::AxisId, guards: &[NodeId]| -> Result<Vec<ValueId>, Error> {
                let v = e.value(x)?;
                let mut guard = e.guard(guards)?;
                e.stay_inside(&mut guard, &position, &Expr::Const(n));
                let payload = e.kb.index("at", position, ElemType::I32);
                let attrs = Attrs { monoid: Some(monoid), over: tile.into(), guard, ..Attrs::default() };
                Ok(e.kb.inst(hint, OpCode::Reduce, &[v, payload], attrs))
            };
        if n <= BLOCK {
            let tile = self.whole_axis(axis);
            let best = pick(self, Expr::Axis(tile), tile, guards)?;
            return Ok(best[1]);
        }
        self.hoist(x, &[axis])?;
        let worst = if extremum == Extremum::Max { f64::NEG_INFINITY } else { f64::INFINITY };
        let mut set = AxisSet::EMPTY;
        for a in self.s.c.g.free(x).iter().filter(|&a| a != axis).collect::<Vec<_>>() {
            if let Some(e) = self.positions.get(&a) {
                set = set.union(self.kb.kernel().expr_axes(e));
            }
        }
        let best = self.kb.fill("best", worst, self.float, set);
        let at = self.kb.fill("at", 0i64, ElemType::I32, set);
        let name = self.axis_name(axis);
        let tile = self.kb.axis(&name, BLOCK);
        let domain = Domain::Dense { lo: Expr::Const(0), hi: Expr::Const(n) };
        let body = self.kb.begin_loop(&name, Some(tile), domain, None, &[("best", best), ("at", at)]);
        self.note_bounds(body.index, 0, Some(n - 1));
        self.note_bounds(body.pos, 0, if n % BLOCK == 0 { Some(n - 1) } else { None });
        self.enter();
        self.positions.insert(axis, Expr::Var(body.pos));
        let found = pick(self, Expr::Var(body.pos), tile, guards)?;
        // Ties go to the lower position, which an earlier block has.
        let order = if extremum == Extremum::Max { [body.carried[0], found[0]] } else { [found[0], body.carried[0]] };
        let better = self.kb.map("better", kernel::MapFn::Lt, &order);
        let best = self.kb.select("best", better, found[0], body.carried[0]);
        let at = self.kb.select("at", better, found[1], body.carried[1]);
        self.positions.remove(&axis);
        self.leave();
        let results = self.kb.end_loop(&[best, at]);
        Ok(results[1])
    }

    // ---- stores

    /// Stores a tile at the current positions of the axes of a buffer.
    pub(crate) fn store(&mut self, input: InputId, value: ValueId) -> Result<(), Error> {
        self.store_where(input, value, Guard::always())
    }

    /// Stores a tile where a guard holds.
    pub(crate) fn store_where(&mut self, input: InputId, value: ValueId, guard: Guard) -> Result<(), Error> {
        let Some(memory) = self.s.memory.get(&input).cloned() else {
            return self.s.unsupported(NodeId(0), "a store without memory");
        };
        let mut index = Vec::new();
        for &a in &memory.axes {
            match self.positions.get(&a) {
                Some(e) => index.push(e.clone()),
                None => return self.s.unsupported(NodeId(0), format!("a store without axis `{}`", self.axis_name(a))),
            }
        }
        let mut guard = guard;
        for (n, &a) in memory.axes.iter().enumerate() {
            let batch = |b: AxisId| memory.axes.iter().position(|&x| x == b).map(|p| index[p].clone());
            let extent = self.s.extent_expr(self.s.c.g.axis(a).domain, &batch);
            self.stay_inside(&mut guard, &index[n], &extent);
        }
        // Grid points that differ in what the buffer lacks hold the same value: the first of them stores it.
        for n in 0..self.kb.kernel().grid.len() {
            let var = self.kb.kernel().grid[n].var;
            if !index.iter().any(|e| self.uses(e, var)) {
                guard.atoms.push(Expr::Var(var).equals(0));
            }
        }
        let elem = self.s.elem(self.s.c.g.input(input).dtype)?;
        let ty = self.kb.type_of(value);
        let value = if ty.is_some_and(|t| t.elem != elem) { self.kb.cast("out", value, elem) } else { value };
        // Axes that the value does not vary over are stored all the same.
        let axes = self.kb.kernel().access_axes(&Access::buffer(memory.buffer, index.iter().cloned()));
        let missing = axes.minus(self.kb.type_of(value).map_or(AxisSet::EMPTY, |t| t.axes));
        let value = if missing.is_empty() { value } else { self.kb.expand("out", value, missing) };
        self.kb.store(memory.buffer, index, value, guard);
        Ok(())
    }

    /// Does an expression depend on a scalar, through definitions?
    fn uses(&self, e: &Expr, var: VarId) -> bool {
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
