//! The keys of a remote issuer: when they are fetched, and how long they are believed.
//!
//! ```text
//!            fetched      80 %          lifetime                         stale bound
//!  ─ no set ────┼───────────┼──────────────┼──────────────────────────────────┼──────▶
//!   wait, or    │ use       │ use, and     │ wait for a refresh; when it      │ none
//!   503         │           │ refresh      │ failed: use, and retry           │
//! ```
//!
//! A token that names a key the set does not have causes a fetch, too, and so does one whose key has no name when no
//! key verifies it; but no more than one in a cooldown, whatever came of it: whoever makes up tokens can neither flood the
//! issuer nor delay a rotation by more than one cooldown.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};

use super::{
    algorithm::Algorithm,
    key_set::{Candidates, KeySet, SkippedKey},
    known_set::{FIRST_RETRY, Fetched, Known, Stance},
    quiet::Quiet,
};
use crate::{
    clock::Moment,
    discovery::Place,
    endpoint::Endpoint,
    fetch::{self, Network, Outcome, expect_ok},
    meter::{self, Asked},
    rejection::{Reason, Rejection},
    validate::Flights,
};

/// The longest JWK set that is read.
const MAX_SET: usize = 256 * 1024;

/// The shortest and the longest time for which a set is believed, whatever its server says.
pub(crate) const LIFETIMES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3600);

/// The target of events about keys.
const KEYS: &str = "resource_protector::keys";

/// How a remote set is kept.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) source: Place,
    pub(crate) network: Network,
    /// How long a set is believed whose server does not say.
    pub(crate) lifetime: Duration,
    pub(crate) cooldown: Duration,
    /// How long the last good set is used while none can be fetched.
    pub(crate) stale_bound: Duration,
    /// For one exchange.
    pub(crate) deadline: Duration,
}

impl Settings {
    pub(crate) fn new(source: Place, network: Network) -> Self {
        Self {
            source,
            network,
            lifetime: Duration::from_secs(600),
            cooldown: Duration::from_secs(30),
            stale_bound: Duration::from_secs(3600),
            deadline: Duration::from_secs(5),
        }
    }
}

/// A JWK set that is fetched when it is needed.
#[derive(Debug)]
pub(crate) struct RemoteKeys(Arc<Remote>);

#[derive(Debug)]
struct Remote {
    settings: Settings,
    known: Mutex<Known>,
    flights: Flights<(), ()>,
    quiet: Quiet,
}

/// Why a set is fetched.
#[derive(Clone, Copy, Debug)]
enum Cause {
    /// There is none, or it grows old; not tried again before this pause is over.
    Renewal(Duration),
    /// A token may be signed by a key that is not in it.
    Search,
}

/// Whether what was verified by keys of the set still counts.
pub(crate) enum Standing {
    Good,
    Wait,
    Refused(Rejection),
}

/// What can be said about a token's key without waiting.
pub(crate) enum Lookup {
    Keys(Arc<KeySet>),
    Refused(Rejection),
    /// A fetch may change the answer.
    Wait,
}

