//! A client, as it is registered.

use std::fmt;

use resource_protector::{Scope, Scopes, SetupError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ClientAuthMethod,
    redirect_uri::{self, Owner},
    secret::{self, ClientSecret, SecretDigest},
    written::Written,
};

/// The longest JWK set, in bytes.
const MAX_JWKS: usize = 64 * 1024;

/// The most secrets.
pub(super) const MAX_SECRETS: usize = 4;

/// An application that gets tokens, or a resource server that asks about them, as the authorization server knows it.
///
/// **No stranger may choose an identifier**: in the tokens that a client gets for itself it is the `sub` (RFC 9068 §2.2), where
/// resource servers look for users. Whoever registers a client under a user's subject is that user there (RFC 9700 §4.15).
///
/// What it may do is said here, and nothing is allowed unless it is said.
///
/// It serializes to JSON, under the names of client metadata (RFC 7591 §2) and four of its own:
///
/// | member | what |
/// |---|---|
/// | `client_id` | its identifier |
/// | `client_name` | what it is called |
/// | `token_endpoint_auth_method` | how it proves who it is; it has to be there |
/// | `client_secret_sha256` | its secrets, of which nothing else is kept: a list of up to 4, each a SHA-256 in base64url |
/// | `jwks` | its public keys |
/// | `redirect_uris` | where its users may be sent back to |
/// | `grant_types` | which grants it may use; none if it is left out, which in RFC 7591 is `authorization_code` |
/// | `scope` | which scopes it may be given, separated by spaces |
/// | `audiences` | for which resource servers it may have tokens |
/// | `may_introspect` | whether it is a resource server |
///
/// It is checked again when it is read, and one with a member that is not in this table is an error: it may be what a newer
/// version of this library forbids a client by.
///
/// ```
/// # fn main() -> Result<(), resource_protector::SetupError> {
/// use resource_protector_issuer::clients::{Client, ClientSecret};
///
/// // An application in the browser or on a phone: it cannot keep a secret.
/// let app = Client::public("web-app")?
///     .name("Our shop")?
///     .redirect_uris(["https://shop.example.com/callback"])?
///     .grants(["authorization_code", "refresh_token"])?
///     .scopes("profile orders:read")?;
///
/// // A program on a server, which acts for itself. Tell it the secret now: it cannot be read again.
/// let secret = ClientSecret::generate()?;
/// let worker = Client::with_secret("worker", &secret)?.grants(["client_credentials"])?.scopes("orders:read")?;
///
/// // A resource server that asks about tokens.
/// let api = Client::with_secret("orders-api", &ClientSecret::generate()?)?.may_introspect()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Client {
    pub(super) id: String,
    pub(super) method: ClientAuthMethod,
    pub(super) secrets: Vec<SecretDigest>,
    pub(super) jwks: Option<Value>,
    pub(super) name: Option<String>,
    pub(super) redirect_uris: Vec<String>,
    pub(super) grants: Vec<String>,
    pub(super) scopes: Vec<Scope>,
    pub(super) audiences: Vec<String>,
    pub(super) may_introspect: bool,
}

/// How clients are described. What is said later takes the place of what was said before.
impl Client {
    /// One that keeps no secret: it runs in a browser or on its user's device (RFC 6749 §2.1).
    ///
    /// # Errors
    ///
    /// When the identifier is blank, longer than 200 bytes, or has other than printable ASCII characters (RFC 6749,
    /// appendix A.1).
    pub fn public(id: impl Into<String>) -> Result<Self, SetupError> {
        Self::of(id.into(), ClientAuthMethod::None).checked()
    }

    /// One that proves who it is with a secret, by HTTP Basic.
    ///
    /// # Errors
    ///
    /// As [`public`](Self::public).
    pub fn with_secret(id: impl Into<String>, secret: &ClientSecret) -> Result<Self, SetupError> {
        let mut client = Self::of(id.into(), ClientAuthMethod::ClientSecretBasic);
        client.secrets = vec![SecretDigest::of(secret.expose())];
        client.checked()
    }

