//! What is special about a draft of a JWT: its header and its signature, and how they are spoiled.

use std::fmt;

use aws_lc_rs::hmac;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    draft::{Edits, TokenDraft, apply, to_json},
    key::{Algorithm, base64url, hmac_named},
};

/// The format of a token that anybody can read: a signed JWT.
#[derive(Clone)]
pub struct Jwt {
    /// Whether the introspection endpoint knows tokens like this one. It does not know ID tokens and logout tokens.
    access_token: bool,
    typ: &'static str,
    header: Edits,
    signature: Signature,
    header_bytes: Option<Vec<u8>>,
    payload_bytes: Option<Vec<u8>>,
}

#[derive(Clone)]
enum Signature {
    Good,
    By(&'static Algorithm),
    Strangers,
    Tampered,
    Missing,
    Hmac {
        secret: Vec<u8>,
        hash: hmac::Algorithm,
        name: &'static str,
    },
}

impl fmt::Debug for Jwt {
    /// Without what it is signed by.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("typ", &self.typ).finish_non_exhaustive()
    }
}

impl Jwt {
    pub(super) fn new(typ: &'static str, access_token: bool) -> Self {
        Self {
            access_token,
            typ,
            header: Vec::new(),
            signature: Signature::Good,
            header_bytes: None,
            payload_bytes: None,
        }
    }
}

impl TokenDraft<Jwt> {
    /// Sets a member of the JOSE header.
    ///
    /// # Panics
    ///
    /// When the value cannot be written as JSON.
    #[track_caller]
    pub fn header(mut self, name: &str, value: impl Serialize) -> Self {
        self.format.header.push((name.to_owned(), Some(to_json(value))));
        self
    }

    /// Leaves out a member of the JOSE header.
    pub fn without_header(mut self, name: &str) -> Self {
        self.format.header.push((name.to_owned(), None));
        self
    }

