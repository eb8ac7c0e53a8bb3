//! Runs a plan twice, in the interpreter and as machine code, on the same random inputs.

use std::path::PathBuf;
use std::sync::OnceLock;

use weft_cranelift::program::{Data, Executable, Length};
use weft_ir::kernel::interp::{Bindings, Options, Outcome, Tensor, run};
use weft_ir::kernel::verify::verify;
use weft_ir::kernel::{Buffer, ElemType, Expr, Plan, Role, parse};
use weft_ir::loops::{Array, Elem, from_bf16, interpret, to_bf16};
use weft_ir::program::{Argument, Program};
use weft_passes::lower::{Target, lower};
use weft_runtime::Pool;

/// The text of a hand-written plan.
pub(crate) fn text(name: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join("tests/kernels").join(format!("{name}.kir"))).unwrap()
}

/// A plan from text, with parameters set, verified.
pub(crate) fn plan(text: &str, params: &[(&str, i64)]) -> Plan {
    let mut plan = parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    for (name, value) in params {
        assert!(plan.set_param(name, *value), "no parameter {name}");
    }
    if let Err(errors) = verify(&plan) {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        panic!("{}:\n{}\n{plan}", plan.name, lines.join("\n"));
    }
    plan
}

/// Sets every tile extent.
pub(crate) fn set_tiles(plan: &mut Plan, tile: i64) {
    for p in plan.params.clone() {
        if p.kind == weft_ir::kernel::ParamKind::Tile {
            plan.set_param(&p.name, tile);
        }
    }
}

/// Deterministic numbers in [0, 1).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }
}

/// Values of the extents of a plan: a single number, or one for each index of the outer extent.
pub(crate) type Lengths<'a> = &'a [(&'a str, &'a [i64])];

fn lengths_of<'a>(plan: &Plan, lengths: Lengths<'a>) -> Vec<&'a [i64]> {
    let find = |name: &str| lengths.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no length of {name}")).1;
    plan.extents.iter().map(|e| find(&e.name)).collect()
}

fn eval(plan: &Plan, lengths: &[&[i64]], e: &Expr) -> i64 {
    match e {
        Expr::Const(n) => *n,
        Expr::Param(p) => plan.param(*p).unwrap().value,
        Expr::Extent(e) | Expr::Ragged(e, _) => lengths[e.index()].iter().copied().max().unwrap_or(0),
        Expr::Binary(op, a, b) => op.eval(eval(plan, lengths, a), eval(plan, lengths, b)).unwrap(),
        other => panic!("{other:?} in a declaration"),
    }
}

fn random_input(plan: &Plan, lengths: &[&[i64]], buffer: &Buffer, random: &mut Random) -> Tensor {
    let shape: Vec<usize> = buffer.dims.iter().map(|d| eval(plan, lengths, &d.extent) as usize).collect();
    let range = buffer.range.as_ref().map(|(lo, hi)| (eval(plan, lengths, lo), eval(plan, lengths, hi)));
    let data = (0..shape.iter().product())
        .map(|_| {
            let x = random.next();
            match (buffer.elem, range) {
                (ElemType::F32, _) => f64::from((x * 2.0 - 1.0) as f32),
                (ElemType::Bf16, _) => f64::from(from_bf16(to_bf16((x * 2.0 - 1.0) as f32))),
                (ElemType::F64, _) => x * 2.0 - 1.0,
                (ElemType::Bool, _) => f64::from(u8::from(x < 0.6)),
                (_, Some((lo, hi))) => lo as f64 + (x * (hi - lo) as f64).floor(),
                (_, None) => (x * 20.0).floor() - 10.0,
            }
        })
        .collect();
    Tensor { shape, data }
}

