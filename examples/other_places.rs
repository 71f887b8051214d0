//! How do I accept tokens in a cookie, a form, another header and a WebSocket handshake?
//!
//! ```text
//! cargo run --example other_places --features axum,testing
//! ```

use std::error::Error;

use axum::{Form, Router, routing::get};
use resource_protector::{
    CurrentToken, FormTokenLayer, JwtValidator, ResourceProtectorLayer, require_scope, testing::TestIssuer,
};

async fn read(token: CurrentToken) -> String {
    format!("no new orders, {}\n", token.subject().unwrap_or("nobody"))
}

/// The form is here as it was sent.
async fn order(_: CurrentToken, Form(order): Form<Vec<(String, String)>>) -> String {
    let items: Vec<_> = order.iter().filter(|(name, _)| name == "item").collect();
    format!("ordered {} items\n", items.len())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = TestIssuer::on_loopback().await?;
    let audience = "https://shop.example.com";

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let here = format!("http://{}", listener.local_addr()?);

    let tokens = JwtValidator::discover(issuer.url(), audience)?;
    let protector = ResourceProtectorLayer::new(tokens)
        .token_in_cookie("token", [&here])? // over https: a name that begins with __Host-
        .token_in_header("X-Access-Token")?
        .token_in_websocket_protocol("bearer.")?;
    let app = Router::new()
        .route("/orders", get(read).post(order).layer(require_scope("orders")))
        .layer(protector)
        // Outside of the protector: it needs the body, and finds the token before the protector looks for it.
        .layer(FormTokenLayer::new());

    println!("listening on {here}");
    let token = issuer.access_token(audience).scope("orders").mint();
    let orders = format!("{here}/orders");
    for (what, request) in [
        ("200, in a cookie", format!("-H 'Cookie: token={token}' {orders}")),
        (
            "403, a form that somebody else's page sent, with the user's cookie",
            format!("-H 'Cookie: token={token}' -H 'Origin: https://evil.example' -X POST --data 'item=book' {orders}"),
        ),
        (
            "401, the cookie is not looked at where there is an Authorization field",
            format!("-H 'Cookie: token={token}' -H 'Authorization: Bearer bad' {orders}"),
        ),
        ("200, in a header", format!("-H 'X-Access-Token: {token}' {orders}")),
        (
            "400, in two places",
            format!("-H 'X-Access-Token: {token}' -H 'Authorization: Bearer {token}' {orders}"),
        ),
        (
            "401, in the query, where nobody looks",
            format!("'{orders}?access_token={token}'"),
        ),
        (
            "200, among the subprotocols of a WebSocket",
            format!(
                "-H 'Connection: upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Protocol: orders, bearer.{token}' {orders}"
            ),
        ),
    ] {
        println!("\n# {what}\ncurl -i {request}");
    }
    let form = "-X POST -H 'Content-Type: application/x-www-form-urlencoded'";
    println!("\n# 200, in a form\ncurl -i {form} --data 'item=book&access_token={token}' {orders}");
    println!("\n# 400, twice in a form\ncurl -i {form} --data 'access_token={token}&access_token={token}' {orders}");
    axum::serve(listener, app).await?;
    Ok(())
}
