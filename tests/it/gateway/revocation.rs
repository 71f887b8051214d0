//! Log-outs that the gateway hears of by a real Redis server.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use resource_protector::{CutOff, RedisRevocationList, RevocationTerms, Revoke as _, RevokedBy, testing::TestIssuer};

use super::{
    API, Gateway, ask_at, body, good, settings,
    start_up::{assert_named, refusal},
    status, written,
};
use crate::redis_server::{Redis, TlsFront, eventually, within};

const A_SECOND: Duration = Duration::from_secs(1);
const OUT_OF_STEP: &str = "not ready: what is known of revocations is out of date\n";

/// A list by subjects, with a bound of two seconds.
fn list(url: &str, more: &str) -> String {
    format!(
        "[revocation]\nredis_url = {url:?}\nname = \"test\"\nby = [\"sub\"]\nlongest_lifetime_seconds = 86400\n\
         unknown_after_seconds = 2\n{more}\n"
    )
}

/// A gateway that knows of all revocations, and its second listener.
async fn in_step(issuer: &TestIssuer, tables: &str) -> (Gateway, SocketAddr) {
    let mut gateway = Gateway::with(issuer, "admin = \"127.0.0.1:0\"", tables).await;
    let admin = gateway.admin().await;
    eventually("ready", async || {
        (status(&ask_at(admin, "GET", "/readyz").await) == 200).then_some(())
    })
    .await;
    (gateway, admin)
}

/// Another process logs somebody out. It only tells Redis, and hears nothing.
async fn log_out(url: &str, issuer: &TestIssuer, subject: &str) {
    let terms = RevocationTerms::new([RevokedBy::Subject], 86400 * A_SECOND).unwrap();
    let list = RedisRevocationList::new(url, "test", terms, 10 * A_SECOND).unwrap();
    let everything = CutOff::subject(issuer.url(), subject, SystemTime::now());
    list.revoke(everything).await.unwrap();
}

async fn refuses(gateway: &Gateway, token: &str) {
    within(5 * A_SECOND, "the token is refused", async || {
        let response = gateway.get("/", token).await;
        match status(&response) {
            200 => None,
            401 if body(&response).contains("invalid_token") => Some(()),
            _ => panic!("{response}"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_log_out_that_redis_is_told_is_a_401_at_the_gateway() {
    let (redis, issuer) = (Redis::start().await, TestIssuer::on_loopback().await.unwrap());
    let (gateway, _) = in_step(&issuer, &list(&redis.url(), "")).await;
    let jwt = |subject: &str| issuer.access_token(API).claim("sub", subject).mint();
    let opaque = |subject: &str| issuer.opaque_token(API).claim("sub", subject).mint();
    let (alices, bobs) = ([jwt("alice"), opaque("alice")], [jwt("bob"), opaque("bob")]);
    for token in alices.iter().chain(&bobs) {
        let response = gateway.get("/", token).await;
        assert_eq!(status(&response), 200, "{response}");
    }
    log_out(&redis.url(), &issuer, "alice").await;
    for token in &alices {
        refuses(&gateway, token).await;
    }
    for token in &bobs {
        assert_eq!(status(&gateway.get("/", token).await), 200);
    }
    let without_subject = issuer.access_token(API).without("sub").mint();
    assert_eq!(status(&gateway.get("/", &without_subject).await), 401);
}

#[tokio::test]
async fn without_redis_the_gateway_answers_503_once_its_bound_is_over_until_redis_is_back() {
    let (mut redis, issuer) = (Redis::start().await, TestIssuer::on_loopback().await.unwrap());
    let public = "[[route]]\npath = \"/open\"\npublic = true\n";
    let (gateway, admin) = in_step(&issuer, &list(&redis.url(), public)).await;
    let token = good(&issuer);
    assert_eq!(status(&gateway.get("/", &token).await), 200);

    redis.stop();
    let stopped = Instant::now();
    assert_eq!(status(&gateway.get("/", &token).await), 200);
    within(5 * A_SECOND, "nobody is let in", async || {
        (status(&gateway.get("/", &token).await) == 503).then_some(())
    })
    .await;
    assert!(stopped.elapsed() > A_SECOND, "{:?}", stopped.elapsed());
    let not_ready = ask_at(admin, "GET", "/readyz").await;
    assert_eq!((status(&not_ready), body(&not_ready)), (503, OUT_OF_STEP));
    assert_eq!(status(&gateway.get("/open", "").await), 200);

    redis.start_again().await;
    eventually("let in again", async || {
        (status(&gateway.get("/", &token).await) == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn over_tls_it_hears_of_log_outs_from_a_redis_whose_authority_is_named() {
    let (redis, issuer) = (Redis::start().await, TestIssuer::on_loopback().await.unwrap());
    let front = TlsFront::to(redis.address()).await;
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/private-authority.pem");
    let trusting = format!("authorities_file = {authority:?}");
    let (gateway, _) = in_step(&issuer, &list(&front.url("localhost"), &trusting)).await;
    let token = issuer.access_token(API).claim("sub", "alice").mint();
    assert_eq!(status(&gateway.get("/", &token).await), 200);
    log_out(&redis.url(), &issuer, "alice").await;
    refuses(&gateway, &token).await;
}

#[tokio::test]
async fn it_starts_without_redis_and_lets_nobody_in_before_redis_is_there() {
    let (mut redis, issuer) = (Redis::start().await, TestIssuer::on_loopback().await.unwrap());
    redis.stop();
    let gateway = Gateway::with(&issuer, "", &list(&redis.url(), "")).await;
    let token = good(&issuer);
    assert_eq!(status(&gateway.get("/", &token).await), 503);
    redis.start_again().await;
    eventually("let in", async || {
        (status(&gateway.get("/", &token).await) == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn with_fail_fast_it_listens_once_all_revocations_are_known_and_ends_where_they_cannot_be() {
    let (mut redis, issuer) = (Redis::start().await, TestIssuer::on_loopback().await.unwrap());
    let (fail_fast, tables) = ("fail_fast = true", list(&redis.url(), ""));
    let gateway = Gateway::with(&issuer, fail_fast, &tables).await;
    assert_eq!(status(&gateway.get("/", &good(&issuer)).await), 200);

    redis.stop();
    let said = refusal(&settings(&issuer, fail_fast, &tables)).await;
    assert!(
        said.contains(
            "fail_fast: TROUBLE what it takes to know of revocations: what is known of revocations is out of date"
        ),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_the_table_is_named_with_its_line_and_without_the_url() {
    let issuer = TestIssuer::new("https://auth.test");
    let text = settings(&issuer, "", &list("http://do-not-quote-me@h/", "")).replace("\nname", " # here\nname");
    let said = refusal(&text).await;
    assert_named(&said, &text, "revocation.redis_url: expected `redis://");
}

#[tokio::test]
async fn the_table_of_revocations_in_the_readme_is_one_to_start_from() {
    let readme = include_str!("../../../examples/gateway/README.md");
    let table = readme.split("```toml\n").nth(2).unwrap().split("```").next().unwrap();
    let redis = Redis::start().await;
    let url = written(&format!("{}\n", redis.url()));
    assert_eq!(table.matches("\"redis-url\"").count(), 1);
    let table = table.replace("\"redis-url\"", &format!("{:?}", url.path()));
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let (gateway, _) = in_step(&issuer, &table).await;
    let token = issuer.access_token(API).claim("sid", "s");
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let token = token.claim("iat", now).claim("exp", now + 3600).mint();
    assert_eq!(status(&gateway.get("/", &token).await), 200);
}
