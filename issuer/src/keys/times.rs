//! For how long keys are published, sign, and are kept.

use std::{ops::RangeInclusive, time::Duration};

use resource_protector::SetupError;

use super::MAX_KEYS;
use crate::setup::within;

/// How long resource servers may hold on to a token beyond its end, for the difference of clocks: the most that
/// `resource_protector` allows.
pub(super) const LEEWAY: Duration = Duration::from_secs(300);

/// What `publish_ahead` may be at the most.
pub(super) const LONGEST_AHEAD: Duration = Duration::from_secs(7 * 24 * 3600);

/// What `publish_ahead` may be.
const AHEAD: RangeInclusive<Duration> = Duration::from_secs(60)..=LONGEST_AHEAD;

/// What `roll_over_every` may be. Three years are the longest that NIST SP 800-57 Part 1, §5.3.6, has a key sign.
const EVERY: RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(3 * 366 * 24 * 3600);

/// How many times `roll_over_every` the life of a key may last beyond that, so that one more, rolled over by hand, has
/// room in the ring.
const OVERLAPPING: u32 = 30;

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) publish_ahead: Duration,
    pub(super) keep_retired: Duration,
    /// Never, if it is `None`.
    pub(super) roll_over_every: Option<Duration>,
}

impl Default for Times {
    /// 90 days are often enough that a key that leaked unnoticed is of no use some day, and seldom enough that a set of keys
    /// that somebody copies by hand, against all advice, is not out of date within weeks.
    fn default() -> Self {
        Self {
            publish_ahead: Duration::from_secs(3600),
            keep_retired: Duration::from_secs(24 * 3600),
            roll_over_every: Some(Duration::from_secs(90 * 24 * 3600)),
        }
    }
}

impl Times {
    /// Refuses times that are out of bounds, or do not go together.
    pub(super) fn check(&self) -> Result<(), SetupError> {
        let ahead = within("publish_ahead", self.publish_ahead, AHEAD)?;
        let Some(every) = self.roll_over_every else {
            return Ok(());
        };
        within("roll_over_every", every, EVERY)?;
        if every < ahead * 2 {
            return Err(SetupError::new(
                "roll_over_every",
                format_args!(
                    "expected {} s at least, twice publish_ahead, got {} s: roll over less often, or publish for less \
                     long",
                    (ahead * 2).as_secs_f64(),
                    every.as_secs_f64()
                ),
            ));
        }
        let overlap = ahead.saturating_add(self.keep_retired).saturating_add(LEEWAY);
        if overlap > every.saturating_mul(OVERLAPPING) {
            return Err(SetupError::new(
                "roll_over_every",
                format_args!(
                    "expected {} s at least, as retired keys are kept for {} s and a ring has {MAX_KEYS} keys, got {} s",
                    (overlap / OVERLAPPING).as_secs() + 1,
                    self.keep_retired.as_secs(),
                    every.as_secs()
                ),
            ));
        }
        Ok(())
    }
}
