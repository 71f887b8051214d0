//! What a token is to be issued for.

use std::{fmt, time::SystemTime};

use resource_protector::Scopes;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{TokenError, TokenErrorKind, login::LoginGround};

/// The claims that the issuer writes itself.
const WRITTEN: [&str; 14] = [
    "iss",
    "sub",
    "client_id",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "sid",
    "scope",
    "auth_time",
    "fresh",
    "cnf",
    "active",
];

/// What tokens are to be issued for: to whom, about whom, with which rights. Whoever makes one vouches that they are due.
///
/// ```
/// use resource_protector_issuer::TokenRequest;
///
/// # fn main() -> Result<(), resource_protector_issuer::TokenError> {
/// let request = TokenRequest::for_subject("web-app", "alice").scope("profile email")?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TokenRequest {
    pub(super) client_id: String,
    pub(super) subject: Option<String>,
    pub(super) scope: String,
    pub(super) audience: Vec<String>,
    pub(super) with_refresh_token: bool,
    pub(super) auth_time: Option<SystemTime>,
    pub(super) fresh: bool,
    pub(super) claims: Map<String, Value>,
    /// The log-in of the user that they are issued on the strength of, where that can end.
    pub(super) login: Option<LoginGround>,
    /// The consent of the user that they rest on, if they rest on one.
    pub(super) consent: Option<String>,
}

impl TokenRequest {
    /// For a client that acts for this user. There will be a refresh token.
    pub fn for_subject(client_id: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            subject: Some(subject.into()),
            scope: String::new(),
            audience: Vec::new(),
            with_refresh_token: true,
            auth_time: None,
            fresh: false,
            claims: Map::new(),
            login: None,
            consent: None,
        }
    }

    /// For a client that acts for itself (RFC 6749 §4.4). There will be no refresh token (§4.4.3).
    pub fn for_client(client_id: impl Into<String>) -> Self {
        Self {
            subject: None,
            with_refresh_token: false,
            ..Self::for_subject(client_id, "")
        }
    }

    /// What they grant, separated by spaces. Nothing unless set.
    ///
    /// # Errors
    ///
    /// [`InvalidScope`](TokenErrorKind::InvalidScope) when there are characters in it that no scope has (RFC 6749 §3.3).
    pub fn scope(mut self, scope: impl AsRef<str>) -> Result<Self, TokenError> {
        self.scope = checked_scope(scope.as_ref())?;
        Ok(self)
    }

    /// For which resource servers they are; the issuer's own audience unless set.
    #[must_use]
    pub fn audience<A: Into<String>>(mut self, audience: impl IntoIterator<Item = A>) -> Self {
        self.audience = each_once(audience);
        self
    }

    /// Without a refresh token: when the access token is over, so is the session.
    #[must_use]
    pub fn without_refresh_token(mut self) -> Self {
        self.with_refresh_token = false;
        self
    }

    /// When the user has proven who they are: `auth_time` (RFC 9068 §2.2.1).
    #[must_use]
    pub fn authenticated_at(mut self, moment: SystemTime) -> Self {
        self.auth_time = Some(moment);
        self
    }

    /// The user has proven it just now: the access token says `fresh: true`, and those that it is refreshed to do not.
    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// A further claim. It is in all tokens of the session.
    ///
    /// # Errors
    ///
    /// [`Unusable`](TokenErrorKind::Unusable) when the issuer writes it itself, or when its value cannot be written as JSON.
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Result<Self, TokenError> {
        let name = name.into();
        if WRITTEN.contains(&name.as_str()) {
            return Err(TokenError::new(
                TokenErrorKind::Unusable,
                format!("expected a claim of the application, got `{name}`, which the issuer writes"),
            ));
        }
        let value = serde_json::to_value(value)
            .map_err(|_| TokenError::new(TokenErrorKind::Unusable, format!("the claim `{name}` is not JSON")))?;
        self.claims.insert(name, value);
        Ok(self)
    }
}

impl TokenRequest {
    /// They are issued only if this log-in has not ended by then.
    #[must_use]
    pub(crate) fn resting_on_login(mut self, login: LoginGround) -> Self {
        self.login = Some(login);
        self
    }

    /// They are issued only while this consent of the user is remembered, and not by one that came after it was withdrawn.
    #[must_use]
    pub(crate) fn resting_on_consent(mut self, id: impl Into<String>) -> Self {
        self.consent = Some(id.into());
        self
    }

    /// The `sub` of the tokens (RFC 9068 §2.2).
    pub(super) fn sub(&self) -> &str {
        self.subject.as_deref().unwrap_or(&self.client_id)
    }
}

impl fmt::Debug for TokenRequest {
    /// Without the subject, and without further claims, which may tell who it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("client_id", &self.client_id)
            .field("scope", &self.scope)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Names without repetitions, in their order.
pub(super) fn each_once<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Vec<String> {
    let mut once = Vec::new();
    for name in names.into_iter().map(Into::into) {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

/// A scope as RFC 6749 §3.3 has it, without surplus spaces and repetitions.
pub(super) fn checked_scope(scope: &str) -> Result<String, TokenError> {
    let is_scope_character = |byte: u8| matches!(byte, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    match scope.bytes().all(is_scope_character) {
        true => Ok(Scopes::parse(scope).to_string()),
        false => Err(TokenError::new(
            TokenErrorKind::InvalidScope,
            "the scope has characters that no scope has",
        )),
    }
}
