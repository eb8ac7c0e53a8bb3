//! Clocks: what is causal, what leaks, and how the leak is told.

use super::{good, messages};
use crate::support::root;
use weft::sema::{Clock, RecurrenceClass, Settings};

fn example(name: &str) -> String {
    std::fs::read_to_string(root().join("examples").join(name)).unwrap()
}

/// Each example with one guard weakened looks into the future.
#[test]
fn weakened_guards_leak() {
    let mutants = [
        ("attamba.weft", "j <= t and (last[j] or j >= t - LEAD)", "last[j] or j >= t - LEAD"),
        ("attamba.weft", "j <= t and (last[j]", "j <= t + 1 and (last[j]"),
        ("sparsek.weft", "s where j <= t and (near or far)", "s where near or far"),
        ("sparsek.weft", "t - j >= WIN", "t - j >= -WIN"),
        ("transformer_vq.weft", "content + place where j <= t", "content + place"),
        ("attamba_sparsek.weft", "s where j <= t and (near", "s where (near"),
        ("attamba_sparsek.weft", "count(j: last[j] where j <= t)", "count(j: last[j])"),
        ("attamba_sparsek.weft", "last[j] and j < t - LEAD", "last[j] and j < t + LEAD"),
        ("gallery/nsa.weft", "c * LB + LB - 1 <= t", "c * LB + LB - 2 <= t"),
        ("gallery/nsa.weft", "j <= t and (j // LB == t // LB or", "(j // LB == t // LB or"),
        ("gallery/mamba2.weft", "where j < i <= t", "where j < i"),
        ("gallery/gqa_window.weft", "0 <= t - j < WIN", "0 <= t + 1 - j < WIN"),
    ];
    let mut told = String::new();
    for (file, guard, weaker) in mutants {
        let text = example(file);
        assert!(text.contains(guard), "{file}: {guard}");
        let found = messages(&text.replace(guard, weaker), &Settings::default());
        assert!(found.contains("[E0401]"), "{file}: {weaker}\n{found}");
        told += &format!("{file}: {weaker}\n{found}\n");
    }
    insta::assert_snapshot!(told);
}

#[test]
fn encoders_and_memories_have_no_order() {
    // without `time`, every position may look at every other
    good("layer l { axis b, t\n index j: t\n in x[b,t]\n out y[b,t] = sum(j: x[b,j]) }");
    // a memory is there from the beginning
    good("layer l { axis b, m, t: time\n in x[b,t], z[b,m]\n out y[b,t] = sum(m: softmax[m](x * z) * z) }");
}

#[test]
fn outputs_without_time_are_what_they_are_at_the_end() {
    let c = good("layer l { axis t: time\n in x[t]\n out total = sum(t: x)\n out y[t] = x }");
    let clock = |name: &str| c.clocks.iter().find(|i| i.name == name).unwrap().clock.clone();
    assert_eq!(clock("total"), Clock::End);
    assert_eq!(clock("y"), Clock::At(vec!["t".into()]));
}

#[test]
fn leaks_in_other_guises() {
    let layer = |e: &str| format!("layer l {{ axis t: time\n index i, j: t\n in x[t]\n {e} }}");
    let leaks = [
        "out y[t] = x * |t|",
        "out y[t] = x / mean(j: x[j]^2)",
        "out y[t] = if t + 1 < |t| then x[t + 1] else 0",
        "let a[t] = if t + 1 < |t| then x[t + 1] else 0\n rec s[t] = a + (if t == 0 then 0 else s[t - 1])\n out y[t] = s",
        "let best = argmax(j: x[j])\n out y[t] = if t == best then x else 0",
        "out y[t] = max(j: x[j] where x[j] > x)",
        // the guard itself looks ahead
        "let p[t] = x[|t| - 1] > 0\n out y[t] = if p then x else 0",
        // zero outside of the window, but the threshold has seen everything
        "let k[t] = kth[j](x[j], 2)\n out y[t] = sum(j: (if j <= t then 1 else 0) * x[j]) + k",
        "let w[t,j] = if j <= t then exp(x[j]) else 0\n out y[t] = sum(j: w * x[j]) / sum(j: w + 1)",
        // a sum is zero only where both of its terms are
        "let w[t,j] = (if j <= t then 1 else 0) + (if j <= t + 1 then 2 else 0)\n out y[t] = sum(j: w * x[j])",
    ];
    for e in leaks {
        let found = messages(&layer(e), &Settings::default());
        assert!(found.contains("[E0401]"), "{e}\n{found}");
    }
    let causal = [
        "out y[t] = x / mean(j: x[j]^2 where j <= t)",
        "out y[t] = sum(j: (if j <= t then x[j] else 0) * x[j])",
        "let w[t,j] = if j <= t then exp(x[j]) else 0\n out y[t] = div0(sum(j: w * x[j]), sum(j: w))",
        "let a[t] = if t >= 2 then x[t - 2] else 0\n out y[t] = if t + 1 < t + 2 then a else x",
        "let w[t,j] = (if j <= t then exp(x[j]) else 0) - (if j <= t and t - j < 3 then 1 else 0)\n out y[t] = sum(j: w * x[j])",
        // late enough to be shifted back
        "let a[t] = sum(j: x[j] where j < t - 3)\n out y[t] = if t >= 2 then a[t - 2] else 0",
        "out s[t,j] = x * x[j]",
        "out y[t] = sum(j: sum(i: x[i] where i <= j) where j <= t)",
    ];
    for e in causal {
        let found = messages(&layer(e), &Settings::default());
        assert!(!found.contains("Error"), "{e}\n{found}");
    }
}

