//! What kernels do at given extents: floating-point operations, bytes, and what they stream.
//!
//! Operations are those that the plan's tile code executes, whole tiles, two for a multiply-add. Where loops or grids are long,
//! some of their iterations, evenly spread, stand for all. Bytes are the sizes of the buffers that a kernel reads and writes, each
//! once: what it must move however good its caches are.

use std::collections::BTreeSet;
use std::time::Duration;

use super::bind::{Bound, Length};
use weft_ir::graph::{Extent, Graph};
use weft_ir::kernel::{
    AxisSet, Domain, ExtentId, Inst, Kernel, Loop, OpCode, Place, Plan, Stmt, Type, ValueId, expr_text,
};
use weft_passes::cost::{Extents, Visit, Walk};

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

/// The extents of a run.
struct Lengths(Vec<Length>);

impl Extents for Lengths {
    fn most(&self, extent: ExtentId) -> Option<i64> {
        self.0.get(extent.index()).map(|l| l.padded() as i64)
    }

    fn at(&self, extent: ExtentId, batch: i64) -> Option<i64> {
        match self.0.get(extent.index())? {
            Length::Uniform(n) => Some(*n as i64),
            Length::Ragged { lengths, .. } => lengths.get(usize::try_from(batch).ok()?).map(|&n| n as i64),
        }
    }
}

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
    let extents = Lengths(extents);
    plan.kernels.iter().map(|kernel| Costs { plan, kernel, walk: Walk::new(plan, kernel, &extents) }.cost()).collect()
}

struct Costs<'p> {
    plan: &'p Plan,
    kernel: &'p Kernel,
    walk: Walk<'p, Lengths>,
}

/// Floating-point operations of what a walk meets.
struct Flops<'p> {
    plan: &'p Plan,
    kernel: &'p Kernel,
    total: f64,
}

impl Visit for Flops<'_> {
    fn inst(&mut self, inst: &Inst, times: f64) {
        self.total += times * self.of(inst);
    }
}

impl Costs<'_> {
    fn cost(mut self) -> KernelCost {
        let grid = self.kernel.grid.iter().map(|g| {
            let most = self.walk.eval(&g.extent).or_else(|| self.walk.most(&g.extent));
            most.map_or_else(|| expr_text(self.plan, Some(self.kernel), &g.extent), |n| n.to_string())
        });
        let grid = grid.collect::<Vec<_>>().join(" x ");
        let mut flops = Flops { plan: self.plan, kernel: self.kernel, total: 0.0 };
        let at_least = !self.walk.run(&mut flops);
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
            flops: flops.total,
            at_least,
            time: None,
        }
    }

    fn bytes(&self, buffer: usize) -> Option<u64> {
        let buffer = self.plan.buffers.get(buffer)?;
        let mut bytes = buffer.elem.bytes();
        for dim in &buffer.dims {
            let n = self.walk.eval(&dim.extent).or_else(|| self.walk.most(&dim.extent))?;
            bytes = bytes.checked_mul(u64::try_from(n).ok()?)?;
        }
        Some(bytes)
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
                let stride = self.walk.eval(stride).map_or_else(|| "?".to_owned(), |n| n.to_string());
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

impl Flops<'_> {
    /// Operations of one instruction.
    fn of(&self, inst: &Inst) -> f64 {
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
}
