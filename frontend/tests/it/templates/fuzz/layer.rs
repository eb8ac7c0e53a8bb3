//! From choices to the text of a layer.
//!
//! A layer here is one point of a cross product: each [`Choice`] is a question that someone who invents a layer answers, and 0 is always
//! the plainest answer. No answer knows of another but through names of values.

use std::fmt::Write as _;

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident: $($answer:literal)|+;)*) => {
        /// A question with its answers.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub(super) enum Choice { $($(#[$doc])* $name),* }

        /// Every question, with its answers.
        pub(super) const CHOICES: &[(Choice, &[&str])] = &[$((Choice::$name, &[$($answer),+])),*];
    };
}

choices! {
    /// Query heads and the key heads that they share.
    Heads: "one" | "several" | "grouped";
    /// What is done to the input first.
    Norm: "none" | "rms" | "convolution" | "over time" | "kept tokens" | "embedding" | "running sum" | "rms of the past";
    /// How keys are made of the input.
    Key: "linear" | "convolution" | "recurrence" | "restarted recurrence" | "codes" | "rms" | "recurrence and convolution" | "recurrence with decay per channel";
    /// How values are made.
    Value: "linear" | "activated" | "recurrence" | "slice of the input" | "routed";
    /// What positions do.
    Position: "none" | "rope pairs" | "rope halves" | "slope per head" | "table of distances" | "table of distances per head" | "every other distance" | "two distances";
    /// What a query may see.
    Mask: "causal" | "window" | "window per head" | "chunk ends" | "chunk ends and window" | "own chunk" | "chunks before" | "dilated" | "sink and window" | "blocks that begin at offset" | "segments" | "kept keys";
    /// Which of that it does see.
    Selection: "none" | "top" | "top, softly" | "top of chunk ends" | "top for each query";
    /// What the scores of the selection are.
    Score: "linear" | "growing" | "normalised over time" | "of the key";
    /// What bounds the scores.
    Cap: "none" | "tanh";
    /// How scores become weights.
    Mixer: "softmax" | "sum" | "positive kernel" | "decay" | "retention" | "state" | "softmax by hand" | "two softmaxes" | "mean" | "state with gates" | "memory" | "blocks" | "two layers" | "selective state" | "nonlinear state" | "gated softmaxes" | "ragged memory";
    /// A factor of the output.
    Gate: "none" | "silu" | "per head";
    /// An addend.
    Bias: "none" | "output" | "residual" | "score of the key";
    /// A further output.
    Extra: "none" | "codes or counts" | "mean square" | "normaliser" | "running mean" | "keys" | "largest score" | "mean of documents" | "mean value" | "best channel" | "best key";
}

/// Answers to all questions, in the order of [`CHOICES`].
pub(super) type Answers = Vec<usize>;

/// A text that grows.
struct Text {
    sizes: Vec<&'static str>,
    index: Vec<&'static str>,
    params: Vec<&'static str>,
    inputs: Vec<&'static str>,
    axes: Vec<&'static str>,
    lets: String,
}

impl Text {
    fn input(&mut self, input: &'static str) {
        if !self.inputs.contains(&input) {
            self.inputs.push(input);
        }
    }

    fn line(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.lets, "  {}", line.as_ref());
    }

    fn size(&mut self, size: &'static str) {
        if !self.sizes.contains(&size) {
            self.sizes.push(size);
        }
    }

    fn index(&mut self, index: &'static str) {
        if !self.index.contains(&index) {
            self.index.push(index);
        }
    }

    fn param(&mut self, param: &'static str) {
        if !self.params.contains(&param) {
            self.params.push(param);
        }
    }

    /// The rule by which chunks end.
    fn chunks(&mut self) {
        if !self.lets.contains("let last[t]") {
            self.size("P = 3");
            self.size("OFFSET = 0");
            self.line("let last[t] = t == 0 or (t + OFFSET) % P == P - 1");
            self.line("let fresh[t] = t == 0 or last[t - 1]");
        }
    }

    /// A recurrence over `from`, restarted at chunks or not.
    fn recurrence(&mut self, name: &str, from: &str, restarted: bool) {
        self.param("wa[kv,e]");
        if !self.lets.contains("let a[b,t,kv]") {
            self.line("let a[b,t,kv] = sigmoid(sum(e: wa * xn))");
        }
        let start = if restarted {
            self.chunks();
            "fresh"
        } else {
            "t == 0"
        };
        self.line(format!("rec {name}[b,t,kv,d] = {from} + (if {start} then 0 else a * {name}[b, t - 1, kv, d])"));
    }

    fn convolution(&mut self, name: &str, from: &str) {
        self.size("W = 3");
        self.index("tap: W");
        self.param("conv[kv,tap]");
        self.line(format!("let {name}[b,t,kv,d] = sum(tap: conv * {from}[b, t - tap, kv, d] where tap <= t)"));
    }
}

