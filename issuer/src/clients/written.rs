//! A client as JSON.

use resource_protector::{Scope, SetupError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Client, ClientAuthMethod, secret::SecretDigest};

/// A client under the names of RFC 7591 §2, as far as it has them; before it is checked, when it is read.
///
/// A member that is not known may be one that forbids something: whoever passed it over would allow what a newer program has
/// forbidden, and lose it with the next change. So it makes the client unreadable (RFC 7591 §2 has unknown metadata ignored
/// where clients register themselves, which they do not here). What a client does not use is not written, so that an older
/// program reads all clients but those that it would misread.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    token_endpoint_auth_method: ClientAuthMethod,
    /// Each a SHA-256 in base64url.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    client_secret_sha256: Vec<SecretDigest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    redirect_uris: Vec<String>,
    /// Written even when there are none: for who goes by RFC 7591 §2, one that is left out says `authorization_code`.
    #[serde(default)]
    grant_types: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    audiences: Vec<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    may_introspect: bool,
}

impl From<Client> for Written {
    fn from(client: Client) -> Self {
        let scopes: Vec<&str> = client.scopes.iter().map(Scope::as_str).collect();
        Self {
            scope: scopes.join(" "),
            client_id: client.id,
            client_name: client.name,
            token_endpoint_auth_method: client.method,
            client_secret_sha256: client.secrets,
            jwks: client.jwks,
            redirect_uris: client.redirect_uris,
            grant_types: client.grants,
            audiences: client.audiences,
            may_introspect: client.may_introspect,
        }
    }
}

impl TryFrom<Written> for Client {
    type Error = SetupError;

    fn try_from(written: Written) -> Result<Self, SetupError> {
        let client = Self {
            id: written.client_id,
            method: written.token_endpoint_auth_method,
            secrets: written.client_secret_sha256,
            jwks: written.jwks,
            name: written.client_name,
            redirect_uris: written.redirect_uris,
            grants: written.grant_types,
            scopes: Vec::new(),
            audiences: written.audiences,
            may_introspect: written.may_introspect,
        };
        client.scopes(written.scope)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(value: &bool) -> bool {
    !value
}
