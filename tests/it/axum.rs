//! axum: extractors, and what `layer`, `route_layer`, `nest` and fallback mean.

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use resource_protector::{CurrentToken, Rejection, Requirement, require_scope};
use tower_http::cors::CorsLayer;

use crate::support::{Reply, ask, assert_refused, challenge, preflight, protector, request};

async fn me(token: CurrentToken) -> String {
    token.subject().unwrap_or("nobody").to_owned()
}

async fn greet(token: Option<CurrentToken>) -> String {
    token.map_or("anonymous".to_owned(), |token| {
        token.subject().unwrap_or("nobody").to_owned()
    })
}

async fn delete(token: CurrentToken) -> Result<&'static str, Rejection> {
    token.require(&Requirement::scope("delete").unwrap())?;
    Ok("deleted")
}

async fn get_from(app: &Router, path: &str, fields: &[&str]) -> Reply {
    let mut request: Request<Full<Bytes>> = request(fields);
    *request.uri_mut() = path.parse().unwrap();
    ask(app.clone(), request).await
}

#[tokio::test]
async fn a_handler_gets_the_token_and_a_route_can_demand_scopes() {
    let app = Router::new()
        .route("/me", get(me).layer(require_scope("profile")))
        .route("/mail", get(me).layer(require_scope("email")))
        .layer(protector());
    assert_eq!(get_from(&app, "/me", &["Bearer a1"]).await.body().as_ref(), b"alice");
    let reply = get_from(&app, "/mail", &["Bearer a1"]).await;
    assert_refused(&reply, 403, Some("insufficient_scope"));
    assert!(
        challenge(&reply).starts_with(r#"Bearer realm="api", "#) && challenge(&reply).ends_with(r#"scope="email""#)
    );
}

#[tokio::test]
async fn a_refusal_made_in_a_handler_gets_the_realm() {
    let app = Router::new().route("/", get(delete)).layer(protector());
    let reply = get_from(&app, "/", &["Bearer a1"]).await;
    assert_refused(&reply, 403, Some("insufficient_scope"));
    assert!(challenge(&reply).starts_with(r#"Bearer realm="api", "#));
}

#[tokio::test]
async fn an_optional_token_is_some_or_none_and_a_bad_one_is_refused() {
    let app = Router::new()
        .route("/", get(greet))
        .route("/me", get(me))
        .layer(protector().optional());
    assert_eq!(get_from(&app, "/", &[]).await.body().as_ref(), b"anonymous");
    assert_eq!(get_from(&app, "/", &["Bearer a1"]).await.body().as_ref(), b"alice");
    assert_refused(&get_from(&app, "/", &["Bearer nope"]).await, 401, Some("invalid_token"));
    let reply = get_from(&app, "/me", &[]).await;
    assert_refused(&reply, 401, None);
    assert_eq!(challenge(&reply), r#"Bearer realm="api""#);
}

#[tokio::test]
async fn an_extractor_without_a_protector_is_500() {
    for app in [Router::new().route("/", get(me)), Router::new().route("/", get(greet))] {
        assert_refused(&get_from(&app, "/", &["Bearer a1"]).await, 500, Some("server_error"));
    }
}

#[tokio::test]
async fn layer_guards_the_fallback_and_route_layer_does_not() {
    let routes = || Router::new().route("/me", get(me));
    let all = routes().layer(protector());
    assert_refused(&get_from(&all, "/nothing", &[]).await, 401, None);
    let matched = routes().route_layer(protector());
    assert_eq!(get_from(&matched, "/nothing", &[]).await.status(), 404);
    assert_refused(&get_from(&matched, "/me", &[]).await, 401, None);
}

#[tokio::test]
async fn a_layer_covers_what_was_nested_before_and_not_what_comes_after() {
    let app = Router::new()
        .nest("/api", Router::new().route("/me", get(me)))
        .layer(protector())
        .route("/open", get(|| async { "open" }));
    assert_refused(&get_from(&app, "/api/me", &[]).await, 401, None);
    assert_eq!(get_from(&app, "/api/me", &["Bearer a1"]).await.status(), 200);
    assert_eq!(get_from(&app, "/open", &[]).await.status(), 200);
}

#[tokio::test]
async fn a_guard_on_a_nested_router_counts_for_its_routes_and_not_for_the_fallback() {
    let admin = Router::new().route("/users", get(me)).layer(require_scope("admin"));
    let app = Router::new().nest("/admin", admin).layer(protector());
    assert_refused(
        &get_from(&app, "/admin/users", &["Bearer a1"]).await,
        403,
        Some("insufficient_scope"),
    );
    assert_eq!(get_from(&app, "/admin/nothing", &["Bearer a1"]).await.status(), 404);
    assert_refused(&get_from(&app, "/admin/nothing", &[]).await, 401, None);
}

#[tokio::test]
async fn a_cors_layer_outside_answers_preflight_and_adds_its_headers_to_refusals() {
    let app = Router::new()
        .route("/me", get(me))
        .layer(protector())
        .layer(CorsLayer::permissive());
    assert_eq!(ask(app.clone(), preflight()).await.status(), 200);

    let mut refused = request(&[]);
    refused
        .headers_mut()
        .insert(header::ORIGIN, "https://app.test".parse().unwrap());
    let reply = ask(app, refused).await;
    assert_refused(&reply, 401, None);
    assert!(reply.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
}

#[tokio::test]
async fn a_cors_layer_inside_answers_preflight_where_the_protector_lets_it_through() {
    let app = Router::new()
        .route("/me", get(me).layer(require_scope("profile")))
        .layer(CorsLayer::permissive())
        .layer(protector().allow_cors_preflight());
    let reply = ask(app, preflight()).await;
    assert_eq!(reply.status(), 200);
    assert!(reply.headers().contains_key(header::ACCESS_CONTROL_ALLOW_METHODS));
}
