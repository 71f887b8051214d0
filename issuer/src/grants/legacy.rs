//! Grants that the current standards leave out, for clients that cannot be changed yet.
//!
//! **Do not begin with them.** OAuth 2.1 has neither, and RFC 9700 says of the password grant that it "MUST NOT be used" (§2.4),
//! and of the implicit grant that clients "SHOULD NOT" use it (§2.1.2):
//!
//! - With the **password grant** the user types the password into the client. The client, whatever it logs or loses, has it
//!   then, and users learn to type it anywhere; a second factor, a passkey or a lock-out page have no place in it.
//! - With the **implicit grant** the access token stands in a URL: in the browser's history, in logs, in the hands of every
//!   script of the page. There is no client authentication and no PKCE, so a token that was meant for one client can be given
//!   to another, and nobody notices.
//!
//! Both are off unless the feature `legacy-grants` is compiled in, the server is told to have the grant, and the client is
//! registered for it.

use std::sync::Arc;

use super::{Grant, GrantRequest};
use crate::{
    endpoints::{ErrorCode, OAuthError},
    rate_limit::RateLimit,
    tokens::{IssuedTokens, LoginGround, TokenRequest},
    users::{AnyUserDirectory, UserDirectory, Username},
};

/// Tokens for a username and a password that the client has asked for (RFC 6749 §4.3). See the [module](self) for why not.
///
/// Only clients that authenticate may use it. After 10 wrong passwords within 5 minutes a user is refused by 429 until these have
/// passed, from wherever they come: **whoever knows a username can lock it out of this grant**.
#[derive(Clone)]
pub struct Password {
    users: Arc<dyn AnyUserDirectory>,
    limit: RateLimit,
}

impl Password {
    /// Its name.
    pub const GRANT_TYPE: &str = "password";

    /// For these users.
    pub fn new(users: impl UserDirectory) -> Self {
        Self {
            users: Arc::new(users),
            limit: RateLimit::default(),
        }
    }

    /// Counts wrong passwords here, in place of 10 in 5 minutes.
    #[must_use]
    pub fn failure_limit(mut self, failures: RateLimit) -> Self {
        self.limit = failures;
        self
    }
}

impl Grant for Password {
    fn grant_type(&self) -> &str {
        Self::GRANT_TYPE
    }

    async fn exchange(&self, request: &GrantRequest<'_>) -> Result<IssuedTokens, OAuthError> {
        // Anybody can say to be a public client, and guess passwords here.
        if request.client().is_public() {
            return Err(OAuthError::new(
                ErrorCode::UnauthorizedClient,
                "a public client may not use this grant",
            ));
        }
        let missing = |sentence| OAuthError::new(ErrorCode::InvalidRequest, sentence);
        let username = request
            .parameter("username")
            .ok_or_else(|| missing("expected the parameter username"))?;
        let password = request
            .parameter("password")
            .ok_or_else(|| missing("expected the parameter password"))?;
        let now = request.issuer().now();
        let name = Username::parse(username);
        let name = name.as_ref().map_or("", Username::as_str);
        let attempt = self
            .limit
            .begin(&format!("password\n{name}"), now)
            .map_err(|refused| OAuthError::too_many(refused.retry_after))?;
        let checked = request.issuer().check_password(&*self.users, username, password).await;
        let checked = match checked {
            Ok(checked) => checked,
            Err(error) => {
                attempt.undecided();
                tracing::warn!(target: "resource_protector_issuer::grants", %error, "no password can be checked");
                return Err(OAuthError::unavailable());
            }
        };
        // RFC 6749 §5.2 has the resource owner's credentials among what makes a grant invalid.
        let (user, epoch) =
            checked.ok_or_else(|| OAuthError::new(ErrorCode::InvalidGrant, "the username or the password is wrong"))?;
        attempt.succeeded();
        let tokens = TokenRequest::for_subject(request.client().id(), user.subject)
            .authenticated_at(now.wall)
            .resting_on_login(LoginGround { epoch, ended: None })
            .fresh();
        request.issue(tokens).await
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Password").finish_non_exhaustive()
    }
}
