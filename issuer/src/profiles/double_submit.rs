//! A token in a cookie, and a sign in a header that a page of our own sent it.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use aws_lc_rs::constant_time;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, UPGRADE, VARY},
};
use http_body::Body;
use serde::Deserialize;
use tower_layer::Layer;
use tower_service::Service;

use super::guarded::{GuardedBody, GuardedFuture, OfCookie};
use crate::endpoints::ResponseBody;

/// The longest token that is read, in bytes: as long as a protector reads one.
const LONGEST: usize = 16 * 1024;

/// Stands **outside** of a protector and hands it the token of a cookie, as if it came in `Authorization`. Made by
/// [`TokenCookies`](super::TokenCookies).
///
/// Browsers add cookies to whatever any page makes them send. So a request that may change something also needs the token's
/// claim `csrf` in a header. Pages of others can neither read it, nor set such a header without being asked for leave
/// (CORS). That is demanded of every method but `GET`, `HEAD`, `OPTIONS` and `TRACE`, and of every upgrade, which a page may
/// open as a WebSocket. Handlers of safe methods must change nothing, and no layer further in may make another method of
/// them.
///
/// - A request with an `Authorization` field is left as it is: that one decides, even if it is bad.
/// - Without the header, or with another value, the answer is 403, and not 401 as over there: the token may be good, and the
///   user need not log in again. The protector's own cookie has the same answer.
/// - A cookie that stands twice is two tokens, which the protector refuses with 400: another host may have added one.
/// - The cookie is taken away from the request. Answers to it are not for shared caches.
///
/// The claim is compared before anybody has verified the token. That is safe, because the comparison grants nothing: the
/// very same token goes to the protector next, and if its signature is not good, neither is the request. And it tells
/// nothing: who can choose the cookie knows what is in it. It takes the same time wherever the two begin to differ.
#[derive(Clone, Debug)]
pub struct DoubleSubmitLayer {
    cookie: Arc<str>,
    header: HeaderName,
}

impl DoubleSubmitLayer {
    pub(super) fn new(cookie: String, header: HeaderName) -> Self {
        Self {
            cookie: cookie.into(),
            header,
        }
    }

    /// Puts the token where the protector looks for it, or says that the request may be forged.
    fn hand_on<B>(&self, request: &mut Request<B>) -> Result<OfCookie, Forged> {
        if request.headers().contains_key(AUTHORIZATION) {
            return Ok(OfCookie::Without);
        }
        let tokens = self.take(request.headers_mut());
        let needs_sign = !is_harmless(request);
        for token in &tokens {
            if needs_sign && !self.is_signed(token, request.headers()) {
                return Err(Forged);
            }
            let mut value = HeaderValue::try_from([b"Bearer ", &token[..]].concat()).map_err(|_| Forged)?;
            value.set_sensitive(true);
            request.headers_mut().append(AUTHORIZATION, value);
        }
        Ok(match tokens.is_empty() {
            true => OfCookie::Without,
            false => OfCookie::With,
        })
    }

    /// Takes the cookies of this name out of the request; empty ones are none.
    fn take(&self, headers: &mut HeaderMap) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        let mut left = Vec::new();
        for field in headers.get_all(COOKIE) {
            for cookie in field.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
                let value = cookie
                    .strip_prefix(self.cookie.as_bytes())
                    .and_then(|rest| rest.strip_prefix(b"="));
                match value {
                    Some(value) => taken.push(value.to_vec()),
                    None => left.push(cookie),
                }
            }
        }
        if !taken.is_empty() {
            match HeaderValue::try_from(left.join(&b"; "[..])) {
                Ok(others) if !others.is_empty() => drop(headers.insert(COOKIE, others)),
                _ => drop(headers.remove(COOKIE)),
            }
        }
        taken.retain(|token| !token.is_empty());
        taken
    }

    /// Whether the header says what is in the token's claim.
    fn is_signed(&self, token: &[u8], headers: &HeaderMap) -> bool {
        let mut signs = headers.get_all(&self.header).iter();
        let (Some(sign), None) = (signs.next(), signs.next()) else {
            return false;
        };
        let csrf = unverified_csrf(token).filter(|csrf| !csrf.is_empty());
        csrf.is_some_and(|csrf| constant_time::verify_slices_are_equal(csrf.as_bytes(), sign.as_bytes()).is_ok())
    }
}

/// Nothing says that a page of our own sent the request.
struct Forged;

impl<S> Layer<S> for DoubleSubmitLayer {
    type Service = DoubleSubmitService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DoubleSubmitService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`DoubleSubmitLayer`] makes.
#[derive(Clone, Debug)]
pub struct DoubleSubmitService<S> {
    inner: S,
    layer: DoubleSubmitLayer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for DoubleSubmitService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<GuardedBody<ResBody>>;
    type Error = S::Error;
    type Future = GuardedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.layer.hand_on(&mut request) {
            Ok(of_cookie) => GuardedFuture::inner(self.inner.call(request), of_cookie),
            Err(Forged) => {
                tracing::info!(
                    target: "resource_protector_issuer::double_submit",
                    method = %request.method(),
                    path = request.uri().path(),
                    cookie = &*self.layer.cookie,
                    "refused: a token in a cookie, and no sign that a page of our own sent it"
                );
                GuardedFuture::refused(refusal())
            }
        }
    }
}

/// The same answer as a protector's to a cookie that may not be from a page of our own.
fn refusal() -> Response<ResponseBody> {
    const BODY: &str =
        r#"{"error":"access_denied","error_description":"The request was not sent by a page of this service"}"#;
    let mut response = Response::new(ResponseBody::from(Bytes::from_static(BODY.as_bytes())));
    *response.status_mut() = StatusCode::FORBIDDEN;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from(COOKIE));
    response
}

/// Whether it changes nothing, and shows nothing to the page that caused it, whoever's page that is (RFC 9110 §9.2.1).
fn is_harmless<B>(request: &Request<B>) -> bool {
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    );
    is_safe && !request.headers().contains_key(UPGRADE)
}

/// The claim `csrf`, of a token that nobody has verified yet.
fn unverified_csrf(token: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        csrf: String,
    }
    if token.len() > LONGEST {
        return None;
    }
    let payload = token.split(|byte| *byte == b'.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    Some(claims.csrf)
}
