//! Subscripts: what is proven, and what is said of what is not.

use super::messages;
use weft::sema::Settings;

fn layer(e: &str) -> String {
    format!(
        "layer l {{ size D = 8, M = 4, B = 4\n require D == 2 * M\n axis b, t: time, c = |t| // B\n index j: t, d: D, m: M, l: B
         in x[b,t,d], id[b,t]: i32\n param r[m,d], w[c]\n {e}\n}}"
    )
}

#[test]
fn proven() {
    let good = [
        "out y[b,t,d] = if t >= 1 then x[b, t - 1, d] else 0",
        "out y[b,t,d] = if t == 0 then 0 else x[b, t - 1, d]",
        "out y[b,t] = sum(m: x[b,t,2*m] * x[b, t, 2*m + 1])",
        "out y[b,t] = sum(m: x[b,t,m] * x[b, t, m + M] * x[b, t, D - 1 - m])",
        "out y[b,t,d] = x[b,t,d // 2 * 2] + r[d // 2, d] + r[d % M, d]",
        "out y[b,t,d] = sum(j: r[t - j, d] where 0 <= t - j < M)",
        "out y[b,t,d] = sum(j: (if t - j < M then r[t - j, d] else 0) where j <= t)",
        "out y[b,t,d] = sum(m: x[b, t - m, d] where m <= t and x[b, t - m, 0] > 0)",
        "out y[b,t,d] = if t < M or x[b, t - M, d] > 0 then 1 else 2",
        "out y[b,t,d] = x[b, t // B * B, d]",
        "out y[b,c] = sum(l: x[b, c*B + l, 0])",
        "out y[c] = if c >= 1 then w[c - 1] else 0",
        "out y[b] = sum(t: if t // B < |c| then w[t//B] else 0)",
        "let last = argmax(d: r[0,d])\n out y[b,t] = x[b,t,last]",
        "out y[b,t] = if 0 <= id[b,t] < D then x[b,t,id] else 0",
        "let seen[b,t] = count(j: id[b,j] == 0 where j < t)\n out y[b,t] = if seen < M then r[seen,0] else 0",
        "let start[t] = t // B * B\n out y[b,t,d] = sum(j: x[b,j,d] where start <= j <= t)",
    ];
    for e in good {
        let found = messages(&layer(e), &Settings::default());
        assert!(!found.contains("Error"), "{e}\n{found}");
    }
}

#[test]
fn not_proven() {
    let bad = [
        "out y[b,t,d] = x[b, t - 1, d]",
        "out y[b,t,d] = if t >= 2 then x[b, t - 3, d] else 0",
        "out y[b,t,d] = if t >= 1 then 0 else x[b, t - 1, d]",
        "out y[b,t,d] = sum(j: r[t - j, d] where 0 <= t - j <= M)",
        "out y[b,t,d] = sum(m: x[b, t - m, d] where x[b, t - m, 0] > 0 and m <= t)",
        "out y[b,t] = sum(m: x[b,t,2*m + 2])",
        "out y[b,t,d] = r[d,d]",
        "out y[b,t,d] = x[b,t,D]",
        "out y[b,t,d] = x[b, t + 1, d]",
        "out y[b,t] = x[b,t,id]",
        "out y[b,t] = if t // B >= 1 then w[t//B] else 0",
        "out y[b,t] = if x[b,t,0] > 0 then x[b, t - 1, 0] else 0",
        "let k = arg_top_k[d](r[0,d], 3)\n out y[b,t] = x[b,t,k]",
        "out y[b,t,d] = sum(t: x[b, t - 1, d])",
    ];
    let mut told = String::new();
    for e in bad {
        let found = messages(&layer(e), &Settings::default());
        assert!(found.contains("[E0202]"), "{e}\n{found}");
        told += &format!("{found}\n");
    }
    insta::assert_snapshot!(told);
}
