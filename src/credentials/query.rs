//! The parameter `access_token` of the URI's query (RFC 6750 §2.3), which is written as in a form.

use std::borrow::Cow;

use http::Uri;

use super::{Credentials, Place, at_most_one};

pub(super) fn read(uri: &Uri, limit: usize) -> Credentials<'_> {
    match access_token(uri.query().unwrap_or_default().as_bytes()) {
        Err(()) => Credentials::Malformed("access_token stands twice in the query"),
        Ok(None) => Credentials::Absent,
        Ok(Some(token)) => {
            let why = "access_token in the query is something else than a token68, or too long";
            Credentials::of_token(token, Place::Query, limit, why)
        }
    }
}

/// The value of `access_token`, decoded; `Err` if it stands twice, however it is written.
pub(super) fn access_token(encoded: &[u8]) -> Result<Option<Cow<'_, str>>, ()> {
    let parameters = form_urlencoded::parse(encoded);
    at_most_one(
        parameters
            .filter(|(name, _)| name == "access_token")
            .map(|(_, value)| value),
    )
}
