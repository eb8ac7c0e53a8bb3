//! Signs of terms: which are never negative, which never positive.

use super::Canon;
use rustc_hash::FxHashMap;
use weft_ir::graph::prove::Prover;
use weft_ir::graph::{AxisId, InputId, MapFn, NodeId, Op, Scalar};

/// What is known of the sign of an input.
pub(crate) type Known<'a> = &'a dyn Fn(InputId) -> Option<i32>;

/// The largest table of a function of positions that is looked at value by value.
const TABLE: i64 = 4096;

impl Canon {
    /// 1 for terms that are never negative where the guards hold, -1 for terms that are never positive. `known` says it of inputs.
    pub(crate) fn sign(&self, id: NodeId, guards: &[NodeId], known: Known<'_>) -> Option<i32> {
        let args = self.g.args(id);
        let of = |a: NodeId| self.sign(a, guards, known);
        let by_form = match self.g.op(id) {
            Op::Const(k) => Some(if k.as_f64() < 0.0 { -1 } else { 1 }),
            Op::Input(i) => known(*i),
            Op::Sub { .. } => self.sign(args[0], &[], known),
            Op::Map(MapFn::Exp | MapFn::Abs | MapFn::Sqrt) => Some(1),
            Op::Map(MapFn::Inv | MapFn::Inv0) => of(args[0]),
            Op::Map(MapFn::Log) => {
                // log(1 + x) with x never negative.
                let add = *self.g.op(args[0]) == Op::Map(MapFn::Add);
                let terms = self.g.args(args[0]);
                let one = |&a: &NodeId| self.g.constant(a).is_some_and(|k| k.as_f64() >= 1.0);
                (add && terms.iter().any(one) && terms.iter().all(|&a| of(a) == Some(1))).then_some(1)
            }
            Op::Map(MapFn::Max) => args.iter().any(|&a| of(a) == Some(1)).then_some(1),
            Op::Map(MapFn::Min) => args.iter().any(|&a| of(a) == Some(-1)).then_some(-1),
            Op::Map(MapFn::Add) => {
                let first = of(args[0])?;
                args[1..].iter().all(|&a| of(a) == Some(first)).then_some(first)
            }
            Op::Ein { .. } => {
                let factors = self.g.operands(id);
                let twice = |f: NodeId| factors.iter().filter(|&&x| x == f).count() % 2 == 0;
                factors.iter().filter(|&&f| !twice(f)).try_fold(1, |s, &f| Some(s * of(f)?))
            }
            Op::Cast(_) if self.g.dtype(args[0]).is_int() => self.int_sign(args[0], guards),
            _ => None,
        };
        by_form.or_else(|| self.sign_of_table(id))
    }

    /// The same of an integer.
    pub(crate) fn int_sign(&self, id: NodeId, guards: &[NodeId]) -> Option<i32> {
        let p = guards.iter().fold(Prover::new(&self.g), |p, &g| p.assume(g, true));
        let form = p.form_of(id)?;
        if p.proves(&form) {
            return Some(1);
        }
        if form.scaled(-1).is_some_and(|f| p.proves(&f)) {
            return Some(-1);
        }
        match self.g.op(id) {
            Op::Map(MapFn::Mul) => self.g.args(id).iter().try_fold(1, |s, &a| Some(s * self.int_sign(a, guards)?)),
            _ => None,
        }
    }

    /// The sign of a function of positions on short axes, from all its values.
    fn sign_of_table(&self, id: NodeId) -> Option<i32> {
        if !self.is_data_free(id) || self.g.free(id).len() > 3 {
            return None;
        }
        let axes: Vec<AxisId> = self.g.free(id).iter().collect();
        let extents = axes.iter().map(|&a| self.g.static_extent(a)).collect::<Option<Vec<i64>>>()?;
        let points = extents.iter().try_fold(1i64, |n, &e| n.checked_mul(e)).filter(|&n| n <= TABLE)?;
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for p in 0..points {
            let mut rest = p;
            let mut env = FxHashMap::default();
            for (&a, &e) in axes.iter().zip(&extents) {
                env.insert(a, rest % e);
                rest /= e;
            }
            let v = self.value_at(id, &env)?;
            if v.is_nan() {
                return None;
            }
            (low, high) = (low.min(v), high.max(v));
        }
        if low >= 0.0 { Some(1) } else { (high <= 0.0).then_some(-1) }
    }

    /// The value of a term of positions and constants at a position; none if there is a sum in it.
    fn value_at(&self, id: NodeId, env: &FxHashMap<AxisId, i64>) -> Option<f64> {
        let args = self.g.args(id);
        match self.g.op(id) {
            Op::Const(k) => Some(k.as_f64()),
            Op::Index(a) => env.get(a).map(|&v| v as f64),
            Op::Cast(_) => self.value_at(args[0], env),
            Op::Map(f) if self.g.dtype(id).is_int() => {
                let ints = args.iter().map(|&a| self.value_at(a, env).map(|v| v as i64)).collect::<Option<Vec<_>>>()?;
                f.eval_int(&ints).map(|v| v as f64)
            }
            Op::Map(f) if self.g.dtype(id).is_float() => {
                let values = args.iter().map(|&a| self.value_at(a, env)).collect::<Option<Vec<f64>>>()?;
                f.eval_float(&values)
            }
            Op::Ein { axes, guards: 0 } if axes.is_empty() => {
                args.iter().try_fold(1.0, |acc, &a| Some(acc * self.value_at(a, env)?))
            }
            Op::Sub { axes } => {
                let mut inner = env.clone();
                for (&a, &p) in axes.iter().zip(&args[1..]) {
                    let Some(Scalar::Int(v)) = self.value_at(p, env).map(|v| Scalar::Int(v as i64)) else {
                        return None;
                    };
                    inner.insert(a, v);
                }
                self.value_at(args[0], &inner)
            }
            _ => None,
        }
    }
}
