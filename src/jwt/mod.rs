//! Access tokens that are JWTs, verified here (RFC 9068).
//!
//! ```text
//! token ── jws.rs ──▶ header ── rules.rs ──▶ acceptable? ── jwks.rs, keys.rs ──▶ signature
//!                                                                                  │
//!                     CurrentToken ◀── rules.rs ── claims ◀── payload ◀────────────┘
//! ```

mod algorithm;
mod issuers;
mod jwks;
mod jws;
mod keys;
mod options;
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
    jwks::{Lookup, RemoteKeys},
    jws::Jws,
    keys::{Candidates, KeySet, VerifyingKey},
    rules::Rules,
};
use crate::{
    peek,
    rejection::{Reason, Rejection},
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

    fn verify(&self, jws: &Jws<'_>, algorithm: Algorithm, keys: &KeySet) -> Result<CurrentToken, Rejection> {
        let candidates = match keys.candidates(jws.header.kid.as_deref(), algorithm) {
            Candidates::Keys { keys, .. } => keys,
            Candidates::OtherFamily => return Err(jws.header.refused_algorithm()),
            Candidates::Unknown => {
                return Err(Rejection::invalid_token(
                    Reason::UnknownKey,
                    "no key goes with the token",
                ));
            }
        };
        let signed_by = |key: &&&VerifyingKey| key.verify(algorithm, jws.signed.as_bytes(), &jws.signature);
        let key = candidates.iter().find(signed_by).ok_or_else(wrong_signature)?;
        self.rules.judge_claims(&jws.header, jws.payload()?, key.issuer())
    }

    fn verify_mac(&self, jws: &Jws<'_>, algorithm: HmacAlgorithm, key: &hmac::Key) -> Result<CurrentToken, Rejection> {
        if jws.header.alg != algorithm.name() {
            return Err(jws.header.refused_algorithm());
        }
        let expected = hmac::sign(key, jws.signed.as_bytes());
        constant_time::verify_slices_are_equal(expected.as_ref(), &jws.signature).map_err(|_| wrong_signature())?;
        self.rules.judge_claims(&jws.header, jws.payload()?, None)
    }

    /// Judges the token, unless its key has to be fetched.
    fn judge<'a>(&'a self, presented: &Presented<'a>) -> Result<Judged<'a>, Rejection> {
        let jws = Jws::parse(presented.token())?;
        self.rules.judge_header(&jws.header)?;
        match &self.keys {
            Keys::Secret(algorithm, key) => self.verify_mac(&jws, *algorithm, key).map(Judged::Good),
            Keys::Fixed(keys) => self.verify(&jws, self.algorithm(&jws)?, keys).map(Judged::Good),
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
        if let Lookup::Keys(keys) = &lookup {
            let verdict = self.verify(&jws, algorithm, keys);
            let is_wrong_key = matches!(&verdict, Err(refusal) if refusal.reason() == Some(Reason::Signature));
            if !is_wrong_key || keys.has_named(kid, algorithm) || !remote.may_refetch(now) {
                return verdict.map(Judged::Good);
            }
        }
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
                self.verify(&jws, algorithm, &keys)
            }
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
