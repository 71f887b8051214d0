//! A protector and its routes from a configuration file.
//!
//! ```
//! use resource_protector::config::{ConfigError, ProtectorConfig};
//!
//! const TOML: &str = r#"
//! [resource]
//! identifier = "https://api.example.com" # the audience expected, unless an issuer names its own
//! realm = "example"                      # optional; stands in challenges
//!
//! [[issuer]]
//! issuer = "https://auth.example.com"    # `iss`, byte for byte
//! kind = "jwt"                           # verified here, with the issuer's keys
//! audience = ["https://api.example.com"] # optional
//! jwks_uri = "https://auth.example.com/jwks"            # optional, else discovered
//! algorithms = ["RS256", "ES256"]        # optional, else all with public keys
//! token_types = ["at+jwt", "JWT"]        # optional; accepted `typ` values; "" accepts a missing one
//! expect_claims = { token_use = "access", tier = ["gold", "silver"] } # optional; each must be one of these strings
//! optional_claims = ["jti", "client_id"] # optional; of sub, client_id, iat, jti those that may be missing
//! claims = { client_id = "azp", scope = "scp", audience = "client_id" } # optional; where they stand instead
//! leeway_seconds = 10                    # optional; 300 at the most
//! timeout_seconds = 5                    # optional; 1 to 60, for each exchange with the issuer
//! jwks_refresh_seconds = 600             # optional; 60 to 86400, for keys whose server does not say how long they are good
//! jwks_stale_seconds = 3600              # optional; 86400 at the most; from the fetch of a set, while no newer one can be had
//! allow_insecure_http = false            # optional; http:// beyond loopback: whoever is on the way can make tokens
//!
//! [[issuer]]
//! issuer = "https://auth.example.com"
//! kind = "introspection"                 # asked about each token (RFC 7662)
//! introspection_endpoint = "https://auth.example.com/introspect" # optional, else discovered
//! client_id = "api"                      # who this service is there
//! client_secret = "…"                    # or client_secret_file, or client_secret_env
//! client_auth = "client_secret_basic"    # optional; see below
//! opaque_prefix = "ory_at_"              # optional; each needs one when there are two introspection issuers
//! cache_seconds = 60                     # optional; 86400 at the most, 0 remembers no answer
//! negative_seconds = 5                   # optional; the same for refusals
//! stale_if_error_seconds = 0             # optional; 3600 at the most; from the end of cache_seconds, while nobody answers
//! refresh_ahead = true                   # optional; asks again a little earlier about tokens that are in use
//! max_calls_in_flight = 256              # optional; 1 to 10000
//!
//! [[route]]
//! path = "/me"                           # whole path segments; the longest match wins
//! methods = ["GET"]                      # optional, else all
//! scope = "profile"                      # optional; all of these, with spaces between
//! any_scope = ["orders:read admin", "root"] # optional; and any of these alternatives
//! acr = ["phrh", "phr"]                  # optional; how the user has to be authenticated: one of these `acr`
//! authenticated_within_seconds = 3600    # optional; how long ago the user may have logged in, by `auth_time`
//! ## max_age_seconds = 5                 # optional; how old what is known of the token may be; 0 always asks
//!
//! [[route]]
//! path = "/shop"
//! optional = true                        # lets requests without credentials in
//!
//! [[route]]
//! path = "/healthz"
//! public = true                          # looks at no token
//! "#;
//!
//! # fn main() -> Result<(), ConfigError> {
//! let config = ProtectorConfig::from_toml(TOML)?;
//! let located = |error: ConfigError| error.located_in(TOML);
//! // A tower layer for any service of `http` requests.
//! let layer = config.protector().and_then(|protector| config.routes(protector)).map_err(located)?;
//! # Ok(())
//! # }
//! ```
//!
//! Required are `resource.identifier`, one `[[issuer]]` with `issuer` and `kind`, and `path` in a route. Unknown keys,
//! and keys that would have no effect, are errors. Errors name the line and the key and quote no secret. A configuration
//! of your own has the tables [`ResourceConfig`], [`IssuerConfig`], [`RevocationConfig`] and [`RouteConfig`] beside its own keys,
//! is read with [`from_toml`], and makes a [`ProtectorConfig`] of them.
//!
//! # Issuers
//!
//! An issuer stands once per kind. What has the shape of a JWT goes to the `jwt` entry of the issuer that it names, or to
//! that issuer's `introspection` entry where it has no other; a JWT of an unknown issuer is refused. Anything else goes to
//! the `introspection` entry whose `opaque_prefix` it begins with, the longest if several match; one that stands alone
//! needs no prefix. What one refuses is never tried at another.
//!
//! | only for `kind =` | keys |
//! |---|---|
//! | `"jwt"` | `jwks_uri`, `algorithms`, `token_types`, `optional_claims`, `jwks_refresh_seconds`, `jwks_stale_seconds` |
//! | `"introspection"` | `introspection_endpoint`, `client_id`, `client_secret`, `client_secret_file`, `client_secret_env`, `client_auth`, `private_key_file`, `opaque_prefix`, `cache_seconds`, `negative_seconds`, `stale_if_error_seconds`, `refresh_ahead`, `max_calls_in_flight` |
//!
//! `token_types` are exactly the types that are accepted; `at+jwt` alone unless set. Any other needs `expect_claims`, with a
//! claim that only access tokens have: most issuers sign ID tokens with the same keys under the same type. `expect_claims`
//! holds for all tokens of the entry; a claim that is a list must contain one of the values.
//!
//! `audience` under `claims` names a claim that is compared with the expected audience in tokens without `aud`: a token of
//! a listed client passes, whichever API it was issued for.
//!
//! | `client_auth` | needs | is |
//! |---|---|---|
//! | `client_secret_basic` | `client_id`, a secret | the default; HTTP Basic, form-encoded first (RFC 6749 §2.3.1) |
//! | `client_secret_basic_raw` | `client_id`, a secret | HTTP Basic as old servers read it, without encoding |
//! | `client_secret_post` | `client_id`, a secret | both in the form |
//! | `private_key_jwt` | `client_id`, `private_key_file` | a signed assertion (RFC 7523 §2.2); the key is PKCS#8 in PEM: RSA, EC or Ed25519 |
//! | `none` | | nothing; for an endpoint that only this service can reach |
//!
//! Files are named from the working directory, read at start, and again when the authorization server refuses what stood in
//! them. A line break at the end of a secret's file does not belong to it.
//!
//! Good answers are remembered for `cache_seconds`, 60 unless set, which is how long a revoked token may live on; refusals
//! for `negative_seconds`, five unless set, or as long as good answers where those are remembered for less. While the
//! authorization server cannot be reached, good answers are used for `stale_if_error_seconds` longer, and a token that was
//! revoked lives on for as long; unless that is set, an outage refuses whatever is not remembered, with 503.
//!
//! # Revocations
//!
//! With `[revocation]` tokens end before they expire, at all services that name the same list: by a log-out, by a new
//! password. It is a [list on Redis](crate::RevocationList), whose documentation says what happens when Redis fails; the
//! features `redis`, and for `rediss://` `redis-tls`, have to be compiled in.
//!
//! ```no_run
//! # use resource_protector::config::{ConfigError, ProtectorConfig};
//! # async fn start() -> Result<(), ConfigError> {
//! let config = ProtectorConfig::from_toml(r#"
//! [resource]
//! identifier = "https://api.example.com"
//!
//! [[issuer]]
//! issuer = "https://auth.example.com"
//! kind = "jwt"
//!
//! [revocation]
//! redis_url_file = "redis-url"           # or redis_url, or redis_url_env: redis://[user]:[password]@host:port/[db]
//! name = "example"                       # of the list; who names the same on the same Redis has the same revocations
//! by = ["sid", "sub"]                    # one or more of jti, sid, sub, client_id: every token needs all of these
//! longest_lifetime_seconds = 3600        # 1 to 31622400; tokens that live longer, from `iat` to `exp`, are refused
//! unknown_after_seconds = 30             # optional; 2 to 86400, 30 unless set; then it is 503 where Redis cannot be reached
//! accept_stale_up_to_seconds = 300       # optional; 86400 at the most; lets in for longer without Redis, the logged out too
//! capacity = 1000000                     # optional; a million unless set; with more revocations nobody is let in
//! assume_issuer = "https://auth.example.com" # optional; whose tokens those without `iss` are
//! authorities_file = "redis-ca.pem"      # optional; over rediss:// these authorities are trusted, and no others
//! "#)?;
//! let (protector, mirror) = config.protector_and_mirror()?;
//! tokio::spawn(mirror);
//! # Ok(()) }
//! ```
//!
//! The mirror, which hears of revocations, is a future that the program drives. Where it is not driven nothing is heard, and
//! every token is refused with 503; a program that makes no mirror, and calls [`protector`](ProtectorConfig::protector),
//! does not start with such a file. After the start it is 503, too, until all revocations are known: at most some seconds
//! where Redis can be reached. Whoever revokes, such as the service that logs people out, uses a
//! `RedisRevocationList` of the same Redis and name. Its URL is read once, at start.
//!
//! # Routes
//!
//! A `path` is written decoded, as it reads: `/café au lait`. It covers itself and what is below it, in whole segments:
//! `/me` is for `/me`, `/me/` and `/me/photo`, not for `/meow`. One slash at its end means nothing. Of the routes with the
//! longest matching path the one that lists the method decides. If none does, the answer is 405 with `Allow`. HEAD counts
//! as GET. Routes of one path must not overlap, and one without `methods` is for all of them. A path that no route names
//! needs a valid token and no scope.
//!
//! `optional = true` lets absent credentials pass whatever the route demands, as
//! [`Anonymous`](crate::Anonymous), and judges a token that is there.
//!
//! `max_age_seconds` makes a sensitive route ask again: by an answer that is older nobody is let in, and where nobody
//! answers it is 503. All issuers have to be of a kind that can be asked, `introspection`, as the JWTs of a `jwt` entry are
//! as good as on the day they were issued; or there is a `[revocation]`, of which what is known has to be as young, too, for
//! every token. That is up to half a second old when all is well.
//!
//! `acr` and `authenticated_within_seconds` make a client whose user did not authenticate so, or not so lately, bring them to
//! the authorization server again (RFC 9470): 401 with a challenge that names both. The leeway of the issuer's entry is
//! added to the seconds. Tokens without `acr` or `auth_time` are never good enough there.
//!
//! Matching cannot be led around. Somebody behind this service may remove dot segments, merge slashes, cut parameters off,
//! or decode once more; so a path is 400, without a challenge, if it has
//!
//! - a dot segment, or an empty segment that is not the last;
//! - a `\` or `;`, plain or percent-encoded;
//! - a percent-encoded `/`, `.`, `%` or NUL;
//! - percent-encoding that is invalid or not UTF-8, or a character beyond ASCII that is not percent-encoded;
//! - no slash at its beginning, such as the `*` of `OPTIONS *`.
//!
//! All else is decoded once and compared with case.
//!
//! These 400 and 405 are always HTTP statuses, also for gRPC, with a fixed sentence as JSON. What the protector refuses has
//! the form that [`ResourceProtectorLayer`] gives it.

