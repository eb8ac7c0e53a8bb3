//! Operators, conditionals and comparisons.

use super::scope::{Meaning, Scope};
use super::{Elaborator, Res};
use crate::diagnostics::Span;
use crate::syntax::ast::{BinaryOp, CompareOp, Expr, Name, UnaryOp};
use weft_ir::dtype::Class;
use weft_ir::graph::{Extent, MapFn, NodeId, Op, Scalar};

impl<'p> Elaborator<'p> {
    /// `if cond then yes else no`; each branch may rely on the condition.
    pub(super) fn conditional(
        &mut self,
        s: &mut Scope<'p>,
        cond: &'p Expr,
        yes: &'p Expr,
        no: &'p Expr,
        span: Span,
    ) -> Res<NodeId> {
        let c = self.expr(s, cond)?;
        let c = self.truth(c, cond.span)?;
        let a = self.given(c, true, |e| e.expr(s, yes));
        let b = self.given(c, false, |e| e.expr(s, no));
        let (a, b) = self.agree((a?, yes.span), (b?, no.span), "the two cases of `if`")?;
        let node = self.graph.select(c, a, b);
        self.made(node, span)
    }

    /// Unary minus and `not`.
    pub(super) fn unary(&mut self, s: &mut Scope<'p>, op: UnaryOp, operand: &'p Expr, span: Span) -> Res<NodeId> {
        let x = self.expr(s, operand)?;
        match op {
            UnaryOp::Neg => {
                let x = self.number(x, operand.span)?;
                self.map(MapFn::Neg, &[x], span)
            }
            UnaryOp::Not => {
                let x = self.truth(x, operand.span)?;
                self.map(MapFn::Not, &[x], span)
            }
        }
    }

    /// Binary operators except comparisons.
    pub(super) fn binary(
        &mut self,
        s: &mut Scope<'p>,
        op: BinaryOp,
        lhs: &'p Expr,
        rhs: &'p Expr,
        span: Span,
    ) -> Res<NodeId> {
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            let a = self.expr(s, lhs)?;
            let a = self.truth(a, lhs.span)?;
            let b = self.given(a, op == BinaryOp::And, |e| e.expr(s, rhs))?;
            let b = self.truth(b, rhs.span)?;
            return self.map(if op == BinaryOp::And { MapFn::And } else { MapFn::Or }, &[a, b], span);
        }
        let (a, b) = (self.expr(s, lhs), self.expr(s, rhs));
        let (a, b) = (a?, b?);
        match op {
            BinaryOp::FloorDiv | BinaryOp::Rem => {
                let a = self.integer(a, lhs.span, &format!("`{op}`"))?;
                let b = self.integer(b, rhs.span, &format!("`{op}`"))?;
                self.map(if op == BinaryOp::Rem { MapFn::Mod } else { MapFn::IDiv }, &[a, b], span)
            }
            BinaryOp::Div => {
                let (a, b) = (self.real(a, lhs.span)?, self.real(b, rhs.span)?);
                self.map(MapFn::Div, &[a, b], span)
            }
            BinaryOp::Pow => self.power((a, lhs.span), (b, rhs.span), span),
            _ => {
                let (a, b) = self.unify((a, lhs.span), (b, rhs.span))?;
                let f = match op {
                    BinaryOp::Add => MapFn::Add,
                    BinaryOp::Sub => MapFn::Sub,
                    _ => MapFn::Mul,
                };
                self.map(f, &[a, b], span)
            }
        }
    }

    /// `a ^ b`: a product for the exponents 2 and 3, exact for integer constants, else the power of reals.
    pub(super) fn power(&mut self, a: (NodeId, Span), b: (NodeId, Span), span: Span) -> Res<NodeId> {
        let base = self.number(a.0, a.1)?;
        let exponent = self.number(b.0, b.1)?;
        let times = match self.graph.constant(exponent) {
            Some(Scalar::Int(n @ 2..=3)) => Some(n as usize),
            Some(Scalar::Int(n @ 0..=62)) if matches!(self.graph.constant(base), Some(Scalar::Int(_))) => {
                Some(n as usize)
            }
            _ => None,
        };
        match times {
            Some(0) => self.int(1, span),
            Some(1) => Ok(base),
            Some(n) => self.map(MapFn::Mul, &vec![base; n], span),
            None => {
                let (base, exponent) = (self.floated(base)?, self.floated(exponent)?);
                self.map(MapFn::Pow, &[base, exponent], span)
            }
        }
    }

    /// `a < b <= c`: all neighbouring pairs.
    pub(super) fn comparison(
        &mut self,
        s: &mut Scope<'p>,
        first: &'p Expr,
        rest: &'p [(CompareOp, Expr)],
        span: Span,
    ) -> Res<NodeId> {
        let mut left = (self.expr(s, first)?, first.span);
        let mut pairs = Vec::with_capacity(rest.len());
        let depth = self.facts.len();
        let mut all = || -> Res<()> {
            for (op, e) in rest {
                let right = (self.expr(s, e)?, e.span);
                let pair = self.compare(*op, left, right, left.1.to(e.span))?;
                self.facts.push((pair, true));
                pairs.push(pair);
                left = right;
            }
            Ok(())
        };
        let result = all();
        self.facts.truncate(depth);
        result?;
        match pairs.as_slice() {
            [one] => Ok(*one),
            _ => self.map(MapFn::And, &pairs, span),
        }
    }

    /// One comparison. `>` and `>=` are `<` and `<=` with their operands exchanged.
    pub(super) fn compare(&mut self, op: CompareOp, a: (NodeId, Span), b: (NodeId, Span), span: Span) -> Res<NodeId> {
        let (x, y) = match op {
            CompareOp::Eq | CompareOp::Ne => self.agree(a, b, "the sides of a comparison")?,
            _ => self.unify(a, b)?,
        };
        match op {
            CompareOp::Lt => self.map(MapFn::Lt, &[x, y], span),
            CompareOp::Le => self.map(MapFn::Le, &[x, y], span),
            CompareOp::Gt => self.map(MapFn::Lt, &[y, x], span),
            CompareOp::Ge => self.map(MapFn::Le, &[y, x], span),
            CompareOp::Eq => self.map(MapFn::Eq, &[x, y], span),
            CompareOp::Ne => self.map(MapFn::Ne, &[x, y], span),
        }
    }

    /// `|t|`: a number, or the extent that the inputs give; of several axes, the product.
    pub(super) fn extent_of(&mut self, s: &Scope<'p>, name: &Name) -> Res<NodeId> {
        let axes = match self.lookup(s, name)? {
            Meaning::Index(axes) => axes,
            _ => self.index_name(s, name)?,
        };
        let mut sizes = Vec::with_capacity(axes.len());
        for &a in &axes {
            let domain = self.graph.axis(a).domain;
            sizes.push(match self.graph.domain(domain).extent {
                Extent::Const(n) => self.int(n, name.span)?,
                _ => {
                    let node = self.graph.add(Op::Size(domain), &[]);
                    self.made(node, name.span)?
                }
            });
        }
        match sizes.as_slice() {
            [one] => Ok(*one),
            _ => self.map(MapFn::Mul, &sizes, name.span),
        }
    }

    /// Is the node a number (rather than a truth value)?
    pub(super) fn is_number(&self, x: NodeId) -> bool {
        self.class(x) != Class::Bool
    }
}
