//! Tokens in other places than the `Authorization` field: what is asked for, and what is answered. Forms have a file of
//! their own.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, header, request::Builder};
use http_body_util::Full;
use resource_protector::{Rejection, RejectionKind, Requirement, ResourceProtectorLayer, SetupError, require_scope};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceBuilder};

use crate::support::{Known, Reply, ask, ask_behind, assert_refused, challenge, hello, preflight, protector, request};

const COOKIE: (&str, &str) = ("cookie", "__Host-token=a1");

fn everywhere() -> ResourceProtectorLayer {
    protector()
        .token_in_header("X-Access-Token")
        .and_then(|layer| layer.token_in_websocket_protocol("bearer."))
        .and_then(|layer| layer.token_in_cookie("__Host-token", ["https://app.test"]))
        .unwrap()
        .dangerous_token_in_uri_query()
}

fn asked(method: Method, uri: &str, fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(uri);
    let request = fields
        .iter()
        .fold(request, |request: Builder, (name, value)| request.header(*name, *value));
    request.body(Full::default()).unwrap()
}

fn get(fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    asked(Method::GET, "/me", fields)
}

fn post(fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    asked(Method::POST, "/me", fields)
}

fn handshake(fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
    ];
    get(&[&upgrade, fields].concat())
}

/// One request for each place, with this token.
fn in_each_place(token: &str) -> [Request<Full<Bytes>>; 5] {
    [
        get(&[("authorization", &format!("Bearer {token}"))]),
        get(&[("x-access-token", token)]),
        handshake(&[("sec-websocket-protocol", &format!("chat, bearer.{token}"))]),
        asked(Method::GET, &format!("/me?access_token={token}"), &[]),
        get(&[("cookie", &format!("__Host-token={token}"))]),
    ]
}

