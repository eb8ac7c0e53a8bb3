//! Every op by hand.

use weft_ir::eval::{Bindings, Elements, Error, Evaluator, Options, Tensor};
use weft_ir::graph::Graph;

/// Domains `b` (runtime), `t` (ragged over it) and `d` of 3, axes `b t j i d c`, inputs `x[b, t]`, `w[d]`, `n[d]`.
const HEAD: &str = "graph test
domain b = runtime
domain t = ragged(b) time
domain d = 3
axis b: b
axis t: t
axis j: t
axis i: t
axis d: d
axis c: d
in x[b, t]: float
in w[d]: float
in n[d]: i32
";

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Two batch elements of lengths 4 and 2.
fn bindings() -> Bindings {
    Bindings::new()
        .tensor("x", Tensor::floats(&[2, 4], vec![3.0, 1.0, 4.0, 1.0, 5.0, 9.0, NAN, NAN]))
        .tensor("w", Tensor::floats(&[3], vec![0.5, -2.0, 8.0]))
        .tensor("n", Tensor::ints(&[3], vec![2, -1, 7]))
        .lengths("t", &[4, 2])
}

/// The last node as output `y`, over its own axes.
fn run(nodes: &str) -> Result<Tensor, Error> {
    let last = nodes.lines().last().unwrap();
    let number = last.split(' ').next().unwrap();
    let signature = last.rsplit(" : ").next().unwrap();
    let (dtype, axes) = signature.split(';').next().unwrap().trim().split_once('[').unwrap();
    let text = format!("{HEAD}{nodes}\nout y[{axes}: {dtype} = {number}\n");
    let g = Graph::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    Evaluator::new(&g, &bindings())?.outputs().map(|mut o| o.swap_remove("y").unwrap())
}

#[track_caller]
fn floats(nodes: &str, want: &[f64]) {
    let got = run(nodes).unwrap();
    let Elements::F64(x) = &got.data else { panic!("{got:?}") };
    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
    assert!(x.len() == want.len() && x.iter().zip(want).all(same), "{x:?}, not {want:?}");
}

#[track_caller]
fn ints(nodes: &str, want: &[i64]) {
    assert_eq!(run(nodes).unwrap().data, Elements::I64(want.to_vec()));
}

