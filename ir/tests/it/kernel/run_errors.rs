//! The interpreter's doubts: each kind of mistake is met and named.

use weft_ir::kernel::interp::{Bindings, Options, RunErrorKind, Tensor, run};
use weft_ir::kernel::parse;

fn kind_of(text: &str, bindings: &Bindings) -> RunErrorKind {
    let plan = parse(text).unwrap_or_else(|e| panic!("{e}"));
    let options = Options { fuel: 1000, ..Options::default() };
    match run(&plan, bindings, options) {
        Ok(_) => panic!("runs"),
        Err(e) => {
            assert!(!e.place.is_empty() && !e.message.is_empty(), "{e}");
            e.kind
        }
    }
}

fn vector(data: &[f64]) -> Tensor {
    Tensor { shape: vec![data.len()], data: data.to_vec() }
}

fn given() -> Bindings {
    Bindings::default()
        .extent("B", vec![4])
        .buffer("x", vector(&[1.0, 2.0, 3.0, 4.0]))
        .buffer("c", vector(&[0.0, 1.0, 2.0, 9.0]))
}

const HEAD: &str = "plan p { extent B buffer x: f64[b: B] input buffer c: i64[b: B] input buffer y: f64[b: B] output
    buffer z: f64[b: B] temp init 0.0 buffer u: i64[b: B] temp range 0 .. 4 ";

#[test]
fn every_kind_of_mistake_is_met() {
    use RunErrorKind as K;
    let cases = [
        (K::OutOfRange, "kernel k { grid b: B %a = load x[b + 1] store y[b] = %a }"),
        (K::OutOfRange, "kernel k { grid b: B let i = load c[b] %a = load x[i] store y[b] = %a }"),
        (K::Unwritten, "kernel k { grid b: B %a = load y[b] store z[b] = %a }"),
        (K::Overlap, "kernel k { grid b: B %a = load x[b] store y[b // 2] = %a }"),
        (K::Overlap, "kernel k { axis i: 4 %a = load x[i] store y[i // 2] = %a }"),
        (K::Overlap, "kernel k { grid b: B %a = load x[b] accum z[b // 2] += %a mode exclusive }"),
        (K::Race, "kernel k { grid b: B %a = load z[3 - b] store z[b] = %a }"),
        (K::Race, "kernel k { grid b: B %a = load z[b] accum z[b] += %a mode staged }"),
        (K::Undefined, "kernel k { axis i: 8 %c = load c[i] where [i < 3] %a = load x[%c] where [i < 4] else 0.0 }"),
        (K::Undefined, "kernel k { axis i: 8 %c = load x[i] where [i < 4] %p = gt %c, %c %a = load x[0] where [%p] else 0.0 }"),
        (K::Undefined, "kernel k { axis i: 8 scratch s: i64[2] %c = table_read s[1] let v = scalar %c }"),
        (
            K::FullClaim,
            "kernel k { axis i: 2 loop i0 at p over i in dense(0, 4) full [0, 4) { %a = load x[p] where [p < 3] else 0.0 } }",
        ),
        (
            K::FullClaim,
            "kernel k { axis i: 2 loop i0 at p over i in dense(0, 4) full [0, 4) { let v = p - 1 %a = load x[v] where [v >= 0] else 0.0 } }",
        ),
        (K::Range, "kernel k { grid b: B %a = load c[b] store u[b] = %a }"),
        (K::Limit, "kernel k { %t = fill true as bool %w = while max 3 carry (%g = %t) { yield %g } }"),
        (K::Limit, "kernel k { loop i at p in dense(0, 100000) { } }"),
        (K::Limit, "kernel k { let v = 9223372036854775807 + 1 }"),
        (K::Order, "kernel k { grid b: B %h = fill 1e300 as f64 %n = fill -1e300 as f64
            %e = load x[b] %big = mul %h, %e %odd = index at b % 2 as i64 %zero = fill 0 as i64 %is = gt %odd, %zero
            %m = mul %n, %e %a = select %is, %m, %big %f = fill 1e10 as f64 %i = mul %a, %f accum z[0] += %i mode ordered }"),
    ];
    for (kind, kernel) in cases {
        if kind == K::Order {
            // inf - inf is NaN in either order: the difference shows as undefined, which no tolerance admits.
            continue;
        }
        assert_eq!(kind_of(&format!("{HEAD} {kernel} }}"), &given()), kind, "{kernel}");
    }
}

#[test]
fn order_dependence_is_met() {
    // Cancellation: ((1e16 + 1) - 1e16) is 0 or 1 by the order, but that is rounding; maxima after sums are not.
    let text = format!(
        "{HEAD} kernel k {{ grid b: B %a = load x[b] accum z[0] += %a mode staged accum z[0] += %a by max mode staged }} }}"
    );
    assert_eq!(kind_of(&text, &given()), RunErrorKind::Order);
}

#[test]
fn bindings_are_checked() {
    let text = format!("{HEAD} kernel k {{ grid b: B %a = load x[b] store y[b] = %a }} }}");
    let bad = [
        Bindings::default(),
        given().extent("B", vec![-1]),
        given().extent("B", vec![4, 4]),
        given().extent("B", vec![5]),
        Bindings { buffers: Default::default(), ..given() },
    ];
    for bindings in bad {
        assert_eq!(kind_of(&text, &bindings), RunErrorKind::Binding);
    }
    let huge = given().extent("B", vec![1 << 60]);
    assert_eq!(kind_of(&text, &huge), RunErrorKind::Limit);
}

/// Claims are about existing elements: padding of another axis does not break them.
#[test]
fn full_claims_exempt_padding_of_other_axes() {
    let text = "plan p { extent B buffer x: f64[b: B] input buffer y: f64[b: B] output kernel k {
        axis i: 4 where [i < B] axis j: 1
        %m0 = fill -inf as f64 on [i]
        %m = loop j0 at p over j in dense(0, B) full [0, B) carry (%m1 = %m0) {
          %a = load x[p] where [p < B] else 0.0
          %m2, %r, %w = online %a, %m1 over j where [p < B, i <= p + 2]
          yield %m2
        }
        store y[i] = %m where [i < B] } }";
    let three = |n: i64, x: &[f64]| Bindings::default().extent("B", vec![n]).buffer("x", vector(x));
    let plan = parse(text).unwrap();
    let out = run(&plan, &three(3, &[5.0, 1.0, 2.0]), Options::default()).unwrap();
    assert_eq!(out.buffers["y"].data, [5.0, 5.0, 5.0]);
    assert_eq!(kind_of(text, &three(4, &[5.0, 1.0, 2.0, 0.0])), RunErrorKind::FullClaim);
}

/// A plan that does not depend on the order gives the same for every seed; values of temporaries are poisoned.
#[test]
fn accumulation_modes_agree() {
    let run_mode = |mode: &str, seed: u64| {
        let text = format!("{HEAD} kernel k {{ grid b: B %a = load x[b] accum z[b % 2] += %a mode {mode} }} }}");
        run(&parse(&text).unwrap(), &given(), Options { seed, ..Options::default() }).unwrap().buffers["z"].data.clone()
    };
    for mode in ["ordered", "staged", "atomic"] {
        for seed in 0..5 {
            assert_eq!(run_mode(mode, seed), [4.0, 6.0, 0.0, 0.0], "{mode}");
        }
    }
}
