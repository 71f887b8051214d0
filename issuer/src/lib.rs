//! Issues OAuth 2.0 tokens and takes them back: token stores, refresh tokens with rotation, log-out of one session and of all,
//! introspection and revocation endpoints, and a whole authorization server with its login page.
//!
//! The other half is [`resource_protector`], which checks the tokens and needs nothing of this crate. This one is built on its public
//! items, and used together with it.
//!
//! ```
//! use std::time::Duration;
//!
//! use resource_protector::{Algorithm, MemoryRevocationList, RevocationTerms, RevokedBy};
//! use resource_protector_issuer::{AccessTokens, KeyRing, RefreshRequest, TokenIssuer, TokenRequest, store::MemoryStore};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let revoked = MemoryRevocationList::new(RevocationTerms::new(RevokedBy::ALL, Duration::from_secs(3600))?);
//! let tokens = AccessTokens::jwt(KeyRing::generate(Algorithm::ES256)?, revoked.clone())?;
//! let issuer = TokenIssuer::builder("https://auth.example.com", "https://api.example.com", MemoryStore::new(), tokens)?;
//! let issuer = issuer.open().await?;
//!
//! // a log-in on the phone, and one on the laptop
//! let phone = issuer.issue(TokenRequest::for_subject("app", "alice").scope("profile")?).await?;
//! let laptop = issuer.issue(TokenRequest::for_subject("app", "alice")).await?;
//! // the phone refreshes, logs out, and the laptop is logged out by a new password
//! let refresh_token = phone.refresh_token().ok_or("there is one")?;
//! let phone = issuer.refresh(RefreshRequest::new(refresh_token, "app")).await?;
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
//!   them: it counts the log-outs of the subject, and every session knows at which count it began. In the same way end
//!   [all tokens of a client](TokenIssuer::revoke_client).
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
//! | a page on which users see [where they are logged in](TokenIssuer::sessions), and [whom they have allowed what](TokenIssuer::consents) | [`logout_session`](TokenIssuer::logout_session), [`withdraw_consent`](TokenIssuer::withdraw_consent) |
//! | people to log in, clients to come with codes | [`server::AuthorizationServer`] over a [`TokenIssuer`] |
//! | tokens after a log-in of your own | [`TokenIssuer::issue`], [`refresh`](TokenIssuer::refresh), [`logout`](TokenIssuer::logout), [`logout_own`](TokenIssuer::logout_own), [`logout_everywhere`](TokenIssuer::logout_everywhere) |
//! | single endpoints, as tower services | [`endpoints::TokenEndpoint`], [`endpoints::IntrospectionEndpoint`], [`endpoints::RevocationEndpoint`], [`endpoints::JwksEndpoint`] |
//! | an API that looks into the table of opaque tokens | [`TokenTable`] in a `StoreValidator` |
//! | a way to get tokens that no standard has | [`grants::Grant`] |
//! | keys, which roll over by themselves | [`KeyRing`] |
//! | users and clients | [`users::StoredUsers`], [`clients::StoredClients`], [`clients::MemoryClients`], or your own by [`users::UserDirectory`] and [`clients::ClientRegistry`] |
//! | a limit for failed attempts in a log-in of your own | [`rate_limit::RateLimit`] |
//! | to share tokens with a Python service | [`profiles`] |
//!
//! Where it is kept is said by a [`store::Store`]; the module has a table of what survives what.
//!
//! # What has to be done by you
//!
//! - [`TokenIssuer::run`] has to be spawned, or [`upkeep`](TokenIssuer::upkeep) called every 30 s: by every process, also for its
//!   [keys](KeyRing).
//! - Resource servers fetch the keys by themselves, from `/jwks` or an [`endpoints::JwksEndpoint`]: unless told otherwise, there are
//!   new ones every 90 days.
//! - A new password and a disabled account end no session: [`logout_everywhere`](TokenIssuer::logout_everywhere) belongs to both;
//!   as [`revoke_client`](TokenIssuer::revoke_client) does to a client that is removed.
//! - TLS ends before it; several processes share store, file of keys, [`SealingKey`](server::SealingKey), and a list on Redis.
//! - [`server::AuthorizationServer`] takes the whole path: with axum it is a `fallback_service`, and not nested; a route
//!   of the application that has one of its paths hides the server's. Who shares a computer needs a link to its `/logout`. Clients in browsers need CORS for `/token`, which the README shows.
//!
//! # Seeing what happens
//!
//! Events of `tracing`, without tokens, secrets, usernames and subjects. Those with a stable name have it in a field `event`:
//!
//! | target | event | level | fields | what |
//! |---|---|---|---|---|
//! | `resource_protector_issuer::tokens` | `tokens_issued` | info | `client_id`, `grant_type`, `session_id` | the token endpoint has issued tokens |
//! | | `refresh_token_reused` | warn | `client_id`, `session_id` | a refresh token came again, and its session was ended: somebody has stolen one |
//! | | `code_reused` | warn | `client_id`, `session_id` | an authorization code came again, likewise |
//! | | `token_revoked` | info | `client_id` | a client has taken a token back |
//! | | `session_ended` | info | `session_id` | a log-out, of whatever kind, has ended a session |
//! | | `logged_out_everywhere` | info | | all tokens of a subject were revoked |
//! | | `client_revoked` | info | `client_id` | all tokens of a client were revoked |
//! | | `consent_withdrawn` | info | `client_id` | a user has withdrawn what a client was allowed |
//! | `resource_protector_issuer::authorize` | `login_refused` | info | `client_id` | a username or a password was wrong |
//! | | `logged_in` | info | `client_id` | somebody has logged in at the server, for a request of this client |
//! | | `logged_out` | info | | somebody has logged out of the server, or uses another account |
//! | | `consent_given`, `consent_refused` | info | `client_id` | a user has allowed the client what it asks for, or has not |
//! | | `rate_limited` | warn | `limit`, `client_id` | somebody has to wait: the [limit](server::pages::Limit) is reached of failed log-ins of one user (`limit` is `login`) or of one peer (`peer`), or codes for one user (`codes`) |
//! | | | warn | `error` | nobody can be asked: the store, the users or the clients do not answer |
//! | `resource_protector_issuer::upkeep` | `upkeep_failed` | warn | `error` | it is tried again in 30 s; until then a revocation may be unknown to the list, or a key live longer than it should |
//! | | `revocation_unusable` | error | `error` | the list will never take a revocation that the store has: what it concerns stays good where only the list is looked at |
//! | `resource_protector_issuer::keys` | `key_published` | info | `kid`, `alg` | this process has made a new key |
//! | | `key_signs` | info | `kid`, `alg` | another key signs than at the last upkeep of this process |
//! | | `key_ahead_of_clock` | warn | `kid`, `alg` | a key was made by a clock that is more than 300 s ahead of this one: either is wrong. Told once per process and key, while it is so; the roll-over goes on without that key |
//! | | `key_forgotten` | info | `kid`, `alg` | this process has deleted a key, whose tokens are over or which was replaced as compromised |
//! | | `compromised_keys_replaced` | warn | `kid`, `alg` | this key is in the place of all others, whose tokens are refused |
//! | `resource_protector_issuer::endpoints` | | warn, error, debug | `error` | a token cannot be judged (503); none can be issued as this server is set up (500); a form broke off |
//! | `resource_protector_issuer::clients` | `client_refused` | info | `client_id`, `reason` | a client is refused with 401: a wrong secret or assertion, or another way than its own; without `client_id` if there is no such client |
//! | | `rate_limited` | warn | `client_id`, as before | a client is refused with 429: there were too many wrong secrets or assertions |
//! | | | warn | `error` | a client cannot be looked up |
//! | `resource_protector_issuer::users` | | warn | `error` | a password's hash that was made anew is not kept |
//! | `resource_protector_issuer::grants` | | warn | `error` | no password can be checked, by the password grant |
//! | `resource_protector_issuer::double_submit` | | info | | a cookie with a token came without the sign that a page of ours sent it |

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod clients;
pub mod endpoints;
mod form_encoding;
pub mod grants;
mod keys;
pub mod profiles;
mod random;
pub mod rate_limit;
pub mod server;
mod setup;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod tokens;
pub mod users;

pub use self::{
    keys::{KeyError, KeyRing, KeyRingBuilder},
    tokens::{
        AccessTokens, ActiveSession, ActiveToken, CodeExchange, CodeRequest, ConsentedClient, IssuedTokens,
        RefreshRequest, SubjectRule, TokenError, TokenErrorKind, TokenIssuer, TokenIssuerBuilder, TokenRequest,
        TokenTable, TokenUse,
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
