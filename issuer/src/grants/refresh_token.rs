//! RFC 6749 §6.

use super::{Grant, GrantRequest};
use crate::{
    endpoints::{ErrorCode, OAuthError},
    tokens::{IssuedTokens, RefreshRequest},
};

/// The next tokens for a refresh token, which is good for one exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefreshToken;

impl RefreshToken {
    /// Its name.
    pub const GRANT_TYPE: &str = "refresh_token";
}

impl Grant for RefreshToken {
    fn grant_type(&self) -> &str {
        Self::GRANT_TYPE
    }

    async fn exchange(&self, request: &GrantRequest<'_>) -> Result<IssuedTokens, OAuthError> {
        let token = request
            .parameter("refresh_token")
            .ok_or_else(|| OAuthError::new(ErrorCode::InvalidRequest, "expected the parameter refresh_token"))?;
        let mut refresh = RefreshRequest::new(token, request.client().id()).resources(request.parameters("resource"));
        if let Some(scope) = request.parameter("scope") {
            refresh = refresh.scope(scope)?;
        }
        Ok(request.issuer().refresh(refresh).await?)
    }
}
