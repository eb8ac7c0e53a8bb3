//! The canonical layout of sources: what `weft fmt` does.
//!
//! Line ends mean nothing to the parser, so the formatter is free to place them. The rules:
//! - two blanks of indentation; lines of at most [`WIDTH`] columns; at most one blank line in a row; none at the edges of a block;
//! - one blank on either side of operators, but none around `^`, nor around `*` `/` `//` `%` inside square brackets (`x[2*i + 1]`);
//! - lists of plain names in square brackets are tight (`x[b,t,e]`), all other lists have a blank after the comma;
//! - the keywords of declarations fill five columns, so that what they declare stands in one column;
//! - the `=` of definitions in consecutive lines stand in one column, as do comments behind consecutive lines;
//! - line ends between the entries of a declaration or group stay where the writer put them; others are added where a line is too long;
//! - parentheses stay, even if they are redundant: they are there for the reader;
//! - a comment stays where it is: on its own line, behind a statement, behind an entry of a list, or behind an opening brace. A comment in the
//!   middle of an expression moves to the line before the statement.

mod block;
mod doc;
mod expr;
mod file;
mod list;

use crate::diagnostics::{Diagnostic, SourceId};
use crate::syntax::ast::File;
use crate::syntax::parse;

/// The greatest width of a line, in characters, without a comment behind it.
pub const WIDTH: usize = 120;

/// The text in canonical layout. Formatting the result again gives the same text; parsing it gives the same tree.
///
/// # Errors
/// The diagnostics, if the text is not in the grammar.
pub fn format(source: SourceId, text: &str) -> Result<String, Vec<Diagnostic>> {
    Ok(print(&parse(source, text).into_result()?, text))
}

/// The source of a tree in canonical layout. `text` is the text that the tree was parsed from: line ends and blank lines that are the writer's
/// choice are taken from it. For a tree that was not parsed it is empty.
pub fn print(file: &File, text: &str) -> String {
    file::Printer::new(file, text).print()
}
