//! Every operator on every element type it takes, in several widths, and every pair of conversions: one by one, so that a
//! fault names its op.

use weft_ir::loops::{
    Access, Array, Binary, Compare, Elem, Extent, Kernel, KernelBuilder, Reduction, Ty, Unary, Value, to_bf16,
};
use weft_runtime::Pool;

use crate::run::assert_agree;

const N: usize = 48;

/// Two inputs and an output, and the vectors of `lanes` lanes at the task's place.
fn kernel(
    name: &str,
    from: Elem,
    to: Elem,
    lanes: u16,
    f: impl FnOnce(&mut KernelBuilder, Value, Value) -> Value,
) -> Kernel {
    let mut b = KernelBuilder::new(name);
    let size = [Extent::Const(N as u64)];
    let x = b.buffer("x", from, Access::Read, &size);
    let y = b.buffer("y", from, Access::Read, &size);
    let out = b.buffer("out", to, Access::Write, &size);
    b.for_tasks(|b, task| {
        let i = b.mul_int(task, lanes.into());
        let place = b.at(x, i);
        let a = b.load(place, lanes);
        let place = b.at(y, i);
        let c = b.load(place, lanes);
        let result = f(b, a, c);
        let place = b.at(out, i);
        b.store(place, result);
    });
    b.finish().unwrap()
}

fn inputs(elem: Elem, seed: usize) -> Array {
    let ints = [0, 1, -1, 2, -2, 3, -3, 7, -7, 8, 31, 64, -100, 1000, i64::MAX, i64::MIN, 1 << 31, -(1 << 31)];
    let floats = [
        0.0,
        -0.0,
        0.5,
        -0.5,
        1.5,
        -1.5,
        2.5,
        1e10,
        -1e10,
        1e300,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1e-42,
        3.0,
        2_147_483_648.0,
        9.3e18,
    ];
    let int = |i: usize| ints[(i * (seed * 2 + 1) + seed) % ints.len()];
    let float = |i: usize| floats[(i * (seed * 2 + 1) + seed) % floats.len()];
    let range = 0..N;
    match elem {
        Elem::Bool => Array::Bool(range.map(|i| int(i) % 3 == 0).collect()),
        Elem::I32 => Array::I32(range.map(|i| int(i) as i32).collect()),
        Elem::I64 => Array::I64(range.map(int).collect()),
        Elem::F32 => Array::F32(range.map(|i| float(i) as f32).collect()),
        Elem::F64 => Array::F64(range.map(float).collect()),
        Elem::Bf16 => Array::Bf16(range.map(|i| (i * 1259) as u16).collect()),
    }
}

fn check(kernel: &Kernel, from: Elem, to: Elem, lanes: u16, pool: &Pool) {
    for seed in 0..3 {
        let args = [inputs(from, seed), inputs(from, seed + 3), Array::zeros(to, N)];
        assert_agree(kernel, &args, &[], (N / usize::from(lanes)) as u64, pool);
    }
}

#[test]
fn operators() {
    let pool = Pool::new(1).unwrap();
    for elem in Elem::ALL {
        for lanes in [1, 4, 12] {
            for &op in Unary::ALL.iter().filter(|op| op.domain().contains(elem)) {
                let k = kernel(op.name(), elem, elem, lanes, |b, x, _| b.unary(op, x));
                check(&k, elem, elem, lanes, &pool);
            }
            for &op in Binary::ALL.iter().filter(|op| op.domain().contains(elem)) {
                let k = kernel(op.name(), elem, elem, lanes, |b, x, y| b.binary(op, x, y));
                check(&k, elem, elem, lanes, &pool);
            }
            for &op in Compare::ALL.iter().filter(|op| op.domain().contains(elem)) {
                let k = kernel(op.name(), elem, Elem::Bool, lanes, |b, x, y| b.compare(op, x, y));
                check(&k, elem, Elem::Bool, lanes, &pool);
            }
            for &op in Reduction::ALL.iter().filter(|op| op.domain().contains(elem)) {
                let k = kernel(op.name(), elem, elem, lanes, |b, x, y| {
                    let (x, y) = (b.reduce(op, x), b.reduce(op, y));
                    if lanes == 1 {
                        return x;
                    }
                    let x = b.splat(x, lanes);
                    b.insert(x, y, lanes - 1)
                });
                check(&k, elem, elem, lanes, &pool);
            }
        }
    }
}

#[test]
fn operators_with_constant_operands() {
    let pool = Pool::new(1).unwrap();
    for elem in [Elem::I32, Elem::I64] {
        for lanes in [1, 8] {
            for op in [Binary::DivFloor, Binary::ModFloor, Binary::Shl, Binary::Shr, Binary::ShrU] {
                for n in [1, 2, 3, 8, 31, -1, -3, 0] {
                    let k = kernel(op.name(), elem, elem, lanes, |b, x, _| {
                        let n = b.constant(Ty::vector(elem, 1), weft_ir::loops::Const::Int(n));
                        b.binary(op, x, n)
                    });
                    check(&k, elem, elem, lanes, &pool);
                }
            }
        }
    }
}

#[test]
fn conversions() {
    let pool = Pool::new(1).unwrap();
    for from in Elem::ALL {
        for to in Elem::ALL {
            for lanes in [1, 4, 16] {
                let k = kernel("convert", from, to, lanes, |b, x, _| b.convert(x, to));
                check(&k, from, to, lanes, &pool);
            }
        }
    }
}

/// f32 into bf16 memory and back: numbers between neighbours, ties, the largest, the smallest, infinities and NaNs, at every
/// width, so that whole registers, halves of one and single elements are stored.
#[test]
fn bf16_memory() {
    let pool = Pool::new(1).unwrap();
    let bits: Vec<u32> = vec![
        0x3f80_8000,
        0x3f81_8000,
        0x3f80_8001,
        0x3f80_7fff,
        0xbf80_8000,
        0x7f7f_8000,
        0x7f7f_7fff,
        0xff7f_ffff,
        0x7f80_0000,
        0xff80_0000,
        0x7f80_0001,
        0x7fff_ffff,
        0xffff_ffff,
        0x0000_8000,
        0x0000_8001,
        0x8001_8000,
        0x0000_0001,
        0x3fc0_0000,
    ];
    for lanes in [1, 4, 8, 12, 16] {
        let store = kernel("narrow", Elem::F32, Elem::Bf16, lanes, |_, x, _| x);
        let load = kernel("widen", Elem::Bf16, Elem::F32, lanes, |b, x, y| b.add(x, y));
        for seed in 0..bits.len() {
            let x = Array::F32((0..N).map(|i| f32::from_bits(bits[(i + seed) % bits.len()])).collect());
            let args = [x, inputs(Elem::F32, seed), Array::zeros(Elem::Bf16, N)];
            assert_agree(&store, &args, &[], (N / usize::from(lanes)) as u64, &pool);
            check(&load, Elem::Bf16, Elem::F32, lanes, &pool);
        }
    }
    let rounded = |bits: u32| to_bf16(f32::from_bits(bits));
    // Ties to even, up to infinity, and NaN is one.
    assert_eq!([0x3f80_8000, 0x3f81_8000, 0x3f80_8001].map(rounded), [0x3f80, 0x3f82, 0x3f81]);
    assert_eq!([0x7f7f_8000, 0xff80_0000, 0x7fff_ffff].map(rounded), [0x7f80, 0xff80, 0x7fc0]);
}
