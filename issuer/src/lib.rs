//! Issues OAuth 2.0 tokens and takes them back.

pub mod attempts;
pub mod clients;
pub mod endpoints;
pub mod keys;
pub mod store;
