//! What clients can find out about the server by themselves (RFC 8414).

use resource_protector::Algorithm;
use serde::Serialize;

use crate::clients::{ASSERTION_ALGORITHMS, ClientAuthMethod};

/// Where and how the server is asked.
#[derive(Serialize)]
pub(super) struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    response_types_supported: Vec<&'static str>,
    response_modes_supported: Vec<&'static str>,
    grant_types_supported: Vec<String>,
    code_challenge_methods_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 4],
    token_endpoint_auth_signing_alg_values_supported: [&'static str; 10],
    revocation_endpoint_auth_methods_supported: [&'static str; 4],
    revocation_endpoint_auth_signing_alg_values_supported: [&'static str; 10],
    introspection_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint_auth_signing_alg_values_supported: [&'static str; 10],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    pub(super) fn new(issuer: &str, has_keys: bool, grant_types: Vec<String>, scopes: Vec<String>) -> Self {
        let has_implicit_grant = grant_types.iter().any(|grant| grant == "implicit");
        let at = |path: &str| format!("{}{path}", issuer.trim_end_matches('/'));
        let [basic, post, assertion, none] = [
            ClientAuthMethod::ClientSecretBasic,
            ClientAuthMethod::ClientSecretPost,
            ClientAuthMethod::PrivateKeyJwt,
            ClientAuthMethod::None,
        ]
        .map(ClientAuthMethod::as_str);
        // "This metadata entry MUST be present if either of these authentication methods are specified" (RFC 8414 §2): those by
        // which clients sign.
        let algorithms = ASSERTION_ALGORITHMS.map(Algorithm::name);
        Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: at(super::AUTHORIZE),
            token_endpoint: at(super::TOKEN),
            revocation_endpoint: at(super::REVOKE),
            introspection_endpoint: at(super::INTROSPECT),
            jwks_uri: has_keys.then(|| at(super::JWKS)),
            response_types_supported: match has_implicit_grant {
                true => vec!["code", "token"],
                false => vec!["code"],
            },
            response_modes_supported: match has_implicit_grant {
                true => vec!["query", "fragment"],
                false => vec!["query"],
            },
            grant_types_supported: grant_types,
            code_challenge_methods_supported: ["S256"],
            token_endpoint_auth_methods_supported: [basic, post, assertion, none],
            token_endpoint_auth_signing_alg_values_supported: algorithms,
            revocation_endpoint_auth_methods_supported: [basic, post, assertion, none],
            revocation_endpoint_auth_signing_alg_values_supported: algorithms,
            introspection_endpoint_auth_methods_supported: [basic, post, assertion],
            introspection_endpoint_auth_signing_alg_values_supported: algorithms,
            scopes_supported: scopes,
            authorization_response_iss_parameter_supported: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_clients_may_sign_the_metadata_say_by_which_algorithms() {
        let metadata = Metadata::new("https://auth.example.com", true, Vec::new(), Vec::new());
        let metadata = serde_json::to_value(metadata).unwrap();
        for endpoint in ["token", "revocation", "introspection"] {
            let methods = metadata[format!("{endpoint}_endpoint_auth_methods_supported")].as_array();
            assert!(methods.unwrap().iter().any(|method| method == "private_key_jwt"));
            let algorithms = metadata[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")].as_array();
            let algorithms: Vec<_> = algorithms.unwrap().iter().filter_map(|name| name.as_str()).collect();
            assert!(
                algorithms.contains(&"ES256") && algorithms.contains(&"RS256"),
                "{endpoint}"
            );
            // RFC 8414 §2: "The value "none" MUST NOT be used."
            assert!(!algorithms.contains(&"none"), "{endpoint}");
        }
    }
}
