//! Who is asking, in headers for a service that knows nothing of tokens.

use std::time::SystemTime;

use http::{HeaderName, HeaderValue};
use resource_protector::CurrentToken;

const SUBJECT: HeaderName = HeaderName::from_static("x-auth-subject");
const CLIENT_ID: HeaderName = HeaderName::from_static("x-auth-client-id");
const ISSUER: HeaderName = HeaderName::from_static("x-auth-issuer");
const SCOPES: HeaderName = HeaderName::from_static("x-auth-scopes");
const EXPIRES_AT: HeaderName = HeaderName::from_static("x-auth-expires-at");

/// All identity headers. What the token does not say is empty, and so is everything without a token.
pub(crate) fn headers(token: Option<&CurrentToken>) -> [(HeaderName, HeaderValue); 5] {
    let text = |claim: fn(&CurrentToken) -> Option<&str>| token.and_then(claim).map(encoded);
    let scopes = token.map(|token| token.scopes().iter().map(encoded).collect::<Vec<_>>().join(" "));
    let expires_at = token.and_then(CurrentToken::expires_at).map(unix_seconds);
    [
        (SUBJECT, text(CurrentToken::subject)),
        (CLIENT_ID, text(CurrentToken::client_id)),
        (ISSUER, text(CurrentToken::issuer)),
        (SCOPES, scopes),
        (EXPIRES_AT, expires_at.map(|seconds| seconds.to_string())),
    ]
    .map(|(name, value)| {
        let value = value.and_then(|value| HeaderValue::try_from(value).ok());
        (name, value.unwrap_or(HeaderValue::from_static("")))
    })
}

/// Whole seconds since 1970, as in the claim `exp`; negative before.
pub(crate) fn unix_seconds(time: SystemTime) -> i64 {
    let whole = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => whole(since.as_secs()),
        Err(before) => -whole(before.duration().as_secs()),
    }
}

/// Visible ASCII stays as it is, but for `%`; of everything else each byte becomes `%` and two digits. So no claim,
/// whatever stands in it, can end a header, add one, or make one scope look like two.
fn encoded(claim: &str) -> String {
    let mut text = String::with_capacity(claim.len());
    for byte in claim.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
