//! For whom a token must have been issued.

use crate::error::SetupError;

/// The identifiers of this resource server, as they stand in a token's `aud`: one of them is enough.
///
/// Made from one string, or from an array, slice or vector of them; compared byte for byte.
#[derive(Clone, Debug)]
pub struct Audience(Vec<String>);

impl Audience {
    /// The identifiers. There is at least one, and none is empty.
    pub(crate) fn checked(self, option: &'static str) -> Result<Vec<String>, SetupError> {
        if self.0.is_empty() || self.0.iter().any(String::is_empty) {
            return Err(SetupError::new(
                option,
                "expected at least one identifier of this resource server, none of them empty",
            ));
        }
        Ok(self.0)
    }
}

impl From<&str> for Audience {
    fn from(audience: &str) -> Self {
        Self(vec![audience.to_owned()])
    }
}

impl From<String> for Audience {
    fn from(audience: String) -> Self {
        Self(vec![audience])
    }
}

impl From<&String> for Audience {
    fn from(audience: &String) -> Self {
        Self(vec![audience.clone()])
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Audience {
    fn from(audience: [T; N]) -> Self {
        Self(audience.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<String>> From<Vec<T>> for Audience {
    fn from(audience: Vec<T>) -> Self {
        Self(audience.into_iter().map(Into::into).collect())
    }
}

impl<T: Clone + Into<String>> From<&[T]> for Audience {
    fn from(audience: &[T]) -> Self {
        Self(audience.iter().cloned().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_has_at_least_one_identifier_and_none_is_empty() {
        assert_eq!(Audience::from("a").checked("x").unwrap(), ["a"]);
        assert_eq!(Audience::from(["a", "b"]).checked("x").unwrap(), ["a", "b"]);
        assert_eq!(Audience::from(vec![String::from("a")]).checked("x").unwrap(), ["a"]);
        assert_eq!(Audience::from(["a"].as_slice()).checked("x").unwrap(), ["a"]);
        assert_eq!(
            Audience::from(Vec::<String>::new()).checked("x").unwrap_err().option(),
            "x"
        );
        assert!(Audience::from("").checked("x").is_err());
        assert!(Audience::from(["a", ""]).checked("x").is_err());
    }
}
