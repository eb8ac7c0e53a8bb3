//! Declarations, and the order in which kernels write and read buffers.

use rustc_hash::FxHashSet;

use super::super::declare::is_name;
use super::super::expr::Expr;
use super::super::ids::{AxisSet, BufferId, ValueId, VarId};
use super::super::ops::{Access, OpCode, Place};
use super::super::plan::{Domain, Kernel, Plan, Stmt, VarDef};
use super::VerifyError;

struct Errors(Vec<VerifyError>);

impl Errors {
    fn check(&mut self, ok: bool, place: impl Into<String>, message: impl Into<String>) {
        if !ok {
            self.0.push(VerifyError { place: place.into(), message: message.into() });
        }
    }
    fn names<'n>(&mut self, place: &str, names: impl Iterator<Item = &'n str>, taken: &mut FxHashSet<&'n str>) {
        for name in names {
            self.check(is_name(name), place, format!("`{name}` is not a name"));
            self.check(taken.insert(name), place, format!("`{name}` is declared twice"));
        }
    }
}

/// Parameters, extents and buffers.
pub(super) fn declarations(plan: &Plan) -> Vec<VerifyError> {
    let mut errors = Errors(Vec::new());
    let place = format!("plan `{}`", plan.name);
    let mut taken = FxHashSet::default();
    errors.names(&place, plan.params.iter().map(|p| p.name.as_str()), &mut taken);
    errors.names(&place, plan.extents.iter().map(|e| e.name.as_str()), &mut taken);
    errors.names(&place, plan.buffers.iter().map(|b| b.name.as_str()), &mut taken);
    errors.names(&place, plan.kernels.iter().map(|k| k.name.as_str()), &mut FxHashSet::default());
    for (i, extent) in plan.extents.iter().enumerate() {
        let outer = extent.over.is_none_or(|o| o.index() < i && plan.extent(o).is_some_and(|o| o.over.is_none()));
        errors.check(outer, &place, format!("`{}` is ragged along what is not an earlier uniform extent", extent.name));
    }
    for buffer in &plan.buffers {
        let place = format!("buffer `{}`", buffer.name);
        errors.names(&place, buffer.dims.iter().map(|d| d.name.as_str()), &mut FxHashSet::default());
        for (d, dim) in buffer.dims.iter().enumerate() {
            let message = format!(
                "the extent of `{}` does not speak of extents, parameters and earlier dimensions only",
                dim.name
            );
            errors.check(is_declared(plan, &dim.extent, d), &place, message);
        }
        if let Some((lo, hi)) = &buffer.range {
            errors.check(buffer.elem.is_int(), &place, "a range belongs to integers");
            let fine = [lo, hi].iter().all(|e| is_declared(plan, e, 0));
            errors.check(fine, &place, "a range speaks of extents and parameters only");
        }
        let init = buffer.init.is_none_or(|v| v.fits(buffer.elem));
        errors.check(init, &place, "the initial value does not fit the element type");
        errors.check(buffer.init.is_none() || !buffer.role.is_given(), &place, "a given buffer has no initial value");
    }
    errors.0
}

/// Is it an expression of a declaration that may speak of `dims` dimensions?
fn is_declared(plan: &Plan, expr: &Expr, dims: usize) -> bool {
    match expr {
        Expr::Const(_) => true,
        Expr::Param(p) => plan.param(*p).is_some(),
        Expr::Extent(e) => plan.extent(*e).is_some(),
        Expr::Ragged(e, at) => {
            // Only the index of a dimension that runs over the outer extent is sure to be in its range.
            let over = plan.extent(*e).and_then(|e| e.over);
            over.is_some() && matches!(**at, Expr::Dim(d) if (d as usize) < dims)
        }
        Expr::Dim(d) => (*d as usize) < dims,
        Expr::Binary(_, a, b) => is_declared(plan, a, dims) && is_declared(plan, b, dims),
        Expr::Var(_) | Expr::Axis(_) | Expr::Value(_) => false,
    }
}

/// Names, axes and scratch tables of a kernel.
pub(super) fn kernel_declarations(plan: &Plan, kernel: &Kernel) -> Vec<VerifyError> {
    let mut errors = Errors(Vec::new());
    let place = format!("kernel `{}`", kernel.name);
    let mut taken: FxHashSet<&str> = plan.params.iter().map(|p| p.name.as_str()).collect();
    taken.extend(plan.extents.iter().map(|e| e.name.as_str()));
    errors.names(&place, kernel.vars.iter().map(|v| v.name.as_str()), &mut taken);
    errors.names(&place, kernel.axes.iter().map(|a| a.name.as_str()), &mut taken);
    let mut memory: FxHashSet<&str> = plan.buffers.iter().map(|b| b.name.as_str()).collect();
    errors.names(&place, kernel.scratch.iter().map(|s| s.name.as_str()), &mut memory);
    let mut values = FxHashSet::default();
    for value in &kernel.values {
        errors.check(values.insert(&value.name), &place, format!("`%{}` is declared twice", value.name));
        // The `%` before it keeps reserved words and digits apart from anything else.
        let word = !value.name.is_empty() && is_name(&format!("_{}", value.name));
        errors.check(word, &place, format!("`%{}` is not a name", value.name));
        let known = value.ty.axes.iter().all(|a| kernel.axis(a).is_some());
        errors.check(known, &place, format!("`%{}` has an axis that is not declared", value.name));
    }
    errors.check(kernel.axes.len() <= AxisSet::CAPACITY, &place, "too many axes");
    for axis in &kernel.axes {
        let positive = plan.static_value(&axis.extent).is_some_and(|n| n > 0);
        errors.check(positive, &place, format!("the extent of axis `{}` is not static and positive", axis.name));
    }
    errors.check(kernel.lanes.is_none_or(|a| kernel.axis(a).is_some()), &place, "`lanes` names no axis");
    for table in &kernel.scratch {
        let positive = table.dims.iter().all(|d| plan.static_value(d).is_some_and(|n| n > 0));
        errors.check(positive, &place, format!("the extents of `{}` are not static and positive", table.name));
        let init = table.init.is_none_or(|v| v.fits(table.elem));
        errors.check(init, &place, format!("the initial value of `{}` does not fit", table.name));
    }
    for axis in &kernel.grid {
        let grid = kernel.var(axis.var).is_some_and(|v| v.def == VarDef::Grid);
        errors.check(grid, &place, "a grid axis is not a grid variable");
    }
    let known = |ids: &[ValueId]| ids.iter().all(|v| kernel.value(*v).is_some());
    errors.check(ids_are_known(kernel, &kernel.body, &known), &place, "a statement names what is not in the tables");
    errors.0
}

