//! Assertions by which clients prove who they are.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::request::Parts;
use resource_protector::{
    AccessTokenMark, Algorithm, JwtValidator, Moment, OptionalClaim, Presented, Reason, SetupError, StoreError,
    TokenValidator as _,
};

use super::{
    Client,
    authentication::{ANOTHER_WAY, Judged},
};
use crate::store::{AnyStore, Becomes, Change, Key, Kind, Outcome, Row, Version, Was};

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

const INCOMPLETE: &str = "the assertion lacks something, or cannot be read";
const NOT_FOR_US: &str = "the assertion is not for this server alone";
const NOT_NOW: &str = "the assertion is not of this time, or is good for too long";

/// The rules by which assertions are judged, and where is written down which were used.
#[derive(Clone)]
pub(super) struct Assertions {
    store: Arc<dyn AnyStore>,
    /// Of these an assertion names one, and nobody else.
    pub(super) audiences: Vec<String>,
    /// How far ahead `exp` may be.
    pub(super) lifetime: Duration,
}

impl Assertions {
    /// Those for this issuer, good for 5 minutes at the most.
    pub(super) fn new(issuer: String, store: Arc<dyn AnyStore>) -> Self {
        Self {
            store,
            audiences: vec![issuer],
            lifetime: Duration::from_secs(300),
        }
    }

    /// Whether an assertion is the client's, for this server, of this time, and used for the first time.
    pub(super) async fn judge(
        &self,
        client: &Client,
        assertion: &str,
        parts: &Parts,
        now: Moment,
    ) -> Result<Judged, StoreError> {
        let Some(Ok(validator)) = client.jwks().map(|jwks| self.validator(client.id(), &jwks.to_string())) else {
            return Ok(Err(ANOTHER_WAY));
        };
        let token = match validator.validate(&Presented::new(assertion, parts, now)).await {
            Ok(token) => token,
            Err(refusal) => return Ok(Err(in_words(refusal.reason()))),
        };
        let (Some(jti), Some(expires_at)) = (token.jwt_id(), token.expires_at()) else {
            return Ok(Err(INCOMPLETE));
        };
        let begins = [token.not_before(), token.issued_at()].into_iter().flatten();
        let is_timely = later(now.wall, self.lifetime + LEEWAY) >= expires_at
            && now.wall < later(expires_at, LEEWAY)
            && begins.into_iter().all(|begin| begin <= later(now.wall, LEEWAY));
        if !is_timely {
            return Ok(Err(NOT_NOW));
        }
        // One that is also for others may be used here by them.
        if token.audience().count() != 1 {
            return Ok(Err(NOT_FOR_US));
        }
        match self.use_up(client.id(), jti, later(expires_at, LEEWAY)).await? {
            true => Ok(Ok(())),
            false => Ok(Err("the assertion was used before")),
        }
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

fn in_words(reason: Option<Reason>) -> &'static str {
    match reason {
        Some(Reason::Algorithm | Reason::UnknownKey | Reason::Signature) => {
            "no key of the client has signed the assertion"
        }
        Some(Reason::Audience) => NOT_FOR_US,
        Some(Reason::Expired | Reason::NotYetValid) => NOT_NOW,
        _ => INCOMPLETE,
    }
}

fn later(moment: SystemTime, by: Duration) -> SystemTime {
    moment.checked_add(by).unwrap_or(moment)
}
