//! Forward and backward as two programs: the second gets nothing but inputs, cotangents, outputs and what the first has saved.

use super::super::examples::EXAMPLES;
use super::super::inputs::{inputs, norm, relative_error};
use super::super::road::{Case, fuse_parts, graph, interpret_on, split, unfused};
use rustc_hash::FxHashMap;
use weft_ir::DType;
use weft_ir::eval::Evaluator;
use weft_ir::graph::Output;
use weft_ir::kernel::interp::Tensor;
use weft_passes::autodiff::GRADIENT;

/// Gradients by two runs; gives the bytes that were saved between them.
fn two_runs(case: &Case, most: Option<u64>) -> u64 {
    let graph = graph(case).unwrap();
    let tensors = inputs(&graph, case);
    let bindings = super::super::road::bind(&graph, &tensors, &case.lengths);
    let truth = Evaluator::new(&graph, &bindings).unwrap().outputs().unwrap();
    let scheduled = unfused(&graph, DType::F64, case.tiles).unwrap();
    let mut parts = split(&graph, &scheduled, most).unwrap().unwrap();
    fuse_parts(&mut parts).unwrap();
    let (forward, backward) = (&parts.forward.plan, &parts.backward.plan);

    let names = scheduled.plan.buffers.iter().filter(|b| b.role.is_given()).map(|b| b.name.as_str());
    let tensor = |t: &weft_ir::eval::Tensor| Tensor { shape: t.shape.clone(), data: t.to_f64() };
    let mut at_hand: FxHashMap<&str, Tensor> = names.zip(&tensors).map(|(n, (_, t))| (n, tensor(t))).collect();
    let given = |plan: &weft_ir::kernel::Plan| {
        plan.buffers.iter().filter(|b| b.role.is_given()).map(|b| b.name.clone()).collect::<Vec<_>>()
    };
    let needs = given(forward);
    assert!(needs.iter().all(|n| !n.starts_with("cot.")), "{needs:?}");
    let first = interpret_on(forward, case, needs.iter().map(|n| (n.as_str(), at_hand[n.as_str()].clone()))).unwrap();
    let floats = |n: &str| backward.buffers.iter().find(|b| b.name == n).is_none_or(|b| b.elem.is_float());
    for buffer in forward.buffers.iter().filter(|b| !b.role.is_given()) {
        if let Some(made) = first.buffers.get(&buffer.name) {
            let mut made = made.clone();
            // Elements that nobody writes are no integers.
            made.data.iter_mut().filter(|x| x.is_nan() && !floats(&buffer.name)).for_each(|x| *x = 0.0);
            at_hand.insert(&buffer.name, made);
        }
    }
    let mine = |o: &&Output| !o.name.starts_with(GRADIENT);
    let saved: Vec<&str> = parts.saved.iter().map(|s| s.name.as_str()).collect();
    let needs = given(backward);
    let layer = given(&scheduled.plan);
    let known = |n: &String| {
        let output = graph.outputs.iter().filter(mine).any(|o| n.trim_end_matches('_') == &*o.name);
        layer.contains(n) || output || saved.contains(&n.as_str())
    };
    assert!(needs.iter().all(known), "{needs:?} of {saved:?}");
    let second = interpret_on(backward, case, needs.iter().map(|n| (n.as_str(), at_hand[n.as_str()].clone()))).unwrap();

    let gradients = graph.outputs.iter().filter(|o| o.name.starts_with(GRADIENT));
    let size = |o: &Output| norm(&graph, o, &case.lengths, &truth[&o.name].to_f64());
    let scale = gradients.clone().map(size).fold(0.0, f64::max);
    for out in gradients {
        let buffer = &second.buffers[&*out.name];
        let error = relative_error(&graph, out, &case.lengths, &buffer.data, &truth[&out.name].to_f64(), scale);
        assert!(error < 1e-9, "`{}` differs by {error:e} with {most:?}", out.name);
    }
    parts.saved.iter().map(|s| s.bytes.unwrap()).sum()
}

#[test]
fn two_programs() {
    for e in EXAMPLES {
        let mut case = Case { gradients: true, ..e.case(&[], &[]) };
        case.lengths.time = vec![9, 1, 14];
        let all = two_runs(&case, None);
        let half = two_runs(&case, Some(all / 2));
        let least = two_runs(&case, Some(0));
        assert!(least <= half && half <= all && (half <= all / 2 || half == least), "{}: {all} {half} {least}", e.file);
    }
}
