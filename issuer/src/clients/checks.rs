//! What has to hold for every client, whether it was made here or read from somewhere.

use resource_protector::{JwtValidator, SetupError};
use serde_json::Value;

use super::{
    client::{Client, ClientAuthMethod, problem},
    redirect_uri,
    secret::SecretDigest,
};

/// The most entries in a list of a client.
const MAX_ENTRIES: usize = 100;

/// The longest identifier, and the longest name, in bytes.
const MAX_TEXT: usize = 200;

impl Client {
    /// All rules, whether it was made here or read from somewhere.
    pub(super) fn checked(self) -> Result<Self, SetupError> {
        let is_printable = |text: &str| !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        if !is_printable(&self.id) || self.id.len() > MAX_TEXT {
            return Err(problem("client_id", "1 to 200 printable ASCII characters"));
        }
        let name = self.name.as_deref().unwrap_or("unnamed");
        if name.trim().is_empty() || name.len() > MAX_TEXT || name.chars().any(char::is_control) {
            return Err(problem("name", "1 to 200 bytes without control characters"));
        }
        let lists = [
            ("redirect_uris", self.redirect_uris.len()),
            ("grants", self.grants.len()),
            ("scopes", self.scopes.len()),
            ("audiences", self.audiences.len()),
        ];
        if let Some((list, _)) = lists.into_iter().find(|(_, length)| *length > MAX_ENTRIES) {
            return Err(problem(list, "no more than 100"));
        }
        for uri in &self.redirect_uris {
            redirect_uri::check(uri, self.owner()).map_err(|expected| problem("redirect_uris", expected))?;
        }
        if !self.grants.iter().all(|grant| is_printable(grant)) {
            return Err(problem("grants", "values of `grant_type`"));
        }
        if self.audiences.iter().any(|audience| audience.trim().is_empty()) {
            return Err(problem("audiences", "names of resource servers"));
        }
        if self.is_public() && self.allows_grant("client_credentials") {
            return Err(problem(
                "grants",
                "none of `client_credentials`, for which a client proves who it is (RFC 6749 §4.4)",
            ));
        }
        if self.is_public() && self.may_introspect {
            return Err(problem("may_introspect", "a client that proves who it is"));
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
                "one that goes with secrets or keys that are there",
            ));
        }
        if self.secrets.len() > 4 || !self.secrets.iter().all(SecretDigest::is_well_formed) {
            return Err(problem("secrets", "1 to 4 digests"));
        }
        let Some(jwks) = &self.jwks else {
            return Ok(());
        };
        let keys = jwks.get("keys").and_then(Value::as_array);
        let is_private = |key: &Value| key.get("d").is_some() || key.get("k").is_some();
        if keys.is_none_or(|keys| keys.iter().any(is_private)) {
            return Err(problem("jwks", "a JWK set of public keys only"));
        }
        JwtValidator::with_jwks(&self.id, jwks.to_string(), self.id.as_str()).map(|_| ())
    }
}
