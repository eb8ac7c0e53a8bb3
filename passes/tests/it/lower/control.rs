//! Loops of every kind with random bounds and guards, branches, accumulation: against the interpreter.

use proptest::prelude::*;

use super::harness::{check_with, plan};

/// Dense, strided, list, table and point loops over keys of a row tile, with carried values of several kinds.
const STREAMS: &str = "
plan streams {
  size D = 5, P = 3, S = 7, R = 6, LEAD = 4
  tile BQ = 8, BJ = 8
  extent B, T[B]
  buffer q: FLOAT[b: B, t: T[b], d: D] input
  buffer k: FLOAT[b: B, t: T[b], d: D] input
  buffer u: FLOAT[s: S, d: D] param
  buffer keys: i32[b: B, r: R] input range 0 .. 1
  buffer count: i32[b: B] input range 0 .. R + 1
  buffer o: FLOAT[b: B, t: T[b], d: D] output
  buffer total: FLOAT[b: B, t: T[b]] output
  buffer seen: i32[b: B, t: T[b]] output

  kernel rows {
    grid b: B, n: ceil(T[b] / BQ)
    axis i: BQ where [n * BQ + i < T[b]]
    axis j: BJ, s: BJ, d: D
    LANES
    let t0 = n * BQ
    let t1 = min(t0 + BQ, T[b])
    %q = load q[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %o0 = fill 0.0 as FLOAT on [i, d]
    %l0 = fill 0.0 as FLOAT on [i]
    %z0 = fill 0 as i32 on [i]
    %one = fill 1 as i32
    %oa, %la, %za = loop j0 at p over j in dense(max(0, t0 - LEAD), t1) full [t1 - 1 - LEAD, t0 + 1) carry (%o1 = %o0, %l1 = %l0, %z1 = %z0) {
      %k = load k[b, p, d] where [p < t1] else 0.0
      %w = dot %q, %k over d
      %ones = fill 1.0 as FLOAT on [i, j]
      %n1 = reduce %ones by sum over j where [p < t1, p <= t0 + i, p >= t0 + i - LEAD]
      %w1 = reduce %w by sum over j where [p < t1, p <= t0 + i, p >= t0 + i - LEAD]
      %o2 = dot %w, %k, %o1 over j where [p < t1, p <= t0 + i, p >= t0 + i - LEAD]
      %l2 = add %l1, %w1, %n1
      %z2 = add %z1, %one
      yield %o2, %l2, %z2
    }
    # the two sums change places at each step
    %ob, %lb, %lc = loop c0 at e over j in strided(1, P, 0, ceil(max(0, t0 - 1) / P)) carry (%o3 = %oa, %l3 = %la, %l4 = %l0) {
      %kc = load k[b, e, d] where [c0 + j < ceil(max(0, t0 - 1) / P)] else 0.0
      %wc = reduce %kc by sum over d
      %mc = reduce %wc by max over j where [c0 + j < ceil(max(0, t0 - 1) / P)]
      %floor = fill -9.0 as FLOAT
      %mc1 = max %mc, %floor
      %o4 = add %o3, %mc1
      %l5 = sub %l4, %mc1
      yield %o4, %l5, %l3
    }
    let many = load count[b]
    %oc = loop r0 at f over j in list(keys[b], min(many, T[b])) carry (%o5 = %ob) {
      %kf = load k[b, f, d] where [r0 + j < min(many, T[b])] else 0.0
      %o6 = reduce %kf by sum over j
      %o7 = add %o5, %o6
      yield %o7
    }
    %od, %zb = loop s0 at c over s in table(S) carry (%o8 = %oc, %z3 = %za) {
      %word = load u[c, d] where [c < S] else 0.0
      %ws = dot %q, %word over d
      %near = reduce %ws by max over s where [c < S]
      %o9 = mul %o8, %near
      %o10 = tanh %o9
      %z4 = add %z3, %one
      yield %o10, %z4
    }
    %oe = loop x0 at zero in point(0) carry (%o11 = %od) {
      %k0 = load k[b, zero, d]
      %o12 = add %o11, %k0
      yield %o12
    }
    %of = if [t0 // BQ % 2 == 0] {
      %flipped = neg %oe
      yield %flipped
    } else {
      yield %oe
    }
    %half = fill 0.5 as FLOAT
    %go0 = fill true as bool
    %go, %og, %steps = while max 5 carry (%go1 = %go0, %o13 = %of, %n0 = %z0) {
      %o14 = mul %o13, %half
      %big = fill 0.3 as FLOAT
      %size = abs %o14
      %large = gt %size, %big
      %go2 = reduce %large by any over i, d where [t0 + i < T[b]]
      %n2 = add %n0, %one
      yield %go2, %o14, %n2
    }
    %all = add %lb, %lc
    %zc = add %zb, %steps
    store o[b, t0 + i, d] = %og where [t0 + i < T[b]]
    store total[b, t0 + i] = %all where [t0 + i < T[b]]
    store seen[b, t0 + i] = %zc where [t0 + i < T[b]]
  }
}";

/// Sums of rows into buffers, by every mode.
const ACCUMULATE: &str = "
plan accumulate {
  size S = 6, D = 5
  tile BQ = 8, BD = 4
  extent B, T[B]
  buffer x: FLOAT[b: B, t: T[b], d: D] input
  buffer code: i64[b: B, t: T[b]] input range 0 .. S
  buffer sums: FLOAT[b: B, s: S, d: D] output init 0.0
  buffer most: FLOAT[s: S] output init -9.0
  buffer count: i32[b: B, s: S] output init 3
  buffer rows: FLOAT[b: B, t: T[b]] output init 0.0

  kernel scatter {
    grid b: B, n: ceil(T[b] / BQ)
    axis i: BQ where [n * BQ + i < T[b]]
    axis d: D
    LANES
    let t0 = n * BQ
    %x = load x[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %z = load code[b, t0 + i] where [t0 + i < T[b]] else 0
    accum sums[b, %z, d] += %x where [t0 + i < T[b]] mode MODE
  }

  kernel counts {
    grid b: B, n: ceil(T[b] / BQ)
    axis i: BQ where [n * BQ + i < T[b]]
    let t0 = n * BQ
    %z = load code[b, t0 + i] where [t0 + i < T[b]] else 0
    %one = fill 1 as i32 on [i]
    accum count[b, %z] += %one where [t0 + i < T[b]] mode ordered
    %y = load x[b, t0 + i, 0] where [t0 + i < T[b]] else 0.0
    accum most[%z] += %y by max where [t0 + i < T[b]] mode atomic
  }

  kernel rows {
    grid b: B, n: ceil(T[b] / BQ), g: ceil(D / BD)
    axis i: BQ where [n * BQ + i < T[b]]
    axis e: BD where [g * BD + e < D]
    LANES
    let t0 = n * BQ
    %x = load x[b, t0 + i, g * BD + e] where [t0 + i < T[b], g * BD + e < D] else 0.0
    %s = reduce %x by sum over e
    accum rows[b, t0 + i] += %s where [t0 + i < T[b]] mode MODE
  }
}";

fn run(text: &str, lanes: &str, mode: &str, double: bool, lengths: &[i64], tiles: (i64, i64), seed: u64) {
    let float = if double { "f64" } else { "f32" };
    let text = text.replace("FLOAT", float).replace("LANES", lanes).replace("MODE", mode);
    let (first, second) = if text.contains("BJ") { ("BQ", "BJ") } else { ("BQ", "BD") };
    let plan = plan(&text, &[(first, tiles.0), (second, tiles.1)]);
    let lengths = [("B", &[lengths.len() as i64][..]), ("T", lengths)];
    check_with(&plan, &lengths, seed, if double { 1e-11 } else { 1e-5 }, |_, _| {});
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn loops(
        seed in any::<u64>(),
        lengths in prop::collection::vec(1i64..45, 1..3),
        tiles in (1i64..20, 1i64..20),
        lanes in prop::sample::select(vec!["", "lanes i", "lanes d", "lanes j"]),
        double in any::<bool>(),
    ) {
        run(STREAMS, lanes, "", double, &lengths, tiles, seed);
    }

    #[test]
    fn accumulations(
        seed in any::<u64>(),
        lengths in prop::collection::vec(0i64..45, 1..3),
        tiles in (1i64..20, 1i64..6),
        lanes in prop::sample::select(vec!["", "lanes i"]),
        mode in prop::sample::select(vec!["ordered", "staged", "atomic"]),
        double in any::<bool>(),
    ) {
        run(ACCUMULATE, lanes, mode, double, &lengths, tiles, seed);
    }
}
