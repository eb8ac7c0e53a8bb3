//! What kernels do at given extents: floating-point operations, bytes, and what they stream.
//!
//! Operations are those that the plan's tile code executes, whole tiles, two for a multiply-add. Where loops or grids are long,
//! some of their iterations, evenly spread, stand for all. Bytes are the sizes of the buffers that a kernel reads and writes, each
//! once: what it must move however good its caches are.

use std::collections::BTreeSet;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::bind::{Bound, Length};
use weft_ir::graph::{Extent, Graph};
use weft_ir::kernel::{
    AxisSet, Domain, Expr, Inst, Kernel, Loop, OpCode, Place, Plan, Stmt, Type, ValueId, VarDef, VarId, expr_text,
};

/// One kernel.
#[derive(Clone, PartialEq, Debug)]
pub struct KernelCost {
    /// Its name.
    pub name: String,
    /// Its grid, as `b, n` with extents at these inputs: `2 x 8`.
    pub grid: String,
    /// Its outermost loops over buffers: what is streamed and how.
    pub streams: Vec<String>,
    /// Floating-point operations.
    pub flops: f64,
    /// Are there loops whose length only the run knows? Then `flops` counts one iteration of them.
    pub at_least: bool,
    /// Bytes of buffers read.
    pub bytes_read: u64,
    /// Bytes of buffers written.
    pub bytes_written: u64,
    /// How long it ran, on the wall, if it ran as machine code.
    pub time: Option<Duration>,
}

/// How many iterations of a loop or a grid axis stand for all.
const SAMPLES: i64 = 6;

/// The costs of all kernels of a plan, in its order.
#[must_use]
pub fn costs(plan: &Plan, graph: &Graph, bound: &Bound) -> Vec<KernelCost> {
    let extents: Vec<Length> = graph
        .domains()
        .iter()
        .enumerate()
        .filter(|(_, d)| matches!(d.extent, Extent::Runtime | Extent::Ragged(_)))
        .map(|(i, _)| bound.length(weft_ir::graph::DomainId(i as u32)).clone())
        .collect();
    plan.kernels.iter().map(|kernel| Walk::new(plan, kernel, &extents).cost()).collect()
}

struct Walk<'p> {
    plan: &'p Plan,
    kernel: &'p Kernel,
    extents: &'p [Length],
    vars: FxHashMap<VarId, i64>,
    flops: f64,
    at_least: bool,
}

impl<'p> Walk<'p> {
    fn new(plan: &'p Plan, kernel: &'p Kernel, extents: &'p [Length]) -> Self {
        Self { plan, kernel, extents, vars: FxHashMap::default(), flops: 0.0, at_least: false }
    }

    fn cost(mut self) -> KernelCost {
        let grid = self.kernel.grid.iter().map(|g| {
            let most = self.eval(&g.extent).or_else(|| self.most(&g.extent));
            most.map_or_else(|| expr_text(self.plan, Some(self.kernel), &g.extent), |n| n.to_string())
        });
        let grid = grid.collect::<Vec<_>>().join(" x ");
        self.grid(0, 1.0);
        let (mut read, mut written) = (BTreeSet::new(), BTreeSet::new());
        each_inst(&self.kernel.body, &mut |inst| {
            if let Some(Place::Buffer(b)) = inst.attrs.access.as_ref().map(|a| a.place) {
                let to = if inst.op == OpCode::Load { &mut read } else { &mut written };
                to.insert(b.index());
            }
        });
        let bytes = |set: &BTreeSet<usize>| set.iter().filter_map(|&b| self.bytes(b)).sum();
        KernelCost {
            name: self.kernel.name.clone(),
            grid: if grid.is_empty() { "1".to_owned() } else { grid },
            streams: self.streams(),
            bytes_read: bytes(&read),
            bytes_written: bytes(&written),
            flops: self.flops,
            at_least: self.at_least,
            time: None,
        }
    }

    fn grid(&mut self, axis: usize, weight: f64) {
        let kernel = self.kernel;
        let Some(g) = kernel.grid.get(axis) else {
            self.body(&kernel.body, weight);
            return;
        };
        let Some(extent) = self.eval(&g.extent) else {
            self.at_least = true;
            return;
        };
        for (at, share) in spread(0, extent, 1) {
            self.vars.insert(g.var, at);
            self.grid(axis + 1, weight * share);
        }
        self.vars.remove(&g.var);
    }

