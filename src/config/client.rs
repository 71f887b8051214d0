//! Who this service is at the introspection endpoint.

use serde::Deserialize;

use super::{ConfigError, IssuerConfig, secret::SecretPlaces};
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
        let given = self.secret_places().given()?;
        let needs_secret = !matches!(method, AuthMethod::PrivateKeyJwt | AuthMethod::None);
        match given {
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

    fn secret_places(&self) -> SecretPlaces<'_> {
        SecretPlaces {
            keys: ["client_secret", "client_secret_file", "client_secret_env"],
            text: self.client_secret.as_ref(),
            file: self.client_secret_file.as_deref(),
            env: self.client_secret_env.as_deref(),
        }
    }

    fn secret(&self) -> Result<Secret, ConfigError> {
        // Whether there is one was looked at before.
        let (key, secret) = self
            .secret_places()
            .read()?
            .unwrap_or_else(|| ("client_secret", Secret::from("")));
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
