//! The semantic front end.

mod bounds;
mod causality;
mod clock_random;
mod codes;
mod examples;
mod meaning;
mod robust;
mod run;
mod settings;

use crate::support::source;
use weft::diagnostics::{Color, Diagnostic, render};
use weft::sema::{Checked, Number, Settings, compile};

/// Settings with sizes and constants.
pub(crate) fn settings(defines: &[(&str, Number)]) -> Settings {
    Settings { defines: defines.iter().map(|&(n, v)| (n.to_owned(), v)).collect(), ..Settings::default() }
}

/// Compiles the only layer of a text that uses no other files.
pub(crate) fn check_with(text: &str, settings: &Settings) -> Result<Checked, Vec<Diagnostic>> {
    let (mut map, id) = source(text);
    compile(&mut map, id, None, settings, &mut |_| None)
}

/// The same, with default settings.
pub(crate) fn check(text: &str) -> Result<Checked, Vec<Diagnostic>> {
    check_with(text, &Settings::default())
}

/// The picture of all messages about a text.
pub(crate) fn messages(text: &str, settings: &Settings) -> String {
    let (mut map, id) = source(text);
    let diags = match compile(&mut map, id, None, settings, &mut |_| None) {
        Ok(checked) => checked.warnings,
        Err(diags) => diags,
    };
    render(&diags, &map, Color::Never)
}

/// Compiles what must compile.
#[track_caller]
pub(crate) fn good(text: &str) -> Checked {
    check(text).unwrap_or_else(|_| panic!("{}", messages(text, &Settings::default())))
}
