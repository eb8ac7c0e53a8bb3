//! Walks over the syntax tree of a layer.

use weft::syntax::ast::*;

/// Calls `f` on every expression below and at `e`, operands first.
pub(super) fn expr(e: &mut Expr, f: &mut dyn FnMut(&mut Expr)) {
    let arg = |a: &mut Arg, f: &mut dyn FnMut(&mut Expr)| {
        expr(&mut a.value, f);
        if let Some(g) = &mut a.guard {
            expr(g, f);
        }
    };
    match &mut e.kind {
        ExprKind::If { cond, yes, no } => [cond, yes, no].into_iter().for_each(|x| expr(x, f)),
        ExprKind::Binary { lhs, rhs, .. } => [lhs, rhs].into_iter().for_each(|x| expr(x, f)),
        ExprKind::Compare { first, rest } => {
            expr(first, f);
            rest.iter_mut().for_each(|(_, x)| expr(x, f));
        }
        ExprKind::Unary { operand, .. } => expr(operand, f),
        ExprKind::Subscript { subscripts, .. } => subscripts.iter_mut().for_each(|x| expr(x, f)),
        ExprKind::Reduce { arg: a, .. } => arg(a, f),
        ExprKind::Call { args, .. } => args.iter_mut().for_each(|a| arg(a, f)),
        ExprKind::Int(_) | ExprKind::Float { .. } | ExprKind::Extent(_) | ExprKind::Ref(_) => {}
    }
    f(e);
}

/// The layer of a file.
pub(super) fn layer(file: &mut File) -> &mut Layer {
    let found = file.items.iter_mut().find_map(|i| if let Item::Layer(l) = i { Some(l) } else { None });
    found.unwrap_or_else(|| panic!("no layer"))
}

/// Calls `f` on every outermost expression of an item.
pub(super) fn roots(item: &mut LayerItem, f: &mut dyn FnMut(&mut Expr)) {
    match item {
        LayerItem::Decl(d) => match &mut d.kind {
            DeclKind::Size(list) | DeclKind::Const(list) => list.iter_mut().for_each(|v| f(&mut v.value)),
            DeclKind::Require(list) => list.iter_mut().for_each(f),
            DeclKind::Axis(list) => list.iter_mut().filter_map(|a| a.extent.as_mut()).for_each(f),
            DeclKind::In(list) | DeclKind::Param(list) => list.iter_mut().for_each(|o| {
                if let OperandDecl::Tensor(TensorDecl { init: Some(e), .. }) = o {
                    f(e);
                }
            }),
        },
        LayerItem::Stmt(s) => match &mut s.kind {
            StmtKind::Let(b) | StmtKind::Rec(b) | StmtKind::Out(b) => f(&mut b.value),
            StmtKind::Index(list) => list.iter_mut().for_each(|d| f(&mut d.domain)),
            StmtKind::Piece(p) => {
                p.subscripts.iter_mut().for_each(&mut *f);
                f(&mut p.value);
            }
            StmtKind::Return(e) => f(e),
        },
    }
}

/// Calls `declared` on every name that an item declares, and `used` on every one that it uses, in a layer's own namespace.
/// (Names of functions, of groups and of their fields are others.)
pub(super) fn names(item: &mut LayerItem, declared: &mut dyn FnMut(&mut Name), used: &mut dyn FnMut(&mut Name)) {
    match item {
        LayerItem::Decl(d) => match &mut d.kind {
            DeclKind::Size(list) | DeclKind::Const(list) => list.iter_mut().for_each(|v| declared(&mut v.name)),
            DeclKind::Require(_) => {}
            DeclKind::Axis(list) => list.iter_mut().for_each(|a| declared(&mut a.name)),
            DeclKind::In(list) | DeclKind::Param(list) => list.iter_mut().for_each(|o| match o {
                OperandDecl::Tensor(t) => {
                    declared(&mut t.name);
                    t.axes.iter_mut().for_each(&mut *used);
                }
                OperandDecl::Group(g) => {
                    declared(&mut g.name);
                    g.axes.iter_mut().for_each(&mut *used);
                }
            }),
        },
        LayerItem::Stmt(s) => match &mut s.kind {
            StmtKind::Let(b) | StmtKind::Rec(b) | StmtKind::Out(b) => {
                declared(&mut b.name);
                b.axes.iter_mut().for_each(&mut *used);
            }
            StmtKind::Index(list) => list.iter_mut().for_each(|d| d.names.iter_mut().for_each(&mut *declared)),
            StmtKind::Piece(_) | StmtKind::Return(_) => {}
        },
    }
    roots(item, &mut |root| {
        expr(root, &mut |e| match &mut e.kind {
            ExprKind::Extent(n) => used(n),
            ExprKind::Ref(p) => used(&mut p.segments[0]),
            ExprKind::Subscript { base, .. } => used(&mut base.segments[0]),
            ExprKind::Reduce { binders, .. } => binders.iter_mut().for_each(&mut *used),
            ExprKind::Call { axes, .. } => axes.iter_mut().for_each(&mut *used),
            _ => {}
        });
    });
}
