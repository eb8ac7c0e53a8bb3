//! W: programs that are probably not what was meant.

codes! {
    W0001 = "unused declaration" {
        "What is declared and never used is often a name that was meant elsewhere. Remove it, or start its name with `_`.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  let a[t] = 2 * x\n  out y[t] = x\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  let a[t] = 2 * x\n  out y[t] = a\n}",
    }
    W0002 = "recurrence that never reads itself" {
        "`rec` is for values that depend on their own value one step before. This one does not, and is an ordinary `let`.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  rec s[t] = 2 * x\n  out y[t] = s\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  let s[t] = 2 * x\n  out y[t] = s\n}",
    }
    W0003 = "recurrence that runs step by step" {
        "A recurrence that is linear in its value before (`u + c * S[t-1]`), or one over the max-plus or logsumexp monoid, runs in parallel over chunks of time. This one is none of these: it is allowed, and runs one step after the other.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  rec s[t] = if t == 0 then x else tanh(s[t - 1] + x)\n  out y[t] = s\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  rec s[t] = if t == 0 then x else 0.5 * s[t - 1] + x\n  out y[t] = s\n}",
    }
}
