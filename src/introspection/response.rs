//! What the authorization server says about a token (RFC 7662 §2.2), judged.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    claims::{ClaimNames, Claims},
    clock::Moment,
    error::shown,
    json::Object,
    rejection::{Reason, Rejection},
    token::CurrentToken,
};

/// What an answer must say for its token to be let in.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// `None` only by [`dangerous_accept_tokens_meant_for_any_audience`](super::IntrospectionValidator::dangerous_accept_tokens_meant_for_any_audience).
    pub(super) audience: Option<Vec<String>>,
    pub(super) issuer: Option<String>,
    pub(super) names: ClaimNames,
    pub(super) leeway: Duration,
    pub(super) may_carry: Vec<String>,
}

/// What ID tokens (OpenID Connect Core 1.0 §2, §3.3.2.11) and logout or security event tokens (RFC 8417 §2.2) have, and
/// access tokens have not. A server may call any of its tokens active; whoever holds an ID token is not thereby let in.
const SIGNS_OF_OTHER_TOKENS: [&str; 4] = ["nonce", "at_hash", "c_hash", "events"];

/// Types of access tokens, as `token_type` (RFC 6749 §7.1) and as servers write it.
const TOKEN_TYPES: [&str; 3] = ["bearer", "dpop", "access_token"];

/// `token_use`: Ory Hydra, AWS Cognito.
const TOKEN_USES: [&str; 2] = ["access_token", "access"];

/// `typ`, which some servers copy from the JWT: Keycloak (`Bearer`, against `ID`, `Refresh`, `Offline`), RFC 9068.
const TYPES: [&str; 6] = ["bearer", "dpop", "at+jwt", "application/at+jwt", "jwt", "access"];

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
        let mut claims = Claims::read(&answer, &self.names).map_err(|error| nonsense(error.to_string()))?;
        self.is_access_token(&answer, &claims)?;
        self.is_for_us(&claims)?;
        if let Some(expected) = &self.issuer {
            let found = claims.issuer.get_or_insert_with(|| expected.clone());
            if found != expected {
                return Err(Rejection::invalid_token(
                    Reason::Issuer,
                    format!("expected `iss` {}, got {}", shown(expected), shown(found)),
                ));
            }
        }
        let token = CurrentToken::new(claims, body.clone())
            .with_leeway(self.leeway)
            .answered_at(now.monotonic);
        match token.judge_time(now.wall) {
            Err(over) if over.reason() == Some(Reason::Expired) => Err(over),
            _ => Ok(token),
        }
    }

    fn is_access_token(&self, answer: &Object<'_>, claims: &Claims) -> Result<(), Rejection> {
        let wrong = |detail: String| Err(Rejection::invalid_token(Reason::Type, detail));
        if answer.len() == 1 {
            return wrong("an answer with nothing but `active` does not say that this is an access token".to_owned());
        }
        for sign in SIGNS_OF_OTHER_TOKENS {
            if answer.has(sign) && !self.may_carry.iter().any(|allowed| allowed == sign) {
                return wrong(format!(
                    "the answer has `{sign}`, which is a sign of an ID token or an event"
                ));
            }
        }
        for (name, accepted) in [
            ("token_type", TOKEN_TYPES.as_slice()),
            ("token_use", TOKEN_USES.as_slice()),
            ("typ", TYPES.as_slice()),
        ] {
            let Some(value) = answer.get(name) else { continue };
            let value: String = serde_json::from_str(value.get())
                .map_err(|_| Rejection::unavailable(format!("introspection answer: `{name}` is not a string")))?;
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

    fn is_for_us(&self, claims: &Claims) -> Result<(), Rejection> {
        let Some(expected) = &self.audience else {
            return Ok(());
        };
        if claims.audience.iter().any(|found| expected.contains(found)) {
            return Ok(());
        }
        Err(Rejection::invalid_token(
            Reason::Audience,
            format!(
                "expected `{}` {}, got {}",
                self.names.audience,
                shown(&expected.join(" ")),
                shown(&claims.audience.join(" "))
            ),
        ))
    }
}
