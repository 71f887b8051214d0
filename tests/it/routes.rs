//! Path spellings × methods × tokens, against what a person reading the configuration expects.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, Uri, header};
use http_body_util::Full;
use resource_protector::{
    Anonymous, CurrentToken, ResourceProtectorLayer,
    config::{ConfigError, ProtectorConfig, RoutesLayer},
};
use tokio::sync::Semaphore;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _};

use crate::support::{Gated, Known, Reply, Strict, ask, assert_refused, challenge, hello, protector, request};

const RESOURCE: &str = r#"
[resource]
identifier = "https://api.test"

[[issuer]]
issuer = "https://auth.test"
kind = "jwt"
"#;

const ROUTES: &str = r#"
[[route]]
path = "/open"
public = true

[[route]]
path = "/me"
methods = ["GET"]
scope = "profile"

[[route]]
path = "/me/"
methods = ["PUT", "DELETE"]
scope = "profile email"

[[route]]
path = "/me/photo"
any_scope = ["admin", "profile email"]

[[route]]
path = "/maybe"
optional = true
scope = "email"

[[route]]
path = "/café au lait"
scope = "email"
"#;

/// What a path is, whoever spells it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Open,
    Me,
    Photo,
    Maybe,
    Cafe,
    /// No route names it.
    Elsewhere,
    /// Somebody may read it as another path.
    Unclear,
}

use Place::{Cafe, Elsewhere, Maybe, Me, Open, Photo, Unclear};

const SPELLINGS: [(&str, Place); 91] = [
    ("/open", Open),
    ("/open/", Open),
    ("/open/x/y", Open),
    ("/op%65n", Open),
    ("/open?token=/me", Open),
    ("/open/%F0%9F%A6%80", Open),
    ("/open/a%20b%0a%7F", Open),
    ("/open/..x/...", Open),
    ("http://api.test/open", Open),
    ("/me", Me),
    ("/me/", Me),
    ("/me?x=//../%2e", Me),
    ("/%6de", Me),
    ("/%6D%65/", Me),
    ("/me/photos", Me),
    ("/me/Photo", Me),
    ("/me/x/photo", Me),
    ("/me/%70hot", Me),
    ("/me/photo", Photo),
    ("/me/photo/", Photo),
    ("/me/photo/1", Photo),
    ("/me/%70hoto", Photo),
    ("/me/photo/me", Photo),
    ("/maybe", Maybe),
    ("/maybe/x", Maybe),
    ("/caf%C3%A9%20au%20lait", Cafe),
    ("/caf%c3%a9%20au%20lait/x", Cafe),
    ("/", Elsewhere),
    ("/m", Elsewhere),
    ("/meow", Elsewhere),
    ("/ME", Elsewhere),
    ("/Me", Elsewhere),
    ("/%4De", Elsewhere),
    ("/opened", Elsewhere),
    ("/Open", Elsewhere),
    ("/x/open", Elsewhere),
    ("/open%20", Elsewhere),
    ("/open%3F", Elsewhere),
    ("/open%23", Elsewhere),
    ("/open%00", Unclear),
    ("/open:", Elsewhere),
    ("/open,x", Elsewhere),
    ("/open@", Elsewhere),
    ("/open%0A", Elsewhere),
    ("/.open", Elsewhere),
    ("/open.", Elsewhere),
    // The composed é only; another spelling is another path.
    ("/cafe%CC%81%20au%20lait", Elsewhere),
    ("/caf%E9%20au%20lait", Unclear),
    ("/café%20au%20lait", Unclear),
    ("//", Unclear),
    ("//open", Unclear),
    ("/open//", Unclear),
    ("/open//me", Unclear),
    ("///me", Unclear),
    ("/me//photo", Unclear),
    ("/.", Unclear),
    ("/./", Unclear),
    ("/..", Unclear),
    ("/open/.", Unclear),
    ("/open/..", Unclear),
    ("/open/../me", Unclear),
    ("/open/./me", Unclear),
    ("/open/%2e%2e/me", Unclear),
    ("/open/%2E./me", Unclear),
    ("/open/.%2e/me", Unclear),
    ("/open/x%2Ey", Unclear),
    ("/open%2Fme", Unclear),
    ("/open%2fme", Unclear),
    ("/open/..%2fme", Unclear),
    ("/open/%2e%2e%2fme", Unclear),
    ("/open%5Cme", Unclear),
    ("/open%5c..%5cme", Unclear),
    ("/open\\me", Unclear),
    ("/open;/me", Unclear),
    ("/open;x=1", Unclear),
    ("/me;x", Unclear),
    ("/..;/me", Unclear),
    ("/open%3B", Unclear),
    ("/open%3b/..", Unclear),
    ("/%2565", Unclear),
    ("/op%2565n", Unclear),
    ("/open/%252e%252e/me", Unclear),
    ("/open/%25", Unclear),
    ("/open/%", Unclear),
    ("/open/%4", Unclear),
    ("/open/%zz", Unclear),
    ("/open/%+1", Unclear),
    ("/open/%u002e", Unclear),
    ("/open/%c0%ae%c0%ae/me", Unclear),
    ("/open/%ed%a0%80", Unclear),
    ("*", Unclear),
];

