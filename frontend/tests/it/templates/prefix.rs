//! The first outputs depend neither on what comes later nor on how much of it comes. (That machine code computes what the
//! evaluator does at every length is tested elsewhere.)

use super::examples::EXAMPLES;
use super::inputs::inputs;
use super::road::{Case, graph};
use weft_ir::eval::{Bindings, Elements, Evaluator, Tensor};
use weft_ir::graph::{Graph, Role};

const LONG: usize = 23;
/// One token, two, primes, more than a chunk.
const SHORT: &[usize] = &[1, 2, 7, 13];

/// The first `n` positions along the axes that are time.
fn cut(tensor: &Tensor, timed: &[bool], n: usize) -> Tensor {
    let shape: Vec<usize> = tensor.shape.iter().zip(timed).map(|(&s, &t)| if t { n.min(s) } else { s }).collect();
    let mut kept = Vec::with_capacity(shape.iter().product());
    for at in 0..tensor.shape.iter().product::<usize>() {
        let mut rest = at;
        let mut inside = true;
        for (&size, &to) in tensor.shape.iter().zip(&shape).rev() {
            inside &= rest % size < to;
            rest /= size;
        }
        if inside {
            kept.push(at);
        }
    }
    let data = match &tensor.data {
        Elements::F64(x) => Elements::F64(kept.iter().map(|&i| x[i]).collect()),
        Elements::I64(x) => Elements::I64(kept.iter().map(|&i| x[i]).collect()),
        Elements::Bool(x) => Elements::Bool(kept.iter().map(|&i| x[i]).collect()),
    };
    Tensor { shape, data }
}

fn run(graph: &Graph, tensors: &[(String, Tensor)], time: usize, memory: usize) -> Vec<(String, Tensor)> {
    let mut bindings = Bindings::new().lengths("t", &[time]);
    if graph.domains().iter().any(|d| &*d.name == "m") {
        bindings = bindings.size("m", memory);
    }
    let bindings = tensors.iter().fold(bindings, |b, (name, t)| b.tensor(name, t.clone()));
    let outputs = Evaluator::new(graph, &bindings).unwrap().outputs().unwrap();
    outputs.into_iter().map(|(name, t)| (name.to_string(), t)).collect()
}

#[test]
fn first_outputs_do_not_depend_on_the_length() {
    let mut compared = 0;
    for example in EXAMPLES {
        let case: Case = example.case(&[], &[LONG]);
        let graph = graph(&case).unwrap();
        let timed = |axes: &[weft_ir::graph::AxisId]| -> Vec<bool> {
            axes.iter().map(|&a| graph.domain(graph.axis(a).domain).role == Role::Time).collect()
        };
        let whole = inputs(&graph, &case);
        let long = run(&graph, &whole, LONG, case.lengths.memory);
        for &n in SHORT {
            let short: Vec<(String, Tensor)> = graph
                .inputs()
                .iter()
                .zip(&whole)
                .map(|(i, (name, t))| (name.clone(), cut(t, &timed(&i.axes), n)))
                .collect();
            let found = run(&graph, &short, n, case.lengths.memory);
            for ((out, (name, a)), (_, b)) in graph.outputs.iter().zip(&found).zip(&long) {
                let timed = timed(&out.axes);
                // What has no time is what it is at the end.
                if !timed.contains(&true) {
                    continue;
                }
                let b = cut(b, &timed, n);
                let far = a.to_f64().iter().zip(b.to_f64()).any(|(x, y)| (x - y).abs() > 1e-12 * (1.0 + y.abs()));
                assert!(
                    a.shape == b.shape && !far,
                    "{}: the first {n} of `{name}` depend on what follows",
                    example.file
                );
                compared += 1;
            }
        }
    }
    assert!(compared >= SHORT.len() * EXAMPLES.len(), "only {compared} outputs have time");
}