/// The text of a layer.
pub(super) fn text(answers: &[usize]) -> String {
    let is = |c: Choice, answer: &str| {
        let (_, list) = CHOICES[c as usize];
        debug_assert!(list.contains(&answer), "{c:?} has no answer {answer}");
        list[answers[c as usize]] == answer
    };
    let mut x = Text {
        sizes: vec!["E = 6", "H = 1", "HKV = 1", "D = 4"],
        index: vec!["j: t", "e: E", "h: H", "kv: HKV", "d: D"],
        params: vec!["wq[h,d,e]", "wk[kv,d,e]", "wo[e,h,d]"],
        inputs: vec!["x[b,t,e]"],
        axes: vec!["b", "t: time"],
        lets: String::new(),
    };
    x.line("let group[h] = h // (H // HKV)");
    input(&mut x, &is);
    keys(&mut x, &is);
    values(&mut x, &is);
    let score = score(&mut x, &is);
    let sees = visible(&mut x, &is);
    mix(&mut x, &is, &score, &sees);
    result(&mut x, &is, &sees);
    extra(&mut x, &is, &sees);
    format!(
        "layer fuzz {{\n  size {}\n  require H % HKV == 0, D % 2 == 0, E >= HKV * D\n  axis {}\n  index {}\n  in {}\n  param {}\n{}}}\n",
        x.sizes.join(", "),
        x.axes.join(", "),
        x.index.join(", "),
        x.inputs.join(", "),
        x.params.join(", "),
        x.lets
    )
}

type Is<'a> = &'a dyn Fn(Choice, &str) -> bool;

fn input(x: &mut Text, is: Is<'_>) {
    if is(Choice::Norm, "rms") {
        x.param("gain[e]");
        x.line("let xn[b,t,e] = rms[e](x, 1e-5) * gain");
    } else if is(Choice::Norm, "convolution") {
        x.size("W = 3");
        x.index("tap: W");
        x.param("first[e,tap]");
        x.line("let xn[b,t,e] = silu(sum(tap: first * x[b, t - tap, e] where tap <= t))");
    } else if is(Choice::Norm, "over time") {
        x.line("let xn[b,t,e] = timestep_norm[t](x, 2, 1e-5)");
    } else if is(Choice::Norm, "kept tokens") {
        x.input("keep[b,t]: bool");
        x.line("let xn[b,t,e] = if keep then x else 0");
    } else if is(Choice::Norm, "embedding") {
        x.size("S = 4");
        x.index("c: S");
        x.input("word[b,t]: i32");
        x.param("table[c,e]");
        x.line("let xn[b,t,e] = x + (if 0 <= word < S then table[word,e] else 0)");
    } else if is(Choice::Norm, "running sum") {
        x.line("let xn[b,t,e] = sum(j: x[b,j,e] where j <= t) / (t + 1)");
    } else if is(Choice::Norm, "rms of the past") {
        x.line("let past[b,t] = sum(j: mean(e: x[b,j,e]^2) where j <= t) / (t + 1)");
        x.line("let xn[b,t,e] = x / sqrt(past + 1e-3)");
    } else {
        x.line("let xn[b,t,e] = x");
    }
}

