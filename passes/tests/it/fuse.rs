//! Fusion on hand-written plans: what is fused, what must not be, and that results stay.

use super::lower::harness::{check, plan, results, set_tiles};
use weft_ir::kernel::verify::verify;
use weft_ir::kernel::{OpCode, Plan, Stmt};
use weft_passes::fuse::{Fused, fuse_plan, planned_for};

/// The plan around kernels: rows of `x`, a tile of them at each grid point.
fn around(buffers: &str, kernels: &str) -> String {
    format!(
        "plan rows {{
  size D = 6
  tile BT = 4
  extent B
  extent T[B]
  buffer x: f32[b: B, t: T[b], d: D] input
  buffer w: f32[d: D, e: D] param
{buffers}
{kernels}
}}"
    )
}

/// A kernel over row tiles; `$n` is replaced by the name of the grid axis, so that no two kernels need have equal names.
fn kernel(name: &str, more_axes: &str, body: &str) -> String {
    format!(
        "  kernel {name} {{
    grid b: B, n: ceil(T[b] / BT)
    axis i: BT where [n * BT + i < T[b]]
    axis d: D
{more_axes}
    lanes i
    let t0 = n * BT
{body}
  }}"
    )
}

/// Fuses, and compares outputs and decisions at several tile extents and lengths, in the interpreter and as machine code.
#[track_caller]
fn fused(text: &str) -> (Plan, Vec<String>) {
    let mut out = None;
    for tile in [4, 1, 3, 8] {
        let mut before = plan(text, &[]);
        set_tiles(&mut before, tile);
        let mut after = before.clone();
        let Fused { notes, moved, .. } = fuse_plan(&mut after, &planned_for(), &|_| None);
        assert_eq!(moved.len(), before.buffers.len());
        if let Err(errors) = verify(&after) {
            panic!("{errors:?}\n{after}");
        }
        for lengths in [&[9i64][..], &[1], &[5, 1, 14]] {
            let lengths = &[("B", &[lengths.len() as i64][..]), ("T", lengths)];
            let (a, b) = (results(&before, lengths, 3, |_, _| {}), results(&after, lengths, 3, |_, _| {}));
            for (name, _) in &a.compiled {
                let (x, y) = (&a.interpreted.buffers[name.as_str()], &b.interpreted.buffers[name.as_str()]);
                let bits = |t: &[f64]| t.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&x.data), bits(&y.data), "{name}\n{after}");
            }
            check(&after, lengths, 3, 1e-5);
        }
        out.get_or_insert((after, notes));
    }
    out.unwrap()
}

fn count(plan: &Plan, op: OpCode) -> usize {
    fn within(stmts: &[Stmt], op: OpCode) -> usize {
        let each = stmts.iter().map(|s| match s {
            Stmt::Inst(i) => usize::from(i.op == op),
            Stmt::Loop(l) => within(&l.body, op),
            Stmt::While(w) => within(&w.body, op),
            Stmt::If(i) => within(&i.then_body, op) + within(&i.else_body, op),
            Stmt::Let(_) => 0,
        });
        each.sum()
    }
    plan.kernels.iter().map(|k| within(&k.body, op)).sum()
}

const DOUBLE: &str = "    %x: f32[i, d] = load x[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %u: f32[i, d] = add %x, %x
    store u[b, t0 + i, d] = %u where [t0 + i < T[b]]";
const TEMP: &str = "  buffer u: f32[b: B, t: T[b], d: D] temp\n  buffer y: f32[b: B, t: T[b], d: D] output";

#[test]
fn a_value_is_passed_on() {
    let reader = "    %u: f32[i, d] = load u[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %y: f32[i, d] = exp %u
    store y[b, t0 + i, d] = %y where [t0 + i < T[b]]";
    let (plan, notes) = fused(&around(TEMP, &(kernel("first", "", DOUBLE) + "\n" + &kernel("second", "", reader))));
    assert_eq!((plan.kernels.len(), count(&plan, OpCode::TableRead)), (1, 0), "{plan}");
    assert!(plan.buffer_named("u").is_none(), "{plan}");
    assert_eq!(notes, ["first+second: one kernel: moves 50 % less (u)"]);
}

#[test]
fn other_positions_of_the_tile_are_read_from_a_table() {
    let reader = "    %a: f32[i, d] = load u[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %b: f32[i, d] = load u[b, t0 + i, d - 2] where [t0 + i < T[b], d - 2 >= 0] else 5.0
    %y: f32[i, d] = mul %a, %b
    store y[b, t0 + i, d] = %y where [t0 + i < T[b]]";
    let (plan, _) = fused(&around(TEMP, &(kernel("first", "", DOUBLE) + "\n" + &kernel("second", "", reader))));
    assert_eq!((plan.kernels.len(), count(&plan, OpCode::TableRead), count(&plan, OpCode::TableSet)), (1, 1, 1));
}

