//! Plans of small graphs, as text and as numbers: what is known of stored maxima, values that are stored as a mantissa and a scale,
//! recurrences that run from the last position to the first.

use crate::lower::harness::{Random, check};
use weft_ir::DType;
use weft_ir::eval::{self, Elements, Evaluator};
use weft_ir::graph::{AxisId, Extent, Graph, InputId, MapFn};
use weft_ir::kernel::interp::{Bindings, Options, Tensor, run};
use weft_ir::kernel::verify::verify;
use weft_ir::kernel::{Inst, OpCode, Stmt};
use weft_passes::autodiff::{Request, gradients};
use weft_passes::canon::{Settings, canonicalise};
use weft_passes::schedule::{self, Scheduled, Tiles, schedule};

const HEAD: &str = "graph test
domain b = runtime
domain t = ragged(b) time
domain d = 3
axis b: b
axis t: t
axis j: t
axis d: d
";

/// A graph on its way to a plan.
struct Made {
    graph: Graph,
    scheduled: Scheduled,
}

/// A graph, or its gradients in some inputs.
fn made(nodes: &str, wrt: Option<&[u32]>, tiles: Tiles) -> Made {
    let mut graph = Graph::parse(&format!("{HEAD}{nodes}")).unwrap_or_else(|e| panic!("{e}\n{nodes}"));
    if let Some(wrt) = wrt {
        let wrt = Some(wrt.iter().copied().map(InputId).collect());
        graph = gradients(&graph, &Request { wrt, forward: true, ..Request::default() }).unwrap().graph;
    }
    let settings = Settings { float: DType::F64 };
    let canonical = canonicalise(&graph, settings).unwrap();
    let options = schedule::Options { tiles: Some(tiles), ..schedule::Options::default() };
    let scheduled = schedule(&canonical, settings, &options).unwrap();
    if let Err(errors) = verify(&scheduled.plan) {
        panic!("{errors:?}\n{}", scheduled.plan);
    }
    Made { graph, scheduled }
}

fn shape(g: &Graph, axes: &[AxisId], lengths: &[usize]) -> Vec<usize> {
    let extent = |a: &AxisId| match g.extent(*a) {
        Extent::Const(n) => n as usize,
        Extent::Runtime => lengths.len(),
        _ => lengths.iter().copied().max().unwrap_or(0),
    };
    axes.iter().map(extent).collect()
}

/// Inputs in [-size, size], for the graph and for the plan.
fn bindings(g: &Graph, lengths: &[usize], size: f64) -> (eval::Bindings, Bindings) {
    let long: Vec<i64> = lengths.iter().map(|&n| n as i64).collect();
    let mut random = Random(7);
    let mut meaning = eval::Bindings::new().lengths("t", lengths);
    let mut bindings = Bindings::default().extent("B", vec![lengths.len() as i64]).extent("T", long.clone());
    for input in g.inputs() {
        let shape = shape(g, &input.axes, lengths);
        let data: Vec<f64> = (0..shape.iter().product()).map(|_| (random.next() * 2.0 - 1.0) * size).collect();
        meaning = meaning.tensor(&input.name, eval::Tensor::floats(&shape, data.clone()));
        bindings = bindings.buffer(&input.name, Tensor { shape, data });
    }
    (meaning, bindings)
}

/// Where the float64 evaluator has infinities, which knows no scales, outputs are numbers below a bound, and gradients are numbers.
#[track_caller]
fn bounded(m: &Made, size: f64, bounds: &[(&str, f64)]) {
    let (g, plan) = (&m.graph, &m.scheduled.plan);
    let (_, given) = bindings(g, &[33], size);
    let found = run(plan, &given, Options::default()).unwrap_or_else(|e| panic!("{e}\n{plan}"));
    for out in &g.outputs {
        let bound = bounds.iter().find(|b| b.0 == &*out.name).map_or(f64::MAX, |b| b.1);
        let values = &found.buffers[&*out.name].data;
        assert!(values.iter().all(|x| x.abs() <= bound), "`{}`: {values:?}\n{plan}", out.name);
    }
}

