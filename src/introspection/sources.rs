//! What an `IntrospectionValidator` is told first: where it asks, as whom, and for which audience.

use std::{sync::Arc, time::Duration};

use super::{
    Inner, IntrospectionValidator,
    client::Client,
    client_auth::ClientAuth,
    remembered::{Lifetimes, Remembered},
    response::Rules,
};
use crate::{
    audience::Audience,
    discovery::{Issuer, Place, Wanted},
    endpoint::Http,
    error::SetupError,
    fetch::Network,
    token_rules::TokenRules,
    upstream::Upstream,
    validate::Flights,
};

/// How many calls may be under way at the same time, unless it is said. They outlive the requests that started them, so no
/// limit further out bounds them.
const MAX_CALLS: usize = 256;

/// Where it asks.
impl IntrospectionValidator {
    /// Asks at this endpoint. It does no I/O yet.
    ///
    /// `audience` is what this service is called in the `aud` of tokens that are meant for it.
    ///
    /// # Errors
    ///
    /// When the endpoint is not an absolute `https` URL (`http` for a loopback host), an identifier or secret is empty,
    /// or the audience is blank.
    pub fn new(
        endpoint: impl AsRef<str>,
        client_auth: ClientAuth,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::asked_at(endpoint.as_ref(), client_auth, audience.into(), Http::OnLoopback)
    }

    /// Asks where the issuer's metadata says (RFC 8414, OpenID Connect Discovery 1.0), and expects this issuer in
    /// `iss`. It does no I/O yet: the endpoint is looked up when it is first needed, again after one hour, and after a
    /// call to it that failed, but at most once a minute. While the metadata cannot be had it is used for a day.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new); an issuer is a URL without query and fragment.
    pub fn discover(
        issuer: impl AsRef<str>,
        client_auth: ClientAuth,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::discovered(issuer.as_ref(), client_auth, audience.into(), Http::OnLoopback)
    }

    /// As [`new`](Self::new), over plain `http` beyond a loopback host: **whoever is on the way reads every token and
    /// this service's secret, and can answer in the server's place** (RFC 7662 §4 demands TLS). For a private network
    /// that is trusted with that.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn new_over_plain_http(
        endpoint: impl AsRef<str>,
        client_auth: ClientAuth,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::asked_at(endpoint.as_ref(), client_auth, audience.into(), Http::Everywhere)
    }

    /// As [`discover`](Self::discover), over plain `http` beyond a loopback host, for issuer and endpoint; see
    /// [`new_over_plain_http`](Self::new_over_plain_http).
    ///
    /// # Errors
    ///
    /// As [`discover`](Self::discover).
    pub fn discover_over_plain_http(
        issuer: impl AsRef<str>,
        client_auth: ClientAuth,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::discovered(issuer.as_ref(), client_auth, audience.into(), Http::Everywhere)
    }

    /// Asks where the metadata at this URL say, for an issuer that is not a URL, or that cannot be reached under its own
    /// name. The document's `issuer` must be exactly this one all the same.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new), for the URL; when the issuer is empty.
    pub fn discover_at(
        issuer: impl AsRef<str>,
        metadata_url: impl AsRef<str>,
        client_auth: ClientAuth,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::discovered_at(
            issuer.as_ref(),
            metadata_url.as_ref(),
            client_auth,
            audience.into(),
            Http::OnLoopback,
        )
    }

    /// As [`discover_at`](Self::discover_at), over plain `http` beyond a loopback host, for metadata and endpoint; see
    /// [`new_over_plain_http`](Self::new_over_plain_http).
    ///
    /// # Errors
    ///
    /// As [`discover_at`](Self::discover_at).
    pub fn discover_at_over_plain_http(
        issuer: impl AsRef<str>,
        metadata_url: impl AsRef<str>,
        client_auth: ClientAuth,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::discovered_at(
            issuer.as_ref(),
            metadata_url.as_ref(),
            client_auth,
            audience.into(),
            Http::Everywhere,
        )
    }

    fn asked_at(endpoint: &str, auth: ClientAuth, audience: Audience, http: Http) -> Result<Self, SetupError> {
        Self::at(Place::endpoint("endpoint", endpoint, http)?, None, auth, audience)
    }

    fn discovered(issuer: &str, auth: ClientAuth, audience: Audience, http: Http) -> Result<Self, SetupError> {
        Self::at(
            Place::of(Issuer::new(issuer, http)?, Wanted::IntrospectionEndpoint),
            Some(issuer.to_owned()),
            auth,
            audience,
        )
    }

    fn discovered_at(
        issuer: &str,
        url: &str,
        auth: ClientAuth,
        audience: Audience,
        http: Http,
    ) -> Result<Self, SetupError> {
        let place = Place::of(Issuer::at(issuer, url, http)?, Wanted::IntrospectionEndpoint);
        Self::at(place, None, auth, audience)?.issuer(issuer)
    }

    fn at(
        place: Place,
        issuer: Option<String>,
        client_auth: ClientAuth,
        audience: Audience,
    ) -> Result<Self, SetupError> {
        client_auth.check()?;
        Ok(Self {
            inner: Arc::new(Inner {
                client: Client {
                    place,
                    auth: Arc::new(client_auth),
                    network: Network::default_client(),
                    timeout: Duration::from_secs(5),
                    hint: true,
                    unknown_token: None,
                },
                rules: Rules {
                    issuer,
                    token: TokenRules::new(audience)?,
                    expiry_required: false,
                },
                remembered: Remembered::new(
                    10_000,
                    Lifetimes {
                        good: Duration::from_secs(60),
                        refused: Duration::from_secs(5),
                        stale: Duration::ZERO,
                    },
                ),
                refresh_ahead: true,
                flights: Flights::new(),
                upstream: Arc::new(Upstream::new(MAX_CALLS)),
                tally: Arc::default(),
            }),
        })
    }
}
