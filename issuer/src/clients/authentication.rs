//! Finds out which client sends a request.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::request::Parts;
use resource_protector::{
    AccessTokenMark, Algorithm, Clock, JwtValidator, Moment, OptionalClaim, Presented, SetupError, StoreError,
    SystemClock, TokenValidator as _,
};

use super::{
    AnyClients, Client, ClientAuthMethod, ClientRegistry,
    credentials::{Credentials, Proof, refused},
};
use crate::{
    attempts::Attempts,
    endpoints::{Form, OAuthError},
    setup::within,
    store::{AnyStore, Becomes, Change, Key, Kind, Outcome, Row, Store, Version, Was},
};

/// How far the clock of a client may differ.
const LEEWAY: Duration = Duration::from_secs(10);

/// What assertions may be signed with, each by a key that goes with it.
pub(crate) const ASSERTION_ALGORITHMS: [Algorithm; 10] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
];

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
#[derive(Clone)]
pub struct ClientAuthentication {
    clients: Arc<dyn AnyClients>,
    store: Arc<dyn AnyStore>,
    audiences: Vec<String>,
    assertion_lifetime: Duration,
    attempts: Attempts,
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
                "expected the authorization server's identifier, got none",
            ));
        }
        Ok(Self {
            clients: Arc::new(clients),
            store: Arc::new(store),
            audiences: vec![issuer],
            assertion_lifetime: Duration::from_secs(300),
            attempts: Attempts::new(),
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
        self.audiences.push(audience.into());
        self
    }

    /// How far ahead `exp` of an assertion may be; 5 minutes unless set. One that is stolen before it was used is good
    /// for as long.
    ///
    /// # Errors
    ///
    /// When it is not 1 s to one hour.
    pub fn assertion_lifetime(mut self, life: Duration) -> Result<Self, SetupError> {
        self.assertion_lifetime = within(
            "assertion_lifetime",
            life,
            Duration::from_secs(1)..=Duration::from_secs(3600),
        )?;
        Ok(self)
    }

    /// Counts failures here, in place of 10 in 5 minutes.
    #[must_use]
    pub fn attempts(mut self, attempts: Attempts) -> Self {
        self.attempts = attempts;
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
        if let Proof::None = credentials.proof {
            // Nothing was guessed, so nothing is counted.
            return client
                .filter(|client| client.auth_method() == ClientAuthMethod::None)
                .ok_or_else(refused);
        }
        let now = self.clock.now();
        let peer = self.peer.as_ref().and_then(|peer| peer(parts));
        // Under what failures are counted. No identifier has a line break in it.
        let attempt = format!(
            "client\n{}\n{}",
            credentials.client_id,
            peer.as_deref().unwrap_or_default()
        );
        let too_many = self.attempts.check(&attempt, now).err();
        let too_many = too_many.map(|refused| OAuthError::too_many(refused.retry_after));
        let too_many = match (too_many, &peer) {
            (Some(too_many), Some(_)) => return Err(too_many),
            // Whoever fails may be anybody. A proof that is right was not guessed, and strangers lock nobody out.
            (too_many, _) => too_many,
        };
        match self.prove(client, &credentials.proof, parts, now).await? {
            Some(client) => {
                if too_many.is_none() {
                    self.attempts.succeeded(&attempt);
                }
                Ok(client)
            }
            None => {
                self.attempts.failed(&attempt, now);
                Err(too_many.unwrap_or_else(refused))
            }
        }
    }

    /// The client, if there is one and this proves that it is the one.
    async fn prove(
        &self,
        client: Option<Client>,
        proof: &Proof<'_>,
        parts: &Parts,
        now: Moment,
    ) -> Result<Option<Client>, OAuthError> {
        let is_proven = match proof {
            Proof::Basic { raw, decoded } => {
                // Many clients leave the encoding out.
                let is_right = has_secret(client.as_ref(), decoded) | has_secret(client.as_ref(), raw);
                is_right && uses(client.as_ref(), ClientAuthMethod::ClientSecretBasic)
            }
            Proof::Post(secret) => {
                has_secret(client.as_ref(), secret) && uses(client.as_ref(), ClientAuthMethod::ClientSecretPost)
            }
            Proof::Assertion(assertion) => match &client {
                Some(client) => self.is_good(client, assertion, parts, now).await?,
                None => false,
            },
            Proof::None => false,
        };
        Ok(client.filter(|_| is_proven))
    }

    /// Whether an assertion is the client's, for this server, of this time, and used for the first time.
    async fn is_good(&self, client: &Client, assertion: &str, parts: &Parts, now: Moment) -> Result<bool, OAuthError> {
        let Some(Ok(validator)) = client.jwks().map(|jwks| self.validator(client.id(), &jwks.to_string())) else {
            return Ok(false);
        };
        let judged = validator.validate(&Presented::new(assertion, parts, now)).await;
        let token = match judged {
            Ok(token) => token,
            Err(refusal) => {
                tracing::info!(
                    target: "resource_protector_issuer::clients",
                    client_id = client.id(),
                    reason = %refusal,
                    "an assertion of a client is refused"
                );
                return Ok(false);
            }
        };
        let (Some(jti), Some(expires_at)) = (token.jwt_id(), token.expires_at()) else {
            return Ok(false);
        };
        let begins = [token.not_before(), token.issued_at()].into_iter().flatten();
        let is_timely = later(now.wall, self.assertion_lifetime + LEEWAY) >= expires_at
            && now.wall < later(expires_at, LEEWAY)
            && begins.into_iter().all(|begin| begin <= later(now.wall, LEEWAY));
        // One that is also for others may be used here by them.
        let is_ours_alone = token.audience().count() == 1;
        if !is_timely || !is_ours_alone {
            return Ok(false);
        }
        let used = self.use_up(client.id(), jti, later(expires_at, LEEWAY)).await;
        used.map_err(|error| unavailable(&error))
    }

    /// The rules of RFC 7523 §3, as far as they hold for every JWT.
    fn validator(&self, client_id: &str, jwks: &str) -> Result<JwtValidator, SetupError> {
        let validator = JwtValidator::with_jwks(client_id, jwks, self.audiences.as_slice())?
            .algorithms(ASSERTION_ALGORITHMS)?
            .accept_types(["JWT", ""], AccessTokenMark::claim("sub", [client_id]))?
            .without_at_jwt()?
            .optional_claims([OptionalClaim::ClientId, OptionalClaim::IssuedAt])
            .capacity(0);
        Ok(validator)
    }

    /// Remembers an assertion, and says whether it was not yet.
    async fn use_up(&self, client_id: &str, jti: &str, until: SystemTime) -> Result<bool, StoreError> {
        let row = Row {
            version: Version::draw()?,
            owner: None,
            expires_at: Some(until),
            body: "{}".to_owned(),
        };
        let key = Key::of(Kind::Assertion, &format!("{client_id}\n{jti}"));
        let change = Change::new().step(key, Was::Absent, Becomes::Put(row));
        Ok(self.store.commit(&change).await? == Outcome::Done)
    }
}

/// Compares in any case, so that it takes no less for a client that is not known.
fn has_secret(client: Option<&Client>, secret: &str) -> bool {
    client.map_or_else(
        || super::secret::is_one_of(secret, &[]),
        |client| client.has_secret(secret),
    )
}

fn uses(client: Option<&Client>, method: ClientAuthMethod) -> bool {
    client.is_some_and(|client| client.auth_method() == method)
}

fn later(moment: SystemTime, by: Duration) -> SystemTime {
    moment.checked_add(by).unwrap_or(moment)
}

fn unavailable(error: &StoreError) -> OAuthError {
    tracing::warn!(target: "resource_protector_issuer::clients", %error, "a client cannot be looked up");
    OAuthError::unavailable()
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthentication")
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}
