//! Time per token against the length of the sequence: layers as they are written, and as they are rewritten, in one run.
//!
//!     cargo run --release -p weft-bench --bin scaling                    # every layer, T = 2k .. 131k
//!     cargo run --release -p weft-bench --bin scaling -- retention vq    # layers whose name contains a word
//!     cargo run --release -p weft-bench --bin scaling -- FROM=2048 TO=32768 --grad
//!     cargo run --release -p weft-bench --bin scaling -- DEFINITION=8192 SVG=scaling.svg
//!
//!     cargo run --release -p weft-bench --bin scaling -- vq FROM=8192 DEFINITION=131072 CALLS=0 STEP=4
//!
//! A definition is run up to T = DEFINITION (16384), since its cost grows with the square. Lengths grow by STEP (2). Times are
//! the best of CALLS (3) calls after a first one, or that of the first if CALLS is 0; a length is skipped, and named, if it would
//! need more memory than MEMORY (12) GiB.
#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use weft::driver::{
    Backend, CompileOptions, Failure, GradientOptions, LoadOptions, Ready, Silent, Watch, differentiate, execute,
    generate, load_bytes, parse_define,
};
use weft_passes::rewrite;
use weft_runtime::Pool;

/// Mixers alone: what a paper's formula says, without projections.
const MIXERS: [(&str, &str); 5] = [
    (
        "linear attention, mixer",
        "layer la { size H = 8, D = 64, V = 64 axis b, t: time index j: t, h: H, d: D, v: V
           in q[b,t,h,d], k[b,t,h,d], val[b,t,h,v]
           out y[b,t,h,v] = sum(j: sum(d: q * k[b,j,h,d]) * val[b,j,h,v] where j <= t) }",
    ),
    (
        "retention, mixer",
        "layer retention { size H = 8, D = 64, V = 64 axis b, t: time index j: t, h: H, d: D, v: V
           in q[b,t,h,d], k[b,t,h,d], val[b,t,h,v]
           let decay[h,t,j] = exp(log(1 - 2^(-5 - h)) * (t - j))
           out y[b,t,h,v] = sum(j: decay * sum(d: q * k[b,j,h,d]) * val[b,j,h,v] where j <= t) }",
    ),
    (
        "SSD, mixer",
        "layer ssd { size H = 8, D = 64, V = 64 axis b, t: time index i, j: t, h: H, d: D, v: V
           in q[b,t,h,d], k[b,t,h,d], val[b,t,h,v], z[b,t,h]
           let decay[b,h,t,j] = exp(-sum(i: softplus(z[b,i,h]) where j < i <= t))
           out y[b,t,h,v] = sum(j: decay * sum(d: q * k[b,j,h,d]) * val[b,j,h,v] where j <= t) }",
    ),
    (
        "GLA, mixer",
        "layer gla { size H = 4, D = 64, V = 128 axis b, t: time index h: H, d: D, v: V
           in q[b,t,h,d], k[b,t,h,d], val[b,t,h,v], z[b,t,h,d]
           rec S[b,t,h,d,v] = k * val + (if t == 0 then 0 else exp(-softplus(-z) / 16) * S[b, t - 1, h, d, v])
           out y[b,t,h,v] = sum(d: q * S) }",
    ),
    (
        "Transformer-VQ, mixer",
        "layer vq { size DK = 128, DV = 1536, S = 512, M = 512 axis b, t: time index j: t, dk: DK, dv: DV, s: S, dist: M + 1
           in q[b,t,dk], k[b,t,dk], v[b,t,dv]
           param codebook[s,dk], r[dist,dk]
           let code[b,t] = argmin(s: sum(dk: (k - codebook)^2))
           let c[b,t,dk] = stop_gradient(codebook[code, dk])
           let kq[b,t,j,dk] = if j >= t // M * M - M then straight_through(c[b,j,dk], k[b,j,dk]) else c[b,j,dk]
           let place[b,t,j] = if 0 <= t - j <= M then sum(dk: q * r[t - j, dk]) else 0
           let p[b,t,j] = softmax[j](sum(dk: q * kq) + place where j <= t)
           out y[b,t,dv] = sum(j: p * v[b,j,dv]) }",
    ),
];