#[test]
fn blocks_are_known_when_they_are_complete() {
    let c = good(
        "layer l { size B = 8\n axis t: time, c = (|t| + 1) // B\n index l: B\n in x[t], m[c]
         let k[c] = m + sum(l: (if c*B + l >= 1 then x[c*B + l - 1] else 0))
         out y[t] = sum(c: k where c*B + B - 2 <= t) }",
    );
    let k = c.clocks.iter().find(|i| i.name == "k").unwrap();
    assert_eq!(k.clock, Clock::At(vec!["8*c + 6".into()]));
}

#[test]
fn recurrence_classes() {
    use RecurrenceClass::{LinearDense, LinearDiagonal, LogSumExp, Sequential, Tropical};
    let cases = [
        ("x + 0.5 * s[t - 1, d]", LinearDiagonal),
        ("x + s[t - 1, d] / (1 + exp(x))", LinearDiagonal),
        ("if x > 0 then x else x - s[t - 1, d] * x", LinearDiagonal),
        ("x + sum(i: w[d,i] * s[t - 1, i])", LinearDense),
        ("x + (if d >= 1 then s[t - 1, d - 1] else 0)", LinearDense),
        ("max2(x, s[t - 1, d] - 0.1)", Tropical),
        ("log(exp(x) + exp(s[t - 1, d] - x))", LogSumExp),
        ("tanh(x + s[t - 1, d])", Sequential),
        ("x + s[t - 1, d] * s[t - 1, d]", Sequential),
        ("x + s[t - 1, d] * sum(i: s[t - 1, i])", Sequential),
        ("if s[t - 1, d] > 0 then x else 0", Sequential),
    ];
    for (body, class) in cases {
        let c = good(&format!(
            "layer l {{ size D = 4\n axis t: time\n index d, i: D\n in x[t,d]\n param w[d,i]
             rec s[t,d] = if t == 0 then 0 else {body}
             out y[t,d] = s * sum(i: w) }}"
        ));
        assert_eq!(c.recurrences.len(), 1, "{body}");
        assert_eq!(c.recurrences[0].class, class, "{body}");
    }
}

/// A recurrence in the body of another sees all steps of its own axis at once: of the other's, there is only the one before.
#[test]
fn recurrences_within_recurrences() {
    let layer = |step: &str| {
        format!(
            "fn faded[c](x[c]) {{ rec R[c] = x + (if c == 0 then 0 else 0.5 * R[c - 1])\n return R }}
layer l {{\n axis b, t: time, c = |t| // 3\n in x[b,t]\n
 rec S[b,t] = x + {step}\n out y[b,t] = S\n}}"
        )
    };
    let found = messages(&layer("faded[t](if t == 0 then 0 else S[b, t - 1])"), &Settings::default());
    assert!(
        found.contains("[E0402]") && found.contains("`S` reads itself at more than one position of `t`"),
        "{found}"
    );
    let other = layer("(if t == 0 then 0 else sum(c: faded[c](x[b,c] * S[b, t - 1]) where 3 * c + 2 <= t))");
    let found = messages(&other, &Settings::default());
    assert!(!found.contains("Error"), "{found}");
}
