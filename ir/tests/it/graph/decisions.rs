//! Decisions read out, imposed and judged; sensitivity.

use super::fixture::{inputs, load};
use weft_ir::eval::check::Decisions;
use weft_ir::eval::{Bindings, Error, Evaluator, Tensor, Tolerance};
use weft_ir::graph::{Graph, NodeId, Op};

const TIGHT: Tolerance = Tolerance { absolute: 1e-6, relative: 1e-6 };

#[test]
fn codes_can_be_imposed() {
    let g = load("vq", &[]);
    let bind = inputs(&g, &[6, 4], 2);
    let mut ev = Evaluator::new(&g, &bind).unwrap();
    let own = ev.outputs().unwrap();
    let mut decisions = ev.decisions().unwrap();
    assert_eq!(decisions.len(), 1);
    let (&code, tensor) = decisions.first().unwrap();
    assert_eq!(tensor, &own["z"]);
    assert!(ev.judge(&decisions, TIGHT).unwrap().iter().all(|j| j.worst == 0.0));
    // Imposing what it decides itself changes nothing.
    ev.impose_decisions(&decisions).unwrap();
    assert_eq!(ev.outputs().unwrap(), own);
    // Another code at (1, 2): that output follows, and the judgement says so.
    let mut codes: Vec<i64> = tensor.to_f64().iter().map(|&x| x as i64).collect();
    codes[8] = (codes[8] + 1) % 5;
    decisions[&code] = Tensor::ints(&[2, 6], codes.clone());
    let judged = ev.judge(&decisions, TIGHT).unwrap();
    assert!(!judged[0].is_within() && judged[0].worst.is_finite());
    assert_eq!(judged[0].position, [1, 2]);
    ev.impose_decisions(&decisions).unwrap();
    let other = ev.outputs().unwrap();
    assert_eq!(other["z"].to_f64()[8], codes[8] as f64);
    assert_ne!(other["y"], own["y"]);
    // What is no member at all.
    codes[8] = 77;
    decisions[&code] = Tensor::ints(&[2, 6], codes);
    assert_eq!(ev.judge(&decisions, TIGHT).unwrap()[0].worst, f64::INFINITY);
    ev.impose_nothing();
    assert_eq!(ev.outputs().unwrap(), own);
}

/// Members of the top 2 of `z`, weighed by a ramp: `y[j] = z if (z, -j) >= the second-best pair`.
fn top() -> (Graph, NodeId, NodeId, NodeId) {
    let text = "graph top\ndomain j = 4\naxis j: j\nin z[j]: float\n%0 = input z : float[j]\n%1 = const 1 : i32[]\n\
                %2 = kth_value {j} %0, %1 : float[]\n%3 = kth_index {j} %0, %1 : i32[]\n%4 = lt %2, %0 : bool[j]\n\
                %5 = eq %2, %0 : bool[j]\n%6 = index j : i32[j]\n%7 = le %6, %3 : bool[j]\n%8 = and %5, %7 : bool[j]\n\
                %9 = or %4, %8 : bool[j]\n%10 = const 2.0 : float[]\n%11 = threshold.ramp {j} %0, %10 : float[]\n\
                %12 = sub %0, %11 : float[j]\n%13 = const 0.0 : float[]\n%14 = select %9, %12, %13 : float[j]\n\
                out y[j]: float = %14\n";
    let g = Graph::parse(text).unwrap();
    let find = |f: &dyn Fn(&Op) -> bool| g.ids().find(|&n| f(g.op(n))).unwrap();
    let value = find(&|o| matches!(o, Op::KthValue { .. }));
    let index = find(&|o| matches!(o, Op::KthIndex { .. }));
    let tau = find(&|o| matches!(o, Op::Threshold { .. }));
    (g, value, index, tau)
}

