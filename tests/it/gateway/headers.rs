//! Which headers reach the upstream, and which come back.

use resource_protector::testing::{LoopbackIssuer, TestIssuer};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{API, ByHand, Echo, Gateway, bearer, body_json, good, read_head, read_to_end, sent, status, values};

async fn set_up(top: &str, tables: &str) -> (LoopbackIssuer, Echo, Gateway) {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let upstream = Echo::start().await;
    let gateway = Gateway::before(upstream.address, &issuer, top, tables).await;
    (issuer, upstream, gateway)
}

#[tokio::test]
async fn the_upstream_learns_who_is_asking() {
    let (issuer, _upstream, gateway) = set_up("", "").await;
    for token in [
        issuer
            .access_token(API)
            .scope("profile email")
            .claim("exp", 4_000_000_000_u64)
            .mint(),
        issuer
            .opaque_token(API)
            .scope("profile email")
            .claim("exp", 4_000_000_000_u64)
            .mint(),
    ] {
        let answer = body_json(&gateway.get("/", &token).await);
        for (name, value) in [
            ("x-auth-subject", "alice"),
            ("x-auth-client-id", "app"),
            ("x-auth-issuer", issuer.url()),
            ("x-auth-scopes", "profile email"),
            ("x-auth-expires-at", "4000000000"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "api.test"),
            ("host", "api.test"),
        ] {
            assert_eq!(sent(&answer, name), [value], "{name}");
        }
    }
}

#[tokio::test]
async fn what_a_token_does_not_say_is_not_sent() {
    let (issuer, _upstream, gateway) = set_up("", "").await;
    let token = issuer
        .opaque_token(API)
        .without("client_id")
        .without("sub")
        .without("scope")
        .mint();
    let answer = body_json(&gateway.get("/", &token).await);
    for name in ["x-auth-subject", "x-auth-client-id", "x-auth-scopes"] {
        assert_eq!(sent(&answer, name), [""; 0], "{name}");
    }
    assert_eq!(sent(&answer, "x-auth-issuer"), [issuer.url()]);
}

#[tokio::test]
async fn no_claim_can_forge_or_end_a_header() {
    let (issuer, _upstream, gateway) = set_up("", "").await;
    let token = issuer
        .access_token(API)
        .subject("al ice\r\nX-Auth-Subject: root\u{e9}%")
        .claim("scope", json!(["orders:read", "one two"]))
        .mint();
    let answer = body_json(&gateway.get("/", &token).await);
    assert_eq!(
        sent(&answer, "x-auth-subject"),
        ["al%20ice%0D%0AX-Auth-Subject:%20root%C3%A9%25"]
    );
    assert_eq!(sent(&answer, "x-auth-scopes"), ["orders:read one%20two"]);
}

/// Every header of the list, in other spellings, and as a trailer.
const SPOOFED: [&str; 39] = [
    "X-Auth-Subject",
    "x-auth-subject",
    "X-AUTH-SCOPES",
    "X-Auth-Client-Id",
    "X-Auth-Issuer",
    "X-Auth-Expires-At",
    "X-Auth-Anything",
    "X_Auth_Subject",
    "X-Auth_Subject",
    "X.Auth.Subject",
    "X-Auth.Subject",
    "Remote~User",
    "X-Forwarded-For",
    "x-forwarded-proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-User",
    "X-FORWARDED-URI",
    "X_Forwarded_For",
    "Forwarded",
    "FORWARDED",
    "X-Real-IP",
    "X-Real-Ip",
    "Remote-User",
    "REMOTE_USER",
    "X-Remote-User",
    "x-remote-groups",
    "X-User",
    "X-User-Id",
    "x-username",
    "Client-Cert",
    "Client-Cert-Chain",
    "X-Forwarded-Client-Cert",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Original-URL",
    "X-Rewrite-URL",
    "any_thing",
];

const PUBLIC: &str = "[[route]]\npath = \"/open\"\npublic = true\n";

