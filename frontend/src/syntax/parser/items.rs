//! Items, blocks, and recovery from errors in them.

use super::declarations::Place;
use super::{Open, Parse, Parser, Reported};
use crate::diagnostics::{Diagnostic, codes};
use crate::syntax::ast::{
    Fn, FnBody, FnParam, FnResult, FnTensor, Group, GuardParam, Item, Layer, LayerItem, Path, Use,
};
use crate::syntax::token::TokenKind;

impl Parser<'_> {
    /// All items of the file that can be understood.
    pub(crate) fn items(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        while !self.at_end() && !self.too_many_errors() {
            match self.item() {
                Ok(item) => items.push(item),
                Err(Reported) => self.skip_to_item(),
            }
        }
        items
    }

    fn item(&mut self) -> Parse<Item> {
        match self.word(0) {
            "layer" => self.layer().map(Item::Layer),
            "fn" => self.function().map(Item::Fn),
            "group" => self.group().map(Item::Group),
            "use" => self.use_item().map(Item::Use),
            _ => Err(self.not_an_item()),
        }
    }

    fn not_an_item(&mut self) -> Reported {
        let (found, span) = (self.found(), self.span());
        for bracket in [")", "]", "}"] {
            if self.is(bracket) {
                let diagnostic = Diagnostic::error(codes::E0024, format!("this `{bracket}` closes nothing"));
                return self.report(diagnostic.at(span, "no open bracket"));
            }
        }
        // After a function `fn f(x) = expr` on the same line, something in the expression is missing.
        if self.at > 0 && !self.token(0).first_on_line && !self.is_ahead_closed() {
            return self.unexpected(&["an operator", "the next item"]);
        }
        let mut diagnostic = Diagnostic::error(codes::E0009, format!("expected an item, found {found}"))
            .at(span, "an item starts with `layer`, `fn`, `group` or `use`")
            .expected(["`layer`", "`fn`", "`group`", "`use`"]);
        if self.at_statement() {
            diagnostic = diagnostic.hint("statements belong inside `layer NAME { .. }` or a function");
        } else if self.is("//") {
            diagnostic = diagnostic.hint("a comment starts with `#`");
        } else if matches!(self.word(0), "def" | "func" | "function") {
            diagnostic = diagnostic.hint("a function is written `fn f(x) = ..`");
        } else if matches!(self.word(0), "import" | "from" | "include") {
            diagnostic = diagnostic.hint("other modules are used as in `use layers.norms`");
        }
        self.report(diagnostic)
    }

    /// True if the last token closed a block.
    fn is_ahead_closed(&self) -> bool {
        self.at > 0 && matches!(self.tokens[self.at - 1].kind, TokenKind::Punct("}"))
    }

    /// `use a.b`, `use a.b.{x, y}`
    fn use_item(&mut self) -> Parse<Use> {
        let start = self.bump().span;
        let first = self.name("the name of a module")?;
        let mut path = Path { span: first.span, segments: vec![first] };
        let mut names = None;
        while names.is_none() && self.eat(".") {
            if self.is("{") {
                let open = self.open("{", "}")?;
                let mut list = Vec::new();
                loop {
                    list.push(self.name("a name to use")?);
                    if !self.eat(",") || self.is("}") {
                        break;
                    }
                }
                self.close(open, &["`,`"])?;
                names = Some(list);
            } else {
                path.segments.push(self.name("the name of a module")?);
                path.span = self.since(path.span);
            }
        }
        Ok(Use { path, names, span: self.since(start) })
    }

    fn group(&mut self) -> Parse<Group> {
        let start = self.bump().span;
        let name = self.name("the name of the group")?;
        let axes = self.axes()?;
        let open = self.open("{", "}")?;
        let mut fields = Vec::new();
        while !self.is("}") {
            if self.at_end() || self.at_item() || self.at_statement() {
                return Err(self.unclosed(open));
            }
            fields.push(self.tensor_decl("the name of a tensor")?);
            self.eat(",");
        }
        self.close(open, &[])?;
        Ok(Group { name, axes, fields, body_span: self.since(open.span), span: self.since(start) })
    }

    fn layer(&mut self) -> Parse<Layer> {
        let start = self.bump().span;
        let name = self.name("the name of the layer")?;
        let open = self.open("{", "}")?;
        let items = self.block(open, Place::Layer)?;
        Ok(Layer { name, items, body_span: self.since(open.span), span: self.since(start) })
    }

    fn function(&mut self) -> Parse<Fn> {
        let start = self.bump().span;
        let name = self.name("the name of the function")?;
        let axes = self.optional_axes()?;
        let open = self.open("(", ")")?;
        let mut params = Vec::new();
        while !self.is(")") {
            params.push(self.fn_param()?);
            if !self.eat(",") {
                break;
            }
        }
        self.close(open, &["`,`"])?;
        let result = if self.eat("->") {
            let name = self.name("the name of the result")?;
            let axes = self.axes()?;
            let span = self.since(name.span);
            Some(FnResult { name, axes, span })
        } else {
            None
        };
        let body_span;
        let body = if self.eat("=") {
            let value = self.expr()?;
            body_span = value.span;
            FnBody::Expr(value)
        } else if self.is("{") {
            let open = self.open("{", "}")?;
            let lines = self.block(open, Place::Fn)?;
            // Declarations have been reported; a function has none.
            body_span = self.since(open.span);
            FnBody::Block(lines.into_iter().filter_map(into_stmt).collect())
        } else if result.is_none() {
            return Err(self.unexpected(&["`->`", "`=`", "`{`"]));
        } else {
            return Err(self.unexpected(&["`=`", "`{`"]));
        };
        Ok(Fn { name, axes, params, result, body, body_span, span: self.since(start) })
    }

    fn fn_param(&mut self) -> Parse<FnParam> {
        if self.is_name(0) && self.at_group_use() {
            return Ok(FnParam::Group(self.group_use()?));
        }
        let name = self.name("the name of a parameter")?;
        let axes = self.optional_axes()?;
        let guard = if self.eat_word("where") {
            let name = self.name("the name of the guard")?;
            let axes = self.axes()?;
            let span = self.since(name.span);
            Some(GuardParam { name, axes, span })
        } else {
            None
        };
        let dtype = self.optional_dtype()?;
        let default = if self.eat("=") { Some(self.expr()?) } else { None };
        let span = self.since(name.span);
        Ok(FnParam::Tensor(FnTensor { name, axes, guard, dtype, default, span }))
    }

    /// The lines up to the closing brace. Errors in them are recovered from here.
    fn block(&mut self, open: Open, place: Place) -> Parse<Vec<LayerItem>> {
        let mut lines = Vec::new();
        while !self.eat("}") {
            if self.at_end() || self.at_item() {
                return Err(self.unclosed(open));
            }
            if self.too_many_errors() {
                return Err(Reported);
            }
            match self.line(place) {
                Ok(line) => lines.push(line),
                Err(Reported) => self.skip_to_line(),
            }
        }
        Ok(lines)
    }

    /// Skips at least one token unless already there.
    fn skip_to_line(&mut self) {
        while !(self.at_end() || self.is("}") || self.at_statement() || self.at_item() || self.at_piece()) {
            self.bump();
        }
    }

    /// Skips to the next item that starts a line, and at least one token unless already there.
    fn skip_to_item(&mut self) {
        while !(self.at_end() || self.at_item() && self.token(0).first_on_line) {
            self.bump();
        }
    }
}

fn into_stmt(line: LayerItem) -> Option<crate::syntax::ast::Stmt> {
    match line {
        LayerItem::Stmt(stmt) => Some(stmt),
        LayerItem::Decl(_) => None,
    }
}
