//! An authorization server that is down, slow or confused, over real connections. No clock is moved here: the cases about
//! time are in the unit tests of introspection.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::header;
use resource_protector::{ClientAuth, IntrospectionValidator, ResourceProtectorLayer};

use crate::{
    moody::{Mood, MoodyServer},
    support::{ask_behind, request},
};

fn asking(server: &MoodyServer) -> IntrospectionValidator {
    let auth = ClientAuth::basic("api", "secret");
    IntrospectionValidator::new(server.endpoint(), auth, "https://api.test").unwrap()
}

fn protected(server: &MoodyServer) -> ResourceProtectorLayer {
    ResourceProtectorLayer::new(Arc::new(asking(server)))
}

/// Every answer is too old at once, and may stand in for a newer one.
fn bridging(server: &MoodyServer, mood: Mood) -> ResourceProtectorLayer {
    let tokens = asking(server)
        .remember_for(Duration::ZERO)
        .and_then(|tokens| tokens.remember_refusals_for(Duration::ZERO))
        .and_then(|tokens| tokens.stale_if_error(Duration::from_secs(600)))
        .unwrap();
    ResourceProtectorLayer::new(match mood {
        // Nothing else ends these calls.
        Mood::Hanging | Mood::Dripping => tokens.timeout(Duration::from_millis(300)).unwrap(),
        _ => tokens,
    })
}

async fn status(layer: &ResourceProtectorLayer, token: &str) -> u16 {
    let reply = ask_behind(layer, request(&[&format!("Bearer {token}")])).await;
    assert_eq!(reply.headers().contains_key(header::RETRY_AFTER), reply.status() == 503);
    reply.status().as_u16()
}

/// Presents it until it is let in: on a busy machine a short time-out may pass, and a breaker may wait, with a server in a
/// good mood, too.
async fn until_let_in(layer: &ResourceProtectorLayer, token: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    while status(layer, token).await != 200 {
        assert!(Instant::now() < until, "{token} is not let in");
        tokio::task::yield_now().await;
    }
}

/// What a never-seen token gets, and what one whose answer has grown old.
async fn in_the_mood(mood: Mood) -> (u16, u16) {
    let server = MoodyServer::start().await;
    let layer = bridging(&server, mood);
    until_let_in(&layer, "good-1").await;
    server.is(mood).await;
    let found = (status(&layer, "good-2").await, status(&layer, "good-1").await);
    // And back.
    server.is(Mood::Good).await;
    until_let_in(&layer, "good-2").await;
    assert_eq!(status(&layer, "bad-1").await, 401);
    found
}

#[tokio::test]
async fn a_server_that_refuses_connections_is_a_503_or_bridged() {
    assert_eq!(in_the_mood(Mood::Refusing).await, (503, 200));
}

#[tokio::test]
async fn a_server_that_hangs_is_a_503_or_bridged() {
    assert_eq!(in_the_mood(Mood::Hanging).await, (503, 200));
}

#[tokio::test]
async fn a_server_that_drips_bytes_is_a_503_or_bridged() {
    assert_eq!(in_the_mood(Mood::Dripping).await, (503, 200));
}

#[tokio::test]
async fn a_server_that_fails_or_is_busy_is_a_503_or_bridged() {
    for (code, wait) in [(500, None), (503, None), (429, None), (429, Some(1))] {
        assert_eq!(
            in_the_mood(Mood::Status(code, wait)).await,
            (503, 200),
            "{code} {wait:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_503_or_bridged() {
    assert_eq!(in_the_mood(Mood::BreakingOff).await, (503, 200));
    assert_eq!(in_the_mood(Mood::CutOff).await, (503, 200));
}

#[tokio::test]
async fn a_page_of_a_proxy_is_a_503_or_bridged() {
    assert_eq!(in_the_mood(Mood::Html).await, (503, 200));
}

#[tokio::test]
async fn ten_megabytes_are_not_read_and_not_bridged() {
    assert_eq!(in_the_mood(Mood::Endless).await, (503, 503));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_not_bridged() {
    let server = MoodyServer::start().await;
    let layer = protected(&server);
    server.is(Mood::Redirecting).await;
    assert_eq!(status(&layer, "good-1").await, 503);
    assert_eq!(server.seen.questions(), 1);
    assert_eq!(in_the_mood(Mood::Redirecting).await, (503, 503));
}

#[tokio::test]
async fn a_server_that_refuses_this_service_is_a_500_and_never_bridged() {
    assert_eq!(in_the_mood(Mood::Status(401, None)).await, (500, 500));
}

#[tokio::test]
async fn a_wait_that_the_server_asks_for_stops_calls_at_once() {
    let server = MoodyServer::start().await;
    let layer = protected(&server);
    server.is(Mood::Status(429, Some(60))).await;
    assert_eq!(status(&layer, "good-1").await, 503);
    server.is(Mood::Good).await;
    assert_eq!(status(&layer, "good-1").await, 503);
    assert_eq!(server.seen.questions(), 1);
}

#[tokio::test]
async fn after_five_failures_no_connection_is_opened() {
    let server = MoodyServer::start().await;
    let layer = protected(&server);
    server.is(Mood::Status(500, None)).await;
    let began = Instant::now();
    for n in 0..50 {
        assert_eq!(status(&layer, &format!("good-{n}")).await, 503);
    }
    // On a machine that is so slow, a probe for each time for which the server was left alone, of 800 ms at the least.
    let probes = usize::try_from(began.elapsed().as_millis() / 800).unwrap();
    let questions = server.seen.questions();
    assert!((5..=5 + probes).contains(&questions), "{questions} questions");
}

#[tokio::test]
async fn a_thousand_first_uses_of_one_token_are_one_call_over_a_real_connection() {
    const ROUND_TRIP: Duration = Duration::from_secs(2);
    let server = MoodyServer::start().await;
    let layer = protected(&server);
    server.is(Mood::Late(ROUND_TRIP)).await;
    let began = Instant::now();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let layer = layer.clone();
        waiting.spawn(async move { status(&layer, "good-1").await });
    }
    while let Some(status) = waiting.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(server.seen.questions(), 1);
    assert!(began.elapsed() < 3 * ROUND_TRIP, "{:?}", began.elapsed());
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn only_an_exchange_that_found_no_connection_says_so() {
    use bytes::Bytes;
    use resource_protector::{Fetch as _, ReqwestFetch};

    let fetch = ReqwestFetch::new().unwrap();
    let server = MoodyServer::start().await;
    let is_connection = async |url: String| {
        let request = http::Request::post(url).body(Bytes::from("token=good")).unwrap();
        fetch.fetch(request, 1000).await.unwrap_err().is_connection()
    };
    server.is(Mood::BreakingOff).await;
    assert!(!is_connection(server.endpoint()).await);
    server.is(Mood::Endless).await;
    assert!(!is_connection(server.endpoint()).await);
    server.is(Mood::Refusing).await;
    assert!(is_connection(server.endpoint()).await);
    assert!(is_connection("http://nowhere.invalid/".to_owned()).await);
    // No TLS is spoken there.
    server.is(Mood::Good).await;
    assert!(is_connection(server.endpoint().replace("http:", "https:")).await);
}