fn contains_spoofed(answer: &Value) -> bool {
    answer.to_string().contains("spoofed")
}

#[tokio::test]
async fn headers_that_only_the_gateway_may_set_never_come_from_a_client() {
    let (issuer, _upstream, gateway) = set_up("strip_headers = [\"X-Tenant\"]", PUBLIC).await;
    let authorization = bearer(&good(&issuer));
    for name in SPOOFED.into_iter().chain(["X-Tenant", "x-tenant"]) {
        for repeated in [1, 2] {
            let spoofed = format!("{name}: spoofed");
            let mut headers = vec![spoofed.as_str(); repeated];
            assert!(
                !contains_spoofed(&body_json(&gateway.ask("GET", "/open", &headers).await)),
                "{name}"
            );
            headers.push(&authorization);
            let answer = body_json(&gateway.ask("GET", "/", &headers).await);
            assert!(!contains_spoofed(&answer), "{name}");
            assert_eq!(sent(&answer, "x-auth-subject"), ["alice"], "{name}");
            assert_eq!(sent(&answer, "x-forwarded-for"), ["127.0.0.1"], "{name}");
        }
    }
    let answer = body_json(&gateway.ask("GET", "/open", &["X-Harmless: spoofed"]).await);
    assert!(contains_spoofed(&answer), "the control: others do come through");
}

#[tokio::test]
async fn nor_do_they_come_as_trailers() {
    let (_issuer, _upstream, gateway) = set_up("strip_headers = [\"X-Tenant\"]", PUBLIC).await;
    let forbidden = [
        "X-Tenant",
        "Authorization",
        "Cookie",
        "Host",
        "Content-Type",
        "Connection",
        "Upgrade",
    ];
    for name in SPOOFED.into_iter().chain(forbidden) {
        let head = "POST /open HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n";
        let request =
            format!("{head}Trailer: {name}, X-Sum\r\n\r\n2\r\nhi\r\n0\r\n{name}: spoofed\r\nX-Sum: 42\r\n\r\n");
        let answer = body_json(&gateway.exchange(request).await);
        assert_eq!(answer["body"], "hi");
        assert_eq!(answer["trailers"], json!([["x-sum", "42"]]), "{name}");
    }
}

#[tokio::test]
async fn the_token_goes_no_further_unless_it_is_told_to() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let upstream = Echo::start().await;
    let token = good(&issuer);
    for (top, expected) in [
        ("", vec![]),
        ("forward_authorization = true", vec![format!("Bearer {token}")]),
    ] {
        let gateway = Gateway::before(upstream.address, &issuer, top, PUBLIC).await;
        for path in ["/", "/open"] {
            let answer = body_json(&gateway.get(path, &token).await);
            assert_eq!(sent(&answer, "authorization"), expected, "{top} {path}");
        }
    }
}

#[tokio::test]
async fn hop_by_hop_headers_end_here_and_so_do_those_that_connection_names() {
    let (_issuer, _upstream, gateway) = set_up("", PUBLIC).await;
    let headers = [
        "Connection: keep-alive, X-Mine, ,close",
        "Connection: x-other",
        "X-Mine: a",
        "X-Other: b",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: close",
        "Proxy-Authorization: Basic eDp5",
        "Proxy-Authenticate: Basic",
        "Upgrade: h2c",
        "TE: gzip",
        "X-Kept: c",
    ];
    let answer = body_json(&gateway.ask("GET", "/open", &headers).await);
    for name in [
        "connection",
        "x-mine",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "upgrade",
        "te",
    ] {
        assert_eq!(sent(&answer, name), [""; 0], "{name}");
    }
    assert_eq!(sent(&answer, "x-kept"), ["c"]);
    let answer = body_json(&gateway.ask("GET", "/open", &["TE: gzip, Trailers"]).await);
    assert_eq!(
        (sent(&answer, "te"), sent(&answer, "connection")),
        (vec!["trailers"], vec!["te"])
    );
}

