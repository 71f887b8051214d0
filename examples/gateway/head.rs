//! The head of a request as the upstream gets it.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request::Parts, uri::Authority};
use resource_protector::CurrentToken;

use crate::{
    headers::{self, GatewayOnly},
    identity,
    serve::Peer,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// First everything is dropped that a client may not say, then the gateway says its own, so that nothing a client sends
/// can take it away or change it. `None` when the head cannot be understood.
pub(crate) fn for_upstream(parts: &Parts, gateway_only: &GatewayOnly, proto: &'static str) -> Option<HeaderMap> {
    let mut headers = parts.headers.clone();
    headers::hop_from_client(&mut headers).ok()?;
    gateway_only.remove_from(&mut headers);
    headers::join_cookies(&mut headers);

    if let Some(host) = host(parts).ok()? {
        headers.insert(X_FORWARDED_HOST, host.clone());
        headers.insert(header::HOST, host);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    if let Some(Peer(address)) = parts.extensions.get() {
        let address = address.ip().to_canonical().to_string();
        headers.insert(X_FORWARDED_FOR, HeaderValue::try_from(address).ok()?);
    }
    let identity = identity::headers(parts.extensions.get::<CurrentToken>());
    headers.extend(identity.into_iter().filter(|(_, value)| !value.is_empty()));
    Some(headers)
}

/// For whom the request is: what its target says, or else its only `Host` (RFC 9112 §3.2). HTTP/1.0 may leave it out.
fn host(parts: &Parts) -> Result<Option<HeaderValue>, http::Error> {
    let mut fields = parts.headers.get_all(header::HOST).iter();
    let host = match (parts.uri.authority(), fields.next(), fields.next()) {
        (Some(authority), ..) => authority.clone(),
        (None, Some(host), None) => Authority::try_from(host.as_bytes())?,
        (None, None, _) if parts.version == Version::HTTP_10 => return Ok(None),
        (None, ..) => Authority::try_from("")?,
    };
    // Neither user nor password go anywhere.
    let host = host.as_str().rsplit_once('@').map_or(host.as_str(), |(_, host)| host);
    Ok(Some(HeaderValue::try_from(host)?))
}
