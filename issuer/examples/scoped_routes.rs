//! How do I protect routes with scopes, when the tokens are opaque and another service has issued them?
//!
//! ```text
//! cargo run -p resource-protector-issuer --example scoped_routes
//! ```
//!
//! The API has no access to the authorization server's store: it asks by HTTP (RFC 7662), and remembers the answers.

use std::{env, error::Error, time::Duration};

use axum::{Router, routing::get};
use resource_protector::{ClientAuth, CurrentToken, IntrospectionValidator, ResourceProtectorLayer, require_scope};
use resource_protector_issuer::{
    AccessTokens, TokenIssuer, TokenRequest,
    clients::{Client, ClientAuthentication, ClientSecret, MemoryClients},
    endpoints::{IntrospectionEndpoint, RevocationEndpoint, TokenEndpoint},
    grants::ClientCredentials,
    store::MemoryStore,
};
use tokio::net::TcpListener;

const AUDIENCE: &str = "https://api.example.com";

/// Yours come from `ClientSecret::generate`, one for each client.
const SECRET: &str = "a-secret-for-this-example-and-no-other";

/// The part of an authorization server that programs talk to. `AuthorizationServer` logs people in, too.
fn authorization_server(issuer: &TokenIssuer, store: MemoryStore) -> Result<Router, Box<dyn Error>> {
    let secret = ClientSecret::new(SECRET)?;
    let clients = MemoryClients::new([
        Client::with_secret("worker", &secret)?
            .grants(["client_credentials"])?
            .scopes("api")?,
        Client::with_secret("orders-api", &secret)?.may_introspect()?,
    ]);
    let clients = ClientAuthentication::new(issuer.issuer(), clients, store)?;
    let tokens = TokenEndpoint::new(issuer.clone(), clients.clone()).grant(ClientCredentials)?;
    let introspection = IntrospectionEndpoint::new(issuer.clone(), clients.clone());
    Ok(Router::new()
        .route_service("/token", tokens)
        .route_service("/introspect", introspection)
        .route_service("/revoke", RevocationEndpoint::new(issuer.clone(), clients)))
}

/// Knows the authorization server's address, and its own name and secret there.
fn api(authorization_server: &str) -> Result<Router, Box<dyn Error>> {
    let auth = ClientAuth::basic("orders-api", SECRET);
    // In production the address begins with https, and this is `IntrospectionValidator::new`.
    let tokens =
        IntrospectionValidator::new_over_plain_http(format!("{authorization_server}/introspect"), auth, AUDIENCE)?
            // A revoked token is let in for so long. For a route that cannot wait there is `require_fresh`.
            .remember_for(Duration::from_secs(1))?;
    Ok(Router::new()
        .route("/orders", get(orders).layer(require_scope("api")))
        .route("/accounts", get(accounts).layer(require_scope("restricted")))
        .layer(ResourceProtectorLayer::new(tokens)))
}

async fn orders(token: CurrentToken) -> String {
    format!("the orders of {}\n", token.client_id().unwrap_or("nobody"))
}

async fn accounts() -> &'static str {
    "the accounts of everybody\n"
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = TcpListener::bind("127.0.0.1:0").await?;
    let there = format!("http://{}", server.local_addr()?);
    let store = MemoryStore::new();
    let issuer = TokenIssuer::builder(&there, AUDIENCE, store.clone(), AccessTokens::opaque())?;
    let issuer = issuer.open().await?;
    let answers = axum::serve(server, authorization_server(&issuer, store)?);
    tokio::spawn(answers.into_future());

    let listener = TcpListener::bind(env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8000".to_owned())).await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}, the authorization server on {there}");
    println!("\n# 200, a token as the worker gets it");
    println!("curl -i -u worker:{SECRET} -d grant_type=client_credentials -d scope=api {there}/token");
    println!("\n# 400, a scope that it may not have");
    println!("curl -i -u worker:{SECRET} -d grant_type=client_credentials -d scope=restricted {there}/token");
    for (scope, at_orders, at_accounts) in [
        ("api", 200, 403),
        ("restricted", 403, 200),
        ("api restricted", 200, 200),
    ] {
        let issued = issuer.issue(TokenRequest::for_client("worker").scope(scope)?).await?;
        let token = issued.access_token();
        for (path, status) in [("orders", at_orders), ("accounts", at_accounts)] {
            println!("\n# {status}, with the scope {scope}");
            println!("curl -i -H 'Authorization: Bearer {token}' {here}/{path}");
        }
    }
    println!("\n# 401, without a token: a route is protected unless it says that tokens are optional");
    println!("curl -i {here}/orders");
    axum::serve(listener, api(&there)?).await?;
    Ok(())
}
