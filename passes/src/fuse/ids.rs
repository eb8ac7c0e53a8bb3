//! References inside a kernel, renamed. Putting kernels together, merging loops and dropping dead code all come down to this.

use weft_ir::kernel::{
    Access, AxisId, AxisSet, Carried, Domain, Expr, Guard, Inst, Kernel, Place, ScratchId, Stmt, ValueId, VarDef, VarId,
};

/// New ids by old ids; what lies beyond a table keeps its id.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    pub(super) vars: Vec<VarId>,
    pub(crate) values: Vec<ValueId>,
    pub(super) axes: Vec<AxisId>,
    pub(super) scratch: Vec<ScratchId>,
}

impl Ids {
    /// Ids of `kernel` behind those of `base`.
    pub(super) fn behind(kernel: &Kernel, base: &Kernel) -> Self {
        Self {
            vars: (0..kernel.vars.len()).map(|i| VarId::new(base.vars.len() + i)).collect(),
            values: (0..kernel.values.len()).map(|i| ValueId::new(base.values.len() + i)).collect(),
            axes: (0..kernel.axes.len()).map(|i| AxisId::new(base.axes.len() + i)).collect(),
            scratch: (0..kernel.scratch.len()).map(|i| ScratchId::new(base.scratch.len() + i)).collect(),
        }
    }

    /// All ids of `kernel` as they are.
    pub(crate) fn same(kernel: &Kernel) -> Self {
        Self::behind(kernel, &Kernel::default())
    }

    pub(super) fn var(&self, v: VarId) -> VarId {
        self.vars.get(v.index()).copied().unwrap_or(v)
    }
    pub(crate) fn value(&self, v: ValueId) -> ValueId {
        self.values.get(v.index()).copied().unwrap_or(v)
    }
    pub(super) fn axis(&self, a: AxisId) -> AxisId {
        self.axes.get(a.index()).copied().unwrap_or(a)
    }
    fn set(&self, axes: AxisSet) -> AxisSet {
        axes.iter().map(|a| self.axis(a)).collect()
    }
    pub(super) fn expr(&self, e: &mut Expr) {
        match e {
            Expr::Var(v) => *v = self.var(*v),
            Expr::Value(v) => *v = self.value(*v),
            Expr::Axis(a) => *a = self.axis(*a),
            Expr::Ragged(_, at) => self.expr(at),
            Expr::Binary(_, a, b) => {
                self.expr(a);
                self.expr(b);
            }
            _ => {}
        }
    }
    pub(super) fn guard(&self, guard: &mut Guard) {
        for atom in &mut guard.atoms {
            self.expr(&mut atom.lhs);
            self.expr(&mut atom.rhs);
        }
        guard.opaque.iter_mut().for_each(|v| *v = self.value(*v));
    }
    pub(super) fn access(&self, access: &mut Access) {
        if let Place::Scratch(s) = &mut access.place {
            *s = self.scratch.get(s.index()).copied().unwrap_or(*s);
        }
        access.index.iter_mut().for_each(|e| self.expr(e));
    }
    fn all(&self, values: &mut [ValueId]) {
        values.iter_mut().for_each(|v| *v = self.value(*v));
    }
    pub(super) fn carried(&self, carried: &mut [Carried]) {
        for c in carried {
            c.param = self.value(c.param);
            c.init = self.value(c.init);
        }
    }
    pub(super) fn domain(&self, domain: &mut Domain) {
        match domain {
            Domain::Dense { lo, hi } => [lo, hi].into_iter().for_each(|e| self.expr(e)),
            Domain::Strided { base, stride, lo, hi } => [base, stride, lo, hi].into_iter().for_each(|e| self.expr(e)),
            Domain::List { list, count } => {
                self.access(list);
                self.expr(count);
            }
            Domain::Table { count } => self.expr(count),
            Domain::Point { at } => self.expr(at),
        }
    }
    pub(super) fn def(&self, def: &mut VarDef) {
        match def {
            VarDef::Let(e) | VarDef::Position(e) => self.expr(e),
            VarDef::Load(a) | VarDef::Entry(a) => self.access(a),
            VarDef::Scalar(v) => *v = self.value(*v),
            VarDef::Grid | VarDef::LoopIndex => {}
        }
    }
    /// Operands and attributes; `results` too if asked for.
    pub(super) fn inst(&self, inst: &mut Inst, results: bool) {
        self.all(&mut inst.args);
        if results {
            self.all(&mut inst.results);
        }
        let attrs = &mut inst.attrs;
        self.guard(&mut attrs.guard);
        attrs.at.iter_mut().for_each(|e| self.expr(e));
        attrs.access.iter_mut().for_each(|a| self.access(a));
        attrs.on = self.set(attrs.on);
        attrs.over = self.set(attrs.over);
        attrs.to = attrs.to.map(|a| self.axis(a));
    }
    pub(super) fn stmts(&self, stmts: &mut [Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(v) => *v = self.var(*v),
                Stmt::Inst(inst) => self.inst(inst, true),
                Stmt::Loop(l) => {
                    l.index = self.var(l.index);
                    l.pos = self.var(l.pos);
                    l.axis = l.axis.map(|a| self.axis(a));
                    self.domain(&mut l.domain);
                    if let Some((lo, hi)) = &mut l.full {
                        self.expr(lo);
                        self.expr(hi);
                    }
                    self.carried(&mut l.carried);
                    self.all(&mut l.yields);
                    self.all(&mut l.results);
                    self.stmts(&mut l.body);
                }
                Stmt::While(w) => {
                    self.expr(&mut w.bound);
                    self.carried(&mut w.carried);
                    self.all(&mut w.yields);
                    self.all(&mut w.results);
                    self.stmts(&mut w.body);
                }
                Stmt::If(i) => {
                    self.guard(&mut i.cond);
                    self.all(&mut i.then_yields);
                    self.all(&mut i.else_yields);
                    self.all(&mut i.results);
                    self.stmts(&mut i.then_body);
                    self.stmts(&mut i.else_body);
                }
            }
        }
    }
    /// Renames everywhere in a kernel; the tables keep their order and length.
    pub(crate) fn apply(&self, kernel: &mut Kernel) {
        for var in &mut kernel.vars {
            self.def(&mut var.def);
            var.axes = self.set(var.axes);
        }
        for value in &mut kernel.values {
            value.ty.axes = self.set(value.ty.axes);
        }
        for axis in &mut kernel.axes {
            self.guard(&mut axis.valid);
        }
        for grid in &mut kernel.grid {
            grid.var = self.var(grid.var);
            self.expr(&mut grid.extent);
        }
        kernel.lanes = kernel.lanes.map(|a| self.axis(a));
        self.stmts(&mut kernel.body);
    }
}
