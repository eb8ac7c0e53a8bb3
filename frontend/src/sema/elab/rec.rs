//! Recurrences: `rec S[t, ..] = ..`, which may read itself at `t - 1`.

use super::super::recurrence;
use super::reads::is_step_back;
use super::scope::{Meaning, Scope, SelfRead};
use super::{Elaborator, Res};
use crate::diagnostics::{Diagnostic, Span, codes};
use crate::syntax::ast::{Binding, Expr, ExprKind};
use weft_ir::DType;
use weft_ir::graph::{AxisId, NodeId, Op, RecDecl, Role};

impl<'p> Elaborator<'p> {
    /// The value of a recurrence.
    ///
    /// Its state has all axes on which the body depends, also those that ride along and are not declared. They are
    /// found by elaborating the body once with the declared axes only, in a graph that is thrown away.
    pub(super) fn rec_value(&mut self, s: &mut Scope<'p>, b: &'p Binding, span: Span) -> Res<NodeId> {
        let positions = self.index_names(s, &b.axes)?;
        let mut reads: Vec<&'p [Expr]> = Vec::new();
        self_reads(&b.value, b.name.as_str(), &mut reads);
        if reads.is_empty() && !mentions(&b.value, b.name.as_str()) {
            let d = Diagnostic::warning(codes::W0002, format!("recurrence `{}` never reads itself", b.name))
                .at(b.name.span, "no recurrence")
                .hint("write `let`");
            self.warn(b.name.span, d);
            let own = s.own.clone();
            let x = self.rebinding(&own, |e| e.expr(s, &b.value))?;
            return self.annotated(x, b.dtype.as_ref(), b.value.span);
        }
        let time = self.recursion_axis(b, &positions, &reads)?;
        let time_axis = self.single(&b.axes[time], &positions[time])?;
        let declared: Vec<AxisId> = positions.iter().flatten().copied().filter(|&a| a != time_axis).collect();
        let mut state = declared;
        let mut dtype = b.dtype.as_ref().map_or(DType::Float, |d| super::types::dtype(d.node));
        let read = |rec| SelfRead {
            rec,
            names: b.axes.iter().map(|n| n.text.clone()).collect(),
            positions: positions.clone(),
            time,
        };
        // Each round adds the axes and the type that the one before has shown.
        let mut round = 0;
        loop {
            let kept = self.snapshot();
            let decl =
                RecDecl { name: b.name.as_str().into(), time: time_axis, state: state.clone(), dtype, reverse: false };
            let rec = self.graph.add_rec(decl);
            let mut scope = s.clone();
            scope.set(&b.name, Meaning::SelfRead(read(rec)));
            let own: Vec<AxisId> = s.own.iter().copied().chain(positions.iter().flatten().copied()).collect();
            self.open.push(rec);
            let body = self.rebinding(&own, |e| e.expr(&mut scope, &b.value));
            self.open.pop();
            // Uses of other names are uses; the scope copy shares nothing else.
            for name in used_names(&b.value) {
                let _ = s.get(&name);
            }
            let body = self.annotated(body?, b.dtype.as_ref(), b.value.span)?;
            self.keeps_self_reads(body, std::iter::once(time_axis), b.name.span)?;
            let riding: Vec<AxisId> =
                self.graph.free(body).iter().filter(|a| *a != time_axis && !state.contains(a)).collect();
            let found = self.graph.dtype(body);
            if riding.is_empty() && found == dtype {
                let node = self.graph.add(Op::Rec(rec), &[body]);
                let node = self.made(node, span)?;
                let class = recurrence::classify(&self.graph, rec, body);
                self.recurrences.push(recurrence::Recurrence {
                    name: b.name.as_str().to_owned(),
                    node,
                    class,
                    span: b.name.span,
                });
                self.warn_sequential(b, class);
                return Ok(node);
            }
            if round > 3 {
                return self.failed(
                    Diagnostic::error(
                        codes::E0304,
                        format!("the element type of recurrence `{}` is not clear", b.name),
                    )
                    .at(b.name.span, format!("it starts as `{dtype}` and becomes `{found}`"))
                    .hint(format!("annotate it: `rec {}[..]: f32 = ..`", b.name)),
                );
            }
            self.restore(kept);
            state.extend(riding);
            dtype = found;
            round += 1;
        }
    }

