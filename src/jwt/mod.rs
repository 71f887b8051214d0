//! Access tokens that are JWTs, verified here (RFC 9068).
//!
//! ```text
//! token ── remembered.rs ──▶ known? ─────────────────── jwks.rs: do its keys still count? ──▶ CurrentToken
//!   │
//!   └ jws.rs ──▶ header ── rules.rs ──▶ acceptable? ── jwks.rs, key_set.rs ──▶ signature
//!                                                                                  │
//!                     CurrentToken ◀── rules.rs ── claims ◀── payload ◀────────────┘
//! ```

mod algorithm;
mod issuers;
mod jwks;
mod jws;
mod key_set;
mod keys;
mod known_headers;
mod known_set;
mod options;
mod quiet;
mod remembered;
mod rules;
mod sources;
mod tenants;

use std::fmt;

use aws_lc_rs::{constant_time, hmac};

pub use self::{
    algorithm::{Algorithm, HmacAlgorithm},
    rules::{AccessTokenMark, OptionalClaim},
    tenants::Tenants,
};
use self::{
    jwks::{Lookup, RemoteKeys, Standing},
    jws::Jws,
    key_set::{Candidates, KeySet},
    keys::VerifyingKey,
    known_headers::KnownHeaders,
    remembered::Remembered,
    rules::Rules,
};
use crate::{
    clock::Moment,
    meter::{self, How},
    peek,
    rejection::{Reason, Rejection, RejectionKind},
    token::CurrentToken,
    validate::{About, Presented, TokenValidator},
};

/// Verifies JWT access tokens of one issuer.
///
/// By default exactly what RFC 9068 describes is accepted: `typ` is `at+jwt`, the signature is by a key of the issuer,
/// `iss` and `aud` are the expected ones, `exp`, `iat`, `sub`, `client_id` and `jti` are there, and clocks differ by no
/// more than 10 s. Real issuers deviate; each rule that they break has a method that relaxes it for this validator, and
/// says what that costs.
///
/// Keys are fetched when the first token comes, in a task of their own; nothing is fetched while a validator is built.
///
/// Tokens that were verified are [remembered](Self::capacity): that a key of the issuer signed them, and what they say.
/// Times, audience and requirement are judged on every request all the same. When a key leaves the issuer's set, what it
/// has verified is forgotten at once, and nothing else is.
///
/// ```
/// use resource_protector::{AccessTokenMark, JwtValidator, OptionalClaim};
///
/// # fn main() -> Result<(), resource_protector::SetupError> {
/// // RFC 9068, keys by discovery
/// let strict = JwtValidator::discover("https://auth.example.com", "https://api.example.com")?;
///
/// // Keycloak, with an audience mapper for the API
/// let keycloak = JwtValidator::discover("https://id.example.com/realms/shop", "https://api.example.com")?
///     .accept_types(["JWT"], AccessTokenMark::claim("typ", ["Bearer"]))?
///     .client_id_claim("azp")?;
///
/// // Cognito, whose tokens name the client and no audience
/// let issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc";
/// let cognito = JwtValidator::discover(issuer, ["client-a", "client-b"])?
///     .accept_types([""], AccessTokenMark::claim("token_use", ["access"]))?
///     .audience_claim("client_id")?
///     .optional_claims([OptionalClaim::JwtId]);
/// # Ok(())
/// # }
/// ```
pub struct JwtValidator {
    rules: Rules,
    keys: Keys,
    remembered: Remembered,
    headers: KnownHeaders,
}

enum Keys {
    Fixed(KeySet),
    Remote(RemoteKeys),
    Secret(HmacAlgorithm, Box<hmac::Key>),
}

/// The way of one token.
impl JwtValidator {
    /// The one algorithm that the token names and this validator accepts.
    fn algorithm(&self, jws: &Jws<'_>) -> Result<Algorithm, Rejection> {
        let algorithm = Algorithm::named(&jws.header.alg);
        algorithm
            .filter(|algorithm| self.rules.algorithms.contains(algorithm))
            .ok_or_else(|| jws.header.refused_algorithm())
    }

