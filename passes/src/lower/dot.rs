//! Products: `C[rows][lanes] += sum over k of splat(A[rows][k]) * B[k][lanes]`.
//!
//! A block of rows and lanes is accumulated in register variables over the whole contraction and stored once. The factor with
//! the lane axis is read as vectors, the other as splats from wherever it lies; neither is packed. Where both factors have the
//! lane axis, or neither, the same loops multiply lane by lane. What is accumulated into is an expression like any other, read
//! when a block starts, so that a rescaling of the carried sum costs one multiplication per element and no pass of its own.

use weft_ir::kernel::{AxisId, Guard, Inst, ValueId};
use weft_ir::loops::{Elem, Pattern, Place, Reference, Ty, Unroll, Value, Var};

use super::emit::{Emitter, Storage};
use super::error::Emit;
use super::point::Point;
use super::transfer::Direct;

/// Contraction steps written out per round of the loop, as far as they divide its length.
const UNROLL: i64 = 4;

/// One product, as far as it is the same for all its blocks.
struct Product<'i> {
    /// Read as vectors (or as it is, if it does not have the lane axis).
    vector: Direct,
    /// Read as splats.
    splat: Direct,
    acc: Option<ValueId>,
    guard: &'i Guard,
    elem: Elem,
    storage: Storage,
    /// Axis of the rows of a block, which the splat factor has alone.
    rows: Option<AxisId>,
    lanes: Option<AxisId>,
    /// Contracted axes; the last is innermost.
    contracted: Vec<AxisId>,
}

