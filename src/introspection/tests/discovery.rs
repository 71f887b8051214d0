//! How the endpoint is found.

use super::*;

const ISSUER: &str = "https://as.example";

/// A server with metadata that name the endpoint, which can be moved.
fn discoverable(server: &Server, endpoint: &'static str) {
    server.answers(move |request| match request.uri().path() {
        "/.well-known/oauth-authorization-server" => {
            let metadata = json!({ "issuer": ISSUER, "introspection_endpoint": endpoint });
            Ok(ok(&metadata.to_string()))
        }
        path if endpoint.ends_with(path) => Ok(ok(&good().to_string())),
        _ => Ok(with_status(404, "{}")),
    });
}

fn discovering(server: &Server, auth: ClientAuth) -> Api {
    Api::of(
        IntrospectionValidator::discover(ISSUER, auth, API)
            .unwrap()
            .fetch(server.clone()),
    )
}

fn paths(server: &Server) -> Vec<String> {
    let asked = server.0.asked.lock().unwrap();
    asked.iter().map(|request| request.uri().path().to_owned()).collect()
}

#[tokio::test]
async fn the_endpoint_is_discovered_at_first_use_and_remembered_for_an_hour() {
    let server = Server::new(json!({}));
    discoverable(&server, "https://as.example/a");
    let api = discovering(&server, ClientAuth::basic("api", "secret"));
    assert_eq!(server.calls(), 0);
    assert_eq!((api.status("t1").await, api.status("t2").await), (200, 200));
    api.clock.advance(3_599_000);
    api.status("t3").await;
    let found = "/.well-known/oauth-authorization-server";
    assert_eq!(paths(&server), [found, "/a", "/a", "/a"]);
    api.clock.advance(1_000);
    api.status("t4").await;
    assert_eq!(paths(&server)[4..], [found, "/a"]);
}

#[tokio::test]
async fn an_endpoint_that_failed_is_looked_up_again_once_a_minute() {
    let server = Server::new(json!({}));
    discoverable(&server, "https://as.example/a");
    let api = discovering(&server, ClientAuth::basic("api", "secret"));
    assert_eq!(api.status("t1").await, 200);
    discoverable(&server, "https://as.example/b");
    for n in 0..10 {
        assert_eq!(api.status(&format!("odd-{n}")).await, 503);
    }
    assert_eq!(server.calls(), 12);
    api.clock.advance(60_000);
    assert_eq!(api.status("t2").await, 200);
    assert_eq!(paths(&server)[12..], ["/.well-known/oauth-authorization-server", "/b"]);
}

#[tokio::test]
async fn an_endpoint_is_used_on_while_the_metadata_cannot_be_had() {
    let server = Server::new(json!({}));
    discoverable(&server, "https://as.example/a");
    let api = discovering(&server, ClientAuth::basic("api", "secret"));
    assert_eq!(api.status("t1").await, 200);
    server.answers(|request| match request.uri().path() {
        "/a" => Ok(ok(&good().to_string())),
        _ => Err(FetchError::new("down")),
    });
    api.clock.advance(3_600_000);
    assert_eq!(api.status("t2").await, 200);
    let calls = server.calls();
    assert_eq!(api.status("t3").await, 200);
    assert_eq!(server.calls(), calls + 1);
    api.clock.advance(24 * 3_600_000);
    assert_eq!(api.status("t4").await, 503);
}

#[tokio::test]
async fn many_first_requests_with_different_tokens_make_one_discovery() {
    let server = Server::new(json!({}));
    discoverable(&server, "https://as.example/a");
    server.hold();
    let api = discovering(&server, ClientAuth::basic("api", "secret"));
    let wait = |token| {
        let api = api.clone();
        tokio::spawn(async move { api.status(&format!("t{token}")).await })
    };
    let waiters: Vec<_> = (0..50).map(wait).collect();
    server.until_asked(1).await;
    server.release(1000);
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), 200);
    }
    let looked_up = paths(&server).iter().filter(|path| path.contains("well-known")).count();
    assert_eq!(looked_up, 1);
}

