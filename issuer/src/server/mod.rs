//! The authorization server.

#[allow(dead_code, unused_imports, reason = "for the authorization server")]
mod authorize;
#[allow(dead_code, reason = "for the authorization server")]
mod browser;
#[allow(dead_code, reason = "for the authorization server")]
mod headers;
pub mod pages;
mod seal;
#[allow(dead_code, reason = "for the authorization server")]
mod sign_in;

pub use self::seal::SealingKey;
