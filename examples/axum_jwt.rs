//! How do I protect an axum app with JWT access tokens?
//!
//! ```text
//! cargo run --example axum_jwt --features axum,testing
//! ```

use std::error::Error;

use axum::{
    Router,
    extract::Path,
    routing::{delete, get},
};
use resource_protector::{
    CurrentToken, JwtValidator, Rejection, Requirement, ResourceProtectorLayer, require, require_any_scope,
    require_scope, testing::TestIssuer,
};

async fn me(token: CurrentToken) -> String {
    format!("hello {}\n", token.subject().unwrap_or("nobody"))
}

async fn read(Path(id): Path<u32>) -> String {
    format!("record {id}\n")
}

/// Demands more than its route does, once it knows what it is about.
async fn remove(token: CurrentToken, Path(id): Path<u32>) -> Result<String, Rejection> {
    if id < 100 {
        token.require(&Requirement::role("archivist"))?;
    }
    Ok(format!("record {id} is gone\n"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // In your service these two are configuration, and the issuer is your authorization server.
    let issuer = TestIssuer::on_loopback().await?;
    let audience = "https://records.example.com";

    let tokens = JwtValidator::discover(issuer.url(), audience)?;
    let deletes = Requirement::scope("records:delete")?;
    let app = Router::new()
        .route("/me", get(me))
        .route(
            "/records/{id}",
            get(read).layer(require_any_scope(["records:read", "records:delete"])),
        )
        .route("/records/{id}", delete(remove).layer(require(deletes)))
        .nest(
            "/admin",
            Router::new().route("/me", get(me)).layer(require_scope("admin")),
        )
        .layer(ResourceProtectorLayer::new(tokens).realm("records"))
        .route("/health", get(|| async { "fine\n" }));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    let token = |scope| issuer.access_token(audience).scope(scope).mint();
    println!("\n# 200, no token needed\ncurl -i {here}/health");
    println!("\n# 401, no token\ncurl -i {here}/me");
    for (what, method, scope, path) in [
        ("200", "GET", "records:read", "/me"),
        ("200", "GET", "records:read", "/records/7"),
        ("403, another scope", "GET", "mail", "/records/7"),
        ("200", "DELETE", "records:delete", "/records/700"),
        (
            "403, the handler demands a role",
            "DELETE",
            "records:delete",
            "/records/7",
        ),
        ("403, a guard on a nested router", "GET", "records:read", "/admin/me"),
    ] {
        println!(
            "\n# {what}\ncurl -i -X {method} -H 'Authorization: Bearer {}' {here}{path}",
            token(scope)
        );
    }
    axum::serve(listener, app).await?;
    Ok(())
}
