//! The credentials of a request: where they are looked for, and what they look like.
//!
//! ```text
//! token68 = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="        RFC 9110 §11.2
//! ```
//!
//! The client itself puts them into each place but the cookie: that one the browser adds, whoever made it ask. So the
//! cookie is looked at last, and needs a proof of who that was. A proxy that makes a header of a cookie has to see to
//! that itself.

mod authorization;
mod cookie;
mod custom_header;
mod form;
mod form_body;
mod own_origins;
mod place;
mod query;
mod websocket;

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderValue,
    header::{self, Entry, HeaderName},
    request::Parts,
};

pub(crate) use self::{cookie::TokenCookie, custom_header::TokenHeader, place::Place, websocket::TokenProtocol};
pub use self::{
    form::{FormTokenFuture, FormTokenLayer, FormTokenService},
    form_body::FormBody,
};

/// The longest token, or `Authorization` value, that is read, unless set otherwise.
const DEFAULT_MAX_LENGTH: usize = 16 * 1024;

/// What a request has by way of credentials. Absent and malformed are never the same answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credentials<'a> {
    Absent,
    /// Of a scheme that is not accepted here, such as `Basic`.
    OtherScheme,
    /// Why they cannot be read.
    Malformed(&'static str),
    /// There is a form, but it is too long to be searched.
    TooLong,
    /// A cookie, on a request that a page of somebody else may have caused.
    CrossSite,
    Token(Cow<'a, str>, Place),
}

/// Where tokens are looked for. The form is not among them: it is read by a [layer of its own](FormTokenLayer).
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) max_length: usize,
    pub(crate) header: Option<TokenHeader>,
    pub(crate) websocket: Option<TokenProtocol>,
    pub(crate) query: bool,
    pub(crate) cookie: Option<TokenCookie>,
}

impl Default for Places {
    /// The `Authorization` field.
    fn default() -> Self {
        Self {
            max_length: DEFAULT_MAX_LENGTH,
            header: None,
            websocket: None,
            query: false,
            cookie: None,
        }
    }
}

impl Places {
    /// Looks at every enabled place, and at no other.
    pub(crate) fn read<'a>(&self, request: &'a Parts) -> Credentials<'a> {
        let limit = self.max_length;
        let mut found = authorization::read(&request.headers, limit);
        found = found.or_else(form::read(request, limit));
        if let Some(header) = &self.header {
            found = found.or_else(header.read(&request.headers, limit));
        }
        if let Some(protocol) = &self.websocket {
            found = found.or_else(protocol.read(request, limit));
        }
        if self.query {
            found = found.or_else(query::read(&request.uri, limit));
        }
        match &self.cookie {
            // A field that the client chose to send decides alone, even if it is blank.
            Some(cookie) if found == Credentials::Absent && !request.headers.contains_key(header::AUTHORIZATION) => {
                cookie.read(request, limit)
            }
            _ => found,
        }
    }

    /// Keeps whoever logs these fields from logging the token.
    pub(crate) fn mark_sensitive(&self, headers: &mut HeaderMap) {
        let protocol = self.websocket.as_ref().map(|_| header::SEC_WEBSOCKET_PROTOCOL);
        for name in self.headers().chain(protocol) {
            if let Entry::Occupied(mut fields) = headers.entry(name) {
                fields.iter_mut().for_each(|field| field.set_sensitive(true));
            }
        }
    }

    /// Takes away what must not be seen further in, once the token of this place was found good.
    pub(crate) fn tidy(&self, place: Place, request: &mut Parts) {
        if let (Place::WebSocket, Some(protocol)) = (place, &self.websocket) {
            protocol.withhold(request);
        }
    }

    /// Takes the token from among the subprotocols on offer.
    pub(crate) fn remove_offered_token(&self, headers: &mut HeaderMap) {
        if let Some(protocol) = &self.websocket {
            protocol.remove(headers);
        }
    }

    /// What the answer depends on, where there is one with and one without credentials.
    pub(crate) fn vary(&self, headers: &mut HeaderMap) {
        for name in self.headers() {
            headers.append(header::VARY, HeaderValue::from(name));
        }
    }

    fn headers(&self) -> impl Iterator<Item = HeaderName> {
        [
            Some(header::AUTHORIZATION),
            self.header.as_ref().map(|header| header.name.clone()),
            self.cookie.as_ref().map(|_| header::COOKIE),
        ]
        .into_iter()
        .flatten()
    }
}

impl<'a> Credentials<'a> {
    /// A token, if what stands in the place can be one; else it is malformed for this reason.
    fn of_token(token: Cow<'a, str>, place: Place, limit: usize, why: &'static str) -> Self {
        if token.len() <= limit && is_token68(token.as_bytes()) {
            Self::Token(token, place)
        } else {
            Self::Malformed(why)
        }
    }

    /// RFC 6750 §2: "Clients MUST NOT use more than one method to transmit the token in each request." So a bad token in
    /// one place is not made good by another one, and neither are credentials of another scheme.
    fn or_else(self, other: Self) -> Self {
        match (self, other) {
            (found, Self::Absent) | (Self::Absent, found) => found,
            (bad @ (Self::Malformed(_) | Self::TooLong), _) | (_, bad @ (Self::Malformed(_) | Self::TooLong)) => bad,
            _ => Self::Malformed("there are credentials in two places"),
        }
    }
}

/// The elements of a list, without the blanks around them.
fn elements<'a>(fields: impl Iterator<Item = &'a HeaderValue>, separator: u8) -> impl Iterator<Item = &'a [u8]> {
    fields.flat_map(move |field| {
        let elements = field.as_bytes().split(move |b| *b == separator);
        elements.map(<[u8]>::trim_ascii)
    })
}

/// The one value there is, or `Err` if there are several.
fn at_most_one<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, ()> {
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(()),
    }
}

fn is_tchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// Every token passes here, so it is written for compilers that look at many bytes at once: without a way out early.
fn is_token68(token: &[u8]) -> bool {
    let mut body = token;
    while let [rest @ .., b'='] = body {
        body = rest;
    }
    // How far a byte is from being one of the characters: zero for those that are.
    let distance = |b: u8| {
        let from_letters = (b | 0x20).wrapping_sub(b'a').saturating_sub(b'z' - b'a');
        // `-`, `.`, `/` and the digits stand side by side.
        let from_digits = b.wrapping_sub(b'-').saturating_sub(b'9' - b'-');
        let from_ranges = from_letters.min(from_digits);
        from_ranges.min(b ^ b'+').min((b ^ b'_').min(b ^ b'~'))
    };
    !body.is_empty() && body.iter().fold(0, |sum, b| sum | distance(*b)) == 0
}

#[cfg(test)]
mod tests;
