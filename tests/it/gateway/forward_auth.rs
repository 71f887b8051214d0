//! Asked by another proxy, without an upstream.

use resource_protector::testing::{LoopbackIssuer, TestIssuer};

use super::{API, Gateway, bearer, body, body_json, good, status, values};

const ROUTES: &str = r#"
[[route]]
path = "/me"
methods = ["GET"]
scope = "profile"

[[route]]
path = "/open"
public = true

[[route]]
path = "/maybe"
optional = true
"#;

const IDENTITY: [&str; 5] = [
    "x-auth-subject",
    "x-auth-client-id",
    "x-auth-issuer",
    "x-auth-scopes",
    "x-auth-expires-at",
];

async fn set_up() -> (LoopbackIssuer, Gateway) {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "forward_auth = true", ROUTES).await;
    (issuer, gateway)
}

/// The auth requests of nginx, and of Traefik and Caddy.
fn asked_for(method: &str, uri: &str) -> [[String; 2]; 2] {
    ["Original-Method Original-URI", "Forwarded-Method Forwarded-Uri"].map(|names| {
        let (method_name, uri_name) = names.split_once(' ').unwrap();
        [format!("X-{method_name}: {method}"), format!("X-{uri_name}: {uri}")]
    })
}

#[tokio::test]
async fn the_original_request_is_judged_and_not_the_question() {
    let (issuer, gateway) = set_up().await;
    let weak = issuer.access_token(API).mint();
    for (method, uri, token, expected) in [
        ("GET", "/me", good(&issuer), 200),
        ("GET", "/me?next=/open", good(&issuer), 200),
        ("HEAD", "/me/", good(&issuer), 200),
        ("GET", "/me", weak.clone(), 403),
        ("GET", "/me/x", weak.clone(), 403),
        ("GET", "/%6De", weak.clone(), 403),
        ("POST", "/me", good(&issuer), 405),
        ("GET", "/elsewhere", weak.clone(), 200),
        ("GET", "/me", "nope".to_owned(), 401),
        ("GET", "/open/../me", good(&issuer), 400),
        ("GET", "/open/%2e%2e/me", good(&issuer), 400),
        ("GET", "/open%2Fme", good(&issuer), 400),
        ("GET", "//open", good(&issuer), 400),
    ] {
        for [original_method, original_uri] in asked_for(method, uri) {
            // What the proxy itself asks by and for is no matter: an open path, a method that no route lists.
            for (own_method, own_path) in [("GET", "/open"), ("POST", "/auth"), ("DELETE", "/me")] {
                let headers = [bearer(&token), original_method.clone(), original_uri.clone()];
                let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
                let response = gateway.ask(own_method, own_path, &headers).await;
                assert_eq!(
                    status(&response),
                    expected,
                    "{original_method} {original_uri}: {response}"
                );
                assert_eq!(values(&response, "cache-control"), ["no-store"]);
            }
        }
    }
}

#[tokio::test]
async fn who_is_let_in_is_named_and_who_is_nobody_has_empty_names() {
    let (issuer, gateway) = set_up().await;
    let token = issuer
        .access_token(API)
        .scope("a b")
        .claim("exp", 4_000_000_000_u64)
        .mint();
    for [method, uri] in asked_for("GET", "/maybe") {
        let response = gateway.ask("GET", "/", &[&bearer(&token), &method, &uri]).await;
        let named: Vec<_> = IDENTITY.iter().flat_map(|name| values(&response, name)).collect();
        assert_eq!(named, ["alice", "app", issuer.url(), "a b", "4000000000"]);
        assert_eq!((status(&response), body(&response)), (200, ""));
        assert_eq!(values(&response, "content-length"), ["0"]);
    }
    for path in ["/maybe", "/open"] {
        for [method, uri] in asked_for("PUT", path) {
            let response = gateway.ask("GET", "/", &[&method, &uri, "X-Auth-Subject: root"]).await;
            assert_eq!(status(&response), 200);
            for name in IDENTITY {
                assert_eq!(values(&response, name), [""], "{path} {name}: {response}");
            }
        }
    }
}

