//! Sizes, constants and facts: numbers that are known when the layer is compiled.

use super::super::Number;
use super::super::program::nearest;
use super::scope::{Meaning, Scope};
use super::{Elaborator, Failed, MAX_SIZE, Res};
use crate::diagnostics::{Diagnostic, codes};
use crate::syntax::ast::{Expr, ExprKind, Name, ValueDecl};
use indexmap::IndexMap;
use weft_ir::graph::{Extent, Scalar};

impl<'p> Elaborator<'p> {
    /// What the command line, or an input file, says of a name.
    pub(super) fn given_number(&self, name: &str) -> Option<(Number, bool)> {
        let find = |all: &[(String, Number)]| all.iter().rev().find(|(n, _)| n == name).map(|(_, v)| *v);
        find(&self.settings.defines).map(|v| (v, true)).or_else(|| find(&self.settings.recorded).map(|v| (v, false)))
    }

    pub(super) fn size(
        &mut self,
        s: &mut Scope<'p>,
        v: &'p ValueDecl,
        values: &mut IndexMap<String, Number>,
    ) -> Res<()> {
        let value = self.size_value(s, v);
        self.declare_number(s, &v.name, value.map(Number::Int), "size", values)
    }

    pub(super) fn size_value(&mut self, s: &mut Scope<'p>, v: &'p ValueDecl) -> Res<i64> {
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

    pub(super) fn not_constant<T>(&mut self, e: &Expr) -> Res<T> {
        self.failed(
            Diagnostic::error(codes::E0213, "a constant is needed here")
                .at(e.span, "depends on more than sizes and constants"),
        )
    }

    pub(super) fn constant_decl(
        &mut self,
        s: &mut Scope<'p>,
        v: &'p ValueDecl,
        values: &mut IndexMap<String, Number>,
    ) -> Res<()> {
        let value = self.constant_value(s, v);
        self.declare_number(s, &v.name, value.map(Number::Real), "constant", values)
    }

    pub(super) fn constant_value(&mut self, s: &mut Scope<'p>, v: &'p ValueDecl) -> Res<f64> {
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

    pub(super) fn declare_number(
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

    pub(super) fn unknown_defines(
        &mut self,
        values: &IndexMap<String, Number>,
        extents: &IndexMap<String, i64>,
        s: &Scope<'p>,
    ) {
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
    pub(super) fn require(&mut self, s: &mut Scope<'p>, e: &'p Expr) -> Res<()> {
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
}
