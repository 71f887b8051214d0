//! The assertion of `private_key_jwt` (RFC 7523 §2.2), and the key that signs it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::{SecureRandom as _, SystemRandom},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};

use crate::{error::SetupError, secret::Secret};

/// What `private_key_jwt` signs, and with what.
#[derive(Clone)]
pub(super) struct Assertion {
    pub(super) id: String,
    pub(super) pem: Secret,
    pub(super) key_id: Option<String>,
    pub(super) audience: Option<String>,
    parsed: Arc<Mutex<Parsed>>,
}

/// The key as it was last read, and from which state of its file.
struct Parsed {
    key: Arc<SigningKey>,
    version: Option<u64>,
}

enum SigningKey {
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair),
    Es384(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

/// A request could not be authenticated: no random bytes, or the key does not sign.
#[derive(Debug)]
pub(super) struct Unprovable;

/// How long an assertion may be used.
const ASSERTION_LIFE: Duration = Duration::from_secs(60);

impl Assertion {
    pub(super) fn new(id: String, pem: Secret) -> Result<Self, SetupError> {
        let parsed = Parsed::from(&pem)?;
        Ok(Self {
            id,
            pem,
            key_id: None,
            audience: None,
            parsed: Arc::new(Mutex::new(parsed)),
        })
    }

    /// The key, parsed anew if its file has changed; the last good one while the new one cannot be used.
    fn key(&self) -> Arc<SigningKey> {
        let mut parsed = self.lock();
        if parsed.version != self.pem.version() {
            match Parsed::from(&self.pem) {
                Ok(new) => *parsed = new,
                Err(problem) => {
                    parsed.version = self.pem.version();
                    tracing::warn!(target: "resource_protector::introspection", %problem, "the new private key is not used");
                }
            }
        }
        Arc::clone(&parsed.key)
    }

    fn lock(&self) -> MutexGuard<'_, Parsed> {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sign(&self, audience: &str, now: SystemTime) -> Result<String, Unprovable> {
        let mut id = [0; 16];
        SystemRandom::new().fill(&mut id).map_err(|_| Unprovable)?;
        let issued_at = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let key = self.key();
        let mut header = serde_json::json!({ "typ": "JWT", "alg": key.algorithm() });
        if let (Some(kid), Some(header)) = (&self.key_id, header.as_object_mut()) {
            header.insert("kid".to_owned(), kid.as_str().into());
        }
        // RFC 7523 §3.
        let claims = serde_json::json!({
            "iss": self.id,
            "sub": self.id,
            "aud": self.audience.as_deref().unwrap_or(audience),
            "jti": URL_SAFE_NO_PAD.encode(id),
            "iat": issued_at.as_secs(),
            "exp": (issued_at + ASSERTION_LIFE).as_secs(),
        });
        let segment = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", segment(header), segment(claims));
        let signature = key.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl Parsed {
    fn from(pem: &Secret) -> Result<Self, SetupError> {
        // Before the text: should the file change in between, the key is parsed once more than needed.
        let version = pem.version();
        let key = Arc::new(SigningKey::from_pem(pem.text().as_bytes())?);
        Ok(Self { key, version })
    }
}

impl SigningKey {
    fn from_pem(pem: &[u8]) -> Result<Self, SetupError> {
        let problem = |what: &str| SetupError::new("client_auth", what);
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| {
            problem(
                "expected a PKCS#8 private key in PEM (BEGIN PRIVATE KEY); \
                 `openssl pkcs8 -topk8 -nocrypt` makes one from other forms",
            )
        })?;
        let der = der.secret_pkcs8_der();
        if let Ok(key) = RsaKeyPair::from_pkcs8(der) {
            if key.public_modulus_len() < 2048 / 8 {
                return Err(problem("expected an RSA key of 2048 bits or more"));
            }
            return Ok(Self::Rs256(key));
        }
        let curve = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der);
        if let Ok(key) = curve(&ECDSA_P256_SHA256_FIXED_SIGNING) {
            return Ok(Self::Es256(key));
        }
        if let Ok(key) = curve(&ECDSA_P384_SHA384_FIXED_SIGNING) {
            return Ok(Self::Es384(key));
        }
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map(Self::EdDsa)
            .map_err(|_| problem("expected a private key that is RSA (2048 bits or more), P-256, P-384 or Ed25519"))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rs256(_) => "RS256",
            Self::Es256(_) => "ES256",
            Self::Es384(_) => "ES384",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unprovable> {
        let random = SystemRandom::new();
        match self {
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| Unprovable)?;
                Ok(signature)
            }
            Self::Es256(key) | Self::Es384(key) => {
                let signature = key.sign(&random, message).map_err(|_| Unprovable)?;
                Ok(signature.as_ref().to_vec())
            }
            Self::EdDsa(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::{AsDer, Pkcs8V1Der},
        rsa::KeySize,
        signature::KeyPair as _,
    };
    use base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    use super::{super::client_auth::ClientAuth, *};

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn pem(der: &[u8]) -> String {
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der)
        )
    }

    fn json(segment: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
    }

    #[test]
    fn an_assertion_is_made_for_each_request_and_verifies_with_every_kind_of_key() {
        use jsonwebtoken::{Algorithm, DecodingKey, Validation};

        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        let public = |key: &[u8]| DecodingKey::from_ec_der(key);
        let pkcs8 = |key: &dyn Fn() -> Vec<u8>| pem(&key());
        for (algorithm, pem, key) in [
            (
                Algorithm::RS256,
                pkcs8(&|| AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap().as_ref().to_vec()),
                DecodingKey::from_rsa_der(rsa.public_key().as_ref()),
            ),
            (
                Algorithm::ES256,
                pkcs8(&|| p256.to_pkcs8v1().unwrap().as_ref().to_vec()),
                public(p256.public_key().as_ref()),
            ),
            (
                Algorithm::ES384,
                pkcs8(&|| p384.to_pkcs8v1().unwrap().as_ref().to_vec()),
                public(p384.public_key().as_ref()),
            ),
            (
                Algorithm::EdDSA,
                pkcs8(&|| ed.to_pkcs8().unwrap().as_ref().to_vec()),
                DecodingKey::from_ed_der(ed.public_key().as_ref()),
            ),
        ] {
            let auth = ClientAuth::private_key_jwt("api", &pem).unwrap().key_id("k1");
            auth.check().unwrap();
            let assertion = || {
                let proof = auth.prove("https://as.example", UNIX_EPOCH + NOW).unwrap();
                assert!(proof.authorization.is_none());
                let parameter = |name| {
                    proof
                        .parameters
                        .iter()
                        .find(|(known, _)| *known == name)
                        .unwrap()
                        .1
                        .clone()
                };
                assert_eq!(parameter("client_id"), "api");
                assert_eq!(
                    parameter("client_assertion_type"),
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
                );
                parameter("client_assertion")
            };
            let (first, second) = (assertion(), assertion());
            let mut validation = Validation::new(algorithm);
            validation.set_audience(&["https://as.example"]);
            validation.validate_exp = false;
            let claims = jsonwebtoken::decode::<Value>(&first, &key, &validation).unwrap().claims;
            assert_eq!(json(first.split('.').next().unwrap())["kid"], "k1");
            assert_eq!((&claims["iss"], &claims["sub"]), (&"api".into(), &"api".into()));
            assert_eq!(
                (&claims["iat"], &claims["exp"]),
                (&NOW.as_secs().into(), &(NOW.as_secs() + 60).into())
            );
            // 128 bits are 22 characters of base64url.
            assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
            assert_ne!(claims["jti"], json(second.split('.').nth(1).unwrap())["jti"]);
        }
    }

    #[test]
    fn the_audience_of_an_assertion_can_be_set() {
        let ed = Ed25519KeyPair::generate().unwrap();
        let auth = ClientAuth::private_key_jwt("api", pem(ed.to_pkcs8().unwrap().as_ref())).unwrap();
        let proof = auth
            .assertion_audience("https://other.example")
            .prove("https://as.example", UNIX_EPOCH);
        let assertion = proof.unwrap().parameters.pop().unwrap().1;
        assert_eq!(
            json(assertion.split('.').nth(1).unwrap())["aud"],
            "https://other.example"
        );
    }

    #[test]
    fn what_is_no_private_key_is_a_set_up_error_that_quotes_nothing() {
        let small = pem(&[0x30, 0x03, 0x02, 0x01, 0x00]);
        let public = small.replace("PRIVATE", "PUBLIC");
        for bad in ["", "garbage-secret", small.as_str(), public.as_str()] {
            let error = ClientAuth::private_key_jwt("api", bad).unwrap_err();
            assert_eq!(error.option(), "client_auth");
            assert!(!error.to_string().contains("garbage") && !error.to_string().contains("MAMCAQA"));
        }
    }
}
