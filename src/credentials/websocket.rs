//! A token among the subprotocols that a WebSocket client offers: the one place where a browser lets a page put it.
//!
//! ```text
//! Sec-WebSocket-Protocol: chat, bearer.eyJhbGciOi…                              RFC 6455 §4.1
//! ```

use std::{borrow::Cow, str, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, Version, header, request::Parts};

use super::{Credentials, Place, at_most_one, elements, is_tchar};
use crate::error::{SetupError, shown};

/// The offer that carries the token begins with this.
#[derive(Clone, Debug)]
pub(crate) struct TokenProtocol {
    prefix: String,
}

/// A token that is no longer among the offers.
#[derive(Clone)]
struct Withheld(Arc<str>);

impl TokenProtocol {
    pub(crate) fn new(prefix: &str) -> Result<Self, SetupError> {
        if prefix.is_empty() || !prefix.bytes().all(is_tchar) {
            return Err(SetupError::new(
                "token_in_websocket_protocol",
                format_args!(
                    "expected the beginning of a subprotocol, of token characters (RFC 9110 §5.6.2) such as `bearer.`, got {}",
                    shown(prefix)
                ),
            ));
        }
        Ok(Self {
            prefix: prefix.to_owned(),
        })
    }

    pub(super) fn read<'a>(&self, request: &'a Parts, limit: usize) -> Credentials<'a> {
        if !is_handshake(request) {
            return Credentials::Absent;
        }
        let offers = elements(request.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter(), b',');
        match at_most_one(offers.filter_map(|offer| offer.strip_prefix(self.prefix.as_bytes()))) {
            Err(()) => Credentials::Malformed("there are two tokens in Sec-WebSocket-Protocol"),
            Ok(None) => match request.extensions.get::<Withheld>() {
                None => Credentials::Absent,
                Some(Withheld(token)) => {
                    let why = "the token that was in Sec-WebSocket-Protocol is too long";
                    Credentials::of_token(Cow::Borrowed(token), Place::WebSocket, limit, why)
                }
            },
            Ok(Some(token)) => {
                // RFC 6455 §4.1: what is offered are tokens in the sense of HTTP, without `/` and `=`.
                let token = if token.iter().all(|b| is_tchar(*b)) { token } else { b"" };
                let token = str::from_utf8(token).unwrap_or_default();
                let why = "the token in Sec-WebSocket-Protocol has characters it cannot have there, or is too long";
                Credentials::of_token(Cow::Borrowed(token), Place::WebSocket, limit, why)
            }
        }
    }

    /// Takes the token out of the headers, and keeps it where only a protector further in finds it.
    pub(super) fn withhold(&self, request: &mut Parts) {
        let fields = request.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let token = elements(fields.iter(), b',').find_map(|offer| offer.strip_prefix(self.prefix.as_bytes()));
        // Where there is none, it was withheld further out, and stays so.
        if let Some(token) = token.and_then(|token| str::from_utf8(token).ok()) {
            request.extensions.insert(Withheld(token.into()));
        }
        self.remove(&mut request.headers);
    }

    /// Leaves the other offers, in their order, so that nothing further in can choose the token as the subprotocol and
    /// send it back.
    pub(super) fn remove(&self, headers: &mut HeaderMap) {
        let offers = elements(headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter(), b',');
        let others: Vec<&[u8]> = offers
            .filter(|offer| !offer.is_empty() && !offer.starts_with(self.prefix.as_bytes()))
            .collect();
        let others = HeaderValue::from_bytes(&others.join(b", ".as_slice()));
        headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        if let Some(others) = others.ok().filter(|others| !others.is_empty()) {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, others);
        }
    }
}

/// RFC 6455 §4.1 over HTTP/1.1, RFC 8441 §5 and RFC 9220 over what came after it.
fn is_handshake(request: &Parts) -> bool {
    if request.method == Method::CONNECT {
        return request.version >= Version::HTTP_2 && request.headers.contains_key(header::SEC_WEBSOCKET_VERSION);
    }
    let mut upgrades = elements(request.headers.get_all(header::UPGRADE).iter(), b',');
    request.method == Method::GET && upgrades.any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}
