//! How many points guards leave of a box of axes, at a given length.
//!
//! Counted by sampling the axes one after the other: the interval is computed that the conditions leave of an axis, given the axes before, and its
//! length is the weight. So narrow bands and blocks are counted well with few samples.

mod bounds;

use crate::canon::{Canon, IntForm};
use bounds::{Bounds, Condition, narrow};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;
use weft_ir::graph::{AxisId, AxisSet, DomainId, Extent, MapFn, NodeId, Op, Scalar};

/// Samples of each box.
const SAMPLES: usize = 12;

/// Counts by axes and guards.
type Memo = FxHashMap<(Vec<AxisId>, Vec<NodeId>), f64>;

/// Extents and counts at one length.
pub(crate) struct Points<'a> {
    canon: &'a Canon,
    length: i64,
    memo: RefCell<Memo>,
}

impl<'a> Points<'a> {
    /// Counts for sequences of this length.
    pub(crate) fn new(canon: &'a Canon, length: i64) -> Self {
        Self { canon, length, memo: RefCell::default() }
    }

    /// The extent of an axis.
    pub(crate) fn extent(&self, axis: AxisId) -> f64 {
        self.extent_of(self.canon.g.axis(axis).domain).max(1) as f64
    }

    fn extent_of(&self, domain: DomainId) -> i64 {
        match self.canon.g.domain(domain).extent {
            Extent::Const(n) => n,
            Extent::Derived { base, mul, add, div } => {
                let n = self.extent_of(base).saturating_mul(mul).saturating_add(add);
                n.div_euclid(div.max(1))
            }
            Extent::Runtime | Extent::Ragged(_) if self.canon.is_long_domain(domain) => self.length,
            Extent::Runtime | Extent::Ragged(_) => 1,
        }
    }

    /// Points of the box over `axes` where the guards hold. Guards that the data decide hold everywhere.
    pub(crate) fn count(&self, axes: &AxisSet, guards: &[NodeId]) -> f64 {
        let key = (axes.iter().collect::<Vec<_>>(), guards.to_vec());
        if let Some(&n) = self.memo.borrow().get(&key) {
            return n;
        }
        let n = self.counted(&key.0, guards);
        self.memo.borrow_mut().insert(key, n);
        n
    }

    fn counted(&self, axes: &[AxisId], guards: &[NodeId]) -> f64 {
        let g = &self.canon.g;
        let mentioned = |a: AxisId| guards.iter().any(|&x| g.free(x).contains(a));
        let plain: f64 = axes.iter().filter(|&&a| !mentioned(a)).map(|&a| self.extent(a)).product();
        let mut order: Vec<AxisId> = Vec::new();
        // Axes that guards mention but the box does not have come first: they stand for any position.
        for &x in guards {
            for a in g.free(x).iter() {
                if !axes.contains(&a) && !order.contains(&a) {
                    order.push(a);
                }
            }
        }
        let given = order.len();
        order.extend(axes.iter().copied().filter(|&a| mentioned(a)));
        if order.is_empty() {
            return plain;
        }
        let conditions: Vec<Condition> = guards.iter().filter_map(|&x| Condition::new(self.canon, x)).collect();
        let mut total = 0.0;
        for s in 0..SAMPLES {
            let mut env: FxHashMap<AxisId, i64> = FxHashMap::default();
            let mut weight = 1.0;
            let mut left: Vec<AxisId> = order.clone();
            let mut bounds: Bounds = order.iter().map(|&a| (a, (0, self.extent(a) as i64 - 1))).collect();
            for k in 0..order.len() {
                let outer = k < given;
                // What a row is that the box does not have may be anything. Else next comes the axis that the conditions leave the least of.
                if !outer {
                    narrow(&conditions, &mut bounds, |v| self.value(v, &env));
                }
                let size = |a: &AxisId| (bounds[a].1 - bounds[a].0 + 1).max(0);
                let share = |a: &AxisId| size(a) as f64 / self.extent(*a);
                let next = if outer {
                    0
                } else {
                    (0..left.len()).min_by(|&x, &y| share(&left[x]).total_cmp(&share(&left[y]))).unwrap_or(0)
                };
                let a = left.remove(next);
                let n = size(&a);
                if n == 0 {
                    weight = 0.0;
                    break;
                }
                if !outer {
                    weight *= n as f64;
                }
                // A low-discrepancy sequence, another for each axis.
                let ratio = [0.618_033_988_749_895, 0.754_877_666_246_693, 0.569_840_290_998_053][k % 3];
                let at = ((s as f64 + 0.5) * ratio + 0.37 * k as f64).fract();
                let at = bounds[&a].0 + (at * n as f64).floor() as i64;
                env.insert(a, at);
                bounds.insert(a, (at, at));
            }
            for &x in guards {
                weight *= self.share(x, &env, &order[given..]);
                if weight == 0.0 {
                    break;
                }
            }
            total += weight;
        }
        plain * total / SAMPLES as f64
    }

