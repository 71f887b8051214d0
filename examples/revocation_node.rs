//! How do I log somebody out of all my services at once?
//!
//! ```text
//! redis-server &
//! LISTEN=127.0.0.1:3001 cargo run --example revocation_node --features axum,redis &
//! LISTEN=127.0.0.1:3002 cargo run --example revocation_node --features axum,redis
//! ```
//!
//! Any number of these services share what is revoked, by the Redis server `REDIS_URL`. What one of them revokes the
//! others refuse a moment later. Without Redis they go on for `UNKNOWN_AFTER_SECONDS` by what they know, 30 unless set.

use std::{
    env,
    error::Error,
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use jsonwebtoken::{EncodingKey, Header};
use resource_protector::{
    CurrentToken, CutOff, HmacAlgorithm, JwtValidator, RedisRevocationList, ResourceProtectorLayer, RevocationTerms,
    Revoke as _, RevokeError, RevokedBy,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "https://api.example.com";
const AN_HOUR: Duration = Duration::from_secs(3600);

/// Stands for the key of an authorization server, which is its alone.
const SECRET: &str = "a secret for this example, and for nothing else";

async fn me(token: CurrentToken) -> String {
    format!("hello {}\n", token.subject().unwrap_or("nobody"))
}

/// Stands for an authorization server.
async fn login(Path(subject): Path<String>) -> Result<Json<Value>, StatusCode> {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "client_id": "app", "jti": format!("{subject}-{now}"),
        "iat": now, "exp": now + AN_HOUR.as_secs(),
    });
    let header = Header {
        typ: Some("at+jwt".to_owned()),
        ..Header::default()
    };
    let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(SECRET.as_bytes()));
    let token = token.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(json!({ "access_token": token, "token_type": "Bearer" })))
}

/// In your service: behind whatever lets only the right people log somebody out. There is no list of her tokens: whatever
/// was issued until now is over.
async fn log_out_everywhere(
    State(revoked): State<RedisRevocationList>,
    Path(subject): Path<String>,
) -> (StatusCode, &'static str) {
    match revoked
        .revoke(CutOff::subject(ISSUER, subject, SystemTime::now()))
        .await
    {
        Ok(()) => (StatusCode::OK, "logged out everywhere\n"),
        Err(RevokeError::Unpublished(_)) => (StatusCode::ACCEPTED, "logged out here, and everywhere in a while\n"),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not logged out\n"),
    }
}

/// For a readiness probe.
async fn ready(State(protector): State<ResourceProtectorLayer>) -> StatusCode {
    match protector.ready().await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(setting("RUST_LOG", "resource_protector=info"))
        .with_writer(std::io::stderr)
        .init();

    // Every token says whose it is, and lives for an hour at the most: for so long a revocation is known.
    let terms = RevocationTerms::new([RevokedBy::Subject], AN_HOUR)?;
    let redis = setting("REDIS_URL", "redis://127.0.0.1/");
    let unknown_after = Duration::from_secs(setting("UNKNOWN_AFTER_SECONDS", "30").parse()?);
    let revoked = RedisRevocationList::new(redis, "revocation_node", terms, unknown_after)?;
    // Hears what the others revoke. Without it, nobody is let in.
    tokio::spawn(revoked.run());

    let tokens = JwtValidator::with_shared_secret(ISSUER, HmacAlgorithm::HS256, SECRET, AUDIENCE)?;
    let protector = ResourceProtectorLayer::new(tokens).revocation(revoked.clone());
    let app = Router::new()
        .route("/me", get(me))
        .layer(protector.clone())
        .route("/login/{subject}", post(login))
        .merge(
            Router::new()
                .route("/logout/{subject}", post(log_out_everywhere))
                .with_state(revoked),
        )
        .merge(Router::new().route("/ready", get(ready)).with_state(protector));

    let listener = TcpListener::bind(setting("LISTEN", "127.0.0.1:0")).await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    println!("\n# some seconds after Redis was started\ncurl -i {here}/ready");
    println!("\ncurl -i -X POST {here}/login/alice");
    println!("\ncurl -i -H \"Authorization: Bearer $TOKEN\" {here}/me");
    println!("\n# at any of the services\ncurl -i -X POST {here}/logout/alice");
    axum::serve(listener, app).await?;
    Ok(())
}

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}
