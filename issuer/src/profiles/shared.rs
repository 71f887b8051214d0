//! What all services know that make and check tokens with one secret.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use resource_protector::{
    AccessTokenMark, Audience, Clock, CurrentToken, CutOff, HmacAlgorithm, JwtValidator, OptionalClaim,
    RevocationTerms, RevokedBy, SetupError, SystemClock,
};
use serde_json::{Map, Value, json};

use crate::random;
use crate::setup::within;
use crate::tokens::{TokenError, TokenErrorKind};

/// The longest life of a token.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The secret, and what both sides have to have set alike.
#[derive(Clone)]
pub(super) struct Shared {
    secret: Arc<[u8]>,
    algorithm: HmacAlgorithm,
    mac: hmac::Algorithm,
    /// Whose tokens those are taken for that name no issuer. It stays when one is introduced, so that what was revoked before
    /// stays revoked.
    assumed_issuer: &'static str,
    issuer: Option<String>,
    /// Whether tokens may name no issuer.
    may_lack_issuer: bool,
    audience: Vec<String>,
    leeway: Duration,
    pub(super) access_token_lifetime: Duration,
    pub(super) refresh_token_lifetime: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

/// What a JWT of the issuer is recognized by.
pub(super) struct Kind<'a> {
    pub(super) claim: &'a str,
    pub(super) accepted: &'a [&'a str],
    /// Where the subject stands, unless in `sub` and as a string.
    pub(super) subject_claim: Option<&'a str>,
}

impl Shared {
    pub(super) fn new(
        secret: &[u8],
        assumed_issuer: &'static str,
        access_token_lifetime: Duration,
        refresh_token_lifetime: Duration,
    ) -> Result<Self, SetupError> {
        let shared = Self {
            secret: secret.into(),
            algorithm: HmacAlgorithm::HS256,
            mac: hmac::HMAC_SHA256,
            assumed_issuer,
            issuer: None,
            may_lack_issuer: true,
            audience: Vec::new(),
            leeway: Duration::from_secs(10),
            access_token_lifetime,
            refresh_token_lifetime,
            clock: Arc::new(SystemClock),
        };
        shared.with_algorithm(HmacAlgorithm::HS256)
    }

    /// RFC 7518 §3.2: "A key of the same size as the hash output […] or larger MUST be used".
    pub(super) fn with_algorithm(mut self, algorithm: HmacAlgorithm) -> Result<Self, SetupError> {
        let mac = match algorithm {
            HmacAlgorithm::HS256 => hmac::HMAC_SHA256,
            HmacAlgorithm::HS384 => hmac::HMAC_SHA384,
            HmacAlgorithm::HS512 => hmac::HMAC_SHA512,
            other => {
                return Err(SetupError::new(
                    "algorithm",
                    format_args!("expected HS256, HS384 or HS512, got {}", other.name()),
                ));
            }
        };
        let needed = mac.digest_algorithm().output_len();
        if self.secret.len() < needed {
            return Err(SetupError::new(
                "secret",
                format_args!(
                    "expected at least {needed} bytes for {}, got {}: replace it in all services that share it",
                    algorithm.name(),
                    self.secret.len()
                ),
            ));
        }
        (self.algorithm, self.mac) = (algorithm, mac);
        Ok(self)
    }

    pub(super) fn set_issuer(&mut self, issuer: String, may_be_missing: bool) -> Result<(), SetupError> {
        if issuer.is_empty() {
            return Err(SetupError::new("issuer", "expected an issuer, got an empty string"));
        }
        (self.issuer, self.may_lack_issuer) = (Some(issuer), may_be_missing);
        Ok(())
    }

    pub(super) fn set_audience(&mut self, audience: Vec<String>) -> Result<(), SetupError> {
        if audience.is_empty() || audience.iter().any(|one| one.trim().is_empty()) {
            return Err(SetupError::new("audience", "expected an audience, got a blank one"));
        }
        self.audience = audience;
        Ok(())
    }

    pub(super) fn set_leeway(&mut self, leeway: Duration) -> Result<(), SetupError> {
        if leeway > Duration::from_secs(300) {
            let got = leeway.as_secs_f64();
            return Err(SetupError::new(
                "leeway",
                format_args!("expected 300 s at the most, got {got} s"),
            ));
        }
        self.leeway = leeway;
        Ok(())
    }

    /// Who issues the tokens: as they say, or as is assumed.
    fn issuer_name(&self) -> &str {
        self.issuer.as_deref().unwrap_or(self.assumed_issuer)
    }

