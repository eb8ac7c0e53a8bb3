//! The texts of a compilation, and places in them.

use std::sync::Arc;

use super::codes;
use super::diagnostic::Diagnostic;

/// The standard library, which is part of every compilation.
const STD: &str = include_str!("../../std/std.weft");

/// One text of a [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(u32);

impl SourceId {
    /// The standard library, in every map.
    pub const STD: SourceId = SourceId(0);
}

/// Bytes `start .. end` of a source; both on character boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The source.
    pub source: SourceId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// Bytes `start .. end` of `source`.
    pub fn new(source: SourceId, start: u32, end: u32) -> Span {
        Span { source, start, end }
    }

    /// The smallest span that holds both. `other` must be in the same source; if it is not, `self` is the answer.
    #[must_use]
    pub fn to(self, other: Span) -> Span {
        if self.source != other.source {
            return self;
        }
        Span { source: self.source, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A line and a column, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineColumn {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Why a text cannot be a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It is not UTF-8.
    #[error("{name} is not UTF-8 text: byte {at} cannot be decoded")]
    NotUtf8 {
        /// The source's name.
        name: String,
        /// The first byte that is not UTF-8, from 0.
        at: usize,
    },
    /// It has more than [`SourceMap::MAX_BYTES`] bytes.
    #[error("{name} has {bytes} bytes; a source may have at most {max}", max = SourceMap::MAX_BYTES)]
    TooLarge {
        /// The source's name.
        name: String,
        /// Its length in bytes.
        bytes: usize,
    },
}

impl From<SourceError> for Diagnostic {
    fn from(error: SourceError) -> Diagnostic {
        let code = match error {
            SourceError::NotUtf8 { .. } => codes::E0001,
            SourceError::TooLarge { .. } => codes::E0002,
        };
        Diagnostic::error(code, error.to_string())
    }
}

/// One text with its name.
#[derive(Clone, Debug)]
pub struct SourceText {
    name: Arc<str>,
    text: Arc<str>,
    line_starts: Vec<usize>,
}

impl SourceText {
    fn new(name: &str, text: &str) -> SourceText {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        SourceText { name: name.into(), text: text.into(), line_starts }
    }

    /// What messages call it: a path, `<std>`, `<stdin>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Line and column of a byte; of the end, if `byte` is beyond it.
    pub fn line_column(&self, byte: u32) -> LineColumn {
        let byte = self.text.floor_char_boundary(byte as usize);
        let line = self.line_starts.partition_point(|&start| start <= byte);
        let start = self.line_starts[line - 1];
        LineColumn { line, column: self.text[start..byte].chars().count() + 1 }
    }
}

/// All texts of a compilation. The standard library is always the first, as [`SourceId::STD`].
#[derive(Clone, Debug)]
pub struct SourceMap {
    sources: Vec<SourceText>,
}

impl Default for SourceMap {
    fn default() -> Self {
        SourceMap::new()
    }
}

impl SourceMap {
    /// A map that holds the standard library only.
    pub fn new() -> SourceMap {
        SourceMap { sources: vec![SourceText::new("<std>", STD)] }
    }

    /// The largest source, in bytes. It keeps all offsets far inside `u32`.
    pub const MAX_BYTES: usize = 16 << 20;

    /// Adds a text under the name that messages shall show.
    ///
    /// # Errors
    /// [`SourceError::TooLarge`].
    pub fn add(&mut self, name: &str, text: &str) -> Result<SourceId, SourceError> {
        if text.len() > SourceMap::MAX_BYTES {
            return Err(SourceError::TooLarge { name: name.to_owned(), bytes: text.len() });
        }
        let id = SourceId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX));
        self.sources.push(SourceText::new(name, text));
        Ok(id)
    }

    /// Adds the bytes of a file under the name that messages shall show.
    ///
    /// # Errors
    /// [`SourceError`], if they are not text or too many.
    pub fn add_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<SourceId, SourceError> {
        if bytes.len() > SourceMap::MAX_BYTES {
            return Err(SourceError::TooLarge { name: name.to_owned(), bytes: bytes.len() });
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => self.add(name, text),
            Err(error) => Err(SourceError::NotUtf8 { name: name.to_owned(), at: error.valid_up_to() }),
        }
    }

    /// The text of `id`; the standard library's, if `id` belongs to another map.
    pub fn get(&self, id: SourceId) -> &SourceText {
        self.sources.get(id.0 as usize).unwrap_or(&self.sources[0])
    }

    /// The text that a span covers; empty if the span does not fit its source.
    pub fn slice(&self, span: Span) -> &str {
        self.get(span.source).text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// All texts in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &SourceText)> {
        self.sources.iter().enumerate().map(|(i, source)| (SourceId(u32::try_from(i).unwrap_or(u32::MAX)), source))
    }
}
