//! What can go wrong before the first request.

use std::{
    fmt::{self, Display},
    ops::RangeInclusive,
    time::Duration,
};

/// A setting that cannot be used, found while a validator, guard or layer is built.
///
/// The message names the option, what was expected, what came and what to do about it. It never quotes a secret. The
/// error is opaque: there is nothing to match on, because the answer is always to mend the configuration.
#[derive(Clone, thiserror::Error)]
#[error("{option}: {problem}")]
pub struct SetupError {
    option: &'static str,
    problem: String,
}

impl SetupError {
    /// For a validator, a store or a layer of your own: the option's name, and what was expected, what came and what to do.
    /// It must not quote a secret.
    pub fn new(option: &'static str, problem: impl Display) -> Self {
        Self {
            option,
            problem: problem.to_string(),
        }
    }

    /// What is wrong, without the option's name.
    pub(crate) fn problem(&self) -> &str {
        &self.problem
    }

    /// The name of the option that cannot be used.
    pub fn option(&self) -> &'static str {
        self.option
    }
}

impl fmt::Debug for SetupError {
    /// The message, because this is the form in which `main` prints what it returns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Checks a duration that was configured.
pub(crate) fn within(
    option: &'static str,
    value: Duration,
    bounds: RangeInclusive<Duration>,
) -> Result<Duration, SetupError> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    Err(SetupError::new(
        option,
        format_args!(
            "expected {} s to {} s, got {} s",
            bounds.start().as_secs_f64(),
            bounds.end().as_secs_f64(),
            value.as_secs_f64()
        ),
    ))
}

/// Checks a leeway that was configured: RFC 9068 §4 knows "usually no more than a few minutes".
pub(crate) fn within_leeway(leeway: Duration) -> Result<Duration, SetupError> {
    within("leeway", leeway, Duration::ZERO..=Duration::from_secs(300))
}

/// Checks a time-out that was configured.
pub(crate) fn within_timeout(timeout: Duration) -> Result<Duration, SetupError> {
    within("timeout", timeout, Duration::from_millis(1)..=Duration::from_secs(60))
}

/// For what is documented to panic at start.
#[track_caller]
#[allow(clippy::panic, reason = "documented, at start")]
pub(crate) fn at_start<T>(result: Result<T, SetupError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// Shows a value that came from outside in a log: quoted, escaped, and no longer than 80 characters.
pub(crate) fn shown(value: &str) -> String {
    let mut short: String = value.chars().take(80).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_value_is_shown_escaped_and_short() {
        assert_eq!(shown("a\r\n\"b"), r#""a\r\n\"b""#);
        assert!(shown(&"x".repeat(10_000)).len() < 100);
    }
}