const METHODS: [&str; 9] = [
    "GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", "TRACE", "get",
];

/// No token, one with `profile`, one with `profile email`, one without scope, one that is expired, one nobody knows.
const TOKENS: [Option<&str>; 6] = [
    None,
    Some("a1"),
    Some("both"),
    Some("noscope"),
    Some("exp"),
    Some("unknown"),
];

/// What a person expects who reads `ROUTES`: the status.
fn expected(place: Place, method: &str, token: Option<&str>) -> u16 {
    let (profile, email) = match token {
        Some("a1") => (true, false),
        Some("both") => (true, true),
        _ => (false, false),
    };
    let is_good = matches!(token, Some("a1" | "both" | "noscope"));
    let enough = match place {
        Unclear => return 400,
        Open => return 200,
        Maybe if token.is_none() => return 200,
        Me => match method {
            "GET" | "HEAD" => profile,
            "PUT" | "DELETE" => profile && email,
            _ => return 405,
        },
        Photo => profile && email,
        Maybe | Cafe => email,
        Elsewhere => true,
    };
    match (is_good, enough) {
        (false, _) => 401,
        (true, false) => 403,
        (true, true) => 200,
    }
}

fn config(routes: &str) -> ProtectorConfig {
    ProtectorConfig::from_toml(&format!("{RESOURCE}{routes}")).unwrap()
}

fn routes() -> RoutesLayer {
    config(ROUTES).routes(protector()).unwrap()
}

fn asking(method: &str, uri: &str, token: Option<&str>) -> Request<Full<Bytes>> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut request = request(bearer.as_deref().as_slice());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *request.uri_mut() = uri.parse().unwrap();
    request
}

async fn reply(routes: &RoutesLayer, request: Request<Full<Bytes>>) -> Reply {
    ask(routes.layer(tower::service_fn(hello)), request).await
}

