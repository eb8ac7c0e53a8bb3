//! Which tile values get memory, with which axis innermost, and which share it.
//!
//! **Lanes.** A kernel names the axis whose elements fill vector lanes; every value over that axis is stored with it innermost
//! and contiguous, so that reductions over the others are vertical and factors per row are vectors. Values without it are
//! stored with their longest axis innermost.
//!
//! **Memory.** Results of reductions, products, scans and selections are stored. Elementwise values are expressions, computed where
//! they are read, unless they are read in several places, inside a loop that they are defined outside of, or over more axes
//! than they have, and computing them again is dear. A load is an expression too; one that feeds a product is read in place
//! where its elements are where the product wants them (decided when its guards are known, see `transfer`).
//!
//! **In place.** A loop's result is its carried value; what is yielded for a carried value shares its memory if nothing reads the
//! old value later and the statement that computes the new one reads it element by element.

use rustc_hash::FxHashMap;
use weft_ir::kernel::{
    AxisId, AxisSet, BinOp, ElemType, Expr, Inst, Kernel, MapFn, OpCode, Place, Plan, Stmt, ValueId, VarDef,
};

use super::error::Emit;
use super::facts::{Def, Facts, Role};

/// Cost above which an expression is not computed twice, in simple vector operations.
const CHEAP: u32 = 3;

