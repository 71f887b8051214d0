//! The readiness probe: whether a token that was never seen could be judged.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use resource_protector::{
    ByIssuer, HmacAlgorithm, JwtValidator, MemoryTokenStore, ResourceProtectorLayer, StoreValidator,
    testing::TestIssuer,
};

use crate::support::{World, ask_behind, assert_refused, request, trusting};

const API: &str = World::API;
const JWKS: &str = World::JWKS;
const SECOND: Duration = Duration::from_secs(1);

/// Polls once, without any runtime.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

#[tokio::test]
async fn a_service_that_starts_during_an_outage_gets_ready_by_itself_when_it_is_over() {
    let world = World::new();
    world.issuer.go_down();
    let problem = world.layer.ready().await.unwrap_err().to_string();
    assert!(
        problem.starts_with("not ready: the issuer's keys cannot be fetched: "),
        "{problem}"
    );
    let bearer = format!("Bearer {}", world.issuer.access_token(API).mint());
    let reply = ask_behind(&world.layer, request(&[&bearer])).await;
    assert_refused(&reply, 503, Some("temporarily_unavailable"));

    world.issuer.come_back();
    world.clock.advance(SECOND);
    world.layer.ready().await.unwrap();
    assert_eq!(world.issuer.requests(JWKS), 1);
    assert_eq!(ask_behind(&world.layer, request(&[&bearer])).await.status(), 200);
    assert_eq!(world.issuer.requests(JWKS), 1);
}

#[tokio::test]
async fn probes_fetch_no_more_often_than_requests_do() {
    let world = World::new();
    world.issuer.respond_at(
        JWKS,
        http::Response::builder().status(500).body(bytes::Bytes::new()).unwrap(),
    );
    for _ in 0..100 {
        assert!(world.layer.ready().await.is_err());
    }
    assert_eq!(world.issuer.requests(JWKS), 1);
    world.issuer.respond_normally_at(JWKS);
    world.clock.advance(SECOND);
    for _ in 0..100 {
        world.layer.ready().await.unwrap();
        world.clock.advance(SECOND);
    }
    assert_eq!(world.issuer.requests(JWKS), 2);
}

#[tokio::test]
async fn probes_alone_keep_the_keys_fresh_and_bear_an_outage_up_to_the_stale_bound() {
    let world = World::new();
    world.layer.ready().await.unwrap();
    world.clock.advance(600 * SECOND);
    world.layer.ready().await.unwrap();
    assert_eq!(world.issuer.requests(JWKS), 2);
    world.issuer.go_down();
    world.clock.advance(3599 * SECOND);
    world.layer.ready().await.unwrap();
    world.clock.advance(SECOND);
    assert!(world.layer.ready().await.is_err());
}

#[tokio::test]
async fn behind_several_issuers_all_have_to_be_ready() {
    let (up, down) = (TestIssuer::new("https://up.test"), TestIssuer::new("https://down.test"));
    down.go_down();
    let both = ByIssuer::new()
        .issuer(up.url(), trusting(&up))
        .issuer(down.url(), trusting(&down));
    assert!(ResourceProtectorLayer::new(both).ready().await.is_err());
    assert!(ResourceProtectorLayer::new(trusting(&up)).ready().await.is_ok());
}

#[test]
fn what_is_at_hand_is_ready_at_once() {
    let issuer = TestIssuer::new("https://auth.test");
    let secret = [7; 32];
    for layer in [
        ResourceProtectorLayer::new(JwtValidator::with_jwks(issuer.url(), issuer.jwks(), API).unwrap()),
        ResourceProtectorLayer::new(
            JwtValidator::with_shared_secret(issuer.url(), HmacAlgorithm::HS256, secret, API).unwrap(),
        ),
        ResourceProtectorLayer::new(StoreValidator::for_tokens_of_this_service_only(MemoryTokenStore::new())),
    ] {
        at_once(layer.ready()).unwrap();
    }
}

#[test]
fn without_a_runtime_it_is_not_ready_and_does_not_panic() {
    let world = World::new();
    assert!(at_once(world.layer.ready()).is_err());
    assert!(!at_once(world.layer.doctor()).is_healthy());
}
