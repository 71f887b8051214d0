//! How do I protect an API with opaque tokens that I issue myself?
//!
//! ```text
//! cargo run --example own_token_table --features axum,testing
//! ```

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use resource_protector::{
    CurrentToken, MemoryTokenStore, OpaqueToken, ResourceProtectorLayer, Scopes, StoreValidator, StoredToken,
    TokenStore as _, require_scope,
};

const AUDIENCE: &str = "https://api.example.com";

/// Your own table implements `TokenStore`; this one forgets everything when the program ends.
async fn issue(table: &MemoryTokenStore, token: &str, scope: &str, lifetime: Duration) -> Result<(), Box<dyn Error>> {
    let now = SystemTime::now();
    let record = StoredToken {
        subject: Some("alice".to_owned()),
        client_id: Some("app".to_owned()),
        scopes: Scopes::parse(scope),
        audience: vec![AUDIENCE.to_owned()],
        issued_at: Some(now),
        expires_at: Some(now + lifetime),
        ..StoredToken::default()
    };
    // The table keeps the SHA-256 of the token, so that nobody who reads it learns the token.
    table.insert(&OpaqueToken::new(token), record).await?;
    Ok(())
}

async fn me(token: CurrentToken) -> String {
    format!("hello {}\n", token.subject().unwrap_or("nobody"))
}

/// In your service: behind whatever lets only the right people revoke a token.
async fn revoke(State(table): State<MemoryTokenStore>, token: String) -> &'static str {
    match table.revoke(&OpaqueToken::new(&token)).await {
        Ok(()) => "revoked\n",
        Err(_) => "try again\n",
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let table = MemoryTokenStore::new();
    // Real tokens have 128 random bits or more (RFC 6749 §10.10).
    issue(&table, "an-alice-token", "profile", Duration::from_secs(3600)).await?;
    issue(&table, "a-mail-token", "mail", Duration::from_secs(3600)).await?;
    issue(&table, "an-old-token", "profile", Duration::ZERO).await?;

    let tokens = StoreValidator::new(table.clone(), AUDIENCE)?;
    let app = Router::new()
        .route("/me", get(me).layer(require_scope("profile")))
        .layer(ResourceProtectorLayer::new(tokens))
        .route("/revoke", post(revoke))
        .with_state(table);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    for (status, token) in [
        (200, "an-alice-token"),
        (403, "a-mail-token"),
        (401, "an-old-token"),
        (401, "made-up"),
    ] {
        println!("\n# {status}\ncurl -i -H 'Authorization: Bearer {token}' {here}/me");
    }
    println!("\n# 200, revoke it\ncurl -i -X POST --data an-alice-token {here}/revoke");
    println!("\n# 401, it works no more\ncurl -i -H 'Authorization: Bearer an-alice-token' {here}/me");
    axum::serve(listener, app).await?;
    Ok(())
}
