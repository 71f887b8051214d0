//! Issues OAuth 2.0 tokens and takes them back.

pub mod keys;
pub mod store;
