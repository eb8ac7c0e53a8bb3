//! What hand-written plans reach of the machine's f32 peak when they are lowered and compiled, on all cores.
//!
//!     cargo run --release -p weft-bench --bin plans [-- BQ BJ [LENGTH]]
//!     cargo run --release -p weft-bench --bin plans -- --ir matmul
//!     cargo run --release -p weft-bench --bin plans -- --time codes_sequential T=2048 S=512 BQ=64
#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::error::Error;
use std::path::PathBuf;

use weft_bench::{attention, peak, timing};
use weft_cranelift::program::{Data, Executable, Length, Run};
use weft_ir::kernel::{Plan, parse};
use weft_passes::lower::{Target, lower};
use weft_runtime::Pool;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "--ir") {
        let plan = match args.get(1).map(String::as_str) {
            Some("matmul") => matmul_plan(1024)?,
            _ => attention_plan(64, 64)?,
        };
        println!("{}", lower(&plan, &Target::default())?);
        return Ok(());
    }
    if let [flag, name, settings @ ..] = &args[..]
        && flag == "--time"
    {
        return time_plan(name, settings);
    }
    let numbers: Vec<i64> = args.iter().filter_map(|a| a.parse().ok()).collect();
    let (queries, keys) = (numbers.first().copied().unwrap_or(64), numbers.get(1).copied().unwrap_or(64));
    let pool = Pool::from_environment()?;
    let (peak, width) = peak::fma_peak(pool.threads());
    println!("f32 FMA peak, {} threads: {peak:.1} GFLOP/s with {width}-bit vectors", pool.threads());
    let length = numbers.get(2).copied().unwrap_or(2048);
    run_attention(&pool, queries, keys, length, peak)?;
    run_matmul(&pool, 1024, peak)
}

/// A hand-written plan in single precision.
fn plan(name: &str, params: &[(&str, i64)]) -> Result<Plan, Box<dyn Error>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("tests/kernels").join(format!("{name}.kir")))?;
    let mut plan = parse(&text.replace("f64", "f32"))?;
    for (name, value) in params {
        if !plan.set_param(name, *value) {
            return Err(format!("no parameter {name}").into());
        }
    }
    Ok(plan)
}

/// Times one sequence of any hand-written plan, kernel by kernel: parameters and the length T as `NAME=VALUE`.
fn time_plan(name: &str, settings: &[String]) -> Result<(), Box<dyn Error>> {
    let mut length = 2048i64;
    let mut params = Vec::new();
    for setting in settings {
        let (name, value) = setting.split_once('=').ok_or("settings are NAME=VALUE")?;
        match name {
            "T" => length = value.parse()?,
            _ => params.push((name, value.parse()?)),
        }
    }
    let plan = plan(name, &params)?;
    let start = std::time::Instant::now();
    let program = lower(&plan, &Target::default())?;
    let lowered = start.elapsed().as_secs_f64();
    let executable = Executable::new(program)?;
    println!(
        "lowered in {:.1} ms, compiled in {:.1} ms",
        lowered * 1e3,
        (start.elapsed().as_secs_f64() - lowered) * 1e3
    );
    let pool = Pool::from_environment()?;
    let lengths: Vec<Length> = plan
        .extents
        .iter()
        .map(|e| match (e.over, e.name.as_str()) {
            (Some(_), _) => Length::Ragged(vec![length]),
            (None, "B") => Length::Uniform(1),
            (None, _) => Length::Uniform(length),
        })
        .collect();
    let mut run = executable.prepare(&lengths)?;
    let sizes: Vec<i64> = lengths.iter().map(|l| if *l == Length::Uniform(1) { 1 } else { length }).collect();
    for (buffer, declared) in executable.program().buffers.iter().zip(&plan.buffers) {
        if !buffer.role.is_given() {
            continue;
        }
        let count = usize::try_from(buffer.elements(&sizes).ok_or("too large")?)?;
        let most = declared.range.as_ref().and_then(|(_, hi)| plan.static_value(hi)).unwrap_or(1);
        let noise = timing::noise(count, count as u64 + 1);
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "random integers in a range")]
        let ints = noise.iter().map(|x| ((f64::from(*x) + 1.0) / 2.0 * most as f64) as i64);
        let data = match buffer.elem {
            weft_ir::loops::Elem::F32 => Data::F32(noise),
            weft_ir::loops::Elem::I32 => Data::I32(ints.map(i32::try_from).collect::<Result<_, _>>()?),
            weft_ir::loops::Elem::I64 => Data::I64(ints.collect()),
            other => return Err(format!("no random {other}").into()),
        };
        run.write(&buffer.name, &data)?;
    }
    let (times, cpu) = time(&mut run, &pool)?;
    println!(
        "{name} T={length}: {:.2} ms (best {:.2} ms), {:.2} ms of CPU",
        times.median * 1e3,
        times.best * 1e3,
        cpu * 1e3
    );
    Ok(())
}