#[tokio::test]
async fn hop_by_hop_headers_of_the_upstream_end_here_too() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let upstream = ByHand::start().await;
    let gateway = Gateway::before(upstream.address(), &issuer, "", PUBLIC).await;
    let answering = async {
        let mut stream = upstream.accept().await;
        read_head(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x-mine, content-length\r\nX-Mine: a\r\n";
        let rest = "Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Kept: c\r\n\r\nhi";
        stream.write_all(format!("{head}{rest}").as_bytes()).await.unwrap();
    };
    let (response, ()) = tokio::join!(gateway.ask("GET", "/open", &[]), answering);
    for name in ["x-mine", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(values(&response, name), [""; 0], "{response}");
    }
    assert_eq!(
        (values(&response, "x-kept"), values(&response, "content-length")),
        (vec!["c"], vec!["2"])
    );
}

#[tokio::test]
async fn connection_cannot_take_away_what_the_gateway_sets_or_the_message_needs() {
    let (issuer, _upstream, gateway) = set_up("forward_authorization = true", "").await;
    let authorization = bearer(&good(&issuer));
    let ask = |option: &'static str| {
        let named = format!("Connection: {option}");
        let authorization = authorization.clone();
        let gateway = &gateway;
        async move { gateway.ask("GET", "/", &[&named, &authorization]).await }
    };
    for option in ["X-Auth-Subject", "X-Forwarded-For", "X-Auth-Scopes, X-Forwarded-Host"] {
        let answer = body_json(&ask(option).await);
        assert_eq!(sent(&answer, "x-auth-subject"), ["alice"], "{option}");
        assert_eq!(sent(&answer, "x-auth-scopes"), ["profile"], "{option}");
        assert_eq!(sent(&answer, "x-forwarded-for"), ["127.0.0.1"], "{option}");
        assert_eq!(sent(&answer, "x-forwarded-host"), ["api.test"], "{option}");
    }
    for option in [
        "Host",
        "Authorization",
        "Content-Length",
        "content-type",
        "Cookie",
        "not a name",
    ] {
        let response = ask(option).await;
        assert_eq!(status(&response), 400, "{option}");
        assert_eq!(values(&response, "www-authenticate"), [""; 0]);
    }
}

#[tokio::test]
async fn cookies_of_http_2_are_one_field_in_http_1() {
    let (issuer, _upstream, gateway) = set_up("", "").await;
    let authorization = bearer(&good(&issuer));
    let answer = body_json(
        &gateway
            .ask("GET", "/", &["Cookie: a=1", "Cookie: b=2", &authorization])
            .await,
    );
    assert_eq!(sent(&answer, "cookie"), ["a=1; b=2"]);
}

#[tokio::test]
async fn the_host_is_the_clients_and_there_is_one() {
    let (_issuer, _upstream, gateway) = set_up("", PUBLIC).await;
    for (head, expected) in [
        ("GET /open HTTP/1.1\r\nHost: a.test:81\r\n", "a.test:81"),
        // RFC 9112 §3.2.2: the target counts, not Host.
        ("GET http://me:pass@b.test/open HTTP/1.1\r\nHost: a.test\r\n", "b.test"),
    ] {
        let answer = body_json(&gateway.exchange(format!("{head}Connection: close\r\n\r\n")).await);
        assert_eq!(sent(&answer, "host"), [expected]);
        assert_eq!(sent(&answer, "x-forwarded-host"), [expected]);
    }
    for head in [
        "GET /open HTTP/1.1\r\n",
        "GET /open HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n",
        "GET /open HTTP/1.1\r\nHost: a b\r\n",
        "GET /open HTTP/1.1\r\nHost:\r\n",
    ] {
        let response = gateway.exchange(format!("{head}Connection: close\r\n\r\n")).await;
        assert_eq!(status(&response), 400, "{head}: {response}");
    }
    let mut stream = gateway.connect().await;
    stream.write_all(b"GET /open HTTP/1.0\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_to_end(&mut stream).await), 200);
}
