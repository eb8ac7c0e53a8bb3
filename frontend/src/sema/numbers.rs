//! Values of sizes and constants.

use std::fmt;

/// A value of a `size` or a `const`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    /// An integer: for sizes, constants and runtime axes.
    Int(i64),
    /// A real: for constants.
    Real(f64),
}

impl Number {
    /// Reads a decimal number, as `-D` gives it. `None` if it is none, or not finite.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.parse::<i64>() {
            Ok(i) => Some(Self::Int(i)),
            // `parse` would take words such as `inf` and `nan` too.
            Err(_) if text.contains(|c: char| c.is_ascii_digit()) => {
                text.parse::<f64>().ok().filter(|x| x.is_finite()).map(Self::Real)
            }
            Err(_) => None,
        }
    }

    /// The value as a float64.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(i) => i as f64,
            Self::Real(x) => x,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(i) => write!(f, "{i}"),
            Self::Real(x) => write!(f, "{x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_command_line() {
        assert_eq!(Number::parse("4096"), Some(Number::Int(4096)));
        assert_eq!(Number::parse(" -3 "), Some(Number::Int(-3)));
        assert_eq!(Number::parse("1e-3"), Some(Number::Real(0.001)));
        assert_eq!(Number::parse("inf"), None);
        assert_eq!(Number::parse("1e999"), None);
        assert_eq!(Number::parse("x"), None);
    }
}
