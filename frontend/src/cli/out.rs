//! What a command says, and where.
//!
//! Results go to standard output, messages and progress to standard error. With `--json` one JSON object goes to
//! standard output and messages are part of it.

use std::io::{IsTerminal, Write};

use serde_json::{Value, json};

use super::End;
use super::args::{ColorWhen, Common};
use super::progress::Progress;
use crate::diagnostics::{Color, Diagnostic, SourceMap, render, to_json};
use crate::driver::{Failure, Fault, Observer, Phase};

/// The greatest size of a tensor file, in bytes.
pub(super) const MAX_FILE: u64 = 64 << 30;

/// Where a command's words go.
pub(super) struct Out {
    common: Common,
    progress: Progress,
}

impl Out {
    pub(super) fn new(common: &Common) -> Self {
        Self { common: common.clone(), progress: Progress::default() }
    }

    pub(super) fn json(&self) -> bool {
        self.common.json
    }

    /// Are there colours on a stream?
    pub(super) fn color(&self, terminal: bool) -> Color {
        let auto = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        match self.common.color {
            ColorWhen::Always => Color::Always,
            ColorWhen::Auto if auto => Color::Always,
            ColorWhen::Auto | ColorWhen::Never => Color::Never,
        }
    }

    pub(super) fn stdout_color(&self) -> Color {
        self.color(std::io::stdout().is_terminal())
    }

    /// Writes a result.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    /// Writes a result.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.progress.hide();
        let mut out = std::io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            // Whoever reads has seen enough.
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            Err(e) => {
                let what = format!("<stdout> cannot be written: {e}");
                Err(Fault::user(crate::diagnostics::codes::E0510, what).into())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Writes a message.
    pub(super) fn note(&mut self, text: &str) {
        self.progress.hide();
        // Nobody is left to be told that standard error is gone.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Shows messages that do not end the command.
    pub(super) fn diagnostics(&mut self, diagnostics: &[Diagnostic], sources: &SourceMap) {
        let color = self.color(std::io::stderr().is_terminal());
        self.note(&render(diagnostics, sources, color));
    }

    /// Reports what ended a command.
    pub(super) fn failure(&mut self, failure: &Failure) -> End {
        match &failure.fault {
            Fault::User(diagnostics) => {
                if self.json() {
                    let list: Vec<Value> = diagnostics.iter().map(|d| to_json(d, &failure.sources)).collect();
                    // A message about standard output cannot go there.
                    let _ = self.object(&json!({ "ok": false, "diagnostics": list }));
                } else {
                    self.diagnostics(diagnostics, &failure.sources);
                }
                End::Bad
            }
            Fault::Bug(what) => {
                self.progress.hide();
                bug(what);
                End::Bug
            }
        }
    }

    /// Writes a JSON object.
    pub(super) fn object(&mut self, value: &Value) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|e| Failure::from(Fault::bug(e)))?;
        self.text(&format!("{text}\n"))
    }

    /// Prints the times of phases, if asked to.
    pub(super) fn times(&mut self, times: &[(Phase, std::time::Duration)]) {
        if self.common.time_passes {
            self.note(&super::table::phases(times));
        }
    }
}

impl Observer for Out {
    fn begin(&mut self, phase: Phase) {
        if !self.json() {
            self.progress.show(phase.describe());
        }
    }

    fn end(&mut self, _phase: Phase, _elapsed: std::time::Duration) {
        self.progress.hide();
    }

    fn wants(&self, phase: Phase) -> bool {
        self.common.print_after.contains(&phase)
    }

    fn warning(&mut self, text: &str) {
        self.note(&format!("{text}\n"));
    }

    fn text(&mut self, phase: Phase, text: &str) {
        self.note(&format!("; after {}\n{}\n", phase.name(), text.trim_end()));
    }
}

/// Says that Weft is at fault.
pub(super) fn bug(what: &str) {
    let version = env!("CARGO_PKG_VERSION");
    let text = format!(
        "This is a bug in Weft {version}, not in what you wrote:\n\n  {}\n\nPlease report it with the command line and the files that it reads: {}/issues\n",
        what.replace('\n', "\n  "),
        env!("CARGO_PKG_REPOSITORY"),
    );
    // Nobody is left to be told that standard error is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