    fn body(&mut self, body: &'p [Stmt], weight: f64) {
        for stmt in body {
            match stmt {
                Stmt::Let(_) => {}
                Stmt::Inst(inst) => self.flops += weight * self.inst(inst),
                Stmt::Loop(l) => self.looped(l, weight),
                Stmt::While(w) => {
                    self.at_least = true;
                    self.body(&w.body, weight);
                }
                Stmt::If(i) => {
                    // Branches guard work that may be skipped; both are counted as if taken.
                    self.body(&i.then_body, weight);
                    self.body(&i.else_body, weight);
                }
            }
        }
    }

    fn looped(&mut self, l: &'p Loop, weight: f64) {
        let step = l.axis.and_then(|a| self.kernel.axis_extent(self.plan, a)).unwrap_or(1).max(1);
        let range = match &l.domain {
            Domain::Dense { lo, hi } | Domain::Strided { lo, hi, .. } => self.eval(lo).zip(self.eval(hi)),
            Domain::List { count, .. } | Domain::Table { count } => self.eval(count).map(|n| (0, n)),
            Domain::Point { .. } => Some((0, 1)),
        };
        let Some((lo, hi)) = range else {
            self.at_least = true;
            self.body(&l.body, weight);
            return;
        };
        for (at, share) in spread(lo, hi, step) {
            self.vars.insert(l.index, at);
            self.body(&l.body, weight * share);
        }
        self.vars.remove(&l.index);
    }

    /// Operations of one instruction.
    fn inst(&self, inst: &Inst) -> f64 {
        let axes_of = |ids: &mut dyn Iterator<Item = &ValueId>| {
            let types = ids.filter_map(|&v| self.kernel.value_type(v)).collect::<Vec<Type>>();
            let float = types.iter().any(|t| t.elem.is_float());
            (types, float)
        };
        let (args, float) = axes_of(&mut inst.args.iter());
        let (results, made) = axes_of(&mut inst.results.iter());
        let size = |types: &[Type]| {
            let mut all: Vec<usize> = types.iter().flat_map(|t| indices(&t.axes)).collect();
            all.sort_unstable();
            all.dedup();
            all.iter().map(|&a| self.axis(a)).product::<f64>()
        };
        match inst.op {
            OpCode::Dot => 2.0 * size(&args[..args.len().min(2)]),
            OpCode::Map if made => size(&results) * 1.0,
            // The exponential counts as one operation, as do the maximum and the difference.
            OpCode::Online => 3.0 * size(&args),
            OpCode::Reduce | OpCode::Scan | OpCode::Combine if float => size(&args),
            OpCode::Rescale => size(&results),
            OpCode::Merge => 2.0 * size(&results),
            _ => 0.0,
        }
    }

    fn axis(&self, index: usize) -> f64 {
        self.kernel.axes.get(index).and_then(|a| self.plan.static_value(&a.extent)).unwrap_or(1) as f64
    }

    fn bytes(&self, buffer: usize) -> Option<u64> {
        let buffer = self.plan.buffers.get(buffer)?;
        let mut bytes = buffer.elem.bytes();
        for dim in &buffer.dims {
            let n = self.eval(&dim.extent).or_else(|| self.most(&dim.extent))?;
            bytes = bytes.checked_mul(u64::try_from(n).ok()?)?;
        }
        Some(bytes)
    }

    /// The value of an expression, where the walk stands.
    fn eval(&self, e: &Expr) -> Option<i64> {
        match e {
            Expr::Const(n) => Some(*n),
            Expr::Param(p) => self.plan.params.get(p.index()).map(|p| p.value),
            Expr::Extent(x) => self.extents.get(x.index()).map(|l| l.padded() as i64),
            Expr::Ragged(x, at) => match self.extents.get(x.index())? {
                Length::Uniform(n) => Some(*n as i64),
                Length::Ragged { lengths, .. } => lengths.get(usize::try_from(self.eval(at)?).ok()?).map(|&n| n as i64),
            },
            Expr::Var(v) => match self.vars.get(v) {
                Some(n) => Some(*n),
                None => match &self.kernel.vars.get(v.index())?.def {
                    VarDef::Let(e) | VarDef::Position(e) => self.eval(e),
                    _ => None,
                },
            },
            // The first element of a tile stands for all.
            Expr::Axis(_) => Some(0),
            Expr::Dim(_) | Expr::Value(_) => None,
            Expr::Binary(op, a, b) => op.eval(self.eval(a)?, self.eval(b)?),
        }
    }

    /// The value where a ragged extent is the longest.
    fn most(&self, e: &Expr) -> Option<i64> {
        match e {
            Expr::Ragged(x, _) => self.extents.get(x.index()).map(|l| l.padded() as i64),
            Expr::Binary(op, a, b) => op.eval(self.most(a)?, self.most(b)?),
            other => self.eval(other),
        }
    }

