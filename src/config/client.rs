//! Who this service is at the introspection endpoint.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use super::{ConfigError, IssuerConfig};
use crate::{introspection::ClientAuth, secret::Secret};

/// `client_auth`: how this service proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum AuthMethod {
    #[serde(rename = "client_secret_basic")]
    Basic,
    #[serde(rename = "client_secret_basic_raw")]
    BasicRaw,
    #[serde(rename = "client_secret_post")]
    Post,
    #[serde(rename = "private_key_jwt")]
    PrivateKeyJwt,
    #[serde(rename = "none")]
    None,
}

impl IssuerConfig {
    pub(super) fn client_auth(&self) -> Result<ClientAuth, ConfigError> {
        let method = self.client_auth.unwrap_or(AuthMethod::Basic);
        self.check_secrets(method)?;
        let auth = match method {
            AuthMethod::Basic => ClientAuth::basic(self.client_id()?, self.secret()?),
            AuthMethod::BasicRaw => ClientAuth::basic_raw(self.client_id()?, self.secret()?),
            AuthMethod::Post => ClientAuth::post(self.client_id()?, self.secret()?),
            AuthMethod::PrivateKeyJwt => self.private_key_jwt()?,
            AuthMethod::None => ClientAuth::none_on_a_private_network(),
        };
        Ok(auth)
    }

    /// A secret that is not used is an error, too: whoever wrote it believes that it protects something.
    fn check_secrets(&self, method: AuthMethod) -> Result<(), ConfigError> {
        let secrets = [
            ("client_secret", self.client_secret.is_some()),
            ("client_secret_file", self.client_secret_file.is_some()),
            ("client_secret_env", self.client_secret_env.is_some()),
        ];
        let mut given = secrets.iter().filter(|(_, is_there)| *is_there).map(|(key, _)| *key);
        let (first, second) = (given.next(), given.next());
        if let (Some(first), Some(second)) = (first, second) {
            return Err(ConfigError::new(
                second,
                format_args!("there is {first} already; one of them is enough"),
            ));
        }
        let needs_secret = !matches!(method, AuthMethod::PrivateKeyJwt | AuthMethod::None);
        match first {
            None if needs_secret => {
                return Err(ConfigError::new(
                    "client_secret",
                    "missing: expected client_secret, client_secret_file or client_secret_env, or another client_auth",
                ));
            }
            Some(key) if !needs_secret => {
                return Err(ConfigError::new(key, "this client_auth uses no secret; take it out"));
            }
            _ => {}
        }
        if self.private_key_file.is_some() && method != AuthMethod::PrivateKeyJwt {
            return Err(ConfigError::new(
                "private_key_file",
                "goes with client_auth = \"private_key_jwt\" only",
            ));
        }
        Ok(())
    }

    fn client_id(&self) -> Result<&str, ConfigError> {
        match self.client_id.as_deref() {
            Some(id) if !id.is_empty() => Ok(id),
            _ => Err(ConfigError::new(
                "client_id",
                "expected the identifier of this service at the authorization server, got none",
            )),
        }
    }

    fn secret(&self) -> Result<Secret, ConfigError> {
        let in_file = |problem| format!("the file {problem}");
        let in_env = |problem| format!("the variable {problem}");
        let (key, secret) = match (&self.client_secret_file, &self.client_secret_env, &self.client_secret) {
            (Some(file), _, _) => ("client_secret_file", Secret::read_file(file).map_err(in_file)),
            (_, Some(name), _) => ("client_secret_env", Secret::read_env(name).map_err(in_env)),
            (_, _, secret) => {
                let secret = secret.as_ref().map_or("", |Hidden(secret)| secret);
                ("client_secret", Ok(Secret::from(secret)))
            }
        };
        // Neither path nor name is quoted: line and key are there, and the secret itself may stand in their place.
        let secret = secret.map_err(|problem| ConfigError::new(key, problem))?;
        let problem = match secret.text() {
            text if text.is_empty() => "expected a secret, got an empty string",
            text if text.ends_with(['\n', '\r']) => "the secret ends with a line break; take it out",
            _ => return Ok(secret),
        };
        Err(ConfigError::new(key, problem))
    }

    fn private_key_jwt(&self) -> Result<ClientAuth, ConfigError> {
        let id = self.client_id()?;
        let Some(file) = &self.private_key_file else {
            return Err(ConfigError::new(
                "private_key_file",
                "missing: client_auth = \"private_key_jwt\" needs a private key (PKCS#8 in PEM)",
            ));
        };
        let pem = Secret::read_file(file)
            .map_err(|problem| ConfigError::new("private_key_file", format_args!("the file {problem}")))?;
        ClientAuth::private_key_jwt(id, pem).map_err(|error| ConfigError::setup("private_key_file", &error))
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
