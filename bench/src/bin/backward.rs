//! What a training step of dense causal attention costs beside its forward pass, on all cores: plans that the compiler derives, and
//! plans written by hand.
//!
//!     cargo run --release -p weft-bench --bin backward                      # H=8 D=64, T=2048 and 4096
//!     cargo run --release -p weft-bench --bin backward -- T=8192 CALLS=3    # also H D, and tiles: ROWS STREAM, by hand BQ BJ
//!     cargo run --release -p weft-bench --bin backward -- --plan            # the derived plans; --ir: loop IR; --asm: code
//!
//! Work is counted in products of queries and keys, `H D T^2` operations each: forward has two, scores and weighted values. Backward
//! has five (scores, products of cotangents and values, and the three gradients), and two more where the first two are computed once with
//! rows of queries and once with rows of keys, as both plans here do: 7, so that a step is 4.5 times its forward pass.
//!
//! Calls of all programs take turns, so that what else the machine does meets all of them. `% peak` is of the median call; `% CPU`
//! is by the time that threads ran in the cheapest call, which other programs disturb little.
#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::error::Error;
use std::path::{Path, PathBuf};

use weft::driver::{
    CompileOptions, GradientOptions, LoadOptions, Loaded, Planned, Silent, Watch, costs, differentiate, executable,
    generate, load_bytes, parse_define, plan, program, target,
};
use weft_bench::gradient::{Attention, Row};
use weft_bench::{peak, timing};
use weft_cranelift::program::{Data, Executable, Length, Run};
use weft_ir::kernel::{Plan, parse};
use weft_passes::lower::lower;
use weft_runtime::Pool;

/// Products of forward, and of backward that computes weights for rows of queries and for rows of keys.
const FORWARD: f64 = 2.0;
const BACKWARD: f64 = 7.0;

type Failed = Box<dyn Error>;

struct Settings {
    lengths: Vec<usize>,
    heads: usize,
    head: usize,
    calls: usize,
    tiles: [i64; 2],
    show: Vec<String>,
    compile: CompileOptions,
}