/// The refusal of a cookie that somebody else's page may have sent.
#[track_caller]
fn assert_cross_site(reply: &Reply) {
    assert_eq!(reply.status(), 403);
    assert_eq!(
        reply.extensions().get::<Rejection>().unwrap().kind(),
        RejectionKind::CrossSite
    );
    assert!(!reply.headers().contains_key(header::WWW_AUTHENTICATE));
    assert_eq!(reply.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(reply.headers()[header::CONTENT_TYPE], "application/json");
    let body: Value = serde_json::from_slice(reply.body()).unwrap();
    assert_eq!(
        body,
        json!({ "error": "access_denied", "error_description": "The request was not sent by a page of this service" })
    );
}

#[tokio::test]
async fn a_token_enters_from_every_place_that_is_enabled_and_from_no_other() {
    for request in in_each_place("a1") {
        let reply = ask_behind(&everywhere(), request).await;
        assert_eq!(
            (reply.status().as_u16(), reply.body().as_ref()),
            (200, b"alice".as_slice())
        );
    }
    let known = Known::new();
    let layer = ResourceProtectorLayer::new(known.clone());
    for request in in_each_place("a1").into_iter().skip(1) {
        assert_refused(&ask_behind(&layer, request).await, 401, None);
    }
    assert_eq!(known.asked(), 0);
}

#[tokio::test]
async fn a_token_is_judged_alike_wherever_it_stands() {
    for (token, status, error) in [
        ("nope", 401, "invalid_token"),
        ("exp", 401, "invalid_token"),
        ("bound", 401, "invalid_token"),
        ("noscope", 403, "insufficient_scope"),
        ("down", 503, "temporarily_unavailable"),
        ("broken", 500, "server_error"),
        ("?", 400, "invalid_request"),
    ] {
        let layer = everywhere().requiring(Requirement::scope("profile").unwrap());
        for request in in_each_place(token) {
            assert_refused(&ask_behind(&layer, request).await, status, Some(error));
        }
    }
}

#[tokio::test]
async fn tokens_in_two_places_are_400_and_nobody_is_asked() {
    let known = Known::new();
    let layer = ResourceProtectorLayer::new(known.clone())
        .token_in_header("X-Access-Token")
        .unwrap()
        .dangerous_token_in_uri_query();
    for (uri, fields) in [
        ("/me?access_token=a1", &[("authorization", "Bearer a1")][..]),
        ("/me?access_token=a1", &[("x-access-token", "a1")]),
        ("/me", &[("authorization", "Bearer a1"), ("x-access-token", "a1")]),
        ("/me", &[("x-access-token", "a1"), ("x-access-token", "a1")]),
        ("/me?access_token=a1&access_token=a1", &[]),
    ] {
        let reply = ask_behind(&layer, asked(Method::GET, uri, fields)).await;
        assert_refused(&reply, 400, Some("invalid_request"));
    }
    assert_eq!(known.asked(), 0);
}

#[tokio::test]
async fn bad_credentials_in_one_place_are_not_made_good_by_another() {
    let known = Known::new();
    let layer = ResourceProtectorLayer::new(known.clone()).dangerous_token_in_uri_query();
    for field in ["Bearer", "Bearer ?", "Bearer nope", "Basic YTpi", "DPoP a1"] {
        let request = asked(Method::GET, "/me?access_token=a1", &[("authorization", field)]);
        assert_refused(&ask_behind(&layer, request).await, 400, Some("invalid_request"));
    }
    assert_eq!(known.asked(), 0);
}

#[tokio::test]
async fn any_authorization_field_decides_alone_and_the_cookie_is_not_looked_at() {
    for (field, status) in [
        ("Bearer nope", 401),
        ("Bearer", 400),
        ("Basic YTpi", 401),
        ("", 401),
        ("Bearer both", 200),
    ] {
        let reply = ask_behind(&everywhere(), get(&[("authorization", field), COOKIE])).await;
        assert_eq!(reply.status(), status, "{field}");
    }
    // Nor is it asked who sent it.
    let reply = ask_behind(&everywhere(), post(&[("authorization", "Bearer a1"), COOKIE])).await;
    assert_eq!(reply.status(), 200);
    let reply = ask_behind(&everywhere().optional(), post(&[("authorization", ""), COOKIE])).await;
    assert_eq!(reply.body().as_ref(), b"anonymous");
}

#[tokio::test]
async fn a_cookie_enters_with_a_safe_method_whoever_sent_it() {
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
        let request = asked(method, "/me", &[COOKIE, ("sec-fetch-site", "cross-site")]);
        assert_eq!(ask_behind(&everywhere(), request).await.status(), 200);
    }
}

#[tokio::test]
async fn a_cookie_with_an_unsafe_method_needs_a_page_of_our_own() {
    let known = Known::new();
    let layer = ResourceProtectorLayer::new(known.clone())
        .token_in_cookie("__Host-token", ["https://app.test"])
        .unwrap();
    let methods = ["POST", "PUT", "PATCH", "DELETE", "get", "PROPFIND"];
    for method in methods.map(|method| method.parse::<Method>().unwrap()) {
        for foreign in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://evil.test")],
            &[("origin", "null")],
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")],
            &[("referer", "https://app.test/")],
        ] {
            let request = asked(method.clone(), "/me", &[&[COOKIE], foreign].concat());
            assert_cross_site(&ask_behind(&layer, request).await);
        }
    }
    assert_eq!(known.asked(), 0);
    for own in [
        &[("sec-fetch-site", "same-origin")][..],
        &[("origin", "https://app.test")],
        &[("origin", "https://app.test"), ("sec-fetch-site", "same-site")],
        &[("origin", "https://api.test"), ("sec-fetch-site", "same-origin")],
    ] {
        let reply = ask_behind(&layer, post(&[&[COOKIE], own].concat())).await;
        assert_eq!(reply.status(), 200, "{own:?}");
    }
}

