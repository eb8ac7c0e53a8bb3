//! E04xx: causality and recurrences.

codes! {
    E0401 = "output that looks into the future" {
        "The layer runs token by token when it generates, so what an output gives at time t must follow from inputs up to t. Every value has a clock, the latest input time on which it may depend; \
         each use must be under guards that keep the clock at or before t. An axis that is declared without `time` has no such order.",
        wrong: "layer l {\n  axis t: time\n  index j: t\n  in x[t]\n  out y[t] = sum(j: x[j])\n}",
        right: "layer l {\n  axis t: time\n  index j: t\n  in x[t]\n  out y[t] = sum(j: x[j] where j <= t)\n}",
    }
    E0402 = "recurrence that reads more than its value before" {
        "`rec S[t] = ..` may read `S[t - 1]`, on one axis, and nothing else of itself. Older values are carried in the state, as further indices. All else is an ordinary sum over the past.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  rec s[t] = if t < 2 then x else s[t - 2] + x\n  out y[t] = s\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  rec s[t] = if t < 1 then x else s[t - 1] + x\n  out y[t] = s\n}",
    }
    E0403 = "recurrence without a beginning" {
        "At the first position there is no value before, so the read must be under a condition that excludes it. The other case says how the recurrence starts.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  rec s[t] = s[t - 1] + x\n  out y[t] = s\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  rec s[t] = x + (if t == 0 then 0 else s[t - 1])\n  out y[t] = s\n}",
    }
}
