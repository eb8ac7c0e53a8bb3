//! Random syntax trees, for tests that print them.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;
use weft::diagnostics::{SourceId, Span};
use weft::syntax::ast::*;

const NOWHERE: Span = Span { source: SourceId::STD, start: 0, end: 0 };

/// Ordinary names, and words that are keywords elsewhere.
const NAMES: &[&str] = &[
    "x", "t", "j", "e", "kv", "a_log", "wq", "B", "_", "x1", "size", "const", "axis", "index", "in", "param", "out",
    "use", "group", "time", "f32", "sum", "softmax",
];
const FLOATS: &[&str] = &["0.0", "1e-5", "1.5", "0.25", "10e3", "1E+2", "2.50"];

fn name() -> impl Strategy<Value = Name> + Clone {
    select(NAMES).prop_map(|text| Name { text: Arc::from(text), span: NOWHERE })
}

fn names() -> impl Strategy<Value = Vec<Name>> + Clone {
    vec(name(), 1..4)
}

/// Axes that may be absent.
fn axes() -> impl Strategy<Value = Vec<Name>> {
    vec(name(), 0..4)
}

fn path() -> impl Strategy<Value = Path> {
    vec(name(), 1..3).prop_map(|segments| Path { segments, span: NOWHERE })
}

fn at(kind: ExprKind) -> Expr {
    Expr { kind, span: NOWHERE, parens: false }
}

/// Every kind of expression.
pub(crate) fn expr() -> impl Strategy<Value = Expr> + Clone {
    let leaf = prop_oneof![
        (0..=i64::MAX).prop_map(ExprKind::Int),
        (0..100i64).prop_map(ExprKind::Int),
        select(FLOATS).prop_map(|text| ExprKind::Float { value: text.parse().unwrap(), text: Arc::from(text) }),
        name().prop_map(ExprKind::Extent),
        path().prop_map(ExprKind::Ref),
    ]
    .prop_map(at);
    leaf.prop_recursive(5, 40, 4, |inner| {
        let one = inner.clone().prop_map(Box::new).boxed();
        let arg = (inner.clone(), weighted(0.3, inner.clone())).prop_map(|(value, guard)| Arg { value, guard, span: NOWHERE });
        prop_oneof![
            1 => (one.clone(), one.clone(), one.clone()).prop_map(|(cond, yes, no)| ExprKind::If { cond, yes, no }),
            4 => (select(BinaryOp::ALL), one.clone(), one.clone())
                .prop_map(|(op, lhs, rhs)| ExprKind::Binary { op, lhs, rhs }),
            1 => (one.clone(), vec((select(CompareOp::ALL), inner.clone()), 1..3))
                .prop_map(|(first, rest)| ExprKind::Compare { first, rest }),
            2 => (select(UnaryOp::ALL), one).prop_map(|(op, operand)| ExprKind::Unary { op, operand }),
            2 => (path(), vec(inner, 1..4)).prop_map(|(base, subscripts)| ExprKind::Subscript { base, subscripts }),
            2 => (select(Reducer::ALL), names(), arg.clone()).prop_map(|(node, binders, arg)| ExprKind::Reduce {
                op: Spanned { node, span: NOWHERE },
                binders,
                arg: Box::new(arg),
            }),
            2 => (name(), axes(), vec(arg, 0..4)).prop_map(|(callee, axes, args)| ExprKind::Call { callee, axes, args }),
        ]
        .prop_map(at)
    })
}

fn dtype() -> impl Strategy<Value = Option<Spanned<Dtype>>> {
    weighted(0.3, select(Dtype::ALL).prop_map(|node| Spanned { node, span: NOWHERE }))
}

fn tensor() -> impl Strategy<Value = TensorDecl> {
    (name(), axes(), dtype(), weighted(0.3, expr())).prop_map(|(name, axes, dtype, init)| TensorDecl {
        name,
        axes,
        dtype,
        init,
        span: NOWHERE,
    })
}

fn group_use() -> impl Strategy<Value = GroupUse> {
    (name(), name(), names()).prop_map(|(name, group, axes)| GroupUse { name, group, axes, span: NOWHERE })
}

fn operands() -> impl Strategy<Value = Vec<OperandDecl>> {
    vec(prop_oneof![3 => tensor().prop_map(OperandDecl::Tensor), 1 => group_use().prop_map(OperandDecl::Group)], 1..6)
}

