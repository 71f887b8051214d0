//! The password grant and the implicit grant, for clients that cannot be changed yet. Do not begin with them: the module
//! `grants::legacy` says why.
//!
//! ```sh
//! cargo run -p resource-protector-issuer --example legacy_grants --features legacy-grants
//! ```
//!
//! `PORT` says where; without it, it is port 8000, and 0 is any that is free.

use std::{env, error::Error};

use axum::{Router, routing::get};
use resource_protector::{CurrentToken, ResourceProtectorLayer, StoreValidator, require_scope};
use resource_protector_issuer::{
    AccessTokens, TokenIssuer, TokenTable,
    clients::{Client, ClientSecret, MemoryClients},
    grants::legacy,
    server::{AuthorizationServer, SealingKey},
    store::MemoryStore,
    users::{Passwords, StoredUsers},
};

const PASSWORD: &str = "correct horse battery staple";
const SECRET: &str = "a-secret-for-this-example-and-nothing-else";

async fn me(token: CurrentToken) -> String {
    format!("hello {}\n", token.subject().unwrap_or("nobody"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PORT").unwrap_or_else(|_| "8000".to_owned()).parse()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let audience = format!("{url}/me");

    let store = MemoryStore::new();
    let users = StoredUsers::new(store.clone(), Passwords::new()?);
    users.add("alice", PASSWORD).await?;
    let clients = MemoryClients::new([
        // It asks for the password itself.
        Client::with_secret("old-program", &ClientSecret::new(SECRET)?)?
            .grants([legacy::Password::GRANT_TYPE, "refresh_token"])?
            .scopes("profile email")?,
        // It finds the token in its own address.
        Client::public("old-page")?
            .name("The Old Page")?
            .redirect_uris(["http://127.0.0.1/callback"])?
            .grants(["implicit"])?
            .scopes("profile email")?,
    ]);
    let issuer = TokenIssuer::builder(&url, &audience, store.clone(), AccessTokens::opaque())?
        .subject_rule(users.clone())
        .open()
        .await?;
    let server = AuthorizationServer::builder(issuer, clients, users.clone(), SealingKey::random()?)?
        .grant(legacy::Password::new(users))?
        .dangerous_implicit_grant()
        .build()?;
    let protector = ResourceProtectorLayer::new(StoreValidator::new(TokenTable::new(store), &audience)?);
    let api = Router::new()
        .route("/me", get(me).layer(require_scope("profile")))
        .route_layer(protector);

    println!(
        "listening on {url}\n\n\
         curl -u old-program:{SECRET} -d grant_type=password -d username=alice -d 'password={PASSWORD}' -d scope=profile {url}/token\n\n\
         In a browser, with the same password:\n\n\
         {url}/authorize?response_type=token&client_id=old-page&redirect_uri=http://127.0.0.1:3000/callback&scope=profile\n"
    );
    axum::serve(listener, api.fallback_service(server)).await?;
    Ok(())
}
