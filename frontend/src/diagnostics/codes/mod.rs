//! The registry of error codes: one entry per code, in the file of its range, with everything that `weft explain CODE` prints.
//!
//! | range | file | what |
//! |---|---|---|
//! | E00xx | `syntax` | text that is not in the grammar |
//! | E01xx | `names` | names, scopes, calls |
//! | E02xx | `axes` | axes, indices, bounds |
//! | E03xx | `types` | element types |
//! | E04xx | `clocks` | causality, recurrences |
//! | E05xx | `inputs` | sizes, inputs, command line |
//! | E06xx | `backends` | scheduling and backends |
//! | W.... | `warnings` | programs that are probably not what was meant |
//!
//! An entry is written `E0123 = "title" { "explanation", wrong: "..", right: ".." }` and defines the constant [`codes::E0123`](self).
//! Both snippets are whole files, or command lines that start with `$ `. A test parses, and where it can checks, every snippet:
//! `wrong` must produce the code, `right` nothing.

use std::fmt;

/// Defines the codes of one range, and `ENTRIES`, the list of them.
macro_rules! codes {
    ($($code:ident = $title:literal { $explanation:literal, wrong: $wrong:literal, right: $right:literal $(,)? })*) => {
        $(
            #[doc = $title]
            pub const $code: super::Code = super::Code(&super::Entry {
                code: stringify!($code),
                title: $title,
                explanation: $explanation,
                wrong: super::Snippet($wrong),
                right: super::Snippet($right),
            });
        )*
        /// All codes of this range.
        pub(super) const ENTRIES: &[super::Code] = &[$($code),*];
    };
}

mod axes;
mod backends;
mod clocks;
mod hints;
mod inputs;
mod names;
mod syntax;
mod types;
mod warnings;

#[allow(unused_imports, unreachable_pub, reason = "a range may still be empty")]
pub use self::{axes::*, backends::*, clocks::*, inputs::*, names::*, syntax::*, types::*, warnings::*};

#[allow(unused_qualifications, reason = "the globs above import every `ENTRIES`; which one is meant must be said")]
/// The ranges in order, with the prefix that all codes of each have.
const RANGES: &[(&str, &[Code])] = &[
    ("E00", syntax::ENTRIES),
    ("E01", names::ENTRIES),
    ("E02", axes::ENTRIES),
    ("E03", types::ENTRIES),
    ("E04", clocks::ENTRIES),
    ("E05", inputs::ENTRIES),
    ("E06", backends::ENTRIES),
    ("W", warnings::ENTRIES),
];

/// What is known about a code.
#[derive(Debug)]
struct Entry {
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
    wrong: Snippet,
    right: Snippet,
}

/// An error or warning code, such as `E0203`. Only entries of the registry make one, so every code has an explanation.
#[derive(Clone, Copy)]
pub struct Code(&'static Entry);

/// An example in an explanation: a whole file, or a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snippet(&'static str);

impl Snippet {
    /// The text: of a file, or of a command line without its prompt.
    pub fn text(self) -> &'static str {
        self.0.strip_prefix("$ ").unwrap_or(self.0)
    }

    /// True for a command line.
    pub fn is_command(self) -> bool {
        self.0.starts_with("$ ")
    }
}

impl Code {
    /// `E0203`
    pub fn as_str(self) -> &'static str {
        self.0.code
    }

    /// What it is about, in a few words.
    pub fn title(self) -> &'static str {
        self.0.title
    }

    /// Why it is an error and what to do, in a paragraph or two of Markdown.
    pub fn explanation(self) -> &'static str {
        self.0.explanation
    }

    /// A snippet that has the error.
    pub fn wrong(self) -> Snippet {
        self.0.wrong
    }

    /// The same snippet, repaired.
    pub fn right(self) -> Snippet {
        self.0.right
    }

    /// All codes, in order.
    pub fn all() -> impl Iterator<Item = Code> {
        RANGES.iter().flat_map(|(_, codes)| codes.iter().copied())
    }

    /// The code that is written so, in upper or lower case.
    pub fn parse(text: &str) -> Option<Code> {
        Code::all().find(|code| code.as_str().eq_ignore_ascii_case(text))
    }

    /// The page that `weft explain E0203` prints, in Markdown.
    pub fn page(self) -> String {
        let fenced = |snippet: Snippet, tag: &str| match snippet.is_command() {
            true => format!("```console\n$ {}\n```\n", snippet.text().trim_end()),
            false => format!("```{tag}\n{}\n```\n", snippet.text().trim_end()),
        };
        format!(
            "# {code}: {title}\n\n{explanation}\n\nWrong:\n\n{wrong}\nRight:\n\n{right}",
            code = self.as_str(),
            title = self.title(),
            explanation = self.explanation().trim(),
            wrong = fenced(self.wrong(), &format!("weft,{self}")),
            right = fenced(self.right(), "weft"),
        )
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Code) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Code {}

impl std::hash::Hash for Code {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_their_range_and_in_order() {
        for (prefix, codes) in RANGES {
            for code in *codes {
                assert!(code.as_str().starts_with(prefix) && code.as_str().len() == 5, "{code} is not in {prefix}");
            }
            assert!(codes.windows(2).all(|w| w[0].as_str() < w[1].as_str()), "{prefix} is not in order");
        }
    }

    #[test]
    fn every_code_is_explained() {
        for code in Code::all() {
            assert!(code.title().len() > 8 && !code.title().ends_with('.'), "{code}: title");
            assert!(code.explanation().trim().len() > 40, "{code}: explanation");
            assert_ne!(code.wrong(), code.right(), "{code}: snippets");
            assert_eq!(Code::parse(&code.as_str().to_lowercase()), Some(code));
        }
    }
}
