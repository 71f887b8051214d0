//! An authorization server, a protected API and one SQLite file. Prints what to paste.
//!
//! ```sh
//! cargo run -p resource-protector-issuer --example issuer_quickstart
//! ```
//!
//! It listens on port 8000 unless `PORT` says another (0: any that is free), and keeps everything in `quickstart-8000.db`, by the
//! port (`DATABASE`), and `quickstart.keys` (`KEYS`), in the folder where it is started. Delete both, and what begins with their
//! names, to start over.

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
    users::{Passwords, StoredUsers, UserDirectory as _},
};

/// Of RFC 7636, appendix B. A real client draws a new one for every log-in.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const PASSWORD: &str = "correct horse battery staple";
const SECRET: &str = "a-secret-for-the-quickstart-alone";

#[derive(Clone)]
struct App {
    issuer: TokenIssuer,
    users: StoredUsers,
}

/// A subject is no name: users may change theirs, and keep their subject.
async fn me(State(app): State<App>, token: CurrentToken) -> Result<String, StatusCode> {
    let subject = token.subject().unwrap_or("nobody");
    let user = app
        .users
        .find(subject)
        .await
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let name = user.as_ref().map_or(subject, |user| user.shown_name());
    Ok(format!("hello {name}\n"))
}

/// Ends the session that the caller's token belongs to.
async fn log_out(State(app): State<App>, token: CurrentToken) -> Result<&'static str, StatusCode> {
    let session = token.session_id().ok_or(StatusCode::BAD_REQUEST)?;
    let ended = app.issuer.logout_session(session).await;
    ended.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok("logged out\n")
}

/// Ends all sessions of the caller, on all devices.
async fn log_out_everywhere(State(app): State<App>, token: CurrentToken) -> Result<&'static str, StatusCode> {
    let subject = token.subject().ok_or(StatusCode::BAD_REQUEST)?;
    let ended = app.issuer.logout_everywhere(subject).await;
    ended.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok("logged out everywhere\n")
}

/// What a client would do with the code that it gets. This one tells a person.
async fn callback(State(app): State<App>, RawQuery(query): RawQuery) -> String {
    let url = app.issuer.issuer();
    let query = query.unwrap_or_default();
    let Some(code) = query.split('&').find(|pair| pair.starts_with("code=")) else {
        return format!("The server says: {query}\n");
    };
    format!(
        r#"Paste these, the first one within a minute:

TOKENS=$(curl -s -d grant_type=authorization_code -d client_id=app -d redirect_uri={url}/callback -d {code} -d code_verifier={VERIFIER} {url}/token)
take() {{ echo "$TOKENS" | sed "s/.*\"$1\":\"\([^\"]*\).*/\1/"; }}
curl -H "Authorization: Bearer $(take access_token)" {url}/me                          # 200: hello alice
TOKENS=$(curl -s -d grant_type=refresh_token -d client_id=app -d refresh_token=$(take refresh_token) {url}/token)
curl -H "Authorization: Bearer $(take access_token)" -X POST {url}/logout-everywhere   # 200
curl -i -H "Authorization: Bearer $(take access_token)" {url}/me                       # 401: it is over
"#
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let port: u16 = setting("PORT", "8000").parse()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.map_err(|error| {
        format!("cannot listen on 127.0.0.1:{port}: {error}. Set PORT to another port, or to 0 for any that is free")
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    let audience = format!("{url}/me");

    // Who may log in, and which clients there are.
    // A store is one issuer's, so another port has another file.
    let file = format!("quickstart-{}.db", listener.local_addr()?.port());
    let store = SqliteStore::open(setting("DATABASE", &file)).await?;
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
    let revoked = MemoryRevocationList::new(RevocationTerms::new(RevokedBy::ALL, Duration::from_secs(3600))?);
    let keys = KeyRing::open(setting("KEYS", "quickstart.keys"), Algorithm::ES256)?;
    let tokens = AccessTokens::jwt(keys, revoked.clone())?;
    let issuer = TokenIssuer::builder(&url, &audience, store, tokens)?
        .subject_rule(users.clone())
        .open()
        .await?;
    let upkeep = issuer.clone();
    tokio::spawn(async move { upkeep.run().await });
    let server = AuthorizationServer::builder(issuer.clone(), clients, users.clone(), SealingKey::random()?)?
        .describe_scope("profile", "See your name")
        .describe_scope("email", "See your e-mail address")
        .build()?;

    // The API asks for the keys like any other would.
    let protector = ResourceProtectorLayer::new(JwtValidator::discover(&url, &audience)?).revocation(revoked);
    let api = Router::new()
        .route("/me", get(me).layer(require_scope("profile")))
        // Not `/logout`, which is the server's page: a route of the application would hide it.
        .route("/logout-session", post(log_out))
        .route("/logout-everywhere", post(log_out_everywhere))
        .route_layer(protector);
    let app = Router::new()
        .route("/callback", get(callback))
        .merge(api)
        .with_state(App { issuer, users });

    println!(
        r#"listening on {url}

A person: open this in a browser, log in as alice with the password `{PASSWORD}`, and go on with what is shown then.

{url}/authorize?response_type=code&client_id=app&redirect_uri={url}/callback&scope=profile&state=x&code_challenge={CHALLENGE}&code_challenge_method=S256

A program, by its own right:

TOKEN=$(curl -su worker:{SECRET} -d grant_type=client_credentials -d scope=profile {url}/token | sed 's/.*access_token":"\([^"]*\).*/\1/')
curl -H "Authorization: Bearer $TOKEN" {url}/me        # 200: hello worker
curl -u api:{SECRET} -d token=$TOKEN {url}/introspect  # 200: active
curl -u worker:{SECRET} -d token=$TOKEN {url}/revoke   # 200
curl -i -H "Authorization: Bearer $TOKEN" {url}/me     # 401: it was revoked
"#
    );
    axum::serve(listener, app.fallback_service(server)).await?;
    Ok(())
}
