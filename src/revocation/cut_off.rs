//! Whose tokens are over.

use std::{fmt, time::SystemTime};

use serde::Deserialize;

/// By what a token can be revoked.
///
/// It is deserialized from the claim's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[non_exhaustive]
pub enum RevokedBy {
    /// By its own identifier, `jti`: one token.
    #[serde(rename = "jti")]
    TokenId,
    /// By the session it was issued in, `sid`: a log-out.
    #[serde(rename = "sid")]
    Session,
    /// By its subject, `sub`, and when it was issued, `iat`: a log-out everywhere, a new password, a disabled account.
    #[serde(rename = "sub")]
    Subject,
    /// By the client it was issued to, `client_id`.
    #[serde(rename = "client_id")]
    Client,
}

impl RevokedBy {
    /// Everything by which a token can be revoked, from the one token to all of a client's. A list whose
    /// [terms](super::RevocationTerms) demand all of it refuses most issuers' tokens: few have a `sid`.
    pub const ALL: [Self; 4] = [Self::TokenId, Self::Session, Self::Subject, Self::Client];
}

/// Tokens that are to be refused from now on, whatever they say, and whether anybody has seen them or not.
///
/// An identifier means something only together with the issuer that gave it, so that no issuer can log out another's
/// users. Both are compared byte for byte with what stands in the tokens: a slash too many at the end of the issuer, and
/// nothing is cut off.
///
/// ```
/// use std::time::SystemTime;
///
/// use resource_protector::CutOff;
///
/// let issuer = "https://auth.example.com";
/// let logged_out = CutOff::session(issuer, "08a5019c-17e1-4977-8f42-65a12843ea02");
/// let password_changed = CutOff::subject(issuer, "alice", SystemTime::now());
/// # let _ = (logged_out, password_changed);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CutOff {
    pub(super) by: RevokedBy,
    pub(super) issuer: String,
    pub(super) id: String,
    pub(super) issued_before: Option<SystemTime>,
    pub(super) until: Option<SystemTime>,
}

impl CutOff {
    pub(super) fn new(by: RevokedBy, issuer: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            by,
            issuer: issuer.into(),
            id: id.into(),
            issued_before: None,
            until: None,
        }
    }

    /// The token with this `jti`.
    pub fn token(issuer: impl Into<String>, jti: impl Into<String>) -> Self {
        Self::new(RevokedBy::TokenId, issuer, jti)
    }

    /// All tokens of the session with this `sid`.
    pub fn session(issuer: impl Into<String>, sid: impl Into<String>) -> Self {
        Self::new(RevokedBy::Session, issuer, sid)
    }

    /// All tokens about this `sub` that were issued before that moment, by their `iat`.
    ///
    /// Give the moment as it is. Most issuers write whole seconds into `iat`, rounded down: a token that is issued later
    /// within the same second is refused, too. Of a moment that is rounded down as well, a token of the same second that was
    /// issued before is spared.
    ///
    /// The issuer's clock counts. Where it may be ahead of the one that this moment is from, name a later moment: by so much
    /// a token that was issued before passes for one that was issued after.
    pub fn subject(issuer: impl Into<String>, sub: impl Into<String>, issued_before: SystemTime) -> Self {
        Self {
            issued_before: Some(issued_before),
            ..Self::new(RevokedBy::Subject, issuer, sub)
        }
    }

    /// All tokens that were issued to this `client_id`, and, for as long as this is known, all that will be. That is no longer
    /// than a token lives: the issuer has to stop issuing them meanwhile.
    pub fn client(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self::new(RevokedBy::Client, issuer, client_id)
    }

    /// Spares the tokens that are issued at this moment or later, by their `iat`.
    #[must_use]
    pub fn issued_before(mut self, moment: SystemTime) -> Self {
        self.issued_before = Some(moment);
        self
    }

    /// Need not be known from this moment on, because every token that it concerns has expired by then: for one token, its
    /// `exp`. Without it, or when it lies further away, it is known for the
    /// [longest life](super::RevocationTerms::longest_lifetime) of a token that is issued now, or just before the moment that it
    /// [names](Self::issued_before); and for some minutes more, because of the leeway.
    #[must_use]
    pub fn until(mut self, exp: SystemTime) -> Self {
        self.until = Some(exp);
        self
    }

    /// By what it revokes tokens.
    pub fn revoked_by(&self) -> RevokedBy {
        self.by
    }
}

impl fmt::Debug for CutOff {
    /// Without the identifier, which may be a subject.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CutOff")
            .field("by", &self.by)
            .field("issuer", &self.issuer)
            .field("issued_before", &self.issued_before)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}
