//! Reducers: `sum(j, d: value where guard)` and the others.

use super::reads::plural;
use super::scope::{Axes, Scope};
use super::types::called;
use super::{Elaborator, Failed, Res};
use crate::diagnostics::{Diagnostic, Span, codes};
use crate::syntax::ast::{Arg, Name, Reducer, Spanned};
use weft_ir::dtype::Class;
use weft_ir::graph::{AxisId, Extent, Extremum, MapFn, NodeId, Op};

/// A value with the guards under which it counts.
pub(super) struct Guarded {
    pub(super) value: NodeId,
    /// The parts of the guard's conjunction, in order.
    pub(super) guards: Vec<NodeId>,
}

impl<'p> Elaborator<'p> {
    /// Elaborates `value where guard`; the value may rely on the guard. The caller sees to facts about bound axes.
    pub(super) fn guarded(&mut self, s: &mut Scope<'p>, arg: &'p Arg) -> Res<Guarded> {
        let Some(guard) = &arg.guard else {
            return Ok(Guarded { value: self.expr(s, &arg.value)?, guards: Vec::new() });
        };
        let g = self.expr(s, guard)?;
        let g = self.truth(g, guard.span)?;
        let value = self.given(g, true, |e| e.expr(s, &arg.value))?;
        Ok(Guarded { value, guards: self.conjuncts(g) })
    }

    /// A reducer call.
    pub(super) fn reduce(
        &mut self,
        s: &mut Scope<'p>,
        op: &Spanned<Reducer>,
        binders: &'p [Name],
        arg: &'p Arg,
        span: Span,
    ) -> Res<NodeId> {
        let bound = self.index_names(s, binders)?;
        let axes: Vec<AxisId> = bound.iter().flatten().copied().collect();
        let Guarded { value, guards } = self.rebinding(&axes, |e| e.guarded(s, arg))?;
        self.binders_occur(binders, &bound, value, &guards, &format!("`{}`", op.node))?;
        for &x in guards.iter().chain([&value]) {
            self.keeps_self_reads(x, axes.iter().copied(), span)?;
        }
        match op.node {
            Reducer::Sum => {
                let value = self.summand(value, arg.value.span, &guards)?;
                self.ein(&axes, &guards, value, span)
            }
            Reducer::Mean => {
                let value = self.real(value, arg.value.span)?;
                let sum = self.ein(&axes, &guards, value, span)?;
                let n = self.members(&axes, &guards, span)?;
                let constant = self.graph.constant(n).is_some();
                let n = self.floated(n)?;
                // Where nothing is there to be averaged, the mean is 0, as a fully masked row of attention is.
                self.map(if constant { MapFn::Div } else { MapFn::Div0 }, &[sum, n], span)
            }
            Reducer::Count | Reducer::Any | Reducer::All => {
                let value = self.truth(value, arg.value.span)?;
                self.count(op.node, &axes, guards, value, span)
            }
            Reducer::Max | Reducer::Min => {
                let value = self.number(value, arg.value.span)?;
                let op = Op::Reduce {
                    extremum: if op.node == Reducer::Max { Extremum::Max } else { Extremum::Min },
                    axes: axes.iter().copied().collect(),
                    guards: guards.len() as u32,
                };
                self.guarded_op(op, &guards, &[value], span)
            }
            Reducer::Argmin | Reducer::Argmax => {
                let value = self.number(value, arg.value.span)?;
                let &[axis] = axes.as_slice() else {
                    return Err(self.fail(
                        Diagnostic::error(codes::E0208, format!("`{}` binds one index, not {}", op.node, axes.len()))
                            .at(span, "its value is a position of that index")
                            .hint("to search over two axes, declare an index over their product and split it with `//` and `%`"),
                    ));
                };
                let extremum = if op.node == Reducer::Argmax { Extremum::Max } else { Extremum::Min };
                self.guarded_op(Op::Arg { extremum, axis, guards: guards.len() as u32 }, &guards, &[value], span)
            }
        }
    }

    /// The operand of `sum` must be a number; a truth value is probably meant to be counted.
    fn summand(&mut self, value: NodeId, span: Span, guards: &[NodeId]) -> Res<NodeId> {
        if self.is_number(value) {
            return Ok(value);
        }
        let text = self.text(span);
        let place = if guards.is_empty() { "" } else { " where .." };
        Err(self.fail(
            Diagnostic::error(codes::E0301, "a truth value is used as a number")
                .at(span, "`sum` adds numbers, this is true or false")
                .hint(format!("to count where it holds, write `count(.. : {text}{place})`")),
        ))
    }

