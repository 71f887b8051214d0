//! The listener for probes and metrics.

use resource_protector::testing::TestIssuer;

use super::{Gateway, ask_at, bearer, body, good, status, values};

const ADMIN: &str = "admin = \"127.0.0.1:0\"";

#[tokio::test]
async fn it_says_whether_the_gateway_lives_and_whether_it_can_judge_tokens() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let mut gateway = Gateway::with(&issuer, ADMIN, "").await;
    let admin = gateway.admin().await;
    assert!(admin.ip().is_loopback());
    for (path, said) in [("/livez", "ok\n"), ("/readyz", "ready\n")] {
        let response = ask_at(admin, "GET", path).await;
        assert_eq!((status(&response), body(&response)), (200, said), "{response}");
        assert_eq!(values(&response, "cache-control"), ["no-store"]);
        let head = ask_at(admin, "HEAD", path).await;
        assert_eq!((status(&head), body(&head)), (200, ""));
    }
    // Not one request has come in.
    assert_eq!(issuer.requests("/jwks"), 1);
}

#[tokio::test]
async fn while_the_issuer_is_down_it_lives_and_is_not_ready() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    issuer.go_down();
    let mut gateway = Gateway::with(&issuer, ADMIN, "").await;
    let admin = gateway.admin().await;
    assert_eq!(status(&ask_at(admin, "GET", "/livez").await), 200);
    let response = ask_at(admin, "GET", "/readyz").await;
    assert_eq!(status(&response), 503);
    assert!(
        body(&response).starts_with("not ready: the issuer's keys cannot be fetched: "),
        "{response}"
    );
    assert_eq!(status(&gateway.get("/", &good(&issuer)).await), 503);
}

#[tokio::test]
async fn it_shows_what_was_counted() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let mut gateway = Gateway::with(&issuer, ADMIN, "").await;
    let admin = gateway.admin().await;
    let token = good(&issuer);
    for _ in 0..3 {
        assert_eq!(status(&gateway.get("/", &token).await), 200);
    }
    assert_eq!(status(&gateway.get("/", "made-up").await), 401);
    let response = ask_at(admin, "GET", "/metrics").await;
    assert_eq!(status(&response), 200);
    assert_eq!(
        values(&response, "content-type"),
        ["text/plain; version=0.0.4; charset=utf-8"]
    );
    let lines: Vec<&str> = body(&response).lines().collect();
    for line in [
        r#"resource_protector_decisions_total{decision="admitted",kind="none"} 3"#,
        r#"resource_protector_decisions_total{decision="refused",kind="invalid_token"} 1"#,
        r#"resource_protector_tokens_total{how="verified"} 1"#,
        r#"resource_protector_tokens_total{how="remembered"} 2"#,
        r#"resource_protector_upstream_calls_total{endpoint="jwks",outcome="ok"} 1"#,
        r#"resource_protector_upstream_seconds_bucket{endpoint="jwks",le="+Inf"} 1"#,
    ] {
        assert!(lines.contains(&line), "{line}: {response}");
    }
    let age = format!("resource_protector_key_set_age_seconds{{asked=\"{}\"}} ", issuer.url());
    assert!(lines.iter().any(|line| line.starts_with(&age)), "{response}");
    assert!(!response.contains("made-up"));
}

#[tokio::test]
async fn it_serves_nothing_else_and_the_other_listener_none_of_it() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let public = "[[route]]\npath = \"/open\"\npublic = true\n";
    let mut gateway = Gateway::with(&issuer, ADMIN, public).await;
    let admin = gateway.admin().await;
    for path in ["/", "/open", "/me", "/metrics/", "/livez/deeper", "//livez", "/LIVEZ"] {
        assert_eq!(status(&ask_at(admin, "GET", path).await), 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let response = ask_at(admin, method, "/livez").await;
        assert_eq!(status(&response), 405, "{method}");
        assert_eq!(values(&response, "allow"), ["GET, HEAD"]);
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(status(&gateway.ask("GET", path, &[]).await), 401, "{path}");
        let inside = gateway.ask("GET", path, &[&bearer(&good(&issuer))]).await;
        assert!(body(&inside).contains("\"path\""), "{inside}");
    }
}

#[tokio::test]
async fn it_ends_with_the_gateway() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let mut gateway = Gateway::with(&issuer, ADMIN, "").await;
    let admin = gateway.admin().await;
    gateway.terminate().await;
    let (how, printed) = gateway.ended().await;
    assert!(how.success());
    assert_eq!(printed, "");
    assert!(tokio::net::TcpStream::connect(admin).await.is_err());
}
