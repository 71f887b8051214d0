//! The ways to get tokens at the token endpoint (RFC 6749 §4).

mod authorization_code;
mod client_credentials;
#[cfg(feature = "legacy-grants")]
pub mod legacy;
mod refresh_token;

use std::{fmt, future::Future, pin::Pin};

pub use self::{
    authorization_code::AuthorizationCode, client_credentials::ClientCredentials, refresh_token::RefreshToken,
};
use crate::{
    clients::Client,
    endpoints::{ErrorCode, Form, OAuthError},
    tokens::{IssuedTokens, TokenIssuer, TokenRequest},
};

/// A way to get tokens. Implement it for one of your own: an extension grant (RFC 6749 §4.5).
///
/// ```
/// use resource_protector_issuer::{
///     IssuedTokens, TokenRequest,
///     endpoints::{ErrorCode, OAuthError},
///     grants::{Grant, GrantRequest},
/// };
///
/// /// Devices are born with a pass that was printed on them.
/// struct DevicePass;
///
/// impl Grant for DevicePass {
///     fn grant_type(&self) -> &str {
///         "urn:example:device-pass"
///     }
///
///     async fn exchange(&self, request: &GrantRequest<'_>) -> Result<IssuedTokens, OAuthError> {
///         match request.parameter("pass") {
///             Some("open-sesame") => request.issue(TokenRequest::for_subject(request.client().id(), "device-1")).await,
///             Some(_) => Err(OAuthError::new(ErrorCode::InvalidGrant, "the pass is not good")),
///             None => Err(OAuthError::new(ErrorCode::InvalidRequest, "expected the parameter pass")),
///         }
///     }
/// }
/// ```
pub trait Grant: Send + Sync + 'static {
    /// The value of `grant_type`: a name of the standards, or an absolute URI (RFC 6749 §4.5).
    fn grant_type(&self) -> &str;

    /// Issues tokens for what the request brings. The client is authenticated, and may use this grant.
    ///
    /// Whoever gets `Ok` has the tokens: a grant makes sure that what was brought is genuine, this client's, and good once
    /// where it is to be so.
    ///
    /// # Errors
    ///
    /// The answer to the client.
    fn exchange(&self, request: &GrantRequest<'_>) -> impl Future<Output = Result<IssuedTokens, OAuthError>> + Send;
}

/// What a grant may look at.
pub struct GrantRequest<'a> {
    client: &'a Client,
    form: &'a Form,
    issuer: &'a TokenIssuer,
}

impl fmt::Debug for GrantRequest<'_> {
    /// Of the parameters the names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantRequest")
            .field("client", &self.client)
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

impl<'a> GrantRequest<'a> {
    pub(crate) fn new(client: &'a Client, form: &'a Form, issuer: &'a TokenIssuer) -> Self {
        Self { client, form, issuer }
    }

    /// The client that asks. It has authenticated, unless it is public.
    pub fn client(&self) -> &'a Client {
        self.client
    }

    /// A parameter of the request. Whatever is in it was chosen by the client.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.form.get(name)
    }

    /// All values of a parameter that may be repeated: `resource` (RFC 8707 §2) and `audience` (RFC 8693 §2.1).
    pub fn parameters<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.form.get_all(name)
    }

    /// Who issues the tokens.
    pub fn issuer(&self) -> &'a TokenIssuer {
        self.issuer
    }

    /// Issues tokens with the scope and for the resource servers that the request asks for, as far as the client may have
    /// them. There is a refresh token only if the client may use that grant.
    ///
    /// # Errors
    ///
    /// `invalid_scope` or `invalid_target` where the client may not have what it asks for; `temporarily_unavailable` where
    /// the store cannot be reached.
    pub async fn issue(&self, tokens: TokenRequest) -> Result<IssuedTokens, OAuthError> {
        let mut tokens = tokens
            .scope(self.scope()?)
            .map_err(OAuthError::from)?
            .audience(self.audience()?);
        if !self.client.allows_grant(RefreshToken::GRANT_TYPE) {
            tokens = tokens.without_refresh_token();
        }
        Ok(self.issuer.issue(tokens).await?)
    }

    /// The scope that is asked for; empty where there is none. One that the client may not have is refused, and not left
    /// out: RFC 6749 §3.3 allows either, and a client that lacks a right notices at once.
    fn scope(&self) -> Result<&'a str, OAuthError> {
        let scope = self.form.get("scope").unwrap_or_default();
        match scope
            .split(' ')
            .filter(|scope| !scope.is_empty())
            .all(|scope| self.client.allows_scope(scope))
        {
            true => Ok(scope),
            false => Err(OAuthError::new(
                ErrorCode::InvalidScope,
                "the client may not have a scope that it asks for",
            )),
        }
    }

    /// RFC 8707 §2.
    fn audience(&self) -> Result<Vec<String>, OAuthError> {
        let asked: Vec<_> = self.parameters("resource").map(str::to_owned).collect();
        match asked
            .iter()
            .all(|resource| self.client.allowed_audiences().contains(resource))
        {
            true => Ok(asked),
            false => Err(OAuthError::new(
                ErrorCode::InvalidTarget,
                "the client may not have tokens for a resource that it asks for",
            )),
        }
    }
}

/// A grant of any type. Nothing outside this crate sees it, so that implementors write a plain `async fn`.
pub(crate) trait AnyGrant: Send + Sync {
    fn exchange<'a>(
        &'a self,
        request: &'a GrantRequest<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<IssuedTokens, OAuthError>> + Send + 'a>>;
}

impl<G: Grant> AnyGrant for G {
    fn exchange<'a>(
        &'a self,
        request: &'a GrantRequest<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<IssuedTokens, OAuthError>> + Send + 'a>> {
        Box::pin(Grant::exchange(self, request))
    }
}
