//! Matrix products in float64, blocked for registers and the first-level cache. The order of additions depends on the
//! sizes only, so results do not depend on how work is divided.

/// Rows and columns of the block that is held in registers.
const MR: usize = 4;
const NR: usize = 4;
/// Depth of a panel: `KC * NR` and `KC * MR` floats stay in the first-level cache.
const KC: usize = 256;

/// `c[i, j] += sum over l of a[i, l] * b[l, j]`, all dense: `a` is m by k, `b` k by n, `c` m by n.
pub(super) fn matmul((m, n, k): (usize, usize, usize), a: &[f64], b: &[f64], c: &mut [f64]) {
    if m == 1 {
        for (l, &x) in a.iter().enumerate().take(k) {
            for (c, y) in c.iter_mut().zip(&b[l * n..(l + 1) * n]) {
                *c += x * y;
            }
        }
        return;
    }
    let panels = n.div_ceil(NR);
    let mut b_pack = vec![0.0; panels * KC.min(k) * NR];
    let mut a_pack = [0.0; KC * MR];
    for l0 in (0..k).step_by(KC) {
        let depth = KC.min(k - l0);
        for (p, panel) in b_pack.chunks_exact_mut(depth * NR).take(panels).enumerate() {
            let (j0, width) = (p * NR, NR.min(n - p * NR));
            for (l, row) in panel.chunks_exact_mut(NR).enumerate() {
                row[..width].copy_from_slice(&b[(l0 + l) * n + j0..(l0 + l) * n + j0 + width]);
                row[width..].fill(0.0);
            }
        }
        for i0 in (0..m).step_by(MR) {
            let rows = MR.min(m - i0);
            let a_pack = &mut a_pack[..depth * MR];
            for (l, column) in a_pack.chunks_exact_mut(MR).enumerate() {
                for (r, x) in column.iter_mut().enumerate() {
                    *x = if r < rows { a[(i0 + r) * k + l0 + l] } else { 0.0 };
                }
            }
            for (p, panel) in b_pack.chunks_exact(depth * NR).take(panels).enumerate() {
                let block = kernel(a_pack, panel);
                let (j0, width) = (p * NR, NR.min(n - p * NR));
                for (r, row) in block.iter().enumerate().take(rows) {
                    let at = (i0 + r) * n + j0;
                    for (c, x) in c[at..at + width].iter_mut().zip(row) {
                        *c += x;
                    }
                }
            }
        }
    }
}

/// Product of a packed column panel of `a` and a packed row panel of `b`.
fn kernel(a: &[f64], b: &[f64]) -> [[f64; NR]; MR] {
    let mut acc = [[0.0; NR]; MR];
    let (a, b) = (a.as_chunks::<MR>().0, b.as_chunks::<NR>().0);
    for (x, y) in a.iter().zip(b) {
        for r in 0..MR {
            for s in 0..NR {
                acc[r][s] += x[r] * y[s];
            }
        }
    }
    acc
}

/// `sum of x * y`.
pub(super) fn dot(x: &[f64], y: &[f64]) -> f64 {
    let (xs, x_rest) = x.as_chunks::<8>();
    let (ys, y_rest) = y.as_chunks::<8>();
    let mut acc = [0.0; 8];
    for (x, y) in xs.iter().zip(ys) {
        for i in 0..8 {
            acc[i] += x[i] * y[i];
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    acc.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_three_loops() {
        for (m, n, k) in [(1, 1, 1), (1, 5, 3), (4, 4, 4), (5, 7, 300), (9, 1, 513), (3, 6, 0)] {
            let a: Vec<f64> = (0..m * k).map(|i| (i * 7 % 11) as f64 - 5.0).collect();
            let b: Vec<f64> = (0..n * k).map(|i| (i * 5 % 13) as f64 - 6.0).collect();
            let mut c = vec![1.0; m * n];
            matmul((m, n, k), &a, &b, &mut c);
            for i in 0..m {
                for j in 0..n {
                    let sum: f64 = (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
                    assert_eq!(c[i * n + j], 1.0 + sum, "{m} {n} {k} at {i} {j}");
                }
            }
        }
    }
}
