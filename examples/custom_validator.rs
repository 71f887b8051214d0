//! How do I check tokens that are neither JWTs nor known to an introspection endpoint?
//!
//! Here: a token endpoint in the manner of Google's `tokeninfo`, which answers numbers as strings and names the client
//! that got the token instead of an audience.
//!
//! ```text
//! cargo run --example custom_validator --features axum,testing
//! ```

use std::{collections::HashMap, error::Error};

use axum::{Router, routing::get};
use resource_protector::{
    CurrentToken, Presented, Reason, Rejection, ResourceProtectorLayer, TokenValidator, require_scope,
};
use serde::Deserialize;
use serde_json::json;

/// What the endpoint says about a token.
#[derive(Clone, Deserialize)]
struct TokenInfo {
    aud: String,
    sub: String,
    scope: String,
    exp: String,
}

/// Stands for the call to the endpoint; `Err` is an outage.
type Answers = HashMap<&'static str, Result<TokenInfo, &'static str>>;

struct TokenInfoValidator {
    endpoint: Answers,
    /// The clients whose tokens are meant for us. Without this list, a token of anybody's app would do.
    clients: Vec<String>,
}

impl TokenValidator for TokenInfoValidator {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        let info = match self.endpoint.get(presented.token()) {
            Some(Ok(info)) => info.clone(),
            None => {
                return Err(Rejection::invalid_token(
                    Reason::Inactive,
                    "the endpoint does not know the token",
                ));
            }
            // Not the token's fault: 503, or clients would throw good tokens away.
            Some(Err(outage)) => return Err(Rejection::unavailable(*outage)),
        };
        if !self.clients.contains(&info.aud) {
            return Err(Rejection::invalid_token(
                Reason::Audience,
                "a token of somebody else's client",
            ));
        }
        let expires_at: u64 = info
            .exp
            .parse()
            .map_err(|_| Rejection::unavailable("`exp` is not a number"))?;
        // Whoever comes this far is let in, once the protector has found time and scope right.
        CurrentToken::vouch_for(&json!({
            "iss": "https://accounts.example.com",
            "sub": info.sub,
            "client_id": info.aud,
            "scope": info.scope,
            "exp": expires_at,
        }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let info = |aud: &str, exp: &str| TokenInfo {
        aud: aud.to_owned(),
        sub: "alice".to_owned(),
        scope: "profile".to_owned(),
        exp: exp.to_owned(),
    };
    let endpoint = HashMap::from([
        ("good", Ok(info("our-app", "4102444800"))),
        ("expired", Ok(info("our-app", "1"))),
        ("foreign", Ok(info("their-app", "4102444800"))),
        ("unlucky", Err("the endpoint did not answer")),
    ]);
    let tokens = TokenInfoValidator {
        endpoint,
        clients: vec!["our-app".to_owned()],
    };
    let app = Router::new()
        .route(
            "/me",
            get(|token: CurrentToken| async move { format!("{token:?}\n") }).layer(require_scope("profile")),
        )
        .layer(ResourceProtectorLayer::new(tokens));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    for (status, token) in [
        (200, "good"),
        (401, "expired"),
        (401, "foreign"),
        (401, "unknown"),
        (503, "unlucky"),
    ] {
        println!("\n# {status}\ncurl -i -H 'Authorization: Bearer {token}' {here}/me");
    }
    axum::serve(listener, app).await?;
    Ok(())
}
