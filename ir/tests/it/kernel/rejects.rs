//! One small kernel for each property that the verifier checks, and the words with which it is refused.

use std::fmt::Write;

use weft_ir::kernel::verify::verify;
use weft_ir::kernel::{Expr, Stmt, parse};

/// Declarations around the kernels.
const HEAD: &str = "
plan p {
  size D = 3
  tile BQ = 4, BJ = 4
  extent B, T[B]
  buffer x: f64[b: B, t: T[b], d: D] input
  buffer wild: i64[b: B, t: T[b]] input
  buffer code: i64[b: B, t: T[b]] input range 0 .. D
  buffer ends: i64[b: B, r: D] input range 0 .. T
  buffer y: f64[b: B, t: T[b]] output
";

/// Rows of a tile, complete and correct; `%q` is a row.
const ROWS: &str = "
    grid b: B, n: ceil(T[b] / BQ)
    axis i: BQ where [n * BQ + i < T[b]]
    axis j: BJ, d: D, e: D
    let t0 = n * BQ
    %q = load x[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %z = fill 0.0 as f64 on [i]
";

/// (the property, the kernel's body after `ROWS`); `STORE` stands for a correct store of `%z`.
const CASES: &[(&str, &str)] = &[
    ("a correct kernel", "STORE"),
    ("loads are in range or guarded", "%a = load x[b, t0 + i, d] STORE"),
    ("loads are in range: lower bound", "%a = load x[b, t0 + i - 1, d] where [t0 + i < T[b]] else 0.0 STORE"),
    ("loads are in range: ragged, not padded, extents", "%a = load x[b, t0 + i, d] where [t0 + i < T] else 0.0 STORE"),
    (
        "a gather has a range",
        "%c = load wild[b, t0 + i] where [t0 + i < T[b]] else 0
      %a = load x[b, t0 + i, %c] where [t0 + i < T[b]] else 0.0 STORE",
    ),
    (
        "a gather from a buffer with a range is accepted",
        "%c = load code[b, t0 + i] where [t0 + i < T[b]] else 0
      %a = load x[b, t0 + i, %c] where [t0 + i < T[b]] else 0.0 STORE",
    ),
    (
        "a gather exists",
        "%c = load code[b, t0 + i] where [t0 + i < T[b], i < 2]
      %a = load x[b, t0 + i, %c] where [t0 + i < T[b]] else 0.0 STORE",
    ),
    (
        "a gather that exists is accepted",
        "%c = load code[b, t0 + i] where [t0 + i < T[b], i < 2]
      %a = load x[b, t0 + i, %c] where [t0 + i < T[b], i < 1] else 0.0 STORE",
    ),
    (
        "positions of lists exist",
        "loop j0 at p over j in list(ends[b], min(D, T[b])) {
        %a = load x[b, p, d] where [p < T[b]] else 0.0
      } STORE",
    ),
    (
        "a clamped gather is accepted",
        "%c = load wild[b, t0 + i] where [t0 + i < T[b]] else 0
      %last = fill 2 as i64
      %zero = fill 0 as i64
      %low = max %c, %zero
      %in = min %low, %last
      %a = load x[b, t0 + i, %in] where [t0 + i < T[b]] else 0.0 STORE",
    ),
    (
        "a guarded gather is accepted",
        "%c = load wild[b, t0 + i] where [t0 + i < T[b]] else 0
      %a = load x[b, t0 + i, %c] where [t0 + i < T[b], %c >= 0, %c < D] else 0.0 STORE",
    ),
    (
        "ranges of positions are those of other sequences",
        "%c = load ends[b, e]
      %a = load x[b, %c, d] STORE",
    ),
    (
        "stores are injective over the grid",
        "%a = reduce %z by sum over i where [t0 + i < T[b]]
      let r = n // 2
      %ai = expand %a on [i]
      store y[b, r * BQ + i] = %ai where [r * BQ + i < T[b], t0 + i < T[b]]",
    ),
    (
        "stores are injective over the tile",
        "%a = reduce %q by sum over d
      store y[b, t0 + i // 2] = %a where [t0 + i < T[b]]",
    ),
    ("stores have all axes of the tile", "store y[b, t0 + i] = %q where [t0 + i < T[b]]"),
    (
        "a scattering store needs `accum`",
        "%c = load code[b, t0 + i] where [t0 + i < T[b]] else 0
      store y[b, %c] = %z where [t0 + i < T[b], %c < T[b]]",
    ),
    ("exclusive accumulation is exclusive", "accum y[b, i] += %z where [t0 + i < T[b]] mode exclusive"),
    ("clamping is not a guard", "store y[b, min(t0 + i, T[b] - 1)] = %z"),
    ("stored elements are in range", "store y[b, t0 + i] = %z"),
    (
        "inputs are not written",
        "%o = fill 0.0 as f64 on [i, d]
      store x[b, t0 + i, d] = %o where [t0 + i < T[b]] STORE",
    ),
    ("buffers are written before they are read", "%a = load y[b, t0 + i] where [t0 + i < T[b]] else 0.0 STORE"),
    (
        "reductions over partial tiles are guarded",
        "%l = loop j0 at p over j in dense(0, T[b]) carry (%s = %z) {
        %k = load x[b, p, d] where [p < T[b]]
        %a = dot %q, %k over d
        %c = reduce %a by sum over j
        %s1 = add %s, %c
        yield %s1
      } STORE",
    ),
    (
        "a sum of what is 0 on padding is accepted",
        "%l = loop j0 at p over j in dense(0, T[b]) carry (%s = %z) {
        %k = load x[b, p, d] where [p < T[b]] else 0.0
        %c = reduce %k by sum over j, d
        %s1 = add %s, %c
        yield %s1
      } STORE",
    ),
    (
        "a guard that holds only where the row exists is accepted",
        "%m0 = fill -inf as f64 on [i]
      %m = loop j0 at p over j in dense(0, T[b]) carry (%s = %m0) {
        %k = load x[b, p, d] where [p < T[b]] else 0.0
        %a = dot %q, %k over d
        %m1, %r, %w = online %a, %s over j where [p <= t0 + i]
        yield %m1
      } STORE",
    ),
    (
        "a softmax over a partial tile is guarded",
        "%m0 = fill -inf as f64 on [i]
      %m = loop j0 at p over j in dense(0, T[b]) carry (%s = %m0) {
        %k = load x[b, p, d] where [p < T[b]] else 0.0
        %a = dot %q, %k over d
        %m1, %r, %w = online %a, %s over j where [p >= t0 + i]
        yield %m1
      } STORE",
    ),
    (
        "operands of a dot are 0 on padding",
        "%l = loop j0 at p over j in dense(0, T[b]) carry (%s = %z) {
        %k = load x[b, p, d] where [p < T[b]]
        %k1 = load x[b, p, e] where [p < T[b]] else 0.0
        %a = dot %k, %k1 over j
        yield %s
      } STORE",
    ),
    (
        "a dot whose operands are 0 where a comparison of positions says so is accepted",
        "%l = loop j0 at p over j in dense(0, T[b]) carry (%s = %z) {
        %k = load x[b, p, d] where [p < T[b]]
        %k1 = load x[b, p, e] where [p < T[b]] else 0.0
        %at = index at p as i32
        %end = index at T[b] as i32
        %ok = lt %at, %end
        %zero = fill 0.0 as f64
        %k2 = select %ok, %k, %zero
        %a = dot %k2, %k1 over j
        yield %s
      } STORE",
    ),
    (
        "a comparison of positions that lets padding through does not make operands of a dot 0",
        "%l = loop j0 at p over j in dense(0, T[b]) carry (%s = %z) {
        %k = load x[b, p, d] where [p < T[b]]
        %k1 = load x[b, p, e] where [p < T[b]] else 0.0
        %at = index at p as i32
        %end = index at T[b] as i32
        %ok = le %at, %end
        %zero = fill 0.0 as f64
        %k2 = select %ok, %k, %zero
        %a = dot %k2, %k1 over j
        yield %s
      } STORE",
    ),
    (
        "selection excludes padding",
        "loop j0 at p over j in dense(0, T[b]) {
        %k = load code[b, p] where [p < T[b]] else 0
        %f = cast %k as f64
        %v, %at = topk %f over j to e
      } STORE",
    ),
    ("a reversed scan has no padding", "%s = scan %q by sum over i rev STORE"),
    (
        "carried values agree in type",
        "%l = loop j0 at p over j in dense(0, T[b]) carry (%s = %z) {
        yield %q
      } STORE",
    ),
    (
        "carried values do not vary over the loop's axis",
        "%w = fill 0.0 as f64 on [j]
      %l = loop j0 at p over j in dense(0, T[b]) carry (%s = %w) {
        yield %s
      } STORE",
    ),
    (
        "every carried value is yielded",
        "%l = loop j0 at p over j in dense(0, T[b]) carry (%s = %z) {
      } STORE",
    ),
    (
        "definitions dominate uses",
        "loop j0 at p over j in dense(0, T[b]) {
        %a = fill 0.0 as f64
      }
      %c = neg %a STORE",
    ),
    (
        "scalars dominate uses",
        "loop j0 at p over j in dense(0, T[b]) {
        let u = j0 + 1
      }
      %c = index at u as i64 STORE",
    ),
    (
        "values over a loop's axis are made inside",
        "%w = fill 0.0 as f64 on [j]
      loop j0 at p over j in dense(0, T[b]) {
        %c = neg %w
      } STORE",
    ),
    (
        "nested loops have different axes",
        "loop j0 at p over j in dense(0, T[b]) {
        loop j1 at p1 over j in dense(0, T[b]) {
        }
      } STORE",
    ),
    (
        "the axis of a loop has no validity",
        "loop j0 at p over i in dense(0, T[b]) {
      } STORE",
    ),
    (
        "lists are bounded",
        "let many = load wild[b, 0]
      loop j0 at p over j in list(ends[b], many) {
      } STORE",
    ),
    (
        "a bounded list is accepted",
        "loop j0 at p over j in list(ends[b], min(D, T[b])) {
        %a = load x[b, p, d] where [j0 + j < min(D, T[b]), p < T[b]] else 0.0
      } STORE",
    ),
    (
        "lists hold integers",
        "loop j0 at p over j in list(x[b, 0], D) {
      } STORE",
    ),
    (
        "strides are positive",
        "loop j0 at p over j in strided(0, 0, 0, T[b]) {
      } STORE",
    ),
    ("expressions are quasi-affine: products", "let u = n * t0 STORE"),
    ("expressions are quasi-affine: divisors", "let u = t0 // n STORE"),
    (
        "bounds are uniform",
        "loop j0 at p over j in dense(0, t0 + i) {
      } STORE",
    ),
    (
        "conditions of branches are uniform",
        "if [t0 + i < 3] {
      } STORE",
    ),
    ("branches yield one type", "%c = if [n > 0] { yield %z } else { yield %q } STORE"),
    ("the condition of a while is a bool", "%w = while max 3 carry (%g = %z) { yield %g } STORE"),
    ("ragged extents are asked in range", "let u = T[n] STORE"),
    ("positions of take are in range", "%c = take %q over d at D STORE"),
];

