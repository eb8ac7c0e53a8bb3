//! The snippets of the manual are true.
//!
//! A block fenced as `weft` is a whole file without errors; `weft,E0203` is a whole file with that error; `weft,parse` is a file that only
//! has to be in the grammar, since it uses modules that the manual does not show.

use weft::diagnostics::Code;

use crate::fmt::checked;
use crate::support::{errors, is_reached, parsed, picture, root};

/// The fenced blocks of a page: first line, tag and text.
fn snippets(page: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (i, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(tag), None) => open = Some((i + 1, tag.to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, _, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed");
    found
}

/// With `UPDATE_DOCS=1` in the environment, this test formats the snippets.
#[test]
fn snippets_of_the_manual() {
    let path = root().join("docs/language.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut formatted = page.clone();
    let mut count = 0;
    for (line, tag, text) in snippets(&page) {
        let Some(kind) = tag.strip_prefix("weft") else { continue };
        count += 1;
        let place = format!("docs/language.md:{line}");
        match kind.strip_prefix(',') {
            None | Some("parse") => {
                let found = if kind.is_empty() { errors(&text) } else { parsed(&text).diagnostics };
                assert!(found.is_empty(), "{place}\n{}", picture(&text));
                formatted = formatted.replacen(&text, &checked(&text), 1);
            }
            Some(code) if is_reached(code) => {
                let code = Code::parse(code).unwrap_or_else(|| panic!("{place}: there is no code {code}"));
                assert!(errors(&text).iter().any(|d| d.code == code), "{place}\n{}", picture(&text));
            }
            Some(_) => assert!(parsed(&text).diagnostics.is_empty(), "{place}\n{}", picture(&text)),
        }
    }
    assert!(count >= 30, "only {count} snippets");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &formatted).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page == formatted, "snippets of docs/language.md are not formatted: run this test with UPDATE_DOCS=1");
}

/// The words that the manual lists are those that the parser knows.
#[test]
fn the_manual_names_every_word() {
    use weft::syntax::ast::{CompareOp, Dtype, Reducer};
    let page = std::fs::read_to_string(root().join("docs/language.md")).unwrap();
    let words = Reducer::ALL.iter().map(|x| x.as_str()).chain(Dtype::ALL.iter().map(|x| x.as_str()));
    for word in words.chain(CompareOp::ALL.iter().map(|x| x.as_str())) {
        assert!(page.contains(&format!("`{word}`")), "docs/language.md does not mention `{word}`");
    }
}
