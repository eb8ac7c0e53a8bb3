//! From text to tokens and comments. Line ends mean nothing; comments run from `#` to the end of the line.

use super::ast::Comment;
use super::clip;
use super::token::{PUNCTUATION, Token, TokenKind};
use crate::diagnostics::{Diagnostic, SourceId, Span, codes};

/// What the lexer finds.
pub(super) struct Lexed {
    /// The tokens; the last one is [`TokenKind::End`].
    pub(super) tokens: Vec<Token>,
    pub(super) comments: Vec<Comment>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Splits `text`, of at most `SourceMap::MAX_BYTES`, into tokens. Gives up after `max_errors` errors.
pub(super) fn lex(source: SourceId, text: &str, max_errors: usize) -> Lexed {
    let mut lexer = Lexer {
        source,
        text,
        at: 0,
        fresh_line: true,
        out: Lexed { tokens: Vec::with_capacity(text.len() / 3), comments: Vec::new(), diagnostics: Vec::new() },
    };
    // A byte order mark is not part of the text.
    lexer.at = text.len() - text.trim_start_matches('\u{feff}').len();
    while lexer.out.diagnostics.len() < max_errors && lexer.step() {}
    let end = lexer.span(text.len());
    lexer.out.tokens.push(Token {
        kind: TokenKind::End,
        span: Span { start: end.end, ..end },
        first_on_line: lexer.fresh_line,
    });
    lexer.out
}

struct Lexer<'a> {
    source: SourceId,
    text: &'a str,
    /// The next byte.
    at: usize,
    /// No token of this line has been seen yet.
    fresh_line: bool,
    out: Lexed,
}

