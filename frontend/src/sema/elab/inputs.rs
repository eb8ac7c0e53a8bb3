//! Inputs and parameters, and groups of them.

use super::super::program::nearest;
use super::scope::{Axes, GroupValue, Meaning, Scope, Tensor};
use super::types::dtype;
use super::{Elaborator, Failed, MAX_SIZE, Res};
use crate::diagnostics::{Diagnostic, codes};
use crate::syntax::ast::{GroupUse, Name, OperandDecl, TensorDecl};
use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::rc::Rc;
use std::sync::Arc;
use weft_ir::DType;
use weft_ir::graph::{AxisId, Input, InputKind};

impl<'p> Elaborator<'p> {
    pub(super) fn operand(&mut self, s: &mut Scope<'p>, o: &'p OperandDecl, kind: InputKind) -> Res<()> {
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
    pub(super) fn input(
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

    pub(super) fn group_input(&mut self, s: &mut Scope<'p>, g: &'p GroupUse, kind: InputKind) -> Res<GroupValue> {
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
}
