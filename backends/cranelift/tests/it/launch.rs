//! Threads, checks of arguments, scratch memory.

use weft_ir::loops::{Access, Elem, Extent, Function, Kernel, KernelBuilder, Reduction, Unroll};
use weft_runtime::{Buffer, Memory, Pool, Region, RuntimeError};

/// `y[i] = sum over j < n of exp(x[j] - x[i])`, one task for each `i`; through scratch, in a loop whose trip count
/// leaves a remainder.
fn row_sums() -> Kernel {
    let mut b = KernelBuilder::new("row_sums");
    let n = b.dim("n");
    let size = [KernelBuilder::dim_extent(0)];
    let x = b.buffer("x", Elem::F32, Access::Read, &size);
    let y = b.buffer("y", Elem::F32, Access::Write, &size);
    let partial = b.scratch("partial", Elem::F32, 8);
    b.for_tasks(|b, i| {
        let zero = b.int(0);
        let none = b.zero(weft_ir::loops::Ty::vector(Elem::F32, 8));
        let place = b.at(partial, zero);
        b.store(place, none);
        let at = b.at(x, i);
        let center = b.load(at, 1);
        b.for_range(zero, n, 1, Unroll::By(4), |b, j| {
            let at = b.at(x, j);
            let v = b.load(at, 1);
            let v = b.sub(v, center);
            let v = b.call(Function::Exp, &[v]);
            let seven = b.int(7);
            let lane = b.binary(weft_ir::loops::Binary::And, j, seven);
            let place = b.at(partial, lane);
            let sum = b.load(place, 1);
            let sum = b.add(sum, v);
            b.store(place, sum);
        });
        let sums = b.load(place, 8);
        let total = b.reduce(Reduction::Add, sums);
        let at = b.at(y, i);
        b.store(at, total);
    });
    b.finish().unwrap()
}

fn run(pool: &Pool, n: usize) -> Vec<f32> {
    let code = weft_cranelift::compile(&row_sums()).unwrap();
    let x: Vec<f32> = (0..n).map(|i| (i * 37 % 19) as f32 / 7.0).collect();
    let mut y = vec![0.0f32; n];
    let mut memory = Memory::new();
    let args = [memory.lend(&x), memory.lend_mut(&mut y)].map(|id| memory.whole(id));
    pool.launch(&code, &mut memory, &args, &[n as i64], n as u64).unwrap();
    drop(memory);
    y
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let expected = run(&Pool::new(1).unwrap(), 1000);
    for threads in [2, 3, 8] {
        let pool = Pool::new(threads).unwrap();
        for _ in 0..20 {
            let got = run(&pool, 1000);
            assert!(got.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{threads} threads");
        }
    }
}

#[test]
fn every_trip_count_and_task_count_is_covered() {
    let pool = Pool::new(2).unwrap();
    for n in 0..40 {
        let y = run(&pool, n);
        for (i, y) in y.iter().enumerate() {
            let x = |i: usize| f64::from((i * 37 % 19) as f32 / 7.0);
            let exact: f64 = (0..n).map(|j| (x(j) - x(i)).exp()).sum();
            assert!((f64::from(*y) - exact).abs() <= 2e-6 * exact, "n = {n}, row {i}: {y} and {exact}");
        }
    }
}

#[test]
fn concurrent_launches_take_turns() {
    let pool = Pool::new(2).unwrap();
    let expected = run(&pool, 300);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|_| assert_eq!(run(&pool, 300), expected)));
        }
    });
}

#[test]
fn compiled_kernels_are_cached() {
    let a = weft_cranelift::compile(&row_sums()).unwrap();
    let b = weft_cranelift::compile(&row_sums()).unwrap();
    assert!(std::sync::Arc::ptr_eq(&a, &b));
}

/// What a launch with these regions of two 8-element f32 buffers says.
fn refusal(args: impl Fn([weft_runtime::BufferId; 2], &Memory<'_>) -> Vec<Region>, dims: &[i64]) -> String {
    let code = weft_cranelift::compile(&row_sums()).unwrap();
    let x = [0.0f32; 8];
    let mut memory = Memory::new();
    let ids = [memory.lend(&x), memory.own(Buffer::zeroed(32).unwrap())];
    let regions = args(ids, &memory);
    let pool = Pool::new(1).unwrap();
    pool.launch(&code, &mut memory, &regions, dims, 8).unwrap_err().to_string()
}

#[test]
fn launches_that_do_not_fit_are_refused() {
    let whole = |ids: [weft_runtime::BufferId; 2], m: &Memory<'_>| ids.map(|id| m.whole(id)).to_vec();
    let cases = [
        refusal(whole, &[9]),
        refusal(whole, &[i64::MAX]),
        refusal(whole, &[]),
        refusal(|ids, m| vec![m.whole(ids[0])], &[8]),
        refusal(|ids, m| vec![m.whole(ids[1]), m.whole(ids[0])], &[8]),
        refusal(|ids, m| vec![m.whole(ids[1]), m.whole(ids[1])], &[8]),
        refusal(|ids, m| vec![m.whole(ids[0]), Region { offset: 8, ..m.whole(ids[1]) }], &[2]),
        refusal(|ids, m| vec![m.whole(ids[0]), Region { offset: 2, bytes: 8, ..m.whole(ids[1]) }], &[2]),
    ];
    insta::assert_snapshot!(cases.join("\n"), @r"
    kernel row_sums, buffer x: has 32 bytes, needs 36
    kernel row_sums, buffer x: its size overflows
    kernel row_sums takes 1 dimensions, got 0
    kernel row_sums takes 2 buffers, got 1
    kernel row_sums, buffer y: is written but was lent for reading only
    kernel row_sums, buffer y: is written and overlaps buffer x
    region of 32 bytes at 8 lies outside its buffer of 32 bytes
    kernel row_sums, buffer y: is not aligned to 4 bytes
    ");
}

#[test]
fn thread_counts_are_checked() {
    assert!(matches!(Pool::new(0), Err(RuntimeError::BadThreadCount(_))));
    assert!(matches!(Pool::new(5000), Err(RuntimeError::BadThreadCount(_))));
}

#[test]
fn a_kernel_without_dims_or_scratch_runs() {
    let mut b = KernelBuilder::new("fill");
    let out = b.buffer("out", Elem::I64, Access::Write, &[Extent::Const(100)]);
    b.for_tasks(|b, i| {
        let at = b.at(out, i);
        let square = b.mul(i, i);
        b.store(at, square);
    });
    let code = weft_cranelift::compile(&b.finish().unwrap()).unwrap();
    let pool = Pool::new(2).unwrap();
    let mut memory = Memory::new();
    let out = memory.own(Buffer::zeroed(800).unwrap());
    let region = memory.whole(out);
    pool.launch(&code, &mut memory, &[region], &[], 100).unwrap();
    let squares: Vec<i64> = (0..100).map(|i| i * i).collect();
    assert_eq!(memory.read::<i64>(region).unwrap(), squares);
}