    /// Takes these bytes for the JOSE header, whatever they are: JSON with a member twice, no JSON at all. They are
    /// signed as usual.
    pub fn header_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.format.header_bytes = Some(bytes.into());
        self
    }

    /// Takes these bytes for the payload, in place of the claims. They are signed as usual; the introspection endpoint
    /// does not know the token.
    pub fn payload_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.format.payload_bytes = Some(bytes.into());
        self
    }

    /// Signs by another algorithm that the issuer's key would be good for, although it is not published for it:
    /// `PS256` with the key for `RS256`.
    ///
    /// A token has one signature: of this method and the four below, the one that is called last counts.
    ///
    /// # Panics
    ///
    /// When the name is not one of those in [`with_algorithm`](crate::testing::TestIssuer::with_algorithm).
    /// [`mint`](Self::mint) panics when the issuer's key cannot be used with it.
    #[track_caller]
    pub fn signed_as(mut self, algorithm: &str) -> Self {
        self.format.signature = Signature::By(Algorithm::named(algorithm));
        self
    }

    /// Signs with a key that is not the issuer's, under the `kid` of the issuer's key.
    pub fn signed_by_a_stranger(mut self) -> Self {
        self.format.signature = Signature::Strangers;
        self
    }

    /// Flips one bit of the signature.
    pub fn tampered(mut self) -> Self {
        self.format.signature = Signature::Tampered;
        self
    }

    /// Signs not at all: the algorithm `none` and an empty signature (RFC 7519 §6).
    pub fn unsigned(mut self) -> Self {
        self.format.signature = Signature::Missing;
        self
    }

    /// Signs with a shared secret by `HS256`, `HS384` or `HS512`. The `kid` stays: with the issuer's
    /// [`public_pem`](crate::testing::TestIssuer::public_pem) as the secret, this is the classic confusion of
    /// algorithms.
    ///
    /// # Panics
    ///
    /// When the algorithm is another one.
    #[track_caller]
    pub fn signed_with_secret(mut self, secret: impl AsRef<[u8]>, algorithm: &str) -> Self {
        let (hash, name) = hmac_named(algorithm);
        let secret = secret.as_ref().to_vec();
        self.format.signature = Signature::Hmac { secret, hash, name };
        self
    }

    /// The token. If it is an access token with the issuer's own signature, the introspection endpoint knows it from
    /// now on.
    ///
    /// # Panics
    ///
    /// When the issuer's key does not fit the algorithm of [`signed_as`](Self::signed_as).
    #[track_caller]
    pub fn mint(self) -> String {
        let Jwt { signature, .. } = &self.format;
        let key = self.issuer.signing_key();
        let algorithm = match signature {
            Signature::By(algorithm) => algorithm.name,
            Signature::Missing => "none",
            Signature::Hmac { name, .. } => name,
            Signature::Good | Signature::Strangers | Signature::Tampered => key.algorithm.name,
        };
        let mut header = Map::new();
        header.insert("alg".to_owned(), algorithm.into());
        header.insert("typ".to_owned(), self.format.typ.into());
        header.insert("kid".to_owned(), key.kid.as_str().into());
        apply(&self.format.header, &mut header);
        let claims = self.claims();
        let segment = |bytes: &Option<Vec<u8>>, object: &Map<String, Value>| match bytes {
            Some(bytes) => base64url(bytes),
            None => base64url(Value::Object(object.clone()).to_string().as_bytes()),
        };
        let header = segment(&self.format.header_bytes, &header);
        let payload = segment(&self.format.payload_bytes, &claims);
        let message = format!("{header}.{payload}");
        let signed = match signature {
            Signature::Good => key.sign(message.as_bytes(), key.algorithm),
            Signature::By(algorithm) => key.sign(message.as_bytes(), algorithm),
            Signature::Strangers => key.sign_as_a_stranger(message.as_bytes()),
            Signature::Tampered => {
                let mut signed = key.sign(message.as_bytes(), key.algorithm);
                let middle = signed.len() / 2;
                if let Some(byte) = signed.get_mut(middle) {
                    *byte ^= 1;
                }
                signed
            }
            Signature::Missing => Vec::new(),
            Signature::Hmac { secret, hash, .. } => {
                let key = hmac::Key::new(*hash, secret);
                hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
        };
        let token = format!("{message}.{}", base64url(&signed));
        let genuine = matches!(signature, Signature::Good | Signature::By(_));
        if self.format.access_token && genuine && self.format.payload_bytes.is_none() {
            self.issuer.remember(&token, claims);
        }
        token
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use jsonwebtoken::{
        Algorithm, DecodingKey, Validation, decode, decode_header,
        errors::{ErrorKind, Result},
        jwk::JwkSet,
    };
    use serde_json::{Map, Value, json};

    use crate::{
        clock::Clock,
        testing::{TestClock, TestIssuer},
    };

    const API: &str = "https://api.test";

    /// The judgment of an independent implementation, with the issuer's published keys.
    fn verify(issuer: &TestIssuer, token: &str) -> Result<Map<String, Value>> {
        let header = decode_header(token)?;
        let keys: JwkSet = serde_json::from_str(&issuer.jwks()).unwrap();
        let jwk = keys.find(&header.kid.unwrap()).expect("the key is published");
        let published_for = jwk.common.key_algorithm.unwrap().to_string();
        assert_eq!(published_for, format!("{:?}", header.alg));
        let mut validation = Validation::new(header.alg);
        validation.leeway = 0;
        validation.validate_nbf = true;
        validation.set_issuer(&[issuer.url()]);
        validation.set_audience(&[API]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        Ok(decode(token, &DecodingKey::from_jwk(jwk)?, &validation)?.claims)
    }

    fn header_of(token: &str) -> Value {
        let header = token.split('.').next().unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
    }

    #[test]
    fn a_token_is_good_by_default_whatever_the_algorithm() {
        for algorithm in [
            "ES256", "ES384", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA",
        ] {
            let issuer = TestIssuer::new("https://auth.test").with_algorithm(algorithm);
            let token = issuer.access_token(API).scope("profile email").mint();
            assert_eq!(
                header_of(&token),
                json!({ "alg": algorithm, "typ": "at+jwt", "kid": "key-2" })
            );
            let claims = verify(&issuer, &token).unwrap();
            for (claim, value) in [("sub", "alice"), ("client_id", "app"), ("scope", "profile email")] {
                assert_eq!(claims[claim], value, "{algorithm}");
            }
            assert_eq!(
                claims["exp"].as_i64(),
                claims["iat"].as_i64().map(|issued| issued + 300)
            );
            assert_eq!(claims["jti"].as_str().map(str::len), Some(22));
        }
    }

    /// `jsonwebtoken` has no ES512.
    #[test]
    fn a_token_signed_by_es512_is_good() {
        use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};

        let issuer = TestIssuer::new("https://auth.test").with_algorithm("ES512");
        let token = issuer.access_token(API).mint();
        let keys: Value = serde_json::from_str(&issuer.jwks()).unwrap();
        let jwk = &keys["keys"][0];
        assert_eq!((&jwk["crv"], &jwk["alg"]), (&json!("P-521"), &json!("ES512")));
        let mut point = vec![4];
        for coordinate in ["x", "y"] {
            let coordinate = URL_SAFE_NO_PAD.decode(jwk[coordinate].as_str().unwrap()).unwrap();
            assert_eq!(coordinate.len(), 66);
            point.extend(coordinate);
        }
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point)
            .verify(message.as_bytes(), &signature)
            .unwrap();
    }

    #[test]
    fn the_public_key_is_also_there_as_pem() {
        for (algorithm, parse) in [
            ("RS256", DecodingKey::from_rsa_pem as fn(&[u8]) -> _),
            ("ES256", DecodingKey::from_ec_pem),
            ("EdDSA", DecodingKey::from_ed_pem),
        ] {
            let issuer = TestIssuer::new("https://auth.test").with_algorithm(algorithm);
            let token = issuer.access_token(API).mint();
            let mut validation = Validation::new(algorithm.parse().unwrap());
            validation.set_audience(&[API]);
            let key = parse(issuer.public_pem().as_bytes()).unwrap();
            decode::<Value>(&token, &key, &validation).unwrap();
        }
    }

    #[test]
    fn each_way_to_spoil_a_token_spoils_that_and_nothing_else() {
        for algorithm in ["ES256", "RS256", "EdDSA"] {
            let issuer = TestIssuer::new("https://auth.test").with_algorithm(algorithm);
            let draft = || issuer.access_token(API);
            for (token, problem) in [
                (draft().expired().mint(), ErrorKind::ExpiredSignature),
                (draft().not_yet_valid().mint(), ErrorKind::ImmatureSignature),
                (draft().claim("aud", ["x"]).mint(), ErrorKind::InvalidAudience),
                (draft().claim("iss", "x").mint(), ErrorKind::InvalidIssuer),
                (
                    draft().without("sub").mint(),
                    ErrorKind::MissingRequiredClaim("sub".to_owned()),
                ),
                (draft().tampered().mint(), ErrorKind::InvalidSignature),
                (draft().signed_by_a_stranger().mint(), ErrorKind::InvalidSignature),
            ] {
                assert_eq!(*verify(&issuer, &token).unwrap_err().kind(), problem, "{algorithm}");
            }
        }
    }

    #[test]
    fn a_key_can_be_used_for_another_algorithm_than_its_own() {
        let issuer = TestIssuer::new("https://auth.test").with_algorithm("RS256");
        let token = issuer.access_token(API).signed_as("PS256").mint();
        let mut validation = Validation::new(Algorithm::PS256);
        validation.set_audience(&[API]);
        let key = DecodingKey::from_rsa_pem(issuer.public_pem().as_bytes()).unwrap();
        decode::<Value>(&token, &key, &validation).unwrap();
    }

    #[test]
    fn a_shared_secret_signs_under_the_same_key_id() {
        let issuer = TestIssuer::new("https://auth.test");
        for algorithm in ["HS256", "HS384", "HS512"] {
            let token = issuer.access_token(API).signed_with_secret(b"secret", algorithm).mint();
            assert_eq!(
                header_of(&token),
                json!({ "alg": algorithm, "typ": "at+jwt", "kid": "key-1" })
            );
            let mut validation = Validation::new(algorithm.parse().unwrap());
            validation.set_audience(&[API]);
            decode::<Value>(&token, &DecodingKey::from_secret(b"secret"), &validation).unwrap();
        }
    }

    #[test]
    fn an_unsigned_token_says_so_and_ends_with_a_dot() {
        let token = TestIssuer::new("https://auth.test").access_token(API).unsigned().mint();
        assert!(token.ends_with('.') && token.matches('.').count() == 2);
        assert_eq!(header_of(&token)["alg"], "none");
    }

    #[test]
    fn a_header_can_be_changed_left_out_and_replaced() {
        let issuer = TestIssuer::new("https://auth.test");
        let draft = issuer.access_token(API);
        let changed = draft.clone().header("crit", ["exp"]).without_header("kid").mint();
        assert_eq!(
            header_of(&changed),
            json!({ "alg": "ES256", "typ": "at+jwt", "crit": ["exp"] })
        );
        let twice = draft
            .header_bytes(r#"{"alg":"ES256","alg":"none"}"#)
            .payload_bytes([0xff]);
        assert!(twice.mint().starts_with("eyJhbGciOiJFUzI1NiIsImFsZyI6Im5vbmUifQ._w."));
    }

    #[test]
    fn after_a_rotation_both_keys_are_published_until_the_old_one_is_withdrawn() {
        let issuer = TestIssuer::new("https://auth.test");
        let old = issuer.access_token(API).mint();
        assert_eq!(issuer.rotate_key(), "key-2");
        assert_eq!(issuer.rotate_to("EdDSA"), "key-3");
        let new = issuer.access_token(API).mint();
        assert!(verify(&issuer, &old).is_ok());
        assert!(verify(&issuer, &new).is_ok());
        issuer.withdraw_old_keys();
        assert!(verify(&issuer, &new).is_ok());
        assert!(!issuer.jwks().contains("key-1") && !issuer.jwks().contains("key-2"));
    }

    #[test]
    fn an_odd_key_is_published_ahead_of_the_good_ones() {
        let issuer = TestIssuer::new("https://auth.test");
        issuer.publish_jwk(json!({ "kty": "LATTICE" }));
        let keys: Value = serde_json::from_str(&issuer.jwks()).unwrap();
        assert_eq!(keys["keys"][0], json!({ "kty": "LATTICE" }));
        assert_eq!(keys["keys"][1]["kid"], "key-1");
    }

    #[test]
    fn the_issuers_clock_dates_the_token() {
        let clock = TestClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
        let issuer = TestIssuer::new("https://auth.test").with_clock(clock.clone());
        let draft = issuer.access_token(API).lifetime(Duration::from_secs(10));
        let dates = |token: String| {
            let payload = jsonwebtoken::dangerous::insecure_decode_claims::<Value>(&token).unwrap();
            (payload["iat"].as_i64().unwrap(), payload["exp"].as_i64().unwrap())
        };
        assert_eq!(dates(draft.clone().mint()), (1_000_000, 1_000_010));
        assert_eq!(dates(draft.clone().not_yet_valid().mint()), (1_000_000, 1_000_010));
        clock.advance(Duration::from_secs(5));
        assert_eq!(dates(draft.clone().mint()), (1_000_005, 1_000_015));
        assert_eq!(dates(draft.clone().expired().mint()), (996_395, 996_405));
        let earlier = clock.now().wall - Duration::from_secs(1_000_105);
        assert_eq!(dates(draft.issued_at(earlier).mint()), (-100, -90));
    }

    #[test]
    fn tokens_minted_from_one_draft_have_different_ids() {
        let draft = TestIssuer::new("https://auth.test").access_token(API);
        let id = |token: &str| jsonwebtoken::dangerous::insecure_decode_claims::<Value>(token).unwrap()["jti"].clone();
        assert_ne!(id(&draft.clone().mint()), id(&draft.mint()));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let draft = TestIssuer::new("https://auth.test")
            .access_token(API)
            .signed_with_secret("hush", "HS256");
        assert!(!format!("{draft:?}").contains("hush"));
    }
}
