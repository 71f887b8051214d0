//! Where the authorization server is asked.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    clock::Moment,
    discovery::Issuer,
    endpoint::{Endpoint, Http},
    error::SetupError,
    fetch::Network,
    rejection::Rejection,
    validate::{Flights, Landed},
};

/// How long a discovered endpoint is used before it is looked up again.
const FOUND_FOR: Duration = Duration::from_secs(60 * 60);

/// The introspection endpoint, or the issuer that says which one it is.
#[derive(Clone)]
pub(super) enum Place {
    Endpoint(Endpoint),
    Issuer(Discovered),
}

/// An endpoint that the issuer's metadata names.
#[derive(Clone)]
pub(super) struct Discovered {
    issuer: Issuer,
    found: Arc<Mutex<Option<(Endpoint, Instant)>>>,
    flights: Flights<(), Result<Endpoint, Rejection>>,
}

impl Place {
    pub(super) fn endpoint(url: &str, http: Http) -> Result<Self, SetupError> {
        Endpoint::parse("endpoint", url, http).map(Self::Endpoint)
    }

    pub(super) fn issuer(issuer: &str, http: Http) -> Result<Self, SetupError> {
        Ok(Self::Issuer(Discovered {
            issuer: Issuer::new(issuer, http)?,
            found: Arc::default(),
            flights: Flights::new(),
        }))
    }

    /// Who is asked, as far as that is known without asking.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Endpoint(endpoint) => endpoint.as_str(),
            Self::Issuer(discovered) => discovered.issuer.identifier(),
        }
    }

    /// Finds the endpoint; looks it up if it is not known, or no longer.
    pub(super) async fn find(&self, network: &Network, deadline: Duration, now: Moment) -> Result<Endpoint, Rejection> {
        let discovered = match self {
            Self::Endpoint(endpoint) => return Ok(endpoint.clone()),
            Self::Issuer(discovered) => discovered,
        };
        if let Some((endpoint, found_at)) = &*discovered.found()
            && now.since(*found_at) < FOUND_FOR
        {
            return Ok(endpoint.clone());
        }
        let (discovered_by_task, network) = (discovered.clone(), network.clone());
        let looked_up = discovered
            .flights
            .join((), deadline, move || async move {
                discovered_by_task.look_up(&network, deadline, now).await
            })
            .await;
        match looked_up {
            Landed::Own(endpoint) | Landed::Joined(endpoint) => endpoint,
            Landed::Lost => Err(Rejection::unavailable(
                "discovery of the introspection endpoint broke off",
            )),
        }
    }

    /// The endpoint did not behave like one, so it is looked up again before the next call.
    pub(super) fn doubt(&self) {
        if let Self::Issuer(discovered) = self {
            *discovered.found() = None;
        }
    }
}

impl Discovered {
    fn found(&self) -> MutexGuard<'_, Option<(Endpoint, Instant)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_up(&self, network: &Network, deadline: Duration, now: Moment) -> Result<Endpoint, Rejection> {
        // The places that are looked at share one deadline.
        let metadata = tokio::time::timeout(deadline, self.issuer.discover(network, deadline))
            .await
            .map_err(|_| Rejection::unavailable(format!("discovery: no metadata within {deadline:?}")))?
            .map_err(|error| Rejection::unavailable(format!("discovery: {error}")))?;
        let Some(url) = metadata.introspection_endpoint else {
            return Err(Rejection::misconfigured(
                "the authorization server's metadata names no introspection endpoint: \
                 if it has one, give its URL to `IntrospectionValidator::new`",
            ));
        };
        let endpoint = Endpoint::parse("introspection_endpoint", &url, self.issuer.http_of_endpoints())
            .map_err(|error| Rejection::misconfigured(format!("introspection: metadata: {error}")))?;
        *self.found() = Some((endpoint.clone(), now.monotonic));
        Ok(endpoint)
    }
}
