//! The package as its users see it, by topic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod endpoints;
mod events;
mod examples;
mod faults;
mod keys;
mod profiles;
mod server;
mod servers;
mod sessions;
mod stores;
mod support;
mod token_endpoint;
mod tokens;
