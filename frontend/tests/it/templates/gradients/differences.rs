//! Finite differences of a definition in float64, with everything discontinuous held at its value: decisions, comparisons of floats,
//! what `stop_gradient` stops. Against them, the inner product of the gradient with the same direction.

use super::super::inputs::{inputs, valid};
use super::super::random::Random;
use super::super::road::{self, At, Case, Failure, Stage, bind, fail};
use weft_ir::eval::{Evaluator, Tensor};
use weft_ir::graph::{Graph, MapFn, NodeId, Op};
use weft_passes::autodiff::{self, COTANGENT, GRADIENT};

/// Directions tried, all inputs moved at once and one by one.
const DIRECTIONS: u64 = 2;

/// The graph with `ste(v, x)` as `stop(v) + (x - stop(x))`, which is what it means, so that what is stopped is a node.
fn with_stops(graph: &Graph) -> Graph {
    let mut g = graph.clone();
    let mut map: Vec<NodeId> = Vec::new();
    for id in graph.ids() {
        let args: Vec<NodeId> = graph.args(id).iter().map(|a| map[a.index()]).collect();
        let made = match graph.op(id) {
            Op::Ste => {
                let value = g.add(Op::Stop, &args[..1]).unwrap();
                let via = g.add(Op::Stop, &args[1..]).unwrap();
                let moved = g.map(MapFn::Sub, &[args[1], via]).unwrap();
                g.map(MapFn::Add, &[value, moved]).unwrap()
            }
            op => g.add(op.clone(), &args).unwrap(),
        };
        map.push(made);
    }
    for o in &mut g.outputs {
        o.node = map[o.node.index()];
    }
    g
}

/// What is held still: where a small step of the inputs may change it by a jump, or where the definition says that it does not count.
fn held(g: &Graph) -> Vec<NodeId> {
    let jumps = |&n: &NodeId| match g.op(n) {
        Op::Stop => true,
        Op::Map(f @ (MapFn::Sign | MapFn::Floor)) => g.dtype(n).is_float() && matches!(f, MapFn::Sign | MapFn::Floor),
        Op::Map(MapFn::Lt | MapFn::Le | MapFn::Gt | MapFn::Ge | MapFn::Eq | MapFn::Ne) => {
            g.args(n).iter().any(|&a| g.dtype(a).is_float())
        }
        op => op.is_decision() && !matches!(op, Op::Threshold { .. } | Op::KthValue { .. }),
    };
    g.reachable().into_iter().filter(jumps).collect()
}

/// The sum over outputs of output times cotangent.
fn objective(e: &Evaluator<'_>, g: &Graph, case: &Case, cotangents: &[(String, Tensor)]) -> Result<f64, Failure> {
    let outputs = e.outputs().map_err(|e| Failure { stage: Stage::Evaluate, message: e.to_string() })?;
    let mut sum = 0.0;
    for o in &g.outputs {
        let Some((_, cotangent)) = cotangents.iter().find(|c| c.0.strip_prefix(COTANGENT) == Some(&*o.name)) else {
            continue;
        };
        let exists = valid(g, &o.axes, &case.lengths);
        let products = outputs[&o.name].to_f64().into_iter().zip(cotangent.to_f64()).zip(exists);
        // An extremum of nothing is infinite, and stays so.
        sum += products.map(|((a, b), ok)| if ok && a.is_finite() { a * b } else { 0.0 }).sum::<f64>();
    }
    Ok(sum)
}

/// What the layer decides on other inputs: legal, and not what it would decide on its own.
fn decided(graph: &Graph, case: &Case, seed: u64) -> Result<Vec<(NodeId, Tensor)>, Failure> {
    let others = inputs(graph, &Case { seed, ..case.clone() });
    let bindings = bind(graph, &others, &case.lengths);
    let e = Evaluator::new(graph, &bindings).at(Stage::Evaluate)?;
    let nodes: Vec<NodeId> = held(graph).into_iter().filter(|&n| graph.op(n).is_decision()).collect();
    // Those inside recurrences have no value of their own.
    Ok(nodes.into_iter().filter_map(|n| Some((n, e.nodes(&[n]).ok()?.pop()?))).collect())
}

/// Compares; gives the worst error relative to the size of what is compared.
pub(crate) fn differences(case: &Case) -> Result<f64, Failure> {
    Ok(compare(case, None)?.0)
}

/// The same under decisions that the layer takes on the inputs of another seed. Gives how many of these differ from its own, too.
pub(super) fn imposed(case: &Case, seed: u64) -> Result<(f64, usize), Failure> {
    compare(case, Some(seed))
}

