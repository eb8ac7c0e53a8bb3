//! What is known about index expressions: their linear form over unknowns, with the facts that come with each unknown.

use rustc_hash::FxHashMap;

use super::super::expr::{Atom, BinOp, Cmp, Expr, Guard};
use super::super::ids::{AxisId, ExtentId, ValueId, VarId};
use super::super::ops::{Access, Inst, Monoid, OpCode, Place};
use super::super::plan::{Domain, Kernel, Loop, Plan, Stmt, VarDef};
use super::linear::{Linear, Split, impossible};
use crate::elementwise::MapFn;

/// Which of two elements (in proofs that they are the same).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Copy {
    First,
    Second,
}

/// What an unknown stands for.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Unknown {
    Extent(ExtentId),
    Ragged(ExtentId, Linear),
    Var(VarId, Copy),
    Axis(AxisId, Copy),
    Value(ValueId, Copy),
    /// Number of whole steps from the start of a loop.
    Steps(VarId, Copy),
    Quotient(Linear, i128),
    Smaller(Linear, Linear),
    Larger(Linear, Linear),
}

/// Where values and loop variables of a kernel are defined.
pub(super) struct Definitions<'a> {
    insts: FxHashMap<ValueId, &'a Inst>,
    loops: FxHashMap<VarId, &'a Loop>,
}

impl<'a> Definitions<'a> {
    pub(super) fn of(kernel: &'a Kernel) -> Self {
        let mut out = Self { insts: FxHashMap::default(), loops: FxHashMap::default() };
        out.collect(&kernel.body);
        out
    }
    fn collect(&mut self, stmts: &'a [Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(_) => {}
                Stmt::Inst(inst) => self.insts.extend(inst.results.iter().map(|r| (*r, &**inst))),
                Stmt::Loop(l) => {
                    self.loops.insert(l.index, l);
                    self.loops.insert(l.pos, l);
                    self.collect(&l.body);
                }
                Stmt::While(w) => self.collect(&w.body),
                Stmt::If(i) => {
                    self.collect(&i.then_body);
                    self.collect(&i.else_body);
                }
            }
        }
    }
    /// The statement that defines a value; none for carried values and results of loops.
    pub(super) fn inst(&self, value: ValueId) -> Option<&'a Inst> {
        self.insts.get(&value).copied()
    }
}

