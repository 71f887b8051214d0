//! The answers of the endpoints: JSON that nobody keeps, and errors in the form of RFC 6749 §5.2.

use std::{fmt, time::Duration};

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use serde_json::json;

use super::ResponseBody;
use crate::tokens::{TokenError, TokenErrorKind};

/// A response of this crate.
pub(crate) type Answer = Response<ResponseBody>;

/// When a client is told to come again after an outage.
const AFTER_AN_OUTAGE: Duration = Duration::from_secs(5);

/// An error of a token, introspection or revocation endpoint, as the client gets it (RFC 6749 §5.2).
///
/// It has a [code](ErrorCode), which decides the status, and a fixed sentence: nothing that a client sent ever reaches
/// an answer.
///
/// ```
/// use http::StatusCode;
/// use resource_protector_issuer::endpoints::{ErrorCode, OAuthError};
///
/// let error = OAuthError::new(ErrorCode::InvalidGrant, "the code has expired");
/// assert_eq!(error.into_response().status(), StatusCode::BAD_REQUEST);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {description}", code.as_str())]
pub struct OAuthError {
    code: ErrorCode,
    description: &'static str,
    status: StatusCode,
    retry_after: Option<Duration>,
}

/// What `error` may be in an [`OAuthError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The request lacks a parameter, has one twice, or cannot be read: 400 (RFC 6749 §5.2).
    InvalidRequest,
    /// The client is not known, did not authenticate, or not in its way: 401 with a challenge (RFC 6749 §5.2).
    InvalidClient,
    /// The code, refresh token or assertion is not good, or not this client's: 400 (RFC 6749 §5.2).
    InvalidGrant,
    /// The client may not use this grant: 400 (RFC 6749 §5.2).
    UnauthorizedClient,
    /// There is no such grant: 400 (RFC 6749 §5.2).
    UnsupportedGrantType,
    /// The scope is malformed, or more than may be given: 400 (RFC 6749 §5.2).
    InvalidScope,
    /// The resource is not known, or not one for this client: 400 (RFC 8707 §2).
    InvalidTarget,
    /// Tokens of this type cannot be revoked: 400 (RFC 7009 §2.2.1).
    UnsupportedTokenType,
    /// The user or the server refuses: 400.
    AccessDenied,
    /// It could not be decided, or there were too many failures: 503, or 429, with `Retry-After`.
    TemporarilyUnavailable,
    /// The fault is ours: 500.
    ServerError,
}

impl ErrorCode {
    /// The value of `error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::AccessDenied => "access_denied",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl OAuthError {
    /// An error with its code and a fixed sentence for the developer of the client, in ASCII without `"` and `\` (RFC
    /// 6749 §5.2).
    pub fn new(code: ErrorCode, description: &'static str) -> Self {
        Self {
            code,
            description,
            status: code.status(),
            retry_after: (code == ErrorCode::TemporarilyUnavailable).then_some(AFTER_AN_OUTAGE),
        }
    }

    /// The client's request cannot be read, or lacks something.
    pub(crate) fn invalid_request(description: &'static str) -> Self {
        Self::new(ErrorCode::InvalidRequest, description)
    }

    /// A store or a registry did not say. The client is told to come again, and never that it or its token is not good.
    pub(crate) fn unavailable() -> Self {
        Self::new(
            ErrorCode::TemporarilyUnavailable,
            "the server cannot decide at the moment",
        )
    }