/// Decisions for one kernel.
pub(super) struct Layout<'a> {
    pub(super) facts: Facts<'a>,
    /// Static extent of each tile axis.
    pub(super) extents: Vec<i64>,
    /// The axis that fills lanes, if any is longer than 1.
    pub(super) lanes: Option<AxisId>,
    /// By value: is it an expression, without memory of its own?
    pub(super) inline: Vec<bool>,
    /// By value: the value whose memory it shares (itself, mostly).
    pub(super) home: Vec<ValueId>,
    /// Values whose innermost axis is what a product reads them along.
    along: FxHashMap<ValueId, AxisId>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(plan: &Plan, kernel: &'a Kernel) -> Emit<Self> {
        let mut extents = Vec::new();
        for (i, axis) in kernel.axes.iter().enumerate() {
            let extent = kernel.axis_extent(plan, AxisId::new(i)).filter(|n| *n > 0);
            extents.push(extent.ok_or_else(|| format!("axis `{}` has no positive static extent", axis.name))?);
        }
        let n = kernel.values.len();
        let mut layout = Self {
            facts: Facts::new(kernel),
            extents,
            lanes: None,
            inline: vec![false; n],
            home: (0..n).map(ValueId::new).collect(),
            along: FxHashMap::default(),
        };
        layout.lanes = kernel.lanes.filter(|a| layout.extent(*a) > 1).or_else(|| layout.busiest(kernel));
        let costs = layout.costs(kernel);
        let mut order: Vec<ValueId> = (0..n).map(ValueId::new).collect();
        order.sort_by_key(|v| std::cmp::Reverse(layout.facts.defs[v.index()].map_or(0, |(_, at, _)| at)));
        let mut evaluations = vec![0u32; n];
        for v in order {
            layout.decide(kernel, v, &costs, &mut evaluations);
        }
        layout.share(kernel);
        layout.turn(kernel, &kernel.body);
        Ok(layout)
    }

    pub(super) fn extent(&self, axis: AxisId) -> i64 {
        self.extents.get(axis.index()).copied().unwrap_or(1)
    }

    /// Number of elements over a set of axes (saturating).
    pub(super) fn size(&self, axes: AxisSet) -> u64 {
        axes.iter().fold(1u64, |n, a| n.saturating_mul(self.extent(a).unsigned_abs()))
    }

    /// The axis that lies innermost in a value over these axes, and whose elements fill lanes.
    pub(super) fn innermost(&self, axes: AxisSet) -> Option<AxisId> {
        match self.lanes {
            Some(lanes) if axes.contains(lanes) => Some(lanes),
            _ => axes.iter().filter(|a| self.extent(*a) > 1).max_by_key(|a| (self.extent(*a), a.index())),
        }
    }

    /// The axis that lies innermost in a stored value.
    pub(super) fn innermost_of(&self, kernel: &Kernel, v: ValueId) -> Option<AxisId> {
        let home = self.home.get(v.index()).copied().unwrap_or(v);
        let axes = kernel.value_type(home).map_or(AxisSet::EMPTY, |t| t.axes);
        self.along.get(&home).copied().or_else(|| self.innermost(axes))
    }

    /// Turns factors without the lane axis so that the lanes of their products run along them.
    fn turn(&mut self, kernel: &Kernel, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Inst(inst) if inst.op == OpCode::Dot => {
                    let along = inst.results.first().and_then(|r| self.innermost_of(kernel, *r));
                    for factor in inst.args.iter().take(2) {
                        let home = self.home.get(factor.index()).copied().unwrap_or(*factor);
                        let axes = kernel.value_type(home).map_or(AxisSet::EMPTY, |t| t.axes);
                        let free = self.lanes.is_none_or(|l| !axes.contains(l));
                        if let Some(along) = along.filter(|a| free && axes.contains(*a)) {
                            self.along.entry(home).or_insert(along);
                        } else if let Some(unit) = self.unit_of(kernel, home).filter(|_| free) {
                            // Read one element at a time, in any order: a copy lies as the original does.
                            self.along.entry(home).or_insert(unit);
                        }
                    }
                }
                Stmt::Inst(_) | Stmt::Let(_) => {}
                Stmt::Loop(l) => self.turn(kernel, &l.body),
                Stmt::While(w) => self.turn(kernel, &w.body),
                Stmt::If(i) => {
                    self.turn(kernel, &i.then_body);
                    self.turn(kernel, &i.else_body);
                }
            }
        }
    }

    /// The axis along which neighbours of a load lie side by side in memory.
    fn unit_of(&self, kernel: &Kernel, v: ValueId) -> Option<AxisId> {
        let (inst, _) = self.facts.inst_of(v)?;
        let last = inst.attrs.access.as_ref()?.index.last()?;
        let axes = kernel.value_type(v)?.axes;
        axes.iter().find(|a| self.extent(*a) > 1 && is_offset(kernel, last, *a))
    }

    /// The axis over which most of the kernel's work is done, contracted axes not counted.
    fn busiest(&self, kernel: &Kernel) -> Option<AxisId> {
        let mut work = vec![0u64; self.extents.len()];
        self.work(kernel, &kernel.body, 1, &mut work);
        let axes = (0..work.len()).map(AxisId::new).filter(|a| self.extent(*a) > 1 && work[a.index()] > 0);
        axes.max_by_key(|a| (work[a.index()], self.extent(*a)))
    }

    fn work(&self, kernel: &Kernel, stmts: &[Stmt], weight: u64, work: &mut [u64]) {
        const TRIPS: u64 = 16;
        for stmt in stmts {
            match stmt {
                Stmt::Inst(inst) => {
                    let kept = inst.results.iter().filter_map(|v| kernel.value_type(*v));
                    let kept = kept.fold(AxisSet::EMPTY, |s, t| s.union(t.axes));
                    let size = self.size(kept.union(inst.attrs.over)).saturating_mul(weight);
                    for axis in kept.iter() {
                        work[axis.index()] = work[axis.index()].saturating_add(size);
                    }
                }
                Stmt::Loop(l) => self.work(kernel, &l.body, weight.saturating_mul(TRIPS), work),
                Stmt::While(w) => self.work(kernel, &w.body, weight.saturating_mul(TRIPS), work),
                Stmt::If(i) => {
                    self.work(kernel, &i.then_body, weight, work);
                    self.work(kernel, &i.else_body, weight, work);
                }
                Stmt::Let(_) => {}
            }
        }
    }

    /// Cost of computing one element of each value as an expression all the way down.
    fn costs(&self, kernel: &Kernel) -> Vec<u32> {
        let mut costs = vec![1u32; kernel.values.len()];
        let mut order: Vec<usize> = (0..costs.len()).collect();
        order.sort_by_key(|v| self.facts.defs[*v].map_or(0, |(_, at, _)| at));
        for v in order {
            if let Some((inst, _)) = self.facts.inst_of(ValueId::new(v)).filter(|(inst, _)| elementwise(inst.op)) {
                let axes = kernel.value_type(ValueId::new(v)).map_or(AxisSet::EMPTY, |t| t.axes);
                let operands = inst.args.iter().map(|a| {
                    let cost = costs.get(a.index()).copied().unwrap_or(1);
                    // A dear operand over fewer axes will be stored: here it costs a load.
                    let spread = kernel.value_type(*a).is_some_and(|t| t.axes != axes);
                    if spread && cost > CHEAP { 1 } else { cost }
                });
                let conditions = inst.attrs.guard.atoms.len() + inst.attrs.guard.opaque.len();
                let guard = u32::try_from(conditions).unwrap_or(u32::MAX);
                costs[v] = operands.fold(own_cost(inst).saturating_add(guard), u32::saturating_add);
            }
        }
        costs
    }

    /// Decides whether a value is an expression; its readers are decided already.
    fn decide(&mut self, kernel: &Kernel, v: ValueId, costs: &[u32], evaluations: &mut [u32]) {
        let Some((Def::Inst(inst, _), at, region)) = self.facts.defs[v.index()] else { return };
        let Some(ty) = kernel.value_type(v) else { return };
        let mut count = 0u32;
        let mut stored = !elementwise(inst.op);
        let trivial = matches!(inst.op, OpCode::Fill | OpCode::Index | OpCode::Expand | OpCode::Rename);
        let from_memory = matches!(inst.op, OpCode::Load | OpCode::TableRead);
        let mut latest = at;
        for u in &self.facts.uses[v.index()] {
            let consumer = u.inst.map(|inst| (inst, inst.results.iter().all(|r| self.inline[r.index()])));
            let times = match consumer {
                Some((inst, true)) if !inst.results.is_empty() => {
                    inst.results.iter().map(|r| evaluations[r.index()]).sum()
                }
                Some((inst, _)) => times_read(inst, u.role),
                None => 1,
            };
            count = count.saturating_add(times);
            let over = consumer.map_or(ty.axes, |(inst, _)| self.nest_axes(kernel, inst));
            let lanes = self.innermost(over).map_or(AxisSet::EMPTY, AxisSet::from);
            // Read over more axes than it has, and not hoisted out of the loops over them.
            if over != ty.axes && !lanes.contains_all(ty.axes) {
                count = count.saturating_add(1);
            }
            if self.facts.repeats(u.region, region) && !(from_memory && is_factor(u.inst, u.role)) {
                stored |= !trivial;
            }
            stored |= u.role == Role::Yield && self.facts.regions[u.region].repeats;
            stored |= match (u.inst, u.role) {
                (Some(_), _) if is_factor(u.inst, u.role) => !(from_memory || inst.op == OpCode::Rename),
                (Some(reader), Role::Operand(0)) if reader.op == OpCode::Take => !from_memory,
                (Some(reader), Role::Operand(i)) if reader.op == OpCode::RankCount && i >= 2 => true,
                (Some(reader), Role::Operand(0)) if reader.op == OpCode::Search => true,
                _ => false,
            };
            latest = latest.max(self.facts.latest(u.at, u.region, region));
            if let Some((reader, true)) = consumer {
                for (end, _) in reader.results.iter().flat_map(|r| self.reads(*r)) {
                    latest = latest.max(end);
                }
            }
        }
        if let (true, Some(access)) = (from_memory, &inst.attrs.access) {
            stored |= self.facts.written(access.place, at, latest);
        }
        stored |= !trivial && count > 1 && costs[v.index()] > CHEAP;
        evaluations[v.index()] = count.max(1);
        self.inline[v.index()] = !stored;
    }

    /// The axes of the loops in which a statement's operands are read.
    fn nest_axes(&self, kernel: &Kernel, inst: &Inst) -> AxisSet {
        let mut axes = kernel.guard_axes(&inst.attrs.guard).union(inst.attrs.over);
        for v in inst.results.iter().chain(&inst.args) {
            axes = axes.union(kernel.value_type(*v).map_or(AxisSet::EMPTY, |t| t.axes));
        }
        inst.attrs.access.as_ref().map_or(axes, |a| axes.union(kernel.access_axes(a)))
    }

    /// When a stored value, or the operands of an expression, are really read: numbers of statements, through expressions,
    /// seen from the region that defines the value; and whether the path goes element by element.
    pub(super) fn reads(&self, v: ValueId) -> Vec<(usize, bool)> {
        let Some((_, _, home)) = self.facts.defs[v.index()] else { return Vec::new() };
        let mut found = Vec::new();
        self.collect_reads(v, home, true, &mut found);
        found
    }

    fn collect_reads(&self, v: ValueId, home: usize, pointwise: bool, found: &mut Vec<(usize, bool)>) {
        for u in &self.facts.uses[v.index()] {
            let at = self.facts.latest(u.at, u.region, home);
            let Some(inst) = u.inst else {
                found.push((at, false));
                continue;
            };
            let operand = matches!(u.role, Role::Operand(_));
            let pure =
                matches!(inst.op, OpCode::Map | OpCode::Cast | OpCode::Select | OpCode::Rescale | OpCode::Expand);
            if !inst.results.is_empty() && inst.results.iter().all(|r| self.inline[r.index()]) {
                for r in &inst.results {
                    self.collect_reads(*r, home, pointwise && operand && pure, found);
                }
                if pure {
                    continue;
                }
                // A load may turn out to be stored where it stands.
                found.push((at, false));
                continue;
            }
            let same_element = match (inst.op, u.role) {
                (OpCode::Dot, Role::Operand(i)) => i == 2,
                (OpCode::Online, Role::Operand(i)) => i == 1,
                _ => operand && pure,
            };
            found.push((at, pointwise && same_element));
        }
    }

    fn share(&mut self, kernel: &Kernel) {
        let carries = self.facts.carries.clone();
        for (param, _, result, _) in &carries {
            self.home[result.index()] = *param;
        }
        for (param, new, _, body) in &carries {
            if self.may_replace(kernel, *param, *new, *body) {
                self.home[new.index()] = *param;
            }
        }
        for v in 0..self.home.len() {
            let mut root = self.home[v];
            // Chains are short: result -> parameter -> (of an outer loop) parameter.
            for _ in 0..self.home.len() {
                let next = self.home[root.index()];
                if next == root {
                    break;
                }
                root = next;
            }
            self.home[v] = root;
        }
    }

    fn may_replace(&self, kernel: &Kernel, param: ValueId, new: ValueId, body: usize) -> bool {
        let Some((Def::Inst(inst, result), at, region)) = self.facts.defs[new.index()] else { return false };
        let yields = self.facts.carries.iter().filter(|(_, y, ..)| *y == new).count();
        let kind = match inst.op {
            OpCode::Map | OpCode::Cast | OpCode::Select | OpCode::Rescale | OpCode::Dot => true,
            OpCode::Online => result == 0,
            _ => false,
        };
        kind && region == body
            && yields == 1
            && self.home[new.index()] == new
            && !self.inline[new.index()]
            && kernel.value_type(new) == kernel.value_type(param)
            && self.reads(param).iter().all(|(read, pointwise)| *read < at || (*read == at && *pointwise))
    }

    /// Does a scratch table or buffer get written by this kernel?
    pub(super) fn is_written(&self, place: Place) -> bool {
        self.facts.is_written(place)
    }
}

