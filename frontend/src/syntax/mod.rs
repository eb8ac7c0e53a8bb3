//! From text to the syntax tree.

pub mod ast;
mod dump;
mod lexer;
mod parser;
mod token;
mod words;

pub use dump::dump;

use crate::diagnostics::{Diagnostic, SourceId, codes};

/// The greatest height of an expression: of the tree, not only of its brackets, since a long `a + b + ..` is a deep tree too.
/// It bounds the stack of every recursive function over expressions.
pub const MAX_DEPTH: u32 = 256;

/// The greatest number of brackets (and prefix operators) around anything; it bounds the stack of the parser.
pub const MAX_NESTING: u32 = 128;

/// After this many errors in one source, the rest of it is not looked at.
pub const MAX_ERRORS: usize = 64;

/// What parsing gives: always a tree, of everything that could be understood, and all errors.
#[derive(Debug)]
pub struct Parsed {
    /// The tree. Items and statements with errors are missing from it.
    pub file: ast::File,
    /// The errors in the order of their places; empty if the text is in the grammar.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// The tree of a text that is in the grammar.
    ///
    /// # Errors
    /// The diagnostics, if there are any.
    pub fn into_result(self) -> Result<ast::File, Vec<Diagnostic>> {
        if self.diagnostics.is_empty() { Ok(self.file) } else { Err(self.diagnostics) }
    }
}

/// Parses the text of the source `source`, which must come from a [`SourceMap`](crate::diagnostics::SourceMap) (or be shorter than its limit).
/// Takes time proportional to the length and bounded stack, whatever the text is.
pub fn parse(source: SourceId, text: &str) -> Parsed {
    let lexed = lexer::lex(source, text, MAX_ERRORS);
    let mut parser = parser::Parser::new(text, &lexed.tokens);
    let items = parser.items();
    let mut diagnostics = lexed.diagnostics;
    diagnostics.append(&mut parser.diagnostics);
    diagnostics.sort_by_key(|d| d.primary.as_ref().map(|label| label.span));
    if diagnostics.len() >= MAX_ERRORS {
        diagnostics.truncate(MAX_ERRORS);
        diagnostics
            .push(Diagnostic::error(codes::E0025, format!("more than {MAX_ERRORS} errors; the rest is not looked at")));
    }
    Parsed { file: ast::File { source, items, comments: lexed.comments }, diagnostics }
}

/// The beginning of a text that may be megabytes long, for messages.
fn clip(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}..", &text[..at]),
        None => text.to_owned(),
    }
}
