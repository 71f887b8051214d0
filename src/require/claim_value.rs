//! A value that a claim may be demanded to have.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A value that [`Requirement::claim`](super::Requirement::claim) accepts: a string, a boolean or an integer.
///
/// It is made by `into()` from `&str`, `String` and their relatives, `bool` and `i64`, and deserialized from the same types.
/// Values of different types are never equal: `"true"` is not `true`, and `3.0` is not `3`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClaimValue(Value);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Bool(bool),
    Integer(i64),
}

impl ClaimValue {
    /// Whether a claim has, or as an array contains, one of these values. An array with an element of another type, such
    /// as an object, contains none.
    pub(super) fn is_any_of(accepted: &[Self], claim: &RawValue) -> bool {
        if claim.get().starts_with('[') {
            let values: Vec<Self> = serde_json::from_str(claim.get()).unwrap_or_default();
            return values.iter().any(|value| accepted.contains(value));
        }
        serde_json::from_str(claim.get()).is_ok_and(|value: Self| accepted.contains(&value))
    }
}

impl fmt::Debug for ClaimValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::Text(text) => text.fmt(f),
            Value::Bool(value) => value.fmt(f),
            Value::Integer(value) => value.fmt(f),
        }
    }
}

macro_rules! from_text {
    ($($text:ty),*) => {
        $(impl From<$text> for ClaimValue {
            fn from(text: $text) -> Self {
                Self(Value::Text(text.into()))
            }
        })*
    };
}

from_text!(&str, &mut str, &String, String, Box<str>, Cow<'_, str>, char);

impl From<bool> for ClaimValue {
    fn from(value: bool) -> Self {
        Self(Value::Bool(value))
    }
}

impl From<i64> for ClaimValue {
    fn from(value: i64) -> Self {
        Self(Value::Integer(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(accepted: &[ClaimValue], claim: &str) -> bool {
        ClaimValue::is_any_of(accepted, &RawValue::from_string(claim.to_owned()).unwrap())
    }

    #[test]
    fn values_of_different_types_are_never_equal() {
        for (accepted, claim) in [
            (ClaimValue::from(true), "true"),
            (false.into(), "false"),
            (3.into(), "3"),
            ((-3).into(), "-3"),
            (i64::MAX.into(), "9223372036854775807"),
            ("true".into(), r#""true""#),
            ("a\"b".into(), r#""a\"b""#),
        ] {
            assert!(accepts(std::slice::from_ref(&accepted), claim), "{accepted:?} {claim}");
            assert!(
                accepts(&[accepted], &format!("[false, 7, {claim}]")),
                "in an array: {claim}"
            );
        }
        for (accepted, claim) in [
            (ClaimValue::from(true), r#""true""#),
            (true.into(), "1"),
            (true.into(), "false"),
            ("true".into(), "true"),
            ("3".into(), "3"),
            (3.into(), r#""3""#),
            (3.into(), "3.0"),
            (3.into(), "3e0"),
            (1.into(), "true"),
            (i64::MIN.into(), "9223372036854775808"),
            (0.into(), "null"),
            (false.into(), "null"),
            ("".into(), "null"),
            (true.into(), "{}"),
            (true.into(), "[]"),
            (true.into(), "[[true]]"),
            (true.into(), "[true, null]"),
            (true.into(), "[true, {}]"),
        ] {
            assert!(!accepts(std::slice::from_ref(&accepted), claim), "{accepted:?} {claim}");
        }
    }
}
