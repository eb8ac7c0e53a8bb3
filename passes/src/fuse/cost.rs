//! What a kernel moves and holds, at typical lengths: enough to tell a good fusion from a bad one, not to predict times.

use weft_ir::kernel::{
    AxisSet, BinOp, BufferId, Domain, Expr, Inst, Kernel, Loop, OpCode, Place, Plan, Stmt, ValueId, VarDef,
};

/// Length for which decisions are taken. Batches are taken to be of one sequence, the worst case for parallelism.
const LENGTH: i64 = 2048;
/// Rounds of a loop whose number depends on data.
const ROUNDS: i64 = 8;

/// The kernel in numbers.
#[derive(Clone, Debug)]
pub(super) struct Cost {
    /// Grid points.
    pub(super) points: i64,
    /// Bytes between memory and grid points, by buffer.
    pub(super) moved: Vec<u64>,
    /// Bytes that a grid point holds: tables, carried values, and the largest statement's tiles.
    pub(super) held: u64,
}

impl Cost {
    pub(super) fn of(plan: &Plan, kernel: &Kernel) -> Self {
        let points = kernel.grid.iter().map(|g| typical(plan, kernel, &g.extent).unwrap_or(1).max(1));
        let points = points.fold(1i64, i64::saturating_mul);
        let mut m = Meter { plan, kernel, moved: vec![0; plan.buffers.len()], carried: 0, widest: 0, rounds: 1 };
        m.stmts(&kernel.body);
        let tables = kernel.scratch.iter().map(|s| {
            let n = s.dims.iter().filter_map(|d| plan.static_value(d)).fold(1i64, i64::saturating_mul);
            n.unsigned_abs().saturating_mul(s.elem.bytes())
        });
        let held = tables.fold(m.carried, u64::saturating_add).saturating_add(m.widest);
        let each = points.unsigned_abs();
        let moved = m.moved.iter().map(|n| n.saturating_mul(each)).collect();
        Self { points, moved, held }
    }

    pub(super) fn total(&self) -> u64 {
        self.moved.iter().fold(0, |a, b| a.saturating_add(*b))
    }
}

struct Meter<'a> {
    plan: &'a Plan,
    kernel: &'a Kernel,
    moved: Vec<u64>,
    carried: u64,
    widest: u64,
    /// How often the statement at hand runs.
    rounds: u64,
}

impl Meter<'_> {
    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(v) => {
                    if let Some(VarDef::Load(a)) = self.kernel.var(*v).map(|v| &v.def) {
                        self.access(a.place, AxisSet::EMPTY);
                    }
                }
                Stmt::Inst(inst) => self.inst(inst),
                Stmt::Loop(l) => {
                    self.hold(&l.results);
                    let trips = trips(self.plan, self.kernel, l).unwrap_or(ROUNDS).max(1).unsigned_abs();
                    let around = self.rounds;
                    self.rounds = around.saturating_mul(trips);
                    self.stmts(&l.body);
                    self.rounds = around;
                }
                Stmt::While(w) => {
                    self.hold(&w.results);
                    let around = self.rounds;
                    self.rounds = around.saturating_mul(ROUNDS.unsigned_abs());
                    self.stmts(&w.body);
                    self.rounds = around;
                }
                Stmt::If(i) => {
                    self.stmts(&i.then_body);
                    self.stmts(&i.else_body);
                }
            }
        }
    }

    fn bytes(&self, v: ValueId) -> u64 {
        self.kernel.value_type(v).map_or(0, |t| self.size(t.axes).saturating_mul(t.elem.bytes()))
    }

    fn hold(&mut self, values: &[ValueId]) {
        self.carried = values.iter().fold(self.carried, |n, v| n.saturating_add(self.bytes(*v)));
    }

    fn size(&self, axes: AxisSet) -> u64 {
        let extents = axes.iter().map(|a| self.kernel.axis_extent(self.plan, a).unwrap_or(1).unsigned_abs());
        extents.fold(1u64, u64::saturating_mul)
    }

    fn inst(&mut self, inst: &Inst) {
        if matches!(inst.op, OpCode::Dot) {
            let tiles = inst.args.iter().take(2).map(|v| self.bytes(*v)).fold(0u64, u64::saturating_add);
            self.widest = self.widest.max(tiles);
        }
        if let Some(access) = &inst.attrs.access {
            self.access(access.place, self.kernel.access_axes(access));
        }
    }

    fn access(&mut self, place: Place, axes: AxisSet) {
        let Place::Buffer(b) = place else { return };
        let bytes = self.plan.buffer(b).map_or(0, |b| b.elem.bytes());
        let n = self.size(axes).saturating_mul(self.rounds).saturating_mul(bytes);
        if let Some(slot) = self.moved.get_mut(b.index()) {
            *slot = slot.saturating_add(n);
        }
    }
}

/// How often a loop's body runs.
fn trips(plan: &Plan, kernel: &Kernel, l: &Loop) -> Option<i64> {
    let length = match &l.domain {
        Domain::Dense { lo, hi } | Domain::Strided { lo, hi, .. } => {
            typical(plan, kernel, hi)?.checked_sub(typical(plan, kernel, lo)?)?
        }
        Domain::List { count, .. } | Domain::Table { count } => typical(plan, kernel, count)?,
        Domain::Point { .. } => 1,
    };
    let step = l.axis.and_then(|a| kernel.axis_extent(plan, a)).unwrap_or(1).max(1);
    Some(length.max(0).div_euclid(step) + i64::from(length.max(0).rem_euclid(step) != 0))
}

/// The value of an expression in the middle of a typical grid, at the start of its loops.
fn typical(plan: &Plan, kernel: &Kernel, e: &Expr) -> Option<i64> {
    match e {
        Expr::Const(n) => Some(*n),
        Expr::Param(_) => plan.static_value(e),
        Expr::Ragged(..) => Some(LENGTH),
        Expr::Extent(x) => Some(if plan.extents.iter().any(|y| y.over == Some(*x)) { 1 } else { LENGTH }),
        Expr::Binary(op, a, b) => {
            let (a, b) = (typical(plan, kernel, a)?, typical(plan, kernel, b)?);
            match op {
                BinOp::Div | BinOp::Mod | BinOp::CeilDiv if b <= 0 => None,
                op => op.eval(a, b),
            }
        }
        Expr::Var(v) => match &kernel.var(*v)?.def {
            VarDef::Let(e) | VarDef::Position(e) => typical(plan, kernel, e),
            VarDef::Grid => {
                let grid = kernel.grid.iter().find(|g| g.var == *v)?;
                Some(typical(plan, kernel, &grid.extent)? / 2)
            }
            VarDef::LoopIndex => Some(0),
            _ => None,
        },
        Expr::Axis(_) => Some(0),
        Expr::Value(_) | Expr::Dim(_) => None,
    }
}

/// Buffers of which less is moved.
pub(super) fn spared(before: &[u64], after: &[u64]) -> Vec<BufferId> {
    let less = |&n: &usize| after.get(n) < before.get(n);
    (0..before.len()).filter(less).map(BufferId::new).collect()
}
