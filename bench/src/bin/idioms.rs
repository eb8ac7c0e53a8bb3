//! Costs of single constructs of loop IR on one core.
#![allow(clippy::print_stdout, reason = "a program that reports")]

use weft_bench::idioms::{CONSTRUCTS, ITERATIONS, LEN, kernel};
use weft_bench::timing;
use weft_runtime::{Memory, Pool};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", weft_cranelift::describe_host()?);
    let pool = Pool::new(1)?;
    let x: Vec<f32> = timing::noise(LEN, 1).iter().map(|x| x + 1.5).collect();
    for (name, construct) in CONSTRUCTS {
        let code = weft_cranelift::compile(&kernel(*construct)?)?;
        let mut y = [0.0f32; 8];
        let mut memory = Memory::new();
        let args = [memory.lend(&x), memory.lend_mut(&mut y)].map(|id| memory.whole(id));
        let tasks = 2000;
        let times = timing::measure(15, || {
            if let Err(e) = pool.launch(&code, &mut memory, &args, &[], tasks) {
                println!("{e}");
            }
        });
        #[allow(clippy::cast_precision_loss, reason = "a small count")]
        let executions = (tasks * ITERATIONS.unsigned_abs()) as f64;
        println!("{name:40} {:6.2} ns", times.best * 1e9 / executions);
    }
    Ok(())
}
