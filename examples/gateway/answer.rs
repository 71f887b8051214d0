//! The answer when there is no upstream: what was asked for, and by whom.

use http::{Request, Response, StatusCode};
use resource_protector::CurrentToken;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    identity::unix_seconds,
    reply::{self, Body},
};

#[derive(Serialize)]
struct Answer<'a> {
    method: &'a str,
    path: &'a str,
    token: Option<Token<'a>>,
}

#[derive(Serialize)]
struct Token<'a> {
    subject: Option<&'a str>,
    client_id: Option<&'a str>,
    issuer: Option<&'a str>,
    scopes: Vec<&'a str>,
    expires_at: Option<i64>,
    // As the issuer wrote them, not read and written anew.
    claims: Option<Box<RawValue>>,
}

pub(crate) fn describe<B>(request: &Request<B>) -> Response<Body> {
    // The protector has put the token there; nothing that a client sends can.
    let token = request.extensions().get::<CurrentToken>().map(|token| Token {
        subject: token.subject(),
        client_id: token.client_id(),
        issuer: token.issuer(),
        scopes: token.scopes().iter().collect(),
        expires_at: token.expires_at().map(unix_seconds),
        claims: token.claims().ok(),
    });
    let answer = Answer {
        method: request.method().as_str(),
        path: request.uri().path(),
        token,
    };
    reply::json(StatusCode::OK, &answer)
}
