//! Builtin functions: elementwise mathematics, and the decisions along an axis.

use super::reads::plural;
use super::reduce::Guarded;
use super::scope::Scope;
use super::types::{called, dtype};
use super::{Elaborator, Failed, Res};
use crate::diagnostics::{Diagnostic, Span, codes};
use crate::syntax::ast::{Arg, Dtype, Expr, ExprKind, Name, Spanned};
use weft_ir::dtype::Class;
use weft_ir::graph::{AxisId, MapFn, NodeId, Op, Scalar, ThresholdFamily};

/// A function that is not written in the language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Builtin {
    /// Of reals.
    Real(MapFn),
    /// Of numbers of one class.
    Arith(MapFn),
    Pow,
    StopGradient,
    StraightThrough,
    Cast,
    Kth,
    InTopK,
    ArgTopK,
    Threshold,
}

/// Names and meanings of all builtin functions.
pub(super) const BUILTINS: &[(&str, Builtin)] = &[
    ("exp", Builtin::Real(MapFn::Exp)),
    ("log", Builtin::Real(MapFn::Log)),
    ("sqrt", Builtin::Real(MapFn::Sqrt)),
    ("sin", Builtin::Real(MapFn::Sin)),
    ("cos", Builtin::Real(MapFn::Cos)),
    ("tanh", Builtin::Real(MapFn::Tanh)),
    ("erf", Builtin::Real(MapFn::Erf)),
    ("floor", Builtin::Real(MapFn::Floor)),
    ("div0", Builtin::Real(MapFn::Div0)),
    ("abs", Builtin::Arith(MapFn::Abs)),
    ("sign", Builtin::Arith(MapFn::Sign)),
    ("max2", Builtin::Arith(MapFn::Max)),
    ("min2", Builtin::Arith(MapFn::Min)),
    ("pow", Builtin::Pow),
    ("stop_gradient", Builtin::StopGradient),
    ("straight_through", Builtin::StraightThrough),
    ("cast", Builtin::Cast),
    ("kth", Builtin::Kth),
    ("in_top_k", Builtin::InTopK),
    ("arg_top_k", Builtin::ArgTopK),
    ("threshold", Builtin::Threshold),
];

/// The builtin of that name.
pub(super) fn builtin(name: &str) -> Option<Builtin> {
    BUILTINS.iter().find(|(n, _)| *n == name).map(|(_, b)| *b)
}

impl<'p> Elaborator<'p> {
    /// A call of a builtin.
    pub(super) fn builtin_call(
        &mut self,
        s: &mut Scope<'p>,
        which: Builtin,
        callee: &'p Name,
        axes: &'p [Name],
        args: &'p [Arg],
        span: Span,
    ) -> Res<NodeId> {
        if matches!(which, Builtin::Kth | Builtin::InTopK | Builtin::ArgTopK | Builtin::Threshold) {
            return self.decision(s, which, callee, axes, args, span);
        }
        if let Some(axis) = axes.first() {
            let d = Diagnostic::error(codes::E0107, format!("`{callee}` works element by element and takes no axes"))
                .at(axis.span, "remove the brackets");
            return self.failed(d);
        }
        let args = self.plain(callee, args)?;
        match which {
            Builtin::Real(f) => {
                self.arity(callee, args.len(), f.arity(), span)?;
                let mut values = Vec::with_capacity(args.len());
                for a in &args {
                    let x = self.expr(s, a)?;
                    values.push(self.real(x, a.span)?);
                }
                self.map(f, &values, span)
            }
            Builtin::Arith(f) => self.arith_call(s, f, callee, &args, span),
            Builtin::Pow => {
                let [a, b] = self.exactly(callee, &args, span)?;
                let (x, y) = (self.expr(s, a)?, self.expr(s, b)?);
                self.power((x, a.span), (y, b.span), span)
            }
            Builtin::StopGradient => {
                let [a] = self.exactly(callee, &args, span)?;
                let x = self.expr(s, a)?;
                let node = self.graph.add(Op::Stop, &[x]);
                self.made(node, span)
            }
            Builtin::StraightThrough => {
                let [a, b] = self.exactly(callee, &args, span)?;
                let (x, y) = (self.expr(s, a)?, self.expr(s, b)?);
                let (x, y) = (self.real(x, a.span)?, self.real(y, b.span)?);
                let node = self.graph.add(Op::Ste, &[x, y]);
                self.made(node, span)
            }
            _ => self.cast_call(s, callee, &args, span),
        }
    }

