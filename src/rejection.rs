//! Refusals: what they are, and the one place where they become responses.

use std::{borrow::Cow, fmt, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Version,
    header::{self, HeaderName},
    request::Parts,
};

use crate::{
    challenge::ChallengeParams, error::shown, protector::RefusalBody, require::Requirement, scope::Scope,
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
    scopes: Vec<Scope>,
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
    /// It is bound to its sender in a way that was not proven.
    Unbound,
}

impl Rejection {
    fn new(kind: RejectionKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            reason: None,
            scopes: Vec::new(),
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

    /// The token lacks what the requirement demands: 403. Names the scopes that would be enough.
    pub(crate) fn insufficient_scope(requirement: &Requirement, token: &CurrentToken) -> Self {
        let mut rejection = Self::new(
            RejectionKind::InsufficientScope,
            format!(
                "expected {requirement}, got scopes {}",
                shown(&token.scopes().to_string())
            ),
        );
        rejection.0.scopes = requirement.scopes_to_name(Some(token));
        rejection
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

    /// Tells the client when to ask again; whole seconds, rounded up, at least one.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Names scopes in the challenge beside those already named.
    pub(crate) fn demand(&mut self, outer: Vec<Scope>) {
        let inner = std::mem::replace(&mut self.0.scopes, outer);
        for scope in inner {
            if !self.0.scopes.contains(&scope) {
                self.0.scopes.push(scope);
            }
        }
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
            RejectionKind::NoCredentials | RejectionKind::InvalidToken => StatusCode::UNAUTHORIZED,
            RejectionKind::InsufficientScope => StatusCode::FORBIDDEN,
            RejectionKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            RejectionKind::Misconfigured => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The scopes that the challenge names.
    pub fn scopes(&self) -> &[Scope] {
        &self.0.scopes
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

    /// The error code and a fixed sentence, for header and body.
    fn error(&self) -> Option<(&'static str, &'static str)> {
        Some(match (self.0.kind, self.0.reason) {
            (RejectionKind::NoCredentials, _) => return None,
            (RejectionKind::Malformed, _) => ("invalid_request", "The credentials of the request are malformed"),
            (RejectionKind::InvalidToken, Some(Reason::Expired)) => ("invalid_token", "The access token expired"),
            (RejectionKind::InvalidToken, _) => ("invalid_token", "The access token is not valid here"),
            (RejectionKind::InsufficientScope, _) => (
                "insufficient_scope",
                "The access token does not grant what this request needs",
            ),
            (RejectionKind::Unavailable, _) => (
                "temporarily_unavailable",
                "The access token cannot be checked at the moment",
            ),
            (RejectionKind::Misconfigured, _) => ("server_error", "The service cannot check access tokens"),
        })
    }

    fn grpc_status(&self) -> &'static str {
        match self.0.kind {
            RejectionKind::NoCredentials | RejectionKind::Malformed | RejectionKind::InvalidToken => "16",
            RejectionKind::InsufficientScope => "7",
            RejectionKind::Unavailable => "14",
            RejectionKind::Misconfigured => "13",
        }
    }

    fn challenge(&self, params: &ChallengeParams) -> Option<HeaderValue> {
        match self.0.kind {
            RejectionKind::Unavailable | RejectionKind::Misconfigured => None,
            _ => Some(params.challenge(self.error(), &self.0.scopes)),
        }
    }

    /// Renders the refusal: headers, JSON or trailers-only, everything but what an application replaces.
    fn render(&self, form: Form, params: &ChallengeParams) -> Response<Option<Bytes>> {
        let mut response = Response::new(None);
        let error = self.error();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge(params) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if self.0.kind == RejectionKind::Unavailable {
            let wait = self
                .0
                .retry_after
                .unwrap_or(Duration::from_secs(1))
                .as_secs_f64()
                .ceil();
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bounded just before"
            )]
            let seconds = wait.clamp(1.0, 3600.0) as u32;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match form {
            Form::Grpc(content_type) => {
                headers.insert(header::CONTENT_TYPE, content_type);
                headers.insert(GRPC_STATUS, HeaderValue::from_static(self.grpc_status()));
                let message = error.map_or("An access token is needed", |(_, sentence)| sentence);
                headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
            }
            Form::Http => {
                *response.status_mut() = self.status();
                if let Some((code, sentence)) = error {
                    response
                        .headers_mut()
                        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                    let json = format!(r#"{{"error":"{code}","error_description":"{sentence}"}}"#);
                    *response.body_mut() = Some(json.into());
                }
            }
        }
        response
    }

    /// The whole response, by itself: what a guard or an extractor answers before a protector completes it.
    pub(crate) fn into_response<B>(self, form: Form) -> Response<RefusalBody<B>> {
        let response = self.render(form, &ChallengeParams::default()).map(RefusalBody::refusal);
        self.attach(response)
    }

    /// The whole response, as the protector gives it.
    pub(crate) fn into_final_response<B>(
        mut self,
        form: Form,
        params: &ChallengeParams,
        replace: Option<&ReplaceRefusal>,
    ) -> Response<RefusalBody<B>> {
        self.0.rendered = true;
        let is_http = matches!(form, Form::Http);
        let mut response = self.render(form, params);
        if let Some(replace) = replace.filter(|_| is_http) {
            let ours = (
                response.status(),
                response.headers().get(header::WWW_AUTHENTICATE).cloned(),
            );
            let mut replaced = replace(&self, response.map(Option::unwrap_or_default));
            // Whatever the application makes of it, it stays a refusal, and a 401 names a way in (RFC 9110 §11.6.1).
            if replaced.status().as_u16() < 400 {
                tracing::error!(status = %replaced.status(), "a replaced refusal must have a status of 400 or above");
                *replaced.status_mut() = ours.0;
            }
            if replaced.status() == StatusCode::UNAUTHORIZED
                && !replaced.headers().contains_key(header::WWW_AUTHENTICATE)
            {
                let challenge = ours.1.unwrap_or_else(|| params.challenge(None, &[]));
                replaced.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            replaced
                .headers_mut()
                .entry(header::CACHE_CONTROL)
                .or_insert(HeaderValue::from_static("no-store"));
            response = replaced.map(Some);
        }
        self.attach(response.map(RefusalBody::refusal))
    }

    /// Completes a refusal that was made further in, keeping the headers that layers between have added.
    pub(crate) fn complete<B>(
        self,
        passing: Response<B>,
        form: Form,
        params: &ChallengeParams,
        replace: Option<&ReplaceRefusal>,
    ) -> Response<RefusalBody<B>> {
        let mut kept = passing.into_parts().0;
        for name in REPLACED_HEADERS {
            kept.headers.remove(name);
        }
        let mut response = self.into_final_response(form, params, replace);
        let ours: Vec<HeaderName> = response.headers().keys().cloned().collect();
        for (name, value) in &kept.headers {
            if !ours.contains(name) || name == header::VARY {
                response.headers_mut().append(name, value.clone());
            }
        }
        // The refusal as it is now, among what layers between have left there.
        if let Some(rejection) = response.extensions_mut().remove::<Self>() {
            kept.extensions.insert(rejection);
        }
        *response.extensions_mut() = kept.extensions;
        response
    }

    fn attach<B>(self, mut response: Response<B>) -> Response<B> {
        response.extensions_mut().insert(self);
        response
    }
}

/// Replaces the response to a refusal; set by [`ResourceProtectorLayer::replace_refusals`](crate::ResourceProtectorLayer::replace_refusals).
pub(crate) type ReplaceRefusal = dyn Fn(&Rejection, Response<Bytes>) -> Response<Bytes> + Send + Sync;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// What describes a refusal or its body, and is written anew when the protector completes it.
const REPLACED_HEADERS: [HeaderName; 14] = [
    header::WWW_AUTHENTICATE,
    header::CACHE_CONTROL,
    header::RETRY_AFTER,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::ETAG,
    header::LAST_MODIFIED,
    GRPC_STATUS,
    GRPC_MESSAGE,
];

/// In which form the client of this request understands a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A status and JSON.
    Http,
    /// Trailers-only, with this content type.
    Grpc(HeaderValue),
}

/// Which forms other than HTTP are spoken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forms {
    pub(crate) grpc: bool,
    pub(crate) grpc_web: bool,
}

impl Default for Forms {
    fn default() -> Self {
        Self {
            grpc: true,
            grpc_web: false,
        }
    }
}

impl Forms {
    /// gRPC is POST over HTTP/2 with its own content type. Anything less exact gets an HTTP status: a gRPC refusal is
    /// a 200, and a plain request must not be able to ask for one.
    pub(crate) fn of(self, request: &Parts) -> Form {
        self.of_request(&request.method, request.version, &request.headers)
    }

    pub(crate) fn of_request(self, method: &Method, version: Version, headers: &HeaderMap) -> Form {
        let Some(sent) = headers.get(header::CONTENT_TYPE).filter(|_| method == Method::POST) else {
            return Form::Http;
        };
        let is = |media_type: &[u8]| {
            let rest = sent.as_bytes().strip_prefix(media_type);
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
        };
        if self.grpc && version == Version::HTTP_2 && is(b"application/grpc") {
            return Form::Grpc(HeaderValue::from_static("application/grpc"));
        }
        for (media_type, answer) in [
            ("application/grpc-web", "application/grpc-web+proto"),
            ("application/grpc-web-text", "application/grpc-web-text+proto"),
        ] {
            if self.grpc_web && is(media_type.as_bytes()) {
                return Form::Grpc(HeaderValue::from_static(answer));
            }
        }
        Form::Http
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
        f.write_str(
            self.error()
                .map_or("An access token is needed", |(_, sentence)| sentence),
        )
    }
}

impl std::error::Error for Rejection {}
