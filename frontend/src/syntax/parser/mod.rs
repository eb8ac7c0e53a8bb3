//! A recursive-descent parser of the grammar in the reference manual.
//!
//! Hand-written, because a message depends on what the writer probably meant: a missing `let`, an `=` for `==`, a bracket left open.
//!
//! Errors: a production that cannot go on records one diagnostic and returns [`Reported`]; statements and items catch it, skip to the
//! next place where a statement or item can start, and go on. Since line ends mean nothing, such a place is a keyword, or a piece
//! `name[..] =` at the beginning of a line.
//!
//! Termination and stack: every loop consumes a token per turn or stops; recursion is counted by [`Parser::nested`], and the height of
//! the tree by [`Parser::node`].

mod declarations;
mod expressions;
mod items;

use std::sync::Arc;

use super::ast::{Expr, ExprKind, Name};
use super::token::{ITEM_WORDS, RESERVED, STATEMENT_WORDS, Token, TokenKind};
use super::{MAX_DEPTH, MAX_ERRORS, MAX_NESTING, clip};
use crate::diagnostics::{Diagnostic, Span, codes};

/// A diagnostic has been recorded; the caller only has to get out of the way.
pub(super) struct Reported;

type Parse<T> = Result<T, Reported>;

pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    /// Open recursive calls that consume stack.
    nesting: u32,
    /// The height of the expression that was parsed last.
    height: u32,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// An opening bracket whose closing one is awaited.
#[derive(Clone, Copy)]
struct Open {
    span: Span,
    close: &'static str,
}