#[tokio::test]
async fn refusals_are_those_of_the_routes() {
    let (issuer, gateway) = set_up().await;
    let weak = issuer.access_token(API).mint();
    for [method, uri] in asked_for("GET", "/me") {
        let response = gateway.ask("GET", "/", &[&method, &uri]).await;
        assert_eq!(status(&response), 401);
        assert_eq!(
            values(&response, "www-authenticate"),
            ["Bearer realm=\"test\", scope=\"profile\""]
        );
        let response = gateway.ask("GET", "/", &[&bearer(&weak), &method, &uri]).await;
        assert_eq!(status(&response), 403);
        assert_eq!(body_json(&response)["error"], "insufficient_scope");
        let two = [bearer(&good(&issuer)), bearer(&weak)];
        assert_eq!(
            status(&gateway.ask("GET", "/", &[&two[0], &two[1], &method, &uri]).await),
            400
        );
    }
}

#[tokio::test]
async fn a_question_that_can_be_read_in_two_ways_is_refused() {
    let (issuer, gateway) = set_up().await;
    let authorization = bearer(&good(&issuer));
    for headers in [
        &[] as &[&str],
        &["X-Original-Method: GET"],
        &["X-Original-URI: /open"],
        &["X-Forwarded-Method: GET"],
        &["X-Forwarded-Uri: /open"],
        &["X-Original-Method: GET", "X-Forwarded-Uri: /open"],
        &[
            "X-Original-Method: GET",
            "X-Original-URI: /me",
            "X-Forwarded-Uri: /open",
        ],
        &[
            "X-Original-Method: GET",
            "X-Original-URI: /me",
            "X-Forwarded-Method: GET",
        ],
        &[
            "X-Forwarded-Method: GET",
            "X-Forwarded-Uri: /me",
            "X-Original-URI: /open",
        ],
        &["X-Original-Method: GET", "X-Original-URI: /me", "X-Original-URI: /open"],
        &[
            "X-Original-Method: GET",
            "X-Original-Method: GET",
            "X-Original-URI: /open",
        ],
        &["X-Original-Method:", "X-Original-URI: /open"],
        &["X-Original-Method: G T", "X-Original-URI: /open"],
        &["X-Original-Method: GET", "X-Original-URI:"],
        &["X-Original-Method: GET", "X-Original-URI: open"],
        &["X-Original-Method: GET", "X-Original-URI: ?/open"],
        &["X-Original-Method: GET", "X-Original-URI: http://api.test/open"],
        &["X-Original-Method: GET", "X-Original-URI: /open#/me"],
        &["X-Original-Method: GET", "X-Original-URI: /open /me"],
        // Other headers are trusted no more than in any other mode.
        &["X-Original-Method: GET", "X-Original-URL: /open"],
        &["X-Original-Method: GET", "X-Rewrite-URL: /open"],
        &["X-HTTP-Method-Override: GET", "X-Original-URI: /open"],
        // A proxy overwrites the name it knows and passes this one on.
        &[
            "X-Forwarded-Method: GET",
            "X-Forwarded-Uri: /open",
            "X_Auth_Subject: root",
        ],
        &[
            "X-Original-Method: GET",
            "X-Original-URI: /open",
            "X.Auth-Subject: root",
        ],
    ] {
        let mut headers = headers.to_vec();
        headers.push(&authorization);
        let response = gateway.ask("GET", "/open", &headers).await;
        assert_eq!(status(&response), 400, "{headers:?}: {response}");
        assert!(values(&response, "www-authenticate").is_empty());
    }
}

#[tokio::test]
async fn the_question_of_an_upgrade_or_with_a_body_is_answered() {
    let (issuer, gateway) = set_up().await;
    let [[method, uri], _] = asked_for("GET", "/me");
    let authorization = bearer(&good(&issuer));
    let upgrade = [
        &*authorization,
        &method,
        &uri,
        "Connection: upgrade",
        "Upgrade: websocket",
    ];
    assert_eq!(status(&gateway.ask("GET", "/", &upgrade).await), 200);
    // nginx may hand on the length of a body that it does not send.
    let length = [&*authorization, &method, &uri, "Content-Length: 5"];
    assert_eq!(status(&gateway.ask("GET", "/", &length).await), 200);
}
