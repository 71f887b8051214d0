//! The JWK set, for resource servers to fetch.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use http_body_util::{BodyExt as _, Limited};
use resource_protector::{Clock, Fetch, FetchError, SystemClock};
use tower_service::Service;

use super::KeyRing;
use crate::endpoints::ResponseBody;

/// Answers with the public keys of a ring: `GET` and `HEAD`, `application/jwk-set+json` (RFC 7517 §8.5.2), whatever the
/// path.
///
/// Everybody may remember the answer for half of [`publish_ahead`](crate::KeyRingBuilder::publish_ahead), five minutes at
/// the most, and so has a new key before it signs. It has an entity tag, so asking again costs 304. Scripts of every origin may read it.
///
/// A validator in the same process asks it without a network, since it is a [`Fetch`], and so follows every roll-over:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use resource_protector::{Algorithm, JwtValidator};
/// use resource_protector_issuer::{KeyRing, endpoints::JwksEndpoint};
///
/// let keys = KeyRing::generate(Algorithm::ES256)?;
/// let (issuer, audience) = ("https://auth.example.com", "https://api.example.com");
/// let validator = JwtValidator::with_jwks_uri(issuer, "https://auth.example.com/jwks", audience)?
///     .fetch(JwksEndpoint::new(keys));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct JwksEndpoint {
    keys: KeyRing,
    clock: Arc<dyn Clock>,
}

impl JwksEndpoint {
    /// Answers with the keys of this ring.
    pub fn new(keys: KeyRing) -> Self {
        Self {
            keys,
            clock: Arc::new(SystemClock),
        }
    }

    /// Takes the time, which decides which keys are published, from another clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    pub(crate) fn answer(&self, method: &Method, headers: &HeaderMap) -> Response<ResponseBody> {
        if method != Method::GET && method != Method::HEAD {
            let mut answer = Response::new(ResponseBody::empty());
            *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let set = self.keys.jwks(self.clock.now().wall);
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &set)));
        let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|known| names(known, &tag));
        let length = set.len();
        let body = if is_known || method == Method::HEAD {
            Bytes::new()
        } else {
            set
        };
        let mut answer = Response::new(ResponseBody::from(body));
        if is_known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let max_age = format!("public, max-age={}", self.keys.max_age().as_secs());
        let fields = answer.headers_mut();
        // The keys are public, and whoever verifies tokens in a browser reads them.
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        if let Ok(max_age) = HeaderValue::try_from(max_age) {
            fields.insert(CACHE_CONTROL, max_age);
        }
        if let Ok(tag) = HeaderValue::try_from(tag) {
            fields.insert(ETAG, tag);
        }
        if !is_known {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
            fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        answer
    }
}

impl<B> Service<Request<B>> for JwksEndpoint {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.headers())))
    }
}

/// The address is not looked at: whatever is asked for, the answer is the set.
impl Fetch for JwksEndpoint {
    async fn fetch(&self, request: Request<Bytes>, max_body: usize) -> Result<Response<Bytes>, FetchError> {
        let (parts, body) = self.answer(request.method(), request.headers()).into_parts();
        let body = Limited::new(body, max_body).collect().await;
        let body = body.map_err(|_| FetchError::new("the set of keys is longer than is read"))?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}

/// Whether `If-None-Match` names this tag, compared weakly (RFC 9110 §13.1.2).
fn names(field: &HeaderValue, tag: &str) -> bool {
    let Ok(field) = field.to_str() else {
        return false;
    };
    let mut tags = field.split(',').map(|known| known.trim().trim_start_matches("W/"));
    tags.any(|known| known == "*" || known == tag)
}

impl std::fmt::Debug for JwksEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwksEndpoint")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
