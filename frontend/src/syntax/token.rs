//! Tokens and reserved words.

use crate::diagnostics::Span;

/// What a token is. The text of words and numbers is looked up by the span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// A name or keyword.
    Word,
    /// An integer literal.
    Int(i64),
    /// A literal with a point or an exponent.
    Float(f64),
    /// A bracket or operator, exactly as it is written.
    Punct(&'static str),
    /// Something that the lexer has already reported.
    Bad,
    /// The end of the source.
    End,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
    /// True if it is the first token of its line.
    pub(super) first_on_line: bool,
}

/// Operators and brackets, longest first where one is the beginning of another.
pub(super) const PUNCTUATION: &[&str] = &[
    "->", "//", "<=", ">=", "==", "!=", "+", "-", "*", "/", "%", "^", "<", ">", "=", "(", ")", "[", "]", "{", "}", "|",
    ",", ":", ".", "~",
];

/// Words that can never be names: those that occur inside or right after expressions, and those that start a statement
/// that has no name after its keyword.
pub(super) const RESERVED: &[&str] =
    &["if", "then", "else", "where", "and", "or", "not", "let", "rec", "return", "require", "fn", "layer"];

/// Words that start a statement when a name follows, and are names otherwise. No expression has two names in a row.
pub(super) const STATEMENT_WORDS: &[&str] = &["size", "const", "axis", "index", "in", "param", "out"];

/// The same for items: `group[h]` is a value in one of the example layers.
pub(super) const ITEM_WORDS: &[&str] = &["use", "group"];
