//! The verifier. A plan that it accepts has these properties, for every value of its extents:
//!
//! Declarations
//! - names are names, and unique; ids lie inside their tables;
//! - tile axes have static positive extents, at most [`AxisSet::CAPACITY`] per kernel; scratch tables have static positive extents;
//! - extents of buffers speak of extents, parameters and earlier dimensions only; ranges belong to integer buffers;
//! - inputs and parameters are not written; every other buffer is written before a later kernel reads it; outputs are written.
//!
//! Values
//! - every value and scalar is defined once, and its definition dominates its uses;
//! - operands and attributes of every op fit its entry and type rule; results have the types that follow;
//! - index expressions are quasi-affine; conditions of `if` and bounds of loops do not vary over tile axes;
//! - carried values, their initial values, yields and results agree in number and type, and do not vary over the loop's axis;
//!   the condition of a `while` is a rank-0 bool;
//! - a loop's body uses no value that varies over the loop's axis and was made outside;
//! - nested loops have different axes, and the axis of a loop has no validity of its own; strides are static and positive;
//!   lists hold as many entries as their loops read.
//!
//! Memory
//! - every access is in range (ragged extents included) wherever its guard holds. An integer tile in an index is an index
//!   expression, or clamped, or guarded, or comes from a buffer with a declared range, and is used only where it was loaded;
//! - `store` maps are injective: no two grid points and no two elements of a tile go to one place. (Iterations of a loop are
//!   ordered; the interpreter reports those that overwrite each other.) `table_set` maps are injective over the tile, `accum`
//!   maps of mode `exclusive` over the grid;
//! - what one grid point stores no other grid point stores by another statement, or reads;
//! - a kernel does not otherwise touch a buffer into which it accumulates.
//!
//! Padding
//! - a reduction over an axis that may stick out (the axis of a loop whose last tile may be partial, or an axis with a validity)
//!   is guarded so that only existing elements take part, or its operand is neutral on padding: 0 for `dot` and sums. (This is
//!   about results that exist: what happens on the padding of a row stays there.)
//! - padding is not stored.
//!
//! What cannot be shown is an error: proofs are linear arithmetic over symbolic extents (see `facts`), sound and not complete.

mod access;
mod facts;
mod linear;
mod padding;
mod scope;
mod structure;

use rustc_hash::{FxHashMap, FxHashSet};

use super::expr::{Atom, Expr, Guard};
use super::ids::{AxisSet, ValueId, VarId};
use super::ops::{Access, Inst, OpCode, Place};
use super::plan::{Carried, Domain, Kernel, Loop, Plan, Stmt, VarDef};
use super::print::stmt_text;
use super::types::{ElemType, Type};
use super::typing::infer;
use facts::{Copy, Definitions, Facts};

/// A property that a plan lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct VerifyError {
    /// The declaration, or the kernel and the statement.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