    fn value(&self, id: NodeId, env: &FxHashMap<AxisId, i64>) -> Option<i64> {
        let g = &self.canon.g;
        let args = g.args(id);
        match g.op(id) {
            Op::Const(Scalar::Int(c)) => Some(*c),
            Op::Index(a) => env.get(a).copied(),
            Op::Size(d) => Some(self.extent_of(*d)),
            Op::Map(f) => {
                let values = args.iter().map(|&a| self.value(a, env)).collect::<Option<Vec<i64>>>()?;
                f.eval_int(&values)
            }
            _ => None,
        }
    }

    /// Which share of the points a condition leaves: all or none where it can be evaluated.
    fn share(&self, id: NodeId, env: &FxHashMap<AxisId, i64>, box_axes: &[AxisId]) -> f64 {
        let g = &self.canon.g;
        if let Op::Map(f @ (MapFn::And | MapFn::Or)) = g.op(id) {
            let parts = g.args(id).iter().map(|&a| self.share(a, env, box_axes));
            return if *f == MapFn::And { parts.product() } else { parts.fold(0.0, |a, b| a + b - a * b) };
        }
        match self.canon.comparison(id) {
            Some((f, form)) => {
                let value = form.terms().try_fold(form.constant(), |acc, (&v, k)| Some(acc + k * self.value(v, env)?));
                match (f, value) {
                    (MapFn::Le, Some(v)) => f64::from(u8::from(v >= 0)),
                    // A random sample meets an equation by chance only: its share is what counts.
                    (MapFn::Eq, _) => self.density(&form, box_axes),
                    (MapFn::Ne, _) => 1.0 - self.density(&form, box_axes),
                    _ => self.selected(id),
                }
            }
            None => self.selected(id),
        }
    }

    /// The share that a comparison with a rank leaves: as many as there are ranks before it, of all that compete.
    fn selected(&self, id: NodeId) -> f64 {
        let g = &self.canon.g;
        let mut stack = vec![id];
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            if let Op::KthValue { axis, .. } | Op::KthIndex { axis, .. } = g.op(n) {
                let last = g.operands(n)[1];
                let ranks = match (g.constant(last), g.op(last)) {
                    (Some(k), _) => k.as_f64() + 1.0,
                    (None, Op::Index(a)) => self.extent(*a),
                    _ => return 1.0,
                };
                return (ranks / self.extent(*axis)).clamp(0.0, 1.0);
            }
            stack.extend(g.args(n));
        }
        1.0
    }

    /// The share of positions that meet an equation.
    fn density(&self, form: &IntForm, box_axes: &[AxisId]) -> f64 {
        let g = &self.canon.g;
        let mut best: f64 = 1.0;
        let by_data = form.terms().any(|(&v, _)| !self.canon.is_data_free(v));
        for (&v, _) in form.terms() {
            match g.op(v) {
                Op::Index(a) if box_axes.contains(a) && !by_data => best = best.min(1.0 / self.extent(*a)),
                Op::Map(MapFn::Mod) => {
                    if let Some(Scalar::Int(m)) = g.constant(g.args(v)[1]) {
                        best = best.min(1.0 / m.max(1) as f64);
                    }
                }
                _ => {}
            }
        }
        best
    }
}
