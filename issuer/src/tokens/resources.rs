//! For which resource servers a token is (RFC 8707).

use super::{TokenError, TokenErrorKind};

/// Those of the granted resources that are asked for (RFC 8707 §2.2): all of them where none is named.
pub(super) fn narrowed<'a>(granted: &'a [String], asked: &'a [String]) -> Result<&'a [String], TokenError> {
    if asked.is_empty() {
        return Ok(granted);
    }
    match asked.iter().all(|resource| granted.contains(resource)) {
        true => Ok(asked),
        false => Err(TokenError::new(
            TokenErrorKind::InvalidTarget,
            "a resource was asked for that was not granted",
        )),
    }
}
