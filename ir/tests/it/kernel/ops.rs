//! The meaning of every op of the table, on small tiles with numbers by hand.

use std::collections::HashSet;

use weft_ir::kernel::interp::{Bindings, Options, Tensor, run};
use weft_ir::kernel::verify::verify;
use weft_ir::kernel::{OpCode, Stmt, docs, parse};

/// Runs `body` with x = [3, 1, 2, 1] along axis i and gives what it stores into `y` (4 elements, NaN where nothing is stored).
fn eval(body: &str) -> Vec<f64> {
    let text = format!(
        "plan p {{ buffer x: f64[i: 4] input buffer a: f64[i: 4, j: 2] input buffer y: f64[i: 4] output
         kernel k {{ axis i: 4, j: 2, k: 4, r: 3 scratch s: f64[4] init 0.0 scratch n: i64[4] init 0
         %x = load x[i] %a = load a[i, j] {body} }} }}"
    );
    let plan = parse(&text).unwrap_or_else(|e| panic!("{body}: {e}"));
    verify(&plan).unwrap_or_else(|e| panic!("{body}: {e:?}"));
    for stmt in &plan.kernels[0].body {
        if let Stmt::Inst(inst) = stmt {
            SEEN.with_borrow_mut(|s| s.insert(inst.op));
        }
    }
    let bindings = Bindings::default()
        .buffer("x", Tensor { shape: vec![4], data: vec![3.0, 1.0, 2.0, 1.0] })
        .buffer("a", Tensor { shape: vec![4, 2], data: (0..8).map(f64::from).collect() });
    run(&plan, &bindings, Options::default()).unwrap_or_else(|e| panic!("{body}: {e}")).buffers["y"].data.clone()
}

thread_local! {
    static SEEN: std::cell::RefCell<HashSet<OpCode>> = std::cell::RefCell::default();
}

fn check(body: &str, expected: &[f64]) {
    let got = eval(body);
    let got = &got[..expected.len()];
    let close = got.iter().zip(expected).all(|(g, e)| g == e || (g - e).abs() < 1e-12);
    assert!(close, "{body}\n  gives {got:?}\n  not {expected:?}");
}

