//! The control flow of a kernel at given extents.
//!
//! Where loops or grids are long, some of their iterations, evenly spread, stand for all.

use rustc_hash::FxHashMap;
use weft_ir::kernel::{Domain, Expr, ExtentId, Inst, Kernel, Loop, Plan, Stmt, VarDef, VarId};

/// How many iterations of a loop or a grid axis stand for all.
const SAMPLES: i64 = 6;

/// Values of the runtime extents.
pub trait Extents {
    /// The extent, where it is ragged the longest.
    fn most(&self, extent: ExtentId) -> Option<i64>;
    /// A ragged extent at a position of its batch axis.
    fn at(&self, extent: ExtentId, batch: i64) -> Option<i64>;
}

/// What a walk meets.
pub trait Visit {
    /// A statement of tile code that is executed `times` times.
    fn inst(&mut self, inst: &Inst, times: f64);
    /// Iterations of a loop.
    fn iterations(&mut self, _: &Loop, _: f64) {}
}

/// A walk through one kernel.
pub struct Walk<'p, E> {
    plan: &'p Plan,
    kernel: &'p Kernel,
    extents: &'p E,
    vars: FxHashMap<VarId, i64>,
    at_least: bool,
}

impl<'p, E: Extents> Walk<'p, E> {
    /// A walk at the start of a kernel.
    pub fn new(plan: &'p Plan, kernel: &'p Kernel, extents: &'p E) -> Self {
        Self { plan, kernel, extents, vars: FxHashMap::default(), at_least: false }
    }

    /// Walks every grid point. False if there are loops whose length only the run knows: one iteration of them is met then.
    pub fn run(&mut self, visit: &mut impl Visit) -> bool {
        self.at_least = false;
        self.grid(0, 1.0, visit);
        !self.at_least
    }

    fn grid(&mut self, axis: usize, times: f64, visit: &mut impl Visit) {
        let kernel = self.kernel;
        let Some(g) = kernel.grid.get(axis) else {
            self.body(&kernel.body, times, visit);
            return;
        };
        let Some(extent) = self.eval(&g.extent) else {
            self.at_least = true;
            return;
        };
        for (at, share) in spread(0, extent, 1) {
            self.vars.insert(g.var, at);
            self.grid(axis + 1, times * share, visit);
        }
        self.vars.remove(&g.var);
    }

    fn body(&mut self, body: &'p [Stmt], times: f64, visit: &mut impl Visit) {
        for stmt in body {
            match stmt {
                Stmt::Let(_) => {}
                Stmt::Inst(inst) => visit.inst(inst, times),
                Stmt::Loop(l) => self.looped(l, times, visit),
                Stmt::While(w) => {
                    self.at_least = true;
                    self.body(&w.body, times, visit);
                }
                Stmt::If(i) => {
                    // Branches guard work that may be skipped; both are met as if taken.
                    self.body(&i.then_body, times, visit);
                    self.body(&i.else_body, times, visit);
                }
            }
        }
    }

    fn looped(&mut self, l: &'p Loop, times: f64, visit: &mut impl Visit) {
        let step = l.axis.and_then(|a| self.kernel.axis_extent(self.plan, a)).unwrap_or(1).max(1);
        let range = match &l.domain {
            Domain::Dense { lo, hi } | Domain::Strided { lo, hi, .. } => self.eval(lo).zip(self.eval(hi)),
            Domain::List { count, .. } | Domain::Table { count } => self.eval(count).map(|n| (0, n)),
            Domain::Point { .. } => Some((0, 1)),
        };
        let Some((lo, hi)) = range else {
            self.at_least = true;
            self.body(&l.body, times, visit);
            return;
        };
        for (at, share) in spread(lo, hi, step) {
            self.vars.insert(l.index, at);
            visit.iterations(l, times * share);
            self.body(&l.body, times * share, visit);
        }
        self.vars.remove(&l.index);
    }

    /// The value of an expression, where the walk stands; none if only the run knows it.
    pub fn eval(&self, e: &Expr) -> Option<i64> {
        match e {
            Expr::Const(n) => Some(*n),
            Expr::Param(p) => self.plan.params.get(p.index()).map(|p| p.value),
            Expr::Extent(x) => self.extents.most(*x),
            Expr::Ragged(x, at) => self.extents.at(*x, self.eval(at)?),
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

    /// The value where every ragged extent is the longest.
    pub fn most(&self, e: &Expr) -> Option<i64> {
        match e {
            Expr::Ragged(x, _) => self.extents.most(*x),
            Expr::Binary(op, a, b) => op.eval(self.most(a)?, self.most(b)?),
            other => self.eval(other),
        }
    }
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
