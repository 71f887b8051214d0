//! Which headers go on, and which end here.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// They speak of one connection, and there are two (RFC 9110 §7.6.1). `Trailer` is none of them: it announces what
/// comes after the body, which goes on.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// By these an upstream learns from its proxy who is asking, from where, and what for: a client that sends them lies.
const GATEWAY_ONLY: [&str; 9] = [
    "forwarded",
    "x-real-ip",
    "remote-user",
    "x-forwarded-client-cert",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];
const GATEWAY_ONLY_PREFIXES: [&str; 5] = ["x-auth-", "x-forwarded-", "x-remote-", "x-user", "client-cert"];

/// What `Connection` may not name, since it is for the upstream whatever the connection: left out on the way, the
/// message would mean something else there than here.
fn is_end_to_end(name: &HeaderName) -> bool {
    let fields = [header::AUTHORIZATION, header::COOKIE, header::HOST];
    fields.contains(name) || name.as_str().starts_with("content-")
}

/// What of a request's headers only the gateway may set, or keeps to itself.
#[derive(Clone, Debug)]
pub(crate) struct GatewayOnly {
    pub(crate) forward_authorization: bool,
    pub(crate) strip: Arc<[HeaderName]>,
}

impl GatewayOnly {
    fn includes(&self, name: &HeaderName) -> bool {
        let text = with_dashes(name);
        GATEWAY_ONLY.contains(&text.as_str())
            || GATEWAY_ONLY_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
            || name.as_str().contains('_')
            || self.strip.iter().any(|strip| text == with_dashes(strip))
            || (name == header::AUTHORIZATION && !self.forward_authorization)
    }

    pub(crate) fn remove_from(&self, headers: &mut HeaderMap) {
        remove(headers, |name| self.includes(name));
    }

    /// Trailers of a request: what a client may not say in front of the body it may not say behind it either, nor what
    /// has to be known before (RFC 9110 §6.5.1).
    pub(crate) fn remove_from_trailers(&self, trailers: &mut HeaderMap) {
        remove(trailers, |name| {
            self.includes(name) || is_end_to_end(name) || HOP_BY_HOP.contains(name)
        });
    }
}

/// The name as CGI, WSGI, PHP and their like tell it apart from others: there `X_Auth_Subject` and `X.Auth.Subject` are the
/// same variable as `X-Auth-Subject`.
pub(crate) fn with_dashes(name: &HeaderName) -> String {
    name.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

/// A request whose `Connection` cannot be obeyed.
#[derive(Debug)]
pub(crate) struct BadConnection;

/// Removes the hop-by-hop headers of a request, and what `Connection` names. `TE: trailers` is said anew, since this
/// hop knows trailers, too.
pub(crate) fn hop_from_client(headers: &mut HeaderMap) -> Result<(), BadConnection> {
    let named = named_by_connection(headers)?;
    if named.iter().any(is_end_to_end) {
        return Err(BadConnection);
    }
    let trailers = list_has(headers, &header::TE, "trailers");
    remove(headers, |name| HOP_BY_HOP.contains(name) || named.contains(name));
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        // RFC 9110 §10.1.4: "A sender of TE MUST also send a "TE" connection option".
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    Ok(())
}

/// The same for a response; an upstream whose `Connection` cannot be read has named nothing.
pub(crate) fn hop_from_upstream(headers: &mut HeaderMap) {
    let named = named_by_connection(headers).unwrap_or_default();
    // RFC 9112 §6.3: of two lengths `Transfer-Encoding` counts, and it ends here.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    remove(headers, |name| {
        HOP_BY_HOP.contains(name) || (named.contains(name) && !is_end_to_end(name))
    });
}

/// HTTP/2 clients may send several `Cookie` fields, which are one in HTTP/1.1 (RFC 9113 §8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, cookie);
    }
}

/// Whether the client wants to speak another protocol on this connection (RFC 9110 §7.8).
pub(crate) fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE) && list_has(headers, &header::CONNECTION, "upgrade")
}

/// The body has been taken out of `chunked`, and out of nothing else it may be packed in.
pub(crate) fn has_unknown_transfer_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let known = codings
        .next()
        .is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    !known || codings.next().is_some()
}

fn named_by_connection(headers: &HeaderMap) -> Result<Vec<HeaderName>, BadConnection> {
    let options = headers.get_all(header::CONNECTION).iter();
    let options = options
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let names = options.filter(|option| !option.is_empty()).map(HeaderName::from_bytes);
    names.collect::<Result<_, _>>().map_err(|_| BadConnection)
}

fn list_has(headers: &HeaderMap, name: &HeaderName, member: &str) -> bool {
    let mut members = headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    members.any(|found| found.trim_ascii().eq_ignore_ascii_case(member.as_bytes()))
}

fn remove(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}
