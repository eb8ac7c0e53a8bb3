//! Laws that hold for every graph, on whole layers.

use super::fixture::{inputs, load, tensors};
use super::naive::{Element, Naive};
use std::collections::{BTreeMap, HashMap};
use weft_ir::eval::{Bindings, Elements, Evaluator, Options, Tensor};
use weft_ir::graph::{AxisId, Extent, Graph, Role};

const LAYERS: [&str; 3] = ["attention", "vq", "ssm"];
const TINY: Options = Options { memory: 1 << 20, block: 2000, store: 1000, undefined: false };

fn close(a: &Tensor, b: &Tensor) -> bool {
    let same = |(x, y): (f64, f64)| x == y || (x - y).abs() <= 1e-13 * (1.0 + y.abs());
    a.shape == b.shape && a.to_f64().into_iter().zip(b.to_f64()).all(same)
}

/// One batch element of what has an axis `b`, cut to its length.
fn document(g: &Graph, (name, t): &(String, Tensor), b: usize, length: usize) -> Tensor {
    let input = g.inputs().iter().find(|i| *i.name == **name).unwrap();
    if &*g.axis(input.axes[0]).name != "b" {
        return t.clone();
    }
    let inner: usize = t.shape[2..].iter().product();
    let from = b * t.shape[1] * inner;
    let shape = [&[1, length], &t.shape[2..]].concat();
    Tensor::floats(&shape, t.to_f64()[from..from + length * inner].to_vec())
}

#[test]
fn packed_equals_one_by_one() {
    let lengths = [7, 1, 10, 4];
    for name in LAYERS {
        let g = load(name, &[]);
        let all = tensors(&g, &lengths, 3);
        for options in [Options::default(), TINY] {
            let together = Evaluator::with_options(&g, &inputs(&g, &lengths, 3), options).unwrap().outputs().unwrap();
            for (b, &length) in lengths.iter().enumerate() {
                let bind = all.iter().fold(Bindings::new(), |bind, t| bind.tensor(&t.0, document(&g, t, b, length)));
                let alone = Evaluator::with_options(&g, &bind, options).unwrap().outputs().unwrap();
                for o in g.outputs.iter().filter(|o| !o.axes.is_empty()) {
                    let (x, y) = (&together[&o.name], &alone[&o.name]);
                    let inner: usize = x.shape[2..].iter().product();
                    let from = b * x.shape[1] * inner;
                    let x: Vec<f64> = x.to_f64()[from..from + length * inner].to_vec();
                    assert!(close(&Tensor::floats(&y.shape, x), y), "{name} {} {b}", o.name);
                }
            }
        }
    }
}

#[test]
fn rows_and_blocks_change_nothing() {
    for name in LAYERS {
        let g = load(name, &[]);
        let bind = inputs(&g, &[11, 6], 5);
        let whole = Evaluator::new(&g, &bind).unwrap().outputs().unwrap();
        let tiny = Evaluator::with_options(&g, &bind, TINY).unwrap();
        for (o, t) in tiny.outputs().unwrap() {
            assert!(close(&t, &whole[&o]), "{name} {o}");
        }
        for ev in [&Evaluator::new(&g, &bind).unwrap(), &tiny] {
            let rows = [9, 0, 3];
            let some = ev.rows("y", "t", &rows).unwrap();
            let inner: usize = some.shape[2..].iter().product();
            for b in 0..2 {
                for (i, &t) in rows.iter().enumerate() {
                    let x = &some.to_f64()[(b * 3 + i) * inner..][..inner];
                    let y = &whole["y"].to_f64()[(b * 11 + t) * inner..][..inner];
                    assert!(x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-13), "{name} row {t}");
                }
            }
        }
    }
}

#[test]
fn layers_mean_what_their_elements_mean() {
    let lengths = [6, 3];
    for name in LAYERS {
        let g = load(name, &[]);
        let t = g.axes().iter().find(|a| g.domain(a.domain).role == Role::Time).unwrap().domain;
        let b = g.axes().iter().find(|a| g.domain(a.domain).extent == Extent::Runtime).unwrap().domain;
        let given: BTreeMap<String, Tensor> = tensors(&g, &lengths, 7).into_iter().collect();
        let naive = Naive::new(&g, given, HashMap::from([(b, 2), (t, 6)]), HashMap::from([(t, lengths.to_vec())]));
        let outputs = Evaluator::new(&g, &inputs(&g, &lengths, 7)).unwrap().outputs().unwrap();
        for o in &g.outputs {
            let x = &outputs[&o.name];
            for (i, x_i) in x.to_f64().into_iter().enumerate() {
                let mut rest = i;
                let mut env: BTreeMap<AxisId, usize> = BTreeMap::new();
                for (&a, &n) in o.axes.iter().zip(&x.shape).rev() {
                    env.insert(a, rest % n);
                    rest /= n;
                }
                let want = if o.axes.iter().any(|&a| env[&a] >= naive.count(a, &env)) {
                    0.0
                } else {
                    match naive.at(o.node, &env) {
                        Element::F(y) => y,
                        Element::I(y) => y as f64,
                        other => panic!("{name} {}: {other:?}", o.name),
                    }
                };
                assert!((x_i - want).abs() < 1e-12, "{name} {} at {env:?}: {x_i} {want}", o.name);
            }
        }
    }
}

#[test]
fn substitutions_compose() {
    // (e[t := p])[j := q] is e[t := p[j := q]] for e over t: e = x[b, t], p = j - 1, q = t // 2 + 1.
    let head = "graph s\ndomain b = runtime\ndomain t = ragged(b) time\naxis b: b\naxis t: t\naxis j: t\nin x[b, t]: float\n\
                %0 = input x : float[b, t]\n%1 = index j : i32[j]\n%2 = const 1 : i32[]\n%3 = sub %1, %2 : i32[j]\n\
                %4 = index t : i32[t]\n%5 = const 2 : i32[]\n%6 = idiv %4, %5 : i32[t]\n%7 = add %6, %2 : i32[t]\n";
    let twice = "%8 = sub %0 {t := %3} : float[b, j]\n%9 = sub %8 {j := %7} : float[b, t]\n";
    let once = "%8 = sub %3 {j := %7} : i32[t]\n%9 = sub %0 {t := %8} : float[b, t]\n";
    let results: Vec<Elements> = [twice, once]
        .iter()
        .map(|body| {
            let g = Graph::parse(&format!("{head}{body}out y[b, t]: float = %9\n")).unwrap();
            Evaluator::new(&g, &inputs(&g, &[5, 4], 1)).unwrap().outputs().unwrap()["y"].data.clone()
        })
        .collect();
    assert_eq!(results[0], results[1]);
}
