//! Finds out which client sends a request.

use std::{fmt, sync::Arc, time::Duration};

use http::request::Parts;
use resource_protector::{Clock, Moment, SetupError, StoreError, SystemClock};

use super::{
    AnyClients, Client, ClientAuthMethod, ClientRegistry,
    assertion::Assertions,
    credentials::{Credentials, Proof, refused},
};
use crate::{
    endpoints::{Form, OAuthError},
    rate_limit::{RateLimit, TooMany},
    setup::within,
    store::Store,
};

/// Whether a client is the one that it says it is. If not, the log has a fixed sentence.
pub(super) type Judged = Result<(), &'static str>;

const UNKNOWN: &str = "there is no such client";
pub(super) const ANOTHER_WAY: &str = "the client is registered to authenticate in another way";

type Peer = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

/// Finds out which client sends a request to a token, introspection or revocation endpoint: by HTTP Basic or the form
/// (RFC 6749 §2.3.1), by an assertion (RFC 7523 §2.2), or, for public clients, by what it says.
///
/// A client is accepted in the one way that it is [registered](Client) with, and in no two at the same time. Whatever
/// is wrong with it gets the same answer, 401 `invalid_client` with a `Basic` challenge, so that nobody learns which
/// clients there are; and a secret is hashed and compared whether there is such a client or not.
///
/// After 10 wrong secrets or assertions within 5 minutes the next ones are 429 until these have passed. Where it is not known
/// who sends them, a right one is accepted all the same, so that nobody who knows a client's identifier can lock it out: secrets
/// are too long to be guessed. Say [where requests come from](Self::peer), and from where the wrong ones came nothing is
/// looked at.
///
/// An assertion has `iss` and `sub` = the client, one `aud` = the issuer, `jti`, and an `exp` no further than 5 minutes
/// ahead. It counts once: its `jti` is remembered in the store until then. Its algorithm is one that goes with the
/// registered keys. Its `typ` is `JWT`, or it has none.
///
/// The log has an event for each client that is refused, `client_refused` or `rate_limited`, which names those clients only
/// that are registered.
#[derive(Clone)]
pub struct ClientAuthentication {
    clients: Arc<dyn AnyClients>,
    assertions: Assertions,
    limit: RateLimit,
    peer: Option<Peer>,
    clock: Arc<dyn Clock>,
}

impl ClientAuthentication {
    /// For these clients. The issuer is the authorization server's identifier, as in its metadata; the store remembers
    /// which assertions were used.
    ///
    /// # Errors
    ///
    /// When the issuer is blank.
    pub fn new(issuer: impl Into<String>, clients: impl ClientRegistry, store: impl Store) -> Result<Self, SetupError> {
        let issuer = issuer.into();
        if issuer.trim().is_empty() {
            return Err(SetupError::new(
                "issuer",
                "expected the authorization server's identifier, got a blank one",
            ));
        }
        Ok(Self {
            clients: Arc::new(clients),
            assertions: Assertions::new(issuer, Arc::new(store)),
            limit: RateLimit::default(),
            peer: None,
            clock: Arc::new(SystemClock),
        })
    }

    /// Accepts another `aud` of assertions beside the issuer: the token endpoint's URL, which clients wrote before the
    /// issuer was agreed on (RFC 7523 §3). **A client that also uses another authorization server, which claims this
    /// URL as its own, sends that one assertions that are good here**; that is why the issuer alone is accepted
    /// otherwise.
    #[must_use]
    pub fn assertion_audience_too(mut self, audience: impl Into<String>) -> Self {
        self.assertions.audiences.push(audience.into());
        self
    }

    /// How far ahead `exp` of an assertion may be; 5 minutes unless set. One that is stolen before it was used is good
    /// for as long.
    ///
    /// # Errors
    ///
    /// When it is not 1 s to one hour.
    pub fn assertion_lifetime(mut self, life: Duration) -> Result<Self, SetupError> {
        self.assertions.lifetime = within(
            "assertion_lifetime",
            life,
            Duration::from_secs(1)..=Duration::from_secs(3600),
        )?;
        Ok(self)
    }

    /// Counts failures here, in place of 10 in 5 minutes.
    #[must_use]
    pub fn failure_limit(mut self, failures: RateLimit) -> Self {
        self.limit = failures;
        self
    }

    /// Says where a request comes from: the address of its connection, from the request's extensions, or the one that a
    /// **trusted** proxy has written. Failures are counted for each client from each peer then. A value that the client
    /// can choose makes the limit useless.
    #[must_use]
    pub fn peer(mut self, peer: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.peer = Some(Arc::new(peer));
        self
    }