/// A growing set of facts about one kernel.
pub(super) struct Facts<'a> {
    plan: &'a Plan,
    kernel: &'a Kernel,
    defs: &'a Definitions<'a>,
    unknowns: FxHashMap<Unknown, usize>,
    facts: Vec<Linear>,
    splits: Vec<Split>,
    /// Scalars and axes that are the same for both elements.
    pub(super) shared_vars: Vec<VarId>,
    /// All scalars are the same for both elements.
    pub(super) all_vars_shared: bool,
    /// Axes that are the same for both elements.
    pub(super) shared_axes: Vec<AxisId>,
    depth: usize,
    /// Guards of loads that have no `else`: elements of such loads that were spoken of exist only where these hold.
    pub(super) relied: Vec<Guard>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(plan: &'a Plan, kernel: &'a Kernel, defs: &'a Definitions<'a>) -> Self {
        Self {
            plan,
            kernel,
            defs,
            unknowns: FxHashMap::default(),
            facts: Vec::new(),
            splits: Vec::new(),
            shared_vars: Vec::new(),
            all_vars_shared: false,
            shared_axes: Vec::new(),
            depth: 0,
            relied: Vec::new(),
        }
    }

    /// The unknown, and whether it is new.
    fn intern(&mut self, unknown: Unknown) -> (Linear, bool) {
        let next = self.unknowns.len();
        let id = *self.unknowns.entry(unknown).or_insert(next);
        (Linear::unknown(id), id == next)
    }

    /// Adds `a >= b`.
    fn know_ge(&mut self, a: &Linear, b: &Linear) {
        self.facts.extend(a.minus(b));
    }
    fn know_range(&mut self, x: &Linear, lo: i128, hi: i128) {
        self.know_ge(x, &Linear::constant(lo));
        self.know_ge(&Linear::constant(hi), x);
    }

    /// The linear form of an expression; `None` if it is not quasi-affine.
    pub(super) fn linear(&mut self, expr: &Expr, copy: Copy) -> Option<Linear> {
        self.linear_in(expr, copy, &[])
    }

    /// As [`Self::linear`]; `dims` are the indices of earlier dimensions, for the extents of buffers.
    pub(super) fn linear_in(&mut self, expr: &Expr, copy: Copy, dims: &[Linear]) -> Option<Linear> {
        // Definitions nest as deep as the kernel is long; cut off what no sensible kernel reaches.
        if self.depth > 200 {
            return None;
        }
        self.depth += 1;
        let result = self.translate(expr, copy, dims);
        self.depth -= 1;
        result
    }

    fn translate(&mut self, expr: &Expr, copy: Copy, dims: &[Linear]) -> Option<Linear> {
        match expr {
            Expr::Const(n) => Some(Linear::constant(*n)),
            Expr::Param(p) => self.plan.param(*p).map(|p| Linear::constant(p.value)),
            Expr::Extent(e) => {
                let (x, new) = self.intern(Unknown::Extent(*e));
                if new {
                    self.know_ge(&x, &Linear::constant(0));
                }
                Some(x)
            }
            Expr::Ragged(e, at) => {
                let at = self.linear_in(at, copy, dims)?;
                let most = self.linear_in(&Expr::Extent(*e), copy, dims)?;
                let (x, new) = self.intern(Unknown::Ragged(*e, at));
                if new {
                    self.know_ge(&x, &Linear::constant(0));
                    self.know_ge(&most, &x);
                }
                Some(x)
            }
            Expr::Dim(d) => dims.get(*d as usize).cloned(),
            Expr::Axis(a) => Some(self.axis(*a, copy)),
            Expr::Var(v) => self.var(*v, copy),
            Expr::Value(v) => self.value(*v, copy),
            Expr::Binary(op, a, b) => {
                let (a, b) = (self.linear_in(a, copy, dims)?, self.linear_in(b, copy, dims)?);
                self.binary(*op, &a, &b)
            }
        }
    }

    fn axis(&mut self, axis: AxisId, copy: Copy) -> Linear {
        let copy = if self.shared_axes.contains(&axis) { Copy::First } else { copy };
        let (x, new) = self.intern(Unknown::Axis(axis, copy));
        if new {
            let extent = self.kernel.axis_extent(self.plan, axis).unwrap_or(1);
            self.know_range(&x, 0, i128::from(extent) - 1);
        }
        x
    }

    fn copy_of_var(&self, var: VarId, copy: Copy) -> Copy {
        if self.all_vars_shared || self.shared_vars.contains(&var) { Copy::First } else { copy }
    }

    fn var(&mut self, id: VarId, copy: Copy) -> Option<Linear> {
        let var = self.kernel.var(id)?;
        match &var.def {
            VarDef::Let(e) | VarDef::Position(e) => self.linear_in(e, copy, &[]),
            VarDef::Grid => {
                let copy = self.copy_of_var(id, copy);
                let (x, new) = self.intern(Unknown::Var(id, copy));
                if new {
                    let extent = self.kernel.grid.iter().find(|g| g.var == id).map(|g| &g.extent);
                    self.know_ge(&x, &Linear::constant(0));
                    if let Some(extent) = extent.and_then(|e| self.linear_in(e, copy, &[])) {
                        self.facts.extend(extent.minus(&x).and_then(|d| d.add_constant(-1)));
                    }
                }
                Some(x)
            }
            VarDef::LoopIndex => {
                let copy = self.copy_of_var(id, copy);
                self.loop_index(id, copy)
            }
            VarDef::Load(access) | VarDef::Entry(access) => {
                let copy = if var.axes.is_empty() { self.copy_of_var(id, copy) } else { copy };
                let (x, new) = self.intern(Unknown::Var(id, copy));
                if new {
                    self.element_of(access, &x, copy);
                    self.relied.extend(self.entry_exists(id, access));
                }
                Some(x)
            }
            VarDef::Scalar(value) => {
                let copy = self.copy_of_var(id, copy);
                self.value(*value, copy)
            }
        }
    }

    /// The condition under which an entry of a list loop exists.
    fn entry_exists(&self, pos: VarId, access: &Access) -> Option<Guard> {
        let l = self.defs.loops.get(&pos)?;
        match &l.domain {
            Domain::List { count, .. } => Some(access.index.last()?.clone().lt(count.clone()).into()),
            _ => None,
        }
    }

    /// The index of a loop is `lo + step * k` for an unknown k: written so, and not as an unknown that equals it, because
    /// elimination of k would forget that the index is a multiple of the step.
    fn loop_index(&mut self, id: VarId, copy: Copy) -> Option<Linear> {
        let l = self.defs.loops.get(&id).copied()?;
        let zero = Expr::Const(0);
        let lo = match &l.domain {
            Domain::Dense { lo, .. } | Domain::Strided { lo, .. } => lo,
            Domain::List { .. } | Domain::Table { .. } => &zero,
            Domain::Point { .. } => return Some(Linear::constant(0)),
        };
        let step = l.axis.map_or(Some(1), |a| self.kernel.axis_extent(self.plan, a))?;
        let lo = self.linear_in(lo, copy, &[])?;
        let (steps, new) = self.intern(Unknown::Steps(id, copy));
        let x = steps.combine(i128::from(step), &lo, 1)?;
        if new {
            self.know_ge(&steps, &Linear::constant(0));
            if let Some(hi) = l.domain.end().and_then(|hi| self.linear_in(hi, copy, &[])) {
                self.facts.extend(hi.minus(&x).and_then(|d| d.add_constant(-1)));
            }
        }
        Some(x)
    }

    /// What the declared range of a buffer says about an element of it.
    fn element_of(&mut self, access: &Access, x: &Linear, copy: Copy) {
        let Place::Buffer(id) = access.place else { return };
        let Some((lo, hi)) = self.plan.buffer(id).and_then(|b| b.range.as_ref()) else { return };
        if let Some(lo) = self.linear_in(lo, copy, &[]) {
            self.know_ge(x, &lo);
        }
        if let Some(hi) = self.linear_in(hi, copy, &[]) {
            self.facts.extend(hi.minus(x).and_then(|d| d.add_constant(-1)));
        }
    }

    /// An element of an integer tile, by its definition as far as that is index arithmetic.
    fn value(&mut self, id: ValueId, copy: Copy) -> Option<Linear> {
        if let Some(inst) = self.defs.inst(id) {
            let arg = |i: usize| inst.args.get(i).copied();
            match (inst.op, inst.attrs.function) {
                (OpCode::Index, _) => return self.linear_in(inst.attrs.at.as_ref()?, copy, &[]),
                (OpCode::Fill, _) => {
                    if let Some(super::super::types::Literal::Int(n)) = inst.attrs.value {
                        return Some(Linear::constant(n));
                    }
                }
                (OpCode::Expand, _) => return self.nested_value(arg(0)?, copy),
                (OpCode::Cast, _) => {
                    let from = self.kernel.value_type(arg(0)?)?;
                    if from.elem.is_int() {
                        return self.nested_value(arg(0)?, copy);
                    }
                }
                (OpCode::Map, Some(f)) => {
                    let op = match f {
                        MapFn::Add => Some(BinOp::Add),
                        MapFn::Sub => Some(BinOp::Sub),
                        MapFn::Mul => Some(BinOp::Mul),
                        MapFn::Min => Some(BinOp::Min),
                        MapFn::Max => Some(BinOp::Max),
                        MapFn::IDiv => Some(BinOp::Div),
                        MapFn::Mod => Some(BinOp::Mod),
                        _ => None,
                    };
                    if let (Some(op), Some(first)) = (op, arg(0)) {
                        let mut all = self.nested_value(first, copy);
                        for i in 1..inst.args.len() {
                            let next = self.nested_value(arg(i)?, copy);
                            all = all.zip(next).and_then(|(a, b)| self.binary(op, &a, &b));
                        }
                        if all.is_some() {
                            return all;
                        }
                    }
                }
                _ => {}
            }
        }
        let all_shared = |axes: super::super::ids::AxisSet| axes.iter().all(|a| self.shared_axes.contains(&a));
        let shared = self.all_vars_shared && self.kernel.value_type(id).is_some_and(|t| all_shared(t.axes));
        let copy = if shared { Copy::First } else { copy };
        let (x, new) = self.intern(Unknown::Value(id, copy));
        if new {
            self.value_facts(id, &x, copy);
        }
        Some(x)
    }

    fn nested_value(&mut self, id: ValueId, copy: Copy) -> Option<Linear> {
        self.linear_in(&Expr::Value(id), copy, &[])
    }

    fn value_facts(&mut self, id: ValueId, x: &Linear, copy: Copy) {
        let Some(inst) = self.defs.inst(id) else { return };
        match inst.op {
            // Where the guard was false there is the `else` constant; without one the element must not be used at all.
            OpCode::Load => {
                let Some(access) = &inst.attrs.access else { return };
                if inst.attrs.otherwise.is_none() && !inst.attrs.guard.is_always() {
                    self.relied.push(inst.attrs.guard.clone());
                }
                let before = self.facts.len();
                self.element_of(access, x, copy);
                if let Some(other) = inst.attrs.otherwise {
                    let in_range: Vec<_> = self.facts.drain(before..).collect();
                    let super::super::types::Literal::Int(n) = other else { return };
                    let is = [x.add_constant(-i128::from(n)), x.times(-1).and_then(|m| m.add_constant(i128::from(n)))];
                    self.splits.push([in_range, is.into_iter().flatten().collect()]);
                }
            }
            OpCode::Compact | OpCode::RankCount | OpCode::Search => {
                let over = inst.attrs.over.iter().filter_map(|a| self.kernel.axis_extent(self.plan, a));
                let most = over.fold(1i128, |n, e| n.saturating_mul(i128::from(e)));
                self.know_range(x, 0, most);
            }
            OpCode::Reduce if matches!(inst.attrs.monoid, Some(Monoid::Min | Monoid::Max)) => {}
            _ => {}
        }
    }

    fn binary(&mut self, op: BinOp, a: &Linear, b: &Linear) -> Option<Linear> {
        match op {
            BinOp::Add => a.plus(b),
            BinOp::Sub => a.minus(b),
            BinOp::Mul => match (a.as_constant(), b.as_constant()) {
                (_, Some(n)) => a.times(n),
                (Some(n), _) => b.times(n),
                _ => None,
            },
            BinOp::Div => self.quotient(a, b.as_constant()?),
            BinOp::CeilDiv => {
                let q = self.quotient(&a.times(-1)?, b.as_constant()?)?;
                q.times(-1)
            }
            BinOp::Mod => {
                let d = b.as_constant()?;
                let q = self.quotient(a, d)?;
                a.combine(1, &q, -d)
            }
            BinOp::Min | BinOp::Max => self.extremum(op == BinOp::Min, a, b),
        }
    }

    /// `a // d`: what d divides is taken out, the rest becomes an unknown q with d*q <= rest < d*q + d.
    fn quotient(&mut self, a: &Linear, d: i128) -> Option<Linear> {
        if d <= 0 {
            return None;
        }
        let mut whole = Linear::constant(a.constant.div_euclid(d));
        let mut rest = Linear::constant(a.constant.rem_euclid(d));
        for (x, c) in &a.terms {
            whole = whole.combine(1, &Linear::unknown(*x), c.div_euclid(d))?;
            rest = rest.combine(1, &Linear::unknown(*x), c.rem_euclid(d))?;
        }
        if rest.terms.is_empty() {
            return Some(whole);
        }
        let (q, new) = self.intern(Unknown::Quotient(rest.clone(), d));
        if new {
            let down = q.times(d)?;
            self.know_ge(&rest, &down);
            self.know_ge(&down.add_constant(d - 1)?, &rest);
        }
        whole.plus(&q)
    }

    fn extremum(&mut self, smaller: bool, a: &Linear, b: &Linear) -> Option<Linear> {
        let difference = a.minus(b)?;
        if let Some(d) = difference.as_constant() {
            return Some(if (d <= 0) == smaller { a.clone() } else { b.clone() });
        }
        let unknown =
            if smaller { Unknown::Smaller(a.clone(), b.clone()) } else { Unknown::Larger(a.clone(), b.clone()) };
        let (x, new) = self.intern(unknown);
        if new {
            let sign = if smaller { 1 } else { -1 };
            let (from_a, from_b) = (a.combine(sign, &x, -sign)?, b.combine(sign, &x, -sign)?);
            self.facts.extend([from_a.clone(), from_b.clone()]);
            self.splits.push([vec![from_a.times(-1)?], vec![from_b.times(-1)?]]);
        }
        Some(x)
    }

    /// Inequalities that say that the atom is true: all of them, or (for `!=`) one of two.
    fn atom(&mut self, atom: &Atom, cmp: Cmp, copy: Copy) -> Option<Result<Vec<Linear>, Split>> {
        let (a, b) = (self.linear(&atom.lhs, copy)?, self.linear(&atom.rhs, copy)?);
        let less = |a: &Linear, b: &Linear| b.minus(a).and_then(|d| d.add_constant(-1));
        Some(match cmp {
            Cmp::Lt => Ok(vec![less(&a, &b)?]),
            Cmp::Gt => Ok(vec![less(&b, &a)?]),
            Cmp::Le => Ok(vec![b.minus(&a)?]),
            Cmp::Ge => Ok(vec![a.minus(&b)?]),
            Cmp::Eq => Ok(vec![a.minus(&b)?, b.minus(&a)?]),
            Cmp::Ne => Err([vec![less(&a, &b)?], vec![less(&b, &a)?]]),
        })
    }

    /// Adds that an atom is true (or, negated, false).
    pub(super) fn assume(&mut self, atom: &Atom, holds: bool, copy: Copy) {
        let cmp = if holds { atom.cmp } else { atom.cmp.negated() };
        match self.atom(atom, cmp, copy) {
            Some(Ok(all)) => self.facts.extend(all),
            Some(Err(split)) => self.splits.push(split),
            None => {}
        }
    }

    /// Adds `a == b`.
    pub(super) fn assume_equal(&mut self, a: &Linear, b: &Linear) {
        self.know_ge(a, b);
        self.know_ge(b, a);
    }

    /// Makes the bounds of a scalar known although no expression speaks of it.
    pub(super) fn mention(&mut self, var: VarId, copy: Copy) {
        let _ = self.var(var, copy);
    }

    /// Is it shown that `x >= 0`?
    pub(super) fn proves_ge0(&self, x: &Linear) -> bool {
        let Some(negation) = x.times(-1).and_then(|m| m.add_constant(-1)) else { return false };
        self.impossible_with(&[negation])
    }

    /// Is the atom shown to be true?
    pub(super) fn proves(&mut self, atom: &Atom, copy: Copy) -> bool {
        match self.atom(atom, atom.cmp.negated(), copy) {
            Some(Ok(negation)) => self.impossible_with(&negation),
            Some(Err(split)) => split.iter().all(|alternative| self.impossible_with(alternative)),
            None => false,
        }
    }

    fn impossible_with(&self, more: &[Linear]) -> bool {
        // Only facts that share unknowns with the question, directly or through others, can decide it.
        let mut reach: Vec<usize> = more.iter().flat_map(|l| l.terms.iter().map(|(x, _)| *x)).collect();
        let mut facts: Vec<&Linear> = self.facts.iter().collect();
        let mut splits: Vec<&Split> = self.splits.iter().collect();
        let mut chosen = more.to_vec();
        let mut chosen_splits = Vec::new();
        let touches = |l: &Linear, reach: &[usize]| l.terms.iter().any(|(x, _)| reach.contains(x));
        loop {
            let before = facts.len() + splits.len();
            let (near, far): (Vec<_>, Vec<_>) = facts.into_iter().partition(|f| touches(f, &reach));
            let (near_splits, far_splits): (Vec<_>, Vec<_>) =
                splits.into_iter().partition(|s| s.iter().flatten().any(|f| touches(f, &reach)));
            for f in near.iter().copied().chain(near_splits.iter().flat_map(|s| s.iter().flatten())) {
                reach.extend(f.terms.iter().map(|(x, _)| *x));
            }
            reach.sort_unstable();
            reach.dedup();
            chosen.extend(near.into_iter().cloned());
            chosen_splits.extend(near_splits.into_iter().cloned());
            (facts, splits) = (far, far_splits);
            if facts.len() + splits.len() == before {
                break;
            }
        }
        impossible(&chosen, &chosen_splits)
    }
}
