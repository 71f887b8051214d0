//! The OAuth 2.0 resource server for tower: one layer that decides, for every request, whether the access token it
//! carries may enter, and hands the handler a [`CurrentToken`].
//!
//! With `cargo add resource-protector --features axum`:
//!
//! ```
//! use axum::{Router, routing::get};
//! use resource_protector::{CurrentToken, JwtValidator, ResourceProtectorLayer, require_scope};
//!
//! async fn me(token: CurrentToken) -> String {
//!     format!("hello {}", token.subject().unwrap_or("nobody"))
//! }
//!
//! # fn main() -> Result<(), resource_protector::SetupError> {
//! // issuer, audience; no I/O yet
//! let tokens = JwtValidator::discover("https://auth.example.com", "https://api.example.com")?;
//! let app: Router = Router::new()
//!     .route("/me", get(me).layer(require_scope("profile")))
//!     .layer(ResourceProtectorLayer::new(tokens));
//! # Ok(())
//! # }
//! ```
//!
//! It does not log anybody in, issue tokens, or keep sessions: that is the authorization server's part. TLS ends before
//! it, in the server or in a proxy; a bearer token that travels in clear belongs to whoever sees it (RFC 6750 §5.3).
//!
//! Validators that ask an authorization server need a tokio runtime with its timer (and with I/O, for the default client).
//! Without a runtime every token that has to be asked about is refused with 503.
//!
//! # Which validator
//!
//! | your tokens | use |
//! |---|---|
//! | are JWTs | [`JwtValidator`]: verified here, with the issuer's keys |
//! | are opaque, or must stop working soon after they are revoked | [`IntrospectionValidator`]: the authorization server is asked, its answers are remembered, for 60 s unless set |
//! | are in a table of your own | [`StoreValidator`] over your [`TokenStore`] |
//! | come from several issuers, or are of several kinds | [`ByIssuer`]: each token goes to exactly one validator |
//! | are something else | [`TokenValidator`], with a plain `async fn` |
//!
//! Validators are made with `?`, at start. What usually gets a literal panics at start instead, and has a fallible twin:
//! `realm` and `try_realm`, the guards and [`Requirement`], the methods of [`ByIssuer`] and their `try_` forms.
//!
//! # Guards
//!
//! [`require_scope`], [`require_scopes`], [`require_any_scope`], [`require_token`] and [`require`] make layers for a
//! route, a router, or a gRPC service; [`require_by_path`] tells gRPC methods apart; [`CurrentToken::require`] checks
//! inside a handler; [`ResourceProtectorLayer::requiring`] demands something of every request;
//! [`ResourceProtectorLayer::require_fresh`] makes a sensitive route ask again whether the token is still good.
//!
//! A [`Requirement`] is more than scopes: roles, claims, and how the user authenticated. [`Requirement::authenticated_within`] is
//! for routes where a login of this morning will not do, [`Requirement::acr`] for those that need a second factor. Such a refusal
//! tells the client what to ask the authorization server for (step-up, RFC 9470).
//!
//! With axum: `Router::layer` covers the routes added before it *and* the fallback, so that a path that does not exist
//! is 401, too; `Router::route_layer` covers the routes only. A guard belongs inside the protector, which is added after
//! it. `nest` strips the prefix of the path that [`require_by_path`] sees. A CORS layer belongs outside of the protector,
//! or else [`allow_cors_preflight`](ResourceProtectorLayer::allow_cors_preflight) has to be switched on.
//!
//! With tonic: the layer goes on the server or, by `tonic::service::LayerExt::named_layer`, on one service; a method finds
//! the token by `request.extensions().get::<CurrentToken>()`.
//!
//! # Where tokens are looked for
//!
//! In the `Authorization` field, and in no other place but those that are switched on:
//!
//! | place | switched on by | |
//! |---|---|---|
//! | a header of your choice | [`token_in_header`](ResourceProtectorLayer::token_in_header) | its whole value is the token, as proxies pass it on |
//! | `Sec-WebSocket-Protocol` | [`token_in_websocket_protocol`](ResourceProtectorLayer::token_in_websocket_protocol) | for pages that open a WebSocket |
//! | a form | [`FormTokenLayer`], a layer of its own in front | RFC 6750 §2.2; reads the body |
//! | the query of the URI | [`dangerous_token_in_uri_query`](ResourceProtectorLayer::dangerous_token_in_uri_query) | RFC 6750 §2.3; ends up in logs |
//! | a cookie | [`token_in_cookie`](ResourceProtectorLayer::token_in_cookie) | needs a sign that a page of our own sent it |
//!
//! Credentials in two of these places are 400, and so are malformed ones in one of them, whatever stands in the others;
//! `Authorization: Basic` beside a token elsewhere counts as two. Only the cookie, which browsers send unasked, is passed
//! over where there is anything else. The length of a token is limited in each of them. Answers to a token from any other place
//! than `Authorization` get `Cache-Control: private`, since shared caches know of that field alone (RFC 9111 §3.5).
//!
//! # Revocation
//!
//! A JWT that is verified here is good until it expires, whatever has happened since. Where that is too long:
//!
//! | what has to end a token | use |
//! |---|---|
//! | what this service knows of, or is told: a log-out, also everywhere, a new password, a disabled account or client | [`ResourceProtectorLayer::revocation`] with a [`RevocationList`]: the next request is refused |
//! | what only the authorization server knows of | [`IntrospectionValidator`]: it is asked, and its answers are remembered, for 60 s unless set |
//! | both | both: the list is asked about every token, whoever validated it |
//!
//! [`MemoryRevocationList`] is for one process. It is told by [`Revoke::revoke`] of [`CutOff`]s, which name whose tokens are over,
//! and no tokens: `CutOff::subject(issuer, "alice", now)` logs alice out everywhere, also where nobody has seen her token yet, and
//! spares what is issued to her later. [`RevocationTerms`] say by what tokens are revoked and for how long they live at the most;
//! a token that lacks it, or lives longer, is 401. A list that cannot say is 503.
//!
//! The authorization server has to be told as well: a refresh token gets the next access token, which the cut-off spares.
//!
//! # Configuration
//!
//! The feature `config` makes all of this from a TOML file: issuers, audience, what each path demands, and with the feature `redis`
//! a list of revocations. See [`config`].
//!
//! # Refusals
//!
//! | what happened | [kind](RejectionKind) | HTTP | `WWW-Authenticate` | gRPC |
//! |---|---|---|---|---|
//! | no credentials, or another scheme | `NoCredentials` | 401, empty body | `Bearer`, with realm, scope, acr_values, max_age and metadata as configured, no error | UNAUTHENTICATED |
//! | malformed credentials, or in two places | `Malformed` | 400 | `error="invalid_request"` | UNAUTHENTICATED |
//! | expired, revoked, unknown, not for us, not genuine | `InvalidToken` | 401 | `error="invalid_token"` | UNAUTHENTICATED |
//! | a scope or another right is missing | `InsufficientScope` | 403 | `error="insufficient_scope"`, scope | PERMISSION_DENIED |
//! | the user did not authenticate recently or strongly enough | `InsufficientAuthentication` | 401 | `error="insufficient_user_authentication"`, scope, acr_values, max_age | UNAUTHENTICATED |
//! | a cookie, not sent by a page of our own | `CrossSite` | 403 | none | PERMISSION_DENIED |
//! | a form longer than is searched for a token | `TooLarge` | 413 | none | RESOURCE_EXHAUSTED |
//! | the authorization server did not say | `Unavailable` | 503, `Retry-After` | none | UNAVAILABLE |
//! | our own fault | `Misconfigured` | 500 | none | INTERNAL |
//!
//! Where both scopes and authentication are missing it is the 401, which names both, so that one way to the authorization server
//! is enough. Where a role or another claim is missing, too, it is the 403: nobody has to log in to be refused afterwards.
//!
//! Routes of a [configuration](#configuration) also answer 400 and 405, without a challenge: no token would help.
//!
//! Each has `Cache-Control: no-store`, and all but the first the error and a fixed sentence as JSON. Nothing that a client
//! sent ever reaches a refusal. [`replace_refusals`](ResourceProtectorLayer::replace_refusals) gives them another look.
//!
//! # Running it
//!
//! A JWT that was verified is remembered, and costs a small part of a verification from then on. In an outage the keys and
//! what is remembered go on being used up to their bounds, and what cannot be judged is 503, never 401; `docs/performance.md`
//! and `docs/reliability.md` of the repository have the numbers.
//!
//! A service starts while its authorization server is down: its first requests are 503, and it gets ready by itself.
//! [`ready`](ResourceProtectorLayer::ready) is for the readiness probe; [`doctor`](ResourceProtectorLayer::doctor) looks at
//! the whole set-up with forged tokens, at start or by an administrator's command. To fail fast:
//!
//! ```
//! # async fn start(protector: resource_protector::ResourceProtectorLayer) -> Result<(), Box<dyn std::error::Error>> {
//! let diagnosis = protector.doctor().await;
//! if !diagnosis.is_healthy() {
//!     return Err(diagnosis.to_string().into());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Seeing what happens
//!
//! Every decision is one `tracing` event with the target `resource_protector::decision`: admitted requests at `DEBUG`,
//! refused ones at `INFO`, outages at `WARN`, faults of our own at `ERROR`. Fields, as far as they are known:
//!
//! | field | what it says |
//! |---|---|
//! | `decision` | `admitted`, `anonymous`, `preflight`, `public` (a route of the configuration) or `refused` |
//! | `status`, `kind`, `reason`, `detail` | of a refusal: HTTP status, [`RejectionKind`], [`Reason`], and a sentence with what was expected and what came |
//! | `method`, `path` | what was asked for, without the query |
//! | `issuer`, `client_id`, `token_id` | of the token: `iss`, `client_id`, `jti` |
//! | `place` | of an admitted token: where it stood: `authorization`, `header`, `websocket`, `form`, `query` or `cookie` |
//! | `age_seconds` | of an admitted token: how old the authorization server's answer is |
//!
//! Neither tokens nor secrets nor subjects are in them. Trouble with keys has the target `resource_protector::keys`,
//! trouble with introspection `resource_protector::introspection`, with secrets in files `resource_protector::secrets`. The
//! events of an outage have stable names in a field `event`: `breaker_opened`, `breaker_probing`, `breaker_closed`,
//! `stale_served`, `refresh_failed`, `retried`, `call_shed` and `call_ended`; those about keys are `keys_refresh_failed`,
//! `keys_replaced` and `key_skipped`, and trouble with metadata is `metadata_failed`, of the target
//! `resource_protector::discovery`.
//!
//! A list of revocations on Redis has the target `resource_protector::revocation`, a field `list` with its name, and the events
//! `mirror_loaded` (everything is known), `mirror_lost` (nothing is heard), `mirror_reset` (Redis has lost what it knew),
//! `mirror_told_again` (and was told it), `mirror_stale`, `mirror_unknown` and `mirror_in_step` (how old what is known has
//! become, when tokens are judged by it), `revocation_untold`, and the faults `mirror_full` and `mirror_unreadable`.
//!
//! ## Metrics
//!
//! With the feature `metrics` everything below is counted by whichever recorder of the `metrics` crate the program has
//! installed. A label is one of the words here, or a name from the configuration; never anything that a client sent.
//!
//! | name | is a | labels | what it says |
//! |---|---|---|---|
//! | `resource_protector_decisions_total` | counter | `decision`: as above; `kind`: `no_credentials`, `malformed`, `invalid_token`, `insufficient_scope`, `insufficient_authentication`, `cross_site`, `too_large`, `unavailable`, `misconfigured`, of routes `bad_path` and `method_not_allowed`, and `none` where it is no refusal | one for every event above |
//! | `resource_protector_tokens_total` | counter | `how`: `remembered`, `verified` (a good signature), `asked` (the request waited for a call), `stale` (an old answer stood in) | how it was found out what a token is worth |
//! | `resource_protector_upstream_calls_total` | counter | `endpoint`: `introspection`, `jwks`, `metadata`; `outcome`: `ok`, `connection` (there was none), `timeout`, `busy` (429, 503), `failed`, `refused` (our own request was), `nonsense` (an answer of another kind), `shed` (not made: too many, or the breaker is open) | calls to authorization servers; a search for metadata in several places is one |
//! | `resource_protector_upstream_seconds` | histogram | `endpoint` | how long they took |
//! | `resource_protector_breaker_changes_total` | counter | `to`: `open`, `half_open`, `closed` | how often a server was left alone, tried, and taken up again |
//! | `resource_protector_breaker_state` | gauge | `asked`: who is asked about tokens, by issuer or by URL | 0: closed; 1: half-open, the next call is a trial; 2: open, none is made |
//! | `resource_protector_revocations_age_seconds` | gauge | `list`: its name | how old is what is known of revocations, on a list on Redis |
//! | `resource_protector_key_set_age_seconds` | gauge | `asked`: who is asked for keys, by identifier or by URL | how long ago the keys were fetched |
//!
//! Gauges are taken when [`ready`](ResourceProtectorLayer::ready) is asked: by a readiness probe, or just before metrics are
//! read.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// With all features nothing is dead. With some, the parts they share have corners that only the others use.
#![cfg_attr(
    not(all(
        feature = "jwt",
        feature = "introspection",
        feature = "config",
        feature = "redis-tls"
    )),
    allow(dead_code, unused_imports)
)]

