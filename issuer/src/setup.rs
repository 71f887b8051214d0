//! Settings, checked.

use std::{ops::RangeInclusive, time::Duration};

use resource_protector::SetupError;

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