#[tokio::test]
async fn cross_site_websocket_hijacking_is_refused() {
    for foreign in [
        &[][..],
        &[("origin", "https://evil.test")],
        &[("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")],
    ] {
        let reply = ask_behind(&everywhere(), handshake(&[&[COOKIE], foreign].concat())).await;
        assert_cross_site(&reply);
        let other = [&[COOKIE, ("upgrade", "h2c")], foreign].concat();
        assert_cross_site(&ask_behind(&everywhere(), get(&other)).await);
        let extended = asked(Method::CONNECT, "https://api.test/me", &[&[COOKIE], foreign].concat());
        assert_cross_site(&ask_behind(&everywhere(), extended).await);
    }
    let own = handshake(&[COOKIE, ("origin", "https://app.test")]);
    assert_eq!(ask_behind(&everywhere(), own).await.status(), 200);
}

#[tokio::test]
async fn an_optional_protector_lets_no_cookie_pass_as_anonymous() {
    let optional = everywhere().optional();
    assert_cross_site(&ask_behind(&optional, post(&[COOKIE])).await);
    let reply = ask_behind(&optional, get(&[("cookie", "__Host-token=nope")])).await;
    assert_refused(&reply, 401, Some("invalid_token"));
    let reply = ask_behind(&optional, post(&[("cookie", "__Host-token=")])).await;
    assert_eq!(reply.body().as_ref(), b"anonymous");
}

#[tokio::test]
async fn a_cross_site_refusal_is_permission_denied_in_grpc() {
    let mut request = post(&[COOKIE, ("content-type", "application/grpc")]);
    *request.version_mut() = http::Version::HTTP_2;
    let reply = ask_behind(&everywhere(), request).await;
    assert_eq!(
        (reply.status().as_u16(), &reply.headers()["grpc-status"]),
        (200, &"7".parse().unwrap())
    );
    assert!(!reply.headers().contains_key(header::WWW_AUTHENTICATE));
}

