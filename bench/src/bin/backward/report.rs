//! Times of programs whose calls take turns, as a table.

use weft_cranelift::program::Run;

/// Products of forward, and of backward that computes weights for rows of queries and for rows of keys.
const FORWARD: f64 = 2.0;
const BACKWARD: f64 = 7.0;
/// Products of backward that computes weights once.
const ONE_SIDE: f64 = 5.0;

/// The rates that kernels are compared with, in GFLOP/s of all threads.
#[derive(Clone, Copy)]
pub(crate) struct Peaks {
    pub(crate) widest: f64,
    pub(crate) narrow: f64,
}

/// A program with what its kernels do, and the times of its calls.
pub(crate) struct Side<'a> {
    pub(crate) name: &'static str,
    pub(crate) run: Run<'a>,
    /// Name, operations executed.
    pub(crate) kernels: Vec<(String, f64)>,
    /// How many kernels are forward's.
    pub(crate) forward: usize,
    pub(crate) calls: Vec<Vec<Time>>,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Time {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

impl<'a> Side<'a> {
    /// A program that has not run yet.
    pub(crate) fn new(name: &'static str, run: Run<'a>, kernels: Vec<(String, f64)>, forward: usize) -> Self {
        Self { name, run, calls: vec![Vec::new(); kernels.len()], kernels, forward }
    }
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

/// Prints rates of all programs and kernels, and ratios; `product` is the operations of one product.
pub(crate) fn report(sides: &[Side<'_>; 5], product: f64, threads: usize, peaks: Peaks) {
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
    let [alone, training, by_hand, by_hand_back, one_side] = sides;
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
    line("backward from one side", ONE_SIDE * product, whole(one_side));
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
    ratio("from one side: backward / forward", ONE_SIDE / FORWARD, whole(one_side), hand[0]);
}
