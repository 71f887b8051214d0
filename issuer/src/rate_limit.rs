//! How often something may happen under one name (RFC 6585 §4).

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use resource_protector::{Moment, SetupError};

/// Counts what must not happen too often, and refuses more of it for a while: failed attempts to authenticate, or codes that are
/// granted. Unless set, it refuses after 10 within 5 minutes, until 5 minutes have passed since the first of them. Clones share
/// the counts, which are in the memory of this process.
///
/// What is counted together is told by a key: the name that was tried, alone or with the address that it was tried
/// from. Keys are kept as digests. Where one limit is for several things, begin the keys of each with a word of its own.
///
/// **It can be turned against those whom it protects**: who fails on purpose in the name of another locks them out. So
/// count by name *and* address where the address is known (a proxy that can be trusted says it); then an attacker locks
/// out nobody but those who share the address. What is guarded by a name alone should not be urgent, or not be
/// guessable in the first place.
///
/// There is room for 100 000 keys, about 30 MiB. When it is full, the key with the lowest count makes room, the
/// oldest first: who wants to be forgotten has to be counted under as many other keys.
#[derive(Clone)]
pub struct RateLimit(Arc<Shared>);

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
    times: u32,
    /// When the first of them was.
    since: Instant,
}

/// There was too much of it under this key. Nothing was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit is reached of how often this may happen")]
#[non_exhaustive]
pub struct TooMany {
    /// How long it is until the next one is looked at.
    pub retry_after: Duration,
}

/// An attempt that has begun, and counts until it is said how it ended: so many that begin at the same time count as many. One
/// that is dropped goes on counting: it failed, or whoever made it has gone, or it succeeded in what is limited all the same.
#[must_use]
pub struct Attempt<'a> {
    limit: &'a RateLimit,
    key: Digest,
}

impl RateLimit {
    /// Refuses after so many within this time, until it has passed since the first of them.
    ///
    /// # Errors
    ///
    /// When the limit is zero, or the time is not 1 s to 24 hours.
    pub fn new(limit: u32, window: Duration) -> Result<Self, SetupError> {
        let bounds = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
        if limit == 0 || !bounds.contains(&window) {
            return Err(SetupError::new(
                "rate_limit",
                format_args!(
                    "expected a limit of at least 1, and a time of 1 s to 24 hours, got {limit} in {} s",
                    window.as_secs_f64()
                ),
            ));
        }
        Ok(Self::of(limit, window, 100_000))
    }

    fn of(limit: u32, window: Duration, capacity: usize) -> Self {
        Self(Arc::new(Shared {
            limit,
            window,
            capacity,
            counts: Mutex::default(),
        }))
    }

    /// Whether an attempt may be looked at. It counts nothing: [`count`](Self::count) it if it failed. For what is judged
    /// at once; where judging takes its time, as with passwords, [`begin`](Self::begin) one.
    ///
    /// # Errors
    ///
    /// When the limit is reached.
    pub fn check(&self, key: &str, now: Moment) -> Result<(), TooMany> {
        self.judge(&mut self.counts(), &digest_of(key), now)
    }

    /// Begins an attempt, which counts from now on.
    ///
    /// # Errors
    ///
    /// When the limit is reached.
    pub fn begin(&self, key: &str, now: Moment) -> Result<Attempt<'_>, TooMany> {
        let key = digest_of(key);
        let mut counts = self.counts();
        // Under one lock, so that of two that begin at the same moment the second one sees the first.
        self.judge(&mut counts, &key, now)?;
        self.add(&mut counts, key, now);
        Ok(Attempt { limit: self, key })
    }

    /// Counts one, such as an attempt that has failed.
    pub fn count(&self, key: &str, now: Moment) {
        self.add(&mut self.counts(), digest_of(key), now);
    }

    /// Forgets what was counted under a key, such as failures when the right one has come.
    pub fn forget(&self, key: &str) {
        self.counts().remove(&digest_of(key));
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, counts: &mut Counts, key: &Digest, now: Moment) -> Result<(), TooMany> {
        counts.forget_before(now.monotonic, self.0.window);
        match counts.keys.get(key) {
            Some(count) if count.times >= self.0.limit => {
                let passed = now.monotonic.saturating_duration_since(count.since);
                Err(TooMany {
                    retry_after: self.0.window.saturating_sub(passed),
                })
            }
            _ => Ok(()),
        }
    }

    fn add(&self, counts: &mut Counts, key: Digest, now: Moment) {
        counts.forget_before(now.monotonic, self.0.window);
        let before = counts.remove(&key);
        if before.is_none() && counts.keys.len() >= self.0.capacity {
            counts.make_room();
        }
        let count = match before {
            Some(count) => Count {
                times: count.times.saturating_add(1),
                ..count
            },
            None => Count {
                times: 1,
                since: now.monotonic,
            },
        };
        counts.insert(key, count);
    }
}