/// The plan gives what the graph means, in the interpreter and as machine code. Inputs are in [-size, size].
#[track_caller]
fn agrees(m: &Made, lengths: &[usize], size: f64) {
    let (g, plan) = (&m.graph, &m.scheduled.plan);
    let (meaning, bindings) = bindings(g, lengths, size);
    let long: Vec<i64> = lengths.iter().map(|&n| n as i64).collect();
    let want = Evaluator::new(g, &meaning).and_then(|e| e.outputs()).unwrap();
    let found = run(plan, &bindings, Options::default()).unwrap_or_else(|e| panic!("{e}\n{plan}"));
    for out in &g.outputs {
        let Elements::F64(want) = &want[&out.name].data else { panic!("floats") };
        let found = &found.buffers[&*out.name].data;
        let shape = shape(g, &out.axes, lengths);
        let largest = want.iter().filter(|x| x.is_finite()).fold(1e-3f64, |m, x| m.max(x.abs()));
        let feature: usize = shape.iter().skip(2).product();
        for (n, (a, b)) in found.iter().zip(want).enumerate() {
            let exists = shape.len() < 2 || n / feature % shape[1] < lengths[n / feature / shape[1]];
            assert!(!exists || (a - b).abs() < 1e-9 * largest, "`{}` at {n}: {a} for {b}\n{plan}", out.name);
        }
    }
    check(plan, &[("B", &[lengths.len() as i64]), ("T", &long)], 3, 1e-9);
}

const LENGTHS: [&[usize]; 4] = [&[1], &[9, 1, 4], &[33, 17], &[6, 0, 2]];
const SMALL: Tiles = Tiles { rows: 4, stream: 3, block: 5, depth: 2, vector: 7 };

fn everywhere(nodes: &str, wrt: Option<&[u32]>, size: f64) -> Made {
    for tiles in [Tiles::default(), SMALL] {
        let m = made(nodes, wrt, tiles);
        LENGTHS.iter().for_each(|lengths| agrees(&m, lengths, size));
    }
    made(nodes, wrt, SMALL)
}

/// For each kernel, how many instructions of a kind it has.
fn count(m: &Made, is: fn(&Inst) -> bool) -> Vec<(String, usize)> {
    fn within(stmts: &[Stmt], is: fn(&Inst) -> bool) -> usize {
        let each = stmts.iter().map(|s| match s {
            Stmt::Inst(i) => usize::from(is(i)),
            Stmt::Loop(l) => within(&l.body, is),
            Stmt::While(w) => within(&w.body, is),
            Stmt::If(i) => within(&i.then_body, is) + within(&i.else_body, is),
            Stmt::Let(_) => 0,
        });
        each.sum()
    }
    m.scheduled.plan.kernels.iter().map(|k| (k.name.clone(), within(&k.body, is))).collect()
}

fn snapshot(name: &str, nodes: &str, m: &Made) {
    let text = format!("{}\n\n{}", m.scheduled.notes.join("\n"), m.scheduled.plan);
    insta::with_settings!({ description => nodes.trim_end(), prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("schedule-{name}"), text);
    });
}

/// Causal softmax of `x[t] x[j]` over `v`.
const SOFTMAX: &str = "in x[b, t]: f64
in v[b, t]: f64
%0 = input x : f64[b, t]
%1 = index j : i32[j]
%2 = sub %0 {t := %1} : f64[b, j]
%3 = ein {} %0, %2 : f64[b, t, j]
%4 = exp %3 : f64[b, t, j]
%5 = index t : i32[t]
%6 = le %1, %5 : bool[t, j]
%7 = input v : f64[b, t]
%8 = sub %7 {t := %1} : f64[b, j]
%9 = ein {j} [%6] %4 : f64[b, t]
%10 = ein {j} [%6] %4, %8 : f64[b, t]
%11 = div0 %10, %9 : f64[b, t]
out y[b, t]: f64 = %11
";

