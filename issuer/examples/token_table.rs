//! How do I keep opaque tokens in a table, let clients revoke them, and let other services ask about them?
//!
//! ```text
//! cargo run -p resource-protector-issuer --example token_table
//! ```
//!
//! The table is in the SQLite file `DATABASE`, `token_table.db` unless set, and survives a restart.

use std::{env, error::Error};

use axum::{Router, routing::get};
use resource_protector::{CurrentToken, ResourceProtectorLayer, StoreValidator, require_scope};
use resource_protector_issuer::{
    AccessTokens, TokenIssuer, TokenRequest, TokenTable,
    clients::{Client, ClientAuthentication, ClientSecret, MemoryClients},
    endpoints::{IntrospectionEndpoint, RevocationEndpoint},
    store::SqliteStore,
};

const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "https://api.example.com";

/// Yours come from `ClientSecret::generate`, one for each client.
const SECRET: &str = "a-secret-for-this-example-and-no-other";

async fn me(token: CurrentToken) -> String {
    format!("hello {}\n", token.subject().unwrap_or("nobody"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The table has the digests of tokens. Whoever reads it learns no token.
    let store = SqliteStore::open(setting("DATABASE", "token_table.db")).await?;
    let issuer = TokenIssuer::builder(ISSUER, AUDIENCE, store.clone(), AccessTokens::opaque())?;
    let issuer = issuer.open().await?;
    let upkeep = issuer.clone();
    tokio::spawn(async move { upkeep.run().await });

    // A client revokes its own tokens. To ask about those of all clients is for resource servers: if every client could, each
    // would learn who uses the others.
    let secret = ClientSecret::new(SECRET)?;
    let clients = MemoryClients::new([
        Client::with_secret("app", &secret)?,
        Client::with_secret("other-app", &secret)?,
        Client::with_secret("api", &secret)?.may_introspect()?,
    ]);
    let clients = ClientAuthentication::new(ISSUER, clients, store.clone())?;
    let introspect = IntrospectionEndpoint::new(issuer.clone(), clients.clone());
    let revoke = RevocationEndpoint::new(issuer.clone(), clients);

    // This API looks into the table itself, and asks nobody.
    let tokens = StoreValidator::new(TokenTable::new(store), AUDIENCE)?;
    let app = Router::new()
        .route("/me", get(me).layer(require_scope("profile")))
        .layer(ResourceProtectorLayer::new(tokens))
        .route_service("/introspect", introspect)
        .route_service("/revoke", revoke);

    // Yours come from an authorization server, or from a log-in of your own that calls this.
    let request = || TokenRequest::for_subject("app", "alice").scope("profile");
    let (first, second) = (issuer.issue(request()?).await?, issuer.issue(request()?).await?);
    let access = first.access_token();
    let refresh = second.refresh_token().unwrap_or_default();

    let listener = tokio::net::TcpListener::bind(setting("LISTEN", "127.0.0.1:8000")).await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    let present = |status: &str, token: &str| {
        println!("\n# {status}\ncurl -i -H 'Authorization: Bearer {token}' {here}/me");
    };
    let post = |status: &str, client: &str, what: &str, token: &str| {
        println!("\n# {status}\ncurl -i -u {client}:{SECRET} -d token={token} {here}/{what}");
    };
    present("200", access);
    post("200, what the token says", "api", "introspect", access);
    post("200, not for a client's eyes: inactive", "app", "introspect", access);
    post("400, another client's token", "other-app", "revoke", access);
    post("200, and again: no error", "app", "revoke", access);
    present("401", access);
    post("200, inactive", "api", "introspect", access);
    println!("\n# 200, whatever the hint says: its session ends, with its access tokens");
    println!("curl -i -u app:{SECRET} -d token={refresh} -d token_type_hint=access_token {here}/revoke");
    present("401, of that session", second.access_token());
    axum::serve(listener, app).await?;
    Ok(())
}

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}
