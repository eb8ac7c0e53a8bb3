//! What stops a command.

use crate::diagnostics::{Code, Diagnostic, SourceMap};

/// Why a step of the driver did not succeed.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Something for the user to change; never empty.
    User(Vec<Diagnostic>),
    /// A part of the compiler broke its contract with another; what happened, for the report.
    Bug(String),
}

impl Fault {
    /// One error without a place.
    pub fn user(code: Code, message: impl Into<String>) -> Self {
        Diagnostic::error(code, message).into()
    }

    /// Whatever should never happen.
    pub fn bug(what: impl std::fmt::Display) -> Self {
        Self::Bug(what.to_string())
    }

    /// What happened, in one line for each message, without places.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::User(all) => all.iter().map(|d| d.message.clone()).collect::<Vec<String>>().join("\n"),
            Self::Bug(what) => what.clone(),
        }
    }

    /// Gives advice with the first message.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        if let Self::User(diagnostics) = &mut self
            && let Some(first) = diagnostics.first_mut()
        {
            first.hint = Some(text.into());
        }
        self
    }

    /// Together with the sources that its places refer to.
    #[must_use]
    pub fn within(self, sources: SourceMap) -> Failure {
        Failure { sources, fault: self }
    }
}

impl From<Box<Diagnostic>> for Fault {
    fn from(d: Box<Diagnostic>) -> Self {
        Self::from(*d)
    }
}

impl From<Diagnostic> for Fault {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::User(vec![diagnostic])
    }
}

/// A fault with the sources that its places refer to.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The sources.
    pub sources: SourceMap,
    /// The fault.
    pub fault: Fault,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        fault.within(SourceMap::new())
    }
}
