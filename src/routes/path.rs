//! Reading a request's path, so strictly that nobody reads it in another way.

use std::borrow::Cow;

/// The path as routes are compared with it: percent-decoded once, without a slash at the end, so that the root is empty.
///
/// A path that somebody behind us may read as another one is refused, whatever route it seems to match: whoever
/// removes dot segments, merges slashes, cuts parameters off, or decodes once more would find another resource than the
/// one that was judged. `Err` says what is wrong, for the log.
pub(super) fn read(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    let Some(rest) = raw.strip_prefix('/') else {
        return Err("the path does not begin with a slash");
    };
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "" if segments.peek().is_some() => return Err("the path has an empty segment"),
            "." | ".." => return Err("the path has a dot segment"),
            _ => {}
        }
    }
    let mut without_slash = raw.strip_suffix('/').unwrap_or(raw);
    if without_slash.bytes().any(|byte| ambiguous(byte) || !byte.is_ascii()) {
        return Err("the path has a backslash, a semicolon, or a character beyond ASCII that is not percent-encoded");
    }
    if !without_slash.contains('%') {
        return Ok(Cow::Borrowed(without_slash));
    }
    let mut decoded = Vec::with_capacity(without_slash.len());
    while let Some((plain, encoded)) = without_slash.split_once('%') {
        let byte = encoded
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or("the path has an invalid percent-encoding")?;
        if ambiguous(byte) || matches!(byte, b'/' | b'.' | b'%') {
            return Err("the path has a percent-encoded character that must not be");
        }
        decoded.extend_from_slice(plain.as_bytes());
        decoded.push(byte);
        without_slash = encoded.get(2..).unwrap_or_default();
    }
    decoded.extend_from_slice(without_slash.as_bytes());
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| "the path is not UTF-8 once it is decoded")
}

/// What some servers take for a slash, for the beginning of parameters, or for the end.
fn ambiguous(byte: u8) -> bool {
    matches!(byte, b'\\' | b';' | b'\0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_decoded_once_and_loses_one_slash_at_its_end() {
        for (raw, expected) in [
            ("/", ""),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/a/B%20c", "/a/B c"),
            ("/%c3%A9/", "/\u{e9}"),
            ("/%41%7E%3F%23", "/A~?#"),
            ("/a%0Ab", "/a\nb"),
            ("/.../a.b", "/.../a.b"),
        ] {
            assert_eq!(read(raw), Ok(Cow::Borrowed(expected)), "{raw}");
        }
    }

    proptest! {
        /// Nobody finds another way in it, be it by decoding once more or by cleaning it up.
        #[test]
        fn what_is_read_can_be_read_in_one_way_only(
            raw in proptest::collection::vec("[/.%;\\\\aé]|%(2[eEfF5]|5[cC]|3[bB]|00|61|c3%a9|ff)", 0..10)
        ) {
            let raw = format!("/{}", raw.concat());
            if let Ok(path) = read(&raw) {
                prop_assert!(!path.contains(['%', ';', '\\', '\0']), "{raw}");
                for segment in path.split('/').skip(1) {
                    prop_assert!(!matches!(segment, "" | "." | ".."), "{raw}");
                }
                let slashes = |path: &str| path.matches('/').count();
                prop_assert_eq!(slashes(&path) + usize::from(raw.ends_with('/')), slashes(&raw));
            }
        }
    }
}
