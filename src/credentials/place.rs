//! The places where a token can stand.

/// Where a token was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Authorization,
    Header,
    WebSocket,
    Form,
    Query,
    Cookie,
}

impl Place {
    /// For the log: fixed words, listed in the crate's documentation.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Header => "header",
            Self::WebSocket => "websocket",
            Self::Form => "form",
            Self::Query => "query",
            Self::Cookie => "cookie",
        }
    }

    /// Whether shared caches know by themselves that the answer is for this client alone. RFC 9111 §3.5 tells them so
    /// of a request with an `Authorization` field, and of no other.
    pub(crate) fn is_known_to_caches(self) -> bool {
        self == Self::Authorization
    }
}