fn keys(x: &mut Text, is: Is<'_>) {
    x.line("let k0[b,t,kv,d] = sum(e: wk * xn)");
    let mut key = "k0";
    if is(Choice::Key, "convolution") || is(Choice::Key, "recurrence and convolution") {
        x.convolution("k1", key);
        key = "k1";
    }
    if is(Choice::Key, "recurrence") || is(Choice::Key, "recurrence and convolution") {
        x.recurrence("k2", key, false);
        key = "k2";
    }
    if is(Choice::Key, "restarted recurrence") {
        x.recurrence("k2", key, true);
        key = "k2";
    }
    if is(Choice::Key, "recurrence with decay per channel") {
        x.param("wf[kv,d,e]");
        x.line("let keep_k[b,t,kv,d] = exp(-softplus(sum(e: wf * xn)))");
        x.line("rec k2[b,t,kv,d] = (1 - keep_k) * k0 + (if t == 0 then 0 else keep_k * k2[b, t - 1, kv, d])");
        key = "k2";
    }
    if is(Choice::Key, "rms") {
        x.line(format!("let k3[b,t,kv,d] = rms[d]({key}, 1e-5)"));
        key = "k3";
    }
    if is(Choice::Key, "codes") {
        x.size("S = 4");
        x.index("c: S");
        x.param("book[kv,c,d]");
        x.line(format!("let code[b,t,kv] = argmin(c: sum(d: ({key} - book)^2))"));
        x.line("let k4[b,t,kv,d] = book[kv,code,d]");
        key = "k4";
    }
    x.line("let q0[b,t,h,d] = sum(e: wq * xn)");
    let rope = |f: &str, of: &str| format!("{f}[d]({of}, t, 100)");
    for f in ["rope_pairs", "rope_halves"] {
        if is(Choice::Position, &f.replace('_', " ")) {
            x.line(format!("let q[b,t,h,d] = {}", rope(f, "q0")));
            x.line(format!("let k[b,t,kv,d] = {}", rope(f, key)));
            return;
        }
    }
    x.line("let q[b,t,h,d] = q0");
    x.line(format!("let k[b,t,kv,d] = {key}"));
}

fn values(x: &mut Text, is: Is<'_>) {
    if is(Choice::Value, "slice of the input") {
        x.line("let v[b,t,kv,d] = xn[b, t, kv*D + d]");
        return;
    }
    if is(Choice::Value, "routed") {
        x.size("S = 4");
        x.index("c: S");
        x.param("wroute[c,e]");
        x.param("we[c,kv,d,e]");
        x.line("let route[b,t,c] = softmax[c](sum(e: wroute * xn))");
        x.line("let v[b,t,kv,d] = sum(c: route * sum(e: we * xn))");
        return;
    }
    x.param("wv[kv,d,e]");
    if is(Choice::Value, "activated") {
        x.line("let v[b,t,kv,d] = silu(sum(e: wv * xn))");
    } else if is(Choice::Value, "recurrence") {
        x.line("let v0[b,t,kv,d] = sum(e: wv * xn)");
        x.recurrence("v", "v0", is(Choice::Key, "restarted recurrence"));
    } else {
        x.line("let v[b,t,kv,d] = sum(e: wv * xn)");
    }
}

/// Defines `s`, the score of a pair; gives the addends that must stay under the mask.
fn score(x: &mut Text, is: Is<'_>) -> String {
    let mut score = "sum(d: q * k[b,j,group,d]) / sqrt(D)".to_owned();
    if is(Choice::Position, "slope per head") {
        x.param("slope[h]");
        score += " - exp(slope) * (t - j)";
    } else if is(Choice::Position, "table of distances") {
        x.size("M = 4");
        x.index("dist: M + 1");
        x.param("far[dist]");
        score += " + (if 0 <= t - j <= M then far[t - j] else 0)";
    } else if is(Choice::Position, "table of distances per head") {
        x.size("M = 4");
        x.index("dist: M + 1");
        x.param("wr[d,e]");
        x.line("let r[dist,d] = sum(e: wr * sinusoid[e](dist, 100))");
        score += " + (if 0 <= t - j <= M then sum(d: q * r[t - j, d]) else 0)";
    }
    if is(Choice::Position, "every other distance") {
        x.param("odd[h]");
        score += " + (if (t - j) % 2 == 0 then odd else 0)";
    } else if is(Choice::Position, "two distances") {
        x.size("M = 4");
        x.index("dist: M + 1");
        x.param("far[dist]");
        score += " + (if t == j or t == j + 1 then far[t - j] else 0)";
    }
    if is(Choice::Bias, "score of the key") {
        x.param("u[h,d]");
        score += " + sum(d: u * k[b,j,group,d])";
    }
    if is(Choice::Cap, "tanh") {
        score = format!("2 * tanh(({score}) / 2)");
    }
    x.line(format!("let s[b,t,h,j] = {score}"));
    score
}