#[test]
fn a_near_tie_may_be_decided_either_way() {
    let (g, value, index, _) = top();
    let z = [4.0, 1.0, 1.5, 1.5 - 1e-9];
    let bind = Bindings::new().tensor("z", Tensor::floats(&[4], z.to_vec()));
    let mut ev = Evaluator::new(&g, &bind).unwrap();
    let y = |ev: &Evaluator<'_>| ev.outputs().unwrap()["y"].to_f64();
    assert_eq!(y(&ev).iter().map(|&x| x != 0.0).collect::<Vec<_>>(), [true, false, true, false]);
    // In f32 the two are equal... or came out the other way round.
    let given = |i: i64, v: f64| -> Decisions {
        [(value, Tensor::floats(&[], vec![v])), (index, Tensor::ints(&[], vec![i]))].into_iter().collect()
    };
    let rounded = f64::from(1.5f32 - 1e-9f32);
    assert!(ev.judge(&given(3, rounded), TIGHT).unwrap().iter().all(|j| j.is_within()));
    assert!(!ev.judge(&given(1, 1.0), TIGHT).unwrap()[1].is_within());
    assert!(ev.judge(&given(0, 4.0), TIGHT).unwrap().iter().all(|j| !j.is_within()));
    // The value is read at the imposed index, so that the third member ranks above it and the fourth is one.
    ev.impose_decisions(&given(3, rounded)).unwrap();
    assert_eq!(y(&ev).iter().map(|&x| x != 0.0).collect::<Vec<_>>(), [true, false, true, true]);
}

#[test]
fn any_threshold_of_a_flat_piece_is_optimal() {
    let (g, _, _, tau) = top();
    let bind = Bindings::new().tensor("z", Tensor::floats(&[4], vec![4.0, 0.5, 3.0, 0.25]));
    let ev = Evaluator::new(&g, &bind).unwrap();
    let judge = |t: f64| {
        let given: Decisions = [(tau, Tensor::floats(&[], vec![t]))].into_iter().collect();
        ev.judge(&given, TIGHT).unwrap()[0].is_within()
    };
    // Flat from 0.5 to 2.
    assert!(judge(2.0) && judge(1.0) && judge(0.5) && judge(2.0 + 1e-7));
    assert!(!judge(0.4) && !judge(2.1) && !judge(f64::NEG_INFINITY));
}

#[test]
fn requests_are_checked() {
    let (g, value, ..) = top();
    let bind = Bindings::new().tensor("z", Tensor::floats(&[4], vec![4.0, 0.5, 3.0, 0.25]));
    let mut ev = Evaluator::new(&g, &bind).unwrap();
    assert!(matches!(ev.impose(NodeId(999), &Tensor::floats(&[], vec![0.0])), Err(Error::Request(_))));
    assert!(matches!(ev.impose(value, &Tensor::floats(&[2], vec![0.0; 2])), Err(Error::Request(_))));
    assert!(matches!(ev.impose(value, &Tensor::ints(&[], vec![0])), Err(Error::Request(_))));
    let none: Decisions = [(NodeId(0), Tensor::floats(&[4], vec![0.0; 4]))].into_iter().collect();
    assert!(matches!(ev.judge(&none, TIGHT), Err(Error::Request(_))));
    assert!(matches!(ev.rows("y", "j", &[4]), Err(Error::Request(_))));
    assert!(matches!(ev.rows("y", "t", &[0]), Err(Error::Request(_))));
    assert!(matches!(ev.rows("x", "j", &[0]), Err(Error::Request(_))));
}

#[test]
fn sensitivity_is_that_of_rounding() {
    let unit = 1.0 / f64::from(1 << 23);
    for name in ["attention", "ssm", "vq"] {
        let g = load(name, &[]);
        let ev = Evaluator::new(&g, &inputs(&g, &[9, 5], 4)).unwrap();
        let s = ev.sensitivity(1).unwrap();
        assert!(s["y"] > 0.05 * unit && s["y"] < 100.0 * unit, "{name}: {}", s["y"] / unit);
        assert!(!s.contains_key("z"));
        assert_eq!(s, ev.sensitivity(1).unwrap());
    }
    // The sum of what cancels moves by more.
    let (g, ..) = top();
    let bind = Bindings::new().tensor("z", Tensor::floats(&[4], vec![1e6, 1e6 - 0.5, 0.0, 0.0]));
    let ev = Evaluator::new(&g, &bind).unwrap();
    assert!((0..8).any(|seed| ev.sensitivity(seed).unwrap()["y"] > 1e3 * unit));
}
