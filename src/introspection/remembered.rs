//! The answers that are remembered.
//!
//! ```text
//!          asked     80 … 90 %     fresh for      stale bound
//!  ─ nothing ─┼──────────┼─────────────┼───────────────┼───────────────┼─▶ exp, at the latest
//!   ask       │ use      │ use, and    │ ask; while    │ ask; its calls│ as nothing
//!             │          │ renew, once │ there is none:│ are not shed  │
//!             │          │             │ use, as stale │ first         │
//! ```

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use moka::{Expiry, sync::Cache};

use super::cut_offs::{CutOffs, Whom};
use crate::{
    clock::Moment,
    rejection::{Rejection, RejectionKind},
    token::CurrentToken,
    validate::TokenDigest,
};

/// For how long after it was fresh an answer is kept at least, so that the token is known: its calls are not the first
/// that are shed.
const KNOWN_FOR: Duration = Duration::from_secs(5 * 60);

/// For how long a refusal is kept at least: longer than a call takes with the longest timeout, so that a good answer to an earlier question, on its
/// way still, does not come after it.
const REFUSED_FOR: Duration = Duration::from_secs(6 * 60);

/// Answers by token, each for a limited time: good ones and refusals apart, so that no number of made-up tokens drives
/// out a good one. Outages are not answers.
///
/// Ages are measured on the clock of the request when an answer is read. The expiry within the caches only gives
/// memory back.
#[derive(Clone)]
pub(super) struct Remembered {
    good: Cache<TokenDigest, Arc<Entry<CurrentToken>>>,
    refused: Cache<TokenDigest, Arc<Entry<Rejection>>>,
    lifetimes: Lifetimes,
    capacity: u64,
    epochs: Arc<Mutex<Vec<ShardEpoch>>>,
    cut_offs: Arc<CutOffs>,
}

/// How long answers may be used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    pub(super) good: Duration,
    pub(super) refused: Duration,
    /// For how long after that good ones may stand in for one that cannot be had.
    pub(super) stale: Duration,
}

/// Counts what was invalidated, among the tokens of one shard. An answer to a question from an earlier epoch is not
/// remembered.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct ShardEpoch(u64);

/// When a question was sent, in the order of questions and of what was invalidated.
#[derive(Clone, Copy)]
pub(super) struct Epoch {
    shard: ShardEpoch,
    number: u64,
}

/// What is known about a token.
pub(super) enum Recalled {
    /// It was good, a short time ago. With it comes the chance to renew the answer, where it is time for that.
    Good(CurrentToken, Option<Renewal>),
    /// It was refused, a short time ago.
    Refused(Rejection),
    /// It was good, too long ago. The answer may stand in for a newer one that cannot be had, if it is here.
    Old(Option<CurrentToken>),
    Nothing,
}

/// The one chance to renew a good answer before it is too old. Who comes later leaves it to whoever took it.
pub(super) struct Renewal(Arc<Entry<CurrentToken>>);

impl Renewal {
    /// Takes the chance, if nobody has: when the answer was asked for.
    pub(super) fn take(self) -> Option<Instant> {
        let taken = self.0.renewed.swap(true, Ordering::Relaxed);
        (!taken).then_some(self.0.asked_at)
    }
}

struct Entry<T> {
    answer: T,
    asked_at: Instant,
    /// Of the question.
    number: u64,
    /// What was left until `exp` at that moment.
    life: Option<Duration>,
    kept_for: Duration,
    renewed: AtomicBool,
}

impl<T> Entry<T> {
    fn age(&self, now: Moment) -> Duration {
        now.since(self.asked_at)
    }
}

impl Entry<CurrentToken> {
    /// RFC 7662 §4: "If the response contains the 'exp' parameter (expiration), the response MUST NOT be cached beyond the
    /// time indicated therein." By the wall clock, and by the time that has passed since the server was asked.
    fn is_over(&self, now: Moment) -> bool {
        self.answer.expires_at().is_some_and(|exp| exp <= now.wall)
            || self.life.is_some_and(|life| self.age(now) >= life)
    }
}

/// Each entry is kept for as long as it says.
struct AsItSays;

impl<T> Expiry<TokenDigest, Arc<Entry<T>>> for AsItSays {
    fn expire_after_create(&self, _: &TokenDigest, entry: &Arc<Entry<T>>, _: Instant) -> Option<Duration> {
        Some(entry.kept_for)
    }

    fn expire_after_update(
        &self,
        _: &TokenDigest,
        entry: &Arc<Entry<T>>,
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
        1 + u32::try_from(self.size() / 4096).unwrap_or(u32::MAX - 1)
    }
}

impl Weight for Rejection {
    fn weight(&self) -> u32 {
        1
    }
}

