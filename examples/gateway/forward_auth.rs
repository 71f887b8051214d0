//! Judging a request that another proxy holds: nginx's `auth_request`, Traefik's and Caddy's forward-auth.

use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri};
use resource_protector::CurrentToken;

use crate::{
    headers::with_dashes,
    identity,
    reply::{self, Body},
};

/// How proxies say what they were asked for, in method and URI. There is no third way, and never both.
const PAIRS: [[HeaderName; 2]; 2] = [
    [
        HeaderName::from_static("x-original-method"),
        HeaderName::from_static("x-original-uri"),
    ],
    [
        HeaderName::from_static("x-forwarded-method"),
        HeaderName::from_static("x-forwarded-uri"),
    ],
];

/// The request that the proxy holds. Its method and path take the place of the auth request's own, which say nothing.
///
/// Proxies hand on what clients send. One that sets one pair does not know the other, so a request with any of both may
/// be a client's attempt to be judged for something else than it asks for. The error is what to tell it.
pub(crate) fn original<B>(mut request: Request<B>) -> Result<Request<B>, &'static str> {
    let headers = request.headers();
    // The proxy overwrites the identity headers in the spelling it knows, and passes others on.
    let is_odd = |name: &HeaderName| !name.as_str().starts_with("x-auth-") && with_dashes(name).starts_with("x-auth-");
    if headers.keys().any(is_odd) {
        return Err("An identity header is spelt in an odd way");
    }
    let mut pairs = PAIRS
        .into_iter()
        .filter(|pair| pair.iter().any(|name| headers.contains_key(name)));
    let (Some([method, uri]), None) = (pairs.next(), pairs.next()) else {
        return Err(
            "Exactly one of X-Original-Method with X-Original-URI, and X-Forwarded-Method with X-Forwarded-Uri, is expected",
        );
    };
    let (Some(method), Some(path)) = (
        only(headers, &method).and_then(as_method),
        only(headers, &uri).and_then(as_path),
    ) else {
        return Err("The original method or URI is missing, repeated or malformed");
    };
    *request.method_mut() = method;
    *request.uri_mut() = path;
    Ok(request)
}

/// Every identity header is there, if empty, so that a proxy that copies them overwrites what a client sent.
pub(crate) fn let_in<B>(request: &Request<B>) -> Response<Body> {
    let mut response = reply::no_store(StatusCode::OK, "");
    let identity = identity::headers(request.extensions().get::<CurrentToken>());
    response.headers_mut().extend(identity);
    response
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value.as_bytes())
}

fn as_method(value: &[u8]) -> Option<Method> {
    Method::from_bytes(value).ok()
}

/// Without the query, which routes do not look at. What follows a `#` would silently be cut off as well, and proxies do
/// not agree on what it means.
fn as_path(value: &[u8]) -> Option<Uri> {
    let path = value.split(|byte| *byte == b'?').next()?;
    if !path.starts_with(b"/") || path.contains(&b'#') {
        return None;
    }
    Uri::builder().path_and_query(path).build().ok()
}
