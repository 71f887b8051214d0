//! Secrets, and the places where they may stand.

use std::{fmt, path::Path};

use serde::{Deserialize, Deserializer, de};

use super::ConfigError;
use crate::secret::Secret;

/// The keys by which a secret may be given: as it stands, as a file, or as an environment variable.
pub(super) struct SecretPlaces<'c> {
    pub(super) keys: [&'static str; 3],
    pub(super) text: Option<&'c Hidden>,
    pub(super) file: Option<&'c Path>,
    pub(super) env: Option<&'c str>,
}

impl SecretPlaces<'_> {
    /// The one key that is there.
    pub(super) fn given(&self) -> Result<Option<&'static str>, ConfigError> {
        let is_there = [self.text.is_some(), self.file.is_some(), self.env.is_some()];
        let mut given = self.keys.into_iter().zip(is_there).filter(|(_, is_there)| *is_there);
        match (given.next(), given.next()) {
            (Some((first, _)), Some((second, _))) => Err(ConfigError::new(
                second,
                format_args!("there is {first} already; one of them is enough"),
            )),
            (first, _) => Ok(first.map(|(key, _)| key)),
        }
    }

    /// The secret, and the key by which it is given. Neither path nor name is quoted where it cannot be read: line and key are
    /// there, and the secret itself may stand in their place.
    pub(super) fn read(&self) -> Result<Option<(&'static str, Secret)>, ConfigError> {
        let Some(key) = self.given()? else {
            return Ok(None);
        };
        let secret = match (self.file, self.env, self.text) {
            (Some(file), _, _) => Secret::read_file(file).map_err(|problem| format!("the file {problem}")),
            (_, Some(name), _) => Secret::read_env(name).map_err(|problem| format!("the variable {problem}")),
            (_, _, text) => Ok(Secret::from(text.map_or("", |Hidden(text)| text))),
        };
        match secret {
            Ok(secret) => Ok(Some((key, secret))),
            Err(problem) => Err(ConfigError::new(key, problem)),
        }
    }
}

/// A secret that stands in the file itself. Neither `Debug` nor an error of `Deserialize` shows it.
#[derive(Clone)]
pub(super) struct Hidden(pub(super) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        /// Says that there is another type, and not which value of it.
        fn another<E: de::Error>() -> E {
            E::invalid_type(de::Unexpected::Other("another type"), &"a string")
        }

        impl de::Visitor<'_> for Visitor {
            type Value = Hidden;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, secret: &str) -> Result<Hidden, E> {
                Ok(Hidden(secret.to_owned()))
            }

            fn visit_string<E: de::Error>(self, secret: String) -> Result<Hidden, E> {
                Ok(Hidden(secret))
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Hidden, E> {
                Err(another())
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Hidden, E> {
                Err(another())
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Hidden, E> {
                Err(another())
            }

            fn visit_i128<E: de::Error>(self, _: i128) -> Result<Hidden, E> {
                Err(another())
            }

            fn visit_u128<E: de::Error>(self, _: u128) -> Result<Hidden, E> {
                Err(another())
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Hidden, E> {
                Err(another())
            }

            fn visit_bytes<E: de::Error>(self, _: &[u8]) -> Result<Hidden, E> {
                Err(another())
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
