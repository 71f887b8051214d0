//! What clients and resource servers ask over HTTP, as tower services, and how all of them read and answer.

mod answer;
mod body;
mod form;
mod future;
mod introspection;
mod revocation;
mod service;
mod token;

pub(crate) use self::{
    answer::{Answer, empty, json},
    form::read,
    service::service,
};
pub use self::{
    answer::{ErrorCode, OAuthError},
    body::ResponseBody,
    form::Form,
    future::EndpointFuture,
    introspection::IntrospectionEndpoint,
    revocation::RevocationEndpoint,
    token::TokenEndpoint,
};
pub use crate::keys::JwksEndpoint;

/// What went wrong with a body, whatever its type.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
