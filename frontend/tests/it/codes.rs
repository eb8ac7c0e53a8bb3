//! The registry of codes keeps its promises.

use weft::diagnostics::Code;

use crate::support::{errors, is_reached, picture, root};

/// Every `wrong` snippet has the error that it is there for, and every `right` one has none.
/// Snippets for codes that [`errors`] cannot reach must at least be in the grammar.
#[test]
fn snippets_show_what_they_explain() {
    for code in Code::all() {
        let right = errors(code.right().text());
        assert!(code.right().is_command() || right.is_empty(), "{code}: right: {right:?}");
        if code.wrong().is_command() {
            continue;
        }
        let wrong = errors(code.wrong().text());
        if is_reached(code.as_str()) {
            assert!(wrong.iter().any(|d| d.code == code), "{code}: wrong gives\n{}", picture(code.wrong().text()));
        } else {
            assert!(wrong.is_empty(), "{code}: wrong has syntax errors: {wrong:?}");
        }
    }
}

/// `docs/errors/` holds the same pages as `weft explain CODE`. With `UPDATE_DOCS=1` in the environment, this test writes them.
#[test]
fn pages_are_up_to_date() {
    let folder = root().join("docs/errors");
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let mut index = String::from("# Errors and warnings\n\nThe same pages as `weft explain CODE`.\n\n");
    let mut pages = vec![];
    for code in Code::all() {
        index += &format!("- [{code}]({code}.md): {}\n", code.title());
        pages.push((format!("{code}.md"), code.page()));
    }
    pages.push(("README.md".to_owned(), index));
    for (name, page) in &pages {
        let path = folder.join(name);
        if update {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, page).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(&found == page, "docs/errors/{name} is out of date: run this test with UPDATE_DOCS=1");
    }
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages.iter().any(|(page, _)| *page == name), "docs/errors/{name} explains no code");
    }
}

/// Every kind of error has a rendered message in some snapshot, and in one of them says what to do.
#[test]
fn every_error_is_shown_with_a_hint() {
    let mut shown = String::new();
    let mut folders = vec![root().join("frontend/tests/it")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|e| e == "snap") {
                shown += &std::fs::read_to_string(entry).unwrap();
            }
        }
    }
    let messages: Vec<&str> = shown.split("\n[").flat_map(|part| part.split_once("] Error: ").map(|_| part)).collect();
    let mut missing = Vec::new();
    for code in Code::all().filter(|c| c.as_str().starts_with('E')) {
        let own: Vec<&&str> = messages.iter().filter(|m| m.starts_with(code.as_str())).collect();
        if own.is_empty() || !own.iter().any(|m| m.contains("Help: ")) {
            missing.push((code, own.len()));
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}
