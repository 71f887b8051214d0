//! `[[issuer]]`: whose tokens are accepted, and how they are checked.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, de};

use super::{ConfigError, client::AuthMethod, secret::Hidden};
use crate::{
    audience::Audience,
    error::SetupError,
    fetch::Fetch,
    introspection::IntrospectionValidator,
    jwt::{AccessTokenMark, Algorithm, JwtValidator, OptionalClaim},
    token_rules::TokenRules,
};

/// How long a refusal of the authorization server is remembered at the most.
const REFUSALS: u64 = 5;

/// One `[[issuer]]`: an authorization server and one kind of its tokens. The keys are listed in the
/// [module's documentation](super).
///
/// It does not show a secret in its `Debug` form.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    pub(super) issuer: String,
    pub(super) kind: Kind,
    audience: Option<Vec<String>>,
    expect_claims: Option<BTreeMap<String, Accepted>>,
    claims: Option<ClaimsConfig>,
    leeway_seconds: Option<u64>,
    timeout_seconds: Option<u64>,
    #[serde(default)]
    allow_insecure_http: bool,

    jwks_uri: Option<String>,
    algorithms: Option<Vec<Algorithm>>,
    token_types: Option<Vec<String>>,
    optional_claims: Option<Vec<OptionalClaim>>,
    jwks_refresh_seconds: Option<u64>,
    jwks_stale_seconds: Option<u64>,

    introspection_endpoint: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Hidden>,
    pub(super) client_secret_file: Option<PathBuf>,
    pub(super) client_secret_env: Option<String>,
    pub(super) client_auth: Option<AuthMethod>,
    pub(super) private_key_file: Option<PathBuf>,
    pub(super) opaque_prefix: Option<String>,
    cache_seconds: Option<u64>,
    negative_seconds: Option<u64>,
    stale_if_error_seconds: Option<u64>,
    refresh_ahead: Option<bool>,
    max_calls_in_flight: Option<usize>,
}

/// How an issuer's tokens are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Jwt,
    Introspection,
}

/// Where claims stand that RFC 9068 and RFC 7662 have under another name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimsConfig {
    client_id: Option<String>,
    scope: Option<String>,
    audience: Option<String>,
}

/// The values that a claim may have: a string, or a list of strings.
#[derive(Clone, Debug)]
struct Accepted(Vec<String>);

impl IssuerConfig {
    /// What stands only with the other kind would have no effect; whoever wrote it believes that it has.
    pub(super) fn check_keys(&self) -> Result<(), ConfigError> {
        let jwt = [
            ("jwks_uri", self.jwks_uri.is_some()),
            ("algorithms", self.algorithms.is_some()),
            ("token_types", self.token_types.is_some()),
            ("optional_claims", self.optional_claims.is_some()),
            ("jwks_refresh_seconds", self.jwks_refresh_seconds.is_some()),
            ("jwks_stale_seconds", self.jwks_stale_seconds.is_some()),
        ];
        let introspection = [
            ("introspection_endpoint", self.introspection_endpoint.is_some()),
            ("client_id", self.client_id.is_some()),
            ("client_secret", self.client_secret.is_some()),
            ("client_secret_file", self.client_secret_file.is_some()),
            ("client_secret_env", self.client_secret_env.is_some()),
            ("client_auth", self.client_auth.is_some()),
            ("private_key_file", self.private_key_file.is_some()),
            ("opaque_prefix", self.opaque_prefix.is_some()),
            ("cache_seconds", self.cache_seconds.is_some()),
            ("negative_seconds", self.negative_seconds.is_some()),
            ("stale_if_error_seconds", self.stale_if_error_seconds.is_some()),
            ("refresh_ahead", self.refresh_ahead.is_some()),
            ("max_calls_in_flight", self.max_calls_in_flight.is_some()),
        ];
        let (foreign, kind): (&[_], _) = match self.kind {
            Kind::Jwt => (&introspection, "introspection"),
            Kind::Introspection => (&jwt, "jwt"),
        };
        match foreign.iter().find(|(_, is_there)| *is_there) {
            None => Ok(()),
            Some((key, _)) => Err(ConfigError::new(
                *key,
                format_args!("belongs to kind = {kind:?}; take it out, or make it an [[issuer]] of that kind"),
            )),
        }
    }

