//! What is wrong with a configuration, and where.

use std::fmt::{self, Display};

use super::document::Document;
use crate::error::SetupError;

/// A configuration that cannot be used: the line, the key, what was expected, what to do.
///
/// ```text
/// line 12: issuer[0].client_secret_file: cannot be read: No such file or directory
/// ```
///
/// No value from the file is quoted that could be a secret. What is found while the file is read has its line at once;
/// what is found later, while validators are built, gets it from [`located_in`](Self::located_in).
#[derive(Clone, thiserror::Error)]
pub struct ConfigError {
    key: String,
    problem: String,
    line: Option<usize>,
}

impl ConfigError {
    /// A problem with the value of a key, which is written like `issuer[0].jwks_uri`: names of tables and keys with dots
    /// between, elements of lists counted from zero. The problem must not quote a secret.
    pub fn new(key: impl Into<String>, problem: impl Display) -> Self {
        Self {
            key: key.into(),
            problem: problem.to_string(),
            line: None,
        }
    }

    /// A problem that a builder of this crate has found, told by the key of the file instead of the builder's option.
    pub(crate) fn setup(key: impl Into<String>, error: &SetupError) -> Self {
        Self::new(key, error.problem())
    }

    /// The same problem, with a key that stands below this one.
    pub(super) fn below(mut self, path: &str) -> Self {
        self.key = format!("{path}.{}", self.key);
        self
    }

    pub(super) fn at_line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    /// Adds the line on which the key stands in this document; for a key that is missing, the line of the table that
    /// should have it. A line that is known already stays.
    #[must_use]
    pub fn located_in(self, toml: &str) -> Self {
        match self.line {
            Some(_) => self,
            None => {
                let line = Document::recover(toml).line_of(&self.key);
                self.at_line(line)
            }
        }
    }

    /// The line, counted from one, if it is known.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The key, such as `issuer[0].jwks_uri`; empty where the text is not TOML and no key can be told.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)
    }
}

impl fmt::Debug for ConfigError {
    /// The message, because this is the form in which `main` prints what it returns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}
