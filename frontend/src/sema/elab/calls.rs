//! Functions: found by name and inlined.

use super::super::program::{FileIx, nearest};
use super::axis_fns::{BUILTINS, builtin, independent};
use super::reads::plural;
use super::scope::{Axes, GroupValue, Meaning, Scope, Tensor};
use super::{Elaborator, Failed, MAX_CALLS, MAX_INLINED, Res};
use crate::diagnostics::{Diagnostic, Span, codes};
use crate::syntax::ast::{Arg, ExprKind, Fn, FnBody, FnParam, FnTensor, GroupUse, Name};
use rustc_hash::FxHashMap;
use std::rc::Rc;
use weft_ir::graph::{AxisId, NodeId};

/// One parameter with its argument.
struct Bound<'p> {
    param: &'p FnTensor,
    /// The argument's value and guard; `None` for a default.
    given: Option<(NodeId, Option<NodeId>, Span)>,
}

impl<'p> Elaborator<'p> {
    /// A call of a function of the user, of a builtin, or of the standard library, in this order.
    pub(super) fn call(
        &mut self,
        s: &mut Scope<'p>,
        callee: &'p Name,
        axes: &'p [Name],
        args: &'p [Arg],
        span: Span,
    ) -> Res<NodeId> {
        if let Some((file, f)) = self.program.user_fn(s.file, callee.as_str()) {
            return self.inline(s, file, f, callee, axes, args, span);
        }
        if let Some(which) = builtin(callee.as_str()) {
            return self.builtin_call(s, which, callee, axes, args, span);
        }
        if let Some((file, f)) = self.program.std_fn(callee.as_str()) {
            return self.inline(s, file, f, callee, axes, args, span);
        }
        let mut d = Diagnostic::error(codes::E0103, format!("there is no function `{callee}`"))
            .at(callee.span, "unknown function");
        let known = self.program.visible_names(s.file).chain(BUILTINS.iter().map(|(n, _)| *n));
        if let Some(near) = nearest(callee.as_str(), known) {
            d = d.hint(format!("did you mean `{near}`?"));
        } else if let Some(m) = s.peek(callee.as_str()) {
            d = d.hint(format!("`{callee}` is {}; a product is written with `*`", m.kind()));
        }
        self.failed(d)
    }

    /// Inlines a call: binds axes, then parameters, then elaborates the body in a scope of its own.
    #[allow(clippy::too_many_arguments, reason = "the parts of a call")]
    fn inline(
        &mut self,
        s: &mut Scope<'p>,
        file: FileIx,
        f: &'p Fn,
        callee: &'p Name,
        axes: &'p [Name],
        args: &'p [Arg],
        span: Span,
    ) -> Res<NodeId> {
        let name = f.name.as_str();
        if self.calls.iter().any(|c| c.0 == file && c.1 == name) {
            return self.failed(
                Diagnostic::error(codes::E0108, format!("function `{name}` calls itself"))
                    .at(callee.span, "called again here")
                    .hint("functions are inlined; a recurrence over an axis is written with `rec`"),
            );
        }
        self.inlined += 1;
        if self.too_large || self.calls.len() >= MAX_CALLS || self.inlined > MAX_INLINED {
            return Err(self.give_up(span));
        }
        if args.len() > f.params.len() {
            return self.failed(
                Diagnostic::error(
                    codes::E0106,
                    format!("`{name}` takes {}, not {}", plural(f.params.len(), "argument", "arguments"), args.len()),
                )
                .at(args[f.params.len()].span, "one too many")
                .also(f.name.span, "defined here"),
            );
        }
        let mut inner = Scope::new(file, Some(name));
        self.bind_axes(s, &mut inner, f, callee, axes)?;
        self.bind_groups(s, &mut inner, f, args, span)?;
        let mut own: Vec<AxisId> = inner.own.clone();
        let bound = self.arguments(s, &inner, f, args, &own, span)?;
        // From here on it is the function's text that is elaborated.
        self.calls.push((file, name, span));
        let result = self.body(&mut inner, f, &bound, &mut own);
        self.calls.pop();
        let (result, renamed) = result?;
        let node = self.substitute(result, &renamed, span)?;
        self.spans.insert(node, span);
        Ok(node)
    }

