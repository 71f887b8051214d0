//! How long a Redis that may have lost something is given, until everybody has told it again what it lost.

use std::time::{Duration, Instant};

/// Whoever is connected has told what it knows after so long. Those who reconnect try at least once a second.
pub(super) const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// A Redis that has run for so long had nothing to read from its disk lately. A younger one may just have become
/// reachable, with a snapshot as old as it likes.
const LONG_UP: Duration = Duration::from_secs(600);

/// When a view that was just read from Redis can be believed to have everything.
#[derive(Debug)]
pub(super) struct Settling {
    over_at: Instant,
}

impl Settling {
    /// On a connection that was made then, to a Redis that has run for so long, as far as that is known. Whatever it has not
    /// told, it has run since there is the connection.
    pub(super) fn new(connected_at: Instant, uptime: Option<Duration>) -> Self {
        let is_long_up = uptime.is_some_and(|uptime| uptime >= LONG_UP);
        Self {
            over_at: match is_long_up {
                true => connected_at,
                false => later(connected_at, SETTLED_AFTER),
            },
        }
    }

    /// There is a sign that something had been lost so long before: the stream was begun then, or somebody told something
    /// again.
    pub(super) fn loss_seen(&mut self, age: Duration, now: Instant) {
        self.over_at = self.over_at.max(later(now, SETTLED_AFTER.saturating_sub(age)));
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.over_at
    }
}

fn later(moment: Instant, by: Duration) -> Instant {
    moment.checked_add(by).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_redis_that_has_run_for_long_is_believed_at_once() {
        let now = Instant::now();
        let mut settling = Settling::new(now, Some(LONG_UP));
        settling.loss_seen(SETTLED_AFTER, now);
        assert!(settling.is_over(now));
    }

    #[test]
    fn one_that_was_just_started_is_believed_when_the_connection_has_lasted() {
        let now = Instant::now();
        for uptime in [None, Some(LONG_UP - SECOND)] {
            let settling = Settling::new(now, uptime);
            assert!(!settling.is_over(now + SETTLED_AFTER - SECOND));
            assert!(settling.is_over(now + SETTLED_AFTER));
        }
    }

    #[test]
    fn a_stream_that_was_just_begun_is_believed_when_it_is_old_enough() {
        let now = Instant::now();
        let mut settling = Settling::new(now, Some(LONG_UP));
        settling.loss_seen(SECOND, now);
        assert!(!settling.is_over(now + SETTLED_AFTER - 2 * SECOND));
        assert!(settling.is_over(now + SETTLED_AFTER - SECOND));
    }

    #[test]
    fn every_revocation_that_is_told_again_starts_the_wait_anew() {
        let now = Instant::now();
        let mut settling = Settling::new(now, None);
        settling.loss_seen(Duration::ZERO, now + 2 * SECOND);
        assert!(!settling.is_over(now + 4 * SECOND));
        assert!(settling.is_over(now + 2 * SECOND + SETTLED_AFTER));
    }
}