/// Is the operand a factor of a product?
pub(super) fn is_factor(inst: Option<&Inst>, role: Role) -> bool {
    matches!((inst.map(|i| i.op), role), (Some(OpCode::Dot), Role::Operand(0 | 1)))
}

/// Is the expression the axis plus something that does not vary along it?
pub(super) fn is_offset(kernel: &Kernel, e: &Expr, axis: AxisId) -> bool {
    let free = |e: &Expr| !kernel.expr_axes(e).contains(axis);
    match e {
        Expr::Axis(a) => *a == axis,
        Expr::Var(v) => match kernel.var(*v).map(|v| &v.def) {
            Some(VarDef::Let(e) | VarDef::Position(e)) => is_offset(kernel, e, axis),
            _ => false,
        },
        Expr::Binary(BinOp::Add, a, b) => {
            (is_offset(kernel, a, axis) && free(b)) || (free(a) && is_offset(kernel, b, axis))
        }
        Expr::Binary(BinOp::Sub, a, b) => is_offset(kernel, a, axis) && free(b),
        _ => false,
    }
}

/// Can the op be part of an expression?
pub(super) fn elementwise(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::Index
            | OpCode::Fill
            | OpCode::Load
            | OpCode::TableRead
            | OpCode::Map
            | OpCode::Cast
            | OpCode::Select
            | OpCode::Expand
            | OpCode::Rename
            | OpCode::Take
            | OpCode::Rescale
    )
}

/// How often a statement reads an element of an operand.
fn times_read(inst: &Inst, role: Role) -> u32 {
    match (inst.op, role) {
        (OpCode::Online, Role::Operand(0) | Role::Other) | (OpCode::Combine, _) => 2,
        (OpCode::Merge, _) => 2,
        _ => 1,
    }
}

fn own_cost(inst: &Inst) -> u32 {
    match (inst.op, inst.attrs.function) {
        (OpCode::Fill | OpCode::Expand | OpCode::Rename, _) => 0,
        (OpCode::Map, Some(MapFn::Exp | MapFn::Exp2 | MapFn::Log | MapFn::Tanh | MapFn::Erf)) => 16,
        (OpCode::Map, Some(MapFn::Sin | MapFn::Cos | MapFn::Pow | MapFn::IDiv | MapFn::Mod)) => 64,
        (OpCode::Map, Some(MapFn::Div | MapFn::Div0 | MapFn::Inv | MapFn::Inv0 | MapFn::Sqrt)) => 6,
        (OpCode::Load | OpCode::TableRead, _) => 2,
        // Rounds.
        (OpCode::Cast, _) if inst.attrs.elem == Some(ElemType::Bf16) => 6,
        _ => 1,
    }
}
