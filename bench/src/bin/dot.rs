//! Rates of register blocks of several shapes, on one core, operands in L1.
#![allow(clippy::print_stdout, reason = "a program that reports")]

use weft_bench::{dot, peak, timing};
use weft_runtime::{Memory, Pool};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asm = std::env::args().any(|a| a == "--asm");
    let (peak, width) = peak::fma_peak(1);
    let narrow = peak::fma_rate(1, 128).unwrap_or(peak);
    println!("{}", weft_cranelift::describe_host()?);
    println!("peak of one core: {peak:.1} GFLOP/s with {width}-bit vectors, {narrow:.1} with 128-bit vectors");
    let depth = 256;
    let pool = Pool::new(1)?;
    let wanted: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let shapes: Vec<(i64, u16, u32)> = match wanted[..] {
        [r, v, u] => vec![(i64::try_from(r)?, u16::try_from(v)?, u32::try_from(u)?)],
        _ => {
            let blocks = [(8, 1), (10, 1), (12, 1), (4, 2), (5, 2), (6, 2), (3, 3), (4, 3), (2, 4), (3, 4), (1, 8)];
            blocks.iter().flat_map(|&(r, v)| [2, 4, 8, 16].map(|u| (r, v, u))).collect()
        }
    };
    for (rows, vectors, unroll) in shapes {
        let shape = dot::Shape { rows, vectors, unroll };
        let kernel = dot::hot_kernel(shape, depth)?;
        if asm {
            println!("{}", weft_cranelift::assembly(&kernel)?);
        }
        let code = weft_cranelift::compile(&kernel)?;
        let lanes = usize::from(shape.lanes());
        let (r, d) = (usize::try_from(rows)?, usize::try_from(depth)?);
        let (a, b) = (timing::noise(r * d, 1), timing::noise(d * lanes, 2));
        let mut c = vec![0.0f32; 64 * r * lanes];
        let mut memory = Memory::new();
        let args = [memory.lend(&a), memory.lend(&b), memory.lend_mut(&mut c)].map(|id| memory.whole(id));
        let tasks = 20_000;
        let times = timing::measure(5, || {
            if let Err(e) = pool.launch(&code, &mut memory, &args, &[], tasks) {
                println!("{e}");
            }
        });
        let flops = 2.0 * (r * d * lanes) as f64 * tasks as f64;
        let got = flops / times.best / 1e9;
        println!(
            "{rows:2} x {vectors} vectors, unroll {unroll}: {got:6.1} GFLOP/s, {:5.1} % of peak, {:5.1} % of 128-bit",
            100.0 * got / peak,
            100.0 * got / narrow
        );
    }
    Ok(())
}