impl RemoteKeys {
    pub(crate) fn new(settings: Settings) -> Self {
        Self(Arc::new(Remote {
            settings,
            known: Mutex::default(),
            flights: Flights::new(),
            quiet: Quiet::default(),
        }))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Whether tokens that keys of the set have verified may still enter, unless their own key was withdrawn. Starts a
    /// refresh that will soon be needed, but waits for nothing; usually it does not even take the lock.
    pub(crate) fn standing(&self, now: Moment) -> Standing {
        if self.0.quiet.lasts(now) {
            return Standing::Good;
        }
        let known = self.0.lock();
        match known.stance(now, &self.0.settings) {
            Stance::Wait => Standing::Wait,
            Stance::Gone(wait) => Standing::Refused(no_keys(wait)),
            Stance::Use { renewal_is_due, .. } => {
                if renewal_is_due {
                    drop(known);
                    self.renew(now);
                } else {
                    self.0.quiet.begin(now, known.next_change(now, &self.0.settings));
                }
                Standing::Good
            }
        }
    }

    /// Looks at what is known. Starts a refresh that will soon be needed, but waits for nothing.
    pub(crate) fn look(&self, kid: Option<&str>, algorithm: Algorithm, now: Moment) -> Lookup {
        let cooldown = self.0.settings.cooldown;
        let known = self.0.lock();
        let (failed, may_search) = (known.failed, known.may_search(now, cooldown));
        let wait = known.pace.left(now, cooldown);
        let (keys, renewal_is_due) = match known.stance(now, &self.0.settings) {
            Stance::Wait => return Lookup::Wait,
            Stance::Gone(wait) => return Lookup::Refused(no_keys(wait)),
            Stance::Use { set, renewal_is_due } => (Arc::clone(&set.keys), renewal_is_due),
        };
        drop(known);
        if let Candidates::Unknown = keys.candidates(kid, algorithm) {
            return match (may_search, failed) {
                (true, _) => Lookup::Wait,
                (false, true) => Lookup::Refused(no_keys(wait)),
                (false, false) => Lookup::Refused(unknown_key()),
            };
        }
        if renewal_is_due {
            self.renew(now);
        }
        Lookup::Keys(keys)
    }

    fn renew(&self, now: Moment) {
        let cause = Cause::Renewal(self.0.settings.cooldown);
        self.0.flights.start((), || self.0.clone().refresh(now, cause));
    }

    /// Whether a fetch is due that could bring another key.
    pub(crate) fn may_refetch(&self, now: Moment) -> bool {
        self.0.lock().may_search(now, self.0.settings.cooldown)
    }

    /// Whether there are keys to judge by. Where there are none it waits for a fetch, as a request would.
    pub(crate) async fn ready(&self, now: Moment) -> Result<(), Rejection> {
        let settings = &self.0.settings;
        let is_due = matches!(self.0.lock().stance(now, settings), Stance::Wait);
        if is_due {
            let cause = Cause::Renewal(FIRST_RETRY);
            let refresh = || self.0.clone().refresh(now, cause);
            self.0.flights.join((), settings.deadline * 2, refresh).await;
        }
        let known = self.0.lock();
        match (known.usable_set(now, settings.stale_bound), &known.problem) {
            (Some(set), _) => {
                meter::key_set_age(settings.source.name(), now.since(set.at));
                Ok(())
            }
            (None, None) => Err(no_keys(known.pace.left(now, FIRST_RETRY))),
            (None, Some(problem)) => Err(Rejection::unavailable(format!(
                "the issuer's keys cannot be fetched: {problem}"
            ))),
        }
    }

    /// Waits for a fetch, then looks again.
    pub(crate) async fn fetch(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Moment,
    ) -> Result<Arc<KeySet>, Rejection> {
        let cause = match &self.0.lock().set {
            Some(set) if now.since(set.at) < set.lifetime => Cause::Search,
            _ => Cause::Renewal(FIRST_RETRY),
        };
        let patience = self.0.settings.deadline * 2;
        self.0
            .flights
            .join((), patience, || self.0.clone().refresh(now, cause))
            .await;
        let known = self.0.lock();
        match known.usable_set(now, self.0.settings.stale_bound) {
            None => Err(no_keys(known.pace.left(now, FIRST_RETRY))),
            Some(set) => match set.keys.candidates(kid, algorithm) {
                Candidates::Unknown if known.failed => Err(no_keys(known.pace.left(now, FIRST_RETRY))),
                Candidates::Unknown => Err(unknown_key()),
                _ => Ok(Arc::clone(&set.keys)),
            },
        }
    }
}

impl Remote {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches the set once, unless that was tried too short a time ago.
    async fn refresh(self: Arc<Self>, now: Moment, cause: Cause) {
        let (last, attempt) = {
            let mut known = self.lock();
            let may_fetch = match cause {
                Cause::Renewal(pause) => known.pace.has_rested(now, pause),
                Cause::Search => known.may_search(now, self.settings.cooldown),
            };
            if !may_fetch {
                return;
            }
            if let Cause::Search = cause {
                known.searched = Some(now.monotonic);
            }
            known.pace.asked(now);
            known.pending = true;
            self.quiet.end();
            (known.set.clone(), Attempt::new(&self))
        };
        let patience = self.settings.deadline * 2;
        let began = tokio::time::Instant::now();
        let outcome = match tokio::time::timeout(patience, self.fetch_set(now, last)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::new(
                Outcome::Timeout,
                format_args!("no JWK set within {patience:?}"),
            )),
        };
        // A pause is counted from the end, so that an issuer that hangs gets one, too. Parts of a second do not matter.
        let took = Duration::from_secs(began.elapsed().as_secs());
        attempt.end(outcome, now.later(took));
    }

    async fn fetch_set(&self, now: Moment, last: Option<Fetched>) -> Result<(), Failure> {
        let Settings { source, network, .. } = &self.settings;
        let found = source.find(network, self.settings.deadline, now).await;
        let endpoint = found.map_err(|problem| {
            let wish = problem.wait();
            Failure::new(Outcome::Failed, problem.detail()).wishing(wish)
        })?;
        let began = tokio::time::Instant::now();
        let fetched = self.fetch_from(endpoint, now, last).await;
        let outcome = fetched.as_ref().err().map_or(Outcome::Ok, |failure| failure.outcome);
        meter::call_ended(Asked::Jwks, outcome.as_str(), began.elapsed());
        fetched
    }

