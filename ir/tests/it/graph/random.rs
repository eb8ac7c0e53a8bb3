//! Random well-typed graphs over a few axes with ragged time, against the element-by-element evaluator.
//!
//! All inputs are multiples of 1/8 and products are rounded down to such, so that both evaluators must agree to the
//! last bit; only thresholds, which are not fed into anything discontinuous, are compared with a tolerance.

use super::naive::{Element, Naive};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use weft_ir::DType;
use weft_ir::eval::{Bindings, Elements, Error, Evaluator, Options, Tensor};
use weft_ir::graph::{
    AxisId, AxisSet, DomainId, Extent, Extremum, Graph, Input, InputKind, MapFn, NodeId, Op, Output, RecDecl, Role,
    ThresholdFamily,
};

/// Choices, taken one by one; zeros when they run out.
struct Tape<'a>(&'a [u16], usize);

impl Tape<'_> {
    fn below(&mut self, n: usize) -> usize {
        self.1 += 1;
        usize::from(self.0.get(self.1 - 1).copied().unwrap_or(0)) % n.max(1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        // The latest are the most interesting.
        let i = self.below(from.len() * 2).min(self.below(from.len() * 2));
        from[from.len() - 1 - i.min(from.len() - 1)]
    }
}

struct Build<'a> {
    g: Graph,
    tape: Tape<'a>,
    b: AxisId,
    /// Axes over time.
    time: [AxisId; 3],
    d: AxisId,
    c: AxisId,
    floats: Vec<NodeId>,
    /// Thresholds and what continuous functions make of them.
    inexact: Vec<NodeId>,
    ints: Vec<NodeId>,
    bools: Vec<NodeId>,
}

const TIMES: usize = 5;
const BATCH: usize = 2;

impl<'a> Build<'a> {
    fn new(tape: &'a [u16]) -> Self {
        let mut g = Graph::new("random");
        let db = g.add_domain("b", Extent::Runtime, Role::Plain);
        let b = g.add_axis("b", db);
        let dt = g.add_domain("t", Extent::Ragged(b), Role::Time);
        let time = ["t", "j", "i"].map(|n| g.add_axis(n, dt));
        let dd = g.add_domain("d", Extent::Const(3), Role::Plain);
        let d = g.add_axis("d", dd);
        let dc = g.add_domain("c", Extent::Derived { base: dt, mul: 1, add: 0, div: 2 }, Role::Plain);
        let c = g.add_axis("c", dc);
        let mut s = Self {
            g,
            tape: Tape(tape, 0),
            b,
            time,
            d,
            c,
            floats: vec![],
            inexact: vec![],
            ints: vec![],
            bools: vec![],
        };
        let t = time[0];
        for (name, axes, dtype) in [
            ("w", vec![d], DType::Float),
            ("u", vec![t, d], DType::Float),
            ("x", vec![d, b, t], DType::Float),
            ("n", vec![b, t], DType::I32),
            ("f", vec![b, t], DType::Bool),
        ] {
            let i = s.g.add_input(Input { name: name.into(), axes, dtype, kind: InputKind::In, init: None });
            let n = s.g.read(i).unwrap();
            s.pool(n);
        }
        for a in [b, c, d, time[2], time[1], t] {
            let n = s.g.index(a).unwrap();
            s.ints.push(n);
        }
        let (it, ij) = (s.ints[s.ints.len() - 1], s.ints[s.ints.len() - 2]);
        for f in [MapFn::Le, MapFn::Lt] {
            let n = s.g.map(f, &[ij, it]).unwrap();
            s.bools.push(n);
        }
        s
    }

    fn pool(&mut self, n: NodeId) {
        if self.g.free(n).len() > 4 {
            return;
        }
        match self.g.dtype(n) {
            DType::Bool => self.bools.push(n),
            t if t.is_int() => self.ints.push(n),
            _ => self.floats.push(n),
        }
    }

    /// Rounds down to a multiple of 1/8 between -8 and 8: values stay few bits long.
    fn rounded(&mut self, x: NodeId) -> NodeId {
        let eight = self.g.float(8.0);
        let eighth = self.g.float(0.125);
        let low = self.g.float(-8.0);
        let scaled = self.g.map(MapFn::Mul, &[x, eight]).unwrap();
        let down = self.g.map(MapFn::Floor, &[scaled]).unwrap();
        let back = self.g.map(MapFn::Mul, &[down, eighth]).unwrap();
        let low = self.g.map(MapFn::Max, &[low, back]).unwrap();
        self.g.map(MapFn::Min, &[low, eight]).unwrap()
    }

