//! Time that stands still until it is moved.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use crate::clock::{Clock, Moment};

/// A clock that a test moves. Clones share the time.
///
/// ```
/// use std::time::Duration;
/// use resource_protector::{Clock, testing::TestClock};
///
/// let clock = TestClock::new();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().wall, start.wall + Duration::from_secs(60));
/// assert_eq!(clock.now().monotonic, start.monotonic + Duration::from_secs(60));
/// ```
#[derive(Clone)]
pub struct TestClock(Arc<Mutex<Moment>>);

impl TestClock {
    /// Stopped at the present moment, so that tokens minted by it are also good for who looks at the system's clock.
    pub fn new() -> Self {
        Self::at(SystemTime::now())
    }

    /// Stopped at this time of day.
    pub fn at(wall: SystemTime) -> Self {
        let monotonic = Instant::now();
        Self(Arc::new(Mutex::new(Moment { wall, monotonic })))
    }

    /// Lets time pass, on the wall clock and on the monotonic clock.
    pub fn advance(&self, time: Duration) {
        let mut moment = self.moment();
        moment.wall += time;
        moment.monotonic += time;
    }

    /// Sets the wall clock, forwards or backwards, as an administrator or a time server may. The monotonic clock stays.
    pub fn set_wall(&self, wall: SystemTime) {
        self.moment().wall = wall;
    }

    fn moment(&self) -> MutexGuard<'_, Moment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Moment {
        *self.moment()
    }
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestClock").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_wall_clock_back_does_not_move_the_monotonic_clock() {
        let clock = TestClock::new();
        let start = clock.now();
        clock.clone().set_wall(SystemTime::UNIX_EPOCH);
        assert_eq!(clock.now().wall, SystemTime::UNIX_EPOCH);
        assert_eq!(clock.now().monotonic, start.monotonic);
    }
}
