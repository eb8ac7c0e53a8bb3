//! Building kernels from code: fresh names, inferred types, nested bodies.
//!
//! Errors are kept and reported by [`KernelBuilder::finish`], so that emission code reads straight; a value made by a faulty call
//! is a placeholder that only leads to further errors.

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::declare::fresh;
use super::expr::{Expr, Guard};
use super::ids::{AxisId, AxisSet, BufferId, KernelId, ScratchId, ValueId, VarId};
use super::ops::{Access, AccumMode, Attrs, Inst, Monoid, OpCode};
use super::plan::{Axis, Carried, Domain, GridAxis, If, Kernel, Loop, Plan, Scratch, Stmt, Value, Var, VarDef, While};
use super::types::{ElemType, Literal, Type};
use super::typing;
use crate::elementwise::MapFn;

/// A body under construction, and what it will become.
enum Open {
    Kernel,
    Loop(Box<Loop>),
    While(Box<While>),
    Then(Guard),
    Else(Guard, Vec<Stmt>, Vec<ValueId>),
}

/// What a loop offers to its body.
#[derive(Clone, Debug)]
pub struct LoopBody {
    /// Start of the tile.
    pub index: VarId,
    /// Position of an element.
    pub pos: VarId,
    /// The carried values inside the body, in the order in which they were given.
    pub carried: Vec<ValueId>,
}

/// What was built is wrong; every message with the name of its kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kernel `{kernel}`: {message}")]
pub struct BuildError {
    /// Name of the kernel.
    pub kernel: String,
    /// The first error.
    pub message: String,
}

/// Builds one kernel of a plan.
pub struct KernelBuilder<'p> {
    plan: &'p mut Plan,
    kernel: Kernel,
    names: FxHashSet<String>,
    value_names: FxHashSet<String>,
    open: Vec<(Open, Vec<Stmt>)>,
    error: Option<String>,
}

