//! An e-graph to build terms in, and a look at whether all terms of each of its classes are equal.

use crate::canon::{Canon, Settings};
use crate::rewrite::build;
use crate::rewrite::conditions::Condition;
use crate::rewrite::engine::{Ended, saturate_by};
use crate::rewrite::forms::all_forms;
use crate::rewrite::workshop::{Eg, Workshop};
use egg::Id;
use weft_ir::DType;
use weft_ir::eval::{Bindings, Evaluator, Options, Tensor};
use weft_ir::graph::{AxisId, AxisSet, DomainId, Extent, Graph, InputId, MapFn, NodeId, Op};

/// Two documents; positions, features and codes, each with a few axes that terms share.
const HEAD: &str = "graph mill
domain b = runtime
domain t = ragged(b) time
domain d = 2
domain s = 3
axis b: b
axis t: t
axis i: t
axis j: t
axis d: d
axis e: d
axis s: s
axis u: s
in f[b, t]: float
in g[b, t]: float
in q[b, t, d]: float
in k[b, t, d]: float
in w[d]: float
in p[b, t, s]: float
in c[s, d]: float
";

/// Lengths of the documents.
const TIME: [usize; 2] = [7, 4];
/// Positions in a block.
pub(super) const LENGTH: i64 = 3;

/// Where terms are made.
pub(super) struct Mill {
    pub(super) eg: Eg,
    /// How large inputs are.
    pub(super) scale: f64,
}

impl Mill {
    pub(super) fn new() -> Self {
        let graph = Graph::parse(HEAD).unwrap_or_else(|e| panic!("{e}"));
        let canon = Canon::resume(graph, Settings { float: DType::F64 });
        let mut eg = Eg::new(Workshop::new(canon, LENGTH));
        eg.analysis.most = 1500;
        Self { eg, scale: 1.0 }
    }

    pub(super) fn canon(&mut self) -> &mut Canon {
        &mut self.eg.analysis.canon
    }

    pub(super) fn axis(&self, name: &str) -> AxisId {
        let g = &self.eg.analysis.canon.g;
        let found = (0..g.axes().len() as u32).map(AxisId).find(|&a| &*g.axis(a).name == name);
        found.unwrap_or_else(|| panic!("no axis `{name}`"))
    }

    /// The position on an axis.
    pub(super) fn at(&mut self, axis: &str) -> NodeId {
        let a = self.axis(axis);
        self.eg.analysis.index(a).unwrap()
    }

    /// The position on an axis, and some more.
    pub(super) fn plus(&mut self, axis: &str, more: i64) -> NodeId {
        let at = self.at(axis);
        let more = self.canon().int(more).unwrap();
        self.canon().map(MapFn::Add, &[at, more]).unwrap()
    }

    /// A comparison.
    pub(super) fn is(&mut self, f: MapFn, a: NodeId, b: NodeId) -> NodeId {
        self.canon().map(f, &[a, b]).unwrap()
    }

    /// `a <= b + more`, of positions.
    pub(super) fn upto(&mut self, a: &str, b: &str, more: i64) -> NodeId {
        let (a, b) = (self.at(a), self.plus(b, more));
        self.is(MapFn::Le, a, b)
    }

    /// Is a position the first, or one of every so many?
    pub(super) fn every(&mut self, axis: &str, every: i64, offset: i64) -> NodeId {
        let (at, zero) = (self.at(axis), self.canon().int(0).unwrap());
        if every == 0 {
            return self.is(MapFn::Eq, at, zero);
        }
        let (by, offset) = (self.canon().int(every).unwrap(), self.canon().int(offset).unwrap());
        let place = self.canon().map(MapFn::Mod, &[at, by]).unwrap();
        self.is(MapFn::Eq, place, offset)
    }

    /// The code of a position: where `p` is least.
    pub(super) fn code(&mut self, axis: &str) -> NodeId {
        let s = self.axis("s");
        let p = self.input("p", &[axis, "s"]);
        let op = Op::Arg { extremum: weft_ir::graph::Extremum::Min, axis: s, guards: 0 };
        self.canon().make(&op, &[p]).unwrap()
    }

    /// An input as a term, over these axes in place of its own (but for that of documents).
    pub(super) fn input(&mut self, name: &str, axes: &[&str]) -> NodeId {
        let to: Vec<NodeId> = axes.iter().map(|a| self.at(a)).collect();
        let g = &self.canon().g;
        let n = g.inputs().iter().position(|i| &*i.name == name).unwrap_or_else(|| panic!("no input `{name}`"));
        let own: Vec<AxisId> = g.inputs()[n].axes.iter().copied().filter(|&a| &*g.axis(a).name != "b").collect();
        let node = self.canon().make(&Op::Input(InputId(n as u32)), &[]).unwrap();
        let map: Vec<(AxisId, NodeId)> = own.into_iter().zip(to).collect();
        self.canon().substitute(node, &map).unwrap()
    }

