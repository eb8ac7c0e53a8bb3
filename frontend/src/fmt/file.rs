//! Items, statements, and the comments between them.

use super::WIDTH;
use super::block::{Row, join, lay_out};
use super::doc::Doc;
use super::expr::{expr, subscripts};
use super::list::{self, Entry, Line};
use crate::diagnostics::Span;
use crate::syntax::ast::{
    Binding, Comment, Decl, File, Fn, FnBody, Group, Item, Layer, LayerItem, Name, Stmt, StmtKind, Use,
};

/// Walks over a tree and the comments of its source at the same time.
pub(super) struct Printer<'a> {
    file: &'a File,
    text: &'a str,
    /// The first comment that has not been placed.
    next: usize,
    /// The end of what was placed last, in bytes of the source.
    placed: u32,
}

impl<'a> Printer<'a> {
    pub(super) fn new(file: &'a File, text: &'a str) -> Printer<'a> {
        Printer { file, text, next: 0, placed: 0 }
    }

    pub(super) fn print(mut self) -> String {
        let mut lines = Vec::new();
        for item in &self.file.items {
            let mut rows = Vec::new();
            self.leading(item.span(), &mut rows, lines.is_empty());
            // Comments in the item's head have no place of their own.
            self.hoist(head_end(item), &mut rows);
            lay_out(rows, 0, &mut lines);
            let mut inner = match item {
                Item::Use(x) => vec![whole(use_item(x))],
                Item::Group(x) => self.group(x),
                Item::Fn(x) => self.function(x),
                Item::Layer(x) => self.layer(x),
            };
            self.placed = item.span().end;
            if let Some(last) = inner.last_mut()
                && last.comment.is_none()
            {
                last.comment = self.trailing(item.span().end, "");
            }
            lines.append(&mut inner);
        }
        let mut rows = Vec::new();
        self.comments_before(u32::MAX, &mut rows, lines.is_empty());
        lay_out(rows, 0, &mut lines);
        join(&lines)
    }

    // ---- comments and blank lines

    fn peek(&self) -> Option<&'a Comment> {
        self.file.comments.get(self.next)
    }

    /// The source between two places; empty where there is no source.
    fn between(&self, start: u32, end: u32) -> &'a str {
        self.text.get(start as usize..end as usize).unwrap_or("")
    }

    fn blank_line_before(&self, start: u32) -> bool {
        self.between(self.placed, start).bytes().filter(|&b| b == b'\n').count() > 1
    }

    /// All comments that start before `end`, on their own lines.
    fn comments_before(&mut self, end: u32, rows: &mut Vec<Row>, first: bool) {
        while let Some(comment) = self.peek()
            && comment.span.start < end
        {
            if self.blank_line_before(comment.span.start) && !(first && rows.is_empty()) {
                rows.push(Row::Blank);
            }
            rows.push(Row::Comment(comment.text.to_string()));
            self.placed = comment.span.end;
            self.next += 1;
        }
    }

    /// What stands before a statement or item: comments, and a blank line if there was one. `first` if it is the first in its block.
    fn leading(&mut self, span: Span, rows: &mut Vec<Row>, first: bool) {
        self.comments_before(span.start, rows, first);
        if self.blank_line_before(span.start) && !(first && rows.is_empty()) {
            rows.push(Row::Blank);
        }
    }

    /// Comments from inside something that has no lines of its own.
    fn hoist(&mut self, end: u32, rows: &mut Vec<Row>) {
        while let Some(comment) = self.peek()
            && comment.span.start < end
        {
            rows.push(Row::Comment(comment.text.to_string()));
            self.next += 1;
        }
    }

    /// The comment behind `end` on the same line, if only blanks and `between` stand before it.
    fn trailing(&mut self, end: u32, between: &str) -> Option<String> {
        let comment = self.peek().filter(|comment| !comment.own_line && comment.span.start >= end)?;
        let gap = self.between(end, comment.span.start);
        if gap.contains('\n') || gap.trim() != between && !gap.trim().is_empty() {
            return None;
        }
        self.next += 1;
        self.placed = comment.span.end;
        Some(comment.text.to_string())
    }

    // ---- items

    fn layer(&mut self, x: &Layer) -> Vec<Line> {
        let items: Vec<_> = x.items.iter().map(Inner::from).collect();
        self.block(format!("layer {} {{", x.name), x.body_span, &items)
    }

    fn function(&mut self, x: &Fn) -> Vec<Line> {
        let mut params = Vec::new();
        for param in &x.params {
            if !params.is_empty() {
                params.extend([Doc::text(","), Doc::Line]);
            }
            params.push(list::parameter(param));
        }
        let result = x.result.as_ref().map(|r| format!(" -> {}{}", r.name, list::axes(&r.axes))).unwrap_or_default();
        let close = match x.body {
            FnBody::Expr(_) => format!("){result} ="),
            FnBody::Block(_) => format!("){result} {{"),
        };
        let head =
            vec![Doc::text(format!("fn {}{}(", x.name, list::axes(&x.axes))), Doc::nest(4, params), Doc::text(close)];
        let mut head = Doc::group(head).render(0, 0, WIDTH);
        match &x.body {
            FnBody::Block(stmts) => {
                let last = head.pop().unwrap_or_default();
                let mut lines: Vec<_> = head.into_iter().map(whole).collect();
                let items: Vec<_> = stmts.iter().map(Inner::Stmt).collect();
                lines.extend(self.block(last, x.body_span, &items));
                lines
            }
            FnBody::Expr(value) => {
                let value = expr(value);
                let flat = value.flat();
                let last = head.last().map_or(0, |line| line.chars().count());
                if last + 1 + flat.chars().count() <= WIDTH {
                    if let Some(line) = head.last_mut() {
                        *line += &format!(" {flat}");
                    }
                } else {
                    let mut rendered = value.render(2, 4, WIDTH);
                    rendered[0].insert_str(0, "  ");
                    head.append(&mut rendered);
                }
                head.into_iter().map(whole).collect()
            }
        }
    }

    /// On one line if the writer has it on one and it fits.
    fn group(&mut self, x: &Group) -> Vec<Line> {
        let head = format!("group {}{} {{", x.name, list::axes(&x.axes));
        let end = x.body_span.end;
        let entries: Vec<_> = x.fields.iter().map(list::tensor).collect();
        let has_comments = self.peek().is_some_and(|comment| comment.span.start < end);
        let first = x.fields.first().map_or(end, |field| field.span.start);
        if !has_comments && !self.between(x.body_span.start, first).contains('\n') {
            let flat: Vec<_> = entries.iter().map(|entry| entry.doc.flat()).collect();
            let line = if flat.is_empty() { format!("{head}}}") } else { format!("{head} {} }}", flat.join(", ")) };
            if line.chars().count() <= WIDTH {
                return vec![whole(line)];
            }
        }
        let comment = self.opening(x.body_span.start);
        let (hoisted, entries) = self.entries(entries);
        let mut rows: Vec<_> = hoisted.into_iter().map(Row::Comment).collect();
        rows.push(Row::Lines(list::fill("", 0, entries)));
        self.comments_before(end, &mut rows, false);
        let mut lines = vec![Line { text: head, comment }];
        lay_out(rows, 2, &mut lines);
        lines.push(whole("}".to_owned()));
        lines
    }

    /// The comment behind an opening brace.
    fn opening(&mut self, brace: u32) -> Option<String> {
        self.placed = brace + 1;
        self.trailing(brace + 1, "")
    }

    // ---- statements

    /// `head { .. }` with a line per statement.
    fn block(&mut self, head: String, body: Span, items: &[Inner<'_>]) -> Vec<Line> {
        let comment = self.opening(body.start);
        let mut rows = Vec::new();
        for item in items {
            self.leading(item.span(), &mut rows, true);
            self.statement(item, &mut rows);
        }
        self.comments_before(body.end, &mut rows, true);
        if rows.is_empty() && comment.is_none() {
            return vec![whole(head + "}")];
        }
        let mut lines = vec![Line { text: head, comment }];
        lay_out(rows, 2, &mut lines);
        lines.push(whole("}".to_owned()));
        lines
    }

    fn statement(&mut self, item: &Inner<'_>, rows: &mut Vec<Row>) {
        let span = item.span();
        let (keyword, entries) = match item {
            Inner::Decl(decl) => list::declaration(decl),
            Inner::Stmt(Stmt { kind: StmtKind::Index(xs), .. }) => ("index", xs.iter().map(list::index).collect()),
            Inner::Stmt(stmt) => return self.definition(stmt, rows),
        };
        if let Some(first) = entries.first() {
            self.hoist(first.span.start, rows);
        }
        let (hoisted, entries) = self.entries(entries);
        rows.extend(hoisted.into_iter().map(Row::Comment));
        let first = format!("{keyword:5} ");
        rows.push(Row::Lines(list::fill(&first, first.len(), entries)));
        self.placed = self.placed.max(span.end);
    }

    fn definition(&mut self, stmt: &Stmt, rows: &mut Vec<Row>) {
        self.hoist(stmt.span.end, rows);
        self.placed = stmt.span.end;
        let comment = self.trailing(stmt.span.end, "");
        let binding =
            |word: &str, x: &Binding| format!("{word} {}{}{}", x.name, list::axes(&x.axes), list::dtype(x.dtype));
        let (left, right) = match &stmt.kind {
            StmtKind::Let(x) => (binding("let", x), &x.value),
            StmtKind::Rec(x) => (binding("rec", x), &x.value),
            StmtKind::Out(x) => (binding("out", x), &x.value),
            StmtKind::Piece(x) => (format!("{}{}", x.name, subscripts(&x.subscripts).flat()), &x.value),
            StmtKind::Return(value) => {
                let mut lines = expr(value).render("  return ".len(), 6, WIDTH);
                lines[0].insert_str(0, "  return ");
                // Rows are indented when they are laid out.
                let lines = lines.into_iter().map(|line| whole(line[2..].to_owned()));
                rows.push(Row::Lines(lines.collect()));
                if let Some(Row::Lines(lines)) = rows.last_mut()
                    && let Some(last) = lines.last_mut()
                {
                    last.comment = comment;
                }
                return;
            }
            StmtKind::Index(_) => return,
        };
        rows.push(Row::Definition { left, right: expr(right), comment });
    }

    /// Gives each entry the comments before and behind it. Those inside entries come back, to stand before all of them.
    fn entries(&mut self, mut entries: Vec<Entry>) -> (Vec<String>, Vec<Entry>) {
        let mut hoisted = Vec::new();
        for entry in &mut entries {
            let (start, end) = (entry.span.start, entry.span.end);
            let gap = self.between(self.placed, start);
            entry.fresh_line = gap.contains('\n');
            entry.blank = self.blank_line_before(self.peek().map_or(start, |comment| comment.span.start.min(start)));
            while let Some(comment) = self.peek()
                && comment.span.start < end
            {
                let place = if comment.span.start < start { &mut entry.before } else { &mut hoisted };
                place.push(comment.text.to_string());
                self.next += 1;
            }
            self.placed = end;
            entry.comment = self.trailing(end, ",");
        }
        (hoisted, entries)
    }
}

