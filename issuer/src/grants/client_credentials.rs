//! RFC 6749 §4.4.

use super::{Grant, GrantRequest};
use crate::{
    endpoints::{ErrorCode, OAuthError},
    tokens::{IssuedTokens, TokenRequest},
};

/// Tokens for a client that acts for itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientCredentials;

impl ClientCredentials {
    /// Its name.
    pub const GRANT_TYPE: &str = "client_credentials";
}

impl Grant for ClientCredentials {
    fn grant_type(&self) -> &str {
        Self::GRANT_TYPE
    }

    async fn exchange(&self, request: &GrantRequest<'_>) -> Result<IssuedTokens, OAuthError> {
        // RFC 6749 §4.4: it "MUST only be used by confidential clients". Anybody can say to be a public one.
        if request.client().is_public() {
            return Err(OAuthError::new(
                ErrorCode::UnauthorizedClient,
                "a public client may not use this grant",
            ));
        }
        request.issue(TokenRequest::for_client(request.client().id())).await
    }
}
