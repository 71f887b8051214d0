//! Issues OAuth 2.0 tokens and takes them back.

pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
