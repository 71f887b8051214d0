//! What this server wrote, and nobody else.

use std::fmt;

use crate::random;
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use resource_protector::SetupError;

/// Seals what browsers keep for the server: the cookie of a log-in, and the proof in a form that a page of ours made it.
/// HMAC-SHA-256. All processes that serve one issuer need the same key.
///
/// Whoever has it is any user: it belongs where private keys are.
#[derive(Clone)]
pub struct SealingKey {
    current: hmac::Key,
    previous: Option<hmac::Key>,
}

impl SealingKey {
    /// The key of these bytes, which have to be random.
    ///
    /// # Errors
    ///
    /// When there are fewer than 32 or more than 1024, or all are the same.
    pub fn new(bytes: &[u8]) -> Result<Self, SetupError> {
        if !(32..=1024).contains(&bytes.len()) {
            let problem = format!("expected 32 to 1024 random bytes, got {}", bytes.len());
            return Err(SetupError::new("sealing key", problem));
        }
        if bytes.iter().all(|byte| Some(byte) == bytes.first()) {
            return Err(SetupError::new(
                "sealing key",
                "expected random bytes, got the same all over",
            ));
        }
        Ok(Self {
            current: hmac::Key::new(hmac::HMAC_SHA256, bytes),
            previous: None,
        })
    }

    /// A random key. Log-ins end with the process, and other processes do not know of them.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers.
    pub fn random() -> Result<Self, SetupError> {
        let bytes = random::bytes::<32>().map_err(|error| SetupError::new("sealing key", error))?;
        Self::new(&bytes)
    }

    /// Goes on accepting what was sealed with another key, while this one seals. For the time that a log-in lasts after the
    /// key was replaced.
    #[must_use]
    pub fn and_before(self, previous: Self) -> Self {
        Self {
            previous: Some(previous.current),
            ..self
        }
    }

    /// The seal for these parts, in base64url: 43 characters.
    pub(super) fn seal(&self, purpose: Purpose, parts: &[&str]) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.current, &message(purpose, parts)))
    }

    /// Whether this is the seal for these parts. It takes the same time wherever they differ.
    pub(super) fn is_seal(&self, purpose: Purpose, parts: &[&str], seal: &str) -> bool {
        let Ok(seal) = URL_SAFE_NO_PAD.decode(seal) else {
            return false;
        };
        let message = message(purpose, parts);
        let is_of = |key: &hmac::Key| hmac::verify(key, &message, &seal).is_ok();
        is_of(&self.current) || self.previous.as_ref().is_some_and(is_of)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").finish_non_exhaustive()
    }
}

/// What a seal is for. One for something else is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The cookie of a log-in.
    Login,
    /// The form that asks who somebody is.
    LoginForm,
    /// The form that asks whether a client may.
    ConsentForm,
    /// The form that asks whether to log out.
    LogoutForm,
    /// That a log-in was made for one request.
    LoggedInFor,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Login => "log-in",
            Self::LoginForm => "login form",
            Self::ConsentForm => "consent form",
            Self::LogoutForm => "logout form",
            Self::LoggedInFor => "logged in for",
        }
    }
}

/// Each part with its length before it, so that no two lists of parts make the same message.
fn message(purpose: Purpose, parts: &[&str]) -> Vec<u8> {
    let mut message = Vec::new();
    for part in std::iter::once(purpose.as_str()).chain(parts.iter().copied()) {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(first: u8) -> SealingKey {
        let bytes: Vec<u8> = (first..first + 32).collect();
        SealingKey::new(&bytes).unwrap()
    }

    #[test]
    fn a_seal_is_for_one_purpose_and_for_these_parts_as_they_are_cut() {
        let seal = key(0).seal(Purpose::LoginForm, &["ab", "c"]);
        assert!(key(0).is_seal(Purpose::LoginForm, &["ab", "c"], &seal));
        assert!(!key(0).is_seal(Purpose::ConsentForm, &["ab", "c"], &seal));
        assert!(!key(0).is_seal(Purpose::LoginForm, &["a", "bc"], &seal));
        assert!(!key(0).is_seal(Purpose::LoginForm, &["ab", "c", ""], &seal));
        assert!(!key(0).is_seal(Purpose::LoginForm, &["ab", "c"], ""));
        assert!(!key(0).is_seal(Purpose::LoginForm, &["ab", "c"], &seal[..42]));
        assert!(!key(1).is_seal(Purpose::LoginForm, &["ab", "c"], &seal));
    }

    #[test]
    fn a_key_that_was_replaced_is_accepted_and_seals_no_more() {
        let both = key(1).and_before(key(0));
        let old = key(0).seal(Purpose::Login, &["x"]);
        assert!(both.is_seal(Purpose::Login, &["x"], &old));
        assert_eq!(both.seal(Purpose::Login, &["x"]), key(1).seal(Purpose::Login, &["x"]));
    }

    #[test]
    fn a_key_that_is_short_or_not_random_is_none() {
        assert!(SealingKey::new(&[]).is_err());
        assert!(SealingKey::new(&(0..31).collect::<Vec<u8>>()).is_err());
        assert!(SealingKey::new(&[0; 32]).is_err());
        assert!(SealingKey::new(&[b'x'; 64]).is_err());
    }
}
