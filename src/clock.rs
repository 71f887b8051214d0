//! What time it is, so that tests can move it.

use std::time::{Duration, Instant, SystemTime};

/// Tells the time of a request.
///
/// The protector asks when a request comes, and again after it had to wait. Give another clock with
/// [`ResourceProtectorLayer::clock`](crate::ResourceProtectorLayer::clock).
///
/// A wall clock that is behind lengthens the life of every token by as much; one that is ahead shortens it. A
/// monotonic clock that stands still makes remembered answers and keys live for ever.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Moment;
}

/// One moment, on the wall clock and on the monotonic clock.
///
/// Claims (`exp`, `nbf`, `iat`) are compared with the wall clock. Ages of what was fetched or remembered are measured
/// on the monotonic clock, so that setting the wall clock back does not lengthen them.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time of day.
    pub wall: SystemTime,
    /// The time that never runs backwards.
    pub monotonic: Instant,
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment {
            wall: SystemTime::now(),
            monotonic: Instant::now(),
        }
    }
}

impl Moment {
    /// How long ago `earlier` was on the monotonic clock; zero if it lies ahead.
    pub(crate) fn since(&self, earlier: Instant) -> Duration {
        self.monotonic.saturating_duration_since(earlier)
    }

    /// This moment, after some time has passed.
    pub(crate) fn later(self, by: Duration) -> Self {
        Self {
            wall: self.wall.checked_add(by).unwrap_or(self.wall),
            monotonic: self.monotonic.checked_add(by).unwrap_or(self.monotonic),
        }
    }
}
