//! The tree as an S-expression, without places, comments and redundant parentheses: two texts have the same meaning to the rest of the
//! compiler if and only if their dumps are equal.

use std::fmt::Write;

use super::ast::{
    Arg, Binding, Decl, DeclKind, Expr, ExprKind, File, FnBody, FnParam, GroupUse, IndexDecl, Item, LayerItem, Name,
    OperandDecl, Stmt, StmtKind, TensorDecl, ValueDecl,
};

/// The tree of `file`, one declaration or statement per line.
pub fn dump(file: &File) -> String {
    let mut out = String::new();
    for item in &file.items {
        match item {
            Item::Use(x) => {
                let names = x.names.as_ref().map(|names| format!(" {}", list(names))).unwrap_or_default();
                line(&mut out, 0, &format!("(use {}{names})", x.path));
            }
            Item::Group(x) => {
                line(&mut out, 0, &format!("(group {} {}", x.name, list(&x.axes)));
                for field in &x.fields {
                    line(&mut out, 1, &tensor(field));
                }
                line(&mut out, 0, ")");
            }
            Item::Fn(x) => {
                let params: Vec<_> = x.params.iter().map(param).collect();
                let result = x.result.as_ref().map(|r| format!(" (-> {} {})", r.name, list(&r.axes)));
                let head = format!("(fn {} {} ({})", x.name, list(&x.axes), params.join(" "));
                line(&mut out, 0, &(head + &result.unwrap_or_default()));
                match &x.body {
                    FnBody::Expr(value) => line(&mut out, 1, &format!("(= {})", expr(value))),
                    FnBody::Block(stmts) => stmts.iter().for_each(|s| line(&mut out, 1, &stmt(s))),
                }
                line(&mut out, 0, ")");
            }
            Item::Layer(x) => {
                line(&mut out, 0, &format!("(layer {}", x.name));
                for item in &x.items {
                    match item {
                        LayerItem::Decl(x) => line(&mut out, 1, &decl(x)),
                        LayerItem::Stmt(x) => line(&mut out, 1, &stmt(x)),
                    }
                }
                line(&mut out, 0, ")");
            }
        }
    }
    out
}

fn line(out: &mut String, depth: usize, text: &str) {
    let _ = writeln!(out, "{:1$}{text}", "", depth * 2);
}

fn list(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(Name::as_str).collect();
    format!("[{}]", names.join(" "))
}

fn param(param: &FnParam) -> String {
    match param {
        FnParam::Group(x) => group_use(x),
        FnParam::Tensor(x) => {
            let mut out = format!("({} {}", x.name, list(&x.axes));
            if let Some(guard) = &x.guard {
                let _ = write!(out, " (where {} {})", guard.name, list(&guard.axes));
            }
            if let Some(dtype) = x.dtype {
                let _ = write!(out, " :{}", dtype.node);
            }
            if let Some(default) = &x.default {
                let _ = write!(out, " (default {})", expr(default));
            }
            out + ")"
        }
    }
}

fn group_use(x: &GroupUse) -> String {
    format!("({} (group {} {}))", x.name, x.group, list(&x.axes))
}

fn tensor(x: &TensorDecl) -> String {
    let mut out = format!("({} {}", x.name, list(&x.axes));
    if let Some(dtype) = x.dtype {
        let _ = write!(out, " :{}", dtype.node);
    }
    if let Some(init) = &x.init {
        let _ = write!(out, " (~ {})", expr(init));
    }
    out + ")"
}

fn decl(decl: &Decl) -> String {
    let values = |xs: &[ValueDecl]| join(xs, |x| format!("({} {})", x.name, expr(&x.value)));
    let operands = |xs: &[OperandDecl]| {
        join(xs, |x| match x {
            OperandDecl::Tensor(x) => tensor(x),
            OperandDecl::Group(x) => group_use(x),
        })
    };
    match &decl.kind {
        DeclKind::Size(xs) => format!("(size{})", values(xs)),
        DeclKind::Const(xs) => format!("(const{})", values(xs)),
        DeclKind::Require(xs) => format!("(require{})", join(xs, expr)),
        DeclKind::Axis(xs) => {
            let one = |x: &super::ast::AxisDecl| {
                let role = x.role.map(|role| format!(" :{}", role.node)).unwrap_or_default();
                let extent = x.extent.as_ref().map(|e| format!(" {}", expr(e))).unwrap_or_default();
                format!("({}{role}{extent})", x.name)
            };
            format!("(axis{})", join(xs, one))
        }
        DeclKind::In(xs) => format!("(in{})", operands(xs)),
        DeclKind::Param(xs) => format!("(param{})", operands(xs)),
    }
}

fn stmt(stmt: &Stmt) -> String {
    let binding = |word: &str, x: &Binding| {
        let dtype = x.dtype.map(|dtype| format!(" :{}", dtype.node)).unwrap_or_default();
        format!("({word} {} {}{dtype} {})", x.name, list(&x.axes), expr(&x.value))
    };
    match &stmt.kind {
        StmtKind::Let(x) => binding("let", x),
        StmtKind::Rec(x) => binding("rec", x),
        StmtKind::Out(x) => binding("out", x),
        StmtKind::Piece(x) => format!("(piece {} ({}) {})", x.name, join(&x.subscripts, expr).trim(), expr(&x.value)),
        StmtKind::Index(xs) => {
            format!("(index{})", join(xs, |x: &IndexDecl| format!("({} {})", list(&x.names), expr(&x.domain))))
        }
        StmtKind::Return(x) => format!("(return {})", expr(x)),
    }
}

/// Each item with a blank before it.
fn join<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    items.iter().fold(String::new(), |out, item| out + " " + &one(item))
}

fn arg(x: &Arg) -> String {
    match &x.guard {
        Some(guard) => format!("(where {} {})", expr(&x.value), expr(guard)),
        None => expr(&x.value),
    }
}

/// At most [`MAX_DEPTH`](super::MAX_DEPTH) deep.
fn expr(x: &Expr) -> String {
    match &x.kind {
        ExprKind::If { cond, yes, no } => format!("(if {} {} {})", expr(cond), expr(yes), expr(no)),
        ExprKind::Binary { op, lhs, rhs } => format!("({op} {} {})", expr(lhs), expr(rhs)),
        ExprKind::Compare { first, rest } => {
            let rest = rest.iter().fold(String::new(), |out, (op, x)| format!("{out} {op} {}", expr(x)));
            format!("(chain {}{rest})", expr(first))
        }
        ExprKind::Unary { op, operand } => format!("({op} {})", expr(operand)),
        ExprKind::Int(value) => value.to_string(),
        ExprKind::Float { text, .. } => text.to_string(),
        ExprKind::Extent(name) => format!("|{name}|"),
        ExprKind::Ref(path) => path.to_string(),
        ExprKind::Subscript { base, subscripts } => format!("(at {base}{})", join(subscripts, expr)),
        ExprKind::Reduce { op, binders, arg: x } => format!("(reduce {} {} {})", op.node, list(binders), arg(x)),
        ExprKind::Call { callee, axes, args } => format!("(call {callee} {}{})", list(axes), join(args, arg)),
    }
}