    fn warn_sequential(&mut self, b: &Binding, class: recurrence::RecurrenceClass) {
        if class == recurrence::RecurrenceClass::Sequential {
            let d = Diagnostic::warning(codes::W0003, format!("recurrence `{}` can only run step by step", b.name))
                .at(b.name.span, "not linear in its value before, and no other scan is known for it")
                .hint("a recurrence `u + c * S[t-1]` whose `c` does not depend on `S` runs in parallel over chunks");
            self.warn(b.name.span, d);
        }
    }

    /// Which declared index is the axis over which it runs: the one that reads of itself step back by one.
    fn recursion_axis(&mut self, b: &Binding, positions: &[super::scope::Axes], reads: &[&'p [Expr]]) -> Res<usize> {
        let steps_back = |k: usize| {
            !reads.is_empty() && reads.iter().all(|r| r.get(k).is_some_and(|e| is_step_back(e, b.axes[k].as_str())))
        };
        let candidates: Vec<usize> = (0..b.axes.len()).filter(|&k| steps_back(k)).collect();
        let is_time = |k: &usize| positions[*k].first().is_some_and(|&a| self.graph.domain_of(a).role == Role::Time);
        match candidates.as_slice() {
            [one] => Ok(*one),
            [] => {
                // The error is at the read; which axis is meant decides its words only.
                match (0..b.axes.len()).find(is_time) {
                    Some(k) => Ok(k),
                    None if !b.axes.is_empty() => Ok(0),
                    None => self.failed(
                        Diagnostic::error(codes::E0402, format!("recurrence `{}` has no index to run over", b.name))
                            .at(b.name.span, "declares no index")
                            .hint(format!("write `rec {}[t] = ..`", b.name)),
                    ),
                }
            }
            several => match several.iter().copied().filter(is_time).collect::<Vec<_>>().as_slice() {
                [one] => Ok(*one),
                _ => self.failed(
                    Diagnostic::error(
                        codes::E0402,
                        format!("it is not clear over which index recurrence `{}` runs", b.name),
                    )
                    .at(b.name.span, "reads of itself step back along several indices")
                    .hint("a recurrence steps back along one axis"),
                ),
            },
        }
    }
}

fn children(e: &Expr) -> Vec<&Expr> {
    match &e.kind {
        ExprKind::If { cond, yes, no } => vec![cond, yes, no],
        ExprKind::Binary { lhs, rhs, .. } => vec![lhs, rhs],
        ExprKind::Compare { first, rest } => std::iter::once(&**first).chain(rest.iter().map(|r| &r.1)).collect(),
        ExprKind::Unary { operand, .. } => vec![operand],
        ExprKind::Subscript { subscripts, .. } => subscripts.iter().collect(),
        ExprKind::Reduce { arg, .. } => std::iter::once(&arg.value).chain(&arg.guard).collect(),
        ExprKind::Call { args, .. } => args.iter().flat_map(|a| std::iter::once(&a.value).chain(&a.guard)).collect(),
        ExprKind::Int(_) | ExprKind::Float { .. } | ExprKind::Extent(_) | ExprKind::Ref(_) => Vec::new(),
    }
}

/// Subscripts of all reads of `name`.
fn self_reads<'a>(e: &'a Expr, name: &str, found: &mut Vec<&'a [Expr]>) {
    if let ExprKind::Subscript { base, subscripts } = &e.kind
        && base.as_name().is_some_and(|n| n.as_str() == name)
    {
        found.push(subscripts);
    }
    for c in children(e) {
        self_reads(c, name, found);
    }
}

fn mentions(e: &Expr, name: &str) -> bool {
    matches!(&e.kind, ExprKind::Ref(p) if p.as_name().is_some_and(|n| n.as_str() == name))
        || children(e).into_iter().any(|c| mentions(c, name))
}

/// First segments of all names in an expression.
fn used_names(e: &Expr) -> Vec<String> {
    let mut names: Vec<String> = children(e).into_iter().flat_map(used_names).collect();
    match &e.kind {
        ExprKind::Ref(p) | ExprKind::Subscript { base: p, .. } => {
            names.extend(p.segments.first().map(|n| n.text.to_string()));
        }
        ExprKind::Extent(n) => names.push(n.text.to_string()),
        ExprKind::Reduce { binders, .. } => names.extend(binders.iter().map(|n| n.text.to_string())),
        ExprKind::Call { axes, .. } => names.extend(axes.iter().map(|n| n.text.to_string())),
        _ => {}
    }
    names
}
