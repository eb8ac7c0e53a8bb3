//! Decisions and what goes straight through them: gradients that depend on a block length which the values do not depend on, and
//! backward programs that decide nothing.

use super::super::examples::example;
use super::super::road::{Case, graph, split, unfused};
use super::driven::{BACKENDS, Driven, distance, held_out, numbers};
use rustc_hash::FxHashSet;
use weft_ir::DType;
use weft_ir::eval::Evaluator;
use weft_ir::graph::{Graph, NodeId, Op};
use weft_ir::kernel::{OpCode, Plan, Stmt};
use weft_passes::autodiff::GRADIENT;
use weft_passes::canon;

/// Keys are seen as their codes; those held one by one when block t // L is scored pass gradients on.
const KEYS: &str = "\
layer keys {
  size  D = 3, S = 4, M = 2, L = 4
  axis  b, t: time
  index j: t, d: D, s: S
  in    q[b,t,d], k[b,t,d], v[b,t,d]
  param codebook[s,d]
  let code[b,t]   = argmin(s: sum(d: (k - codebook)^2))
  let c[b,t,d]    = stop_gradient(codebook[code,d])
  let held[t,j]   = j >= t // L * L - M
  let kq[b,t,j,d] = if held then straight_through(c[b,j,d], k[b,j,d]) else c[b,j,d]
  let p[b,t,j]    = softmax[j](sum(d: q * kq) where j <= t)
  out y[b,t,d]    = sum(j: p * v[b,j,d])
}
";

/// A query gives to the keys of its own block and to the M before the block, and to no other; whatever L is, that is all that changes.
#[test]
fn keys_held_one_by_one_get_gradients() {
    for block in [1, 3, 4, 64] {
        let d = Driven::new(&Case::new(KEYS, &[("L", block)], &[13, 6]));
        for (backend, _) in BACKENDS {
            let compiled = d.compiled(&d.tensors, Some(&["k"]), backend);
            for row in [0, 1, 3, 5, 8, 12] {
                let mut tensors = d.tensors.clone();
                for (n, x) in numbers(&mut tensors["cot.y"]).iter_mut().enumerate() {
                    if n / 3 % 13 != row {
                        *x = 0.0;
                    }
                }
                let k = compiled.run(&tensors)["grad.k"].to_f64();
                let first = (row as i64 / block * block - 2).max(0);
                for (b, length) in [13, 6].into_iter().enumerate() {
                    for j in 0..13 {
                        let of = &k[(b * 13 + j) * 3..][..3];
                        let reached = row < length && (first..=row as i64).contains(&(j as i64));
                        if row == 0 && j == 0 {
                            // Alone in the softmax of the first row, it gets a difference that is nothing but rounding.
                            assert!(of.iter().all(|x| x.abs() < 1e-5), "L {block}: {of:?} on {}", backend.name());
                            continue;
                        }
                        let some = of.iter().any(|&x| x != 0.0);
                        assert_eq!(
                            some,
                            reached,
                            "L {block}: row {row}, key {j} of {b} gets {of:?} on {}",
                            backend.name()
                        );
                    }
                }
            }
        }
    }
}

/// In the layer itself: outputs and the gradients that reach no key are the same for every L, those that do are not.
#[test]
fn the_block_length_is_in_the_gradient() {
    let of = |block: i64| {
        let mut case = example("transformer_vq").case(&[("L", block)], &[]);
        case.lengths.time = vec![21, 6];
        let d = Driven::new(&case);
        let plain = graph(&Case { gradients: false, ..case.clone() }).unwrap();
        let tensors: Vec<_> = d.tensors.iter().map(|(n, t)| (n.clone(), t.clone())).collect();
        let bindings = super::super::road::bind(&plain, &tensors, &case.lengths);
        let values = Evaluator::new(&plain, &bindings).unwrap().outputs().unwrap();
        (values, BACKENDS.map(|(backend, _)| d.gradients(&d.tensors, None, backend)))
    };
    let short = of(4);
    for block in [1, 7, 64] {
        let other = of(block);
        for name in ["y", "commit", "z"] {
            let (a, b) = (short.0[name].to_f64(), other.0[name].to_f64());
            assert!(a.iter().zip(&b).all(|(a, b)| a == b || a.is_nan() && b.is_nan()), "{name} depends on L");
        }
        for ((backend, bound), (a, b)) in BACKENDS.into_iter().zip(short.1.iter().zip(&other.1)) {
            for name in ["wq", "wv", "wg", "wr", "u", "w", "codebook", "wo"] {
                let name = format!("{GRADIENT}{name}");
                let error = distance(&b[&name].to_f64(), &a[&name].to_f64());
                assert!(error < bound, "{name} depends on L: {error:e} on {}", backend.name());
            }
            for name in ["x", "gain", "wk"] {
                let name = format!("{GRADIENT}{name}");
                let error = distance(&b[&name].to_f64(), &a[&name].to_f64());
                assert!(error > 1e-3, "{name} does not depend on L: {error:e} on {}", backend.name());
            }
            let codebook = a["grad.codebook"].to_f64();
            assert!(codebook.iter().all(|&x| x == 0.0), "the codebook is trained by averages");
        }
    }
}