fn to_data(elem: ElemType, x: &[f64]) -> Data {
    match elem {
        ElemType::F32 => Data::F32(x.iter().map(|x| *x as f32).collect()),
        ElemType::F64 => Data::F64(x.to_vec()),
        ElemType::I32 => Data::I32(x.iter().map(|x| *x as i32).collect()),
        ElemType::I64 => Data::I64(x.iter().map(|x| *x as i64).collect()),
        ElemType::Bool => Data::Bool(x.iter().map(|x| *x as u8).collect()),
        ElemType::Bf16 => Data::Bf16(x.iter().map(|x| to_bf16(*x as f32)).collect()),
    }
}

fn to_floats(data: &Data) -> Vec<f64> {
    match data {
        Data::F32(x) => x.iter().copied().map(f64::from).collect(),
        Data::F64(x) => x.clone(),
        Data::I32(x) => x.iter().copied().map(f64::from).collect(),
        Data::I64(x) => x.iter().map(|x| *x as f64).collect(),
        Data::Bool(x) => x.iter().copied().map(f64::from).collect(),
        Data::Bf16(x) => x.iter().map(|x| f64::from(from_bf16(*x))).collect(),
    }
}

/// Results of one plan: of the interpreter of kernel IR, and outputs by name of the machine code and, for small cases, of the
/// interpreter of loop IR, which checks every access.
pub(crate) struct Results {
    pub(crate) interpreted: Outcome,
    pub(crate) compiled: Vec<(String, Vec<f64>)>,
    pub(crate) checked: Option<Vec<(String, Vec<f64>)>>,
}

/// Rows of all sequences together up to which the interpreter of loop IR runs too.
const CHECKED_ROWS: i64 = 40;

fn to_array(data: &Data) -> Array {
    match data {
        Data::F32(x) => Array::F32(x.clone()),
        Data::F64(x) => Array::F64(x.clone()),
        Data::I32(x) => Array::I32(x.clone()),
        Data::I64(x) => Array::I64(x.clone()),
        Data::Bool(x) => Array::Bool(x.iter().map(|x| *x != 0).collect()),
        Data::Bf16(x) => Array::Bf16(x.clone()),
    }
}

fn from_array(array: &Array) -> Vec<f64> {
    match array {
        Array::F32(x) => x.iter().copied().map(f64::from).collect(),
        Array::F64(x) => x.clone(),
        Array::I32(x) => x.iter().copied().map(f64::from).collect(),
        Array::I64(x) => x.iter().map(|x| *x as f64).collect(),
        Array::Bool(x) => x.iter().map(|x| f64::from(u8::from(*x))).collect(),
        Array::Bf16(x) => x.iter().map(|x| f64::from(from_bf16(*x))).collect(),
    }
}

/// Runs a program in the interpreter of loop IR: every access within the declared extents, no undefined scratch read.
fn run_loops(plan: &Plan, program: &Program, values: &[&[i64]], inputs: &[(String, Data)]) -> Vec<(String, Vec<f64>)> {
    let extents: Vec<i64> = values.iter().map(|v| v.iter().copied().max().unwrap_or(0)).collect();
    let mut arrays: Vec<Array> = Vec::new();
    for buffer in &program.buffers {
        let given = inputs.iter().find(|(name, _)| *name == buffer.name);
        let size = buffer.elements(&extents).unwrap() as usize;
        let init = buffer.init.map_or(0.0, weft_ir::kernel::Literal::as_f64);
        arrays.push(match (given, buffer.elem) {
            (Some((_, data)), _) => to_array(data),
            (None, Elem::F32) => Array::F32(vec![init as f32; size]),
            (None, Elem::F64) => Array::F64(vec![init; size]),
            (None, Elem::I32) => Array::I32(vec![init as i32; size]),
            (None, Elem::I64) => Array::I64(vec![init as i64; size]),
            (None, Elem::Bool) => Array::Bool(vec![init != 0.0; size]),
            (None, Elem::Bf16) => Array::Bf16(vec![to_bf16(init as f32); size]),
        });
    }
    for launch in &program.launches {
        let dims: Vec<i64> = launch.dims.iter().map(|d| d.eval(&extents).unwrap()).collect();
        let mut args: Vec<Array> = launch
            .args
            .iter()
            .map(|a| match a {
                Argument::Buffer(b) => arrays[*b].clone(),
                Argument::Lengths(e) => Array::I64(values[*e].to_vec()),
            })
            .collect();
        let tasks = launch.tasks.eval(&extents).unwrap();
        if let Err(e) = interpret(&launch.kernel, &mut args, &dims, 0..tasks, 1 << 32) {
            panic!("{e}\n{plan}\n{}", launch.kernel);
        }
        for (a, array) in launch.args.iter().zip(args) {
            if let Argument::Buffer(b) = a {
                arrays[*b] = array;
            }
        }
    }
    let outputs = plan.buffers.iter().enumerate().filter(|(_, b)| is_result(b));
    outputs.map(|(i, b)| (b.name.clone(), from_array(&arrays[i]))).collect()
}

