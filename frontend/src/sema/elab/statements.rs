//! Statements that layers and functions share, and function bodies.

use super::scope::{Axes, Meaning, Scope, Tensor};
use super::{Elaborator, Failed, MAX_SIZE, Res};
use crate::diagnostics::{Diagnostic, Span, codes};
use crate::syntax::ast::{Binding, Expr, ExprKind, Fn, IndexDecl, Name, Piece, Stmt, StmtKind};
use weft_ir::graph::{AxisId, DomainId, Extent, NodeId, Role, Scalar};

impl<'p> Elaborator<'p> {
    /// The body of a function in braces.
    pub(super) fn block(&mut self, s: &mut Scope<'p>, f: &'p Fn, stmts: &'p [Stmt]) -> Res<NodeId> {
        let mut result: Option<(NodeId, Span)> = None;
        let mut pieces: Vec<(&'p Piece, Span)> = Vec::new();
        let mut failed = false;
        for stmt in stmts {
            let done = match &stmt.kind {
                StmtKind::Return(e) => match result {
                    Some((_, first)) => self.failed(
                        Diagnostic::error(codes::E0114, format!("function `{}` returns twice", f.name))
                            .at(stmt.span, "second `return`")
                            .also(first, "first `return`"),
                    ),
                    None => self.expr(s, e).map(|x| result = Some((x, stmt.span))),
                },
                StmtKind::Piece(p) => {
                    pieces.push((p, stmt.span));
                    Ok(())
                }
                StmtKind::Out(b) => self.failed(
                    Diagnostic::error(codes::E0114, "`out` belongs to a layer").at(b.name.span, "this is a function"),
                ),
                _ => self.statement(s, stmt),
            };
            failed |= done.is_err();
        }
        if failed {
            return Err(Failed);
        }
        match (result, pieces.as_slice(), &f.result) {
            (Some((x, _)), [], _) => Ok(x),
            (Some((_, at)), [_, ..], _) => self.failed(
                Diagnostic::error(codes::E0114, format!("function `{}` has both pieces and a `return`", f.name))
                    .at(at, "either return a value or define the result piece by piece"),
            ),
            (None, [_, ..], Some(r)) => self.pieces(s, r, &pieces),
            (None, [(p, at), ..], None) => self.failed(
                Diagnostic::error(codes::E0114, format!("function `{}` has no named result `{}`", f.name, p.name))
                    .at(*at, "a piece of what?")
                    .hint(format!("name the result in the head: `fn {}(..) -> {}[d]`", f.name, p.name)),
            ),
            (None, [], _) => self.failed(
                Diagnostic::error(codes::E0114, format!("function `{}` has no value", f.name))
                    .at(f.name.span, "its body ends without one")
                    .hint("end the body with `return ..`"),
            ),
        }
    }

    /// `let`, `rec` and `index`.
    pub(super) fn statement(&mut self, s: &mut Scope<'p>, stmt: &'p Stmt) -> Res<()> {
        match &stmt.kind {
            StmtKind::Let(b) => self.define(s, b, |e, s| e.let_value(s, b)).map(|_| ()),
            StmtKind::Rec(b) => self.define(s, b, |e, s| e.rec_value(s, b, stmt.span)).map(|_| ()),
            StmtKind::Index(decls) => {
                let mut result = Ok(());
                for (k, d) in decls.iter().enumerate() {
                    if self.index_decl(s, d, k).is_err() {
                        for name in &d.names {
                            if s.peek(&name.text).is_none() {
                                s.set(name, Meaning::Broken);
                            }
                        }
                        result = Err(Failed);
                    }
                }
                result
            }
            StmtKind::Out(_) | StmtKind::Piece(_) | StmtKind::Return(_) => self.failed(
                Diagnostic::error(codes::E0114, "this statement does not belong here").at(stmt.span, "not in a layer"),
            ),
        }
    }

    /// Defines a name as the value that `value` gives; a broken definition still declares it.
    pub(super) fn define(
        &mut self,
        s: &mut Scope<'p>,
        b: &'p Binding,
        value: impl FnOnce(&mut Self, &mut Scope<'p>) -> Res<NodeId>,
    ) -> Res<Tensor> {
        let positions = self.index_names(s, &b.axes);
        let node = match &positions {
            Ok(_) => value(self, s),
            Err(Failed) => Err(Failed),
        };
        let tensor = positions.and_then(|positions| Ok(Tensor { node: node?, positions }));
        let checked = tensor.and_then(|t| self.declared_axes(s, b, &t).map(|()| t));
        let what = match s.function {
            _ if b.name.as_str().starts_with('_') => None,
            _ => Some("value"),
        };
        match checked {
            Ok(t) => {
                self.declare(s, &b.name, Meaning::Tensor(t.clone()), what)?;
                if !matches!(self.graph.op(t.node), weft_ir::graph::Op::Const(_) | weft_ir::graph::Op::Index(_)) {
                    self.graph.set_label(t.node, b.name.as_str());
                }
                Ok(t)
            }
            Err(Failed) => {
                if s.peek(&b.name.text).is_none() {
                    s.set(&b.name, Meaning::Broken);
                }
                Err(Failed)
            }
        }
    }

    fn let_value(&mut self, s: &mut Scope<'p>, b: &'p Binding) -> Res<NodeId> {
        let own = s.own.clone();
        let x = self.rebinding(&own, |e| e.expr(s, &b.value))?;
        self.annotated(x, b.dtype.as_ref(), b.value.span)
    }

    /// In a layer, a value with indices declares all on which it depends. In a function, other axes ride along.
    fn declared_axes(&mut self, s: &Scope<'p>, b: &Binding, t: &Tensor) -> Res<()> {
        let declared: Vec<AxisId> = t.positions.iter().flatten().copied().collect();
        let may_ride = |a: AxisId| match s.function {
            Some(_) => !s.own.contains(&a),
            None => declared.iter().any(|&d| self.graph.ragged_over(self.graph.axis(d).domain) == Some(a)),
        };
        if b.axes.is_empty() {
            return Ok(());
        }
        let extra: Vec<AxisId> =
            self.graph.free(t.node).iter().filter(|&a| !declared.contains(&a) && !may_ride(a)).collect();
        self.undeclared(&b.name, &b.axes, &extra, b.value.span)
    }

    /// Reports indices on which a value depends without declaring them.
    pub(super) fn undeclared(&mut self, name: &Name, axes: &[Name], extra: &[AxisId], span: Span) -> Res<()> {
        if extra.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = extra.iter().map(|&a| self.graph.axis(a).name.to_string()).collect();
        let all: Vec<&str> = axes.iter().map(Name::as_str).chain(names.iter().map(String::as_str)).collect();
        let listed = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        let raggedness = extra.iter().find_map(|&a| {
            let time =
                (0..self.graph.domains().len() as u32).map(DomainId).find(|&d| self.graph.ragged_over(d) == Some(a))?;
            Some(format!(
                "the extent of `{}` differs by `{}`, so what ranges over all of it depends on `{}`",
                self.graph.domain(time).name,
                self.graph.axis(a).name,
                self.graph.axis(a).name
            ))
        });
        let mut d = Diagnostic::error(
            codes::E0205,
            format!(
                "`{name}` depends on {} {listed}, which it does not declare",
                if names.len() == 1 { "index" } else { "indices" }
            ),
        )
        .at(span, format!("depends on {listed}"))
        .also(name.span, "declared here")
        .hint(format!("declare `{name}[{}]`, or reduce over {listed}", all.join(", ")));
        if let Some(why) = raggedness {
            d = d.note(why);
        }
        self.failed(d)
    }

    /// `index i, j: domain`
    fn index_decl(&mut self, s: &mut Scope<'p>, d: &'p IndexDecl, position: usize) -> Res<()> {
        let domain = self.index_domain(s, d)?;
        let mut result = Ok(());
        for (k, name) in d.names.iter().enumerate() {
            let axis = match (s.function, self.local_axes.get(&(d.span, position * 1000 + k, domain))) {
                (Some(_), Some(&axis)) => axis,
                _ => {
                    let axis = self.graph.add_axis(name.as_str(), domain);
                    self.local_axes.insert((d.span, position * 1000 + k, domain), axis);
                    axis
                }
            };
            if s.function.is_some() {
                s.own.push(axis);
                s.local.push((axis, name.text.clone()));
            }
            result = result.and(self.declare_index(s, name, axis));
        }
        result
    }

    /// The domain of an index: that of the index it names, or `0 .. expr - 1`.
    fn index_domain(&mut self, s: &mut Scope<'p>, d: &'p IndexDecl) -> Res<DomainId> {
        if let ExprKind::Ref(path) = &d.domain.kind
            && let Some(name) = path.as_name()
            && let Some(Meaning::Index(axes)) = s.get(&name.text)
        {
            let axes: Axes = axes.clone();
            let axis = self.single(name, &axes)?;
            return Ok(self.graph.axis(axis).domain);
        }
        let x = self.expr(s, &d.domain)?;
        let n = self.extent_value(x, &d.domain)?;
        let name = d.names.first().map_or("", Name::as_str);
        let key = (d.span, n);
        if s.function.is_some()
            && let Some(&domain) = self.domains.get(&key)
        {
            return Ok(domain);
        }
        let domain = self.graph.add_domain(name, Extent::Const(n), Role::Plain);
        self.domains.insert(key, domain);
        Ok(domain)
    }

    /// A number of positions: a constant, positive and bounded.
    pub(super) fn extent_value(&mut self, x: NodeId, e: &Expr) -> Res<i64> {
        let x = self.integer(x, e.span, "an extent")?;
        let Some(Scalar::Int(n)) = self.graph.constant(x) else {
            return self.failed(
                Diagnostic::error(codes::E0210, "the extent of an index must be known when the layer is compiled")
                    .at(e.span, "depends on what the inputs give")
                    .hint(
                        "an axis whose extent follows from that of another is declared with `axis NAME = |t| // SIZE`",
                    ),
            );
        };
        if (1..=MAX_SIZE).contains(&n) {
            return Ok(n);
        }
        let what = if n < 1 { "an axis has at least one position" } else { "an axis has at most 2^30 positions" };
        let text = self.text(e.span);
        self.failed(
            Diagnostic::error(codes::E0209, format!("{what}, and this extent is {n}"))
                .at(e.span, format!("`{text}` is {n}"))
                .hint("change the sizes in it, in the layer or with `-D`"),
        )
    }
}
