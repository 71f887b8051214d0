//! Names for tokens under which things can be remembered.

use aws_lc_rs::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};

/// Turns tokens into names that mean nothing outside this process.
///
/// HMAC-SHA-256 under a key that is drawn at random for each validator: nobody can find two tokens with the same name,
/// and who reads the memory of a cache learns neither a token nor a digest to look one up by.
pub(crate) struct DigestKey(hmac::Key);

/// The name of one token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// How many shards there are.
    pub(crate) const SHARDS: usize = 256;

    /// One of a few groups of tokens, for what need not be kept for each.
    pub(crate) fn shard(&self) -> usize {
        self.0.first().copied().map_or(0, usize::from)
    }
}

impl DigestKey {
    /// A fresh key. `None` when the operating system gives no random bytes.
    pub(crate) fn random() -> Option<Self> {
        let mut key = [0; 32];
        SystemRandom::new().fill(&mut key).ok()?;
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    pub(crate) fn digest(&self, token: &str) -> TokenDigest {
        let mut digest = [0; 32];
        for (byte, of_tag) in digest.iter_mut().zip(hmac::sign(&self.0, token.as_bytes()).as_ref()) {
            *byte = *of_tag;
        }
        TokenDigest(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_name_per_key_and_another_under_another() {
        let (a, b) = (DigestKey::random().unwrap(), DigestKey::random().unwrap());
        assert!(a.digest("t") == a.digest("t"));
        assert!(a.digest("t") != a.digest("u"));
        assert!(a.digest("t") != b.digest("t"));
    }
}
