//! What a token seems to be, before anything about it is verified. Good for routing, for nothing else.

use std::borrow::Cow;

use crate::{base64url, json::Object};

/// Whether a token has the shape of a signed JWT: three segments, the first a JSON object with an `alg`.
///
/// Opaque tokens may contain dots, too; and an encrypted JWT (five segments) is opaque to us.
pub(crate) fn looks_like_jwt(token: &str) -> bool {
    let mut segments = token.split('.');
    let (Some(header), Some(_), Some(_), None) = (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return false;
    };
    with_object(header, |header| header.has("alg")).unwrap_or(false)
}

/// The issuer that a JWT names, if its payload is readable at all.
pub(crate) fn unverified_issuer(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    with_object(payload, |payload| {
        payload.text("iss").ok().flatten().map(Cow::into_owned)
    })?
}

fn with_object<T>(segment: &str, look: impl FnOnce(&Object<'_>) -> T) -> Option<T> {
    let json = base64url::decode(segment).ok()?;
    Object::parse(&json).ok().map(|object| look(&object))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    fn segment(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn only_three_segments_with_an_algorithm_look_like_a_jwt() {
        let header = segment(r#"{"alg":"RS256"}"#);
        assert!(looks_like_jwt(&format!("{header}.e30.x")));
        for opaque in ["", "a", "a.b", "a.b.c", "ory_at_a.b.c", "...", "a.b.c.d.e"] {
            assert!(!looks_like_jwt(opaque), "{opaque}");
        }
        assert!(!looks_like_jwt(&format!("{}.e30.x", segment(r#"{"typ":"JWT"}"#))));
        assert!(!looks_like_jwt(&format!("{header}.a.b.c.d")));
    }

    #[test]
    fn the_issuer_is_a_string_or_none() {
        let token = |payload: &str| format!("x.{}.x", segment(payload));
        assert_eq!(
            unverified_issuer(&token(r#"{"iss":"https://a"}"#)).as_deref(),
            Some("https://a")
        );
        for payload in [r#"{"iss":["a"]}"#, r#"{"iss":"a","iss":"b"}"#, "{}", "[]"] {
            assert_eq!(unverified_issuer(&token(payload)), None);
        }
    }
}