    /// One that proves who it is by assertions that it signs. These are its public keys, as a JWK set (RFC 7517 §5);
    /// with `alg`, a key goes with that algorithm only.
    ///
    /// # Errors
    ///
    /// As [`public`](Self::public), and when it is no JWK set, is longer than 64 KiB, has no key that can be used, or
    /// has a private key in it.
    pub fn with_keys(id: impl Into<String>, jwks: impl AsRef<[u8]>) -> Result<Self, SetupError> {
        let jwks = jwks.as_ref();
        if jwks.len() > MAX_JWKS {
            return Err(problem(
                "jwks",
                "no more than 64 KiB",
                format_args!("{} bytes", jwks.len()),
            ));
        }
        // What the parser says quotes it, and it may be a private key.
        let parsed = serde_json::from_slice(jwks)
            .map_err(|error| problem("jwks", "a JWK set", format_args!("no JSON in line {}", error.line())));
        let mut client = Self::of(id.into(), ClientAuthMethod::PrivateKeyJwt);
        client.jwks = Some(parsed?);
        client.checked()
    }

    /// The secret comes in the form, in place of HTTP Basic.
    ///
    /// # Errors
    ///
    /// When it has no secret.
    pub fn secret_in_form(mut self) -> Result<Self, SetupError> {
        self.has_secrets()?;
        self.method = ClientAuthMethod::ClientSecretPost;
        Ok(self)
    }

    /// A further secret that is as good, so that a secret can be replaced: add the new one, have the client use it,
    /// then [keep only](Self::only_secret) that.
    ///
    /// # Errors
    ///
    /// When it has no secret, or has 4 already.
    pub fn further_secret(mut self, secret: &ClientSecret) -> Result<Self, SetupError> {
        self.has_secrets()?;
        if self.secrets.len() >= MAX_SECRETS {
            return Err(problem(
                "secret",
                "no more than 4 secrets",
                "one more: `only_secret` takes the others away",
            ));
        }
        self.secrets.push(SecretDigest::of(secret.expose()));
        Ok(self)
    }

    /// This secret takes the place of all others.
    ///
    /// # Errors
    ///
    /// When it has no secret.
    pub fn only_secret(mut self, secret: &ClientSecret) -> Result<Self, SetupError> {
        self.has_secrets()?;
        self.secrets = vec![SecretDigest::of(secret.expose())];
        Ok(self)
    }

    /// What it is called on the page that asks its users.
    ///
    /// # Errors
    ///
    /// When it is blank, longer than 200 bytes, or has control characters.
    pub fn name(mut self, name: impl Into<String>) -> Result<Self, SetupError> {
        self.name = Some(name.into());
        self.checked()
    }

