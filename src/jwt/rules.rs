//! The rules of RFC 9068, and the named ways to relax them.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;

use super::{algorithm::Algorithm, issuers::Issuers, jws::Header};
use crate::{
    audience::Audience,
    claims::{Claims, foreign_claim, matches_any},
    error::{SetupError, shown},
    json::Object,
    rejection::{Reason, Rejection},
    token::CurrentToken,
    token_rules::TokenRules,
};

/// Types of JWTs that are something else than access tokens, whatever an issuer's access tokens are called.
const NEVER_ACCESS_TOKENS: [&str; 15] = [
    "logout+jwt",
    "secevent+jwt",
    "dpop+jwt",
    "statuslist+jwt",
    "token-introspection+jwt",
    "id_token+jwt",
    "oauth-authz-req+jwt",
    "oauth-id-jag+jwt",
    "client-authentication+jwt",
    "entity-statement+jwt",
    "trust-mark+jwt",
    "kb+jwt",
    "vc+jwt",
    "dc+sd-jwt",
    "rt+jwt",
];

/// What tells an issuer's access tokens from its other JWTs, where the header's `typ` does not.
///
/// Given together with the types that are accepted instead of `at+jwt`, so that no ID token slips through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTokenMark(Mark);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    Value { claim: String, accepted: Vec<String> },
    Presence(Vec<String>),
}

impl AccessTokenMark {
    /// Access tokens have this claim with one of these values, and no other JWT of the issuer has: `token_use` =
    /// `access` at Cognito, `typ` = `Bearer` in the payload at Keycloak. The claim may be `sub` where its values are
    /// those of workloads, to whom nothing else is issued: service accounts of Kubernetes.
    pub fn claim<I>(claim: impl Into<String>, accepted: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self(Mark::Value {
            claim: claim.into(),
            accepted: accepted.into_iter().map(Into::into).collect(),
        })
    }

    /// Access tokens have at least one of these claims, and no other JWT of the issuer has any: `scp` at Okta and, in
    /// tokens of users, at Entra ID. Roles and groups are no marks: issuers put them into ID tokens, too.
    pub fn any_claim_of<I>(claims: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self(Mark::Presence(claims.into_iter().map(Into::into).collect()))
    }

    pub(crate) fn check(&self) -> Result<(), SetupError> {
        // Every JWT of an issuer has these, so that they tell nothing apart.
        const EVERYWHERE: [&str; 7] = ["iss", "aud", "exp", "iat", "nbf", "sub", "jti"];
        let everywhere = |name: &str| name.is_empty() || EVERYWHERE.contains(&name);
        let (names, is_mark) = match &self.0 {
            Mark::Value { claim, accepted } => {
                if accepted.is_empty() {
                    return Err(SetupError::new(
                        "accept_types",
                        format_args!("expected values that {} may have, got none", shown(claim)),
                    ));
                }
                (std::slice::from_ref(claim), claim == "sub" || !everywhere(claim))
            }
            Mark::Presence(claims) => (
                claims.as_slice(),
                !claims.is_empty() && !claims.iter().any(|name| everywhere(name)),
            ),
        };
        if is_mark {
            return Ok(());
        }
        Err(SetupError::new(
            "accept_types",
            format_args!("expected a claim that only access tokens have, got {names:?}"),
        ))
    }

    fn is_on(&self, claims: &Object<'_>) -> bool {
        match &self.0 {
            Mark::Value { claim, accepted } => claims.get(claim).is_some_and(|value| matches_any(value, accepted)),
            Mark::Presence(names) => names.iter().any(|name| claims.has(name)),
        }
    }
}

