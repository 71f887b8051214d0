//! Refusals: what they are, and the one place where they become responses.

mod form;
mod render;
mod said;

use std::{borrow::Cow, fmt, time::Duration};

use http::StatusCode;

pub(crate) use self::{
    form::{Form, Forms},
    render::ReplaceRefusal,
    said::ErrorSaid,
};
use crate::{
    error::shown,
    require::{Authentication, Demands, Remedy, Requirement},
    scope::Scope,
    token::CurrentToken,
};

/// Why a request is refused. Every refusal there is, from the protector, a guard or a handler, is one of these.
///
/// It has a [kind](Self::kind), which decides the status, and a detail for the log. The client gets a fixed sentence:
/// neither what it sent nor what was expected ever reaches a response. As a response of its own it is valid; on its way
/// out through guards and protector it is completed by what they know.
///
/// It also stands in the extensions of the response it became, for layers outside that count or log.
#[derive(Clone)]
pub struct Rejection(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: RejectionKind,
    reason: Option<Reason>,
    demands: Demands,
    retry_after: Option<Duration>,
    detail: Cow<'static, str>,
    told: bool,
    rendered: bool,
}

/// The kinds of refusals: each is one row of the table in the [crate's documentation](crate#refusals).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// No credentials, or of another scheme: 401 with a bare challenge.
    NoCredentials,
    /// Credentials that cannot be read: 400 `invalid_request`.
    Malformed,
    /// A token that is expired, revoked, unknown, not for us or not genuine: 401 `invalid_token`.
    InvalidToken,
    /// A good token that lacks a scope or another right: 403 `insufficient_scope`.
    InsufficientScope,
    /// A good token of a user who did not authenticate recently or strongly enough: 401
    /// `insufficient_user_authentication` (RFC 9470 §3).
    InsufficientAuthentication,
    /// A token in a cookie, without a sign that a page of our own sent the request: 403 without a challenge.
    CrossSite,
    /// A form that is longer than is searched for a token: 413.
    TooLarge,
    /// The token could not be judged, because the authorization server did not say: 503 and `Retry-After`.
    Unavailable,
    /// The fault is ours, such as credentials the authorization server refuses: 500.
    Misconfigured,
}

/// Why a token is not valid. For logs and metrics; the client is told no more than that it expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It does not have the form of a token.
    Format,
    /// It is a JWT of another type, such as an ID token, or not an access token.
    Type,
    /// Its algorithm is not one of those accepted.
    Algorithm,
    /// None of the issuer's keys is the one it names.
    UnknownKey,
    /// Its signature does not verify.
    Signature,
    /// It is from another issuer, or from none that is known.
    Issuer,
    /// It was issued for another resource server.
    Audience,
    /// A claim is missing or has the wrong type or value.
    Claim,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// The authorization server or the token table says it is not active, or does not know it.
    Inactive,
    /// It was revoked: a [list of revocations](crate::RevocationList) covers it.
    Revoked,
    /// It is bound to its sender in a way that was not proven.
    Unbound,
}