/// Checks a plan; see the head of this file for the properties.
///
/// # Errors
/// All violations found (of malformed declarations only those). Never panics.
pub fn verify(plan: &Plan) -> Result<(), Vec<VerifyError>> {
    let mut errors = structure::declarations(plan);
    if errors.is_empty() {
        for kernel in &plan.kernels {
            errors.extend(verify_kernel(plan, kernel).err().unwrap_or_default());
        }
        errors.extend(structure::order(plan));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Checks one kernel by itself, against the declarations of a plan that it need not be in (which are taken to be well-formed): all
/// properties but those about the order of kernels.
///
/// # Errors
/// All violations found. Never panics.
pub fn verify_kernel(plan: &Plan, kernel: &Kernel) -> Result<(), Vec<VerifyError>> {
    let mut errors = structure::kernel_declarations(plan, kernel);
    if errors.is_empty() {
        let defs = Definitions::of(kernel);
        let mut checker = Checker::new(plan, kernel, &defs);
        checker.kernel();
        errors.append(&mut checker.errors);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// `full` claims that linear arithmetic does not show: each must be argued by whoever made it. The verifier does not refuse them
/// (bounds at the corners of a tile can be exact where this proof is not); the interpreter tests every claim that it meets.
/// The plan must be one that [`verify`] accepts.
pub fn unproven_claims(plan: &Plan) -> Vec<VerifyError> {
    let mut out = Vec::new();
    for kernel in &plan.kernels {
        if structure::kernel_declarations(plan, kernel).is_empty() {
            let defs = Definitions::of(kernel);
            let mut checker = Checker::new(plan, kernel, &defs);
            checker.kernel();
            out.append(&mut checker.claims);
        }
    }
    out
}

/// Walks a kernel's statements in order, with what is in scope.
struct Checker<'a> {
    plan: &'a Plan,
    kernel: &'a Kernel,
    defs: &'a Definitions<'a>,
    errors: Vec<VerifyError>,
    values: FxHashSet<ValueId>,
    vars: FxHashSet<VarId>,
    /// Everything that was ever defined, also out of scope by now.
    ever_values: FxHashSet<ValueId>,
    ever_vars: FxHashSet<VarId>,
    /// Conditions of the branches around.
    conditions: Vec<(Atom, bool)>,
    loops: Vec<&'a Loop>,
    /// Padding on which a value is known to be 0, undefined or neither; see `padding`.
    padded: FxHashMap<ValueId, padding::Padded>,
    place: String,
    /// Accesses to buffers so far.
    sites: Vec<access::Site<'a>>,
    /// `full` claims that are not shown.
    claims: Vec<VerifyError>,
}

impl<'a> Checker<'a> {
    fn new(plan: &'a Plan, kernel: &'a Kernel, defs: &'a Definitions<'a>) -> Self {
        Self {
            plan,
            kernel,
            defs,
            errors: Vec::new(),
            values: FxHashSet::default(),
            vars: FxHashSet::default(),
            ever_values: FxHashSet::default(),
            ever_vars: FxHashSet::default(),
            conditions: Vec::new(),
            loops: Vec::new(),
            padded: FxHashMap::default(),
            place: String::new(),
            sites: Vec::new(),
            claims: Vec::new(),
        }
    }

    fn error(&mut self, message: impl Into<String>) {
        let at = if self.place.is_empty() { String::new() } else { format!(", at `{}`", self.place) };
        let error = VerifyError { place: format!("kernel `{}`{at}", self.kernel.name), message: message.into() };
        // One mistake in an expression is often met by several checks.
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    fn check(&mut self, condition: bool, message: impl Into<String>) {
        if !condition {
            self.error(message);
        }
    }

    /// What is known at this point of the kernel.
    fn facts(&self, copies: &[Copy]) -> Facts<'a> {
        let mut facts = Facts::new(self.plan, self.kernel, self.defs);
        for copy in copies {
            for axis in &self.kernel.grid {
                facts.mention(axis.var, *copy);
            }
            for l in &self.loops {
                facts.mention(l.index, *copy);
            }
            for (atom, holds) in &self.conditions {
                facts.assume(atom, *holds, *copy);
            }
        }
        facts
    }

    fn facts_under(&self, guard: &Guard) -> Facts<'a> {
        let mut facts = self.facts(&[Copy::First]);
        for atom in &guard.atoms {
            facts.assume(atom, true, Copy::First);
        }
        facts
    }

    fn kernel(&mut self) {
        let kernel = self.kernel;
        for axis in &kernel.grid {
            self.place = format!("grid {}", kernel.var(axis.var).map_or("?", |v| &v.name));
            self.uniform(&axis.extent, "the extent of a grid axis");
            self.define_var(axis.var);
        }
        for axis in &kernel.axes {
            self.place = format!("axis {}", axis.name);
            for atom in &axis.valid.atoms {
                self.expr(&atom.lhs);
                self.expr(&atom.rhs);
            }
            self.check(axis.valid.opaque.is_empty(), "the validity of an axis is affine");
        }
        self.stmts(&kernel.body);
        if self.errors.is_empty() {
            self.races();
        }
        self.place.clear();
        self.check(self.ever_values.len() == kernel.values.len(), "some values of the table are never defined");
        self.check(self.ever_vars.len() == kernel.vars.len(), "some scalars of the table are never defined");
    }

    fn stmts(&mut self, stmts: &'a [Stmt]) {
        for stmt in stmts {
            self.place = stmt_text(self.plan, self.kernel, stmt);
            match stmt {
                Stmt::Let(v) => self.let_stmt(*v),
                Stmt::Inst(inst) => self.inst(inst),
                Stmt::Loop(l) => self.loop_stmt(l),
                Stmt::While(w) => {
                    self.uniform(&w.bound, "the bound of a `while`");
                    self.carried(&w.carried, &w.yields, &w.results, AxisSet::EMPTY);
                    let condition = w.carried.first().and_then(|c| self.kernel.value_type(c.param));
                    let is_bool = condition == Some(Type::scalar(ElemType::Bool));
                    self.check(is_bool, "the first carried value of a `while` is not a rank-0 bool");
                    self.scoped(|c| {
                        w.carried.iter().for_each(|x| c.define_value(x.param));
                        c.stmts(&w.body);
                        w.yields.iter().for_each(|y| c.use_value(*y));
                    });
                    w.results.iter().for_each(|r| self.define_value(*r));
                }
                Stmt::If(i) => {
                    self.guard(&i.cond);
                    self.check(
                        self.kernel.guard_axes(&i.cond).is_empty(),
                        "the condition of an `if` varies over tile axes",
                    );
                    let types =
                        |values: &[ValueId]| values.iter().map(|v| self.kernel.value_type(*v)).collect::<Vec<_>>();
                    let (a, b, r) = (types(&i.then_yields), types(&i.else_yields), types(&i.results));
                    self.check(a == b && a == r, "the branches and the results of an `if` have different types");
                    let depth = self.conditions.len();
                    self.conditions.extend(i.cond.atoms.iter().map(|a| (a.clone(), true)));
                    self.scoped(|c| {
                        c.stmts(&i.then_body);
                        i.then_yields.iter().for_each(|y| c.use_value(*y));
                    });
                    self.conditions.truncate(depth);
                    // Of several conditions at least one is false, which is not an inequality.
                    if let ([atom], []) = (&*i.cond.atoms, &*i.cond.opaque) {
                        self.conditions.push((atom.clone(), false));
                    }
                    self.scoped(|c| {
                        c.stmts(&i.else_body);
                        i.else_yields.iter().for_each(|y| c.use_value(*y));
                    });
                    self.conditions.truncate(depth);
                    i.results.iter().for_each(|r| self.define_value(*r));
                }
            }
        }
    }

    /// Runs `f`; what it defines is out of scope afterwards.
    fn scoped(&mut self, f: impl FnOnce(&mut Self)) {
        let (values, vars) = (self.values.clone(), self.vars.clone());
        f(self);
        (self.values, self.vars) = (values, vars);
    }

    fn let_stmt(&mut self, id: VarId) {
        let kernel = self.kernel;
        let Some(var) = kernel.var(id) else { return self.error("a scalar outside the table") };
        match &var.def {
            VarDef::Let(e) => {
                self.expr(e);
                self.check(kernel.expr_axes(e) == var.axes, "the scalar varies over other axes than its definition");
            }
            VarDef::Load(access) => {
                let axes = kernel.access_axes(access);
                self.check(axes.is_empty(), "a loaded scalar varies over tile axes");
                self.integer_buffer(access);
                self.in_range(access, &Guard::always());
                self.site(access, &Guard::always(), false);
            }
            VarDef::Scalar(v) => {
                self.use_value(*v);
                let ty = kernel.value_type(*v);
                self.check(
                    ty.is_some_and(|t| t.elem.is_int() && t.axes.is_empty()),
                    "a scalar comes from a rank-0 integer",
                );
            }
            _ => self.error("`let` of what is not a let"),
        }
        self.define_var(id);
    }

    fn integer_buffer(&mut self, access: &Access) {
        let Place::Buffer(id) = access.place else { return self.error("reads a scratch table as a buffer") };
        let int = self.plan.buffer(id).is_some_and(|b| b.elem.is_int());
        self.check(int, "the buffer does not hold integers");
    }

    fn inst(&mut self, inst: &Inst) {
        for v in &inst.args {
            self.use_value(*v);
        }
        self.guard(&inst.attrs.guard);
        self.full_claims(&inst.attrs.guard);
        if let Some(at) = &inst.attrs.at {
            self.expr(at);
        }
        for e in inst.attrs.access.iter().flat_map(|a| &a.index) {
            self.expr(e);
        }
        match infer(self.plan, self.kernel, inst) {
            Ok(types) => {
                let declared: Vec<_> = inst.results.iter().map(|r| self.kernel.value_type(*r)).collect();
                let inferred: Vec<_> = types.iter().map(|t| Some(*t)).collect();
                self.check(declared == inferred, "the results have other types than the op gives");
                let clean = self.errors.len();
                self.memory(inst);
                if self.errors.len() == clean {
                    self.padding(inst);
                }
            }
            Err(message) => self.error(message),
        }
        for r in &inst.results {
            self.define_value(*r);
        }
    }

    fn memory(&mut self, inst: &Inst) {
        if let Some(access) = &inst.attrs.access {
            self.in_range(access, &inst.attrs.guard);
            if matches!(inst.op, OpCode::Load | OpCode::Store) {
                self.site(access, &inst.attrs.guard, inst.op == OpCode::Store);
            }
        }
        match inst.op {
            OpCode::Store | OpCode::TableSet | OpCode::Accum => self.injective(inst),
            OpCode::Take => self.take_in_range(inst),
            _ => {}
        }
    }

    fn loop_stmt(&mut self, l: &'a Loop) {
        let kernel = self.kernel;
        let bound = |c: &mut Self, e: &Expr| c.uniform(e, "a bound of a loop");
        match &l.domain {
            Domain::Dense { lo, hi } => {
                bound(self, lo);
                bound(self, hi);
            }
            Domain::Strided { base, stride, lo, hi } => {
                for e in [base, lo, hi] {
                    bound(self, e);
                }
                let positive = self.plan.static_value(stride).is_some_and(|n| n > 0);
                self.check(positive, "the stride is not static and positive");
            }
            Domain::List { list, count } => {
                bound(self, count);
                list.index.iter().for_each(|e| bound(self, e));
                self.integer_buffer(list);
            }
            Domain::Table { count } => {
                self.check(self.plan.static_value(count).is_some(), "the extent of a table is not static");
            }
            Domain::Point { at } => {
                bound(self, at);
                self.check(l.axis.is_none(), "a point has no axis");
            }
        }
        if let Some((lo, hi)) = &l.full {
            bound(self, lo);
            bound(self, hi);
        }
        if let Some(axis) = l.axis {
            self.check(self.loops.iter().all(|o| o.axis != l.axis), "a loop around has the same axis");
            let plain = kernel.axis(axis).is_some_and(|a| a.valid.is_always());
            self.check(plain, "the axis of a loop has a validity of its own");
        }
        let own = l.axis.map_or(AxisSet::EMPTY, AxisSet::one);
        self.carried(&l.carried, &l.yields, &l.results, own);
        let expected = super::build::position(&l.domain, l.index, l.axis);
        let is_index = kernel.var(l.index).is_some_and(|v| v.def == VarDef::LoopIndex && v.axes.is_empty());
        // By text: folding may have changed the tree.
        let spelled = |def: &VarDef| match def {
            VarDef::Position(e) => Some(self.text(e)),
            VarDef::Entry(a) => Some(a.index.iter().map(|e| self.text(e) + ",").collect()),
            _ => None,
        };
        let is_position = kernel.var(l.pos).is_some_and(|v| spelled(&v.def) == spelled(&expected));
        self.check(is_index && is_position, "the index or the position of the loop is not defined by it");
        self.scoped(|c| {
            // Outside, the axis has no padding; what was computed there says nothing about the padding here.
            c.values.retain(|v| kernel.value_type(*v).is_none_or(|t| t.axes.intersection(own).is_empty()));
            c.loops.push(l);
            c.define_var(l.index);
            c.define_var(l.pos);
            if let Domain::List { list, count } = &l.domain {
                c.list_is_bounded(l, list, count);
            }
            l.carried.iter().for_each(|x| c.define_value(x.param));
            c.stmts(&l.body);
            l.yields.iter().for_each(|y| c.use_value(*y));
            c.loops.pop();
        });
        l.results.iter().for_each(|r| self.define_value(*r));
    }

    fn list_is_bounded(&mut self, l: &Loop, list: &Access, count: &Expr) {
        let entry = list.entry(l.index, l.axis);
        let at = entry.index.last().cloned().unwrap_or(Expr::Const(0));
        let guard = Guard::from(at.lt(count.clone()));
        self.in_range(&entry, &guard);
        self.site(&entry, &guard, false);
    }

    fn carried(&mut self, carried: &[Carried], yields: &[ValueId], results: &[ValueId], own: AxisSet) {
        self.check(
            carried.len() == yields.len() && carried.len() == results.len(),
            format!("carries {} values, yields {}, has {} results", carried.len(), yields.len(), results.len()),
        );
        for (c, (y, r)) in carried.iter().zip(yields.iter().zip(results)) {
            self.use_value(c.init);
            let ty = self.kernel.value_type(c.param);
            let name = self.value_name(c.param);
            let same = [c.init, *y, *r].iter().all(|v| self.kernel.value_type(*v) == ty);
            self.check(
                same,
                format!("carried `{name}`, its initial value, its yield and its result have different types"),
            );
            let free = ty.is_some_and(|t| t.axes.intersection(own).is_empty());
            self.check(free, format!("carried `{name}` varies over the axis of its loop"));
        }
    }
}
