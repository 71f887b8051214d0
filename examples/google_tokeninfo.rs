//! How do I accept the access tokens of Google's users, which are opaque and cannot be introspected?
//!
//! ```text
//! TOKENINFO=https://oauth2.googleapis.com/tokeninfo CLIENT=407408718192.apps.googleusercontent.com \
//! cargo run --example google_tokeninfo --features axum
//! ```
//!
//! Without `TOKENINFO` it asks a small endpoint of its own that answers in Google's way.

use std::{collections::HashMap, env, error::Error, time::Duration};

use axum::{Form, Json, Router, http::StatusCode, routing::get, routing::post};
use http::{Request, header};
use resource_protector::{
    CurrentToken, Fetch as _, Presented, Reason, Rejection, ReqwestFetch, ResourceProtectorLayer, TokenValidator,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Asks on every request. Keep answers for a short time if that is too often.
struct GoogleTokens {
    fetch: ReqwestFetch,
    endpoint: String,
    /// The client whose tokens are meant for us: otherwise the token of anybody's application would do.
    client: String,
}

/// What the endpoint says. Numbers are strings; what is not needed is not read.
#[derive(Deserialize)]
struct TokenInfo {
    aud: String,
    sub: String,
    scope: String,
    exp: String,
}

impl TokenValidator for GoogleTokens {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        let outage = |problem: &str| Rejection::unavailable(format!("tokeninfo: {problem}"));
        let invalid = |reason, problem: &'static str| Err(Rejection::invalid_token(reason, problem));
        // Of the characters of a bearer token (RFC 6750 §2.1) these have another meaning in a form.
        let token = presented.token().replace('+', "%2B").replace('=', "%3D");
        let request = Request::post(&self.endpoint)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("access_token={token}").into())
            .map_err(|_| Rejection::misconfigured("tokeninfo: not a URL"))?;
        let answer = tokio::time::timeout(Duration::from_secs(5), self.fetch.fetch(request, 16 * 1024)).await;
        let answer = answer.map_err(|_| outage("too slow"))?;
        let answer = answer.map_err(|error| outage(&error.to_string()))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST => return invalid(Reason::Inactive, "Google does not know the token"),
            _ => return Err(outage("expected status 200 or 400")), // not the token's fault: 503
        }
        let info: TokenInfo = serde_json::from_slice(answer.body()).map_err(|_| outage("an odd answer"))?;
        if info.aud != self.client {
            return invalid(Reason::Audience, "a token of somebody else's client");
        }
        let expires_at: u64 = info.exp.parse().map_err(|_| outage("`exp` is not a number"))?;
        let claims = json!({ "iss": "https://accounts.google.com", "sub": info.sub, "client_id": info.aud,
            "scope": info.scope, "exp": expires_at });
        CurrentToken::vouch_for(&claims)
    }
}

/// Stands for Google: `ours` and `late` are of our client, `theirs` of another.
async fn tokeninfo(Form(form): Form<HashMap<String, String>>) -> (StatusCode, Json<Value>) {
    let info = |aud: &str, exp: &str| {
        let info = json!({ "azp": aud, "aud": aud, "sub": "1101694", "scope": "openid", "exp": exp });
        (StatusCode::OK, Json(info))
    };
    match form.get("access_token").map(String::as_str) {
        Some("ours") => info("our-client", "4102444800"),
        Some("late") => info("our-client", "1"),
        Some("theirs") => info("their-client", "4102444800"),
        Some("unlucky") => (StatusCode::BAD_GATEWAY, Json(json!(null))),
        _ => (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_token" }))),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let here = format!("http://{}", listener.local_addr()?);
    let tokens = GoogleTokens {
        fetch: ReqwestFetch::new()?,
        endpoint: env::var("TOKENINFO").unwrap_or(format!("{here}/tokeninfo")),
        client: env::var("CLIENT").unwrap_or("our-client".to_owned()),
    };
    let app = Router::new()
        .route("/me", get(|token: CurrentToken| async move { format!("{token:?}\n") }))
        .layer(ResourceProtectorLayer::new(tokens));
    println!("listening on {here}");
    for case in ["200 ours", "401 late", "401 theirs", "401 x", "503 unlucky"] {
        let token = case.split(' ').next_back().unwrap_or_default();
        println!("\n# {case}\ncurl -i -H 'Authorization: Bearer {token}' {here}/me");
    }
    axum::serve(listener, app.route("/tokeninfo", post(tokeninfo))).await?;
    Ok(())
}