#[test]
fn every_op_means_what_its_entry_says() {
    check("%y = index at 2 * i + 1 as i64 %z = cast %y as f64 store y[i] = %z", &[1.0, 3.0, 5.0, 7.0]);
    check("%y = fill 0.5 as f64 on [i] store y[i] = %y", &[0.5; 4]);
    check("%o = fill 0.0 as f64 on [i] %y = max %x, %o, %x store y[i] = %y", &[3.0, 1.0, 2.0, 1.0]);
    check("%y = neg %x %z = exp %y %l = log %z store y[i] = %l", &[-3.0, -1.0, -2.0, -1.0]);
    check("%t = fill 1.5 as f64 %c = gt %x, %t %y = select %c, %x, %t store y[i] = %y", &[3.0, 1.5, 2.0, 1.5]);
    check("%t = fill 2.0 as f64 %d = sub %x, %t %y = sign %d store y[i] = %y", &[1.0, -1.0, 0.0, -1.0]);
    check("%t = fill 2.0 as f64 %d = sub %x, %t %y = div0 %x, %d store y[i] = %y", &[3.0, -1.0, 0.0, -1.0]);
    check("%h = fill 7.0 as f64 %d = mul %x, %h %y = erf %d store y[i] = %y", &[1.0; 4]);
    check("%c = fill 2.0 as f64 %y = expand %c on [i] store y[i] = %y", &[2.0; 4]);
    check(
        "%y = rename %x over i to k %z = mul %x, %y %d = reduce %z by max over k store y[i] = %d",
        &[9.0, 3.0, 6.0, 3.0],
    );
    check("%y = take %x over i at 3 - k store y[k] = %y", &[1.0, 2.0, 1.0, 3.0]);
    check("%f = take %a over j at 1 store y[i] = %f", &[1.0, 3.0, 5.0, 7.0]);
    check("%d = dot %x, %a over i store y[j] = %d", &[0.0 + 2.0 + 8.0 + 6.0, 3.0 + 3.0 + 10.0 + 7.0]);
    check("%d = dot %x, %a over i where [i != 2] store y[j] = %d", &[8.0, 13.0]);
    check("%o = fill 100.0 as f64 %d = dot %x, %a, %o over i store y[j] = %d", &[116.0, 123.0]);
    check("%s = reduce %a by sum over i, j store y[0] = %s", &[28.0]);
    check("%s = reduce %x by prod over i where [i < 3] store y[0] = %s", &[6.0]);
    check(
        "%p = index at i as i64 %v, %at = reduce %x, %p by argmin over i %f = cast %at as f64 store y[0] = %f",
        &[1.0],
    );
    check(
        "%p = index at i as i64 %v, %at = reduce %x, %p by argmax over i where [i > 3] %f = cast %at as f64 store y[0] = %f",
        &[-1.0],
    );
    check(
        "%t = fill 1.5 as f64 %c = gt %x, %t %any = reduce %c by any over i %f = cast %any as f64 store y[0] = %f",
        &[1.0],
    );
    check(
        "%t = fill 1.5 as f64 %c = gt %x, %t %all = reduce %c by all over i %f = cast %all as f64 store y[0] = %f",
        &[0.0],
    );
    check("%y = scan %x by sum over i store y[i] = %y", &[3.0, 4.0, 6.0, 7.0]);
    check("%o = fill 10.0 as f64 %y = scan %x, %o by sum over i excl store y[i] = %y", &[10.0, 13.0, 14.0, 16.0]);
    check("%y = scan %x by sum over i rev store y[i] = %y", &[7.0, 4.0, 3.0, 1.0]);
    check("%y = scan %x by max over i excl rev store y[i] = %y", &[2.0, 2.0, 1.0, f64::NEG_INFINITY]);
    check("%h = fill 0.5 as f64 on [i] %y = scan %h, %x by affine over i store y[i] = %y", &[3.0, 2.5, 3.25, 2.625]);
    check("%o = fill 2.0 as f64 on [i] %y = rescale %x, %o store y[i] = %y", &[6.0, 2.0, 4.0, 2.0]);
    check(
        "%m0 = fill -inf as f64 %m, %r, %w = online %x, %m0 over i where [i < 3] store y[i] = %w",
        &[1.0, (-2f64).exp(), (-1f64).exp(), 0.0],
    );
    check(
        "%m0 = fill -inf as f64 %m, %r, %w = online %x, %m0 over i where [i > 3] store y[0] = %r store y[1] = %m",
        &[1.0, f64::NEG_INFINITY],
    );
    check(
        "%m1 = fill 0.0 as f64 %x1 = fill 2.0 as f64 %m2 = fill 1.0 as f64 %x2 = fill 3.0 as f64
         %m, %s = merge %m1, %x1, %m2, %x2 store y[0] = %m store y[1] = %s",
        &[1.0, 2.0 * (-1f64).exp() + 3.0],
    );
    check("%m1 = fill -inf as f64 %x1 = fill 2.0 as f64 %m, %s = merge %m1, %x1, %m1, %x1 store y[0] = %s", &[0.0]);
    check(
        "%o = fill 1.0 as f64 on [i] %m, %s = combine %x, %o over i where [i != 3] store y[0] = %m store y[1] = %s",
        &[3.0, 1.0 + (-2f64).exp() + (-1f64).exp()],
    );
    check("table_set s[3 - i] = %x %y = table_read s[i] store y[i] = %y", &[1.0, 2.0, 1.0, 3.0]);
    check(
        "table_add s[i // 2] += %x table_add s[i // 2] += %x where [i > 1] %y = table_read s[i] store y[i] = %y",
        &[4.0, 6.0, 0.0, 0.0],
    );
    check(
        "hist n[i // 3] where [i != 1] %n = table_read n[i] %y = cast %n as f64 store y[i] = %y",
        &[2.0, 1.0, 0.0, 0.0],
    );
    check("%v, %p = topk %x over i to r %f = cast %p as f64 store y[r] = %f", &[0.0, 2.0, 1.0]);
    check(
        "%q = index at 9 - i as i64 %v, %p = topk %x, %q over i to r where [i > 0] %f = cast %p as f64 store y[r] = %f",
        &[7.0, 6.0, 8.0],
    );
    check("%v, %p = topk %x over i to r where [i == 2] store y[r] = %v", &[2.0, f64::NEG_INFINITY, f64::NEG_INFINITY]);
    check(
        "%v, %p = topk %x over i to r where [i < 2] %v2, %p2 = topk %x over i to r where [i >= 2]
         %v3, %p3 = merge_topk %v, %p, %v2, %p2 over r %f = cast %p3 as f64 store y[r] = %f",
        &[0.0, 2.0, 1.0],
    );
    check(
        "%y, %n = compact %x over i to k where [i != 1] %f = cast %n as f64 store y[k] = %y where [k < 3] store y[3] = %f",
        &[3.0, 2.0, 1.0, 3.0],
    );
    check(
        "%p = index at i as i64 %y = rename %x over i to k %q = rename %p over i to k
         %c = rank_count %x, %p, %y, %q over k %f = cast %c as f64 store y[i] = %f",
        &[0.0, 2.0, 1.0, 3.0],
    );
    check(
        "%u = index at k as i64 %w = cast %u as f64 %c = search %w, %x over k %f = cast %c as f64 store y[i] = %f",
        &[3.0, 1.0, 2.0, 1.0],
    );
    let missing: Vec<_> = OpCode::ALL.iter().filter(|op| !SEEN.with_borrow(|s| s.contains(op))).collect();
    // Accumulation into buffers is in `run_errors`.
    assert_eq!(missing, [&OpCode::Accum], "ops that no case uses");
}

