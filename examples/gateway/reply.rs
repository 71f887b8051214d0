//! What the gateway says itself: JSON and fixed sentences, in the form of the protector's refusals.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use serde::Serialize;
use serde_json::json;

/// The body of every response, whoever made it.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

pub(crate) fn body(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Nothing that is said here may be remembered: it holds for one request.
pub(crate) fn no_store(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body(text));
    *response.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}

pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(text) => {
            let mut response = no_store(status, text);
            let content_type = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            no_store(StatusCode::INTERNAL_SERVER_ERROR, "")
        }
    }
}

fn refusal(status: StatusCode, error: &str, sentence: &'static str) -> Response<Body> {
    json(status, &json!({ "error": error, "error_description": sentence }))
}

pub(crate) fn bad_request(sentence: &'static str) -> Response<Body> {
    refusal(StatusCode::BAD_REQUEST, "invalid_request", sentence)
}

pub(crate) fn not_implemented(sentence: &'static str) -> Response<Body> {
    refusal(StatusCode::NOT_IMPLEMENTED, "not_implemented", sentence)
}

pub(crate) fn bad_gateway() -> Response<Body> {
    refusal(StatusCode::BAD_GATEWAY, "bad_gateway", "The upstream does not answer")
}
