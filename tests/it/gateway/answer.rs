//! The gateway alone, without an upstream.

use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use resource_protector::testing::TestIssuer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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

#[tokio::test]
async fn alone_it_says_what_was_asked_for_and_by_whom_for_both_kinds_of_token() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "", ROUTES).await;
    let jwt = issuer
        .access_token(API)
        .scope("profile email")
        .claim("exp", 4_000_000_000_u64)
        .mint();
    let opaque = issuer
        .opaque_token(API)
        .scope("profile email")
        .claim("exp", 4_000_000_000_u64)
        .mint();
    for token in [jwt, opaque] {
        let response = gateway.get("/me?a=b", &token).await;
        assert_eq!(status(&response), 200, "{response}");
        assert_eq!(values(&response, "content-type"), ["application/json"]);
        assert_eq!(values(&response, "cache-control"), ["no-store"]);
        let mut answer = body_json(&response);
        let claims = answer["token"]["claims"].take();
        assert_eq!(
            answer,
            json!({
                "method": "GET",
                "path": "/me",
                "token": {
                    "subject": "alice",
                    "client_id": "app",
                    "issuer": issuer.url(),
                    "scopes": ["profile", "email"],
                    "expires_at": 4_000_000_000_u64,
                    "claims": null,
                },
            })
        );
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!("alice"), &json!(API)));
        assert_eq!(claims["scope"], "profile email");
    }
    assert_eq!(issuer.requests("/introspect"), 1);
}

#[tokio::test]
async fn what_a_token_does_not_say_is_null() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "", "").await;
    let mut bare = issuer.opaque_token(API);
    for claim in ["sub", "client_id", "exp", "scope"] {
        bare = bare.without(claim);
    }
    let answer = body_json(&gateway.get("/", &bare.mint()).await);
    for member in ["subject", "client_id", "expires_at"] {
        assert_eq!(answer["token"].get(member), Some(&Value::Null), "{member}");
    }
    assert_eq!(answer["token"]["scopes"], json!([]));
}

#[tokio::test]
async fn without_a_token_the_token_is_null() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "", ROUTES).await;
    for path in ["/open", "/maybe", "/open/deeper"] {
        let answer = body_json(&gateway.ask("PUT", path, &[]).await);
        assert_eq!(answer, json!({ "method": "PUT", "path": path, "token": null }));
    }
    let answer = body_json(&gateway.get("/maybe", &good(&issuer)).await);
    assert_eq!(answer["token"]["subject"], "alice");
    assert_eq!(status(&gateway.get("/maybe", "nope").await), 401);
}

#[tokio::test]
async fn the_path_is_given_as_it_was_sent() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "", "").await;
    let answer = body_json(&gateway.get("/caf%C3%A9/%41/?x=/../", &good(&issuer)).await);
    assert_eq!(answer["path"], "/caf%C3%A9/%41/");
}

#[tokio::test]
async fn the_answer_to_head_has_no_body() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "", ROUTES).await;
    let response = gateway.ask("HEAD", "/me", &[&bearer(&good(&issuer))]).await;
    assert_eq!((status(&response), body(&response)), (200, ""));
}

