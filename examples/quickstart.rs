//! A protected API, and an authorization server to try it with:
//!
//! ```text
//! cargo run --example quickstart --features axum,testing
//! ```
//!
//! With `ISSUER` and `AUDIENCE` in the environment it stands in front of that authorization server instead; with
//! `CLIENT_ID` and `CLIENT_SECRET` it also introspects opaque tokens there. `LISTEN` is the address, any free port
//! unless set; `REMEMBER_SECONDS` is how long introspection answers are remembered, and `JWKS_COOLDOWN_SECONDS` how
//! much time passes between two fetches for unknown keys. `RUST_LOG` chooses what is logged.

use std::{env, error::Error, time::Duration};

use axum::{Json, Router, routing::get};
use resource_protector::{
    ByIssuer, ClientAuth, CurrentToken, IntrospectionValidator, JwtValidator, ResourceProtectorLayer, require_scope,
    testing::TestIssuer,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

async fn me(token: CurrentToken) -> Json<Value> {
    let scopes: Vec<_> = token.scopes().iter().collect();
    Json(json!({
        "subject": token.subject(), "client_id": token.client_id(), "issuer": token.issuer(), "scopes": scopes,
    }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = env::var("RUST_LOG").unwrap_or_else(|_| "resource_protector=info".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let mut demo = None;
    let (issuer, audience, client) = if ["ISSUER", "AUDIENCE", "CLIENT_ID"]
        .iter()
        .all(|name| env::var(name).is_err())
    {
        let issuer = demo.insert(TestIssuer::on_loopback().await?).url().to_owned();
        let client = (TestIssuer::CLIENT_ID.to_owned(), TestIssuer::CLIENT_SECRET.to_owned());
        (issuer, "https://api.example.com".to_owned(), Some(client))
    } else {
        (setting("ISSUER")?, setting("AUDIENCE")?, client()?)
    };

    // JWTs are verified here, opaque tokens are asked of the authorization server.
    let jwts = JwtValidator::discover(&issuer, &audience)?.refetch_cooldown(seconds("JWKS_COOLDOWN_SECONDS", 30)?)?;
    let mut tokens = ByIssuer::new().try_issuer(&issuer, jwts)?;
    if let Some((id, secret)) = client {
        let opaque = IntrospectionValidator::discover(&issuer, ClientAuth::basic(id, secret), &audience)?;
        tokens = tokens.opaque(opaque.remember_for(seconds("REMEMBER_SECONDS", 60)?)?);
    }
    let app = Router::new()
        .route("/me", get(me).layer(require_scope("profile")))
        .route("/admin", get(me).layer(require_scope("admin")))
        .layer(ResourceProtectorLayer::new(tokens).realm("quickstart"))
        .route("/", get(|| async { "open to everybody; try /me and /admin\n" }));

    let listener = TcpListener::bind(env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:0".to_owned())).await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    match &demo {
        Some(demo) => print_curl_lines(demo, &here, &audience),
        None => println!("\ncurl -i -H \"Authorization: Bearer $TOKEN\" {here}/me"),
    }
    axum::serve(listener, app).await?;
    Ok(())
}

/// A line to paste for every row of the refusal table that a client can cause.
fn print_curl_lines(issuer: &TestIssuer, here: &str, audience: &str) {
    let hour = Duration::from_secs(3600);
    let jwt = || issuer.access_token(audience).scope("profile").lifetime(hour);
    let opaque = issuer.opaque_token(audience).scope("profile").lifetime(hour).mint();
    let revoked = issuer.opaque_token(audience).scope("profile").mint();
    issuer.revoke(&revoked);
    let good = jwt().mint();
    for (what, token, path) in [
        ("200, a JWT", good.clone(), "/me"),
        ("401, a JWT that expired", jwt().expired().mint(), "/me"),
        (
            "401, a JWT for another API",
            issuer.access_token("https://other.example.com").mint(),
            "/me",
        ),
        ("403, a JWT without the scope", good, "/admin"),
        ("200, an opaque token", opaque.clone(), "/me"),
        ("401, an opaque token that was revoked", revoked, "/me"),
        ("403, an opaque token without the scope", opaque, "/admin"),
        ("400, a malformed token", "two words".to_owned(), "/me"),
    ] {
        println!("\n# {what}\ncurl -i -H 'Authorization: Bearer {token}' {here}{path}");
    }
    println!("\n# 401, no token\ncurl -i {here}/me");
}

fn setting(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name}: expected in the environment; ISSUER and AUDIENCE go together, and so do CLIENT_ID and CLIENT_SECRET"))
}

fn client() -> Result<Option<(String, String)>, String> {
    let Ok(id) = env::var("CLIENT_ID") else { return Ok(None) };
    Ok(Some((id, setting("CLIENT_SECRET")?)))
}

fn seconds(name: &str, default: u64) -> Result<Duration, String> {
    let Ok(text) = env::var(name) else {
        return Ok(Duration::from_secs(default));
    };
    let seconds = text
        .parse()
        .map_err(|_| format!("{name}: expected a number of seconds, got {text:?}"))?;
    Ok(Duration::from_secs(seconds))
}