fn judge(text: &str) -> String {
    let plan = match parse(text) {
        Ok(plan) => plan,
        Err(e) => return format!("parser: {}", e.message),
    };
    match verify(&plan) {
        Ok(()) => "accepted".into(),
        Err(errors) => errors.iter().map(|e| format!("{e}\n    ")).collect::<String>().trim_end().into(),
    }
}

#[test]
fn every_property_is_checked() {
    let mut report = String::new();
    for (property, body) in CASES {
        let body = body.replace("STORE", "\n      store y[b, t0 + i] = %z where [t0 + i < T[b]]");
        let verdict = judge(&format!("{HEAD}\n  kernel k {{{ROWS}\n{body}\n  }}\n}}"));
        let accepted = property.contains("accepted") || property.contains("a correct kernel");
        assert_eq!(verdict == "accepted", accepted, "{property}: {verdict}");
        writeln!(report, "{property}\n    {verdict}").unwrap();
    }
    insta::assert_snapshot!("rejects", report);
}

/// (the property, a whole plan)
const PLANS: &[(&str, &str)] = &[
    (
        "padding reaches no store",
        "plan p { extent B buffer y: f64[n: B, i: 4] output kernel k { grid n: B axis i: 4 where [i < 3] %a = fill 0.0 as f64 on [i]
         store y[n, i] = %a } }",
    ),
    ("ranges belong to integers", "plan p { buffer y: f64[t: 3] output range 0 .. 2 kernel k { } }"),
    ("tile axes have positive extents", "plan p { tile Z = 0 kernel k { axis i: Z } }"),
    ("tile axes have static extents", "plan p { extent B kernel k { axis i: B } }"),
    ("scratch tables have static extents", "plan p { extent B kernel k { scratch s: f64[B] } }"),
    ("outputs are written", "plan p { buffer y: f64[t: 3] output }"),
    ("initial values fit", "plan p { buffer y: i64[t: 3] output init 0.5 }"),
    ("extents speak of earlier dimensions", "plan p { extent B, T[B] buffer y: f64[t: T[2]] input }"),
    ("scratch accesses are in range", "plan p { kernel k { axis i: 4 scratch s: f64[3] init 0.0 %a = table_read s[i] } }"),
    ("table_set is injective", "plan p { kernel k { axis i: 4 scratch s: f64[4] %a = fill 0.0 as f64 on [i] table_set s[i // 2] = %a } }"),
    (
        "grid points read what no other one stores",
        "plan p { extent B buffer y: f64[b: B] output init 0.0 kernel k { grid b: B %a = load y[B - 1 - b] store y[b] = %a } }",
    ),
    (
        "updates in place are accepted",
        "plan p { extent B buffer y: f64[b: B, i: 8] output init 0.0 kernel k { grid b: B, n: 2 axis i: 4
         %a = load y[b, n * 4 + 3 - i] store y[b, n * 4 + i] = %a } }",
    ),
    (
        "statements do not store over each other",
        "plan p { extent B buffer y: f64[b: B] output kernel k { grid b: B %a = fill 0.0 as f64
         store y[b] = %a where [b < 3] store y[b - 1] = %a where [b > 3] store y[3] = %a where [b == 1, B > 3] } }",
    ),
    (
        "accumulated buffers are not read",
        "plan p { extent B buffer y: f64[b: B] output init 0.0 kernel k { grid b: B %a = load y[b] accum y[b] += %a mode staged } }",
    ),
    (
        "an elementwise copy is accepted",
        "plan p { extent B buffer x: f64[b: B] input buffer y: f64[b: B] output kernel k { grid b: B %a = load x[b] store y[b] = %a } }",
    ),
    (
        "flattened stores are shown to be injective: accepted",
        "plan p { extent B buffer y: f64[b: B, e: 6] output kernel k { grid b: B, h: 2 axis d: 3 %a = fill 1.0 as f64 on [d]
         store y[b, h * 3 + d] = %a } }",
    ),
    (
        "overlapping stores of neighbours",
        "plan p { extent B buffer y: f64[b: B, e: 6] output kernel k { grid b: B, h: 2 axis d: 4 %a = fill 1.0 as f64 on [d]
         store y[b, h * 2 + d] = %a } }",
    ),
];

