//! One message to the user.

use super::codes::Code;
use super::source::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The program is compiled; something in it is probably not what was meant.
    Warning,
    /// The program has no meaning and is not compiled.
    Error,
}

/// A remark at a place in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The remark, without a full stop.
    pub text: String,
}

/// One message: says the constraint (`message`), the offending value (`primary`, `notes`) and the fix (`hint`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which error this is.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in one line that makes sense without the source, and without a full stop.
    pub message: String,
    /// Where. Absent where no source is involved (command line, inputs).
    pub primary: Option<Label>,
    /// Other places that matter, for instance the chain of reads of a clock error.
    pub secondary: Vec<Label>,
    /// What could stand at the primary place, each as one would write or call it (``"`)`"``, `"a name"`).
    pub expected: Vec<String>,
    /// Further facts, such as an example value that breaks the constraint.
    pub notes: Vec<String>,
    /// How to repair it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without a place, with the hint of its code.
    pub fn error(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            expected: Vec::new(),
            notes: Vec::new(),
            hint: code.hint().map(str::to_owned),
        }
    }

    /// A warning without a place.
    pub fn warning(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message) }
    }

    /// Sets the primary place and what is to be said there.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.primary = Some(Label { span, text: text.into() });
        self
    }

    /// Adds a secondary place.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.secondary.push(Label { span, text: text.into() });
        self
    }

    /// Adds what could have stood at the primary place.
    #[must_use]
    pub fn expected<S: Into<String>>(mut self, items: impl IntoIterator<Item = S>) -> Diagnostic {
        self.expected.extend(items.into_iter().map(Into::into));
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Sets the advice.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Diagnostic {
        self.hint = Some(text.into());
        self
    }

    /// True unless it is a warning.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
