//! Issues OAuth 2.0 tokens and takes them back: token stores, refresh tokens with rotation, log-out of one session and of all,
//! introspection and revocation endpoints, and a whole authorization server with its login page.
//!
//! The other half is [`resource_protector`], which checks the tokens. This crate uses its public items only, and either can be used
//! without the other.
//!
//! ```
//! use std::time::Duration;
//!
//! use resource_protector::{Algorithm, MemoryRevocationList, RevocationTerms, RevokedBy};
//! use resource_protector_issuer::{AccessTokens, KeyRing, TokenIssuer, TokenRequest, store::MemoryStore};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let by = [RevokedBy::TokenId, RevokedBy::Session, RevokedBy::Subject];
//! let revoked = MemoryRevocationList::new(RevocationTerms::new(by, Duration::from_secs(3600))?);
//! let tokens = AccessTokens::jwt(KeyRing::generate(Algorithm::ES256)?, revoked.clone())?;
//! let issuer = TokenIssuer::builder("https://auth.example.com", "https://api.example.com", MemoryStore::new(), tokens)?;
//! let issuer = issuer.open().await?;
//!
//! // a log-in on the phone, and one on the laptop
//! let phone = issuer.issue(TokenRequest::for_subject("app", "alice").scope("profile")?).await?;
//! let laptop = issuer.issue(TokenRequest::for_subject("app", "alice")).await?;
//! // the phone refreshes, logs out, and the laptop is logged out by a new password
//! let phone = issuer.refresh(phone.refresh_token().ok_or("there is one")?, "app", None).await?;
//! issuer.logout(phone.access_token()).await?;
//! issuer.logout_everywhere("alice").await?;
//! # assert!(issuer.introspect(laptop.access_token()).await?.is_none());
//! # Ok(()) }
//! ```
//!
//! # One session
//!
//! A log-in begins a **session**, and all tokens that come of it belong to it: an access token, and a refresh token, which is
//! exchanged for the next two, and so on until the session ends. Tokens name it by `sid`.
//!
//! - An **access token** is a JWT (RFC 9068), which resource servers verify by themselves, or opaque, which they ask about. It is
//!   good for 10 minutes unless set.
//! - A **refresh token** is good for one exchange (*rotation*). When it comes again, it or its successor is in the wrong hands, and
//!   nobody can say which: the session ends (RFC 9700 §4.14.2). A window of grace can be set for answers that get lost.
//! - An **authorization code** is good for one exchange as well, and ends the session that it began when it comes again.
//! - A **log-out** ends a session with all its tokens. A **log-out everywhere** ends all sessions of a subject, without a list of
//!   them: it counts the log-outs of the subject, and every session knows at which count it began.
//! - To **revoke** (RFC 7009) is what a client does with its own token: a refresh token ends its session, an access token ends alone.
//!
//! What ends is written into the store first, then told to the [list of revocations](resource_protector::Revoke), and only then is
//! anybody answered. Resource servers that have the list refuse the next request; those that introspect notice when what they
//! remember is too old. An issuer of JWTs without a list does not build, unless it is
//! [said in so many words](AccessTokens::jwt_that_nobody_can_take_back).
//!
//! # Which type
//!
//! | you want | use |
//! |---|---|
//! | people to log in, clients to come with codes | [`server::AuthorizationServer`] over a [`TokenIssuer`] |
//! | tokens after a log-in of your own | [`TokenIssuer::issue`], [`refresh`](TokenIssuer::refresh), [`logout`](TokenIssuer::logout), [`logout_own`](TokenIssuer::logout_own), [`logout_everywhere`](TokenIssuer::logout_everywhere) |
//! | single endpoints, as tower services | [`endpoints::TokenEndpoint`], [`endpoints::IntrospectionEndpoint`], [`endpoints::RevocationEndpoint`], [`keys::JwksEndpoint`] |
//! | an API that looks into the table of opaque tokens | [`TokenTable`] in a `StoreValidator` |
//! | a way to get tokens that no standard has | [`grants::Grant`] |
//! | keys, and new ones while the service runs | [`KeyRing`] |
//! | users and clients | [`users::StoredUsers`], [`clients::StoredClients`], [`clients::MemoryClients`], or your own by [`users::UserDirectory`] and [`clients::ClientRegistry`] |
//! | a limit for failed attempts in a log-in of your own | [`attempts::Attempts`] |
//! | to share tokens with a Python service | [`profiles`] |
//!
//! Where it is kept is said by a [`store::Store`]; the module has a table of what survives what.
//!
//! # What has to be done by you
//!
//! - [`TokenIssuer::run`] has to be spawned, or [`upkeep`](TokenIssuer::upkeep) called from time to time.
//! - A new password and a disabled account end no session: [`logout_everywhere`](TokenIssuer::logout_everywhere) belongs to both.
//! - TLS ends before it; several processes share store, file of keys, [`SealingKey`](server::SealingKey), and a list on Redis.
//! - [`server::AuthorizationServer`] takes the whole path: with axum it is a `fallback_service`, and not nested.
//!
//! # Seeing what happens
//!
//! Events of `tracing`, without tokens, secrets, usernames and subjects. Those with a stable name have it in a field `event`:
//!
//! | target | event | level | fields | what |
//! |---|---|---|---|---|
//! | `resource_protector_issuer::tokens` | `tokens_issued` | info | `client_id`, `grant_type`, `session_id` | the token endpoint has issued tokens |
//! | | `refresh_token_reused` | warn | `client_id` | a refresh token came again, and its session was ended: somebody has stolen one |
//! | | `code_reused` | warn | `client_id` | an authorization code came again, likewise |
//! | `resource_protector_issuer::authorize` | `login_refused` | info | `client_id` | a username or a password was wrong |
//! | | | warn | `error` | nobody can be asked: the store, the users or the clients do not answer |
//! | `resource_protector_issuer::upkeep` | `upkeep_failed` | warn | `error` | it is tried again in 30 s; until then a revocation may be unknown to the list |
//! | `resource_protector_issuer::endpoints` | | warn, error, debug | `error` | a token cannot be judged (503); none can be issued as this server is set up (500); a form broke off |
//! | `resource_protector_issuer::clients` | `client_refused` | info | `client_id`, `reason` | a client is refused with 401: a wrong secret or assertion, or another way than its own; without `client_id` if there is no such client |
//! | | `too_many_attempts` | warn | `client_id`, as before | a client is refused with 429: there were too many wrong secrets or assertions |
//! | | | warn | `error` | a client cannot be looked up |
//! | `resource_protector_issuer::users` | | warn | `error` | a password's hash that was made anew is not kept |
//! | `resource_protector_issuer::grants` | | warn | `error` | no password can be checked, by the password grant |
//! | `resource_protector_issuer::double_submit` | | info | | a cookie with a token came without the sign that a page of ours sent it |

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod attempts;
pub mod clients;
pub mod endpoints;
mod form_encoding;
pub mod grants;
pub mod keys;
pub mod profiles;
mod random;
pub mod server;
mod setup;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod tokens;
pub mod users;

pub use self::{
    keys::KeyRing,
    tokens::{
        AccessTokens, ActiveToken, CodeRequest, IssuedTokens, SubjectRule, TokenError, TokenErrorKind, TokenIssuer,
        TokenIssuerBuilder, TokenRequest, TokenTable, TokenUse,
    },
};

/// Keeps it compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Keeps the guides compiling.
#[cfg(doctest)]
#[doc = include_str!("../../docs/from-authlib.md")]
struct FromAuthlib;

/// Keeps the guides compiling.
#[cfg(doctest)]
#[doc = include_str!("../../docs/from-flask-jwt-extended.md")]
struct FromFlaskJwtExtended;

/// Keeps the guides compiling.
#[cfg(doctest)]
#[doc = include_str!("../../docs/from-simplejwt.md")]
struct FromSimpleJwt;
