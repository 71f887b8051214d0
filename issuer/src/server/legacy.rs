//! What is switched on for clients that cannot be changed yet.

use super::AuthorizationServerBuilder;

impl AuthorizationServerBuilder {
    /// Lets clients that are registered for the grant `implicit` have access tokens in the URL (RFC 6749 §4.2), without a code and
    /// without PKCE: **every script of the page, the browser's history and whoever sees the URL have the token**, and a client
    /// cannot tell a token that was meant for another one. See [`grants::legacy`](crate::grants::legacy).
    #[must_use]
    pub fn dangerous_implicit_grant(mut self) -> Self {
        self.authorize.has_implicit_grant = true;
        self
    }
}
