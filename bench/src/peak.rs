//! The machine's peak rate of f32 fused multiply-adds, measured with the widest vectors it has.
#![allow(unsafe_code, reason = "vector intrinsics of std::arch")]

use std::time::Instant;

/// Rate in GFLOP/s of all `threads` together (one FMA is two), and the vector width in bits that gave it.
#[must_use]
pub fn fma_peak(threads: usize) -> (f64, u32) {
    let mut best = (0.0, 0);
    for (width, run) in kernels() {
        let rate = best_rate(threads, run);
        if rate > best.0 {
            best = (rate, width);
        }
    }
    best
}

type Run = fn(u64) -> f64;

/// The best of many short rounds: other programs may share the machine, and interrupt most of the long ones.
fn best_rate(threads: usize, run: Run) -> f64 {
    const ROUNDS: usize = 40;
    (0..ROUNDS).map(|_| rate(threads, run)).fold(0.0, f64::max)
}

fn rate(threads: usize, run: Run) -> f64 {
    // About a millisecond.
    let rounds = 600_000;
    let barrier = std::sync::Barrier::new(threads);
    let cores = core_ids(threads);
    let results: Vec<(f64, f64)> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|i| {
                let (barrier, core) = (&barrier, cores.get(i).copied());
                scope.spawn(move || {
                    if let Some(core) = core {
                        core_affinity::set_for_current(core);
                    }
                    run(rounds / 20);
                    barrier.wait();
                    let start = Instant::now();
                    let flops = run(rounds);
                    (flops, start.elapsed().as_secs_f64())
                })
            })
            .collect();
        handles.into_iter().filter_map(|h| h.join().ok()).collect()
    });
    let flops: f64 = results.iter().map(|r| r.0).sum();
    let slowest = results.iter().map(|r| r.1).fold(0.0, f64::max);
    flops / slowest / 1e9
}

fn core_ids(threads: usize) -> Vec<core_affinity::CoreId> {
    core_affinity::get_core_ids().filter(|c| c.len() >= threads).unwrap_or_default()
}

#[cfg(target_arch = "x86_64")]
fn kernels() -> Vec<(u32, Run)> {
    let mut found: Vec<(u32, Run)> = Vec::new();
    if std::is_x86_feature_detected!("fma") && std::is_x86_feature_detected!("avx2") {
        // SAFETY: the features were detected.
        found.push((128, |n| unsafe { x86::fma128(n) }));
        // SAFETY: the features were detected.
        found.push((256, |n| unsafe { x86::fma256(n) }));
    }
    if std::is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was detected.
        found.push((512, |n| unsafe { x86::fma512(n) }));
    }
    found
}

#[cfg(not(target_arch = "x86_64"))]
fn kernels() -> Vec<(u32, Run)> {
    vec![(32, |n| {
        let mut a = [1.0f32; 12];
        for _ in 0..n {
            for x in &mut a {
                *x = x.mul_add(0.999, 0.001);
            }
        }
        std::hint::black_box(a);
        24.0 * n as f64
    })]
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    macro_rules! chain {
        ($name:ident, $feature:literal, $ty:ty, $set:ident, $fma:ident, $lanes:literal) => {
            /// Twelve independent chains: more than latency times units on any current core.
            #[target_feature(enable = $feature)]
            pub(super) fn $name(rounds: u64) -> f64 {
                let (m, c) = (std::hint::black_box($set(0.999)), std::hint::black_box($set(0.001)));
                let mut a: [$ty; 12] = std::hint::black_box([$set(1.0); 12]);
                for _ in 0..rounds {
                    for x in &mut a {
                        *x = $fma(*x, m, c);
                    }
                }
                std::hint::black_box(a);
                #[allow(clippy::cast_precision_loss, reason = "a count well below 2^53")]
                let rounds = rounds as f64;
                rounds * 12.0 * 2.0 * $lanes
            }
        };
    }

    chain!(fma128, "avx2,fma", __m128, _mm_set1_ps, _mm_fmadd_ps, 4.0);
    chain!(fma256, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, 8.0);
    chain!(fma512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, 16.0);
}

/// The same measurement for one vector width, where the machine has it.
#[must_use]
pub fn fma_rate(threads: usize, width: u32) -> Option<f64> {
    let run = kernels().into_iter().find(|k| k.0 == width)?.1;
    Some(best_rate(threads, run))
}
