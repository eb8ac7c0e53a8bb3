//! What the compiler tells its users: places in sources, error codes with explanations, messages and their rendering.
//!
//! To add an error, add one entry to the file of its range under `codes/` and build a [`Diagnostic`] from the constant that the
//! entry defines. The entry's `wrong` snippet is a test: it must produce the code.

pub mod codes;
mod diagnostic;
mod render;
mod source;

pub use codes::{Code, Snippet};
pub use diagnostic::{Diagnostic, Label, Severity};
pub use render::{Color, render, to_json};
pub use source::{LineColumn, SourceError, SourceId, SourceMap, SourceText, Span};
