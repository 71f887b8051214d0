//! What a token needs, so that its revocation can be noticed.

use std::{sync::Arc, time::Duration};

use super::RevokedBy;
use crate::{
    error::{SetupError, within},
    rejection::{Reason, Rejection},
    token::CurrentToken,
};

/// The longest life of tokens that can be revoked: a year.
pub(super) const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What a list of revocations goes by, and for how long it knows of one.
///
/// A token that lacks what the list goes by is refused: nobody could revoke it. So is one that lives longer than
/// revocations are known, which would come back to life.
#[derive(Clone, Debug)]
pub struct RevocationTerms {
    by: Vec<RevokedBy>,
    longest_lifetime: Duration,
    assumed_issuer: Option<Arc<str>>,
}

impl RevocationTerms {
    /// Tokens are revoked by these identifiers, and live no longer than this, from `iat` to `exp`.
    ///
    /// Name what revocations will be made by, and nothing else: every token needs all of it, and `iss`, `iat` and `exp`.
    ///
    /// # Errors
    ///
    /// When there is no identifier, or the life is not from 1 s to 366 days.
    pub fn new(by: impl IntoIterator<Item = RevokedBy>, longest_lifetime: Duration) -> Result<Self, SetupError> {
        let by: Vec<_> = by.into_iter().collect();
        if by.is_empty() {
            return Err(SetupError::new(
                "by",
                "expected what tokens are revoked by, got nothing: such a list would revoke no token",
            ));
        }
        Ok(Self {
            by,
            longest_lifetime: within("longest_lifetime", longest_lifetime, Duration::from_secs(1)..=LONGEST)?,
            assumed_issuer: None,
        })
    }

    /// Takes tokens that name no issuer for tokens of this one: for a token table or an introspection endpoint that says
    /// no `iss`. Without it they are refused.
    ///
    /// # Errors
    ///
    /// When it is empty.
    pub fn assume_issuer(mut self, issuer: impl AsRef<str>) -> Result<Self, SetupError> {
        let issuer = issuer.as_ref();
        if issuer.is_empty() {
            return Err(SetupError::new(
                "assume_issuer",
                "expected an issuer, got an empty string",
            ));
        }
        self.assumed_issuer = Some(issuer.into());
        Ok(self)
    }

    /// By what tokens are revoked.
    pub fn revoked_by(&self) -> &[RevokedBy] {
        &self.by
    }

    /// Whether tokens are revoked by this, among others.
    pub fn include(&self, by: RevokedBy) -> bool {
        self.by.contains(&by)
    }

    /// How long a token lives at the most.
    pub fn longest_lifetime(&self) -> Duration {
        self.longest_lifetime
    }

    /// Whose token it is.
    pub(super) fn issuer_of<'a>(&'a self, token: &'a CurrentToken) -> Option<&'a str> {
        token.issuer().or(self.assumed_issuer.as_deref())
    }

