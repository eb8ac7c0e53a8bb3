//! What layers reach from source, through the whole pipeline: rates against the machine's peak, times kernel by kernel.
//!
//!     cargo run --release -p weft-bench --bin source                      # everything, one sequence of 2048 tokens
//!     cargo run --release -p weft-bench --bin source -- dense             # layers whose name contains a word
//!     cargo run --release -p weft-bench --bin source -- T=4096 CALLS=20   # other lengths, more calls
//!     cargo run --release -p weft-bench --bin source -- ROWS=64 STREAM=32 # other tiles: ROWS STREAM BLOCK DEPTH VECTOR
//!     cargo run --release -p weft-bench --bin source -- dense --ir        # loop IR; --asm: machine code
//!     cargo run --release -p weft-bench --bin source -- sparsek --grad    # a training step: forward, backward
//!     cargo run --release -p weft-bench --bin source -- mine.weft --written # a file, as it is written
//!
//! The peak is measured in the same run: with the widest vectors of the machine, and with 128-bit vectors, which are the widest
//! that Cranelift has. CPU time is that of all threads; on a machine that other programs share, it and the best of many calls
//! say what the code can do, and the median says what the day was like.
#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::error::Error;
use std::ops::Range;
use std::path::{Path, PathBuf};

use weft::driver::{
    Backend, CompileOptions, Failure, GradientOptions, KernelCost, LoadOptions, Loaded, Ready, Silent, Watch, costs,
    differentiate, execute, generate, load_bytes, parse_define,
};
use weft_bench::{peak, timing};
use weft_runtime::Pool;

/// A layer: its name, its source, and the operations that its definition takes at a length.
type Small = (&'static str, &'static str, fn(f64) -> f64);

/// Small layers that are one kernel each.
const SMALL: [Small; 3] = [
    (
        "dense causal attention, heads outside",
        "layer dense {
           size H = 8, D = 64
           axis b, t: time
           index j: t, h: H, d: D
           in q[b,h,t,d], k[b,h,t,d], v[b,h,t,d]
           let p[b,h,t,j] = softmax[j](sum(d: q * k[b,h,j,d]) / sqrt(D) where j <= t)
           out o[b,h,t,d] = sum(j: p * v[b,h,j,d])
         }",
        attention,
    ),
    (
        "dense causal attention, heads inside",
        "layer dense {
           size H = 8, D = 64
           axis b, t: time
           index j: t, h: H, d: D
           in q[b,t,h,d], k[b,t,h,d], v[b,t,h,d]
           let p[b,h,t,j] = softmax[j](sum(d: q * k[b,j,h,d]) / sqrt(D) where j <= t)
           out o[b,t,h,d] = sum(j: p * v[b,j,h,d])
         }",
        attention,
    ),
    (
        "projection",
        "layer projection {
           size E = 1024, F = 1024
           axis b, t: time
           index e: E, f: F
           in x[b,t,e]
           param w[f,e]
           out y[b,t,f] = sum(e: w * x)
         }",
        |t| 2.0 * t * 1024.0 * 1024.0,
    ),
];

/// Two products of 2 D operations for each of the T^2 / 2 pairs of each head: what flash attention is rated by.
fn attention(t: f64) -> f64 {
    8.0 * t * t / 2.0 * 2.0 * 2.0 * 64.0
}

/// Layers of the repository, at the sizes that their files give.
const EXAMPLES: [&str; 4] = ["attamba", "sparsek", "attamba_sparsek", "transformer_vq"];