#[test]
fn every_declaration_is_checked() {
    let mut report = String::new();
    for (property, text) in PLANS {
        let verdict = judge(text);
        assert_eq!(verdict == "accepted", property.contains("accepted"), "{property}: {verdict}");
        writeln!(report, "{property}\n    {verdict}").unwrap();
    }
    insta::assert_snapshot!("declarations", report);
}

/// What the parser cannot produce is refused too.
#[test]
fn malformed_values_are_refused() {
    let text = format!("{HEAD}\n  kernel k {{{ROWS} store y[b, t0 + i] = %z where [t0 + i < T[b]] }} }}");
    let plan = parse(&text).unwrap();
    assert_eq!(verify(&plan), Ok(()));
    let says = |plan: &weft_ir::kernel::Plan, what: &str| {
        let errors = verify(plan).unwrap_err();
        assert!(errors.iter().any(|e| e.message.contains(what)), "{errors:?}");
    };

    let mut twice = plan.clone();
    let again = twice.kernels[0].body[0].clone();
    twice.kernels[0].body.insert(1, again);
    says(&twice, "`t0` is defined twice");

    let mut order = plan.clone();
    order.kernels[0].body.swap(0, 1);
    says(&order, "`t0` is used where its definition does not dominate");

    let mut ids = plan.clone();
    if let Stmt::Inst(inst) = &mut ids.kernels[0].body[1] {
        inst.results[0] = weft_ir::kernel::ValueId::new(99);
    }
    says(&ids, "a statement names what is not in the tables");

    let mut types = plan.clone();
    types.kernels[0].values[0].ty.elem = weft_ir::kernel::ElemType::F32;
    says(&types, "the results have other types than the op gives");

    let mut names = plan.clone();
    names.kernels[0].vars[0].name = "loop".into();
    says(&names, "`loop` is not a name");

    let mut dims = plan;
    dims.kernels[0].grid[1].extent = Expr::Dim(0);
    says(&dims, "a dimension of a buffer stands in a kernel");
}
