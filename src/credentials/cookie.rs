//! A token in a cookie. The browser sends it with every request, whoever's page made it ask.

use std::{borrow::Cow, str};

use http::{Method, header, request::Parts};

use super::{Credentials, Place, at_most_one, elements, is_tchar, own_origins::OwnOrigins};
use crate::error::{SetupError, shown};

/// The cookie, and whose pages may use it.
#[derive(Clone, Debug)]
pub(crate) struct TokenCookie {
    name: String,
    own_origins: OwnOrigins,
}

impl TokenCookie {
    pub(crate) fn new<O: AsRef<str>>(name: &str, own_origins: impl IntoIterator<Item = O>) -> Result<Self, SetupError> {
        const OPTION: &str = "token_in_cookie";
        if name.is_empty() || !name.bytes().all(is_tchar) {
            return Err(SetupError::new(
                OPTION,
                format_args!(
                    "expected a cookie's name (RFC 6265 §4.1.1), such as __Host-token, got {}",
                    shown(name)
                ),
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            own_origins: OwnOrigins::new(OPTION, own_origins)?,
        })
    }

    pub(super) fn read<'a>(&self, request: &'a Parts, limit: usize) -> Credentials<'a> {
        let cookies = elements(request.headers.get_all(header::COOKIE).iter(), b';');
        let values = cookies.filter_map(|cookie| cookie.strip_prefix(self.name.as_bytes())?.strip_prefix(b"="));
        match at_most_one(values) {
            // Another host of the domain can add a cookie of this name, and which of the two is ours cannot be seen.
            Err(()) => Credentials::Malformed("the cookie for the token stands twice"),
            Ok(None | Some(b"")) => Credentials::Absent,
            Ok(Some(value)) => {
                let token = str::from_utf8(value).unwrap_or_default();
                let why = "the cookie for the token has something else than a token68, or is too long";
                match Credentials::of_token(Cow::Borrowed(token), Place::Cookie, limit, why) {
                    Credentials::Token(..) if !is_harmless(request) && !self.own_origins.sent(&request.headers) => {
                        Credentials::CrossSite
                    }
                    credentials => credentials,
                }
            }
        }
    }
}

/// Whether it does no harm, and shows nothing to the page that caused it, whoever's page that is (RFC 9110 §9.2.1). An
/// upgrade may do both: a WebSocket is opened by a GET, and browsers let the page read what it says, whatever its origin.
fn is_harmless(request: &Parts) -> bool {
    let is_safe = matches!(
        request.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    );
    is_safe && !request.headers.contains_key(header::UPGRADE)
}
