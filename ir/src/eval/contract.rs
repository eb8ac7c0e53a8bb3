//! `ein` over boxes: guarded sums of products.
//!
//! The fast way multiplies pairs of factors as matrices, in the order of least cost; a guard becomes zeros in a factor
//! that has its axes, and clears elements of the others that no admitted term can read. That is exact where the result
//! is finite: a sum of products of which one term is not finite is never finite. So whatever is not finite afterwards is
//! computed again, term by term, looking at no factor where a guard is false.

use super::elementwise;
use super::matmul::{dot, matmul};
use super::poison::{self, Element};
use super::reduce;
use super::region::{Positions, Region};
use super::value::{Data, Dims, IntoData, Item, Nest, Value, for_each, zip2};
use crate::graph::{AxisId, AxisSet, NodeId};
use smallvec::SmallVec;

/// A guarded sum of products: what is summed, over which box.
pub(super) struct Sum<'a> {
    pub(super) node: NodeId,
    /// Free and bound axes.
    pub(super) scope: &'a Region,
    pub(super) bound: &'a [AxisId],
    pub(super) guards: Vec<Value>,
    pub(super) factors: Vec<Value>,
    /// Free axes.
    pub(super) region: &'a Region,
    /// Bytes that an intermediate product may take.
    pub(super) limit: f64,
}

/// Why there is no sum.
pub(super) enum Failure {
    /// Operands of types that do not fit.
    Types,
    /// An intermediate product would take so many bytes.
    Memory(f64),
}

type Outcome<T> = Result<T, Failure>;

/// Largest magnitude at which float64 holds every integer.
const EXACT: f64 = (1u64 << 53) as f64;

fn axes_of(v: &Value) -> AxisSet {
    v.region.axes().into_iter().collect()
}

