//! The gradients that the bench compares with are derivatives of what it calls attention.

use weft_bench::gradient::{Attention, Row};
use weft_bench::timing;

#[test]
fn gradients_are_slopes() {
    let (heads, head, length) = (2usize, 4usize, 9usize);
    let size = heads * head * length;
    let [q, k, v, g] = [1, 2, 3, 4].map(|seed| timing::noise(size, seed));
    let it = Attention { heads, head, q: &q, k: &k, v: &v, g: &g };
    assert_eq!(it.length(), length);
    let loss = |it: &Attention<'_>| -> f64 {
        let rows = (0..length).flat_map(|t| (0..heads).map(move |h| (h, t)));
        let products = rows.flat_map(|(h, t)| it.forward(h, t).o);
        products.zip(it.g).map(|(o, g)| o * f64::from(*g)).sum()
    };
    // Steps that f32 has exactly: what is divided by is what was added.
    let slope = |which: usize, at: usize| {
        let step = 1.0f32 / 256.0;
        let moved = |step: f32| {
            let mut x = [q.clone(), k.clone(), v.clone()];
            let before = x[which][at];
            x[which][at] += step;
            let moved = f64::from(x[which][at]) - f64::from(before);
            (loss(&Attention { q: &x[0], k: &x[1], v: &x[2], ..it }), moved)
        };
        let ((above, up), (below, down)) = (moved(step), moved(-step));
        (above - below) / (up - down)
    };
    for h in 0..heads {
        let rows: Vec<Row> = (0..length).map(|t| it.forward(h, t)).collect();
        for t in 0..length {
            let (dk, dv) = it.keys(h, t, &rows);
            for (which, gradient) in [it.queries(h, t), dk, dv].iter().enumerate() {
                for (d, gradient) in gradient.iter().enumerate() {
                    let slope = slope(which, (t * heads + h) * head + d);
                    assert!((gradient - slope).abs() < 1e-5, "{which} {h} {t} {d}: {gradient} and {slope}");
                }
            }
        }
    }
}