    /// The same as a class.
    pub(super) fn leaf(&mut self, name: &str, axes: &[&str]) -> Id {
        let node = self.input(name, axes);
        build::leaf(&mut self.eg, node)
    }

    pub(super) fn number(&mut self, x: f64) -> Id {
        build::number(&mut self.eg, x).unwrap()
    }

    /// What is nowhere positive: minus the square of an input.
    pub(super) fn loss(&mut self, name: &str, axis: &str) -> NodeId {
        let x = self.input(name, &[axis]);
        let minus = self.canon().float(-0.5).unwrap();
        self.canon().ein(&[], &[], &[minus, x, x]).unwrap()
    }

    /// The sum of losses over the positions on `i` after `early`, up to `late`.
    pub(super) fn window(&mut self, name: &str, i: &str, early: &str, late: &str) -> Id {
        let loss = self.loss(name, i);
        let loss = build::leaf(&mut self.eg, loss);
        self.between(i, early, late, &[loss])
    }

    /// A sum over the positions on `i` after `early`, up to `late`.
    pub(super) fn between(&mut self, i: &str, early: &str, late: &str, factors: &[Id]) -> Id {
        let (at, first) = (self.at(i), self.at(early));
        let after = self.is(MapFn::Lt, first, at);
        let before = self.upto(i, late, 0);
        self.sum(&[i], &[after, before], factors)
    }

    /// Scores of a position for each code.
    pub(super) fn scores(&mut self, axis: &str) -> Id {
        let parts = [self.leaf("q", &[axis, "d"]), self.leaf("c", &["s", "d"])];
        self.sum(&["d"], &[], &parts)
    }

    /// A recurrence over an axis: what is added, and what of the last state is kept.
    pub(super) fn scan(&mut self, axis: &str, reverse: bool, addend: Id, kept: Option<Id>) -> Id {
        let axis = self.axis(axis);
        let made = build::scan(&mut self.eg, axis, reverse, addend, kept);
        self.eg.rebuild();
        made
    }

    /// A distance between positions as a float.
    pub(super) fn distance(&mut self, from: &str, to: &str, rate: f64) -> Id {
        let (a, b) = (self.at(to), self.at(from));
        let n = self.canon().map(MapFn::Sub, &[a, b]).unwrap();
        let n = self.canon().float_of(n).unwrap();
        let n = build::leaf(&mut self.eg, n);
        let rate = self.number(rate);
        self.sum(&[], &[], &[rate, n])
    }

    pub(super) fn sum(&mut self, axes: &[&str], guards: &[NodeId], factors: &[Id]) -> Id {
        let axes: Vec<AxisId> = axes.iter().map(|a| self.axis(a)).collect();
        let made = build::ein(&mut self.eg, &axes, guards, factors).unwrap();
        self.eg.rebuild();
        made
    }

    pub(super) fn map(&mut self, f: MapFn, args: &[Id]) -> Id {
        let made = build::map(&mut self.eg, f, args).unwrap();
        self.eg.rebuild();
        made
    }

    /// A term read at another position.
    pub(super) fn read(&mut self, body: Id, axis: &str, at: NodeId) -> Id {
        let axis = self.axis(axis);
        let made = build::sub(&mut self.eg, body, &[(axis, at)]).unwrap();
        self.eg.rebuild();
        made
    }

    /// Applies rules until they find nothing new.
    pub(super) fn saturate(&mut self, waived: Option<Condition>) -> Result<Ended, String> {
        self.eg.analysis.conditions.waived = waived;
        saturate_by(&mut self.eg, |_| true).map_err(|e| e.to_string())
    }

    /// Are the terms of each class equal at every position within the documents? Says how many there are.
    pub(super) fn agree(&mut self) -> Result<usize, String> {
        let found = all_forms(&mut self.eg).map_err(|e| e.to_string())?;
        let graph = &found.graph;
        let bindings = self.bindings(graph);
        let options = Options { undefined: true, ..Options::default() };
        let e = Evaluator::with_options(graph, &bindings, options).map_err(|e| e.to_string())?;
        let mut count = 0;
        for class in &found.classes {
            let axes: AxisSet = class.iter().flat_map(|&n| graph.free(n).iter()).collect();
            let points = points(graph, &axes.iter().collect::<Vec<_>>());
            let values = e.nodes(class).map_err(|e| e.to_string())?;
            count += class.len();
            let all: Vec<Vec<f64>> =
                class.iter().zip(&values).map(|(&n, v)| points.of(graph.free(n), &v.to_f64(), &v.shape)).collect();
            let scale = all[0].iter().filter(|x| x.is_finite()).fold(1e-2, |m: f64, x| m.max(x.abs()));
            for (n, other) in all.iter().enumerate().skip(1) {
                for (&a, &b) in all[0].iter().zip(other) {
                    if a.is_nan() != b.is_nan() || (a - b).abs() > 1e-8 * scale {
                        let (one, two) = (shown(graph, class[0], 7), shown(graph, class[n], 7));
                        return Err(format!("{a:e} as\n  {one}\nand {b:e} as\n  {two}"));
                    }
                }
            }
        }
        Ok(count)
    }

