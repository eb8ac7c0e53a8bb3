//! No source makes the front end panic; names mean nothing but what they are bound to.

use super::{check, messages};
use crate::support::sources;
use proptest::prelude::*;
use weft::sema::{Checked, Settings};

/// Words, numbers, operators and white space of a text, in order.
fn tokens(text: &str) -> Vec<String> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' || c == '.' => 0,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut all: Vec<String> = Vec::new();
    for c in text.chars() {
        match all.last_mut() {
            Some(last) if kind(c) != 2 && last.chars().next().is_some_and(|l| kind(l) == kind(c)) => last.push(c),
            _ => all.push(c.to_string()),
        }
    }
    all
}

fn without_comments(text: &str) -> String {
    text.lines().map(|l| l.split('#').next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Examples, and layers that use more of the language.
fn seeds() -> Vec<String> {
    let mut all: Vec<String> = sources()
        .into_iter()
        .filter(|(p, _)| p.to_string_lossy().contains("examples"))
        .map(|(_, t)| without_comments(&t))
        .collect();
    all.push(
        "fn f[d](x[d], w = 2) -> y[d] { index h: 2, k: 2\n y[3*h + k] = x[3*h + k] * w\n y[3*h + 2] = x[h] }
         layer l { size D = 6, N = 3\n const C = 0.5 / D\n require D == 2 * N\n axis b, t: time, c = (|t| + 1) // 4
         index j: t, d, i: D\n in x[b,t,d], id[t]: i32\n param w[d,i] ~ normal(0, C), q[c] ~ log(uniform(1, 2))
         let r[b,t,d] = f[d](x) + (if 0 <= id < D then w[id,d] else 0)
         rec s[b,t,d] = if t == 0 then r else C * s[b, t - 1, d] + sum(i: w * r[b,t,i])
         let p[b,t,j] = sparsek[j](s[b,j,0] where j < t, N)
         let best[b,t] = argmax(j: s[b,j,1] where j <= t)
         out y[b,t,d] = sum(j: p * s[b,j,d]) + s[b,best,d] * count(c: q > 0 where 4 * c + 3 <= t)
         out m = mean(b, t: x[b,t,0]) }"
            .to_owned(),
    );
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn mutated_layers_never_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8), 1..4),
    ) {
        let all = seeds();
        let mut tokens = tokens(&all[which.index(all.len())]);
        for (a, b, kind) in edits {
            let (a, b) = (a.index(tokens.len()), b.index(tokens.len()));
            match kind {
                0 => { tokens.remove(a); }
                1 => tokens.swap(a, b),
                2 => tokens[a] = tokens[b].clone(),
                _ => { let t = tokens[b].clone(); tokens.insert(a, t); }
            }
            if tokens.is_empty() { break; }
        }
        // Whatever it is, it is compiled, or refused with at least one message.
        if let Err(diags) = check(&tokens.concat()) {
            prop_assert!(diags.iter().any(weft::diagnostics::Diagnostic::is_error));
        }
    }
}

/// The structure of a graph without any name.
fn structure(c: &Checked) -> String {
    let g = &c.graph;
    let nodes: Vec<String> = g.ids().map(|n| format!("{:?} {:?} {:?}", g.op(n), g.args(n), g.dtype(n))).collect();
    let domains: Vec<String> = g.domains().iter().map(|d| format!("{:?} {:?}", d.extent, d.role)).collect();
    let outputs: Vec<String> = g.outputs.iter().map(|o| format!("{:?} {:?}", o.axes, o.node)).collect();
    format!("{}\n{}\n{}", domains.join("\n"), nodes.join("\n"), outputs.join("\n"))
}

#[test]
fn names_do_not_matter() {
    let fixed = [
        "layer",
        "size",
        "const",
        "require",
        "axis",
        "index",
        "in",
        "param",
        "let",
        "rec",
        "out",
        "fn",
        "group",
        "time",
        "if",
        "then",
        "else",
        "where",
        "and",
        "or",
        "not",
        "return",
        "sum",
        "mean",
        "max",
        "min",
        "count",
        "any",
        "all",
        "argmin",
        "argmax",
        "exp",
        "log",
        "sqrt",
        "sin",
        "cos",
        "tanh",
        "abs",
        "floor",
        "max2",
        "min2",
        "sign",
        "cast",
        "div0",
        "sigmoid",
        "relu",
        "kth",
        "in_top_k",
        "arg_top_k",
        "threshold",
        "stop_gradient",
        "straight_through",
        "normal",
        "uniform",
        "silu",
        "softplus",
        "rms",
        "rope_pairs",
        "rope_halves",
        "sinusoid",
        "timestep_norm",
        "ssd",
        "ssd_params",
        "softmax",
        "sparsek",
        "i32",
    ];
    for text in seeds() {
        let renamed: String = tokens(&text)
            .into_iter()
            .map(|w| {
                let is_name = w.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
                if is_name && !fixed.contains(&w.as_str()) && !w.contains('.') { format!("{w}_renamed") } else { w }
            })
            .collect();
        let (a, b) = (check(&text), check(&renamed));
        assert!(a.is_ok(), "{}", messages(&text, &Settings::default()));
        assert!(b.is_ok(), "{}", messages(&renamed, &Settings::default()));
        assert_eq!(structure(&a.unwrap()), structure(&b.unwrap()));
    }
}

#[test]
fn deep_and_wide_programs_are_refused_or_compiled() {
    // a chain of functions that doubles at every level
    let mut text = String::from("fn f0(x) = x + 1\n");
    for k in 1..60 {
        text += &format!("fn f{k}(x) = f{}(x) * f{}(2 * x)\n", k - 1, k - 1);
    }
    text += "layer l { axis t: time\n in x[t]\n out y[t] = f59(x) }";
    let diags = check(&text).unwrap_err();
    assert_eq!(diags[0].code.as_str(), "E0113");
    // a deep chain of calls
    let mut text = String::from("fn f0(x) = x + 1\n");
    for k in 1..200 {
        text += &format!("fn f{k}(x) = 1 + (2 + (3 + f{}(x)))\n", k - 1);
    }
    text += "layer l { axis t: time\n in x[t]\n out y[t] = f199(x) }";
    assert_eq!(check(&text).unwrap_err()[0].code.as_str(), "E0113");
    // many errors
    let lines: String = (0..500).map(|k| format!("let a{k}[t] = zz{k}\n")).collect();
    let diags = check(&format!("layer l {{ axis t: time\n in x[t]\n {lines} out y[t] = x }}")).unwrap_err();
    assert!(diags.len() <= 65);
}
