//! What is in scope, and expressions made of it.

use super::super::expr::{BinOp, Expr, Guard};
use super::super::ids::{ValueId, VarId};
use super::super::print::expr_text;
use super::super::types::ElemType;
use super::Checker;
use super::facts::Copy;

impl Checker<'_> {
    pub(super) fn define_value(&mut self, id: ValueId) {
        self.values.insert(id);
        if !self.ever_values.insert(id) {
            let name = self.value_name(id);
            self.error(format!("`{name}` is defined twice"));
        }
    }

    pub(super) fn define_var(&mut self, id: VarId) {
        self.vars.insert(id);
        if !self.ever_vars.insert(id) {
            let name = self.kernel.var(id).map_or("?", |v| &v.name).to_owned();
            self.error(format!("`{name}` is defined twice"));
        }
    }

    pub(super) fn value_name(&self, id: ValueId) -> String {
        self.kernel.value(id).map_or("%?".into(), |v| format!("%{}", v.name))
    }

    pub(super) fn use_value(&mut self, id: ValueId) {
        if !self.values.contains(&id) {
            let name = self.value_name(id);
            let inside = self
                .kernel
                .value_type(id)
                .is_some_and(|t| self.loops.iter().any(|l| l.axis.is_some_and(|a| t.axes.contains(a))));
            let why = if inside && self.ever_values.contains(&id) {
                ", or was made outside the loop over its axis"
            } else {
                ""
            };
            self.error(format!("`{name}` is used where its definition does not dominate{why}"));
        }
    }

    /// Checks that an expression is well-formed, quasi-affine and made of what is in scope.
    pub(super) fn expr(&mut self, expr: &Expr) {
        let mut problems: Vec<String> = Vec::new();
        let mut values = Vec::new();
        let mut ragged = Vec::new();
        expr.visit(&mut |e| match e {
            Expr::Param(p) if self.plan.param(*p).is_none() => problems.push("a parameter is not declared".into()),
            Expr::Extent(x) if self.plan.extent(*x).is_none() => problems.push("an extent is not declared".into()),
            Expr::Ragged(x, at) => match self.plan.extent(*x).and_then(|x| x.over) {
                Some(over) => ragged.push(((**at).clone(), over)),
                None => problems.push("an extent that is not ragged is indexed".into()),
            },
            Expr::Dim(_) => problems.push("a dimension of a buffer stands in a kernel".into()),
            Expr::Axis(a) if self.kernel.axis(*a).is_none() => problems.push("an axis is not declared".into()),
            Expr::Var(v) if !self.vars.contains(v) => {
                let name = self.kernel.var(*v).map_or("?", |v| &v.name);
                problems.push(format!("`{name}` is used where its definition does not dominate"));
            }
            Expr::Value(v) => values.push(*v),
            Expr::Binary(BinOp::Mul, a, b) if !a.is_static() && !b.is_static() => {
                problems.push(format!("`{}` is not quasi-affine: no factor is static", self.text(e)));
            }
            Expr::Binary(BinOp::Div | BinOp::Mod | BinOp::CeilDiv, _, d)
                if self.plan.static_value(d).is_none_or(|n| n <= 0) =>
            {
                problems
                    .push(format!("`{}` is not quasi-affine: the divisor is not static and positive", self.text(e)));
            }
            _ => {}
        });
        for problem in problems {
            self.error(problem);
        }
        for v in values {
            self.use_value(v);
            let int = self.kernel.value_type(v).is_some_and(|t| t.elem.is_int());
            let name = self.value_name(v);
            self.check(int, format!("`{name}` in an index expression is not an integer"));
        }
        for (at, over) in ragged {
            let mut facts = self.facts(&[Copy::First]);
            let bounds = facts.linear(&at, Copy::First).zip(facts.linear(&Expr::Extent(over), Copy::First));
            let last = bounds.as_ref().and_then(|(at, n)| n.minus(at)?.add_constant(-1));
            let inside =
                bounds.is_some_and(|(at, _)| facts.proves_ge0(&at)) && last.is_some_and(|l| facts.proves_ge0(&l));
            let text = self.text(&at);
            self.check(inside, format!("a ragged extent is asked at `{text}`, which is not shown to be in range"));
        }
    }

    pub(super) fn text(&self, expr: &Expr) -> String {
        expr_text(self.plan, Some(self.kernel), expr)
    }

    pub(super) fn uniform(&mut self, expr: &Expr, what: &str) {
        self.expr(expr);
        self.check(self.kernel.expr_axes(expr).is_empty(), format!("{what} varies over tile axes"));
    }

    pub(super) fn guard(&mut self, guard: &Guard) {
        for atom in &guard.atoms {
            self.expr(&atom.lhs);
            self.expr(&atom.rhs);
        }
        for v in &guard.opaque {
            self.use_value(*v);
            let is_bool = self.kernel.value_type(*v).is_some_and(|t| t.elem == ElemType::Bool);
            self.check(is_bool, "a condition of a guard is not boolean");
        }
    }
}