/// One line of a block: functions have fewer kinds than layers.
enum Inner<'a> {
    Decl(&'a Decl),
    Stmt(&'a Stmt),
}

impl<'a> Inner<'a> {
    fn from(item: &'a LayerItem) -> Inner<'a> {
        match item {
            LayerItem::Decl(decl) => Inner::Decl(decl),
            LayerItem::Stmt(stmt) => Inner::Stmt(stmt),
        }
    }

    fn span(&self) -> Span {
        match self {
            Inner::Decl(decl) => decl.span,
            Inner::Stmt(stmt) => stmt.span,
        }
    }
}

/// Up to where an item's comments belong to no line inside it.
fn head_end(item: &Item) -> u32 {
    match item {
        Item::Use(x) => x.span.end,
        Item::Group(x) => x.body_span.start,
        Item::Layer(x) => x.body_span.start,
        Item::Fn(x) => match x.body {
            FnBody::Expr(_) => x.span.end,
            FnBody::Block(_) => x.body_span.start,
        },
    }
}

fn whole(text: String) -> Line {
    Line { text, comment: None }
}

fn use_item(x: &Use) -> String {
    match &x.names {
        None => format!("use {}", x.path),
        Some(names) => {
            let names: Vec<_> = names.iter().map(Name::as_str).collect();
            format!("use {}.{{{}}}", x.path, names.join(", "))
        }
    }
}
