//! What the compiler tells its users: places in sources, error codes with explanations, messages and their rendering.

mod source;

pub use source::{LineColumn, SourceId, SourceMap, SourceText, Span};
