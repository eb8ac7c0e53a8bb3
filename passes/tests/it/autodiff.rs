//! Gradients as text: one small graph per rule of the op table, and what it becomes. That they are right is compared with finite
//! differences elsewhere, on layers; these show that a gradient has the form that kernels want.

use weft_ir::DType;
use weft_ir::graph::{Extent, Graph, InputId, Op};
use weft_passes::autodiff::{Request, gradients};
use weft_passes::canon::{Settings, canonicalise};

/// Axes `b` (batch), `t j` (ragged time), `c` (chunks of 4), `d e` (3 features); inputs `x[b, t]`, `v[b, t, d]`, `w[d]`, `n[b, t]`.
const HEAD: &str = "graph test
domain b = runtime
domain t = ragged(b) time
domain d = 3
axis b: b
axis t: t
axis j: t
axis d: d
axis e: d
in x[b, t]: f32
in v[b, t, d]: f32
in w[d]: f32
in n[b, t]: i32
";

fn graph(nodes: &str) -> Graph {
    Graph::parse(&format!("{HEAD}{nodes}")).unwrap_or_else(|e| panic!("{e}\n{nodes}"))
}

/// The gradient in some inputs, canonical, without the declarations that all have.
fn gradient(g: &Graph, wrt: &[u32]) -> Graph {
    let wrt = Some(wrt.iter().copied().map(InputId).collect());
    let made = gradients(g, &Request { wrt, ..Request::default() }).unwrap();
    canonicalise(&made.graph, Settings { float: DType::F32 }).unwrap()
}

fn snapshot(name: &str, nodes: &str, wrt: &[u32]) -> Graph {
    let made = gradient(&graph(nodes), wrt);
    let text = made.to_string();
    let kept = text.lines().filter(|l| ["%", "out ", "rec ", "in cot"].iter().any(|p| l.starts_with(p)));
    let kept = kept.collect::<Vec<_>>().join("\n");
    insta::with_settings!({ description => nodes.trim_end(), prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("autodiff-{name}"), kept);
    });
    made
}

/// How many sums over time a graph has.
fn long_sums(g: &Graph) -> usize {
    let over_time = |a: &weft_ir::graph::AxisId| matches!(g.extent(*a), Extent::Ragged(_));
    g.reachable().into_iter().filter(|&n| matches!(g.op(n), Op::Ein { axes, .. } if axes.iter().any(over_time))).count()
}

#[test]
fn a_shift_is_read_the_other_way() {
    let g = snapshot(
        "shift",
        "%0 = input x : f32[b, t]
%1 = index t : i32[t]
%2 = const 3 : i32[]
%3 = sub %1, %2 : i32[t]
%4 = sub %0 {t := %3} : f32[b, t]
%5 = const 0 : i32[]
%6 = le %5, %3 : bool[t]
%7 = ein {} [%6] %4 : f32[b, t]
out y[b, t]: f32 = %7
",
        &[0],
    );
    assert_eq!(long_sums(&g), 0);
}

#[test]
fn a_chunk_end_gets_the_sum_of_its_chunk() {
    // y[t] = x[4 (t // 4)]: what stands at the start of a chunk gets four cotangents, others get none.
    let g = snapshot(
        "chunk",
        "%0 = input x : f32[b, t]
%1 = index t : i32[t]
%2 = const 4 : i32[]
%3 = idiv %1, %2 : i32[t]
%4 = mul %2, %3 : i32[t]
%5 = sub %0 {t := %4} : f32[b, t]
out y[b, t]: f32 = %5
",
        &[0],
    );
    assert_eq!(long_sums(&g), 0);
}

#[test]
fn a_band_is_a_sum_over_distances() {
    // y[t, j] would be a pair: here a table over distances is read at t - j, inside a sum.
    let g = snapshot(
        "band",
        "%0 = input x : f32[b, t]
%1 = input w : f32[d]
%2 = index t : i32[t]
%3 = index j : i32[j]
%4 = sub %2, %3 : i32[t, j]
%5 = const 0 : i32[]
%6 = le %5, %4 : bool[t, j]
%7 = const 3 : i32[]
%8 = lt %4, %7 : bool[t, j]
%9 = sub %1 {d := %4} : f32[t, j]
%10 = sub %0 {t := %3} : f32[b, j]
%11 = ein {j} [%6, %8] %9, %10 : f32[b, t]
out y[b, t]: f32 = %11
",
        &[2],
    );
    assert_eq!(long_sums(&g), 1, "over b and t; the distance is the position in the table");
}

