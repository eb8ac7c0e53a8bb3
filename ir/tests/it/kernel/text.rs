//! The text form: errors with places, no text that panics, everything prints and parses back.

use proptest::prelude::*;
use weft_ir::kernel::interp::{Bindings, Options, RunErrorKind, Tensor, run};
use weft_ir::kernel::verify::{unproven_claims, verify};
use weft_ir::kernel::{Dim, ParamKind, Plan, parse};

use super::golden::root;

fn files() -> Vec<(String, String)> {
    let mut files: Vec<_> = std::fs::read_dir(root().join("tests/kernels"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "kir"))
        .map(|p| (p.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&p).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 6, "the hand-written plans are there");
    files
}

#[test]
fn hand_written_plans_print_and_parse_back() {
    for (name, text) in files() {
        let plan = parse(&text).unwrap_or_else(|e| panic!("{name}.kir:{e}"));
        let printed = plan.to_string();
        assert_eq!(parse(&printed).as_ref(), Ok(&plan), "{name}");
        assert_eq!(parse(&printed).unwrap().to_string(), printed, "{name}");
        assert_eq!(verify(&plan), Ok(()), "{name}");
        assert_eq!(unproven_claims(&plan), [], "{name}");
        if name == "causal" {
            insta::assert_snapshot!("causal_printed", printed);
        }
    }
}

/// The example in the documentation of the kernel IR is a plan that verifies.
#[test]
fn the_example_in_the_documentation_is_right() {
    let source = std::fs::read_to_string(root().join("ir/src/kernel/mod.rs")).unwrap();
    let block = source.split("```text").nth(1).and_then(|s| s.split("```").next()).unwrap();
    let text: String = block.lines().map(|l| l.trim_start_matches("//!").to_owned() + "\n").collect();
    let plan = parse(&text).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(verify(&plan), Ok(()));
    let trimmed = |s: &str| s.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect::<Vec<_>>();
    assert_eq!(trimmed(&plan.to_string()), trimmed(&text), "is written as it is printed");
}

#[test]
fn claims_that_do_not_follow_are_named() {
    let (_, text) = files().into_iter().find(|(name, _)| name == "causal").unwrap();
    let plan = parse(&text.replace("full [0, t0 + 1)", "full [0, t0 + BQ)")).unwrap();
    assert_eq!(verify(&plan), Ok(()));
    let claims: Vec<_> = unproven_claims(&plan).iter().map(|c| c.message.clone()).collect();
    assert_eq!(claims, ["[p <= t0 + i] is not shown inside the `full` range"]);
}

