//! What an `IntrospectionValidator` may be told besides: how it asks, what it remembers, and what it expects of the answers.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use super::{Inner, IntrospectionValidator};
use crate::{
    error::{SetupError, within, within_timeout},
    fetch::{Fetch, Network},
    token_rules::TokenRules,
    upstream::Upstream,
};

/// The longest time for which an answer can be remembered.
const LONGEST_MEMORY: Duration = Duration::from_secs(24 * 3600);

/// The longest time for which an answer can stand in for one that cannot be had.
const LONGEST_STALE: Duration = Duration::from_secs(3600);

/// How it asks, what it remembers, and which rules hold for the answers.
impl IntrospectionValidator {
    /// Expects exactly this in `iss`, compared byte for byte. An answer that does not name its issuer is taken to be
    /// about this one. Unless set, the endpoint is trusted to answer for whatever issuer it names.
    ///
    /// # Errors
    ///
    /// When it is empty.
    pub fn issuer(self, issuer: impl Into<String>) -> Result<Self, SetupError> {
        let issuer = issuer.into();
        if issuer.is_empty() {
            return Err(SetupError::new(
                "issuer",
                "expected the `iss` of the server's answers, got an empty string",
            ));
        }
        Ok(self.with(|inner| inner.rules.issuer = Some(issuer)))
    }

    /// Makes HTTP exchanges in another way than the default client.
    #[must_use]
    pub fn fetch(self, fetch: impl Fetch) -> Self {
        self.with(|inner| inner.client.network = Network::new(fetch))
    }

    /// How long one exchange with the authorization server may take, a second try for want of a connection counted in; 5 s
    /// unless set. A request that has to wait for discovery first may wait twice as long, and one that joined another's
    /// failing call twice as long again.
    ///
    /// # Errors
    ///
    /// When it is not from 1 ms to 60 s.
    pub fn timeout(self, timeout: Duration) -> Result<Self, SetupError> {
        let timeout = within_timeout(timeout)?;
        Ok(self.with(|inner| inner.client.timeout = timeout))
    }

    /// How long a good answer may be used; 60 s unless set, zero to ask on every request. It is how long a token may go
    /// on being let in after it was revoked, while the authorization server can be asked. No answer is used beyond its
    /// `exp`.
    ///
    /// # Errors
    ///
    /// When it is more than 24 h.
    pub fn remember_for(self, time: Duration) -> Result<Self, SetupError> {
        let time = within("remember_for", time, Duration::ZERO..=LONGEST_MEMORY)?;
        Ok(self.with(|inner| inner.remembered = inner.remembered.with_lifetimes(|lifetimes| lifetimes.good = time)))
    }

    /// How long a refusal may be used; 5 s unless set, zero to ask on every request. It keeps one bad token from
    /// becoming many calls; and a token that becomes active at the server is refused for as long.
    ///
    /// # Errors
    ///
    /// When it is more than 24 h.
    pub fn remember_refusals_for(self, time: Duration) -> Result<Self, SetupError> {
        let time = within("remember_refusals_for", time, Duration::ZERO..=LONGEST_MEMORY)?;
        Ok(self.with(|inner| inner.remembered = inner.remembered.with_lifetimes(|lifetimes| lifetimes.refused = time)))
    }

    /// Does not ask about a token again before the answer is too old. Without this, a token that is used when 80 to 90 % of
    /// the time of [`remember_for`](Self::remember_for) are over is asked about then, by a call that no request waits for,
    /// once for each answer.
    #[must_use]
    pub fn without_refresh_ahead(self) -> Self {
        self.with(|inner| inner.refresh_ahead = false)
    }

    /// For how long after the time of [`remember_for`](Self::remember_for) a good answer may still be used **where the
    /// authorization server cannot be reached**, is busy or fails; not at all unless set. A token that was revoked in the
    /// meantime goes on being let in for as long: an outage logs nobody out, and nobody can be locked out during one.
    ///
    /// The time is counted from when the server was asked. No answer is used beyond its `exp`, or after the server was
    /// heard to refuse the token; and none stands in for what the server does say, however odd. Where a route demands a
    /// younger answer, there is none.
    ///
    /// # Errors
    ///
    /// When it is more than 1 h.
    pub fn stale_if_error(self, time: Duration) -> Result<Self, SetupError> {
        let time = within("stale_if_error", time, Duration::ZERO..=LONGEST_STALE)?;
        Ok(self.with(|inner| inner.remembered = inner.remembered.with_lifetimes(|lifetimes| lifetimes.stale = time)))
    }

