//! The hand-written plans of backward passes in `tests/kernels`: from what the forward plan stores they compute the gradients of the
//! definition, in the interpreter and as machine code, and execute no more than whole tiles cost (`counts`).

mod counts;

use indexmap::IndexMap;

use super::super::inputs::{inputs, norm, relative_error};
use super::super::road::{Case, bind, graph, pool, to_data, to_floats};
use crate::support::root;
use weft::sema::Number;
use weft_cranelift::program::{Executable, Length};
use weft_ir::eval::Evaluator;
use weft_ir::graph::{Graph, Output};
use weft_ir::kernel::interp::{Bindings, Options, Outcome, Tensor, run};
use weft_ir::kernel::verify::{unproven_claims, verify};
use weft_ir::kernel::{ParamKind, Plan, Role, parse};
use weft_passes::autodiff::{COTANGENT, GRADIENT, Request, gradients};
use weft_passes::lower::{Target, lower};

const CAUSAL: &str = "layer causal {
  size  H = 4, HKV = 4, D = 8
  axis  b, t: time
  index j: t, h: H, kv: HKV, d: D
  in    q[b,t,h,d], k[b,t,kv,d], v[b,t,kv,d]
  let group[h]   = h // (H // HKV)
  let s[b,h,t,j] = sum(d: q * k[b,j,group,d]) / sqrt(D)
  let p[b,h,t,j] = softmax[j](s where j <= t)
  out o[b,t,h,d] = sum(j: p * v[b,j,group,d])
}";

const THREE_STREAMS: &str = "layer three_streams {
  size  H = 4, HKV = 4, D = 8, P = 4, LEAD = 5, OFFSET = 0
  axis  b, t: time
  index j: t, h: H, kv: HKV, d: D
  in    q[b,t,h,d], k[b,t,kv,d], v[b,t,kv,d]
  let group[h]   = h // (H // HKV)
  let vis[t,j]   = j <= t and (j == 0 or (j + OFFSET) % P == P - 1 or j >= t - LEAD)
  let s[b,h,t,j] = sum(d: q * k[b,j,group,d]) / sqrt(D)
  let p[b,h,t,j] = softmax[j](s where vis)
  out o[b,t,h,d] = sum(j: p * v[b,j,group,d])
}";

const PREFIX_THRESHOLD: &str = "layer prefix_threshold {
  size  H = 2, G = 2, D = 8, K = 12, WIN = 9
  axis  b, t: time
  index j: t, h: H, g: G, d: D
  in    z[b,h,t], q[b,t,h,g,d], k[b,t,h,d], v[b,t,h,d]
  let near[t,j]    = t - j < WIN
  let pool[t,j]    = t - j >= WIN
  let far[b,h,t,j] = in_top_k[j](z[b,h,j] where pool, K)
  let m[b,h,t,j]   = if near then 1 else sparsek[j](z[b,h,j] where pool, K)
  let s[b,h,g,t,j] = sum(d: q * k[b,j,h,d]) / sqrt(D)
  let p[b,h,g,t,j] = softmax[j](s where j <= t and (near or far))
  out o[b,t,h,g,d] = sum(j: p * m * v[b,j,h,d])
}";

/// A layer's forward and backward plan at one size; a `tile` of 0 leaves the tiles that are written in the plans.
struct Pair {
    layer: &'static str,
    name: &'static str,
    backward: String,
    sizes: Vec<(String, i64)>,
    tile: i64,
}

impl Pair {
    fn new(layer: &'static str, name: &'static str, sizes: &[(&str, i64)], tile: i64) -> Self {
        let sizes = sizes.iter().map(|&(n, v)| (n.to_owned(), v)).collect();
        Self { layer, name, backward: format!("{name}_backward"), sizes, tile }
    }

    fn case(&self, lengths: &[usize], seed: u64) -> Case {
        let mut case = Case::new(self.layer, &[], lengths);
        case.sizes = self.sizes.iter().map(|(n, v)| (n.clone(), Number::Int(*v))).collect();
        case.seed = seed;
        case
    }

    /// A plan from its text, in double or single precision, verified.
    fn plan(&self, name: &str, single: bool) -> Plan {
        let text = std::fs::read_to_string(root().join("tests/kernels").join(format!("{name}.kir"))).unwrap();
        let text = if single { text.replace("f64", "f32") } else { text };
        let mut plan = parse(&text).unwrap_or_else(|e| panic!("{name}.kir:{e}"));
        for param in plan.params.clone() {
            match param.kind {
                ParamKind::Tile if self.tile > 0 => assert!(plan.set_param(&param.name, self.tile)),
                ParamKind::Tile => {}
                ParamKind::Size => {
                    let value = self.sizes.iter().find(|s| s.0 == param.name).map_or(param.value, |s| s.1);
                    assert!(plan.set_param(&param.name, value));
                }
            }
        }
        if let Err(errors) = verify(&plan) {
            let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
            panic!("{name} {:?} at tile {}:\n{}", self.sizes, self.tile, lines.join("\n"));
        }
        assert_eq!(unproven_claims(&plan), [], "{name} {:?} at tile {}", self.sizes, self.tile);
        plan
    }
}

