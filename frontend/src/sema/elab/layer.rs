//! Layers: sizes, constants, facts, axes, inputs, outputs, and the checks at the end.

use super::super::clocks;
use super::super::program::FileIx;
use super::super::{Checked, Definition, Number};
use super::scope::{Meaning, Scope};
use super::types::dtype;
use super::{Elaborator, Res};
use crate::diagnostics::{Diagnostic, codes};
use crate::syntax::ast::{Binding, DeclKind, Layer, LayerItem, Stmt, StmtKind};
use indexmap::IndexMap;
use weft_ir::DType;
use weft_ir::graph::{AxisId, InputKind, NodeId, Output};

/// Sizes and constants, and extents of runtime axes.
type Values = (IndexMap<String, Number>, IndexMap<String, i64>);

impl<'p> Elaborator<'p> {
    /// Elaborates all items of a layer.
    pub(super) fn run_layer(&mut self, file: FileIx, layer: &'p Layer) -> Values {
        let mut s = Scope::new(file, None);
        let mut values = IndexMap::new();
        let mut extents = IndexMap::new();
        for item in &layer.items {
            // Errors are in the list; what failed is declared as broken, and the next item is looked at.
            let _ = match item {
                LayerItem::Decl(d) => match &d.kind {
                    DeclKind::Size(all) => self.each(all, |e, v| e.size(&mut s, v, &mut values)),
                    DeclKind::Const(all) => self.each(all, |e, v| e.constant_decl(&mut s, v, &mut values)),
                    DeclKind::Require(facts) => self.each(facts, |e, f| e.require(&mut s, f)),
                    DeclKind::Axis(all) => self.each(all, |e, a| e.axis(&mut s, a, &mut extents)),
                    DeclKind::In(all) => self.each(all, |e, o| e.operand(&mut s, o, InputKind::In)),
                    DeclKind::Param(all) => self.each(all, |e, o| e.operand(&mut s, o, InputKind::Param)),
                },
                LayerItem::Stmt(stmt) => self.layer_statement(&mut s, stmt),
            };
        }
        self.unknown_defines(&values, &extents, &s);
        if self.graph.outputs.is_empty() && !self.diags.iter().any(Diagnostic::is_error) {
            let _ = self.error(
                codes::E0114,
                layer.name.span,
                format!("layer `{}` has no output", layer.name),
                "add `out y[..] = ..`",
            );
        }
        if !self.diags.iter().any(Diagnostic::is_error) {
            self.warn_unused(&s);
        }
        (values, extents)
    }

    fn each<T>(&mut self, all: &'p [T], mut f: impl FnMut(&mut Self, &'p T) -> Res<()>) -> Res<()> {
        // All are looked at, also after an error.
        let mut result = Ok(());
        for x in all {
            result = f(self, x).and(result);
        }
        result
    }

    /// Checks that hold for the whole layer, and the result.
    pub(super) fn finish(
        mut self,
        values: IndexMap<String, Number>,
        extents: IndexMap<String, i64>,
    ) -> Result<Checked, Vec<Diagnostic>> {
        if !self.diags.iter().any(Diagnostic::is_error) {
            if let Err(e) = self.graph.verify() {
                self.diags.push(Diagnostic::error(codes::E0308, format!("the layer has no meaning: {e}")));
            }
            let live: Vec<bool> =
                self.graph.reachable().into_iter().fold(vec![false; self.graph.len()], |mut live, n| {
                    live[n.index()] = true;
                    live
                });
            self.recurrences.retain(|r| live[r.node.index()]);
        }
        let mut known = Vec::new();
        if !self.diags.iter().any(Diagnostic::is_error) {
            let (info, errors) = clocks::check(&self.graph, &self.definitions, &self.spans);
            self.diags.extend(errors);
            known = info;
        }
        if self.diags.iter().any(Diagnostic::is_error) {
            self.diags.sort_by_key(|d| d.primary.as_ref().map(|l| l.span));
            return Err(self.diags);
        }
        self.recurrences.dedup_by_key(|r| r.node);
        Ok(Checked {
            graph: self.graph,
            values,
            extents,
            float: self.settings.float,
            warnings: self.diags,
            spans: self.spans,
            values_defined: self.definitions,
            recurrences: self.recurrences,
            clocks: known,
        })
    }

    // ---- statements

    fn layer_statement(&mut self, s: &mut Scope<'p>, stmt: &'p Stmt) -> Res<()> {
        match &stmt.kind {
            StmtKind::Out(b) => self.out(s, b),
            StmtKind::Let(b) | StmtKind::Rec(b) => {
                self.statement(s, stmt)?;
                if let Some(Meaning::Tensor(t)) = s.peek(b.name.as_str()).cloned() {
                    self.record(b, t.node);
                }
                Ok(())
            }
            _ => self.statement(s, stmt),
        }
    }

    fn record(&mut self, b: &Binding, node: NodeId) {
        self.definitions.push(Definition {
            name: b.name.as_str().to_owned(),
            axes: b.axes.iter().map(|n| n.as_str().to_owned()).collect(),
            node,
            span: b.name.span,
        });
    }

    fn out(&mut self, s: &mut Scope<'p>, b: &'p Binding) -> Res<()> {
        let t = self.define(s, b, |e, s| {
            let x = e.expr(s, &b.value)?;
            e.out_value(b, x)
        })?;
        let _ = s.get(b.name.as_str());
        let axes: Vec<AxisId> = t.positions.iter().flatten().copied().collect();
        let batch = |a: AxisId| axes.iter().any(|&d| self.graph.ragged_over(self.graph.axis(d).domain) == Some(a));
        let extra: Vec<AxisId> = self.graph.free(t.node).iter().filter(|&a| !axes.contains(&a) && !batch(a)).collect();
        self.undeclared(&b.name, &b.axes, &extra, b.value.span)?;
        let dtype = match &b.dtype {
            Some(d) => dtype(d.node),
            None => self.graph.dtype(t.node),
        };
        self.graph.outputs.push(Output { name: b.name.as_str().into(), axes, dtype, node: t.node });
        self.record(b, t.node);
        Ok(())
    }

    /// The type of an output is that of its file; the value is converted only between classes and to a pinned width.
    fn out_value(&mut self, b: &'p Binding, x: NodeId) -> Res<NodeId> {
        match &b.dtype {
            Some(d) if dtype(d.node) == DType::I64 && self.graph.dtype(x) == DType::I32 => Ok(x),
            other => self.annotated(x, other.as_ref(), b.value.span),
        }
    }
}
