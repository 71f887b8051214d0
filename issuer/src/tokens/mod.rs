//! Tokens from their issue to their end.
//!
//! Every operation is the same three steps: look into the store, decide, and change the store by one change that happens as a
//! whole or not at all. Only then is the list of revocations told, where there is something to tell, and only then is
//! anybody answered. So nothing is half done wherever it is cut short.

mod access;
mod builder;
mod code;
mod consent;
mod error;
mod grounds;
mod holders;
mod introspect;
mod issue;
mod issued;
mod ledger;
mod login;
mod recognize;
mod records;
mod refresh;
mod refresh_token;
mod request;
mod resources;
mod revocation;
mod revoke;
mod sessions;
mod subjects;
mod table;
mod upkeep;

use std::{fmt, sync::Arc, time::Duration};

use resource_protector::{Clock, Moment};

pub(crate) use self::login::LoginGround;
pub use self::{
    access::AccessTokens,
    builder::TokenIssuerBuilder,
    code::{CodeExchange, CodeRequest},
    consent::ConsentedClient,
    error::{TokenError, TokenErrorKind},
    introspect::{ActiveToken, TokenUse},
    issued::IssuedTokens,
    refresh::RefreshRequest,
    request::TokenRequest,
    sessions::ActiveSession,
    subjects::SubjectRule,
    table::TokenTable,
};
use self::{access::Form, ledger::Ledger, subjects::AnySubjectRule};

use crate::{keys::KeyRing, store::SharedStore, time::SharedClock};

/// Issues tokens, exchanges refresh tokens, and takes tokens back. Clones share everything.
///
/// All tokens that come from one log-in belong to a session, which they name by `sid`, and end with it. A refresh token is
/// good for one exchange; when it comes again, somebody has stolen it or its successor, and the session ends (RFC 9700
/// §4.14.2).
///
/// ```
/// use std::time::Duration;
///
/// use resource_protector::{Algorithm, MemoryRevocationList, RevocationTerms, RevokedBy};
/// use resource_protector_issuer::{AccessTokens, KeyRing, RefreshRequest, TokenIssuer, TokenRequest, store::MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let revoked = MemoryRevocationList::new(RevocationTerms::new(RevokedBy::ALL, Duration::from_secs(3600))?);
/// let tokens = AccessTokens::jwt(KeyRing::generate(Algorithm::ES256)?, revoked.clone())?;
/// let issuer =
///     TokenIssuer::builder("https://auth.example.com", "https://api.example.com", MemoryStore::new(), tokens)?.open().await?;
///
/// let issued = issuer.issue(TokenRequest::for_subject("app", "alice").scope("profile")?).await?;
/// let refresh_token = issued.refresh_token().ok_or("no refresh token")?;
/// let next = issuer.refresh(RefreshRequest::new(refresh_token, "app")).await?;
/// issuer.logout_everywhere("alice").await?;
/// let refresh_token = next.refresh_token().ok_or("no refresh token")?;
/// assert!(issuer.refresh(RefreshRequest::new(refresh_token, "app")).await.is_err());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TokenIssuer(Arc<Inner>);

struct Inner {
    issuer: String,
    audience: Vec<String>,
    access: AccessTokens,
    ledger: Ledger,
    lives: Lives,
    rule: Option<Box<dyn AnySubjectRule>>,
    clock: Arc<dyn Clock>,
}

/// How long things are good for.
#[derive(Clone, Copy)]
struct Lives {
    access_token: Duration,
    refresh_token: Duration,
    session: Duration,
    code: Duration,
    rotation_grace: Duration,
}

impl TokenIssuer {
    /// The issuer's name, as it stands in `iss`.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The store, for what belongs to the same server.
    pub(crate) fn store(&self) -> SharedStore {
        SharedStore::new(self.0.ledger.shared())
    }

    /// The clock, likewise.
    pub(crate) fn clock(&self) -> SharedClock {
        SharedClock(Arc::clone(&self.0.clock))
    }

    /// The keys that access tokens are signed with, if they are JWTs.
    pub(crate) fn keys(&self) -> Option<&KeyRing> {
        match &self.0.access.form {
            Form::Jwt(keys) => Some(keys),
            Form::Opaque => None,
        }
    }

    /// Whether somebody is asked before a subject gets further tokens.
    pub(crate) fn has_subject_rule(&self) -> bool {
        self.0.rule.is_some()
    }

    pub(crate) fn now(&self) -> Moment {
        self.0.clock.now()
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("issuer", &self.0.issuer)
            .field("access", &self.0.access)
            .finish_non_exhaustive()
    }
}
