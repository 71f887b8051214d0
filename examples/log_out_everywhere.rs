//! How do I log somebody out of all their devices, although their JWTs are good for another hour?
//!
//! ```text
//! cargo run --example log_out_everywhere --features axum,testing
//! ```

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use resource_protector::{
    CurrentToken, CutOff, JwtValidator, MemoryRevocationList, ResourceProtectorLayer, RevocationTerms, Revoke as _,
    RevokedBy, testing::TestIssuer,
};

async fn me(token: CurrentToken) -> String {
    format!("hello {}\n", token.subject().unwrap_or("nobody"))
}

/// No list of tokens is needed: whatever was issued about this subject until now is over, whether anybody has seen it or
/// not. A new password or a disabled account does the same. The issuer has to be told, too, or it issues the next token.
async fn log_out_everywhere(token: CurrentToken, State(revoked): State<MemoryRevocationList>) -> StatusCode {
    let (Some(issuer), Some(subject)) = (token.issuer(), token.subject()) else {
        return StatusCode::FORBIDDEN;
    };
    let cut_off = CutOff::subject(issuer, subject, SystemTime::now());
    match revoked.revoke(cut_off).await {
        Ok(()) => StatusCode::NO_CONTENT,
        // Whoever wanted to log out is not logged out, and has to know.
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // In your service these two are configuration, and the issuer is your authorization server.
    let issuer = TestIssuer::on_loopback().await?;
    let audience = "https://api.example.com";

    // By what tokens are revoked, and for how long they live at the most: those that live longer are refused.
    let an_hour = Duration::from_secs(3600);
    let revoked = MemoryRevocationList::new(RevocationTerms::new([RevokedBy::Subject], an_hour)?);
    let tokens = JwtValidator::discover(issuer.url(), audience)?;
    let app = Router::new()
        .route("/me", get(me))
        .route("/log-out-everywhere", post(log_out_everywhere))
        .with_state(revoked.clone())
        .layer(ResourceProtectorLayer::new(tokens).revocation(revoked));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    let token = |subject| issuer.access_token(audience).subject(subject).lifetime(an_hour).mint();
    let (phone, laptop, bob) = (token("alice"), token("alice"), token("bob"));
    for (what, method, token, path) in [
        ("200, alice's phone", "GET", &phone, "/me"),
        ("204, alice logs out everywhere", "POST", &phone, "/log-out-everywhere"),
        ("401, alice's phone", "GET", &phone, "/me"),
        ("401, alice's laptop, never seen before", "GET", &laptop, "/me"),
        ("200, bob", "GET", &bob, "/me"),
    ] {
        println!("\n# {what}\ncurl -i -X {method} -H 'Authorization: Bearer {token}' {here}{path}");
    }
    axum::serve(listener, app).await?;
    Ok(())
}