    async fn fetch_from(&self, endpoint: Endpoint, now: Moment, last: Option<Fetched>) -> Result<(), Failure> {
        let mut request =
            Request::get(endpoint.as_str()).header(header::ACCEPT, "application/jwk-set+json, application/json");
        // A tag means something to the endpoint that gave it, and to no other.
        let last = last.filter(|last| last.endpoint == endpoint);
        if let Some(etag) = last.as_ref().and_then(|last| last.etag.clone()) {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let request = request
            .body(Bytes::new())
            .map_err(|problem| Failure::new(Outcome::Failed, problem))?;
        let network = &self.settings.network;
        let answer = network.exchange(request, MAX_SET, self.settings.deadline).await;
        let outcome = fetch::outcome(&answer);
        let response = answer.map_err(|problem| Failure::new(outcome, problem))?;
        let lifetime = lifetime(response.headers()).unwrap_or(self.settings.lifetime);
        let lifetime = lifetime.clamp(*LIFETIMES.start(), *LIFETIMES.end());
        if let Some(last) = last.filter(|_| response.status() == StatusCode::NOT_MODIFIED) {
            // Unless there is another one by now, whose keys are younger.
            let mut known = self.lock();
            if let Some(set) = known.set.as_mut().filter(|set| Arc::ptr_eq(&set.keys, &last.keys)) {
                set.at = now.monotonic;
                set.lifetime = lifetime;
            }
            return Ok(());
        }
        expect_ok(&response).map_err(|problem| {
            let wish = problem.wish();
            Failure::new(outcome, problem).wishing(wish)
        })?;
        let (keys, skipped) =
            KeySet::parse(response.body()).map_err(|problem| Failure::new(Outcome::Nonsense, problem))?;
        let mut known = self.lock();
        let keys = match &known.set {
            Some(older) => keys.replacing(&older.keys),
            None => keys,
        };
        if let Some(older) = &known.set {
            log_change(&older.keys, &keys);
        }
        known.set = Some(Fetched {
            keys: Arc::new(keys),
            endpoint,
            at: now.monotonic,
            lifetime,
            etag: response.headers().get(header::ETAG).cloned(),
        });
        known.log_new(skipped);
        Ok(())
    }
}

/// Why there is no new set.
struct Failure {
    outcome: Outcome,
    problem: String,
    /// For how long the server asked not to be asked.
    wish: Option<Duration>,
}

impl Failure {
    fn new(outcome: Outcome, problem: impl fmt::Display) -> Self {
        Self {
            outcome,
            problem: problem.to_string(),
            wish: None,
        }
    }

    fn wishing(self, wish: Option<Duration>) -> Self {
        Self { wish, ..self }
    }
}

/// A fetch under way. When it is over, however it ended, it is no longer pending; and it has failed unless it is
/// [known](Self::end) better.
struct Attempt<'a> {
    remote: &'a Remote,
    ended: bool,
}

impl<'a> Attempt<'a> {
    fn new(remote: &'a Remote) -> Self {
        Self { remote, ended: false }
    }

    fn end(mut self, outcome: Result<(), Failure>, now: Moment) {
        self.ended = true;
        let mut known = self.remote.lock();
        known.pace.asked(now);
        known.pending = false;
        known.failed = outcome.is_err();
        known
            .pace
            .answered(outcome.as_ref().err().and_then(|failure| failure.wish));
        self.remote.quiet.end();
        if let Err(Failure { problem, .. }) = &outcome {
            // The set may have moved.
            self.remote.settings.source.doubt();
            tracing::warn!(
                target: KEYS,
                event = "keys_refresh_failed",
                asked = self.remote.settings.source.name(),
                %problem,
                last_good_set_kept = known.set.is_some(),
                "the JWK set could not be fetched"
            );
        }
        known.problem = outcome.err().map(|failure| failure.problem);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let mut known = self.remote.lock();
            known.pending = false;
            known.failed = true;
            self.remote.quiet.end();
        }
    }
}

pub(crate) fn log_skipped(key: &SkippedKey) {
    tracing::warn!(target: KEYS, event = "key_skipped", kid = %key.kid, why = key.why, "a key of the JWK set is skipped");
}

/// Tells of a rotation.
fn log_change(older: &KeySet, newer: &KeySet) {
    let (withdrawn, added) = (newer.missing_of(older), older.missing_of(newer));
    if withdrawn + added > 0 {
        tracing::info!(target: KEYS, event = "keys_replaced", withdrawn, added, "the JWK set has changed");
    }
}

/// To be told to clients until the issuer is asked again.
fn no_keys(wait: Duration) -> Rejection {
    Rejection::unavailable("the issuer's keys cannot be fetched").retry_after(wait)
}

fn unknown_key() -> Rejection {
    Rejection::invalid_token(
        Reason::UnknownKey,
        "none of the issuer's keys is the one that the token names",
    )
}

/// How long a response may be kept (RFC 9111 §5.2.2); `None` where it does not say.
fn lifetime(headers: &HeaderMap) -> Option<Duration> {
    let mut max_age = None;
    for value in headers.get_all(header::CACHE_CONTROL) {
        for directive in value.to_str().ok()?.split(',') {
            let directive = directive.trim().to_ascii_lowercase();
            if directive == "no-store" || directive == "no-cache" {
                return Some(Duration::ZERO);
            }
            if let Some(seconds) = directive.strip_prefix("max-age=") {
                max_age = seconds.trim_matches('"').parse::<u64>().ok();
            }
        }
    }
    let age = headers
        .get(header::AGE)
        .and_then(|age| age.to_str().ok()?.trim().parse::<u64>().ok());
    max_age.map(|seconds| Duration::from_secs(seconds.saturating_sub(age.unwrap_or(0))))
}
