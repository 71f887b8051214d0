//! A token that is the whole value of a field, as proxies pass it on (`Cf-Access-Jwt-Assertion`, `X-Access-Token`).

use std::{borrow::Cow, str};

use http::{HeaderMap, HeaderName};

use super::{Credentials, Place, at_most_one};
use crate::error::{SetupError, shown};

const OPTION: &str = "token_in_header";

/// Fields that mean something else, or that a proxy on the way may add, join or take away.
const TAKEN: [&str; 16] = [
    "authorization",
    "connection",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
const TAKEN_PREFIXES: [&str; 6] = ["accept", "access-control-", "content-", "if-", "proxy-", "sec-"];

/// The field.
#[derive(Clone, Debug)]
pub(crate) struct TokenHeader {
    pub(super) name: HeaderName,
}

impl TokenHeader {
    pub(crate) fn new(name: &str) -> Result<Self, SetupError> {
        let expected = |what: &str| SetupError::new(OPTION, format_args!("expected {what}, got {}", shown(name)));
        let name: HeaderName = name
            .parse()
            .map_err(|_| expected("a field name (RFC 9110 §5.1), such as X-Access-Token"))?;
        let is_taken = TAKEN.contains(&name.as_str()) || TAKEN_PREFIXES.iter().any(|it| name.as_str().starts_with(it));
        if is_taken {
            return Err(expected(
                "a field that has no other meaning, such as X-Access-Token (Authorization is always looked at)",
            ));
        }
        Ok(Self { name })
    }

    pub(super) fn read<'a>(&self, headers: &'a HeaderMap, limit: usize) -> Credentials<'a> {
        match at_most_one(headers.get_all(&self.name).iter()) {
            Err(()) => Credentials::Malformed("the header for the token stands twice"),
            Ok(None) => Credentials::Absent,
            Ok(Some(value)) if value.as_bytes().trim_ascii().is_empty() => Credentials::Absent,
            Ok(Some(value)) => {
                let token = str::from_utf8(value.as_bytes()).unwrap_or_default();
                let why = "the header for the token has something else than a token68, or is too long";
                Credentials::of_token(Cow::Borrowed(token), Place::Header, limit, why)
            }
        }
    }
}