/// The maximum of a row is taken once, in forward: whoever weighs with the same exponentials later, along rows or along keys,
/// reads it.
#[test]
fn maxima_are_taken_once() {
    let m = everywhere(SOFTMAX, Some(&[0, 1]), 18.0);
    bounded(&m, 60.0, &[("y", 60.0)]);
    let having = |is| count(&m, is).into_iter().filter(|k| k.1 > 0).map(|k| k.0).collect::<Vec<_>>();
    assert_eq!(having(|i| i.op == OpCode::Online), ["y"], "running maxima");
    assert_eq!(having(|i| i.attrs.function == Some(MapFn::Exp)), ["grad.x", "grad.v"], "weights computed again");
    snapshot("maxima", SOFTMAX, &m);
}

/// Sums of exponentials of the past, over the sum of these: the sums may be too large for a float, their quotient is not.
const SCALES: &str = "in x[b, t]: f64
%0 = input x : f64[b, t]
%1 = index j : i32[j]
%2 = index t : i32[t]
%3 = le %1, %2 : bool[t, j]
%4 = sub %0 {t := %1} : f64[b, j]
%5 = exp %4 : f64[b, j]
%6 = ein {j} [%3] %5 : f64[b, t]
%7 = sub %6 {t := %1} : f64[b, j]
%8 = ein {j} [%3] %7 : f64[b, t]
%9 = inv0 %8 : f64[b, t]
%10 = ein {} %9, %6 : f64[b, t]
out y[b, t]: f64 = %10
";

/// A sum of large exponentials is stored beside its scale, and so is what is made of it; numbers fit where the sums do not.
#[test]
fn scales_are_kept() {
    let m = everywhere(SCALES, None, 300.0);
    bounded(&m, 3000.0, &[("y", 1.0 + 1e-12)]);
    let kept = m.scheduled.notes.iter().filter(|n| n.contains("a mantissa and a scale")).count();
    assert!(kept >= 1, "{:?}", m.scheduled.notes);
    snapshot("kept-scales", SCALES, &m);
}

/// A decayed sum with a gate that depends on the token.
const DECAY: &str = "in x[b, t]: f64
in a[b, t, d]: f64
rec h over t [b, d]: f64
%0 = input x : f64[b, t]
%1 = input a : f64[b, t, d]
%2 = index t : i32[t]
%3 = const 0 : i32[]
%4 = lt %3, %2 : bool[t]
%5 = prev h : f64[b, t, d]
%6 = ein {} [%4] %5, %1 : f64[b, t, d]
%7 = add %6, %0 : f64[b, t, d]
%8 = rec h %7 : f64[b, t, d]
out y[b, t, d]: f64 = %8
";

#[test]
fn the_gradient_of_a_recurrence_is_walked_backwards() {
    let m = everywhere(DECAY, Some(&[0, 1]), 1.0);
    let backwards: Vec<&String> =
        m.scheduled.notes.iter().filter(|n| n.contains("from the last position to the first")).collect();
    assert_eq!(backwards.len(), 1, "{:?}", m.scheduled.notes);
    snapshot("reverse", DECAY, &m);
}

/// The same with a restart every four positions.
const RESTART: &str = "in x[b, t]: f64
in a[b, t, d]: f64
rec h over t [b, d]: f64
%0 = input x : f64[b, t]
%1 = input a : f64[b, t, d]
%2 = index t : i32[t]
%3 = const 0 : i32[]
%4 = const 4 : i32[]
%5 = mod %2, %4 : i32[t]
%6 = ne %5, %3 : bool[t]
%7 = prev h : f64[b, t, d]
%8 = ein {} [%6] %7, %1 : f64[b, t, d]
%9 = add %8, %0 : f64[b, t, d]
%10 = rec h %9 : f64[b, t, d]
out y[b, t, d]: f64 = %10
";

/// Chunks are independent, also backwards.
#[test]
fn restarts_are_found_backwards() {
    let m = everywhere(RESTART, Some(&[0, 1]), 1.0);
    let notes = m.scheduled.notes.iter().filter(|n| n.contains("starts anew every 4 positions"));
    let (backwards, forwards): (Vec<_>, Vec<_>) = notes.partition(|n| n.contains("from the last position"));
    assert_eq!((forwards.len(), backwards.len()), (1, 1), "{:?}", m.scheduled.notes);
    snapshot("reverse-restart", RESTART, &m);
}