    /// The number of places that a reducer ranges over, an integer.
    fn members(&mut self, axes: &[AxisId], guards: &[NodeId], span: Span) -> Res<NodeId> {
        let one = self.graph.int(1);
        if !guards.is_empty() {
            return self.ein(axes, guards, one, span);
        }
        let mut product = one;
        let mut counted = Vec::new();
        for &a in axes {
            let domain = self.graph.axis(a).domain;
            let ragged = self.graph.ragged_over(domain).is_some_and(|b| axes.contains(&b));
            let batch = axes.iter().any(|&o| self.graph.ragged_over(self.graph.axis(o).domain) == Some(a));
            let size = match self.graph.domain(domain).extent {
                Extent::Const(n) => self.int(n, span)?,
                // A sum of different lengths is no product.
                _ if ragged || batch => {
                    counted.push(a);
                    continue;
                }
                _ => {
                    let size = self.graph.add(Op::Size(domain), &[]);
                    self.made(size, span)?
                }
            };
            product = if product == one { size } else { self.map(MapFn::Mul, &[product, size], span)? };
        }
        if counted.is_empty() {
            return Ok(product);
        }
        let lengths = self.ein(&counted, &[], one, span)?;
        if product == one { Ok(lengths) } else { self.map(MapFn::Mul, &[product, lengths], span) }
    }

    /// `count`, and `any` and `all` in terms of it.
    fn count(
        &mut self,
        op: Reducer,
        axes: &[AxisId],
        mut guards: Vec<NodeId>,
        value: NodeId,
        span: Span,
    ) -> Res<NodeId> {
        let value = if op == Reducer::All { self.map(MapFn::Not, &[value], span)? } else { value };
        guards.extend(self.conjuncts(value));
        let one = self.graph.int(1);
        let n = self.ein(axes, &guards, one, span)?;
        let zero = self.graph.int(0);
        match op {
            Reducer::Any => self.map(MapFn::Lt, &[zero, n], span),
            Reducer::All => self.map(MapFn::Eq, &[n, zero], span),
            _ => Ok(n),
        }
    }

    /// Sum over axes of a product, whose factors become the operands.
    pub(super) fn ein(&mut self, axes: &[AxisId], guards: &[NodeId], value: NodeId, span: Span) -> Res<NodeId> {
        let factors = self.factors(value);
        let op = Op::Ein { axes: axes.iter().copied().collect(), guards: guards.len() as u32 };
        self.guarded_op(op, guards, &factors, span)
    }

    /// A node with guards.
    pub(super) fn guarded_op(&mut self, op: Op, guards: &[NodeId], operands: &[NodeId], span: Span) -> Res<NodeId> {
        let args: Vec<NodeId> = guards.iter().chain(operands).copied().collect();
        let node = self.graph.add(op, &args);
        self.made(node, span)
    }

    /// The binder rule: every bound index occurs in the value or its guard.
    pub(super) fn binders_occur(
        &mut self,
        names: &[Name],
        bound: &[Axes],
        value: NodeId,
        guards: &[NodeId],
        what: &str,
    ) -> Res<()> {
        let mut result = Ok(());
        for (name, axes) in names.iter().zip(bound) {
            let occurs = |a: &AxisId| std::iter::once(&value).chain(guards).any(|&x| self.graph.free(x).contains(*a));
            if !axes.iter().all(occurs) {
                let free: Vec<String> =
                    self.graph.free(value).iter().map(|a| format!("`{}`", self.graph.axis(a).name)).collect();
                let mut d = Diagnostic::error(
                    codes::E0203,
                    format!("index `{name}` does not occur in what {what} ranges over"),
                )
                .at(name.span, "bound here");
                d = match (free.as_slice(), self.class(value)) {
                    ([], class) => d.note(format!("the value is {} that depends on no index", called(class))),
                    (free, _) => d.note(format!(
                        "the value depends on {} {}",
                        if free.len() == 1 { "index" } else { "indices" },
                        free.join(", ")
                    )),
                };
                d = d.hint(format!(
                    "a tensor named without subscripts stands at its declared indices; to range over `{name}`, write it as a subscript"
                ));
                result = Err(self.fail(d));
            }
        }
        result
    }

    /// An axis function binds exactly one axis.
    pub(super) fn one_axis(&mut self, what: &str, names: &[Name], bound: &[Axes], span: Span) -> Res<AxisId> {
        match bound.iter().flatten().collect::<Vec<_>>().as_slice() {
            [axis] => Ok(**axis),
            all => {
                let d = Diagnostic::error(
                    codes::E0107,
                    format!("`{what}` works along one axis and gets {}", plural(all.len(), "axis", "axes")),
                )
                .at(names.first().map_or(span, |n| n.span), format!("write `{what}[j](..)`"));
                Err(self.fail(d))
            }
        }
    }

    /// Requires a class of a value, for operands of builtins.
    pub(super) fn real_operand(&mut self, x: NodeId, span: Span) -> Res<NodeId> {
        if self.class(x) == Class::Float { Ok(x) } else { self.real(x, span) }
    }

    /// Reports one more error and fails.
    pub(super) fn failed<T>(&mut self, d: Diagnostic) -> Res<T> {
        let f: Failed = self.fail(d);
        Err(f)
    }
}
