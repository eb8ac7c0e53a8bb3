//! The table of partial derivatives: every function, in every operand, against differences of its own values.

use weft_ir::DType;
use weft_ir::elementwise::{MapFn, Signature};
use weft_ir::eval::{Bindings, Evaluator};
use weft_ir::graph::{Graph, Op, Output, Scalar};

const POINTS: [f64; 9] = [-2.5, -1.0, -0.3, 0.0, 0.2, 0.7, 1.0, 1.9, 3.0];

/// `d f / d operand[at]` at constants, with all operands needing gradients but those listed.
fn partial(f: MapFn, x: &[f64], at: usize, constants: &[usize]) -> f64 {
    let mut g = Graph::new("partial");
    let args: Vec<_> = x.iter().map(|&v| g.add(Op::Const(Scalar::Float(v.to_bits())), &[]).unwrap()).collect();
    let y = g.map(f, &args).unwrap();
    let fixed: Vec<_> = constants.iter().map(|&c| args[c]).collect();
    let Some(p) = g.partial(y, at, &|n| !fixed.contains(&n)).unwrap() else { return 0.0 };
    let mut factors = p.factors.to_vec();
    factors.push(g.float(1.0));
    let node = g.ein(&[], &p.guards, &factors).unwrap();
    g.outputs.push(Output { name: "p".into(), axes: vec![], dtype: DType::Float, node });
    let bindings = Bindings::new();
    Evaluator::new(&g, &bindings).and_then(|e| e.outputs()).map_or(f64::NAN, |o| o["p"].to_f64()[0])
}

/// A central difference of fourth order; `None` where the function has none (a kink, an end of its domain).
fn slope(f: MapFn, x: &[f64], at: usize) -> Option<f64> {
    let value = |h: f64| {
        let mut x = x.to_vec();
        x[at] += h;
        f.eval_float(&x)
    };
    let difference =
        |h: f64| Some((8.0 * (value(h)? - value(-h)?) - (value(2.0 * h)? - value(-2.0 * h)?)) / (12.0 * h));
    let here = value(0.0).filter(|v| v.is_finite())?;
    let one_sided = |h: f64| Some((value(h)? - here) / h);
    let (right, left) = (one_sided(1e-6)?, one_sided(-1e-6)?);
    // A jump, which `div0` has, is a slope without bound.
    let smooth = (right - left).abs() <= 1e-3 * (1.0 + right.abs()) && right.abs() < 1e5;
    difference(1e-3).filter(|d| d.is_finite() && smooth)
}

#[test]
fn every_function_has_its_derivative() {
    for &f in MapFn::ALL {
        if !matches!(f.signature(), Signature::Arith | Signature::Float) {
            continue;
        }
        let (least, most) = f.operands();
        for arity in least..=most.min(least + 1) {
            let mut compared = 0;
            let points = POINTS.len().pow(arity as u32);
            for n in 0..points {
                let x: Vec<f64> = (0..arity).map(|i| POINTS[n / POINTS.len().pow(i as u32) % POINTS.len()]).collect();
                for at in 0..arity {
                    // The logarithm of a base that is not positive, of which a power's exponent asks.
                    let Some(want) = slope(f, &x, at) else { continue };
                    let got = partial(f, &x, at, &[]);
                    assert!((got - want).abs() < 1e-6 * (1.0 + want.abs()), "{f:?} {x:?} in {at}: {got}, not {want}");
                    compared += 1;
                }
            }
            assert!(compared >= points * arity / 4, "{f:?}: only {compared} of {points} points compared");
        }
    }
}

#[test]
fn kinks_are_as_documented() {
    assert_eq!(partial(MapFn::Abs, &[0.0], 0, &[]), 0.0);
    assert_eq!(partial(MapFn::Inv0, &[0.0], 0, &[]), 0.0);
    assert_eq!(partial(MapFn::Div0, &[2.0, 0.0], 0, &[]), 0.0);
    assert_eq!(partial(MapFn::Div0, &[2.0, 0.0], 1, &[]), 0.0);
    // Of equal operands one that needs no gradient wins, so that `max(x, 0)` has none at 0.
    assert_eq!(partial(MapFn::Max, &[-0.0, 0.0], 0, &[1]), 0.0);
    assert_eq!(partial(MapFn::Min, &[0.0, -0.0], 0, &[1]), 0.0);
    // Else the first.
    assert_eq!(partial(MapFn::Max, &[0.0, -0.0], 0, &[]), 1.0);
    assert_eq!(partial(MapFn::Max, &[0.0, -0.0], 1, &[]), 0.0);
}

/// Exactly one operand of an extremum has a derivative, whatever ties there are.
#[test]
fn extrema_have_one_winner() {
    for f in [MapFn::Max, MapFn::Min] {
        for x in [[1.0, 1.0, 1.0], [1.0, 2.0, 2.0], [2.0, 1.0, 2.0], [3.0, 1.0, 2.0]] {
            let total: f64 = (0..3).map(|at| partial(f, &x, at, &[])).sum();
            assert_eq!(total, 1.0, "{f:?} of {x:?}");
        }
    }
}
