//! The text form: `Display` of plans. `parse` reads it back to an equal value.

use std::fmt::{self, Display, Write};

use super::expr::{BinOp, Expr, Guard};
use super::ids::{AxisSet, ValueId, VarId};
use super::ops::{Access, Inst, OpCode, Place};
use super::plan::{Buffer, Carried, Domain, Kernel, ParamKind, Plan, Stmt, VarDef};
use super::types::{Literal, Type};
use super::typing::name_of;

impl Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // `{:?}` is the shortest decimal that reads back to the same float, always with a point or an exponent.
            Self::Float(x) => write!(f, "{x:?}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Bool(b) => write!(f, "{b}"),
        }
    }
}

/// Writes `items`, each by `each`, with commas between.
fn list<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut String, T)) {
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        each(out, item);
    }
}

struct Printer<'a> {
    plan: &'a Plan,
    kernel: Option<&'a Kernel>,
    buffer: Option<&'a Buffer>,
    out: String,
    depth: usize,
}

impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer { plan: self, kernel: None, buffer: None, out: String::new(), depth: 0 };
        printer.plan();
        f.write_str(&printer.out)
    }
}

/// Text of an expression, as it stands in `kernel` (or in the declarations of `plan`).
pub fn expr_text(plan: &Plan, kernel: Option<&Kernel>, expr: &Expr) -> String {
    Printer { plan, kernel, buffer: None, out: String::new(), depth: 0 }.expr_string(expr)
}

/// Text of a guard as it stands in `kernel`.
pub fn guard_text(plan: &Plan, kernel: &Kernel, guard: &Guard) -> String {
    Printer { plan, kernel: Some(kernel), buffer: None, out: String::new(), depth: 0 }.guard(guard)
}

/// Text of one statement of `kernel`, without its line break; of a structured one the head only.
pub fn stmt_text(plan: &Plan, kernel: &Kernel, stmt: &Stmt) -> String {
    let mut printer = Printer { plan, kernel: Some(kernel), buffer: None, out: String::new(), depth: 0 };
    printer.stmt(stmt);
    printer.out.lines().next().unwrap_or_default().trim().to_owned()
}