fn main() -> Result<(), Failed> {
    let mut settings = Settings {
        lengths: Vec::new(),
        heads: 8,
        head: 64,
        calls: 9,
        tiles: [64, 64],
        show: Vec::new(),
        compile: CompileOptions::default(),
    };
    for arg in std::env::args().skip(1) {
        match arg.split_once('=') {
            Some(("T", n)) => settings.lengths.push(n.parse()?),
            Some(("H", n)) => settings.heads = n.parse()?,
            Some(("D", n)) => settings.head = n.parse()?,
            Some(("CALLS", n)) => settings.calls = n.parse()?,
            Some(("BQ", n)) => settings.tiles[0] = n.parse()?,
            Some(("BJ", n)) => settings.tiles[1] = n.parse()?,
            Some(("ROWS", n)) => settings.compile.schedule.tiles.get_or_insert_default().rows = n.parse()?,
            Some(("STREAM", n)) => settings.compile.schedule.tiles.get_or_insert_default().stream = n.parse()?,
            _ if arg.starts_with("--") => settings.show.push(arg),
            _ => return Err(format!("unknown argument `{arg}`").into()),
        }
    }
    if settings.lengths.is_empty() {
        settings.lengths = vec![2048, 4096];
    }
    let pool = Pool::from_environment()?;
    let threads = pool.threads();
    let (widest, width) = peak::fma_peak(threads);
    let narrow = peak::fma_rate(threads, 128).unwrap_or(widest);
    println!("{}", weft_cranelift::describe_host()?);
    println!(
        "f32 FMA peak, {threads} threads: {widest:.1} GFLOP/s with {width}-bit vectors, {narrow:.1} with 128-bit vectors"
    );
    for length in settings.lengths.clone() {
        measure(&settings, length, &pool, Peaks { widest, narrow })?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Peaks {
    widest: f64,
    narrow: f64,
}

/// A program with what its kernels do, and the times of its calls.
struct Side<'a> {
    name: &'static str,
    run: Run<'a>,
    /// Name, operations executed.
    kernels: Vec<(String, f64)>,
    /// How many kernels are forward's.
    forward: usize,
    calls: Vec<Vec<Time>>,
}

#[derive(Clone, Copy, Default)]
struct Time {
    wall: f64,
    cpu: f64,
}

fn measure(settings: &Settings, length: usize, pool: &Pool, peaks: Peaks) -> Result<(), Failed> {
    let (heads, head) = (settings.heads, settings.head);
    println!("\ncausal attention H={heads} D={head} T={length}");
    let (alone, joint) = (derive(settings, length, false)?, derive(settings, length, true)?);
    let training = joint.planned.training.as_ref().ok_or("no training pair")?;
    let derived_forward = training.forward.kernels.len();
    let (by_hand, by_hand_back) = (hand("causal", settings)?, hand("causal_backward", settings)?);
    let work = |plan: &Plan| -> Result<Vec<(String, f64)>, Failed> {
        // The plans by hand have the same extents, in the same order.
        let graph = &alone.loaded.checked.graph;
        let bound = generate(graph, &alone.loaded.checked.extents, 0).map_err(|e| format!("{e:?}"))?;
        Ok(costs(plan, graph, &bound).into_iter().map(|k| (k.name, k.flops)).collect())
    };
    for (name, executable, plan) in [
        ("forward alone", &alone.executable, &alone.planned.scheduled.plan),
        ("forward and backward", &joint.executable, &joint.planned.scheduled.plan),
        ("forward by hand", &by_hand.1, &by_hand.0),
        ("backward by hand", &by_hand_back.1, &by_hand_back.0),
    ] {
        show(settings, name, executable, plan)?;
    }
    let tokens = i64::try_from(length)?;
    // Every plan has a batch and lengths of time in it.
    let lengths = [Length::Uniform(1), Length::Ragged(vec![tokens])];
    let mut sides = [
        side("forward alone", alone.executable.prepare(&lengths)?, work(&alone.planned.scheduled.plan)?, usize::MAX),
        side("training", joint.executable.prepare(&lengths)?, work(&joint.planned.scheduled.plan)?, derived_forward),
        side("forward by hand", by_hand.1.prepare(&lengths)?, work(&by_hand.0)?, usize::MAX),
        side("backward by hand", by_hand_back.1.prepare(&lengths)?, work(&by_hand_back.0)?, 0),
    ];
    let size = heads * length * head;
    let [q, k, v, g] = [1, 2, 3, 4].map(|seed| timing::noise(size, seed));
    for side in &mut sides {
        for (name, x) in [("q", &q), ("k", &k), ("v", &v)] {
            side.run.write(name, &Data::F32(x.clone()))?;
        }
    }
    sides[1].run.write("cot.o", &Data::F32(g.clone()))?;
    sides[3].run.write("g", &Data::F32(g.clone()))?;
    sides[2].run.launch(pool)?;
    for name in ["o", "lse"] {
        let saved = sides[2].run.read(name)?;
        sides[3].run.write(name, &saved)?;
    }
    for call in 0..=settings.calls.max(1) {
        for side in &mut sides {
            let mut cpu = timing::cpu_seconds();
            side.run.launch_observed(pool, &mut |n, wall| {
                let now = timing::cpu_seconds();
                // The first call warms up.
                if call > 0 {
                    side.calls[n].push(Time { wall: wall.as_secs_f64(), cpu: now - cpu });
                }
                cpu = now;
            })?;
        }
    }
    compare(&sides, &Attention { heads, head, q: &q, k: &k, v: &v, g: &g })?;
    let product = (heads * head) as f64 * (length as f64).powi(2);
    report(&sides, product, pool.threads(), peaks);
    Ok(())
}

fn side<'a>(name: &'static str, run: Run<'a>, kernels: Vec<(String, f64)>, forward: usize) -> Side<'a> {
    Side { name, run, calls: vec![Vec::new(); kernels.len()], kernels, forward }
}

/// A layer, compiled.
struct Derived {
    loaded: Loaded,
    planned: Planned,
    executable: Executable,
}

fn derive(settings: &Settings, length: usize, gradients: bool) -> Result<Derived, Failed> {
    let text = format!(
        "layer dense {{
           size H = {}, D = {}
           axis b, t: time
           index j: t, h: H, d: D
           in q[b,t,h,d], k[b,t,h,d], v[b,t,h,d]
           let p[b,h,t,j] = softmax[j](sum(d: q * k[b,j,h,d]) / sqrt(D) where j <= t)
           out o[b,t,h,d] = sum(j: p * v[b,j,h,d])
         }}",
        settings.heads, settings.head
    );
    let mut silent = Silent;
    let mut watch = Watch::new(&mut silent);
    let defines = [format!("t={length}"), "b=1".to_owned()];
    let defines = defines.iter().map(|d| parse_define(d)).collect::<Result<Vec<_>, _>>()?;
    let options = LoadOptions { defines, ..LoadOptions::default() };
    let loaded = load_bytes("dense", text.as_bytes(), Path::new(""), &options, &mut watch);
    let mut loaded = loaded.map_err(|e| format!("{:?}", e.fault))?;
    let failed = |e| format!("{e:?}");
    if gradients {
        loaded = differentiate(&loaded, &GradientOptions::default(), &mut watch).map_err(failed)?;
    }
    let planned = plan(&loaded, &settings.compile, &mut watch).map_err(failed)?;
    let program = program(&planned.scheduled.plan, &mut watch).map_err(failed)?;
    let executable = executable(program, &mut watch).map_err(failed)?;
    Ok(Derived { loaded, planned, executable })
}

