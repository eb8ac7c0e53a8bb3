//! Tiles between buffers and tile memory, and tiles read where they are.
//!
//! Row-major buffers meet tiles with lanes innermost in transposing block loads and stores: four columns at a time, where the
//! buffer has neighbouring elements along another axis of the tile. These have no mask; where a guard is needed, one test of
//! the ends of the axes chooses between them and code that tests each element.

use smallvec::SmallVec;
use weft_ir::kernel::{Access, AxisId, AxisSet, BinOp, Expr, Guard, Inst, OpCode, ValueId, VarDef};
use weft_ir::loops::Value;

use super::emit::Emitter;
use super::error::Emit;
use super::layout::is_factor;
use super::memory::QUANTUM;
use super::point::Point;

/// Columns of a block load.
const COLUMNS: i64 = 4;
/// Rows of a block load: lanes of the vectors that it fills.
const ROWS: i64 = 8;

/// A tile in memory whose elements are at `base + sum of index * stride`.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    pub(super) ptr: Value,
    pub(super) base: Value,
    pub(super) strides: SmallVec<[(AxisId, Value); 4]>,
}

impl Direct {
    /// Stride of an axis; `None` if the tile does not vary along it.
    pub(super) fn stride(&self, axis: AxisId) -> Option<Value> {
        self.strides.iter().find(|(a, _)| *a == axis).map(|(_, s)| *s)
    }
}

