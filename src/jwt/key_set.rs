//! The keys of an issuer, and which of them may have signed a token.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{algorithm::Algorithm, keys::VerifyingKey};
use crate::error::shown;

/// The most keys that a set may have.
const MAX_KEYS: usize = 64;

/// The most keys that are tried for one token that does not name its key.
pub(crate) const MAX_TRIED: usize = 16;

/// The keys of one issuer. Never empty.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Arc<VerifyingKey>>,
}

/// A key of a set that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SkippedKey {
    pub(crate) kid: String,
    pub(crate) why: &'static str,
}

/// What a set has for a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Candidates<'a> {
    /// These keys may have signed it.
    Keys(Which<'a>),
    /// There is the key that the token names, but it is of another family.
    OtherFamily,
    /// There is no key that could have signed it.
    Unknown,
}

/// Some keys of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which<'a> {
    Any,
    Named(&'a str),
    Nameless,
}

impl Which<'_> {
    fn includes(self, key: &VerifyingKey) -> bool {
        match self {
            Self::Any => true,
            Self::Named(kid) => key.kid() == Some(kid),
            Self::Nameless => key.kid().is_none(),
        }
    }
}

impl KeySet {
    /// Reads a JWK set (RFC 7517 §5). A key that cannot be used is skipped; the others stand.
    pub(crate) fn parse(json: &[u8]) -> Result<(Self, Vec<SkippedKey>), String> {
        #[derive(Deserialize)]
        struct Set<'a> {
            #[serde(borrow, default)]
            keys: Vec<&'a RawValue>,
        }
        let set: Set<'_> = serde_json::from_slice(json).map_err(|_| "the answer is not a JWK set".to_owned())?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("the JWK set has {} keys, more than {MAX_KEYS}", set.keys.len()));
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for jwk in set.keys {
            match VerifyingKey::from_jwk(jwk.get()) {
                Ok(key) => keys.push(Arc::new(key)),
                Err(why) => skipped.push(SkippedKey {
                    kid: shown_kid(jwk.get()),
                    why,
                }),
            }
        }
        if keys.is_empty() {
            return Err(format!(
                "the JWK set has no usable key ({} skipped); a server that signs with HS256 publishes none",
                skipped.len()
            ));
        }
        Ok((Self { keys }, skipped))
    }

    /// The one key, or the few keys, that were given by hand.
    pub(crate) fn of(keys: Vec<VerifyingKey>) -> Self {
        Self {
            keys: keys.into_iter().map(Arc::new).collect(),
        }
    }

    /// Takes the place of an older set. A key that is in both stays what it was; one that is no longer there is withdrawn
    /// from everything it has verified.
    pub(crate) fn replacing(mut self, older: &Self) -> Self {
        for key in &mut self.keys {
            if let Some(known) = older.keys.iter().find(|known| known.is_same(key)) {
                *key = Arc::clone(known);
            }
        }
        let is_gone = |key: &&Arc<VerifyingKey>| !self.keys.iter().any(|kept| Arc::ptr_eq(kept, key));
        for gone in older.keys.iter().filter(is_gone) {
            gone.grounds().withdraw();
        }
        self
    }

    /// How many keys of another set are not in this one.
    pub(crate) fn missing_of(&self, other: &Self) -> usize {
        let is_here = |key: &Arc<VerifyingKey>| self.keys.iter().any(|known| Arc::ptr_eq(known, key));
        other.keys.iter().filter(|key| !is_here(key)).count()
    }

    /// The keys among these that go with the algorithm.
    pub(crate) fn fitting<'a>(
        &'a self,
        which: Which<'a>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a VerifyingKey> {
        let keys = self.keys.iter().map(|key| &**key);
        keys.filter(move |key| which.includes(key) && key.fits(algorithm))
            .take(MAX_TRIED)
    }

    /// Whether a token's key is one that it names, so that no other one could be meant.
    pub(crate) fn has_named(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        matches!(self.candidates(kid, algorithm), Candidates::Keys(Which::Named(_)))
    }

    /// The keys that may have signed a token: those with its `kid`, else those without any `kid` of their own; all that
    /// fit where the token names none (RFC 7515 §4.1.4, RFC 7517 §4.5).
    pub(crate) fn candidates<'a>(&'a self, kid: Option<&'a str>, algorithm: Algorithm) -> Candidates<'a> {
        let has = |which| self.fitting(which, algorithm).next().is_some();
        let which = match kid {
            None => Which::Any,
            Some(kid) if has(Which::Named(kid)) => Which::Named(kid),
            Some(kid) if self.keys.iter().any(|key| key.kid() == Some(kid)) => return Candidates::OtherFamily,
            Some(_) => Which::Nameless,
        };
        if has(which) {
            Candidates::Keys(which)
        } else {
            Candidates::Unknown
        }
    }
}

