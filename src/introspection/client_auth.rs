//! How this service proves to the authorization server who it is.

use std::{
    fmt,
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
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::HeaderValue;
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};

use crate::{error::SetupError, secret::Secret};

/// How this service authenticates at the introspection endpoint.
///
/// RFC 7662 §2.1 demands some authentication, so that nobody can find out tokens by asking. Which one it is, the
/// authorization server decides when this service is registered there as a client.
///
/// Its `Debug` form shows the method only.
#[derive(Clone)]
pub struct ClientAuth(Method);

#[derive(Clone)]
enum Method {
    Basic { id: String, secret: Secret },
    BasicRaw { id: String, secret: Secret },
    Post { id: String, secret: Secret },
    PrivateKeyJwt(Assertion),
    TlsClientAuth { id: String },
    Bearer(Secret),
    None,
}

/// What `private_key_jwt` signs, and with what.
#[derive(Clone)]
struct Assertion {
    id: String,
    pem: Secret,
    parsed: Arc<Mutex<Parsed>>,
    key_id: Option<String>,
    audience: Option<String>,
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

/// The part of one request that authenticates it.
pub(super) struct Proof {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) parameters: Vec<(&'static str, String)>,
}

/// How long an assertion may be used.
const ASSERTION_LIFE: Duration = Duration::from_secs(60);

/// `client_assertion_type` (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl ClientAuth {
    /// `client_secret_basic`: HTTP Basic with identifier and secret, each form-encoded first (RFC 6749 §2.3.1).
    pub fn basic(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self(Method::Basic {
            id: id.into(),
            secret: secret.into(),
        })
    }

    /// HTTP Basic without encoding identifier and secret first, for old servers that do not decode them. It differs
    /// from [`basic`](Self::basic) only where they have other characters than letters, digits and `-._~*`.
    pub fn basic_raw(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self(Method::BasicRaw {
            id: id.into(),
            secret: secret.into(),
        })
    }

    /// `client_secret_post`: identifier and secret in the form (RFC 6749 §2.3.1).
    pub fn post(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self(Method::Post {
            id: id.into(),
            secret: secret.into(),
        })
    }

    /// `private_key_jwt`: an assertion signed for each request (RFC 7523 §2.2), good for one minute.
    ///
    /// The key is PKCS#8 in PEM: RSA of 2048 bits or more signs RS256, P-256 ES256, P-384 ES384, Ed25519 EdDSA. The
    /// audience of the assertion is the issuer where that is known by discovery, else the endpoint's URL;
    /// [`assertion_audience`](Self::assertion_audience) sets another.
    ///
    /// # Errors
    ///
    /// When the PEM holds no such key.
    pub fn private_key_jwt(id: impl Into<String>, pem: impl Into<Secret>) -> Result<Self, SetupError> {
        let pem = pem.into();
        let parsed = Parsed::from(&pem)?;
        Ok(Self(Method::PrivateKeyJwt(Assertion {
            id: id.into(),
            pem,
            parsed: Arc::new(Mutex::new(parsed)),
            key_id: None,
            audience: None,
        })))
    }

    /// A bearer token that the authorization server has given this service for introspection (RFC 7662 §2.1).
    pub fn bearer(token: impl Into<Secret>) -> Self {
        Self(Method::Bearer(token.into()))
    }

    /// Mutual TLS (RFC 8705 §2): names this service in the form. The certificate is the matter of the
    /// [`Fetch`](crate::Fetch) that is given to the validator.
    pub fn tls_client_auth(id: impl Into<String>) -> Self {
        Self(Method::TlsClientAuth { id: id.into() })
    }

    /// No authentication at all. Anyone who can reach such an endpoint can try out tokens there, so it must be reachable
    /// by its resource servers only.
    pub fn none_on_a_private_network() -> Self {
        Self(Method::None)
    }

    /// Names the key of [`private_key_jwt`](Self::private_key_jwt) by the `kid` under which it is registered. Means
    /// nothing for other methods.
    #[must_use]
    pub fn key_id(mut self, kid: impl Into<String>) -> Self {
        if let Method::PrivateKeyJwt(assertion) = &mut self.0 {
            assertion.key_id = Some(kid.into());
        }
        self
    }

    /// For whom the assertion of [`private_key_jwt`](Self::private_key_jwt) is, where the server expects something
    /// else than its issuer or the endpoint. Means nothing for other methods.
    #[must_use]
    pub fn assertion_audience(mut self, audience: impl Into<String>) -> Self {
        if let Method::PrivateKeyJwt(assertion) = &mut self.0 {
            assertion.audience = Some(audience.into());
        }
        self
    }

