//! Common subexpressions and dead code of one kernel.

use rustc_hash::FxHashSet;
use weft_ir::kernel::{AxisId, Inst, Kernel, Loop, OpCode, Place, ScratchId, Stmt, ValueId, VarDef, VarId};

use super::ids::Ids;
use super::refs::{self, Ref};

/// What stands in reach: an earlier equal statement takes the place of a later one.
struct Sharing {
    ids: Ids,
    insts: Vec<Inst>,
    lets: Vec<(VarDef, VarId)>,
    written: FxHashSet<Place>,
}

/// Computes equal things once: statements with equal operands and attributes, named index expressions with equal definitions, loads
/// of equal elements (of buffers that the kernel does not write).
pub(super) fn share(kernel: &mut Kernel) {
    let mut written = FxHashSet::default();
    for stmt in &kernel.body {
        refs::in_stmt(kernel, stmt, &mut |r| {
            if let Ref::Write(place) = r {
                written.insert(place);
            }
        });
    }
    let mut s = Sharing { ids: Ids::same(kernel), insts: Vec::new(), lets: Vec::new(), written };
    let mut body = std::mem::take(&mut kernel.body);
    s.stmts(kernel, &mut body);
    kernel.body = body;
}

impl Sharing {
    fn stmts(&mut self, kernel: &mut Kernel, stmts: &mut Vec<Stmt>) {
        let depth = (self.insts.len(), self.lets.len());
        stmts.retain_mut(|stmt| self.keep(kernel, stmt));
        self.insts.truncate(depth.0);
        self.lets.truncate(depth.1);
    }

    fn is_fixed(&self, place: Option<Place>) -> bool {
        place.is_none_or(|p| matches!(p, Place::Buffer(_)) && !self.written.contains(&p))
    }

    fn define(&self, kernel: &mut Kernel, v: VarId) {
        if let Some(var) = kernel.vars.get_mut(v.index()) {
            self.ids.def(&mut var.def);
        }
    }

    /// For each carried value of a loop the first one that always equals it. They are taken to be equal where they start equal, and
    /// told apart where an iteration, under that assumption, tells them apart.
    fn same_carries(&self, kernel: &Kernel, l: &Loop) -> Vec<usize> {
        let n = l.carried.len();
        let starts = |k: usize| l.carried.get(k).map(|c| c.init);
        let mut same: Vec<usize> = (0..n).map(|k| (0..k).find(|&i| starts(i) == starts(k)).unwrap_or(k)).collect();
        if l.yields.len() != n || l.results.len() != n {
            return (0..n).collect();
        }
        while same.iter().enumerate().any(|(k, &first)| k != first) {
            let mut trial = Self {
                ids: self.ids.clone(),
                insts: self.insts.clone(),
                lets: self.lets.clone(),
                written: self.written.clone(),
            };
            for (k, &first) in same.iter().enumerate() {
                trial.ids.values[l.carried[k].param.index()] = l.carried[first].param;
            }
            trial.stmts(&mut kernel.clone(), &mut l.body.clone());
            let next = |k: usize| trial.ids.value(l.yields[k]);
            let apart: Vec<usize> = (0..n).filter(|&k| next(k) != next(same[k])).collect();
            if apart.is_empty() {
                break;
            }
            for &k in &apart {
                // Those that were taken apart together may still be equal to each other.
                same[k] = apart.iter().copied().find(|&i| same[i] == i && starts(i) == starts(k)).unwrap_or(k);
            }
        }
        same
    }

    fn keep(&mut self, kernel: &mut Kernel, stmt: &mut Stmt) -> bool {
        match stmt {
            Stmt::Let(v) => {
                self.define(kernel, *v);
                let Some(def) = kernel.var(*v).map(|var| var.def.clone()) else { return true };
                let place = if let VarDef::Load(a) = &def { Some(a.place) } else { None };
                if let Some((_, same)) = self.lets.iter().find(|(d, _)| *d == def) {
                    self.ids.vars[v.index()] = *same;
                    return false;
                }
                if self.is_fixed(place) {
                    self.lets.push((def, *v));
                }
                true
            }
            Stmt::Inst(inst) => {
                self.ids.inst(inst, false);
                if refs::writes(inst.op) || !self.is_fixed(inst.attrs.access.as_ref().map(|a| a.place)) {
                    return true;
                }
                let same = |i: &&Inst| i.op == inst.op && i.args == inst.args && i.attrs == inst.attrs;
                if let Some(same) = self.insts.iter().find(same) {
                    for (new, old) in inst.results.iter().zip(&same.results) {
                        self.ids.values[new.index()] = *old;
                    }
                    return false;
                }
                self.insts.push((**inst).clone());
                true
            }
            Stmt::Loop(l) => {
                self.define(kernel, l.pos);
                self.ids.domain(&mut l.domain);
                if let Some((lo, hi)) = &mut l.full {
                    self.ids.expr(lo);
                    self.ids.expr(hi);
                }
                self.ids.carried(&mut l.carried);
                let same = self.same_carries(kernel, l);
                for (k, &first) in same.iter().enumerate().filter(|(k, first)| k != *first) {
                    self.ids.values[l.carried[k].param.index()] = l.carried[first].param;
                    self.ids.values[l.results[k].index()] = l.results[first];
                }
                let mut k = 0;
                l.carried.retain(|_| at(&mut k, |k| same[k] == k));
                let mut k = 0;
                l.results.retain(|_| at(&mut k, |k| same[k] == k));
                let mut k = 0;
                l.yields.retain(|_| at(&mut k, |k| same[k] == k));
                self.stmts(kernel, &mut l.body);
                l.yields.iter_mut().for_each(|v| *v = self.ids.value(*v));
                true
            }
            Stmt::While(w) => {
                self.ids.expr(&mut w.bound);
                self.ids.carried(&mut w.carried);
                self.stmts(kernel, &mut w.body);
                w.yields.iter_mut().for_each(|v| *v = self.ids.value(*v));
                true
            }
            Stmt::If(i) => {
                self.ids.guard(&mut i.cond);
                self.stmts(kernel, &mut i.then_body);
                self.stmts(kernel, &mut i.else_body);
                i.then_yields.iter_mut().chain(&mut i.else_yields).for_each(|v| *v = self.ids.value(*v));
                true
            }
        }
    }
}

