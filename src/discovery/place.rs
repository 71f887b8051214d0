//! Where something of the authorization server is: its keys, its introspection endpoint.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Issuer, Metadata};
use crate::{
    clock::Moment,
    endpoint::{Endpoint, Http},
    error::SetupError,
    fetch::{Network, Outcome, Pace},
    meter::{self, Asked},
    rejection::{Rejection, RejectionKind},
    validate::{Flights, Landed},
};

/// How long a discovered endpoint is used before it is looked up again.
const FOUND_FOR: Duration = Duration::from_secs(60 * 60);

/// How long it is used while nothing can be looked up.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How long passes between two look-ups while there is an endpoint, and while there is none.
const PAUSE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// An endpoint, or the issuer whose metadata say which one it is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Endpoint(Endpoint),
    Issuer(Discovered),
}

/// What is looked for in metadata.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    JwksUri,
    IntrospectionEndpoint,
}

/// An endpoint that the issuer's metadata names.
#[derive(Clone, Debug)]
pub(crate) struct Discovered {
    issuer: Issuer,
    wanted: Wanted,
    known: Arc<Mutex<Known>>,
    flights: Flights<(), Result<Endpoint, Rejection>>,
}

#[derive(Debug, Default)]
struct Known {
    found: Option<Found>,
    /// When the last look-up was begun that has come to its end.
    pace: Pace,
}

#[derive(Clone, Debug)]
struct Found {
    endpoint: Endpoint,
    at: Instant,
    /// It did not behave like what was looked for.
    doubted: bool,
}

impl Place {
    /// As configured, by the option of this name.
    pub(crate) fn endpoint(option: &'static str, url: &str, http: Http) -> Result<Self, SetupError> {
        Endpoint::parse(option, url, http).map(Self::Endpoint)
    }

    pub(crate) fn of(issuer: Issuer, wanted: Wanted) -> Self {
        Self::Issuer(Discovered {
            issuer,
            wanted,
            known: Arc::default(),
            flights: Flights::new(),
        })
    }

    /// Who is asked, as far as that is known without asking.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Endpoint(endpoint) => endpoint.without_query(),
            Self::Issuer(discovered) => discovered.issuer.identifier(),
        }
    }

    /// Finds the endpoint; looks it up if it is not known, or no longer.
    pub(crate) async fn find(&self, network: &Network, deadline: Duration, now: Moment) -> Result<Endpoint, Rejection> {
        let discovered = match self {
            Self::Endpoint(endpoint) => return Ok(endpoint.clone()),
            Self::Issuer(discovered) => discovered,
        };
        if let Some(known) = discovered.known_at(now) {
            return known;
        }
        let look_up = || discovered.clone().look_up(network.clone(), deadline, now);
        let looked_up = match discovered.flights.join((), deadline, look_up).await {
            // It was begun earlier, and its time was up; this call gets one with a whole deadline.
            Landed::Joined(Err(outage)) if outage.kind() == RejectionKind::Unavailable => {
                discovered.flights.join((), deadline, look_up).await
            }
            landed => landed,
        };
        match looked_up {
            Landed::Own(endpoint) | Landed::Joined(endpoint) => endpoint,
            Landed::Lost => Err(Rejection::unavailable("discovery: it broke off")),
        }
    }

    /// The endpoint did not behave like one. It may have moved, so it is looked up again, but not for every odd answer.
    pub(crate) fn doubt(&self) {
        if let Self::Issuer(discovered) = self
            && let Some(found) = &mut discovered.known().found
        {
            found.doubted = true;
        }
    }
}

impl Discovered {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known without a look-up; `None` when one is due.
    fn known_at(&self, now: Moment) -> Option<Result<Endpoint, Rejection>> {
        let known = self.known();
        match known.found.as_ref().filter(|found| now.since(found.at) < KEPT_FOR) {
            Some(found) => {
                let good = now.since(found.at) < FOUND_FOR && !found.doubted;
                (good || !known.pace.has_rested(now, PAUSE)).then(|| Ok(found.endpoint.clone()))
            }
            None => match known.pace.left(now, FIRST_PAUSE) {
                Duration::ZERO => None,
                wait => Some(Err(
                    Rejection::unavailable("discovery: it failed just now").retry_after(wait)
                )),
            },
        }
    }

    /// Looks the endpoint up, and falls back on the last one while nothing can be learned.
    async fn look_up(self, network: Network, deadline: Duration, now: Moment) -> Result<Endpoint, Rejection> {
        let began = tokio::time::Instant::now();
        let learned = self.ask_metadata(&network, deadline).await;
        let mut known = self.known();
        // From the end, so that a server that hangs gets a pause, too. Parts of a second do not matter.
        known
            .pace
            .asked(now.later(Duration::from_secs(began.elapsed().as_secs())));
        known.pace.answered(learned.as_ref().err().and_then(Rejection::wait));
        match learned {
            Ok(endpoint) => {
                known.found = Some(Found {
                    endpoint: endpoint.clone(),
                    at: now.monotonic,
                    doubted: false,
                });
                Ok(endpoint)
            }
            Err(problem) => {
                tracing::warn!(
                    target: "resource_protector::discovery",
                    event = "metadata_failed",
                    asked = self.issuer.identifier(),
                    problem = problem.detail(),
                    last_endpoint_kept = known.found.is_some(),
                    "the issuer's metadata could not be used"
                );
                let last = known.found.as_ref().filter(|found| now.since(found.at) < KEPT_FOR);
                last.map(|found| found.endpoint.clone()).ok_or(problem)
            }
        }
    }

    async fn ask_metadata(&self, network: &Network, deadline: Duration) -> Result<Endpoint, Rejection> {
        let began = tokio::time::Instant::now();
        // The places that are looked at share one deadline.
        let metadata = tokio::time::timeout(deadline, self.issuer.discover(network, deadline)).await;
        let outcome = match &metadata {
            Ok(Ok(_)) => Outcome::Ok,
            Ok(Err(_)) => Outcome::Failed,
            Err(_) => Outcome::Timeout,
        };
        meter::call_ended(Asked::Metadata, outcome.as_str(), began.elapsed());
        let metadata = metadata
            .map_err(|_| Rejection::unavailable(format!("discovery: no metadata within {deadline:?}")))?
            .map_err(|error| {
                let outage = Rejection::unavailable(format!("discovery: {error}"));
                match error.wish() {
                    Some(wish) => outage.retry_after(wish),
                    None => outage,
                }
            })?;
        let wanted = self.wanted;
        let Some(url) = wanted.url(metadata) else {
            return Err(Rejection::misconfigured(format!(
                "discovery: the authorization server's metadata have no `{0}`: if there is one, give its URL",
                wanted.member()
            )));
        };
        Endpoint::parse(wanted.member(), &url, self.issuer.http_of_endpoints())
            .map_err(|error| Rejection::misconfigured(format!("discovery: metadata: {error}")))
    }
}

impl Wanted {
    fn member(self) -> &'static str {
        match self {
            Self::JwksUri => "jwks_uri",
            Self::IntrospectionEndpoint => "introspection_endpoint",
        }
    }

    fn url(self, metadata: Metadata) -> Option<String> {
        match self {
            Self::JwksUri => metadata.jwks_uri,
            Self::IntrospectionEndpoint => metadata.introspection_endpoint,
        }
    }
}