    /// Binds the formal axes in brackets. One formal axis takes all actual ones.
    fn bind_axes(&mut self, s: &Scope<'p>, inner: &mut Scope<'p>, f: &'p Fn, callee: &Name, axes: &[Name]) -> Res<()> {
        let actual = self.index_names(s, axes)?;
        let bound: Vec<Axes> = match (f.axes.len(), actual.len()) {
            (1, n) if n > 0 => vec![actual.into_iter().flatten().collect()],
            (formal, n) if formal == n => actual,
            (formal, n) => {
                let names: Vec<&str> = f.axes.iter().map(Name::as_str).collect();
                return self.failed(
                    Diagnostic::error(
                        codes::E0107,
                        format!("`{}` works over {}, the call gives {n}", f.name, plural(formal, "axis", "axes")),
                    )
                    .at(
                        callee.span,
                        if names.is_empty() {
                            format!("write `{callee}(..)`")
                        } else {
                            format!("write `{callee}[{}](..)`", names.join(", "))
                        },
                    )
                    .also(f.name.span, "defined here"),
                );
            }
        };
        for (name, axes) in f.axes.iter().zip(bound) {
            inner.own.extend(&axes);
            self.declare(inner, name, Meaning::Index(axes), None)?;
        }
        Ok(())
    }

    /// Binds group parameters, and the formal axes that only their brackets name.
    fn bind_groups(&mut self, s: &Scope<'p>, inner: &mut Scope<'p>, f: &'p Fn, args: &'p [Arg], span: Span) -> Res<()> {
        for (k, param) in f.params.iter().enumerate() {
            let FnParam::Group(g) = param else { continue };
            let Some(arg) = args.get(k) else { return self.too_few(f, k, span) };
            let value = self.group_argument(s, g, arg)?;
            if value.axes.len() != g.axes.len() {
                return self.failed(
                    Diagnostic::error(
                        codes::E0107,
                        format!(
                            "group `{}` has {}, not {}",
                            g.group,
                            plural(value.axes.len(), "axis", "axes"),
                            g.axes.len()
                        ),
                    )
                    .at(g.span, "declared here"),
                );
            }
            for (name, axes) in g.axes.iter().zip(&value.axes) {
                match inner.peek(&name.text) {
                    None => {
                        inner.own.extend(axes);
                        self.declare(inner, name, Meaning::Index(axes.clone()), None)?;
                    }
                    Some(Meaning::Index(have)) if have == axes => {}
                    Some(_) => {
                        return self.failed(
                            Diagnostic::error(
                                codes::E0211,
                                format!("axis `{name}` of `{}` is bound to two different axes", f.name),
                            )
                            .at(arg.span, format!("the group has another axis in the place of `{name}`"))
                            .also(g.span, "the function wants the same axis in its brackets and in the group"),
                        );
                    }
                }
            }
            self.declare(inner, &g.name, Meaning::Group(value), None)?;
        }
        Ok(())
    }

    fn group_argument(&mut self, s: &Scope<'p>, g: &GroupUse, arg: &'p Arg) -> Res<Rc<GroupValue>> {
        if let (ExprKind::Ref(path), None) = (&arg.value.kind, &arg.guard)
            && let Some(name) = path.as_name()
        {
            return match self.lookup(s, name)? {
                Meaning::Group(v) if v.group == g.group.text => Ok(v),
                Meaning::Group(v) => self.failed(
                    Diagnostic::error(
                        codes::E0104,
                        format!("`{name}` is a group `{}`, `{}` is wanted", v.group, g.group),
                    )
                    .at(arg.span, "another group"),
                ),
                other => self.failed(
                    Diagnostic::error(codes::E0105, format!("`{name}` is {}, not a group `{}`", other.kind(), g.group))
                        .at(arg.span, "a group of parameters is expected here"),
                ),
            };
        }
        self.failed(
            Diagnostic::error(codes::E0105, format!("a group `{}` is expected", g.group))
                .at(arg.span, "must be the name of a group of parameters"),
        )
    }

    fn too_few<T>(&mut self, f: &Fn, at: usize, span: Span) -> Res<T> {
        let name = match &f.params[at] {
            FnParam::Tensor(t) => &t.name,
            FnParam::Group(g) => &g.name,
        };
        self.failed(
            Diagnostic::error(codes::E0106, format!("the call of `{}` gives no `{name}`", f.name))
                .at(span, format!("argument {} is missing", at + 1))
                .also(f.name.span, "defined here"),
        )
    }

