//! Secrets of clients, of which only digests are kept.

use std::fmt;

use crate::random;
use aws_lc_rs::{constant_time, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use resource_protector::SetupError;
use serde::{Deserialize, Serialize};

/// The shortest secret that somebody else has made, in bytes.
const SHORTEST: usize = 32;

/// The longest, in bytes.
const LONGEST: usize = 1024;

/// A secret that a client and the authorization server share. Its `Debug` form shows nothing of it.
///
/// What is kept of it is its SHA-256, which hides a secret that cannot be guessed, and no other. So take
/// [generated](Self::generate) ones.
#[derive(Clone)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// A new one of 256 random bits, in 43 characters of base64url.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers.
    pub fn generate() -> Result<Self, SetupError> {
        let secret = random::text::<32>();
        secret.map(Self).map_err(|error| SetupError::new("secret", error))
    }

    /// One that somebody else has made, **at random**: 32 to 1024 printable ASCII characters.
    ///
    /// # Errors
    ///
    /// When it is shorter or longer, or has other characters (RFC 6749, appendix A.2).
    pub fn new(secret: impl Into<String>) -> Result<Self, SetupError> {
        let secret = secret.into();
        let is_printable = secret.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        if !is_printable || secret.len() < SHORTEST || secret.len() > LONGEST {
            return Err(SetupError::new(
                "secret",
                format_args!(
                    "expected {SHORTEST} to {LONGEST} random printable ASCII characters, got {} bytes",
                    secret.len()
                ),
            ));
        }
        Ok(Self(secret))
    }

    /// The secret, to be told to the client once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret")
    }
}

/// The SHA-256 of a secret, in base64url.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct SecretDigest(String);

impl SecretDigest {
    pub(super) fn of(secret: &str) -> Self {
        Self(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, secret.as_bytes())))
    }

    pub(super) fn is_well_formed(&self) -> bool {
        URL_SAFE_NO_PAD.decode(&self.0).is_ok_and(|bytes| bytes.len() == 32)
    }
}

/// Whether one of the digests is this secret's. It takes as long for a wrong secret as for the right one, and for a
/// client that has none, or is not known, as for one that has.
pub(super) fn is_one_of(secret: &str, digests: &[SecretDigest]) -> bool {
    let presented = SecretDigest::of(secret);
    let nobody_s = [SecretDigest("-".repeat(43))];
    let compared = if digests.is_empty() { &nobody_s[..] } else { digests };
    let mut is_one = false;
    for digest in compared {
        is_one |= constant_time::verify_slices_are_equal(presented.0.as_bytes(), digest.0.as_bytes()).is_ok();
    }
    is_one && !digests.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_again_by_its_digest_alone() {
        let (one, other) = (ClientSecret::generate().unwrap(), ClientSecret::generate().unwrap());
        assert_eq!(one.expose().len(), 43);
        let digests = [SecretDigest::of(other.expose()), SecretDigest::of(one.expose())];
        assert!(is_one_of(one.expose(), &digests));
        assert!(!is_one_of("", &digests));
        assert!(!is_one_of(&one.expose()[1..], &digests));
        assert!(!is_one_of(one.expose(), &digests[..1]));
        assert!(!is_one_of(one.expose(), &[]));
    }

    #[test]
    fn a_digest_is_that_of_fips_180_4() {
        // FIPS 180-4, example "abc": ba7816bf 8f01cfea … f20015ad.
        assert_eq!(SecretDigest::of("abc").0, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    }

    #[test]
    fn a_short_secret_is_refused_and_not_quoted() {
        for bad in [
            "",
            "hunter2",
            "0123456789012345678901234567890",
            "01234567890123456789012345678901ü",
        ] {
            let error = ClientSecret::new(bad).unwrap_err();
            assert_eq!(error.option(), "secret");
            assert!(bad.is_empty() || !error.to_string().contains(bad));
        }
        assert!(ClientSecret::new("0123456789 123456789~123456789!1").is_ok());
    }
}