fn ids_are_known(kernel: &Kernel, stmts: &[Stmt], known: &impl Fn(&[ValueId]) -> bool) -> bool {
    let var = |v: VarId| kernel.var(v).is_some();
    stmts.iter().all(|stmt| match stmt {
        Stmt::Let(v) => var(*v),
        Stmt::Inst(i) => known(&i.args) && known(&i.results) && known(&i.attrs.guard.opaque),
        Stmt::Loop(l) => {
            let carried = l.carried.iter().all(|c| known(&[c.init, c.param]));
            var(l.index)
                && var(l.pos)
                && carried
                && known(&l.yields)
                && known(&l.results)
                && ids_are_known(kernel, &l.body, known)
        }
        Stmt::While(w) => {
            let carried = w.carried.iter().all(|c| known(&[c.init, c.param]));
            carried && known(&w.yields) && known(&w.results) && ids_are_known(kernel, &w.body, known)
        }
        Stmt::If(i) => {
            let yields = known(&i.then_yields) && known(&i.else_yields) && known(&i.results);
            yields && ids_are_known(kernel, &i.then_body, known) && ids_are_known(kernel, &i.else_body, known)
        }
    })
}

/// What a kernel does with buffers.
#[derive(Default)]
struct Uses {
    read: Vec<BufferId>,
    stored: Vec<BufferId>,
    accumulated: Vec<BufferId>,
}

impl Uses {
    fn note(list: &mut Vec<BufferId>, access: &Access) {
        if let Place::Buffer(id) = access.place {
            list.push(id);
        }
    }
    fn collect(&mut self, kernel: &Kernel, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(v) => {
                    if let Some(VarDef::Load(access)) = kernel.var(*v).map(|v| &v.def) {
                        Self::note(&mut self.read, access);
                    }
                }
                Stmt::Inst(inst) => {
                    let list = match inst.op {
                        OpCode::Store => &mut self.stored,
                        OpCode::Accum => &mut self.accumulated,
                        _ => &mut self.read,
                    };
                    if let Some(access) = &inst.attrs.access {
                        Self::note(list, access);
                    }
                }
                Stmt::Loop(l) => {
                    if let Domain::List { list, .. } = &l.domain {
                        Self::note(&mut self.read, list);
                    }
                    self.collect(kernel, &l.body);
                }
                Stmt::While(w) => self.collect(kernel, &w.body),
                Stmt::If(i) => {
                    self.collect(kernel, &i.then_body);
                    self.collect(kernel, &i.else_body);
                }
            }
        }
    }
}

/// Writers before readers.
pub(super) fn order(plan: &Plan) -> Vec<VerifyError> {
    let mut errors = Errors(Vec::new());
    let mut defined: FxHashSet<BufferId> = FxHashSet::default();
    for (i, buffer) in plan.buffers.iter().enumerate() {
        if buffer.role.is_given() || buffer.init.is_some() {
            defined.insert(BufferId::new(i));
        }
    }
    let name = |id: BufferId| plan.buffer(id).map_or("?", |b| b.name.as_str());
    for kernel in &plan.kernels {
        let place = format!("kernel `{}`", kernel.name);
        let mut uses = Uses::default();
        uses.collect(kernel, &kernel.body);
        for id in uses.read.iter().chain(&uses.accumulated) {
            let message = format!("`{}` is used before any kernel writes it", name(*id));
            errors.check(defined.contains(id) || plan.buffer(*id).is_none(), &place, message);
        }
        for id in uses.stored.iter().chain(&uses.accumulated) {
            let given = plan.buffer(*id).is_some_and(|b| b.role.is_given());
            errors.check(!given, &place, format!("`{}` is given by the caller and may not be written", name(*id)));
            defined.insert(*id);
        }
        for id in &uses.accumulated {
            let alone = !uses.read.contains(id) && !uses.stored.contains(id);
            errors.check(alone, &place, format!("`{}` is accumulated and also read or stored", name(*id)));
        }
    }
    for (i, buffer) in plan.buffers.iter().enumerate() {
        let written = defined.contains(&BufferId::new(i));
        errors.check(written, format!("buffer `{}`", buffer.name), "is never written");
    }
    let mut seen = FxHashSet::default();
    errors.0.retain(|e| seen.insert((e.place.clone(), e.message.clone())));
    errors.0
}