fn attention_plan(queries: i64, keys: i64) -> Result<Plan, Box<dyn Error>> {
    plan("causal", &[("H", 8), ("HKV", 8), ("D", 64), ("BQ", queries), ("BJ", keys)])
}

fn matmul_plan(n: i64) -> Result<Plan, Box<dyn Error>> {
    plan("matmul", &[("K", n), ("N", n), ("BT", 64), ("BN", 64), ("BK", 128)])
}

/// Times on the wall, and mean CPU time of a call.
fn time(run: &mut Run<'_>, pool: &Pool) -> Result<(timing::Times, f64), Box<dyn Error>> {
    const CALLS: u32 = 9;
    run.launch(pool)?;
    let (mut calls, before) = (0u32, timing::cpu_seconds());
    let times = timing::measure(CALLS as usize, || {
        calls += 1;
        if let Err(e) = run.launch(pool) {
            println!("{e}");
        }
    });
    Ok((times, (timing::cpu_seconds() - before) / f64::from(calls)))
}

fn output(run: &Run<'_>, name: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    match run.read(name)? {
        Data::F32(x) => Ok(x),
        other => Err(format!("output of {}", other.elem()).into()),
    }
}

fn report(name: &str, flops: f64, (times, cpu): (timing::Times, f64), peak: f64, error: f64) {
    let rate = |seconds: f64| flops / seconds / 1e9;
    println!(
        "{name}: {:.2} ms, {:.1} GFLOP/s, {:.1} % of peak (best {:.1} %), {:.1} GFLOP per CPU second, largest error {error:.1e}",
        times.median * 1e3,
        rate(times.median),
        100.0 * rate(times.median) / peak,
        100.0 * rate(times.best) / peak,
        rate(cpu),
    );
}

fn run_attention(pool: &Pool, queries: i64, keys: i64, length: i64, peak: f64) -> Result<(), Box<dyn Error>> {
    let (heads, head) = (8usize, 64usize);
    let start = std::time::Instant::now();
    let program = lower(&attention_plan(queries, keys)?, &Target::default())?;
    let lowered = start.elapsed();
    let executable = Executable::new(program)?;
    println!(
        "lowered in {:.1} ms, compiled in {:.1} ms",
        lowered.as_secs_f64() * 1e3,
        (start.elapsed() - lowered).as_secs_f64() * 1e3
    );
    let mut run = executable.prepare(&[Length::Uniform(1), Length::Ragged(vec![length])])?;
    let length = usize::try_from(length)?;
    let size = heads * length * head;
    let inputs = [timing::noise(size, 1), timing::noise(size, 2), timing::noise(size, 3)];
    for (name, x) in ["q", "k", "v"].iter().zip(&inputs) {
        run.write(name, &Data::F32(x.clone()))?;
    }
    let times = time(&mut run, pool)?;
    // The plan has [t][h][d], the reference [h][t][d].
    let turned: Vec<Vec<f32>> = inputs
        .iter()
        .map(|x| {
            let element = |i: usize| x[((i / head % length) * heads + i / (head * length)) * head + i % head];
            (0..size).map(element).collect()
        })
        .collect();
    let o = output(&run, "o")?;
    let rows: Vec<(usize, usize)> = [0, 1, 63, 64, 777, length - 1].iter().map(|&t| (t % heads, t)).collect();
    let expected = attention::reference(&turned[0], &turned[1], &turned[2], length, head, &rows);
    let got = rows.iter().flat_map(|&(h, t)| o[(t * heads + h) * head..][..head].to_vec());
    let error = got.zip(expected).map(|(a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
    let flops = 2.0 * size as f64 * length as f64;
    report(&format!("causal attention H={heads} D={head} T={length} {queries}x{keys}"), flops, times, peak, error);
    Ok(())
}

fn run_matmul(pool: &Pool, n: usize, peak: f64) -> Result<(), Box<dyn Error>> {
    let size = i64::try_from(n)?;
    let executable = Executable::new(lower(&matmul_plan(size)?, &Target::default())?)?;
    let mut run = executable.prepare(&[Length::Uniform(size)])?;
    let (a, b) = (timing::noise(n * n, 1), timing::noise(n * n, 2));
    run.write("x", &Data::F32(a.clone()))?;
    run.write("w", &Data::F32(b.clone()))?;
    let times = time(&mut run, pool)?;
    let c = output(&run, "y")?;
    let mut error = 0.0f64;
    for (i, j) in [(0, 0), (1, 5), (n / 2, n / 3), (n - 1, n - 1)] {
        let exact: f64 = (0..n).map(|r| f64::from(a[i * n + r]) * f64::from(b[r * n + j])).sum();
        error = error.max((exact - f64::from(c[i * n + j])).abs());
    }
    report(&format!("matmul {n} x {n} x {n}"), 2.0 * (n as f64).powi(3), times, peak, error);
    Ok(())
}
