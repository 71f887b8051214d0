//! The client, as its requests are judged by it.

use crate::clients::Client;

/// A client of a server that may have the implicit grant.
pub(in crate::server) struct Asking<'a> {
    pub(in crate::server) client: &'a Client,
    pub(in crate::server) has_implicit_grant: bool,
}

impl Asking<'_> {
    /// Its redirect URI, if it has exactly one.
    pub(super) fn only_redirect_uri(&self) -> Option<&str> {
        match self.client.registered_redirect_uris() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Whether it may have codes.
    pub(super) fn may_have_codes(&self) -> bool {
        self.client.allows_grant("authorization_code")
    }

    /// Whether it may have access tokens in the URL, without a code: not, unless the server has the implicit grant.
    pub(super) fn may_have_tokens_at_once(&self) -> bool {
        self.has_implicit_grant && self.client.allows_grant("implicit")
    }
}
