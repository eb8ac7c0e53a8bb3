//! Expressions, by precedence climbing.

use std::sync::Arc;

use super::{Open, Parse, Parser};
use crate::diagnostics::{Diagnostic, Span, codes};
use crate::syntax::ast::{Arg, BinaryOp, CompareOp, Expr, ExprKind, Name, Path, Reducer, Spanned, UnaryOp};
use crate::syntax::clip;
use crate::syntax::token::TokenKind;

/// Binding strengths; a tighter one is greater.
mod level {
    pub(super) const OR: u8 = 1;
    pub(super) const AND: u8 = 2;
    pub(super) const NOT: u8 = 3;
    pub(super) const COMPARE: u8 = 4;
    pub(super) const SUM: u8 = 5;
    pub(super) const PRODUCT: u8 = 6;
}

/// An operator between two operands.
enum Infix {
    Binary(BinaryOp, u8),
    Compare(CompareOp),
}

impl Parser<'_> {
    /// `"if" expr "then" expr "else" expr | or`. What follows must not continue the expression; callers say what else it may be.
    pub(super) fn expr(&mut self) -> Parse<Expr> {
        self.nested(|p| if p.word(0) == "if" { p.conditional() } else { p.infix(level::OR) })
    }

    fn conditional(&mut self) -> Parse<Expr> {
        let start = self.bump().span;
        let cond = self.expr()?;
        let mut height = self.height;
        self.expect_of_if("then", start)?;
        let yes = self.expr()?;
        height = height.max(self.height);
        self.expect_of_if("else", start)?;
        let no = self.expr()?;
        height = height.max(self.height);
        self.node(ExprKind::If { cond: Box::new(cond), yes: Box::new(yes), no: Box::new(no) }, start, height)
    }

    fn expect_of_if(&mut self, word: &'static str, start: Span) -> Parse<()> {
        if self.eat_word(word) {
            return Ok(());
        }
        if self.is("=") {
            return Err(self.unexpected(&["an operator", &format!("`{word}`")]));
        }
        let (found, span) = (self.found(), self.span());
        Err(self.report(
            Diagnostic::error(codes::E0020, format!("`if` without `{word}`"))
                .at(start, "this `if`")
                .also(span, format!("expected `{word}`, found {found}"))
                .expected([format!("`{word}`")])
                .hint("an `if` has a value in both cases: `if condition then value else value`"),
        ))
    }

    fn peek_infix(&self) -> Option<(Infix, u8)> {
        let token = self.token(0);
        let text = match token.kind {
            TokenKind::Punct(text) => text,
            TokenKind::Word => self.text_of(token.span),
            _ => return None,
        };
        if let Some(op) = CompareOp::from_word(text) {
            return Some((Infix::Compare(op), level::COMPARE));
        }
        let op = BinaryOp::from_word(text)?;
        let level = match op {
            BinaryOp::Or => level::OR,
            BinaryOp::And => level::AND,
            BinaryOp::Add | BinaryOp::Sub => level::SUM,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem => level::PRODUCT,
            BinaryOp::Pow => return None,
        };
        Some((Infix::Binary(op, level), level))
    }

    /// Operators that bind at least as tightly as `least`.
    fn infix(&mut self, least: u8) -> Parse<Expr> {
        let start = self.span();
        let mut lhs = if least <= level::NOT && self.word(0) == "not" {
            self.bump();
            let operand = self.nested(|p| p.infix(level::NOT))?;
            let height = self.height;
            self.node(ExprKind::Unary { op: UnaryOp::Not, operand: Box::new(operand) }, start, height)?
        } else {
            self.unary()?
        };
        while let Some((infix, level)) = self.peek_infix()
            && level >= least
        {
            let mut height = self.height;
            let kind = match infix {
                Infix::Binary(op, level) => {
                    self.bump();
                    let rhs = self.infix(level + 1)?;
                    height = height.max(self.height);
                    ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }
                }
                Infix::Compare(_) => {
                    let mut rest = Vec::new();
                    while let Some((Infix::Compare(op), _)) = self.peek_infix() {
                        self.bump();
                        rest.push((op, self.infix(level::SUM)?));
                        height = height.max(self.height);
                    }
                    ExprKind::Compare { first: Box::new(lhs), rest }
                }
            };
            lhs = self.node(kind, start, height)?;
        }
        Ok(lhs)
    }

    /// `"-" un | post ["^" un]`
    fn unary(&mut self) -> Parse<Expr> {
        let start = self.span();
        if self.eat("-") {
            let operand = self.nested(Self::unary)?;
            let height = self.height;
            return self.node(ExprKind::Unary { op: UnaryOp::Neg, operand: Box::new(operand) }, start, height);
        }
        let base = self.postfix()?;
        if !self.eat("^") {
            return Ok(base);
        }
        let height = self.height;
        let exponent = self.nested(Self::unary)?;
        let height = height.max(self.height);
        let kind = ExprKind::Binary { op: BinaryOp::Pow, lhs: Box::new(base), rhs: Box::new(exponent) };
        self.node(kind, start, height)
    }

    fn postfix(&mut self) -> Parse<Expr> {
        let start = self.span();
        match self.token(0).kind {
            TokenKind::Int(value) => {
                self.bump();
                self.node(ExprKind::Int(value), start, 0)
            }
            TokenKind::Float(value) => {
                self.bump();
                self.node(ExprKind::Float { value, text: Arc::from(self.text_of(start)) }, start, 0)
            }
            TokenKind::Punct("(") => {
                let open = self.open("(", ")")?;
                let inner = self.expr()?;
                self.close(open, &["an operator"])?;
                Ok(Expr { kind: inner.kind, span: self.since(start), parens: true })
            }
            TokenKind::Punct("|") if self.is_name(1) => {
                let open = self.open("|", "|")?;
                let name = self.name("the name of an axis")?;
                self.close(open, &[])?;
                self.node(ExprKind::Extent(name), start, 0)
            }
            TokenKind::Word if self.is_name(0) => self.named(),
            _ => match self.misused_word("a value") {
                Some(name) => self.node(ExprKind::Ref(Path { span: name.span, segments: vec![name] }), start, 0),
                None => Err(self.no_expression()),
            },
        }
    }

    /// Everything that starts with a name.
    fn named(&mut self) -> Parse<Expr> {
        let start = self.span();
        let mut path = Path { segments: vec![self.name("a name")?], span: start };
        while self.eat(".") {
            path.segments.push(self.name("the name of a tensor in the group")?);
        }
        path.span = self.since(start);
        if self.is("[") {
            let (subscripts, height) = self.subscripts()?;
            if self.is("(") {
                let callee = self.callee(path)?;
                let axes = subscripts.into_iter().map(|s| self.axis_name(s)).collect::<Parse<Vec<_>>>()?;
                return self.call(callee, axes);
            }
            return self.node(ExprKind::Subscript { base: path, subscripts }, start, height);
        }
        if self.is("(") {
            let callee = self.callee(path)?;
            return if self.at_binders() { self.reduction(&callee) } else { self.call(callee, Vec::new()) };
        }
        self.node(ExprKind::Ref(path), start, 0)
    }

    /// `[expr, ..]` and the height of the highest.
    pub(super) fn subscripts(&mut self) -> Parse<(Vec<Expr>, u32)> {
        let open = self.open("[", "]")?;
        self.reject_empty(open)?;
        let (mut subscripts, mut height) = (Vec::new(), 0);
        loop {
            subscripts.push(self.expr()?);
            height = height.max(self.height);
            if !self.eat(",") || self.is("]") {
                break;
            }
        }
        self.close(open, &["an operator", "`,`"])?;
        Ok((subscripts, height))
    }

    fn callee(&mut self, path: Path) -> Parse<Name> {
        match path.as_name() {
            Some(name) => Ok(name.clone()),
            None => Err(self.report(
                Diagnostic::error(codes::E0022, format!("`{}` cannot be called", clip(&path.to_string())))
                    .at(path.span, "a dotted name is a tensor of a parameter group, not a function")
                    .hint("write `*` if a product is meant"),
            )),
        }
    }

    fn axis_name(&mut self, subscript: Expr) -> Parse<Name> {
        if let ExprKind::Ref(path) = &subscript.kind
            && let Some(name) = path.as_name()
            && !subscript.parens
        {
            return Ok(name.clone());
        }
        Err(self.report(
            Diagnostic::error(codes::E0016, "the brackets before a call must name axes")
                .at(subscript.span, "not the name of an axis")
                .expected(["the name of an axis"])
                .hint("subscript the argument instead, or write `*` if a product is meant"),
        ))
    }

    /// True at `( name , .. :`.
    fn at_binders(&self) -> bool {
        let mut ahead = 1;
        while self.is_word(ahead) && self.is_ahead(ahead + 1, ",") {
            ahead += 2;
        }
        self.is_word(ahead) && self.is_ahead(ahead + 1, ":")
    }

    fn reduction(&mut self, callee: &Name) -> Parse<Expr> {
        let op = Reducer::from_word(callee.as_str()).unwrap_or_else(|| {
            let known: Vec<_> = Reducer::ALL.iter().map(|op| format!("`{op}`")).collect();
            self.report(
                Diagnostic::error(codes::E0013, format!("`{}` is not a reducer", clip(callee.as_str())))
                    .at(callee.span, "unknown reducer")
                    .expected(known)
                    .hint(match callee.as_str() {
                        "prod" | "product" => "write `exp(sum(j: log(x)))` where the factors are positive",
                        "avg" | "average" => "write `mean(j: ..)`",
                        _ => "a function is applied over an axis as in `softmax[j](x)`",
                    }),
            );
            Reducer::Sum
        });
        let open = self.open("(", ")")?;
        let mut binders = Vec::new();
        loop {
            binders.push(self.name("the name of an index")?);
            if !self.eat(",") {
                break;
            }
        }
        self.expect(":")?;
        let (arg, height) = self.arg()?;
        self.close(open, if arg.guard.is_some() { &["an operator"] } else { &["an operator", "`where`"] })?;
        let op = Spanned { node: op, span: callee.span };
        self.node(ExprKind::Reduce { op, binders, arg: Box::new(arg) }, callee.span, height)
    }

    fn call(&mut self, callee: Name, axes: Vec<Name>) -> Parse<Expr> {
        let open = self.open("(", ")")?;
        let (mut args, mut height) = (Vec::new(), 0);
        while !self.is(")") {
            let (arg, arg_height) = self.arg()?;
            args.push(arg);
            height = height.max(arg_height);
            if !self.eat(",") {
                break;
            }
        }
        self.close_call(open, &callee)?;
        let start = callee.span;
        self.node(ExprKind::Call { callee, axes, args }, start, height)
    }

    fn close_call(&mut self, open: Open, callee: &Name) -> Parse<()> {
        let before = self.diagnostics.len();
        let closed = self.close(open, &["an operator", "`,`"]);
        if closed.is_err()
            && Reducer::from_word(callee.as_str()).is_some()
            && let Some(diagnostic) = self.diagnostics.get_mut(before)
            && diagnostic.hint.is_none()
        {
            diagnostic.hint = Some(format!("a reducer is written `{callee}(j: value where guard)`"));
        }
        closed
    }

    /// `expr ["where" expr]` and its height.
    fn arg(&mut self) -> Parse<(Arg, u32)> {
        let start = self.span();
        let value = self.expr()?;
        let mut height = self.height;
        let guard = if self.eat_word("where") {
            let guard = self.expr()?;
            height = height.max(self.height);
            Some(guard)
        } else {
            None
        };
        Ok((Arg { value, guard, span: self.since(start) }, height))
    }

    fn no_expression(&mut self) -> super::Reported {
        let (found, span) = (self.found(), self.span());
        let previous = self.previous();
        let after = previous.map(|token| self.text_of(token.span)).unwrap_or_default();
        let word = self.word(0);
        if matches!(word, "if" | "not") {
            return self.report(
                Diagnostic::error(codes::E0019, format!("`{word}` as an operand needs parentheses"))
                    .at(span, format!("binds looser than the `{after}` before it"))
                    .hint(format!("write `({word} ..)`")),
            );
        }
        if word == "where" {
            return self.unexpected(&["an expression"]);
        }
        let mut diagnostic = Diagnostic::error(codes::E0011, format!("expected an expression, found {found}"))
            .expected(["an expression"]);
        diagnostic = match previous {
            Some(token) if self.ends_line() => diagnostic.at(token.span, "a value must follow this"),
            _ => diagnostic.at(span, "a value must stand here"),
        };
        if after == "*" && self.is("*") {
            diagnostic = diagnostic.hint("a power is written `^`");
        } else if after == "|" || self.is("|") && self.is_ahead(1, "|") {
            diagnostic = diagnostic.hint("the logical operators are `and` and `or`; `|t|` is the extent of t");
        } else if after == "," {
            diagnostic = diagnostic.hint("remove the `,`");
        } else if let Some(previous) = previous
            && matches!(previous.kind, TokenKind::Punct(_))
            && (self.is("=") || self.is(">"))
            && matches!(after, "=" | "<" | "-")
        {
            diagnostic = diagnostic.hint("operators of two characters have no blank inside");
        }
        self.report(diagnostic)
    }
}
