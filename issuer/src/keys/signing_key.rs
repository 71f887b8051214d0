//! One private key, and what is published of it.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    digest,
    encoding::{AsDer as _, Pkcs8V1Der},
    error::Unspecified,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use resource_protector::{Algorithm, SetupError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::KeyError;

/// A key with its times.
pub(super) struct SigningKey {
    pub(super) algorithm: Algorithm,
    /// The thumbprint (RFC 7638), so that two keys never share a name.
    pub(super) kid: String,
    /// What is published of it, as JSON.
    pub(super) jwk: Vec<u8>,
    /// From when on it signs. The first of a ring always has.
    pub(super) signs_from: SystemTime,
    /// From when on its age is counted, once that is known.
    pub(super) since: Option<SystemTime>,
    /// The private key as it is kept.
    pkcs8: Vec<u8>,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A key as it stands in a file.
#[derive(Serialize, Deserialize)]
pub(super) struct Written {
    alg: String,
    /// PKCS#8 (RFC 5958), in base64url.
    pkcs8: String,
    signs_from: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
}

/// The algorithms that keys are made for, from `alg` as it is written.
const MADE: [Algorithm; 4] = [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

/// Refuses what no keys are made for.
pub(super) fn check_algorithm(algorithm: Algorithm) -> Result<(), SetupError> {
    if MADE.contains(&algorithm) {
        return Ok(());
    }
    Err(SetupError::new(
        "algorithm",
        format_args!("expected RS256, ES256, ES384 or EdDSA, got {}", algorithm.name()),
    ))
}

impl SigningKey {
    /// Makes a new key: RSA keys have 2048 bits.
    pub(super) fn generate(algorithm: Algorithm, signs_from: SystemTime) -> Result<Self, KeyError> {
        let pkcs8 = generate(algorithm).map_err(|_| KeyError::new("no key can be generated"))?;
        Self::from_pkcs8(algorithm, pkcs8, signs_from, None)
    }

    fn from_pkcs8(
        algorithm: Algorithm,
        pkcs8: Vec<u8>,
        signs_from: SystemTime,
        since: Option<SystemTime>,
    ) -> Result<Self, KeyError> {
        let pair = Pair::parse(algorithm, &pkcs8)?;
        let mut members = pair.required_members();
        // RFC 7638 §3: the required members alone, in the order of their names.
        let kid = base64url(digest::digest(&digest::SHA256, &to_json(&members)?).as_ref());
        members.insert("alg", algorithm.name().to_owned());
        members.insert("use", "sig".to_owned());
        members.insert("kid", kid.clone());
        Ok(Self {
            algorithm,
            kid,
            jwk: to_json(&members)?,
            signs_from,
            since,
            pkcs8,
            pair,
        })
    }

    /// The same key, whose age is counted from this moment.
    pub(super) fn counted_since(&self, since: SystemTime) -> Result<Self, KeyError> {
        Self::from_pkcs8(self.algorithm, self.pkcs8.clone(), self.signs_from, Some(since))
    }

    pub(super) fn read(written: &Written) -> Result<Self, KeyError> {
        let algorithm = MADE.into_iter().find(|known| known.name() == written.alg);
        let algorithm = algorithm.ok_or_else(|| KeyError::new("a key has an algorithm that is not supported"))?;
        let pkcs8 = URL_SAFE_NO_PAD
            .decode(&written.pkcs8)
            .map_err(|_| KeyError::new("a key is not base64url"))?;
        let moment = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let out_of_range = || KeyError::new("a key has a time that no clock can show");
        let since = match written.since {
            Some(seconds) => Some(moment(seconds).ok_or_else(out_of_range)?),
            None => None,
        };
        let signs_from = moment(written.signs_from).ok_or_else(out_of_range)?;
        Self::from_pkcs8(algorithm, pkcs8, signs_from, since)
    }

    pub(super) fn write(&self) -> Written {
        let seconds = |moment: SystemTime| moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Written {
            alg: self.algorithm.name().to_owned(),
            pkcs8: base64url(&self.pkcs8),
            signs_from: seconds(self.signs_from),
            since: self.since.map(seconds),
        }
    }

    /// Signs as JWS in its compact serialization (RFC 7515 §3.1).
    pub(super) fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        let header = json!({ "alg": self.algorithm.name(), "kid": self.kid, "typ": typ });
        let claims = to_json(claims)?;
        let mut jws = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(&claims));
        let signature = self
            .pair
            .sign(jws.as_bytes())
            .map_err(|_| KeyError::new("the key does not sign"))?;
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut jws);
        Ok(jws)
    }
}

impl Pair {
    fn parse(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let unusable = |_| KeyError::new("a key cannot be used with its algorithm");
        let curve = |curve| {
            EcdsaKeyPair::from_pkcs8(curve, pkcs8)
                .map(Self::Ecdsa)
                .map_err(unusable)
        };
        match algorithm {
            Algorithm::RS256 => RsaKeyPair::from_pkcs8(pkcs8).map(Self::Rsa).map_err(unusable),
            Algorithm::EdDSA => Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
                .map(Self::Ed25519)
                .map_err(unusable),
            algorithm => {
                curve(curve_of(algorithm).ok_or_else(|| KeyError::new("no keys are made for this algorithm"))?)
            }
        }
    }

    /// The members that every public JWK of its kind has (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
    fn required_members(&self) -> BTreeMap<&'static str, String> {
        match self {
            Self::Rsa(pair) => {
                let key = pair.public_key();
                BTreeMap::from([
                    ("kty", "RSA".to_owned()),
                    ("n", base64url(key.modulus().big_endian_without_leading_zero())),
                    ("e", base64url(key.exponent().big_endian_without_leading_zero())),
                ])
            }
            Self::Ecdsa(pair) => {
                // SEC 1 §2.3.3: the byte 4, then both coordinates in full length.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                let crv = if x.len() == 32 { "P-256" } else { "P-384" };
                BTreeMap::from([
                    ("kty", "EC".to_owned()),
                    ("crv", crv.to_owned()),
                    ("x", base64url(x)),
                    ("y", base64url(y)),
                ])
            }
            Self::Ed25519(pair) => BTreeMap::from([
                ("kty", "OKP".to_owned()),
                ("crv", "Ed25519".to_owned()),
                ("x", base64url(pair.public_key().as_ref())),
            ]),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
            Self::Ecdsa(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// A new private key, in PKCS#8.
fn generate(algorithm: Algorithm) -> Result<Vec<u8>, Unspecified> {
    match algorithm {
        Algorithm::RS256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
            let der: Pkcs8V1Der<'_> = pair.as_der()?;
            Ok(der.as_ref().to_vec())
        }
        Algorithm::EdDSA => Ok(Ed25519KeyPair::generate()?.to_pkcs8()?.as_ref().to_vec()),
        algorithm => {
            let pair = EcdsaKeyPair::generate(curve_of(algorithm).ok_or(Unspecified)?)?;
            Ok(pair.to_pkcs8v1()?.as_ref().to_vec())
        }
    }
}

fn curve_of(algorithm: Algorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::ES384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        _ => None,
    }
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, KeyError> {
    serde_json::to_vec(value).map_err(|_| KeyError::new("the claims are no JSON object"))
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
