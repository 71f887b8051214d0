//! Moments as they are written down.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use resource_protector::{Clock, Moment};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How far the clocks of machines may be apart that log users in and out.
pub(crate) const CLOCKS_DIFFER_BY: Duration = Duration::from_secs(60);

/// A moment, in whole milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Millis(u64);

impl Millis {
    /// The last millisecond that has begun by then.
    pub(crate) fn floor(moment: SystemTime) -> Self {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// So many whole seconds since 1970.
    pub(crate) fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    pub(crate) fn time(self) -> SystemTime {
        UNIX_EPOCH
            .checked_add(Duration::from_millis(self.0))
            .unwrap_or(UNIX_EPOCH)
    }

    /// So much later.
    pub(crate) fn after(self, time: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// The next millisecond.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// In whole seconds, as claims have it, rounded down.
    pub(crate) fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// In whole seconds, rounded up.
    pub(crate) fn seconds_up(self) -> u64 {
        self.0.div_ceil(1000)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self)
    }
}

/// A clock that others have, too.
pub(crate) struct SharedClock(pub(crate) Arc<dyn Clock>);

impl Clock for SharedClock {
    fn now(&self) -> Moment {
        self.0.now()
    }
}