/// A hand-written plan in single precision.
fn hand(name: &str, settings: &Settings) -> Result<(Plan, Executable), Failed> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/kernels");
    let text = std::fs::read_to_string(folder.join(format!("{name}.kir")))?;
    let mut plan = parse(&text.replace("f64", "f32"))?;
    let (heads, head) = (i64::try_from(settings.heads)?, i64::try_from(settings.head)?);
    let [rows, stream] = settings.tiles;
    for (name, value) in [("H", heads), ("HKV", heads), ("D", head), ("BQ", rows), ("BJ", stream)] {
        if !plan.set_param(name, value) {
            return Err(format!("no parameter {name}").into());
        }
    }
    let executable = Executable::new(lower(&plan, &target())?)?;
    Ok((plan, executable))
}

fn show(settings: &Settings, name: &str, executable: &Executable, plan: &Plan) -> Result<(), Failed> {
    let wants = |flag: &str| settings.show.iter().any(|s| s == flag);
    if wants("--plan") {
        println!("# {name}\n{plan}");
    }
    for launch in &executable.program().launches {
        if wants("--ir") {
            println!("# {name}\n{}", launch.kernel);
        }
        if wants("--asm") {
            println!("# {name}: {}\n{}", launch.kernel.name, weft_cranelift::assembly(&launch.kernel)?);
        }
    }
    Ok(())
}

fn floats(side: &Side<'_>, name: &str) -> Result<Vec<f32>, Failed> {
    match side.run.read(name)? {
        Data::F32(x) => Ok(x),
        other => Err(format!("{name} of {}", other.elem()).into()),
    }
}

