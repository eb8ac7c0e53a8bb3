//! A prediction of a kernel's time: operations by rate, bytes by level, overhead of tile code.
//!
//! It is made to rank variants of one kernel (tile extents, fused or not), not to forecast a run. A kernel takes the time of its
//! arithmetic and of its traffic, plus a price for every statement and iteration, times what the last wave of grid points leaves
//! idle. (Traffic is hidden behind arithmetic only in part: adding the two ranked measured variants better than taking the longer.) Tiles that do not fit the first-level cache slow everything down.

use super::walk::{Extents, Visit, Walk};
use crate::lower::Target;
use weft_ir::kernel::{AxisSet, ExtentId, Inst, Kernel, Loop, MapFn, OpCode, Place, Plan, Stmt, Type, ValueId};

/// Rates of one core, in elements or floating-point operations per second; measured on loop IR through the embedded backend.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rates {
    /// Floating-point operations of products in register blocks, operands in the first-level cache.
    pub product: f64,
    /// Elements of a simple elementwise operation.
    pub simple: f64,
    /// Elements of a division, square root, or load from another layout.
    pub division: f64,
    /// Exponentials.
    pub exponential: f64,
    /// Elements of functions that are calls.
    pub call: f64,
    /// Bytes from the second-level cache.
    pub near_bytes: f64,
    /// Bytes from beyond it.
    pub far_bytes: f64,
    /// Seconds for entering the loops of one statement of tile code.
    pub statement: f64,
    /// Seconds for one iteration of a loop over tiles.
    pub iteration: f64,
    /// Seconds for starting a grid point.
    pub point: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            product: 52e9,
            simple: 10e9,
            division: 5e9,
            exponential: 2.1e9,
            call: 0.2e9,
            near_bytes: 40e9,
            far_bytes: 12e9,
            statement: 8e-9,
            iteration: 10e-9,
            point: 150e-9,
        }
    }
}

/// Extents at which variants are compared: time is symbolic, so a typical length stands for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Typical {
    /// Every batch extent.
    pub batch: i64,
    /// Every other runtime extent.
    pub length: i64,
}

impl Default for Typical {
    fn default() -> Self {
        Self { batch: 1, length: 4096 }
    }
}

impl Typical {
    /// The extents of a plan.
    #[must_use]
    pub fn of(self, plan: &Plan) -> impl Extents + '_ {
        TypicalExtents(plan, self)
    }
}

struct TypicalExtents<'p>(&'p Plan, Typical);

impl Extents for TypicalExtents<'_> {
    fn most(&self, extent: ExtentId) -> Option<i64> {
        let is_batch = self.0.extents.iter().any(|e| e.over == Some(extent));
        self.0.extent(extent).map(|_| if is_batch { self.1.batch } else { self.1.length })
    }

    fn at(&self, extent: ExtentId, _: i64) -> Option<i64> {
        self.most(extent)
    }
}

/// Predicted seconds of a kernel.
#[must_use]
pub fn seconds(plan: &Plan, kernel: &Kernel, target: &Target, rates: &Rates, typical: Typical) -> f64 {
    seconds_at(plan, kernel, target, rates, &typical.of(plan))
}

/// Predicted seconds of a kernel at extents of the caller's.
#[must_use]
pub fn seconds_at(plan: &Plan, kernel: &Kernel, target: &Target, rates: &Rates, extents: &impl Extents) -> f64 {
    let mut walk = Walk::new(plan, kernel, extents);
    let points: f64 =
        kernel.grid.iter().map(|g| walk.most(&g.extent).unwrap_or(1).max(1) as f64).product::<f64>().max(1.0);
    let resident = resident_bytes(plan, kernel, &kernel.body, 0);
    let slow = match resident {
        n if n <= target.l1_bytes => 1.0,
        n if n <= 2 * target.l1_bytes => 1.05,
        n if n <= target.l2_bytes / 2 => 1.2,
        _ => 2.0,
    };
    let mut work = Work { plan, kernel, rates, slow, compute: 0.0, bytes: 0.0, overhead: points * rates.point };
    walk.run(&mut work);
    // What a grid point streams comes from the second-level cache if it is still there when the next one wants it.
    let bandwidth = if work.bytes / points <= target.l2_bytes as f64 { rates.near_bytes } else { rates.far_bytes };
    let threads = f64::from(target.threads.max(1));
    let waves = (points / threads).ceil() * threads / points;
    (work.compute + work.bytes / bandwidth + work.overhead) * waves / threads
}