    /// Bound axes for a reduction.
    fn bound(&mut self, of: &[NodeId]) -> Vec<AxisId> {
        let free: AxisSet = of.iter().flat_map(|&n| self.g.free(n).iter().collect::<Vec<_>>()).collect();
        let mut axes: Vec<AxisId> = Vec::new();
        let candidates: Vec<AxisId> =
            self.time.iter().copied().chain([self.d, self.c]).filter(|a| free.contains(*a)).collect();
        if candidates.is_empty() {
            return axes;
        }
        axes.push(self.tape.pick(&candidates));
        if self.tape.below(3) == 0 {
            let more = self.tape.pick(&candidates);
            if !axes.contains(&more) {
                axes.push(more);
            }
        }
        if free.contains(self.b) && self.tape.below(3) == 0 {
            axes.push(self.b);
        }
        axes
    }

    fn guards(&mut self) -> Vec<NodeId> {
        (0..self.tape.below(3)).map(|_| self.tape.pick(&self.bools.clone())).collect()
    }

    /// `body[axis := position]`, mostly under the guard that makes it a good read.
    fn substitution(&mut self) -> Option<NodeId> {
        let bodies = match self.tape.below(4) {
            0 => self.ints.clone(),
            1 => self.bools.clone(),
            _ => self.floats.clone(),
        };
        let body = self.tape.pick(&bodies);
        let axes: Vec<AxisId> = self.g.free(body).iter().collect();
        if axes.is_empty() {
            return None;
        }
        let mut pairs = Vec::new();
        let mut conditions = Vec::new();
        for _ in 0..=self.tape.below(2) {
            let axis = self.tape.pick(&axes);
            if pairs.iter().any(|p: &(AxisId, NodeId)| p.0 == axis) {
                continue;
            }
            let base = self.tape.pick(&self.ints.clone());
            let shift = self.g.int(self.tape.below(5) as i64 - 2);
            let position = self.g.map(MapFn::Add, &[base, shift]).unwrap();
            let size = self.g.add(Op::Size(self.g.axis(axis).domain), &[]).unwrap();
            let zero = self.g.int(0);
            conditions.push(self.g.map(MapFn::Le, &[zero, position]).unwrap());
            conditions.push(self.g.map(MapFn::Lt, &[position, size]).unwrap());
            pairs.push((axis, position));
        }
        let read = self.g.sub(body, &pairs).ok()?;
        if self.tape.below(6) == 0 {
            return Some(read);
        }
        let guard = self.g.map(MapFn::And, &conditions).unwrap();
        let other = match self.g.dtype(read) {
            DType::Bool => self.g.bool(false),
            t if t.is_int() => self.g.int(1),
            _ => self.g.float(0.25),
        };
        self.g.select(guard, read, other).ok()
    }

