//! Issues OAuth 2.0 tokens and takes them back.

pub mod server;
pub mod store;
pub mod users;