#[tokio::test]
async fn a_discovered_issuer_is_the_expected_one() {
    let server = Server::new(json!({}));
    server.answers(|request| {
        let metadata = json!({ "issuer": ISSUER, "introspection_endpoint": "https://as.example/a" });
        let answer = good_but("iss", json!("https://other.example"));
        Ok(ok(
            &if request.uri().path() == "/a" { answer } else { metadata }.to_string()
        ))
    });
    let refused = discovering(&server, ClientAuth::basic("api", "secret"))
        .present("t1")
        .await;
    assert_eq!(refused.unwrap_err().reason(), Some(Reason::Issuer));
}

#[tokio::test]
async fn metadata_that_is_down_or_of_another_issuer_is_a_503_and_metadata_without_endpoint_a_500() {
    let answered = async |metadata: Value| {
        let api = discovering(&Server::new(metadata), ClientAuth::basic("api", "secret"));
        api.status("t1").await
    };
    assert_eq!(
        answered(json!({ "issuer": "https://evil.example", "introspection_endpoint": ENDPOINT })).await,
        503
    );
    assert_eq!(answered(json!({ "issuer": ISSUER })).await, 500);
    assert_eq!(
        answered(json!({ "issuer": ISSUER, "introspection_endpoint": "http://as.example/" })).await,
        500
    );
    let down = Server::new(json!({}));
    down.answers(|_| Err(FetchError::new("connection refused")));
    assert_eq!(
        discovering(&down, ClientAuth::basic("api", "secret"))
            .status("t1")
            .await,
        503
    );
}

#[tokio::test]
async fn an_assertion_is_for_the_discovered_issuer_or_else_for_the_endpoint() {
    use aws_lc_rs::signature::Ed25519KeyPair;
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };

    let key = STANDARD.encode(Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    let auth = || ClientAuth::private_key_jwt("api", &pem).unwrap();
    let audience = |server: &Server| {
        let body = server.last().into_body();
        let form: HashMap<_, _> = std::str::from_utf8(&body)
            .unwrap()
            .split('&')
            .map(|pair| pair.split_once('=').unwrap())
            .collect();
        let claims = form["client_assertion"].split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        claims["aud"].as_str().unwrap().to_owned()
    };
    let server = Server::new(good());
    let direct = IntrospectionValidator::new(ENDPOINT, auth(), API)
        .unwrap()
        .fetch(server.clone());
    assert_eq!(Api::of(direct).status("t1").await, 200);
    assert_eq!(audience(&server), ENDPOINT);
    discoverable(&server, "https://as.example/a");
    assert_eq!(discovering(&server, auth()).status("t1").await, 200);
    assert_eq!(audience(&server), ISSUER);
}

#[tokio::test]
async fn metadata_may_be_elsewhere_and_still_have_to_name_the_issuer() {
    let url = "https://internal.example/.well-known/openid-configuration";
    for (issuer, expected) in [("acme.com", 200), ("other.com", 503)] {
        let server = Server::new(good());
        server.answers(move |request| {
            Ok(ok(&match request.uri().to_string() {
                asked if asked == url => json!({ "issuer": issuer, "introspection_endpoint": ENDPOINT }).to_string(),
                _ => good().to_string(),
            }))
        });
        let auth = ClientAuth::basic("api", "secret");
        let tokens = IntrospectionValidator::discover_at("acme.com", url, auth, API).unwrap();
        assert_eq!(Api::of(tokens.fetch(server.clone())).status("t1").await, expected);
    }
    let auth = || ClientAuth::basic("api", "secret");
    assert!(IntrospectionValidator::discover_at("", url, auth(), API).is_err());
    let plain = "http://internal.example/";
    assert!(IntrospectionValidator::discover_at("acme.com", plain, auth(), API).is_err());
    assert!(IntrospectionValidator::discover_at_over_plain_http("acme.com", plain, auth(), API).is_ok());
}