/// The guard under which a query sees a key; a term over b, t, h, j. It never looks ahead.
fn visible(x: &mut Text, is: Is<'_>) -> String {
    let mut near = "j <= t".to_owned();
    let m = |answer: &str| is(Choice::Mask, answer);
    if m("window") {
        x.size("WIN = 3");
        near = "0 <= t - j < WIN".to_owned();
    } else if m("window per head") {
        x.size("WIN = 3");
        near = "j <= t and t - j < WIN * (h + 1)".to_owned();
    } else if m("chunk ends") {
        x.chunks();
        near = "j <= t and last[j]".to_owned();
    } else if m("chunk ends and window") {
        x.chunks();
        x.size("LEAD = 2");
        near = "j <= t and (last[j] or j >= t - LEAD)".to_owned();
    } else if m("own chunk") {
        x.size("P = 3");
        near = "j <= t and j // P == t // P".to_owned();
    } else if m("chunks before") {
        x.size("P = 3");
        near = "j // P < t // P".to_owned();
    } else if m("dilated") {
        x.size("P = 3");
        near = "j <= t and (t - j) % P == 0".to_owned();
    } else if m("sink and window") {
        x.size("WIN = 3");
        near = "j <= t and (j < 2 or t - j < WIN)".to_owned();
    } else if m("blocks that begin at offset") {
        x.size("P = 3");
        x.size("M = 4");
        near = "j <= t and j >= t // P * P - M".to_owned();
    } else if m("segments") {
        x.chunks();
        x.line("let seg[t] = count(j: fresh[j] where j <= t)");
        near = "j <= t and seg[j] == seg[t]".to_owned();
    } else if m("kept keys") {
        x.input("keep[b,t]: bool");
        near = "j <= t and keep[b,j]".to_owned();
    }
    if is(Choice::Selection, "none") {
        return near;
    }
    if is(Choice::Selection, "top for each query") {
        x.size("K = 2");
        x.line(format!("let picked[b,t,h,j] = in_top_k[j](s where {near}, K)"));
        return format!("{near} and picked");
    }
    x.size("K = 2");
    x.size("LEAD = 2");
    x.param("ws[kv,e]");
    let scores = "sum(e: ws * xn)";
    let scores = if is(Choice::Score, "growing") {
        format!("{scores} + 0.01 * (t + 1)")
    } else if is(Choice::Score, "normalised over time") {
        format!("timestep_norm[t]({scores}, 2, 1e-5)")
    } else if is(Choice::Score, "of the key") {
        x.param("wz[kv,d]");
        "sum(d: wz * k)".to_owned()
    } else {
        scores.to_owned()
    };
    x.line(format!("let z[b,t,kv] = {scores}"));
    if is(Choice::Selection, "top of chunk ends") {
        x.chunks();
        x.line("let pool[t,j] = last[j] and j < t - LEAD");
    } else {
        x.line("let pool[t,j] = t - j >= LEAD");
    }
    x.line("let top[b,t,kv,j] = in_top_k[j](z[b,j,kv] where pool, K)");
    if is(Choice::Selection, "top, softly") {
        x.line("let soft[b,t,kv,j] = if pool then sparsek[j](z[b,j,kv] where pool, K) else 1");
    }
    format!("j <= t and ((not pool and ({near})) or top[b,t,group,j])")
}

