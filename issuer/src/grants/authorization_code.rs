//! RFC 6749 §4.1.3.

use super::{Grant, GrantRequest};
use crate::{
    endpoints::{ErrorCode, OAuthError},
    tokens::{CodeExchange, IssuedTokens},
};

/// Tokens for a code that the user's browser has brought, with the verifier that only the client knows (RFC 7636).
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthorizationCode;

impl AuthorizationCode {
    /// Its name.
    pub const GRANT_TYPE: &str = "authorization_code";
}

impl Grant for AuthorizationCode {
    fn grant_type(&self) -> &str {
        Self::GRANT_TYPE
    }

    async fn exchange(&self, request: &GrantRequest<'_>) -> Result<IssuedTokens, OAuthError> {
        let missing = |sentence| OAuthError::new(ErrorCode::InvalidRequest, sentence);
        let code = request
            .parameter("code")
            .ok_or_else(|| missing("expected the parameter code"))?;
        let verifier = request.parameter("code_verifier");
        let verifier = verifier.ok_or_else(|| missing("expected the parameter code_verifier"))?;
        let mut exchange =
            CodeExchange::new(code, request.client().id(), verifier).resources(request.parameters("resource"));
        if let Some(uri) = request.parameter("redirect_uri") {
            exchange = exchange.redirect_uri(uri);
        }
        Ok(request.issuer().redeem_code(exchange).await?)
    }
}
