//! The validators of all issuers, behind one.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{ConfigError, IssuerConfig, ProtectorConfig, issuer::Kind};
use crate::{fetch::Network, validate::ByIssuer};

impl ProtectorConfig {
    /// What has the shape of a JWT goes to its issuer's `jwt` entry, else to its `introspection` entry. Anything else goes
    /// to an `introspection` entry, by prefix where there are several.
    pub(super) fn validators(&self, network: &Network) -> Result<ByIssuer, ConfigError> {
        self.check_issuers()?;
        let resource = &self.resource.identifier;
        let with_jwt: HashSet<&str> = self
            .of_kind(Kind::Jwt)
            .map(|(_, config)| config.issuer.as_str())
            .collect();
        let mut validators = ByIssuer::new();
        for (index, config) in self.issuer.iter().enumerate() {
            let in_issuer = |error: ConfigError| error.below(&format!("issuer[{index}]"));
            let at =
                |key: &'static str| move |error| ConfigError::setup(key, &error).below(&format!("issuer[{index}]"));
            config.check_keys().map_err(in_issuer)?;
            match config.kind {
                Kind::Jwt => {
                    let validator = config.jwt(resource, network.clone()).map_err(in_issuer)?;
                    validators = validators.try_issuer(&config.issuer, validator).map_err(at("issuer"))?;
                }
                Kind::Introspection => {
                    let validator = config.introspection(resource, network.clone()).map_err(in_issuer)?;
                    let validator = Arc::new(validator);
                    let prefix = config.opaque_prefix.as_deref().unwrap_or_default();
                    validators = validators
                        .try_opaque_with_prefix(prefix, Arc::clone(&validator))
                        .map_err(at("opaque_prefix"))?;
                    if !with_jwt.contains(config.issuer.as_str()) {
                        validators = validators.try_issuer(&config.issuer, validator).map_err(at("issuer"))?;
                    }
                }
            }
        }
        Ok(validators)
    }

    /// What is wrong between issuers.
    fn check_issuers(&self) -> Result<(), ConfigError> {
        if self.issuer.is_empty() {
            return Err(ConfigError::new("issuer", "missing: expected at least one [[issuer]]"));
        }
        for kind in [Kind::Jwt, Kind::Introspection] {
            let mut seen = HashMap::new();
            for (index, config) in self.of_kind(kind) {
                if let Some(first) = seen.insert(&config.issuer, index) {
                    return Err(ConfigError::new(
                        format!("issuer[{index}].issuer"),
                        format_args!("issuer[{first}] is the same of the same kind; an issuer stands once per kind"),
                    ));
                }
            }
        }
        let several = self.of_kind(Kind::Introspection).count() > 1;
        for (index, config) in self.of_kind(Kind::Introspection) {
            let key = || format!("issuer[{index}].opaque_prefix");
            match config.opaque_prefix.as_deref() {
                None if several => {
                    return Err(ConfigError::new(
                        key(),
                        "missing: with several introspection issuers each needs the prefix of its opaque tokens",
                    ));
                }
                Some("") => {
                    return Err(ConfigError::new(
                        key(),
                        "expected with what the issuer's opaque tokens begin, got an empty string",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (usize, &IssuerConfig)> {
        self.issuer
            .iter()
            .enumerate()
            .filter(move |(_, config)| config.kind == kind)
    }
}
