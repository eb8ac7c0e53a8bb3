//! Every code of the semantic front end: its snippets show it, and the picture is what a user sees.

use super::messages;
use weft::diagnostics::Code;
use weft::sema::Settings;

fn explained() -> impl Iterator<Item = Code> {
    let semantic = |c: &Code| !["E00", "E06"].iter().any(|p| c.as_str().starts_with(p));
    Code::all().filter(semantic)
}

#[test]
fn wrong_snippets_show_their_code_and_right_ones_nothing() {
    let mut failures = String::new();
    for code in explained() {
        if !code.wrong().is_command() {
            let found = messages(code.wrong().text(), &Settings::default());
            if !found.contains(&format!("[{code}]")) {
                failures += &format!("{code}: the wrong snippet gives\n{found}\n");
            }
        }
        if !code.right().is_command() {
            let found = messages(code.right().text(), &Settings::default());
            if !found.is_empty() {
                failures += &format!("{code}: the right snippet gives\n{found}\n");
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn pictures() {
    for code in explained().filter(|c| !c.wrong().is_command()) {
        insta::assert_snapshot!(code.as_str(), messages(code.wrong().text(), &Settings::default()));
    }
}