fn mix(x: &mut Text, is: Is<'_>, _: &str, sees: &str) {
    let m = |answer: &str| is(Choice::Mixer, answer);
    let soft = if is(Choice::Selection, "top, softly") { "soft[b,t,group,j] * " } else { "" };
    let v = format!("{soft}v[b,j,group,d]");
    let sum = |weight: &str| format!("let o[b,t,h,d] = sum(j: {weight} * {v} where {sees})");
    if m("sum") {
        x.line(sum("s"));
    } else if m("positive kernel") {
        x.line("let near[b,t,h,j] = sum(d: exp(q) * exp(k[b,j,group,d]))");
        x.line(format!("let o[b,t,h,d] = div0(sum(j: near * {v} where {sees}), sum(j: near where {sees}))"));
    } else if m("decay") {
        x.index("i: t");
        x.param("wdt[h,e]");
        x.param("rate[h]");
        x.line("let dt[b,t,h] = softplus(sum(e: wdt * xn))");
        x.line("let decay[b,t,h,j] = exp(-exp(rate) * sum(i: dt[b,i,h] where j < i <= t))");
        x.line(sum("decay * s"));
    } else if m("retention") {
        x.param("rate[h]");
        x.line(sum("exp(-exp(rate) * (t - j)) * s"));
    } else if m("state") || m("state with gates") {
        x.index("n: D");
        let keep = if m("state") {
            x.param("rate[h]");
            "exp(-exp(rate))"
        } else {
            x.param("wdt[h,e]");
            x.line("let forget[b,t,h] = sigmoid(sum(e: wdt * xn))");
            "forget"
        };
        x.line(format!(
            "rec state[b,t,h,n,d] = k[b,t,group,n] * v[b,t,group,d] + (if t == 0 then 0 else {keep} * state[b, t - 1, h, n, d])"
        ));
        // What a query sees does not matter to a state; a window adds what it holds.
        x.line(format!("let o[b,t,h,d] = sum(n: q[b,t,h,n] * state) + sum(j: s * {v} where {sees})"));
    } else if m("softmax by hand") {
        x.line(format!("let o[b,t,h,d] = div0(sum(j: exp(s) * {v} where {sees}), sum(j: exp(s) where {sees}))"));
    } else if m("two softmaxes") {
        x.param("mixed[h]");
        x.line(format!("let p1[b,t,h,j] = softmax[j](s where {sees})"));
        x.line("let p2[b,t,h,j] = softmax[j](-s where j <= t)");
        x.line(format!("let o[b,t,h,d] = sum(j: p1 * {v}) + sigmoid(mixed) * sum(j: p2 * v[b,j,group,d])"));
    } else if m("gated softmaxes") {
        x.param("wm[h,e]");
        x.line("let mixed[b,t,h] = sigmoid(sum(e: wm * xn))");
        x.line(format!("let p1[b,t,h,j] = softmax[j](s where {sees})"));
        x.line("let p2[b,t,h,j] = softmax[j](s / 2 where j <= t and t - j < 2 * (h + 2))");
        x.line(format!("let o[b,t,h,d] = sum(j: (mixed * p1 + (1 - mixed) * p2) * {v} where j <= t)"));
    } else if m("ragged memory") {
        x.axes.push("m");
        x.input("mem[b,m,e]");
        x.input("held[b]: i32");
        x.line("let km[b,m,kv,d] = sum(e: wk * mem)");
        x.line(format!("let p[b,t,h,j] = softmax[j](s where {sees})"));
        x.line("let pm[b,t,h,m] = softmax[m](sum(d: q * km[b,m,group,d]) where m < held)");
        x.line(format!("let o[b,t,h,d] = sum(j: p * {v}) + sum(m: pm * km[b,m,group,d])"));
    } else if m("memory") {
        x.axes.push("m");
        x.input("mem[b,m,e]");
        x.line("let km[b,m,kv,d] = sum(e: wk * mem)");
        x.line(format!("let p[b,t,h,j] = softmax[j](s where {sees})"));
        x.line("let pm[b,t,h,m] = softmax[m](sum(d: q * km[b,m,group,d]))");
        x.line(format!("let o[b,t,h,d] = sum(j: p * {v}) + sum(m: pm * km[b,m,group,d])"));
    } else if m("blocks") {
        x.size("P = 3");
        x.axes.push("blk = |t| // P");
        x.index("l: P");
        x.param("pooled[l]");
        x.line("let kb[b,blk,kv,d] = sum(l: pooled * k[b, blk*P + l, kv, d])");
        x.line("let vb[b,blk,kv,d] = sum(l: pooled * v[b, blk*P + l, kv, d])");
        x.line("let pb[b,t,h,blk] = softmax[blk](sum(d: q * kb[b,blk,group,d]) where blk*P + P-1 <= t)");
        x.line(format!("let p[b,t,h,j] = softmax[j](s where {sees})"));
        x.line(format!("let o[b,t,h,d] = sum(j: p * {v}) + sum(blk: pb * vb[b,blk,group,d])"));
    } else if m("two layers") {
        x.param("wq2[h,d,e]");
        x.line(format!("let p[b,t,h,j] = softmax[j](s where {sees})"));
        x.line(format!("let x2[b,t,e] = x + sum(h, d: wo * sum(j: p * {v}))"));
        x.line("let q2[b,t,h,d] = sum(e: wq2 * rms[e](x2, 1e-5))");
        x.line("let p2[b,t,h,j] = softmax[j](sum(d: q2 * k[b,j,group,d]) where 0 <= t - j < 5)");
        x.line("let o[b,t,h,d] = sum(j: p2 * v[b,j,group,d])");
    } else if m("selective state") {
        x.size("W = 3");
        x.index("tap: W");
        x.index("hs: 2");
        x.index("ph: 3");
        x.index("g: 1");
        x.index("n: 4");
        x.chunks();
        x.param("ssm: ssd_params[e,hs,ph,g,n,tap]");
        x.line("let branch[b,t,e] = ssd[t,e](xn, fresh, ssm)");
        x.line(format!("let p[b,t,h,j] = softmax[j](s + branch[b,j,0] where {sees})"));
        x.line(format!("let o[b,t,h,d] = sum(j: p * {v})"));
    } else if m("nonlinear state") {
        x.param("rate[h]");
        x.line("rec state[b,t,h,d] = v[b,t,group,d] + (if t == 0 then 0 else rate * tanh(state[b, t - 1, h, d]))");
        x.line(format!("let o[b,t,h,d] = state + sum(j: s * {v} where {sees})"));
    } else if m("mean") {
        x.line(format!("let o[b,t,h,d] = div0(sum(j: {v} where {sees}), count(j: {sees}))"));
    } else {
        x.line(format!("let p[b,t,h,j] = softmax[j](s where {sees})"));
        x.line(format!("let o[b,t,h,d] = sum(j: p * {v})"));
    }
}