#[track_caller]
fn undefined(nodes: &str, culprit: &str) {
    match run(nodes) {
        Err(Error::Undefined { node, .. }) => assert!(node.contains(culprit), "{node}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn elementwise() {
    let w = "%0 = input w : float[d]\n%1 = const 0.0 : float[]\n";
    floats(&format!("{w}%2 = div0 %0, %1 : float[d]"), &[0.0; 3]);
    floats(&format!("{w}%2 = div %0, %1 : float[d]"), &[INF, -INF, INF]);
    floats(&format!("{w}%2 = inv0 %1 : float[]"), &[0.0]);
    floats(&format!("{w}%2 = max %1, %0, %1 : float[d]"), &[0.5, 0.0, 8.0]);
    floats(&format!("{w}%2 = sign %0 : float[d]"), &[1.0, -1.0, 1.0]);
    floats(&format!("{w}%2 = floor %0 : float[d]"), &[0.0, -2.0, 8.0]);
    floats(&format!("{w}%2 = sqrt %0 : float[d]\n%3 = max %2, %1 : float[d]"), &[0.5f64.sqrt(), NAN, 8.0f64.sqrt()]);
    let n = "%0 = input n : i32[d]\n%1 = const 4 : i32[]\n";
    ints(&format!("{n}%2 = idiv %0, %1 : i32[d]"), &[0, -1, 1]);
    ints(&format!("{n}%2 = mod %0, %1 : i32[d]"), &[2, 3, 3]);
    ints(&format!("{w}%2 = cast i32 %0 : i32[d]"), &[0, -2, 8]);
    floats(&format!("{n}%2 = cast float %0 : float[d]"), &[2.0, -1.0, 7.0]);
}

#[test]
fn an_integer_of_no_number_is_undefined() {
    let nodes = "%0 = input w : float[d]\n%1 = log %0 : float[d]\n%2 = cast i32 %1 : i32[d]  ; level";
    undefined(nodes, "`level`");
}

#[test]
fn substitution_shifts_gathers_and_swaps() {
    let shift = "%0 = input w : float[d]\n%1 = index d : i32[d]\n%2 = const 1 : i32[]\n%3 = add %1, %2 : i32[d]\n\
                 %4 = sub %0 {d := %3} : float[d]";
    undefined(&format!("{shift}  ; next"), "`next`");
    let guarded = format!(
        "{shift}\n%5 = const 2 : i32[]\n%6 = lt %1, %5 : bool[d]\n%7 = const 9.0 : float[]\n\
         %8 = select %6, %4, %7 : float[d]"
    );
    floats(&guarded, &[-2.0, 8.0, 9.0]);
    // By data: n mod 3 = 2, 2, 1.
    let gather = "%0 = input w : float[d]\n%1 = input n : i32[d]\n%2 = const 3 : i32[]\n%3 = mod %1, %2 : i32[d]\n\
                  %4 = sub %0 {d := %3} : float[d]";
    floats(gather, &[8.0, 8.0, -2.0]);
    // Simultaneous: (d - c)[d := c, c := d] = c - d.
    let swap = "%0 = index d : i32[d]\n%1 = index c : i32[c]\n%2 = const 10 : i32[]\n%3 = mul %0, %2 : i32[d]\n\
                %4 = add %3, %1 : i32[d, c]\n%5 = sub %4 {d := %1, c := %0} : i32[d, c]";
    ints(swap, &[0, 10, 20, 1, 11, 21, 2, 12, 22]);
    // A diagonal.
    let diagonal = "%0 = index d : i32[d]\n%1 = index c : i32[c]\n%2 = const 10 : i32[]\n%3 = mul %0, %2 : i32[d]\n\
                    %4 = add %3, %1 : i32[d, c]\n%5 = sub %4 {c := %0} : i32[d]";
    ints(diagonal, &[0, 11, 22]);
}

#[test]
fn past_the_length_of_a_document_is_outside() {
    let next = "%0 = input x : float[b, t]\n%1 = index t : i32[t]\n%2 = const 1 : i32[]\n%3 = add %1, %2 : i32[t]\n\
                %4 = sub %0 {t := %3} : float[b, t]\n";
    undefined(&format!("{next}%5 = neg %4 : float[b, t]"), "`sub`");
    // Of the second document only: positions 2 and 3 are in the tensor, as padding.
    let third = "%0 = input x : float[b, t]\n%1 = const 2 : i32[]\n%2 = sub %0 {t := %1} : float[b]";
    undefined(third, "input `x`");
    let guarded = format!(
        "{next}%5 = size t : i32[b]\n%6 = lt %3, %5 : bool[b, t]\n%7 = const 0.0 : float[]\n\
         %8 = select %6, %4, %7 : float[b, t]"
    );
    floats(&guarded, &[1.0, 4.0, 1.0, 0.0, 9.0, 0.0, 0.0, 0.0]);
}

#[test]
fn guards_are_strong_zeros() {
    // sum over j <= t of 1 / x[j - 1] where j >= 1: j = 0 reads outside, and padding is NaN.
    let head = "%0 = input x : float[b, t]\n%1 = index j : i32[j]\n%2 = const 1 : i32[]\n%3 = sub %1, %2 : i32[j]\n\
                %4 = sub %0 {t := %3} : float[b, j]\n%5 = index t : i32[t]\n%6 = le %1, %5 : bool[t, j]\n\
                %7 = le %2, %1 : bool[j]\n";
    floats(&format!("{head}%8 = ein {{j}} [%6, %7] %4 : float[b, t]"), &[0.0, 3.0, 4.0, 8.0, 0.0, 5.0, 0.0, 0.0]);
    undefined(&format!("{head}%8 = ein {{j}} [%6] %4 : float[b, t]  ; total"), "`sub`");
    // An infinity times a guarded nothing: exp(1000 (t - j)) for j > t.
    let decay = format!(
        "{head}%8 = sub %1, %5 : i32[t, j]\n%9 = cast float %8 : float[t, j]\n%10 = const 1000.0 : float[]\n\
         %11 = mul %9, %10 : float[t, j]\n%12 = exp %11 : float[t, j]\n%13 = sub %0 {{t := %1}} : float[b, j]\n\
         %14 = ein {{j}} [%6] %12, %13 : float[b, t]"
    );
    floats(&decay, &[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 0.0, 0.0]);
}

#[test]
fn sums_over_ragged_time() {
    let x = "%0 = input x : float[b, t]\n";
    floats(&format!("{x}%1 = ein {{t}} %0 : float[b]"), &[9.0, 14.0]);
    floats(&format!("{x}%1 = ein {{b, t}} %0 : float[]"), &[23.0]);
    // mean(b, t: x)
    floats(
        &format!(
            "{x}%1 = ein {{b, t}} %0 : float[]\n%2 = const 1.0 : float[]\n%3 = ein {{b, t}} %2 : float[]\n\
             %4 = div %1, %3 : float[]"
        ),
        &[23.0 / 6.0],
    );
    ints("%0 = size t : i32[b]", &[4, 2]);
    ints("%0 = const 1 : i32[]\n%1 = ein {d, c} %0 : i32[]", &[9]);
    // Positions of a shared axis are as many as the longest has.
    ints("%0 = index t : i32[t]", &[0, 1, 2, 3]);
}

#[test]
fn extrema_and_decisions() {
    let x = "%0 = input x : float[b, t]\n%1 = index t : i32[t]\n%2 = index j : i32[j]\n%3 = lt %2, %1 : bool[t, j]\n\
             %4 = sub %0 {t := %2} : float[b, j]\n";
    floats(&format!("{x}%5 = reduce_max {{j}} [%3] %4 : float[b, t]"), &[-INF, 3.0, 3.0, 4.0, -INF, 5.0, 0.0, 0.0]);
    ints(&format!("{x}%5 = argmax {{j}} [%3] %4 : i32[b, t]"), &[0, 0, 0, 2, 0, 0, 0, 0]);
    // Ties go to the lower index.
    ints(&format!("{x}%5 = argmin {{t}} %0 : i32[b]"), &[1, 0]);
    let rank = |r: i64| format!("{x}%5 = const {r} : i32[]\n");
    ints(&format!("{}%6 = kth_index {{t}} %0, %5 : i32[b]", rank(2)), &[1, i64::from(i32::MAX)]);
    ints(&format!("{}%6 = kth_index {{t}} %0, %5 : i32[b]", rank(3)), &[3, i64::from(i32::MAX)]);
    floats(&format!("{}%6 = kth_value {{t}} %0, %5 : float[b]", rank(1)), &[3.0, 5.0]);
    floats(&format!("{}%6 = kth_value {{t}} %0, %5 : float[b]", rank(3)), &[1.0, -INF]);
    floats(&format!("{}%6 = kth_value {{t}} %0, %5 : float[b]", rank(-1)), &[INF, INF]);
}

#[test]
fn thresholds() {
    let x = "%0 = input x : float[b, t]\n%1 = const 2.0 : float[]\n";
    // 4 and 3 have at least 1 above: exact top two, tau = 3 - 1. Two members: minus infinity.
    floats(&format!("{x}%2 = threshold.ramp {{t}} %0, %1 : float[b]"), &[2.0, -INF]);
    // 4 - 2.5 + 3 - 2.5 = 2; 9 - 7 = 2.
    floats(&format!("{x}%2 = threshold.relu {{t}} %0, %1 : float[b]"), &[2.5, 7.0]);
    floats(&format!("{x}%2 = threshold.mass {{t}} %0, %1 : float[b]"), &[4.0, 9.0]);
    // One member: ((9 - tau) / 2)^2 = 2.
    let Elements::F64(tau) = run(&format!("{x}%2 = threshold.entmax15 {{t}} %0, %1 : float[b]")).unwrap().data else {
        panic!()
    };
    assert!((tau[1] - (9.0 - 2.0 * 2.0f64.sqrt())).abs() < 1e-14);
}

#[test]
fn a_row_without_members_is_zero() {
    // softmax over j < t, read at t = 0.
    let nodes = "%0 = input x : float[b, t]\n%1 = index t : i32[t]\n%2 = index j : i32[j]\n%3 = lt %2, %1 : bool[t, j]\n\
                 %4 = sub %0 {t := %2} : float[b, j]\n%5 = exp %4 : float[b, j]\n%6 = ein {j} [%3] %5 : float[b, t]\n\
                 %7 = ein {j} [%3] %5, %4 : float[b, t]\n%8 = div0 %7, %6 : float[b, t]";
    let Elements::F64(y) = run(nodes).unwrap().data else { panic!() };
    assert_eq!((y[0], y[1], y[4], y[5]), (0.0, 3.0, 0.0, 5.0));
}

#[test]
fn recurrences_restart_and_mix() {
    let g = |body: &str| {
        let text = format!("{HEAD}rec S over t[b]: float\nrec M over t[d]: float\n{body}\n");
        let g = Graph::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        Evaluator::new(&g, &bindings()).unwrap().outputs().map(|o| o["y"].to_f64())
    };
    // S[t] = x[t] + (if t % 2 == 0 then 0 else 10 S[t - 1])
    let restart = "%0 = input x : float[b, t]\n%1 = index t : i32[t]\n%2 = const 2 : i32[]\n%3 = mod %1, %2 : i32[t]\n\
                   %4 = const 0 : i32[]\n%5 = eq %3, %4 : bool[t]\n%6 = prev S : float[b, t]\n%7 = const 10.0 : float[]\n\
                   %8 = mul %6, %7 : float[b, t]\n%9 = const 0.0 : float[]\n%10 = select %5, %9, %8 : float[b, t]\n\
                   %11 = add %0, %10 : float[b, t]\n%12 = rec S %11 : float[b, t]\nout y[b, t]: float = %12";
    assert_eq!(g(restart).unwrap(), [3.0, 31.0, 4.0, 41.0, 5.0, 59.0, 0.0, 0.0]);
    // M[t, d] = if t == 0 then w else M[t - 1, 2 - d] + 1
    let mix = "%0 = input w : float[d]\n%1 = index t : i32[t]\n%2 = const 0 : i32[]\n%3 = eq %1, %2 : bool[t]\n\
               %4 = prev M : float[t, d]\n%5 = const 2 : i32[]\n%6 = index d : i32[d]\n%7 = sub %5, %6 : i32[d]\n\
               %8 = sub %4 {d := %7} : float[t, d]\n%9 = const 1.0 : float[]\n%10 = add %8, %9 : float[t, d]\n\
               %11 = select %3, %0, %10 : float[t, d]\n%12 = rec M %11 : float[t, d]\nout y[t, d]: float = %12";
    assert_eq!(g(mix).unwrap(), [0.5, -2.0, 8.0, 9.0, -1.0, 1.5, 2.5, 0.0, 10.0, 11.0, 1.0, 3.5]);
    // Without the condition the first step reads what is not there.
    let open = "%0 = input x : float[b, t]\n%1 = prev S : float[b, t]\n%2 = add %0, %1 : float[b, t]\n\
                %3 = rec S %2 : float[b, t]\nout y[b, t]: float = %3";
    assert!(matches!(g(open), Err(Error::Undefined { node, .. }) if node.contains("prev")));
    // Reading the state of another time is no recurrence.
    let past = "%0 = const 0 : i32[]\n%1 = prev S : float[b, t]\n%2 = sub %1 {t := %0} : float[b]\n\
                %3 = rec S %2 : float[b, t]\nout y[b, t]: float = %3";
    assert!(matches!(g(past), Err(Error::Unsupported { .. })));
}

#[test]
fn reverse_recurrences_begin_at_each_end() {
    let g = |body: &str, options: Options| {
        let text = format!("{HEAD}rec S over t[b]: float reverse\n{body}\n");
        let g = Graph::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(Graph::parse(&g.to_string()).unwrap().recs(), g.recs());
        let ev = Evaluator::with_options(&g, &bindings(), options).unwrap();
        ev.outputs().map(|o| o["y"].to_f64())
    };
    // S[t] = x[t] + [t + 1 < T[b]] 10 S[t + 1]
    let guarded = "%0 = input x : float[b, t]\n%1 = index t : i32[t]\n%2 = const 1 : i32[]\n%3 = add %1, %2 : i32[t]\n\
                   %4 = size t : i32[b]\n%5 = lt %3, %4 : bool[b, t]\n%6 = prev S : float[b, t]\n%7 = const 10.0 : float[]\n\
                   %8 = ein {} [%5] %6, %7 : float[b, t]\n%9 = add %0, %8 : float[b, t]\n%10 = rec S %9 : float[b, t]\n\
                   out y[b, t]: float = %10";
    let want = [1413.0, 141.0, 14.0, 1.0, 95.0, 9.0, 0.0, 0.0];
    assert_eq!(g(guarded, Options::default()).unwrap(), want);
    assert_eq!(g(guarded, Options { block: 40, store: 0, ..Options::default() }).unwrap(), want);
    // A guard against the longest extent does not hide that a shorter element has ended.
    let longest = guarded.replace("%4 = size t : i32[b]", "%4 = const 4 : i32[]");
    let longest = longest.replace("%5 = lt %3, %4 : bool[b, t]", "%5 = lt %3, %4 : bool[t]");
    let error = g(&longest, Options::default());
    assert!(
        matches!(&error, Err(Error::Undefined { node, position, .. }) if node.contains("prev") && position == &[1, 0]),
        "{error:?}"
    );
}

#[test]
fn gradients_have_no_part_in_values() {
    let nodes = "%0 = input w : float[d]\n%1 = const 0.0 : float[]\n%2 = div %1, %1 : float[]\n%3 = stop %0 : float[d]\n\
                 %4 = ste %3, %2 : float[d]";
    floats(nodes, &[0.5, -2.0, 8.0]);
}

#[test]
fn a_matrix_product_takes_its_multiply_adds() {
    let text = "graph m\ndomain i = 5\ndomain k = 7\ndomain j = 6\naxis i: i\naxis k: k\naxis j: j\n\
                in a[i, k]: float\nin b[k, j]: float\n%0 = input a : float[i, k]\n%1 = input b : float[k, j]\n\
                %2 = ein {k} %0, %1 : float[i, j]\nout c[i, j]: float = %2\n";
    let g = Graph::parse(text).unwrap();
    let a: Vec<f64> = (0..35).map(f64::from).collect();
    let b: Vec<f64> = (0..42).map(|x| f64::from(x % 5)).collect();
    let bind =
        Bindings::new().tensor("a", Tensor::floats(&[5, 7], a.clone())).tensor("b", Tensor::floats(&[7, 6], b.clone()));
    let ev = Evaluator::new(&g, &bind).unwrap();
    let c = ev.outputs().unwrap()["c"].to_f64();
    assert_eq!(c[8], (0..7).map(|k| a[7 + k] * b[k * 6 + 2]).sum::<f64>());
    assert_eq!(ev.multiply_adds(), 5 * 6 * 7);
}
