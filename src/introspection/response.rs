//! What the authorization server says about a token (RFC 7662 §2.2), judged.

use bytes::Bytes;
use serde::de::IgnoredAny;

use crate::{
    claims::{Claims, Text, foreign_claim},
    clock::Moment,
    error::shown,
    json::Object,
    rejection::{Reason, Rejection},
    token::CurrentToken,
    token_rules::TokenRules,
};

/// What an answer must say for its token to be let in.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) issuer: Option<String>,
    pub(super) token: TokenRules,
    pub(super) expiry_required: bool,
}

/// Types of access tokens, as `token_type` (RFC 6749 §7.1) and as servers write it.
const TOKEN_TYPES: [&str; 3] = ["bearer", "dpop", "access_token"];

/// `token_use`: Ory Hydra, AWS Cognito.
const TOKEN_USES: [&str; 2] = ["access_token", "access"];

/// `typ`, which some servers copy from the JWT: Keycloak (`Bearer`, against `ID`, `Refresh`, `Offline`), RFC 9068.
const TYPES: [&str; 6] = ["bearer", "dpop", "at+jwt", "application/at+jwt", "jwt", "access"];

/// Whether an answer broke off, or never was JSON: then it did not come from an introspection endpoint at work, and says
/// as little as none. One that is JSON and cannot be understood is an answer.
pub(super) fn is_broken(body: &Bytes) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_err()
}

impl Rules {
    /// Judges an answer. Whatever cannot be understood says nothing about the token, so it is an outage, not a refusal.
    ///
    /// `nbf`, `iat` and `exp` are judged by the protector on every request; here only what is over already is sorted
    /// out, so that it is not remembered as good.
    pub(super) fn judge(&self, body: &Bytes, now: Moment) -> Result<CurrentToken, Rejection> {
        let nonsense = |problem: String| Rejection::unavailable(format!("introspection answer: {problem}"));
        let answer = Object::parse(body).map_err(|error| nonsense(error.to_string()))?;
        // Some servers write `null` for what they leave out.
        let answer = answer.without_nulls();
        // RFC 7662 §2.2: `active` is "REQUIRED. Boolean indicator". Nothing else is either.
        match answer.get("active").map(|value| value.get()) {
            Some("true") => {}
            Some("false") => {
                return Err(Rejection::invalid_token(
                    Reason::Inactive,
                    "the authorization server says that the token is not active",
                ));
            }
            _ => return Err(nonsense("`active` is missing or not a boolean".to_owned())),
        }
        let mut claims = Claims::read(&answer, &self.token.names).map_err(|error| nonsense(error.to_string()))?;
        self.is_access_token(&answer, &claims)?;
        self.token.audience.judge(claims.audience.iter())?;
        if let Some(expected) = &self.issuer {
            let found = claims.issuer.get_or_insert_with(|| Text::from(expected.as_str()));
            let found = found.within(&answer);
            if found != expected {
                return Err(Rejection::invalid_token(
                    Reason::Issuer,
                    format!("expected `iss` {}, got {}", shown(expected), shown(found)),
                ));
            }
        }
        if self.expiry_required && claims.expires_at.is_none() {
            return Err(Rejection::invalid_token(Reason::Claim, "the answer has no `exp`"));
        }
        for expected in &self.token.expected {
            expected.judge(&answer)?;
        }
        let token = CurrentToken::new(claims, body.clone())
            .with_leeway(self.token.leeway)
            .answered_at(now.monotonic)
            .remembered_from(now);
        match token.judge_time(now) {
            Err(over) if over.reason() == Some(Reason::Expired) => Err(over),
            _ => Ok(token),
        }
    }

    fn is_access_token(&self, answer: &Object<'_>, claims: &Claims) -> Result<(), Rejection> {
        let wrong = |detail: String| Err(Rejection::invalid_token(Reason::Type, detail));
        if answer.len() == 1 {
            return wrong("an answer with nothing but `active` does not say that this is an access token".to_owned());
        }
        if let Some(sign) = foreign_claim(answer, &self.token.may_carry) {
            return wrong(format!(
                "the answer has `{sign}`, which is a sign of an ID token or an event"
            ));
        }
        for (name, accepted) in [
            ("token_type", TOKEN_TYPES.as_slice()),
            ("token_use", TOKEN_USES.as_slice()),
            ("typ", TYPES.as_slice()),
        ] {
            let value = answer
                .text(name)
                .map_err(|_| Rejection::unavailable(format!("introspection answer: `{name}` is not a string")))?
                .unwrap_or_default();
            if !value.is_empty() && !accepted.iter().any(|known| value.eq_ignore_ascii_case(known)) {
                return wrong(format!("`{name}` is {}, not that of an access token", shown(&value)));
            }
            if name == "token_type" && value.eq_ignore_ascii_case("dpop") && claims.confirmation.is_none() {
                return Err(Rejection::invalid_token(
                    Reason::Unbound,
                    "`token_type` is DPoP and there is no `cnf` to check a proof against",
                ));
            }
        }
        Ok(())
    }
}
