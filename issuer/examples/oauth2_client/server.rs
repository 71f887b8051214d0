//! An authorization server and the API that it protects, in one process. The quickstart explains it.

use std::{error::Error, time::Duration};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use resource_protector::{
    Algorithm, CurrentToken, JwtValidator, MemoryRevocationList, ResourceProtectorLayer, RevocationTerms, RevokedBy,
    require_scope,
};
use resource_protector_issuer::{
    AccessTokens, KeyRing, TokenIssuer,
    clients::{Client, MemoryClients},
    server::{AuthorizationServer, SealingKey},
    store::MemoryStore,
    users::{Passwords, StoredUsers},
};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

async fn me(token: CurrentToken) -> String {
    format!("hello {}\n", token.subject().unwrap_or("nobody"))
}

async fn log_out_everywhere(State(issuer): State<TokenIssuer>, token: CurrentToken) -> StatusCode {
    match issuer.logout_everywhere(token.subject().unwrap_or_default()).await {
        Ok(()) => StatusCode::NO_CONTENT,
        // Whoever wanted to log out is not logged out, and has to know.
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Starts it, and says where.
pub(crate) async fn start() -> Result<String, Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);

    let users = StoredUsers::in_memory(Passwords::new()?);
    users.add("alice", PASSWORD).await?;
    // An application on its user's device: it keeps no secret, and listens on whichever port is free there.
    let clients = MemoryClients::new([Client::public("app")?
        .redirect_uris(["http://127.0.0.1/callback"])?
        .grants(["authorization_code", "refresh_token"])?
        .scopes("profile")?]);

    let revoked = MemoryRevocationList::new(RevocationTerms::new(RevokedBy::ALL, Duration::from_secs(3600))?);
    let tokens = AccessTokens::jwt(KeyRing::generate(Algorithm::ES256)?, revoked.clone())?;
    let issuer = TokenIssuer::builder(&url, &url, MemoryStore::new(), tokens)?;
    let issuer = issuer.subject_rule(users.clone()).open().await?;
    let server = AuthorizationServer::builder(issuer.clone(), clients, users, SealingKey::random()?)?.build()?;

    let app = Router::new()
        .route("/me", get(me).layer(require_scope("profile")))
        .route("/logout-everywhere", post(log_out_everywhere))
        .route_layer(ResourceProtectorLayer::new(JwtValidator::discover(&url, &url)?).revocation(revoked))
        .with_state(issuer)
        .fallback_service(server);
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(url)
}
