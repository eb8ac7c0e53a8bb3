//! Accuracy of the expanded functions, against f64.

use weft_ir::loops::{Access, Array, Elem, Function, Kernel, KernelBuilder};
use weft_runtime::Pool;

use crate::run::machine;

fn apply(function: Function, lanes: u16) -> Kernel {
    let mut b = KernelBuilder::new(format!("{}_{lanes}", function.name()));
    let _ = b.dim("n");
    let size = [KernelBuilder::dim_extent(0)];
    let x = b.buffer("x", Elem::F32, Access::Read, &size);
    let y = b.buffer("y", Elem::F32, Access::Write, &size);
    b.for_tasks(|b, task| {
        let i = b.mul_int(task, lanes.into());
        let place = b.at(x, i);
        let v = b.load(place, lanes);
        let args = vec![v; function.arity()];
        let v = b.call(function, &args);
        let place = b.at(y, i);
        b.store(place, v);
    });
    b.finish().unwrap()
}

fn results(function: Function, lanes: u16, x: &[f32]) -> Vec<f32> {
    let mut x = x.to_vec();
    x.resize(x.len().next_multiple_of(lanes.into()), 1.0);
    let n = x.len();
    let args = [Array::F32(x), Array::zeros(Elem::F32, n)];
    let tasks = n as u64 / u64::from(lanes);
    let pool = Pool::new(1).unwrap();
    match machine(&apply(function, lanes), &args, &[n as i64], tasks, &pool).pop() {
        Some(Array::F32(y)) => y,
        _ => panic!("an f32 buffer comes back"),
    }
}

/// Largest relative error over `x`, leaving out results that are not normal numbers.
fn worst(function: Function, exact: impl Fn(f64) -> f64, x: &[f32]) -> f64 {
    let mut worst = 0.0f64;
    for (y, &x) in results(function, 8, x).into_iter().zip(x) {
        let e = exact(f64::from(x));
        if e.abs() > 2e-38 && e.abs() < f64::from(f32::MAX) {
            worst = worst.max(((f64::from(y) - e) / e).abs());
        }
    }
    worst
}

fn sweep(from: f32, to: f32) -> Vec<f32> {
    (0..200_000).map(|i| from + (to - from) * (i as f32 / 200_000.0)).collect()
}

#[test]
fn exponentials_are_within_3e_7() {
    let e = worst(Function::Exp2, f64::exp2, &sweep(-125.0, 128.0));
    assert!(e <= 3e-7, "exp2: {e:e}");
    let e = worst(Function::Exp, f64::exp, &sweep(-86.9, 88.72));
    assert!(e <= 3e-7, "exp: {e:e}");
}

#[test]
fn logarithms_are_within_3e_7() {
    // Bit patterns, so that every exponent is met, subnormal ones included.
    let x: Vec<f32> = (1..255_000u32).map(|i| f32::from_bits(i * 8390)).filter(|x| x.is_finite()).collect();
    let near_one = sweep(0.5, 2.0);
    for x in [x, near_one] {
        let e = worst(Function::Log, f64::ln, &x);
        assert!(e <= 3e-7, "log: {e:e}");
        let e = worst(Function::Log2, f64::log2, &x);
        assert!(e <= 3e-7, "log2: {e:e}");
    }
}

#[test]
fn limits_are_the_right_ones() {
    let inf = f32::INFINITY;
    let x = [-inf, -1e30, -200.0, 0.0, 200.0, 1e30, inf, f32::NAN];
    for function in [Function::Exp, Function::Exp2] {
        for lanes in [1, 4] {
            let y = results(function, lanes, &x);
            assert_eq!(y[..3], [0.0; 3]);
            assert!((y[3] - 1.0).abs() < 2e-7);
            assert_eq!(y[4..7], [inf; 3]);
            assert!(y[7].is_nan());
        }
    }
    for function in [Function::Log, Function::Log2] {
        let y = results(function, 4, &[0.0, -0.0, -1.0, -inf, 1.0, inf, f32::NAN]);
        assert_eq!(y[..2], [-inf; 2]);
        assert!(y[2].is_nan() && y[3].is_nan() && y[6].is_nan());
        assert_eq!(y[4..6], [0.0, inf]);
    }
}

#[test]
fn called_functions_are_the_library_s() {
    let x = sweep(-3.0, 3.0);
    for (function, exact) in [
        (Function::Sin, f64::sin as fn(f64) -> f64),
        (Function::Cos, f64::cos),
        (Function::Tanh, f64::tanh),
        (Function::Erf, libm::erf),
    ] {
        for (y, &x) in results(function, 4, &x).into_iter().zip(&x) {
            assert!((f64::from(y) - exact(f64::from(x))).abs() <= 3e-7, "{} of {x}: {y}", function.name());
        }
    }
    let y = results(Function::Pow, 4, &[2.0, 3.0, 0.5, 1.0]);
    assert_eq!(y[..4], [4.0, 27.0, 0.5f32.powf(0.5), 1.0]);
}
