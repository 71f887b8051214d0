//! How does a client log in, when it is written with the `oauth2` crate and knows nothing of this one?
//!
//! ```text
//! cargo run -p resource-protector-issuer --example oauth2_client
//! ```
//!
//! It logs in by authorization code with PKCE, calls a protected API, refreshes, logs out everywhere, and is let in no more.
//! `server.rs` is the authorization server with the API. `browser.rs` does what a person does in theirs.

mod browser;
mod server;

use std::error::Error;

use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, CsrfToken, HttpRequest, HttpResponse, PkceCodeChallenge, RedirectUrl,
    RequestTokenError, Scope, TokenResponse as _, TokenUrl, basic::BasicClient,
};
use reqwest::{Method, StatusCode, redirect::Policy};

/// Lets the `oauth2` crate use whichever version of `reqwest` the application has.
async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let response = http.execute(request.try_into()?).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut answer = HttpResponse::new(response.bytes().await?.to_vec());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = server::start().await?;
    // Nobody is to send a client elsewhere, with its code or its refresh token.
    let http = reqwest::Client::builder().redirect(Policy::none()).build()?;
    let fetch = |request| send(http.clone(), request);

    let client = BasicClient::new(ClientId::new("app".to_owned()))
        .set_auth_uri(AuthUrl::new(format!("{url}/authorize"))?)
        .set_token_uri(TokenUrl::new(format!("{url}/token"))?)
        .set_redirect_uri(RedirectUrl::new("http://127.0.0.1/callback".to_owned())?);

    // For each log-in: a verifier, which leaves this program with the code only, and a state, by which it knows its own log-in.
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (page, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scope(Scope::new("profile".to_owned()))
        .set_pkce_challenge(challenge)
        .url();
    let back = browser::log_in_and_allow(&http, page.as_str(), "alice", server::PASSWORD).await?;
    if back.state != *state.secret() {
        return Err("somebody else's log-in".into());
    }

    let code = AuthorizationCode::new(back.code);
    let tokens = client
        .exchange_code(code)
        .set_pkce_verifier(verifier)
        .request_async(&fetch)
        .await?;
    println!("logged in: {:?}, for {:?}", tokens.scopes(), tokens.expires_in());

    let call = async |method: Method, path: &str, token: &str| -> Result<StatusCode, reqwest::Error> {
        let answer = http
            .request(method, format!("{url}{path}"))
            .bearer_auth(token)
            .send()
            .await?;
        Ok(answer.status())
    };
    let access = tokens.access_token().secret();
    println!("the API says {}", call(Method::GET, "/me", access).await?);

    // A refresh token is good once. The answer has the next one.
    let refresh = tokens.refresh_token().ok_or("no refresh token")?;
    let tokens = client.exchange_refresh_token(refresh).request_async(&fetch).await?;
    let access = tokens.access_token().secret();
    println!("refreshed: the API says {}", call(Method::GET, "/me", access).await?);

    println!(
        "log out everywhere: {}",
        call(Method::POST, "/logout-everywhere", access).await?
    );
    println!("the API says {}", call(Method::GET, "/me", access).await?);
    let refresh = tokens.refresh_token().ok_or("no refresh token")?;
    match client.exchange_refresh_token(refresh).request_async(&fetch).await {
        Err(RequestTokenError::ServerResponse(refused)) => println!("refresh: {}", refused.error()),
        other => println!("refresh: {other:?}"),
    }
    Ok(())
}