    /// One more node, if the choice of operands allows it.
    fn step(&mut self) -> Option<NodeId> {
        let choice = self.tape.below(16);
        let (x, y) = (self.tape.pick(&self.floats.clone()), self.tape.pick(&self.floats.clone()));
        let (m, n) = (self.tape.pick(&self.ints.clone()), self.tape.pick(&self.ints.clone()));
        let (p, q) = (self.tape.pick(&self.bools.clone()), self.tape.pick(&self.bools.clone()));
        let g = &mut self.g;
        match choice {
            0 => {
                let f = self.tape.pick(&[MapFn::Add, MapFn::Sub, MapFn::Max, MapFn::Min]);
                g.map(f, &[x, y]).ok()
            }
            1 => {
                let f = self.tape.pick(&[MapFn::Mul, MapFn::Div0]);
                let n = g.map(f, &[x, y]).ok()?;
                Some(self.rounded(n))
            }
            2 => {
                let f = self.tape.pick(&[MapFn::Add, MapFn::Sub, MapFn::Mul, MapFn::Max, MapFn::IDiv, MapFn::Mod]);
                let n = g.map(f, &[m, n]).ok()?;
                let seven = g.int(7);
                g.map(MapFn::Mod, &[n, seven]).ok()
            }
            3 => {
                let f = self.tape.pick(&[MapFn::Lt, MapFn::Le, MapFn::Gt, MapFn::Ge, MapFn::Eq, MapFn::Ne]);
                if self.tape.below(2) == 0 { g.map(f, &[m, n]).ok() } else { g.map(f, &[x, y]).ok() }
            }
            4 => match self.tape.below(3) {
                0 => g.map(MapFn::And, &[p, q]).ok(),
                1 => g.map(MapFn::Or, &[p, q]).ok(),
                _ => g.map(MapFn::Not, &[p]).ok(),
            },
            5 => g.select(p, x, y).ok(),
            6 => match self.tape.below(3) {
                0 => g.add(Op::Cast(DType::Float), &[m]).ok(),
                1 => g.add(Op::Cast(DType::I32), &[x]).ok(),
                _ => g.add(Op::Cast(DType::F32), &[p]).ok(),
            },
            7..=9 => {
                let factors = match self.tape.below(4) {
                    0 => vec![m],
                    1 => vec![x],
                    2 => vec![x, y],
                    _ => vec![x, y, self.tape.pick(&self.floats.clone())],
                };
                let guards = self.guards();
                let axes = self.bound(&factors);
                let n = self.g.ein(&axes, &guards, &factors).ok()?;
                if self.g.dtype(n).is_float() {
                    Some(self.rounded(n))
                } else {
                    let seven = self.g.int(7);
                    self.g.map(MapFn::Mod, &[n, seven]).ok()
                }
            }
            10 => {
                let operand = if self.tape.below(3) == 0 { m } else { x };
                let guards = self.guards();
                let axes = self.bound(&[operand]);
                let extremum = self.tape.pick(&[Extremum::Max, Extremum::Min]);
                let args: Vec<NodeId> = guards.iter().copied().chain([operand]).collect();
                self.g
                    .add(Op::Reduce { extremum, axes: axes.into_iter().collect(), guards: guards.len() as u32 }, &args)
                    .ok()
            }
            11 => {
                let guards = self.guards();
                let axis = *self.bound(&[x]).first()?;
                if axis == self.b {
                    return None;
                }
                let args: Vec<NodeId> = guards.iter().copied().chain([x]).collect();
                let count = guards.len() as u32;
                let rank = self.g.int(self.tape.below(4) as i64);
                let with_rank: Vec<NodeId> = args.iter().copied().chain([rank]).collect();
                match self.tape.below(4) {
                    0 => self.g.add(Op::Arg { extremum: Extremum::Max, axis, guards: count }, &args).ok(),
                    1 => self.g.add(Op::Arg { extremum: Extremum::Min, axis, guards: count }, &args).ok(),
                    2 => self.g.add(Op::KthValue { axis, guards: count }, &with_rank).ok(),
                    _ => self.g.add(Op::KthIndex { axis, guards: count }, &with_rank).ok(),
                }
            }
            12 => {
                let guards = self.guards();
                let axis = *self.bound(&[x]).first()?;
                let family = self.tape.pick(&ThresholdFamily::ALL);
                let k = self.g.float([0.5, 1.0, 2.0, 3.0][self.tape.below(4)]);
                let args: Vec<NodeId> = guards.iter().copied().chain([x, k]).collect();
                let tau = self.g.add(Op::Threshold { family, axis, guards: guards.len() as u32 }, &args).ok()?;
                self.inexact.push(tau);
                let joined = self.g.map(MapFn::Max, &[tau, y]).ok()?;
                self.inexact.push(joined);
                None
            }
            13 => self.recurrence(),
            _ => self.substitution(),
        }
    }

