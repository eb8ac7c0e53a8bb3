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

/// Contraction steps written out per round of the loop, as far as they divide its length. The more there are, the rarer the moves
/// that bring sums back into the registers in which a round expects them.
const UNROLL: i64 = 16;

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

/// A place that moves along a contracted axis.
#[derive(Clone, Copy)]
struct Running {
    ptr: Value,
    index: Var,
    stride: Value,
}

/// Which loop over blocks is the outer one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    /// For each block of rows, all lanes.
    RowsOutside,
    /// For each block of lanes, all rows.
    LanesOutside,
}

/// Distance of a row from the first row of its block.
#[derive(Clone, Copy)]
enum Row {
    /// A constant number of elements: part of the instruction.
    Near(i64),
    /// A number known at run time.
    Far(Value),
}

/// Steps of a contraction that are written out.
fn steps(extent: i64) -> i64 {
    (1..=UNROLL).rev().find(|u| extent % u == 0).unwrap_or(1)
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
        let steps = product.contracted.last().map_or(1, |k| steps(self.extent(*k)));
        let block = self.target.block(
            u32::try_from(elem.bytes()).unwrap_or(8),
            u16::try_from(lane_count.min(64)).unwrap_or(64).next_multiple_of(4),
            u32::try_from(row_count).unwrap_or(u32::MAX),
            u32::try_from(steps).unwrap_or(1),
        );
        let order = self.order(*a, &product, lane_count);
        let (height, width) = (i64::from(block.rows), i64::from(block.lanes));
        self.walk(&others, &[], &Point::default(), &mut |e, p| match (order, product.lanes) {
            (Order::LanesOutside, Some(axis)) => e.spans(axis, width, p, &mut |e, p| {
                if let Some(acc) = product.acc {
                    e.hoist(acc, p)?;
                }
                e.blocks(row_count, height, &mut |e, row, height| e.block(&product, row, height, p))
            }),
            (_, axis) => e.blocks(row_count, height, &mut |e, row, height| match axis {
                Some(axis) => e.spans(axis, width, p, &mut |e, p| e.block(&product, row, height, p)),
                None => e.block(&product, row, height, p),
            }),
        })
    }

    /// Which factor is read again and again, and which stays in the first-level cache: a block of lanes of the vector factor, or a
    /// block of rows of the splat factor. A splat factor that lies densely in tile memory is the one to walk: there are fewer
    /// elements of it in a block than of the other.
    fn order(&self, splat: ValueId, product: &Product<'_>, lane_count: i64) -> Order {
        let dense = !self.is_expression(splat);
        let depth: i64 = product.contracted.iter().map(|k| self.extent(*k)).fold(1, i64::saturating_mul);
        let rows = product.rows.map_or(1, |r| self.extent(r));
        let half = self.target.l1_bytes / 2;
        let bytes = |n: i64| depth.saturating_mul(n).unsigned_abs().saturating_mul(product.elem.bytes() as u64);
        if dense && (bytes(rows) <= half || bytes(lane_count) > half) {
            Order::LanesOutside
        } else {
            Order::RowsOutside
        }
    }

    /// Runs `body` for blocks of rows: the first row and the number of rows.
    fn blocks(&mut self, count: i64, height: i64, body: &mut dyn FnMut(&mut Self, Value, i64) -> Emit<()>) -> Emit<()> {
        let whole = count / height * height;
        self.for_extent(whole, height, |e, row| e.scope(|e| body(e, row, height)))?;
        if whole < count {
            let row = self.kb.int(whole);
            self.scope(|e| body(e, row, count - whole))?;
        }
        Ok(())
    }

    /// Rows `row .. row + height` of a product, in the lanes of a point.
    fn block(&mut self, product: &Product<'_>, row: Value, height: i64, p: &Point) -> Emit<()> {
        let points: Vec<Point> = (0..height)
            .map(|r| match product.rows {
                Some(axis) => {
                    let at = self.kb.add_int(row, r);
                    p.with(axis, at)
                }
                None => p.clone(),
            })
            .collect();
        let width = p.span.map_or(1, |s| s.width);
        let zero = self.kb.zero(Ty::vector(product.elem, width));
        let mut sums = Vec::new();
        for p in &points {
            let start = match product.acc {
                None => zero,
                Some(acc) => {
                    let x = self.value(acc, p)?;
                    if width > 1 && !self.kb.ty(x).is_vector() { self.kb.splat(x, width) } else { x }
                }
            };
            sums.push(self.kb.var("sum", start));
        }
        self.contract(product, &points, &sums, &product.contracted)?;
        for (p, sum) in points.iter().zip(&sums) {
            let x = self.kb.get(*sum);
            self.store_tile(&product.storage, p, x)?;
        }
        Ok(())
    }

    /// The loops over the contracted axes.
    fn contract(&mut self, product: &Product<'_>, points: &[Point], sums: &[Var], axes: &[AxisId]) -> Emit<()> {
        match axes {
            [] => Err("contracts no axis".into()),
            [axis] => self.innermost_loop(product, points, sums, *axis),
            [axis, inner @ ..] => {
                let extent = self.extent(*axis);
                self.for_extent(extent, 1, |e, k| {
                    let points: Vec<Point> = points.iter().map(|p| p.with(*axis, k)).collect();
                    e.contract(product, &points, sums, inner)
                })
            }
        }
    }

    /// The loop over the last contracted axis. Addresses are running indices: code generators for loop IR do not turn products
    /// with the counter into sums.
    fn innermost_loop(&mut self, product: &Product<'_>, points: &[Point], sums: &[Var], axis: AxisId) -> Emit<()> {
        let extent = self.extent(axis);
        let steps = steps(extent);
        let zero = self.kb.int(0);
        let Some(first) = points.first() else { return Ok(()) };
        let first = first.with(axis, zero);
        let vector = self.running(&product.vector, &first, axis)?;
        let splat = self.running(&product.splat, &first, axis)?;
        let rows = self.row_offsets(product, points.len());
        let hi = self.kb.int(extent);
        self.for_range((zero, hi, steps), Unroll::No, |e, k| {
            for step in 0..steps {
                let place = e.running_place(&vector, step, None);
                let b = e.factor(product, &product.vector, place, &first)?;
                for ((p, sum), row) in points.iter().zip(sums).zip(&rows) {
                    let place = e.running_place(&splat, step, Some(*row));
                    let a = e.factor(product, &product.splat, place, &first)?;
                    let old = e.kb.get(*sum);
                    let new = e.kb.fma(a, b, old);
                    let new = if product.guard.is_always() {
                        new
                    } else {
                        let k = e.kb.add_int(k, step);
                        match e.conjunction(product.guard, &p.with(axis, k))? {
                            Some(mask) => e.kb.select(mask, new, old),
                            None => new,
                        }
                    };
                    e.kb.set(*sum, new);
                }
                e.advance(&vector, step + 1, steps);
                e.advance(&splat, step + 1, steps);
            }
            Ok(())
        })
    }

    /// A running index of a factor along a contracted axis.
    fn running(&mut self, d: &Direct, first: &Point, axis: AxisId) -> Emit<Running> {
        let at = self.direct_index(d, first)?;
        let zero = self.kb.int(0);
        let stride = d.stride(axis).unwrap_or(zero);
        Ok(Running { ptr: d.ptr, index: self.kb.var("at", at), stride })
    }

    /// The place of row `row` at step `step` of a round. A stride known only at run time advances the index at every step, a
    /// constant one only at the end of the round.
    fn running_place(&mut self, r: &Running, step: i64, row: Option<Row>) -> Place {
        let index = self.kb.get(r.index);
        let place = |kb: &weft_ir::loops::KernelBuilder, at| kb.at(r.ptr, at);
        let steps = self.kb.known_int(r.stride).map_or(0, |s| s.wrapping_mul(step));
        match row {
            None => place(&self.kb, index).plus(steps),
            Some(Row::Near(offset)) => place(&self.kb, index).plus(offset.wrapping_add(steps)),
            Some(Row::Far(offset)) => {
                let at = self.kb.add(index, offset);
                place(&self.kb, at).plus(steps)
            }
        }
    }

    fn advance(&mut self, r: &Running, done: i64, steps: i64) {
        let by = match self.kb.known_int(r.stride) {
            Some(0) => return,
            Some(_) if done < steps => return,
            Some(stride) => self.kb.int(stride.wrapping_mul(steps)),
            None => r.stride,
        };
        let index = self.kb.get(r.index);
        let next = self.kb.add(index, by);
        self.kb.set(r.index, next);
    }

    /// Distances of the rows of a block from the first, in the splat factor.
    fn row_offsets(&mut self, product: &Product<'_>, count: usize) -> Vec<Row> {
        let zero = self.kb.int(0);
        let stride = product.rows.and_then(|r| product.splat.stride(r)).unwrap_or(zero);
        let known = self.kb.known_int(stride);
        (0i64..)
            .take(count)
            .map(|r| match known {
                Some(stride) => Row::Near(stride.wrapping_mul(r)),
                None => Row::Far(self.kb.mul_int(stride, r)),
            })
            .collect()
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
