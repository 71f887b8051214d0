//! What a client gets.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

/// Tokens that were issued. It serializes as the answer of a token endpoint (RFC 6749 §5.1), which is not to be cached.
///
/// Its `Debug` form shows no token.
#[derive(Clone, Serialize)]
pub struct IssuedTokens {
    pub(super) access_token: String,
    pub(super) token_type: &'static str,
    #[serde(serialize_with = "seconds")]
    pub(super) expires_in: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) scope: String,
    #[serde(skip)]
    pub(super) sid: String,
}

impl IssuedTokens {
    /// The access token. It is a secret: whoever reads it can use it.
    pub fn access_token(&self) -> &str {
        &self.access_token
    }

    /// The refresh token, if there is one. It is a secret, too.
    pub fn refresh_token(&self) -> Option<&str> {
        self.refresh_token.as_deref()
    }

    /// How long the access token is good for.
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }

    /// What the access token grants, separated by spaces.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The session that the tokens belong to: their `sid`.
    pub fn session_id(&self) -> &str {
        &self.sid
    }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_secs())
}

impl fmt::Debug for IssuedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedTokens")
            .field("expires_in", &self.expires_in)
            .field("has_refresh_token", &self.refresh_token.is_some())
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
