//! Inputs made up for a check.
//!
//! A value is drawn from the initialiser that the source gives (`param a_log[hs] ~ log(uniform(1, 16))`). Without one, inputs are
//! normal(0, 1), and a parameter is normal(0, 1/sqrt(fan-in)), where the fan-in is the product of the extents of its axes that
//! some sum of products contracts; of a parameter with no such axis it is 1. Integers without an initialiser are 0 or 1.
//! Each tensor has a random sequence of its own, from the seed and its name, so that adding one does not change the others.

use indexmap::IndexMap;
use rustc_hash::FxHashSet;

use super::bind::{Bound, MAX_ELEMENTS, bind};
use super::fault::Fault;
use crate::diagnostics::codes;
use weft_ir::dtype::Class;
use weft_ir::eval::{Elements, Tensor};
use weft_ir::graph::{AxisId, DomainId, Extent, Graph, Init, Input, InputId, InputKind, MapFn, NodeId, Op, Role};

/// Extent of a time axis for which nothing is given.
pub const DEFAULT_TIME: i64 = 256;
/// Extent of a batch axis for which nothing is given.
pub const DEFAULT_BATCH: i64 = 2;
/// Extent of any other runtime axis for which nothing is given.
pub const DEFAULT_OTHER: i64 = 64;

/// Inputs for a layer whose runtime extents `extents` gives, or else the defaults.
///
/// # Errors
/// E0516 and E0518 for extents that are out of bounds.
pub fn generate(graph: &Graph, extents: &IndexMap<String, i64>, seed: u64) -> Result<Bound, Fault> {
    let mut extents = extents.clone();
    for (d, domain) in graph.domains().iter().enumerate() {
        let is_batch = || {
            graph.domains().iter().any(|o| matches!(o.extent, Extent::Ragged(b) if graph.axis(b).domain.index() == d))
        };
        let default = match domain.extent {
            Extent::Const(_) | Extent::Derived { .. } => continue,
            _ if domain.role == Role::Time => DEFAULT_TIME,
            _ if is_batch() => DEFAULT_BATCH,
            _ => DEFAULT_OTHER,
        };
        extents.entry(domain.name.to_string()).or_insert(default);
    }
    let mut given = IndexMap::new();
    for (i, input) in graph.inputs().iter().enumerate() {
        let shape = shape(graph, input, &extents)?;
        let fan_in = fan_in(graph, InputId(i as u32), &shape);
        let count = shape.iter().product();
        let mut random = Random::new(seed, &input.name);
        let draw = |random: &mut Random| match (&input.init, input.dtype.class(), input.kind) {
            (Some(init), _, _) => random.sample(init),
            (None, Class::Float, InputKind::In) => random.normal(),
            (None, Class::Float, InputKind::Param) => random.normal() / fan_in.sqrt(),
            (None, _, _) => random.uniform().round(),
        };
        let values = (0..count).map(|_| draw(&mut random));
        let data = match input.dtype.class() {
            Class::Float => Elements::F64(values.collect()),
            #[allow(clippy::cast_possible_truncation, reason = "an integer's initialiser is rounded down")]
            Class::Int => Elements::I64(values.map(|x| x.floor() as i64).collect()),
            Class::Bool => Elements::Bool(values.map(|x| x >= 0.5).collect()),
        };
        given.insert(input.name.to_string(), Tensor { shape, data });
    }
    bind(graph, given, &extents, "generated inputs")
}

fn shape(graph: &Graph, input: &Input, extents: &IndexMap<String, i64>) -> Result<Vec<usize>, Fault> {
    fn extent(graph: &Graph, domain: DomainId, extents: &IndexMap<String, i64>, depth: u32) -> Option<i64> {
        let d = graph.domain(domain);
        match d.extent {
            Extent::Const(n) => Some(n),
            Extent::Runtime | Extent::Ragged(_) => extents.get(&*d.name).copied(),
            Extent::Derived { base, mul, add, div } if depth > 0 && div > 0 => {
                let n = extent(graph, base, extents, depth - 1)?;
                Some(weft_ir::graph::floor_div(n.checked_mul(mul)?.checked_add(add)?, div))
            }
            Extent::Derived { .. } => None,
        }
    }
    let too_large = || Fault::user(codes::E0518, format!("`{}` would have more than 2^31 elements", input.name));
    let depth = graph.domains().len() as u32;
    let extents = input.axes.iter().map(|&a| extent(graph, graph.axis(a).domain, extents, depth));
    let shape: Option<Vec<usize>> = extents.map(|n| usize::try_from(n?).ok()).collect();
    let shape = shape.ok_or_else(too_large)?;
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if count.is_none_or(|n| n > MAX_ELEMENTS) { Err(too_large()) } else { Ok(shape) }
}