/// Layers of the repository, at the sizes that their files give.
const FILES: [&str; 8] = [
    "gallery/linear_attention",
    "gallery/retention",
    "gallery/mamba2",
    "gallery/gla",
    "transformer_vq",
    "sparsek",
    "attamba",
    "attamba_sparsek",
];

struct Settings {
    words: Vec<String>,
    from: i64,
    to: i64,
    definition: i64,
    memory: u64,
    calls: usize,
    step: i64,
    grad: bool,
    svg: Option<PathBuf>,
}

/// Seconds of the best call, by length.
type Times = Vec<(i64, f64)>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut s = Settings {
        words: Vec::new(),
        from: 2048,
        to: 131_072,
        definition: 16384,
        memory: 12,
        calls: 3,
        step: 2,
        grad: false,
        svg: None,
    };
    for arg in std::env::args().skip(1) {
        match arg.split_once('=') {
            Some(("FROM", n)) => s.from = n.parse()?,
            Some(("TO", n)) => s.to = n.parse()?,
            Some(("DEFINITION", n)) => s.definition = n.parse()?,
            Some(("MEMORY", n)) => s.memory = n.parse()?,
            Some(("CALLS", n)) => s.calls = n.parse()?,
            Some(("STEP", n)) => s.step = n.parse::<i64>()?.max(2),
            Some(("SVG", p)) => s.svg = Some(p.into()),
            _ if arg == "--grad" => s.grad = true,
            _ => s.words.push(arg),
        }
    }
    let pool = Pool::from_environment()?;
    println!("{}, {} threads", weft_cranelift::describe_host()?, pool.threads());
    println!("microseconds per token, {}\n", if s.grad { "forward and backward" } else { "forward" });
    let lengths: Vec<i64> =
        std::iter::successors(Some(s.from), |t| t.checked_mul(s.step)).take_while(|&t| t <= s.to).collect();
    print!("{:38}", "layer");
    lengths.iter().for_each(|t| print!("{t:>10}"));
    println!();
    let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut layers: Vec<(String, Vec<u8>)> =
        MIXERS.iter().map(|&(n, text)| (n.to_owned(), text.as_bytes().to_vec())).collect();
    for name in FILES {
        layers.push((name.to_owned(), std::fs::read(examples.join(format!("{name}.weft")))?));
    }
    let mut drawn = Vec::new();
    for (name, text) in &layers {
        if !s.words.is_empty() && !s.words.iter().any(|w| name.to_lowercase().contains(&w.to_lowercase())) {
            continue;
        }
        let mut both: [Times; 2] = Default::default();
        for (rewritten, times) in [false, true].into_iter().zip(&mut both) {
            print!("{:38}", if rewritten { "  rewritten".to_owned() } else { format!("{name}, as defined") });
            for &t in &lengths {
                if !rewritten && t > s.definition {
                    print!("{:>10}", "-");
                    continue;
                }
                match time(name, text, t, rewritten, &s, &pool) {
                    Ok(Some(seconds)) => {
                        times.push((t, seconds));
                        print!("{:10.2}", seconds * 1e6 / t as f64);
                    }
                    Ok(None) => print!("{:>10}", "memory"),
                    // The scheduler refuses what no kernel can do.
                    Err(e) if e.to_string().contains("code: E060") => print!("{:>10}", "refused"),
                    Err(e) => return Err(e),
                }
                std::io::Write::flush(&mut std::io::stdout())?;
            }
            println!();
        }
        print!("{:38}", "  definition / rewritten");
        for &t in &lengths {
            let of = |times: &Times| times.iter().find(|x| x.0 == t).map(|x| x.1);
            match of(&both[0]).zip(of(&both[1])) {
                Some((a, b)) => print!("{:10.2}", a / b),
                None => print!("{:>10}", "-"),
            }
        }
        println!();
        drawn.push((name.clone(), both));
    }
    if let Some(path) = &s.svg {
        std::fs::write(path, plot(&drawn))?;
    }
    Ok(())
}

