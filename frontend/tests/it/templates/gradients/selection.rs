//! What a soft choice of K gives to its scores.

use super::super::inputs::inputs;
use super::super::road::{Case, graph, interpret, plan};
use super::driven::{BACKENDS, Driven, numbers};
use weft_ir::DType;
use weft_passes::schedule::Tiles;

/// SparseK over given scores: the last WIN tokens, and the K best of the older ones, weighed by the projection of their scores.
const LAYER: &str = "\
layer choice {
  size  H = 2, D = 3, K = 3, WIN = 2
  axis  b, t: time
  index j: t, h: H, d: D
  in    q[b,t,h,d], k[b,t,h,d], v[b,t,h,d], z[b,t,h]
  let near[t,j]    = t - j < WIN
  let pool[t,j]    = t - j >= WIN
  let far[b,h,t,j] = in_top_k[j](z[b,j,h] where pool, K)
  let m[b,h,t,j]   = if near then 1 else sparsek[j](z[b,j,h] where pool, K)
  let s[b,h,t,j]   = sum(d: q * k[b,j,h,d])
  let p[b,h,t,j]   = softmax[j](s where j <= t and (near or far))
  out o[b,t,h,d]   = sum(j: p * m * v[b,j,h,d])
}
";

const LENGTHS: [usize; 3] = [12, 4, 9];

/// The Jacobian of the projection is `diag(1_A) - 1_A 1_A' / |A|`: what one query gives to the scores adds up to 0, as the choice
/// does not change when all scores move together.
#[test]
fn scores_of_a_row_get_nothing_together() {
    let mut case = Case::new(LAYER, &[], &LENGTHS);
    case.seed = 2;
    let d = Driven::new(&case);
    for (backend, bound) in BACKENDS {
        let compiled = d.compiled(&d.tensors, Some(&["z"]), backend);
        let mut given = 0;
        for row in 0..12 {
            // A cotangent at one row of each sequence.
            let mut tensors = d.tensors.clone();
            for (n, x) in numbers(&mut tensors["cot.o"]).iter_mut().enumerate() {
                if n / 6 % 12 != row {
                    *x = 0.0;
                }
            }
            let z = compiled.run(&tensors)["grad.z"].to_f64();
            for (b, &length) in LENGTHS.iter().enumerate() {
                for h in 0..2 {
                    let of: Vec<f64> = (0..12).map(|j| z[(b * 12 + j) * 2 + h]).collect();
                    let (sum, size) = of.iter().fold((0.0, 0.0), |(s, a), x| (s + x, a + x.abs()));
                    // What one member gets is a difference of two numbers about 1.
                    assert!(f64::abs(sum) <= bound * size.max(1.0), "row {row} of {b}: {of:?} on {}", backend.name());
                    // Nobody who is not in the pool of the row; and nobody if all of the pool is kept.
                    let pool = if row < length { (row + 1).saturating_sub(2) } else { 0 };
                    assert!(of[pool..].iter().all(|&x| x == 0.0), "row {row} of {b}: {of:?}");
                    assert!(pool > 3 || size == 0.0, "row {row} of {b}: {of:?}");
                    given += usize::from(size > 1e-3);
                }
            }
        }
        assert!(given > 10, "only {given} rows give anything");
    }
}

/// If everything is kept there is no choice to learn: exactly 0, not nearly.
#[test]
fn scores_get_nothing_where_all_is_kept() {
    let d = Driven::new(&Case::new(LAYER, &[("K", 40)], &LENGTHS));
    for (backend, _) in BACKENDS {
        let gradients = d.gradients(&d.tensors, None, backend);
        assert!(gradients["grad.z"].to_f64().iter().all(|&x| x == 0.0), "{}", backend.name());
        assert!(gradients["grad.v"].to_f64().iter().any(|&x| x != 0.0));
    }
}

/// Keys are seen by the rows that select them, and no more of the others than a tile has: four times the length is about four times the
/// exponentials, forward and backward.
#[test]
fn work_grows_with_what_is_selected() {
    let tiles = Tiles { rows: 8, stream: 8, ..Tiles::default() };
    let exponentials = |length: usize| {
        let case = Case { gradients: true, tiles, ..Case::new(LAYER, &[], &[length]) };
        let graph = graph(&case).unwrap();
        let made = plan(&graph, DType::F64, tiles).unwrap();
        assert!(made.notes.iter().any(|n| n.contains("ends with the last row that selects")), "{:?}", made.notes);
        let counts = interpret(&made.plan, &case, &inputs(&graph, &case)).unwrap().counts;
        counts.values().map(|c| c.exps).sum::<u64>()
    };
    let (short, long) = (exponentials(96), exponentials(384));
    assert!(long < 6 * short, "{short} and {long} exponentials");
}
