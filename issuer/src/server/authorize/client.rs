//! The client, as its requests are judged by it.

use crate::clients::Client;

/// What has to be known of a client to judge its request.
pub(in crate::server) trait ClientView {
    /// Whether this is one of its redirect URIs, compared as RFC 9700, section 2.1, demands: exactly, but for the port of a
    /// loopback address.
    fn has_redirect_uri(&self, uri: &str) -> bool;

    /// Its redirect URI, if it has exactly one.
    fn only_redirect_uri(&self) -> Option<&str>;

    /// Whether it may have codes.
    fn may_have_codes(&self) -> bool;

    /// Whether it may have access tokens in the URL, without a code: not, unless the server has the implicit grant.
    fn may_have_tokens_at_once(&self) -> bool {
        false
    }

    /// Whether it may ask for this scope.
    fn may_ask_for_scope(&self, scope: &str) -> bool;

    /// Whether it may ask for tokens for this resource.
    fn may_ask_for_resource(&self, resource: &str) -> bool;
}

impl ClientView for Client {
    fn has_redirect_uri(&self, uri: &str) -> bool {
        self.allows_redirect_uri(uri)
    }

    fn only_redirect_uri(&self) -> Option<&str> {
        match self.registered_redirect_uris() {
            [only] => Some(only),
            _ => None,
        }
    }

    fn may_have_codes(&self) -> bool {
        self.allows_grant("authorization_code")
    }

    fn may_ask_for_scope(&self, scope: &str) -> bool {
        self.allows_scope(scope)
    }

    fn may_ask_for_resource(&self, resource: &str) -> bool {
        self.allowed_audiences().iter().any(|audience| audience == resource)
    }
}

/// A client of a server that may have the implicit grant.
pub(in crate::server) struct Asking<'a> {
    pub(in crate::server) client: &'a Client,
    pub(in crate::server) has_implicit_grant: bool,
}

impl ClientView for Asking<'_> {
    fn has_redirect_uri(&self, uri: &str) -> bool {
        self.client.has_redirect_uri(uri)
    }

    fn only_redirect_uri(&self) -> Option<&str> {
        self.client.only_redirect_uri()
    }

    fn may_have_codes(&self) -> bool {
        self.client.may_have_codes()
    }

    fn may_have_tokens_at_once(&self) -> bool {
        self.has_implicit_grant && self.client.allows_grant("implicit")
    }

    fn may_ask_for_scope(&self, scope: &str) -> bool {
        self.client.may_ask_for_scope(scope)
    }

    fn may_ask_for_resource(&self, resource: &str) -> bool {
        self.client.may_ask_for_resource(resource)
    }
}