#[test]
fn a_norm_needs_no_table() {
    let reader = "    %a: f32[i, f] = load u[b, t0 + i, f] where [t0 + i < T[b]] else 0.0
    %aa: f32[i, f] = mul %a, %a
    %s: f32[i] = reduce %aa by sum over f
    %b: f32[i, d] = load u[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %y: f32[i, d] = mul %s, %b
    store y[b, t0 + i, d] = %y where [t0 + i < T[b]]";
    let text = kernel("first", "", DOUBLE) + "\n" + &kernel("second", "    axis f: D", reader);
    let (plan, _) = fused(&around(TEMP, &text));
    assert_eq!((plan.kernels.len(), count(&plan, OpCode::TableRead)), (1, 0), "{plan}");
}

#[test]
fn what_another_grid_point_stores_is_not_read_on_chip() {
    for index in ["b, t0 + i - 1, d", "b, t0 + i + 1, d", "b, T[b] - 1 - t0 - i, d"] {
        let at = index.split(", ").nth(1).unwrap();
        let reader = format!(
            "    %u: f32[i, d] = load u[{index}] where [{at} >= 0, {at} < T[b], t0 + i < T[b]] else 1.0
    store y[b, t0 + i, d] = %u where [t0 + i < T[b]]"
        );
        let (plan, _) = fused(&around(TEMP, &(kernel("first", "", DOUBLE) + "\n" + &kernel("second", "", &reader))));
        assert_eq!(plan.kernels.len(), 2, "{index}: {plan}");
    }
}

/// A store at one of several grid points is not everybody's.
#[test]
fn a_store_of_one_grid_point() {
    let first = "  kernel first {
    grid b: B, n: ceil(T[b] / BT), h: 3
    axis i: BT where [n * BT + i < T[b]]
    axis d: D
    lanes i
    let t0 = n * BT
    %x: f32[i, d] = load x[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    store u[b, t0 + i, d] = %x where [t0 + i < T[b], h == 0]
  }
  kernel second {
    grid b: B, n: ceil(T[b] / BT), h: 3
    axis i: BT where [n * BT + i < T[b]]
    axis d: D
    lanes i
    let t0 = n * BT
    %u: f32[i, d] = load u[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    store y[b, t0 + i, d, h] = %u where [t0 + i < T[b]]
  }";
    let buffers = "  buffer u: f32[b: B, t: T[b], d: D] temp\n  buffer y: f32[b: B, t: T[b], d: D, h: 3] output";
    let (plan, _) = fused(&around(buffers, first));
    assert_eq!(plan.kernels.len(), 2, "{plan}");
}

/// What a load gives where its guard is false stays what it is.
#[test]
fn guards_of_loads_are_kept() {
    let reader = "    %z: f32 = fill 0.1 as f32
    %x: f32[i, d] = load x[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %ok: bool[i, d] = lt %x, %z
    %u: f32[i, d] = load u[b, t0 + i, d] where [t0 + i < T[b], %ok] else 9.0
    %v: f32[i, d] = load u[b, t0 + i, d] where [t0 + i < T[b], t0 + i > 2] else 7.0
    %y: f32[i, d] = add %u, %v
    store y[b, t0 + i, d] = %y where [t0 + i < T[b]]";
    let (plan, _) = fused(&around(TEMP, &(kernel("first", "", DOUBLE) + "\n" + &kernel("second", "", reader))));
    assert_eq!((plan.kernels.len(), count(&plan, OpCode::TableRead)), (1, 2), "{plan}");
}

/// Rows that do not exist hold anything in a value that is passed on, and 0 in a load: a sum over rows needs the 0.
#[test]
fn padding_of_rows_does_not_reach_sums() {
    let reader = "    %u: f32[i, d] = load u[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %e: f32[i, d] = exp %u
    %s: f32[d] = reduce %u by sum over i
    store y[b, n, d] = %s
    store z[b, t0 + i, d] = %e where [t0 + i < T[b]]";
    let buffers = "  buffer u: f32[b: B, t: T[b], d: D] temp
  buffer y: f32[b: B, n: ceil(T[b] / BT), d: D] output
  buffer z: f32[b: B, t: T[b], d: D] output";
    let producer = DOUBLE.replace("add %x, %x", "exp %x");
    let (plan, _) = fused(&around(buffers, &(kernel("first", "", &producer) + "\n" + &kernel("second", "", reader))));
    assert_eq!((plan.kernels.len(), count(&plan, OpCode::TableRead)), (1, 1), "{plan}");
}

/// Decisions and outputs are stored still, as is what a third kernel reads.
#[test]
fn what_others_read_is_stored() {
    let reader = "    %u: f32[i, d] = load u[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %y: f32[i, d] = exp %u
    store y[b, t0 + i, d] = %y where [t0 + i < T[b]]";
    let text = |role: &str, third: &str| {
        let buffers = format!(
            "  buffer u: f32[b: B, t: T[b], d: D] {role}
  buffer y: f32[b: B, t: T[b], d: D] output
  buffer z: f32[b: B, t: T[b], d: D] output"
        );
        let body = format!(
            "    %u: f32[i, d] = load u[b, {third}, d] where [{third} < T[b], t0 + i < T[b]] else 0.0
    store z[b, t0 + i, d] = %u where [t0 + i < T[b]]"
        );
        let kernels = [kernel("first", "", DOUBLE), kernel("second", "", reader), kernel("third", "", &body)];
        around(&buffers, &kernels.join("\n"))
    };
    let (plan, _) = fused(&text("temp", "t0 + i + 1"));
    assert_eq!((plan.kernels.len(), count(&plan, OpCode::Store)), (2, 3), "{plan}");
    let (plan, _) = fused(&text("decision", "t0 + i"));
    assert_eq!((plan.kernels.len(), count(&plan, OpCode::Store)), (1, 3), "{plan}");
    let (plan, _) = fused(&text("temp", "t0 + i"));
    assert_eq!((plan.kernels.len(), count(&plan, OpCode::Store)), (1, 2), "{plan}");
}

/// Two kernels are not joined around one between them that needs the first and is needed by the second.
#[test]
fn a_kernel_between_two() {
    let between = "    %u: f32[i, d] = load u[b, t0 + i + 1, d] where [t0 + i + 1 < T[b]] else 0.0
    store v[b, t0 + i, d] = %u where [t0 + i < T[b]]";
    let last = "    %u: f32[i, d] = load u[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %v: f32[i, d] = load v[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %y: f32[i, d] = sub %u, %v
    store y[b, t0 + i, d] = %y where [t0 + i < T[b]]";
    let buffers = format!("{TEMP}\n  buffer v: f32[b: B, t: T[b], d: D] temp");
    let kernels = [kernel("first", "", DOUBLE), kernel("between", "", between), kernel("last", "", last)];
    let (plan, _) = fused(&around(&buffers, &kernels.join("\n")));
    assert_eq!(plan.kernels.len(), 2, "{plan}");
    assert_eq!(plan.kernels[0].name, "first");
}

/// A producer in blocks of features fills a table block by block for a reader of whole rows, and the reverse.
#[test]
fn blocks_are_folded() {
    let blocks = "  kernel blocks {
    grid b: B, n: ceil(T[b] / BT), c: 3
    axis i: BT where [n * BT + i < T[b]]
    axis k: 2
    axis d: D
    lanes i
    let t0 = n * BT
    %x: f32[i, d] = load x[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %w: f32[d, k] = load w[d, c * 2 + k]
    %u: f32[i, k] = dot %x, %w over d
    store u[b, t0 + i, c * 2 + k] = %u where [t0 + i < T[b]]
  }";
    let whole = "    %u: f32[i, d] = load u[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %m: f32[i] = reduce %u by max over d
    %y: f32[i, d] = sub %u, %m
    store y[b, t0 + i, d] = %y where [t0 + i < T[b]]";
    let text = around(TEMP, &(blocks.to_owned() + "\n" + &kernel("whole", "", whole)));
    let (plan, _) = fused(&text);
    assert_eq!((plan.kernels.len(), count(&plan, OpCode::TableSet)), (1, 1), "{plan}");

    let reader = blocks.replace("blocks", "reader").replace("load x", "load u").replace("store u", "store y");
    let text = around(TEMP, &(kernel("first", "", DOUBLE) + "\n" + &reader));
    let (plan, _) = fused(&text);
    assert_eq!((plan.kernels.len(), count(&plan, OpCode::Dot)), (1, 1), "{plan}");
}

const SCAN: &str = "    %zero: f32[i, d] = fill 0.0 as f32 on [i, d]
    %s: f32[i, d] = loop j0 at p over j in dense(0, T[b]) carry (%a = %zero) {
      %k: f32[j, d] = load x[b, p, d] where [p < T[b]] else 0.0
      %t: f32[d] = reduce %k by FOLD over j where [p < T[b]]
      %u: f32[i, d] = FOLD %a, %t
      yield %u
    }
    store OUT[b, t0 + i, d] = %s where [t0 + i < T[b]]";

/// Two streams of the same elements are one loop with both states; two that are the same stream are one state.
#[test]
fn streams_are_merged() {
    let scan = |op: &str, out: &str| {
        SCAN.replace("by FOLD", &format!("by {op}")).replace("FOLD", &op.replace("sum", "add")).replace("OUT", out)
    };
    let buffers = "  buffer y: f32[b: B, t: T[b], d: D] output\n  buffer z: f32[b: B, t: T[b], d: D] output";
    for (ops, carried) in [(["sum", "max"], 2), (["sum", "sum"], 1)] {
        let kernels = [
            kernel("first", "    axis j: 8", &scan(ops[0], "y")),
            kernel("second", "    axis j: 8", &scan(ops[1], "z")),
        ];
        let (plan, _) = fused(&around(buffers, &kernels.join("\n")));
        assert_eq!((plan.kernels.len(), count(&plan, OpCode::Load)), (1, 1), "{plan}");
        let loops = plan.kernels[0].body.iter().filter_map(|s| if let Stmt::Loop(l) = s { Some(l) } else { None });
        assert_eq!(loops.map(|l| l.carried.len()).collect::<Vec<_>>(), [carried], "{plan}");
    }
}

/// Streams that depend on each other stay apart, though they are in one kernel.
#[test]
fn streams_in_sequence() {
    let first = SCAN.replace("by FOLD", "by max").replace("FOLD", "max").replace("OUT", "u");
    let second = "    %m: f32[i, d] = load u[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %zero: f32[i, d] = fill 0.0 as f32 on [i, d]
    %s: f32[i, d] = loop j0 at p over j in dense(0, T[b]) carry (%a = %zero) {
      %k: f32[j, d] = load x[b, p, d] where [p < T[b]] else 0.0
      %c: f32[i, j, d] = sub %k, %m
      %t: f32[i, d] = reduce %c by sum over j where [p < T[b]]
      %u: f32[i, d] = add %a, %t
      yield %u
    }
    store y[b, t0 + i, d] = %s where [t0 + i < T[b]]";
    let kernels = [kernel("first", "    axis j: 8", &first), kernel("second", "    axis j: 8", second)];
    let (plan, _) = fused(&around(TEMP, &kernels.join("\n")));
    assert_eq!((plan.kernels.len(), count(&plan, OpCode::Load)), (1, 2), "{plan}");
}

/// The cost says no, with a reason; a choice says otherwise.
#[test]
fn what_does_not_fit() {
    let text = around(
        "  buffer u: f32[b: B, t: T[b], d: D, r: 4096] temp\n  buffer y: f32[b: B, t: T[b], d: D] output",
        "  kernel first {
    grid b: B, n: ceil(T[b] / BT)
    axis i: BT where [n * BT + i < T[b]]
    axis d: D
    axis r: 4096
    lanes i
    let t0 = n * BT
    %x: f32[i, d] = load x[b, t0 + i, d] where [t0 + i < T[b]] else 0.0
    %u: f32[i, d, r] = expand %x on [r]
    store u[b, t0 + i, d, r] = %u where [t0 + i < T[b]]
  }
  kernel second {
    grid b: B, n: ceil(T[b] / BT)
    axis i: BT where [n * BT + i < T[b]]
    axis d: D
    axis r: 4096
    lanes i
    let t0 = n * BT
    %u: f32[i, d, r] = load u[b, t0 + i, d, 4095 - r] where [t0 + i < T[b]] else 0.0
    %s: f32[i, d] = reduce %u by sum over r
    store y[b, t0 + i, d] = %s where [t0 + i < T[b]]
  }",
    );
    let before = plan(&text, &[]);
    let mut after = before.clone();
    let Fused { notes, choices, .. } = fuse_plan(&mut after, &planned_for(), &|_| None);
    assert_eq!(after.to_string(), before.to_string());
    assert_eq!(notes, ["first+second: two kernels: one would hold 384 KiB of 256"]);
    assert_eq!(choices, [("first+second".to_owned(), false)]);
    let Fused { notes, moved, .. } =
        fuse_plan(&mut after, &planned_for(), &|key| (key == "first+second").then_some(true));
    assert_eq!(after.kernels.len(), 1, "{notes:?}");
    assert_eq!(moved.iter().filter(|m| m.is_none()).count(), 1);
}
