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
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};

use super::{
    algorithm::Algorithm,
    key_set::{Candidates, KeySet, SkippedKey},
    quiet::Quiet,
};
use crate::{
    clock::Moment,
    discovery::Place,
    endpoint::Endpoint,
    fetch::{FetchError, Network, expect_ok},
    meter::{self, Asked},
    rejection::{Reason, Rejection},
    validate::Flights,
};

/// The longest JWK set that is read.
const MAX_SET: usize = 256 * 1024;

/// The shortest and the longest time for which a set is believed, whatever its server says.
pub(crate) const LIFETIMES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3600);

/// How soon a first fetch is tried again; there is nothing to fall back to.
const FIRST_RETRY: Duration = Duration::from_secs(1);

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

#[derive(Debug, Default)]
struct Known {
    set: Option<Fetched>,
    /// When a fetch was last begun, and whether it goes on still.
    attempted: Option<Instant>,
    pending: bool,
    /// For how long the server asked then not to be asked.
    wish: Duration,
    /// When one was last begun for the sake of a key that is not in the set.
    searched: Option<Instant>,
    /// Whether the last fetch that came to its end failed, and why.
    failed: bool,
    problem: Option<String>,
    /// The keys whose uselessness was logged.
    logged: HashSet<SkippedKey>,
}

#[derive(Clone, Debug)]
struct Fetched {
    keys: Arc<KeySet>,
    endpoint: Endpoint,
    at: Instant,
    lifetime: Duration,
    etag: Option<HeaderValue>,
}

/// Why a set is fetched.
#[derive(Clone, Copy, Debug)]
enum Cause {
    /// There is none, or it grows old; not tried again before this pause is over.
    Renewal(Duration),
    /// A token may be signed by a key that is not in it.
    Search,
}

/// What a set is worth at one moment.
enum Stance<'a> {
    /// It is used; and renewed soon, if `renewal_is_due`.
    Use { set: &'a Fetched, renewal_is_due: bool },
    /// A fetch has to be waited for.
    Wait,
    /// There is none, and a fetch has failed just now.
    Gone,
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
            Stance::Gone => Standing::Refused(no_keys()),
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
        let known = self.0.lock();
        let (failed, may_search) = (known.failed, known.may_search(now, self.0.settings.cooldown));
        let (keys, renewal_is_due) = match known.stance(now, &self.0.settings) {
            Stance::Wait => return Lookup::Wait,
            Stance::Gone => return Lookup::Refused(no_keys()),
            Stance::Use { set, renewal_is_due } => (Arc::clone(&set.keys), renewal_is_due),
        };
        drop(known);
        if let Candidates::Unknown = keys.candidates(kid, algorithm) {
            return match (may_search, failed) {
                (true, _) => Lookup::Wait,
                (false, true) => Lookup::Refused(no_keys()),
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
            (None, None) => Err(no_keys()),
            (None, Some(problem)) => Err(Rejection::unavailable(format!("{}: {problem}", no_keys().detail()))),
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
            None => Err(no_keys()),
            Some(set) => match set.keys.candidates(kid, algorithm) {
                Candidates::Unknown if known.failed => Err(no_keys()),
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
            let (last, pause) = match cause {
                Cause::Renewal(pause) => (known.attempted, pause),
                Cause::Search => (known.searched, self.settings.cooldown),
            };
            if last.is_some_and(|then| now.since(then) < pause) || !known.rested(now, Duration::ZERO) {
                return;
            }
            if let Cause::Search = cause {
                known.searched = Some(now.monotonic);
            }
            known.attempted = Some(now.monotonic);
            known.pending = true;
            self.quiet.end();
            (known.set.clone(), Attempt(&self))
        };
        let patience = self.settings.deadline * 2;
        let outcome = match tokio::time::timeout(patience, self.fetch_set(now, last)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FetchError::new(format_args!("no JWK set within {patience:?}"))),
        };
        drop(attempt);
        let mut known = self.lock();
        known.wish = outcome.as_ref().err().and_then(FetchError::wish).unwrap_or_default();
        known.failed = outcome.is_err();
        known.problem = outcome.as_ref().err().map(FetchError::to_string);
        self.quiet.end();
        if let Err(problem) = outcome {
            // The set may have moved.
            self.settings.source.doubt();
            let last_good_set_kept = known.set.is_some();
            tracing::warn!(target: KEYS, %problem, last_good_set_kept, "the JWK set could not be fetched");
        }
    }

    async fn fetch_set(&self, now: Moment, last: Option<Fetched>) -> Result<(), FetchError> {
        let Settings { source, network, .. } = &self.settings;
        let endpoint = source.find(network, self.settings.deadline, now).await;
        let endpoint = endpoint.map_err(|problem| FetchError::new(problem.detail()).wishing(problem.wait()))?;
        let mut request =
            Request::get(endpoint.as_str()).header(header::ACCEPT, "application/jwk-set+json, application/json");
        // A tag means something to the endpoint that gave it, and to no other.
        let last = last.filter(|last| last.endpoint == endpoint);
        if let Some(etag) = last.as_ref().and_then(|last| last.etag.clone()) {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let request = request.body(Bytes::new()).map_err(FetchError::new)?;
        let began = tokio::time::Instant::now();
        let response = network.exchange(request, MAX_SET, self.settings.deadline).await;
        meter::call_ended(Asked::Jwks, outcome(&response), began.elapsed());
        let response = response?;
        let lifetime = lifetime(response.headers()).unwrap_or(self.settings.lifetime);
        let lifetime = lifetime.clamp(*LIFETIMES.start(), *LIFETIMES.end());
        if let Some(last) = last.filter(|_| response.status() == StatusCode::NOT_MODIFIED) {
            self.lock().set = Some(Fetched {
                at: now.monotonic,
                lifetime,
                ..last
            });
            return Ok(());
        }
        expect_ok(&response)?;
        let (keys, skipped) = KeySet::parse(response.body()).map_err(FetchError::new)?;
        let mut known = self.lock();
        let keys = match &known.set {
            Some(older) => keys.replacing(&older.keys),
            None => keys,
        };
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

/// A fetch under way. When it is over, however it ended, it is no longer pending; and it counts as failed until it is
/// known better.
struct Attempt<'a>(&'a Remote);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut known = self.0.lock();
        known.pending = false;
        known.failed = true;
    }
}