    fn bindings(&self, graph: &Graph) -> Bindings {
        let mut seed = 1u64;
        let mut bindings = Bindings::new().lengths("t", &TIME);
        for i in graph.inputs() {
            let shape: Vec<usize> = i.axes.iter().map(|&a| longest(graph, graph.axis(a).domain)).collect();
            let mut next = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                self.scale * ((seed >> 40) as f64 / f64::from(1u32 << 23) - 1.0)
            };
            let data = (0..shape.iter().product()).map(|_| next()).collect();
            bindings = bindings.tensor(&i.name, Tensor::floats(&shape, data));
        }
        bindings
    }
}

fn longest(graph: &Graph, domain: DomainId) -> usize {
    (0..TIME.len()).map(|b| extent(graph, domain, b)).max().unwrap_or(0)
}

fn extent(graph: &Graph, domain: DomainId, document: usize) -> usize {
    match graph.domain(domain).extent {
        Extent::Const(n) => n as usize,
        Extent::Runtime => TIME.len(),
        Extent::Ragged(_) => TIME[document],
        Extent::Derived { base, mul, add, div } => {
            ((extent(graph, base, document) as i64 * mul + add) / div).try_into().unwrap_or(0)
        }
    }
}

/// Points within all documents, or within the one that a point is in.
struct Points {
    axes: Vec<AxisId>,
    all: Vec<Vec<usize>>,
}

fn points(graph: &Graph, axes: &[AxisId]) -> Points {
    let batch = axes.iter().position(|&a| matches!(graph.extent(a), Extent::Runtime));
    let mut all = vec![Vec::new()];
    for &a in axes {
        let n = longest(graph, graph.axis(a).domain);
        all = all.iter().flat_map(|p| (0..n).map(move |x| p.iter().copied().chain([x]).collect())).collect();
    }
    let inside = |p: &Vec<usize>| {
        axes.iter().zip(p).all(|(&a, &x)| {
            let domain = graph.axis(a).domain;
            match batch {
                Some(b) => x < extent(graph, domain, p[b]),
                None => (0..TIME.len()).all(|b| x < extent(graph, domain, b)),
            }
        })
    };
    // Places in the last, incomplete block that are behind the end are nobody's business either.
    let is_place = |a: AxisId| g_name(graph, a).starts_with("place");
    let is_last = |a: AxisId| g_name(graph, a).ends_with("blocks") && matches!(graph.extent(a), Extent::Derived { .. });
    let complete = |p: &Vec<usize>| {
        let of = |is: &dyn Fn(AxisId) -> bool| -> Vec<usize> {
            axes.iter().zip(p).filter(|(a, _)| is(**a)).map(|(_, &x)| x).collect()
        };
        let time = batch.map_or(TIME.iter().copied().min().unwrap_or(0), |b| TIME[p[b]]);
        of(&is_last).iter().all(|m| of(&is_place).iter().all(|l| m * LENGTH as usize + l < time))
    };
    all.retain(|p| inside(p) && complete(p));
    Points { axes: axes.to_vec(), all }
}

impl Points {
    /// The elements of a value over some of the axes.
    fn of(&self, own: &AxisSet, values: &[f64], shape: &[usize]) -> Vec<f64> {
        let at = |p: &Vec<usize>| {
            let mine = self.axes.iter().zip(p).filter(|(a, _)| own.contains(**a)).map(|(_, &x)| x);
            values[mine.zip(shape).fold(0, |n, (x, &size)| n * size + x)]
        };
        self.all.iter().map(at).collect()
    }
}

fn g_name(graph: &Graph, axis: AxisId) -> &str {
    &graph.domain(graph.axis(axis).domain).name
}

/// A term as text, so deep.
fn shown(g: &Graph, node: NodeId, depth: usize) -> String {
    let name = |a: AxisId| g.axis(a).name.to_string();
    let names = |axes: &[AxisId]| axes.iter().map(|&a| name(a)).collect::<Vec<_>>().join(" ");
    if depth == 0 {
        return "..".to_owned();
    }
    let of = |n: NodeId| shown(g, n, depth - 1);
    let list = |ns: &[NodeId]| ns.iter().map(|&n| of(n)).collect::<Vec<_>>().join(", ");
    match g.op(node) {
        Op::Index(a) => name(*a),
        Op::Const(k) => format!("{}", k.as_f64()),
        Op::Input(i) => g.input(*i).name.to_string(),
        Op::Ein { axes, .. } => {
            let guards = g.guards(node);
            let guards = if guards.is_empty() { String::new() } else { format!(" where {}", list(guards)) };
            format!("sum({}: {}{guards})", names(axes), list(g.operands(node)))
        }
        Op::Sub { axes } => format!("{}[{} := {}]", of(g.args(node)[0]), names(axes), list(&g.args(node)[1..])),
        Op::Map(f) => format!("{}({})", f.name(), list(g.args(node))),
        op => format!("{}({})", op.name(), list(g.args(node))),
    }
}