/// Seconds of the best of some calls; nothing if it would need too much memory.
fn time(
    name: &str,
    text: &[u8],
    t: i64,
    rewritten: bool,
    s: &Settings,
    pool: &Pool,
) -> Result<Option<f64>, Box<dyn Error>> {
    let mut silent = Silent;
    let mut watch = Watch::new(&mut silent);
    let defines = [format!("t={t}"), "b=1".to_owned()];
    let defines = defines.iter().map(|d| parse_define(d)).collect::<Result<Vec<_>, _>>()?;
    let options = LoadOptions { defines, ..LoadOptions::default() };
    let failed = |e: Failure| format!("{name}: {:?}", e.fault);
    let mut loaded = load_bytes(name, text, Path::new(""), &options, &mut watch).map_err(failed)?;
    let fault = |e| format!("{name}: {e:?}");
    if s.grad {
        loaded = differentiate(&loaded, &GradientOptions::default(), &mut watch).map_err(fault)?;
    }
    let compile = CompileOptions { rewrite: rewritten.then(rewrite::Options::default), ..CompileOptions::default() };
    let ready = execute::prepare(&loaded, Backend::Cranelift, &compile, &mut watch).map_err(fault)?;
    let Ready::Cranelift(_, executable) = &ready else { return Err("no machine code".into()) };
    let graph = &loaded.checked.graph;
    let bound = generate(graph, &loaded.checked.extents, 0).map_err(fault)?.rounded(graph, loaded.checked.float);
    if let Some(m) = execute::memory(graph, executable, &bound)
        && m.inputs + m.outputs + m.workspace > s.memory << 30
    {
        return Ok(None);
    }
    let mut run = execute::start(graph, executable, &bound).map_err(fault)?;
    let start = Instant::now();
    run.launch(pool)?;
    let first = start.elapsed().as_secs_f64();
    let mut best = if s.calls == 0 { first } else { f64::INFINITY };
    for _ in 0..s.calls {
        let start = Instant::now();
        run.launch(pool)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(Some(best))
}

/// Time per token against length, both logarithmic: dashed as defined, drawn out as rewritten.
fn plot(layers: &[(String, [Times; 2])]) -> String {
    const WIDTH: f64 = 900.0;
    const HEIGHT: f64 = 560.0;
    let points = || layers.iter().flat_map(|l| l.1.iter().flatten()).map(|&(t, s)| (t as f64, s * 1e6 / t as f64));
    let span = |of: fn((f64, f64)) -> f64| {
        let all: Vec<f64> = points().map(of).collect();
        let lo = all.iter().copied().fold(f64::INFINITY, f64::min).ln();
        let hi = all.iter().copied().fold(f64::NEG_INFINITY, f64::max).ln();
        (lo, (hi - lo).max(1e-9))
    };
    let (x0, dx) = span(|p| p.0);
    let (y0, dy) = span(|p| p.1);
    let at = |t: f64, s: f64| {
        (60.0 + (t.ln() - x0) / dx * (WIDTH - 300.0), HEIGHT - 50.0 - (s.ln() - y0) / dy * (HEIGHT - 100.0))
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n"
    );
    let _ = writeln!(svg, "<text x=\"60\" y=\"24\">microseconds per token against length (dashed: as defined)</text>");
    for (n, (name, both)) in layers.iter().enumerate() {
        let colour = format!("hsl({}, 65%, 42%)", n * 360 / layers.len().max(1));
        for (times, dash) in both.iter().zip(["5 4", "none"]) {
            let line: Vec<String> = times
                .iter()
                .map(|&(t, s)| at(t as f64, s * 1e6 / t as f64))
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            let line = line.join(" ");
            let _ = writeln!(
                svg,
                "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>"
            );
        }
        let y = 60.0 + 18.0 * n as f64;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{y}\" fill=\"{colour}\">{name}</text>", WIDTH - 220.0);
    }
    svg.push_str("</svg>\n");
    svg
}
