//! What is known of a remote key set, and what that is worth at one moment.
//!
//! It has no lock, no clock of its own, and fetches nothing.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderValue;

use super::{
    jwks::{Settings, log_skipped},
    key_set::{KeySet, SkippedKey},
};
use crate::{clock::Moment, endpoint::Endpoint, fetch::Pace};

/// How soon a first fetch is tried again; there is nothing to fall back to.
pub(super) const FIRST_RETRY: Duration = Duration::from_secs(1);

/// What a set is worth at one moment.
pub(super) enum Stance<'a> {
    /// It is used; and renewed soon, if `renewal_is_due`.
    Use { set: &'a Fetched, renewal_is_due: bool },
    /// A fetch has to be waited for.
    Wait,
    /// There is none, and a fetch has failed just now. Another is made when this time has passed.
    Gone(Duration),
}

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) set: Option<Fetched>,
    /// When a fetch was last begun, and whether it goes on still.
    pub(super) pace: Pace,
    pub(super) pending: bool,
    /// When one was last begun for the sake of a key that is not in the set.
    pub(super) searched: Option<Instant>,
    /// Whether the last fetch that came to its end failed, and why.
    pub(super) failed: bool,
    pub(super) problem: Option<String>,
    /// The keys whose uselessness was logged.
    logged: HashSet<SkippedKey>,
}

#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) keys: Arc<KeySet>,
    pub(super) endpoint: Endpoint,
    pub(super) at: Instant,
    pub(super) lifetime: Duration,
    pub(super) etag: Option<HeaderValue>,
}

impl Known {
    pub(super) fn stance(&self, now: Moment, settings: &Settings) -> Stance<'_> {
        let Some(set) = self.usable_set(now, settings.stale_bound) else {
            return match self.pace.left(now, FIRST_RETRY) {
                Duration::ZERO => Stance::Wait,
                _ if self.pending => Stance::Wait,
                wait => Stance::Gone(wait),
            };
        };
        let age = now.since(set.at);
        // Past its lifetime a set is used only when an attempt to renew it has failed just now. Where requests keep
        // coming there always is one, begun in the background; after a pause the first request waits.
        if age >= set.lifetime && (!self.failed || self.pace.has_rested(now, settings.cooldown * 2)) {
            return Stance::Wait;
        }
        Stance::Use {
            set,
            renewal_is_due: age >= renewal_age(set.lifetime) && self.pace.has_rested(now, settings.cooldown),
        }
    }

    /// When the stance towards the set will be another one, if nothing happens before.
    pub(super) fn next_change(&self, now: Moment, settings: &Settings) -> Instant {
        let of_set = self.set.iter().flat_map(|set| {
            let ages = [
                renewal_age(set.lifetime),
                set.lifetime,
                set.lifetime.max(settings.stale_bound),
            ];
            ages.map(|age| set.at.checked_add(age))
        });
        let of_pace = self.pace.ends([FIRST_RETRY, settings.cooldown, settings.cooldown * 2]);
        let changes = of_set.flatten().chain(of_pace);
        changes
            .filter(|change| *change > now.monotonic)
            .min()
            .unwrap_or(now.monotonic)
    }

    /// The last good set, unless it is too old for anything.
    pub(super) fn usable_set(&self, now: Moment, stale_bound: Duration) -> Option<&Fetched> {
        self.set
            .as_ref()
            .filter(|set| now.since(set.at) < set.lifetime.max(stale_bound))
    }

    /// Whether a key that is not in the set may cause a fetch, or one is under way anyhow.
    pub(super) fn may_search(&self, now: Moment, cooldown: Duration) -> bool {
        let searched_lately = self.searched.is_some_and(|then| now.since(then) < cooldown);
        self.pending || (!searched_lately && self.pace.has_rested(now, Duration::ZERO))
    }

    /// Logs every useless key once, however often the set is fetched.
    pub(super) fn log_new(&mut self, skipped: Vec<SkippedKey>) {
        let skipped: HashSet<_> = skipped.into_iter().collect();
        for key in skipped.difference(&self.logged) {
            log_skipped(key);
        }
        self.logged = skipped;
    }
}

/// From when on a set of this lifetime is renewed in the background.
fn renewal_age(lifetime: Duration) -> Duration {
    lifetime.mul_f32(0.8)
}
