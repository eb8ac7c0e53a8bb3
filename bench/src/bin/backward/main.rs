//! What a training step of dense causal attention costs beside its forward pass, on all cores: plans that the compiler derives, and
//! plans written by hand.
//!
//!     cargo run --release -p weft-bench --bin backward                      # H=8 D=64, T=2048 and 4096
//!     cargo run --release -p weft-bench --bin backward -- T=8192 CALLS=3    # also H D, and tiles: ROWS STREAM, by hand BQ BJ
//!     cargo run --release -p weft-bench --bin backward -- --plan            # the derived plans; --ir: loop IR; --asm: code
//!
//! Work is counted in products of queries and keys, `H D T^2` operations each: forward has two, scores and weighted values. Backward
//! has five (scores, products of cotangents and values, and the three gradients), and two more where the first two are computed once with
//! rows of queries and once with rows of keys, as plans do whose grid points are independent: 7, so that a step is 4.5 times its forward pass.
//!
//! Calls of all programs take turns, so that what else the machine does meets all of them. `% peak` is of the median call; `% CPU`
//! is by the time that threads ran in the cheapest call, which other programs disturb little.
#![allow(clippy::print_stdout, reason = "a program that reports")]

mod check;
mod report;

use std::error::Error;
use std::path::{Path, PathBuf};

use check::compare;
use report::{Peaks, Side, Time, report};
use weft::driver::{
    CompileOptions, GradientOptions, LoadOptions, Loaded, Planned, Silent, Watch, costs, differentiate, executable,
    generate, load_bytes, parse_define, plan, program, target,
};
use weft_bench::gradient::Attention;
use weft_bench::{peak, timing};
use weft_cranelift::program::{Data, Executable, Length};
use weft_ir::kernel::{Plan, parse};
use weft_passes::lower::lower;
use weft_runtime::Pool;

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

fn measure(settings: &Settings, length: usize, pool: &Pool, peaks: Peaks) -> Result<(), Failed> {
    let (heads, head) = (settings.heads, settings.head);
    println!("\ncausal attention H={heads} D={head} T={length}");
    let (alone, joint) = (derive(settings, length, false)?, derive(settings, length, true)?);
    let training = joint.planned.training.as_ref().ok_or("no training pair")?;
    let derived_forward = training.forward.kernels.len();
    let (by_hand, by_hand_back) = (hand("causal", settings)?, hand("causal_backward", settings)?);
    let one_side = hand("causal_backward_one_side", settings)?;
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
        ("backward by hand from one side", &one_side.1, &one_side.0),
    ] {
        show(settings, name, executable, plan)?;
    }
    let tokens = i64::try_from(length)?;
    // Every plan has a batch and lengths of time in it.
    let lengths = [Length::Uniform(1), Length::Ragged(vec![tokens])];
    let mut sides = [
        Side::new(
            "forward alone",
            alone.executable.prepare(&lengths)?,
            work(&alone.planned.scheduled.plan)?,
            usize::MAX,
        ),
        Side::new(
            "training",
            joint.executable.prepare(&lengths)?,
            work(&joint.planned.scheduled.plan)?,
            derived_forward,
        ),
        Side::new("forward by hand", by_hand.1.prepare(&lengths)?, work(&by_hand.0)?, usize::MAX),
        Side::new("backward by hand", by_hand_back.1.prepare(&lengths)?, work(&by_hand_back.0)?, 0),
        Side::new("from one side", one_side.1.prepare(&lengths)?, work(&one_side.0)?, 0),
    ];
    let size = heads * length * head;
    let [q, k, v, g] = [1, 2, 3, 4].map(|seed| timing::noise(size, seed));
    for side in &mut sides {
        for (name, x) in [("q", &q), ("k", &k), ("v", &v)] {
            side.run.write(name, &Data::F32(x.clone()))?;
        }
    }
    sides[1].run.write("cot.o", &Data::F32(g.clone()))?;
    sides[2].run.launch(pool)?;
    for back in [3, 4] {
        sides[back].run.write("g", &Data::F32(g.clone()))?;
        for name in ["o", "lse"] {
            let saved = sides[2].run.read(name)?;
            sides[back].run.write(name, &saved)?;
        }
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
        // From one side there are no shared keys.
        if !plan.set_param(name, value) && name != "HKV" {
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