/// Product of the extents of an input's axes that some sum of products contracts.
fn fan_in(graph: &Graph, input: InputId, shape: &[usize]) -> f64 {
    let mut contracted: FxHashSet<usize> = FxHashSet::default();
    for id in graph.ids() {
        if let Op::Ein { axes, .. } = graph.op(id)
            && !axes.is_empty()
        {
            for &factor in graph.operands(id) {
                factors(graph, factor, axes, input, &mut contracted);
            }
        }
    }
    contracted.iter().map(|&d| shape[d] as f64).product::<f64>().max(1.0)
}

/// Collects the dimensions of `input` along which it is a factor of `id` and runs over one of `axes`.
fn factors(graph: &Graph, id: NodeId, axes: &[AxisId], input: InputId, found: &mut FxHashSet<usize>) {
    match graph.op(id) {
        Op::Input(i) if *i == input => {
            let own = graph.input(input).axes.iter().enumerate();
            found.extend(own.filter(|(_, a)| axes.contains(a)).map(|(d, _)| d));
        }
        Op::Map(MapFn::Mul) | Op::Cast(_) => {
            for &a in graph.args(id) {
                factors(graph, a, axes, input, found);
            }
        }
        Op::Ein { axes: inner, .. } if inner.is_empty() => {
            for &a in graph.operands(id) {
                factors(graph, a, axes, input, found);
            }
        }
        Op::Sub { axes: replaced } => {
            let Some((&body, positions)) = graph.args(id).split_first() else { return };
            let Op::Input(i) = graph.op(body) else { return };
            if *i != input {
                return;
            }
            for (d, own) in graph.input(input).axes.iter().enumerate() {
                let at = replaced.iter().position(|r| r == own).and_then(|p| positions.get(p));
                let now = match at.map(|&p| graph.op(p)) {
                    None => Some(*own),
                    Some(Op::Index(to)) => Some(*to),
                    Some(_) => None,
                };
                if now.is_some_and(|a| axes.contains(&a)) {
                    found.insert(d);
                }
            }
        }
        _ => {}
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014), with Box and Muller's normal deviates.
struct Random {
    state: u64,
    spare: Option<f64>,
}

impl Random {
    fn new(seed: u64, name: &str) -> Self {
        // FNV-1a of the name.
        let hash = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        Self { state: name.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, hash), spare: None }
    }

    /// In `[0, 1)`.
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        if let Some(x) = self.spare.take() {
            return x;
        }
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.uniform();
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }

    fn sample(&mut self, init: &Init) -> f64 {
        match init {
            Init::Const(x) => *x,
            Init::Uniform(low, high) => low + (high - low) * self.uniform(),
            Init::Normal(mean, deviation) => mean + deviation * self.normal(),
            Init::Map(f, args) => {
                let args: Vec<f64> = args.iter().map(|a| self.sample(a)).collect();
                // An elementwise function of floats has a value; NaN would be found by whoever compares.
                f.eval_float(&args).unwrap_or(f64::NAN)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let mut random = Random::new(7, "x");
        let n = 20000;
        let draws: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        let low = (0..n).map(|_| random.sample(&Init::Uniform(2.0, 3.0))).fold(f64::INFINITY, f64::min);
        assert!((2.0..2.01).contains(&low), "{low}");
    }

    #[test]
    fn names_and_seeds_give_sequences_of_their_own() {
        let first = |seed, name| Random::new(seed, name).uniform();
        assert_ne!(first(0, "x"), first(0, "y"));
        assert_ne!(first(0, "x"), first(1, "x"));
        assert_eq!(first(3, "x"), first(3, "x"));
    }
}