impl Sum<'_> {
    /// The sum, and the multiply-adds that it took.
    pub(super) fn run(&self) -> Outcome<(Value, f64)> {
        if self.factors.iter().all(|f| matches!(f.data, Data::F(_))) {
            return self.floats(&self.factors);
        }
        let magnitude: f64 = self
            .factors
            .iter()
            .map(|f| match &f.data {
                Data::I(x) => x.iter().filter(|x| !poison::is_int(**x)).fold(1.0, |m: f64, &x| m.max((x as f64).abs())),
                _ => 1.0,
            })
            .product();
        if magnitude * self.bound_volume() < EXACT {
            let factors: Vec<Value> =
                self.factors.iter().map(|f| elementwise::cast(crate::DType::F64, self.node, f)).collect();
            let (sum, count) = self.floats(&factors)?;
            return Ok((elementwise::cast(crate::DType::I64, self.node, &sum), count));
        }
        let mut out = vec![0i64; self.region.shape().iter().product()];
        let factors: Option<Vec<&Vec<i64>>> =
            self.factors.iter().map(|f| if let Data::I(x) = &f.data { Some(x.as_ref()) } else { None }).collect();
        let factors = factors.ok_or(Failure::Types)?;
        self.terms(&factors, &mut out, |_| true, i64::wrapping_mul, i64::wrapping_add).ok_or(Failure::Types)?;
        let count = out.len() as f64 * self.bound_volume() * self.factors.len() as f64;
        Ok((Value::new(self.region.clone(), out), count))
    }

    fn bound_volume(&self) -> f64 {
        self.bound.iter().map(|&a| self.scope.get(a).map_or(1.0, |p| p.len() as f64)).product()
    }

    fn floats(&self, factors: &[Value]) -> Outcome<(Value, f64)> {
        let mut count = 0.0;
        let cleared = self.apply_guards(factors).ok_or(Failure::Types)?;
        let mut sum = contract(cleared, self.bound, self.limit, &mut count)?;
        // Axes on which nothing depends: as many equal terms.
        let seen: AxisSet = self.guards.iter().chain(factors).flat_map(|v| v.region.axes()).collect();
        let times: f64 = self
            .bound
            .iter()
            .filter(|&&a| !seen.contains(a))
            .map(|&a| self.scope.get(a).map_or(1.0, |p| p.len() as f64))
            .product();
        if times != 1.0 {
            sum =
                elementwise::map(crate::graph::MapFn::Mul, &sum.region.clone(), &[sum, Value::scalar(Item::F(times))])
                    .ok_or(Failure::Types)?;
        }
        let sum = sum.over(self.region);
        let Data::F(mut out) = sum.data else { return Err(Failure::Types) };
        if out.iter().any(|x| !x.is_finite()) {
            let factors: Option<Vec<&Vec<f64>>> =
                factors.iter().map(|f| if let Data::F(x) = &f.data { Some(x.as_ref()) } else { None }).collect();
            let out = std::sync::Arc::make_mut(&mut out);
            let factors = factors.ok_or(Failure::Types)?;
            self.terms(&factors, out, |x: f64| !x.is_finite(), |x, y| x * y, |x, y| x + y).ok_or(Failure::Types)?;
        }
        Ok((Value { region: sum.region, data: Data::F(out) }, count))
    }

    /// Factors that are zero where a guard is false.
    fn apply_guards(&self, factors: &[Value]) -> Option<Vec<Value>> {
        let zero = Value::scalar(Item::F(0.0));
        let mut cleared = factors.to_vec();
        let dirty: Vec<bool> =
            factors.iter().map(|f| matches!(&f.data, Data::F(x) if x.iter().any(|x| !x.is_finite()))).collect();
        for guard in &self.guards {
            let Data::B(_) = &guard.data else { return None };
            let axes = axes_of(guard);
            let home = (0..cleared.len())
                .filter(|&i| axes.is_subset(&axes_of(&cleared[i])))
                .min_by(|&i, &j| cleared[i].len().cmp(&cleared[j].len()));
            for i in 0..factors.len() {
                if Some(i) == home {
                    continue;
                }
                let shared: Vec<AxisId> = cleared[i].region.axes().into_iter().filter(|a| axes.contains(*a)).collect();
                if !dirty[i] || shared.is_empty() {
                    continue;
                }
                let others: Vec<AxisId> = axes.iter().filter(|a| !shared.contains(a)).collect();
                let admitted = reduce::any(guard, &others)?;
                let clean = elementwise::map(
                    crate::graph::MapFn::Ne,
                    &admitted.region.clone(),
                    &[admitted, Value::scalar(Item::B(0))],
                );
                // A guard that is poison admits: what it hides must not be lost.
                let clean = known(&clean?);
                cleared[i] = elementwise::select(self.node, &cleared[i].region.clone(), &clean, &cleared[i], &zero)?;
            }
            match home {
                Some(i) => {
                    cleared[i] = elementwise::select(self.node, &cleared[i].region.clone(), guard, &cleared[i], &zero)?;
                }
                None => cleared.push(elementwise::cast(crate::DType::F64, self.node, guard)),
            }
        }
        Some(cleared)
    }

    /// Sums term by term the elements of `out` that `wanted` picks. The first poison decides.
    fn terms<T: Element>(
        &self,
        factors: &[&Vec<T>],
        out: &mut [T],
        wanted: impl Fn(T) -> bool,
        mul: impl Fn(T, T) -> T,
        add: impl Fn(T, T) -> T,
    ) -> Option<()> {
        let axes = self.region.axes();
        let shape: Dims = self.bound.iter().map(|&a| self.scope.get(a).map_or(0, Positions::len)).collect();
        let outer = |v: &Value| v.strides(&axes);
        let inner = |v: &Value| v.strides(self.bound);
        let guards: Option<Vec<(&Vec<u8>, Dims, Dims)>> = self
            .guards
            .iter()
            .map(|g| if let Data::B(b) = &g.data { Some((b.as_ref(), outer(g), inner(g))) } else { None })
            .collect();
        let guards = guards?;
        let values: Vec<(&Vec<T>, Dims, Dims)> =
            factors.iter().zip(&self.factors).map(|(x, f)| (*x, outer(f), inner(f))).collect();
        let dot = |i: &[usize], s: &Dims| i.iter().zip(s).map(|(i, s)| i * s).sum::<usize>();
        let mut at = 0;
        for_each(&self.region.shape(), |index| {
            if wanted(out[at]) {
                let g0: SmallVec<[usize; 4]> = guards.iter().map(|g| dot(index, &g.1)).collect();
                let v0: SmallVec<[usize; 4]> = values.iter().map(|v| dot(index, &v.1)).collect();
                let mut sum = T::ZERO;
                for_each_until(&shape, |i| {
                    let mut holds = 1;
                    for (g, &base) in guards.iter().zip(&g0) {
                        holds = match (holds, g.0[base + dot(i, &g.2)]) {
                            (_, 0) => return false,
                            (h, g) => h | g,
                        };
                    }
                    if holds > 1 {
                        sum = T::poison(self.node);
                        return true;
                    }
                    let mut product: Option<T> = None;
                    for (v, &base) in values.iter().zip(&v0) {
                        let x = v.0[base + dot(i, &v.2)];
                        if x.poisoned().is_some() {
                            sum = x;
                            return true;
                        }
                        product = Some(product.map_or(x, |p| mul(p, x)));
                    }
                    sum = add(sum, product.unwrap_or(T::ZERO));
                    // Nothing turns a NaN into a number again.
                    #[expect(clippy::eq_op, reason = "only a NaN differs from itself")]
                    let nan = sum != sum;
                    nan
                });
                out[at] = sum;
            }
            at += 1;
        });
        Some(())
    }
}

