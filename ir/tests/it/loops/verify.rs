//! Each rule of the verifier, broken.

use weft_ir::loops::{parse, verify};

/// A kernel with a few parameters around the statements.
fn message(statements: &str) -> String {
    let text = format!(
        "kernel @k(%0..%1) {{
  dim %2 = n
  buffer %3 = read x f32[%2]
  buffer %4 = write y f32[%2 * 4]
  scratch %5 = s i32[16]
  var $v: f32x4
  var $p: ptr<f32, global>
  {statements}
}}"
    );
    let kernel = match parse(&text) {
        Ok(kernel) => kernel,
        // That a value is defined once is the reader's rule too.
        Err(e) => return e.message,
    };
    verify(&kernel).map_or_else(|e| e.message, |()| "fine".to_owned())
}

#[test]
fn broken_rules_are_named() {
    let cases = [
        "%6: f32x4 = load %3[%0]",
        "%6: i64 = add %7, %0  %7: i64 = const 1",
        "%6: i64 = const 1 %6: i64 = const 2",
        "if %6 { }",
        "if %0 { }",
        "for %6 in %0..%1 step 1 { %7: i64 = add %6, %6 } %8: i64 = add %7, %0",
        "for %6 in %0..%1 step 0 { }",
        "for %6 in %0..%1 step 1 unroll full { }",
        "for %6 in %0..%1 step 1 unroll 65 { }",
        "%6: f32x5 = load %3[0]",
        "%6: f32x68 = load %3[0]",
        "%6: f64 = load %3[0]",
        "%6: bf16 = const 1.0",
        "%6: f32 = load %3[0] splat",
        "%6: f32 = load %3[%3]",
        "%6: f32x4 = load %3[0] by %3",
        "%6: f32x4 = load %3[0] at %0",
        "%6: f32x4 = load %3[0] where %0",
        "%6: f32 = const 1.0 store %3[0], %6",
        "$p = %3 %6: ptr<f32, global> = $p %7: f32 = const 1.0 store %6[0], %7",
        "%6: ptr<f32, global> = advance %3, %0 %7: f32 = const 1.0 store %6[0], %7",
        "%6: f32x4 = load %3[0] store %4[0] splat, %6",
        "%6: f32x4 = $v",
        "%6: bool = const true if %6 { %7: f32x4 = const 1.0 $v = %7 } %8: f32x4 = $v",
        "%6: f32 = const 1.0 $v = %6",
        "%6: f32 = const 0.1",
        "%6: i32 = const 3000000000",
        "%6: i64 = div %0, %1",
        "%6: f32 = const 1.0 %7: f32 = and %6, %6",
        "%6: f32x4 = load %3[0] %7: f32x4 = add %6, %0",
        "%6: f32x4 = load %3[0] %7: f32x4 = lt %6, %6",
        "%6: f32x4 = load %3[0] %7: f64x4 = bitcast %6",
        "%6: f32x4 = load %3[0] %7: f32 = extract %6, 4",
        "%6: f32x4 = load %3[0] %7: f32x4 = shuffle %6, %6, [0 1 2 8]",
        "%6: f32x4 = load %3[0] %7: f32x4 = reduce_add %6",
        "%6: f32x4 = load %3[0] %7: f32 = reduce_any %6",
        "%6: f32x4 = iota",
        "%6: f32x4 = load %3[0] %7: f32x4 = call pow(%6)",
        "%6, %7, %8, %9: i32x4 = load_block %3[0] by %0",
        "%6: f32x4 = load %3[0] store_block %3[0] by %0, %6, %6, %6, %6",
        "while { %6: i64 = add %0, %1 } go %6 { }",
        "while { %6: bool = lt %0, %1 } go %6 { } if %6 { }",
        "%6: bool = const true if %6 { %7: f32x4 = const 1.0 $v = %7 } else { %8: f32x4 = const 2.0 $v = %8 } %9: f32x4 = $v",
    ];
    let report: Vec<String> = cases.iter().map(|c| format!("{c}\n    {}", message(c))).collect();
    insta::assert_snapshot!(report.join("\n"));
}