fn values() -> impl Strategy<Value = Vec<ValueDecl>> {
    vec((name(), expr()).prop_map(|(name, value)| ValueDecl { name, value, span: NOWHERE }), 1..6)
}

fn decl() -> impl Strategy<Value = Decl> {
    let role = of(Just(Spanned { node: AxisRole::Time, span: NOWHERE }));
    let axis =
        (name(), role, of(expr())).prop_map(|(name, role, extent)| AxisDecl { name, role, extent, span: NOWHERE });
    prop_oneof![
        values().prop_map(DeclKind::Size),
        values().prop_map(DeclKind::Const),
        vec(expr(), 1..4).prop_map(DeclKind::Require),
        vec(axis, 1..4).prop_map(DeclKind::Axis),
        operands().prop_map(DeclKind::In),
        operands().prop_map(DeclKind::Param),
    ]
    .prop_map(|kind| Decl { kind, span: NOWHERE })
}

fn binding(axes: impl Strategy<Value = Vec<Name>>) -> impl Strategy<Value = Binding> {
    (name(), axes, dtype(), expr()).prop_map(|(name, axes, dtype, value)| Binding { name, axes, dtype, value })
}

fn index() -> impl Strategy<Value = StmtKind> {
    vec((names(), expr()).prop_map(|(names, domain)| IndexDecl { names, domain, span: NOWHERE }), 1..4)
        .prop_map(StmtKind::Index)
}

fn fn_stmt() -> impl Strategy<Value = Stmt> {
    prop_oneof![
        binding(axes()).prop_map(StmtKind::Let),
        binding(names()).prop_map(StmtKind::Rec),
        index(),
        (name(), vec(expr(), 1..3), expr()).prop_map(|(name, subscripts, value)| StmtKind::Piece(Piece {
            name,
            subscripts,
            value
        })),
        expr().prop_map(StmtKind::Return),
    ]
    .prop_map(|kind| Stmt { kind, span: NOWHERE })
}

fn layer_item() -> impl Strategy<Value = LayerItem> {
    let stmt = prop_oneof![
        binding(axes()).prop_map(StmtKind::Let),
        binding(names()).prop_map(StmtKind::Rec),
        binding(axes()).prop_map(StmtKind::Out),
        index(),
    ];
    prop_oneof![decl().prop_map(LayerItem::Decl), stmt.prop_map(|kind| LayerItem::Stmt(Stmt { kind, span: NOWHERE })),]
}

fn function() -> impl Strategy<Value = Fn> {
    let guard = (name(), names()).prop_map(|(name, axes)| GuardParam { name, axes, span: NOWHERE });
    let param = (name(), axes(), of(guard), dtype(), weighted(0.2, expr()))
        .prop_map(|(name, axes, guard, dtype, default)| FnTensor { name, axes, guard, dtype, default, span: NOWHERE });
    let param = prop_oneof![3 => param.prop_map(FnParam::Tensor), 1 => group_use().prop_map(FnParam::Group)];
    let result = (name(), names()).prop_map(|(name, axes)| FnResult { name, axes, span: NOWHERE });
    let body = prop_oneof![expr().prop_map(FnBody::Expr), vec(fn_stmt(), 0..5).prop_map(FnBody::Block)];
    (name(), axes(), vec(param, 0..4), of(result), body).prop_map(|(name, axes, params, result, body)| Fn {
        name,
        axes,
        params,
        result,
        body,
        body_span: NOWHERE,
        span: NOWHERE,
    })
}

fn item() -> impl Strategy<Value = Item> {
    let use_item = (path(), of(names())).prop_map(|(path, names)| Item::Use(Use { path, names, span: NOWHERE }));
    let group = (name(), names(), vec(tensor(), 0..6))
        .prop_map(|(name, axes, fields)| Item::Group(Group { name, axes, fields, body_span: NOWHERE, span: NOWHERE }));
    let layer = (name(), vec(layer_item(), 0..8))
        .prop_map(|(name, items)| Item::Layer(Layer { name, items, body_span: NOWHERE, span: NOWHERE }));
    prop_oneof![1 => use_item, 1 => group, 3 => function().prop_map(Item::Fn), 3 => layer]
}

/// Every kind of item; no comments.
pub(crate) fn file() -> impl Strategy<Value = File> {
    vec(item(), 0..4).prop_map(|items| File { source: SourceId::STD, items, comments: Vec::new() })
}