    /// A validator of JWTs.
    pub(super) fn jwt(&self, resource: &str, fetch: impl Fetch) -> Result<JwtValidator, ConfigError> {
        let audience = self.audience(resource);
        let validator = match (&self.jwks_uri, self.allow_insecure_http) {
            (None, false) => JwtValidator::discover(&self.issuer, audience),
            (None, true) => JwtValidator::discover_over_plain_http(&self.issuer, audience),
            (Some(uri), false) => JwtValidator::with_jwks_uri(&self.issuer, uri, audience),
            (Some(uri), true) => JwtValidator::with_jwks_uri_over_plain_http(&self.issuer, uri, audience),
        };
        let mut validator = validator
            .and_then(|validator| validator.with_token_rules(|rules| self.tell(rules)))
            .map_err(by_option)?
            .fetch(fetch);
        if let Some(algorithms) = &self.algorithms {
            validator = validator.algorithms(algorithms.iter().copied()).map_err(by_option)?;
        }
        if let Some(claims) = &self.optional_claims {
            validator = validator.optional_claims(claims.iter().copied());
        }
        if let Some(types) = &self.token_types {
            validator = self.accept_types(validator, types)?;
        }
        self.keep_keys(validator).map_err(by_option)
    }

    fn keep_keys(&self, mut validator: JwtValidator) -> Result<JwtValidator, SetupError> {
        if let Some(seconds) = self.timeout_seconds {
            validator = validator.timeout(Duration::from_secs(seconds))?;
        }
        if let Some(seconds) = self.jwks_refresh_seconds {
            validator = validator.refresh_interval(Duration::from_secs(seconds))?;
        }
        match self.jwks_stale_seconds {
            None => Ok(validator),
            Some(seconds) => validator.keep_stale_keys(Duration::from_secs(seconds)),
        }
    }

    /// Exactly these types. Beside `at+jwt`, one of the expected claims is the mark of access tokens; it does not matter
    /// which, as all of them are expected of every token.
    fn accept_types(&self, validator: JwtValidator, types: &[String]) -> Result<JwtValidator, ConfigError> {
        if types.is_empty() {
            return Err(ConfigError::new(
                "token_types",
                "expected at least one type, got none; leave it out to accept at+jwt",
            ));
        }
        let others: Vec<_> = types.iter().filter(|typ| !is_access_token(typ)).collect();
        if others.is_empty() {
            return Ok(validator);
        }
        let marks: Vec<_> = self
            .expected_claims()
            .map(|(name, accepted)| AccessTokenMark::claim(name, accepted))
            .collect();
        if marks.is_empty() {
            return Err(ConfigError::new(
                "token_types",
                "anything but \"at+jwt\" needs expect_claims: a claim that the issuer's access tokens have and its ID \
                 tokens have not, such as expect_claims = { token_use = \"access\" }",
            ));
        }
        let Some(mark) = marks.into_iter().find(|mark| mark.check().is_ok()) else {
            return Err(ConfigError::new(
                "expect_claims",
                "anything but \"at+jwt\" in token_types needs a claim that only access tokens have; these are in \
                 every token of an issuer",
            ));
        };
        let has_at_jwt = others.len() < types.len();
        let validator = validator.accept_types(others, mark).map_err(by_option)?;
        if has_at_jwt {
            return Ok(validator);
        }
        validator.without_at_jwt().map_err(by_option)
    }