    /// There were too many failures: 429 (RFC 6585 §4).
    pub(crate) fn too_many(retry_after: Duration) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(retry_after),
            ..Self::new(
                ErrorCode::TemporarilyUnavailable,
                "there were too many failed attempts to authenticate",
            )
        }
    }

    /// The same, with another status, which says more to what stands between.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Its code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Its sentence.
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer: JSON that is not to be stored; with a `Basic` challenge if it is 401, and `Retry-After` if it is 429
    /// or 503.
    pub fn into_response(self) -> Response<ResponseBody> {
        let mut answer = json(
            self.status,
            &json!({ "error": self.code.as_str(), "error_description": self.description }),
        );
        let fields = answer.headers_mut();
        match self.status {
            // RFC 9110 §15.5.2: a 401 has a challenge, whichever way the client tried.
            StatusCode::UNAUTHORIZED => {
                fields.insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static(r#"Basic realm="OAuth clients", charset="UTF-8""#),
                );
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                fields.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            _ => {}
        }
        if let Some(after) = self.retry_after {
            // Rounded up: who comes at the second that is named is not too early.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            fields.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        answer
    }
}

impl From<TokenError> for OAuthError {
    /// With a sentence of its kind. What it says in detail goes to the log.
    fn from(error: TokenError) -> Self {
        let kind = error.kind();
        match kind {
            TokenErrorKind::InvalidGrant => Self::new(
                ErrorCode::InvalidGrant,
                "the code or the refresh token is not good, or was used",
            ),
            TokenErrorKind::NotYours => Self::new(ErrorCode::InvalidGrant, "the token is not of this client"),
            TokenErrorKind::InvalidScope => Self::new(
                ErrorCode::InvalidScope,
                "the scope is malformed, or more than was granted",
            ),
            TokenErrorKind::InvalidTarget => Self::new(
                ErrorCode::InvalidTarget,
                "a resource was asked for that was not granted",
            ),
            TokenErrorKind::UnsupportedTokenType => {
                Self::new(ErrorCode::UnsupportedTokenType, "tokens of this type cannot be revoked")
            }
            TokenErrorKind::Unavailable => {
                tracing::warn!(target: "resource_protector_issuer::endpoints", %error, "a token cannot be judged");
                Self::unavailable()
            }
            TokenErrorKind::Unusable => {
                tracing::error!(target: "resource_protector_issuer::endpoints", %error, "no token can be issued");
                Self::new(ErrorCode::ServerError, "the server is not set up for this")
            }
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An answer in JSON that nobody keeps (RFC 6749 §5.1).
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    // What is answered are maps with names for keys, which always can be written.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut answer = Response::new(ResponseBody::from(body));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    keep_nowhere(answer.headers_mut());
    answer
}

/// An answer without a body that nobody keeps.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(ResponseBody::empty());
    *answer.status_mut() = status;
    keep_nowhere(answer.headers_mut());
    answer
}

fn keep_nowhere(fields: &mut HeaderMap) {
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // For caches of HTTP/1.0 (RFC 6749 §5.1).
    fields.insert(PRAGMA, HeaderValue::from_static("no-cache"));
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn an_error_is_json_with_its_code_and_sentence_that_is_not_stored() {
        let error = OAuthError::new(ErrorCode::InvalidGrant, "the code has expired");
        let (parts, body) = error.into_response().into_parts();
        assert_eq!(parts.status, StatusCode::BAD_REQUEST);
        assert_eq!(parts.headers[CONTENT_TYPE], "application/json");
        assert_eq!(parts.headers[CACHE_CONTROL], "no-store");
        assert!(!parts.headers.contains_key(WWW_AUTHENTICATE) && !parts.headers.contains_key(RETRY_AFTER));
        let body: serde_json::Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(
            body,
            json!({ "error": "invalid_grant", "error_description": "the code has expired" })
        );
    }

    #[test]
    fn a_client_that_is_not_authenticated_gets_401_with_a_basic_challenge() {
        let answer = OAuthError::new(ErrorCode::InvalidClient, "no").into_response();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let challenge = answer.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.starts_with("Basic realm="), "{challenge}");
    }

    #[test]
    fn an_outage_is_503_and_too_many_failures_are_429_and_both_say_when_to_come_again() {
        let outage = OAuthError::unavailable().into_response();
        assert_eq!(
            (outage.status(), &outage.headers()[RETRY_AFTER]),
            (StatusCode::SERVICE_UNAVAILABLE, &HeaderValue::from_static("5"))
        );
        let too_many = OAuthError::too_many(Duration::from_millis(2001)).into_response();
        assert_eq!(
            (too_many.status(), &too_many.headers()[RETRY_AFTER]),
            (StatusCode::TOO_MANY_REQUESTS, &HeaderValue::from_static("3"))
        );
    }
}