#[test]
fn errors_have_places() {
    let cases = [
        ("", "1:1: expected `plan`, found the end"),
        ("plan p {\n  size D = x\n}", "2:12: expected an integer, found `x`"),
        ("plan p { size D = 99999999999999999999 }", "1:19: the number is too large"),
        ("plan p { size loop = 1 }", "1:15: `loop` is a reserved word, not a parameter's name"),
        ("plan p { size D = 1, D = 2 }", "1:22: `D` is declared twice"),
        ("plan p { kernel k {\n    %a = frob %b } }", "2:10: `frob` is not an op"),
        ("plan p { kernel k {\n    %a = neg %b } }", "2:14: `%b` is not defined before its use"),
        ("plan p { kernel k { %a = fill 1.0 as f64 %a = fill 1.0 as f64 } }", "1:42: `%a` is defined twice"),
        ("plan p { kernel k { %a: f32 = fill 1.0 as f64 } }", "1:21: `%a` has another type than written: f64"),
        ("plan p { kernel k { %a = fill 1.0 as f64 %b, %c = neg %a } }", "1:42: the statement has 1 results, not 2"),
        ("plan p { kernel k { %a = fill 1.0 as i32 } }", "1:26: `fill`: the constant does not fit the type"),
        (
            "plan p { kernel k { %a = fill 1.0 as f64 where [1 < 2] } }",
            "1:26: `fill`: does not take the attribute `where`",
        ),
        ("plan p { kernel k { %a = fill 1.0 } }", "1:26: `fill`: needs the attribute `as`"),
        ("plan p { kernel k { %a = fill 1.0 as f64 as f64 } }", "1:42: `as` is given twice"),
        ("plan p { kernel k { %a = load q[0] } }", "1:31: `q` is not a buffer or scratch table"),
        ("plan p { kernel k { let a = b } }", "1:29: `b` is not declared"),
        ("plan p { kernel k { ! } }", "1:21: unexpected character '!'"),
        ("plan p { } x", "1:12: expected the end, found `x`"),
    ];
    for (text, message) in cases {
        assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn deep_texts_are_refused_not_fatal() {
    for deep in [
        "(".repeat(100_000),
        "min(".repeat(50_000),
        "T[".repeat(50_000),
        "1 + ".repeat(100_000),
        "ceil(".repeat(50_000),
    ] {
        assert!(parse(&format!("plan p {{ extent B, T[B] buffer x: f64[b: {deep}")).is_err());
    }
    assert!(parse(&format!("plan p {{ kernel k {{ {}", "if [1 < 2] { ".repeat(50_000))).is_err());
}

/// Whatever the text, parsing, verifying and (a little) running end with a value or an error.
fn survives(text: &str) {
    let Ok(plan) = parse(text) else { return };
    assert_eq!(parse(&plan.to_string()).as_ref(), Ok(&plan), "prints and parses back:\n{plan}");
    let _ = verify(&plan);
    let mut bindings = Bindings::default().extent("B", vec![1]).extent("T", vec![2]);
    for buffer in &plan.buffers {
        if buffer.role.is_given() {
            let shape: Vec<usize> = buffer
                .dims
                .iter()
                .map(|d| usize::try_from(plan.static_value(&d.extent).unwrap_or(2)).unwrap_or(0))
                .collect();
            let size = shape.iter().take(6).fold(1usize, |n, d| n.saturating_mul(*d)).min(10_000);
            bindings = bindings.buffer(&buffer.name, Tensor { shape, data: vec![0.5; size] });
        }
    }
    let _ = run(&plan, &bindings, Options { fuel: 20, max_elements: 2_000, ..Options::default() });
}

/// The text with some signs, numbers and names of bounds exchanged.
fn damaged(text: &str, edits: &[(prop::sample::Index, usize)]) -> Option<String> {
    const SWAPS: [&[&str]; 6] = [
        &["<", "<=", ">", ">="],
        &["+", "-"],
        &["t0", "t1", "b0", "b1", "w0", "0", "1", "n"],
        &["p", "t", "x", "e", "c"],
        &["some", "every", "first", "count", "pool", "splits"],
        &["BQ", "BJ", "SPLIT", "L", "M", "WIN", "LEAD", "D"],
    ];
    let mut tokens: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for (at, pick) in edits {
        let bare = |t: &str| t.trim_matches(['[', ']', '(', ')', ',', '\n']).to_owned();
        let candidates: Vec<(usize, &[&str])> = tokens
            .iter()
            .enumerate()
            .filter_map(|(i, t)| {
                let bare = bare(t);
                SWAPS.iter().find(|s| s.contains(&bare.as_str())).map(|s| (i, *s))
            })
            .collect();
        let (i, swaps) = *candidates.get(at.index(candidates.len().max(1)))?;
        let old = bare(&tokens[i]);
        tokens[i] = tokens[i].replacen(&old, swaps[pick % swaps.len()], 1);
    }
    Some(tokens.join(" "))
}

/// Inputs of zeros for a batch of two.
fn zeros(plan: &Plan, lengths: &[i64; 2]) -> Bindings {
    let ragged = plan.extents.iter().any(|e| e.name == "T" && e.over.is_some());
    let times = if ragged { lengths.to_vec() } else { vec![lengths[0].max(lengths[1])] };
    let mut bindings = Bindings::default().extent("B", vec![2]).extent("T", times);
    for buffer in plan.buffers.iter().filter(|b| b.role.is_given()) {
        let extent = |d: &Dim| match d.name.as_str() {
            "b" => 2,
            "t" => lengths.iter().max().copied().unwrap_or(0),
            _ => plan.static_value(&d.extent).unwrap_or(0),
        };
        let shape: Vec<usize> = buffer.dims.iter().map(|d| usize::try_from(extent(d)).unwrap_or(0)).collect();
        let size = shape.iter().product();
        bindings = bindings.buffer(&buffer.name, Tensor { shape, data: vec![0.0; size] });
    }
    bindings
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Texts near to plans: tokens of a real one dropped, doubled, swapped or replaced.
    #[test]
    fn no_mutation_panics(file in 0usize..6, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..5), 1..6)) {
        let (_, text) = files().swap_remove(file);
        let mut tokens: Vec<String> = text.lines().filter(|l| !l.trim_start().starts_with('#')).flat_map(|l| {
            let spaced = l.replace('[', " [ ").replace(']', " ] ").replace('(', " ( ").replace(')', " ) ").replace(',', " , ");
            spaced.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        }).collect();
        for (a, b, kind) in edits {
            let (a, b) = (a.index(tokens.len()), b.index(tokens.len()));
            match kind {
                0 => { tokens.remove(a); }
                1 => { let t = tokens[a].clone(); tokens.insert(b, t); }
                2 => tokens.swap(a, b),
                3 => tokens[a] = tokens[b].clone(),
                _ => tokens[a] = ["-1", "0", "9223372036854775807", "inf", "%x", "D"][b % 6].to_owned(),
            }
        }
        survives(&tokens.join(" "));
    }

    /// What the verifier accepts runs without touching foreign memory, racing, or being malformed: plans in which a bound, a
    /// sign or a number has been changed are either refused or harmless.
    #[test]
    fn accepted_plans_are_safe(file in 0usize..6, edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..8), 1..3), tile in 1i64..6) {
        let (name, text) = files().swap_remove(file);
        let Some(plan) = damaged(&text, &edits).and_then(|text| parse(&text).ok()) else { return Ok(()) };
        let mut plan = plan;
        for (param, value) in plan.params.iter().map(|p| (p.name.clone(), p.kind)).collect::<Vec<_>>() {
            if value == ParamKind::Tile {
                plan.set_param(&param, tile);
            }
        }
        if verify(&plan).is_err() {
            return Ok(());
        }
        for lengths in [[5, 3], [1, 0], [11, 7]] {
            if let Err(e) = run(&plan, &zeros(&plan, &lengths), Options { fuel: 50_000, ..Options::default() }) {
                use RunErrorKind as K;
                let harmless = [K::Overlap, K::FullClaim, K::Unwritten, K::Undefined, K::Range, K::Limit, K::Order];
                prop_assert!(harmless.contains(&e.kind), "{name} at {lengths:?}, tile {tile}: {e}\n{plan}");
            }
        }
    }

    /// Any characters at all.
    #[test]
    fn no_text_panics(text in "(plan p \\{ )?[ -~\\n%\u{e9}]{0,200}") {
        survives(&text);
    }
}
