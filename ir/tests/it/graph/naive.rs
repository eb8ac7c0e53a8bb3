//! The meaning of a term, one element at a time, by recursion over the term. Slow, and obviously right.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use weft_ir::eval::{Elements, Tensor};
use weft_ir::graph::{
    AxisId, DomainId, Extent, Extremum, Graph, MapFn, NodeId, Op, Scalar, ThresholdFamily, floor_div,
};

/// One element, or nothing where a read is outside an axis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Element {
    F(f64),
    I(i64),
    B(bool),
    Undefined,
}
use Element::{B, F, I, Undefined};

type Env = BTreeMap<AxisId, usize>;

pub(super) struct Naive<'g> {
    pub(super) graph: &'g Graph,
    pub(super) tensors: BTreeMap<String, Tensor>,
    /// Extents of domains that are given when a layer runs, and lengths of ragged ones.
    pub(super) sizes: HashMap<DomainId, usize>,
    pub(super) lengths: HashMap<DomainId, Vec<usize>>,
    memo: RefCell<HashMap<(NodeId, Vec<usize>), Element>>,
}

impl<'g> Naive<'g> {
    pub(super) fn new(
        graph: &'g Graph,
        tensors: BTreeMap<String, Tensor>,
        sizes: HashMap<DomainId, usize>,
        lengths: HashMap<DomainId, Vec<usize>>,
    ) -> Self {
        Self { graph, tensors, sizes, lengths, memo: RefCell::default() }
    }

    /// Longest extent, and the batch axis with the lengths if it is ragged.
    pub(super) fn extent(&self, d: DomainId) -> (usize, Option<(AxisId, Vec<usize>)>) {
        match self.graph.domain(d).extent {
            Extent::Const(n) => (n as usize, None),
            Extent::Runtime => (self.sizes[&d], None),
            Extent::Ragged(b) => {
                let l = self.lengths[&d].clone();
                (self.sizes[&d], Some((b, l)))
            }
            Extent::Derived { base, mul, add, div } => {
                let f = |n: usize| floor_div(mul * n as i64 + add, div) as usize;
                let (n, l) = self.extent(base);
                (f(n), l.map(|(b, l)| (b, l.into_iter().map(f).collect())))
            }
        }
    }

    /// How many positions an axis has in an environment.
    pub(super) fn count(&self, axis: AxisId, env: &Env) -> usize {
        let (n, ragged) = self.extent(self.graph.axis(axis).domain);
        match ragged {
            Some((b, l)) if env.contains_key(&b) => l[env[&b]],
            _ => n,
        }
    }

    /// Every assignment of some axes, added to an environment; a batch axis before what is ragged over it.
    fn assignments(&self, axes: &[AxisId], env: &Env) -> Vec<Env> {
        let ragged_last = |a: &AxisId| self.extent(self.graph.axis(*a).domain).1.is_some();
        let mut axes = axes.to_vec();
        axes.sort_by_key(|a| (ragged_last(a), *a));
        let mut all = vec![env.clone()];
        for a in axes {
            all = all
                .into_iter()
                .flat_map(|e| {
                    (0..self.count(a, &e))
                        .map(|p| {
                            let mut e = e.clone();
                            e.insert(a, p);
                            e
                        })
                        .collect::<Vec<_>>()
                })
                .collect();
        }
        all
    }

    pub(super) fn at(&self, node: NodeId, env: &Env) -> Element {
        let own: Env = self.graph.free(node).iter().map(|a| (a, env[&a])).collect();
        // A batch element has no positions past its length.
        if own.iter().any(|(&a, &p)| p >= self.count(a, &own)) {
            return Undefined;
        }
        let key = (node, own.values().copied().collect::<Vec<_>>());
        if let Some(&known) = self.memo.borrow().get(&key) {
            return known;
        }
        let x = self.compute(node, &own);
        self.memo.borrow_mut().insert(key, x);
        x
    }

    /// Members of a reduction: environments in which all guards hold. Nothing if a guard is undefined.
    fn members(&self, node: NodeId, env: &Env) -> Option<Vec<Env>> {
        let mut members = Vec::new();
        for e in self.assignments(self.graph.op(node).bound(), env) {
            let guards: Vec<Element> = self.graph.guards(node).iter().map(|&g| self.at(g, &e)).collect();
            if guards.contains(&B(false)) {
                continue;
            }
            if guards.contains(&Undefined) {
                return None;
            }
            members.push(e);
        }
        Some(members)
    }

