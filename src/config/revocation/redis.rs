//! The list that a `[revocation]` is.

use std::time::Duration;

use super::{RevocationConfig, RevocationMirror};
use crate::{
    config::{ConfigError, secret::SecretPlaces},
    error::SetupError,
    protector::ResourceProtectorLayer,
    revocation::{RedisRevocationList, RevocationTerms},
    secret::Secret,
};

/// How old what is known may be, unless set: a restart of Redis fits in.
const UNKNOWN_AFTER: u64 = 30;

impl RevocationConfig {
    /// The list itself, for a service that revokes as well. It has to be given to the protector, and its
    /// [mirror](RedisRevocationList::run) to be driven, so this is instead of
    /// [`ProtectorConfig::revocation`](crate::config::ProtectorConfig::revocation). What it revokes is in force here when it
    /// returns, and elsewhere some milliseconds later.
    ///
    /// Does no network I/O, but reads the files and the environment variable that are named.
    ///
    /// # Errors
    ///
    /// When a value cannot be used, a key that is needed is missing, or keys contradict each other. The error names the key,
    /// below `revocation`, and quotes no URL.
    pub fn list(&self) -> Result<RedisRevocationList, ConfigError> {
        self.build().map_err(|error| error.below("revocation"))
    }

    /// The protector with the list, and what has to be driven for that.
    pub(in crate::config) fn watch_over(
        &self,
        protector: ResourceProtectorLayer,
    ) -> Result<(ResourceProtectorLayer, RevocationMirror), ConfigError> {
        let list = self.list()?;
        let mirror = RevocationMirror(Box::pin(list.run()));
        Ok((protector.revocation(list), mirror))
    }

    fn build(&self) -> Result<RedisRevocationList, ConfigError> {
        let (url_key, url) = self.url()?;
        let by_option = |error| by_option(url_key, &error);
        let unknown_after = self.unknown_after_seconds.unwrap_or(UNKNOWN_AFTER);
        let terms = self.terms()?;
        let mut list = RedisRevocationList::builder(url.text(), &self.name, terms, Duration::from_secs(unknown_after))
            .map_err(by_option)?;
        if let Some(seconds) = self.accept_stale_up_to_seconds {
            list = list
                .accept_stale_up_to(Duration::from_secs(seconds))
                .map_err(by_option)?;
        }
        match self.capacity {
            None => {}
            Some(0) => {
                return Err(ConfigError::new(
                    "capacity",
                    "expected at least one revocation, got none",
                ));
            }
            Some(cut_offs) => list = list.capacity(cut_offs),
        }
        if let Some(file) = &self.authorities_file {
            let pem = Secret::read_file(file);
            let pem =
                pem.map_err(|problem| ConfigError::new("authorities_file", format_args!("the file {problem}")))?;
            list = list.trusting_only(pem.text().as_bytes()).map_err(by_option)?;
        }
        Ok(list.build())
    }

    fn url(&self) -> Result<(&'static str, Secret), ConfigError> {
        let places = SecretPlaces {
            keys: ["redis_url", "redis_url_file", "redis_url_env"],
            text: self.redis_url.as_ref(),
            file: self.redis_url_file.as_deref(),
            env: self.redis_url_env.as_deref(),
        };
        places.read()?.ok_or_else(|| {
            ConfigError::new(
                "redis_url",
                "missing: expected redis_url, redis_url_file or redis_url_env, with the URL of the Redis server",
            )
        })
    }

    fn terms(&self) -> Result<RevocationTerms, ConfigError> {
        for (index, by) in self.by.iter().enumerate() {
            if self.by.iter().take(index).any(|earlier| earlier == by) {
                return Err(ConfigError::new(format!("by[{index}]"), "stands twice"));
            }
        }
        let longest_lifetime = Duration::from_secs(self.longest_lifetime_seconds);
        let terms = RevocationTerms::new(self.by.iter().copied(), longest_lifetime);
        let terms = match &self.assume_issuer {
            None => terms,
            Some(issuer) => terms.and_then(|terms| terms.assume_issuer(issuer)),
        };
        terms.map_err(|error| by_option("redis_url", &error))
    }
}

/// Names the key in place of the option of a builder.
fn by_option(url_key: &'static str, error: &SetupError) -> ConfigError {
    let key = match error.option() {
        "url" => url_key,
        "longest_lifetime" => "longest_lifetime_seconds",
        "unknown_after" => "unknown_after_seconds",
        "accept_stale_up_to" => "accept_stale_up_to_seconds",
        "trusting_only" => "authorities_file",
        other => other,
    };
    ConfigError::setup(key, error)
}
