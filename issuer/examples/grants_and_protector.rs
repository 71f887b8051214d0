//! Every grant, every way in which a client authenticates, a grant of one's own, and an API that lets their tokens in. The
//! tokens are opaque, and in the table that the API looks into.
//!
//! ```sh
//! cargo run -p resource-protector-issuer --example grants_and_protector
//! ```
//!
//! `PORT` says where; without it, it is port 8000, and 0 is any that is free. `CALLBACK` is where the client `web` takes its
//! codes, and `JWKS` a file with the public keys of a client that signs; without it there is no such client.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get, routing::post};
use resource_protector::{CurrentToken, ResourceProtectorLayer, StoreValidator, require_scope};
use resource_protector_issuer::{
    AccessTokens, IssuedTokens, TokenIssuer, TokenRequest, TokenTable,
    clients::{Client, ClientSecret, MemoryClients},
    endpoints::{ErrorCode, OAuthError},
    grants::{Grant, GrantRequest},
    server::{AuthorizationServer, SealingKey},
    store::MemoryStore,
    users::{Passwords, StoredUsers},
};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery staple";
const SECRET: &str = "a-secret-for-this-example-and-nothing-else";

/// A device gets its owner's tokens for a pass that was printed on it. Each is good once.
struct DevicePasses(Mutex<BTreeMap<&'static str, String>>);

impl Grant for DevicePasses {
    fn grant_type(&self) -> &str {
        "urn:example:device-pass"
    }

    async fn exchange(&self, request: &GrantRequest<'_>) -> Result<IssuedTokens, OAuthError> {
        let Some(pass) = request.parameter("pass") else {
            let missing = "expected the parameter pass";
            return Err(OAuthError::new(ErrorCode::InvalidRequest, missing));
        };
        let owner = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(pass);
        let owner = owner.ok_or_else(|| OAuthError::new(ErrorCode::InvalidGrant, "the pass is not good"))?;
        let tokens = TokenRequest::for_subject(request.client().id(), owner);
        request.issue(tokens).await
    }
}

async fn me(token: CurrentToken) -> Json<Value> {
    let scopes: Vec<_> = token.scopes().iter().collect();
    Json(json!({ "subject": token.subject(), "client": token.client_id(), "scopes": scopes }))
}

/// Ends all sessions of the caller, on all devices.
async fn log_out_everywhere(
    State(issuer): State<TokenIssuer>,
    token: CurrentToken,
) -> Result<&'static str, StatusCode> {
    let subject = token.subject().ok_or(StatusCode::BAD_REQUEST)?;
    let ended = issuer.logout_everywhere(subject).await;
    ended.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok("logged out everywhere\n")
}

/// What each may do is said here, and nothing else is allowed.
fn clients(callback: &str) -> Result<MemoryClients, Box<dyn Error>> {
    let secret = ClientSecret::new(SECRET)?;
    let clients = MemoryClients::new([
        // On its user's device, at a port that nobody knows before; it cannot keep a secret.
        Client::public("app")?
            .name("The App")?
            .redirect_uris(["http://127.0.0.1/callback"])?
            .grants(["authorization_code", "refresh_token"])?
            .scopes("profile email")?,
        // On a web server.
        Client::with_secret("web", &secret)?
            .name("The Web Site")?
            .redirect_uris([callback])?
            .grants(["authorization_code", "refresh_token"])?
            .scopes("profile email")?,
        // Programs that act for themselves.
        Client::with_secret("worker", &secret)?
            .grants(["client_credentials"])?
            .scopes("profile")?,
        Client::with_secret("worker-post", &secret)?
            .secret_in_form()?
            .grants(["client_credentials"])?
            .scopes("profile")?,
        Client::with_secret("device", &secret)?
            .grants(["urn:example:device-pass", "refresh_token"])?
            .scopes("profile")?,
        // A resource server, which asks about tokens and gets none.
        Client::with_secret("api", &secret)?.may_introspect()?,
    ]);
    if let Ok(file) = env::var("JWKS") {
        let signer = Client::with_keys("worker-jwt", fs::read(file)?)?
            .grants(["client_credentials"])?
            .scopes("profile")?;
        clients.insert(signer);
    }
    Ok(clients)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let port: u16 = setting("PORT", "8000").parse()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let audience = format!("{url}/me");
    let callback = setting("CALLBACK", "http://127.0.0.1:3000/callback");

    let store = MemoryStore::new();
    let users = StoredUsers::new(store.clone(), Passwords::new()?);
    let alice = users.add("alice", PASSWORD).await?;
    let issuer = TokenIssuer::builder(&url, &audience, store.clone(), AccessTokens::opaque())?
        .subject_rule(users.clone())
        .open()
        .await?;
    let upkeep = issuer.clone();
    tokio::spawn(async move { upkeep.run().await });
    let passes = ["pass-1", "pass-2"].map(|pass| (pass, alice.subject.clone()));
    let passes = DevicePasses(Mutex::new(BTreeMap::from(passes)));
    let server = AuthorizationServer::builder(issuer.clone(), clients(&callback)?, users, SealingKey::random()?)?
        .grant(passes)?
        // As Authlib's clients sign unless they are told otherwise. Leave both out if yours sign for the issuer.
        .assertion_audience_too(format!("{url}/token"))
        .assertion_lifetime(Duration::from_secs(3600))?
        .describe_scope("profile", "See your name")
        .describe_scope("email", "See your e-mail address")
        .build()?;

    // The table has digests of the tokens; what was revoked is noticed with the next request.
    let protector = ResourceProtectorLayer::new(StoreValidator::new(TokenTable::new(store), &audience)?);
    let api = Router::new()
        .route("/me", get(me).layer(require_scope("profile")))
        .route("/logout-everywhere", post(log_out_everywhere))
        .route_layer(protector)
        .with_state(issuer);

    println!(
        "listening on {url}\n\n\
         Anything that speaks OAuth 2.0 can log alice in, with the password `{PASSWORD}`. By hand:\n\n\
         curl -u worker:{SECRET} -d grant_type=client_credentials -d scope=profile {url}/token\n\
         curl -d client_id=worker-post -d client_secret={SECRET} -d grant_type=client_credentials {url}/token\n\
         curl -u device:{SECRET} -d grant_type=urn:example:device-pass -d pass=pass-1 -d scope=profile {url}/token\n\
         curl -u device:{SECRET} -d grant_type=refresh_token -d refresh_token=$REFRESH_TOKEN {url}/token\n\
         curl -H \"Authorization: Bearer $TOKEN\" {url}/me\n\
         curl -u api:{SECRET} -d token=$TOKEN {url}/introspect\n\
         curl -u device:{SECRET} -d token=$REFRESH_TOKEN {url}/revoke\n"
    );
    axum::serve(listener, api.fallback_service(server)).await?;
    Ok(())
}