/// A claim of RFC 9068 §2.2 that some issuers leave out. `iss`, `exp` and `aud` are not among them.
///
/// It is deserialized from the claim's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[non_exhaustive]
pub enum OptionalClaim {
    /// `sub`. Without it a token stands for nobody in particular.
    #[serde(rename = "sub")]
    Subject,
    /// `client_id`. Without it nothing can be revoked by client, and a client's token looks like a user's.
    #[serde(rename = "client_id")]
    ClientId,
    /// `iat`. Without it nothing can be revoked by the time of issue.
    #[serde(rename = "iat")]
    IssuedAt,
    /// `jti`. Without it a single token cannot be revoked by its identifier.
    #[serde(rename = "jti")]
    JwtId,
}

/// What makes a JWT an access token for this resource server.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(super) issuers: Issuers,
    pub(super) token: TokenRules,
    pub(crate) algorithms: Vec<Algorithm>,
    /// Whether `at+jwt` is accepted, as RFC 9068 §4 has it.
    at_jwt: bool,
    /// Beside `at+jwt`; the empty string stands for no `typ`.
    types: Vec<(String, AccessTokenMark)>,
    pub(crate) optional: Vec<OptionalClaim>,
}

impl Rules {
    pub(super) fn new(issuers: Issuers, audience: Audience) -> Result<Self, SetupError> {
        Ok(Self {
            issuers,
            token: TokenRules::new(audience)?,
            algorithms: Algorithm::ALL.to_vec(),
            at_jwt: true,
            types: Vec::new(),
            optional: Vec::new(),
        })
    }

    pub(crate) fn accept_types<I>(&mut self, types: I, mark: &AccessTokenMark) -> Result<(), SetupError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        mark.check()?;
        for typ in types {
            let typ = media_type(typ.as_ref());
            if NEVER_ACCESS_TOKENS.contains(&&*typ) {
                return Err(SetupError::new(
                    "accept_types",
                    format_args!("{} is the type of another kind of JWT and never accepted", shown(&typ)),
                ));
            }
            self.types.push((typ.into_owned(), mark.clone()));
        }
        Ok(())
    }

    pub(crate) fn refuse_at_jwt(&mut self) -> Result<(), SetupError> {
        if self.types.is_empty() {
            return Err(SetupError::new(
                "without_at_jwt",
                "expected another type to be accepted before, by `accept_types`, or else no token is",
            ));
        }
        self.at_jwt = false;
        Ok(())
    }

    /// What can be said before the signature is verified: the type is an acceptable one.
    pub(crate) fn judge_header(&self, header: &Header) -> Result<(), Rejection> {
        let typ = header.typ.as_deref().map(media_type).unwrap_or_default();
        if (self.at_jwt && typ == "at+jwt") || self.types.iter().any(|(accepted, _)| *accepted == typ) {
            return Ok(());
        }
        Err(Rejection::invalid_token(
            Reason::Type,
            format!("expected one of the `typ` that are accepted, got {}", shown(&typ)),
        ))
    }

    /// Everything about the claims but time, which the protector judges on every request.
    pub(crate) fn judge_claims(
        &self,
        header: &Header,
        payload: Vec<u8>,
        issuer_of_key: Option<&str>,
    ) -> Result<CurrentToken, Rejection> {
        let object = Object::parse(&payload)
            .map_err(|error| Rejection::invalid_token(Reason::Format, format!("its payload is {error}")))?;
        let claims = Claims::read(&object, &self.token.names)
            .map_err(|error| Rejection::invalid_token(Reason::Claim, error.to_string()))?;
        let issuer = claims.issuer.as_ref().map(|issuer| issuer.within(&object));
        self.issuers.judge(issuer, &object, issuer_of_key)?;
        self.token.audience.judge(claims.audience.iter())?;
        self.judge_kind(header, &object)?;
        self.judge_presence(&claims)?;
        for expected in &self.token.expected {
            expected.judge(&object)?;
        }
        Ok(CurrentToken::new(claims, Bytes::from(payload.into_boxed_slice())).with_leeway(self.token.leeway))
    }

    /// Where the type does not say that this is an access token, a mark has to, and nothing may speak against it.
    fn judge_kind(&self, header: &Header, claims: &Object<'_>) -> Result<(), Rejection> {
        let typ = header.typ.as_deref().map(media_type).unwrap_or_default();
        if typ == "at+jwt" {
            return Ok(());
        }
        let mut marks = self.types.iter().filter(|(accepted, _)| *accepted == typ);
        if !marks.any(|(_, mark)| mark.is_on(claims)) {
            return Err(Rejection::invalid_token(
                Reason::Type,
                "it lacks the mark of the issuer's access tokens",
            ));
        }
        match foreign_claim(claims, &self.token.may_carry) {
            None => Ok(()),
            Some(name) => Err(Rejection::invalid_token(
                Reason::Type,
                format!("`{name}` is a claim of ID tokens or logout tokens"),
            )),
        }
    }

    fn judge_presence(&self, claims: &Claims) -> Result<(), Rejection> {
        let missing = [
            ("exp", claims.expires_at.is_none(), None),
            ("iat", claims.issued_at.is_none(), Some(OptionalClaim::IssuedAt)),
            (
                self.token.names.subject_instead.as_deref().unwrap_or("sub"),
                claims.subject.is_none(),
                Some(OptionalClaim::Subject),
            ),
            ("client_id", claims.client_id.is_none(), Some(OptionalClaim::ClientId)),
            ("jti", claims.jwt_id.is_none(), Some(OptionalClaim::JwtId)),
        ];
        for (name, is_missing, optional) in missing {
            if is_missing && !optional.is_some_and(|claim| self.optional.contains(&claim)) {
                return Err(Rejection::invalid_token(
                    Reason::Claim,
                    format!("the claim `{name}` is missing"),
                ));
            }
        }
        Ok(())
    }
}

