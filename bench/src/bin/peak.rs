//! The machine's f32 peak, and what kernels written in loop IR reach of it on all cores.
//!
//! Arguments: rows, vectors and unrolling of the register block (default 4 2 4), or a single number, the sequence length
//! (default 2048 and then 8192). `WEFT_THREADS` sets the number of threads.
#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::error::Error;

use weft_bench::dot::Shape;
use weft_bench::{attention, matmul, peak, timing};
use weft_runtime::{Memory, Pool};

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<i64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let pool = Pool::from_environment()?;
    let threads = pool.threads();
    let (peak, width) = peak::fma_peak(threads);
    println!("{}", weft_cranelift::describe_host()?);
    println!("f32 FMA peak, {threads} threads: {peak:.1} GFLOP/s with {width}-bit vectors");
    if let Some(narrow) = peak::fma_rate(threads, 128) {
        println!("f32 FMA peak, {threads} threads: {narrow:.1} GFLOP/s with 128-bit vectors, Cranelift's widest");
    }
    let (rows, vectors, unroll) = match numbers[..] {
        [r, v, u] => (r, u16::try_from(v)?, u32::try_from(u)?),
        _ => (4, 2, 4),
    };
    let shape = Shape { rows, vectors, unroll };
    println!("register block {rows} x {vectors} vectors of 4, unrolled {unroll} times");
    let lengths = match numbers[..] {
        [length] => vec![usize::try_from(length)?],
        _ => vec![2048, 8192],
    };
    for length in lengths {
        run_attention(&pool, shape, length, peak)?;
    }
    run_matmul(&pool, shape, 1024, peak)
}

fn report(name: &str, flops: f64, times: timing::Times, peak: f64, error: f64) {
    let rate = |seconds: f64| flops / seconds / 1e9;
    println!(
        "{name}: {:.2} ms, {:.1} GFLOP/s, {:.1} % of peak (best {:.1} %), largest error {error:.1e}",
        times.median * 1e3,
        rate(times.median),
        100.0 * rate(times.median) / peak,
        100.0 * rate(times.best) / peak,
    );
}

fn run_attention(pool: &Pool, shape: Shape, length: usize, peak: f64) -> Result<(), Box<dyn Error>> {
    let (heads, head) = (8usize, 64usize);
    let panels = 64 / i64::from(shape.lanes());
    let blocks = attention::Blocks { shape, panels, keys: 64, head: 64 };
    let code = weft_cranelift::compile(&attention::kernel(blocks)?)?;
    let size = heads * length * head;
    let (q, k, v) = (timing::noise(size, 1), timing::noise(size, 2), timing::noise(size, 3));
    let mut o = vec![0.0f32; size];
    let mut memory = Memory::new();
    let args = [memory.lend(&q), memory.lend(&k), memory.lend(&v), memory.lend_mut(&mut o)].map(|id| memory.whole(id));
    let dims = [i64::try_from(heads)?, i64::try_from(length)?];
    let tasks = heads as u64 * (length as u64 / blocks.queries().unsigned_abs());
    pool.launch(&code, &mut memory, &args, &dims, tasks)?;
    let times = timing::measure((40_000_000 / (length * length)).clamp(3, 200), || {
        if let Err(e) = pool.launch(&code, &mut memory, &args, &dims, tasks) {
            println!("{e}");
        }
    });
    drop(memory);
    let rows: Vec<(usize, usize)> = [0, 1, 63, 64, length / 3, length - 1].iter().map(|&t| (t % heads, t)).collect();
    let expected = attention::reference(&q, &k, &v, length, head, &rows);
    let got = rows.iter().flat_map(|&(h, t)| o[(h * length + t) * head..][..head].to_vec());
    let error = got.zip(expected).map(|(a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
    // Half the square, four operations for each pair and element.
    let flops = 2.0 * size as f64 * length as f64;
    report(&format!("causal attention H={heads} D={head} T={length}"), flops, times, peak, error);
    Ok(())
}

fn run_matmul(pool: &Pool, shape: Shape, n: usize, peak: f64) -> Result<(), Box<dyn Error>> {
    let size = i64::try_from(n)?;
    let blocks = matmul::Blocks { shape, rows: 64, columns: 64, depth: size };
    let code = weft_cranelift::compile(&matmul::kernel(blocks)?)?;
    let (a, b) = (timing::noise(n * n, 1), timing::noise(n * n, 2));
    let mut c = vec![0.0f32; n * n];
    let mut memory = Memory::new();
    let args = [memory.lend(&a), memory.lend(&b), memory.lend_mut(&mut c)].map(|id| memory.whole(id));
    let tasks = (n as u64 / 64) * (n as u64 / 64);
    pool.launch(&code, &mut memory, &args, &[size, size], tasks)?;
    let times = timing::measure(7, || {
        if let Err(e) = pool.launch(&code, &mut memory, &args, &[size, size], tasks) {
            println!("{e}");
        }
    });
    drop(memory);
    let mut error = 0.0f64;
    for (i, j) in [(0, 0), (1, 5), (n / 2, n / 3), (n - 1, n - 1)] {
        let exact: f64 = (0..n).map(|r| f64::from(a[i * n + r]) * f64::from(b[r * n + j])).sum();
        error = error.max((exact - f64::from(c[i * n + j])).abs());
    }
    report(&format!("matmul {n} x {n} x {n}"), 2.0 * (n as f64).powi(3), times, peak, error);
    Ok(())
}
