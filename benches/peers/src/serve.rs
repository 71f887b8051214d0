//! The same axum app over HTTP/1.1, bare or behind one of the layers. It prints its address and a token, and runs until
//! it is ended.

use std::net::Ipv4Addr;

use axum::{Router, routing::get};
use resource_protector::{ResourceProtectorLayer, testing::TestIssuer};
use tokio::net::TcpListener;

use crate::{
    common::{ROOM_FOR_ALL, Tokens, remembering},
    layers,
};

pub const NAMES: [&str; 6] = [
    "bare",
    "resource-protector",
    "jwt-authorizer",
    "tower-oauth2-resource-server",
    "oauth-resource-server",
    "huskarl-resource-server",
];

const ALGORITHM: &str = "RS256";

async fn hello() -> &'static str {
    "hello"
}

/// On one thread: the other one is for who asks.
pub fn run(name: &str) {
    crate::common::runtime().block_on(serve(name));
}

async fn serve(name: &str) {
    let issuer = TestIssuer::on_loopback().await.unwrap().with_algorithm(ALGORITHM);
    let tokens = Tokens::of(issuer.clone());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    println!("http://{}/ {}", listener.local_addr().unwrap(), tokens.mint());

    let app = Router::new().route("/", get(hello));
    let app = match name {
        "bare" => app,
        "resource-protector" => app.layer(ResourceProtectorLayer::new(remembering(
            tokens.validator(),
            ROOM_FOR_ALL,
        ))),
        "tower-oauth2-resource-server" => app.layer(layers::tower_oauth2(&issuer).await.into_layer()),
        "oauth-resource-server" => app.layer(layers::oauth_resource_server(&issuer, ALGORITHM)),
        "huskarl-resource-server" => app.layer(layers::huskarl(&issuer).await),
        "jwt-authorizer" => {
            let app = axum_07::Router::new()
                .route("/", axum_07::routing::get(hello))
                .layer(layers::jwt_authorizer(&issuer).await);
            axum_07::serve(listener, app).await.unwrap();
            return;
        }
        other => panic!("expected one of {NAMES:?}, got {other:?}"),
    };
    axum::serve(listener, app).await.unwrap();
}
