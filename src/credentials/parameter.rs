//! The parameter that has the token, in a query or a form.

use std::borrow::Cow;

use super::at_most_one;

/// The value of `access_token`, decoded; `Err` if it stands twice, however it is written.
pub(super) fn access_token(encoded: &[u8]) -> Result<Option<Cow<'_, str>>, ()> {
    let parameters = form_urlencoded::parse(encoded);
    at_most_one(
        parameters
            .filter(|(name, _)| name == "access_token")
            .map(|(_, value)| value),
    )
}
