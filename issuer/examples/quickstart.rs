//! An authorization server, a protected API and one SQLite file. Prints what to paste.
//!
//! ```sh
//! cargo run -p resource-protector-issuer --example issuer_quickstart
//! ```
//!
//! `PORT`, `DATABASE` and `KEYS` say where; without them it is port 8000, `quickstart.db` and `quickstart.keys`. Port 0 is
//! any that is free.

use std::{env, error::Error, time::Duration};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::StatusCode,
    routing::{get, post},
};
use resource_protector::{
    Algorithm, CurrentToken, JwtValidator, MemoryRevocationList, ResourceProtectorLayer, RevocationTerms, RevokedBy,
    require_scope,
};
use resource_protector_issuer::{
    AccessTokens, KeyRing, TokenIssuer,
    clients::{Client, ClientSecret, MemoryClients},
    server::{AuthorizationServer, SealingKey},
    store::SqliteStore,
    users::{Passwords, StoredUsers},
};

/// Of RFC 7636, appendix B. A real client draws a new one for every log-in.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const PASSWORD: &str = "correct horse battery staple";
const SECRET: &str = "a-secret-for-the-quickstart-alone";

async fn me(token: CurrentToken) -> String {
    format!("hello {}\n", token.subject().unwrap_or("nobody"))
}

/// Ends the session that the caller's token belongs to.
async fn log_out(State(issuer): State<TokenIssuer>, token: CurrentToken) -> Result<&'static str, StatusCode> {
    let session = token.session_id().ok_or(StatusCode::BAD_REQUEST)?;
    let ended = issuer.logout_session(session).await;
    ended.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok("logged out\n")
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

/// What a client would do with the code that it gets.
async fn callback(State(issuer): State<TokenIssuer>, RawQuery(query): RawQuery) -> String {
    let issuer = issuer.issuer();
    let query = query.unwrap_or_default();
    let code = query
        .split('&')
        .find(|pair| pair.starts_with("code="))
        .unwrap_or("code=none");
    format!(
        "curl -d grant_type=authorization_code -d client_id=app -d redirect_uri={issuer}/callback -d {code} \
         -d code_verifier={VERIFIER} {issuer}/token\n"
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let port: u16 = setting("PORT", "8000").parse()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let audience = format!("{url}/me");

    // Who may log in, and which clients there are.
    let store = SqliteStore::open(setting("DATABASE", "quickstart.db")).await?;
    let users = StoredUsers::new(store.clone(), Passwords::new()?);
    if users.find_by_username("alice").await?.is_none() {
        users.add("alice", PASSWORD).await?;
    }
    let secret = ClientSecret::new(SECRET)?;
    let clients = MemoryClients::new([
        Client::public("app")?
            .name("The App")?
            .redirect_uris([format!("{url}/callback")])?
            .grants(["authorization_code", "refresh_token"])?
            .scopes("profile email")?,
        Client::with_secret("worker", &secret)?
            .grants(["client_credentials"])?
            .scopes("profile")?,
        Client::with_secret("api", &secret)?.may_introspect()?,
    ]);

    // Who issues tokens, and takes them back.
    let by = [RevokedBy::TokenId, RevokedBy::Session, RevokedBy::Subject];
    let revoked = MemoryRevocationList::new(RevocationTerms::new(by, Duration::from_secs(3600))?);
    let keys = KeyRing::open(setting("KEYS", "quickstart.keys"), Algorithm::ES256)?;
    let tokens = AccessTokens::jwt(keys, revoked.clone())?;
    let issuer = TokenIssuer::builder(&url, &audience, store, tokens)?
        .subject_rule(users.clone())
        .open()
        .await?;
    let upkeep = issuer.clone();
    tokio::spawn(async move { upkeep.run().await });
    let server = AuthorizationServer::builder(issuer.clone(), clients, users, SealingKey::random()?)?
        .describe_scope("profile", "See your name")
        .describe_scope("email", "See your e-mail address")
        .build()?;

    // The API asks for the keys like any other would.
    let protector = ResourceProtectorLayer::new(JwtValidator::discover(&url, &audience)?).revocation(revoked);
    let api = Router::new()
        .route("/me", get(me).layer(require_scope("profile")))
        .route("/logout", post(log_out))
        .route("/logout-everywhere", post(log_out_everywhere))
        .route_layer(protector);
    let app = Router::new()
        .route("/callback", get(callback))
        .merge(api)
        .with_state(issuer);

    println!(
        "listening on {url}\n\n\
         Log in as alice with the password `{PASSWORD}`:\n\n\
         {url}/authorize?response_type=code&client_id=app&redirect_uri={url}/callback&scope=profile&state=x\
         &code_challenge={CHALLENGE}&code_challenge_method=S256\n\n\
         A client of its own:\n\n\
         TOKEN=$(curl -su worker:{SECRET} -d grant_type=client_credentials -d scope=profile {url}/token | sed 's/.*access_token\":\"\\([^\"]*\\).*/\\1/')\n\
         curl -H \"Authorization: Bearer $TOKEN\" {url}/me\n\
         curl -u api:{SECRET} -d token=$TOKEN {url}/introspect\n\
         curl -u worker:{SECRET} -d token=$TOKEN {url}/revoke\n"
    );
    axum::serve(listener, app.fallback_service(server)).await?;
    Ok(())
}
