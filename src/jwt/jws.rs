//! The compact form of a signed token (RFC 7515 §7.1), read strictly.
//!
//! Two spellings of one token would be two tokens to a cache or a list of revoked ones, so there is only one spelling:
//! three segments of canonical base64url without padding, the first one JSON object without repeated members.

use std::{borrow::Cow, sync::Arc};

use super::known_headers::KnownHeaders;
use crate::{
    base64url,
    error::shown,
    json::Object,
    rejection::{Reason, Rejection},
    validate::TokenDigest,
};

/// The longest token that is looked at, in bytes. The protector's own limit is usually lower.
const MAX_TOKEN: usize = 64 * 1024;

/// The longest header segment that is decoded.
const MAX_HEADER: usize = 8 * 1024;

/// The longest signature segment that is decoded; RSA with 8192 bits needs 1366.
const MAX_SIGNATURE: usize = 1400;

/// A refusal, its sentence put together when this is compiled.
macro_rules! malformed {
    ($problem:literal) => {
        Rejection::invalid_token(Reason::Format, concat!("not a signed JWT in compact form: ", $problem))
    };
}

/// A token taken apart; nothing in it is verified.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    pub(crate) header: Arc<Header>,
    pub(super) header_segment: &'a str,
    /// What was signed: header and payload as they stand in the token.
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
    payload: &'a str,
}

/// The header members that have a meaning here. `jwk`, `jku`, `x5u` and `x5c` are never looked at: a token does not
/// choose the key that verifies it (RFC 8725 §3.10).
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) typ: Option<String>,
    pub(crate) kid: Option<String>,
}

impl<'a> Jws<'a> {
    /// Refuses a short token at once that is none: to name it, for a look into memory, would take longer.
    pub(crate) fn expect_if_short(token: &str) -> Result<(), Rejection> {
        if token.len() < TokenDigest::LONG && token.bytes().filter(|b| *b == b'.').count() != 2 {
            return Err(malformed!("not three segments"));
        }
        Ok(())
    }

    pub(crate) fn parse(token: &'a str, known: &KnownHeaders) -> Result<Self, Rejection> {
        if token.len() > MAX_TOKEN {
            return Err(malformed!("longer than 64 KiB"));
        }
        let mut segments = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(malformed!("not three segments"));
        };
        if header.len() > MAX_HEADER || signature.len() > MAX_SIGNATURE {
            return Err(malformed!("its header or signature is too long"));
        }
        let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        let segment = header;
        let header = match known.find(segment) {
            Some(known) => known,
            None => Arc::new(Header::parse(&decode(segment)?)?),
        };
        Ok(Self {
            header,
            header_segment: segment,
            signed,
            signature: decode(signature)?,
            payload,
        })
    }

    /// The payload's bytes. Decode them once the signature is verified.
    pub(crate) fn payload(&self) -> Result<Vec<u8>, Rejection> {
        decode(self.payload)
    }
}

impl Header {
    fn parse(json: &[u8]) -> Result<Self, Rejection> {
        let header = Object::parse(json).map_err(|_| malformed!("its header is not one JSON object"))?;
        // RFC 7515 §4.1.11: extensions that are not understood make a token invalid, and none is understood here.
        // RFC 7797 §6 and RFC 7516 §4.1.3 come with `crit` or `enc`; one without it is not a token of ours either.
        if let Some(member) = ["crit", "b64", "zip", "enc"]
            .into_iter()
            .find(|member| header.has(member))
        {
            return Err(match member {
                "crit" => malformed!("its header has `crit`"),
                "b64" => malformed!("its header has `b64`"),
                "zip" => malformed!("its header has `zip`"),
                _ => malformed!("it is encrypted"),
            });
        }
        let text = |member: &str| {
            let text = header.text(member);
            text.map(|text| text.map(Cow::into_owned))
                .map_err(|_| malformed!("a member of its header is not a string"))
        };
        Ok(Self {
            alg: text("alg")?.ok_or_else(|| malformed!("its header has no `alg`"))?,
            typ: text("typ")?,
            kid: text("kid")?,
        })
    }

    pub(crate) fn refused_algorithm(&self) -> Rejection {
        Rejection::invalid_token(
            Reason::Algorithm,
            format!("the algorithm {} is not accepted", shown(&self.alg)),
        )
    }
}