type Buffers = IndexMap<String, Tensor>;

fn extents(plan: &Plan, lengths: &[usize]) -> Vec<(String, Length)> {
    let ragged = || Length::Ragged(lengths.iter().map(|&n| n as i64).collect());
    let value = |over: bool| if over { ragged() } else { Length::Uniform(lengths.len() as i64) };
    plan.extents.iter().map(|e| (e.name.clone(), value(e.over.is_some()))).collect()
}

/// Runs a plan in the interpreter on those of the buffers that it is given.
fn interpret(plan: &Plan, lengths: &[usize], given: &Buffers, options: Options) -> Outcome {
    let mut bindings = Bindings::default();
    for (name, length) in extents(plan, lengths) {
        bindings = match length {
            Length::Uniform(n) => bindings.extent(&name, vec![n]),
            Length::Ragged(rows) => bindings.extent(&name, rows),
        };
    }
    for buffer in plan.buffers.iter().filter(|b| b.role.is_given()) {
        let mut x = given[&buffer.name].clone();
        if !buffer.elem.is_float() {
            // Entries of lists behind their ends: what a caller has there is an integer.
            x.data.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = 0.0);
        }
        bindings = bindings.buffer(&buffer.name, x);
    }
    run(plan, &bindings, options).unwrap_or_else(|e| panic!("{} at {lengths:?}: {e}", plan.name))
}

/// Runs a plan as machine code.
fn execute(plan: &Plan, lengths: &[usize], given: &Buffers) -> IndexMap<String, Vec<f64>> {
    let program = lower(plan, &Target::default()).unwrap_or_else(|e| panic!("{e}"));
    let executable = Executable::new(program).unwrap_or_else(|e| panic!("{e}"));
    let lengths: Vec<Length> = extents(plan, lengths).into_iter().map(|e| e.1).collect();
    let mut state = executable.prepare(&lengths).unwrap();
    for buffer in plan.buffers.iter().filter(|b| b.role.is_given()) {
        state.write(&buffer.name, &to_data(buffer.elem, &given[&buffer.name].data)).unwrap();
    }
    state.launch(pool()).unwrap();
    let outputs = plan.buffers.iter().filter(|b| b.role == Role::Output);
    outputs.map(|b| (b.name.clone(), to_floats(&state.read(&b.name).unwrap()))).collect()
}

/// The graph of the outputs and their gradients, the buffers that the forward plan is given, the cotangent, and the truth.
struct Truth {
    case: Case,
    graph: Graph,
    given: Buffers,
    outputs: Buffers,
}

fn truth(case: Case) -> Truth {
    let definition = graph(&case).unwrap_or_else(|f| panic!("{f}"));
    let request = Request { forward: true, ..Request::default() };
    let graph = gradients(&definition, &request).unwrap().graph;
    let tensors = inputs(&graph, &case);
    let bindings = bind(&graph, &tensors, &case.lengths);
    let outputs = Evaluator::new(&graph, &bindings).and_then(|e| e.outputs()).unwrap();
    let plain = |t: &weft_ir::eval::Tensor| Tensor { shape: t.shape.clone(), data: t.to_f64() };
    let name = |n: &str| if n.starts_with(COTANGENT) { "g".to_owned() } else { n.to_owned() };
    let given = tensors.iter().map(|(n, t)| (name(n), plain(t))).collect();
    let outputs = outputs.iter().map(|(n, t)| (n.to_string(), plain(t))).collect();
    Truth { case, graph, given, outputs }
}

impl Truth {
    /// Relative error of the buffer of an output; of a gradient, relative to the largest of them.
    fn error(&self, out: &Output, found: &[f64], want: &[f64]) -> f64 {
        let size = |o: &Output| norm(&self.graph, o, &self.case.lengths, &self.outputs[&*o.name].data);
        let is_gradient = |o: &&Output| o.name.starts_with(GRADIENT);
        let scale = if is_gradient(&out) {
            self.graph.outputs.iter().filter(is_gradient).map(size).fold(0.0, f64::max)
        } else {
            0.0
        };
        relative_error(&self.graph, out, &self.case.lengths, found, want, scale)
    }

    fn check(&self, what: &str, tolerance: f64, found: impl Fn(&str) -> Vec<f64>, want: impl Fn(&Output) -> Vec<f64>) {
        for out in &self.graph.outputs {
            let Some(input) = out.name.strip_prefix(GRADIENT) else { continue };
            let error = self.error(out, &found(&format!("d{input}")), &want(out));
            assert!(error <= tolerance, "{what}: d{input} differs by {error:e}");
        }
    }
}