    fn compute(&self, node: NodeId, env: &Env) -> Element {
        let g = self.graph;
        let args = g.args(node);
        match g.op(node) {
            Op::Input(i) => {
                let input = g.input(*i);
                let tensor = &self.tensors[&*input.name];
                let mut at = 0;
                for (&a, &n) in input.axes.iter().zip(&tensor.shape) {
                    at = at * n + env[&a];
                }
                match &tensor.data {
                    Elements::F64(x) => F(x[at]),
                    Elements::I64(x) => I(x[at]),
                    Elements::Bool(x) => B(x[at]),
                }
            }
            Op::Const(Scalar::Bool(b)) => B(*b),
            Op::Const(Scalar::Int(i)) => I(*i),
            Op::Const(c) => F(c.as_f64()),
            Op::Index(a) => I(env[a] as i64),
            Op::Size(d) => match self.extent(*d) {
                (_, Some((b, l))) => I(l[env[&b]] as i64),
                (n, None) => I(n as i64),
            },
            Op::Map(f) => map(*f, &args.iter().map(|&a| self.at(a, env)).collect::<Vec<_>>()),
            Op::Cast(to) => match (self.at(args[0], env), to.is_float(), to.is_int()) {
                (Undefined, ..) => Undefined,
                (F(x), _, true) if x.is_nan() => Undefined,
                (F(x), _, true) => I(x.trunc().clamp(f64::from(i32::MIN), f64::from(i32::MAX)) as i64),
                (F(x), true, _) => F(x),
                (F(x), ..) => B(x != 0.0),
                (I(x), true, _) => F(x as f64),
                (I(x), _, true) => I(x),
                (I(x), ..) => B(x != 0),
                (B(x), true, _) => F(f64::from(u8::from(x))),
                (B(x), _, true) => I(i64::from(x)),
                (B(x), ..) => B(x),
            },
            Op::Select => match self.at(args[0], env) {
                B(true) => self.at(args[1], env),
                B(false) => self.at(args[2], env),
                _ => Undefined,
            },
            Op::Stop | Op::Ste => self.at(args[0], env),
            Op::Sub { axes } => {
                let mut inner: Env = env.clone();
                let mut positions = Vec::new();
                for (&a, &p) in axes.iter().zip(&args[1..]) {
                    let I(p) = self.at(p, env) else { return Undefined };
                    positions.push((a, p));
                }
                let free = g.free(args[0]);
                positions.retain(|(a, _)| free.contains(*a));
                for &(a, p) in &positions {
                    inner.insert(a, p.max(0) as usize);
                }
                inner.retain(|a, _| free.contains(*a));
                for (a, p) in positions {
                    let longest = self.extent(g.axis(a).domain).0 as i64;
                    if p < 0 || p >= longest {
                        return Undefined;
                    }
                }
                self.at(args[0], &inner)
            }
            Op::Rec(_) => self.at(args[0], env),
            Op::Prev(r) => {
                let mut before = env.clone();
                let t = before.get_mut(&g.rec(*r).time).expect("depends on its time");
                match (g.rec(*r).reverse, *t) {
                    // There is no element past the last position.
                    (true, _) => *t += 1,
                    (false, 0) => return Undefined,
                    (false, _) => *t -= 1,
                }
                let rec = g.ids().find(|&n| *g.op(n) == Op::Rec(*r)).expect("is closed");
                self.at(rec, &before)
            }
            Op::Ein { .. } => {
                let Some(members) = self.members(node, env) else { return Undefined };
                let mut sum = if g.dtype(node).is_float() { F(0.0) } else { I(0) };
                for e in members {
                    let factors: Vec<Element> = g.operands(node).iter().map(|&x| self.at(x, &e)).collect();
                    let product = factors[1..].iter().fold(factors[0], |a, &b| map(MapFn::Mul, &[a, b]));
                    sum = map(MapFn::Add, &[sum, product]);
                }
                sum
            }
            Op::Reduce { extremum, .. } => {
                let max = *extremum == Extremum::Max;
                let Some(members) = self.members(node, env) else { return Undefined };
                let none = match (g.dtype(node).is_float(), max) {
                    (true, true) => F(f64::NEG_INFINITY),
                    (true, false) => F(f64::INFINITY),
                    (false, true) => I(i64::from(i32::MIN)),
                    (false, false) => I(i64::from(i32::MAX)),
                };
                let f = if max { MapFn::Max } else { MapFn::Min };
                members.iter().map(|e| self.at(g.operands(node)[0], e)).fold(none, |a, b| map(f, &[a, b]))
            }
            Op::Arg { extremum, axis, .. } => match self.ranked(node, *axis, *extremum, env) {
                Some(list) if has_nan(&list) => Undefined,
                Some(list) => I(list.first().map_or(0, |m| m.1 as i64)),
                None => Undefined,
            },
            Op::KthValue { axis, .. } => self.kth(node, *axis, env).map_or(Undefined, |(v, _)| F(v)),
            Op::KthIndex { axis, .. } => match self.kth(node, *axis, env) {
                Some((v, i)) if !v.is_nan() => I(i),
                _ => Undefined,
            },
            Op::Threshold { family, axis, .. } => {
                let F(k) = self.at(g.operands(node)[1], env) else { return Undefined };
                self.ranked(node, *axis, Extremum::Max, env)
                    .map_or(Undefined, |list| F(threshold(*family, &list.iter().map(|m| m.0).collect::<Vec<_>>(), k)))
            }
        }
    }

