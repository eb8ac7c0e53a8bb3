//! Reading values: bare names, subscripts, and the proof that subscripts are within their axes.

use super::super::bounds;
use super::scope::{Meaning, Scope, SelfRead, Tensor};
use super::{Elaborator, Failed, Res};
use crate::diagnostics::{Diagnostic, Span, codes};
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Name, Path};
use rustc_hash::FxHashSet;
use std::sync::Arc;
use weft_ir::graph::{AxisId, NodeId, Op};

impl<'p> Elaborator<'p> {
    /// A name without subscripts: a value at its declared indices, the position of an index, or a number.
    pub(super) fn bare(&mut self, s: &Scope<'p>, path: &Path) -> Res<NodeId> {
        if let Some(t) = self.tensor_at(s, path)? {
            return Ok(t.node);
        }
        let Some(name) = path.segments.first() else { return Err(Failed) };
        match self.lookup(s, name)? {
            Meaning::Index(axes) => {
                let axis = self.single(name, &axes)?;
                let node = self.graph.index(axis);
                self.made(node, name.span)
            }
            Meaning::Number(node) => Ok(node),
            Meaning::SelfRead(r) => Err(self.reads_itself_now(name, &r)),
            other => Err(self.error(
                codes::E0105,
                path.span,
                format!("`{name}` is {}, not a value", other.kind()),
                "a value is expected here",
            )),
        }
    }

    fn reads_itself_now(&mut self, name: &Name, r: &SelfRead) -> Failed {
        let time = &r.names[r.time];
        let step = |(k, n): (usize, &Arc<str>)| if k == r.time { format!("{n} - 1") } else { n.to_string() };
        let example: Vec<String> = r.names.iter().enumerate().map(step).collect();
        self.fail(
            Diagnostic::error(
                codes::E0402,
                format!("recurrence `{name}` reads itself at `{time}`, where it is being defined"),
            )
            .at(name.span, "without subscripts it stands at its declared indices")
            .hint(format!("read the value before: `{name}[{}]`", example.join(", "))),
        )
    }

    /// `x[b, t - 1]`
    pub(super) fn subscripted(
        &mut self,
        s: &mut Scope<'p>,
        base: &'p Path,
        subscripts: &'p [Expr],
        span: Span,
    ) -> Res<NodeId> {
        if let Some(t) = self.tensor_at(s, base)? {
            let pairs = self.positions(s, base, &t.positions, subscripts)?;
            self.same_document(base, &t, &pairs, subscripts)?;
            self.keeps_self_reads(t.node, pairs.iter().map(|p| p.0), span)?;
            return self.substitute(t.node, &pairs, span);
        }
        let Some(name) = base.segments.first() else { return Err(Failed) };
        match self.lookup(s, name)? {
            Meaning::SelfRead(r) => self.self_read(s, base, &r, subscripts, span),
            other => Err(self.error(
                codes::E0105,
                base.span,
                format!("`{name}` is {} and takes no subscripts", other.kind()),
                "only tensors have subscripts",
            )),
        }
    }

    /// The positions that subscripts give to axes, each proven to be within its axis.
    fn positions(
        &mut self,
        s: &mut Scope<'p>,
        base: &Path,
        positions: &[super::scope::Axes],
        subscripts: &'p [Expr],
    ) -> Res<Vec<(AxisId, NodeId)>> {
        if positions.len() != subscripts.len() {
            let names: Vec<String> = positions.iter().flatten().map(|&a| self.graph.axis(a).name.to_string()).collect();
            let what = if names.is_empty() {
                format!("`{base}` has no indices")
            } else {
                format!(
                    "`{base}` has {} and gets {} subscripts",
                    plural(positions.len(), "index", "indices"),
                    subscripts.len()
                )
            };
            let d = Diagnostic::error(codes::E0201, what)
                .at(base.span, format!("declared as `{base}{}`", brackets(&names)));
            return Err(self.fail(d));
        }
        let mut pairs = Vec::with_capacity(positions.len());
        let mut failed = false;
        for (axes, sub) in positions.iter().zip(subscripts) {
            match self.position(s, base, axes, sub) {
                Ok(Some(pair)) => pairs.push(pair),
                Ok(None) => {}
                Err(Failed) => failed = true,
            }
        }
        if failed { Err(Failed) } else { Ok(pairs) }
    }