    /// Whether a revocation of the token could be noticed.
    pub(super) fn judge(&self, token: &CurrentToken) -> Result<(), Rejection> {
        let lacks = |claim: &'static str| Rejection::invalid_token(Reason::Claim, claim);
        if self.issuer_of(token).is_none() {
            return Err(lacks("no `iss`, by which tokens are revoked here"));
        }
        for by in &self.by {
            let (identifier, problem) = match by {
                RevokedBy::TokenId => (token.jwt_id(), "no `jti`, by which tokens are revoked here"),
                RevokedBy::Session => (token.session_id(), "no `sid`, by which tokens are revoked here"),
                RevokedBy::Subject => (token.subject(), "no `sub`, by which tokens are revoked here"),
                RevokedBy::Client => (token.client_id(), "no `client_id`, by which tokens are revoked here"),
            };
            if identifier.is_none() {
                return Err(lacks(problem));
            }
        }
        let (Some(issued), Some(expires)) = (token.issued_at(), token.expires_at()) else {
            return Err(lacks("no `iat` or no `exp`, and revocations are not known for ever"));
        };
        match expires.duration_since(issued) {
            Ok(life) if life > self.longest_lifetime => Err(lacks("lives longer than revocations are known")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn by(by: &[RevokedBy]) -> RevocationTerms {
        RevocationTerms::new(by.iter().copied(), HOUR).unwrap()
    }

    fn claims() -> Value {
        json!({
            "iss": "https://auth.test", "jti": "j", "sid": "s", "sub": "alice", "client_id": "app",
            "iat": 9000, "exp": 12_600,
        })
    }

    /// What is wrong with the token once a claim is changed, or taken away by `null`.
    fn problem(terms: &RevocationTerms, claim: &str, value: impl Into<Value>) -> Option<String> {
        let mut claims = claims();
        match value.into() {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
            value => claims[claim] = value,
        }
        let refusal = terms.judge(&CurrentToken::vouch_for(&claims).unwrap()).err()?;
        assert_eq!(
            (refusal.status().as_u16(), refusal.reason()),
            (401, Some(Reason::Claim))
        );
        Some(refusal.detail().to_owned())
    }

    #[test]
    fn a_token_without_what_the_list_goes_by_is_refused_and_the_others_do_not_matter() {
        let all = [
            (RevokedBy::TokenId, "jti"),
            (RevokedBy::Session, "sid"),
            (RevokedBy::Subject, "sub"),
            (RevokedBy::Client, "client_id"),
        ];
        for (needed, name) in all {
            for (_, missing) in all {
                for value in [Value::Null, json!("")] {
                    let problem = problem(&by(&[needed]), missing, value);
                    assert_eq!(problem.is_some(), missing == name, "{name} {missing}");
                    assert!(problem.is_none_or(|problem| problem.contains(&format!("no `{name}`"))));
                }
            }
            assert_eq!(problem(&by(&[RevokedBy::TokenId, needed]), "other", 1), None);
        }
        let both = by(&[RevokedBy::Subject, RevokedBy::Session]);
        assert!(problem(&both, "sid", Value::Null).is_some() && problem(&both, "sub", Value::Null).is_some());
    }

    #[test]
    fn a_token_that_does_not_say_from_when_to_when_it_is_good_is_refused() {
        for claim in ["iat", "exp"] {
            assert!(
                problem(&by(&[RevokedBy::Subject]), claim, Value::Null).is_some(),
                "{claim}"
            );
        }
    }

    #[test]
    fn a_token_that_lives_longer_than_revocations_are_known_is_refused() {
        let terms = by(&[RevokedBy::Subject]);
        assert_eq!(problem(&terms, "exp", 12_600), None);
        assert_eq!(
            problem(&terms, "exp", 12_601).as_deref(),
            Some("lives longer than revocations are known")
        );
        // One that was over before it was issued is another's to refuse.
        assert_eq!(problem(&terms, "exp", 8999), None);
    }

    #[test]
    fn a_token_of_no_issuer_is_refused_unless_one_is_assumed() {
        let terms = by(&[RevokedBy::Subject]);
        for nobody in [Value::Null, json!("")] {
            assert!(problem(&terms, "iss", nobody).is_some());
        }
        let assuming = terms.assume_issuer("https://auth.test").unwrap();
        assert_eq!(problem(&assuming, "iss", Value::Null), None);
    }

    #[test]
    fn terms_that_cannot_be_kept_are_setup_errors_that_name_the_option() {
        let day = Duration::from_secs(24 * 3600);
        for (by, life, option) in [
            (&[][..], HOUR, "by"),
            (&[RevokedBy::Subject], Duration::from_millis(999), "longest_lifetime"),
            (&[RevokedBy::Subject], 367 * day, "longest_lifetime"),
        ] {
            let error = RevocationTerms::new(by.iter().copied(), life).unwrap_err();
            assert_eq!(error.option(), option);
        }
        let error = by(&[RevokedBy::Subject]).assume_issuer("").unwrap_err();
        assert_eq!(error.option(), "assume_issuer");
    }

    #[test]
    fn terms_say_what_they_were_told() {
        let terms = by(&[RevokedBy::Session, RevokedBy::Client]);
        assert_eq!(terms.revoked_by(), [RevokedBy::Session, RevokedBy::Client]);
        assert!(terms.include(RevokedBy::Client) && !terms.include(RevokedBy::Subject));
        assert_eq!(terms.longest_lifetime(), HOUR);
    }
}