    /// The outermost loops that read buffers: which buffers, over what.
    fn streams(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.outer_loops(&self.kernel.body, &mut found);
        found
    }

    fn outer_loops(&self, body: &[Stmt], found: &mut Vec<String>) {
        for stmt in body {
            match stmt {
                Stmt::Loop(l) => {
                    let mut buffers: Vec<&str> = Vec::new();
                    each_inst(&l.body, &mut |inst| {
                        if let (OpCode::Load, Some(Place::Buffer(b))) =
                            (inst.op, inst.attrs.access.as_ref().map(|a| a.place))
                            && let Some(b) = self.plan.buffer(b)
                            && !buffers.contains(&b.name.as_str())
                        {
                            buffers.push(&b.name);
                        }
                    });
                    if buffers.is_empty() {
                        self.outer_loops(&l.body, found);
                    } else {
                        found.push(format!("{} {}", buffers.join(" "), self.how(l)));
                    }
                }
                Stmt::While(w) => self.outer_loops(&w.body, found),
                Stmt::If(i) => {
                    self.outer_loops(&i.then_body, found);
                    self.outer_loops(&i.else_body, found);
                }
                Stmt::Let(_) | Stmt::Inst(_) => {}
            }
        }
    }

    fn how(&self, l: &Loop) -> String {
        let axis = l.axis.and_then(|a| self.kernel.axes.get(a.index())).map_or("", |a| a.name.as_str());
        // Axes that the compiler made are called after one of the source, with a mark.
        let axis = axis.split('\'').next().unwrap_or(axis);
        match &l.domain {
            Domain::Dense { .. } if l.axis.is_none() => "one by one".to_owned(),
            Domain::Dense { .. } => format!("by {axis}"),
            Domain::Strided { stride, .. } => {
                let stride = self.eval(stride).map_or_else(|| "?".to_owned(), |n| n.to_string());
                format!("by {axis} every {stride}")
            }
            Domain::List { list, .. } => {
                let name = match list.place {
                    Place::Buffer(b) => self.plan.buffer(b).map_or("?", |b| b.name.as_str()),
                    Place::Scratch(s) => self.kernel.scratch.get(s.index()).map_or("?", |s| s.name.as_str()),
                };
                format!("by {axis} in {name}")
            }
            Domain::Table { .. } => format!("by {axis} in a table"),
            Domain::Point { at } => format!("at {}", expr_text(self.plan, Some(self.kernel), at)),
        }
    }
}

fn indices(axes: &AxisSet) -> Vec<usize> {
    axes.iter().map(|a| a.index()).collect()
}

/// Some of `lo, lo + step, .. < hi`, each with how many it stands for.
fn spread(lo: i64, hi: i64, step: i64) -> Vec<(i64, f64)> {
    let Some(span) = hi.checked_sub(lo).filter(|n| *n > 0) else { return Vec::new() };
    let count = (span - 1) / step.max(1) + 1;
    let taken = count.min(SAMPLES);
    // The middle of each of `taken` equal parts.
    let at = |i: i64| lo + ((2 * i + 1) as i128 * i128::from(count) / i128::from(2 * taken)) as i64 * step;
    (0..taken).map(|i| (at(i), count as f64 / taken as f64)).collect()
}

fn each_inst(body: &[Stmt], f: &mut impl FnMut(&Inst)) {
    for stmt in body {
        match stmt {
            Stmt::Let(_) => {}
            Stmt::Inst(inst) => f(inst),
            Stmt::Loop(l) => each_inst(&l.body, f),
            Stmt::While(w) => each_inst(&w.body, f),
            Stmt::If(i) => {
                each_inst(&i.then_body, f);
                each_inst(&i.else_body, f);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_for_all() {
        assert_eq!(spread(3, 3, 4), []);
        assert_eq!(spread(3, 4, 4), [(3, 1.0)]);
        assert_eq!(spread(0, 10, 4), [(0, 1.0), (4, 1.0), (8, 1.0)]);
        // A causal loop: the sum of 1..=n over a grid is n(n+1)/2, and midpoints of equal parts see it so.
        let n = 600;
        let sum: f64 = spread(0, n, 1).iter().map(|(at, share)| (*at as f64 + 1.0) * share).sum();
        let exact = (n * (n + 1) / 2) as f64;
        assert!((sum / exact - 1.0).abs() < 0.01, "{sum} {exact}");
    }
}
