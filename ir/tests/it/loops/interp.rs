//! What the interpreter refuses, and that it computes what a loop means.

use weft_ir::loops::{Array, InterpError, interpret, parse};

fn run(statements: &str, n: i64, budget: u64) -> Result<Vec<f32>, InterpError> {
    let text = format!(
        "kernel @k(%0..%1) {{
  dim %2 = n
  buffer %3 = read x f32[%2]
  buffer %4 = write y f32[%2]
  scratch %5 = s f32[16]
  var $v: f32
  {statements}
}}"
    );
    let kernel = parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let size = usize::try_from(n).unwrap();
    // More elements than the kernel declares: it must not touch them.
    let mut args = [Array::F32((0..size + 8).map(|i| i as f32).collect()), Array::F32(vec![0.0; size + 8])];
    interpret(&kernel, &mut args, &[n], 0..2, budget)?;
    match &args[1] {
        Array::F32(y) => Ok(y[..size].to_vec()),
        _ => panic!("an f32 buffer comes back"),
    }
}

#[test]
fn sums_by_task() {
    let y = run(
        "%6: f32 = const 0.0 $v = %6 %7: i64 = const 0
         for %8 in %7..%2 step 2 unroll 3 { %9: f32 = load %3[%8] %10: f32 = $v %11: f32 = add %9, %10 $v = %11 }
         %12: f32 = $v %13: f32 = convert %0 %14: f32 = add %12, %13 store %4[%0], %14",
        7,
        1000,
    );
    assert_eq!(y.unwrap()[..3], [12.0, 13.0, 0.0]);
}

#[test]
fn accesses_are_checked_against_the_declared_extents() {
    let cases = [
        ("%6: f32 = load %3[4]", "load of element 4 of x, which has 4"),
        ("%6: f32 = load %3[-1]", "load of element -1 of x"),
        ("%6: f32x4 = load %3[%0 + 1]", "load of element 4 of x"),
        ("%6: f32 = const 1.0 store %4[4], %6", "store to element 4 of y"),
        ("%6: f32 = load %5[3]", "undefined element 3 of scratch array s"),
        ("%6: f32 = const 1.0 store %5[16], %6", "store to element 16 of s, which has 16"),
        ("%6: i64 = const 4 %7: ptr<f32, global> = advance %3, %6 %8: f32 = load %7[0]", "load of element 4 of x"),
    ];
    for (statements, expected) in cases {
        let message = run(statements, 4, 1000).unwrap_err().to_string();
        assert!(message.contains(expected), "{statements}: {message}");
    }
}

#[test]
fn scratch_does_not_survive_a_task() {
    let statements = "%6: i64 = const 0 %7: bool = eq %0, %6 %8: f32 = const 1.0
        if %7 { store %5[0], %8 } else { %9: f32 = load %5[0] }";
    assert!(matches!(run(statements, 4, 1000), Err(InterpError::Undefined { .. })));
}

#[test]
fn endless_loops_end() {
    for statements in [
        "while { %6: bool = const true } go %6 { }",
        "%6: i64 = const 4611686018427387904 %7: i64 = const 0 for %8 in %7..%6 step 1 { }",
    ] {
        assert!(matches!(run(statements, 4, 1000), Err(InterpError::TooLong { .. })), "{statements}");
    }
}

#[test]
fn masked_off_lanes_touch_nothing() {
    let y = run(
        "%6: i32x4 = iota %7: i32 = const 2 %8: i32x4 = splat %7 %9: boolx4 = lt %6, %8
         %10: f32x4 = load %3[0] where %9 store %4[0] where %9, %10",
        2,
        1000,
    );
    assert_eq!(y.unwrap(), [0.0, 1.0]);
}
