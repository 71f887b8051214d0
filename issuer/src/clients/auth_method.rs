//! The ways in which clients authenticate.

use serde::{Deserialize, Serialize};

/// How a client proves who it is: the values of `token_endpoint_auth_method` (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientAuthMethod {
    /// `client_secret_basic`: identifier and secret by HTTP Basic (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// `client_secret_post`: identifier and secret in the form (RFC 6749 §2.3.1).
    ClientSecretPost,
    /// `private_key_jwt`: an assertion that it signs for each request (RFC 7523 §2.2).
    PrivateKeyJwt,
    /// `none`: a public client, which says who it is and cannot prove it.
    None,
}

impl ClientAuthMethod {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::PrivateKeyJwt,
        Self::None,
    ];

    /// Its name, as in metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::None => "none",
        }
    }
}
