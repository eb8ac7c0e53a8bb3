//! Kernels made by the builder.

use weft_ir::kernel::interp::{Bindings, Options, Tensor, run};
use weft_ir::kernel::verify::verify;
use weft_ir::kernel::{Domain, ElemType, Expr, Guard, KernelBuilder, MapFn, Monoid, Plan, Role, parse};

/// Causal attention of width `d` over one head, as a scheduler would emit it.
fn attention(d: i64) -> Plan {
    let mut plan = Plan::new("attention");
    let (bq, bj) = (plan.tile("BQ", 4), plan.tile("BJ", 3));
    let batch = plan.add_extent("B", None);
    let time = plan.add_extent("T", Some(batch));
    let dims = |_: ()| vec![("b", Expr::from(batch)), ("t", Expr::ragged(time, Expr::Dim(0))), ("d", Expr::Const(d))];
    let q = plan.add_buffer("q", ElemType::F64, Role::Input, dims(()));
    let k = plan.add_buffer("k", ElemType::F64, Role::Input, dims(()));
    let o = plan.add_buffer("o", ElemType::F64, Role::Output, dims(()));

    let mut kb = KernelBuilder::new(&mut plan, "attend");
    let b = kb.grid("b", batch);
    let length = Expr::ragged(time, b);
    // A scalar before the last grid axis: numbering in the order of calls is not that of the text.
    let zero = kb.let_expr("zero", 0);
    let n = kb.grid("n", length.clone().ceil_div(bq));
    let (i, j, e) = (kb.axis("i", bq), kb.axis("j", bj), kb.axis("d", d));
    let t0 = kb.let_expr("t0", Expr::from(n) * bq);
    let row = Expr::from(t0) + i;
    kb.set_valid(i, (Expr::from(n) * bq + i).lt(length.clone()));
    kb.lanes(i);
    let in_rows = Guard::from(row.clone().lt(length.clone()));
    let t1 = kb.let_expr("t1", (Expr::from(t0) + bq).min(length));
    let qv = kb.load("q", q, [b.into(), row.clone(), e.into()], in_rows.clone(), Some(0.0.into()));
    let m0 = kb.fill("m", f64::NEG_INFINITY, ElemType::F64, i);
    let l0 = kb.fill("l", 0.0, ElemType::F64, i);
    let o0 = kb.fill("o", 0.0, ElemType::F64, [i, e].into_iter().collect::<weft_ir::kernel::AxisSet>());
    let full = Some((Expr::Const(0), Expr::from(t0) + 1));
    let domain = Domain::Dense { lo: zero.into(), hi: t1.into() };
    let body = kb.begin_loop("j", Some(j), domain, full, &[("m", m0), ("l", l0), ("o", o0)]);
    let edge = Expr::from(body.pos).lt(t1);
    let kv = kb.load("k", k, [b.into(), body.pos.into(), e.into()], edge.clone(), Some(0.0.into()));
    let s = kb.dot("s", qv, kv, e, None);
    let (m, r, w) = kb.online("w", s, body.carried[0], j, Guard::from(edge).and(Expr::from(body.pos).le(row.clone())));
    let l = kb.rescale("l", body.carried[1], r);
    let sum = kb.reduce("sum", w, Monoid::Sum, j, Guard::always());
    let l = kb.map("l", MapFn::Add, &[l, sum]);
    let acc = kb.rescale("o", body.carried[2], r);
    let acc = kb.dot("o", w, kv, j, Some(acc));
    let out = kb.end_loop(&[m, l, acc]);
    let norm = kb.map("norm", MapFn::Inv0, &[out[1]]);
    let y = kb.map("y", MapFn::Mul, &[out[2], norm]);
    kb.store(o, [b.into(), row, e.into()], y, in_rows);
    kb.finish().unwrap();
    plan
}

#[test]
fn built_kernels_verify_print_and_run() {
    let plan = attention(2);
    assert_eq!(verify(&plan), Ok(()));
    let text = plan.to_string();
    assert_eq!(parse(&text).as_ref(), Ok(&plan), "{text}");
    let x = |f: fn(f64) -> f64| Tensor { shape: vec![1, 7, 2], data: (0..14).map(|i| f(f64::from(i))).collect() };
    let (q, k) = (x(|i| (i * 0.7).sin()), x(|i| (i * 1.3).cos()));
    let bindings =
        Bindings::default().extent("B", vec![1]).extent("T", vec![7]).buffer("q", q.clone()).buffer("k", k.clone());
    let out = run(&plan, &bindings, Options::default()).unwrap();
    for t in 0..7 {
        let weight = |j: usize| (q.data[2 * t] * k.data[2 * j] + q.data[2 * t + 1] * k.data[2 * j + 1]).exp();
        let total: f64 = (0..=t).map(weight).sum();
        for d in 0..2 {
            let y: f64 = (0..=t).map(|j| weight(j) * k.data[2 * j + d]).sum::<f64>() / total;
            assert!((out.buffers["o"].data[2 * t + d] - y).abs() < 1e-14);
        }
    }
    // Rows in tiles of 4 (two tiles), keys in tiles of 3 below the tile's end: 2 + 3 tiles of 12 pairs each.
    let counts = out.counts["attend"];
    assert_eq!((counts.points, counts.iterations, counts.pairs), (2, 2 + 3, 5 * 12));
    assert_eq!(counts.live_pairs, 4 * 5 / 2 + (5 + 6 + 7) + 7, "padding rows count as they are guarded");
    assert_eq!(counts.madds, 2 * 2 * counts.pairs, "two dots of width 2");
    assert_eq!(counts.bytes_written, 7 * 2 * 8);
}

#[test]
fn mistakes_are_reported_at_the_end() {
    let mut plan = Plan::new("wrong");
    let mut kb = KernelBuilder::new(&mut plan, "k");
    let i = kb.axis("i", 4);
    let a = kb.fill("a", 1.0, ElemType::F64, i);
    let c = kb.map("c", MapFn::And, &[a, a]);
    kb.reduce("r", c, Monoid::Sum, i, Guard::always());
    let error = kb.finish().unwrap_err().to_string();
    assert_eq!(error, "kernel `k`: `and`: works on booleans, not on f64");
    assert!(plan.kernels.is_empty());

    let mut kb = KernelBuilder::new(&mut plan, "k");
    kb.begin_if(Expr::Const(0).lt(1));
    assert_eq!(kb.finish().unwrap_err().message, "a body is still open");
    let mut kb = KernelBuilder::new(&mut plan, "k");
    kb.end_loop(&[]);
    assert_eq!(kb.finish().unwrap_err().message, "end_loop does not match the open body");
}

#[test]
fn names_are_made_valid_and_unique() {
    let mut plan = Plan::new("a plan");
    assert_eq!(plan.name, "a_plan");
    plan.add_buffer("k.wz", ElemType::F32, Role::Param, vec![("e", Expr::Const(3)), ("e", Expr::Const(3))]);
    plan.add_buffer("k.wz", ElemType::F32, Role::Param, vec![("3", Expr::Const(3))]);
    let names: Vec<_> = plan.buffers.iter().map(|b| (b.name.as_str(), b.dims[0].name.as_str())).collect();
    assert_eq!(names, [("k.wz", "e"), ("k.wz_1", "_3")]);
    let mut kb = KernelBuilder::new(&mut plan, "k");
    kb.let_expr("min", 1);
    kb.let_expr("min", 2);
    kb.finish().unwrap();
    assert_eq!(parse(&plan.to_string()).as_ref(), Ok(&plan));
}