impl Emitter<'_> {
    /// `dot`
    pub(super) fn dot(&mut self, inst: &Inst) -> Emit<()> {
        let (Some(&result), [a, b, rest @ ..]) = (inst.results.first(), &inst.args[..]) else {
            return Err("lacks operands".into());
        };
        let axes = self.ty(result)?.axes;
        let elem = self.elem_of(result)?;
        let lanes = self.lanes_of(result);
        let (left, right) = (self.ty(*a)?.axes, self.ty(*b)?.axes);
        // The factor that has the lane axis is the vector.
        let swap = lanes.is_some_and(|l| left.contains(l) && !right.contains(l));
        let (a, b) = if swap { (b, a) } else { (a, b) };
        let (left, right) = if swap { (right, left) } else { (left, right) };
        let own = left.minus(right).minus(inst.attrs.over);
        let rows = own.iter().filter(|r| Some(*r) != lanes).max_by_key(|r| self.extent(*r));
        let mut contracted: Vec<AxisId> = inst.attrs.over.iter().collect();
        contracted.sort_by_key(|k| self.extent(*k));
        let guard = self.remaining(&inst.attrs.guard);
        let missing = "a factor is not in memory";
        let product = Product {
            splat: self.direct(*a)?.ok_or(missing)?,
            vector: self.direct(*b)?.ok_or(missing)?,
            acc: rest.first().copied(),
            guard: &guard,
            elem,
            storage: self.slot(result)?,
            rows,
            lanes,
            contracted,
        };
        let others: Vec<AxisId> = axes.iter().filter(|x| Some(*x) != lanes && Some(*x) != rows).collect();
        let lane_count = lanes.map_or(1, |l| self.extent(l));
        let row_count = rows.map_or(1, |r| self.extent(r));
        let block = self.target.block(
            u32::try_from(elem.bytes()).unwrap_or(8),
            u16::try_from(lane_count.min(64)).unwrap_or(64).next_multiple_of(4),
            u32::try_from(row_count).unwrap_or(u32::MAX),
        );
        let height = i64::from(block.rows);
        self.walk(&others, &[], &Point::default(), &mut |e, p| {
            let whole = row_count / height * height;
            e.for_extent(whole, height, |e, row| e.block(&product, row, height, i64::from(block.lanes), p))?;
            if whole < row_count {
                let row = e.kb.int(whole);
                e.scope(|e| e.block(&product, row, row_count - whole, i64::from(block.lanes), p))?;
            }
            Ok(())
        })
    }

    /// Rows `row .. row + height` of a product, along all lanes.
    fn block(&mut self, product: &Product<'_>, row: Value, height: i64, lanes: i64, p: &Point) -> Emit<()> {
        let body = &mut |e: &mut Self, p: &Point| {
            let points: Vec<Point> = (0..height)
                .map(|r| match product.rows {
                    Some(axis) => {
                        let at = e.kb.add_int(row, r);
                        p.with(axis, at)
                    }
                    None => p.clone(),
                })
                .collect();
            let width = p.span.map_or(1, |s| s.width);
            let zero = e.kb.zero(Ty::vector(product.elem, width));
            let mut sums = Vec::new();
            for p in &points {
                let start = match product.acc {
                    None => zero,
                    Some(acc) => {
                        let x = e.value(acc, p)?;
                        if width > 1 && !e.kb.ty(x).is_vector() { e.kb.splat(x, width) } else { x }
                    }
                };
                sums.push(e.kb.var("sum", start));
            }
            e.contract(product, &points, &sums, &product.contracted)?;
            for (p, sum) in points.iter().zip(&sums) {
                let x = e.kb.get(*sum);
                e.store_tile(&product.storage, p, x)?;
            }
            Ok(())
        };
        match product.lanes {
            Some(axis) => self.spans(axis, lanes, p, body),
            None => body(self, p),
        }
    }

    /// The loops over the contracted axes.
    fn contract(&mut self, product: &Product<'_>, points: &[Point], sums: &[Var], axes: &[AxisId]) -> Emit<()> {
        match axes {
            [] => {
                let zero = self.kb.int(0);
                self.round(product, points, sums, None, zero, 1)
            }
            [axis] => {
                let extent = self.extent(*axis);
                let steps = (1..=UNROLL).rev().find(|u| extent % u == 0).unwrap_or(1);
                let (lo, hi) = (self.kb.int(0), self.kb.int(extent));
                self.for_range((lo, hi, steps), Unroll::No, |e, k| e.round(product, points, sums, Some(*axis), k, steps))
            }
            [axis, inner @ ..] => {
                let extent = self.extent(*axis);
                self.for_extent(extent, 1, |e, k| {
                    let points: Vec<Point> = points.iter().map(|p| p.with(*axis, k)).collect();
                    e.contract(product, &points, sums, inner)
                })
            }
        }
    }

    /// Steps `k .. k + steps` of a contraction.
    fn round(
        &mut self,
        product: &Product<'_>,
        points: &[Point],
        sums: &[Var],
        axis: Option<AxisId>,
        k: Value,
        steps: i64,
    ) -> Emit<()> {
        let Some(first) = points.first() else { return Ok(()) };
        let at = |p: &Point, k: Value| axis.map_or_else(|| p.clone(), |a| p.with(a, k));
        // Rows and steps at constant distances share one address.
        let row_stride = match product.rows {
            Some(rows) => product.splat.stride(rows),
            None => None,
        };
        let constant_rows = row_stride.is_none_or(|s| self.kb.known_int(s).is_some());
        let row_step = row_stride.and_then(|s| self.kb.known_int(s)).unwrap_or(0);
        let starts: Vec<Place> = if constant_rows {
            let place = self.direct_place(&product.splat, &at(first, k))?;
            (0i64..).take(points.len()).map(|r| place.plus(r.wrapping_mul(row_step))).collect()
        } else {
            points.iter().map(|p| self.direct_place(&product.splat, &at(p, k))).collect::<Emit<_>>()?
        };
        let vector = self.direct_place(&product.vector, &at(first, k))?;
        for step in 0..steps {
            let k = self.kb.add_int(k, step);
            let place = self.stepped(&product.vector, vector, axis, step, &at(first, k))?;
            let b = self.factor(product, &product.vector, place, first)?;
            for ((p, sum), start) in points.iter().zip(sums).zip(&starts) {
                let p = at(p, k);
                let place = self.stepped(&product.splat, *start, axis, step, &p)?;
                let a = self.factor(product, &product.splat, place, &p)?;
                let old = self.kb.get(*sum);
                let new = self.kb.fma(a, b, old);
                let new = match self.conjunction(product.guard, &p)? {
                    Some(mask) => self.kb.select(mask, new, old),
                    None => new,
                };
                self.kb.set(*sum, new);
            }
        }
        Ok(())
    }

    /// The place `step` elements further along a contracted axis than `start`.
    fn stepped(&mut self, d: &Direct, start: Place, axis: Option<AxisId>, step: i64, p: &Point) -> Emit<Place> {
        let stride = axis.and_then(|a| d.stride(a));
        match stride.map(|s| self.kb.known_int(s)) {
            None => Ok(start),
            Some(Some(stride)) => Ok(start.plus(stride.wrapping_mul(step))),
            Some(None) if step == 0 => Ok(start),
            Some(None) => self.direct_place(d, p),
        }
    }

    /// An element of a factor: spread over the lanes if it does not vary along them.
    fn factor(&mut self, product: &Product<'_>, d: &Direct, place: Place, p: &Point) -> Emit<Value> {
        let span = p.span.filter(|s| d.stride(s.axis).is_some());
        let x = match span {
            None => self.kb.load_splat(place, p.span.map_or(1, |s| s.width)),
            Some(span) => {
                let stride = d.stride(span.axis).ok_or("lacks an axis")?;
                match self.kb.known_int(stride) {
                    Some(1) => self.kb.load(place, span.width),
                    _ => {
                        let mask = self.reach(None, Some(span));
                        self.kb.load_as(Reference { place, pattern: Pattern::Strided(stride), mask }, span.width)
                    }
                }
            }
        };
        Ok(self.kb.convert(x, product.elem))
    }
}
