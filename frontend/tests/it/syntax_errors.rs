//! What messages look like: each case with its source and its picture.

use std::fmt::Write;

use weft::diagnostics::{Code, Color, render, to_json};
use weft::syntax::parse;

use crate::support::{errors, picture, source};

/// Compares sources and pictures with a file under `snapshots/`.
fn check<'a>(name: &str, cases: impl IntoIterator<Item = &'a str>) {
    let pictures = cases.into_iter().fold(String::new(), |mut out, text| {
        let _ = writeln!(out, "{}\n\n{}\n{}", text.trim_end(), picture(text), "=".repeat(80));
        out
    });
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, pictures) });
}

/// The `wrong` snippet of every syntax error, except the one that is sixty-four of another.
#[test]
fn every_syntax_error() {
    let cases = Code::all().filter(|code| code.as_str().starts_with("E00") && !code.wrong().is_command());
    check("every_syntax_error", cases.filter(|code| code.as_str() != "E0025").map(|code| code.wrong().text()));
}

#[test]
fn tokens() {
    check(
        "tokens",
        [
            "fn f(x) = 1e400 + 99999999999999999999 + 1e-400",
            "fn f(x) = 0x10 + 1.5.2 + 1_000 + 1e + 3abc",
            "fn f(x) = λ * α2",
            "fn f(x) = x @ y ? 1 : \"a\"",
            "fn f(x) = !x && y ≥ z²",
            "fn f(x) = x\u{0}\u{1b} + 1",
        ],
    );
}

#[test]
fn items() {
    check(
        "items",
        [
            "// comment\nlayer l {}",
            "def f(x) = x",
            "import torch",
            "layer",
            "layer l\nin x",
            "fn f(x { return x }",
            "fn f(x) -> y = 3",
            "fn f(x) x",
            "fn f(x) = x )",
            "}",
            "use a.b.{c, d\nfn f(x) = x",
            "use a.3",
            "group g { a[e] }",
            "group g[e] { a[e] = 3 }",
            "layer l {\n  axis t: time\n  out y = 1\nfn f(x) = x",
            "fn f(layer) = layer",
            "fn f(x) = a b",
        ],
    );
}

#[test]
fn statements() {
    check(
        "statements",
        [
            "layer l {\n  // comment\n  let a = 1\n}",
            "layer l {\n  x = 3\n  x[t] = 3\n  y[2*i] = 4\n  return 3\n}",
            "fn f(x) {\n  out y = x\n  param w[e]\n}",
            "layer l {\n  let y = 2 x\n  let e = x[t - 1] y[t]\n  let = 3\n  let let = 3\n}",
            "layer l {\n  size N: 4\n  index i j: t\n  in x[b t]\n  in x[t], y[t],\n  param w[b] = normal(0, 1)\n}",
            "layer l {\n  rec S = 3\n  let r: float3 = 1\n  axis t: space\n}",
            "layer l {\n  let a =\n  let b[t\n  let c[] = 1\n  size\n}",
            "layer l {\n  3\n  ) let a = 1\n}",
        ],
    );
}

#[test]
fn expressions() {
    check(
        "expressions",
        [
            "fn f(x) = x ** 2",
            "fn f(x) = x || y",
            "fn f(x) = a < = b",
            "fn f(x) = not a + not b",
            "fn f(x) = a == if b then c else d",
            "fn f(x) = if a then b\nfn g(x) = if a else b",
            "fn f(x) = sum(j x where j <= t)",
            "fn f(x) = sum(j: x, y)",
            "fn f(x) = prod(j: x)",
            "fn f(x) = f[](x) + g[j + 1](x)",
            "fn f(x) = k.f(x)",
            "fn f(x) = |x + 3|",
            "fn f(x) = (x where p)",
            "fn f(x) = f(x where p where q)",
            "fn f(x) = x[t",
            "fn f(x) = f(a, (b + c",
            "fn f(x) = k. + 1",
            "fn f(x) = x = y",
            "fn f(x) = x +",
        ],
    );
}

/// Sixty-four are enough, and the last says that there are more.
#[test]
fn errors_are_limited() {
    let text = "fn f(x) = \n".repeat(1000);
    let found = errors(&text);
    assert_eq!(found.len(), weft::syntax::MAX_ERRORS + 1);
    assert_eq!(found.last().unwrap().code.as_str(), "E0025");
    let (map, _) = source(&text);
    insta::assert_snapshot!("too_many_errors", render(&found[found.len() - 1..], &map, Color::Never));
}

/// A line that no screen can show is named, not drawn.
#[test]
fn long_lines_are_not_drawn() {
    let text = format!("fn f(x) = x{} + )", " + x".repeat(200));
    insta::assert_snapshot!(picture(&text), @r"
    [E0011] Error: expected an expression, found `)`
      test.weft:1:815: a value must stand here
    ");
}

#[test]
fn json() {
    let text = "fn f(x) = (é\n  + x\n";
    let (map, id) = source(text);
    let all: Vec<_> = parse(id, text).diagnostics.iter().map(|d| to_json(d, &map)).collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&all).unwrap());
}

#[test]
fn colours_are_optional() {
    let (map, id) = source("fn f(x) = )");
    let found = parse(id, "fn f(x) = )").diagnostics;
    assert!(render(&found, &map, Color::Always).contains("\u{1b}["));
    assert!(!render(&found, &map, Color::Never).contains('\u{1b}'));
}
