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
    http::{StatusCode, header::SET_COOKIE},
    response::{AppendHeaders, IntoResponse},
    routing::{delete, get, post},
};
use resource_protector::{CurrentToken, MemoryRevocationList, ResourceProtectorLayer, Revoke as _, RevokedBy};
use resource_protector_issuer::{
    TokenError,
    profiles::{FlaskJwtExtended, NewToken, SimpleJwt, TokenCookies, require_fresh_token},
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Clone)]
struct Service {
    flask: FlaskJwtExtended,
    simple: SimpleJwt,
    cookies: TokenCookies,
    revoked: MemoryRevocationList,
}

#[derive(Deserialize)]
struct Login {
    username: String,
    password: String,
}

impl Login {
    /// Stands for the application's users and their passwords.
    fn is_good(&self) -> bool {
        self.username == "alice" && self.password == "wonderland"
    }
}

type Answer = Result<axum::response::Response, StatusCode>;

fn no_token(error: TokenError) -> StatusCode {
    tracing::error!(%error, "no token was minted");
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn me(token: CurrentToken) -> Json<Value> {
    Json(json!({ "subject": token.subject() }))
}

async fn flask_login(State(service): State<Service>, Form(login): Form<Login>) -> Answer {
    if !login.is_good() {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let access = service
        .flask
        .mint_access(NewToken::of(login.username.clone()).fresh())
        .map_err(no_token)?;
    let refresh = service.flask.mint_refresh(login.username).map_err(no_token)?;
    let access_cookies = service.cookies.set_access(&access).map_err(no_token)?;
    let refresh_cookies = service.cookies.set_refresh(&refresh).map_err(no_token)?;
    let cookies = access_cookies
        .into_iter()
        .chain(refresh_cookies)
        .map(|cookie| (SET_COOKIE, cookie));
    let tokens = Json(json!({ "access_token": access.token(), "refresh_token": refresh.token() }));
    Ok((AppendHeaders(cookies.collect::<Vec<_>>()), tokens).into_response())
}

async fn flask_refresh(State(service): State<Service>, token: CurrentToken) -> Answer {
    let access = service
        .flask
        .mint_access(token.subject().unwrap_or_default())
        .map_err(no_token)?;
    Ok(Json(json!({ "access_token": access.token() })).into_response())
}

async fn flask_logout(State(service): State<Service>, token: CurrentToken) -> Answer {
    let cut_off = service.flask.cut_off(&token).ok_or(StatusCode::BAD_REQUEST)?;
    service
        .revoked
        .revoke(cut_off)
        .await
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let cookies = service.cookies.unset().into_iter().map(|cookie| (SET_COOKIE, cookie));
    Ok((AppendHeaders(cookies.collect::<Vec<_>>()), StatusCode::NO_CONTENT).into_response())
}

async fn simple_login(State(service): State<Service>, Form(login): Form<Login>) -> Answer {
    if !login.is_good() {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let access = service.simple.mint_access(1).map_err(no_token)?;
    let refresh = service.simple.mint_refresh(1).map_err(no_token)?;
    Ok(Json(json!({ "access": access.token(), "refresh": refresh.token() })).into_response())
}

async fn simple_refresh(State(service): State<Service>, token: CurrentToken) -> Answer {
    let access = service.simple.mint_access_from(&token).map_err(no_token)?;
    Ok(Json(json!({ "access": access.token() })).into_response())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let secret = env::var("SECRET").map_err(|_| "SECRET must be the secret that the services share")?;
    let (flask, simple) = (FlaskJwtExtended::new(&secret)?, SimpleJwt::new(&secret)?);
    let month = Duration::from_secs(30 * 24 * 3600);
    let revoked = MemoryRevocationList::new(flask.revocation_terms([RevokedBy::TokenId], month)?);
    let cookies = TokenCookies::flask_jwt_extended();

    let of_flask = |tokens| {
        ResourceProtectorLayer::new(tokens)
            .realm("flask")
            .revocation(revoked.clone())
    };
    let of_simple = |tokens| ResourceProtectorLayer::new(tokens).realm("api");
    let routes = Router::new()
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
        .merge(routes)
        .merge(refresh)
        .merge(logout)
        .route("/flask/login", post(flask_login))
        .route("/simple/login", post(simple_login))
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