struct Settings {
    words: Vec<String>,
    length: i64,
    calls: usize,
    ir: bool,
    asm: bool,
    grad: bool,
    compile: CompileOptions,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = Settings {
        words: Vec::new(),
        length: 2048,
        calls: 9,
        ir: false,
        asm: false,
        grad: false,
        compile: CompileOptions::default(),
    };
    for arg in std::env::args().skip(1) {
        match arg.split_once('=') {
            Some(("T", n)) => settings.length = n.parse()?,
            Some(("CALLS", n)) => settings.calls = n.parse()?,
            Some(("ROWS", n)) => settings.compile.schedule.tiles.get_or_insert_default().rows = n.parse()?,
            Some(("STREAM", n)) => settings.compile.schedule.tiles.get_or_insert_default().stream = n.parse()?,
            Some(("BLOCK", n)) => settings.compile.schedule.tiles.get_or_insert_default().block = n.parse()?,
            Some(("DEPTH", n)) => settings.compile.schedule.tiles.get_or_insert_default().depth = n.parse()?,
            Some(("VECTOR", n)) => settings.compile.schedule.tiles.get_or_insert_default().vector = n.parse()?,
            _ if arg == "--ir" => settings.ir = true,
            _ if arg == "--asm" => settings.asm = true,
            _ if arg == "--grad" => settings.grad = true,
            _ if arg == "--written" => settings.compile.rewrite = None,
            _ => settings.words.push(arg),
        }
    }
    let pool = Pool::from_environment()?;
    let threads = pool.threads();
    let (peak, width) = peak::fma_peak(threads);
    let narrow = peak::fma_rate(threads, 128).unwrap_or(peak);
    println!("{}", weft_cranelift::describe_host()?);
    println!(
        "f32 FMA peak, {threads} threads: {peak:.1} GFLOP/s with {width}-bit vectors, {narrow:.1} with 128-bit vectors"
    );
    let wanted = |name: &str| settings.words.is_empty() || settings.words.iter().any(|w| name.contains(w.as_str()));
    for (name, text, flops) in SMALL.into_iter().filter(|(name, ..)| wanted(name)) {
        #[allow(clippy::cast_precision_loss, reason = "a length far below 2^53")]
        let flops = flops(settings.length as f64);
        layer((name, Some(flops)), text.as_bytes(), Path::new(""), &settings, &pool, (peak, narrow))?;
    }
    for file in settings.words.iter().filter(|w| w.ends_with(".weft")) {
        layer((file, None), &std::fs::read(file)?, Path::new(""), &settings, &pool, (peak, narrow))?;
    }
    let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for name in EXAMPLES.into_iter().filter(|name| wanted(name)) {
        let text = std::fs::read(examples.join(format!("{name}.weft")))?;
        layer((name, None), &text, &examples, &settings, &pool, (peak, narrow))?;
    }
    Ok(())
}

/// Compiles and times one layer, whose operations are as given or else what its kernels execute.
fn layer(
    (name, flops): (&str, Option<f64>),
    text: &[u8],
    folder: &Path,
    settings: &Settings,
    pool: &Pool,
    (peak, narrow): (f64, f64),
) -> Result<(), Box<dyn Error>> {
    let mut silent = Silent;
    let mut watch = Watch::new(&mut silent);
    let defines = [format!("t={}", settings.length), "b=1".to_owned()];
    let defines = defines.iter().map(|d| parse_define(d)).collect::<Result<Vec<_>, _>>()?;
    let options = LoadOptions { defines, ..LoadOptions::default() };
    let failed = |e: Failure| format!("{name}: {:?}", e.fault);
    let mut loaded: Loaded = load_bytes(name, text, folder, &options, &mut watch).map_err(failed)?;
    let fault = |e| format!("{name}: {e:?}");
    if settings.grad {
        loaded = differentiate(&loaded, &GradientOptions::default(), &mut watch).map_err(fault)?;
    }
    let start = std::time::Instant::now();
    let ready = execute::prepare(&loaded, Backend::Cranelift, &settings.compile, &mut watch).map_err(fault)?;
    let compiled = start.elapsed();
    let Ready::Cranelift(planned, executable) = &ready else { return Err("no machine code".into()) };
    println!("\n{name}, T={}: compiled in {:.1} ms", settings.length, compiled.as_secs_f64() * 1e3);
    for launch in &executable.program().launches {
        if settings.ir {
            println!("{}", launch.kernel);
        }
        if settings.asm {
            println!("{}\n{}", launch.kernel.name, weft_cranelift::assembly(&launch.kernel)?);
        }
    }
    let graph = &loaded.checked.graph;
    let bound = generate(graph, &loaded.checked.extents, 0).map_err(fault)?.rounded(graph, loaded.checked.float);
    let mut work = costs(&planned.scheduled.plan, graph, &bound);
    if let (Some(flops), [one], false) = (flops, &mut work[..], settings.grad) {
        one.flops = flops;
    }
    let forward = planned.training.as_ref().map(|t| t.forward.kernels.len());
    let mut run = execute::start(graph, executable, &bound).map_err(fault)?;
    run.launch(pool)?;
    let mut calls = vec![Call::default(); work.len()];
    for _ in 0..settings.calls.max(1) {
        let mut cpu = timing::cpu_seconds();
        run.launch_observed(pool, &mut |n, wall| {
            let now = timing::cpu_seconds();
            calls[n].add(wall.as_secs_f64(), now - cpu);
            cpu = now;
        })?;
    }
    let parts = match forward {
        Some(forward) => vec![("forward", 0..forward), ("backward", forward..work.len())],
        None if work.len() > 1 => vec![("all", 0..work.len())],
        None => Vec::new(),
    };
    report(&work, &mut calls, &parts, (peak, narrow));
    if let Some(m) = execute::memory(graph, executable, &bound) {
        let mega = |bytes: u64| bytes as f64 / 1e6;
        let all = m.inputs + m.outputs + m.workspace;
        println!("  memory: {:.1} MB, of which {:.1} MB between kernels", mega(all), mega(m.workspace));
    }
    Ok(())
}