mod client;
mod document;
mod error;
mod issuer;
mod revocation;
mod route;
mod said;
mod secret;
#[cfg(test)]
mod tests;
mod validators;

use serde::Deserialize;

pub use self::{
    document::from_toml,
    error::ConfigError,
    issuer::IssuerConfig,
    revocation::{RevocationConfig, RevocationMirror},
    route::RouteConfig,
};
pub use crate::routes::{RoutesLayer, RoutesService};
use crate::{
    audience::Audience,
    fetch::{Fetch, Network},
    protector::ResourceProtectorLayer,
    routes::{Routes, Taken},
};

/// Everything a protector and its routes are made from: `[resource]`, `[[issuer]]`, `[revocation]` and `[[route]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtectorConfig {
    resource: ResourceConfig,
    #[serde(default)]
    issuer: Vec<IssuerConfig>,
    revocation: Option<RevocationConfig>,
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
    /// these names errors speak of them. Nothing is revoked: see [`revocation`](Self::revocation).
    pub fn new(resource: ResourceConfig, issuers: Vec<IssuerConfig>, routes: Vec<RouteConfig>) -> Self {
        Self {
            resource,
            issuer: issuers,
            revocation: None,
            route: routes,
        }
    }

    /// The table that a configuration of your own has as the member `revocation`, if it is there. The protector is then made
    /// by [`protector_and_mirror`](Self::protector_and_mirror).
    #[must_use]
    pub fn revocation(mut self, table: Option<RevocationConfig>) -> Self {
        self.revocation = table;
        self
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
    /// key; [`ConfigError::located_in`] adds the line. When there is a `[revocation]`: nobody would drive its mirror, and
    /// [`protector_and_mirror`](Self::protector_and_mirror) is for you.
    pub fn protector(&self) -> Result<ResourceProtectorLayer, ConfigError> {
        self.check_nothing_is_revoked()?;
        self.build(&Network::default_client())
    }

    /// As [`protector`](Self::protector), with all HTTP exchanges made by this.
    ///
    /// # Errors
    ///
    /// As [`protector`](Self::protector).
    pub fn protector_with(&self, fetch: impl Fetch + Clone) -> Result<ResourceProtectorLayer, ConfigError> {
        self.check_nothing_is_revoked()?;
        self.build(&Network::new(fetch))
    }

    /// The same protector, and what keeps it informed of revocations: a future that has to be driven for as long as requests
    /// are judged, `tokio::spawn(mirror)`. While it is not, what is known of revocations grows old, and beyond
    /// `unknown_after_seconds` every token is refused with 503. Without `[revocation]` it has nothing to do, and driving it
    /// does no harm.
    ///
    /// # Errors
    ///
    /// As [`protector`](Self::protector); and when there is a `[revocation]` and no feature `redis`.
    pub fn protector_and_mirror(&self) -> Result<(ResourceProtectorLayer, RevocationMirror), ConfigError> {
        self.build_with_mirror(&Network::default_client())
    }

    /// As [`protector_and_mirror`](Self::protector_and_mirror), with all HTTP exchanges made by this. Redis is not reached by
    /// HTTP.
    ///
    /// # Errors
    ///
    /// As [`protector_and_mirror`](Self::protector_and_mirror).
    pub fn protector_and_mirror_with(
        &self,
        fetch: impl Fetch + Clone,
    ) -> Result<(ResourceProtectorLayer, RevocationMirror), ConfigError> {
        self.build_with_mirror(&Network::new(fetch))
    }

    fn check_nothing_is_revoked(&self) -> Result<(), ConfigError> {
        match self.revocation {
            None => Ok(()),
            Some(_) => Err(ConfigError::new(
                "revocation",
                "expected no such table, because this program would not hear of revocations; take it out, or have the \
                 program call `protector_and_mirror` and drive the mirror",
            )),
        }
    }

    fn build_with_mirror(&self, network: &Network) -> Result<(ResourceProtectorLayer, RevocationMirror), ConfigError> {
        let protector = self.build(network)?;
        match &self.revocation {
            None => Ok((protector, RevocationMirror::of_nothing())),
            Some(table) => table.watch_over(protector),
        }
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