/// A media type without regard to case, `application/` left out where nothing else is a slash (RFC 7515 §4.1.9).
fn media_type(typ: &str) -> Cow<'_, str> {
    const APPLICATION: &str = "application/";
    let rest = match typ.split_at_checked(APPLICATION.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(APPLICATION) && !rest.contains('/') => rest,
        _ => typ,
    };
    if rest.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Owned(rest.to_ascii_lowercase());
    }
    Cow::Borrowed(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_compared_without_case_and_application() {
        for same in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            assert_eq!(media_type(same), "at+jwt");
        }
        assert_ne!(media_type("application/x/at+jwt"), "at+jwt");
        assert_ne!(media_type("text/at+jwt"), "at+jwt");
    }

    #[test]
    fn a_mark_that_every_jwt_has_is_refused_when_a_validator_is_built() {
        let mut rules = Rules::new(Issuers::one("https://a").unwrap(), Audience::from("x")).unwrap();
        for mark in [
            AccessTokenMark::any_claim_of(["sub"]),
            AccessTokenMark::any_claim_of([""; 0]),
            AccessTokenMark::claim("token_use", [""; 0]),
            AccessTokenMark::claim("sub", [""; 0]),
            AccessTokenMark::claim("aud", ["x"]),
        ] {
            assert!(rules.accept_types(["JWT"], &mark).is_err(), "{mark:?}");
        }
        let workload = AccessTokenMark::claim("sub", ["system:serviceaccount:shop:orders"]);
        assert!(rules.accept_types([""], &workload).is_ok());
    }

    #[test]
    fn types_of_other_jwts_cannot_be_accepted() {
        let mark = AccessTokenMark::claim("token_use", ["access"]);
        for typ in NEVER_ACCESS_TOKENS {
            let mut rules = Rules::new(Issuers::one("https://a").unwrap(), Audience::from("x")).unwrap();
            assert!(rules.accept_types([typ.to_uppercase()], &mark).is_err(), "{typ}");
            assert!(
                rules.accept_types([format!("application/{typ}")], &mark).is_err(),
                "{typ}"
            );
        }
    }
}