mod audience;
mod audit;
#[cfg(feature = "axum")]
mod axum;
mod base64url;
mod challenge;
mod claims;
mod clock;
#[cfg(feature = "config")]
pub mod config;
mod credentials;
mod discovery;
mod endpoint;
mod error;
mod fetch;
#[cfg(test)]
mod harness;
#[cfg(feature = "introspection")]
mod introspection;
mod json;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg_attr(
    not(feature = "metrics"),
    allow(dead_code, reason = "what is only counted is not read where nothing is counted")
)]
mod meter;
mod peek;
mod protector;
mod rejection;
mod require;
mod revocation;
#[cfg(feature = "config")]
mod routes;
mod scope;
#[cfg(any(feature = "introspection", feature = "reqwest"))]
mod secret;
mod store;
mod template;
#[cfg(feature = "testing")]
pub mod testing;
mod texts;
mod token;
mod token_rules;
#[cfg(feature = "introspection")]
mod upstream;
mod validate;

/// The futures of this crate's services.
pub mod future {
    #[cfg(feature = "config")]
    pub use crate::routes::RoutesFuture;
    pub use crate::{credentials::FormTokenFuture, protector::ResponseFuture, require::RequireFuture};
}

#[cfg(feature = "reqwest")]
pub use crate::fetch::ReqwestFetch;
#[cfg(feature = "introspection")]
pub use crate::introspection::{ClientAuth, IntrospectionValidator};
#[cfg(feature = "jwt")]
pub use crate::jwt::{AccessTokenMark, Algorithm, HmacAlgorithm, JwtValidator, OptionalClaim, Tenants};
#[cfg(feature = "redis")]
pub use crate::revocation::{RedisRevocationList, RedisRevocationListBuilder};
#[cfg(any(feature = "introspection", feature = "reqwest"))]
pub use crate::secret::Secret;
pub use crate::{
    audience::Audience,
    claims::Confirmation,
    clock::{Clock, Moment, SystemClock},
    credentials::{FormBody, FormTokenLayer, FormTokenService},
    error::SetupError,
    fetch::{Fetch, FetchError},
    protector::{
        Anonymous, Diagnosis, Finding, NotReady, RefusalBody, RequireFreshLayer, ResourceProtector,
        ResourceProtectorLayer,
    },
    rejection::{Reason, Rejection, RejectionKind},
    require::{
        ClaimValue, RequireLayer, RequireService, Requirement, require, require_any_scope, require_by_path,
        require_scope, require_scopes, require_token,
    },
    revocation::{
        CutOff, MemoryRevocationList, RevocationList, RevocationTerms, Revoke, RevokeError, RevokedBy, Verdict,
    },
    scope::{Scope, Scopes},
    store::{ExtraClaims, MemoryTokenStore, OpaqueToken, StoreError, StoreValidator, StoredToken, TokenStore},
    token::{ClaimsError, CurrentToken, StandsFor},
    validate::{About, ByIssuer, Presented, TokenValidator},
};

/// Keeps the README's example compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;

/// Keeps the recipes compiling.
#[cfg(doctest)]
#[doc = include_str!("../docs/issuers.md")]
struct Recipes;
