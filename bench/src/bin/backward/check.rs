//! Whether programs agree with each other, and with the definition.

use crate::Failed;
use crate::report::Side;
use weft_bench::gradient::{Attention, Row};
use weft_cranelift::program::Data;

fn floats(side: &Side<'_>, name: &str) -> Result<Vec<f32>, Failed> {
    match side.run.read(name)? {
        Data::F32(x) => Ok(x),
        other => Err(format!("{name} of {}", other.elem()).into()),
    }
}

/// Refuses results that differ from the definition in some rows, or from those of the other plan anywhere.
pub(crate) fn compare(sides: &[Side<'_>; 5], it: &Attention<'_>) -> Result<(), Failed> {
    const TOLERANCE: f64 = 1e-5;
    let [alone, training, by_hand, by_hand_back, one_side] = sides;
    let last = it.length() - 1;
    let h = it.heads - 1;
    // Every row of one head: keys need all that see them.
    let rows: Vec<Row> = (0..=last).map(|t| it.forward(h, t)).collect();
    let mut some = vec![0, 1, 63, 64, last / 3, last];
    some.retain(|t| *t <= last);
    let (mut between, mut exact) = (0.0f64, 0.0f64);
    for (name, results) in [
        ("o", [(training, "o"), (alone, "o"), (by_hand, "o")].as_slice()),
        ("dq", &[(training, "grad.q"), (by_hand_back, "dq"), (one_side, "dq")]),
        ("dk", &[(training, "grad.k"), (by_hand_back, "dk"), (one_side, "dk")]),
        ("dv", &[(training, "grad.v"), (by_hand_back, "dv"), (one_side, "dv")]),
    ] {
        let results = results.iter().map(|(side, name)| floats(side, name)).collect::<Result<Vec<_>, _>>()?;
        let expected: Vec<(usize, Vec<f64>)> = match name {
            "o" => rows.iter().map(|r| r.o.clone()).enumerate().collect(),
            "dq" => some.iter().map(|&t| (t, it.queries(h, t))).collect(),
            "dk" => some.iter().map(|&j| (j, it.keys(h, j, &rows).0)).collect(),
            _ => some.iter().map(|&j| (j, it.keys(h, j, &rows).1)).collect(),
        };
        for result in &results {
            for (a, b) in result.iter().zip(&results[0]) {
                between = between.max(distance(f64::from(*a), f64::from(*b)));
            }
            for (t, row) in &expected {
                let place = (t * it.heads + h) * it.head;
                for (a, b) in result[place..].iter().zip(row) {
                    exact = exact.max(distance(f64::from(*a), *b));
                }
            }
        }
        if between.max(exact) > TOLERANCE {
            return Err(format!("{name}: plans differ by {between:.1e}, and from the definition by {exact:.1e}").into());
        }
    }
    println!("  results differ by {between:.1e} at most, and from the definition in float64 by {exact:.1e}");
    Ok(())
}

/// The difference, relative where numbers are above 1; a NaN is far from everything.
fn distance(a: f64, b: f64) -> f64 {
    let d = (a - b).abs() / b.abs().max(1.0);
    if d.is_nan() { f64::INFINITY } else { d }
}
