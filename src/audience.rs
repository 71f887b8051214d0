//! For whom tokens must have been issued.

use std::fmt;

use crate::{
    error::{SetupError, shown},
    rejection::{Reason, Rejection},
};

/// The identifiers of this resource server, one of which must stand in the `aud` of every token.
///
/// Made from a string or a list of strings wherever a validator asks for it. They are compared byte for byte
/// (RFC 8707 §2): no prefix, no case, no trailing slash is forgiven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience(Expected);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    OneOf(Vec<String>),
    NobodyNamed,
    Any,
}

impl Audience {
    /// Gives the check up: **every token of the issuer is accepted, whichever API it was issued for**, and with it
    /// whoever holds a token for any other API of the same issuer (RFC 9700 §2.3). Where an issuer cannot be made to
    /// name an audience, name the clients instead, with [`JwtValidator::audience_claim`](crate::JwtValidator::audience_claim).
    pub fn dangerous_any_even_tokens_meant_for_others() -> Self {
        Self(Expected::Any)
    }

    /// Gives the check up for tokens that name no audience, **which any API of the same issuer would accept as well**: for
    /// an issuer that never names one and has one API. A token that names any is refused, since it is meant for others (RFC
    /// 7519 §4.1.3).
    pub fn dangerous_only_tokens_that_name_none() -> Self {
        Self(Expected::NobodyNamed)
    }

    /// At least one identifier, none of them blank.
    pub(crate) fn checked(self) -> Result<Self, SetupError> {
        match &self.0 {
            Expected::OneOf(list) if list.is_empty() || list.iter().any(|one| one.trim().is_empty()) => {
                Err(SetupError::new(
                    "audience",
                    "expected the identifier of this resource server, such as https://api.example.com, got a blank one",
                ))
            }
            // RFC 8707 §2: a resource indicator "MUST NOT include a fragment component".
            Expected::OneOf(list) if list.iter().any(|one| one.starts_with("https://") && one.contains('#')) => Err(
                SetupError::new("audience", "expected the URL of this resource server without fragment"),
            ),
            _ => Ok(self),
        }
    }

    /// Whether a token with these audiences was issued for this resource server.
    fn accepts<'a>(&self, mut audience: impl Iterator<Item = &'a str>) -> bool {
        match &self.0 {
            Expected::OneOf(expected) => audience.any(|one| expected.iter().any(|expected| expected == one)),
            Expected::NobodyNamed => audience.next().is_none(),
            Expected::Any => true,
        }
    }

    /// Refuses a token that was issued for others.
    pub(crate) fn judge<'a>(&self, found: impl Iterator<Item = &'a str> + Clone) -> Result<(), Rejection> {
        if self.accepts(found.clone()) {
            return Ok(());
        }
        Err(Rejection::invalid_token(
            Reason::Audience,
            format!(
                "expected the audience {self}, got {}",
                shown(&found.collect::<Vec<_>>().join(" "))
            ),
        ))
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Expected::OneOf(expected) => write!(f, "{}", expected.join(" or ")),
            Expected::NobodyNamed => f.write_str("of nobody in particular"),
            Expected::Any => f.write_str("of anybody"),
        }
    }
}

impl From<&str> for Audience {
    fn from(one: &str) -> Self {
        Self::from(one.to_owned())
    }
}

impl From<&String> for Audience {
    fn from(one: &String) -> Self {
        Self::from(one.clone())
    }
}

impl From<String> for Audience {
    fn from(one: String) -> Self {
        Self(Expected::OneOf(vec![one]))
    }
}

impl<T: Into<String>> From<Vec<T>> for Audience {
    fn from(list: Vec<T>) -> Self {
        Self(Expected::OneOf(list.into_iter().map(Into::into).collect()))
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Audience {
    fn from(list: [T; N]) -> Self {
        Self(Expected::OneOf(list.into_iter().map(Into::into).collect()))
    }
}

impl<T: Into<String> + Clone> From<&[T]> for Audience {
    fn from(list: &[T]) -> Self {
        Self::from(list.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audiences_are_compared_byte_for_byte() {
        let audience = Audience::from("https://api.example.com");
        let accepts = |one: &str| audience.accepts([one].into_iter());
        assert!(accepts("https://api.example.com"));
        assert!(audience.accepts(["x", "https://api.example.com"].into_iter()));
        for other in [
            "https://api.example.com/",
            "https://API.example.com",
            "https://api.example.com/v1",
            "",
        ] {
            assert!(!accepts(other), "{other}");
        }
        assert!(!audience.accepts([].into_iter()));
    }

    #[test]
    fn where_no_audience_is_expected_none_may_be_named() {
        let audience = Audience::dangerous_only_tokens_that_name_none().checked().unwrap();
        assert!(audience.accepts([].into_iter()));
        for other in ["https://api.example.com", ""] {
            assert!(!audience.accepts([other].into_iter()), "{other}");
        }
    }

    #[test]
    fn a_blank_audience_is_refused_when_a_validator_is_built() {
        assert!(Audience::from("").checked().is_err());
        assert!(Audience::from(["a", " "]).checked().is_err());
        assert!(Audience::from(Vec::<String>::new()).checked().is_err());
        assert!(Audience::from(["a", "b"]).checked().is_ok());
    }

    #[test]
    fn a_url_with_a_fragment_is_no_audience() {
        assert!(Audience::from("https://api.example.com/#x").checked().is_err());
        assert!(Audience::from("client#1").checked().is_ok());
    }
}
