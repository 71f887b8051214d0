//! Names for tokens under which things can be remembered.
//!
//! Two tokens with one name would be one token to a memory: whoever found a second one for a stranger's token would enter
//! as that stranger. So what matters is that nobody can find such a pair, and the key makes sure of it: it is drawn at
//! random when the process first needs it, and neither key nor names ever leave the process.
//!
//! - **Long tokens**, JWTs above all, get their GMAC under a nonce that never changes. What is left of GMAC then is its
//!   universal hash (GHASH, NIST SP 800-38D §6.4), added to a constant. For any two tokens that somebody chooses without
//!   knowing the key, the names are equal with a probability of at most (⌈length / 16⌉ + 1) / 2^128: 2^-116 for 64 KiB,
//!   and longer ones are none of these. Nothing is learned from a failure but that this one pair differs, so that 2^60 attempts on a
//!   million remembered tokens succeed with a probability of about 2^-36. Reused nonces break GMAC for those who see tags;
//!   nobody does.
//! - **Short tokens**, and those of more than 64 KiB, get HMAC-SHA-256, cut to 128 bits (RFC 2104 §5). It is no slower for them, and stays one-way even
//!   for somebody who knows names of short tokens of their own, from which the key of a universal hash could be computed.
//!
//! Every table of names hashes them once more under a key of its own.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::LazyLock,
};

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};

/// The longest token that is named by the universal hash: with the length, the chance of a collision grows.
const LONGEST: usize = 64 * 1024;

/// The key of this process. There is none where the operating system gives no random bytes.
static KEY: LazyLock<Option<DigestKey>> = LazyLock::new(DigestKey::random);

/// Turns tokens into names that mean nothing outside this process.
struct DigestKey {
    long: LessSafeKey,
    short: hmac::Key,
}

/// The name of one token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenDigest(u128);

impl TokenDigest {
    /// The shortest token that is named by the universal hash.
    pub(crate) const LONG: usize = 256;

    /// How many shards there are.
    pub(crate) const SHARDS: usize = 256;

    /// The name of a token; `None` when there are no random bytes to make a key of, and nothing can be remembered.
    pub(crate) fn of(token: &str) -> Option<Self> {
        KEY.as_ref()?.digest(token.as_bytes())
    }

    /// One of a few groups of tokens, for what need not be kept for each.
    pub(crate) fn shard(&self) -> usize {
        self.0.to_be_bytes().first().copied().map_or(0, usize::from)
    }
}

/// In one piece: the table's own hash has a key.
impl Hash for TokenDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.0);
    }
}

/// Not even a name is shown.
impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest")
    }
}

impl DigestKey {
    fn random() -> Option<Self> {
        let (mut long, mut short) = ([0; 16], [0; 32]);
        let random = SystemRandom::new();
        random.fill(&mut long).and_then(|()| random.fill(&mut short)).ok()?;
        Some(Self {
            long: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &long).ok()?),
            short: hmac::Key::new(hmac::HMAC_SHA256, &short),
        })
    }

    fn digest(&self, token: &[u8]) -> Option<TokenDigest> {
        let name = if !(TokenDigest::LONG..=LONGEST).contains(&token.len()) {
            let tag = hmac::sign(&self.short, token);
            *tag.as_ref().first_chunk()?
        } else {
            let nonce = Nonce::assume_unique_for_key([0; 12]);
            let tag = self.long.seal_in_place_separate_tag(nonce, Aad::from(token), &mut []);
            *tag.ok()?.as_ref().first_chunk()?
        };
        Some(TokenDigest(u128::from_be_bytes(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_name_per_key_and_another_under_another() {
        let (a, b) = (DigestKey::random().unwrap(), DigestKey::random().unwrap());
        for token in [vec![b't'; 40], vec![b't'; 1000]] {
            assert!(a.digest(&token).is_some() && a.digest(&token) == a.digest(&token));
            assert!(a.digest(&token) != b.digest(&token));
        }
    }

    #[test]
    fn tokens_that_differ_anywhere_have_different_names() {
        let key = DigestKey::random().unwrap();
        for length in [1, 255, 256, 257, 1024, 16_384, LONGEST, LONGEST + 1] {
            let token = vec![b't'; length];
            let name = key.digest(&token);
            for place in [0, length / 2, length - 1] {
                let mut other = token.clone();
                other[place] = b'u';
                assert!(key.digest(&other) != name, "{length} {place}");
            }
            // GHASH pads with zeros: only the length tells these apart.
            let longer = [&token[..], b"\0"].concat();
            assert!(
                key.digest(&longer) != name && key.digest(&token[1..]) != name,
                "{length}"
            );
        }
    }
}
