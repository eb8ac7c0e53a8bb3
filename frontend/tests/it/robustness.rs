//! No input makes the front end panic, exhaust its stack, or take more than time proportional to its length.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::random;
use crate::support::{parsed, sources};

#[path = "../../../fuzz/src/parse.rs"]
mod entry;

/// Pieces of text that the parser treats in a special way.
const TOKENS: &[&str] = &[
    "let", "rec", "out", "return", "index", "if", "then", "else", "where", "and", "or", "not", "layer", "fn", "group",
    "use", "size", "const", "axis", "in", "param", "require", "x", "t", "sum", "time", "f32", "1", "2.5", "9e999", "(",
    ")", "[", "]", "{", "}", "|", ",", ":", "=", "==", "<=", "<", "->", "~", ".", "+", "-", "*", "/", "//", "%", "^",
    "#", "\n", "\n\n", " ", "λ", "\u{feff}", "\0", "²",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes(data in vec(any::<u8>(), 0..200)) {
        entry::check(&data);
    }

    #[test]
    fn arbitrary_text(text in "\\PC*") {
        entry::check(text.as_bytes());
    }

    #[test]
    fn arbitrary_tokens(tokens in vec(select(TOKENS), 0..60), glue in select(&["", " "][..])) {
        entry::check(tokens.join(glue).as_bytes());
    }

    #[test]
    fn random_trees(file in random::file()) {
        entry::check(weft::fmt::print(&file, "").as_bytes());
    }

    /// Tokens inserted into, and stretches cut out of, the examples.
    #[test]
    fn mutated_examples(which in 0..100usize, edits in vec((any::<prop::sample::Index>(), select(TOKENS), 0..30usize), 1..8)) {
        let sources = sources();
        let mut text = sources[which % sources.len()].1.clone();
        for (place, token, cut) in edits {
            let at = text.floor_char_boundary(place.index(text.len() + 1));
            let end = text.floor_char_boundary((at + cut).min(text.len())).max(at);
            text.replace_range(at..end, token);
        }
        entry::check(text.as_bytes());
    }
}

/// Repetitions that nest, chain or repeat errors: none may exhaust the stack of a test thread (2 MiB).
#[test]
fn repetitions_are_bounded() {
    let bodies: &[(&str, &str, &str)] = &[
        ("(", "x", ")"),
        ("-", "x", ""),
        ("not ", "x", ""),
        ("x ^ ", "x", ""),
        ("x + ", "x", ""),
        ("x - (", "x", ")"),
        ("x * ", "x", ""),
        ("x or ", "x", ""),
        ("x < ", "x", ""),
        ("if x then x else ", "x", ""),
        ("if ", "x", " then x else x"),
        ("f(", "x", ")"),
        ("f(x, ", "x", ")"),
        ("x[", "x", "]"),
        ("sum(j: ", "x", ")"),
        ("f[j](x where ", "x", ")"),
        ("f(", "", ""),
        ("x[", "", ""),
        ("{", "", ""),
        ("|", "", ""),
        ("fn f(", "", ""),
        ("layer l { ", "", ""),
        ("group g[x] { ", "", ""),
        ("use a.", "", ""),
        ("size size ", "", ""),
        ("x[x] = ", "", ""),
        ("a.b.", "c", ""),
    ];
    for (open, middle, close) in bodies {
        for count in [60, 100, 127, 128, 129, 255, 256, 257, 1000, 20_000] {
            for head in ["fn f(x) = ", "layer l { let a = ", "layer l { in x[t] ~ ", "fn f(x) -> y[d] { y[", ""] {
                let text = format!("{head}{}{middle}{}", open.repeat(count), close.repeat(count));
                entry::check(text.as_bytes());
            }
        }
    }
}

#[test]
fn depth_that_is_allowed_is_understood() {
    let sum = format!("fn f(x) = x{}", " + x".repeat(255));
    assert!(parsed(&sum).diagnostics.is_empty());
    let brackets = format!("fn f(x) = {}x{}", "(".repeat(120), ")".repeat(120));
    assert!(parsed(&brackets).diagnostics.is_empty());
}

/// A megabyte of each takes a fraction of a second; the bound only has to tell linear from quadratic on a busy machine.
#[test]
fn long_inputs_take_linear_time() {
    let std = &sources().into_iter().find(|(path, _)| path.ends_with("std.weft")).unwrap().1;
    let inputs = [
        std.repeat(400),
        format!("fn f(x) = g({})", "x, ".repeat(300_000) + "x"),
        format!("layer l {{ size {} }}", "A = 1, ".repeat(150_000) + "A = 1"),
        "x[t ".repeat(250_000),
        "fn f(x) = 1x ".repeat(80_000),
        "# comment\n".repeat(100_000),
        "size ".repeat(200_000),
        "λ".repeat(500_000),
        "1".repeat(1_000_000),
        "a".repeat(1_000_000),
    ];
    for (i, text) in inputs.iter().enumerate() {
        let start = Instant::now();
        entry::check(text.as_bytes());
        assert!(start.elapsed() < Duration::from_secs(20), "input {i} took {:?}", start.elapsed());
    }
}