    /// One subscript; `None` where several axes stand at themselves.
    fn position(
        &mut self,
        s: &mut Scope<'p>,
        base: &Path,
        axes: &super::scope::Axes,
        sub: &'p Expr,
    ) -> Res<Option<(AxisId, NodeId)>> {
        if let ExprKind::Ref(path) = &sub.kind
            && let Some(name) = path.as_name()
            && let Some(Meaning::Index(given)) = s.get(&name.text)
            && (given.len() != 1 || axes.len() != 1)
        {
            if given == axes {
                return Ok(None);
            }
            let given = given.len();
            return Err(self.fail(
                Diagnostic::error(
                    codes::E0208,
                    format!("index `{name}` stands for {given} axes, this position of `{base}` for {}", axes.len()),
                )
                .at(sub.span, "a position that stands for several axes can only be given whole")
                .hint("a formal axis that a call binds to several axes may only be used whole"),
            ));
        }
        let &[axis] = axes.as_slice() else {
            let n = axes.len();
            return Err(self.error(
                codes::E0208,
                sub.span,
                format!("this position of `{base}` stands for {n} axes"),
                "a position that stands for several axes can only be given whole",
            ));
        };
        let at = self.expr(s, sub)?;
        let at = self.integer(at, sub.span, "a subscript")?;
        self.in_range(base, axis, at, sub)?;
        Ok(Some((axis, at)))
    }

    /// Proves that a subscript is within its axis, or reports what would be read.
    fn in_range(&mut self, base: &Path, axis: AxisId, at: NodeId, sub: &Expr) -> Res<()> {
        let domain = self.graph.axis(axis).domain;
        let Err(problem) = bounds::within(&self.graph, &self.facts, at, domain) else { return Ok(()) };
        let name = self.graph.axis(axis).name.to_string();
        let text = self.text(sub.span);
        let mut d = Diagnostic::error(codes::E0202, format!("`{base}` may be read outside its axis `{name}`"))
            .at(sub.span, problem.label(&text));
        for note in problem.notes(&self.graph, &base.to_string(), &name) {
            d = d.note(note);
        }
        let guard = problem.guard(&text, &name);
        d = match problem.always() {
            true => d.hint("no guard can make this read good: the subscript is wrong"),
            false => d.hint(format!(
                "read it only where it exists: `where {guard}` in a reducer, or `if {guard} then .. else ..`"
            )),
        };
        Err(self.fail(d))
    }

    /// A ragged extent belongs to one position of the batch axis: time can only be re-indexed within a document.
    fn same_document(&mut self, base: &Path, t: &Tensor, pairs: &[(AxisId, NodeId)], subs: &[Expr]) -> Res<()> {
        for &axis in t.positions.iter().flatten() {
            let Some(batch) = self.graph.ragged_over(self.graph.axis(axis).domain) else { continue };
            let Some(k) = t.positions.iter().position(|p| p.as_slice() == [batch]) else { continue };
            let at = pairs.iter().find(|p| p.0 == batch).map(|p| p.1);
            if at.is_some_and(|at| *self.graph.op(at) != Op::Index(batch)) {
                let (time, batch) = (self.graph.axis(axis).name.to_string(), self.graph.axis(batch).name.to_string());
                let span = subs.get(k).map_or(base.span, |e| e.span);
                return Err(self.fail(
                    Diagnostic::error(codes::E0212, format!("`{base}` is read at another `{batch}`, where `{time}` has another extent"))
                        .at(span, format!("must be `{batch}`"))
                        .note(format!("every `{batch}` has its own extent of `{time}`; sequences cannot be compared position by position")),
                ));
            }
        }
        Ok(())
    }

