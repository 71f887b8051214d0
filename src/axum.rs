//! Extractors and responses for axum.
//!
//! They work on what the protector left in the request's extensions; nothing else is needed.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    audit,
    protector::Anonymous,
    rejection::{Form, Rejection},
    token::CurrentToken,
};

impl IntoResponse for Rejection {
    /// The refusal by itself. On its way out the protector completes it, for gRPC and HTTP alike.
    fn into_response(self) -> Response {
        self.by_itself::<Body>(Form::Http).map(Body::new)
    }
}

/// The token of the request. An anonymous request is refused with 401; a route without a protector with 500.
impl<S: Send + Sync> FromRequestParts<S> for CurrentToken {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        match find(parts)? {
            Some(token) => Ok(token),
            None => Err(tell(parts, Rejection::no_credentials("the handler needs a token"))),
        }
    }
}

/// The token of the request, or `None` for an anonymous one. A route without a protector is refused with 500.
impl<S: Send + Sync> OptionalFromRequestParts<S> for CurrentToken {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        find(parts)
    }
}

fn find(parts: &Parts) -> Result<Option<CurrentToken>, Rejection> {
    match (
        parts.extensions.get::<CurrentToken>(),
        parts.extensions.get::<Anonymous>(),
    ) {
        (Some(token), _) => Ok(Some(token.clone())),
        (None, Some(_)) => Ok(None),
        (None, None) => Err(tell(
            parts,
            Rejection::misconfigured("a handler asks for the token, but no ResourceProtectorLayer is outside of it"),
        )),
    }
}

fn tell(parts: &Parts, mut rejection: Rejection) -> Rejection {
    audit::refused(&mut rejection, Some((&parts.method, &parts.uri)), None);
    rejection
}
