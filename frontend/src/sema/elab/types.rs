//! Element types: bool < int < float, conversions that are implicit, and the errors for those that are not.

use super::{Elaborator, Failed, Res};
use crate::diagnostics::{Diagnostic, Span, codes};
use crate::syntax::ast::{Dtype, Spanned};
use weft_ir::DType;
use weft_ir::dtype::Class;
use weft_ir::graph::NodeId;

/// The element type that an annotation means.
pub(super) fn dtype(d: Dtype) -> DType {
    match d {
        Dtype::Bool => DType::Bool,
        Dtype::Int | Dtype::I32 => DType::I32,
        Dtype::I64 => DType::I64,
        Dtype::Float => DType::Float,
        Dtype::F16 => DType::F16,
        Dtype::Bf16 => DType::BF16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
    }
}

/// What a class is called in messages.
pub(super) fn called(class: Class) -> &'static str {
    match class {
        Class::Bool => "a truth value",
        Class::Int => "an integer",
        Class::Float => "a real number",
    }
}

impl Elaborator<'_> {
    /// Requires a number.
    pub(super) fn number(&mut self, x: NodeId, span: Span) -> Res<NodeId> {
        if self.class(x) != Class::Bool {
            return Ok(x);
        }
        let text = self.text(span);
        Err(self.fail(
            Diagnostic::error(codes::E0301, "a truth value is used as a number")
                .at(span, "this is true or false")
                .hint(format!("write `if {text} then 1 else 0`, or count with `count(..)`")),
        ))
    }

    /// Requires a truth value.
    pub(super) fn truth(&mut self, x: NodeId, span: Span) -> Res<NodeId> {
        if self.class(x) == Class::Bool {
            return Ok(x);
        }
        let text = self.text(span);
        let what = called(self.class(x));
        Err(self.fail(
            Diagnostic::error(codes::E0302, format!("{what} is used as a condition"))
                .at(span, format!("this is {what}"))
                .hint(format!("compare it: `{text} != 0`, `{text} > 0`")),
        ))
    }

    /// Requires an integer.
    pub(super) fn integer(&mut self, x: NodeId, span: Span, wanted_by: &str) -> Res<NodeId> {
        match self.class(x) {
            Class::Int => Ok(x),
            Class::Bool => self.number(x, span),
            Class::Float => Err(self.fail(
                Diagnostic::error(codes::E0303, format!("{wanted_by} needs an integer"))
                    .at(span, "this is a real number")
                    .hint("`/` divides real numbers; `//` divides integers and rounds down; `cast(x, int)` converts"),
            )),
        }
    }

    /// A real number: integers are converted, exactly.
    pub(super) fn real(&mut self, x: NodeId, span: Span) -> Res<NodeId> {
        let x = self.number(x, span)?;
        self.floated(x)
    }

    /// Two numbers of one class: integers beside reals are converted.
    pub(super) fn unify(&mut self, a: (NodeId, Span), b: (NodeId, Span)) -> Res<(NodeId, NodeId)> {
        let (x, y) = (self.number(a.0, a.1), self.number(b.0, b.1));
        let (x, y) = (x?, y?);
        if self.class(x) == self.class(y) { Ok((x, y)) } else { Ok((self.floated(x)?, self.floated(y)?)) }
    }

    /// Two values of one class, truth values included; `what` says where they stand.
    pub(super) fn agree(&mut self, a: (NodeId, Span), b: (NodeId, Span), what: &str) -> Res<(NodeId, NodeId)> {
        match (self.class(a.0), self.class(b.0)) {
            (Class::Bool, Class::Bool) => Ok((a.0, b.0)),
            (Class::Bool, other) | (other, Class::Bool) => Err(self.fail(
                Diagnostic::error(codes::E0305, format!("{what} are a truth value and {}", called(other)))
                    .at(b.1, format!("this is {}", called(self.class(b.0))))
                    .also(a.1, format!("this is {}", called(self.class(a.0)))),
            )),
            _ => self.unify(a, b),
        }
    }

    /// A value at an annotated element type. Only conversions that lose nothing by intent are implicit: integers to
    /// reals, and between widths of one class.
    pub(super) fn annotated(&mut self, x: NodeId, to: Option<&Spanned<Dtype>>, span: Span) -> Res<NodeId> {
        let Some(to) = to else { return Ok(x) };
        let target = dtype(to.node);
        match (self.class(x), target.class()) {
            (a, b) if a == b => {
                // The type parameter is what an unannotated value has anyway.
                if matches!(to.node, Dtype::Int | Dtype::Float) { Ok(x) } else { self.cast_to(target, x, span) }
            }
            (Class::Int, Class::Float) => {
                let x = self.floated(x)?;
                if to.node == Dtype::Float { Ok(x) } else { self.cast_to(target, x, span) }
            }
            (from, _) => Err(self.mismatch(from, to, span)),
        }
    }

    fn mismatch(&mut self, from: Class, to: &Spanned<Dtype>, span: Span) -> Failed {
        let d = Diagnostic::error(
            codes::E0304,
            format!("the value is {}, its annotation says `{}`", called(from), to.node),
        )
        .at(span, format!("this is {}", called(from)))
        .also(to.span, "annotated here");
        self.fail(match (from, dtype(to.node).class()) {
            (Class::Float, Class::Int) => {
                d.hint(format!("convert it with `cast(x, {})`, which rounds towards zero", to.node))
            }
            (Class::Bool, _) => d.hint("write `if .. then 1 else 0`"),
            (_, _) => d.hint("compare it with something"),
        })
    }
}
