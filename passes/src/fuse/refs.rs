//! What statements define, use, read and write.

use rustc_hash::FxHashSet;
use weft_ir::kernel::{
    Access, AxisId, AxisSet, BufferId, Carried, Domain, Expr, Guard, Inst, Kernel, OpCode, Place, Stmt, ValueId,
    VarDef, VarId,
};

/// One mention of something in a statement.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Ref {
    UseVar(VarId),
    UseValue(ValueId),
    DefVar(VarId),
    DefValue(ValueId),
    Axis(AxisId),
    Read(Place),
    Write(Place),
}

type Sink<'a> = &'a mut dyn FnMut(Ref);

/// Does an op write memory?
pub(super) fn writes(op: OpCode) -> bool {
    matches!(op, OpCode::Store | OpCode::Accum | OpCode::TableSet | OpCode::TableAdd | OpCode::Hist)
}

pub(super) fn in_expr(e: &Expr, f: Sink<'_>) {
    e.visit(&mut |e| match e {
        Expr::Var(v) => f(Ref::UseVar(*v)),
        Expr::Value(v) => f(Ref::UseValue(*v)),
        Expr::Axis(a) => f(Ref::Axis(*a)),
        _ => {}
    });
}

pub(super) fn in_guard(guard: &Guard, f: Sink<'_>) {
    for atom in &guard.atoms {
        in_expr(&atom.lhs, f);
        in_expr(&atom.rhs, f);
    }
    guard.opaque.iter().for_each(|v| f(Ref::UseValue(*v)));
}

fn in_access(access: &Access, write: bool, f: Sink<'_>) {
    access.index.iter().for_each(|e| in_expr(e, f));
    f(if write { Ref::Write(access.place) } else { Ref::Read(access.place) });
}

pub(super) fn in_def(def: &VarDef, f: Sink<'_>) {
    match def {
        VarDef::Let(e) | VarDef::Position(e) => in_expr(e, f),
        VarDef::Load(a) | VarDef::Entry(a) => in_access(a, false, f),
        VarDef::Scalar(v) => f(Ref::UseValue(*v)),
        VarDef::Grid | VarDef::LoopIndex => {}
    }
}

pub(super) fn in_inst(inst: &Inst, f: Sink<'_>) {
    inst.args.iter().for_each(|v| f(Ref::UseValue(*v)));
    let attrs = &inst.attrs;
    in_guard(&attrs.guard, f);
    attrs.at.iter().for_each(|e| in_expr(e, f));
    attrs.on.iter().chain(attrs.over.iter()).chain(attrs.to).for_each(|a| f(Ref::Axis(a)));
    if let Some(access) = &attrs.access {
        in_access(access, writes(inst.op), f);
    }
    inst.results.iter().for_each(|v| f(Ref::DefValue(*v)));
}

fn in_carried(carried: &[Carried], yields: &[ValueId], results: &[ValueId], f: Sink<'_>) {
    for c in carried {
        f(Ref::UseValue(c.init));
        f(Ref::DefValue(c.param));
    }
    yields.iter().for_each(|v| f(Ref::UseValue(*v)));
    results.iter().for_each(|v| f(Ref::DefValue(*v)));
}

/// Every mention in a statement and in what is inside it; definitions of scalars where they stand.
pub(crate) fn in_stmt(kernel: &Kernel, stmt: &Stmt, f: Sink<'_>) {
    let def = |v: VarId, f: Sink<'_>| {
        if let Some(var) = kernel.var(v) {
            in_def(&var.def, f);
        }
        f(Ref::DefVar(v));
    };
    match stmt {
        Stmt::Let(v) => def(*v, f),
        Stmt::Inst(inst) => in_inst(inst, f),
        Stmt::Loop(l) => {
            match &l.domain {
                Domain::Dense { lo, hi } => [lo, hi].into_iter().for_each(|e| in_expr(e, f)),
                Domain::Strided { base, stride, lo, hi } => {
                    [base, stride, lo, hi].into_iter().for_each(|e| in_expr(e, f));
                }
                Domain::List { list, count } => {
                    in_access(list, false, f);
                    in_expr(count, f);
                }
                Domain::Table { count } => in_expr(count, f),
                Domain::Point { at } => in_expr(at, f),
            }
            if let Some((lo, hi)) = &l.full {
                in_expr(lo, f);
                in_expr(hi, f);
            }
            l.axis.into_iter().for_each(|a| f(Ref::Axis(a)));
            def(l.index, f);
            def(l.pos, f);
            in_carried(&l.carried, &l.yields, &l.results, f);
            l.body.iter().for_each(|s| in_stmt(kernel, s, f));
        }
        Stmt::While(w) => {
            in_expr(&w.bound, f);
            in_carried(&w.carried, &w.yields, &w.results, f);
            w.body.iter().for_each(|s| in_stmt(kernel, s, f));
        }
        Stmt::If(i) => {
            in_guard(&i.cond, f);
            in_carried(&[], &i.then_yields, &i.results, f);
            i.else_yields.iter().for_each(|v| f(Ref::UseValue(*v)));
            i.then_body.iter().chain(&i.else_body).for_each(|s| in_stmt(kernel, s, f));
        }
    }
}

/// The buffers that a kernel reads and writes.
#[derive(Clone, Default, Debug)]
pub(crate) struct Buffers {
    pub(crate) read: FxHashSet<BufferId>,
    pub(crate) written: FxHashSet<BufferId>,
}

impl Buffers {
    pub(crate) fn of(kernel: &Kernel) -> Self {
        let mut found = Self::default();
        for stmt in &kernel.body {
            in_stmt(kernel, stmt, &mut |r| match r {
                Ref::Read(Place::Buffer(b)) => {
                    found.read.insert(b);
                }
                Ref::Write(Place::Buffer(b)) => {
                    found.written.insert(b);
                }
                _ => {}
            });
        }
        found
    }

    /// Must `self`, which stands before `later`, run before it?
    pub(super) fn before(&self, later: &Self) -> bool {
        !self.written.is_disjoint(&later.read)
            || !self.written.is_disjoint(&later.written)
            || !self.read.is_disjoint(&later.written)
    }
}

/// Calls `f` on every tile statement, with the axes of the loops around it.
pub(crate) fn each_inst<'a>(stmts: &'a [Stmt], around: &mut Vec<AxisId>, f: &mut dyn FnMut(&'a Inst, &[AxisId])) {
    for stmt in stmts {
        match stmt {
            Stmt::Let(_) => {}
            Stmt::Inst(inst) => f(inst, around),
            Stmt::Loop(l) => {
                let depth = around.len();
                around.extend(l.axis);
                each_inst(&l.body, around, f);
                around.truncate(depth);
            }
            Stmt::While(w) => each_inst(&w.body, around, f),
            Stmt::If(i) => {
                each_inst(&i.then_body, around, f);
                each_inst(&i.else_body, around, f);
            }
        }
    }
}

/// Axes of the loops in a statement.
pub(super) fn loop_axes(stmt: &Stmt) -> AxisSet {
    let all = |stmts: &[Stmt]| stmts.iter().map(loop_axes).fold(AxisSet::EMPTY, AxisSet::union);
    match stmt {
        Stmt::Let(_) | Stmt::Inst(_) => AxisSet::EMPTY,
        Stmt::Loop(l) => l.axis.map_or(AxisSet::EMPTY, AxisSet::one).union(all(&l.body)),
        Stmt::While(w) => all(&w.body),
        Stmt::If(i) => all(&i.then_body).union(all(&i.else_body)),
    }
}