    /// The value of a recurrence one step before, inside its body.
    fn self_read(
        &mut self,
        s: &mut Scope<'p>,
        base: &'p Path,
        r: &SelfRead,
        subscripts: &'p [Expr],
        span: Span,
    ) -> Res<NodeId> {
        if subscripts.len() != r.positions.len() {
            return self.positions(s, base, &r.positions, subscripts).and(Err(Failed));
        }
        let Some(&time) = r.positions[r.time].first() else { return Err(Failed) };
        let sub = &subscripts[r.time];
        let name = r.names[r.time].to_string();
        if !is_step_back(sub, &name) {
            return Err(self.fail(
                Diagnostic::error(codes::E0402, format!("recurrence `{base}` may read itself only at `{name} - 1`"))
                    .at(sub.span, "another position of the axis over which it runs")
                    .hint(format!("carry what is older in the state, as another index of `{base}`")),
            ));
        }
        let (at, one) = (self.graph.index(time), self.graph.int(1));
        let at = self.made(at, sub.span)?;
        let not_first = self.map(weft_ir::graph::MapFn::Le, &[one, at], sub.span)?;
        if !bounds::implied(&self.graph, &self.facts, not_first) {
            return Err(self.fail(
                Diagnostic::error(codes::E0403, format!("recurrence `{base}` reads itself before its beginning"))
                    .at(sub.span, format!("at {name} = 0 there is no value before"))
                    .hint(format!("say how it starts: `if {name} == 0 then .. else ..`")),
            ));
        }
        let mut pairs = Vec::new();
        for (k, (axes, sub)) in r.positions.iter().zip(subscripts).enumerate() {
            if k != r.time
                && let Some(pair) = self.position(s, base, axes, sub)?
            {
                pairs.push(pair);
            }
        }
        let node = self.graph.add(Op::Prev(r.rec), &[]);
        let node = self.made(node, span)?;
        self.substitute(node, &pairs, span)
    }

    /// Refuses to bind or re-index the axis of a recurrence in a term that holds its value of the step before.
    pub(super) fn keeps_self_reads(&mut self, body: NodeId, axes: impl Iterator<Item = AxisId>, span: Span) -> Res<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let axes: Vec<AxisId> = axes.collect();
        for rec in self.open.clone() {
            let decl = self.graph.rec(rec).clone();
            if axes.contains(&decl.time) && self.holds_prev(body, rec) {
                let time = self.graph.axis(decl.time).name.to_string();
                return Err(self.fail(
                    Diagnostic::error(
                        codes::E0402,
                        format!("recurrence `{}` reads itself at more than one position of `{time}`", decl.name),
                    )
                    .at(span, format!("this takes its value before to other positions of `{time}`"))
                    .hint("a recurrence sees only its value one step before"),
                ));
            }
        }
        Ok(())
    }

    fn holds_prev(&self, body: NodeId, rec: weft_ir::graph::RecId) -> bool {
        let mut seen = FxHashSet::default();
        let mut pending = vec![body];
        while let Some(x) = pending.pop() {
            if *self.graph.op(x) == Op::Prev(rec) {
                return true;
            }
            if seen.insert(x) {
                pending.extend(self.graph.args(x));
            }
        }
        false
    }
}

/// Is the expression `NAME - 1`?
pub(super) fn is_step_back(e: &Expr, name: &str) -> bool {
    match &e.kind {
        ExprKind::Binary { op: BinaryOp::Sub, lhs, rhs } => {
            matches!(rhs.kind, ExprKind::Int(1))
                && matches!(&lhs.kind, ExprKind::Ref(p) if p.as_name().is_some_and(|n| n.as_str() == name))
        }
        _ => false,
    }
}

fn brackets(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("[{}]", names.join(", ")) }
}

pub(super) fn plural(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}