    /// How many calls may be under way at the same time; 256 unless set. Requests that would need one more are refused
    /// with 503. A quarter is kept for tokens that were good in the last minutes, so that those of which nothing is known
    /// are refused first; calls that only renew what is known are an eighth at the most.
    ///
    /// # Errors
    ///
    /// When it is not from 1 to 10 000.
    pub fn max_calls_in_flight(self, calls: usize) -> Result<Self, SetupError> {
        if !(1..=10_000).contains(&calls) {
            let problem = format_args!("expected 1 to 10000 calls, got {calls}");
            return Err(SetupError::new("max_calls_in_flight", problem));
        }
        Ok(self.with(|inner| inner.upstream = Arc::new(Upstream::new(calls))))
    }

    /// How many good answers are remembered; 10 000 unless set, zero for none. An answer of more than 4 KiB counts as
    /// several. Refusals have room of their own, a tenth of it.
    #[must_use]
    pub fn capacity(self, answers: usize) -> Self {
        self.with(|inner| inner.remembered = inner.remembered.resized(answers.try_into().unwrap_or(u64::MAX)))
    }

    /// How far the server's clock may differ from ours when `exp`, `nbf` and `iat` are judged; 10 seconds unless set.
    /// Tokens live longer by as much.
    ///
    /// # Errors
    ///
    /// When it is more than 300 seconds.
    pub fn leeway(self, leeway: Duration) -> Result<Self, SetupError> {
        self.with_token_rules(|rules| rules.set_leeway(leeway))
    }

    /// Leaves `token_type_hint=access_token` (RFC 7662 §2.1) out, for servers that refuse what they do not know.
    #[must_use]
    pub fn without_token_type_hint(self) -> Self {
        self.with(|inner| inner.client.hint = false)
    }

    /// Demands that a member of the answer is one of these strings, or an array with one of them.
    ///
    /// # Errors
    ///
    /// When the name is empty, or there are no values.
    pub fn expect_claim<I>(self, name: impl Into<String>, accepted: I) -> Result<Self, SetupError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.with_token_rules(|rules| rules.expect_claim(name, accepted))
    }

    /// Refuses answers without `exp`, which RFC 7662 §2.2 has as optional. Without this they are good for as long as
    /// they are remembered.
    #[must_use]
    pub fn expiry_required(self) -> Self {
        self.with(|inner| inner.rules.expiry_required = true)
    }

    /// Says that an answer with this status and no body means that the token is not known: Kanidm's 401.
    ///
    /// RFC 7662 §2.3 has 200 for that, and keeps 401 for the credentials of the one who asks. So it is only for an
    /// endpoint that is asked without any: there such an answer can mean nothing else.
    ///
    /// # Errors
    ///
    /// When it is not 400, 401, 403 or 404, or the server is asked with credentials.
    pub fn unknown_token_status(self, status: StatusCode) -> Result<Self, SetupError> {
        let is_possible = matches!(status.as_u16(), 400 | 401 | 403 | 404);
        if !is_possible || !self.inner.client.auth.is_none() {
            return Err(SetupError::new(
                "unknown_token_status",
                format_args!(
                    "expected 400, 401, 403 or 404, and a server that is asked without credentials, got {} and {:?}",
                    status.as_u16(),
                    self.inner.client.auth
                ),
            ));
        }
        Ok(self.with(|inner| inner.client.unknown_token = Some(status)))
    }

    /// Says that this server puts one of `nonce`, `at_hash`, `c_hash` and `events` into answers about access tokens, so
    /// that it does not speak against one. Make sure that the expected audience is one that no ID token has.
    ///
    /// # Errors
    ///
    /// When it is another claim: those are not refused anyway.
    pub fn access_tokens_may_carry(self, claim: impl Into<String>) -> Result<Self, SetupError> {
        self.with_token_rules(|rules| rules.allow_foreign_claim(claim.into()))
    }

    /// Reads the audience of answers that have no `aud` from this claim, and compares it with the audience the validator
    /// was made with: list the accepted values there, for example client identifiers. An answer that has an `aud` is
    /// judged by it.
    ///
    /// A token of a listed client passes, whichever API it was issued for.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn audience_claim(self, name: impl Into<String>) -> Result<Self, SetupError> {
        self.with_token_rules(|rules| rules.set_audience_claim(name.into()))
    }

    /// Reads the client from another claim than `client_id`.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn client_id_claim(self, name: impl Into<String>) -> Result<Self, SetupError> {
        self.with_token_rules(|rules| rules.set_client_id_claim(name.into()))
    }

    /// Reads the scopes from another claim than `scope`. A claim whose content clients or users may choose gives them
    /// whatever scope they want.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn scope_claim(self, name: impl Into<String>) -> Result<Self, SetupError> {
        self.with_token_rules(|rules| rules.set_scope_claim(name.into()))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }

    /// Changes what validators of both kinds have.
    pub(crate) fn with_token_rules(
        mut self,
        change: impl FnOnce(&mut TokenRules) -> Result<(), SetupError>,
    ) -> Result<Self, SetupError> {
        change(&mut Arc::make_mut(&mut self.inner).rules.token)?;
        Ok(self)
    }
}
