//! Comma-separated lists: entries of declarations and groups, axes, parameters.

use super::doc::Doc;
use super::{WIDTH, expr::expr};
use crate::diagnostics::Span;
use crate::syntax::ast::{
    AxisDecl, Decl, DeclKind, Dtype, FnParam, GroupUse, IndexDecl, Name, OperandDecl, Spanned, TensorDecl, ValueDecl,
};

/// Lists stand in blocks, which are indented by two.
const INNER_WIDTH: usize = WIDTH - 2;

/// One entry of a list.
pub(super) struct Entry {
    pub(super) doc: Doc,
    pub(super) span: Span,
    /// The writer ended a line before it.
    pub(super) fresh_line: bool,
    /// The writer left a blank line before it (and its comments).
    pub(super) blank: bool,
    /// Comments on lines of their own before it.
    pub(super) before: Vec<String>,
    /// The comment behind it.
    pub(super) comment: Option<String>,
}

impl Entry {
    fn new(doc: Doc, span: Span) -> Entry {
        Entry { doc, span, fresh_line: false, blank: false, before: Vec::new(), comment: None }
    }
}

/// One line of output.
pub(super) struct Line {
    pub(super) text: String,
    pub(super) comment: Option<String>,
}

/// `[a,b]`, or nothing if there are none.
pub(super) fn axes(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(Name::as_str).collect();
    if names.is_empty() { String::new() } else { format!("[{}]", names.join(",")) }
}

pub(super) fn dtype(dtype: Option<Spanned<Dtype>>) -> String {
    dtype.map(|dtype| format!(": {}", dtype.node)).unwrap_or_default()
}

/// The keyword of a declaration and its entries.
pub(super) fn declaration(decl: &Decl) -> (&'static str, Vec<Entry>) {
    match &decl.kind {
        DeclKind::Size(xs) => ("size", xs.iter().map(value).collect()),
        DeclKind::Const(xs) => ("const", xs.iter().map(value).collect()),
        DeclKind::Require(xs) => ("require", xs.iter().map(|x| Entry::new(expr(x), x.span)).collect()),
        DeclKind::Axis(xs) => ("axis", xs.iter().map(axis).collect()),
        DeclKind::In(xs) => ("in", xs.iter().map(operand).collect()),
        DeclKind::Param(xs) => ("param", xs.iter().map(operand).collect()),
    }
}

fn value(x: &ValueDecl) -> Entry {
    Entry::new(Doc::Concat(vec![Doc::text(format!("{} = ", x.name)), expr(&x.value)]), x.span)
}

fn axis(x: &AxisDecl) -> Entry {
    let role = x.role.map(|role| format!(": {}", role.node)).unwrap_or_default();
    let mut parts = vec![Doc::text(format!("{}{role}", x.name))];
    if let Some(extent) = &x.extent {
        parts.extend([Doc::text(" = "), expr(extent)]);
    }
    Entry::new(Doc::Concat(parts), x.span)
}

pub(super) fn index(x: &IndexDecl) -> Entry {
    let names: Vec<_> = x.names.iter().map(Name::as_str).collect();
    Entry::new(Doc::Concat(vec![Doc::text(format!("{}: ", names.join(", "))), expr(&x.domain)]), x.span)
}

fn operand(x: &OperandDecl) -> Entry {
    match x {
        OperandDecl::Tensor(x) => tensor(x),
        OperandDecl::Group(x) => Entry::new(group_use(x), x.span),
    }
}

pub(super) fn tensor(x: &TensorDecl) -> Entry {
    let mut parts = vec![Doc::text(format!("{}{}{}", x.name, axes(&x.axes), dtype(x.dtype)))];
    if let Some(init) = &x.init {
        parts.extend([Doc::text(" ~ "), expr(init)]);
    }
    Entry::new(Doc::Concat(parts), x.span)
}

fn group_use(x: &GroupUse) -> Doc {
    Doc::text(format!("{}: {}{}", x.name, x.group, axes(&x.axes)))
}

pub(super) fn parameter(x: &FnParam) -> Doc {
    match x {
        FnParam::Group(x) => group_use(x),
        FnParam::Tensor(x) => {
            let guard = x.guard.as_ref().map(|g| format!(" where {}{}", g.name, axes(&g.axes))).unwrap_or_default();
            let mut parts = vec![Doc::text(format!("{}{}{guard}{}", x.name, axes(&x.axes), dtype(x.dtype)))];
            if let Some(default) = &x.default {
                parts.extend([Doc::text(" = "), expr(default)]);
            }
            Doc::Concat(parts)
        }
    }
}

/// The entries after `first`, separated by commas, on as many lines as they need; those after the first are indented by `indent`.
pub(super) fn fill(first: &str, indent: usize, entries: Vec<Entry>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut text = first.to_owned();
    // Nothing but the keyword or the indentation stands on the line yet.
    let mut empty = true;
    let count = entries.len();
    for (i, entry) in entries.into_iter().enumerate() {
        let comma = if i + 1 < count { "," } else { "" };
        let flat = entry.doc.flat();
        let room = text.chars().count() + flat.chars().count() + comma.len() + usize::from(!empty) <= INNER_WIDTH;
        if !empty && (entry.fresh_line || !room || entry.blank || !entry.before.is_empty()) {
            lines.push(Line { text: std::mem::replace(&mut text, " ".repeat(indent)), comment: None });
            empty = true;
        }
        if entry.blank && i > 0 {
            lines.push(Line { text: String::new(), comment: None });
        }
        // The first entry of a declaration has none, since they would come between it and its keyword.
        lines.extend(
            entry.before.into_iter().map(|comment| Line { text: " ".repeat(indent) + &comment, comment: None }),
        );
        if !empty {
            text.push(' ');
        }
        let column = text.chars().count();
        let mut rendered = entry.doc.render(column, indent + 2, INNER_WIDTH).into_iter();
        text += &rendered.next().unwrap_or_default();
        for next in rendered {
            lines.push(Line { text: std::mem::replace(&mut text, next), comment: None });
        }
        text += comma;
        empty = false;
        if let Some(comment) = entry.comment {
            lines.push(Line { text: std::mem::replace(&mut text, " ".repeat(indent)), comment: Some(comment) });
            empty = true;
        }
    }
    if !text.trim().is_empty() {
        lines.push(Line { text, comment: None });
    }
    lines
}