impl Lexer<'_> {
    /// From the next byte to `end`.
    fn span(&self, end: usize) -> Span {
        let offset = |byte: usize| u32::try_from(byte).unwrap_or(u32::MAX);
        Span::new(self.source, offset(self.at), offset(end))
    }

    /// The end of the run of characters after `from` that `belongs` holds for.
    fn run(&self, from: usize, belongs: impl Fn(char) -> bool) -> usize {
        let rest = &self.text[from..];
        from + rest.find(|c| !belongs(c)).unwrap_or(rest.len())
    }

    fn push(&mut self, kind: TokenKind, end: usize) {
        let token = Token { kind, span: self.span(end), first_on_line: self.fresh_line };
        self.out.tokens.push(token);
        self.fresh_line = false;
        self.at = end;
    }

    fn bad(&mut self, end: usize, diagnostic: Diagnostic) {
        self.out.diagnostics.push(diagnostic);
        self.push(TokenKind::Bad, end);
    }

    /// One token, comment or run of blanks; false at the end.
    fn step(&mut self) -> bool {
        let Some(c) = self.text[self.at..].chars().next() else { return false };
        if c == '\n' {
            self.fresh_line = true;
            self.at += 1;
        } else if c.is_whitespace() {
            self.at += c.len_utf8();
        } else if c == '#' {
            let end = self.run(self.at, |c| c != '\n');
            let text = self.text[self.at..end].trim_end();
            self.out.comments.push(Comment {
                text: text.into(),
                span: self.span(self.at + text.len()),
                own_line: self.fresh_line,
            });
            self.at = end;
        } else if c.is_ascii_alphabetic() || c == '_' {
            self.push(TokenKind::Word, self.run(self.at, is_word));
        } else if c.is_ascii_digit() {
            self.number();
        } else if let Some(&punct) = PUNCTUATION.iter().find(|p| self.text[self.at..].starts_with(**p)) {
            self.push(TokenKind::Punct(punct), self.at + punct.len());
        } else {
            self.strange(c);
        }
        true
    }

    /// `12`, `1.5`, `1e-5`, `1.5e3`.
    fn number(&mut self) {
        let digits = |from| self.run(from, |c| c.is_ascii_digit());
        let next = |at: usize| self.text.as_bytes().get(at).copied().unwrap_or(0);
        let mut end = digits(self.at);
        let mut float = false;
        // After the whole number everything that looks like part of one is taken into it, so that the message shows all of it.
        let mut well_formed = true;
        if next(end) == b'.' {
            float = true;
            well_formed &= next(end + 1).is_ascii_digit();
            end = digits(end + 1);
        }
        if matches!(next(end), b'e' | b'E') {
            float = true;
            let sign = usize::from(matches!(next(end + 1), b'+' | b'-'));
            let exponent = end + 1 + sign;
            if next(exponent).is_ascii_digit() {
                end = digits(exponent);
            }
        }
        let tail = self.run(end, |c| is_word(c) || c == '.' || c.is_alphanumeric());
        well_formed &= tail == end;
        let text = &self.text[self.at..tail];
        let span = self.span(tail);
        if !well_formed {
            let mut diagnostic = Diagnostic::error(codes::E0004, format!("`{}` is not a number", clip(text)))
                .at(span, "malformed number");
            let whole = &text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())];
            let rest = &text[whole.len()..];
            diagnostic =
                if rest.starts_with(|c: char| c.is_alphabetic()) && !rest.starts_with(['e', 'E']) && whole != "0" {
                    diagnostic.hint(format!("write a product as `{} * {}`", clip(whole), clip(rest)))
                } else {
                    diagnostic.hint("numbers are written `12`, `1.5`, `1e-5` or `1.5e3`")
                };
            return self.bad(tail, diagnostic);
        }
        let value = if float {
            text.parse::<f64>().ok().filter(|&value| fits(value, text)).map(TokenKind::Float)
        } else {
            text.parse::<i64>().ok().map(TokenKind::Int)
        };
        match value {
            Some(kind) => self.push(kind, tail),
            None => {
                let limit = if float {
                    "a float literal must lie between 1e-307 and 1e308"
                } else {
                    "an integer literal must be less than 2^63 = 9223372036854775808"
                };
                let diagnostic =
                    Diagnostic::error(codes::E0005, format!("the number `{}` is out of range", clip(text)))
                        .at(span, "out of range")
                        .note(limit);
                self.bad(tail, diagnostic);
            }
        }
    }

    /// A run of characters that are in no token.
    fn strange(&mut self, first: char) {
        let hint = replacement(&self.text[self.at..]);
        let end = match hint {
            Some((text, _)) => self.at + text.len(),
            None => self.run(self.at, |c| !c.is_ascii_graphic() && !c.is_whitespace()).max(self.at + first.len_utf8()),
        };
        let text = &self.text[self.at..end];
        let mut diagnostic =
            Diagnostic::error(codes::E0003, format!("`{}` is not part of the language", clip(&visible(text))))
                .at(self.span(end), "not known here");
        if let Some((_, hint)) = hint {
            diagnostic = diagnostic.hint(hint);
        } else if first.is_alphabetic() {
            diagnostic = diagnostic.hint("names are made of a-z, A-Z, 0-9 and `_`: write `lambda` for λ");
        }
        self.bad(end, diagnostic);
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Neither rounded to infinity nor, unless all its digits are 0, below the normal range.
fn fits(value: f64, text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    value.is_normal() || value == 0.0 && mantissa.bytes().all(|b| matches!(b, b'0' | b'.'))
}

/// Control characters would spoil a terminal.
fn visible(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// What people write out of habit, and what to write instead.
fn replacement(text: &str) -> Option<(&'static str, &'static str)> {
    const HABITS: &[(&str, &str)] = &[
        ("&&", "write `and`"),
        ("&", "write `and`"),
        ("!", "write `not`"),
        (";", "statements need no `;`"),
        ("≤", "write `<=`"),
        ("≥", "write `>=`"),
        ("≠", "write `!=`"),
        ("−", "write `-`"),
        ("–", "write `-`"),
        ("×", "write `*`"),
        ("·", "write `*`"),
        ("÷", "write `/`"),
        ("∧", "write `and`"),
        ("∨", "write `or`"),
        ("¬", "write `not`"),
        ("∑", "write `sum(j: ..)`"),
        ("Σ", "write `sum(j: ..)`"),
        ("√", "write `sqrt(..)`"),
        ("²", "write `^2`"),
        ("\"", "there are no strings"),
        ("'", "there are no strings"),
        ("@", "write a contraction as `sum(d: q * k)`"),
        ("?", "write `if condition then value else value`"),
    ];
    HABITS.iter().copied().find(|(habit, _)| text.starts_with(habit))
}