fn is_result(b: &Buffer) -> bool {
    matches!(b.role, Role::Output | Role::Decision)
}

fn pools() -> &'static [Pool; 2] {
    static POOLS: OnceLock<[Pool; 2]> = OnceLock::new();
    POOLS.get_or_init(|| [Pool::new(1).unwrap(), Pool::new(3).unwrap()])
}

/// Runs a plan both ways. Also checks that the number of threads does not matter to a bit, and that a second run of the same
/// memory gives the same.
pub(crate) fn results(plan: &Plan, lengths: Lengths<'_>, seed: u64, adjust: impl Fn(&str, &mut Tensor)) -> Results {
    results_with(plan, lengths, Options { seed, ..Options::default() }, adjust)
}

fn results_with(plan: &Plan, lengths: Lengths<'_>, options: Options, adjust: impl Fn(&str, &mut Tensor)) -> Results {
    let seed = options.seed;
    let values = lengths_of(plan, lengths);
    let mut random = Random(seed);
    let mut bindings = Bindings::default();
    for (extent, value) in plan.extents.iter().zip(&values) {
        bindings = bindings.extent(&extent.name, value.to_vec());
    }
    let program = lower(plan, &Target::default()).unwrap_or_else(|e| panic!("{e}\n{plan}"));
    let executable = Executable::new(program).unwrap_or_else(|e| panic!("{e}\n{plan}"));
    let given: Vec<Length> = plan
        .extents
        .iter()
        .zip(&values)
        .map(|(e, v)| if e.over.is_some() { Length::Ragged(v.to_vec()) } else { Length::Uniform(v[0]) })
        .collect();
    let mut run_state = executable.prepare(&given).unwrap();
    let mut inputs = Vec::new();
    for buffer in plan.buffers.iter().filter(|b| b.role.is_given()) {
        let mut x = random_input(plan, &values, buffer, &mut random);
        adjust(&buffer.name, &mut x);
        let data = to_data(buffer.elem, &x.data);
        run_state.write(&buffer.name, &data).unwrap();
        inputs.push((buffer.name.clone(), data));
        bindings = bindings.buffer(&buffer.name, x);
    }
    let interpreted = run(plan, &bindings, options).unwrap_or_else(|e| panic!("{e}\n{plan}"));
    let outputs = || plan.buffers.iter().filter(|b| is_result(b));
    let mut results: Vec<Vec<(String, Vec<f64>)>> = Vec::new();
    for pool in [&pools()[0], &pools()[1], &pools()[1]] {
        run_state.launch(pool).unwrap();
        let read = |b: &Buffer| (b.name.clone(), to_floats(&run_state.read(&b.name).unwrap()));
        results.push(outputs().map(read).collect());
    }
    let written = |name: &str, i: usize| !interpreted.buffers[name].data[i].is_nan();
    let bits = |r: &Vec<(String, Vec<f64>)>| -> Vec<u64> {
        let elements = r.iter().flat_map(|(name, x)| x.iter().enumerate().map(move |(i, x)| (name, i, x)));
        elements.filter(|(name, i, _)| written(name, *i)).map(|(_, _, x)| x.to_bits()).collect()
    };
    assert!(bits(&results[0]) == bits(&results[1]), "{}: results depend on the number of threads", plan.name);
    assert!(bits(&results[0]) == bits(&results[2]), "{}: a second run differs", plan.name);
    let rows: i64 = values.iter().flat_map(|v| v.iter()).sum();
    let checked = (rows <= CHECKED_ROWS).then(|| run_loops(plan, executable.program(), &values, &inputs));
    Results { interpreted, compiled: results.swap_remove(0), checked }
}