    /// Functions of numbers of one class. Those of two operands take more: they are associative.
    fn arith_call(&mut self, s: &mut Scope<'p>, f: MapFn, callee: &Name, args: &[&'p Expr], span: Span) -> Res<NodeId> {
        if f.arity() > 0 || args.len() < 2 {
            self.arity(callee, args.len(), f.arity().max(1 + usize::from(f.arity() == 0)), span)?;
        }
        let mut values = Vec::with_capacity(args.len());
        for a in args {
            let x = self.expr(s, a)?;
            values.push(self.number(x, a.span)?);
        }
        if values.iter().any(|&x| self.class(x) == Class::Float) {
            values = values.into_iter().map(|x| self.floated(x)).collect::<Res<_>>()?;
        }
        self.map(f, &values, span)
    }

    /// Arguments without guards.
    pub(super) fn plain(&mut self, callee: &Name, args: &'p [Arg]) -> Res<Vec<&'p Expr>> {
        for a in args {
            if let Some(g) = &a.guard {
                return self.failed(
                    Diagnostic::error(codes::E0106, format!("`{callee}` takes no guard here"))
                        .at(g.span, "this argument has no `where`")
                        .hint("use `if .. then .. else ..`"),
                );
            }
        }
        Ok(args.iter().map(|a| &a.value).collect())
    }

    fn arity(&mut self, callee: &Name, given: usize, wanted: usize, span: Span) -> Res<()> {
        if given == wanted {
            return Ok(());
        }
        let want = plural(wanted, "argument", "arguments");
        let d = Diagnostic::error(codes::E0106, format!("`{callee}` takes {want}, not {given}"));
        self.failed(d.at(span, "this call"))
    }

    fn exactly<const N: usize>(&mut self, callee: &Name, args: &[&'p Expr], span: Span) -> Res<[&'p Expr; N]> {
        match <[&'p Expr; N]>::try_from(args) {
            Ok(args) => Ok(args),
            Err(_) => self.arity(callee, args.len(), N, span).and(Err(Failed)),
        }
    }

    /// `cast(x, f32)`: the only conversion that may lose something.
    fn cast_call(&mut self, s: &mut Scope<'p>, callee: &Name, args: &[&'p Expr], span: Span) -> Res<NodeId> {
        let [value, to] = self.exactly(callee, args, span)?;
        let word = match &to.kind {
            ExprKind::Ref(path) => path.as_name().and_then(|n| Dtype::from_word(n.as_str())),
            _ => None,
        };
        let Some(word) = word else {
            return self.failed(
                Diagnostic::error(codes::E0304, "`cast` needs the name of an element type")
                    .at(to.span, "not an element type")
                    .expected(Dtype::ALL.iter().map(|d| format!("`{d}`"))),
            );
        };
        let x = self.expr(s, value)?;
        match (self.class(x), dtype(word).class()) {
            (Class::Bool, Class::Bool) => Ok(x),
            (Class::Bool, _) => self.number(x, value.span),
            (from, Class::Bool) => self.failed(
                Diagnostic::error(codes::E0304, format!("{} cannot be cast to `bool`", called(from)))
                    .at(value.span, format!("this is {}", called(from)))
                    .hint("compare it: `x != 0`"),
            ),
            (Class::Float, Class::Float) if word == Dtype::Float => self.cast_to(weft_ir::DType::Float, x, span),
            (Class::Int, Class::Float) => {
                let x = self.floated(x)?;
                let to = Spanned { node: word, span: to.span };
                self.annotated(x, Some(&to), span)
            }
            _ => self.cast_to(dtype(word), x, span),
        }
    }

    // ---- decisions along an axis

    /// `kth[j](x where p, K)`, `in_top_k`, `arg_top_k`, `threshold[j](x where p, K, family)`.
    fn decision(
        &mut self,
        s: &mut Scope<'p>,
        which: Builtin,
        callee: &'p Name,
        names: &'p [Name],
        args: &'p [Arg],
        span: Span,
    ) -> Res<NodeId> {
        let bound = self.index_names(s, names)?;
        let axis = self.one_axis(callee.as_str(), names, &bound, span)?;
        let wanted = if which == Builtin::Threshold { 3 } else { 2 };
        let [first, rest @ ..] = args else {
            return self.arity(callee, 0, wanted, span).and(Err(Failed));
        };
        self.arity(callee, args.len(), wanted, span)?;
        let Guarded { value, guards } = self.rebinding(&[axis], |e| e.guarded(s, first))?;
        let value = self.real_operand(value, first.value.span)?;
        if !self.graph.free(value).contains(axis) {
            let name = &names[0];
            return self.failed(independent(callee.as_str(), name.as_str(), first.value.span));
        }
        for &x in guards.iter().chain([&value]) {
            self.keeps_self_reads(x, std::iter::once(axis), span)?;
        }
        let rest = self.plain(callee, rest)?;
        let k = rest[0];
        let count = self.expr(s, k)?;
        if self.graph.free(count).contains(axis) {
            let d = Diagnostic::error(
                codes::E0204,
                format!("the count of `{callee}` depends on the axis along which it works"),
            )
            .at(k.span, format!("depends on `{}`", names[0]));
            return self.failed(d);
        }
        let n = guards.len() as u32;
        if which == Builtin::Threshold {
            let family = self.family(rest[1])?;
            let count = self.real(count, k.span)?;
            return self.guarded_op(Op::Threshold { family, axis, guards: n }, &guards, &[value, count], span);
        }
        let count = self.integer(count, k.span, &format!("the count of `{callee}`"))?;
        let least = i64::from(which != Builtin::ArgTopK);
        if let Some(Scalar::Int(c)) = self.graph.constant(count)
            && c < least
        {
            let d = Diagnostic::error(codes::E0504, format!("the count of `{callee}` must be at least {least}"))
                .at(k.span, format!("this is {c}"));
            return self.failed(d);
        }
        if which == Builtin::ArgTopK {
            return self.guarded_op(Op::KthIndex { axis, guards: n }, &guards, &[value, count], span);
        }
        let one = self.graph.int(1);
        let rank = self.map(MapFn::Sub, &[count, one], span)?;
        let best = self.guarded_op(Op::KthValue { axis, guards: n }, &guards, &[value, rank], span)?;
        if which == Builtin::Kth {
            return Ok(best);
        }
        self.member(axis, &guards, value, rank, best, span)
    }

    /// Is the pair (value, index) at least the pair of that rank? Ties go to the lower index.
    fn member(
        &mut self,
        axis: AxisId,
        guards: &[NodeId],
        value: NodeId,
        rank: NodeId,
        best: NodeId,
        span: Span,
    ) -> Res<NodeId> {
        let at = self.guarded_op(Op::KthIndex { axis, guards: guards.len() as u32 }, guards, &[value, rank], span)?;
        let j = self.graph.index(axis);
        let j = self.made(j, span)?;
        let above = self.map(MapFn::Lt, &[best, value], span)?;
        let equal = self.map(MapFn::Eq, &[value, best], span)?;
        let first = self.map(MapFn::Le, &[j, at], span)?;
        let tie = self.map(MapFn::And, &[equal, first], span)?;
        let beats = self.map(MapFn::Or, &[above, tie], span)?;
        let parts: Vec<NodeId> = guards.iter().copied().chain([beats]).collect();
        self.and(&parts, span)
    }

    fn family(&mut self, e: &Expr) -> Res<ThresholdFamily> {
        let family = match &e.kind {
            ExprKind::Ref(path) => {
                path.as_name().and_then(|n| ThresholdFamily::ALL.into_iter().find(|f| f.name() == n.as_str()))
            }
            _ => None,
        };
        match family {
            Some(f) => Ok(f),
            None => self.failed(
                Diagnostic::error(codes::E0106, "`threshold` needs the name of its family")
                    .at(e.span, "not a family of thresholds")
                    .expected(ThresholdFamily::ALL.iter().map(|f| format!("`{}`", f.name()))),
            ),
        }
    }
}

/// The error for an argument that is constant along the axis of its function.
pub(super) fn independent(callee: &str, axis: &str, span: Span) -> Diagnostic {
    Diagnostic::error(codes::E0204, format!("an argument of `{callee}` does not depend on the axis `{axis}`"))
        .at(span, format!("is the same for all `{axis}`"))
        .hint(format!(
            "a tensor named without subscripts stands at its declared indices; to vary it along `{axis}`, write `{axis}` as a subscript"
        ))
}
