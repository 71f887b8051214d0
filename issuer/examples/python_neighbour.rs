//! A service beside a Flask application with Flask-JWT-Extended, and beside a Django application with simplejwt: it accepts
//! the tokens that they mint, and mints tokens that they accept.
//!
//! ```sh
//! SECRET='the secret that all of them share' cargo run --example python_neighbour
//! curl http://127.0.0.1:8004/flask/me -H "Authorization: Bearer $TOKEN_OF_FLASK"
//! ```

use std::{env, error::Error, time::Duration};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header::SET_COOKIE},
    response::AppendHeaders,
    routing::{delete, get, post},
};
use resource_protector::{CurrentToken, MemoryRevocationList, ResourceProtectorLayer, Revoke as _, RevokedBy};
use resource_protector_issuer::{
    TokenError,
    profiles::{FlaskJwtExtended, NewToken, SimpleJwt, TokenCookies, require_fresh_token},
};
use serde_json::{Value, json};

#[derive(Clone)]
struct Service {
    flask: FlaskJwtExtended,
    simple: SimpleJwt,
    cookies: TokenCookies,
    revoked: MemoryRevocationList,
}

type Cookies = AppendHeaders<Vec<(HeaderName, HeaderValue)>>;
type Answer<T> = Result<T, StatusCode>;

fn append(cookies: impl IntoIterator<Item = HeaderValue>) -> Cookies {
    AppendHeaders(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)).collect())
}

fn failed(error: TokenError) -> StatusCode {
    tracing::error!(%error, "no token was minted");
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn me(token: CurrentToken) -> Json<Value> {
    Json(json!({ "subject": token.subject() }))
}

async fn flask_login(State(it): State<Service>, Form(login): Form<Value>) -> Answer<(Cookies, Json<Value>)> {
    // Stands for the application's users and their passwords.
    if login != json!({ "username": "alice", "password": "wonderland" }) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let access = it.flask.mint_access(NewToken::of("alice").fresh()).map_err(failed)?;
    let refresh = it.flask.mint_refresh("alice").map_err(failed)?;
    let cookies = [it.cookies.set_access(&access), it.cookies.set_refresh(&refresh)];
    let [access_cookies, refresh_cookies] = cookies.map(|set| set.map_err(failed));
    let tokens = json!({ "access_token": access.token(), "refresh_token": refresh.token() });
    Ok((append([access_cookies?, refresh_cookies?].concat()), Json(tokens)))
}

async fn flask_refresh(State(it): State<Service>, token: CurrentToken) -> Answer<Json<Value>> {
    let access = it.flask.mint_access(token.subject().unwrap_or_default());
    let access = access.map_err(failed)?;
    Ok(Json(json!({ "access_token": access.token() })))
}

async fn flask_logout(State(it): State<Service>, token: CurrentToken) -> Answer<(Cookies, StatusCode)> {
    let cut_off = it.flask.cut_off(&token).ok_or(StatusCode::BAD_REQUEST)?;
    let revoked = it.revoked.revoke(cut_off).await;
    revoked.or(Err(StatusCode::SERVICE_UNAVAILABLE))?;
    Ok((append(it.cookies.unset()), StatusCode::NO_CONTENT))
}

/// Behind a refresh token of simplejwt: another pair for the same user.
async fn simple_refresh(State(it): State<Service>, token: CurrentToken) -> Answer<Json<Value>> {
    let access = it.simple.mint_access_from(&token).map_err(failed)?;
    let user = token.subject().unwrap_or_default();
    let refresh = it.simple.mint_refresh(user).map_err(failed)?;
    Ok(Json(json!({ "access": access.token(), "refresh": refresh.token() })))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let secret = env::var("SECRET").map_err(|_| "SECRET must be the secret that the services share")?;
    let (flask, simple) = (FlaskJwtExtended::new(&secret)?, SimpleJwt::new(&secret)?);
    let cookies = TokenCookies::flask_jwt_extended();
    let month = Duration::from_secs(30 * 24 * 3600);
    let revoked = MemoryRevocationList::new(flask.revocation_terms([RevokedBy::TokenId], month)?);
    let of_flask = |tokens| ResourceProtectorLayer::new(tokens).revocation(revoked.clone());
    let of_simple = |tokens| ResourceProtectorLayer::new(tokens).realm("api");
    let access = Router::new()
        .route("/flask/me", get(me).post(me))
        .route("/flask/password", post(me).layer(require_fresh_token()))
        .layer(of_flask(flask.access_tokens()?))
        .layer(cookies.access_layer());
    let refresh = Router::new()
        .route("/flask/refresh", post(flask_refresh))
        .layer(of_flask(flask.refresh_tokens()?))
        .layer(cookies.refresh_layer());
    let logout = Router::new()
        .route("/flask/logout", delete(flask_logout))
        .layer(of_flask(flask.tokens_of_both_types_for_log_out_only()?))
        .layer(cookies.access_layer());
    let app = Router::new()
        .merge(access.merge(refresh).merge(logout))
        .route("/flask/login", post(flask_login))
        .route("/simple/me", get(me).layer(of_simple(simple.access_tokens()?)))
        .route(
            "/simple/refresh",
            post(simple_refresh).layer(of_simple(simple.refresh_tokens()?)),
        )
        .with_state(Service {
            flask,
            simple,
            cookies,
            revoked,
        });

    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8004".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