/// Drops what nothing needs, closes the gaps in the tables and numbers scalars and values in the order of the text.
pub(super) fn sweep(kernel: &mut Kernel) {
    loop {
        let mut used = FxHashSet::default();
        for stmt in &kernel.body {
            refs::in_stmt(kernel, stmt, &mut |r| {
                if matches!(r, Ref::UseVar(_) | Ref::UseValue(_) | Ref::Read(_)) {
                    used.insert(r);
                }
            });
        }
        for grid in &kernel.grid {
            refs::in_expr(&grid.extent, &mut |r| {
                used.insert(r);
            });
        }
        let mut body = std::mem::take(&mut kernel.body);
        let dropped = drop_dead(&used, &mut body);
        kernel.body = body;
        if !dropped {
            break;
        }
    }
    compact(kernel);
    kernel.renumber();
}

fn drop_dead(used: &FxHashSet<Ref>, stmts: &mut Vec<Stmt>) -> bool {
    let before = stmts.len();
    let mut inside = false;
    let free = |values: &[ValueId]| values.iter().all(|v| !used.contains(&Ref::UseValue(*v)));
    stmts.retain_mut(|stmt| match stmt {
        Stmt::Let(v) => used.contains(&Ref::UseVar(*v)),
        Stmt::Inst(inst) if inst.op == OpCode::Store || inst.op == OpCode::Accum => true,
        // A table that nothing reads need not be written.
        Stmt::Inst(inst) if refs::writes(inst.op) => {
            inst.attrs.access.as_ref().is_some_and(|a| used.contains(&Ref::Read(a.place)))
        }
        Stmt::Inst(inst) => !free(&inst.results),
        Stmt::Loop(l) => {
            inside |= drop_dead(used, &mut l.body);
            !free(&l.results) || has_effect(&l.body)
        }
        Stmt::While(w) => {
            inside |= drop_dead(used, &mut w.body);
            !free(&w.results) || has_effect(&w.body)
        }
        Stmt::If(i) => {
            inside |= drop_dead(used, &mut i.then_body) | drop_dead(used, &mut i.else_body);
            !free(&i.results) || has_effect(&i.then_body) || has_effect(&i.else_body)
        }
    });
    inside || stmts.len() != before
}

fn has_effect(stmts: &[Stmt]) -> bool {
    let mut found = false;
    refs::each_inst(stmts, &mut Vec::new(), &mut |inst, _| found |= refs::writes(inst.op));
    found
}

/// Removes table entries that no statement mentions.
fn compact(kernel: &mut Kernel) {
    let mut vars: FxHashSet<VarId> = kernel.grid.iter().map(|g| g.var).collect();
    let mut values: FxHashSet<ValueId> = FxHashSet::default();
    let mut axes: FxHashSet<AxisId> = kernel.lanes.into_iter().collect();
    let mut scratch: FxHashSet<ScratchId> = FxHashSet::default();
    for stmt in &kernel.body {
        refs::in_stmt(kernel, stmt, &mut |r| match r {
            Ref::DefVar(v) => {
                vars.insert(v);
            }
            Ref::DefValue(v) => {
                values.insert(v);
            }
            Ref::Axis(a) => {
                axes.insert(a);
            }
            Ref::Read(Place::Scratch(s)) | Ref::Write(Place::Scratch(s)) => {
                scratch.insert(s);
            }
            _ => {}
        });
    }
    for (i, value) in kernel.values.iter().enumerate() {
        if values.contains(&ValueId::new(i)) {
            axes.extend(value.ty.axes.iter());
        }
    }
    let mut ids = Ids::same(kernel);
    number(&mut ids.vars, VarId::new, |v| vars.contains(v));
    number(&mut ids.values, ValueId::new, |v| values.contains(v));
    number(&mut ids.axes, AxisId::new, |a| axes.contains(a));
    number(&mut ids.scratch, ScratchId::new, |s| scratch.contains(s));
    retain(&mut kernel.vars, |i| vars.contains(&VarId::new(i)));
    retain(&mut kernel.values, |i| values.contains(&ValueId::new(i)));
    retain(&mut kernel.axes, |i| axes.contains(&AxisId::new(i)));
    retain(&mut kernel.scratch, |i| scratch.contains(&ScratchId::new(i)));
    ids.apply(kernel);
}

fn number<I>(table: &mut [I], new: fn(usize) -> I, kept: impl Fn(&I) -> bool) {
    let mut next = 0;
    for id in table {
        if kept(id) {
            *id = new(next);
            next += 1;
        }
    }
}

fn retain<T>(table: &mut Vec<T>, kept: impl Fn(usize) -> bool) {
    let mut i = 0;
    table.retain(|_| at(&mut i, &kept));
}

fn at(k: &mut usize, f: impl Fn(usize) -> bool) -> bool {
    *k += 1;
    f(*k - 1)
}
