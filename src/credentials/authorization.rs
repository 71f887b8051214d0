//! The place where every client can put a token.
//!
//! ```text
//! Authorization = "Bearer" 1*SP token68                             RFC 6750 §2.1, RFC 9110 §11.4
//! ```

use std::borrow::Cow;

use http::{HeaderMap, header};

use super::{Credentials, Place, is_tchar, is_token68};

pub(super) fn read(headers: &HeaderMap, max_length: usize) -> Credentials<'_> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let Some(field) = fields.next() else {
        return Credentials::Absent;
    };
    if field.len() > max_length {
        return Credentials::Malformed("the Authorization field is too long");
    }
    // RFC 6750 §2: "Clients MUST NOT use more than one method to transmit the token in each request."
    if fields.next().is_some() {
        return Credentials::Malformed("there are two Authorization fields");
    }
    authorization(field.as_bytes())
}

fn authorization(field: &[u8]) -> Credentials<'_> {
    if field.iter().all(|b| matches!(b, b' ' | b'\t')) {
        return Credentials::Absent;
    }
    let end = field.iter().position(|b| !is_tchar(*b)).unwrap_or(field.len());
    let (scheme, rest) = field.split_at(end);
    if scheme.is_empty() {
        return Credentials::Malformed("the Authorization field does not begin with a scheme");
    }
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Credentials::OtherScheme;
    }
    let token = rest.trim_ascii_start();
    let spaces = rest.len() - token.len();
    // RFC 6750 §2.1 has one space, RFC 9110 §11.4 one or more; a tab is neither.
    if spaces == 0 || rest.iter().take(spaces).any(|b| *b != b' ') {
        return Credentials::Malformed("Bearer is not followed by a space and a token");
    }
    match std::str::from_utf8(token) {
        Ok(token) if is_token68(token.as_bytes()) => Credentials::Token(Cow::Borrowed(token), Place::Authorization),
        _ => Credentials::Malformed("what follows Bearer is not a token68"),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::{super::DEFAULT_MAX_LENGTH, *};

    fn bearer(token: &str) -> Option<Credentials<'_>> {
        Some(Credentials::Token(token.into(), Place::Authorization))
    }

    fn read_bytes(field: &[u8]) -> Option<Credentials<'static>> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(field).ok()?);
        let headers: &'static HeaderMap = Box::leak(Box::new(headers));
        Some(read(headers, DEFAULT_MAX_LENGTH))
    }

    fn is_malformed(field: &str) -> bool {
        matches!(read_bytes(field.as_bytes()), Some(Credentials::Malformed(_)))
    }

    #[test]
    fn the_scheme_is_matched_without_regard_to_case() {
        for field in ["Bearer a1", "bearer a1", "BEARER a1", "BeArEr   a1"] {
            assert_eq!(read_bytes(field.as_bytes()), bearer("a1"), "{field}");
        }
    }

    #[test]
    fn absent_another_scheme_and_malformed_are_different_answers() {
        assert_eq!(read(&HeaderMap::new(), 100), Credentials::Absent);
        for field in ["", " ", "\t"] {
            assert_eq!(read_bytes(field.as_bytes()), Some(Credentials::Absent));
        }
        for field in ["Basic YTpi", "a1", "Basic x, Bearer t", "DPoP a1", "Bearer2 a1"] {
            assert_eq!(read_bytes(field.as_bytes()), Some(Credentials::OtherScheme), "{field}");
        }
        for field in [
            "Bearer",
            "Bearer ",
            "Bearer\ta1",
            "Bearer \ta1",
            "Bearer a1 extra",
            "Bearer a1 ",
            "Bearer a1, Basic x",
            "Bearer a1,Bearer a2",
            "Bearer =",
            "Bearer a=b",
            "Bearer a1\t",
            "Bearer \"a1\"",
            "Bearer:a1",
            " Bearer a1",
            "(x) a1",
        ] {
            assert!(is_malformed(field), "{field:?}");
        }
        assert!(matches!(read_bytes(b"Bearer a\xff"), Some(Credentials::Malformed(_))));
        assert!(matches!(read_bytes(b"\xff"), Some(Credentials::Malformed(_))));
    }

    #[test]
    fn every_token68_character_and_trailing_equals_signs_are_read() {
        let token = "AZaz09-._~+/==";
        assert_eq!(read_bytes(format!("Bearer {token}").as_bytes()), bearer(token));
    }

    #[test]
    fn two_fields_are_malformed_whatever_they_are() {
        for second in ["Bearer a1", "Basic x", ""] {
            let mut headers = HeaderMap::new();
            headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer a1"));
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(second).unwrap());
            assert!(matches!(read(&headers, 100), Credentials::Malformed(_)));
        }
    }

    #[test]
    fn the_length_is_limited_before_anything_else() {
        let field = format!("Basic {}", "x".repeat(DEFAULT_MAX_LENGTH));
        assert!(is_malformed(&field));
        let longest = "x".repeat(DEFAULT_MAX_LENGTH - "Bearer ".len());
        assert!(matches!(
            read_bytes(format!("Bearer {longest}").as_bytes()),
            Some(Credentials::Token(..))
        ));
        assert!(is_malformed(&format!("Bearer {longest}x")));
    }

    proptest! {
        #[test]
        fn whatever_is_read_as_a_token_is_a_token68_and_stands_whole_in_the_field(field in proptest::collection::vec(any::<u8>(), 0..64)) {
            for field in [field.clone(), [b"Bearer ".as_slice(), &field].concat()] {
                if let Some(Credentials::Token(token, _)) = read_bytes(&field) {
                    prop_assert!(is_token68(token.as_bytes()));
                    prop_assert!(field.ends_with(token.as_bytes()));
                    prop_assert!(field[..field.len() - token.len()].trim_ascii_end().eq_ignore_ascii_case(b"bearer"));
                }
            }
        }
    }
}