    /// Where its users may be sent back to. A request names one of them byte for byte (RFC 9700 §2.1); only the port of
    /// a loopback URI of a public client may differ (RFC 8252 §7.3).
    ///
    /// # Errors
    ///
    /// When one is neither `https`, nor `http` for a loopback host, nor, for a public client, of a private-use scheme
    /// with a dot in it; when it has a fragment, user information or characters that a URI does not have; and when
    /// there are more than 100.
    pub fn redirect_uris<I>(mut self, uris: I) -> Result<Self, SetupError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.redirect_uris = uris.into_iter().map(Into::into).collect();
        self.checked()
    }

    /// Which values of `grant_type` it may use: `authorization_code`, `refresh_token`, `client_credentials`, and those
    /// of grants of your own.
    ///
    /// # Errors
    ///
    /// When one is blank or not ASCII, a public client is to have `client_credentials` (RFC 6749 §4.4), and when there
    /// are more than 100.
    pub fn grants<I>(mut self, grants: I) -> Result<Self, SetupError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.grants = grants.into_iter().map(Into::into).collect();
        self.checked()
    }

    /// Which scopes it may be given, separated by spaces.
    ///
    /// # Errors
    ///
    /// When there is one that cannot be one (RFC 6749 §3.3), and when there are more than 100.
    pub fn scopes(mut self, scopes: impl AsRef<str>) -> Result<Self, SetupError> {
        let scopes = Scopes::parse(scopes.as_ref());
        self.scopes = scopes.iter().map(Scope::new).collect::<Result<_, _>>()?;
        self.checked()
    }

    /// For which resource servers it may have tokens: what `resource` may be (RFC 8707). None says that it gets them
    /// for the issuer's own audience only.
    ///
    /// # Errors
    ///
    /// When one is blank, and when there are more than 100.
    pub fn audiences<I>(mut self, audiences: I) -> Result<Self, SetupError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.audiences = audiences.into_iter().map(Into::into).collect();
        self.checked()
    }

    /// It is a resource server, and may ask about the tokens of all clients (RFC 7662 §2.1): **it learns who uses which
    /// client, with which rights**.
    ///
    /// # Errors
    ///
    /// When it is a public client, whom anybody can pretend to be.
    pub fn may_introspect(mut self) -> Result<Self, SetupError> {
        self.may_introspect = true;
        self.checked()
    }

    fn of(id: String, method: ClientAuthMethod) -> Self {
        Self {
            id,
            method,
            secrets: Vec::new(),
            jwks: None,
            name: None,
            redirect_uris: Vec::new(),
            grants: Vec::new(),
            scopes: Vec::new(),
            audiences: Vec::new(),
            may_introspect: false,
        }
    }

    fn has_secrets(&self) -> Result<(), SetupError> {
        if self.secrets.is_empty() {
            return Err(problem(
                "secret",
                "a client that is made with a secret, by `Client::with_secret`",
                format_args!("one of `{}`", self.method.as_str()),
            ));
        }
        Ok(())
    }

    pub(super) fn owner(&self) -> Owner {
        match self.is_public() {
            true => Owner::Public,
            false => Owner::Confidential,
        }
    }
}

/// What is known of it.
impl Client {
    /// Its identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it is called; its identifier if it has no name.
    pub fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    /// How it proves who it is.
    pub fn auth_method(&self) -> ClientAuthMethod {
        self.method
    }

    /// Whether it cannot prove who it is.
    pub fn is_public(&self) -> bool {
        self.method == ClientAuthMethod::None
    }

    /// Where its users may be sent back to, as registered.
    pub fn registered_redirect_uris(&self) -> &[String] {
        &self.redirect_uris
    }

    /// Whether its users may be sent back to there.
    pub fn allows_redirect_uri(&self, uri: &str) -> bool {
        let owner = self.owner();
        self.redirect_uris
            .iter()
            .any(|registered| redirect_uri::fits(registered, uri, owner))
    }

    /// Whether it may use this grant.
    pub fn allows_grant(&self, grant: &str) -> bool {
        self.grants.iter().any(|allowed| allowed == grant)
    }

    /// The scopes that it may be given.
    pub fn allowed_scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// Whether it may be given this scope.
    pub fn allows_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|allowed| allowed.as_str() == scope)
    }

    /// For which resource servers it may have tokens, beside the issuer's own audience.
    pub fn allowed_audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Whether it may ask about the tokens of all clients.
    pub fn is_resource_server(&self) -> bool {
        self.may_introspect
    }

    pub(super) fn has_secret(&self, secret: &str) -> bool {
        secret::is_one_of(secret, &self.secrets)
    }

    pub(super) fn jwks(&self) -> Option<&Value> {
        self.jwks.as_ref()
    }
}

pub(super) fn problem(option: &'static str, expected: &str, got: impl fmt::Display) -> SetupError {
    SetupError::new(option, format_args!("expected {expected}, got {got}"))
}

impl fmt::Debug for Client {
    /// Without digests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