/// The times of all calls of one kernel, or of several that follow each other, call by call.
#[derive(Clone, Default)]
struct Call {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Call {
    fn add(&mut self, wall: f64, cpu: f64) {
        self.wall.push(wall);
        self.cpu.push(cpu);
    }

    fn all(calls: &[Self]) -> Self {
        let number = calls.iter().map(|c| c.wall.len()).min().unwrap_or(0);
        let sum = |part: fn(&Self) -> &[f64]| (0..number).map(|n| calls.iter().map(|c| part(c)[n]).sum()).collect();
        Self { wall: sum(|c| &c.wall), cpu: sum(|c| &c.cpu) }
    }

    fn sort(&mut self) {
        self.wall.sort_by(f64::total_cmp);
        self.cpu.sort_by(f64::total_cmp);
    }
}

/// Prints kernels by time, and the parts of the plan.
fn report(work: &[KernelCost], calls: &mut [Call], parts: &[(&str, Range<usize>)], (peak, narrow): (f64, f64)) {
    let mut sums: Vec<Call> = parts.iter().map(|(_, kernels)| Call::all(&calls[kernels.clone()])).collect();
    calls.iter_mut().chain(&mut sums).for_each(Call::sort);
    let mut rows: Vec<(&str, f64, bool, &Call)> =
        work.iter().zip(&*calls).map(|(k, c)| (k.name.as_str(), k.flops, k.at_least, c)).collect();
    rows.sort_by(|a, b| b.3.cpu[0].total_cmp(&a.3.cpu[0]));
    for ((name, kernels), call) in parts.iter().zip(&sums) {
        let of = &work[kernels.clone()];
        rows.push((*name, of.iter().map(|k| k.flops).sum(), of.iter().any(|k| k.at_least), call));
    }
    println!(
        "  {:20} {:>9} {:>9} {:>9} {:>8} {:>8} {:>7} {:>7} {:>8}",
        "kernel", "median ms", "best ms", "CPU ms", "MFLOP", "GFLOP/s", "% peak", "% 128b", "GF/CPU s"
    );
    for (name, flops, at_least, call) in rows {
        let rate = |seconds: f64| flops / seconds / 1e9;
        let (median, best, cpu) = (call.wall[call.wall.len() / 2], call.wall[0], call.cpu[0]);
        println!(
            "  {name:20} {:9.2} {:9.2} {:9.2} {:>8} {:8.1} {:7.1} {:7.1} {:8.1}",
            median * 1e3,
            best * 1e3,
            cpu * 1e3,
            format!("{}{:.0}", if at_least { ">" } else { "" }, flops / 1e6),
            rate(best),
            100.0 * rate(best) / peak,
            100.0 * rate(best) / narrow,
            rate(cpu),
        );
    }
}
