//! Messages as pictures for people and as JSON for machines.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use ariadne::{Cache, Config, IndexType, Report, ReportKind, Source};
use serde_json::{Value, json};

use super::diagnostic::{Diagnostic, Label, Severity};
use super::source::{SourceId, SourceMap, Span};

/// Whether a picture has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Terminal escapes.
    Always,
    /// Plain text.
    Never,
}

/// The pictures of all `diagnostics`, one below the other.
pub fn render(diagnostics: &[Diagnostic], sources: &SourceMap, color: Color) -> String {
    let mut cache = Sources { map: sources, parsed: BTreeMap::new() };
    diagnostics.iter().map(|diagnostic| picture(diagnostic, &mut cache, color)).collect()
}

fn picture(diagnostic: &Diagnostic, cache: &mut Sources<'_>, color: Color) -> String {
    let Some(primary) = &diagnostic.primary else {
        return headline(diagnostic, cache.map);
    };
    if diagnostic.secondary.iter().chain([primary]).any(|label| !fits_a_screen(label, cache.map)) {
        return headline(diagnostic, cache.map);
    }
    let kind = match diagnostic.severity {
        Severity::Error => ReportKind::Error,
        Severity::Warning => ReportKind::Warning,
    };
    let at = within(cache.map, primary.span);
    let config = Config::default().with_color(color == Color::Always).with_index_type(IndexType::Byte);
    let mut report =
        Report::build(kind, at).with_config(config).with_code(diagnostic.code).with_message(&diagnostic.message);
    // The primary label is drawn last-in, on top: ariadne orders labels of one line by priority.
    report = report.with_label(label(primary, cache.map, ariadne::Color::Red).with_priority(1));
    for secondary in &diagnostic.secondary {
        report = report.with_label(label(secondary, cache.map, ariadne::Color::Blue));
    }
    if let Some(text) = expectation(diagnostic) {
        report = report.with_note(text);
    }
    for note in &diagnostic.notes {
        report = report.with_note(note);
    }
    if let Some(hint) = &diagnostic.hint {
        report = report.with_help(hint);
    }
    let mut out = Vec::new();
    match report.finish().write(&mut *cache, &mut out) {
        Ok(()) => String::from_utf8_lossy(&out).lines().map(|line| format!("{}\n", line.trim_end())).collect(),
        Err(_) => headline(diagnostic, cache.map),
    }
}

/// A picture shows whole lines; a file that is one line of a megabyte gets none.
fn fits_a_screen(label: &Label, map: &SourceMap) -> bool {
    const MOST_COLUMNS: usize = 400;
    const MOST_LINES: usize = 40;
    let (_, place) = within(map, label.span);
    let text = map.get(label.span.source).text();
    let start = text[..place.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[place.end..].find('\n').map_or(text.len(), |at| place.end + at);
    let mut lines = text[start..end].lines();
    lines.by_ref().take(MOST_LINES).all(|line| line.len() <= MOST_COLUMNS) && lines.next().is_none()
}

/// The message without a picture.
fn headline(diagnostic: &Diagnostic, map: &SourceMap) -> String {
    let kind = match diagnostic.severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
    };
    let mut out = format!("[{}] {kind}: {}\n", diagnostic.code, diagnostic.message);
    for label in diagnostic.primary.iter().chain(&diagnostic.secondary) {
        let source = map.get(label.span.source);
        let at = source.line_column(label.span.start);
        out += &format!("  {}:{}:{}: {}\n", source.name(), at.line, at.column, label.text);
    }
    for note in expectation(diagnostic).iter().chain(&diagnostic.notes) {
        out += &format!("  Note: {note}\n");
    }
    if let Some(hint) = &diagnostic.hint {
        out += &format!("  Help: {hint}\n");
    }
    out
}

fn label(label: &Label, map: &SourceMap, color: ariadne::Color) -> ariadne::Label<Place> {
    ariadne::Label::new(within(map, label.span)).with_message(&label.text).with_color(color)
}

/// What was expected, unless the message or a label says so already.
fn expectation(diagnostic: &Diagnostic) -> Option<String> {
    let list = match diagnostic.expected.as_slice() {
        [] => return None,
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    };
    let labels = diagnostic.primary.iter().chain(&diagnostic.secondary).map(|label| &label.text);
    let said = labels.chain([&diagnostic.message]).any(|text| text.contains(&list));
    (!said).then(|| format!("expected {list}"))
}

/// One diagnostic as a JSON object: `code`, `severity`, `title`, `message`, `primary` (or null) and `secondary` places, `expected`,
/// `notes`, `hint` (or null). A place has `file`, `text`, and `start` and `end`, each with `byte` (from 0), `line` and `column` (from 1).
pub fn to_json(diagnostic: &Diagnostic, sources: &SourceMap) -> Value {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({
        "code": diagnostic.code.as_str(),
        "severity": severity,
        "title": diagnostic.code.title(),
        "message": diagnostic.message,
        "primary": diagnostic.primary.as_ref().map(|label| place_json(label, sources)),
        "secondary": diagnostic.secondary.iter().map(|label| place_json(label, sources)).collect::<Vec<_>>(),
        "expected": diagnostic.expected,
        "notes": diagnostic.notes,
        "hint": diagnostic.hint,
    })
}

fn place_json(label: &Label, sources: &SourceMap) -> Value {
    let source = sources.get(label.span.source);
    let end = |byte: u32| {
        let at = source.line_column(byte);
        json!({ "byte": byte, "line": at.line, "column": at.column })
    };
    json!({ "file": source.name(), "text": label.text, "start": end(label.span.start), "end": end(label.span.end) })
}

/// A span in the shape that ariadne wants.
type Place = (SourceId, std::ops::Range<usize>);

/// The span, forced into its source: a message must come out even if its place is wrong.
fn within(map: &SourceMap, span: Span) -> Place {
    let text = map.get(span.source).text();
    let start = text.floor_char_boundary(span.start as usize);
    let end = text.floor_char_boundary(span.end as usize).max(start);
    (span.source, start..end)
}

/// The text without control characters, which could make a terminal do anything; of the same length, so that spans still fit.
fn harmless(text: &Arc<str>) -> Arc<str> {
    let harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
    if !text.contains(harmful) {
        return text.clone();
    }
    text.chars()
        .map(|c| {
            if !harmful(c) {
                c
            } else if c.len_utf8() == 1 {
                '?'
            } else {
                '\u{bf}'
            }
        })
        .collect::<String>()
        .into()
}

/// Texts split into lines as ariadne wants them, each once.
struct Sources<'a> {
    map: &'a SourceMap,
    parsed: BTreeMap<SourceId, Source<Arc<str>>>,
}

impl Cache<SourceId> for &mut Sources<'_> {
    type Storage = Arc<str>;

    fn fetch(&mut self, id: &SourceId) -> Result<&Source<Self::Storage>, impl std::fmt::Debug> {
        let map = self.map;
        let parse = || Source::from(harmless(map.get(*id).text()));
        Ok::<_, std::convert::Infallible>(self.parsed.entry(*id).or_insert_with(parse))
    }

    fn display<'b>(&self, id: &'b SourceId) -> Option<impl Display + 'b> {
        Some(self.map.get(*id).name().to_owned())
    }
}
