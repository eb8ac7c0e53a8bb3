//! Layers: sizes, constants, facts, axes, inputs, outputs, and the checks at the end.

use super::super::clocks;
use super::super::program::FileIx;
use super::super::program::nearest;
use super::super::{Checked, Definition, Number};
use super::scope::{Axes, GroupValue, Meaning, Scope, Tensor};
use super::types::dtype;
use super::{Elaborator, Failed, MAX_SIZE, Res};
use crate::diagnostics::{Diagnostic, codes};
use crate::syntax::ast::{
    AxisDecl, Binding, DeclKind, Expr, ExprKind, GroupUse, Layer, LayerItem, Name, OperandDecl, Stmt, StmtKind,
    TensorDecl, ValueDecl,
};
use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::rc::Rc;
use std::sync::Arc;
use weft_ir::DType;
use weft_ir::graph::{AxisId, DomainId, Extent, Input, InputKind, MapFn, NodeId, Op, Output, Role, Scalar};

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
        all.iter().fold(Ok(()), |result, x| f(self, x).and(result))
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

    // ---- sizes and constants

    /// What the command line, or an input file, says of a name.
    fn given_number(&self, name: &str) -> Option<(Number, bool)> {
        let find = |all: &[(String, Number)]| all.iter().rev().find(|(n, _)| n == name).map(|(_, v)| *v);
        find(&self.settings.defines).map(|v| (v, true)).or_else(|| find(&self.settings.recorded).map(|v| (v, false)))
    }

    fn size(&mut self, s: &mut Scope<'p>, v: &'p ValueDecl, values: &mut IndexMap<String, Number>) -> Res<()> {
        let value = self.size_value(s, v);
        self.declare_number(s, &v.name, value.map(Number::Int), "size", values)
    }

    fn size_value(&mut self, s: &mut Scope<'p>, v: &'p ValueDecl) -> Res<i64> {
        let (value, source) = match self.given_number(v.name.as_str()) {
            Some((Number::Int(i), by_hand)) => {
                (i, if by_hand { "given with `-D`" } else { "recorded in the input file" })
            }
            Some((Number::Real(x), _)) => {
                return self.failed(
                    Diagnostic::error(codes::E0502, format!("size `{}` is an integer, and is given as {x}", v.name))
                        .at(v.name.span, "a size")
                        .hint("give a whole number, or declare it with `const`"),
                );
            }
            None => {
                let x = self.expr(s, &v.value)?;
                let x = self.integer(x, v.value.span, "a size")?;
                match self.graph.constant(x) {
                    Some(Scalar::Int(i)) => (i, "its default"),
                    _ => return self.not_constant(&v.value),
                }
            }
        };
        if (0..=MAX_SIZE).contains(&value) {
            return Ok(value);
        }
        self.failed(
            Diagnostic::error(
                codes::E0504,
                format!("size `{}` is {value}, {source}; sizes are from 0 to 2^30", v.name),
            )
            .at(v.span, "out of bounds"),
        )
    }

    fn not_constant<T>(&mut self, e: &Expr) -> Res<T> {
        self.failed(
            Diagnostic::error(codes::E0213, "a constant is needed here")
                .at(e.span, "depends on more than sizes and constants"),
        )
    }

    fn constant_decl(&mut self, s: &mut Scope<'p>, v: &'p ValueDecl, values: &mut IndexMap<String, Number>) -> Res<()> {
        let value = self.constant_value(s, v);
        self.declare_number(s, &v.name, value.map(Number::Real), "constant", values)
    }

    fn constant_value(&mut self, s: &mut Scope<'p>, v: &'p ValueDecl) -> Res<f64> {
        if let Some((n, _)) = self.given_number(v.name.as_str()) {
            return Ok(n.as_f64());
        }
        let x = self.expr(s, &v.value)?;
        let x = self.real(x, v.value.span)?;
        match self.graph.constant(x) {
            Some(Scalar::Float(bits)) => Ok(f64::from_bits(bits)),
            _ => self.not_constant(&v.value),
        }
    }

    fn declare_number(
        &mut self,
        s: &mut Scope<'p>,
        name: &Name,
        value: Res<Number>,
        what: &'static str,
        values: &mut IndexMap<String, Number>,
    ) -> Res<()> {
        let meaning = match value {
            Ok(Number::Int(i)) => Meaning::Number(self.graph.int(i)),
            Ok(Number::Real(x)) => Meaning::Number(self.graph.float(x)),
            Err(Failed) => Meaning::Broken,
        };
        self.declare(s, name, meaning, Some(what))?;
        if let Ok(v) = value {
            values.insert(name.as_str().to_owned(), v);
        }
        value.map(|_| ())
    }

    fn unknown_defines(&mut self, values: &IndexMap<String, Number>, extents: &IndexMap<String, i64>, s: &Scope<'p>) {
        let settings = self.settings;
        for (name, _) in &settings.defines {
            if values.contains_key(name) || extents.contains_key(name) || matches!(s.peek(name), Some(Meaning::Broken))
            {
                continue;
            }
            let mut d = Diagnostic::error(
                codes::E0501,
                format!("`-D {name}`: the layer has no size, constant or runtime axis `{name}`"),
            );
            let axes = self.graph.domains().iter().filter(|d| !matches!(d.extent, Extent::Const(_))).map(|d| &*d.name);
            if let Some(near) = nearest(name, values.keys().map(String::as_str).chain(axes)) {
                d = d.hint(format!("did you mean `{near}`?"));
            } else if let Some(m) = s.peek(name) {
                d = d.note(format!("`{name}` is {}", m.kind()));
            }
            let _ = self.fail(d);
        }
    }

    /// A fact: must hold for the concrete sizes.
    fn require(&mut self, s: &mut Scope<'p>, e: &'p Expr) -> Res<()> {
        let x = self.expr(s, e)?;
        let x = self.truth(x, e.span)?;
        match self.graph.constant(x) {
            Some(Scalar::Bool(true)) => Ok(()),
            Some(_) => {
                let text = self.text(e.span);
                let mut d = Diagnostic::error(codes::E0503, format!("`require {text}` does not hold"))
                    .at(e.span, "does not hold for these sizes");
                if let ExprKind::Compare { first, rest } = &e.kind {
                    for side in std::iter::once(&**first).chain(rest.iter().map(|r| &r.1)) {
                        if matches!(side.kind, ExprKind::Int(_) | ExprKind::Float { .. }) {
                            continue;
                        }
                        if let Ok(x) = self.expr(s, side)
                            && let Some(c) = self.graph.constant(x)
                        {
                            d = d.note(format!("`{}` is {c}", self.text(side.span)));
                        }
                    }
                }
                self.failed(d.hint("change the sizes, in the layer or with `-D`"))
            }
            None => self.not_constant(e),
        }
    }

    // ---- axes

    fn axis(&mut self, s: &mut Scope<'p>, a: &'p AxisDecl, extents: &mut IndexMap<String, i64>) -> Res<()> {
        match self.axis_extent(s, a, extents) {
            Ok(extent) => {
                let role = if a.role.is_some() { Role::Time } else { Role::Plain };
                let domain = self.graph.add_domain(a.name.as_str(), extent, role);
                let axis = self.graph.add_axis(a.name.as_str(), domain);
                self.declare_index(s, &a.name, axis)
            }
            Err(Failed) => {
                s.set(&a.name, Meaning::Broken);
                Err(Failed)
            }
        }
    }

    fn axis_extent(&mut self, s: &mut Scope<'p>, a: &'p AxisDecl, extents: &mut IndexMap<String, i64>) -> Res<Extent> {
        let Some(e) = &a.extent else {
            if let Some((v, by_hand)) = self.given_number(a.name.as_str()) {
                match v {
                    Number::Int(n) if (1..=MAX_SIZE).contains(&n) => {
                        extents.insert(a.name.as_str().to_owned(), n);
                    }
                    // Files may record whatever they like under an axis's name.
                    _ if !by_hand => {}
                    v => {
                        return self.failed(
                            Diagnostic::error(
                                codes::E0502,
                                format!("axis `{}` has from 1 to 2^30 positions, and is given {v}", a.name),
                            )
                            .at(a.name.span, "a runtime axis"),
                        );
                    }
                }
            }
            let batch = self.graph.axes().iter().position(|x| {
                let d = self.graph.domain(x.domain);
                d.extent == Extent::Runtime && d.role == Role::Plain
            });
            return Ok(match (batch, a.role.is_some()) {
                (Some(batch), true) => Extent::Ragged(AxisId(batch as u32)),
                _ => Extent::Runtime,
            });
        };
        let x = self.expr(s, e)?;
        let x = self.integer(x, e.span, "an extent")?;
        if self.graph.constant(x).is_some() {
            return Ok(Extent::Const(self.extent_value(x, e)?));
        }
        match self.derived(x) {
            Some(extent) => Ok(extent),
            None => {
                let text = self.text(e.span);
                self.failed(
                    Diagnostic::error(codes::E0210, format!("the extent of axis `{}` cannot be derived", a.name))
                        .at(e.span, format!("`{text}` is not of the form `(A * |t| + B) // C`"))
                        .hint("one runtime extent, times and plus constants, divided by a constant"),
                )
            }
        }
    }

    /// `(mul * |base| + add) // div` of one runtime extent.
    fn derived(&self, x: NodeId) -> Option<Extent> {
        let (inside, div) = match self.graph.op(x) {
            Op::Map(MapFn::IDiv) => match self.graph.constant(self.graph.args(x)[1])? {
                Scalar::Int(d) if d >= 1 => (self.graph.args(x)[0], d),
                _ => return None,
            },
            _ => (x, 1),
        };
        let (base, mul, add) = self.affine_extent(inside)?;
        (mul >= 1).then_some(Extent::Derived { base: base?, mul, add, div })
    }

    fn affine_extent(&self, x: NodeId) -> Option<(Option<DomainId>, i64, i64)> {
        let g = &self.graph;
        let arg = |k: usize| self.affine_extent(g.args(x)[k]);
        match g.op(x) {
            Op::Const(Scalar::Int(c)) => Some((None, 0, *c)),
            Op::Size(d) => Some((Some(*d), 1, 0)),
            Op::Map(f @ (MapFn::Add | MapFn::Sub)) => {
                let ((d1, m1, a1), (d2, m2, a2)) = (arg(0)?, arg(1)?);
                let sign = if *f == MapFn::Add { 1 } else { -1 };
                if d1.is_some() && d2.is_some() && d1 != d2 {
                    return None;
                }
                Some((d1.or(d2), m1.checked_add(m2.checked_mul(sign)?)?, a1.checked_add(a2.checked_mul(sign)?)?))
            }
            Op::Map(MapFn::Mul) => match (arg(0)?, arg(1)?) {
                ((None, _, c), (d, m, a)) | ((d, m, a), (None, _, c)) => {
                    Some((d, m.checked_mul(c)?, a.checked_mul(c)?))
                }
                _ => None,
            },
            _ => None,
        }
    }

    // ---- inputs

    fn operand(&mut self, s: &mut Scope<'p>, o: &'p OperandDecl, kind: InputKind) -> Res<()> {
        let (name, meaning) = match o {
            OperandDecl::Tensor(t) => (&t.name, self.input(s, t, None, kind).map(Meaning::Tensor)),
            OperandDecl::Group(g) => (&g.name, self.group_input(s, g, kind).map(|v| Meaning::Group(Rc::new(v)))),
        };
        let what = if kind == InputKind::In { "input" } else { "parameter" };
        let failed = meaning.is_err();
        self.declare(s, name, meaning.unwrap_or(Meaning::Broken), Some(what))?;
        if failed { Err(Failed) } else { Ok(()) }
    }

    /// Adds one tensor of the layer's inputs; a group gives the actual axes of its formal ones.
    fn input(
        &mut self,
        s: &mut Scope<'p>,
        t: &'p TensorDecl,
        group: Option<(&GroupUse, &FxHashMap<Arc<str>, Axes>)>,
        kind: InputKind,
    ) -> Res<Tensor> {
        let positions = match group {
            None => self.index_names(s, &t.axes)?,
            Some((_, actual)) => {
                let mut positions: Vec<Axes> = Vec::new();
                for name in &t.axes {
                    match actual.get(&name.text) {
                        Some(axes) if positions.contains(axes) => {
                            return self.failed(
                                Diagnostic::error(codes::E0211, format!("index `{name}` stands here twice"))
                                    .at(name.span, "used before in the same brackets"),
                            );
                        }
                        Some(axes) => positions.push(axes.clone()),
                        None => {
                            return self.failed(
                                Diagnostic::error(codes::E0101, format!("`{name}` is not an axis of the group"))
                                    .at(name.span, "unknown axis")
                                    .hint("list it in the brackets after the group's name"),
                            );
                        }
                    }
                }
                positions
            }
        };
        let axes: Vec<AxisId> = positions.iter().flatten().copied().collect();
        let elements = axes.iter().filter_map(|&a| self.graph.static_extent(a)).try_fold(1i64, i64::checked_mul);
        if elements.is_none_or(|n| n > MAX_SIZE) {
            return self.failed(
                Diagnostic::error(
                    codes::E0504,
                    format!("`{}` has more than 2^30 elements for each position of its runtime axes", t.name),
                )
                .at(t.span, "too large"),
            );
        }
        let init = match &t.init {
            Some(e) if kind == InputKind::Param => {
                // A group's initialisers see numbers only: the group is not part of the layer.
                let mut empty = Scope::new(s.file, Some(t.name.as_str()));
                Some(self.init(if group.is_some() { &mut empty } else { s }, e)?)
            }
            Some(e) => Some(self.init(s, e)?),
            None => None,
        };
        let dtype = t.dtype.as_ref().map_or(DType::Float, |d| dtype(d.node));
        let name = match group {
            Some((g, _)) => format!("{}.{}", g.name, t.name),
            None => t.name.as_str().to_owned(),
        };
        let id = self.graph.add_input(Input { name: name.into(), axes, dtype, kind, init });
        let node = self.graph.read(id);
        let node = self.made(node, t.span)?;
        Ok(Tensor { node, positions })
    }

    fn group_input(&mut self, s: &mut Scope<'p>, g: &'p GroupUse, kind: InputKind) -> Res<GroupValue> {
        let Some((_, group)) = self.program.group(s.file, g.group.as_str()) else {
            let mut d = Diagnostic::error(codes::E0104, format!("there is no group `{}`", g.group))
                .at(g.group.span, "unknown group");
            if let Some(near) = nearest(g.group.as_str(), self.program.visible_names(s.file)) {
                d = d.hint(format!("did you mean `{near}`?"));
            }
            return self.failed(d);
        };
        let actual = self.index_names(s, &g.axes)?;
        if actual.len() != group.axes.len() {
            let formal: Vec<&str> = group.axes.iter().map(Name::as_str).collect();
            return self.failed(
                Diagnostic::error(
                    codes::E0107,
                    format!("group `{}` has {} axes, not {}", g.group, group.axes.len(), actual.len()),
                )
                .at(g.span, format!("write `{}: {}[{}]`", g.name, g.group, formal.join(", ")))
                .also(group.name.span, "defined here"),
            );
        }
        let by_name: FxHashMap<Arc<str>, Axes> =
            group.axes.iter().map(|n| n.text.clone()).zip(actual.iter().cloned()).collect();
        let mut fields: IndexMap<Arc<str>, Tensor, FxBuildHasher> = IndexMap::default();
        for t in &group.fields {
            if let Some(first) = group.fields.iter().find(|o| o.name.text == t.name.text).filter(|o| o.span != t.span) {
                let d = super::super::program::defined_twice(&t.name, first.name.span);
                return self.failed(d);
            }
            let tensor = self.input(s, t, Some((g, &by_name)), kind)?;
            fields.insert(t.name.text.clone(), tensor);
        }
        Ok(GroupValue { group: g.group.text.clone(), axes: actual, fields })
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