    /// Elaborates the arguments, in the caller's scope.
    fn arguments(
        &mut self,
        s: &mut Scope<'p>,
        inner: &Scope<'p>,
        f: &'p Fn,
        args: &'p [Arg],
        own: &[AxisId],
        span: Span,
    ) -> Res<Vec<Bound<'p>>> {
        let mut bound = Vec::new();
        let mut failed = false;
        for (k, param) in f.params.iter().enumerate() {
            let FnParam::Tensor(param) = param else { continue };
            let Some(arg) = args.get(k) else {
                if param.default.is_none() {
                    return self.too_few(f, k, span);
                }
                bound.push(Bound { param, given: None });
                continue;
            };
            match self.argument(s, inner, f, param, arg, own) {
                Ok(given) => bound.push(Bound { param, given: Some(given) }),
                Err(Failed) => failed = true,
            }
        }
        if failed { Err(Failed) } else { Ok(bound) }
    }

    /// One argument with its guard. It must depend on every axis at which the function addresses it.
    fn argument(
        &mut self,
        s: &mut Scope<'p>,
        inner: &Scope<'p>,
        f: &'p Fn,
        param: &'p FnTensor,
        arg: &'p Arg,
        own: &[AxisId],
    ) -> Res<(NodeId, Option<NodeId>, Span)> {
        if let (Some(guard), None) = (&arg.guard, &param.guard) {
            return self.failed(
                Diagnostic::error(codes::E0106, format!("parameter `{}` of `{}` takes no guard", param.name, f.name))
                    .at(guard.span, "this argument has no `where`")
                    .also(param.span, "declared here")
                    .hint("use `if .. then .. else ..` in the argument"),
            );
        }
        // The function may re-index what it addresses by subscripts, so facts about those axes do not hold there.
        let addressed: &[AxisId] = if param.axes.is_empty() && param.guard.is_none() { &[] } else { own };
        let (guard, value) = self.rebinding(addressed, |e| -> Res<_> {
            let Some(guard) = &arg.guard else { return Ok((None, e.expr(s, &arg.value)?)) };
            let g = e.expr(s, guard)?;
            let g = e.truth(g, guard.span)?;
            Ok((Some(g), e.given(g, true, |e| e.expr(s, &arg.value))?))
        })?;
        let mut value = value;
        if let Some(to) = &param.dtype {
            value = self.annotated(value, Some(to), arg.value.span)?;
        }
        for name in &param.axes {
            let Some(Meaning::Index(axes)) = inner.peek(&name.text) else { continue };
            let axes = axes.clone();
            if let Some(missing) = axes.iter().find(|&&a| !self.graph.free(value).contains(a)) {
                let axis = self.graph.axis(*missing).name.to_string();
                return self
                    .failed(independent(f.name.as_str(), &axis, arg.value.span).also(param.span, "the parameter"));
            }
        }
        Ok((value, guard, arg.span))
    }

    /// The function's value, and the substitution that takes renamed axes back to the caller's.
    fn body(
        &mut self,
        inner: &mut Scope<'p>,
        f: &'p Fn,
        bound: &[Bound<'p>],
        own: &mut [AxisId],
    ) -> Res<(NodeId, Vec<(AxisId, NodeId)>)> {
        let back = self.rename_captured(inner, f, bound, own)?;
        for b in bound {
            let positions = self.index_names(inner, &b.param.axes)?;
            let (value, guard, span) = match b.given {
                Some(given) => given,
                None => {
                    let Some(default) = &b.param.default else { continue };
                    let x = self.expr(inner, default)?;
                    (self.annotated(x, b.param.dtype.as_ref(), default.span)?, None, default.span)
                }
            };
            let value = self.at_renamed(value, &positions, &back, span)?;
            self.declare(inner, &b.param.name, Meaning::Tensor(Tensor { node: value, positions }), Some("parameter"))?;
            if let Some(g) = &b.param.guard {
                let positions = self.index_names(inner, &g.axes)?;
                let node = match guard {
                    Some(guard) => self.at_renamed(guard, &positions, &back, span)?,
                    None => self.graph.bool(true),
                };
                self.declare(inner, &g.name, Meaning::Tensor(Tensor { node, positions }), Some("guard"))?;
            }
        }
        let result = match &f.body {
            FnBody::Expr(e) => self.expr(inner, e)?,
            FnBody::Block(stmts) => self.block(inner, f, stmts)?,
        };
        self.warn_unused(inner);
        if let Some((_, name)) = inner.local.iter().find(|(a, _)| self.graph.free(result).contains(*a)).cloned() {
            return self.failed(
                Diagnostic::error(codes::E0205, format!("the value of `{}` depends on its own index `{name}`", f.name))
                    .at(f.name.span, format!("`{name}` means nothing outside the function"))
                    .hint(format!("sum over `{name}`, or define the result piece by piece")),
            );
        }
        let mut pairs = Vec::new();
        for (old, new) in back {
            let node = self.graph.index(old);
            pairs.push((new, self.made(node, f.span)?));
        }
        Ok((result, pairs))
    }

    /// Where an argument depends on an axis of the function without being addressed by it, the argument stands at the
    /// caller's position of that axis. The function then works on a copy of the axis. Gives (original, copy) pairs.
    fn rename_captured(
        &mut self,
        inner: &mut Scope<'p>,
        f: &'p Fn,
        bound: &[Bound<'p>],
        own: &mut [AxisId],
    ) -> Res<Vec<(AxisId, AxisId)>> {
        let mut captured: Vec<AxisId> = Vec::new();
        for b in bound {
            let Some((value, guard, _)) = b.given else { continue };
            let values =
                [(Some(value), &b.param.axes[..]), (guard, b.param.guard.as_ref().map_or(&[][..], |g| &g.axes))];
            for (node, names) in values {
                let Some(node) = node else { continue };
                let addressed: Vec<AxisId> = self.index_names(inner, names)?.into_iter().flatten().collect();
                let free = self.graph.free(node);
                captured.extend(own.iter().filter(|a| free.contains(**a) && !addressed.contains(a)));
            }
        }
        captured.sort_unstable();
        captured.dedup();
        let mut copies: FxHashMap<AxisId, AxisId> = FxHashMap::default();
        for &a in &captured {
            let (name, domain) = (self.graph.axis(a).name.to_string(), self.graph.axis(a).domain);
            let copy = match self.renamed.get(&(f.span, a)) {
                Some(&c) => c,
                None => self.graph.add_axis(&name, domain),
            };
            self.renamed.insert((f.span, a), copy);
            copies.insert(a, copy);
        }
        if !captured.is_empty() {
            self.rename_in_scope(inner, f, &copies)?;
            for a in own.iter_mut() {
                *a = copies.get(a).copied().unwrap_or(*a);
            }
            inner.own = own.to_vec();
        }
        Ok(captured.into_iter().map(|a| (a, copies[&a])).collect())
    }

    fn rename_in_scope(&mut self, inner: &mut Scope<'p>, f: &'p Fn, copies: &FxHashMap<AxisId, AxisId>) -> Res<()> {
        let rename = |axes: &Axes| -> Axes { axes.iter().map(|a| copies.get(a).copied().unwrap_or(*a)).collect() };
        let groups = f.params.iter().filter_map(|p| if let FnParam::Group(g) = p { Some(g) } else { None });
        let names: Vec<&Name> = f.axes.iter().chain(groups.clone().flat_map(|g| &g.axes)).collect();
        for name in names {
            if let Some(Meaning::Index(axes)) = inner.peek(&name.text) {
                let renamed = rename(axes);
                inner.set(name, Meaning::Index(renamed));
            }
        }
        for g in groups {
            let Some(Meaning::Group(value)) = inner.peek(&g.name.text).cloned() else { continue };
            let mut value = (*value).clone();
            value.axes = value.axes.iter().map(rename).collect();
            for t in value.fields.values_mut() {
                let mut pairs = Vec::new();
                for a in t.positions.iter().flatten() {
                    if let Some(&copy) = copies.get(a) {
                        let node = self.graph.index(copy);
                        pairs.push((*a, self.made(node, g.span)?));
                    }
                }
                t.node = self.substitute(t.node, &pairs, g.span)?;
                t.positions = t.positions.iter().map(rename).collect();
            }
            inner.set(&g.name, Meaning::Group(Rc::new(value)));
        }
        Ok(())
    }

    /// An argument with the axes at which the function addresses it renamed to the function's copies.
    fn at_renamed(&mut self, value: NodeId, positions: &[Axes], back: &[(AxisId, AxisId)], span: Span) -> Res<NodeId> {
        let mut pairs = Vec::new();
        for &(old, new) in back {
            if positions.iter().flatten().any(|&a| a == new) {
                let node = self.graph.index(new);
                pairs.push((old, self.made(node, span)?));
            }
        }
        self.keeps_self_reads(value, pairs.iter().map(|p| p.0), span)?;
        self.substitute(value, &pairs, span)
    }
}