impl Printer<'_> {
    fn line(&mut self, text: &str) {
        for _ in 0..self.depth {
            self.out.push_str("  ");
        }
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn block(&mut self, head: &str, body: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        body(self);
        self.depth -= 1;
    }

    fn plan(&mut self) {
        let plan = self.plan;
        self.block(&format!("plan {}", plan.name), |p| {
            for param in &plan.params {
                let word = match param.kind {
                    ParamKind::Size => "size",
                    ParamKind::Tile => "tile",
                };
                p.line(&format!("{word} {} = {}", param.name, param.value));
            }
            for extent in &plan.extents {
                match extent.over.and_then(|e| plan.extent(e)) {
                    Some(outer) => p.line(&format!("extent {}[{}]", extent.name, outer.name)),
                    None => p.line(&format!("extent {}", extent.name)),
                }
            }
            for buffer in &plan.buffers {
                p.buffer = Some(buffer);
                let mut text = format!("buffer {}: {}[", buffer.name, buffer.elem.name());
                list(&mut text, &buffer.dims, |out, d| {
                    let extent = p.expr_string(&d.extent);
                    let _ = write!(out, "{}: {extent}", d.name);
                });
                let _ = write!(text, "] {}", buffer.role.name());
                if let Some((lo, hi)) = &buffer.range {
                    let _ = write!(text, " range {} .. {}", p.expr_string(lo), p.expr_string(hi));
                }
                if let Some(init) = buffer.init {
                    let _ = write!(text, " init {init}");
                }
                p.line(&text);
                p.buffer = None;
            }
            for kernel in &plan.kernels {
                p.out.push('\n');
                p.kernel = Some(kernel);
                p.block(&format!("kernel {}", kernel.name), |p| p.kernel_body(kernel));
                p.line("}");
                p.kernel = None;
            }
        });
        self.line("}");
    }

    fn kernel_body(&mut self, kernel: &Kernel) {
        if !kernel.grid.is_empty() {
            let mut text = String::from("grid ");
            list(&mut text, &kernel.grid, |out, g| {
                let _ = write!(out, "{}: {}", self.var_name(g.var), self.expr_string(&g.extent));
            });
            self.line(&text);
        }
        for axis in &kernel.axes {
            let mut text = format!("axis {}: {}", axis.name, self.expr_string(&axis.extent));
            if !axis.valid.is_always() {
                let _ = write!(text, " where {}", self.guard(&axis.valid));
            }
            self.line(&text);
        }
        if let Some(axis) = kernel.lanes.and_then(|a| kernel.axis(a)) {
            self.line(&format!("lanes {}", axis.name));
        }
        for table in &kernel.scratch {
            let mut text = format!("scratch {}: {}[", table.name, table.elem.name());
            list(&mut text, &table.dims, |out, d| out.push_str(&self.expr_string(d)));
            text.push(']');
            if let Some(init) = table.init {
                let _ = write!(text, " init {init}");
            }
            self.line(&text);
        }
        self.stmts(&kernel.body);
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Let(var) => {
                let def = self.kernel.and_then(|k| k.var(*var)).map(|v| &v.def);
                let rhs = match def {
                    Some(VarDef::Let(e)) => self.expr_string(e),
                    Some(VarDef::Load(access)) => format!("load {}", self.access(access)),
                    Some(VarDef::Scalar(v)) => format!("scalar {}", self.value_name(*v)),
                    _ => "?".into(),
                };
                self.line(&format!("let {} = {rhs}", self.var_name(*var)));
            }
            Stmt::Inst(inst) => {
                let text = self.inst(inst);
                self.line(&text);
            }
            Stmt::Loop(l) => {
                let axis =
                    l.axis.and_then(|a| self.kernel?.axis(a)).map_or(String::new(), |a| format!(" over {}", a.name));
                let full = l.full.as_ref().map_or(String::new(), |(lo, hi)| {
                    format!(" full [{}, {})", self.expr_string(lo), self.expr_string(hi))
                });
                let head = format!(
                    "{}loop {} at {}{axis} in {}{full}{}",
                    self.results(&l.results),
                    self.var_name(l.index),
                    self.var_name(l.pos),
                    self.domain(&l.domain),
                    self.carry(&l.carried)
                );
                self.block(&head, |p| {
                    p.stmts(&l.body);
                    p.yields(&l.yields);
                });
                self.line("}");
            }
            Stmt::While(w) => {
                let head = format!(
                    "{}while max {}{}",
                    self.results(&w.results),
                    self.expr_string(&w.bound),
                    self.carry(&w.carried)
                );
                self.block(&head, |p| {
                    p.stmts(&w.body);
                    p.yields(&w.yields);
                });
                self.line("}");
            }
            Stmt::If(i) => {
                let head = format!("{}if {}", self.results(&i.results), self.guard(&i.cond));
                self.block(&head, |p| {
                    p.stmts(&i.then_body);
                    p.yields(&i.then_yields);
                });
                if !i.else_body.is_empty() || !i.else_yields.is_empty() {
                    self.block("} else", |p| {
                        p.stmts(&i.else_body);
                        p.yields(&i.else_yields);
                    });
                }
                self.line("}");
            }
        }
    }

    fn yields(&mut self, values: &[ValueId]) {
        if !values.is_empty() {
            let mut text = String::from("yield ");
            list(&mut text, values, |out, v| out.push_str(&self.value_name(*v)));
            self.line(&text);
        }
    }

    fn results(&self, values: &[ValueId]) -> String {
        if values.is_empty() {
            return String::new();
        }
        let mut text = String::new();
        list(&mut text, values, |out, v| {
            let ty = self.kernel.and_then(|k| k.value_type(*v)).map_or("?".into(), |t| self.ty(t));
            let _ = write!(out, "{}: {ty}", self.value_name(*v));
        });
        text + " = "
    }

    fn carry(&self, carried: &[Carried]) -> String {
        if carried.is_empty() {
            return String::new();
        }
        let mut text = String::from(" carry (");
        list(&mut text, carried, |out, c| {
            let _ = write!(out, "{} = {}", self.value_name(c.param), self.value_name(c.init));
        });
        text + ")"
    }

    fn domain(&self, domain: &Domain) -> String {
        let e = |e: &Expr| self.expr_string(e);
        match domain {
            Domain::Dense { lo, hi } => format!("dense({}, {})", e(lo), e(hi)),
            Domain::Strided { base, stride, lo, hi } => {
                format!("strided({}, {}, {}, {})", e(base), e(stride), e(lo), e(hi))
            }
            Domain::List { list, count } => format!("list({}, {})", self.access(list), e(count)),
            Domain::Table { count } => format!("table({})", e(count)),
            Domain::Point { at } => format!("point({})", e(at)),
        }
    }

    fn inst(&self, inst: &Inst) -> String {
        let attrs = &inst.attrs;
        let mut text = self.results(&inst.results);
        text.push_str(name_of(inst));
        if let Some(access) = &attrs.access {
            let _ = write!(text, " {}", self.access(access));
        }
        if let Some(value) = attrs.value {
            let _ = write!(text, " {value}");
        }
        if !inst.args.is_empty() {
            if attrs.access.is_some() {
                let _ = write!(text, " {}", inst.op.spec().assignment());
            }
            text.push(' ');
            list(&mut text, &inst.args, |out, v| out.push_str(&self.value_name(*v)));
        }
        if let Some(at) = &attrs.at {
            let _ = write!(text, " at {}", self.expr_string(at));
        }
        if let Some(elem) = attrs.elem {
            let _ = write!(text, " as {}", elem.name());
        }
        if !attrs.on.is_empty() {
            let _ = write!(text, " on [{}]", self.axes(attrs.on));
        }
        if let Some(monoid) = attrs.monoid {
            let _ = write!(text, " by {}", monoid.name());
        }
        if !attrs.over.is_empty() {
            let _ = write!(text, " over {}", self.axes(attrs.over));
        }
        if let Some(to) = attrs.to {
            let _ = write!(text, " to {}", self.axes(to.into()));
        }
        if !attrs.guard.is_always() {
            let _ = write!(text, " where {}", self.guard(&attrs.guard));
        }
        if let Some(otherwise) = attrs.otherwise {
            let _ = write!(text, " else {otherwise}");
        }
        if let Some(mode) = attrs.mode {
            let _ = write!(text, " mode {}", mode.name());
        }
        if attrs.rev {
            text.push_str(" rev");
        }
        if attrs.excl {
            text.push_str(" excl");
        }
        debug_assert!(inst.op != OpCode::Map || attrs.function.is_some(), "a map without a function");
        text
    }

    fn access(&self, access: &Access) -> String {
        let name = match access.place {
            Place::Buffer(id) => self.plan.buffer(id).map(|b| b.name.as_str()),
            Place::Scratch(id) => self.kernel.and_then(|k| k.scratch_table(id)).map(|s| s.name.as_str()),
        };
        let mut text = format!("{}[", name.unwrap_or("?"));
        list(&mut text, &access.index, |out, e| out.push_str(&self.expr_string(e)));
        text + "]"
    }

    fn guard(&self, guard: &Guard) -> String {
        let mut text = String::from("[");
        list(&mut text, &guard.atoms, |out, a| {
            let _ = write!(out, "{} {} {}", self.expr_string(&a.lhs), a.cmp.sign(), self.expr_string(&a.rhs));
        });
        if !guard.atoms.is_empty() && !guard.opaque.is_empty() {
            text.push_str(", ");
        }
        list(&mut text, &guard.opaque, |out, v| out.push_str(&self.value_name(*v)));
        text + "]"
    }

    fn axes(&self, axes: AxisSet) -> String {
        let mut text = String::new();
        list(&mut text, axes.iter(), |out, a| {
            out.push_str(self.kernel.and_then(|k| k.axis(a)).map_or("?", |a| &a.name));
        });
        text
    }

    fn ty(&self, ty: Type) -> String {
        if ty.axes.is_empty() { ty.elem.name().into() } else { format!("{}[{}]", ty.elem.name(), self.axes(ty.axes)) }
    }

    fn value_name(&self, id: ValueId) -> String {
        format!("%{}", self.kernel.and_then(|k| k.value(id)).map_or("?", |v| &v.name))
    }

    fn var_name(&self, id: VarId) -> &str {
        self.kernel.and_then(|k| k.var(id)).map_or("?", |v| &v.name)
    }

    fn expr_string(&self, expr: &Expr) -> String {
        let mut out = String::new();
        self.expr(&mut out, expr, 0);
        out
    }

    /// Binding strength: 0 sums, 1 products, 2 leaves. The right operand of an operator binds one tighter (left association).
    fn expr(&self, out: &mut String, expr: &Expr, strength: u8) {
        match expr {
            Expr::Const(n) => {
                let _ = write!(out, "{n}");
            }
            Expr::Param(p) => out.push_str(self.plan.param(*p).map_or("?", |p| &p.name)),
            Expr::Extent(e) => out.push_str(self.plan.extent(*e).map_or("?", |e| &e.name)),
            Expr::Ragged(e, at) => {
                out.push_str(self.plan.extent(*e).map_or("?", |e| &e.name));
                out.push('[');
                self.expr(out, at, 0);
                out.push(']');
            }
            Expr::Dim(d) => {
                let dim = self.buffer.and_then(|b| b.dims.get(*d as usize));
                out.push_str(dim.map_or("?", |d| &d.name));
            }
            Expr::Var(v) => out.push_str(self.var_name(*v)),
            Expr::Axis(a) => out.push_str(self.kernel.and_then(|k| k.axis(*a)).map_or("?", |a| &a.name)),
            Expr::Value(v) => out.push_str(&self.value_name(*v)),
            Expr::Binary(op @ (BinOp::Min | BinOp::Max), a, b) => {
                out.push_str(if *op == BinOp::Min { "min(" } else { "max(" });
                self.expr(out, a, 0);
                out.push_str(", ");
                self.expr(out, b, 0);
                out.push(')');
            }
            Expr::Binary(BinOp::CeilDiv, a, b) => {
                out.push_str("ceil(");
                self.expr(out, a, 1);
                out.push_str(" / ");
                self.expr(out, b, 2);
                out.push(')');
            }
            Expr::Binary(op, a, b) => {
                let (sign, own) = match op {
                    BinOp::Add => ("+", 0),
                    BinOp::Sub => ("-", 0),
                    BinOp::Mul => ("*", 1),
                    BinOp::Div => ("//", 1),
                    _ => ("%", 1),
                };
                let parens = own < strength;
                if parens {
                    out.push('(');
                }
                self.expr(out, a, own);
                let _ = write!(out, " {sign} ");
                self.expr(out, b, own + 1);
                if parens {
                    out.push(')');
                }
            }
        }
    }
}
