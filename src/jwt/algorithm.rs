//! The signature algorithms, and which keys they go with.

use aws_lc_rs::{hmac, signature};
use serde::Deserialize;

/// A signature algorithm with a public key (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864).
///
/// It is deserialized from its name in `alg`, compared byte for byte.
#[allow(missing_docs, reason = "the names are the field's own")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[non_exhaustive]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    /// Ed25519, under its names `EdDSA` and `Ed25519`.
    #[serde(alias = "Ed25519")]
    EdDSA,
}

/// A signature algorithm with a shared secret (RFC 7518 §3.2). Whoever can check such a token can also make one.
#[allow(missing_docs, reason = "the names are the field's own")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HmacAlgorithm {
    HS256,
    HS384,
    HS512,
}

impl Algorithm {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// The algorithm of an `alg` value.
    pub(crate) fn named(alg: &str) -> Option<Self> {
        if alg == "Ed25519" {
            return Some(Self::EdDSA);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == alg)
    }

    /// Its name in `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// For the algorithms of RSA; `None` for all others.
    pub(crate) fn rsa(self) -> Option<&'static signature::RsaParameters> {
        Some(match self {
            Self::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }
}

impl HmacAlgorithm {
    /// Its name in `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
        }
    }

    pub(crate) fn hash(self) -> hmac::Algorithm {
        match self {
            Self::HS256 => hmac::HMAC_SHA256,
            Self::HS384 => hmac::HMAC_SHA384,
            Self::HS512 => hmac::HMAC_SHA512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_has_one_exact_name_and_none_is_not_one() {
        assert_eq!(Algorithm::named("RS256"), Some(Algorithm::RS256));
        assert_eq!(Algorithm::named("EdDSA"), Some(Algorithm::EdDSA));
        assert_eq!(Algorithm::named("Ed25519"), Some(Algorithm::EdDSA));
        for other in ["none", "None", "nOnE", "", "rs256", "HS256", "RS1", "ES256K", "Ed448"] {
            assert_eq!(Algorithm::named(other), None, "{other}");
        }
    }

    #[test]
    fn an_algorithm_is_deserialized_from_each_of_its_names() {
        let read = |name: &str| serde_json::from_value::<Algorithm>(name.into()).ok();
        for algorithm in Algorithm::ALL {
            assert_eq!(read(algorithm.name()), Some(algorithm));
        }
        assert_eq!(read("Ed25519"), Some(Algorithm::EdDSA));
        for other in ["none", "rs256", "HS256", "Ed448"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
