//! How this service proves to the authorization server who it is.

use std::{fmt, time::SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;

use super::assertion::{Assertion, Unprovable};
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

/// The part of one request that authenticates it.
pub(super) struct Proof {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) parameters: Vec<(&'static str, String)>,
}

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
        Assertion::new(id.into(), pem.into()).map(|assertion| Self(Method::PrivateKeyJwt(assertion)))
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

    /// Whether the secret is another one now than the one of this version, which was refused.
    pub(super) async fn renewed_since(&self, refused: Option<u64>) -> bool {
        match self.secret() {
            Some(secret) => secret.renewed_since(refused).await,
            None => false,
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
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn authorization(auth: &ClientAuth) -> String {
        let proof = auth.prove("https://as.example", UNIX_EPOCH + NOW).unwrap();
        assert!(proof.parameters.is_empty());
        let value = proof.authorization.unwrap();
        assert!(value.is_sensitive());
        value.to_str().unwrap().to_owned()
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
}