/// Truth values of which poison counts as true.
fn known(v: &Value) -> Value {
    match &v.data {
        Data::B(x) => Value {
            region: v.region.clone(),
            data: x.iter().map(|&b| u8::from(b != 0)).collect::<Vec<u8>>().into_data(),
        },
        _ => v.clone(),
    }
}

/// As `for_each`, until `f` returns true.
fn for_each_until(shape: &[usize], mut f: impl FnMut(&[usize]) -> bool) {
    if shape.contains(&0) {
        return;
    }
    let mut index: Dims = SmallVec::from_elem(0, shape.len());
    while !f(&index) {
        let Some(i) = (0..shape.len()).rev().find(|&i| index[i] + 1 < shape[i]) else { return };
        index[i] += 1;
        index[i + 1..].fill(0);
    }
}

/// Multiplies pairs of factors in the cheapest order; each bound axis is summed as soon as no other factor has it.
fn contract(mut factors: Vec<Value>, bound: &[AxisId], limit: f64, count: &mut f64) -> Outcome<Value> {
    let extent =
        |factors: &[Value], a: AxisId| factors.iter().find_map(|f| f.region.get(a)).map_or(1.0, |p| p.len() as f64);
    loop {
        // Sum what only one factor has.
        for i in 0..factors.len() {
            let own: Vec<AxisId> = factors[i]
                .region
                .axes()
                .into_iter()
                .filter(|a| bound.contains(a))
                .filter(|a| factors.iter().enumerate().all(|(j, f)| j == i || f.region.get(*a).is_none()))
                .collect();
            if !own.is_empty() {
                *count += factors[i].len() as f64;
                factors[i] = reduce::sum(&factors[i], &own).ok_or(Failure::Types)?;
            }
        }
        if factors.len() < 2 {
            return factors.pop().ok_or(Failure::Types);
        }
        let sets: Vec<AxisSet> = factors.iter().map(axes_of).collect();
        let (i, j) = next_pair(&sets, bound, |a| extent(&factors, a));
        let keep: AxisSet = sets[i]
            .iter()
            .chain(sets[j].iter())
            .filter(|a| !bound.contains(a) || sets.iter().enumerate().any(|(l, s)| l != i && l != j && s.contains(*a)))
            .collect();
        let (y, x) = (factors.swap_remove(j), factors.swap_remove(i));
        let size: f64 =
            keep.iter().map(|a| x.region.get(a).or(y.region.get(a)).map_or(1.0, |p| p.len() as f64)).product();
        if size * 8.0 > limit {
            return Err(Failure::Memory(size * 8.0));
        }
        factors.push(pair(&x, &y, &keep, count).ok_or(Failure::Types)?);
    }
}

/// The first pair (`i < j`) of the cheapest order. Exhaustive for few factors; otherwise the cheapest single step.
fn next_pair(sets: &[AxisSet], bound: &[AxisId], extent: impl Fn(AxisId) -> f64 + Copy) -> (usize, usize) {
    const EXHAUSTIVE: usize = 6;
    fn best(
        sets: &[AxisSet],
        bound: &[AxisId],
        extent: impl Fn(AxisId) -> f64 + Copy,
        deep: bool,
    ) -> (f64, (usize, usize)) {
        let mut found = (f64::INFINITY, (0, 1));
        if sets.len() < 2 {
            return (0.0, (0, 0));
        }
        for i in 0..sets.len() {
            for j in i + 1..sets.len() {
                let mut union = sets[i].clone();
                union.extend(&sets[j]);
                let work: f64 = union.iter().map(extent).product();
                if work >= found.0 {
                    continue;
                }
                let kept: AxisSet = union
                    .iter()
                    .filter(|a| {
                        !bound.contains(a) || sets.iter().enumerate().any(|(l, s)| l != i && l != j && s.contains(*a))
                    })
                    .collect();
                // Writing a result costs about as much as a few multiply-adds.
                let mut cost = work + 2.0 * kept.iter().map(extent).product::<f64>();
                if deep {
                    let mut rest: Vec<AxisSet> = sets.to_vec();
                    rest.swap_remove(j);
                    rest.swap_remove(i);
                    rest.push(kept);
                    cost += best(&rest, bound, extent, true).0;
                }
                if cost < found.0 {
                    found = (cost, (i, j));
                }
            }
        }
        found
    }
    best(sets, bound, extent, sets.len() <= EXHAUSTIVE).1
}

