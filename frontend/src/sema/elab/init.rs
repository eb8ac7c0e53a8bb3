//! Initialisers: `param a_log[hs] ~ log(uniform(1, 16))`.

use super::axis_fns::{Builtin, builtin};
use super::scope::Scope;
use super::{Elaborator, Res};
use crate::diagnostics::{Diagnostic, Span, codes};
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, UnaryOp};
use weft_ir::graph::{Init, MapFn, Scalar};

impl<'p> Elaborator<'p> {
    /// A distribution: `uniform(low, high)`, `normal(mean, deviation)`, a constant, or an elementwise function of distributions.
    pub(super) fn init(&mut self, s: &mut Scope<'p>, e: &'p Expr) -> Res<Init> {
        match &e.kind {
            ExprKind::Unary { op: UnaryOp::Neg, operand } => Ok(Init::Map(MapFn::Neg, vec![self.init(s, operand)?])),
            ExprKind::Binary { op, lhs, rhs } => {
                let f = match op {
                    BinaryOp::Add => MapFn::Add,
                    BinaryOp::Sub => MapFn::Sub,
                    BinaryOp::Mul => MapFn::Mul,
                    BinaryOp::Div => MapFn::Div,
                    BinaryOp::Pow => MapFn::Pow,
                    _ => return self.no_init(e.span),
                };
                let (a, b) = (self.init(s, lhs)?, self.init(s, rhs)?);
                Ok(fold(f, vec![a, b]))
            }
            ExprKind::Call { callee, axes, args } if axes.is_empty() && args.iter().all(|a| a.guard.is_none()) => {
                let name = callee.as_str();
                if let "uniform" | "normal" = name {
                    let [a, b] = args.as_slice() else {
                        let d =
                            Diagnostic::error(codes::E0106, format!("`{name}` takes 2 arguments, not {}", args.len()));
                        return self.failed(d.at(e.span, "this call"));
                    };
                    let (x, y) = (self.constant(s, &a.value)?, self.constant(s, &b.value)?);
                    if (name == "uniform" && x > y) || (name == "normal" && y < 0.0) {
                        let what = if name == "uniform" {
                            "the lower end is above the upper one"
                        } else {
                            "the deviation is negative"
                        };
                        return self.failed(
                            Diagnostic::error(codes::E0309, format!("`{name}({x}, {y})` is no distribution"))
                                .at(e.span, what),
                        );
                    }
                    return Ok(if name == "uniform" { Init::Uniform(x, y) } else { Init::Normal(x, y) });
                }
                let f = match builtin(name) {
                    Some(Builtin::Real(f) | Builtin::Arith(f)) => f,
                    Some(Builtin::Pow) => MapFn::Pow,
                    _ => return self.no_init(e.span),
                };
                let wanted = f.arity().max(1);
                if args.len() < wanted || (f.arity() > 0 && args.len() > wanted) {
                    let d = Diagnostic::error(
                        codes::E0106,
                        format!("`{name}` takes {wanted} arguments, not {}", args.len()),
                    );
                    return self.failed(d.at(e.span, "this call"));
                }
                let args = args.iter().map(|a| self.init(s, &a.value)).collect::<Res<Vec<_>>>()?;
                Ok(fold(f, args))
            }
            ExprKind::Int(_) | ExprKind::Float { .. } | ExprKind::Ref(_) => Ok(Init::Const(self.constant(s, e)?)),
            _ => self.no_init(e.span),
        }
    }

    fn no_init<T>(&mut self, span: Span) -> Res<T> {
        self.failed(Diagnostic::error(codes::E0309, "this is no initialiser").at(span, "not a distribution").expected(
            ["`uniform(low, high)`", "`normal(mean, deviation)`", "a constant", "an elementwise function of these"],
        ))
    }

    /// The value of a constant expression.
    fn constant(&mut self, s: &mut Scope<'p>, e: &'p Expr) -> Res<f64> {
        let x = self.expr(s, e)?;
        let x = self.number(x, e.span)?;
        match self.graph.constant(x) {
            Some(c @ (Scalar::Int(_) | Scalar::Float(_))) => Ok(c.as_f64()),
            _ => self.failed(
                Diagnostic::error(codes::E0213, "a constant is needed here")
                    .at(e.span, "depends on more than sizes and constants"),
            ),
        }
    }
}

fn fold(f: MapFn, args: Vec<Init>) -> Init {
    let values: Option<Vec<f64>> = args.iter().map(|a| if let Init::Const(c) = a { Some(*c) } else { None }).collect();
    match values.and_then(|v| f.eval_float(&v)).filter(|x| x.is_finite()) {
        Some(x) => Init::Const(x),
        None => Init::Map(f, args),
    }
}