impl Known {
    fn stance(&self, now: Moment, settings: &Settings) -> Stance<'_> {
        let Some(set) = self.usable_set(now, settings.stale_bound) else {
            return if self.pending || self.rested(now, FIRST_RETRY) {
                Stance::Wait
            } else {
                Stance::Gone
            };
        };
        let age = now.since(set.at);
        // Past its lifetime a set is used only when an attempt to renew it has failed just now. Where requests keep
        // coming there always is one, begun in the background; after a pause the first request waits.
        if age >= set.lifetime && (!self.failed || self.rested(now, settings.cooldown * 2)) {
            return Stance::Wait;
        }
        Stance::Use {
            set,
            renewal_is_due: age >= renewal_age(set.lifetime) && self.rested(now, settings.cooldown),
        }
    }

    /// When the stance towards the set will be another one, if nothing happens before.
    fn next_change(&self, now: Moment, settings: &Settings) -> Instant {
        let of_set = self.set.iter().flat_map(|set| {
            let ages = [
                renewal_age(set.lifetime),
                set.lifetime,
                set.lifetime.max(settings.stale_bound),
            ];
            ages.map(|age| set.at.checked_add(age))
        });
        let of_attempt = self.attempted.into_iter().flat_map(|then| {
            let pauses = [FIRST_RETRY, settings.cooldown, settings.cooldown * 2, self.wish];
            pauses.map(|pause| then.checked_add(pause))
        });
        let changes = of_set.chain(of_attempt).flatten();
        changes
            .filter(|change| *change > now.monotonic)
            .min()
            .unwrap_or(now.monotonic)
    }

    /// Whether the last attempt was this long ago, or longer, if the server asked for that.
    fn rested(&self, now: Moment, pause: Duration) -> bool {
        self.attempted
            .is_none_or(|then| now.since(then) >= pause.max(self.wish))
    }

    /// The last good set, unless it is too old for anything.
    fn usable_set(&self, now: Moment, stale_bound: Duration) -> Option<&Fetched> {
        self.set
            .as_ref()
            .filter(|set| now.since(set.at) < set.lifetime.max(stale_bound))
    }

    /// Whether a key that is not in the set may cause a fetch, or one is under way anyhow.
    fn may_search(&self, now: Moment, cooldown: Duration) -> bool {
        let searched_lately = self.searched.is_some_and(|then| now.since(then) < cooldown);
        self.pending || (!searched_lately && self.rested(now, Duration::ZERO))
    }

    /// Logs every useless key once, however often the set is fetched.
    fn log_new(&mut self, skipped: Vec<SkippedKey>) {
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

pub(crate) fn log_skipped(key: &SkippedKey) {
    tracing::warn!(target: KEYS, kid = %key.kid, why = key.why, "a key of the JWK set is skipped");
}

/// How an exchange came out, in the words of the metrics.
fn outcome(answer: &Result<Response<Bytes>, FetchError>) -> &'static str {
    match answer.as_ref().map(Response::status) {
        Ok(StatusCode::OK | StatusCode::NOT_MODIFIED) => "ok",
        Ok(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => "busy",
        Ok(status) if !status.is_server_error() => "nonsense",
        Err(error) if error.is_connection() => "connection",
        Err(error) if error.is_timeout() => "timeout",
        Err(error) if error.is_too_long() => "nonsense",
        Ok(_) | Err(_) => "failed",
    }
}

fn no_keys() -> Rejection {
    Rejection::unavailable("the issuer's keys cannot be fetched")
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