    /// A recurrence over time whose state has some of the other axes.
    fn recurrence(&mut self) -> Option<NodeId> {
        let time = self.tape.pick(&self.time[..2]);
        let state: Vec<AxisId> = [self.b, self.d].into_iter().filter(|_| self.tape.below(3) > 0).collect();
        let own: AxisSet = state.iter().copied().chain([time]).collect();
        let fits: Vec<NodeId> = self.floats.iter().copied().filter(|&n| self.g.free(n).is_subset(&own)).collect();
        if fits.is_empty() {
            return None;
        }
        let reverse = self.tape.below(2) == 0;
        let rec =
            self.g.add_rec(RecDecl { name: "S".into(), time, state: state.clone(), dtype: DType::Float, reverse });
        let mut prev = self.g.add(Op::Prev(rec), &[]).ok()?;
        if state.contains(&self.d) {
            // Mixes the state: a reversal, or a sum over it.
            let id = self.g.index(self.d).ok()?;
            let two = self.g.int(2);
            let back = self.g.map(MapFn::Sub, &[two, id]).ok()?;
            match self.tape.below(3) {
                0 => prev = self.g.sub(prev, &[(self.d, back)]).ok()?,
                1 => prev = self.g.ein(&[self.d], &[], &[prev]).ok()?,
                _ => {}
            }
        }
        let factor = self.tape.pick(&fits);
        let added = self.tape.pick(&fits);
        let next = self.g.ein(&[], &[], &[prev, factor]).ok()?;
        let next = self.g.map(MapFn::Add, &[next, added]).ok()?;
        let next = self.rounded(next);
        let it = self.g.index(time).ok()?;
        let (zero, one) = (self.g.int(0), self.g.int(1));
        let mut fresh = if reverse {
            // The longest extent leaves the ends of shorter elements unguarded.
            let size = match self.tape.below(5) {
                4 => self.g.int(TIMES as i64),
                _ => self.g.add(Op::Size(self.g.axis(time).domain), &[]).ok()?,
            };
            let next = self.g.map(MapFn::Add, &[it, one]).ok()?;
            self.g.map(MapFn::Ge, &[next, size]).ok()?
        } else {
            self.g.map(MapFn::Eq, &[it, zero]).ok()?
        };
        let restarts: Vec<NodeId> = self.bools.iter().copied().filter(|&n| self.g.free(n).is_subset(&own)).collect();
        if self.tape.below(2) == 0 && !restarts.is_empty() {
            let restart = self.tape.pick(&restarts);
            fresh = self.g.map(MapFn::Or, &[fresh, restart]).ok()?;
        }
        let body = self.g.select(fresh, added, next).ok()?;
        self.g.add(Op::Rec(rec), &[body]).ok()
    }

    fn finish(mut self, steps: usize) -> (Graph, DomainId, DomainId) {
        for _ in 0..steps {
            if let Some(n) = self.step() {
                self.pool(n);
            }
        }
        let late = |v: &[NodeId]| v.iter().rev().take(2).copied().collect::<Vec<_>>();
        let nodes: Vec<NodeId> =
            [late(&self.floats), late(&self.inexact), late(&self.ints), late(&self.bools)].concat();
        for (i, node) in nodes.into_iter().enumerate() {
            let mut axes: Vec<AxisId> = self.g.free(node).iter().collect();
            if axes.iter().any(|&a| self.g.ragged_over(self.g.axis(a).domain).is_some()) && !axes.contains(&self.b) {
                axes.push(self.b);
            }
            if i % 2 == 1 {
                axes.reverse();
            }
            let dtype = self.g.dtype(node);
            self.g.outputs.push(Output { name: format!("o{i}").into(), axes, dtype, node });
        }
        let (b, t) = (self.g.axis(self.b).domain, self.g.axis(self.time[0]).domain);
        (self.g, b, t)
    }
}

fn inputs(graph: &Graph, lengths: &[usize], seed: u16) -> BTreeMap<String, Tensor> {
    let mut state = u64::from(seed) + 1;
    let mut next = move |n: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as i64 % n
    };
    let mut out = BTreeMap::new();
    for input in graph.inputs() {
        let extent = |a: &AxisId| match &*graph.axis(*a).name {
            "b" => BATCH,
            "d" => 3,
            _ => TIMES,
        };
        let shape: Vec<usize> = input.axes.iter().map(extent).collect();
        let n: usize = shape.iter().product();
        let mut data: Vec<f64> = (0..n).map(|_| (next(33) - 16) as f64 / 8.0).collect();
        let tensor = match input.dtype {
            DType::Bool => Tensor::bools(&shape, data.iter().map(|&x| x > 0.0).collect()),
            DType::I32 => Tensor::ints(&shape, data.iter().map(|&x| x.floor() as i64).collect()),
            _ => {
                // Padding must not matter.
                if &*input.name == "x" {
                    for (i, x) in data.iter_mut().enumerate() {
                        if i % TIMES >= lengths[i / TIMES % BATCH] {
                            *x = f64::NAN;
                        }
                    }
                }
                Tensor::floats(&shape, data)
            }
        };
        out.insert(input.name.to_string(), tensor);
    }
    out
}