    /// What is known about the token, if its keys still count.
    fn recall<'a>(&self, presented: &Presented<'_>) -> Option<Result<Judged<'a>, Rejection>> {
        let known = self.remembered.recall(&presented.digest()?)?;
        if let Keys::Remote(remote) = &self.keys {
            match remote.standing(presented.now()) {
                Standing::Good => {}
                Standing::Wait => return None,
                Standing::Refused(rejection) => return Some(Err(rejection)),
            }
        }
        Some(known.and_then(|token| {
            self.rules.token.audience.judge(token.audience())?;
            Ok(Judged::Good(token))
        }))
    }

    /// Judges the claims of a token whose signature is good, and remembers what came out.
    fn conclude(
        &self,
        jws: &Jws<'_>,
        presented: &Presented<'_>,
        key: Option<&VerifyingKey>,
    ) -> Result<CurrentToken, Rejection> {
        meter::token(How::Verified);
        let issuer_of_key = key.and_then(VerifyingKey::issuer);
        let grounds = key.map(|key| key.grounds().clone());
        let answer = self.rules.judge_claims(&jws.header, jws.payload()?, issuer_of_key);
        let answer = answer.map(|token| {
            let token = token.remembered_from(presented.now());
            match &grounds {
                Some(grounds) => token.resting_on(grounds.clone()),
                None => token,
            }
        });
        self.headers.remember(jws);
        if let Some(digest) = presented.digest() {
            self.remembered.remember(digest, &answer, grounds, presented.now());
        }
        answer
    }

    fn verify(
        &self,
        jws: &Jws<'_>,
        presented: &Presented<'_>,
        algorithm: Algorithm,
        keys: &KeySet,
    ) -> Result<CurrentToken, Rejection> {
        let which = match keys.candidates(jws.header.kid.as_deref(), algorithm) {
            Candidates::Keys(which) => which,
            Candidates::OtherFamily => return Err(jws.header.refused_algorithm()),
            Candidates::Unknown => {
                return Err(Rejection::invalid_token(
                    Reason::UnknownKey,
                    "no key goes with the token",
                ));
            }
        };
        let signed_by = |key: &&VerifyingKey| key.verify(algorithm, jws.signed.as_bytes(), &jws.signature);
        let key = keys
            .fitting(which, algorithm)
            .find(signed_by)
            .ok_or_else(wrong_signature)?;
        // The set may have been replaced since this one was looked up.
        if key.grounds().are_withdrawn() {
            return Err(Rejection::invalid_token(
                Reason::UnknownKey,
                "the key was withdrawn just now",
            ));
        }
        self.conclude(jws, presented, Some(key))
    }

    fn verify_mac(
        &self,
        jws: &Jws<'_>,
        presented: &Presented<'_>,
        algorithm: HmacAlgorithm,
        key: &hmac::Key,
    ) -> Result<CurrentToken, Rejection> {
        if jws.header.alg != algorithm.name() {
            return Err(jws.header.refused_algorithm());
        }
        let expected = hmac::sign(key, jws.signed.as_bytes());
        constant_time::verify_slices_are_equal(expected.as_ref(), &jws.signature).map_err(|_| wrong_signature())?;
        self.conclude(jws, presented, None)
    }

    /// Judges the token, unless its key has to be fetched.
    fn judge<'a>(&'a self, presented: &Presented<'a>) -> Result<Judged<'a>, Rejection> {
        Jws::expect_if_short(presented.token())?;
        let presented = &presented.named();
        if let Some(known) = self.recall(presented) {
            meter::token(How::Remembered);
            return known;
        }
        let jws = Jws::parse(presented.token(), &self.headers)?;
        self.rules.judge_header(&jws.header)?;
        match &self.keys {
            Keys::Secret(algorithm, key) => self.verify_mac(&jws, presented, *algorithm, key).map(Judged::Good),
            Keys::Fixed(keys) => self
                .verify(&jws, presented, self.algorithm(&jws)?, keys)
                .map(Judged::Good),
            Keys::Remote(remote) => self.judge_with(remote, jws, presented),
        }
    }

    fn judge_with<'a>(
        &'a self,
        remote: &'a RemoteKeys,
        jws: Jws<'a>,
        presented: &Presented<'a>,
    ) -> Result<Judged<'a>, Rejection> {
        let algorithm = self.algorithm(&jws)?;
        let (kid, now) = (jws.header.kid.as_deref(), presented.now());
        let lookup = remote.look(kid, algorithm, now);
        let lookup = match lookup {
            Lookup::Keys(keys) => {
                let verdict = self.verify(&jws, presented, algorithm, &keys);
                let is_wrong_key = matches!(&verdict, Err(refusal) if refusal.reason() == Some(Reason::Signature));
                if !is_wrong_key || keys.has_named(kid, algorithm) || !remote.may_refetch(now) {
                    return verdict.map(Judged::Good);
                }
                Lookup::Wait
            }
            Lookup::Refused(rejection) if rejection.kind() == RejectionKind::InvalidToken => return Err(rejection),
            lookup => lookup,
        };
        // A token of another issuer is refused for that: it causes no fetch, and an outage of ours is not its affair.
        let issuer = peek::unverified_issuer(presented.token());
        if !issuer.is_some_and(|issuer| self.rules.issuers.include(&issuer)) {
            return Err(Rejection::invalid_token(
                Reason::Issuer,
                "the token names another issuer, or none",
            ));
        }
        match lookup {
            Lookup::Refused(rejection) => Err(rejection),
            Lookup::Keys(_) | Lookup::Wait => Ok(Judged::NeedsKeys { remote, jws, algorithm }),
        }
    }
}

