//! Is a subscript within its axis? A proof, or an example of what would be read.

use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use weft_ir::graph::prove::Prover;
use weft_ir::graph::{AxisId, DomainId, Extent, Graph, MapFn, NodeId, Op, Scalar};

/// Why a subscript is not known to be within its axis.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// It may be negative.
    low: bool,
    /// It may reach the extent.
    high: bool,
    example: Option<Example>,
}

/// Positions at which a subscript is outside its axis.
#[derive(Clone, Debug)]
struct Example {
    axes: Vec<(AxisId, i64)>,
    extents: Vec<(DomainId, i64)>,
    value: i64,
    extent: i64,
}

/// Proves `0 <= value < extent` from the facts.
pub(super) fn within(
    graph: &Graph,
    facts: &[(NodeId, bool)],
    value: NodeId,
    domain: DomainId,
) -> Result<(), Box<Problem>> {
    if matches!(graph.op(value), Op::Index(a) if graph.axis(*a).domain == domain) {
        return Ok(());
    }
    let prover = prover(graph, facts);
    let (low, high) = (!prover.not_negative(value), !prover.below_extent(value, domain));
    if !low && !high {
        return Ok(());
    }
    let example = Search { graph, facts, goal: Goal::Outside(value, domain) }.run();
    // An example of one side makes the other side's missing proof uninteresting only if that side is proven.
    Err(Box::new(Problem { low, high, example }))
}

/// Positions at which all guards hold and a condition does not, in words.
pub(super) fn refutation(graph: &Graph, guards: &[NodeId], condition: NodeId) -> Option<String> {
    let facts: Vec<(NodeId, bool)> = guards.iter().map(|&g| (g, true)).collect();
    let search = Search { graph, facts: &facts, goal: Goal::Fails(condition) };
    let e = search.run()?;
    let at: Vec<String> = e.axes.iter().map(|&(a, x)| format!("{} = {x}", graph.axis(a).name)).collect();
    (!at.is_empty()).then(|| at.join(", "))
}

/// Do the facts imply a condition?
pub(super) fn implied(graph: &Graph, facts: &[(NodeId, bool)], condition: NodeId) -> bool {
    prover(graph, facts).implies(condition)
}

fn prover<'g>(graph: &'g Graph, facts: &[(NodeId, bool)]) -> Prover<'g> {
    facts.iter().fold(Prover::new(graph), |p, &(c, holds)| p.assume(c, holds))
}

impl Problem {
    /// What is to be said at the subscript.
    pub(super) fn label(&self, text: &str) -> String {
        match &self.example {
            Some(e) => {
                let can_be = if self.always() { "is" } else { "can be" };
                let few = match e.extent {
                    _ if e.value < 0 => String::new(),
                    1 => ", and there is only 1 position".to_owned(),
                    n => format!(", and there are only {n} positions"),
                };
                format!("`{text}` {can_be} {}{few}", e.value)
            }
            None if self.low && self.high => format!("`{text}` is not known to be within the axis"),
            None if self.low => format!("`{text}` is not known to be 0 or more"),
            None => format!("`{text}` is not known to be within the extent"),
        }
    }

    /// The example in words.
    pub(super) fn notes(&self, graph: &Graph, base: &str, axis: &str) -> Vec<String> {
        let Some(e) = &self.example else {
            return vec!["no example was found among small values; the proof needs a guard all the same".into()];
        };
        let mut at: Vec<String> = e.axes.iter().map(|&(a, x)| format!("{} = {x}", graph.axis(a).name)).collect();
        at.extend(e.extents.iter().map(|&(d, n)| format!("|{}| = {n}", graph.domain(d).name)));
        let at = if at.is_empty() { String::from("this") } else { at.join(", ") };
        vec![format!("for example, {at} reads position {} of axis `{axis}` of `{base}`", e.value)]
    }

    /// The condition that is missing.
    pub(super) fn guard(&self, text: &str, axis: &str) -> String {
        let low = self.low && self.example.as_ref().is_none_or(|e| e.value < 0 || !self.high);
        let high = self.high && self.example.as_ref().is_none_or(|e| e.value >= 0 || !self.low);
        match (low, high) {
            (true, true) => format!("0 <= {text} < |{axis}|"),
            (true, false) if self.high => format!("0 <= {text} < |{axis}|"),
            (false, true) if self.low => format!("0 <= {text} < |{axis}|"),
            (true, false) => format!("0 <= {text}"),
            (false, _) => format!("{text} < |{axis}|"),
        }
    }

