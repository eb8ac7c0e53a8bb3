//! The example layers.

use super::messages;
use crate::support::sources;
use weft::sema::Settings;

#[test]
fn examples_compile_without_a_message() {
    for (path, text) in sources() {
        if path.to_string_lossy().contains("examples") {
            let found = messages(&text, &Settings::default());
            assert!(found.is_empty(), "{}\n{found}", path.display());
        }
    }
}
