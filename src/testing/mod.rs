//! A small authorization server for your own tests. Never for production.
//!
//! [`TestIssuer`] mints tokens that are good by default, and spoils one thing when asked to. It is a
//! [`Fetch`](crate::Fetch), so a validator can ask it for metadata, keys and introspection answers without a socket;
//! [`TestIssuer::on_loopback`] serves the same over HTTP. [`TestClock`] is a [`Clock`](crate::Clock) that a test moves,
//! so that nothing has to sleep until a token expires.
//!
//! ```
//! use resource_protector::{Fetch, testing::TestIssuer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = TestIssuer::new("https://auth.test");
//!
//! // A JWT access token that every check should let pass, and some that differ from it in one thing.
//! let good = issuer.access_token("https://api.test").subject("bob").scope("profile email").mint();
//! let expired = issuer.access_token("https://api.test").expired().mint();
//! let forged = issuer.access_token("https://api.test").signed_by_a_stranger().mint();
//! let for_another_api = issuer.access_token("https://other.test").mint();
//! let without_an_id = issuer.access_token("https://api.test").without("jti").mint();
//!
//! // An opaque one, known to the introspection endpoint until it is revoked.
//! let opaque = issuer.opaque_token("https://api.test").scope("profile").mint();
//! issuer.revoke(&opaque);
//!
//! // `Validator::discover(issuer.url(), …)?.fetch(issuer.clone())` would send requests like this one.
//! let keys = http::Request::get("https://auth.test/jwks").body(bytes::Bytes::new())?;
//! let answer = issuer.fetch(keys, 100_000).await?;
//! assert_eq!(answer.body(), &issuer.jwks());
//! assert_eq!(issuer.requests("/jwks"), 1);
//!
//! // An outage.
//! issuer.go_down();
//! let keys = http::Request::get("https://auth.test/jwks").body(bytes::Bytes::new())?;
//! assert!(issuer.fetch(keys, 100_000).await.is_err());
//! # Ok(()) }
//! ```
//!
//! What is served, below the issuer's URL:
//!
//! | path | answer |
//! |---|---|
//! | `/.well-known/oauth-authorization-server` | metadata (RFC 8414) |
//! | `/.well-known/openid-configuration` | the same (OpenID Connect Discovery 1.0) |
//! | `/jwks` | the public keys (RFC 7517) |
//! | `/introspect` | what is known about a token (RFC 7662) |
//!
//! The introspection endpoint answers the client [`TestIssuer::CLIENT_ID`] with [`TestIssuer::CLIENT_SECRET`].
//!
//! Nothing in here shares code with the validators, so that a mistake in one does not hide the same mistake in the
//! other.

mod clock;
mod draft;
mod endpoints;
mod introspection;
mod issuer;
mod jwt;
mod key;
mod loopback;

pub use self::{
    clock::TestClock,
    draft::{Opaque, TokenDraft},
    issuer::TestIssuer,
    jwt::Jwt,
    loopback::LoopbackIssuer,
};
