//! Scopes: the one that is demanded, and those that a token has.

use std::{collections::HashSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};

use crate::{
    error::{SetupError, shown},
    texts::Texts,
};

/// One scope that a route demands (RFC 6749 §3.3): `profile`, `orders:read`, `https://api.example.com/all`.
///
/// It is never empty and has only the characters `%x21 / %x23-5B / %x5D-7E`, so it can be named in a challenge
/// (RFC 6750 §3). Scopes are compared byte for byte: case counts, and `profile` is not a part of `profile:read`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Scope(Box<str>);

impl Scope {
    /// A single scope.
    ///
    /// # Errors
    ///
    /// When it is empty, or has a space, a quote, a backslash, a control or a non-ASCII character.
    pub fn new(scope: impl Into<String>) -> Result<Self, SetupError> {
        let scope = scope.into();
        let usable = |b: u8| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if scope.is_empty() || !scope.bytes().all(usable) {
            return Err(SetupError::new(
                "scope",
                format_args!(
                    "expected one or more printable ASCII characters without space, quote and backslash \
                     (RFC 6749 §3.3), got {}",
                    shown(&scope)
                ),
            ));
        }
        Ok(Self(scope.into()))
    }

    /// The scope as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = SetupError;

    fn from_str(scope: &str) -> Result<Self, SetupError> {
        Self::new(scope)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The scopes that a token has, in the order in which they were granted, each once.
///
/// What an authorization server granted is compared, never rendered, so it may hold any character. No scopes means
/// that: no rights that a scope could give.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Scopes(Texts);

impl Scopes {
    /// Reads a space-delimited list (RFC 6749 §3.3); surplus spaces and repetitions do not count.
    pub fn parse(list: &str) -> Self {
        Self::of(list.split(' '), list.len())
    }

    /// Those that differ from each other, which are about as long together as said.
    fn of<'a>(scopes: impl IntoIterator<Item = &'a str>, length: usize) -> Self {
        const FEW: usize = 16;
        let (mut granted, mut seen) = (Texts::with_capacity(length), HashSet::new());
        for scope in scopes.into_iter().filter(|scope| !scope.is_empty()) {
            // Beyond a few, a comparison with all that came before would take time that grows with their square.
            let is_known = granted.iter().take(FEW).any(|known| known == scope);
            if !is_known && (granted.len() < FEW || seen.insert(scope)) {
                granted.push(scope);
            }
        }
        Self(granted)
    }

    /// Whether exactly this scope was granted.
    pub fn contains(&self, scope: &str) -> bool {
        self.iter().any(|granted| granted == scope)
    }

    /// The granted scopes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter()
    }

    /// How many scopes were granted.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no scope was granted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<&'a str> for Scopes {
    fn from_iter<I: IntoIterator<Item = &'a str>>(scopes: I) -> Self {
        Self::of(scopes, 0)
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes: Vec<_> = self.iter().collect();
        f.write_str(&scopes.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surplus_spaces_and_repetitions_do_not_count() {
        let scopes = Scopes::parse("  profile   email profile ");
        assert_eq!(scopes.iter().collect::<Vec<_>>(), ["profile", "email"]);
    }

    #[test]
    fn a_repetition_is_found_among_few_and_among_many() {
        for n in [3, 16, 17, 100] {
            let names: Vec<String> = (0..n).map(|i| format!("s{i}")).collect();
            let twice = [&names[..], &names[..]].concat().join(" ");
            assert_eq!(Scopes::parse(&twice).iter().collect::<Vec<_>>(), names, "{n}");
        }
    }

    #[test]
    fn a_scope_is_not_a_part_of_another() {
        assert!(!Scopes::parse("profile:read Profile").contains("profile"));
    }

    #[test]
    fn a_blank_or_unprintable_scope_cannot_be_demanded() {
        for bad in ["", " ", "a b", "a\"b", "a\\b", "a\nb", "é"] {
            assert!(Scope::new(bad).is_err(), "{bad:?}");
        }
        assert!(Scope::new("https://api.example.com/all!").is_ok());
    }
}
