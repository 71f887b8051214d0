//! The headers that an issuer writes.

use std::sync::{Arc, PoisonError, RwLock};

use super::jws::{Header, Jws};

/// How many are known at the most. An issuer has about as many as keys in use.
const MAX_KNOWN: usize = 16;

/// The longest that is kept, as it stands in tokens.
const MAX_LENGTH: usize = 512;

/// Headers of tokens that were verified: an issuer writes the same few over and over, and they need not be read again.
#[derive(Default)]
pub(crate) struct KnownHeaders(RwLock<Known>);

#[derive(Default)]
struct Known {
    headers: Vec<(Box<str>, Arc<Header>)>,
    /// Which one goes first when there are too many.
    oldest: usize,
}

impl KnownHeaders {
    /// The header that this segment is, if it is known.
    pub(super) fn find(&self, segment: &str) -> Option<Arc<Header>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut headers = known.headers.iter();
        headers.find_map(|(spelling, header)| (**spelling == *segment).then(|| Arc::clone(header)))
    }

    /// Call it for a token whose signature is good: others may have any number of headers.
    pub(super) fn remember(&self, jws: &Jws<'_>) {
        let segment = jws.header_segment;
        if segment.len() > MAX_LENGTH || self.find(segment).is_some() {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let (new, oldest) = ((segment.into(), Arc::clone(&jws.header)), known.oldest);
        match known.headers.get_mut(oldest) {
            Some(first_to_go) => *first_to_go = new,
            None => known.headers.push(new),
        }
        known.oldest = (oldest + 1) % MAX_KNOWN;
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    fn segment(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn a_known_header_is_read_once_and_only_in_its_own_spelling() {
        let known = KnownHeaders::default();
        let h = segment(r#"{"alg":"ES256"}"#);
        let token = format!("{h}.e30.AAAA");
        let first = Jws::parse(&token, &known).unwrap();
        known.remember(&first);
        let again = Jws::parse(&token, &known).unwrap();
        assert!(Arc::ptr_eq(&first.header, &again.header));
        let other = format!("{}.e30.AAAA", segment(r#"{"alg":"ES384"}"#));
        assert_eq!(Jws::parse(&other, &known).unwrap().header.alg, "ES384");
        let malformed = format!("{}.e30.AAAA", &h[1..]);
        assert!(Jws::parse(&malformed, &known).is_err());
    }

    #[test]
    fn there_are_never_more_than_sixteen_and_the_oldest_goes_first() {
        let known = KnownHeaders::default();
        let token = |n: usize| format!("{}.e30.AAAA", segment(&format!(r#"{{"alg":"ES256","kid":"{n}"}}"#)));
        for n in 0..20 {
            known.remember(&Jws::parse(&token(n), &known).unwrap());
        }
        let is_known = |n: usize| known.find(token(n).split('.').next().unwrap()).is_some();
        assert_eq!(
            (0..20).filter(|n| is_known(*n)).collect::<Vec<_>>(),
            (4..20).collect::<Vec<_>>()
        );
    }
}