/// Each spelling, by each method, with each token: what the file says, and nothing that a spelling makes of it. The
/// whole product is tested where the matching is.
#[tokio::test]
async fn paths_methods_and_tokens_are_judged_as_the_routes_say() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "", ROUTES).await;
    let without_scope = issuer.access_token(API).mint();
    let foreign = issuer.access_token("https://other.test").mint();
    for (path, method, [none, bad, weak, strong]) in [
        ("/me", "GET", [401, 401, 403, 200]),
        ("/me/", "HEAD", [401, 401, 403, 200]),
        ("/%6De", "GET", [401, 401, 403, 200]),
        ("/me/deeper", "GET", [401, 401, 403, 200]),
        ("/me", "POST", [405, 405, 405, 405]),
        ("/ME", "GET", [401, 401, 200, 200]),
        ("/men", "GET", [401, 401, 200, 200]),
        ("/open", "DELETE", [200, 200, 200, 200]),
        ("/open/../me", "GET", [400, 400, 400, 400]),
        ("/open/%2e%2e/me", "GET", [400, 400, 400, 400]),
        ("/open//me", "GET", [400, 400, 400, 400]),
        ("/open;/me", "GET", [400, 400, 400, 400]),
        ("/open%2fme", "GET", [400, 400, 400, 400]),
        ("/open%5cme", "GET", [400, 400, 400, 400]),
        ("/open/%ff", "GET", [400, 400, 400, 400]),
        ("/open/%00", "GET", [400, 400, 400, 400]),
        ("http://elsewhere.test/me", "GET", [401, 401, 403, 200]),
        ("http://elsewhere.test/open", "GET", [200, 200, 200, 200]),
    ] {
        let strong_token = good(&issuer);
        for (token, expected) in [
            (None, none),
            (Some(&foreign), bad),
            (Some(&without_scope), weak),
            (Some(&strong_token), strong),
        ] {
            let authorization = token.map(|token| bearer(token));
            let headers: Vec<&str> = authorization.iter().map(String::as_str).collect();
            let response = gateway.ask(method, path, &headers).await;
            assert_eq!(status(&response), expected, "{method} {path} {token:?}: {response}");
            let challenged = !values(&response, "www-authenticate").is_empty();
            assert_eq!(challenged, [401, 403].contains(&expected), "{response}");
            assert_eq!(values(&response, "allow").is_empty(), expected != 405, "{response}");
        }
    }
}

#[tokio::test]
async fn a_grpc_call_is_refused_with_a_status_too() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "", "").await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Full<bytes::Bytes>>();
    let request = Request::post(format!("http://{}/service/Method", gateway.address))
        .header("content-type", "application/grpc")
        .body(Full::default())
        .unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(!response.headers().contains_key("grpc-status"));
}

#[tokio::test]
async fn http_1_and_http_2_are_spoken_on_one_port() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "", "").await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(version == Version::HTTP_2)
            .build_http::<Full<bytes::Bytes>>();
        let request = Request::get(format!("http://{}/x", gateway.address))
            .header("authorization", format!("Bearer {}", good(&issuer)));
        let response = client.request(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!((response.status(), response.version()), (StatusCode::OK, version));
        let answer: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(answer["path"], "/x");
    }
}

#[tokio::test]
async fn an_upgrade_is_501_once_it_was_let_in() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "", "").await;
    let ask = |authorization: &str| {
        let head = "GET /chat HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n";
        gateway.exchange(format!("{head}{authorization}\r\n\r\n"))
    };
    assert_eq!(status(&ask(&bearer(&good(&issuer))).await), 501);
    assert_eq!(status(&ask("Accept: */*").await), 401);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "", ROUTES).await;
    let long = format!("X-Long: {}", "x".repeat(64 * 1024));
    assert_eq!(status(&gateway.ask("GET", "/open", &[&long]).await), 431);
    // Host and Connection are two more.
    assert_eq!(status(&gateway.ask("GET", "/open", &["X: y"; 98]).await), 200);
    assert_eq!(status(&gateway.ask("GET", "/open", &["X: y"; 99]).await), 431);
}

#[tokio::test]
async fn an_http_2_client_may_have_so_many_requests_and_send_so_much_ahead() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "", ROUTES).await;
    let mut stream = gateway.connect().await;
    // RFC 9113 §3.4: the preface, and an empty SETTINGS frame.
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 0x04, "SETTINGS come first");
    let mut settings = vec![0; usize::from(frame[2])];
    stream.read_exact(&mut settings).await.unwrap();
    // §6.5.1: an identifier of two bytes, a value of four.
    let value = |identifier: u8| {
        let setting = settings.chunks(6).find(|setting| setting[..2] == [0, identifier]);
        setting.map(|setting| u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]))
    };
    assert_eq!(value(0x3), Some(32), "MAX_CONCURRENT_STREAMS");
    assert_eq!(value(0x4), Some(64 * 1024), "INITIAL_WINDOW_SIZE");
}
