//! Random layers that are causal by construction, and the same with one read that looks ahead. The front end must accept the
//! first; what it accepts of the second must not depend on the future in the evaluator.

use super::run::noise;
use super::{check, messages};
use crate::templates::random::Random;
use weft::sema::Settings;
use weft_ir::eval::{Bindings, Evaluator, Tensor};
use weft_ir::graph::Graph;

/// Guards over t and j under which j is never later than t.
const PAST: &[&str] = &[
    "j <= t",
    "0 <= t - j < 3",
    "j <= t and (last[j] or j >= t - 2)",
    "j // 3 < t // 3",
    "j // 3 == t // 3 and j <= t",
    "last[j] and j < t - 1",
    "t - j >= 2",
    "j <= t and seg[j] == seg[t]",
    "j <= t and (t - j) % 2 == 0",
    "j + 1 <= t and not (j < t - 4)",
    "not (t < j)",
];
/// Guards that let later positions through.
const AHEAD: &[&str] = &["j <= t + 1", "j // 3 <= t // 3", "last[j] or j <= t", "t - j < 3", "j != t"];

/// Shapes of one statement; `A` is the new value, `U`, `V` and `W` are earlier ones, `G` a guard. All values are over t and d.
const CAUSAL: &[&str] = &[
    "let A[t,d] = U * V + W",
    "let A[t,d] = sum(d2: mix[d,d2] * U[t,d2]) + V",
    "let A[t,d] = sum(tap: conv * U[t - tap, d] where tap <= t)",
    "let A[t,d] = U + (if t >= 2 then V[t - 2, d] else 0)",
    "rec A[t,d] = U + (if t == 0 then 0 else 0.5 * A[t - 1, d])",
    "rec A[t,d] = U + (if t == 0 or last[t - 1] then 0 else sigmoid(V) * A[t - 1, d])",
    "let A[t,d] = sum(j: U[j,d] where G) / (t + 1)",
    "let pA[t,j] = softmax[j](sum(d: U * V[j,d]) where G)\n let A[t,d] = sum(j: pA * W[j,d])",
    "let kA[t,j] = in_top_k[j](sum(d: U[j,d]) where G, 2)\n let A[t,d] = sum(j: V[j,d] where G and kA)",
    "let kA[t,j] = if G then sparsek[j](sum(d: U[j,d]) where G, 2) else 0\n let A[t,d] = sum(j: kA * V[j,d])",
    "let cA[t] = argmax(j: sum(d: U[j,d]) where j <= t)\n let A[t,d] = V[cA,d]",
    "let bA[c,d] = sum(l: U[3*c + l, d])\n let A[t,d] = V + sum(c: bA where 3*c + 2 <= t)",
    "let A[t,d] = timestep_norm[t](U, 2, 1e-5)",
    "let A[t,d] = rope_halves[d](U, t, 100) + rms[d](V, 1e-5)",
    "let wA[t,j] = if G then exp(-0.1 * (t - j)) else 0\n let A[t,d] = div0(sum(j: wA * U[j,d]), sum(j: wA))",
    "let eA[t,j] = if 0 <= t - j < 3 then tap0[t - j] else 0\n let A[t,d] = sum(j: eA * U[j,d] where G)",
];
/// Statements that read later positions.
const LEAKS: &[&str] = &[
    "let A[t,d] = U + (if t + 1 < |t| then V[t + 1, d] else 0)",
    "let A[t,d] = U / (1 + mean(j: V[j,d]^2))",
    "let A[t,d] = sum(j: U[j,d] where X)",
    "let pA[t,j] = softmax[j](sum(d: U * V[j,d]) where X)\n let A[t,d] = sum(j: pA * W[j,d])",
    "let kA[t,j] = in_top_k[j](sum(d: U[j,d]) where X, 2)\n let A[t,d] = sum(j: V[j,d] where X and kA)",
    "let cA[t] = argmax(j: sum(d: U[j,d]) where X)\n let A[t,d] = V[cA,d]",
    "let bA[c,d] = sum(l: U[3*c + l, d])\n let A[t,d] = V + sum(c: bA where 3*c <= t)",
];

struct Layer {
    text: String,
    statements: usize,
}

