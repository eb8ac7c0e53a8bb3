//! Numbering of scalars and values in the order of the text, so that what was built equals what is read back.

use rustc_hash::FxHashMap;

use super::expr::{Expr, Guard};
use super::ids::{ValueId, VarId};
use super::ops::Access;
use super::plan::{Carried, Domain, Kernel, Stmt, VarDef};

/// New ids in the order of first definition.
#[derive(Default)]
struct Order {
    vars: Vec<VarId>,
    values: Vec<ValueId>,
}

impl Order {
    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(v) => self.vars.push(*v),
                Stmt::Inst(inst) => self.values.extend(&inst.results),
                Stmt::Loop(l) => {
                    self.vars.extend([l.index, l.pos]);
                    self.values.extend(l.carried.iter().map(|c| c.param));
                    self.stmts(&l.body);
                    self.values.extend(&l.results);
                }
                Stmt::While(w) => {
                    self.values.extend(w.carried.iter().map(|c| c.param));
                    self.stmts(&w.body);
                    self.values.extend(&w.results);
                }
                Stmt::If(i) => {
                    self.stmts(&i.then_body);
                    self.stmts(&i.else_body);
                    self.values.extend(&i.results);
                }
            }
        }
    }
}

struct Names {
    vars: FxHashMap<VarId, VarId>,
    values: FxHashMap<ValueId, ValueId>,
}

impl Names {
    fn var(&self, v: &mut VarId) {
        *v = self.vars.get(v).copied().unwrap_or(*v);
    }
    fn value(&self, v: &mut ValueId) {
        *v = self.values.get(v).copied().unwrap_or(*v);
    }
    fn expr(&self, e: &mut Expr) {
        match e {
            Expr::Var(v) => self.var(v),
            Expr::Value(v) => self.value(v),
            Expr::Ragged(_, at) => self.expr(at),
            Expr::Binary(_, a, b) => {
                self.expr(a);
                self.expr(b);
            }
            _ => {}
        }
    }
    fn guard(&self, guard: &mut Guard) {
        for atom in &mut guard.atoms {
            self.expr(&mut atom.lhs);
            self.expr(&mut atom.rhs);
        }
        guard.opaque.iter_mut().for_each(|v| self.value(v));
    }
    fn access(&self, access: &mut Access) {
        access.index.iter_mut().for_each(|e| self.expr(e));
    }
    fn carried(&self, carried: &mut [Carried], yields: &mut [ValueId], results: &mut [ValueId]) {
        for c in carried {
            self.value(&mut c.param);
            self.value(&mut c.init);
        }
        yields.iter_mut().chain(results).for_each(|v| self.value(v));
    }
    fn domain(&self, domain: &mut Domain) {
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
    fn stmts(&self, stmts: &mut [Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(v) => self.var(v),
                Stmt::Inst(inst) => {
                    inst.args.iter_mut().chain(&mut inst.results).for_each(|v| self.value(v));
                    self.guard(&mut inst.attrs.guard);
                    inst.attrs.at.iter_mut().for_each(|e| self.expr(e));
                    inst.attrs.access.iter_mut().for_each(|a| self.access(a));
                }
                Stmt::Loop(l) => {
                    self.var(&mut l.index);
                    self.var(&mut l.pos);
                    self.domain(&mut l.domain);
                    if let Some((lo, hi)) = &mut l.full {
                        self.expr(lo);
                        self.expr(hi);
                    }
                    self.carried(&mut l.carried, &mut l.yields, &mut l.results);
                    self.stmts(&mut l.body);
                }
                Stmt::While(w) => {
                    self.expr(&mut w.bound);
                    self.carried(&mut w.carried, &mut w.yields, &mut w.results);
                    self.stmts(&mut w.body);
                }
                Stmt::If(i) => {
                    self.guard(&mut i.cond);
                    self.carried(&mut [], &mut i.then_yields, &mut i.results);
                    self.carried(&mut [], &mut i.else_yields, &mut []);
                    self.stmts(&mut i.then_body);
                    self.stmts(&mut i.else_body);
                }
            }
        }
    }
}

impl Kernel {
    /// Numbers scalars and values in the order in which the text defines them: grid axes first, then statement by statement.
    /// A kernel that defines one of them twice or never is left as it is (the verifier refuses it).
    pub fn renumber(&mut self) {
        let mut order = Order::default();
        order.vars.extend(self.grid.iter().map(|g| g.var));
        order.stmts(&self.body);
        let names = Names {
            vars: order.vars.iter().enumerate().map(|(i, v)| (*v, VarId::new(i))).collect(),
            values: order.values.iter().enumerate().map(|(i, v)| (*v, ValueId::new(i))).collect(),
        };
        let once = |known: usize, defined: usize, table: usize| known == defined && defined == table;
        if !once(names.vars.len(), order.vars.len(), self.vars.len())
            || !once(names.values.len(), order.values.len(), self.values.len())
        {
            return;
        }
        self.vars = order.vars.iter().filter_map(|v| self.var(*v).cloned()).collect();
        self.values = order.values.iter().filter_map(|v| self.value(*v).cloned()).collect();
        for var in &mut self.vars {
            match &mut var.def {
                VarDef::Let(e) | VarDef::Position(e) => names.expr(e),
                VarDef::Load(a) | VarDef::Entry(a) => names.access(a),
                VarDef::Scalar(v) => names.value(v),
                VarDef::Grid | VarDef::LoopIndex => {}
            }
        }
        for axis in &mut self.grid {
            names.var(&mut axis.var);
            names.expr(&mut axis.extent);
        }
        self.axes.iter_mut().for_each(|a| names.guard(&mut a.valid));
        names.stmts(&mut self.body);
    }
}