impl Rejection {
    fn new(kind: RejectionKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            reason: None,
            demands: Demands::default(),
            retry_after: None,
            detail: detail.into(),
            told: false,
            rendered: false,
        }))
    }

    /// There are no credentials, or none of a scheme that is accepted here.
    pub(crate) fn no_credentials(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RejectionKind::NoCredentials, detail)
    }

    /// The credentials cannot be read: 400. The detail goes to the log; it must not quote a token.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RejectionKind::Malformed, detail)
    }

    /// The token is not valid: 401. The detail goes to the log; it must not quote the token or a secret.
    pub fn invalid_token(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut rejection = Self::new(RejectionKind::InvalidToken, detail);
        rejection.0.reason = Some(reason);
        rejection
    }

    /// The token does not meet the requirement: 401 where the user has to authenticate anew and can get everything else that
    /// is missing with that, else 403. Names what would be enough.
    pub(crate) fn not_enough(requirement: &Requirement, token: &CurrentToken) -> Self {
        let scopes = shown(&token.scopes().to_string());
        let (remedy, demands) = requirement.remedy(token);
        let mut rejection = match remedy {
            Remedy::Scopes => Self::new(
                RejectionKind::InsufficientScope,
                format!("expected {requirement}, got scopes {scopes}"),
            ),
            Remedy::Authentication => Self::new(
                RejectionKind::InsufficientAuthentication,
                format!(
                    "expected {requirement}, got scopes {scopes}, acr {}, {}",
                    shown(token.acr().unwrap_or_default()),
                    token.said_of_authentication()
                ),
            ),
        };
        rejection.demand(demands);
        rejection
    }

    /// A cookie counts only if a page of our own sent it.
    pub(crate) fn cross_site(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RejectionKind::CrossSite, detail)
    }

    /// The body is too long to be searched.
    pub(crate) fn too_large(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RejectionKind::TooLarge, detail)
    }

    /// The token could not be judged: 503 with `Retry-After`. Answer an outage so and never with 401, which makes
    /// clients throw good tokens away. The detail goes to the log; it must not quote the token or a secret.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RejectionKind::Unavailable, detail)
    }

    /// The service is set up wrongly: 500. The detail goes to the log; it must not quote the token or a secret.
    pub fn misconfigured(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RejectionKind::Misconfigured, detail)
    }

    /// Tells the client when to ask again, in the `Retry-After` of a 503: whole seconds, rounded up, from one to an hour.
    /// Means nothing for other kinds.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// What it was told to say in `Retry-After`.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Names more in the challenge, before what is named already.
    pub(crate) fn demand(&mut self, mut outer: Demands) {
        if self.0.kind == RejectionKind::InsufficientScope {
            // The authentication is good enough, or would not help.
            outer.authentication = Authentication::default();
        }
        self.0.demands.add(outer);
    }

    /// Which row of the table this is.
    pub fn kind(&self) -> RejectionKind {
        self.0.kind
    }

    /// Why the token is not valid, for a refusal of the kind [`InvalidToken`](RejectionKind::InvalidToken).
    pub fn reason(&self) -> Option<Reason> {
        self.0.reason
    }

    /// The HTTP status; always 400 or above.
    pub fn status(&self) -> StatusCode {
        match self.0.kind {
            RejectionKind::Malformed => StatusCode::BAD_REQUEST,
            RejectionKind::NoCredentials | RejectionKind::InvalidToken | RejectionKind::InsufficientAuthentication => {
                StatusCode::UNAUTHORIZED
            }
            RejectionKind::InsufficientScope | RejectionKind::CrossSite => StatusCode::FORBIDDEN,
            RejectionKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            RejectionKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            RejectionKind::Misconfigured => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The scopes that the challenge names.
    pub fn scopes(&self) -> &[Scope] {
        &self.0.demands.scopes
    }

    /// The `acr_values` that the challenge names (RFC 9470 §3): the user has to authenticate in a way that is one of them.
    pub fn acr_values(&self) -> &[String] {
        &self.0.demands.authentication.acr_values
    }

    /// The `max_age` that the challenge names (RFC 9470 §3), in whole seconds: how long ago the user may have authenticated.
    pub fn max_age(&self) -> Option<Duration> {
        self.0.demands.authentication.max_age.map(Duration::from_secs)
    }

    /// What happened, for the log of this service. Never send it to a client.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Whether this was reported to the log; says yes from then on.
    pub(crate) fn tell_once(&mut self) -> bool {
        !std::mem::replace(&mut self.0.told, true)
    }

    /// Whether a protector has completed this refusal, so that one further out leaves it alone.
    pub(crate) fn is_rendered(&self) -> bool {
        self.0.rendered
    }

    /// What the client is told; nothing where it did not try to prove anything.
    fn error(&self) -> Option<ErrorSaid> {
        Some(match (self.0.kind, self.0.reason) {
            (RejectionKind::NoCredentials, _) => return None,
            (RejectionKind::Malformed, _) => ErrorSaid::MALFORMED,
            (RejectionKind::InvalidToken, Some(Reason::Expired)) => ErrorSaid::EXPIRED,
            (RejectionKind::InvalidToken, _) => ErrorSaid::NOT_VALID,
            (RejectionKind::InsufficientScope, _) => ErrorSaid::INSUFFICIENT_SCOPE,
            (RejectionKind::InsufficientAuthentication, _) => ErrorSaid::INSUFFICIENT_AUTHENTICATION,
            (RejectionKind::CrossSite, _) => ErrorSaid::CROSS_SITE,
            (RejectionKind::TooLarge, _) => ErrorSaid::TOO_LARGE,
            (RejectionKind::Unavailable, _) => ErrorSaid::UNAVAILABLE,
            (RejectionKind::Misconfigured, _) => ErrorSaid::MISCONFIGURED,
        })
    }

    fn grpc_status(&self) -> &'static str {
        match self.0.kind {
            RejectionKind::NoCredentials
            | RejectionKind::Malformed
            | RejectionKind::InvalidToken
            | RejectionKind::InsufficientAuthentication => "16",
            RejectionKind::InsufficientScope | RejectionKind::CrossSite => "7",
            RejectionKind::TooLarge => "8",
            RejectionKind::Unavailable => "14",
            RejectionKind::Misconfigured => "13",
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.0.kind)
            .field("reason", &self.0.reason)
            .field("detail", &self.0.detail)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Rejection {
    /// The fixed sentence that the client gets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error().map_or("An access token is needed", |error| error.sentence))
    }
}

impl std::error::Error for Rejection {}