    /// Whether this can ever work. Quotes nothing.
    pub(super) fn check(&self) -> Result<(), SetupError> {
        let problem = |what: &str| Err(SetupError::new("client_auth", what));
        let (id, secret) = match &self.0 {
            Method::Basic { id, secret } | Method::BasicRaw { id, secret } | Method::Post { id, secret } => {
                (Some(id), Some(secret))
            }
            Method::PrivateKeyJwt(Assertion { id, .. }) | Method::TlsClientAuth { id } => (Some(id), None),
            Method::Bearer(token) => (None, Some(token)),
            Method::None => (None, None),
        };
        if id.is_some_and(String::is_empty) {
            return problem("expected the identifier of this service at the authorization server, got an empty string");
        }
        let secret = secret.map(Secret::text);
        if secret.as_ref().is_some_and(|secret| secret.is_empty()) {
            return problem("expected the secret of this service at the authorization server, got an empty string");
        }
        if secret.as_ref().is_some_and(|secret| secret.ends_with(['\n', '\r'])) {
            return problem("the secret ends with a line break; `Secret::from_file` reads one without");
        }
        match &self.0 {
            // RFC 7617 §2: what stands before the first colon is the identifier.
            Method::BasicRaw { id, .. } if id.contains(':') => problem("an identifier with a colon must be encoded"),
            Method::Bearer(token) if !token.text().bytes().all(|b| b.is_ascii_graphic()) => {
                problem("expected a bearer token of printable ASCII characters without spaces")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn is_none(&self) -> bool {
        matches!(self.0, Method::None)
    }

    /// Which state of a secret that may change a request is authenticated with.
    pub(super) fn version(&self) -> Option<u64> {
        self.secret()?.version()
    }

    /// Reads the secret again, where it stands in a file. It blocks.
    pub(super) fn read_again(&self) {
        if let Some(secret) = self.secret() {
            secret.read_again();
        }
    }

    fn secret(&self) -> Option<&Secret> {
        match &self.0 {
            Method::Basic { secret, .. } | Method::BasicRaw { secret, .. } | Method::Post { secret, .. } => {
                Some(secret)
            }
            Method::PrivateKeyJwt(assertion) => Some(&assertion.pem),
            Method::Bearer(token) => Some(token),
            Method::TlsClientAuth { .. } | Method::None => None,
        }
    }

    /// Authenticates one request to the server that is `audience` by default.
    pub(super) fn prove(&self, audience: &str, now: SystemTime) -> Result<Proof, Unprovable> {
        let in_header = |value: String| {
            let mut value = HeaderValue::try_from(value).map_err(|_| Unprovable)?;
            value.set_sensitive(true);
            Ok(Proof {
                authorization: Some(value),
                parameters: Vec::new(),
            })
        };
        let in_form = |parameters| {
            Ok(Proof {
                authorization: None,
                parameters,
            })
        };
        match &self.0 {
            Method::Basic { id, secret } => {
                let pair = format!("{}:{}", form_encoded(id), form_encoded(&secret.text()));
                in_header(format!("Basic {}", STANDARD.encode(pair)))
            }
            Method::BasicRaw { id, secret } => {
                in_header(format!("Basic {}", STANDARD.encode(format!("{id}:{}", secret.text()))))
            }
            Method::Post { id, secret } => in_form(vec![
                ("client_id", id.clone()),
                ("client_secret", secret.text().as_ref().to_owned()),
            ]),
            Method::PrivateKeyJwt(assertion) => in_form(vec![
                // Optional by RFC 7521 §4.2, and demanded by some servers all the same.
                ("client_id", assertion.id.clone()),
                ("client_assertion_type", JWT_BEARER.to_owned()),
                ("client_assertion", assertion.sign(audience, now)?),
            ]),
            Method::TlsClientAuth { id } => in_form(vec![("client_id", id.clone())]),
            Method::Bearer(token) => in_header(format!("Bearer {}", token.text())),
            Method::None => in_form(Vec::new()),
        }
    }
}

/// A request could not be authenticated: no random bytes, or the key does not sign.
#[derive(Debug)]
pub(super) struct Unprovable;

impl Assertion {
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

    fn sign(&self, audience: &str, now: SystemTime) -> Result<String, Unprovable> {
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

/// `application/x-www-form-urlencoded`, encoding no more than needed: letters, digits and `-._~*` stay.
///
/// A space is `%20` and not `+`: every decoder of forms understands both, and some servers decode Basic credentials
/// with one that knows percent signs only.
pub(super) fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'*' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            _ => {
                encoded.push('%');
                for nibble in [byte >> 4, byte & 0xf] {
                    encoded.extend(char::from_digit(u32::from(nibble), 16).map(|digit| digit.to_ascii_uppercase()));
                }
            }
        }
    }
    encoded
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match &self.0 {
            Method::Basic { .. } => "basic",
            Method::BasicRaw { .. } => "basic_raw",
            Method::Post { .. } => "post",
            Method::PrivateKeyJwt(_) => "private_key_jwt",
            Method::TlsClientAuth { .. } => "tls_client_auth",
            Method::Bearer(_) => "bearer",
            Method::None => "none_on_a_private_network",
        };
        f.debug_struct("ClientAuth")
            .field("method", &method)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::{AsDer, Pkcs8V1Der},
        rsa::KeySize,
        signature::KeyPair as _,
    };
    use serde_json::Value;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn authorization(auth: &ClientAuth) -> String {
        let proof = auth.prove("https://as.example", UNIX_EPOCH + NOW).unwrap();
        assert!(proof.parameters.is_empty());
        let value = proof.authorization.unwrap();
        assert!(value.is_sensitive());
        value.to_str().unwrap().to_owned()
    }

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
    fn basic_encodes_identifier_and_secret_before_base64() {
        // RFC 6749 §2.3.1; by hand: `my api` is `my%20api`, `a:b/ü%~*` is `a%3Ab%2F%C3%BC%25~*`.
        let expected = STANDARD.encode("my%20api:a%3Ab%2F%C3%BC%25~*");
        assert_eq!(
            authorization(&ClientAuth::basic("my api", "a:b/ü%~*")),
            format!("Basic {expected}")
        );
        assert_eq!(
            authorization(&ClientAuth::basic("api-1._~*", "s")),
            format!("Basic {}", STANDARD.encode("api-1._~*:s"))
        );
    }

    #[test]
    fn basic_raw_encodes_nothing_and_cannot_have_a_colon_in_the_identifier() {
        let expected = STANDARD.encode("my api:a:b/%");
        assert_eq!(
            authorization(&ClientAuth::basic_raw("my api", "a:b/%")),
            format!("Basic {expected}")
        );
        assert!(ClientAuth::basic_raw("a:b", "secret").check().is_err());
        assert!(ClientAuth::basic("a:b", "secret").check().is_ok());
    }

    #[test]
    fn post_and_bearer_put_the_secret_where_their_name_says() {
        let proof = ClientAuth::post("api", "s&t").prove("x", UNIX_EPOCH).unwrap();
        assert!(proof.authorization.is_none());
        assert_eq!(
            proof.parameters,
            [("client_id", "api".to_owned()), ("client_secret", "s&t".to_owned())]
        );
        assert_eq!(authorization(&ClientAuth::bearer("t0ken")), "Bearer t0ken");
        let proof = ClientAuth::none_on_a_private_network().prove("x", UNIX_EPOCH).unwrap();
        assert!(proof.authorization.is_none() && proof.parameters.is_empty());
    }

    #[test]
    fn an_empty_identifier_or_secret_is_a_set_up_error() {
        for auth in [
            ClientAuth::basic("", "secret"),
            ClientAuth::basic("api", ""),
            ClientAuth::basic_raw("", "secret"),
            ClientAuth::post("api", ""),
            ClientAuth::bearer(""),
            ClientAuth::bearer("two words"),
            ClientAuth::basic("api", "from-a-file\n"),
        ] {
            let error = auth.check().unwrap_err();
            assert_eq!(error.option(), "client_auth");
            assert!(!error.to_string().contains("from-a-file") && !error.to_string().contains("two words"));
        }
    }

    #[test]
    fn debug_shows_the_method_only() {
        for auth in [
            ClientAuth::basic("the-id", "the-secret"),
            ClientAuth::post("the-id", "the-secret"),
            ClientAuth::bearer("the-secret"),
        ] {
            assert!(!format!("{auth:?}").contains("the-"), "{auth:?}");
        }
        assert_eq!(
            format!("{:?}", ClientAuth::bearer("x")),
            "ClientAuth { method: \"bearer\", .. }"
        );
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