    /// Is the subscript outside its axis whatever the positions are?
    pub(super) fn always(&self) -> bool {
        self.example.as_ref().is_some_and(|e| e.axes.is_empty() && e.extents.is_empty())
    }
}

/// Brute force over small extents and positions.
struct Search<'g> {
    graph: &'g Graph,
    facts: &'g [(NodeId, bool)],
    goal: Goal,
}

/// What is searched for.
#[derive(Clone, Copy)]
enum Goal {
    /// A position outside a domain.
    Outside(NodeId, DomainId),
    /// A condition that does not hold.
    Fails(NodeId),
}

impl Goal {
    fn term(self) -> NodeId {
        match self {
            Self::Outside(x, _) | Self::Fails(x) => x,
        }
    }
}

/// A value of a term; `None` where it depends on tensors.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Value {
    Int(i64),
    Bool(bool),
}

/// How many combinations of positions are tried.
const TRIES: usize = 100_000;

impl Search<'_> {
    fn run(&self) -> Option<Example> {
        let mut domains: BTreeSet<DomainId> = BTreeSet::new();
        let mut axes: BTreeSet<AxisId> = BTreeSet::new();
        let terms = || std::iter::once(self.goal.term()).chain(self.facts.iter().map(|f| f.0));
        for term in terms() {
            axes.extend(self.graph.free(term).iter());
        }
        let mut seen = BTreeSet::new();
        let mut pending: Vec<NodeId> = terms().collect();
        while let Some(x) = pending.pop() {
            if seen.insert(x) && seen.len() < 10_000 {
                if let Op::Size(d) = self.graph.op(x) {
                    domains.insert(*d);
                }
                pending.extend(self.graph.args(x));
            }
        }
        domains.extend(axes.iter().map(|&a| self.graph.axis(a).domain));
        if let Goal::Outside(_, d) = self.goal {
            domains.insert(d);
        }
        let runtime: Vec<DomainId> =
            domains.iter().filter_map(|&d| self.base(d)).collect::<BTreeSet<_>>().into_iter().collect();
        let axes: Vec<AxisId> = axes.into_iter().collect();
        let mut budget = TRIES;
        // One size for all runtime extents: what differs only for unequal ones is rare, and the example is easier to read.
        let sizes: &[i64] = if runtime.is_empty() { &[1] } else { &[1, 2, 3, 4, 7, 16, 33, 64] };
        sizes.iter().find_map(|&n| {
            let extents: FxHashMap<DomainId, i64> = runtime.iter().map(|&d| (d, n)).collect();
            self.positions(&axes, &mut FxHashMap::default(), &extents, &mut budget)
        })
    }

    /// The runtime domain that decides the extent of `d`, if one does.
    fn base(&self, d: DomainId) -> Option<DomainId> {
        match self.graph.domain(d).extent {
            Extent::Const(_) => None,
            Extent::Derived { base, .. } if base != d => self.base(base),
            _ => Some(d),
        }
    }

    fn extent(&self, d: DomainId, extents: &FxHashMap<DomainId, i64>) -> Option<i64> {
        match self.graph.domain(d).extent {
            Extent::Const(n) => Some(n),
            Extent::Derived { base, mul, add, div } if base != d => {
                let n = self.extent(base, extents)?.checked_mul(mul)?.checked_add(add)?;
                Some(weft_ir::graph::floor_div(n, div).max(0))
            }
            _ => extents.get(&d).copied(),
        }
    }

    fn positions(
        &self,
        rest: &[AxisId],
        env: &mut FxHashMap<AxisId, i64>,
        extents: &FxHashMap<DomainId, i64>,
        budget: &mut usize,
    ) -> Option<Example> {
        let [axis, rest @ ..] = rest else { return self.test(env, extents) };
        let n = self.extent(self.graph.axis(*axis).domain, extents)?;
        // The ends of an axis are where subscripts go wrong.
        let candidates: BTreeSet<i64> = if n <= 64 { (0..n).collect() } else { (0..16).chain(n - 16..n).collect() };
        for x in candidates {
            if *budget == 0 {
                return None;
            }
            *budget -= 1;
            env.insert(*axis, x);
            if let Some(found) = self.positions(rest, env, extents, budget) {
                return Some(found);
            }
        }
        env.remove(axis);
        None
    }

    fn test(&self, env: &FxHashMap<AxisId, i64>, extents: &FxHashMap<DomainId, i64>) -> Option<Example> {
        for &(fact, holds) in self.facts {
            if self.eval(fact, env, extents, 0) == Some(Value::Bool(!holds)) {
                return None;
            }
        }
        let free = self.graph.free(self.goal.term());
        let mut axes: Vec<(AxisId, i64)> =
            env.iter().filter(|(a, _)| free.contains(**a)).map(|(&a, &x)| (a, x)).collect();
        axes.sort_unstable();
        match (self.goal, self.eval(self.goal.term(), env, extents, 0)?) {
            (Goal::Fails(_), Value::Bool(false)) => Some(Example { axes, extents: Vec::new(), value: 0, extent: 0 }),
            (Goal::Outside(_, domain), Value::Int(value)) => {
                let extent = self.extent(domain, extents)?;
                if (0..extent).contains(&value) {
                    return None;
                }
                let extents = match self.base(domain) {
                    Some(d) if value >= 0 => extents.get(&d).map(|&n| (d, n)).into_iter().collect(),
                    _ => Vec::new(),
                };
                Some(Example { axes, extents, value, extent })
            }
            _ => None,
        }
    }

    fn eval(
        &self,
        x: NodeId,
        env: &FxHashMap<AxisId, i64>,
        extents: &FxHashMap<DomainId, i64>,
        depth: u32,
    ) -> Option<Value> {
        if depth > 64 {
            return None;
        }
        let args = self.graph.args(x);
        let arg = |k: usize| self.eval(args[k], env, extents, depth + 1);
        match self.graph.op(x) {
            Op::Const(Scalar::Int(i)) => Some(Value::Int(*i)),
            Op::Const(Scalar::Bool(b)) => Some(Value::Bool(*b)),
            Op::Index(a) => env.get(a).map(|&i| Value::Int(i)),
            Op::Size(d) => self.extent(*d, extents).map(Value::Int),
            Op::Sub { axes } => {
                let mut inner = env.clone();
                for (k, &a) in axes.iter().enumerate() {
                    let Some(Value::Int(i)) = arg(k + 1) else { return None };
                    inner.insert(a, i);
                }
                self.eval(args[0], &inner, extents, depth + 1)
            }
            Op::Select => match arg(0)? {
                Value::Bool(true) => arg(1),
                _ => arg(2),
            },
            Op::Map(f @ (MapFn::And | MapFn::Or)) => {
                // Unknown operands do not matter where a known one decides.
                let decides = *f == MapFn::Or;
                let mut unknown = false;
                for k in 0..args.len() {
                    match arg(k) {
                        Some(Value::Bool(b)) if b == decides => return Some(Value::Bool(decides)),
                        Some(_) => {}
                        None => unknown = true,
                    }
                }
                if unknown { None } else { Some(Value::Bool(!decides)) }
            }
            Op::Map(f) => {
                let values: Vec<Value> = (0..args.len()).map(arg).collect::<Option<_>>()?;
                apply(*f, &values)
            }
            _ => None,
        }
    }
}

fn apply(f: MapFn, values: &[Value]) -> Option<Value> {
    if let (MapFn::Not, [Value::Bool(b)]) = (f, values) {
        return Some(Value::Bool(!b));
    }
    if let (MapFn::Eq | MapFn::Ne, [a, b]) = (f, values) {
        return Some(Value::Bool((a == b) == (f == MapFn::Eq)));
    }
    let ints: Vec<i64> =
        values.iter().map(|v| if let Value::Int(i) = v { Some(*i) } else { None }).collect::<Option<_>>()?;
    match (f, ints.as_slice()) {
        (MapFn::Lt, [a, b]) => Some(Value::Bool(a < b)),
        (MapFn::Le, [a, b]) => Some(Value::Bool(a <= b)),
        _ => f.eval_int(&ints).map(Value::Int),
    }
}
