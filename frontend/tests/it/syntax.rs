//! The parser: every construct of the grammar, the pictures of every kind of error, and robustness.

use weft::syntax::dump;

use crate::support::{parsed, picture, sources};

#[test]
fn examples_and_std_parse() {
    for (path, text) in sources() {
        assert!(parsed(&text).diagnostics.is_empty(), "{}\n{}", path.display(), picture(&text));
        assert!(!dump(&parsed(&text).file).is_empty());
    }
}
