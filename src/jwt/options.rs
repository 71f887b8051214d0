//! Which rules a `JwtValidator` is told to tighten or relax.

use std::time::Duration;

use super::{
    JwtValidator, Keys,
    algorithm::Algorithm,
    remembered::Remembered,
    rules::{AccessTokenMark, OptionalClaim},
};
use crate::{error::SetupError, token_rules::TokenRules};

/// How rules are tightened and relaxed, for this issuer.
impl JwtValidator {
    /// Another name under which the same issuer, with the same keys, issues tokens: Google's `accounts.google.com`, a
    /// custom domain, an internal and an external host name. Compared byte for byte. [`ByIssuer`](crate::ByIssuer) sends
    /// tokens under each name here.
    ///
    /// [`CurrentToken::issuer`](crate::CurrentToken::issuer) is the name in the token; keep subjects apart by it, or say
    /// yourself that the names mean the same.
    ///
    /// # Errors
    ///
    /// When it is empty or known already, or the validator is for tenants.
    pub fn issuer_alias(mut self, alias: impl Into<String>) -> Result<Self, SetupError> {
        self.rules.issuers.add(alias.into())?;
        Ok(self)
    }

    /// Accepts only these algorithms; unless set, all of [`Algorithm`].
    ///
    /// # Errors
    ///
    /// When the list is empty, or keys are a shared secret, which has its one algorithm.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Result<Self, SetupError> {
        let algorithms: Vec<_> = algorithms.into_iter().collect();
        if algorithms.is_empty() || matches!(self.keys, Keys::Secret(..)) {
            return Err(SetupError::new(
                "algorithms",
                "expected at least one algorithm, and public keys to use them with",
            ));
        }
        self.rules.algorithms = algorithms;
        Ok(self)
    }

    /// How many verified tokens are remembered; 10 000 unless set, zero for none. One with claims of more than 4 KiB counts
    /// as several. Tokens of the issuer that are refused have room of their own, a tenth of it. A remembered token takes
    /// about twice the length of its claims, and 500 bytes.
    #[must_use]
    pub fn capacity(mut self, tokens: usize) -> Self {
        self.remembered = Remembered::with_capacity(tokens);
        self
    }

    /// How far the clocks of issuer and resource server may differ; 10 s unless set. A token lives on by as much.
    ///
    /// # Errors
    ///
    /// When it is more than 300 s.
    pub fn leeway(self, leeway: Duration) -> Result<Self, SetupError> {
        self.with_token_rules(|rules| rules.set_leeway(leeway))
    }

    /// Demands that a claim is one of these strings, or an array with one of them.
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

    /// Accepts these header types beside `at+jwt`; the empty string stands for none at all.
    ///
    /// Most issuers sign ID tokens, and more, with the same keys under the same type, so the mark that tells access
    /// tokens apart is given in the same call. Tokens of these types are also refused when they carry `nonce`,
    /// `at_hash`, `c_hash` or `events`; see [`access_tokens_may_carry`](Self::access_tokens_may_carry). None of this is
    /// asked of `at+jwt`, which says by itself what it is: where the mark is also a list of who may come, say
    /// [`without_at_jwt`](Self::without_at_jwt).
    ///
    /// # Errors
    ///
    /// When a type is that of another kind of JWT, such as `logout+jwt`, or the mark is one that every JWT has.
    #[allow(clippy::needless_pass_by_value, reason = "reads better where it is used")]
    pub fn accept_types<I>(mut self, types: I, mark: AccessTokenMark) -> Result<Self, SetupError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.rules.accept_types(types, &mark)?;
        Ok(self)
    }

    /// Accepts only the types that were given by [`accept_types`](Self::accept_types), and `at+jwt` no more. So the mark
    /// holds for every token.
    ///
    /// # Errors
    ///
    /// When no type was given before.
    pub fn without_at_jwt(mut self) -> Result<Self, SetupError> {
        self.rules.refuse_at_jwt()?;
        Ok(self)
    }

    /// Says that this issuer puts one of `nonce`, `at_hash`, `c_hash` and `events` into access tokens, so that it does
    /// not speak against one. Where it is the only sign of an ID token, ID tokens are accepted from then on.
    ///
    /// # Errors
    ///
    /// When it is another claim: those are not refused anyway.
    pub fn access_tokens_may_carry(self, claim: impl Into<String>) -> Result<Self, SetupError> {
        self.with_token_rules(|rules| rules.allow_foreign_claim(claim.into()))
    }

    /// Accepts tokens that lack these claims.
    #[must_use]
    pub fn optional_claims(mut self, claims: impl IntoIterator<Item = OptionalClaim>) -> Self {
        self.rules.optional.extend(claims);
        self
    }

    /// Reads the audience of tokens that have no `aud` from this claim, and compares it with the audience the validator
    /// was made with: list the accepted values there, for example client identifiers. A token that has an `aud` is
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

    /// Reads the client from this claim instead of `client_id`: `azp`, `cid`, `appid`.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn client_id_claim(self, name: impl Into<String>) -> Result<Self, SetupError> {
        self.with_token_rules(|rules| rules.set_client_id_claim(name.into()))
    }

    /// Reads the subject from this claim instead of `sub`: `user_id`. It may be a string or a whole number there, and 7 is
    /// the same subject as `"7"`. What stands in `sub` beside it says nothing then, unless that is the claim: so an
    /// issuer that writes numbers into `sub` is understood.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn subject_claim(self, name: impl Into<String>) -> Result<Self, SetupError> {
        self.with_token_rules(|rules| rules.set_subject_claim(name.into()))
    }

    /// Accepts tokens that name no issuer. One that names an issuer has to name this one, as ever.
    ///
    /// What `iss` would say is said by the secret then: **nobody else may have it**, and it signs tokens for nothing else.
    /// Two services that issue tokens with one secret cannot be told apart any more. With public keys it cannot be had.
    /// [`CurrentToken::issuer`](crate::CurrentToken::issuer) is `None`, and a list of revocations has to
    /// [assume one](crate::RevocationTerms::assume_issuer); [`ByIssuer`](crate::ByIssuer) sends such tokens nowhere.
    ///
    /// # Errors
    ///
    /// When the keys are not a [shared secret](Self::with_shared_secret).
    pub fn accept_tokens_without_issuer_by_a_secret_that_signs_nothing_else(mut self) -> Result<Self, SetupError> {
        if !matches!(self.keys, Keys::Secret(..)) {
            return Err(SetupError::new(
                "accept_tokens_without_issuer_by_a_secret_that_signs_nothing_else",
                "expected a shared secret, got public keys, with which tokens of others may be signed, too",
            ));
        }
        self.rules.issuers.let_be_absent();
        Ok(self)
    }

    /// Reads the scopes from this claim instead of `scope`: `scp`, `permissions`. Only from there: what else a token
    /// has by way of scopes does not count.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn scope_claim(self, name: impl Into<String>) -> Result<Self, SetupError> {
        self.with_token_rules(|rules| rules.set_scope_claim(name.into()))
    }

    /// Changes what validators of both kinds have.
    pub(crate) fn with_token_rules(
        mut self,
        change: impl FnOnce(&mut TokenRules) -> Result<(), SetupError>,
    ) -> Result<Self, SetupError> {
        change(&mut self.rules.token)?;
        Ok(self)
    }
}