#[test]
fn a_gather_by_data_stays_a_guarded_sum() {
    let g = snapshot(
        "gather",
        "%0 = input x : f32[b, t]
%1 = input n : i32[b, t]
%2 = sub %0 {t := %1} : f32[b, t]
out y[b, t]: f32 = %2
",
        &[0],
    );
    assert_eq!(long_sums(&g), 1);
}

#[test]
fn softmax_is_a_quotient() {
    snapshot(
        "softmax",
        "%0 = input x : f32[b, t]
%1 = index j : i32[j]
%2 = sub %0 {t := %1} : f32[b, j]
%3 = ein {} %0, %2 : f32[b, t, j]
%4 = exp %3 : f32[b, t, j]
%5 = index t : i32[t]
%6 = le %1, %5 : bool[t, j]
%7 = ein {j} [%6] %4 : f32[b, t]
%8 = ein {j} [%6] %4, %2 : f32[b, t]
%9 = div0 %8, %7 : f32[b, t]
out y[b, t]: f32 = %9
",
        &[0],
    );
}

#[test]
fn an_extremum_gives_to_its_position() {
    snapshot(
        "extremum",
        "%0 = input v : f32[b, t, d]
%1 = reduce_max {d} %0 : f32[b, t]
out y[b, t]: f32 = %1
",
        &[1],
    );
}

#[test]
fn a_recurrence_runs_the_other_way() {
    snapshot(
        "recurrence",
        "rec h over t [b]: f32
%0 = input x : f32[b, t]
%1 = prev h : f32[b, t]
%6 = index t : i32[t]
%7 = const 0 : i32[]
%2 = lt %7, %6 : bool[t]
%3 = ein {} [%2] %1, %0 : f32[b, t]
%4 = add %3, %0 : f32[b, t]
%5 = rec h %4 : f32[b, t]
out y[b, t]: f32 = %5
",
        &[0],
    );
}

#[test]
fn what_is_stopped_has_no_gradient() {
    let stopped = graph("%0 = input x : f32[b, t]\n%1 = stop %0 : f32[b, t]\nout y[b, t]: f32 = %1\n");
    let made = gradients(&stopped, &Request { wrt: Some(vec![InputId(0)]), ..Request::default() }).unwrap();
    assert!(made.graph.outputs.is_empty());
    assert_eq!(made.unreached, [InputId(0)]);
}

#[test]
fn outputs_without_cotangent_give_nothing() {
    let two = graph(
        "%0 = input x : f32[b, t]
%1 = input w : f32[d]
%2 = ein {} %0, %1 : f32[b, t, d]
%3 = exp %1 : f32[d]
out y[b, t, d]: f32 = %2
out z[d]: f32 = %3
",
    );
    let only = |outputs: Vec<usize>| {
        let made = gradients(&two, &Request { cotangents: Some(outputs), ..Request::default() }).unwrap();
        let made_of: Vec<String> = made.graph.outputs.iter().map(|o| o.name.to_string()).collect();
        let inputs: Vec<String> = made.graph.inputs().iter().map(|i| i.name.to_string()).collect();
        (made_of, inputs.into_iter().filter(|n| n.starts_with("cot.")).collect::<Vec<_>>(), made.unreached.len())
    };
    assert_eq!(only(vec![1]), (vec!["grad.w".to_owned()], vec!["cot.z".to_owned()], 2));
    assert_eq!(
        only(vec![0, 1]),
        (vec!["grad.x".to_owned(), "grad.w".to_owned()], vec!["cot.y".to_owned(), "cot.z".to_owned()], 1)
    );
    assert_eq!(only(vec![]), (vec![], vec![], 3));
    // A cotangent that reaches no wanted input is an input all the same.
    let wrt = Some(vec![InputId(0)]);
    let made = gradients(&two, &Request { wrt, ..Request::default() }).unwrap();
    assert!(made.graph.inputs().iter().any(|i| &*i.name == "cot.z"));
    assert!(gradients(&two, &Request { cotangents: Some(vec![2]), ..Request::default() }).is_err());
    assert!(gradients(&two, &Request { wrt: Some(vec![InputId(9)]), ..Request::default() }).is_err());
}
