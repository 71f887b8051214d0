//! How do I accept tokens of two issuers, JWT and opaque?
//!
//! ```text
//! cargo run --example two_issuers --features axum,testing
//! ```

use std::error::Error;

use axum::{Router, routing::get};
use resource_protector::{
    ByIssuer, ClientAuth, CurrentToken, IntrospectionValidator, JwtValidator, ResourceProtectorLayer,
    testing::TestIssuer,
};

async fn me(token: CurrentToken) -> String {
    // A subject is unique only together with its issuer.
    format!(
        "hello {} of {}\n",
        token.subject().unwrap_or("nobody"),
        token.issuer().unwrap_or("nowhere")
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (staff, customers) = (TestIssuer::on_loopback().await?, TestIssuer::on_loopback().await?);
    let stranger = TestIssuer::on_loopback().await?;
    let audience = "https://api.example.com";

    // Each token goes to exactly one validator; what that one refuses is refused.
    let client = ClientAuth::basic(TestIssuer::CLIENT_ID, TestIssuer::CLIENT_SECRET);
    let tokens = ByIssuer::new()
        .issuer(staff.url(), JwtValidator::discover(staff.url(), audience)?)
        .issuer(customers.url(), JwtValidator::discover(customers.url(), audience)?)
        .opaque(IntrospectionValidator::discover(customers.url(), client, audience)?);
    let app = Router::new()
        .route("/me", get(me))
        .layer(ResourceProtectorLayer::new(tokens));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    for (what, token) in [
        ("200, a JWT of the first issuer", staff.access_token(audience).mint()),
        (
            "200, a JWT of the second issuer",
            customers.access_token(audience).mint(),
        ),
        (
            "200, an opaque token of the second issuer",
            customers.opaque_token(audience).mint(),
        ),
        (
            "401, an opaque token of the first issuer",
            staff.opaque_token(audience).mint(),
        ),
        (
            "401, a JWT of an issuer that nobody knows",
            stranger.access_token(audience).mint(),
        ),
        (
            "401, a JWT of the first issuer that says it is of the second",
            staff.access_token(audience).claim("iss", customers.url()).mint(),
        ),
    ] {
        println!("\n# {what}\ncurl -i -H 'Authorization: Bearer {token}' {here}/me");
    }
    axum::serve(listener, app).await?;
    Ok(())
}
