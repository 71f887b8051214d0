//! How do I protect an axum app with opaque tokens, which only the authorization server understands?
//!
//! ```text
//! cargo run --example axum_introspection --features axum,testing
//! ```

use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use resource_protector::{
    ClientAuth, CurrentToken, IntrospectionValidator, ResourceProtectorLayer, require_scope, testing::TestIssuer,
};

async fn me(token: CurrentToken) -> String {
    format!(
        "hello {}, I learned that {:?} ago\n",
        token.subject().unwrap_or("nobody"),
        token.age()
    )
}

/// Whoever knows that a token was revoked says so, and it stops working here at once. In your service this is the
/// authorization server's own notice, authenticated; not an open route.
async fn revoked(State(tokens): State<Arc<IntrospectionValidator>>, token: String) -> &'static str {
    tokens.invalidate(&token);
    "forgotten\n"
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = TestIssuer::on_loopback().await?;
    let audience = "https://api.example.com";

    let tokens = IntrospectionValidator::discover(
        issuer.url(),
        ClientAuth::basic(TestIssuer::CLIENT_ID, TestIssuer::CLIENT_SECRET),
        audience,
    )?
    .remember_for(Duration::from_secs(30))?;
    let tokens = Arc::new(tokens);
    let app = Router::new()
        .route("/me", get(me).layer(require_scope("profile")))
        .layer(ResourceProtectorLayer::new(Arc::clone(&tokens)))
        .route("/revoked", post(revoked))
        .with_state(tokens);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    let good = issuer.opaque_token(audience).scope("profile").mint();
    let elsewhere = issuer.opaque_token("https://other.example.com").scope("profile").mint();
    let poor = issuer.opaque_token(audience).scope("mail").mint();
    for (what, token) in [
        ("200, the authorization server is asked", good.as_str()),
        ("200, its answer is remembered", &good),
        ("401, for another API", &elsewhere),
        ("401, nobody knows this one", "made-up"),
        ("403, another scope", &poor),
    ] {
        println!("\n# {what}\ncurl -i -H 'Authorization: Bearer {token}' {here}/me");
    }
    println!("\n# 200, forgets what is remembered\ncurl -i -X POST --data '{good}' {here}/revoked");
    axum::serve(listener, app).await?;
    Ok(())
}
