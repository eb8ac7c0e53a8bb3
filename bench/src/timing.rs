//! Timing of short calls on a machine that does other things too.

use std::time::Instant;

/// Median and best time of `repeats` calls, in seconds, after one call to warm up.
pub fn measure(repeats: usize, mut call: impl FnMut()) -> Times {
    call();
    let mut seconds: Vec<f64> = (0..repeats.max(1))
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    Times { median: seconds[seconds.len() / 2], best: seconds[0] }
}

/// Times in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Half of the calls were faster.
    pub median: f64,
    /// The fastest call: what the code can do when nothing else runs.
    pub best: f64,
}

/// CPU time of all threads of this process so far, in seconds. On a machine that is shared it says what the code costs, which the
/// clock on the wall does not.
#[must_use]
pub fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    #[allow(clippy::cast_precision_loss, reason = "nanoseconds and seconds of a short run")]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}

/// Deterministic numbers in `[-1, 1)`.
#[must_use]
pub fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            #[allow(clippy::cast_precision_loss, reason = "24 bits fit an f32")]
            let x = (state >> 40) as f32;
            x / 8_388_608.0 - 1.0
        })
        .collect()
}
