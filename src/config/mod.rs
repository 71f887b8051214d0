//! A protector and its routes from a configuration file.

mod client;
mod document;
mod error;
mod issuer;
mod route;
mod said;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde::Deserialize;

use self::issuer::Kind;
pub use self::{document::from_toml, error::ConfigError, issuer::IssuerConfig, route::RouteConfig};
pub use crate::routes::{RoutesLayer, RoutesService};
use crate::{
    audience::Audience,
    fetch::{Fetch, Network},
    protector::ResourceProtectorLayer,
    routes::{Routes, Taken},
    validate::ByIssuer,
};

/// Everything a protector and its routes are made from: `[resource]`, `[[issuer]]` and `[[route]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtectorConfig {
    resource: ResourceConfig,
    #[serde(default)]
    issuer: Vec<IssuerConfig>,
    #[serde(default)]
    route: Vec<RouteConfig>,
}

/// `[resource]`: what this service is called. The keys are listed in the [module's documentation](self).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceConfig {
    identifier: String,
    realm: Option<String>,
}

impl ProtectorConfig {
    /// The tables of a configuration of your own, which has them as the members `resource`, `issuer` and `route`. Under
    /// these names errors speak of them.
    pub fn new(resource: ResourceConfig, issuers: Vec<IssuerConfig>, routes: Vec<RouteConfig>) -> Self {
        Self {
            resource,
            issuer: issuers,
            route: routes,
        }
    }

    /// Reads a TOML document that consists of these tables; the same as [`from_toml`].
    ///
    /// # Errors
    ///
    /// As [`from_toml`].
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        from_toml(text)
    }

    /// A protector that accepts the tokens of the issuers. It does no network I/O yet, but reads the files and
    /// environment variables that hold secrets.
    ///
    /// All issuers share the default HTTP client. Without the feature `reqwest` there is none, and
    /// [`protector_with`](Self::protector_with) is for you.
    ///
    /// # Errors
    ///
    /// When a value cannot be used, a key that is needed is missing, or keys contradict each other. The error names the
    /// key; [`ConfigError::located_in`] adds the line.
    pub fn protector(&self) -> Result<ResourceProtectorLayer, ConfigError> {
        self.build(&Network::default_client())
    }

    /// As [`protector`](Self::protector), with all HTTP exchanges made by this.
    ///
    /// # Errors
    ///
    /// As [`protector`](Self::protector).
    pub fn protector_with(&self, fetch: impl Fetch + Clone) -> Result<ResourceProtectorLayer, ConfigError> {
        self.build(&Network::new(fetch))
    }

    fn build(&self, network: &Network) -> Result<ResourceProtectorLayer, ConfigError> {
        let audience = Audience::from(&self.resource.identifier).checked();
        audience.map_err(|error| ConfigError::setup("resource.identifier", &error))?;
        let protector = ResourceProtectorLayer::new(self.validators(network)?);
        match &self.resource.realm {
            None => Ok(protector),
            Some(realm) => protector
                .try_realm(realm)
                .map_err(|error| ConfigError::setup("resource.realm", &error)),
        }
    }

    /// What has the shape of a JWT goes to its issuer's `jwt` entry, else to its `introspection` entry. Anything else goes
    /// to an `introspection` entry, by prefix where there are several.
    fn validators(&self, network: &Network) -> Result<ByIssuer, ConfigError> {
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

    /// The routes, in front of a service. Paths that none of them names need a token that this protector lets in; the
    /// others demand what they say of a token that it lets in.
    ///
    /// # Errors
    ///
    /// When a path or method cannot be one, a scope is blank, routes overlap, or keys contradict each other.
    pub fn routes(&self, protector: ResourceProtectorLayer) -> Result<RoutesLayer, ConfigError> {
        let mut routes = Routes::new(protector.clone());
        for (index, config) in self.route.iter().enumerate() {
            let (path, rule) = config
                .rule(&protector)
                .map_err(|error| error.below(&format!("route[{index}]")))?;
            let is_limited = rule.methods.is_some();
            routes.add(index, path, rule).map_err(|Taken { by, method }| {
                let key = if is_limited { "methods" } else { "path" };
                let problem = match method {
                    Some(method) => format!("route[{by}] has {method} of the same path"),
                    None => format!("route[{by}] has the same path for all methods, or this one has it for all"),
                };
                ConfigError::new(format!("route[{index}].{key}"), problem)
            })?;
        }
        Ok(RoutesLayer::new(routes))
    }
}