fn compare(case: &Case, other: Option<u64>) -> Result<(f64, usize), Failure> {
    let plain = Case { gradients: false, ..case.clone() };
    let graph = with_stops(&road::graph(&plain)?);
    let bad = |message: String| Failure { stage: Stage::Gradient, message };
    let made = autodiff::gradients(&graph, &autodiff::Request::default()).map_err(|e| bad(e.to_string()))?;
    let all = inputs(&made.graph, case);
    let (given, cotangents) = all.split_at(graph.inputs().len());
    let fault = |e: weft_ir::eval::Error| Failure { stage: Stage::Evaluate, message: e.to_string() };
    let decisions = other.map_or(Ok(Vec::new()), |seed| decided(&graph, case, seed))?;
    let both = bind(&made.graph, &all, &case.lengths);
    let mut gradient = Evaluator::new(&made.graph, &both).map_err(fault)?;

    let bindings = bind(&graph, given, &case.lengths);
    let mut base = Evaluator::new(&graph, &bindings).map_err(fault)?;
    let mut changed = 0;
    for (n, v) in &decisions {
        changed += usize::from(base.nodes(&[*n]).map_err(fault)?.first() != Some(v));
        base.impose(*n, v).map_err(fault)?;
        // The nodes of the layer are the first of the graph with its gradients.
        gradient.impose(*n, v).map_err(fault)?;
    }
    let found = gradient.outputs().map_err(|e| bad(e.to_string()))?;
    let mut fixed = Vec::new();
    for n in held(&graph) {
        // Terms inside recurrences have no value of their own; undefined ones are behind guards.
        if let Ok(mut v) = base.nodes(&[n]) {
            fixed.extend(v.pop().map(|v| (n, v)));
        }
    }
    let floats: Vec<usize> = (0..given.len()).filter(|&i| graph.inputs()[i].dtype.is_float()).collect();
    let mut random = Random(case.seed ^ 0xd1f);
    let mut worst = 0.0f64;
    for round in 0..DIRECTIONS + floats.len() as u64 {
        // The first rounds move everything, the others one input each.
        let moves: Vec<usize> =
            if round < DIRECTIONS { floats.clone() } else { vec![floats[(round - DIRECTIONS) as usize]] };
        let directions: Vec<Vec<f64>> = moves
            .iter()
            .map(|&i| {
                let exists = valid(&graph, &graph.inputs()[i].axes, &case.lengths);
                exists.iter().map(|&ok| if ok { random.normal() } else { 0.0 }).collect()
            })
            .collect();
        let (mut inner, mut size) = (0.0, 0.0);
        for (&i, v) in moves.iter().zip(&directions) {
            let name = format!("{GRADIENT}{}", graph.inputs()[i].name);
            let Some(gradient) = found.get(name.as_str()) else { continue };
            let exists = valid(&graph, &graph.inputs()[i].axes, &case.lengths);
            for ((g, v), ok) in gradient.to_f64().iter().zip(v).zip(exists) {
                if ok {
                    inner += g * v;
                    size += (g * v).abs();
                }
            }
        }
        let at = |h: f64| -> Result<f64, Failure> {
            let mut moved = given.to_vec();
            for (&i, v) in moves.iter().zip(&directions) {
                let t = &moved[i].1;
                let data = t.to_f64().iter().zip(v).map(|(x, v)| x + h * v).collect();
                moved[i].1 = Tensor::floats(&t.shape, data);
            }
            let bindings = bind(&graph, &moved, &case.lengths);
            let mut e = Evaluator::new(&graph, &bindings).map_err(fault)?;
            for (n, v) in &fixed {
                e.impose(*n, v).map_err(fault)?;
            }
            objective(&e, &graph, case, cotangents)
        };
        // Fourth order, at two steps: a kink between them shows as a disagreement that a smaller step removes.
        let slope = |h: f64| -> Result<f64, Failure> {
            Ok((8.0 * (at(h)? - at(-h)?) - (at(2.0 * h)? - at(-2.0 * h)?)) / (12.0 * h))
        };
        let mut error = f64::INFINITY;
        for h in [1e-4, 1e-5, 1e-6] {
            error = error.min((slope(h)? - inner).abs() / (size + 1e-3));
            if error < 1e-7 {
                break;
            }
        }
        let names: Vec<&str> = moves.iter().map(|&i| &*graph.inputs()[i].name).collect();
        if error.is_nan() || error > 1e-5 {
            let slope = slope(1e-5)?;
            return fail(
                Stage::Gradient,
                format!("{names:?}: slope {slope:e}, gradient says {inner:e} (size {size:e})"),
            );
        }
        worst = worst.max(error);
    }
    Ok((worst, changed))
}
