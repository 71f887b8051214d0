//! What clients are told: fixed words.

use bytes::Bytes;

/// An error code and a fixed sentence, for header and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErrorSaid {
    pub(crate) code: &'static str,
    pub(crate) sentence: &'static str,
    json: &'static str,
}

/// The words need no escaping, neither in a challenge nor in JSON.
macro_rules! said {
    ($code:literal, $sentence:literal) => {
        ErrorSaid {
            code: $code,
            sentence: $sentence,
            json: concat!(r#"{"error":""#, $code, r#"","error_description":""#, $sentence, r#""}"#),
        }
    };
}

impl ErrorSaid {
    pub(crate) const MALFORMED: Self = said!("invalid_request", "The credentials of the request are malformed");
    pub(crate) const EXPIRED: Self = said!("invalid_token", "The access token expired");
    pub(crate) const NOT_VALID: Self = said!("invalid_token", "The access token is not valid here");
    pub(crate) const INSUFFICIENT_SCOPE: Self = said!(
        "insufficient_scope",
        "The access token does not grant what this request needs"
    );
    pub(crate) const INSUFFICIENT_AUTHENTICATION: Self = said!(
        "insufficient_user_authentication",
        "The user has to authenticate anew or more strongly for this request"
    );
    pub(crate) const CROSS_SITE: Self = said!("access_denied", "The request was not sent by a page of this service");
    pub(crate) const TOO_LARGE: Self = said!(
        "invalid_request",
        "The form is too long to be searched for an access token"
    );
    pub(crate) const UNAVAILABLE: Self = said!(
        "temporarily_unavailable",
        "The access token cannot be checked at the moment"
    );
    pub(crate) const MISCONFIGURED: Self = said!("server_error", "The service cannot check access tokens");
    pub(crate) const BAD_PATH: Self = said!("invalid_request", "The path of the request is not written plainly");
    pub(crate) const OTHER_METHOD: Self = said!("invalid_request", "The path does not have this method");

    /// Those that a challenge tells.
    pub(crate) const CHALLENGED: [Self; 5] = [
        Self::MALFORMED,
        Self::EXPIRED,
        Self::NOT_VALID,
        Self::INSUFFICIENT_SCOPE,
        Self::INSUFFICIENT_AUTHENTICATION,
    ];

    /// The body of a refusal (RFC 6749 §5.2).
    pub(crate) fn json(self) -> Bytes {
        Bytes::from_static(self.json.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_body_is_json_with_the_code_and_the_sentence() {
        for said in ErrorSaid::CHALLENGED.into_iter().chain([
            ErrorSaid::CROSS_SITE,
            ErrorSaid::TOO_LARGE,
            ErrorSaid::UNAVAILABLE,
            ErrorSaid::MISCONFIGURED,
            ErrorSaid::BAD_PATH,
            ErrorSaid::OTHER_METHOD,
        ]) {
            let body: Value = serde_json::from_slice(&said.json()).unwrap();
            assert_eq!(body, json!({ "error": said.code, "error_description": said.sentence }));
        }
    }
}