    /// Takes the time from another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The client that sends this request. A public one has said who it is, and proven nothing: [`Client::is_public`].
    ///
    /// # Errors
    ///
    /// `invalid_request` (400) for two ways at once; `invalid_client` (401) where it is not known or did not
    /// authenticate in its way; `temporarily_unavailable` (429) after too many failures, and (503) when registry or
    /// store do not answer.
    pub async fn authenticate(&self, parts: &Parts, form: &Form) -> Result<Client, OAuthError> {
        let credentials = Credentials::read(parts, form)?;
        let found = self.clients.look_up(&credentials.client_id).await;
        let client = found.map_err(|error| unavailable(&error))?;
        let now = self.clock.now();
        let peer = self.peer.as_ref().and_then(|peer| peer(parts));
        // Under what failures are counted. No identifier has a line break in it.
        let attempt = format!(
            "client\n{}\n{}",
            credentials.client_id,
            peer.as_deref().unwrap_or_default()
        );
        let counts = !matches!(credentials.proof, Proof::None);
        let too_many = match self.limit.check(&attempt, now) {
            // Where nothing is proven, nothing was guessed.
            Err(too_many) if counts => Some(too_many),
            _ => None,
        };
        if let (Some(too_many), Some(_)) = (too_many, &peer) {
            return Err(rate_limited(client.as_ref(), too_many));
        }
        // Otherwise, whoever failed may be anybody. A proof that is right was not guessed, and strangers lock nobody out.
        let judged = self.prove(client.as_ref(), &credentials.proof, parts, now).await?;
        match (judged, client) {
            (Ok(()), Some(client)) => {
                if counts && too_many.is_none() {
                    self.limit.forget(&attempt);
                }
                Ok(client)
            }
            (judged, client) => {
                if counts {
                    self.limit.count(&attempt, now);
                }
                Err(match too_many {
                    Some(too_many) => rate_limited(client.as_ref(), too_many),
                    None => client_refused(client.as_ref(), judged.err().unwrap_or(UNKNOWN)),
                })
            }
        }
    }

    /// Whether this proves that it is the client, or why not.
    async fn prove(
        &self,
        client: Option<&Client>,
        proof: &Proof<'_>,
        parts: &Parts,
        now: Moment,
    ) -> Result<Judged, OAuthError> {
        Ok(match proof {
            Proof::Basic { raw, decoded } => {
                // Many clients leave the encoding out.
                let decoded = decoded.as_deref().is_some_and(|secret| has_secret(client, secret));
                let is_right = decoded | has_secret(client, raw);
                uses(client, ClientAuthMethod::ClientSecretBasic).and(right(is_right))
            }
            Proof::Post(secret) => {
                let is_right = has_secret(client, secret);
                uses(client, ClientAuthMethod::ClientSecretPost).and(right(is_right))
            }
            Proof::Assertion(assertion) => match client {
                Some(client) => {
                    let judged = self.assertions.judge(client, assertion, parts, now).await;
                    judged.map_err(|error| unavailable(&error))?
                }
                None => Err(UNKNOWN),
            },
            Proof::None => uses(client, ClientAuthMethod::None),
        })
    }
}

/// Compares in any case, so that it takes no less for a client that is not known.
fn has_secret(client: Option<&Client>, secret: &str) -> bool {
    client.map_or_else(
        || super::secret::is_one_of(secret, &[]),
        |client| client.has_secret(secret),
    )
}

fn right(is_right: bool) -> Judged {
    match is_right {
        true => Ok(()),
        false => Err("the secret is wrong"),
    }
}

fn uses(client: Option<&Client>, method: ClientAuthMethod) -> Judged {
    match client {
        None => Err(UNKNOWN),
        Some(client) if client.auth_method() == method => Ok(()),
        Some(_) => Err(ANOTHER_WAY),
    }
}

/// Says it to the log; the client is not told why. A client that is not registered is not named: what a stranger calls itself
/// is for no log.
fn client_refused(client: Option<&Client>, reason: &'static str) -> OAuthError {
    tracing::info!(
        target: "resource_protector_issuer::clients",
        event = "client_refused",
        client_id = client.map(Client::id),
        reason,
        "a client is not known, or did not authenticate in its way"
    );
    refused()
}

fn rate_limited(client: Option<&Client>, too_many: TooMany) -> OAuthError {
    tracing::warn!(
        target: "resource_protector_issuer::clients",
        event = "rate_limited",
        client_id = client.map(Client::id),
        "there were too many failed attempts to authenticate as a client"
    );
    OAuthError::too_many(too_many.retry_after)
}

fn unavailable(error: &StoreError) -> OAuthError {
    tracing::warn!(target: "resource_protector_issuer::clients", %error, "a client cannot be looked up");
    OAuthError::unavailable()
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthentication")
            .field("audiences", &self.assertions.audiences)
            .finish_non_exhaustive()
    }
}