impl Attempt<'_> {
    /// It was the right one: all that was counted under its key is forgotten.
    pub fn succeeded(self) {
        self.limit.counts().remove(&self.key);
    }

    /// It came to nothing, because it could not be decided, and does not count.
    pub fn undecided(self) {
        let mut counts = self.limit.counts();
        if let Some(count) = counts.remove(&self.key)
            && count.times > 1
        {
            let times = count.times - 1;
            counts.insert(self.key, Count { times, ..count });
        }
    }
}

impl Counts {
    fn insert(&mut self, key: Digest, count: Count) {
        self.keys.insert(key, count);
        self.least.insert((count.times, count.since, key));
        self.oldest.insert((count.since, key));
    }

    fn remove(&mut self, key: &Digest) -> Option<Count> {
        let count = self.keys.remove(key)?;
        self.least.remove(&(count.times, count.since, *key));
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

impl Default for RateLimit {
    /// Refuses after 10 within 5 minutes.
    fn default() -> Self {
        Self::of(10, Duration::from_secs(300), 100_000)
    }
}

fn digest_of(key: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    bytes
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
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
        let (limit, clock) = (RateLimit::default(), TestClock::new());
        for _ in 0..10 {
            assert_eq!(limit.check("alice", clock.now()), Ok(()));
            limit.count("alice", clock.now());
            clock.advance(seconds(10));
        }
        // The first was 100 s ago.
        let refused = Err(TooMany {
            retry_after: seconds(200),
        });
        assert_eq!(limit.check("alice", clock.now()), refused);
        assert_eq!(limit.check("bob", clock.now()), Ok(()));
        clock.advance(seconds(199));
        assert!(limit.check("alice", clock.now()).is_err());
        clock.advance(seconds(1));
        assert_eq!(limit.check("alice", clock.now()), Ok(()));
        limit.count("alice", clock.now());
        assert_eq!(limit.check("alice", clock.now()), Ok(()));
    }

    #[test]
    fn failures_are_forgotten_when_the_right_one_comes() {
        let (limit, clock) = (RateLimit::default(), TestClock::new());
        for _ in 0..3 {
            (0..9).for_each(|_| limit.count("alice", clock.now()));
            assert_eq!(limit.check("alice", clock.now()), Ok(()));
            limit.forget("alice");
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_forward_lets_nobody_in() {
        let (limit, clock) = (RateLimit::default(), TestClock::new());
        (0..10).for_each(|_| limit.count("alice", clock.now()));
        clock.set_wall(clock.now().wall + seconds(3600));
        assert!(limit.check("alice", clock.now()).is_err());
    }

    #[test]
    fn attempts_that_begin_at_the_same_time_count_before_any_has_ended() {
        let (limit, clock) = (RateLimit::default(), TestClock::new());
        let begun: Vec<_> = (0..12).map(|_| limit.begin("alice", clock.now())).collect();
        assert_eq!(begun.iter().filter(|attempt| attempt.is_ok()).count(), 10);
        // Who goes away before it is decided has failed.
        drop(begun);
        assert!(limit.begin("alice", clock.now()).is_err());
    }

    #[test]
    fn however_many_threads_begin_attempts_no_more_are_let_through_than_the_limit() {
        for _ in 0..200 {
            let (limit, now) = (RateLimit::default(), TestClock::new().now());
            let barrier = std::sync::Barrier::new(4);
            let try_often = || {
                barrier.wait();
                (0..10).filter(|_| limit.begin("alice", now).is_ok()).count()
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
        let (limit, clock) = (RateLimit::default(), TestClock::new());
        for _ in 0..20 {
            limit.begin("alice", clock.now()).unwrap().undecided();
        }
        (0..9).for_each(|_| limit.count("alice", clock.now()));
        let last = limit.begin("alice", clock.now()).unwrap();
        assert!(limit.check("alice", clock.now()).is_err());
        last.succeeded();
        assert_eq!(limit.check("alice", clock.now()), Ok(()));
    }

    #[test]
    fn a_full_table_forgets_who_failed_least_and_is_empty_when_all_is_over() {
        let (limit, clock) = (RateLimit::of(2, seconds(300), 3), TestClock::new());
        limit.count("alice", clock.now());
        limit.count("alice", clock.now());
        for stranger in 0..100 {
            clock.advance(seconds(1));
            limit.count(&stranger.to_string(), clock.now());
        }
        assert!(limit.check("alice", clock.now()).is_err());
        assert_eq!(limit.counts().keys.len(), 3);
        clock.advance(seconds(300));
        assert_eq!(limit.check("alice", clock.now()), Ok(()));
        let counts = limit.counts();
        assert_eq!((counts.keys.len(), counts.least.len(), counts.oldest.len()), (0, 0, 0));
    }

    #[test]
    fn a_limit_that_refuses_everything_or_never_ends_is_a_set_up_error() {
        for (limit, window) in [(0, 60), (1, 0), (1, 86_401)] {
            let error = RateLimit::new(limit, seconds(window)).unwrap_err();
            assert_eq!(error.option(), "rate_limit");
        }
    }
}
