//! How often somebody may fail to authenticate.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use resource_protector::{Moment, SetupError};

/// Counts failed attempts to authenticate, and refuses further ones for a while: after 10 failures within 5 minutes,
/// until 5 minutes have passed since the first of them. Clones share the counts, which are in the memory of this
/// process.
///
/// What is counted together is told by a key: the name that was tried, alone or with the address that it was tried
/// from. Keys are kept as digests.
///
/// **It can be turned against those whom it protects**: who fails on purpose in the name of another locks them out. So
/// count by name *and* address where the address is known (a proxy that can be trusted says it); then an attacker locks
/// out nobody but those who share the address. What is guarded by a name alone should not be urgent, or not be
/// guessable in the first place.
///
/// There is room for 100 000 keys, about 30 MiB. When it is full, the key with the fewest failures makes room, the
/// oldest first: who wants to be forgotten has to fail under as many other keys.
#[derive(Clone)]
pub struct Attempts(Arc<Shared>);

struct Shared {
    limit: u32,
    window: Duration,
    capacity: usize,
    counts: Mutex<Counts>,
}

type Digest = [u8; 32];

#[derive(Default)]
struct Counts {
    keys: HashMap<Digest, Count>,
    /// The same in the order in which keys make room.
    least: BTreeSet<(u32, Instant, Digest)>,
    /// The same in the order in which they began.
    oldest: BTreeSet<(Instant, Digest)>,
}

#[derive(Clone, Copy)]
struct Count {
    failures: u32,
    /// When the first of them was.
    since: Instant,
}

/// There were too many failures. Nothing was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there were too many failed attempts")]
#[non_exhaustive]
pub struct TooMany {
    /// How long it is until the next attempt is looked at.
    pub retry_after: Duration,
}

/// An attempt that has begun, and counts as failed until it is said how it ended: so many that begin at the same time
/// count as many. One that is dropped, because whoever made it has gone, stays a failure.
#[must_use]
pub struct Attempt<'a> {
    attempts: &'a Attempts,
    key: Digest,
}

impl Attempts {
    /// Refuses after 10 failures in 5 minutes.
    pub fn new() -> Self {
        Self::of(10, Duration::from_secs(300), 100_000)
    }

    /// Refuses after this many failures in this time.
    ///
    /// # Errors
    ///
    /// When the limit is zero, or the time is not 1 s to 24 hours.
    pub fn with_limit(failures: u32, window: Duration) -> Result<Self, SetupError> {
        let bounds = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
        if failures == 0 || !bounds.contains(&window) {
            return Err(SetupError::new(
                "attempts",
                format_args!(
                    "expected at least one failure, and a time of 1 s to 24 hours, got {failures} in {} s",
                    window.as_secs_f64()
                ),
            ));
        }
        Ok(Self::of(failures, window, 100_000))
    }

    fn of(limit: u32, window: Duration, capacity: usize) -> Self {
        Self(Arc::new(Shared {
            limit,
            window,
            capacity,
            counts: Mutex::default(),
        }))
    }

    /// Whether an attempt may be looked at. It counts nothing: say so if it [failed](Self::failed). For what is judged
    /// at once; where judging takes its time, as with passwords, [`begin`](Self::begin) one.
    ///
    /// # Errors
    ///
    /// When there were too many failures.
    pub fn check(&self, key: &str, now: Moment) -> Result<(), TooMany> {
        self.judge(&mut self.counts(), &digest_of(key), now)
    }

    /// Begins an attempt, which counts as failed from now on.
    ///
    /// # Errors
    ///
    /// When there were too many failures.
    pub fn begin(&self, key: &str, now: Moment) -> Result<Attempt<'_>, TooMany> {
        let key = digest_of(key);
        let mut counts = self.counts();
        // Under one lock, so that of two that begin at the same moment the second one sees the first.
        self.judge(&mut counts, &key, now)?;
        self.count(&mut counts, key, now);
        Ok(Attempt { attempts: self, key })
    }

    /// Counts a failure.
    pub fn failed(&self, key: &str, now: Moment) {
        self.count(&mut self.counts(), digest_of(key), now);
    }

    /// Forgets the failures under a key, since the right one has come.
    pub fn succeeded(&self, key: &str) {
        self.counts().remove(&digest_of(key));
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, counts: &mut Counts, key: &Digest, now: Moment) -> Result<(), TooMany> {
        counts.forget_before(now.monotonic, self.0.window);
        match counts.keys.get(key) {
            Some(count) if count.failures >= self.0.limit => {
                let passed = now.monotonic.saturating_duration_since(count.since);
                Err(TooMany {
                    retry_after: self.0.window.saturating_sub(passed),
                })
            }
            _ => Ok(()),
        }
    }

    fn count(&self, counts: &mut Counts, key: Digest, now: Moment) {
        counts.forget_before(now.monotonic, self.0.window);
        let before = counts.remove(&key);
        if before.is_none() && counts.keys.len() >= self.0.capacity {
            counts.make_room();
        }
        let count = match before {
            Some(count) => Count {
                failures: count.failures.saturating_add(1),
                ..count
            },
            None => Count {
                failures: 1,
                since: now.monotonic,
            },
        };
        counts.insert(key, count);
    }
}

impl Attempt<'_> {
    /// It was the right one: all failures under its key are forgotten.
    pub fn succeeded(self) {
        self.attempts.counts().remove(&self.key);
    }

    /// It could not be decided, and does not count.
    pub fn undecided(self) {
        let mut counts = self.attempts.counts();
        if let Some(count) = counts.remove(&self.key)
            && count.failures > 1
        {
            let failures = count.failures - 1;
            counts.insert(self.key, Count { failures, ..count });
        }
    }
}