fn result(x: &mut Text, is: Is<'_>, _: &str) {
    let mut inside = "wo * o".to_owned();
    if is(Choice::Gate, "silu") {
        x.param("wg[h,d,e]");
        x.line("let gate[b,t,h,d] = silu(sum(e: wg * xn))");
        inside += " * gate";
    } else if is(Choice::Gate, "per head") {
        x.param("wgh[h,e]");
        x.line("let gate[b,t,h] = sigmoid(sum(e: wgh * xn))");
        inside += " * gate";
    }
    let mut y = format!("sum(h, d: {inside})");
    if is(Choice::Bias, "output") {
        x.param("bias[e]");
        y += " + bias";
    } else if is(Choice::Bias, "residual") {
        y = format!("x + {y}");
    }
    x.line(format!("out y[b,t,e] = {y}"));
}

fn extra(x: &mut Text, is: Is<'_>, sees: &str) {
    let e = |answer: &str| is(Choice::Extra, answer);
    if e("codes or counts") {
        if is(Choice::Key, "codes") {
            x.line("out codes[b,t,kv] = code");
        } else {
            x.line(format!("out seen[b,t,h] = count(j: {sees})"));
        }
    } else if e("mean square") {
        x.line("out square = mean(b, t: sum(kv, d: (k - k0)^2 + k0^2))");
    } else if e("normaliser") {
        // The shift keeps the logarithm away from 0 where nothing is seen.
        x.line(format!("out lse[b,t,h] = log(1 + sum(j: exp(s) where {sees}))"));
    } else if e("running mean") {
        x.line("out mean_so_far[b,t,e] = sum(j: xn[b,j,e] where j <= t) / (t + 1)");
    } else if e("keys") {
        x.line("out keys[b,t,kv,d] = k");
    } else if e("largest score") {
        x.line("out top_score[b,t,h] = max(j: s where j <= t)");
    } else if e("mean of documents") {
        x.line("out document[b,e] = mean(t: xn)");
    } else if e("mean value") {
        x.line("out mean_value[h,d] = mean(b, t: o)");
    } else if e("best channel") {
        x.line("out best[b,t,h] = argmax(d: o)");
    } else if e("best key") {
        x.line("out best[b,t,h] = argmax(j: s where j <= t)");
    }
}
