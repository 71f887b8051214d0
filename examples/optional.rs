//! How do I let the anonymous in, and still know who has a token?
//!
//! ```text
//! cargo run --example optional --features axum,testing
//! ```

use std::error::Error;

use axum::{Router, routing::get};
use resource_protector::{CurrentToken, JwtValidator, ResourceProtectorLayer, require_scope, testing::TestIssuer};

async fn front_page(token: Option<CurrentToken>) -> String {
    match token {
        Some(token) => format!("welcome back, {}\n", token.subject().unwrap_or("nobody")),
        None => "welcome, stranger\n".to_owned(),
    }
}

async fn mail(_: CurrentToken) -> &'static str {
    "no new mail\n"
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = TestIssuer::on_loopback().await?;
    let audience = "https://app.example.com";

    let tokens = JwtValidator::discover(issuer.url(), audience)?;
    let app = Router::new()
        .route("/", get(front_page))
        .route("/news", get(front_page).layer(require_scope("news").or_anonymous()))
        .route("/mail", get(mail).layer(require_scope("mail")))
        .layer(ResourceProtectorLayer::new(tokens).optional().realm("app"));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    let token = issuer.access_token(audience).scope("mail").mint();
    println!("\n# 200, as a stranger\ncurl -i {here}/");
    println!("\n# 200, as oneself\ncurl -i -H 'Authorization: Bearer {token}' {here}/");
    println!("\n# 401, a bad token is not the same as none\ncurl -i -H 'Authorization: Bearer bad' {here}/");
    println!("\n# 200, the guard lets strangers pass\ncurl -i {here}/news");
    println!("\n# 403, and judges a token that is there\ncurl -i -H 'Authorization: Bearer {token}' {here}/news");
    println!("\n# 401, an ordinary guard does not let strangers pass\ncurl -i {here}/mail");
    println!("\n# 200\ncurl -i -H 'Authorization: Bearer {token}' {here}/mail");
    axum::serve(listener, app).await?;
    Ok(())
}