/// Bytes of tiles that the innermost loops hold: the most over all loops.
fn resident_bytes(plan: &Plan, kernel: &Kernel, body: &[Stmt], outside: u64) -> u64 {
    let size = |v: &ValueId| kernel.value_type(*v).map_or(0, |t| bytes_of(plan, kernel, t));
    let mut own = 0u64;
    for s in body {
        if let Stmt::Inst(i) = s
            && matches!(i.op, OpCode::Load | OpCode::Dot | OpCode::Reduce | OpCode::Online | OpCode::Rescale)
        {
            own += i.results.iter().map(size).sum::<u64>();
        }
    }
    let mut most = outside + own;
    for s in body {
        let (inner, carried) = match s {
            Stmt::Loop(l) => (&l.body, l.carried.iter().map(|c| size(&c.param)).sum()),
            Stmt::While(w) => (&w.body, w.carried.iter().map(|c| size(&c.param)).sum()),
            _ => continue,
        };
        // What stands outside a loop and is not carried through it is mostly done with.
        let carried: u64 = carried;
        most = most.max(resident_bytes(plan, kernel, inner, carried));
    }
    most
}

fn bytes_of(plan: &Plan, kernel: &Kernel, ty: Type) -> u64 {
    let elements: i64 =
        ty.axes.iter().map(|a| kernel.axis_extent(plan, a).unwrap_or(1).max(1)).fold(1, i64::saturating_mul);
    ty.elem.bytes().saturating_mul(elements.unsigned_abs())
}

/// Sums of what a walk meets, in seconds of one core and in bytes.
struct Work<'p> {
    plan: &'p Plan,
    kernel: &'p Kernel,
    rates: &'p Rates,
    slow: f64,
    compute: f64,
    bytes: f64,
    overhead: f64,
}

impl Work<'_> {
    fn extent(&self, axis: weft_ir::kernel::AxisId) -> f64 {
        self.kernel.axis_extent(self.plan, axis).unwrap_or(1).max(1) as f64
    }

    fn size(&self, axes: AxisSet) -> f64 {
        axes.iter().map(|a| self.extent(a)).product()
    }

    fn axes(&self, values: &[ValueId]) -> AxisSet {
        values.iter().filter_map(|&v| self.kernel.value_type(v)).fold(AxisSet::EMPTY, |s, t| s.union(t.axes))
    }

    /// The part of a product's register blocks that does useful work: 8 lanes by 5 rows.
    fn blocks(&self, inst: &Inst) -> f64 {
        let out = self.axes(&inst.results);
        let fill = |n: f64, block: f64| n / ((n / block).ceil() * block);
        let lanes = self.kernel.lanes.filter(|&l| out.contains(l)).map_or(1.0, |l| self.extent(l));
        let rows = (self.size(out) / lanes).max(1.0);
        let depth = self.size(inst.attrs.over);
        // Loading and storing the sums costs about as much as this many steps.
        fill(lanes, 8.0) * fill(rows, 5.0) * depth / (depth + 8.0)
    }

    fn rate(&self, f: MapFn) -> f64 {
        let r = self.rates;
        match f.name() {
            "exp" | "exp2" => r.exponential,
            "log" | "log2" => r.exponential / 2.0,
            "inv" | "inv0" | "div" | "div0" | "sqrt" | "rsqrt" => r.division,
            "sin" | "cos" | "tanh" | "pow" | "erf" => r.call,
            _ => r.simple,
        }
    }
}

impl Visit for Work<'_> {
    fn inst(&mut self, inst: &Inst, times: f64) {
        let r = self.rates;
        let all = self.axes(&inst.results).union(self.axes(&inst.args));
        let n = self.size(all);
        self.overhead += times * r.statement;
        self.compute += times
            * match inst.op {
                OpCode::Dot => 2.0 * n * self.slow / (r.product * self.blocks(inst)),
                OpCode::Map => inst.attrs.function.map_or(0.0, |f| n * self.slow / self.rate(f)),
                OpCode::Online => n * (1.0 / r.exponential + 2.0 / r.simple),
                OpCode::Load => {
                    self.bytes += times
                        * self
                            .kernel
                            .value_type(inst.results[0])
                            .map_or(0.0, |t| bytes_of(self.plan, self.kernel, t) as f64);
                    match inst.attrs.access.as_ref().map(|a| a.place) {
                        Some(Place::Buffer(_)) => n / r.division,
                        _ => n / r.simple,
                    }
                }
                OpCode::Store => {
                    self.bytes += times
                        * inst
                            .args
                            .first()
                            .and_then(|&v| self.kernel.value_type(v))
                            .map_or(0.0, |t| bytes_of(self.plan, self.kernel, t) as f64);
                    n / r.division
                }
                _ => n * self.slow / r.simple,
            };
    }

    fn iterations(&mut self, _: &Loop, times: f64) {
        self.overhead += times * self.rates.iteration;
    }
}