#[test]
fn elementwise_functions() {
    let one = |f: &str| eval(&format!("%y = {f} %x store y[i] = %y"));
    assert_eq!(one("inv0")[0], 1.0 / 3.0);
    assert_eq!(eval("%o = sub %x, %x %y = inv0 %o store y[i] = %y"), [0.0; 4]);
    assert_eq!(one("sqrt")[0], 3f64.sqrt());
    assert_eq!(one("floor"), [3.0, 1.0, 2.0, 1.0]);
    let ints = |f: &str| {
        eval(&format!(
            "%p = index at i - 3 as i64 %d = fill 2 as i64 %q = {f} %p, %d %y = cast %q as f64 store y[i] = %y"
        ))
    };
    assert_eq!(ints("idiv"), [-2.0, -1.0, -1.0, 0.0]);
    assert_eq!(ints("mod"), [1.0, 0.0, 1.0, 0.0]);
}

/// Rounding to element types on request: f32 and bf16, to nearest, ties to even.
#[test]
fn rounding_is_by_element_type() {
    let text = "plan p { buffer x: f64[i: 2] input buffer y: f32[i: 2] output buffer z: bf16[i: 2] output
        kernel k { axis i: 2 %x = load x[i] %y = cast %x as f32 %z = cast %x as bf16 store y[i] = %y store z[i] = %z } }";
    let plan = parse(text).unwrap();
    let x = [0.1, 1.0 + 1.0 / 256.0];
    let bindings = Bindings::default().buffer("x", Tensor { shape: vec![2], data: x.to_vec() });
    let exact = run(&plan, &bindings, Options::default()).unwrap();
    assert_eq!(exact.buffers["y"].data, x);
    let rounded = run(&plan, &bindings, Options { round: true, ..Options::default() }).unwrap();
    assert_eq!(rounded.buffers["y"].data, [f64::from(0.1f32), 1.0 + 1.0 / 256.0]);
    assert_eq!(rounded.buffers["z"].data, [0.10009765625, 1.0]);
}

#[test]
fn the_table_documents_itself() {
    let mut names: Vec<_> = OpCode::ALL.iter().map(|op| op.spec().name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), OpCode::ALL.len(), "op names are unique");
    insta::assert_snapshot!("op_table", docs());
}