fn cache<T: Weight + Send + Sync + 'static>(capacity: u64) -> Cache<TokenDigest, Arc<Entry<T>>> {
    Cache::builder()
        .max_capacity(capacity)
        .weigher(|_, entry: &Arc<Entry<T>>| entry.answer.weight())
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
            epochs: Arc::new(Mutex::new(vec![ShardEpoch::default(); TokenDigest::SHARDS])),
            cut_offs: Arc::default(),
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

    /// What was answered before. A good answer to a question from before `since` is too old.
    pub(super) fn recall(&self, digest: &TokenDigest, now: Moment, since: Option<Instant>) -> Recalled {
        let Lifetimes { good, refused, stale } = self.lifetimes;
        let counts = |entry: &Arc<Entry<CurrentToken>>| !self.cut_offs.cover(&entry.answer, entry.number);
        let entry = self.good.get(digest).filter(counts);
        if let Some(entry) = &entry
            && entry.age(now) < good
            && since.is_none_or(|since| entry.asked_at >= since)
        {
            if !entry.is_over(now) {
                let is_due =
                    entry.age(now) >= good.mul_f32(renewed_from(digest)) && !entry.renewed.load(Ordering::Relaxed);
                return Recalled::Good(entry.answer.clone(), is_due.then(|| Renewal(Arc::clone(entry))));
            }
            // Within the leeway after `exp` the server is asked anew; what lies beyond that, the protector refuses.
            return match entry.answer.judge_time(now) {
                Ok(()) => Recalled::Old(None),
                Err(_) => Recalled::Good(entry.answer.clone(), None),
            };
        }
        if let Some(refusal) = self.refused.get(digest)
            && refusal.age(now) < refused
        {
            return Recalled::Refused(refusal.answer.clone());
        }
        let Some(entry) = entry else { return Recalled::Nothing };
        let may_stand_in = since.is_none() && !stale.is_zero() && entry.age(now) < good + stale && !entry.is_over(now);
        Recalled::Old(may_stand_in.then(|| entry.answer.clone().gone_stale()))
    }

    /// Read it before the question is sent.
    pub(super) fn epoch(&self, digest: &TokenDigest) -> Epoch {
        let number = self.cut_offs.number();
        let shard = self.epochs().get(digest.shard()).copied().unwrap_or_default();
        Epoch { shard, number }
    }

    fn epochs(&self) -> MutexGuard<'_, Vec<ShardEpoch>> {
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
        if epochs.get(digest.shard()) != Some(&epoch.shard) || self.is_outrun(&digest, asked) {
            return;
        }
        match answer {
            Ok(token) => {
                let exp = token.expires_at();
                let life = exp.map(|exp| exp.duration_since(asked.wall).unwrap_or_default());
                let Lifetimes { good, stale, .. } = self.lifetimes;
                let longest = good + stale.max(KNOWN_FOR);
                let kept_for = life.map_or(longest, |life| life.min(longest));
                self.refused.invalidate(&digest);
                if !kept_for.is_zero() {
                    self.good
                        .insert(digest, entry(token.clone(), asked, epoch.number, life, kept_for));
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
                let kept_for = self.lifetimes.refused.max(REFUSED_FOR);
                self.refused
                    .insert(digest, entry(rejection.clone(), asked, epoch.number, None, kept_for));
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

    /// Whether an answer to a question of this epoch counts no more, because of whose token it is.
    pub(super) fn is_cut_off(&self, answer: &Result<CurrentToken, Rejection>, epoch: Epoch) -> bool {
        answer
            .as_ref()
            .is_ok_and(|token| self.cut_offs.cover(token, epoch.number))
    }

    /// Lets no good answer count that is here or on its way, about any token of theirs.
    pub(super) fn cut_off(&self, whom: Whom) {
        if self.cut_offs.cut(whom) {
            return;
        }
        // Too many to keep apart: everybody's are asked about anew.
        let mut epochs = self.epochs();
        for epoch in epochs.iter_mut() {
            epoch.0 = epoch.0.wrapping_add(1);
        }
        self.good.invalidate_all();
        self.refused.invalidate_all();
        self.cut_offs.clear();
    }

    /// How many good answers and refusals there are.
    #[cfg(test)]
    pub(super) fn counted(&self) -> (u64, u64) {
        self.good.run_pending_tasks();
        self.refused.run_pending_tasks();
        (self.good.entry_count(), self.refused.entry_count())
    }
}

fn entry<T>(answer: T, asked: Moment, number: u64, life: Option<Duration>, kept_for: Duration) -> Arc<Entry<T>> {
    Arc::new(Entry {
        answer,
        asked_at: asked.monotonic,
        number,
        life,
        kept_for,
        renewed: AtomicBool::new(false),
    })
}

/// From which part of its time on the answer about a token is renewed: 80 to 90 %, so that what was remembered at the same
/// time is not renewed at the same time.
fn renewed_from(digest: &TokenDigest) -> f32 {
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let spread = digest.shard() as f32 / TokenDigest::SHARDS as f32;
    0.8 + 0.1 * spread
}