/// Layers whose decisions the outputs show or use.
fn deciding() -> Vec<(&'static str, Case)> {
    let examples = ["transformer_vq", "sparsek", "attamba_sparsek", "gallery/nsa"];
    let held = ["buckets", "head_picks", "sparsemax", "entmax", "lagging", "top_codes", "gather"];
    let examples = examples.map(|e| (e, example(e).case(&[], &[9, 4])));
    examples.into_iter().chain(held.map(|name| (name, held_out(name)))).collect()
}

fn below(g: &Graph, roots: impl Iterator<Item = NodeId>) -> FxHashSet<NodeId> {
    let mut seen: FxHashSet<NodeId> = FxHashSet::default();
    let mut stack: Vec<NodeId> = roots.collect();
    while let Some(n) = stack.pop() {
        if seen.insert(n) {
            stack.extend(g.args(n));
        }
    }
    seen
}

/// Gradients refer to the decisions of the layer; none is made for them but the place of a rank whose value the layer has.
#[test]
fn gradients_take_no_decisions() {
    for (name, case) in deciding() {
        let made = graph(&Case { gradients: true, ..case }).unwrap();
        let g = canon::canonicalise(&made, canon::Settings { float: DType::F32 }).unwrap();
        let (back, own): (Vec<_>, Vec<_>) = g.outputs.iter().partition(|o| o.name.starts_with(GRADIENT));
        let own = below(&g, own.iter().map(|o| o.node));
        let twin = |n: NodeId| own.iter().any(|&m| matches!(g.op(m), Op::KthValue { .. }) && g.args(m) == g.args(n));
        let mut shared = 0;
        for n in below(&g, back.iter().map(|o| o.node)).into_iter().filter(|&n| g.op(n).is_decision()) {
            let known = own.contains(&n) || (matches!(g.op(n), Op::KthIndex { .. }) && twin(n));
            assert!(known, "{name}: %{} is decided for a gradient", n.0);
            shared += 1;
        }
        assert!(shared > 0, "{name} has gradients without decisions");
    }
}

/// Ops with which kernels decide, and loops that look for a threshold.
fn deciding_ops(plan: &Plan) -> Vec<String> {
    fn within(stmts: &[Stmt], found: &mut Vec<String>) {
        for s in stmts {
            match s {
                Stmt::Inst(i) => {
                    let position = i.op == OpCode::Reduce && i.results.len() > 1;
                    if position || matches!(i.op, OpCode::TopK | OpCode::MergeTopK) {
                        found.push(format!("{:?}", i.op));
                    }
                }
                Stmt::Loop(l) => within(&l.body, found),
                Stmt::While(w) => {
                    found.push("while".to_owned());
                    within(&w.body, found);
                }
                Stmt::If(i) => {
                    within(&i.then_body, found);
                    within(&i.else_body, found);
                }
                Stmt::Let(_) => {}
            }
        }
    }
    let mut found = Vec::new();
    plan.kernels.iter().for_each(|k| within(&k.body, &mut found));
    found
}

/// The backward program gets decisions as inputs, and has nothing in it that decides.
#[test]
fn backward_programs_decide_nothing() {
    for (name, case) in deciding() {
        let made = graph(&Case { gradients: true, ..case.clone() }).unwrap();
        let scheduled = unfused(&made, DType::F32, case.tiles).unwrap();
        for most in [None, Some(0)] {
            let parts = split(&made, &scheduled, most).unwrap().unwrap();
            assert!(!scheduled.decisions.is_empty(), "{name} decides nothing");
            for decision in &scheduled.decisions {
                let buffer = &scheduled.plan.buffers[decision.buffer.index()].name;
                let made = |plan: &Plan| plan.buffers.iter().any(|b| b.name == *buffer && !b.role.is_given());
                assert!(made(&parts.forward.plan) && !made(&parts.backward.plan), "{name}: {buffer}");
            }
            let found = deciding_ops(&parts.backward.plan);
            assert!(found.is_empty(), "{name}: backward decides by {found:?} with at most {most:?} saved");
        }
    }
}
