//! Printing, reading, and errors of reading.

use proptest::prelude::*;
use weft_ir::loops::{
    Access, Binary, Compare, Const, Elem, Extent, Function, Kernel, KernelBuilder, Pattern, Reduction, Reference, Ty,
    Unroll, parse, verify,
};

/// One of everything that the text form has.
pub(crate) fn everything() -> Kernel {
    let mut b = KernelBuilder::new("everything");
    let n = b.dim("n");
    let size = [KernelBuilder::dim_extent(0), Extent::Const(8)];
    let x = b.buffer("x", Elem::F32, Access::Read, &size);
    let y = b.buffer("y", Elem::F32, Access::Write, &size);
    let tile = b.scratch("tile", Elem::F32, 64);
    let zeros = b.zero(Ty::vector(Elem::F32, 8));
    let acc = b.var("acc", zeros);
    b.for_tasks(|b, task| {
        let row = b.mul_int(task, 8);
        let (eight, zero, four) = (b.int(8), b.int(0), b.int(4));
        let place = b.at(x, row);
        let columns = b.load_block(place, zero, 8);
        b.store_block(KernelBuilder::at_const(tile, 0), four, columns);
        b.for_range(zero, eight, 2, Unroll::Full, |b, i| {
            let place = b.at(tile, i).plus(-1);
            let mask = b.iota(8);
            let i32 = b.convert(i, Elem::I32);
            let mask = b.compare(Compare::Ge, mask, i32);
            let v = b.load_as(Reference { place, pattern: Pattern::Contiguous, mask: Some(mask) }, 8);
            let sum = b.get(acc);
            let half = b.float(-0.5);
            let sum = b.fma(v, half, sum);
            b.set(acc, sum);
        });
        let ptr = b.advance(x, row);
        let indices = b.iota(8);
        let picked = b.load_as(
            Reference { place: KernelBuilder::at_const(ptr, 0), pattern: Pattern::Indexed(indices), mask: None },
            8,
        );
        let splat = b.load_splat(KernelBuilder::at_const(ptr, 1), 8);
        let w = b.call(Function::Pow, &[picked, splat]);
        let w = b.call(Function::Exp, &[w]);
        let top = b.reduce(Reduction::Max, w);
        let last = b.extract(w, 7);
        let w = b.insert(w, last, 0);
        let w = b.shuffle(w, w, &[0, 8, 1, 9, 2, 10, 3, 11]);
        let inf = b.float(f32::NEG_INFINITY);
        let big = b.compare(Compare::Gt, top, inf);
        b.if_else(
            big,
            |b| b.set(acc, w),
            |b| {
                let bits = b.bitcast(w, Elem::I32);
                let one = b.int32(1);
                let bits = b.binary(Binary::ShrU, bits, one);
                let w = b.bitcast(bits, Elem::F32);
                let nan = b.constant(Ty::F64, Const::Float(1e-300));
                let nan = b.convert(nan, Elem::F32);
                let w = b.select(big, w, nan);
                b.set(acc, w);
            },
        );
        let count = b.var("count", task);
        b.while_loop(
            |b| {
                let c = b.get(count);
                b.compare(Compare::Lt, c, n)
            },
            |b| {
                let c = b.get(count);
                let c = b.add_int(c, 1);
                b.set(count, c);
            },
        );
        b.for_range(zero, n, 1, Unroll::By(4), |b, _| {
            let sum = b.get(acc);
            let sum = b.unary(weft_ir::loops::Unary::Sqrt, sum);
            b.set(acc, sum);
        });
        let sum = b.get(acc);
        let place = b.at(y, row);
        b.store_as(Reference { place, pattern: Pattern::Strided(four), mask: None }, sum);
    });
    b.finish().unwrap()
}

#[test]
fn everything_prints() {
    insta::assert_snapshot!(everything());
}

#[test]
fn everything_reads_back() {
    let kernel = everything();
    let back = parse(&kernel.to_string()).unwrap();
    assert_eq!(back, kernel);
    verify(&back).unwrap();
}

#[test]
fn constants_keep_their_bits() {
    let mut b = KernelBuilder::new("constants");
    for x in [0.0, -0.0, 1e-45, 3.4e38, 0.1, f32::INFINITY, f32::NEG_INFINITY, 16_777_216.0] {
        b.float(x);
    }
    for x in [5e-324, 1.797e308, 0.1, -1e-5] {
        b.float64(x);
    }
    for n in [i64::MIN, i64::MAX, -1] {
        b.int(n);
    }
    let kernel = b.finish().unwrap();
    let text = kernel.to_string();
    let back = parse(&text).unwrap();
    assert_eq!(back, kernel);
    assert_eq!(back.to_string(), text, "signs of zeros are kept");
}

#[test]
fn errors_say_where_and_what() {
    let cases = [
        "kernel",
        "kernel @k(%0..%1) {",
        "kernel @k(%0..%1) {\n  %2: i64 = frob %0\n}",
        "kernel @k(%0..%1) {\n  %2: i65 = const 1\n}",
        "kernel @k(%0..%1) {\n  %2: i64 = const 99999999999999999999\n}",
        "kernel @k(%0..%1) {\n  %4000000000: i64 = const 1\n}",
        "kernel @k(%0..%1) {\n  $x = %0\n}",
        "kernel @k(%0..%1) {\n  buffer %2 = read x f32[%7]\n}",
        "kernel @k(%0..%1) {\n  ?\n}",
        "kernel @k(%0..%1) {\n} x",
    ];
    let errors: Vec<String> = cases.iter().map(|t| parse(t).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("kernel @k(%0..%1) {{ {}", "if %0 { ".repeat(100_000));
    assert!(parse(&deep).unwrap_err().message.contains("nest deeper"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_or_the_verifier_panic(edits in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut bytes = everything().to_string().into_bytes();
        for (at, byte) in edits {
            let i = at % bytes.len();
            bytes[i] = b" %$@{}[]0123456789.,:=xfi-nload\n"[usize::from(byte) % 32];
        }
        if let Ok(kernel) = parse(&String::from_utf8_lossy(&bytes)) {
            let _ = verify(&kernel);
            let _ = kernel.to_string();
        }
    }
}