/// How far a token was judged without waiting.
enum Judged<'a> {
    Good(CurrentToken),
    NeedsKeys {
        remote: &'a RemoteKeys,
        jws: Jws<'a>,
        algorithm: Algorithm,
    },
}

impl TokenValidator for JwtValidator {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        match self.judge(presented)? {
            Judged::Good(token) => Ok(token),
            Judged::NeedsKeys { remote, jws, algorithm } => {
                let keys = remote
                    .fetch(jws.header.kid.as_deref(), algorithm, presented.now())
                    .await?;
                self.verify(&jws, presented, algorithm, &keys)
            }
        }
    }

    /// Keys that are at hand stay so.
    async fn ready(&self, now: Moment) -> Result<(), Rejection> {
        match &self.keys {
            Keys::Remote(remote) => remote.ready(now).await,
            Keys::Fixed(_) | Keys::Secret(..) => Ok(()),
        }
    }

    fn about(&self) -> About<'_> {
        About::default().with_issuers(self.rules.issuers.names())
    }

    fn validate_now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>> {
        match self.judge(presented) {
            Ok(Judged::Good(token)) => Some(Ok(token)),
            Ok(Judged::NeedsKeys { .. }) => None,
            Err(rejection) => Some(Err(rejection)),
        }
    }
}

fn wrong_signature() -> Rejection {
    Rejection::invalid_token(Reason::Signature, "the signature does not verify")
}

impl fmt::Debug for JwtValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtValidator")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    #[test]
    fn a_set_that_was_replaced_meanwhile_verifies_nothing_by_a_withdrawn_key() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwks = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) }] }).to_string();
        let now = SystemClock.now();
        let seconds = |moment: SystemTime| moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({
            "iss": "https://auth.test", "aud": "https://api.test", "sub": "alice", "client_id": "app", "jti": "1",
            "iat": seconds(now.wall), "exp": seconds(now.wall + Duration::from_secs(300)),
        });
        let signed = format!(
            "{}.{}",
            encode(br#"{"alg":"ES256","typ":"at+jwt"}"#),
            encode(claims.to_string().as_bytes())
        );
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        let token = format!("{signed}.{}", encode(signature.as_ref()));
        let request = http::Request::new(()).into_parts().0;
        let presented = Presented::new(&token, &request, now);
        let validator = || JwtValidator::with_jwks("https://auth.test", &jwks, "https://api.test").unwrap();
        let good = validator();
        assert!(good.validate_now(&presented).unwrap().is_ok());
        // Remembered or not.
        for validator in [good, validator()] {
            let Keys::Fixed(set) = &validator.keys else {
                panic!("the keys are at hand")
            };
            let Candidates::Keys(which) = set.candidates(None, Algorithm::ES256) else {
                panic!("there is a key")
            };
            set.fitting(which, Algorithm::ES256)
                .for_each(|key| key.grounds().withdraw());
            let refusal = validator.validate_now(&presented).unwrap().unwrap_err();
            assert_eq!(refusal.reason(), Some(Reason::UnknownKey));
        }
    }
}
