//! How do I refresh tokens, log out one device, and log out all of them?
//!
//! ```text
//! cargo run -p resource-protector-issuer --example log_out_and_rotate
//! ```

use std::{env, error::Error, time::Duration};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use resource_protector::{
    Algorithm, CurrentToken, JwtValidator, MemoryRevocationList, ResourceProtectorLayer, RevocationTerms, RevokedBy,
};
use resource_protector_issuer::{
    AccessTokens, IssuedTokens, KeyRing, RefreshRequest, TokenError, TokenErrorKind, TokenIssuer, TokenRequest,
    endpoints::{JwksEndpoint, OAuthError},
    store::MemoryStore,
};
use serde::Deserialize;

const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "https://api.example.com";

/// A field that is missing is 422, and nobody is logged out of nothing.
#[derive(Deserialize)]
struct Body {
    refresh_token: String,
}

async fn me(token: CurrentToken) -> String {
    format!("hello {}\n", token.subject().unwrap_or("nobody"))
}

/// The next tokens for a refresh token. It is good once: when it comes again, the session ends, because the one who comes now or
/// the one who came before has stolen it.
async fn refresh(State(issuer): State<TokenIssuer>, Form(body): Form<Body>) -> Result<impl IntoResponse, Refused> {
    let tokens = issuer.refresh(RefreshRequest::new(&body.refresh_token, "app")).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(tokens)))
}

/// Ends the session of a refresh token, and its access tokens with it. Anybody can write anybody's token into a body, so it has to
/// be one of the caller's own.
async fn log_out(
    State(issuer): State<TokenIssuer>,
    token: CurrentToken,
    Form(body): Form<Body>,
) -> Result<StatusCode, Refused> {
    let subject = token.subject().unwrap_or_default();
    issuer.logout_own(&body.refresh_token, subject).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions of the caller, on all devices, with all tokens that were ever issued in them.
async fn log_out_everywhere(State(issuer): State<TokenIssuer>, token: CurrentToken) -> Result<StatusCode, Refused> {
    issuer.logout_everywhere(token.subject().unwrap_or_default()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// 400 in the form of RFC 6749, 403 for somebody else's token, or 503 when nobody could be logged out.
struct Refused(TokenError);

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self.0.kind() {
            TokenErrorKind::NotYours => StatusCode::FORBIDDEN.into_response(),
            _ => OAuthError::from(self.0).into_response().into_response(),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let revoked = MemoryRevocationList::new(RevocationTerms::new(RevokedBy::ALL, Duration::from_secs(3600))?);
    let keys = KeyRing::generate(Algorithm::ES256)?;
    let tokens = AccessTokens::jwt(keys.clone(), revoked.clone())?;
    // Without the list it would not build: a log-out would leave the access tokens good.
    let issuer = TokenIssuer::builder(ISSUER, AUDIENCE, MemoryStore::new(), tokens)?;
    let issuer = issuer.open().await?;

    // The API asks the ring itself, and so follows when keys roll over.
    let validator =
        JwtValidator::with_jwks_uri(ISSUER, format!("{ISSUER}/jwks"), AUDIENCE)?.fetch(JwksEndpoint::new(keys));
    let app = Router::new()
        .route("/me", get(me))
        .route("/logout", post(log_out))
        .route("/logout-everywhere", post(log_out_everywhere))
        .layer(ResourceProtectorLayer::new(validator).revocation(revoked))
        .route("/refresh", post(refresh))
        .with_state(issuer.clone());

    // A log-in of yours ends with this.
    let login = |subject| issuer.issue(TokenRequest::for_subject("app", subject));
    let (phone, laptop) = (&login("alice").await?, &login("alice").await?);
    let (tablet, bob) = (&login("alice").await?, &login("bob").await?);

    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8000".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    for (what, options, path) in [
        ("200, alice's phone", by_access(phone), "/me"),
        ("200, the next tokens", by_refresh(phone), "/refresh"),
        (
            "400, it comes again: somebody has stolen it",
            by_refresh(phone),
            "/refresh",
        ),
        ("401, so its session has ended", by_access(phone), "/me"),
        (
            "403, bob cannot log alice out",
            by_access(bob) + &by_refresh(laptop),
            "/logout",
        ),
        ("422, of what?", by_access(tablet) + " -d ''", "/logout"),
        (
            "204, alice logs her laptop out",
            by_access(tablet) + &by_refresh(laptop),
            "/logout",
        ),
        (
            "204, which she can do again",
            by_access(tablet) + &by_refresh(laptop),
            "/logout",
        ),
        ("401, the access token ends, too", by_access(laptop), "/me"),
        ("200, and the tablet's does not", by_access(tablet), "/me"),
        ("204, everywhere", by_access(tablet) + " -X POST", "/logout-everywhere"),
        ("401, at once", by_access(tablet), "/me"),
        ("400, for good", by_refresh(tablet), "/refresh"),
        ("200, bob", by_access(bob), "/me"),
    ] {
        println!("\n# {what}\ncurl -i{options} {here}{path}");
    }
    axum::serve(listener, app).await?;
    Ok(())
}

fn by_access(tokens: &IssuedTokens) -> String {
    format!(" -H 'Authorization: Bearer {}'", tokens.access_token())
}

fn by_refresh(tokens: &IssuedTokens) -> String {
    format!(" -d refresh_token={}", tokens.refresh_token().unwrap_or_default())
}
