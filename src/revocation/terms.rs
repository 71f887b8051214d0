//! What a token needs, so that its revocation can be noticed.

use std::{sync::Arc, time::Duration};

use super::RevokedBy;
use crate::{
    error::{SetupError, within},
    rejection::{Reason, Rejection},
    token::CurrentToken,
};

/// The longest life of tokens that can be revoked: a year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What a list of revocations goes by, and for how long it knows of one.
///
/// A token that lacks what the list goes by is refused: nobody could revoke it. So is one that lives longer than
/// revocations are known, which would come back to life.
#[derive(Clone, Debug)]
pub struct RevocationTerms {
    by: Vec<RevokedBy>,
    longest_life: Duration,
    assumed_issuer: Option<Arc<str>>,
}

impl RevocationTerms {
    /// Tokens are revoked by these identifiers, and live no longer than this, from `iat` to `exp`.
    ///
    /// Name what revocations will be made by, and nothing else: every token needs all of it, and `iss`, `iat` and `exp`.
    ///
    /// # Errors
    ///
    /// When there is no identifier, or the life is not from 1 s to 366 days.
    pub fn new(by: impl IntoIterator<Item = RevokedBy>, longest_life: Duration) -> Result<Self, SetupError> {
        let by: Vec<_> = by.into_iter().collect();
        if by.is_empty() {
            return Err(SetupError::new(
                "by",
                "expected what tokens are revoked by, got nothing: such a list would revoke no token",
            ));
        }
        Ok(Self {
            by,
            longest_life: within("longest_life", longest_life, Duration::from_secs(1)..=LONGEST)?,
            assumed_issuer: None,
        })
    }

    /// Takes tokens that name no issuer for tokens of this one: for a token table or an introspection endpoint that says
    /// no `iss`. Without it they are refused.
    ///
    /// # Errors
    ///
    /// When it is empty.
    pub fn assume_issuer(mut self, issuer: impl AsRef<str>) -> Result<Self, SetupError> {
        let issuer = issuer.as_ref();
        if issuer.is_empty() {
            return Err(SetupError::new(
                "assume_issuer",
                "expected an issuer, got an empty string",
            ));
        }
        self.assumed_issuer = Some(issuer.into());
        Ok(self)
    }

    /// By what tokens are revoked.
    pub fn revoked_by(&self) -> &[RevokedBy] {
        &self.by
    }

    /// Whether tokens are revoked by this, among others.
    pub fn include(&self, by: RevokedBy) -> bool {
        self.by.contains(&by)
    }

    /// How long a token lives at the most.
    pub fn longest_life(&self) -> Duration {
        self.longest_life
    }

    /// Whose token it is.
    pub(super) fn issuer_of<'a>(&'a self, token: &'a CurrentToken) -> Option<&'a str> {
        token.issuer().or(self.assumed_issuer.as_deref())
    }

    /// Whether a revocation of the token could be noticed.
    pub(super) fn judge(&self, token: &CurrentToken) -> Result<(), Rejection> {
        let lacks = |claim: &'static str| Rejection::invalid_token(Reason::Claim, claim);
        if self.issuer_of(token).is_none() {
            return Err(lacks("no `iss`, by which tokens are revoked here"));
        }
        for by in &self.by {
            let (identifier, problem) = match by {
                RevokedBy::TokenId => (token.jwt_id(), "no `jti`, by which tokens are revoked here"),
                RevokedBy::Session => (token.session_id(), "no `sid`, by which tokens are revoked here"),
                RevokedBy::Subject => (token.subject(), "no `sub`, by which tokens are revoked here"),
                RevokedBy::Client => (token.client_id(), "no `client_id`, by which tokens are revoked here"),
            };
            if identifier.is_none_or(str::is_empty) {
                return Err(lacks(problem));
            }
        }
        let (Some(issued), Some(expires)) = (token.issued_at(), token.expires_at()) else {
            return Err(lacks("no `iat` or no `exp`, and revocations are not known for ever"));
        };
        match expires.duration_since(issued) {
            Ok(life) if life > self.longest_life => Err(lacks("lives longer than revocations are known")),
            _ => Ok(()),
        }
    }
}