    pub(super) fn terms(&self, by: &[RevokedBy], longest_lifetime: Duration) -> Result<RevocationTerms, SetupError> {
        RevocationTerms::new(by.iter().copied(), longest_lifetime)?.assume_issuer(self.assumed_issuer)
    }

    pub(super) fn cut_off(&self, token: &CurrentToken) -> Option<CutOff> {
        let issuer = token.issuer().unwrap_or(self.assumed_issuer);
        let cut_off = CutOff::token(issuer, token.jwt_id()?);
        Some(match token.expires_at() {
            Some(exp) => cut_off.until(exp),
            None => cut_off,
        })
    }

    /// One for each name that the subject's tokens may be under.
    pub(super) fn cut_offs_of(&self, subject: &str, issued_before: SystemTime) -> Vec<CutOff> {
        let assumed = self.may_lack_issuer.then_some(self.assumed_issuer);
        let names = self.issuer.as_deref().into_iter().chain(assumed);
        names
            .map(|name| CutOff::subject(name, subject, issued_before))
            .collect()
    }

    pub(super) fn validator(&self, kind: &Kind<'_>) -> Result<JwtValidator, SetupError> {
        let audience = match self.audience.is_empty() {
            false => Audience::from(self.audience.clone()),
            true => Audience::dangerous_only_tokens_that_name_none(),
        };
        let mark = AccessTokenMark::claim(kind.claim, kind.accepted.iter().copied());
        let mut validator =
            JwtValidator::with_shared_secret(self.issuer_name(), self.algorithm, &self.secret, audience)?
                .accept_types(["JWT"], mark)?
                .without_at_jwt()?
                .optional_claims([OptionalClaim::ClientId])
                .leeway(self.leeway)?;
        if self.may_lack_issuer {
            validator = validator.accept_tokens_without_issuer_by_a_secret_that_signs_nothing_else()?;
        }
        match kind.subject_claim {
            None => Ok(validator),
            Some(claim) => validator.subject_claim(claim),
        }
    }

    /// Adds what the issuer says of itself, and signs.
    pub(super) fn sign(&self, mut claims: Map<String, Value>) -> Result<String, TokenError> {
        if let Some(issuer) = &self.issuer {
            claims.insert("iss".to_owned(), issuer.as_str().into());
        }
        match self.audience.as_slice() {
            [] => {}
            [one] => drop(claims.insert("aud".to_owned(), one.as_str().into())),
            several => drop(claims.insert("aud".to_owned(), several.into())),
        }
        let header = json!({ "alg": self.algorithm.name(), "typ": "JWT" });
        let mut jws = URL_SAFE_NO_PAD.encode(header.to_string());
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(Value::Object(claims).to_string(), &mut jws);
        let key = hmac::Key::new(self.mac, &self.secret);
        let signature = hmac::sign(&key, jws.as_bytes());
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut jws);
        Ok(jws)
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.now().wall
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("algorithm", &self.algorithm)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Checks how long tokens are to be good for.
pub(super) fn checked_lifetime(option: &'static str, life: Duration) -> Result<Duration, SetupError> {
    within(option, life, Duration::from_secs(1)..=LONGEST)
}

/// Checks the name of a claim.
pub(super) fn checked_claim(option: &'static str, name: String) -> Result<String, SetupError> {
    if name.is_empty() {
        return Err(SetupError::new(
            option,
            "expected the name of a claim, got an empty string",
        ));
    }
    Ok(name)
}

/// A moment as claims have it: in whole seconds since 1970, rounded down.
pub(super) fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// When a token is over that is issued now, in whole seconds.
pub(super) fn end(now: SystemTime, life: Duration) -> Result<SystemTime, TokenError> {
    let end = UNIX_EPOCH.checked_add(Duration::from_secs(seconds(now)));
    end.and_then(|now| now.checked_add(life)).ok_or_else(|| {
        TokenError::new(
            TokenErrorKind::Unusable,
            "the clock shows no time that can be reckoned with",
        )
    })
}

/// A random identifier (RFC 9562 §5.4).
pub(super) fn uuid() -> Result<String, TokenError> {
    let bytes = random::bytes::<16>()?;
    let random = u128::from_be_bytes(bytes);
    // Version 4, variant 10.
    let uuid = (random & !(0xf << 76) & !(0b11 << 62)) | (4 << 76) | (0b10 << 62);
    let digits = format!("{uuid:032x}");
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    Ok(groups.map(|group| digits.get(group).unwrap_or_default()).join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_random_and_of_version_4() {
        let (one, other) = (uuid().unwrap(), uuid().unwrap());
        assert_ne!(one, other);
        for uuid in [one, other] {
            let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12]);
            assert_eq!(uuid.as_bytes()[14], b'4');
            assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        }
    }
}
