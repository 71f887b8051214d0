//! What a token is to be about, and the token that came of it.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::tokens::{TokenError, TokenErrorKind};

/// Whom a token is to be about, and what it says beside. Whoever mints one vouches that it is due.
///
/// Made from a string or a number wherever a profile asks for it.
///
/// ```
/// use resource_protector_issuer::profiles::NewToken;
///
/// # fn main() -> Result<(), resource_protector_issuer::TokenError> {
/// let after_login = NewToken::of("alice").fresh().claim("role", "admin")?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct NewToken {
    pub(super) subject: Value,
    pub(super) fresh: Fresh,
    pub(super) claims: Map<String, Value>,
}

/// Whether the user has just proven who they are.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fresh {
    No,
    Yes,
    For(Duration),
}

impl NewToken {
    /// About this user: a string or a whole number.
    pub fn of(subject: impl Into<Self>) -> Self {
        subject.into()
    }

    /// The user has just proven who they are, by a password for example: fresh for as long as the token lives.
    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.fresh = Fresh::Yes;
        self
    }

    /// The user has just proven who they are: fresh for this long.
    #[must_use]
    pub fn fresh_for(mut self, time: Duration) -> Self {
        self.fresh = Fresh::For(time);
        self
    }

    /// A further claim. Those that the profile writes itself are refused when the token is minted.
    ///
    /// # Errors
    ///
    /// [`Unusable`](TokenErrorKind::Unusable) when the value cannot be written as JSON.
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Result<Self, TokenError> {
        let value = serde_json::to_value(value)
            .map_err(|_| TokenError::new(TokenErrorKind::Unusable, "a claim cannot be written as JSON"))?;
        self.claims.insert(name.into(), value);
        Ok(self)
    }

    pub(super) fn about(subject: Value) -> Self {
        Self {
            subject,
            fresh: Fresh::No,
            claims: Map::new(),
        }
    }

    /// Refuses what a profile writes itself, and a subject that says nothing.
    pub(super) fn check(&self, written: &[&str]) -> Result<(), TokenError> {
        if self.subject.as_str().is_some_and(str::is_empty) {
            return Err(TokenError::new(TokenErrorKind::Unusable, "the subject is empty"));
        }
        match self.claims.keys().find(|name| written.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(TokenError::new(
                TokenErrorKind::Unusable,
                format!("the claim `{name}` is written by the profile itself"),
            )),
        }
    }
}

impl From<&str> for NewToken {
    fn from(subject: &str) -> Self {
        Self::about(subject.into())
    }
}

impl From<String> for NewToken {
    fn from(subject: String) -> Self {
        Self::about(subject.into())
    }
}

impl From<i32> for NewToken {
    fn from(subject: i32) -> Self {
        Self::about(subject.into())
    }
}

impl From<i64> for NewToken {
    fn from(subject: i64) -> Self {
        Self::about(subject.into())
    }
}

impl From<u64> for NewToken {
    fn from(subject: u64) -> Self {
        Self::about(subject.into())
    }
}

/// A token that was minted. Its `Debug` form shows neither it nor whom it is about.
#[derive(Clone)]
pub struct MintedToken {
    pub(super) token: String,
    pub(super) jwt_id: String,
    pub(super) csrf: Option<String>,
    pub(super) expires_at: SystemTime,
}

impl MintedToken {
    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Its identifier, `jti`, by which it can be revoked.
    pub fn jwt_id(&self) -> &str {
        &self.jwt_id
    }

    /// What a page has to send beside the token when that is in a cookie: the claim `csrf`.
    pub fn csrf(&self) -> Option<&str> {
        self.csrf.as_deref()
    }

    /// When it is over: `exp`.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").finish_non_exhaustive()
    }
}

impl fmt::Debug for MintedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedToken")
            .field("jwt_id", &self.jwt_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
