//! Causal attention by hand, against loops.

use weft_ir::DType;
use weft_ir::eval::{Bindings, Evaluator, Tensor};
use weft_ir::graph::{Extent, Extremum, Graph, Input, InputKind, MapFn, Op, Output, Role};

fn noise(n: usize, mut seed: u64) -> Vec<f64> {
    (0..n)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as f64 / f64::from(1u32 << 30) - 1.0
        })
        .collect()
}

#[test]
fn causal_attention() {
    let mut g = Graph::new("attention");
    let db = g.add_domain("b", Extent::Runtime, Role::Plain);
    let b = g.add_axis("b", db);
    let dt = g.add_domain("t", Extent::Ragged(b), Role::Time);
    let (t, j) = (g.add_axis("t", dt), g.add_axis("j", dt));
    let dd = g.add_domain("d", Extent::Const(3), Role::Plain);
    let d = g.add_axis("d", dd);
    let mut input = |name: &str| {
        let i = g.add_input(Input {
            name: name.into(),
            axes: vec![b, t, d],
            dtype: DType::Float,
            kind: InputKind::In,
            init: None,
        });
        g.read(i).unwrap()
    };
    let (q, k, v) = (input("q"), input("k"), input("v"));
    let (it, ij) = (g.index(t).unwrap(), g.index(j).unwrap());
    let kj = g.sub(k, &[(t, ij)]).unwrap();
    let vj = g.sub(v, &[(t, ij)]).unwrap();
    let s = g.ein(&[d], &[], &[q, kj]).unwrap();
    let guard = g.map(MapFn::Le, &[ij, it]).unwrap();
    let m =
        g.add(Op::Reduce { extremum: Extremum::Max, axes: [j].into_iter().collect(), guards: 1 }, &[guard, s]).unwrap();
    let sm = g.map(MapFn::Sub, &[s, m]).unwrap();
    let w = g.map(MapFn::Exp, &[sm]).unwrap();
    let den = g.ein(&[j], &[guard], &[w]).unwrap();
    let num = g.ein(&[j], &[guard], &[w, vj]).unwrap();
    let y = g.map(MapFn::Div0, &[num, den]).unwrap();
    g.outputs.push(Output { name: "y".into(), axes: vec![b, t, d], dtype: DType::Float, node: y });

    let (nb, nt, nd) = (2, 5, 3);
    let lengths = [5usize, 3];
    let make = |seed| {
        let mut x = noise(nb * nt * nd, seed);
        for t in 3..5 {
            for d in 0..3 {
                x[(nt + t) * nd + d] = f64::NAN;
            }
        }
        x
    };
    let (q, k, v) = (make(1), make(2), make(3));
    let bind = Bindings::new()
        .tensor("q", Tensor::floats(&[nb, nt, nd], q.clone()))
        .tensor("k", Tensor::floats(&[nb, nt, nd], k.clone()))
        .tensor("v", Tensor::floats(&[nb, nt, nd], v.clone()))
        .lengths("t", &lengths);
    let ev = Evaluator::new(&g, &bind).unwrap();
    let out = ev.outputs().unwrap();
    let y = out["y"].to_f64();
    for b in 0..nb {
        for t in 0..nt {
            let at = |x: &[f64], t: usize, d: usize| x[(b * nt + t) * nd + d];
            let w: Vec<f64> =
                (0..=t).map(|j| (0..nd).map(|d| at(&q, t, d) * at(&k, j, d)).sum::<f64>().exp()).collect();
            let den: f64 = w.iter().sum();
            for d in 0..nd {
                let want = if t < lengths[b] { (0..=t).map(|j| w[j] * at(&v, j, d)).sum::<f64>() / den } else { 0.0 };
                assert!((at(&y, t, d) - want).abs() < 1e-14, "{b} {t} {d}: {} {want}", at(&y, t, d));
            }
        }
    }
    let rows = ev.rows("y", "t", &[4, 1]).unwrap();
    for b in 0..nb {
        for (i, t) in [4, 1].into_iter().enumerate() {
            for d in 0..nd {
                let (a, b) = (rows.to_f64()[(b * 2 + i) * nd + d], y[(b * nt + t) * nd + d]);
                assert!((a - b).abs() < 1e-15);
            }
        }
    }
}
