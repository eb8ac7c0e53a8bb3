//! bf16 buffers: what is loaded, stored and passed on is rounded where the plan says, to the bit.

use weft_ir::kernel::parse;
use weft_passes::lower::{Target, lower};

use super::harness::{check, check_exactly, plan};

/// A kernel over tiles of 8 rows of a ragged batch and 12 columns, between a bf16 input, an f64 input and two outputs.
fn kernel(scratch: &str, statements: &str) -> String {
    format!(
        "plan p {{
           extent B  extent T[B]
           buffer x: bf16[b: B, t: T[b], c: 12] input
           buffer w: f64[b: B, t: T[b], c: 12] input
           buffer y: bf16[b: B, t: T[b], c: 12] output
           buffer z: f32[b: B, t: T[b], c: 12] output
           kernel k {{
             grid b: B, t_tile: ceil(T[b] / 8)
             axis t: 8 where [t_tile * 8 + t < T[b]]
             axis c: 12
             LANES
             {scratch}
             let t0 = t_tile * 8
             %x = load x[b, t0 + t, c] where [t0 + t < T[b]] else 0.0
             %w = load w[b, t0 + t, c] where [t0 + t < T[b]] else 0.0
             %f = cast %x as f32
             %g = cast %w as f32
             {statements}
           }} }}"
    )
}

fn exact(scratch: &str, statements: &str) {
    // Lanes along the columns, which lie side by side, and along the rows, which meet transposing loads and stores.
    for lanes in ["lanes c", "lanes t"] {
        let plan = plan(&kernel(scratch, statements).replace("LANES", lanes), &[]);
        for lengths in [&[1i64][..], &[8], &[13, 0, 5], &[16, 9]] {
            check_exactly(&plan, &[("B", &[lengths.len() as i64]), ("T", lengths)], 3);
        }
    }
}

const STORED: &str = "where [t0 + t < T[b]]";

#[test]
fn loads_widen_and_stores_round() {
    exact(
        "",
        &format!(
            "%s = mul %f, %g %y = cast %s as bf16 store y[b, t0 + t, c] = %y {STORED} store z[b, t0 + t, c] = %f {STORED}"
        ),
    );
    // From float64, rounded to f32 first, as the interpreter has it; and from integers.
    exact("", &format!("%y = cast %w as bf16 store y[b, t0 + t, c] = %y {STORED} store z[b, t0 + t, c] = %g {STORED}"));
    exact(
        "",
        &format!(
            "%i = index at (t0 + t) * 100 + c as i32 %y = cast %i as bf16 store y[b, t0 + t, c] = %y {STORED} store z[b, t0 + t, c] = %f {STORED}"
        ),
    );
}

/// Elements that the kernel reads again are those that a reader of the buffer would find.
#[test]
fn values_are_passed_on_as_stored() {
    exact(
        "",
        &format!(
            "%s = mul %f, %g %y = cast %s as bf16 %h = cast %y as f32 %z = sub %s, %h
             store y[b, t0 + t, c] = %y {STORED} store z[b, t0 + t, c] = %z {STORED}"
        ),
    );
    exact(
        "scratch s: bf16[12, 8]",
        &format!(
            "%s = add %f, %g %y = cast %s as bf16 table_set s[c, t] = %y {STORED}
             %r = table_read s[11 - c, t] {STORED} else 0.0 %h = cast %r as f32 %z = mul %h, %f
             store y[b, t0 + t, c] = %r {STORED} store z[b, t0 + t, c] = %z {STORED}"
        ),
    );
}

#[test]
fn arithmetic_on_bf16_rounds_every_result() {
    exact(
        "",
        &format!(
            "%c = fill 0.3 as bf16 %g2 = cast %w as bf16 %s = mul %x, %g2 %u = add %s, %c %m = lt %u, %c
             %v = select %m, %u, %c %z = cast %u as f32
             store y[b, t0 + t, c] = %v {STORED} store z[b, t0 + t, c] = %z {STORED}"
        ),
    );
}

#[test]
fn products_read_bf16_factors() {
    let text = "plan p { extent T
        buffer a: bf16[t: T, k: 24] input  buffer b: bf16[k: 24, c: 20] input  buffer d: bf16[c: 20, k: 24] input
        buffer y: f32[t: T, c: 20] output  buffer z: bf16[t: T, c: 20] output
        kernel k { grid t_tile: ceil(T / 8)  axis t: 8 where [t_tile * 8 + t < T]  axis k: 24  axis c: 20  lanes LANES
          let t0 = t_tile * 8
          %a = load a[t0 + t, k] where [t0 + t < T] else 0.0  %b = load b[k, c]  %d = load d[c, k]
          %y = dot %a, %b over k
          %p = cast %a as f32  %q = cast %d as f32  %u = dot %p, %q over k  %z = cast %u as bf16
          store y[t0 + t, c] = %y where [t0 + t < T]  store z[t0 + t, c] = %z where [t0 + t < T] } }";
    for lanes in ["t", "c"] {
        let plan = plan(&text.replace("LANES", lanes), &[]);
        for t in [1, 8, 21] {
            // The kernel interpreter does not round here; of a bf16 output half a unit in the last place may be lost.
            check(&plan, &[("T", &[t])], 5, 4e-3);
        }
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let text = "plan p { extent T  buffer y: f32[t: T] output  kernel k { grid t: T  axis i: 4  scratch s: bf16[2]
        %a = fill 1.0 as bf16 on [i]  table_add s[i // 2] += %a  %r = table_read s[0]  %y = cast %r as f32  store y[t] = %y } }";
    let error = lower(&parse(text).unwrap(), &Target::default()).unwrap_err();
    assert!(error.message.contains("bf16 table"), "{error}");
}
