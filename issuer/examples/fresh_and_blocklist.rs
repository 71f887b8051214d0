//! How do I have access tokens, refresh tokens and fresh ones, and a blocklist in Redis that all my services know?
//!
//! ```text
//! redis-server &
//! cargo run -p resource-protector-issuer --example fresh_and_blocklist --features redis
//! ```
//!
//! `REDIS_URL` says where Redis is, `redis://127.0.0.1/` unless set.

use std::{env, error::Error, time::Duration};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use resource_protector::{
    Algorithm, CurrentToken, JwtValidator, RedisRevocationList, ResourceProtectorLayer, RevocationTerms, RevokedBy,
};
use resource_protector_issuer::{
    AccessTokens, IssuedTokens, KeyRing, RefreshRequest, TokenError, TokenIssuer, TokenRequest,
    endpoints::{JwksEndpoint, OAuthError},
    profiles::require_fresh_token,
    store::MemoryStore,
};
use serde::Deserialize;

const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "https://api.example.com";

#[derive(Deserialize)]
struct Body {
    refresh_token: String,
}

async fn me(token: CurrentToken) -> String {
    format!("hello {}\n", token.subject().unwrap_or("nobody"))
}

/// Only the first token after a log-in is fresh, and those that it is refreshed to are not. How long ago the log-in may be is for
/// `Requirement::authenticated_within` to say.
async fn change_password() -> &'static str {
    "whoever comes here has just logged in\n"
}

/// The access token that comes of this is not fresh.
async fn refresh(State(issuer): State<TokenIssuer>, Form(body): Form<Body>) -> Result<impl IntoResponse, Refused> {
    let tokens = issuer.refresh(RefreshRequest::new(&body.refresh_token, "app")).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(tokens)))
}

/// One entry in the blocklist, which Redis forgets when it is over, ends all tokens of the session: this one, those before it,
/// and the refresh token.
async fn log_out(State(issuer): State<TokenIssuer>, token: CurrentToken) -> Result<StatusCode, Refused> {
    issuer.logout_session(token.session_id().unwrap_or_default()).await?;
    Ok(StatusCode::NO_CONTENT)
}

struct Refused(OAuthError);

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.0.into_response().into_response()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Every node has a mirror of it, so that the check costs no network. One that has heard nothing for 30 s lets nobody in.
    let terms = RevocationTerms::new(RevokedBy::ALL, Duration::from_secs(3600))?;
    let redis = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1/".to_owned());
    let name = env::var("LIST").unwrap_or_else(|_| "fresh_and_blocklist".to_owned());
    let blocklist = RedisRevocationList::new(redis, name, terms, Duration::from_secs(30))?;
    tokio::spawn(blocklist.run());

    let keys = KeyRing::generate(Algorithm::ES256)?;
    let tokens = AccessTokens::jwt(keys.clone(), blocklist.clone())?;
    let issuer = TokenIssuer::builder(ISSUER, AUDIENCE, MemoryStore::new(), tokens)?;
    let issuer = issuer.open().await?;

    // The API asks the ring itself, and so follows when keys roll over.
    let validator =
        JwtValidator::with_jwks_uri(ISSUER, format!("{ISSUER}/jwks"), AUDIENCE)?.fetch(JwksEndpoint::new(keys));
    let protector = ResourceProtectorLayer::new(validator).revocation(blocklist);
    let app = Router::new()
        .route("/me", get(me))
        .route("/password", post(change_password).layer(require_fresh_token()))
        .route("/logout", post(log_out))
        .layer(protector.clone())
        .route("/refresh", post(refresh))
        .with_state(issuer.clone());

    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8000".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let here = format!("http://{}", listener.local_addr()?);
    // A log-in of yours ends with this.
    let new = issuer.issue(TokenRequest::for_subject("app", "alice").fresh()).await?;
    let old = issuer
        .refresh(RefreshRequest::new(new.refresh_token().unwrap_or_default(), "app"))
        .await?;
    while protector.ready().await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("listening on {here}");
    for (what, options, path) in [
        ("200, she has logged in", by_access(&new), "/me"),
        ("200, just now", by_access(&new) + " -X POST", "/password"),
        ("200, she came back by a refresh token", by_access(&old), "/me"),
        (
            "401, which is not enough here",
            by_access(&old) + " -X POST",
            "/password",
        ),
        ("204, she logs out", by_access(&old) + " -X POST", "/logout"),
        ("401", by_access(&old), "/me"),
        ("401, all tokens of the session", by_access(&new), "/me"),
        ("400, the refresh token, too", by_refresh(&old), "/refresh"),
    ] {
        println!("\n# {what}\ncurl -i{options} {here}{path}");
    }
    axum::serve(listener, app).await?;
    Ok(())
}

fn by_access(tokens: &IssuedTokens) -> String {
    format!(" -H 'Authorization: Bearer {}'", tokens.access_token())
}

fn by_refresh(tokens: &IssuedTokens) -> String {
    format!(" -d refresh_token={}", tokens.refresh_token().unwrap_or_default())
}
