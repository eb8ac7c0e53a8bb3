//! Expressions as documents.

use super::doc::Doc;
use crate::syntax::ast::{Arg, BinaryOp, Expr, ExprKind, Name, UnaryOp};

/// How tightly an expression binds; the grammar's productions, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Expr,
    Or,
    And,
    Not,
    Compare,
    Sum,
    Product,
    Unary,
    Postfix,
}

fn level(expr: &Expr) -> Level {
    if expr.parens {
        return Level::Postfix;
    }
    match &expr.kind {
        ExprKind::If { .. } => Level::Expr,
        ExprKind::Binary { op, .. } => result(*op),
        ExprKind::Compare { .. } => Level::Compare,
        ExprKind::Unary { op: UnaryOp::Neg, .. } => Level::Unary,
        ExprKind::Unary { op: UnaryOp::Not, .. } => Level::Not,
        _ => Level::Postfix,
    }
}

/// The production of an operator.
fn result(op: BinaryOp) -> Level {
    match op {
        BinaryOp::Or => Level::Or,
        BinaryOp::And => Level::And,
        BinaryOp::Add | BinaryOp::Sub => Level::Sum,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem => Level::Product,
        BinaryOp::Pow => Level::Unary,
    }
}

/// What an operator's left and right operands must at least be to stand without parentheses.
fn operands(op: BinaryOp) -> (Level, Level) {
    match op {
        BinaryOp::Or => (Level::Or, Level::And),
        BinaryOp::And => (Level::And, Level::Not),
        BinaryOp::Add | BinaryOp::Sub => (Level::Sum, Level::Product),
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem => (Level::Product, Level::Unary),
        BinaryOp::Pow => (Level::Postfix, Level::Unary),
    }
}

/// The expression as a definition's right side.
pub(super) fn expr(expr: &Expr) -> Doc {
    operand(expr, Level::Expr, false)
}

/// The expression, in parentheses if it has them or needs them. `tight` is inside square brackets.
fn operand(expr: &Expr, least: Level, tight: bool) -> Doc {
    if expr.parens || level(expr) < least {
        return Doc::group(vec![Doc::text("("), Doc::nest(2, vec![bare(expr, tight)]), Doc::text(")")]);
    }
    bare(expr, tight)
}

fn bare(expr: &Expr, tight: bool) -> Doc {
    match &expr.kind {
        ExprKind::If { cond, yes, no } => Doc::group(vec![
            Doc::text("if "),
            operand(cond, Level::Expr, tight),
            Doc::Line,
            Doc::text("then "),
            operand(yes, Level::Expr, tight),
            Doc::Line,
            Doc::text("else "),
            operand(no, Level::Expr, tight),
        ]),
        ExprKind::Binary { op: BinaryOp::Pow, lhs, rhs } => {
            Doc::Concat(vec![operand(lhs, Level::Postfix, tight), Doc::text("^"), operand(rhs, Level::Unary, tight)])
        }
        ExprKind::Binary { op, .. } => chain(expr, result(*op), tight),
        ExprKind::Compare { first, rest } => {
            let mut parts = vec![operand(first, Level::Sum, tight)];
            for (op, rhs) in rest {
                parts.extend([Doc::Line, Doc::text(format!("{op} ")), operand(rhs, Level::Sum, tight)]);
            }
            Doc::group(parts)
        }
        ExprKind::Unary { op: UnaryOp::Neg, operand: x } => {
            Doc::Concat(vec![Doc::text("-"), operand(x, Level::Unary, tight)])
        }
        ExprKind::Unary { op: UnaryOp::Not, operand: x } => {
            Doc::Concat(vec![Doc::text("not "), operand(x, Level::Not, tight)])
        }
        ExprKind::Int(value) => Doc::text(value.to_string()),
        ExprKind::Float { text, .. } => Doc::text(&**text),
        ExprKind::Extent(name) => Doc::text(format!("|{name}|")),
        ExprKind::Ref(path) => Doc::text(path.to_string()),
        ExprKind::Subscript { base, subscripts: list } => {
            Doc::Concat(vec![Doc::text(base.to_string()), subscripts(list)])
        }
        ExprKind::Reduce { op, binders, arg } => {
            let binders: Vec<_> = binders.iter().map(Name::as_str).collect();
            Doc::group(vec![
                Doc::text(format!("{}({}:", op.node, binders.join(", "))),
                Doc::nest(2, vec![Doc::Line, argument(arg, tight)]),
                Doc::text(")"),
            ])
        }
        ExprKind::Call { callee, axes, args } => {
            let mut parts = Vec::new();
            for arg in args {
                if !parts.is_empty() {
                    parts.extend([Doc::text(","), Doc::Line]);
                }
                parts.push(argument(arg, tight));
            }
            Doc::group(vec![
                Doc::text(format!("{callee}{}(", super::list::axes(axes))),
                Doc::nest(2, parts),
                Doc::text(")"),
            ])
        }
    }
}

/// A chain of operators of one level, `a + b - c`, breaks at all of them or none.
fn chain(expr: &Expr, of: Level, tight: bool) -> Doc {
    let mut operators = Vec::new();
    let mut first = expr;
    while let ExprKind::Binary { op, lhs, rhs } = &first.kind
        && result(*op) == of
        && (operators.is_empty() || !first.parens)
    {
        operators.push((*op, rhs));
        first = lhs;
    }
    let mut parts = vec![operand(first, of, tight)];
    for (op, rhs) in operators.into_iter().rev() {
        let rhs = operand(rhs, operands(op).1, tight);
        match tight && of == Level::Product {
            true => parts.extend([Doc::text(op.as_str()), rhs]),
            false => parts.extend([Doc::Line, Doc::text(format!("{op} ")), rhs]),
        }
    }
    Doc::group(parts)
}

fn argument(arg: &Arg, tight: bool) -> Doc {
    let value = operand(&arg.value, Level::Expr, tight);
    match &arg.guard {
        None => value,
        Some(guard) => Doc::group(vec![value, Doc::Line, Doc::text("where "), operand(guard, Level::Expr, tight)]),
    }
}

/// `[..]` after a value.
pub(super) fn subscripts(list: &[Expr]) -> Doc {
    let plain = |x: &Expr| !x.parens && matches!(&x.kind, ExprKind::Ref(_) | ExprKind::Int(_));
    let comma = if list.iter().all(plain) { "," } else { ", " };
    let mut parts = vec![Doc::text("[")];
    for (i, x) in list.iter().enumerate() {
        if i > 0 {
            parts.push(Doc::text(comma));
        }
        parts.push(operand(x, Level::Expr, true));
    }
    parts.push(Doc::text("]"));
    Doc::Concat(parts)
}
