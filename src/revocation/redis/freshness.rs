//! How old the view is, and what may be said by it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::clock::Moment;

/// Until when all revocations are known here. It is read with every request, so it takes no lock.
#[derive(Debug)]
pub(super) struct Freshness {
    origin: Instant,
    /// Milliseconds from `origin` to the moment up to which everything is known, and one more; zero before the first.
    heard: AtomicU64,
    /// Something in Redis could not be kept or not be read.
    is_incomplete: AtomicBool,
    unknown_after: Duration,
    stale_up_to: Duration,
}

/// What may be said by the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    InStep,
    /// Older than it should be, and by choice still used.
    Stale,
    Unknown,
}

impl Freshness {
    /// Of a view that knows nothing yet. It is used up to `stale_up_to`, which is no less than `unknown_after`.
    pub(super) fn new(origin: Instant, unknown_after: Duration, stale_up_to: Duration) -> Self {
        Self {
            origin,
            heard: AtomicU64::new(0),
            is_incomplete: AtomicBool::new(false),
            unknown_after,
            stale_up_to,
        }
    }

    /// Everything that was revoked before this moment is known.
    pub(super) fn heard(&self, up_to: Instant) {
        self.heard.fetch_max(self.milliseconds(up_to) + 1, Ordering::AcqRel);
    }

    /// Whether there is something of which nothing is known here, however new the rest is.
    pub(super) fn set_incomplete(&self, is_incomplete: bool) {
        self.is_incomplete.store(is_incomplete, Ordering::Release);
    }

    /// How old the view is; `None` before the first.
    pub(super) fn age(&self, now: Moment) -> Option<Duration> {
        let heard = self.heard.load(Ordering::Acquire).checked_sub(1)?;
        // Both are rounded down: the age is by less than a millisecond too high or too low.
        Some(Duration::from_millis(
            self.milliseconds(now.monotonic).saturating_sub(heard),
        ))
    }

    /// How old what is known is; beyond all bounds where something is missing.
    pub(super) fn known_age(&self, now: Moment) -> Duration {
        match self.is_incomplete.load(Ordering::Acquire) {
            true => Duration::MAX,
            false => self.age(now).unwrap_or(Duration::MAX),
        }
    }

    pub(super) fn standing(&self, now: Moment) -> Standing {
        if self.is_incomplete.load(Ordering::Acquire) {
            return Standing::Unknown;
        }
        match self.age(now) {
            Some(age) if age <= self.unknown_after => Standing::InStep,
            Some(age) if age <= self.stale_up_to => Standing::Stale,
            _ => Standing::Unknown,
        }
    }

    fn milliseconds(&self, moment: Instant) -> u64 {
        let passed = moment.saturating_duration_since(self.origin).as_millis();
        u64::try_from(passed).unwrap_or(u64::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn moment(after: Duration, origin: Instant) -> Moment {
        Moment {
            wall: std::time::SystemTime::UNIX_EPOCH,
            monotonic: origin + after,
        }
    }

    fn ten_seconds() -> (Freshness, Instant) {
        let origin = Instant::now();
        (Freshness::new(origin, 10 * SECOND, 10 * SECOND), origin)
    }

    fn by_choice_sixty() -> (Freshness, Instant) {
        let origin = Instant::now();
        (Freshness::new(origin, 10 * SECOND, 60 * SECOND), origin)
    }

    #[test]
    fn nothing_is_known_before_the_first_load() {
        let (freshness, origin) = ten_seconds();
        assert_eq!(freshness.standing(moment(Duration::ZERO, origin)), Standing::Unknown);
        assert_eq!(freshness.age(moment(SECOND, origin)), None);
    }

    #[test]
    fn a_view_is_used_up_to_its_bound_and_no_longer() {
        let (freshness, origin) = ten_seconds();
        freshness.heard(origin + 5 * SECOND);
        assert_eq!(freshness.standing(moment(15 * SECOND, origin)), Standing::InStep);
        let later = 15 * SECOND + Duration::from_millis(1);
        assert_eq!(freshness.standing(moment(later, origin)), Standing::Unknown);
    }

    #[test]
    fn by_choice_it_is_used_up_to_a_second_bound() {
        let (freshness, origin) = by_choice_sixty();
        freshness.heard(origin);
        assert_eq!(freshness.standing(moment(11 * SECOND, origin)), Standing::Stale);
        assert_eq!(freshness.standing(moment(60 * SECOND, origin)), Standing::Stale);
        assert_eq!(freshness.standing(moment(61 * SECOND, origin)), Standing::Unknown);
    }

    #[test]
    fn what_was_heard_later_is_not_unheard_by_an_answer_that_comes_late() {
        let (freshness, origin) = ten_seconds();
        freshness.heard(origin + 5 * SECOND);
        freshness.heard(origin + SECOND);
        assert_eq!(freshness.age(moment(6 * SECOND, origin)), Some(SECOND));
    }

    #[test]
    fn a_view_that_misses_something_says_nothing_however_new_it_is() {
        let (freshness, origin) = by_choice_sixty();
        freshness.heard(origin);
        freshness.set_incomplete(true);
        assert_eq!(freshness.standing(moment(Duration::ZERO, origin)), Standing::Unknown);
        freshness.set_incomplete(false);
        assert_eq!(freshness.standing(moment(Duration::ZERO, origin)), Standing::InStep);
    }
}