/// The elements in another order of axes.
fn arrange(v: &Value, order: &[AxisId]) -> Option<std::sync::Arc<Vec<f64>>> {
    let Data::F(x) = &v.data else { return None };
    if v.region.axes()[..] == *order {
        return Some(x.clone());
    }
    let shape: Dims = order.iter().map(|&a| v.region.get(a).map_or(1, Positions::len)).collect();
    let mut out = Vec::with_capacity(x.len());
    let nest = Nest::new(&shape, [&v.strides(order)]);
    let step = nest.strides[0];
    nest.run(|[from]| match step {
        1 => out.extend_from_slice(&x[from..from + nest.inner]),
        _ => out.extend((0..nest.inner).map(|i| x[from + i * step])),
    });
    Some(std::sync::Arc::new(out))
}

/// Product of two factors, summed over the axes that are not kept (which both have).
fn pair(x: &Value, y: &Value, keep: &AxisSet, count: &mut f64) -> Option<Value> {
    let (Data::F(xs), Data::F(ys)) = (&x.data, &y.data) else { return None };
    let (ax, ay) = (axes_of(x), axes_of(y));
    let mut union = ax.clone();
    union.extend(&ay);
    let scope: Region = x.region.iter().chain(y.region.iter()).map(|(a, p)| (a, p.clone())).collect();
    *count += scope.volume();
    let list = |f: &dyn Fn(AxisId) -> bool| -> Vec<AxisId> { union.iter().filter(|&a| f(a)).collect() };
    let k = list(&|a| !keep.contains(a));
    if k.is_empty() {
        let axes = scope.axes();
        let data = zip2(&scope.shape(), (xs, &x.strides(&axes)), (ys, &y.strides(&axes)), |a, b| a * b);
        return Some(Value::new(scope, data));
    }
    let batch = list(&|a| keep.contains(a) && ax.contains(a) && ay.contains(a));
    let m = list(&|a| keep.contains(a) && !ay.contains(a));
    let n = list(&|a| keep.contains(a) && !ax.contains(a));
    // The order of the result's axes decides which factor gives the rows, so that less is transposed.
    if n.first() < m.first() && !n.is_empty() {
        return pair_sized(y, x, (&batch, &n, &m, &k), &scope);
    }
    pair_sized(x, y, (&batch, &m, &n, &k), &scope)
}

fn pair_sized(
    x: &Value,
    y: &Value,
    (batch, m, n, k): (&[AxisId], &[AxisId], &[AxisId], &[AxisId]),
    scope: &Region,
) -> Option<Value> {
    let size = |axes: &[AxisId]| axes.iter().map(|&a| scope.get(a).map_or(1, Positions::len)).product::<usize>();
    let (sb, sm, sn, sk) = (size(batch), size(m), size(n), size(k));
    let order = |parts: [&[AxisId]; 3]| parts.concat();
    let xs = arrange(x, &order([batch, m, k]))?;
    let mut out = vec![0.0; sb * sm * sn];
    if out.is_empty() {
    } else if sm.min(sn) == 1 || sm * sn < 16 {
        // Dot products: both factors run along the summed axes.
        let ys = arrange(y, &order([batch, n, k]))?;
        for b in 0..sb {
            for i in 0..sm {
                let row = &xs[(b * sm + i) * sk..(b * sm + i + 1) * sk];
                for j in 0..sn {
                    out[(b * sm + i) * sn + j] = dot(row, &ys[(b * sn + j) * sk..(b * sn + j + 1) * sk]);
                }
            }
        }
    } else {
        let ys = arrange(y, &order([batch, k, n]))?;
        for b in 0..sb {
            matmul(
                (sm, sn, sk),
                &xs[b * sm * sk..(b + 1) * sm * sk],
                &ys[b * sk * sn..(b + 1) * sk * sn],
                &mut out[b * sm * sn..(b + 1) * sm * sn],
            );
        }
    }
    // Back to increasing axes.
    let from = order([batch, m, n]);
    let axes: AxisSet = from.iter().copied().collect();
    let region = scope.restrict(&axes);
    let sorted = region.axes();
    if sorted[..] == from[..] {
        return Some(Value::new(region, out));
    }
    let shape: Dims = from.iter().map(|&a| scope.get(a).map_or(1, Positions::len)).collect();
    let dense = super::value::dense(&shape);
    let strides: Dims = sorted.iter().map(|a| from.iter().position(|b| a == b).map_or(0, |i| dense[i])).collect();
    let nest = Nest::new(&region.shape(), [&strides]);
    let mut moved = Vec::with_capacity(out.len());
    let step = nest.strides[0];
    nest.run(|[at]| match step {
        1 => moved.extend_from_slice(&out[at..at + nest.inner]),
        _ => moved.extend((0..nest.inner).map(|i| out[at + i * step])),
    });
    Some(Value::new(region, moved))
}
