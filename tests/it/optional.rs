//! Optional mode and CORS preflight: who may enter without a token.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use resource_protector::{Anonymous, CurrentToken, Requirement, require_scope, require_token};
use tower::{Layer as _, ServiceBuilder};

use crate::support::{ask, ask_behind, assert_refused, challenge, hello, preflight, protector, request};

#[tokio::test]
async fn optional_lets_in_only_absent_credentials() {
    let optional = protector().optional();
    let body = |reply: crate::support::Reply| (reply.status().as_u16(), reply.body().clone());
    assert_eq!(
        body(ask_behind(&optional, request(&[])).await),
        (200, Bytes::from("anonymous"))
    );
    assert_eq!(
        body(ask_behind(&optional, request(&[""])).await),
        (200, Bytes::from("anonymous"))
    );
    assert_eq!(
        body(ask_behind(&optional, request(&["Bearer a1"])).await),
        (200, Bytes::from("alice"))
    );
    assert_refused(
        &ask_behind(&optional, request(&["Bearer nope"])).await,
        401,
        Some("invalid_token"),
    );
    assert_refused(
        &ask_behind(&optional, request(&["Bearer exp"])).await,
        401,
        Some("invalid_token"),
    );
    assert_refused(&ask_behind(&optional, request(&["Basic YTpi"])).await, 401, None);
    assert_refused(
        &ask_behind(&optional, request(&["Bearer"])).await,
        400,
        Some("invalid_request"),
    );
    assert_refused(
        &ask_behind(&optional, request(&["Bearer a1", "Bearer a1"])).await,
        400,
        Some("invalid_request"),
    );
}

#[tokio::test]
async fn optional_still_judges_the_scope_of_a_token_that_is_there() {
    let optional = protector().optional().requiring(Requirement::scope("profile").unwrap());
    assert_eq!(ask_behind(&optional, request(&[])).await.status(), 200);
    assert_refused(
        &ask_behind(&optional, request(&["Bearer noscope"])).await,
        403,
        Some("insufficient_scope"),
    );
}

#[tokio::test]
async fn optional_tells_caches_that_the_answer_depends_on_authorization() {
    let optional = protector().optional();
    for fields in [[].as_slice(), &["Bearer a1"], &["Bearer nope"]] {
        assert_eq!(
            ask_behind(&optional, request(fields)).await.headers()[header::VARY],
            "authorization"
        );
    }
}

#[tokio::test]
async fn a_guard_refuses_the_anonymous_with_the_bare_challenge() {
    let service = ServiceBuilder::new()
        .layer(protector().optional())
        .layer(require_scope("profile"))
        .service_fn(hello);
    let reply = ask(service, request(&[])).await;
    assert_refused(&reply, 401, None);
    assert_eq!(challenge(&reply), r#"Bearer realm="api", scope="profile""#);
    assert_eq!(reply.headers()[header::VARY], "authorization");
}

#[tokio::test]
async fn a_guard_made_with_or_anonymous_lets_them_pass_and_judges_a_token_that_is_there() {
    let service = ServiceBuilder::new()
        .layer(protector().optional())
        .layer(require_scope("profile").or_anonymous())
        .service_fn(hello);
    assert_eq!(ask(service.clone(), request(&[])).await.status(), 200);
    assert_eq!(ask(service.clone(), request(&["Bearer a1"])).await.status(), 200);
    assert_refused(
        &ask(service.clone(), request(&["Bearer noscope"])).await,
        403,
        Some("insufficient_scope"),
    );
    assert_refused(
        &ask(service, request(&["Bearer nope"])).await,
        401,
        Some("invalid_token"),
    );
}

#[tokio::test]
async fn a_preflight_passes_protector_and_guards_only_where_switched_on() {
    let open = ServiceBuilder::new()
        .layer(
            protector()
                .allow_cors_preflight()
                .requiring(Requirement::scope("x").unwrap()),
        )
        .layer(require_token())
        .service_fn(hello);
    assert_eq!(ask(open, preflight()).await.status(), 200);
    assert_refused(&ask_behind(&protector(), preflight()).await, 401, None);
}

#[tokio::test]
async fn nothing_but_a_preflight_passes_as_one() {
    let open = protector().allow_cors_preflight();
    let mut not_options = preflight();
    *not_options.method_mut() = Method::GET;
    let mut without_origin = preflight();
    without_origin.headers_mut().remove(header::ORIGIN);
    let mut without_method = preflight();
    without_method
        .headers_mut()
        .remove(header::ACCESS_CONTROL_REQUEST_METHOD);
    for request in [not_options, without_origin, without_method] {
        assert_refused(&ask_behind(&open, request).await, 401, None);
    }
    let mut with_bad_token = preflight();
    with_bad_token
        .headers_mut()
        .insert(header::AUTHORIZATION, "Bearer nope".parse().unwrap());
    assert_refused(&ask_behind(&open, with_bad_token).await, 401, Some("invalid_token"));
}

#[tokio::test]
async fn a_guard_lets_a_preflight_pass_only_as_the_method_it_is() {
    let rewritten = tower::util::MapRequestLayer::new(|mut request: Request<Full<Bytes>>| {
        *request.method_mut() = Method::DELETE;
        request
    });
    let service = ServiceBuilder::new()
        .layer(protector().allow_cors_preflight())
        .layer(rewritten)
        .layer(require_scope("admin"))
        .service_fn(hello);
    assert_refused(&ask(service, preflight()).await, 401, None);
}

#[tokio::test]
async fn an_inner_protector_forgets_what_an_outer_one_found() {
    let handler = |request: Request<Full<Bytes>>| async move {
        let found = (
            request.extensions().get::<CurrentToken>().is_some(),
            request.extensions().get::<Anonymous>().is_some(),
        );
        assert_eq!(found, (true, false));
        hello(request).await
    };
    let service = ServiceBuilder::new()
        .layer(protector().optional())
        .layer(protector())
        .service_fn(handler);
    assert_eq!(ask(service, request(&["Bearer a1"])).await.status(), 200);

    let mut planted = request(&[]);
    let token = CurrentToken::vouch_for(&serde_json::json!({ "sub": "eve", "scope": "profile" })).unwrap();
    planted.extensions_mut().insert(token);
    let service = protector().optional().layer(tower::service_fn(hello));
    assert_eq!(ask(service, planted).await.body().as_ref(), b"anonymous");
}
