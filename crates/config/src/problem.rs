//! What is wrong with the settings, where, and what to do about it.

use std::{fmt, path::PathBuf};

/// Where a setting was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// In the file; line and column count from one, the column in characters.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// The file as a whole.
    Path(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag, without its dashes.
    Flag(&'static str),
    /// Nowhere: the default, or a setting that is missing.
    Nowhere,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Nowhere => f.write_str("settings"),
        }
    }
}

/// One thing that is wrong, and the remedy.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{place}: {what}\n    {remedy}")]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// The setting, its value and what is wrong with it. Secrets are not repeated.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

/// Everything that is wrong: the file in the order of its lines, then variables, then flags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        match self.0.len() {
            1 => f.write_str("1 problem"),
            count => write!(f, "{count} problems"),
        }
    }
}

impl std::error::Error for Problems {}

/// Why a value is refused: a predicate such as "is not a duration", and the remedy.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl Refusal {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// The same where `"off"` would do, too.
    pub(crate) fn or_off(self) -> Self {
        Self {
            remedy: format!("{}, or \"off\"", self.remedy),
            ..self
        }
    }

    /// The problem of `subject`, which has the value `shown`, at `place`.
    pub(crate) fn of(self, subject: &str, shown: &str, place: Place) -> Problem {
        Problem {
            place,
            what: format!("{subject} = {shown} {}", self.what),
            remedy: self.remedy,
        }
    }
}
