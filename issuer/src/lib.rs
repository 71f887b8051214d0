//! Issues OAuth 2.0 tokens and takes them back.

pub mod attempts;
pub mod clients;
pub mod endpoints;
pub mod grants;
pub mod keys;
pub mod profiles;
pub mod server;
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

/// Keeps the guides compiling.
#[cfg(doctest)]
#[doc = include_str!("../../docs/from-flask-jwt-extended.md")]
struct FromFlaskJwtExtended;

/// Keeps the guides compiling.
#[cfg(doctest)]
#[doc = include_str!("../../docs/from-simplejwt.md")]
struct FromSimpleJwt;