/// Refuses results that differ from the definition in some rows, or from those of the other plan anywhere.
fn compare(sides: &[Side<'_>; 4], it: &Attention<'_>) -> Result<(), Failed> {
    const TOLERANCE: f64 = 1e-5;
    let [alone, training, by_hand, by_hand_back] = sides;
    let last = it.length() - 1;
    let h = it.heads - 1;
    // Every row of one head: keys need all that see them.
    let rows: Vec<Row> = (0..=last).map(|t| it.forward(h, t)).collect();
    let mut some = vec![0, 1, 63, 64, last / 3, last];
    some.retain(|t| *t <= last);
    let (mut between, mut exact) = (0.0f64, 0.0f64);
    for (name, results) in [
        ("o", [(training, "o"), (alone, "o"), (by_hand, "o")].as_slice()),
        ("dq", &[(training, "grad.q"), (by_hand_back, "dq")]),
        ("dk", &[(training, "grad.k"), (by_hand_back, "dk")]),
        ("dv", &[(training, "grad.v"), (by_hand_back, "dv")]),
    ] {
        let results = results.iter().map(|(side, name)| floats(side, name)).collect::<Result<Vec<_>, _>>()?;
        let expected: Vec<(usize, Vec<f64>)> = match name {
            "o" => rows.iter().map(|r| r.o.clone()).enumerate().collect(),
            "dq" => some.iter().map(|&t| (t, it.queries(h, t))).collect(),
            "dk" => some.iter().map(|&j| (j, it.keys(h, j, &rows).0)).collect(),
            _ => some.iter().map(|&j| (j, it.keys(h, j, &rows).1)).collect(),
        };
        for result in &results {
            for (a, b) in result.iter().zip(&results[0]) {
                between = between.max(distance(f64::from(*a), f64::from(*b)));
            }
            for (t, row) in &expected {
                let place = (t * it.heads + h) * it.head;
                for (a, b) in result[place..].iter().zip(row) {
                    exact = exact.max(distance(f64::from(*a), *b));
                }
            }
        }
        if between.max(exact) > TOLERANCE {
            return Err(format!("{name}: plans differ by {between:.1e}, and from the definition by {exact:.1e}").into());
        }
    }
    println!("  results differ by {between:.1e} at most, and from the definition in float64 by {exact:.1e}");
    Ok(())
}

/// The difference, relative where numbers are above 1; a NaN is far from everything.
fn distance(a: f64, b: f64) -> f64 {
    let d = (a - b).abs() / b.abs().max(1.0);
    if d.is_nan() { f64::INFINITY } else { d }
}

/// Median of wall times and least of CPU times, of the sums of some kernels over each call.
fn times(side: &Side<'_>, kernels: std::ops::Range<usize>) -> Time {
    let calls = side.calls.first().map_or(0, Vec::len);
    let sum = |call: usize, part: fn(&Time) -> f64| side.calls[kernels.clone()].iter().map(|k| part(&k[call])).sum();
    let mut wall: Vec<f64> = (0..calls).map(|c| sum(c, |t| t.wall)).collect();
    wall.sort_by(f64::total_cmp);
    let cpu = (0..calls).map(|c| sum(c, |t| t.cpu)).fold(f64::INFINITY, f64::min);
    Time { wall: wall[calls / 2], cpu }
}

fn report(sides: &[Side<'_>; 4], product: f64, threads: usize, peaks: Peaks) {
    println!(
        "  {:34} {:>9} {:>9} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7}",
        "", "median ms", "CPU ms", "GFLOP", "GFLOP/s", "% peak", "% 128b", "% CPU", "% 128b"
    );
    let line = |name: &str, flops: f64, time: Time| {
        let (rate, on_cpu) = (flops / time.wall / 1e9, flops / time.cpu / 1e9 * threads as f64);
        println!(
            "  {name:34} {:9.2} {:9.2} {:8.2} {rate:8.1} {:7.1} {:7.1} {:7.1} {:7.1}",
            time.wall * 1e3,
            time.cpu * 1e3,
            flops / 1e9,
            100.0 * rate / peaks.widest,
            100.0 * rate / peaks.narrow,
            100.0 * on_cpu / peaks.widest,
            100.0 * on_cpu / peaks.narrow,
        );
    };
    let [alone, training, by_hand, by_hand_back] = sides;
    let whole = |side: &Side<'_>| times(side, 0..side.kernels.len());
    let (n, all) = (training.forward, training.kernels.len());
    let derived = [whole(alone), times(training, 0..n), times(training, n..all), whole(training)];
    let hand = {
        let (f, b) = (whole(by_hand), whole(by_hand_back));
        // Two programs whose calls took turns: medians add up well enough.
        [f, b, Time { wall: f.wall + b.wall, cpu: f.cpu + b.cpu }]
    };
    println!("  derived, by products");
    line("forward alone", FORWARD * product, derived[0]);
    line("forward, saving", FORWARD * product, derived[1]);
    line("backward", BACKWARD * product, derived[2]);
    line("forward and backward", (FORWARD + BACKWARD) * product, derived[3]);
    println!("  by hand, by products");
    line("forward", FORWARD * product, hand[0]);
    line("backward", BACKWARD * product, hand[1]);
    line("forward and backward", (FORWARD + BACKWARD) * product, hand[2]);
    println!("  kernels, by operations executed");
    for side in sides {
        for (n, (name, flops)) in side.kernels.iter().enumerate() {
            line(&format!("{}: {name}", side.name), *flops, times(side, n..n + 1));
        }
    }
    let ratio = |name: &str, work: f64, above: Time, below: Time| {
        let (wall, cpu) = (above.wall / below.wall, above.cpu / below.cpu);
        println!("  {name:34} {wall:9.2} {cpu:9.2}   work {work:.2}: {:4.2} {:4.2} of it", wall / work, cpu / work);
    };
    println!("  ratios of times              wall and CPU");
    ratio("derived: backward / forward", BACKWARD / FORWARD, derived[2], derived[0]);
    ratio("derived: both / forward", 1.0 + BACKWARD / FORWARD, derived[3], derived[0]);
    ratio("by hand: backward / forward", BACKWARD / FORWARD, hand[1], hand[0]);
    ratio("by hand: both / forward", 1.0 + BACKWARD / FORWARD, hand[2], hand[0]);
}
