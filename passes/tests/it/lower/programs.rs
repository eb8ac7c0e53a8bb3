//! What lowering says about a plan besides its code: errors, tasks, workspace; and that it is a function of the plan.

use weft_cranelift::program::{Data, Executable, Length, RunError};
use weft_ir::kernel::parse;
use weft_ir::program::{Argument, Formula};
use weft_passes::lower::{Block, Target, lower};

use super::harness::{plan, text};

fn program(name: &str) -> weft_ir::program::Program {
    lower(&plan(&text(name), &[]), &Target::default()).unwrap()
}

#[test]
fn errors_name_kernel_and_statement() {
    let text = "plan p { extent T  buffer x: f32[t: T] input  buffer y: f32[t: T] output
        kernel k { grid t: T  scratch s: f32[400000000]  %x = load x[t]  store y[t] = %x } }";
    let error = lower(&parse(text).unwrap(), &Target::default()).unwrap_err();
    assert_eq!(error.kernel, "k", "{error}");
    assert!(error.to_string().starts_with("cannot lower kernel `k`, "), "{error}");
    assert!(error.message.contains("does not fit scratch memory"), "{error}");
}

#[test]
fn plans_that_the_verifier_refuses_are_not_lowered() {
    let text = "plan p { extent T  buffer x: f32[t: T] input  buffer y: f32[t: T] output  kernel k { grid t: T
        %x = load x[t + 1]  store y[t] = %x } }";
    let error = lower(&parse(text).unwrap(), &Target::default()).unwrap_err();
    assert!(error.to_string().contains("x[t + 1]"), "{error}");
}

#[test]
fn integers_outside_their_range_are_refused() {
    let executable = Executable::new(program("codes_sequential")).unwrap();
    let mut run = executable.prepare(&[Length::Uniform(1), Length::Ragged(vec![3])]).unwrap();
    assert_eq!(run.write("code", &Data::I64(vec![0, 10, 5])), Ok(()));
    let outside = RunError::Range { name: "code".into(), index: 1, value: 11, lo: 0, hi: 11 };
    assert_eq!(run.write("code", &Data::I64(vec![0, 11, 5])), Err(outside));
}

#[test]
fn the_same_plan_gives_the_same_program() {
    for name in ["causal", "prefix_threshold", "codes_two_pass"] {
        assert_eq!(program(name).to_string(), program(name).to_string());
    }
}

#[test]
fn tasks_cover_the_padded_grid() {
    let program = program("split_keys");
    let tasks: Vec<Option<i64>> = program.launches.iter().map(|l| l.tasks.eval(&[3, 70])).collect();
    // B * H * ceil(T / 16) * ceil(T / 32), and without the splits.
    assert_eq!(tasks, [Some(3 * 4 * 5 * 3), Some(3 * 4 * 5)]);
}

#[test]
fn workspace_is_shared_by_lives_that_do_not_overlap() {
    let text = "plan p { extent T
        buffer x: f32[t: T] input  buffer a: f32[t: T] temp  buffer b: f32[t: T] temp  buffer c: f32[t: T] temp
        buffer y: f32[t: T] output
        kernel k1 { grid t: T  %x = load x[t]  store a[t] = %x }
        kernel k2 { grid t: T  %x = load a[t]  store b[t] = %x }
        kernel k3 { grid t: T  %x = load b[t]  store c[t] = %x }
        kernel k4 { grid t: T  %x = load c[t]  store y[t] = %x } }";
    let program = lower(&plan(text, &[]), &Target::default()).unwrap();
    let workspace = program.workspace(&[100]).unwrap();
    // 400 bytes each, on multiples of 64; a and c live at different times.
    assert_eq!(workspace.offsets, [None, Some(0), Some(448), Some(0), None]);
    assert_eq!(workspace.bytes, 896);
    assert_eq!(program.workspace(&[i64::MAX]), None, "sizes are checked");
}

#[test]
fn contributions_of_many_grid_points_to_one_element_belong_to_one_task() {
    let text = "plan p { size S = 4  extent B, T
        buffer x: f32[b: B, t: T] input  buffer z: i32[b: B, t: T] input range 0 .. S
        buffer y: f32[b: B, s: S] output init 0.0
        kernel k { grid b: B, t: T  %x = load x[b, t]  %z = load z[b, t]  accum y[b, %z] += %x mode ordered } }";
    let program = lower(&plan(text, &[]), &Target::default()).unwrap();
    assert_eq!(program.launches[0].tasks, Formula::Extent(0));
}

#[test]
fn lengths_are_passed_only_where_they_are_read() {
    let program = program("matmul");
    assert!(!program.launches[0].args.iter().any(|a| matches!(a, Argument::Lengths(_))));
}

#[test]
fn register_blocks_fit_the_registers() {
    let target = Target::default();
    assert_eq!(target.block(4, 64, 64, 16), Block { rows: 5, lanes: 8 });
    assert_eq!(target.block(4, 64, 64, 4), Block { rows: 4, lanes: 8 });
    assert_eq!(target.block(8, 64, 64, 16), Block { rows: 5, lanes: 4 });
    // Six rows are two blocks of three; a single lane is a scalar.
    assert_eq!(target.block(4, 64, 6, 16), Block { rows: 3, lanes: 8 });
    assert_eq!(target.block(4, 4, 100, 16).lanes, 4);
    let wide = Target { vector_bytes: 64, registers: 32, accumulators: 28, ..target };
    let block = wide.block(4, 64, 64, 16);
    assert!(block.rows * 2 + 2 < 32 && block.lanes == 32, "{block:?}");
}

#[test]
fn bad_extents_are_refused() {
    let executable = Executable::new(program("causal")).unwrap();
    let refused = |lengths: &[Length]| matches!(executable.prepare(lengths), Err(RunError::Extent { .. }));
    assert!(refused(&[]));
    assert!(refused(&[Length::Uniform(2), Length::Uniform(5)]));
    assert!(refused(&[Length::Uniform(2), Length::Ragged(vec![5])]));
    assert!(refused(&[Length::Uniform(2), Length::Ragged(vec![5, -1])]));
    let huge = executable.prepare(&[Length::Uniform(1), Length::Ragged(vec![i64::MAX / 2])]);
    assert!(matches!(huge, Err(RunError::Overflow(_))), "{:?}", huge.err());
    assert!(executable.prepare(&[Length::Uniform(0), Length::Ragged(vec![])]).is_ok());
}