/// An answer of the routes themselves: JSON, no challenge, nothing of the request.
#[track_caller]
fn assert_turned_away(reply: &Reply, status: u16) {
    assert_eq!(reply.status(), status);
    assert_eq!(reply.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(reply.headers()[header::CONTENT_TYPE], "application/json");
    assert!(!reply.headers().contains_key(header::WWW_AUTHENTICATE));
    assert_eq!(reply.headers().contains_key(header::ALLOW), status == 405);
    let body: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
    assert_eq!(body["error"], "invalid_request");
    assert!(body["error_description"].as_str().unwrap().len() > 10);
}

#[tokio::test]
async fn every_spelling_with_every_method_and_token_is_judged_by_its_route() {
    let routes = routes();
    for (spelling, place) in SPELLINGS {
        for method in METHODS {
            for token in TOKENS {
                let reply = reply(&routes, asking(method, spelling, token)).await;
                let expected = expected(place, method, token);
                assert_eq!(reply.status(), expected, "{method} {spelling} with {token:?}");
                match expected {
                    400 => assert_turned_away(&reply, 400),
                    405 => {
                        assert_turned_away(&reply, 405);
                        assert_eq!(reply.headers()[header::ALLOW], "DELETE, GET, HEAD, PUT");
                    }
                    401 if token.is_none() => assert_refused(&reply, 401, None),
                    401 => assert_refused(&reply, 401, Some("invalid_token")),
                    403 => assert_refused(&reply, 403, Some("insufficient_scope")),
                    _ => {
                        let is_known = token.is_some() && place != Open;
                        assert_eq!(reply.body(), if is_known { "alice" } else { "anonymous" });
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_request_without_a_path_is_refused() {
    let routes = config("[[route]]\npath = \"/\"\npublic = true")
        .routes(protector())
        .unwrap();
    for uri in ["*", "api.test:443"] {
        assert_turned_away(&reply(&routes, asking("OPTIONS", uri, Some("both"))).await, 400);
        assert_turned_away(&reply(&routes, asking("CONNECT", uri, Some("both"))).await, 400);
    }
    assert_eq!(
        reply(&routes, asking("GET", "/whatever/it/is", None)).await.status(),
        200
    );
}

#[tokio::test]
async fn without_routes_every_path_needs_a_valid_token_and_no_scope() {
    let routes = config("").routes(protector()).unwrap();
    for (token, status) in [(None, 401), (Some("noscope"), 200), (Some("exp"), 401)] {
        assert_eq!(reply(&routes, asking("GET", "/x", token)).await.status(), status);
    }
    assert_turned_away(&reply(&routes, asking("GET", "/a/../b", Some("both"))).await, 400);
}

#[tokio::test]
async fn a_route_of_the_root_covers_all_that_no_longer_one_names() {
    let text = "[[route]]\npath = \"/\"\nscope = \"email\"\n[[route]]\npath = \"/open/me\"\npublic = true";
    let routes = config(text).routes(protector()).unwrap();
    for (path, status) in [
        ("/", 401),
        ("/open", 401),
        ("/open/me", 200),
        ("/open/me/x", 200),
        ("/open/men", 401),
    ] {
        assert_eq!(
            reply(&routes, asking("GET", path, None)).await.status(),
            status,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_challenge_names_what_the_route_demands() {
    let routes = routes();
    let named = async |path: &str| challenge(&reply(&routes, asking("GET", path, None)).await).to_owned();
    assert_eq!(named("/me").await, r#"Bearer realm="api", scope="profile""#);
    assert_eq!(named("/me/photo").await, r#"Bearer realm="api", scope="admin""#);
    assert_eq!(named("/elsewhere").await, r#"Bearer realm="api""#);
}

#[tokio::test]
async fn scope_and_any_scope_must_both_hold() {
    let text = "[[route]]\npath = \"/\"\nscope = \"profile\"\nany_scope = [\"admin\", \"email\"]";
    let routes = config(text).routes(protector()).unwrap();
    for (token, status) in [("a1", 403), ("both", 200), ("noscope", 403)] {
        assert_eq!(
            reply(&routes, asking("GET", "/", Some(token))).await.status(),
            status,
            "{token}"
        );
    }
}

#[tokio::test]
async fn allow_lists_the_methods_of_all_routes_of_the_path_and_head_where_get_is() {
    let text = "[[route]]\npath = \"/a\"\nmethods = [\"PUT\"]\n[[route]]\npath = \"/a/\"\nmethods = [\"MOVE\", \"POST\"]\n\
                [[route]]\npath = \"/a/b\"\nmethods = [\"GET\", \"HEAD\"]";
    let routes = config(text).routes(protector()).unwrap();
    for (path, allow) in [
        ("/a", "MOVE, POST, PUT"),
        ("/a/c", "MOVE, POST, PUT"),
        ("/a/b", "GET, HEAD"),
    ] {
        let reply = reply(&routes, asking("DELETE", path, Some("both"))).await;
        assert_turned_away(&reply, 405);
        assert_eq!(reply.headers()[header::ALLOW], allow);
    }
    assert_eq!(reply(&routes, asking("MOVE", "/a/", Some("a1"))).await.status(), 200);
}

#[tokio::test]
async fn an_optional_route_varies_by_authorization() {
    let reply = reply(&routes(), asking("GET", "/maybe", None)).await;
    assert_eq!(reply.headers()[header::VARY], "authorization");
}

#[tokio::test]
async fn a_public_route_asks_no_validator_and_shows_no_identity_of_an_outer_layer() {
    let known = Known::new();
    let routes = config(ROUTES)
        .routes(ResourceProtectorLayer::new(known.clone()))
        .unwrap();
    let look = |request: Request<Full<Bytes>>| async move {
        let (token, anonymous) = (
            request.extensions().get::<CurrentToken>().is_some(),
            request.extensions().get::<Anonymous>().is_some(),
        );
        assert!(request.headers()[header::AUTHORIZATION].is_sensitive());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(format!("{token} {anonymous}"))))
    };
    let service = routes.layer(tower::service_fn(look));
    let mut request = asking("GET", "/open", Some("exp"));
    request.extensions_mut().insert(Anonymous::Preflight);
    request
        .extensions_mut()
        .insert(CurrentToken::vouch_for(&serde_json::json!({ "sub": "mallory" })).unwrap());
    assert_eq!(ask(service, request).await.body(), "false false");
    assert_eq!(known.asked(), 0);
}

#[tokio::test]
async fn a_public_route_hides_the_tokens_that_it_does_not_look_at() {
    let protector = ResourceProtectorLayer::new(Known::new())
        .token_in_header("X-Access-Token")
        .and_then(|protector| protector.token_in_cookie("token", ["https://app.test"]))
        .and_then(|protector| protector.token_in_websocket_protocol("bearer."))
        .unwrap();
    let look = |request: Request<Full<Bytes>>| async move {
        for name in ["authorization", "x-access-token", "cookie", "sec-websocket-protocol"] {
            assert!(
                request.headers()[name].is_sensitive() || name.starts_with("sec-"),
                "{name}"
            );
        }
        assert_eq!(request.headers()[header::SEC_WEBSOCKET_PROTOCOL], "chat");
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    };
    let service = config(ROUTES).routes(protector).unwrap().layer(tower::service_fn(look));
    let mut request = asking("GET", "/open", Some("a1"));
    for (name, value) in [
        ("x-access-token", "a1"),
        ("cookie", "token=a1"),
        ("sec-websocket-protocol", "chat, bearer.a1"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(ask(service, request).await.status(), 200);
}

#[tokio::test]
async fn all_routes_share_one_validator() {
    let known = Known::new();
    let routes = config(ROUTES)
        .routes(ResourceProtectorLayer::new(known.clone()))
        .unwrap();
    for path in ["/me", "/me/photo", "/maybe", "/elsewhere"] {
        reply(&routes, asking("GET", path, Some("both"))).await;
    }
    assert_eq!(known.asked(), 4);
    reply(&routes, asking("POST", "/me", Some("both"))).await;
    reply(&routes, asking("GET", "/me//", Some("both"))).await;
    assert_eq!(known.asked(), 4, "nothing is asked about a request that has no route");
}

#[tokio::test]
async fn only_a_service_that_was_polled_ready_is_called() {
    let calls = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Semaphore::new(1));
    let routes = config(ROUTES).routes(ResourceProtectorLayer::new(Gated(gate))).unwrap();
    let mut service = routes.layer(Strict::new(calls.clone()));
    for (path, token, status) in [
        ("/open", None, 200),
        ("/x", Some("known"), 200),
        ("/x", Some("slow"), 200),
        ("/x", None, 401),
        ("/open//", None, 400),
        ("/me", None, 401),
        ("/open", Some("slow"), 200),
        ("/maybe", None, 200),
        ("/x", Some("slow"), 200),
    ] {
        let ready = service.ready().await.unwrap();
        let response = ready.call(asking("GET", path, token)).await.unwrap();
        assert_eq!(response.status(), status, "{path} {token:?}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_slow_authorization_server_and_refused_requests_hold_no_capacity() {
    let gate = Arc::new(Semaphore::new(0));
    let routes = config(ROUTES)
        .routes(ResourceProtectorLayer::new(Gated(gate.clone())))
        .unwrap();
    let mut service = ServiceBuilder::new()
        .layer(routes)
        .concurrency_limit(1)
        .service_fn(hello);
    let slow = tokio::spawn(service.ready().await.unwrap().call(asking("GET", "/x", Some("slow"))));
    // Refused, and their futures kept.
    let unpolled: Vec<_> = futures(&mut service, ["/x", "/open//", "/me"]).await;
    for path in ["/open", "/x", "/open"] {
        let ready = service.ready().await.unwrap();
        let reply = ready.call(asking("GET", path, Some("known"))).await.unwrap();
        assert_eq!(reply.status(), 200);
    }
    drop(unpolled);
    gate.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap().status(), 200);
}

/// Calls the service with each path and without a token, and does not wait for the answers.
async fn futures<S: Service<Request<Full<Bytes>>>>(service: &mut S, paths: [&str; 3]) -> Vec<S::Future>
where
    S::Error: std::fmt::Debug,
{
    let mut futures = Vec::new();
    for path in paths {
        let ready = tokio::time::timeout(std::time::Duration::from_secs(5), service.ready()).await;
        futures.push(ready.expect("ready in time").unwrap().call(asking("GET", path, None)));
    }
    futures
}

#[tokio::test]
async fn an_error_of_the_service_is_passed_on() {
    #[derive(Clone)]
    struct Closed;
    impl Service<Request<Full<Bytes>>> for Closed {
        type Response = Response<Full<Bytes>>;
        type Error = &'static str;
        type Future = std::future::Ready<Result<Self::Response, &'static str>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
            std::future::ready(Err("closed"))
        }
    }
    for path in ["/open", "/x"] {
        let answer = routes().layer(Closed).oneshot(asking("GET", path, Some("both"))).await;
        assert_eq!(answer.err(), Some("closed"));
    }
}

#[test]
fn an_error_in_a_route_names_its_key() {
    let error = |routes: &str| -> ConfigError { config(routes).routes(protector()).unwrap_err() };
    assert_eq!(error("[[route]]\npath = \"me\"").key(), "route[0].path");
    let again = "[[route]]\npath = \"/a\"\n[[route]]\npath = \"/a/\"";
    let located = error(again).located_in(&format!("{RESOURCE}{again}"));
    assert_eq!((located.key(), located.line()), ("route[1].path", Some(11)));
}

#[test]
fn every_spelling_can_be_sent() {
    for (spelling, _) in SPELLINGS {
        assert!(spelling.parse::<Uri>().is_ok(), "{spelling}");
    }
}
