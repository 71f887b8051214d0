//! A refresh token, as its holder has it.

use aws_lc_rs::constant_time;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::store::Id;

const SID: usize = 16;
const FAMILY: usize = 16;
const SECRET: usize = 32;

/// How many characters it has.
const LENGTH: usize = ((SID + FAMILY + SECRET) * 4).div_ceil(3);

/// Which session it is of, the proof that whoever has it has had one of that session, and which of them it is.
///
/// So one row, the session's, says what every refresh token that it ever had is worth, however many there were. The middle
/// part stands nowhere else: who knows a session by the `sid` of an access token cannot make one up that would end it.
#[derive(Clone, Copy)]
pub(super) struct RefreshToken {
    sid: [u8; SID],
    family: [u8; FAMILY],
    secret: [u8; SECRET],
}

impl RefreshToken {
    pub(super) fn new(sid: [u8; SID], family: [u8; FAMILY], secret: [u8; SECRET]) -> Self {
        Self { sid, family, secret }
    }

    /// `None` when it is not one, whatever session it is of.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (sid, rest) = bytes.split_first_chunk()?;
        let (family, secret) = rest.split_first_chunk()?;
        Some(Self::new(*sid, *family, secret.try_into().ok()?))
    }

    /// As its holder has it, in base64url.
    pub(super) fn text(&self) -> String {
        let bytes = [self.sid.as_slice(), &self.family, &self.secret].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The next one of its session.
    pub(super) fn followed_by(self, secret: [u8; SECRET]) -> Self {
        Self { secret, ..self }
    }

    /// The session's `sid`.
    pub(super) fn sid(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.sid)
    }

    /// What all of its session have in common, as a digest.
    pub(super) fn family(&self) -> String {
        digest(&[self.sid.as_slice(), &self.family])
    }

    /// What it alone is, as a digest.
    pub(super) fn digest(&self) -> String {
        digest(&[self.sid.as_slice(), &self.family, &self.secret])
    }
}

/// Whether two digests are the same, in a time that does not say how far they are.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

fn digest(parts: &[&[u8]]) -> String {
    Id::of(&URL_SAFE_NO_PAD.encode(parts.concat())).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> RefreshToken {
        RefreshToken::new([1; SID], [2; FAMILY], [3; SECRET])
    }

    #[test]
    fn a_refresh_token_is_read_as_it_was_written() {
        let text = token().text();
        assert_eq!(text.len(), 86);
        let read = RefreshToken::parse(&text).unwrap();
        assert_eq!((read.sid(), read.family()), (token().sid(), token().family()));
        assert_eq!((read.digest(), read.text()), (token().digest(), text));
    }

    #[test]
    fn a_string_of_another_length_or_alphabet_or_with_bits_to_spare_is_no_refresh_token() {
        let text = token().text();
        let padded = format!("{text}==");
        let longer = format!("{text}AA");
        // The last character has four bits that mean nothing.
        let loose = format!("{}x", &text[..85]);
        for wrong in [
            "",
            "unknown",
            &text[..84],
            &longer,
            &padded,
            &loose,
            &text.replace('A', "+"),
        ] {
            assert!(RefreshToken::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_next_one_is_of_the_same_family_and_another_digest() {
        let next = token().followed_by([4; SECRET]);
        assert!(is_same(&next.family(), &token().family()) && next.sid() == token().sid());
        assert!(!is_same(&next.digest(), &token().digest()));
    }

    #[test]
    fn a_family_is_one_of_its_session_only() {
        let other = RefreshToken::new([9; SID], [2; FAMILY], [3; SECRET]);
        assert!(!is_same(&other.family(), &token().family()));
    }
}
