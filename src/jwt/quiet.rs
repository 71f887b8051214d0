//! When nobody has to look.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::clock::Moment;

/// A time in which nothing has to be done for a set, so that nobody has to look at it.
///
/// It is counted on the monotonic clock from the first moment that was seen. Zero is none.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    epoch: OnceLock<Instant>,
    until: AtomicU64,
}

impl Quiet {
    pub(super) fn lasts(&self, now: Moment) -> bool {
        let until = self.until.load(Ordering::Acquire);
        until > 0
            && self
                .epoch
                .get()
                .is_some_and(|epoch| nanoseconds(now.since(*epoch)) < until)
    }

    /// Call it with the lock held, so that no change is missed.
    pub(super) fn begin(&self, now: Moment, until: Instant) {
        let epoch = *self.epoch.get_or_init(|| now.monotonic);
        let until = nanoseconds(until.saturating_duration_since(epoch));
        self.until.store(until, Ordering::Release);
    }

    pub(super) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn it_lasts_until_its_time_is_over_or_something_has_changed() {
        let start = Moment {
            wall: SystemTime::UNIX_EPOCH,
            monotonic: Instant::now(),
        };
        let after = |seconds| Moment {
            monotonic: start.monotonic + Duration::from_secs(seconds),
            ..start
        };
        let quiet = Quiet::default();
        assert!(!quiet.lasts(start));
        quiet.begin(start, after(10).monotonic);
        assert!(quiet.lasts(start) && quiet.lasts(after(9)) && !quiet.lasts(after(10)));
        quiet.begin(after(10), after(20).monotonic);
        assert!(quiet.lasts(after(19)) && !quiet.lasts(after(20)));
        quiet.end();
        assert!(!quiet.lasts(after(15)));
        // One that is over when it begins is none.
        quiet.begin(after(20), after(20).monotonic);
        assert!(!quiet.lasts(after(20)));
    }
}
