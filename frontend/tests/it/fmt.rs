//! The formatter: canonical, idempotent, and it changes nothing but the layout.

use proptest::collection::vec;
use proptest::prelude::*;
use weft::fmt::{WIDTH, format, print};
use weft::syntax::dump;

use crate::random;
use crate::support::{parsed, picture, source, sources};

/// Formats, and checks what must hold for every text.
pub(crate) fn checked(text: &str) -> String {
    let once = format(source(text).1, text).unwrap_or_else(|_| panic!("{}", picture(text)));
    let again = parsed(&once);
    assert!(again.diagnostics.is_empty(), "formatted text does not parse:\n{text}\n----\n{once}\n{}", picture(&once));
    assert_eq!(dump(&parsed(text).file), dump(&again.file), "the tree changed:\n{text}\n----\n{once}");
    let twice = format(source(&once).1, &once).unwrap();
    assert_eq!(once, twice, "not idempotent:\n{text}");
    let comments = |text: &str| {
        let mut comments: Vec<_> = parsed(text).file.comments.iter().map(|c| c.text.to_string()).collect();
        comments.sort();
        comments
    };
    assert_eq!(comments(text), comments(&once), "comments changed:\n{text}\n----\n{once}");
    once
}

/// With `UPDATE_DOCS=1` in the environment, this test formats the files.
#[test]
fn examples_and_std_are_formatted() {
    for (path, text) in sources() {
        let formatted = checked(&text);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &formatted).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text == formatted, "{} is not formatted: run this test with UPDATE_DOCS=1", path.display());
        let long = text.lines().find(|line| line.split('#').next().unwrap().trim_end().chars().count() > WIDTH);
        assert_eq!(long, None, "{}", path.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn printed_trees_parse_back(file in random::file()) {
        let text = print(&file, "");
        let again = parsed(&text);
        prop_assert!(again.diagnostics.is_empty(), "{}\n{}", text, picture(&text));
        prop_assert_eq!(dump(&file), dump(&again.file), "{}", text);
        prop_assert_eq!(checked(&text), text);
    }

    /// Comments and line ends between any two tokens of an example.
    #[test]
    fn comments_anywhere_survive(which in 0..100usize, places in vec((0..10_000usize, 0..4u8), 1..6)) {
        let sources = sources();
        let (_, text) = &sources[which % sources.len()];
        let in_comment = |at: usize| text[text[..at].rfind('\n').map_or(0, |at| at + 1)..at].contains('#');
        let gaps: Vec<_> = text
            .match_indices([' ', '\n', ',', '(', '[', '{'])
            .map(|(at, gap)| at + gap.len())
            .filter(|&at| !in_comment(at))
            .collect();
        let mut places: Vec<_> = places.iter().map(|(at, kind)| (gaps[at % gaps.len()], *kind)).collect();
        places.sort_unstable();
        places.dedup_by_key(|(at, _)| *at);
        let mut changed = String::new();
        let mut done = 0;
        for (i, (at, kind)) in places.iter().enumerate() {
            changed += &text[done..*at];
            changed += &match kind {
                0 => format!(" # comment {i}\n"),
                1 => format!("\n# comment {i}\n"),
                2 => format!("\n\n\n  # comment {i}\n\n\n"),
                _ => "\n\n\n".to_owned(),
            };
            done = *at;
        }
        changed += &text[done..];
        prop_assume!(parsed(&changed).diagnostics.is_empty());
        checked(&changed);
    }
}
