//! What several test modules need.

use std::path::{Path, PathBuf};

use weft::diagnostics::{Color, Diagnostic, SourceId, SourceMap, render};
use weft::syntax::{Parsed, parse};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All `.weft` files that users read, with their texts: the examples and the standard library.
pub(crate) fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(&root().join("examples"), &mut found);
    collect(&root().join("frontend/std"), &mut found);
    found.sort();
    assert!(found.len() >= 8, "examples are missing");
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "weft") {
            found.push(path);
        }
    }
}

/// A map with `text` in it as `test.weft`.
pub(crate) fn source(text: &str) -> (SourceMap, SourceId) {
    let mut map = SourceMap::new();
    let id = map.add("test.weft", text).unwrap();
    (map, id)
}

pub(crate) fn parsed(text: &str) -> Parsed {
    parse(source(text).1, text)
}

/// True for the codes that [`errors`] can give.
pub(crate) fn is_reached(code: &str) -> bool {
    code.starts_with("E00")
}

/// All errors that the front end finds in a whole file.
pub(crate) fn errors(text: &str) -> Vec<Diagnostic> {
    parsed(text).diagnostics
}

/// The picture of all errors in `text`.
pub(crate) fn picture(text: &str) -> String {
    let (map, id) = source(text);
    render(&parse(id, text).diagnostics, &map, Color::Never)
}