fn decode(segment: &str) -> Result<Vec<u8>, Rejection> {
    base64url::decode(segment).map_err(|_| malformed!("a segment is not canonical base64url"))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    fn segment(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    fn parse(token: &str) -> Result<Jws<'_>, Rejection> {
        Jws::parse(token, &KnownHeaders::default())
    }

    fn is_readable(header: &str) -> bool {
        parse(&format!("{}.e30.AAAA", segment(header))).is_ok()
    }

    #[test]
    fn three_canonical_segments_are_read() {
        let token = format!(
            "{}.e30.AAAA",
            segment(r#"{"alg":"ES256","typ":"at+jwt","kid":"1","x5c":["…"]}"#)
        );
        let jws = parse(&token).unwrap();
        assert_eq!(
            (
                jws.header.alg.as_str(),
                jws.header.typ.as_deref(),
                jws.header.kid.as_deref()
            ),
            ("ES256", Some("at+jwt"), Some("1"))
        );
        assert_eq!(jws.signed, token.strip_suffix(".AAAA").unwrap());
        assert_eq!(jws.payload().unwrap(), b"{}");
    }

    #[test]
    fn another_number_of_segments_is_refused() {
        let h = segment(r#"{"alg":"ES256"}"#);
        for token in [
            "",
            ".",
            "..",
            &h,
            &format!("{h}.e30"),
            &format!("{h}.e30.A.A"),
            &format!("{h}.e.e.e.e"),
            "not.a.jwt",
        ] {
            assert!(parse(token).is_err(), "{token}");
        }
    }

    #[test]
    fn a_segment_that_is_not_canonical_base64url_is_refused() {
        let h = segment(r#"{"alg":"ES256"}"#);
        // `AB` and `AA` both decode to one zero byte in a lenient decoder.
        for signature in ["AAAA=", "AA==", "AB", "A", "A A", "AAA+", "AAA/", "AA\n", "é"] {
            assert!(parse(&format!("{h}.e30.{signature}")).is_err(), "{signature}");
        }
        assert!(parse(&format!("{h}.e30.AA")).is_ok());
    }

    #[test]
    fn extensions_compression_and_encryption_are_refused() {
        for member in [
            r#""crit":["exp"]"#,
            r#""crit":[]"#,
            r#""crit":null"#,
            r#""b64":false"#,
            r#""b64":true"#,
            r#""zip":"DEF""#,
            r#""enc":"A128GCM""#,
        ] {
            assert!(!is_readable(&format!(r#"{{"alg":"ES256",{member}}}"#)), "{member}");
        }
    }

    #[test]
    fn a_header_that_is_not_one_plain_object_is_refused() {
        for header in [
            "[]",
            "null",
            "",
            "{}",
            r#"{"alg":1}"#,
            r#"{"alg":"ES256","alg":"ES256"}"#,
            r#"{"alg":"ES256","kid":1}"#,
            r#"{"alg":"ES256","typ":null}"#,
            r#"{"alg":"ES256"}{}"#,
        ] {
            assert!(!is_readable(header), "{header}");
        }
    }

    #[test]
    fn long_headers_and_signatures_are_refused() {
        assert!(!is_readable(&format!(
            r#"{{"alg":"ES256","x":"{}"}}"#,
            "x".repeat(MAX_HEADER)
        )));
        let h = segment(r#"{"alg":"ES256"}"#);
        assert!(parse(&format!("{h}.e30.{}", "A".repeat(MAX_SIGNATURE + 4))).is_err());
        assert!(parse(&format!("{h}.{}.AAAA", "A".repeat(MAX_TOKEN))).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_has_one_spelling(token in "[A-Za-z0-9_\\-.=+ {}\"]{0,80}|(eyJhbGciOiJFUzI1NiJ9\\.[A-Za-z0-9_-]{0,9}\\.[A-Za-z0-9_-]{0,9})") {
            if let Ok(jws) = parse(&token) {
                let signature = URL_SAFE_NO_PAD.encode(&jws.signature);
                prop_assert_eq!(format!("{}.{signature}", jws.signed), token.clone());
                if let Ok(payload) = jws.payload() {
                    let payload = format!(".{}", URL_SAFE_NO_PAD.encode(payload));
                    prop_assert!(jws.signed.ends_with(&payload));
                }
            }
        }
    }
}
