//! A key that signs, and what is published of it.

use std::{fmt::Debug, sync::OnceLock};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac, rand,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
        RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair, RsaSignatureEncoding,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// A signature algorithm and its name (RFC 7518 §3.1, RFC 8037 §3.1).
pub(super) struct Algorithm {
    pub(super) name: &'static str,
    scheme: Scheme,
}

enum Scheme {
    Rsa(&'static RsaSignatureEncoding),
    Ecdsa(&'static EcdsaSigningAlgorithm, &'static str),
    Ed25519,
}

static ALGORITHMS: [Algorithm; 10] = [
    Algorithm::new("ES256", Scheme::Ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256")),
    Algorithm::new("ES384", Scheme::Ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384")),
    Algorithm::new("ES512", Scheme::Ecdsa(&ECDSA_P521_SHA512_FIXED_SIGNING, "P-521")),
    Algorithm::new("RS256", Scheme::Rsa(&RSA_PKCS1_SHA256)),
    Algorithm::new("RS384", Scheme::Rsa(&RSA_PKCS1_SHA384)),
    Algorithm::new("RS512", Scheme::Rsa(&RSA_PKCS1_SHA512)),
    Algorithm::new("PS256", Scheme::Rsa(&RSA_PSS_SHA256)),
    Algorithm::new("PS384", Scheme::Rsa(&RSA_PSS_SHA384)),
    Algorithm::new("PS512", Scheme::Rsa(&RSA_PSS_SHA512)),
    Algorithm::new("EdDSA", Scheme::Ed25519),
];

impl Algorithm {
    const fn new(name: &'static str, scheme: Scheme) -> Self {
        Self { name, scheme }
    }

    #[track_caller]
    #[allow(clippy::panic, reason = "a documented panic at set-up")]
    pub(super) fn named(name: &str) -> &'static Self {
        match ALGORITHMS.iter().find(|algorithm| algorithm.name == name) {
            Some(algorithm) => algorithm,
            None => panic!(
                "expected one of {:?}, got {name:?}",
                ALGORITHMS.each_ref().map(|algorithm| algorithm.name)
            ),
        }
    }
}

/// A private key, with the name and the algorithm that it is published under.
pub(super) struct SigningKey {
    pub(super) kid: String,
    pub(super) algorithm: &'static Algorithm,
    pair: Pair,
    stranger: OnceLock<Pair>,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    pub(super) fn generate(kid: String, algorithm: &'static Algorithm) -> Self {
        Self {
            kid,
            algorithm,
            pair: Pair::generate(algorithm),
            stranger: OnceLock::new(),
        }
    }

    /// Signs by this key's algorithm, or by another one that it is good for.
    #[track_caller]
    pub(super) fn sign(&self, message: &[u8], algorithm: &Algorithm) -> Vec<u8> {
        self.pair.sign(message, algorithm)
    }

    /// Signs with a key of the same kind that nobody has published.
    pub(super) fn sign_as_a_stranger(&self, message: &[u8]) -> Vec<u8> {
        let stranger = self.stranger.get_or_init(|| Pair::generate(self.algorithm));
        stranger.sign(message, self.algorithm)
    }

    /// The public key as a JWK (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
    pub(super) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let key = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": base64url(key.modulus().big_endian_without_leading_zero()),
                    "e": base64url(key.exponent().big_endian_without_leading_zero()),
                })
            }
            Pair::Ecdsa(pair) => {
                // SEC 1 §2.3.3: the byte 4, then both coordinates in full length.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "x": base64url(x), "y": base64url(y) })
            }
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) })
            }
        };
        if let Some(members) = jwk.as_object_mut() {
            if let Scheme::Ecdsa(_, curve) = self.algorithm.scheme {
                members.insert("crv".to_owned(), curve.into());
            }
            members.insert("alg".to_owned(), self.algorithm.name.into());
            members.insert("use".to_owned(), "sig".into());
            members.insert("kid".to_owned(), self.kid.as_str().into());
        }
        jwk
    }

    /// The public key as `SubjectPublicKeyInfo` in PEM (RFC 7468 §13).
    pub(super) fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = done(match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::Ecdsa(pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
        });
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----");
        for (position, character) in STANDARD.encode(der.as_ref()).chars().enumerate() {
            if position % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END PUBLIC KEY-----\n");
        pem
    }
}

impl Pair {
    fn generate(algorithm: &Algorithm) -> Self {
        match algorithm.scheme {
            Scheme::Rsa(_) => Self::Rsa(done(RsaKeyPair::generate(KeySize::Rsa2048))),
            Scheme::Ecdsa(signing, _) => Self::Ecdsa(done(EcdsaKeyPair::generate(signing))),
            Scheme::Ed25519 => Self::Ed25519(done(Ed25519KeyPair::generate())),
        }
    }

    #[track_caller]
    #[allow(clippy::panic, reason = "a documented panic at set-up")]
    fn sign(&self, message: &[u8], algorithm: &Algorithm) -> Vec<u8> {
        let rng = rand::SystemRandom::new();
        match (self, &algorithm.scheme) {
            (Self::Rsa(pair), Scheme::Rsa(encoding)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                done(pair.sign(*encoding, &rng, message, &mut signature));
                signature
            }
            (Self::Ecdsa(pair), Scheme::Ecdsa(signing, _)) if pair.algorithm() == *signing => {
                done(pair.sign(&rng, message)).as_ref().to_vec()
            }
            (Self::Ed25519(pair), Scheme::Ed25519) => pair.sign(message).as_ref().to_vec(),
            _ => panic!("the issuer's key cannot sign by {}", algorithm.name),
        }
    }
}

/// The hash function of `HS256`, `HS384` or `HS512`, and that name for keeps.
#[track_caller]
#[allow(clippy::panic, reason = "a documented panic at set-up")]
pub(super) fn hmac_named(name: &str) -> (hmac::Algorithm, &'static str) {
    match name {
        "HS256" => (hmac::HMAC_SHA256, "HS256"),
        "HS384" => (hmac::HMAC_SHA384, "HS384"),
        "HS512" => (hmac::HMAC_SHA512, "HS512"),
        _ => panic!("expected HS256, HS384 or HS512, got {name:?}"),
    }
}

/// A name that nothing else has: `BYTES` random bytes, written in base64url.
pub(super) fn random_name<const BYTES: usize>() -> String {
    let mut name = [0; BYTES];
    done(rand::fill(&mut name));
    base64url(&name)
}

pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The crypto library fails here only without memory or random bytes; no test can go on then.
#[allow(clippy::expect_used, reason = "not in the hands of the caller")]
fn done<T, E: Debug>(result: Result<T, E>) -> T {
    result.expect("the crypto library makes keys, signatures and random bytes")
}
