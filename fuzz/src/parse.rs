//! What must hold for every sequence of bytes. The fuzz target and a test of the front end share it.

use weft::diagnostics::{Color, Diagnostic, SourceMap, render, to_json};
use weft::fmt::format;
use weft::syntax::{MAX_ERRORS, dump, parse};

/// Panics if the front end breaks one of its promises on `data`.
pub(crate) fn check(data: &[u8]) {
    let mut map = SourceMap::new();
    let id = match map.add_bytes("fuzz.weft", data) {
        Ok(id) => id,
        Err(error) => {
            assert!(!render(&[Diagnostic::from(error)], &map, Color::Never).is_empty());
            return;
        }
    };
    let text = map.get(id).text().clone();
    let parsed = parse(id, &text);
    assert!(parsed.diagnostics.len() <= MAX_ERRORS + 1);
    for diagnostic in &parsed.diagnostics {
        let labels = diagnostic.primary.iter().chain(&diagnostic.secondary);
        for span in labels.map(|label| label.span) {
            assert!(text.get(span.start as usize..span.end as usize).is_some(), "{diagnostic:?} is outside its source");
        }
        assert!(diagnostic.message.len() < 400, "message of {} bytes", diagnostic.message.len());
        assert!(to_json(diagnostic, &map).is_object());
    }
    render(&parsed.diagnostics, &map, Color::Never);
    let tree = dump(&parsed.file);
    match format(id, &text) {
        Err(errors) => assert_eq!(errors, parsed.diagnostics),
        Ok(formatted) => {
            assert!(parsed.diagnostics.is_empty());
            let again = parse(id, &formatted);
            assert!(again.diagnostics.is_empty(), "formatted text does not parse:\n{formatted}");
            assert_eq!(tree, dump(&again.file), "formatting changed the tree:\n{formatted}");
            assert_eq!(format(id, &formatted).as_ref(), Ok(&formatted), "formatting is not idempotent");
        }
    }
}