/// The name of a key for the log, if it has one that can be read.
fn shown_kid(jwk: &str) -> String {
    #[derive(Deserialize)]
    struct Named {
        kid: Option<String>,
    }
    let named: Option<Named> = serde_json::from_str(jwk).ok();
    shown(&named.and_then(|named| named.kid).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// RFC 7515 A.3, RFC 8037 A.2, RFC 7515 A.2.
    fn ec() -> Value {
        json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" })
    }

    fn ed() -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
    }

    fn rsa() -> Value {
        json!({ "kty": "RSA", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ", "e": "AQAB" })
    }

    fn with(mut jwk: Value, member: &str, value: Value) -> Value {
        jwk[member] = value;
        jwk
    }

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap().0
    }

    fn is_withdrawn(key: &VerifyingKey) -> bool {
        let token = crate::CurrentToken::vouch_for(&json!({})).unwrap();
        token.resting_on(key.grounds().clone()).is_withdrawn()
    }

    #[test]
    fn a_key_that_stays_keeps_its_identity_and_one_that_leaves_is_withdrawn() {
        let a = with(ec(), "kid", json!("a"));
        let older = set(&[a.clone(), ed(), rsa()]);
        // In another order, with other members that mean nothing here.
        let newer = set(&[rsa(), with(a, "x5t", json!("x"))]).replacing(&older);
        assert!(Arc::ptr_eq(&older.keys[0], &newer.keys[1]) && Arc::ptr_eq(&older.keys[2], &newer.keys[0]));
        assert_eq!(
            older.keys.iter().map(|key| is_withdrawn(key)).collect::<Vec<_>>(),
            [false, true, false]
        );
    }

    #[test]
    fn a_key_that_changes_in_anything_that_counts_is_another_one() {
        let other_modulus = with(rsa(), "n", json!(rsa()["n"].as_str().unwrap().replace("ofgW", "pfgW")));
        for (before, after) in [
            (rsa(), other_modulus),
            (rsa(), with(rsa(), "e", json!("Aw"))),
            (rsa(), with(rsa(), "alg", json!("RS256"))),
            (rsa(), with(rsa(), "kid", json!("a"))),
            (ec(), with(ec(), "issuer", json!("https://a"))),
        ] {
            let older = set(&[before]);
            let newer = set(&[after]).replacing(&older);
            assert!(is_withdrawn(&older.keys[0]) && !is_withdrawn(&newer.keys[0]));
        }
    }

    #[test]
    fn odd_keys_are_skipped_and_the_rest_of_the_set_stands() {
        let set = json!({ "keys": [
            { "kty": "AKP", "kid": "ml-dsa" },
            with(rsa(), "use", json!("enc")),
            "nonsense",
            null,
            with(ec(), "kid", json!("good")),
        ], "public_cert": {} });
        let text = set
            .to_string()
            .replace("\"keys\":[", "\"keys\":[{\"kty\":\"EC\",\"kty\":\"EC\"},");
        let (set, skipped) = KeySet::parse(text.as_bytes()).unwrap();
        assert_eq!((set.keys.len(), skipped.len()), (1, 5));
    }

    #[test]
    fn a_set_without_usable_keys_is_no_set() {
        for set in [
            json!({}),
            json!({ "keys": [] }),
            json!({ "keys": [{ "kty": "oct" }] }),
            json!([]),
            json!({ "keys": {} }),
        ] {
            assert!(KeySet::parse(set.to_string().as_bytes()).is_err(), "{set}");
        }
    }

    #[test]
    fn a_set_has_at_most_sixty_four_keys() {
        let set = |n| json!({ "keys": vec![ec(); n] }).to_string();
        assert!(KeySet::parse(set(64).as_bytes()).is_ok());
        assert!(KeySet::parse(set(65).as_bytes()).is_err());
    }

    #[test]
    fn a_kid_is_compared_with_case_and_may_stand_twice() {
        let keys = json!({ "keys": [
            with(ec(), "kid", json!("A")), with(ed(), "kid", json!("A")), with(ec(), "kid", json!("b")),
        ] });
        let (set, _) = KeySet::parse(keys.to_string().as_bytes()).unwrap();
        let count = |kid, algorithm| match set.candidates(kid, algorithm) {
            Candidates::Keys(which) => set.fitting(which, algorithm).count(),
            Candidates::OtherFamily => 100,
            Candidates::Unknown => 0,
        };
        assert_eq!(count(Some("A"), Algorithm::ES256), 1);
        assert_eq!(count(Some("A"), Algorithm::EdDSA), 1);
        assert_eq!(count(Some("a"), Algorithm::ES256), 0);
        assert_eq!(count(Some("b"), Algorithm::EdDSA), 100);
        assert_eq!(count(None, Algorithm::ES256), 2);
        assert_eq!(count(None, Algorithm::RS256), 0);
    }
}
