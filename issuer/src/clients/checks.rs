//! What has to hold for every client, whether it was made here or read from somewhere.

use resource_protector::{JwtValidator, SetupError};
use serde_json::Value;

use super::{
    ClientAuthMethod,
    client::{Client, MAX_SECRETS, problem},
    redirect_uri,
    secret::SecretDigest,
};
use crate::setup::shown;

/// The most entries in a list of a client.
const MAX_ENTRIES: usize = 100;

/// The longest identifier, and the longest name, in bytes.
const MAX_TEXT: usize = 200;

impl Client {
    /// All rules, whether it was made here or read from somewhere.
    pub(super) fn checked(self) -> Result<Self, SetupError> {
        let is_printable = |text: &str| !text.trim().is_empty() && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        if !is_printable(&self.id) || self.id.len() > MAX_TEXT {
            return Err(problem(
                "client_id",
                "1 to 200 printable ASCII characters, not only spaces",
                shown(&self.id),
            ));
        }
        let name = self.name.as_deref().unwrap_or("unnamed");
        if name.trim().is_empty() || name.len() > MAX_TEXT || name.chars().any(char::is_control) {
            return Err(problem(
                "name",
                "1 to 200 bytes without control characters",
                shown(name),
            ));
        }
        let lists = [
            ("redirect_uris", self.redirect_uris.len()),
            ("grants", self.grants.len()),
            ("scopes", self.scopes.len()),
            ("audiences", self.audiences.len()),
        ];
        if let Some((list, length)) = lists.into_iter().find(|(_, length)| *length > MAX_ENTRIES) {
            return Err(problem(list, "no more than 100", length));
        }
        for uri in &self.redirect_uris {
            redirect_uri::check(uri, self.owner())
                .map_err(|expected| problem("redirect_uris", expected, shown(uri)))?;
        }
        if let Some(grant) = self.grants.iter().find(|grant| !is_printable(grant)) {
            return Err(problem("grants", "values of `grant_type`", shown(grant)));
        }
        if let Some(audience) = self.audiences.iter().find(|audience| audience.trim().is_empty()) {
            return Err(problem("audiences", "names of resource servers", shown(audience)));
        }
        if self.is_public() && self.allows_grant("client_credentials") {
            return Err(problem(
                "grants",
                "a client that proves who it is for `client_credentials` (RFC 6749 §4.4)",
                "a public one",
            ));
        }
        if self.is_public() && self.may_introspect {
            return Err(problem(
                "may_introspect",
                "a client that proves who it is",
                "a public one",
            ));
        }
        self.check_credentials()?;
        Ok(self)
    }

    fn check_credentials(&self) -> Result<(), SetupError> {
        let has_secret = !self.secrets.is_empty();
        let (expects_secret, expects_keys) = match self.method {
            ClientAuthMethod::ClientSecretBasic | ClientAuthMethod::ClientSecretPost => (true, false),
            ClientAuthMethod::PrivateKeyJwt => (false, true),
            ClientAuthMethod::None => (false, false),
        };
        if has_secret != expects_secret || self.jwks.is_some() != expects_keys {
            return Err(problem(
                "token_endpoint_auth_method",
                "one that goes with the secrets or keys that are there, and no others",
                format_args!("`{}`", self.method.as_str()),
            ));
        }
        // What is no digest may be a secret in clear, and is not shown.
        if self.secrets.len() > MAX_SECRETS || !self.secrets.iter().all(SecretDigest::is_well_formed) {
            return Err(problem(
                "client_secret_sha256",
                "1 to 4 digests by SHA-256, each in 43 characters of base64url",
                format_args!("{} entries, or others", self.secrets.len()),
            ));
        }
        let Some(jwks) = &self.jwks else {
            return Ok(());
        };
        let keys = jwks.get("keys").and_then(Value::as_array);
        let Some(keys) = keys else {
            return Err(problem("jwks", "a JWK set (RFC 7517 §5)", "JSON without a list `keys`"));
        };
        let is_private = |key: &Value| key.get("d").is_some() || key.get("k").is_some();
        if keys.iter().any(is_private) {
            return Err(problem("jwks", "public keys only", "one that is private or shared"));
        }
        // What it says itself is for who configures a resource server.
        let usable = JwtValidator::with_jwks(&self.id, jwks.to_string(), self.id.as_str());
        usable.map(drop).map_err(|_| {
            problem(
                "jwks",
                "a public key for RS256, PS256, ES256, EdDSA or one of their relatives",
                format_args!("{} keys that cannot be used", keys.len()),
            )
        })
    }
}