/// Asks a service whose answers are for every cache.
async fn cache_control(request: Request<Full<Bytes>>) -> Vec<String> {
    let cached = tower::util::MapResponseLayer::new(|mut response: Response<_>| {
        let value = "public, max-age=60, s-maxage=600".parse().unwrap();
        response.headers_mut().insert(header::CACHE_CONTROL, value);
        response
    });
    let service = ServiceBuilder::new()
        .layer(everywhere())
        .layer(cached)
        .service_fn(hello);
    let reply = ask(service, request).await;
    assert_eq!(reply.status(), 200);
    let fields = reply.headers().get_all(header::CACHE_CONTROL).iter();
    fields.map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_shared_caches_take_for_a_public_answer_is_made_private() {
    let [authorization, others @ ..] = in_each_place("a1");
    for request in others {
        assert_eq!(cache_control(request).await, ["private, max-age=60"]);
    }
    // Of this one they know it (RFC 9111 §3.5), and what the service says is said knowingly.
    assert_eq!(cache_control(authorization).await, ["public, max-age=60, s-maxage=600"]);
    for request in in_each_place("a1").into_iter().skip(1) {
        let reply = ask_behind(&everywhere(), request).await;
        assert_eq!(reply.headers()[header::CACHE_CONTROL], "private");
    }
    let reply = ask_behind(&everywhere(), request(&["Bearer a1"])).await;
    assert!(!reply.headers().contains_key(header::CACHE_CONTROL));
}

#[tokio::test]
async fn a_guards_refusal_of_a_cookie_stays_out_of_caches() {
    let service = || {
        ServiceBuilder::new()
            .layer(everywhere())
            .layer(require_scope("admin"))
            .service_fn(hello)
    };
    for request in in_each_place("a1") {
        assert_refused(&ask(service(), request).await, 403, Some("insufficient_scope"));
    }
    let replaced = everywhere().replace_refusals(|_, mut response| {
        let value = "public, max-age=60".parse().unwrap();
        response.headers_mut().insert(header::CACHE_CONTROL, value);
        response
    });
    let service = ServiceBuilder::new()
        .layer(replaced)
        .layer(require_scope("admin"))
        .service_fn(hello);
    let reply = ask(service, get(&[COOKIE])).await;
    assert_eq!(reply.headers()[header::CACHE_CONTROL], "private, max-age=60");
}

#[tokio::test]
async fn optional_tells_caches_of_every_header_that_is_looked_at() {
    for request in [get(&[]), get(&[COOKIE])] {
        let reply = ask_behind(&everywhere().optional(), request).await;
        let fields: Vec<_> = reply.headers().get_all(header::VARY).iter().collect();
        assert_eq!(fields, ["authorization", "x-access-token", "cookie"]);
    }
}

#[tokio::test]
async fn the_token_is_not_among_the_subprotocols_that_the_service_sees() {
    let handler = |request: Request<Full<Bytes>>| async move {
        assert_eq!(request.headers()[header::SEC_WEBSOCKET_PROTOCOL], "chat, v2");
        hello(request).await
    };
    let service = everywhere().layer(tower::service_fn(handler));
    let request = handshake(&[("sec-websocket-protocol", "chat, bearer.a1, v2")]);
    assert_eq!(ask(service, request).await.status(), 200);
}

#[tokio::test]
async fn the_handler_sees_no_token_in_what_it_logs_of_the_headers() {
    let handler = |request: Request<Full<Bytes>>| async move {
        assert!(!format!("{:?}", request.headers()).contains("both"));
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    };
    let [_, header, websocket, _, cookie] = in_each_place("both");
    for request in [header, websocket, cookie] {
        let service = everywhere().layer(tower::service_fn(handler));
        assert_eq!(ask(service, request).await.status(), 200);
    }
}

#[tokio::test]
async fn the_length_of_a_token_is_limited_wherever_it_stands() {
    let layer = everywhere().max_authorization_length("Bearer a1".len());
    for request in in_each_place("a1") {
        assert_eq!(ask_behind(&layer, request).await.status(), 200);
    }
    for request in in_each_place("aaaaaaaaaa") {
        assert_refused(&ask_behind(&layer, request).await, 400, Some("invalid_request"));
    }
}

#[tokio::test]
async fn a_preflight_has_no_cookie_and_one_that_has_is_judged() {
    let open = everywhere().allow_cors_preflight();
    assert_eq!(ask_behind(&open, preflight()).await.body().as_ref(), b"anonymous");
    let mut with_cookie = preflight();
    with_cookie
        .headers_mut()
        .insert(header::COOKIE, "__Host-token=nope".parse().unwrap());
    assert_refused(&ask_behind(&open, with_cookie).await, 401, Some("invalid_token"));
}

#[tokio::test]
async fn the_challenge_is_the_same_whatever_else_is_looked_at() {
    let reply = ask_behind(&everywhere(), get(&[])).await;
    assert_refused(&reply, 401, None);
    assert_eq!(challenge(&reply), r#"Bearer realm="api""#);
}

#[tokio::test]
async fn an_inner_protector_judges_the_same_credentials() {
    let names: [HeaderName; 2] = [HeaderName::from_static("x-access-token"), header::COOKIE];
    for (name, value) in names.into_iter().zip(["a1", "__Host-token=a1"]) {
        let service = ServiceBuilder::new()
            .layer(everywhere())
            .layer(everywhere())
            .service_fn(hello);
        assert_eq!(ask(service, get(&[(name.as_str(), value)])).await.status(), 200);
    }
}

#[test]
fn a_place_that_cannot_be_is_a_setup_error_that_names_the_option() {
    let option = |layer: Result<ResourceProtectorLayer, SetupError>| layer.unwrap_err().option();
    assert_eq!(option(protector().token_in_header("Cookie")), "token_in_header");
    assert_eq!(option(everywhere().token_in_header("X-Other")), "token_in_header");
    assert_eq!(
        option(protector().token_in_websocket_protocol("a b")),
        "token_in_websocket_protocol"
    );
    assert_eq!(
        option(everywhere().token_in_websocket_protocol("x.")),
        "token_in_websocket_protocol"
    );
    assert_eq!(option(protector().token_in_cookie("a b", [""; 0])), "token_in_cookie");
    assert_eq!(
        option(protector().token_in_cookie("a", ["https://a.test/"])),
        "token_in_cookie"
    );
    assert_eq!(option(everywhere().token_in_cookie("b", [""; 0])), "token_in_cookie");
}
