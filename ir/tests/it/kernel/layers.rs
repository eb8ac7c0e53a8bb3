//! What stands around the attention kernels in the golden layers: projections, rotary positions, state-space branches, norms,
//! in plain f64 loops written from the layers' specifications.

use weft_ir::kernel::interp::Tensor;

use super::golden::{At, Golden, tensor};

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// x[b,t,e] times w[.., e] summed over e: [b, t, ..].
pub(crate) fn project(x: &Tensor, w: &Tensor) -> Tensor {
    let e = x.shape[2];
    let shape: Vec<_> = x.shape[..2].iter().chain(&w.shape[..w.shape.len() - 1]).copied().collect();
    tensor(&shape, |i| {
        let mut at = i[2..].to_vec();
        at.push(0);
        (0..e)
            .map(|e| {
                *at.last_mut().unwrap() = e;
                x.at(&[i[0], i[1], e]) * w.at(&at)
            })
            .sum()
    })
}

/// o[b,t,..] times w[e, ..] summed over everything but e: [b, t, e].
pub(crate) fn unproject(o: &Tensor, w: &Tensor) -> Tensor {
    let width: usize = w.shape[1..].iter().product();
    tensor(&[o.shape[0], o.shape[1], w.shape[0]], |i| {
        let from = (i[0] * o.shape[1] + i[1]) * width;
        (0..width).map(|d| o.data[from + d] * w.data[i[2] * width + d]).sum()
    })
}

/// Rotary positions on the last axis, dimension 1 being time; pairs (2i, 2i+1), or (i, i + D/2) if `halves`.
pub(crate) fn rope(x: &Tensor, halves: bool) -> Tensor {
    let width = *x.shape.last().unwrap();
    let half = width / 2;
    tensor(&x.shape, |i| {
        let d = *i.last().unwrap();
        let pair = if halves { d % half } else { d / 2 };
        let second = if halves { d >= half } else { d % 2 == 1 };
        let angle = i[1] as f64 * 10000f64.powf(-2.0 * pair as f64 / width as f64);
        let get = |d: usize| {
            let mut j = i.to_vec();
            *j.last_mut().unwrap() = d;
            x.at(&j)
        };
        let (a, b) = if halves { (get(pair), get(pair + half)) } else { (get(2 * pair), get(2 * pair + 1)) };
        if second { a * angle.sin() + b * angle.cos() } else { a * angle.cos() - b * angle.sin() }
    })
}

/// One state-space branch with its residual: x + ssm(x), state and convolution starting afresh after every chunk end.
fn branch(g: &Golden, x: &Tensor, name: &str) -> Tensor {
    let p = |n: &str| g.get(&format!("in.{name}.{n}"));
    let (period, offset) = (g.size("P"), g.size("OFFSET"));
    let last = |t: usize| t == 0 || (t + offset) % period == period - 1;
    let (batch, time) = (x.shape[0], x.shape[1]);
    let mut start = vec![0usize; time];
    for t in 1..time {
        start[t] = if last(t - 1) { t } else { start[t - 1] };
    }
    let conv = |u: Tensor, w: &Tensor| {
        let taps = *w.shape.last().unwrap();
        tensor(&u.shape, |i| {
            let sum: f64 = (0..taps)
                .filter(|tap| i[1] >= start[i[1]] + tap)
                .map(|tap| w.at(&[i[2], i[3], taps - 1 - tap]) * u.at(&[i[0], i[1] - tap, i[2], i[3]]))
                .sum();
            silu(sum)
        })
    };
    let z = project(x, p("wz"));
    let xs = conv(project(x, p("wx")), p("conv_x"));
    let (bm, cm) = (conv(project(x, p("wb")), p("conv_b")), conv(project(x, p("wc")), p("conv_c")));
    let dt = project(x, p("wdt"));
    let (heads, ph) = (xs.shape[2], xs.shape[3]);
    let (groups, n) = (bm.shape[2], bm.shape[3]);
    let mut y = tensor(&xs.shape, |_| 0.0);
    for b in 0..batch {
        for hs in 0..heads {
            let group = hs / (heads / groups);
            let rate = -p("a_log").at(&[hs]).exp();
            let mut state = vec![0.0; ph * n];
            for (t, first) in start.iter().enumerate() {
                let raw = dt.at(&[b, t, hs]);
                let delta = raw.max(0.0) + (1.0 + (-raw.abs()).exp()).ln();
                let decay = if *first == t { 0.0 } else { (rate * delta).exp() };
                for c in 0..ph {
                    let u = xs.at(&[b, t, hs, c]);
                    let mut out = p("d").at(&[hs]) * u;
                    for s in 0..n {
                        let h = &mut state[c * n + s];
                        *h = decay * *h + delta * u * bm.at(&[b, t, group, s]);
                        out += *h * cm.at(&[b, t, group, s]);
                    }
                    y.data[((b * time + t) * heads + hs) * ph + c] = out * silu(z.at(&[b, t, hs, c]));
                }
            }
        }
    }
    let width = heads * ph;
    let normed = tensor(&y.shape, |i| {
        let from = (i[0] * time + i[1]) * width;
        let mean = y.data[from..from + width].iter().map(|v| v * v).sum::<f64>() / width as f64;
        y.at(i) / (mean + 1e-5).sqrt() * p("norm").at(&[i[2], i[3]])
    });
    let out = unproject(&normed, p("wo"));
    tensor(&x.shape, |i| x.at(i) + out.at(i))
}

