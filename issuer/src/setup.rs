//! Settings, checked, and what is said of those that cannot be.

use std::{ops::RangeInclusive, time::Duration};

use resource_protector::SetupError;

/// A value that was set, in an error: quoted, escaped, and cut after 80 characters. Not for secrets.
pub(crate) fn shown(value: &str) -> String {
    let mut short: String = value.chars().take(80).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// A duration that was set, if it is within these bounds.
pub(crate) fn within(
    option: &'static str,
    value: Duration,
    bounds: RangeInclusive<Duration>,
) -> Result<Duration, SetupError> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    let (least, most, got) = (bounds.start(), bounds.end(), value);
    Err(SetupError::new(
        option,
        format_args!(
            "expected {} s to {} s, got {} s",
            least.as_secs_f64(),
            most.as_secs_f64(),
            got.as_secs_f64()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_shown_escaped_and_short() {
        assert_eq!(shown("a\r\n\"b"), r#""a\r\n\"b""#);
        assert_eq!(shown(&"ü".repeat(81)), format!("\"{}…\"", "ü".repeat(80)));
    }
}
