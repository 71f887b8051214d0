//! Why no token is issued, or none is revoked.

use std::{borrow::Cow, fmt};

use resource_protector::{RevokeError, StoreError};

/// Why a token was not issued, exchanged or revoked.
///
/// The message is for the log and quotes neither token nor subject. The client gets the error code of its
/// [kind](Self::kind).
#[derive(Clone, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct TokenError {
    kind: TokenErrorKind,
    detail: Cow<'static, str>,
    is_of_others: bool,
}

/// The kinds of [`TokenError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// The code or the refresh token is unknown, over, used, revoked, or another client's: `invalid_grant` (RFC 6749 §5.2).
    InvalidGrant,
    /// More was asked for than was granted, or it cannot be read: `invalid_scope` (RFC 6749 §5.2).
    InvalidScope,
    /// A resource was asked for that was not granted: `invalid_target` (RFC 8707 §2).
    InvalidTarget,
    /// The token is another client's, who alone may revoke it (RFC 7009 §2.1), or another subject's.
    NotYours,
    /// A token of this kind cannot be revoked here: `unsupported_token_type` (RFC 7009 §2.2.1).
    UnsupportedTokenType,
    /// The request of the application cannot be carried out: it names claims that the issuer writes itself, or a longer life
    /// than revocations are known for.
    Unusable,
    /// The store or the list of revocations could not be reached. What was to be revoked may be revoked or not: try again.
    Unavailable,
}

impl TokenErrorKind {
    /// The error code of the answer, where there is one.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidGrant | Self::NotYours => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::Unusable => "server_error",
            Self::Unavailable => "temporarily_unavailable",
        }
    }
}

impl TokenError {
    pub(crate) fn new(kind: TokenErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            is_of_others: false,
        }
    }

    /// Whether only others could not be told of a revocation: here it is in force.
    pub(super) fn is_of_others(&self) -> bool {
        self.is_of_others
    }

    pub(crate) fn invalid_grant(detail: &'static str) -> Self {
        Self::new(TokenErrorKind::InvalidGrant, detail)
    }

    /// Which of them it is.
    pub fn kind(&self) -> TokenErrorKind {
        self.kind
    }

    /// What is wrong, for the log.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// The worst of what has failed, where one failure keeps nothing else from being done.
#[derive(Default)]
pub(super) struct Worst(Option<TokenError>);

impl Worst {
    /// What is not in force here is worse than what only others could not be told.
    pub(super) fn note<T, E: Into<TokenError>>(&mut self, done: Result<T, E>) -> Option<T> {
        let error = match done {
            Ok(done) => return Some(done),
            Err(error) => error.into(),
        };
        if self
            .0
            .as_ref()
            .is_none_or(|known| known.is_of_others && !error.is_of_others)
        {
            self.0 = Some(error);
        }
        None
    }

    pub(super) fn into_result(self) -> Result<(), TokenError> {
        self.0.map_or(Ok(()), Err)
    }
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        Self::new(TokenErrorKind::Unavailable, format!("store: {error}"))
    }
}

impl From<RevokeError> for TokenError {
    fn from(error: RevokeError) -> Self {
        let kind = match error {
            // Trying again would not help.
            RevokeError::Unusable(_) => TokenErrorKind::Unusable,
            _ => TokenErrorKind::Unavailable,
        };
        Self {
            is_of_others: matches!(error, RevokeError::Unpublished(_)),
            ..Self::new(kind, format!("list of revocations: {error}"))
        }
    }
}

impl fmt::Display for TokenErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