/// Forward and backward plan in the interpreter: both give what the evaluator gives.
fn passes(pair: &Pair, truth: &Truth) -> (Buffers, [Outcome; 2]) {
    let lengths = &truth.case.lengths.time;
    let what = format!("{} {:?} at {lengths:?}, tile {}", pair.name, pair.sizes, pair.tile);
    let options = Options { seed: truth.case.seed, ..Options::default() };
    let forward = interpret(&pair.plan(pair.name, false), lengths, &truth.given, options);
    let o = truth.graph.outputs.iter().find(|o| &*o.name == "o").unwrap();
    let error = truth.error(o, &forward.buffers["o"].data, &truth.outputs["o"].data);
    assert!(error <= 1e-9, "{what}: o differs by {error:e}");
    let mut given = truth.given.clone();
    given.extend(forward.buffers.iter().map(|(n, t)| (n.clone(), t.clone())));
    let backward = interpret(&pair.plan(&pair.backward, false), lengths, &given, options);
    truth.check(&what, 1e-10, |n| backward.buffers[n].data.clone(), |o| truth.outputs[&*o.name].data.clone());
    (given, [forward, backward])
}

/// The machine code of the backward plan gives what the interpreter gives, in double precision and in single, where both round every
/// operation and so decide alike.
fn machine(pair: &Pair, truth: &Truth, given: &Buffers) {
    let lengths = &truth.case.lengths.time;
    let name = &pair.backward;
    for (single, tolerance) in [(false, 1e-12), (true, 1e-5)] {
        let plan = pair.plan(name, single);
        let mut given = given.clone();
        if single {
            #[allow(clippy::cast_possible_truncation, reason = "what the machine is given")]
            given.values_mut().flat_map(|t| &mut t.data).for_each(|x| *x = f64::from(*x as f32));
        }
        let options = Options { seed: truth.case.seed, round: single, ..Options::default() };
        let want = interpret(&plan, lengths, &given, options).buffers;
        let found = execute(&plan, lengths, &given);
        let what = format!("machine code of {name} {:?} at {lengths:?}, tile {}", pair.sizes, pair.tile);
        let of = |o: &Output| want[&o.name.replace(GRADIENT, "d")].data.clone();
        truth.check(&what, tolerance, |n| found[n].clone(), of);
    }
}

const LENGTHS: &[&[usize]] = &[&[1], &[2], &[37, 5, 16], &[0, 29], &[53]];

/// At several tiles and lengths, interpreted; every other one compiled as well.
fn check(layer: &'static str, name: &'static str, sizes: &[(&str, i64)]) {
    check_with(layer, name, &format!("{name}_backward"), sizes);
}

fn check_with(layer: &'static str, name: &'static str, backward: &str, sizes: &[(&str, i64)]) {
    for (n, tile) in [0, 1, 3, 8, 17].into_iter().enumerate() {
        let pair = Pair { backward: backward.to_owned(), ..Pair::new(layer, name, sizes, tile) };
        for (m, lengths) in LENGTHS.iter().enumerate() {
            let truth = truth(pair.case(lengths, (1 + n + m) as u64));
            let (given, _) = passes(&pair, &truth);
            if (n + m) % 2 == 0 {
                machine(&pair, &truth, &given);
            }
        }
    }
}

#[test]
fn dense_causal_attention() {
    check(CAUSAL, "causal", &[("HKV", 2)]);
}

/// One pass over pairs, which adds to the gradients of the queries in memory.
#[test]
fn dense_causal_attention_from_one_side() {
    check_with(CAUSAL, "causal", "causal_backward_one_side", &[]);
}

#[test]
fn attention_over_three_streams() {
    check(THREE_STREAMS, "three_streams", &[("HKV", 2), ("OFFSET", 1)]);
}

#[test]
fn strides_that_have_position_0_or_every_position() {
    check(THREE_STREAMS, "three_streams", &[("H", 1), ("HKV", 1), ("P", 1), ("LEAD", 0)]);
    check(THREE_STREAMS, "three_streams", &[("H", 1), ("HKV", 1), ("P", 7), ("LEAD", 2), ("OFFSET", 6)]);
}

#[test]
fn attention_over_selected_keys() {
    check(PREFIX_THRESHOLD, "prefix_threshold", &[]);
}

#[test]
fn selections_of_one_key_and_of_all() {
    check(PREFIX_THRESHOLD, "prefix_threshold", &[("H", 1), ("K", 1), ("WIN", 1)]);
    check(PREFIX_THRESHOLD, "prefix_threshold", &[("H", 1), ("G", 1), ("K", 60)]);
}
