//! `[[route]]`: what a path demands.

use std::time::Duration;

use http::Method;
use serde::Deserialize;

use super::ConfigError;
use crate::{
    protector::ResourceProtectorLayer,
    require::Requirement,
    routes::{Access, Rule},
};

/// One `[[route]]`: a path, and what it demands. The keys are listed in the [module's documentation](super).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    path: String,
    methods: Option<Vec<String>>,
    scope: Option<String>,
    any_scope: Option<Vec<String>>,
    acr: Option<Vec<String>>,
    authenticated_within_seconds: Option<u64>,
    max_age_seconds: Option<u64>,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    public: bool,
}

impl RouteConfig {
    /// The path, in the form in which requests are compared with it, and the rule that holds there.
    pub(super) fn rule(&self, protector: &ResourceProtectorLayer) -> Result<(String, Rule), ConfigError> {
        Ok((
            self.path()?,
            Rule {
                methods: self.methods()?,
                access: self.access(protector)?,
            },
        ))
    }

    fn path(&self) -> Result<String, ConfigError> {
        let problem = |problem| Err(ConfigError::new("path", problem));
        let Some(rest) = self.path.strip_prefix('/') else {
            return problem("expected a path that begins with a slash");
        };
        if rest.is_empty() {
            return Ok(String::new());
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return problem("expected a path without empty and dot segments");
        }
        if rest.contains(['\\', ';', '%', '?', '#', '\0']) {
            return problem(
                "expected a path as it reads once it is decoded, without any of \\ ; % ? # and NUL, which no request \
                 that is let through has",
            );
        }
        Ok(format!("/{rest}"))
    }

    fn methods(&self) -> Result<Option<Vec<Method>>, ConfigError> {
        let Some(names) = &self.methods else {
            return Ok(None);
        };
        let mut methods = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let problem = |problem| Err(ConfigError::new(format!("methods[{index}]"), problem));
            if *name != name.to_ascii_uppercase() {
                return problem("expected a method in capitals, as it is sent: methods are case-sensitive");
            }
            let Ok(method) = Method::from_bytes(name.as_bytes()) else {
                return problem("expected the name of a method, such as GET");
            };
            if methods.contains(&method) {
                return problem("stands twice");
            }
            methods.push(method);
        }
        if methods.is_empty() {
            return Err(ConfigError::new(
                "methods",
                "expected at least one method; leave it out for all",
            ));
        }
        if methods.contains(&Method::HEAD) && !methods.contains(&Method::GET) {
            return Err(ConfigError::new(
                "methods",
                "HEAD counts as GET, so it goes where GET is; list GET, or leave HEAD out",
            ));
        }
        Ok(Some(methods))
    }

    fn access(&self, protector: &ResourceProtectorLayer) -> Result<Access, ConfigError> {
        if self.public {
            let other = [
                ("scope", self.scope.is_some()),
                ("any_scope", self.any_scope.is_some()),
                ("acr", self.acr.is_some()),
                (
                    "authenticated_within_seconds",
                    self.authenticated_within_seconds.is_some(),
                ),
                ("max_age_seconds", self.max_age_seconds.is_some()),
                ("optional", self.optional),
            ];
            return match other.iter().find(|(_, is_there)| *is_there) {
                None => Ok(Access::Public),
                Some((key, _)) => Err(ConfigError::new(
                    *key,
                    "has no effect with public = true, which looks at no token; take one of them out",
                )),
            };
        }
        let mut protector = protector.clone();
        if self.scope.as_ref().is_some_and(|scope| scope.trim().is_empty()) {
            return Err(ConfigError::new(
                "scope",
                "expected a scope, got a blank one; leave it out to demand no more than a valid token",
            ));
        }
        if let Some(scope) = &self.scope {
            let requirement = Requirement::scope(scope).map_err(|error| ConfigError::setup("scope", &error))?;
            protector = protector.requiring(requirement);
        }
        if let Some(alternatives) = &self.any_scope {
            let requirement =
                Requirement::any_scope(alternatives).map_err(|error| ConfigError::setup("any_scope", &error))?;
            protector = protector.requiring(requirement);
        }
        if let Some(values) = &self.acr {
            let requirement = Requirement::acr(values).map_err(|error| ConfigError::setup("acr", &error))?;
            protector = protector.requiring(requirement);
        }
        if let Some(seconds) = self.authenticated_within_seconds {
            protector = protector.requiring(Requirement::authenticated_within(Duration::from_secs(seconds)));
        }
        if let Some(seconds) = self.max_age_seconds {
            protector = protector
                .resting_on_the_last(Duration::from_secs(seconds))
                .map_err(|error| ConfigError::setup("max_age_seconds", &error))?;
        }
        if self.optional {
            protector = protector.optional();
        }
        Ok(Access::Protected(protector))
    }
}