/// The evaluator's outputs are the naive one's, or both are undefined.
fn compare(g: &Graph, (db, dt): (DomainId, DomainId), lengths: &[usize], seed: u16) -> Result<(), TestCaseError> {
    let tensors = inputs(g, lengths, seed);
    let sizes = HashMap::from([(db, BATCH), (dt, TIMES)]);
    let naive = Naive::new(g, tensors.clone(), sizes, HashMap::from([(dt, lengths.to_vec())]));
    let mut bind = Bindings::new().lengths("t", lengths).size("b", BATCH);
    for (name, t) in &tensors {
        bind = bind.tensor(name, t.clone());
    }
    let tiny = Options { block: 300, store: 200, ..Options::default() };
    let whole = Evaluator::new(g, &bind).unwrap();
    let blocked = Evaluator::with_options(g, &bind, tiny).unwrap();
    // Each output on its own, so that one undefined output does not hide the others.
    for o in &g.outputs {
        let mut single = g.clone();
        single.outputs = vec![o.clone()];
        let shape: Vec<usize> = o.axes.iter().map(|&a| naive.extent(g.axis(a).domain).0).collect();
        let mut want: Vec<Option<Element>> = Vec::new();
        let mut undefined = false;
        let mut index = vec![0; shape.len()];
        'all: loop {
            if shape.contains(&0) {
                break;
            }
            let env: BTreeMap<AxisId, usize> = o.axes.iter().copied().zip(index.iter().copied()).collect();
            let valid = o.axes.iter().all(|&a| env[&a] < naive.count(a, &env));
            let x = valid.then(|| naive.at(o.node, &env));
            undefined |= x == Some(Element::Undefined);
            want.push(x);
            for i in (0..=index.len()).rev() {
                if i == 0 {
                    break 'all;
                }
                index[i - 1] += 1;
                if index[i - 1] < shape[i - 1] {
                    break;
                }
                index[i - 1] = 0;
            }
        }
        let check = |got: Result<Tensor, Error>, how: &str| -> Result<(), TestCaseError> {
            match (got, undefined) {
                (Err(Error::Undefined { .. }), true) => Ok(()),
                (Err(e), _) => Err(TestCaseError::fail(format!("{how}: {}: {e}\n{g}", o.name))),
                (Ok(t), _) => {
                    prop_assert_eq!(&t.shape, &shape);
                    for (i, w) in want.iter().enumerate() {
                        let same = match (&t.data, w) {
                            // A NaN of arithmetic may hide that something is undefined.
                            (Elements::F64(x), Some(Element::Undefined)) => x[i].is_nan(),
                            (Elements::F64(x), None) => x[i] == 0.0,
                            (Elements::I64(x), None) => x[i] == 0,
                            (Elements::Bool(x), None) => !x[i],
                            (Elements::F64(x), Some(Element::F(y))) => {
                                x[i] == *y || (x[i] - y).abs() < 1e-9 || (x[i].is_nan() && y.is_nan())
                            }
                            (Elements::I64(x), Some(Element::I(y))) => x[i] == *y,
                            (Elements::Bool(x), Some(Element::B(y))) => x[i] == *y,
                            _ => false,
                        };
                        prop_assert!(
                            same,
                            "{how}: {} at {i}, lengths {lengths:?}: {:?}, not {w:?}\n{g}",
                            o.name,
                            t.data
                        );
                    }
                    Ok(())
                }
            }
        };
        for (ev, how) in [
            (Evaluator::new(&single, &bind).unwrap(), "whole"),
            (Evaluator::with_options(&single, &bind, tiny).unwrap(), "blocks"),
        ] {
            check(ev.outputs().map(|mut o| o.swap_remove_index(0).unwrap().1), how)?;
        }
        // Any rows of it, in any order.
        if let (false, Some((at, &axis))) = (undefined, o.axes.iter().enumerate().next_back()) {
            let n = shape[at];
            let rows: Vec<usize> = (0..n).rev().step_by(2).collect();
            for ev in [&whole, &blocked] {
                let part = ev.rows(&o.name, &g.axis(axis).name, &rows).unwrap();
                let full = ev.rows(&o.name, &g.axis(axis).name, &(0..n).collect::<Vec<_>>()).unwrap();
                let (part, full) = (part.to_f64(), full.to_f64());
                for (i, x) in part.iter().enumerate() {
                    let y = full[i / rows.len() * n + rows[i % rows.len()]];
                    prop_assert!(
                        x.to_bits() == y.to_bits() || (x - y).abs() < 1e-12,
                        "row of {}: {x} {y}\n{g}",
                        o.name
                    );
                }
            }
        }
    }
    let text = g.to_string();
    let back = Graph::parse(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
    prop_assert_eq!(back.to_string(), text);
    Ok(())
}

proptest! {
    #[test]
    fn evaluators_agree(
        tape in prop::collection::vec(any::<u16>(), 20..300),
        first in 1usize..=TIMES,
        second in 0usize..=TIMES,
        seed in any::<u16>(),
    ) {
        let (g, b, t) = Build::new(&tape).finish(tape.len() / 14);
        g.verify().unwrap();
        compare(&g, (b, t), &[first, second], seed)?;
    }
}