impl<'p> KernelBuilder<'p> {
    /// Starts a kernel; its name is made valid and unique in the plan.
    pub fn new(plan: &'p mut Plan, name: &str) -> Self {
        let kernel = Kernel { name: plan.kernel_name(name), ..Kernel::default() };
        let names = plan.names();
        Self {
            plan,
            kernel,
            names,
            value_names: FxHashSet::default(),
            open: vec![(Open::Kernel, Vec::new())],
            error: None,
        }
    }
    /// The plan, to declare buffers on the way.
    pub fn plan(&mut self) -> &mut Plan {
        self.plan
    }
    /// The plan as it stands.
    pub fn kernel_plan(&self) -> &Plan {
        self.plan
    }
    /// The kernel so far (finished statements of open bodies are not in it yet).
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }
    /// Type of a value.
    pub fn type_of(&self, value: ValueId) -> Option<Type> {
        self.kernel.value_type(value)
    }
    fn fail(&mut self, message: impl Into<String>) {
        self.error.get_or_insert_with(|| message.into());
    }
    fn add_var(&mut self, hint: &str, def: VarDef) -> VarId {
        let axes = match &def {
            VarDef::Let(e) | VarDef::Position(e) => self.kernel.expr_axes(e),
            VarDef::Entry(access) => self.kernel.access_axes(access),
            _ => AxisSet::EMPTY,
        };
        let name = fresh(&mut self.names, hint);
        self.kernel.vars.push(Var { name, def, axes });
        VarId::new(self.kernel.vars.len() - 1)
    }
    fn add_value(&mut self, hint: &str, ty: Type) -> ValueId {
        let name = fresh(&mut self.value_names, hint);
        self.kernel.values.push(Value { name, ty });
        ValueId::new(self.kernel.values.len() - 1)
    }
    fn push(&mut self, stmt: Stmt) {
        if let Some((_, body)) = self.open.last_mut() {
            body.push(stmt);
        }
    }

    /// Declares the next grid axis.
    pub fn grid(&mut self, name: &str, extent: impl Into<Expr>) -> VarId {
        let var = self.add_var(name, VarDef::Grid);
        self.kernel.grid.push(GridAxis { var, extent: extent.into() });
        var
    }
    /// Declares a tile axis without padding of its own (or the axis of a loop).
    pub fn axis(&mut self, name: &str, extent: impl Into<Expr>) -> AxisId {
        if self.kernel.axes.len() >= AxisSet::CAPACITY {
            self.fail("too many axes");
        }
        let name = fresh(&mut self.names, name);
        self.kernel.axes.push(Axis { name, extent: extent.into(), valid: Guard::always() });
        AxisId::new(self.kernel.axes.len() - 1)
    }
    /// Says which elements of an axis are not padding. Axes are declared before the body, so scalars of the body are replaced by
    /// their definitions.
    pub fn set_valid(&mut self, axis: AxisId, valid: impl Into<Guard>) {
        let mut valid = valid.into();
        for atom in &mut valid.atoms {
            atom.lhs = self.spelled_out(&atom.lhs);
            atom.rhs = self.spelled_out(&atom.rhs);
        }
        if let Some(a) = self.kernel.axes.get_mut(axis.index()) {
            a.valid = valid;
        }
    }
    fn spelled_out(&self, expr: &Expr) -> Expr {
        // `substitute` keeps the index of a ragged extent among its leaves, so one pass down reaches everything.
        expr.substitute(&|leaf| match leaf {
            Expr::Var(v) => match self.kernel.var(*v).map(|v| &v.def) {
                Some(VarDef::Let(e)) => Some(self.spelled_out(e)),
                _ => None,
            },
            _ => None,
        })
    }
    /// Names the axis that is best vectorised.
    pub fn lanes(&mut self, axis: AxisId) {
        self.kernel.lanes = Some(axis);
    }
    /// Declares an on-chip table.
    pub fn scratch(&mut self, name: &str, elem: ElemType, dims: Vec<Expr>, init: Option<Literal>) -> ScratchId {
        let name = fresh(&mut self.names, name);
        self.kernel.scratch.push(Scratch { name, elem, dims, init });
        ScratchId::new(self.kernel.scratch.len() - 1)
    }

    /// `let name = expr`
    pub fn let_expr(&mut self, name: &str, expr: impl Into<Expr>) -> VarId {
        let var = self.add_var(name, VarDef::Let(expr.into()));
        self.push(Stmt::Let(var));
        var
    }
    /// `let name = load buffer[index]`
    pub fn let_load(&mut self, name: &str, buffer: BufferId, index: impl IntoIterator<Item = Expr>) -> VarId {
        let var = self.add_var(name, VarDef::Load(Access::buffer(buffer, index)));
        self.push(Stmt::Let(var));
        var
    }
    /// `let name = scalar value`
    pub fn let_scalar(&mut self, name: &str, value: ValueId) -> VarId {
        let var = self.add_var(name, VarDef::Scalar(value));
        self.push(Stmt::Let(var));
        var
    }

    /// Any op of the table; results get names made of `hint` and inferred types.
    pub fn inst(&mut self, hint: &str, op: OpCode, args: &[ValueId], attrs: Attrs) -> Vec<ValueId> {
        let mut inst = Inst { op, args: SmallVec::from_slice(args), attrs, results: SmallVec::new() };
        let count = inst.result_count();
        let types = typing::infer(self.plan, &self.kernel, &inst).unwrap_or_else(|message| {
            self.fail(message);
            (0..count).map(|_| Type::scalar(ElemType::F64)).collect()
        });
        inst.results = types.into_iter().map(|ty| self.add_value(hint, ty)).collect();
        let results = inst.results.to_vec();
        self.push(Stmt::Inst(Box::new(inst)));
        results
    }
    fn single(&mut self, hint: &str, op: OpCode, args: &[ValueId], attrs: Attrs) -> ValueId {
        self.inst(hint, op, args, attrs).first().copied().unwrap_or(ValueId::new(usize::MAX))
    }
    fn pair(&mut self, hint: &str, op: OpCode, args: &[ValueId], attrs: Attrs) -> (ValueId, ValueId) {
        let r = self.inst(hint, op, args, attrs);
        let none = ValueId::new(usize::MAX);
        (r.first().copied().unwrap_or(none), r.get(1).copied().unwrap_or(none))
    }
    /// `index at expr as elem`
    pub fn index(&mut self, hint: &str, at: impl Into<Expr>, elem: ElemType) -> ValueId {
        self.single(hint, OpCode::Index, &[], Attrs { at: Some(at.into()), elem: Some(elem), ..Attrs::default() })
    }
    /// `fill value as elem on [axes]`
    pub fn fill(&mut self, hint: &str, value: impl Into<Literal>, elem: ElemType, on: impl Into<AxisSet>) -> ValueId {
        let attrs = Attrs { value: Some(value.into()), elem: Some(elem), on: on.into(), ..Attrs::default() };
        self.single(hint, OpCode::Fill, &[], attrs)
    }
    /// `load buffer[index] where guard else otherwise`
    pub fn load(
        &mut self,
        hint: &str,
        buffer: BufferId,
        index: impl IntoIterator<Item = Expr>,
        guard: impl Into<Guard>,
        otherwise: Option<Literal>,
    ) -> ValueId {
        let guard = guard.into();
        let otherwise = otherwise.filter(|_| !guard.is_always());
        let attrs = Attrs { access: Some(Access::buffer(buffer, index)), guard, otherwise, ..Attrs::default() };
        self.single(hint, OpCode::Load, &[], attrs)
    }
    /// `store buffer[index] = value where guard`
    pub fn store(
        &mut self,
        buffer: BufferId,
        index: impl IntoIterator<Item = Expr>,
        value: ValueId,
        guard: impl Into<Guard>,
    ) {
        let attrs = Attrs { access: Some(Access::buffer(buffer, index)), guard: guard.into(), ..Attrs::default() };
        self.inst("", OpCode::Store, &[value], attrs);
    }
    /// `accum buffer[index] += value where guard mode mode`
    pub fn accum(
        &mut self,
        buffer: BufferId,
        index: impl IntoIterator<Item = Expr>,
        value: ValueId,
        guard: impl Into<Guard>,
        mode: AccumMode,
    ) {
        let access = Some(Access::buffer(buffer, index));
        self.inst(
            "",
            OpCode::Accum,
            &[value],
            Attrs { access, guard: guard.into(), mode: Some(mode), ..Attrs::default() },
        );
    }
    /// An elementwise function.
    pub fn map(&mut self, hint: &str, function: MapFn, args: &[ValueId]) -> ValueId {
        self.single(hint, OpCode::Map, args, Attrs { function: Some(function), ..Attrs::default() })
    }
    /// `cast value as elem`
    pub fn cast(&mut self, hint: &str, value: ValueId, elem: ElemType) -> ValueId {
        self.single(hint, OpCode::Cast, &[value], Attrs { elem: Some(elem), ..Attrs::default() })
    }
    /// `select cond, a, b`
    pub fn select(&mut self, hint: &str, cond: ValueId, a: ValueId, b: ValueId) -> ValueId {
        self.single(hint, OpCode::Select, &[cond, a, b], Attrs::default())
    }
    /// `expand value on [axes]`
    pub fn expand(&mut self, hint: &str, value: ValueId, on: impl Into<AxisSet>) -> ValueId {
        self.single(hint, OpCode::Expand, &[value], Attrs { on: on.into(), ..Attrs::default() })
    }
    /// `rename value over from to to`
    pub fn rename(&mut self, hint: &str, value: ValueId, from: AxisId, to: AxisId) -> ValueId {
        self.single(hint, OpCode::Rename, &[value], Attrs { over: from.into(), to: Some(to), ..Attrs::default() })
    }
    /// `dot a, b [, acc] over axes`; accumulates into `acc`.
    pub fn dot(
        &mut self,
        hint: &str,
        a: ValueId,
        b: ValueId,
        over: impl Into<AxisSet>,
        acc: Option<ValueId>,
    ) -> ValueId {
        let args: SmallVec<[ValueId; 3]> = [a, b].into_iter().chain(acc).collect();
        self.single(hint, OpCode::Dot, &args, Attrs { over: over.into(), ..Attrs::default() })
    }
    /// `reduce value by monoid over axes where guard`
    pub fn reduce(
        &mut self,
        hint: &str,
        value: ValueId,
        monoid: Monoid,
        over: impl Into<AxisSet>,
        guard: impl Into<Guard>,
    ) -> ValueId {
        let attrs = Attrs { monoid: Some(monoid), over: over.into(), guard: guard.into(), ..Attrs::default() };
        self.single(hint, OpCode::Reduce, &[value], attrs)
    }
    /// `online s, m over axes where guard`: (new maximum, factor for old carries, weights).
    pub fn online(
        &mut self,
        hint: &str,
        scores: ValueId,
        max: ValueId,
        over: impl Into<AxisSet>,
        guard: impl Into<Guard>,
    ) -> (ValueId, ValueId, ValueId) {
        let attrs = Attrs { over: over.into(), guard: guard.into(), ..Attrs::default() };
        let r = self.inst(hint, OpCode::Online, &[scores, max], attrs);
        let none = ValueId::new(usize::MAX);
        (r.first().copied().unwrap_or(none), r.get(1).copied().unwrap_or(none), r.get(2).copied().unwrap_or(none))
    }
    /// `rescale x, r`
    pub fn rescale(&mut self, hint: &str, x: ValueId, r: ValueId) -> ValueId {
        self.single(hint, OpCode::Rescale, &[x, r], Attrs::default())
    }
    /// `topk x, payload over axis to list where guard`: (values, payloads).
    pub fn topk(
        &mut self,
        hint: &str,
        x: ValueId,
        payload: ValueId,
        over: AxisId,
        to: AxisId,
        guard: impl Into<Guard>,
    ) -> (ValueId, ValueId) {
        let attrs = Attrs { over: over.into(), to: Some(to), guard: guard.into(), ..Attrs::default() };
        self.pair(hint, OpCode::TopK, &[x, payload], attrs)
    }

    /// Opens a loop; statements go into its body until [`Self::end_loop`]. `carried`: (name, initial value).
    pub fn begin_loop(
        &mut self,
        name: &str,
        axis: Option<AxisId>,
        domain: Domain,
        full: Option<(Expr, Expr)>,
        carried: &[(&str, ValueId)],
    ) -> LoopBody {
        let index = self.add_var(&format!("{name}0"), VarDef::LoopIndex);
        let pos = self.add_var(name, position(&domain, index, axis));
        let carried = self.carry(carried);
        let inner = carried.iter().map(|c| c.param).collect();
        let l =
            Loop { index, pos, axis, domain, full, carried, body: Vec::new(), yields: Vec::new(), results: Vec::new() };
        self.open.push((Open::Loop(Box::new(l)), Vec::new()));
        LoopBody { index, pos, carried: inner }
    }
    fn carry(&mut self, carried: &[(&str, ValueId)]) -> Vec<Carried> {
        let mut out = Vec::new();
        for (name, init) in carried {
            let ty = self.type_of(*init).unwrap_or_else(|| {
                self.fail(format!("the initial value of carried `{name}` is not defined"));
                Type::scalar(ElemType::F64)
            });
            out.push(Carried { param: self.add_value(name, ty), init: *init });
        }
        out
    }
    fn check_yields(&mut self, carried: &[Carried], yields: &[ValueId]) {
        if carried.len() != yields.len() {
            self.fail(format!("a loop carries {} values and yields {}", carried.len(), yields.len()));
        }
        for (c, y) in carried.iter().zip(yields) {
            if self.type_of(c.param) != self.type_of(*y) {
                let name = |v: ValueId| self.kernel.value(v).map_or("?", |v| v.name.as_str());
                let message = format!("carried `%{}` and yielded `%{}` have different types", name(c.param), name(*y));
                self.fail(message);
            }
        }
    }
    fn results_like(&mut self, values: &[ValueId]) -> Vec<ValueId> {
        let like: Vec<_> = values.iter().filter_map(|v| self.kernel.value(*v).cloned()).collect();
        like.into_iter().map(|v| self.add_value(&v.name, v.ty)).collect()
    }
    /// Closes the innermost loop; gives the carried values after it.
    pub fn end_loop(&mut self, yields: &[ValueId]) -> Vec<ValueId> {
        match self.open.pop() {
            Some((Open::Loop(mut l), body)) => {
                self.check_yields(&l.carried, yields);
                let params: Vec<_> = l.carried.iter().map(|c| c.param).collect();
                l.body = body;
                l.yields = yields.to_vec();
                l.results = self.results_like(&params);
                let results = l.results.clone();
                self.push(Stmt::Loop(l));
                results
            }
            other => self.mismatch(other, "end_loop"),
        }
    }
    /// Opens a `while` of at most `bound` iterations; the first carried value is the condition. Gives the carried values inside.
    pub fn begin_while(&mut self, bound: impl Into<Expr>, carried: &[(&str, ValueId)]) -> Vec<ValueId> {
        let carried = self.carry(carried);
        let inner = carried.iter().map(|c| c.param).collect();
        let w = While { bound: bound.into(), carried, body: Vec::new(), yields: Vec::new(), results: Vec::new() };
        self.open.push((Open::While(Box::new(w)), Vec::new()));
        inner
    }
    /// Closes the innermost `while`.
    pub fn end_while(&mut self, yields: &[ValueId]) -> Vec<ValueId> {
        match self.open.pop() {
            Some((Open::While(mut w), body)) => {
                self.check_yields(&w.carried, yields);
                let params: Vec<_> = w.carried.iter().map(|c| c.param).collect();
                w.body = body;
                w.yields = yields.to_vec();
                w.results = self.results_like(&params);
                let results = w.results.clone();
                self.push(Stmt::While(w));
                results
            }
            other => self.mismatch(other, "end_while"),
        }
    }
    /// Opens the first branch of an `if`.
    pub fn begin_if(&mut self, cond: impl Into<Guard>) {
        self.open.push((Open::Then(cond.into()), Vec::new()));
    }
    /// Closes the first branch and opens the second.
    pub fn begin_else(&mut self, yields: &[ValueId]) {
        match self.open.pop() {
            Some((Open::Then(cond), body)) => self.open.push((Open::Else(cond, body, yields.to_vec()), Vec::new())),
            other => {
                self.mismatch(other, "begin_else");
            }
        }
    }
    /// Closes an `if` (without a second branch: no values).
    pub fn end_if(&mut self, yields: &[ValueId]) -> Vec<ValueId> {
        let i = match self.open.pop() {
            Some((Open::Then(cond), then_body)) if yields.is_empty() => {
                If { cond, then_body, then_yields: vec![], else_body: vec![], else_yields: vec![], results: vec![] }
            }
            Some((Open::Else(cond, then_body, then_yields), else_body)) => {
                if then_yields.len() != yields.len()
                    || then_yields.iter().zip(yields).any(|(a, b)| self.type_of(*a) != self.type_of(*b))
                {
                    self.fail("the branches of an `if` yield different types");
                }
                let results = self.results_like(&then_yields);
                If { cond, then_body, then_yields, else_body, else_yields: yields.to_vec(), results }
            }
            other => return self.mismatch(other, "end_if"),
        };
        let results = i.results.clone();
        self.push(Stmt::If(Box::new(i)));
        results
    }
    fn mismatch(&mut self, open: Option<(Open, Vec<Stmt>)>, call: &str) -> Vec<ValueId> {
        self.open.extend(open);
        self.fail(format!("{call} does not match the open body"));
        Vec::new()
    }

    /// Appends the kernel to the plan, its scalars and values numbered anew in the order of the text: ids that the builder gave out
    /// mean nothing in it.
    ///
    /// # Errors
    /// The first error of any call since [`Self::new`], or a body that is still open.
    pub fn finish(mut self) -> Result<KernelId, BuildError> {
        if self.open.len() != 1 {
            self.fail("a body is still open");
        }
        if let Some(message) = self.error {
            return Err(BuildError { kernel: self.kernel.name, message });
        }
        self.kernel.body = self.open.pop().map(|(_, body)| body).unwrap_or_default();
        self.kernel.renumber();
        self.plan.kernels.push(self.kernel);
        Ok(KernelId::new(self.plan.kernels.len() - 1))
    }
}

/// Definition of a loop's position.
pub(super) fn position(domain: &Domain, index: VarId, axis: Option<AxisId>) -> VarDef {
    let element = match axis {
        Some(axis) => Expr::from(index) + axis,
        None => Expr::from(index),
    };
    match domain {
        Domain::Dense { .. } | Domain::Table { .. } => VarDef::Position(element),
        Domain::Strided { base, stride, .. } => VarDef::Position(base.clone() + stride.clone() * element),
        Domain::List { list, .. } => VarDef::Entry(list.entry(index, axis)),
        Domain::Point { at } => VarDef::Position(at.clone()),
    }
}
