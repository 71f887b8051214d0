//! What the layer does as a whole, seen from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod audit;
mod axum;
mod by_issuer;
mod config;
mod conformance;
mod doctor;
mod end_to_end;
mod examples;
mod fetch;
mod form;
mod fresh;
mod gateway;
mod guards;
mod header;
mod issuer_names;
mod jwks;
mod jwt;
mod metrics;
mod moody;
mod optional;
mod outages;
mod places;
mod ready;
mod recipes;
mod redis_server;
mod refusals;
mod remembered;
mod revocation;
mod revocation_redis;
mod routes;
mod servers;
mod speed;
mod step_up;
mod support;
mod tower_contract;
mod upkeep;