    /// A validator that asks the authorization server.
    pub(super) fn introspection(
        &self,
        resource: &str,
        fetch: impl Fetch,
    ) -> Result<IntrospectionValidator, ConfigError> {
        let (auth, audience) = (self.client_auth()?, self.audience(resource));
        let validator = match (&self.introspection_endpoint, self.allow_insecure_http) {
            (None, false) => IntrospectionValidator::discover(&self.issuer, auth, audience),
            (None, true) => IntrospectionValidator::discover_over_plain_http(&self.issuer, auth, audience),
            (Some(url), false) => IntrospectionValidator::new(url, auth, audience),
            (Some(url), true) => IntrospectionValidator::new_over_plain_http(url, auth, audience),
        };
        let validator = validator.map_err(by_option)?.fetch(fetch);
        validator
            .issuer(&self.issuer)
            .and_then(|validator| validator.with_token_rules(|rules| self.tell(rules)))
            .and_then(|validator| self.keep_answers(validator))
            .map_err(by_option)
    }

    fn keep_answers(&self, mut validator: IntrospectionValidator) -> Result<IntrospectionValidator, SetupError> {
        if let Some(seconds) = self.timeout_seconds {
            validator = validator.timeout(Duration::from_secs(seconds))?;
        }
        if let Some(seconds) = self.cache_seconds {
            validator = validator.remember_for(Duration::from_secs(seconds))?;
        }
        let no_longer_than_good_ones = self.cache_seconds.map(|seconds| seconds.min(REFUSALS));
        if let Some(seconds) = self.negative_seconds.or(no_longer_than_good_ones) {
            validator = validator.remember_refusals_for(Duration::from_secs(seconds))?;
        }
        if let Some(seconds) = self.stale_if_error_seconds {
            validator = validator.stale_if_error(Duration::from_secs(seconds))?;
        }
        if self.refresh_ahead == Some(false) {
            validator = validator.without_refresh_ahead();
        }
        match self.max_calls_in_flight {
            None => Ok(validator),
            Some(calls) => validator.max_calls_in_flight(calls),
        }
    }

    /// What validators of both kinds are told.
    fn tell(&self, rules: &mut TokenRules) -> Result<(), SetupError> {
        if let Some(seconds) = self.leeway_seconds {
            rules.set_leeway(Duration::from_secs(seconds))?;
        }
        for (name, accepted) in self.expected_claims() {
            rules.expect_claim(name, accepted)?;
        }
        let claims = self.claims.clone().unwrap_or_default();
        if let Some(name) = claims.client_id {
            rules.set_client_id_claim(name)?;
        }
        if let Some(name) = claims.scope {
            rules.set_scope_claim(name)?;
        }
        if let Some(name) = claims.audience {
            rules.set_audience_claim(name)?;
        }
        Ok(())
    }

    fn audience(&self, resource: &str) -> Audience {
        match &self.audience {
            Some(own) => own.clone().into(),
            None => resource.into(),
        }
    }

    fn expected_claims(&self) -> impl Iterator<Item = (&String, &Vec<String>)> {
        let expected = self.expect_claims.iter().flatten();
        expected.map(|(name, accepted)| (name, &accepted.0))
    }
}

fn is_access_token(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
}

/// Names the key in place of the option of a builder.
fn by_option(error: SetupError) -> ConfigError {
    let key = match error.option() {
        "endpoint" => "introspection_endpoint",
        "accept_types" | "without_at_jwt" => "token_types",
        // Of a client's authentication, everything else was looked at before.
        "client_auth" => "client_id",
        "leeway" => "leeway_seconds",
        "expect_claim" => "expect_claims",
        "client_id_claim" => "claims.client_id",
        "scope_claim" => "claims.scope",
        "audience_claim" => "claims.audience",
        "timeout" => "timeout_seconds",
        "refresh_interval" => "jwks_refresh_seconds",
        "keep_stale_keys" => "jwks_stale_seconds",
        "remember_for" => "cache_seconds",
        "remember_refusals_for" => "negative_seconds",
        "stale_if_error" => "stale_if_error_seconds",
        other => other,
    };
    ConfigError::setup(key, &error)
}

impl<'de> Deserialize<'de> for Accepted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Accepted;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, one: &str) -> Result<Accepted, E> {
                Ok(Accepted(vec![one.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Accepted, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Accepted)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
