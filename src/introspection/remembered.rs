//! The answers that are remembered.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use moka::{Expiry, sync::Cache};

use crate::{
    clock::Moment,
    rejection::{Rejection, RejectionKind},
    token::CurrentToken,
    validate::TokenDigest,
};

/// Answers by token, each for a limited time: good ones and refusals apart, so that no number of made-up tokens drives
/// out a good one. Outages are not answers.
///
/// Ages are measured on the clock of the request when an answer is read. The expiry within the caches only gives
/// memory back.
#[derive(Clone)]
pub(super) struct Remembered {
    good: Cache<TokenDigest, Entry<CurrentToken>>,
    refused: Cache<TokenDigest, Entry<Rejection>>,
    lifetimes: Lifetimes,
    capacity: u64,
    epochs: Arc<Mutex<Vec<Epoch>>>,
}

/// How long answers may be used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    pub(super) good: Duration,
    pub(super) refused: Duration,
}

/// Counts what was invalidated, among the tokens of one shard. An answer to a question from an earlier epoch is not
/// remembered.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Epoch(u64);

#[derive(Clone)]
struct Entry<T> {
    answer: T,
    asked_at: Instant,
    kept_for: Duration,
}

impl<T: Clone> Entry<T> {
    fn fresh(self, lifetime: Duration, now: Moment) -> Option<T> {
        (now.since(self.asked_at) < lifetime).then_some(self.answer)
    }
}

/// Each entry is kept for as long as it says.
struct AsItSays;

impl<T> Expiry<TokenDigest, Entry<T>> for AsItSays {
    fn expire_after_create(&self, _: &TokenDigest, entry: &Entry<T>, _: Instant) -> Option<Duration> {
        Some(entry.kept_for)
    }

    fn expire_after_update(
        &self,
        _: &TokenDigest,
        entry: &Entry<T>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.kept_for)
    }
}

/// What an entry takes of the capacity.
trait Weight {
    fn weight(&self) -> u32;
}

impl Weight for CurrentToken {
    /// One, and one more for every 4 KiB: clients may be able to choose long claims.
    fn weight(&self) -> u32 {
        1 + u32::try_from(self.claims_length() / 4096).unwrap_or(u32::MAX - 1)
    }
}

impl Weight for Rejection {
    fn weight(&self) -> u32 {
        1
    }
}

fn cache<T: Weight + Clone + Send + Sync + 'static>(capacity: u64) -> Cache<TokenDigest, Entry<T>> {
    Cache::builder()
        .max_capacity(capacity)
        .weigher(|_, entry: &Entry<T>| entry.answer.weight())
        .expire_after(AsItSays)
        .build()
}

impl Remembered {
    pub(super) fn new(capacity: u64, lifetimes: Lifetimes) -> Self {
        Self {
            good: cache(capacity),
            refused: cache(capacity.div_ceil(10)),
            lifetimes,
            capacity,
            epochs: Arc::new(Mutex::new(vec![Epoch::default(); TokenDigest::SHARDS])),
        }
    }

    /// The same rules with other numbers, nothing remembered yet.
    pub(super) fn resized(&self, capacity: u64) -> Self {
        Self::new(capacity, self.lifetimes)
    }

    pub(super) fn with_lifetimes(&self, change: impl FnOnce(&mut Lifetimes)) -> Self {
        let mut lifetimes = self.lifetimes;
        change(&mut lifetimes);
        Self::new(self.capacity, lifetimes)
    }

    /// What was answered before, if that may still be used.
    pub(super) fn recall(&self, digest: &TokenDigest, now: Moment) -> Option<Result<CurrentToken, Rejection>> {
        if let Some(entry) = self.good.get(digest)
            && let Some(token) = entry.fresh(self.lifetimes.good, now)
        {
            // RFC 7662 §4: "If the response contains the 'exp' parameter (expiration), the response MUST NOT be cached
            // beyond the time indicated therein." Within the leeway after it the server is asked anew; what lies beyond
            // that, the protector refuses.
            let is_over = token.expires_at().is_some_and(|exp| exp <= now.wall);
            return (!is_over || token.judge_time(now).is_err()).then_some(Ok(token));
        }
        let refused = self.refused.get(digest)?;
        refused.fresh(self.lifetimes.refused, now).map(Err)
    }

    /// Read it before the question is sent.
    pub(super) fn epoch(&self, digest: &TokenDigest) -> Epoch {
        self.epochs().get(digest.shard()).copied().unwrap_or_default()
    }

    fn epochs(&self) -> MutexGuard<'_, Vec<Epoch>> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an answer to a later question is there already.
    fn is_outrun(&self, digest: &TokenDigest, asked: Moment) -> bool {
        let good = self.good.get(digest).map(|entry| entry.asked_at);
        let refused = self.refused.get(digest).map(|entry| entry.asked_at);
        good.max(refused).is_some_and(|later| later > asked.monotonic)
    }

    /// Remembers the answer to a question that was sent at `asked`, in the given epoch.
    pub(super) fn remember(
        &self,
        digest: TokenDigest,
        answer: &Result<CurrentToken, Rejection>,
        asked: Moment,
        epoch: Epoch,
    ) {
        // Held until the answer is in its place: an invalidation comes wholly before that or wholly after.
        let epochs = self.epochs();
        if epochs.get(digest.shard()) != Some(&epoch) || self.is_outrun(&digest, asked) {
            return;
        }
        match answer {
            Ok(token) => {
                let left = token.expires_at().map(|exp| exp.duration_since(asked.wall));
                let kept_for = match left {
                    None => self.lifetimes.good,
                    Some(left) => left.unwrap_or_default().min(self.lifetimes.good),
                };
                self.refused.invalidate(&digest);
                if !kept_for.is_zero() {
                    self.good.insert(digest, entry(token, asked, kept_for));
                }
            }
            // An outage is no answer.
            Err(rejection) if rejection.kind() == RejectionKind::Unavailable => {}
            Err(rejection) => {
                // That our request was refused says nothing about the token; but it may be the token's doing, and one
                // odd token must not become many calls.
                if rejection.kind() == RejectionKind::InvalidToken {
                    self.good.invalidate(&digest);
                }
                if !self.lifetimes.refused.is_zero() {
                    self.refused
                        .insert(digest, entry(rejection, asked, self.lifetimes.refused));
                }
            }
        }
    }

    /// Forgets what is known about a token, and what answers on their way will say about it.
    pub(super) fn invalidate(&self, digest: &TokenDigest) {
        let mut epochs = self.epochs();
        if let Some(epoch) = epochs.get_mut(digest.shard()) {
            epoch.0 = epoch.0.wrapping_add(1);
        }
        self.good.invalidate(digest);
        self.refused.invalidate(digest);
    }

    /// How many good answers and refusals there are.
    #[cfg(test)]
    pub(super) fn counted(&self) -> (u64, u64) {
        self.good.run_pending_tasks();
        self.refused.run_pending_tasks();
        (self.good.entry_count(), self.refused.entry_count())
    }
}

fn entry<T: Clone>(answer: &T, asked: Moment, kept_for: Duration) -> Entry<T> {
    Entry {
        answer: answer.clone(),
        asked_at: asked.monotonic,
        kept_for,
    }
}
