//! Declarations and statements: the lines of layers and function bodies.

use super::{Parse, Parser, Reported};
use crate::diagnostics::{Diagnostic, codes};
use crate::syntax::ast::{
    AxisDecl, AxisRole, Binding, Decl, DeclKind, Dtype, Expr, GroupUse, IndexDecl, LayerItem, OperandDecl, Piece,
    Spanned, Stmt, StmtKind, TensorDecl, ValueDecl,
};
use crate::syntax::clip;

/// Where a statement stands, which decides what it may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Layer,
    Fn,
}

impl Parser<'_> {
    /// One line of a layer or function body. Not at the end, at `}` or at an item.
    pub(super) fn line(&mut self, place: Place) -> Parse<LayerItem> {
        let start = self.span();
        let word = self.word(0);
        if !self.at_statement() {
            return self.piece(place).map(LayerItem::Stmt);
        }
        let belongs = match word {
            "let" | "rec" | "index" => true,
            "return" => place == Place::Fn,
            _ => place == Place::Layer,
        };
        if !belongs {
            let (here, there) = match place {
                Place::Layer => ("a layer", "a function"),
                Place::Fn => ("a function", "a layer"),
            };
            self.report(
                Diagnostic::error(codes::E0017, format!("`{word}` cannot stand in {here}"))
                    .at(start, format!("belongs in {there}"))
                    .hint(match (word, place) {
                        ("return", _) => "a layer's results are its outputs: `out y[b,t] = ..`",
                        ("out", _) => "a function's result is `return ..`, or the pieces of its named result",
                        _ => "pass the value as a parameter; the extent of an axis t is `|t|`",
                    }),
            );
            // It is parsed all the same, so that the errors inside it come out too.
        }
        self.bump();
        let kind = match word {
            "size" => Ok(DeclKind::Size(self.list(Self::value_decl)?)),
            "const" => Ok(DeclKind::Const(self.list(Self::value_decl)?)),
            "require" => Ok(DeclKind::Require(self.list(Self::expr)?)),
            "axis" => Ok(DeclKind::Axis(self.list(Self::axis_decl)?)),
            "in" => Ok(DeclKind::In(self.list(Self::operand_decl)?)),
            "param" => Ok(DeclKind::Param(self.list(Self::operand_decl)?)),
            "index" => Err(StmtKind::Index(self.list(Self::index_decl)?)),
            "let" => Err(StmtKind::Let(self.binding()?)),
            "rec" => {
                let binding = self.binding()?;
                if binding.axes.is_empty() {
                    return Err(self.report(
                        Diagnostic::error(codes::E0006, format!("`rec {}` needs axes", clip(binding.name.as_str())))
                            .at(binding.name.span, "expected `[` and the axes after this")
                            .expected(["`[`"])
                            .hint("a recurrence runs over time: `rec S[t] = ..`"),
                    ));
                }
                Err(StmtKind::Rec(binding))
            }
            "out" => Err(StmtKind::Out(self.binding()?)),
            _ => Err(StmtKind::Return(self.expr()?)),
        };
        let span = self.since(start);
        Ok(match kind {
            Ok(kind) => LayerItem::Decl(Decl { kind, span }),
            Err(kind) => LayerItem::Stmt(Stmt { kind, span }),
        })
    }

    fn list<T>(&mut self, entry: impl Fn(&mut Self) -> Parse<T>) -> Parse<Vec<T>> {
        let mut entries = vec![entry(self)?];
        while self.eat(",") {
            entries.push(entry(self)?);
        }
        Ok(entries)
    }

    fn value_decl(&mut self) -> Parse<ValueDecl> {
        let name = self.name("a name")?;
        self.expect("=")?;
        let value = self.expr()?;
        let span = self.since(name.span);
        Ok(ValueDecl { name, value, span })
    }

    fn axis_decl(&mut self) -> Parse<AxisDecl> {
        let name = self.name("the name of an axis")?;
        let role = if self.eat(":") { Some(self.axis_role()?) } else { None };
        let extent = if self.eat("=") { Some(self.expr()?) } else { None };
        let span = self.since(name.span);
        Ok(AxisDecl { name, role, extent, span })
    }

    fn axis_role(&mut self) -> Parse<Spanned<AxisRole>> {
        let name = self.name("the role `time`")?;
        match AxisRole::from_word(name.as_str()) {
            Some(node) => Ok(Spanned { node, span: name.span }),
            None => Err(self.report(
                Diagnostic::error(codes::E0015, format!("`{}` is not a role of an axis", clip(name.as_str())))
                    .at(name.span, "unknown role")
                    .expected(["`time`"])
                    .hint("an axis without a role needs no `:`; its extent is written `axis c = |t| // 4`"),
            )),
        }
    }

    fn index_decl(&mut self) -> Parse<IndexDecl> {
        let mut names = vec![self.name("the name of an index")?];
        while self.eat(",") {
            names.push(self.name("the name of an index")?);
        }
        if !self.eat(":") {
            return Err(self.unexpected(&["`,`", "`:` and a domain"]));
        }
        let domain = self.expr()?;
        let span = self.since(names[0].span);
        Ok(IndexDecl { names, domain, span })
    }

    fn operand_decl(&mut self) -> Parse<OperandDecl> {
        if self.is_name(0) && self.at_group_use() {
            return Ok(OperandDecl::Group(self.group_use()?));
        }
        Ok(OperandDecl::Tensor(self.tensor_decl("the name of a tensor")?))
    }

    /// True at `name : name [`; a tensor's axes stand before its `:`.
    pub(super) fn at_group_use(&self) -> bool {
        self.is_ahead(1, ":") && self.is_word(2) && self.is_ahead(3, "[")
    }

    pub(super) fn group_use(&mut self) -> Parse<GroupUse> {
        let name = self.name("a name")?;
        self.expect(":")?;
        let group = self.name("the name of a group")?;
        let axes = self.axes()?;
        let span = self.since(name.span);
        Ok(GroupUse { name, group, axes, span })
    }

    pub(super) fn tensor_decl(&mut self, what: &str) -> Parse<TensorDecl> {
        let name = self.name(what)?;
        let axes = self.optional_axes()?;
        let dtype = self.optional_dtype()?;
        let init = if self.eat("~") { Some(self.expr()?) } else { None };
        if init.is_none() && self.is("=") {
            let span = self.span();
            return Err(self.report(
                Diagnostic::error(codes::E0006, "a tensor that is given from outside has no definition")
                    .at(span, "expected `~`")
                    .expected(["`~`", "`,`"])
                    .hint("the distribution of its initial values is written `~ normal(0, 1)`"),
            ));
        }
        let span = self.since(name.span);
        Ok(TensorDecl { name, axes, dtype, init, span })
    }

    pub(super) fn optional_dtype(&mut self) -> Parse<Option<Spanned<Dtype>>> {
        if !self.eat(":") {
            return Ok(None);
        }
        let name = self.name("an element type")?;
        match Dtype::from_word(name.as_str()) {
            Some(node) => Ok(Some(Spanned { node, span: name.span })),
            None => Err(self.report(
                Diagnostic::error(codes::E0014, format!("`{}` is not an element type", clip(name.as_str())))
                    .at(name.span, "unknown element type")
                    .expected(Dtype::ALL.iter().map(|dtype| format!("`{dtype}`")))
                    .hint(match name.as_str() {
                        "float32" | "fp32" | "single" | "real" => "write `f32`",
                        "float64" | "fp64" | "double" => "write `f64`",
                        "float16" | "fp16" | "half" => "write `f16`",
                        "bfloat16" | "bfloat" => "write `bf16`",
                        "int64" | "long" | "index" => "write `i64`",
                        "int32" => "write `i32`",
                        _ => "without an annotation, a value has the type that follows from its definition",
                    }),
            )),
        }
    }

    fn binding(&mut self) -> Parse<Binding> {
        let name = self.name("a name")?;
        let axes = self.optional_axes()?;
        let dtype = self.optional_dtype()?;
        if !self.eat("=") {
            return Err(match (axes.is_empty(), dtype.is_none()) {
                (true, true) => self.unexpected(&["`[`", "`:`", "`=`"]),
                (false, true) => self.unexpected(&["`:`", "`=`"]),
                _ => self.unexpected(&["`=`"]),
            });
        }
        let value = self.expr()?;
        Ok(Binding { name, axes, dtype, value })
    }

    /// `NAME[expr, ..] = expr`, or what is no statement at all.
    fn piece(&mut self, place: Place) -> Parse<Stmt> {
        let start = self.span();
        if !(self.is_name(0) && self.is_ahead(1, "[") && self.begins_line()) {
            return Err(self.not_a_statement(place));
        }
        let name = self.name("a name")?;
        let (subscripts, _) = self.subscripts()?;
        if !self.is("=") {
            return Err(self.unexpected(&["`=`"]));
        }
        if place == Place::Layer {
            self.report(
                Diagnostic::error(codes::E0017, "a piece of a result cannot stand in a layer")
                    .at(self.since(start), "belongs in a function with a named result")
                    .hint(if subscripts.iter().all(is_plain_name) {
                        format!("write `let {}[..] = ..` to define a value", clip(name.as_str()))
                    } else {
                        format!("write a function `fn f[d](..) -> {}[d] {{ .. }}` and call it", clip(name.as_str()))
                    }),
            );
        }
        self.bump();
        let value = self.expr()?;
        Ok(Stmt { kind: StmtKind::Piece(Piece { name, subscripts, value }), span: self.since(start) })
    }

    /// Two operands in a row are a missing operator if they share a line, and a new statement if not.
    fn begins_line(&self) -> bool {
        self.token(0).first_on_line
            || self.at == 0
            || matches!(self.tokens[self.at - 1].kind, super::TokenKind::Punct("{"))
            || self.at_assignment()
    }

    /// True at `name[ .. ] =` anywhere in a line.
    fn at_assignment(&self) -> bool {
        let mut depth = 0;
        for ahead in 1..64 {
            match self.token(ahead).kind {
                super::TokenKind::Punct("[") => depth += 1,
                super::TokenKind::Punct("]") => depth -= 1,
                super::TokenKind::End => return false,
                _ => {}
            }
            if depth == 0 {
                return self.is_ahead(ahead + 1, "=");
            }
        }
        false
    }

    fn not_a_statement(&mut self, place: Place) -> Reported {
        let (found, span) = (self.found(), self.span());
        let keyword = clip(self.word(0));
        if let Some(bracket) = [")", "]"].into_iter().find(|b| self.is(b)) {
            return self.report(
                Diagnostic::error(codes::E0024, format!("this `{bracket}` closes nothing")).at(span, "no open bracket"),
            );
        }
        if self.is_name(0) && self.is_ahead(1, "=") {
            return self.report(
                Diagnostic::error(codes::E0010, format!("`{keyword} = ..` is not a statement"))
                    .at(span, "a definition starts with a keyword")
                    .expected(["`let`"])
                    .hint(format!("write `let {keyword} = ..`")),
            );
        }
        let after_value = self.at > 0 && !matches!(self.tokens[self.at - 1].kind, super::TokenKind::Punct("{"));
        if after_value && (!self.token(0).first_on_line || self.is("=") || !self.is_word(0)) {
            return self.unexpected(&["an operator", "the next statement"]);
        }
        let known: &[&str] = match place {
            Place::Layer => &["let", "rec", "out", "index", "size", "const", "require", "axis", "in", "param"],
            Place::Fn => &["let", "rec", "index", "return"],
        };
        let mut diagnostic = Diagnostic::error(codes::E0010, format!("expected a statement, found {found}"))
            .at(span, "not the beginning of a statement")
            .expected(known.iter().map(|word| format!("`{word}`")));
        if self.is("//") {
            diagnostic = diagnostic.hint("a comment starts with `#`");
        } else if known.contains(&keyword.as_str()) {
            diagnostic = diagnostic.hint(format!("`{keyword}` must be followed by a name"));
        }
        self.report(diagnostic)
    }
}

fn is_plain_name(expr: &Expr) -> bool {
    matches!(&expr.kind, crate::syntax::ast::ExprKind::Ref(path) if path.as_name().is_some())
}