/// Compares all outputs of a plan: relative L2 error of each, over the elements that are written; integers exactly.
pub(crate) fn check(plan: &Plan, lengths: Lengths<'_>, seed: u64, tolerance: f64) {
    check_with(plan, lengths, seed, (tolerance, 0.0), |_, _| {});
}

/// Compares all outputs of a plan, every operation of which rounds to its type, to the bit.
pub(crate) fn check_exactly(plan: &Plan, lengths: Lengths<'_>, seed: u64) {
    let results = results_with(plan, lengths, Options { seed, round: true, ..Options::default() }, |_, _| {});
    for (name, got) in results.compiled.iter().chain(results.checked.iter().flatten()) {
        let expected = &results.interpreted.buffers[name.as_str()].data;
        let differs = expected.iter().zip(got).position(|(e, g)| !e.is_nan() && e != g);
        let at = differs.map(|i| (i, expected[i], got[i]));
        assert_eq!(at, None, "{}: {name} at {lengths:?}\n{plan}", plan.name);
    }
}

/// The same with inputs adjusted by name, for outputs whose elements are sums of terms of size `term`: where the terms cancel,
/// the error is relative to them.
pub(crate) fn check_with(
    plan: &Plan,
    lengths: Lengths<'_>,
    seed: u64,
    (tolerance, term): (f64, f64),
    adjust: impl Fn(&str, &mut Tensor),
) {
    let results = results(plan, lengths, seed, adjust);
    for (name, got) in results.compiled.iter().chain(results.checked.iter().flatten()) {
        let expected = &results.interpreted.buffers[name.as_str()].data;
        assert_eq!(expected.len(), got.len(), "{name}");
        let elem = plan.buffers[plan.buffer_named(name).unwrap().index()].elem;
        let (mut error, mut size, mut terms) = (0.0, 0.0, 0.0);
        for (i, (e, g)) in expected.iter().zip(got).enumerate() {
            // Elements that nobody wrote are NaN in the interpreter and 0 here.
            if e.is_nan() {
                continue;
            }
            // The interpreter has infinities for the extremes of integers.
            let e = &match elem {
                ElemType::I32 if e.is_infinite() => {
                    if *e > 0.0 {
                        f64::from(i32::MAX)
                    } else {
                        f64::from(i32::MIN)
                    }
                }
                ElemType::I64 if e.is_infinite() => {
                    if *e > 0.0 {
                        i64::MAX as f64
                    } else {
                        i64::MIN as f64
                    }
                }
                _ => *e,
            };
            if e.is_infinite() {
                assert_eq!(e, g, "{}: {name}[{i}] at {lengths:?}\n{plan}", plan.name);
                continue;
            }
            assert!(g.is_finite(), "{}: {name}[{i}] is {g}, expected {e} at {lengths:?}\n{plan}", plan.name);
            if !elem.is_float() {
                assert_eq!(e, g, "{}: {name}[{i}] at {lengths:?}\n{plan}", plan.name);
            }
            error += (e - g).powi(2);
            size += e.powi(2);
            terms += term.powi(2);
        }
        let relative = error.sqrt() / f64::max(size, terms).sqrt().max(1e-30);
        assert!(
            error == 0.0 || relative <= tolerance,
            "{}: {name} differs by {relative:e} (of {size:e}) at {lengths:?}\n{plan}\nexpected {:?}\ngot {:?}",
            plan.name,
            &expected[..expected.len().min(64)],
            &got[..got.len().min(64)],
        );
    }
}