/// Queries, rotated keys and values of the compressed-chunk layer: [b, t, heads, d].
pub(crate) fn chunk_inputs(g: &Golden, x: &Tensor) -> (Tensor, Tensor, Tensor) {
    let split =
        |x: &Tensor| Tensor { shape: vec![x.shape[0], x.shape[1], g.size("HKV"), g.size("D")], data: x.data.clone() };
    let q = rope(&project(x, g.get("in.wq")), false);
    (q, rope(&split(&branch(g, x, "k")), false), split(&branch(g, x, "v")))
}

/// Scores [b, h, t], queries [b, t, h, g, d], keys and values [b, t, h, d] of the selecting layer.
pub(crate) fn selection_inputs(g: &Golden, x: &Tensor) -> [Tensor; 4] {
    let raw = project(x, g.get("in.ws"));
    let prior = g.number("PRIOR");
    let z = tensor(&[x.shape[0], raw.shape[2], x.shape[1]], |i| {
        let (b, h, t) = (i[0], i[1], i[2]);
        let seen: Vec<f64> = (0..=t).map(|s| raw.at(&[b, s, h])).collect();
        let count = prior + t as f64 + 1.0;
        let mean = seen.iter().sum::<f64>() / count;
        let var = (prior + seen.iter().map(|r| r * r).sum::<f64>()) / count - mean * mean;
        g.number("GAMMA") * (seen[t] - mean) / (var + 1e-5).sqrt() + g.number("SLOPE") * (t as f64 + 1.0)
    });
    let q = rope(&project(x, g.get("in.wq")), true);
    [z, q, rope(&project(x, g.get("in.wk")), true), project(x, g.get("in.wv"))]
}

/// Inputs of the codeword layer's attention: (q + u, q + w, codes, place, v, gate).
pub(crate) struct CodeInputs {
    pub(crate) qu: Tensor,
    pub(crate) qw: Tensor,
    pub(crate) code: Tensor,
    pub(crate) place: Tensor,
    pub(crate) v: Tensor,
    pub(crate) gate: Tensor,
}

fn rms(x: &Tensor) -> Tensor {
    let n = *x.shape.last().unwrap();
    tensor(&x.shape, |i| {
        let row: f64 = (0..n).map(|d| x.at(&[i[0], i[1], d]).powi(2)).sum();
        x.at(i) / (row / n as f64 + 1e-6).sqrt()
    })
}

pub(crate) fn code_inputs(g: &Golden, x: &Tensor) -> CodeInputs {
    let dk = g.size("DK");
    let scale = (dk as f64).powf(-0.25);
    let normed = rms(x);
    let xt = tensor(&x.shape, |i| normed.at(i) * g.get("in.gain").at(&[i[2]]) + g.get("in.bias").at(&[i[2]]));
    let scaled = |x: Tensor| tensor(&x.shape, |i| x.at(i) * scale);
    let q = scaled(rms(&project(&xt, g.get("in.wq"))));
    let k = scaled(rms(&project(&xt, g.get("in.wk"))));
    let plus = |n: &str| tensor(&q.shape, |i| q.at(i) + scale * g.get(n).at(&[i[2]]));
    let act = |n: &str| {
        let x = project(&xt, g.get(n));
        tensor(&x.shape, |i| silu(x.at(i)))
    };
    let book = g.get("in.codebook");
    let code = tensor(&x.shape[..2], |i| {
        let distance = |s: usize| (0..dk).map(|d| (k.at(&[i[0], i[1], d]) - book.at(&[s, d])).powi(2)).sum::<f64>();
        (0..book.shape[0]).min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap() as f64
    });
    let e = x.shape[2];
    let wave = tensor(&[1, g.size("M") + 1, e], |i| {
        let angle = i[1] as f64 * 100_000f64.powf(-2.0 * (i[2] % (e / 2)) as f64 / e as f64);
        if i[2] < e / 2 { angle.sin() } else { angle.cos() }
    });
    let mut place = scaled(project(&wave, g.get("in.wr")));
    place.shape.remove(0);
    CodeInputs { qu: plus("in.u"), qw: plus("in.w"), code, place, v: act("in.wv"), gate: act("in.wg") }
}