impl Emitter<'_> {
    /// The factors of the tile axes in an expression that is linear in them; `None` if it is not.
    fn coefficients(&self, e: &Expr) -> Option<SmallVec<[(AxisId, i64); 2]>> {
        match e {
            Expr::Axis(a) => Some(SmallVec::from_slice(&[(*a, 1)])),
            Expr::Var(v) if !self.scalars.contains_key(v) => match self.kernel.var(*v).map(|v| &v.def) {
                Some(VarDef::Let(e) | VarDef::Position(e)) => self.coefficients(e),
                _ => None,
            },
            Expr::Binary(op, a, b) => {
                let (mut x, y) = (self.coefficients(a)?, self.coefficients(b)?);
                match op {
                    BinOp::Add => x.extend(y),
                    BinOp::Sub => x.extend(y.into_iter().map(|(a, c)| (a, c.wrapping_neg()))),
                    BinOp::Mul if x.is_empty() || y.is_empty() => {
                        let (terms, factor) = if x.is_empty() { (y, a) } else { (x, b) };
                        if terms.is_empty() {
                            return Some(terms);
                        }
                        let factor = self.plan.static_value(factor)?;
                        return Some(terms.into_iter().map(|(a, c)| (a, c.wrapping_mul(factor))).collect());
                    }
                    _ if x.is_empty() && y.is_empty() => {}
                    _ => return None,
                }
                Some(x)
            }
            other => self.kernel.expr_axes(other).is_empty().then(SmallVec::new),
        }
    }

    /// Is every index of an access linear in the tile axes?
    fn is_linear(&self, access: &Access) -> bool {
        access.index.iter().all(|e| self.coefficients(e).is_some())
    }

    /// The tile of a linear access, as code at this place; `None` if it is not linear.
    pub(super) fn view(&mut self, access: &Access, axes: AxisSet) -> Emit<Option<Direct>> {
        if !self.is_linear(access) {
            return Ok(None);
        }
        let zero = self.kb.int(0);
        let origin = axes.iter().fold(Point::default(), |p, a| p.with(a, zero));
        let address = self.address(access, &origin)?;
        let (ptr, dims) = self.place_of(access)?;
        let mut strides: SmallVec<[(AxisId, Value); 4]> = axes.iter().map(|a| (a, zero)).collect();
        for (e, dim) in access.index.iter().zip(dims) {
            for (axis, c) in self.coefficients(e).unwrap_or_default() {
                let more = self.kb.mul_int(dim, c);
                if let Some((_, stride)) = strides.iter_mut().find(|(a, _)| *a == axis) {
                    *stride = self.kb.add(*stride, more);
                }
            }
        }
        Ok(Some(Direct { ptr, base: address.base, strides }))
    }

    /// A value as a tile in memory, if it is one here: stored, or a load that can be read in place.
    pub(super) fn direct(&mut self, v: ValueId) -> Emit<Option<Direct>> {
        if !self.is_expression(v) {
            let storage = self.slot(v)?;
            let strides = storage.strides.iter().map(|(a, s)| (*a, self.kb.int(*s))).collect();
            return Ok(Some(Direct { ptr: storage.ptr, base: self.kb.int(0), strides }));
        }
        let Some((inst, _)) = self.layout.facts.inst_of(v) else { return Ok(None) };
        match (inst.op, inst.args.first(), inst.attrs.over.iter().next(), inst.attrs.to) {
            (OpCode::Load | OpCode::TableRead, ..) if self.remaining_access(&inst.attrs.guard).is_always() => {
                let axes = self.ty(v)?.axes;
                self.view(self.access_of(inst)?, axes)
            }
            (OpCode::Rename, Some(operand), Some(from), Some(to)) => Ok(self.direct(*operand)?.map(|mut d| {
                for (axis, _) in &mut d.strides {
                    if *axis == from {
                        *axis = to;
                    }
                }
                d
            })),
            _ => Ok(None),
        }
    }

    /// A load or a read of a table: into tile memory now, if its readers want that; else nothing.
    pub(super) fn define_load(&mut self, inst: &Inst) -> Emit<()> {
        let v = *inst.results.first().ok_or("has no result")?;
        self.stored.remove(&v);
        if self.layout.inline.get(v.index()) == Some(&true) && self.readable_in_place(inst, v)? {
            return Ok(());
        }
        self.stored.insert(v);
        self.fetch(inst, v)
    }

    /// Can all products that read the value read it where it is? (True if none does.)
    fn readable_in_place(&self, inst: &Inst, v: ValueId) -> Emit<bool> {
        let mut factors = Vec::new();
        self.factor_uses(v, None, &mut factors);
        let access = self.access_of(inst)?;
        if factors.is_empty() {
            // Lanes that lie apart in memory come faster through a transposing copy.
            return Ok(self.block_axes(access, self.ty(v)?.axes, self.lanes_of(v)).is_none());
        }
        if !self.remaining_access(&inst.attrs.guard).is_always() || !self.is_linear(access) {
            return Ok(false);
        }
        let unit = self.unit_axis(access);
        let axes = self.ty(v)?.axes;
        let strides = self.known_strides(access);
        Ok(factors.iter().all(|(dot, renamed)| {
            // The product's name of an axis, as this value calls it.
            let own = |a: AxisId| renamed.filter(|(_, to)| *to == a).map_or(a, |(from, _)| from);
            let along = dot.results.first().and_then(|r| self.lanes_of(*r)).map(own).filter(|a| axes.contains(*a));
            let contiguous = along.is_none_or(|a| unit == Some(a) && self.extent(a) % QUANTUM == 0);
            let scattered = along.is_none() && self.is_scattered(dot, v, &strides, own);
            contiguous && !scattered && !self.collides(dot, v, &strides, own)
        }))
    }

    /// Is a splat factor better copied, because it is read for many blocks of lanes and its rows lie apart? A copy stays in the
    /// first-level cache; and to copy is to read ahead, which a product, whose window is full of multiplications, does not.
    fn is_scattered(&self, dot: &Inst, v: ValueId, strides: &[(AxisId, i64)], own: impl Fn(AxisId) -> AxisId) -> bool {
        const BLOCKS: i64 = 16;
        let lanes = dot.results.first().and_then(|r| self.lanes_of(*r)).map_or(1, |l| self.extent(l));
        let Ok(ty) = self.ty(v) else { return false };
        let contracted: AxisSet = dot.attrs.over.iter().map(&own).collect();
        // Elements between rows of which all are read.
        let dense = i64::try_from(self.layout.size(contracted.intersection(ty.axes))).unwrap_or(i64::MAX);
        let apart = |a: AxisId| {
            let stride = strides.iter().find(|(b, _)| *b == a).map_or(0, |(_, s)| *s);
            stride == 0 || stride > dense
        };
        lanes >= BLOCKS * ROWS && ty.axes.minus(contracted).iter().any(apart)
    }

    /// Would a product that reads a factor in place, many times, find it driven out of the cache by its own elements?
    fn collides(&self, dot: &Inst, v: ValueId, strides: &[(AxisId, i64)], own: impl Fn(AxisId) -> AxisId) -> bool {
        const REUSE: u64 = 16;
        let axes = self.ty(v).map_or(AxisSet::EMPTY, |t| t.axes);
        let result = dot.results.first().and_then(|r| self.ty(*r).ok()).map_or(AxisSet::EMPTY, |t| t.axes);
        let again: AxisSet = result.iter().filter(|a| !axes.contains(own(*a))).collect();
        let inst = self.layout.facts.inst_of(v).and_then(|(inst, _)| inst.attrs.access.as_ref());
        let bytes = inst.and_then(|a| self.place_elem(a).ok()).map_or(4, weft_ir::loops::Elem::bytes) as u64;
        let along_k = dot.attrs.over.iter().map(&own).filter(|k| axes.contains(*k));
        self.layout.size(again) >= REUSE
            && along_k.into_iter().any(|k| {
                let stride = strides.iter().find(|(a, _)| *a == k).map_or(0, |(_, s)| s.unsigned_abs());
                self.target.collides(stride.saturating_mul(bytes), self.extent(k).unsigned_abs())
            })
    }

    /// Strides of the tile axes of a linear access, as far as they are known before the plan runs.
    fn known_strides(&self, access: &Access) -> Vec<(AxisId, i64)> {
        let dims: Vec<Option<i64>> = match access.place {
            weft_ir::kernel::Place::Buffer(id) => {
                self.buffer(id).map_or(Vec::new(), |b| b.strides.iter().map(|s| self.kb.known_int(*s)).collect())
            }
            weft_ir::kernel::Place::Scratch(id) => {
                self.table(id).map_or(Vec::new(), |t| t.strides.iter().copied().map(Some).collect())
            }
        };
        let mut strides: Vec<(AxisId, i64)> = Vec::new();
        for (e, dim) in access.index.iter().zip(dims) {
            for (axis, c) in self.coefficients(e).unwrap_or_default() {
                let more = dim.unwrap_or(0).wrapping_mul(c);
                match strides.iter_mut().find(|(a, _)| *a == axis) {
                    Some((_, s)) => *s = s.wrapping_add(more),
                    None => strides.push((axis, more)),
                }
            }
        }
        strides
    }

    /// Products that read a value as a factor, directly or renamed.
    fn factor_uses<'f>(
        &'f self,
        v: ValueId,
        renamed: Option<(AxisId, AxisId)>,
        found: &mut Vec<(&'f Inst, Option<(AxisId, AxisId)>)>,
    ) {
        for u in self.layout.facts.uses.get(v.index()).into_iter().flatten() {
            let Some(inst) = u.inst else { continue };
            if is_factor(Some(inst), u.role) {
                found.push((inst, renamed));
            } else if let (OpCode::Rename, Some(from), Some(to)) =
                (inst.op, inst.attrs.over.iter().next(), inst.attrs.to)
            {
                inst.results.iter().for_each(|r| self.factor_uses(*r, Some((from, to)), found));
            }
        }
    }

    /// The tile axis along which neighbouring elements of an access are neighbours in memory.
    fn unit_axis(&self, access: &Access) -> Option<AxisId> {
        let (last, others) = access.index.split_last()?;
        let terms = self.coefficients(last)?;
        let mut found = None;
        for (axis, c) in &terms {
            let sum: i64 = terms.iter().filter(|(a, _)| a == axis).map(|(_, c)| *c).sum();
            if sum == 1 && *c != 0 {
                found = Some(*axis);
            }
        }
        found.filter(|a| others.iter().all(|e| !self.kernel.expr_axes(e).contains(*a)))
    }

    /// Copies a load into the memory of its value.
    fn fetch(&mut self, inst: &Inst, v: ValueId) -> Emit<()> {
        let axes = self.ty(v)?.axes;
        let access = self.access_of(inst)?;
        let guard = self.remaining_access(&inst.attrs.guard);
        let origin = Point::default();
        let free = Guard::always();
        if guard.is_always() {
            return self.fetch_where(inst, v, access, &guard);
        }
        match self.holds_everywhere(&guard, axes, &origin)? {
            None => self.fetch_where(inst, v, access, &guard),
            Some(all) => {
                self.if_else(all, |e| e.fetch_where(inst, v, access, &free), |e| e.fetch_where(inst, v, access, &guard))
            }
        }
    }

    fn fetch_where(&mut self, inst: &Inst, v: ValueId, access: &Access, guard: &Guard) -> Emit<()> {
        let axes = self.ty(v)?.axes;
        let storage = self.slot(v)?;
        let lanes = self.lanes_of(v);
        let otherwise = inst.attrs.otherwise;
        if let (true, Some((rows, columns))) = (guard.is_always(), self.block_axes(access, axes, lanes)) {
            let Some(view) = self.view(access, axes)? else { return Err("is not linear".into()) };
            let whole = self.extent(columns) / COLUMNS * COLUMNS;
            let others: Vec<AxisId> = axes.iter().filter(|a| *a != rows && *a != columns).collect();
            return self.walk(&others, &[], &Point::default(), &mut |e, p| {
                e.spans(rows, ROWS, p, &mut |e, p| {
                    e.for_extent(whole, COLUMNS, |e, column| {
                        let p = p.with(columns, column);
                        let place = e.direct_place(&view, &p)?;
                        let stride = view.stride(rows).ok_or("lacks an axis")?;
                        let width = p.span.map_or(1, |s| s.width);
                        let block = e.kb.load_block(place, stride, width);
                        for (i, x) in (0i64..).zip(block) {
                            let at = e.kb.add_int(column, i);
                            e.store_tile(&storage, &p.with(columns, at), x)?;
                        }
                        Ok(())
                    })
                })
            });
        }
        let body = &mut |e: &mut Self, p: &Point| {
            let mask = e.conjunction(guard, p)?;
            let address = e.address(access, p)?;
            let x = e.load_from(&address, p.span, mask, otherwise)?;
            e.store_tile(&storage, p, x)
        };
        match lanes.filter(|l| self.unit_axis(access) == Some(*l)) {
            // Row after row, as they lie in memory.
            Some(lanes) => {
                let others: Vec<AxisId> = axes.iter().filter(|a| *a != lanes).collect();
                self.walk(&others, &[], &Point::default(), &mut |e, p| e.spans(lanes, ROWS, p, body))
            }
            None => self.nest(axes, lanes, &[], &Point::default(), body),
        }
    }

    /// Rows and columns of transposing block accesses between a buffer and tile memory with lanes along `lanes`.
    fn block_axes(&self, access: &Access, axes: AxisSet, lanes: Option<AxisId>) -> Option<(AxisId, AxisId)> {
        let rows = lanes?;
        let columns = self.unit_axis(access)?;
        let fits = self.is_linear(access)
            && axes.contains(columns)
            && columns != rows
            && self.extent(rows) % QUANTUM == 0
            && self.extent(columns) % COLUMNS == 0
            && self.place_elem(access).is_ok_and(|e| e.in_register().bytes() == 4);
        fits.then_some((rows, columns))
    }

    /// The place of an element of a tile in memory (of the first lane).
    pub(super) fn direct_place(&mut self, d: &Direct, p: &Point) -> Emit<weft_ir::loops::Place> {
        let at = self.direct_index(d, p)?;
        Ok(self.kb.at(d.ptr, at))
    }

    /// The index of an element of a tile in memory, from the tile's pointer.
    pub(super) fn direct_index(&mut self, d: &Direct, p: &Point) -> Emit<Value> {
        let mut at = d.base;
        for (axis, stride) in &d.strides {
            let i = p.get(*axis).ok_or("an axis is not bound")?;
            let i = self.kb.mul(i, *stride);
            at = self.kb.add(at, i);
        }
        Ok(at)
    }

    /// `store`: a tile into a buffer (or a table, for `table_set`).
    pub(super) fn store(&mut self, inst: &Inst) -> Emit<()> {
        let x = *inst.args.first().ok_or("has nothing to store")?;
        let access = self.access_of(inst)?;
        let guard = self.remaining_access(&inst.attrs.guard);
        let axes = self.ty(x)?.axes.union(self.kernel.access_axes(access)).union(self.kernel.guard_axes(&guard));
        let free = Guard::always();
        if guard.is_always() {
            return self.store_where(x, access, axes, &guard);
        }
        match self.holds_everywhere(&guard, axes, &Point::default())? {
            None => self.store_where(x, access, axes, &guard),
            Some(all) => {
                self.if_else(all, |e| e.store_where(x, access, axes, &free), |e| e.store_where(x, access, axes, &guard))
            }
        }
    }

    fn store_where(&mut self, x: ValueId, access: &Access, axes: AxisSet, guard: &Guard) -> Emit<()> {
        let lanes = self.lanes_of(x).filter(|a| axes.contains(*a)).or_else(|| self.layout.innermost(axes));
        // An axis that only the guard has: all its elements go to one place.
        let lanes = lanes.filter(|a| self.kernel.access_axes(access).contains(*a));
        if let (true, Some((rows, columns))) = (guard.is_always(), self.block_axes(access, axes, lanes)) {
            let Some(view) = self.view(access, axes)? else { return Err("is not linear".into()) };
            let others: Vec<AxisId> = axes.iter().filter(|a| *a != rows && *a != columns).collect();
            let extent = self.extent(columns);
            return self.spans(rows, ROWS, &Point::default(), &mut |e, p| {
                e.hoist(x, p)?;
                e.walk(&others, &[x], p, &mut |e, p| {
                    e.for_extent(extent, COLUMNS, |e, column| {
                        let p = p.with(columns, column);
                        let place = e.direct_place(&view, &p)?;
                        let stride = view.stride(rows).ok_or("lacks an axis")?;
                        let width = p.span.map_or(1, |s| s.width);
                        let mut block = [e.kb.int(0); 4];
                        for (i, slot) in (0i64..).zip(&mut block) {
                            let at = e.kb.add_int(column, i);
                            let x = e.value(x, &p.with(columns, at))?;
                            *slot = if e.kb.ty(x).is_vector() { x } else { e.kb.splat(x, width) };
                        }
                        e.kb.store_block(place, stride, block);
                        Ok(())
                    })
                })
            });
        }
        self.nest(axes, lanes, &[x], &Point::default(), &mut |e, p| {
            let mask = e.conjunction(guard, p)?;
            let address = e.address(access, p)?;
            let x = e.value(x, p)?;
            e.store_to(&address, p.span, mask, x)
        })
    }
}
