//! Every held-out layer, the gallery and the examples.

use super::super::examples::EXAMPLES;
use super::super::road::{Case, travel};
use super::differences::differences;
use crate::support::root;
use weft_passes::schedule::Tiles;

fn held_out() -> Vec<(String, Case)> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("tests/layers"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let only = std::env::var("WEFT_LAYER").ok();
    let all = names.into_iter().map(|n| {
        let text = std::fs::read_to_string(root().join("tests/layers").join(&n)).unwrap();
        (n, Case::new(&text, &[], &[]))
    });
    let gallery = EXAMPLES.iter().map(|e| (e.file.to_owned(), e.case(&[], &[])));
    all.chain(gallery).filter(|(n, _)| only.as_ref().is_none_or(|o| n.contains(o.as_str()))).collect()
}

/// Runs a check on every layer and lists all that fail.
/// Those `without` must fail, so that the list stays true.
fn each(lengths: &[(&[usize], Tiles)], without: &[(&str, &str)], check: impl Fn(&Case) -> Result<(), String>) {
    let mut failures = Vec::new();
    for (name, case) in held_out() {
        let before = failures.len();
        for (seed, &(lengths, tiles)) in (1..).zip(lengths) {
            let mut case = Case { seed, tiles, ..case.clone() };
            case.lengths.time = lengths.to_vec();
            if let Err(e) = check(&case) {
                failures.push(format!("{name} {lengths:?}: {e}"));
            }
        }
        if without.iter().any(|w| w.0 == name) {
            let failed = failures.len() > before;
            failures.truncate(before);
            if !failed {
                failures.push(format!("{name} is right, and still on the list of those that are not"));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn finite_differences() {
    each(&[(&[7, 1, 12], Tiles::default())], &[], |case| differences(case).map(|_| ()).map_err(|f| f.to_string()));
}

/// Layers whose gradients have no right kernels yet, and why.
const WITHOUT_KERNELS: &[(&str, &str)] = &[("forget.weft", "a sum for every pair of positions")];

#[test]
fn kernels() {
    let small = Tiles { rows: 4, stream: 3, block: 5, depth: 2, vector: 7 };
    let lengths: [(&[usize], Tiles); 3] =
        [(&[1], Tiles::default()), (&[7, 1, 19], small), (&[37, 5], Tiles::default())];
    each(&lengths, WITHOUT_KERNELS, |case| {
        travel(&Case { gradients: true, ..case.clone() }).map(|_| ()).map_err(|f| f.to_string())
    });
}
