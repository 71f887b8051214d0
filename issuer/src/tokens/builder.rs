//! What an issuer is told.

use std::{fmt, sync::Arc, time::Duration};

use resource_protector::{Clock, SetupError, SystemClock};

use super::{
    AccessTokens, Inner, Lives, SubjectRule, TokenIssuer, access::Form, ledger::Ledger, subjects::AnySubjectRule,
};
use crate::setup::within;
use crate::store::Store;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a [`TokenIssuer`] is made of. Made by [`TokenIssuer::builder`].
pub struct TokenIssuerBuilder {
    issuer: String,
    audience: Vec<String>,
    ledger: Ledger,
    access: AccessTokens,
    lives: Lives,
    rule: Option<Box<dyn AnySubjectRule>>,
    clock: Arc<dyn Clock>,
}

impl TokenIssuer {
    /// An issuer of this name, for resource servers that expect this audience, with everything in this store.
    ///
    /// # Errors
    ///
    /// When the issuer or the audience is empty, or the issuer has a query or a fragment (RFC 8414 §2).
    pub fn builder(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        store: impl Store,
        access: AccessTokens,
    ) -> Result<TokenIssuerBuilder, SetupError> {
        let (issuer, audience) = (issuer.into(), audience.into());
        if issuer.is_empty() || issuer.contains(['?', '#']) {
            return Err(SetupError::new(
                "issuer",
                format_args!("expected a URL without query and fragment, got {issuer:?}"),
            ));
        }
        if audience.trim().is_empty() {
            return Err(SetupError::new(
                "audience",
                "expected the name of a resource server, got none",
            ));
        }
        Ok(TokenIssuerBuilder {
            issuer,
            audience: vec![audience],
            ledger: Ledger::new(Arc::new(store)),
            access,
            lives: Lives {
                access_token: 10 * MINUTE,
                refresh_token: 14 * DAY,
                session: 90 * DAY,
                code: MINUTE,
                rotation_grace: Duration::ZERO,
            },
            rule: None,
            clock: Arc::new(SystemClock),
        })
    }
}

impl TokenIssuerBuilder {
    /// How long an access token is good for; 10 min unless set. Whoever has stolen one that nobody can take back can use it
    /// for as long.
    ///
    /// # Errors
    ///
    /// When it is not from 1 s to 366 days.
    pub fn access_token_lifetime(mut self, life: Duration) -> Result<Self, SetupError> {
        self.lives.access_token = within("access_token_lifetime", life, Duration::from_secs(1)..=366 * DAY)?;
        Ok(self)
    }

    /// For how long a refresh token can be exchanged; 14 days unless set. Who stays away for longer logs in again.
    ///
    /// # Errors
    ///
    /// When it is not from 1 s to 366 days.
    pub fn refresh_token_lifetime(mut self, life: Duration) -> Result<Self, SetupError> {
        self.lives.refresh_token = within("refresh_token_lifetime", life, Duration::from_secs(1)..=366 * DAY)?;
        Ok(self)
    }

    /// When a session ends, however often its tokens are refreshed; 90 days unless set.
    ///
    /// # Errors
    ///
    /// When it is not from 1 s to ten years.
    pub fn session_lifetime(mut self, life: Duration) -> Result<Self, SetupError> {
        self.lives.session = within("session_lifetime", life, Duration::from_secs(1)..=3660 * DAY)?;
        Ok(self)
    }

    /// How long an authorization code is good for; 60 s unless set.
    ///
    /// # Errors
    ///
    /// When it is not from 1 s to 10 min (RFC 6749 §4.1.2).
    pub fn code_lifetime(mut self, life: Duration) -> Result<Self, SetupError> {
        self.lives.code = within("code_lifetime", life, Duration::from_secs(1)..=10 * MINUTE)?;
        Ok(self)
    }

    /// For how long after its exchange the refresh token that was exchanged last may be exchanged once more, because the answer
    /// got lost on the way or two tabs came at once; not at all unless set. Without it, whoever got no answer, because a process
    /// or the network failed after the exchange, is taken for a thief when they come again, and has to log in (RFC 9700
    /// §4.14.2). All tokens that come of it are of one generation: when one of them is exchanged, the others are old at once, so
    /// that a thief who came within that time is found out with the next exchange.
    ///
    /// # Errors
    ///
    /// When it is more than 5 min.
    pub fn rotation_grace(mut self, grace: Duration) -> Result<Self, SetupError> {
        self.lives.rotation_grace = within("rotation_grace", grace, Duration::ZERO..=5 * MINUTE)?;
        Ok(self)
    }

    /// Asks this about the subject before every exchange of a code or a refresh token, so that who was disabled gets no
    /// further tokens.
    #[must_use]
    pub fn subject_rule(mut self, rule: impl SubjectRule) -> Self {
        self.rule = Some(Box::new(rule));
        self
    }

    /// Takes the time from another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Looks into the store, and tells the list of revocations what it has to know. Whatever was revoked before the last
    /// restart is so here before the first token is issued. Where the list has others to tell who cannot be reached, they are
    /// told as soon as they can be, by the [upkeep](TokenIssuer::run).
    ///
    /// # Errors
    ///
    /// When access tokens live longer than the list knows of revocations, or so long that a [`KeyRing`](crate::KeyRing) that
    /// rolls over as often as this one has no room for the keys; when the store belongs to another issuer, cannot be reached, or
    /// has a revocation that cannot be read; and when the list has no room for what was revoked.
    pub async fn open(self) -> Result<TokenIssuer, SetupError> {
        if let Some(longest) = self.access.longest_lifetime()
            && self.lives.access_token > longest
        {
            return Err(SetupError::new(
                "access_token_lifetime",
                format_args!(
                    "expected {} s at the most, for which the list knows of a revocation, got {} s: a revoked token would be good \
                     again",
                    longest.as_secs(),
                    self.lives.access_token.as_secs()
                ),
            ));
        }
        if let Form::Jwt(keys) = &self.access.form {
            keys.outlive(self.lives.access_token)?;
        }
        let issuer = TokenIssuer(Arc::new(Inner {
            issuer: self.issuer,
            audience: self.audience,
            access: self.access,
            ledger: self.ledger,
            lives: self.lives,
            rule: self.rule,
            clock: self.clock,
        }));
        issuer.claim_store().await?;
        issuer.tell_at_start().await?;
        Ok(issuer)
    }
}

impl fmt::Debug for TokenIssuerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuerBuilder")
            .field("issuer", &self.issuer)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
