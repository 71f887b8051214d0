//! The authorization server.

mod authorization;
mod authorization_server;
mod authorize;
mod browser;
mod builder;
mod ended;
mod frontend;
mod headers;
#[cfg(feature = "legacy-grants")]
mod legacy;
mod login;
mod logout;
mod metadata;
pub mod pages;
mod seal;

use self::authorization_server::{AUTHORIZE, INTROSPECT, JWKS, LOGOUT, REVOKE, TOKEN};
pub use self::{authorization_server::AuthorizationServer, builder::AuthorizationServerBuilder, seal::SealingKey};