/// A layer of `statements` statements, of which the one at `leak` looks ahead.
fn layer(r: &mut Random, statements: usize, leak: Option<usize>) -> Layer {
    let mut values = vec!["x".to_owned()];
    let mut body = String::new();
    for n in 0..statements {
        let new = format!("v{n}");
        let shape = if leak == Some(n) { r.pick(LEAKS) } else { r.pick(CAUSAL) };
        // Recent values, so that layers are deep; the newest always, so that everything is used.
        let mut recent = || values[values.len() - 1 - r.below(values.len().min(4))].clone();
        let (v, w) = (recent(), recent());
        let (past, ahead) = (r.pick(PAST), r.pick(AHEAD));
        let newest = &values[values.len() - 1];
        let word = |name: &str| match name {
            "U" => Some(newest.clone()),
            "V" => Some(v.clone()),
            "W" => Some(w.clone()),
            "G" => Some(format!("({past})")),
            "X" => Some(format!("({ahead})")),
            _ => name.strip_suffix('A').map(|head| format!("{head}{new}")),
        };
        body += &format!(" {}\n", substitute(shape, word));
        values.push(new);
    }
    let last = &values[values.len() - 1];
    let text = format!(
        "layer l {{ size D = 2\n axis t: time, c = |t| // 3\n index j: t, d, d2: D, tap: 3, l: 3\n in x[t,d]\n param mix[d,d2], conv[tap], tap0[tap]
 let last[t] = t == 0 or t % 3 == 2\n let seg[t] = count(j: last[j] where j <= t)\n{body} out y[t,d] = {last}
 out used = sum(tap: conv * tap0) + sum(d, d2: mix) + sum(t: seg[t]) + sum(c: 3 * c)\n}}"
    );
    Layer { text, statements }
}

/// Replaces words of a text.
fn substitute(text: &str, word: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let name = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if name > 0 {
            let (head, tail) = rest.split_at(name);
            out += &word(head).unwrap_or_else(|| head.to_owned());
            rest = tail;
        } else {
            let mut chars = rest.chars();
            out.extend(chars.next());
            rest = chars.as_str();
        }
    }
    out
}

const LENGTHS: [usize; 3] = [2, 5, 8];

/// Output y for the first `n` positions of one sequence; those behind `shared` differ from what a longer run would see.
fn y(graph: &Graph, n: usize, seed: u64, other_after: Option<usize>) -> Vec<f64> {
    let mut x = noise(&[16, 2], seed).to_f64()[..2 * n].to_vec();
    if let Some(after) = other_after {
        let other = noise(&[16, 2], seed ^ 0xbeef).to_f64();
        x[2 * after..].copy_from_slice(&other[2 * after..2 * n]);
    }
    let bindings = Bindings::new()
        .tensor("x", Tensor::floats(&[n, 2], x))
        .tensor("mix", noise(&[2, 2], 3))
        .tensor("conv", noise(&[3], 4))
        .tensor("tap0", noise(&[3], 5));
    let outputs = Evaluator::new(graph, &bindings).unwrap().outputs().unwrap();
    outputs.into_iter().find(|o| &*o.0 == "y").unwrap().1.to_f64()
}

/// Does an output depend on a later input, or on how many there are?
fn looks_ahead(graph: &Graph, seed: u64) -> bool {
    let longest = LENGTHS[LENGTHS.len() - 1];
    let whole = y(graph, longest, seed, None);
    let differs = |a: &[f64], b: &[f64]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-9 * (1.0 + a.abs()));
    LENGTHS.iter().any(|&n| {
        differs(&y(graph, n, seed, None), &whole) || differs(&y(graph, longest, seed, Some(n))[..2 * n], &whole)
    })
}

fn count() -> u64 {
    60 * crate::templates::effort() as u64
}

fn first_seed() -> u64 {
    std::env::var("WEFT_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0)
}

#[test]
fn what_is_causal_is_accepted() {
    for seed in first_seed()..first_seed() + count() {
        let mut r = Random(seed);
        let statements = 1 + r.below(9);
        let l = layer(&mut r, statements, None);
        let checked = check(&l.text).unwrap_or_else(|_| {
            panic!("seed {seed}\n{}\n{}", l.text, messages(&l.text, &Settings::default()));
        });
        assert!(
            !looks_ahead(&checked.graph, seed),
            "the generator is wrong, or the evaluator is: seed {seed}\n{}",
            l.text
        );
    }
}

#[test]
fn what_looks_ahead_is_refused() {
    let mut refused = 0;
    for seed in first_seed()..first_seed() + count() {
        let mut r = Random(seed ^ 0xa11);
        let statements = 1 + r.below(6);
        let at = r.below(statements);
        let l = layer(&mut r, statements, Some(at));
        match check(&l.text) {
            // Some leaks are hidden by what stands around them.
            Ok(checked) => {
                assert!(
                    !looks_ahead(&checked.graph, seed),
                    "a leak was accepted: seed {seed}, {}\n{}",
                    l.statements,
                    l.text
                );
            }
            Err(_) => {
                let told = messages(&l.text, &Settings::default());
                assert!(told.contains("[E0401]"), "seed {seed}\n{}\n{told}", l.text);
                let chain = told.lines().find(|line| line.contains("the chain of reads: y <- "));
                assert!(chain.is_some(), "seed {seed}\n{}\n{told}", l.text);
                refused += 1;
            }
        }
    }
    assert!(refused * 10 >= count() * 9, "only {refused} of {} are refused", count());
}