impl<'a> Parser<'a> {
    /// `tokens` ends with [`TokenKind::End`].
    pub(super) fn new(text: &'a str, tokens: &'a [Token]) -> Parser<'a> {
        Parser { text, tokens, at: 0, nesting: 0, height: 0, diagnostics: Vec::new() }
    }

    // ---- looking

    fn token(&self, ahead: usize) -> Token {
        self.tokens[(self.at + ahead).min(self.tokens.len() - 1)]
    }

    /// The token that was taken last.
    fn previous(&self) -> Option<Token> {
        self.at.checked_sub(1).map(|at| self.tokens[at])
    }

    /// True if nothing more stands on the line of the token that was taken last.
    fn ends_line(&self) -> bool {
        self.token(0).first_on_line || self.at_end()
    }

    fn span(&self) -> Span {
        self.token(0).span
    }

    fn text_of(&self, span: Span) -> &'a str {
        &self.text[span.start as usize..span.end as usize]
    }

    /// The text of the token `ahead` if it is a name or keyword, else nothing.
    fn word(&self, ahead: usize) -> &'a str {
        let token = self.token(ahead);
        if token.kind == TokenKind::Word { self.text_of(token.span) } else { "" }
    }

    fn is_word(&self, ahead: usize) -> bool {
        self.token(ahead).kind == TokenKind::Word
    }

    fn is(&self, punct: &str) -> bool {
        self.is_ahead(0, punct)
    }

    fn is_ahead(&self, ahead: usize, punct: &str) -> bool {
        matches!(self.token(ahead).kind, TokenKind::Punct(p) if p == punct)
    }

    fn at_end(&self) -> bool {
        self.token(0).kind == TokenKind::End
    }

    /// True if the token `ahead` is a word that may be a name: neither reserved nor a keyword by the name that follows it.
    fn is_name(&self, ahead: usize) -> bool {
        let word = self.word(ahead);
        !word.is_empty() && !RESERVED.contains(&word) && !self.is_keyword_by_context(ahead)
    }

    /// True at something that could be the operand of an operator.
    fn is_operand(&self) -> bool {
        self.is_name(0) || self.is("(") || matches!(self.token(0).kind, TokenKind::Int(_) | TokenKind::Float(_))
    }

    /// True if a word that may be a name or a keyword is more likely a keyword where a name or value must stand: a name follows it in the
    /// same line, and does not itself start a statement. (Where a statement must stand, line ends do not matter.)
    fn is_keyword_by_context(&self, ahead: usize) -> bool {
        let word = self.word(ahead);
        (STATEMENT_WORDS.contains(&word) || ITEM_WORDS.contains(&word))
            && self.is_unreserved(ahead + 1)
            && !self.token(ahead + 1).first_on_line
            && !(STATEMENT_WORDS.contains(&self.word(ahead + 1)) && self.is_unreserved(ahead + 2))
    }

    fn is_unreserved(&self, ahead: usize) -> bool {
        self.is_word(ahead) && !RESERVED.contains(&self.word(ahead))
    }

    /// True at the keyword of a statement or declaration.
    fn at_statement(&self) -> bool {
        matches!(self.word(0), "let" | "rec" | "return" | "require")
            || STATEMENT_WORDS.contains(&self.word(0)) && self.is_unreserved(1)
    }

    /// True at the keyword of an item.
    fn at_item(&self) -> bool {
        matches!(self.word(0), "fn" | "layer") || ITEM_WORDS.contains(&self.word(0)) && self.is_unreserved(1)
    }

    /// True at the beginning of a line that reads like a piece: `name[ .. ] =`.
    fn at_piece(&self) -> bool {
        /// A subscript list has hardly more tokens than this, and recovery must not look ahead without bound.
        const WINDOW: usize = 64;
        if !(self.token(0).first_on_line && self.is_name(0) && self.is_ahead(1, "[")) {
            return false;
        }
        let mut depth = 0;
        for ahead in 1..WINDOW {
            match self.token(ahead).kind {
                TokenKind::Punct("[" | "(") => depth += 1,
                TokenKind::Punct("]" | ")") => depth -= 1,
                TokenKind::Punct("{" | "}") | TokenKind::End => return false,
                _ => {}
            }
            if depth == 0 {
                return self.is_ahead(ahead + 1, "=");
            }
        }
        false
    }

    // ---- taking

    fn bump(&mut self) -> Token {
        let token = self.token(0);
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn eat(&mut self, punct: &str) -> bool {
        let found = self.is(punct);
        if found {
            self.bump();
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.word(0) == word;
        if found {
            self.bump();
        }
        found
    }

    /// From `start` to the last token that was taken.
    fn since(&self, start: Span) -> Span {
        start.to(self.tokens[self.at.saturating_sub(1)].span)
    }

    fn expect(&mut self, punct: &'static str) -> Parse<()> {
        if self.eat(punct) { Ok(()) } else { Err(self.unexpected(&[&format!("`{punct}`")])) }
    }

    /// Takes an opening bracket, which must be there.
    fn open(&mut self, bracket: &'static str, close: &'static str) -> Parse<Open> {
        let span = self.span();
        self.expect(bracket)?;
        Ok(Open { span, close })
    }

    /// Takes the closing bracket. `or` is what else could have stood here.
    fn close(&mut self, open: Open, or: &[&str]) -> Parse<()> {
        if self.eat(open.close) {
            return Ok(());
        }
        let close = format!("`{}`", open.close);
        if self.at_end() || self.is("}") || self.at_statement() || self.at_item() || self.at_piece() {
            return Err(self.unclosed(open));
        }
        let mut expected = or.to_vec();
        expected.push(&close);
        Err(self.unexpected(&expected))
    }

    fn unclosed(&mut self, open: Open) -> Reported {
        let bracket = self.text_of(open.span);
        let found = self.found();
        let (here, close) = (self.span(), open.close);
        self.report(
            Diagnostic::error(codes::E0007, format!("this `{bracket}` is never closed"))
                .at(open.span, "opened here")
                .also(here, format!("`{close}` is missing before {found}"))
                .expected([format!("`{close}`")]),
        )
    }

    fn name(&mut self, what: &str) -> Parse<Name> {
        if self.is_name(0) {
            let span = self.bump().span;
            return Ok(Name { text: Arc::from(self.text_of(span)), span });
        }
        match self.misused_word(what) {
            Some(name) => Ok(name),
            None => Err(self.unexpected(&[what])),
        }
    }

    /// Takes a reserved word that was meant as a name, with an error; nothing if it was probably meant as the keyword.
    fn misused_word(&mut self, what: &str) -> Option<Name> {
        let word = self.word(0);
        let keyword = matches!(word, "if" | "then" | "else" | "where" | "and" | "or" | "not");
        if !RESERVED.contains(&word) || keyword || self.token(0).first_on_line {
            return None;
        }
        let span = self.span();
        self.report(
            Diagnostic::error(codes::E0018, format!("`{word}` is a reserved word and cannot be {what}"))
                .at(span, "reserved word")
                .expected([what])
                .hint(format!("choose another name, for instance `{word}_`")),
        );
        self.bump();
        Some(Name { text: Arc::from(word), span })
    }

    /// `[a, b, c]` of names; at least one.
    fn axes(&mut self) -> Parse<Vec<Name>> {
        let open = self.open("[", "]")?;
        self.reject_empty(open)?;
        let mut names = Vec::new();
        loop {
            names.push(self.name("the name of an axis")?);
            if !self.eat(",") || self.is("]") {
                break;
            }
        }
        self.close(open, &["`,`"])?;
        Ok(names)
    }

    /// As [`axes`](Self::axes), or nothing.
    fn optional_axes(&mut self) -> Parse<Vec<Name>> {
        if self.is("[") { self.axes() } else { Ok(Vec::new()) }
    }

    fn reject_empty(&mut self, open: Open) -> Parse<()> {
        if !self.is("]") {
            return Ok(());
        }
        let span = open.span.to(self.span());
        Err(self.report(
            Diagnostic::error(codes::E0023, "square brackets must hold at least one axis or subscript")
                .at(span, "nothing in here")
                .hint("leave the brackets away: a scalar has none, and a tensor without them stands at its declared indices"),
        ))
    }

    // ---- reporting

    /// Records a diagnostic, unless the lexer has already complained about this very token.
    fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        if self.token(0).kind != TokenKind::Bad {
            self.diagnostics.push(diagnostic);
        }
        Reported
    }

    fn too_many_errors(&self) -> bool {
        self.diagnostics.len() >= MAX_ERRORS
    }

    /// The next token as a message calls it.
    fn found(&self) -> String {
        let token = self.token(0);
        let text = self.text_of(token.span);
        match token.kind {
            TokenKind::End => "the end of the file".to_owned(),
            TokenKind::Int(_) | TokenKind::Float(_) => format!("the number `{}`", clip(text)),
            TokenKind::Word if RESERVED.contains(&text) || self.is_keyword_by_context(0) => {
                format!("the keyword `{text}`")
            }

            TokenKind::Word | TokenKind::Punct(_) | TokenKind::Bad => format!("`{}`", clip(text)),
        }
    }

    /// Records that none of `expected` stands here.
    fn unexpected(&mut self, expected: &[&str]) -> Reported {
        let (found, span) = (self.found(), self.span());
        let wanted = match expected {
            [] => String::new(),
            [one] => (*one).to_owned(),
            [most @ .., last] => format!("{} or {last}", most.join(", ")),
        };
        let diagnostic = if self.is("=") && expected.contains(&"an operator") {
            Diagnostic::error(codes::E0012, "`=` cannot stand inside an expression")
                .at(span, "this defines a name; it does not compare")
                .hint("write `==` to compare")
        } else if self.word(0) == "where" {
            Diagnostic::error(codes::E0021, "`where` can only follow an argument of a reducer or function")
                .at(span, "no argument ends here")
                .hint("write `if condition then value else value`, or move the guard into the call")
        } else {
            let diagnostic = Diagnostic::error(codes::E0006, format!("expected {wanted}, found {found}"));
            // What is missing at the end of a line is missing there, not where the next line starts.
            match self.previous() {
                Some(last) if self.ends_line() && !expected.contains(&"an operator") => {
                    diagnostic.at(last.span, format!("expected {wanted} after this"))
                }
                _ => diagnostic.at(span, format!("expected {wanted}")),
            }
        };
        let diagnostic = diagnostic.expected(expected.iter().copied());
        if self.previous().is_some_and(|last| matches!(last.kind, TokenKind::Punct(","))) {
            self.report(diagnostic.hint("remove the `,`"))
        } else if !expected.contains(&"an operator") {
            self.report(diagnostic)
        } else if self.is("|") {
            self.report(diagnostic.hint("the logical operators are `and` and `or`; `|t|` is the extent of t"))
        } else if self.is_operand() && !expected.contains(&"`,`") {
            self.report(diagnostic.hint("write `*` if a product is meant"))
        } else {
            self.report(diagnostic)
        }
    }

    // ---- bounding

    /// Runs a production that may be entered again from inside.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.nesting >= MAX_NESTING {
            return Err(self.too_deep());
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    fn too_deep(&mut self) -> Reported {
        let span = self.span();
        self.report(
            Diagnostic::error(codes::E0008, "this expression is nested too deeply")
                .at(span, format!("more than {MAX_NESTING} brackets deep or {MAX_DEPTH} operations high"))
                .hint("give parts of it names with `let`"),
        )
    }

    /// An expression whose highest child is `children` high.
    fn node(&mut self, kind: ExprKind, start: Span, children: u32) -> Parse<Expr> {
        if children >= MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.height = children + 1;
        Ok(Expr { kind, span: self.since(start), parens: false })
    }
}
