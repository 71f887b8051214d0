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
        return Err("the path has a backslash, a semicolon, or a character that must be percent-encoded");
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