impl Counts {
    fn insert(&mut self, key: Digest, count: Count) {
        self.keys.insert(key, count);
        self.least.insert((count.failures, count.since, key));
        self.oldest.insert((count.since, key));
    }

    fn remove(&mut self, key: &Digest) -> Option<Count> {
        let count = self.keys.remove(key)?;
        self.least.remove(&(count.failures, count.since, *key));
        self.oldest.remove(&(count.since, *key));
        Some(count)
    }

    fn forget_before(&mut self, now: Instant, window: Duration) {
        while let Some((since, key)) = self.oldest.first().copied()
            && now.saturating_duration_since(since) >= window
        {
            self.remove(&key);
        }
    }

    fn make_room(&mut self) {
        if let Some((_, _, key)) = self.least.first().copied() {
            self.remove(&key);
        }
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self::new()
    }
}

fn digest_of(key: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    bytes
}

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts")
            .field("limit", &self.0.limit)
            .field("window", &self.0.window)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use resource_protector::{Clock as _, testing::TestClock};

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ten_failures_within_five_minutes_refuse_until_these_have_passed() {
        let (attempts, clock) = (Attempts::new(), TestClock::new());
        for _ in 0..10 {
            assert_eq!(attempts.check("alice", clock.now()), Ok(()));
            attempts.failed("alice", clock.now());
            clock.advance(seconds(10));
        }
        // The first was 100 s ago.
        let refused = Err(TooMany {
            retry_after: seconds(200),
        });
        assert_eq!(attempts.check("alice", clock.now()), refused);
        assert_eq!(attempts.check("bob", clock.now()), Ok(()));
        clock.advance(seconds(199));
        assert!(attempts.check("alice", clock.now()).is_err());
        clock.advance(seconds(1));
        assert_eq!(attempts.check("alice", clock.now()), Ok(()));
        attempts.failed("alice", clock.now());
        assert_eq!(attempts.check("alice", clock.now()), Ok(()));
    }

    #[test]
    fn failures_are_forgotten_when_the_right_one_comes() {
        let (attempts, clock) = (Attempts::new(), TestClock::new());
        for _ in 0..3 {
            (0..9).for_each(|_| attempts.failed("alice", clock.now()));
            assert_eq!(attempts.check("alice", clock.now()), Ok(()));
            attempts.succeeded("alice");
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_forward_lets_nobody_in() {
        let (attempts, clock) = (Attempts::new(), TestClock::new());
        (0..10).for_each(|_| attempts.failed("alice", clock.now()));
        clock.set_wall(clock.now().wall + seconds(3600));
        assert!(attempts.check("alice", clock.now()).is_err());
    }

    #[test]
    fn attempts_that_begin_at_the_same_time_count_before_any_has_ended() {
        let (attempts, clock) = (Attempts::new(), TestClock::new());
        let begun: Vec<_> = (0..12).map(|_| attempts.begin("alice", clock.now())).collect();
        assert_eq!(begun.iter().filter(|attempt| attempt.is_ok()).count(), 10);
        // Who goes away before it is decided has failed.
        drop(begun);
        assert!(attempts.begin("alice", clock.now()).is_err());
    }

    #[test]
    fn however_many_threads_begin_attempts_no_more_are_let_through_than_the_limit() {
        for _ in 0..200 {
            let (attempts, now) = (Attempts::new(), TestClock::new().now());
            let barrier = std::sync::Barrier::new(4);
            let try_often = || {
                barrier.wait();
                (0..10).filter(|_| attempts.begin("alice", now).is_ok()).count()
            };
            let let_through: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(try_often)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(let_through, 10);
        }
    }

    #[test]
    fn an_attempt_that_could_not_be_decided_does_not_count() {
        let (attempts, clock) = (Attempts::new(), TestClock::new());
        for _ in 0..20 {
            attempts.begin("alice", clock.now()).unwrap().undecided();
        }
        (0..9).for_each(|_| attempts.failed("alice", clock.now()));
        let last = attempts.begin("alice", clock.now()).unwrap();
        assert!(attempts.check("alice", clock.now()).is_err());
        last.succeeded();
        assert_eq!(attempts.check("alice", clock.now()), Ok(()));
    }

    #[test]
    fn a_full_table_forgets_who_failed_least_and_is_empty_when_all_is_over() {
        let (attempts, clock) = (Attempts::of(2, seconds(300), 3), TestClock::new());
        attempts.failed("alice", clock.now());
        attempts.failed("alice", clock.now());
        for stranger in 0..100 {
            clock.advance(seconds(1));
            attempts.failed(&stranger.to_string(), clock.now());
        }
        assert!(attempts.check("alice", clock.now()).is_err());
        assert_eq!(attempts.counts().keys.len(), 3);
        clock.advance(seconds(300));
        assert_eq!(attempts.check("alice", clock.now()), Ok(()));
        let counts = attempts.counts();
        assert_eq!((counts.keys.len(), counts.least.len(), counts.oldest.len()), (0, 0, 0));
    }

    #[test]
    fn a_limit_that_refuses_everything_or_never_ends_is_a_set_up_error() {
        for (failures, window) in [(0, 60), (1, 0), (1, 86_401)] {
            let error = Attempts::with_limit(failures, seconds(window)).unwrap_err();
            assert_eq!(error.option(), "attempts");
        }
    }
}
