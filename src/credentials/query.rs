//! The parameter `access_token` of the URI's query (RFC 6750 §2.3).

use http::Uri;

use super::{Credentials, Place, parameter};

pub(super) fn read(uri: &Uri, limit: usize) -> Credentials<'_> {
    match parameter::access_token(uri.query().unwrap_or_default().as_bytes()) {
        Err(()) => Credentials::Malformed("access_token stands twice in the query"),
        Ok(None) => Credentials::Absent,
        Ok(Some(token)) => {
            let why = "access_token in the query is something else than a token68, or too long";
            Credentials::of_token(token, Place::Query, limit, why)
        }
    }
}