    /// Members with their positions, best first.
    fn ranked(&self, node: NodeId, axis: AxisId, end: Extremum, env: &Env) -> Option<Vec<(f64, usize)>> {
        let mut list = Vec::new();
        for e in self.members(node, env)? {
            match self.at(self.graph.operands(node)[0], &e) {
                F(x) => list.push((x, e[&axis])),
                I(x) => list.push((x as f64, e[&axis])),
                _ => return None,
            }
        }
        let key = |x: f64| if end == Extremum::Max { -x } else { x };
        if !has_nan(&list) {
            list.sort_by(|a, b| key(a.0).partial_cmp(&key(b.0)).expect("no NaN").then(a.1.cmp(&b.1)));
        }
        Some(list)
    }

    fn kth(&self, node: NodeId, axis: AxisId, env: &Env) -> Option<(f64, i64)> {
        let list = self.ranked(node, axis, Extremum::Max, env)?;
        let I(rank) = self.at(self.graph.operands(node)[1], env) else { return None };
        if has_nan(&list) {
            return Some((f64::NAN, 0));
        }
        Some(match usize::try_from(rank) {
            Err(_) => (f64::INFINITY, -1),
            Ok(r) => list.get(r).map_or((f64::NEG_INFINITY, i64::from(i32::MAX)), |m| (m.0, m.1 as i64)),
        })
    }
}

fn map(f: MapFn, x: &[Element]) -> Element {
    match f {
        MapFn::And if x.contains(&B(false)) => return B(false),
        MapFn::Or if x.contains(&B(true)) => return B(true),
        _ if x.contains(&Undefined) => return Undefined,
        MapFn::And => return B(true),
        MapFn::Or => return B(false),
        _ => {}
    }
    let order = |x: f64, y: f64| match f {
        MapFn::Lt => Some(x < y),
        MapFn::Le => Some(x <= y),
        MapFn::Gt => Some(x > y),
        MapFn::Ge => Some(x >= y),
        MapFn::Eq => Some(x == y),
        MapFn::Ne => Some(x != y),
        _ => None,
    };
    match x {
        [B(a)] => B(!a),
        [F(a), F(b)] if order(*a, *b).is_some() => B(order(*a, *b).expect("a comparison")),
        [I(a), I(b)] if order(0.0, 0.0).is_some() => B(order(*a as f64, *b as f64).expect("a comparison")),
        [B(a), B(b)] => B(order(f64::from(u8::from(*a)), f64::from(u8::from(*b))).expect("a comparison")),
        [F(_), ..] => {
            let x: Vec<f64> = x.iter().map(|x| if let F(x) = x { *x } else { f64::NAN }).collect();
            F(f.eval_float(&x).expect("a function of floats"))
        }
        _ => {
            let x: Vec<i64> = x.iter().map(|x| if let I(x) = x { *x } else { i64::MAX }).collect();
            I(f.eval_int(&x).expect("a function of integers"))
        }
    }
}

/// There is no order then.
fn has_nan(list: &[(f64, usize)]) -> bool {
    list.iter().any(|m| m.0.is_nan())
}

/// The largest `tau` at which the sum is still at least `k`, by bisection.
fn threshold(family: ThresholdFamily, z: &[f64], k: f64) -> f64 {
    if z.iter().any(|x| x.is_nan()) {
        return f64::NAN;
    }
    // Minus infinity weighs nothing.
    let finite = z.iter().take_while(|x| family == ThresholdFamily::Mass || **x > f64::NEG_INFINITY).count();
    let z = &z[..finite];
    if z.is_empty() || (family == ThresholdFamily::Ramp && z.len() as f64 <= k) {
        return f64::NEG_INFINITY;
    }
    if family == ThresholdFamily::Mass {
        let sum = |t: f64| z.iter().filter(|&&x| x >= t).sum::<f64>();
        return *z.iter().find(|&&t| sum(t) >= k).unwrap_or(&z[z.len() - 1]);
    }
    // The sum is reached however large tau is.
    if z[0] == f64::INFINITY {
        return z[0];
    }
    let phi = |x: f64| match family {
        ThresholdFamily::Ramp => x.clamp(0.0, 1.0),
        ThresholdFamily::Relu => x.max(0.0),
        _ => (x / 2.0).max(0.0).powi(2),
    };
    let (mut low, mut high) = (z[z.len() - 1] - 10.0 * k - 10.0, z[0]);
    for _ in 0..200 {
        let mid = f64::midpoint(low, high);
        if z.iter().map(|x| phi(x - mid)).sum::<f64>() >= k {
            low = mid;
        } else {
            high = mid;
        }
    }
    low
}
