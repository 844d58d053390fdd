//! What is wrong with a text, and where.

use std::fmt;

use super::fault::MachineFault;

/// Why a text is not a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub kind: ErrorKind,
}

/// What is wrong with a text at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Something else stands there than can stand there.
    Expected {
        /// What could stand there.
        expected: String,
        /// What stands there, shortened where it is long; empty for nothing.
        found: String,
    },
    /// A key, with its `=`, or a word is given a second time.
    Twice(String),
    /// No sequence can be run on this machine.
    Machine(MachineFault),
    /// The line holds one operation more than a sequence can.
    TooMany {
        /// How many a sequence can hold.
        most: usize,
    },
}

/// How many characters of a wrong word an error shows.
const SHOWN_CHARACTERS: usize = 40;

impl ErrorKind {
    /// `found` instead of `expected`.
    pub(super) fn expected(expected: impl Into<String>, found: &str) -> ErrorKind {
        let mut shown: String = found.chars().take(SHOWN_CHARACTERS).collect();
        if shown.len() < found.len() {
            shown.push('…');
        }
        ErrorKind::Expected {
            expected: expected.into(),
            found: shown,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.kind
        )
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Expected { expected, found } if found.is_empty() => {
                write!(f, "expected {expected}, found nothing")
            }
            ErrorKind::Expected { expected, found } => {
                write!(f, "expected {expected}, found {found:?}")
            }
            ErrorKind::Twice(key) => write!(f, "{key} is given twice"),
            ErrorKind::Machine(fault) => fault.fmt(f),
            ErrorKind::TooMany { most } => write!(f, "a sequence holds at most {most} operations"),
        }
    }
}

impl std::error::Error for ParseError {}
