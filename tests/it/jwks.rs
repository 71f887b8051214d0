//! Case 116: the keys of a remote issuer, on a moved clock.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, header};
use resource_protector::{
    ByIssuer, JwtValidator, Reason, Rejection, RejectionKind, ResourceProtectorLayer, SetupError,
    testing::{TestClock, TestIssuer},
};
use serde_json::json;

use crate::support::{World, ask_behind, assert_refused, request};

const API: &str = World::API;
const JWKS: &str = World::JWKS;
const METADATA: &str = "/.well-known/oauth-authorization-server/tenant";
const MINUTE: Duration = Duration::from_secs(60);

impl World {
    /// A token that names a key nobody has.
    fn junk(&self, n: usize) -> String {
        self.issuer.access_token(API).header("kid", format!("junk-{n}")).mint()
    }

    /// One that names no key, and is signed by somebody else's.
    fn nameless_stranger(&self) -> String {
        let draft = self.issuer.access_token(API).without_header("kid");
        draft.signed_by_a_stranger().mint()
    }

    /// From now on these are the metadata.
    fn says_of_itself(&self, metadata: &serde_json::Value) {
        self.issuer.respond_at(METADATA, json_response(metadata));
    }
}

#[tokio::test]
async fn nothing_is_fetched_before_the_first_token() {
    let world = World::new();
    assert_eq!(world.fetches(), 0);
    assert_eq!(world.present("garbage").await.status(), 401);
    assert_eq!(world.fetches(), 0);
    assert_eq!(world.status(&world.token()).await, 200);
    assert_eq!(world.fetches(), 1);
}

#[tokio::test]
async fn many_first_requests_make_one_fetch() {
    let world = World::new();
    let token = world.token();
    let mut tasks = Vec::new();
    for _ in 0..100 {
        let (layer, token) = (world.layer.clone(), token.clone());
        tasks.push(tokio::spawn(async move {
            ask_behind(&layer, request(&[&format!("Bearer {token}")]))
                .await
                .status()
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert_eq!(world.fetches(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_without_a_restart() {
    let world = World::new();
    let old = world.token();
    assert_eq!(world.status(&old).await, 200);
    world.issuer.rotate_key();
    assert_eq!(world.status(&world.token()).await, 200);
    assert_eq!(world.status(&old).await, 200);
    assert_eq!(world.fetches(), 2);
}

#[tokio::test]
async fn made_up_keys_cause_one_fetch_in_a_cooldown() {
    let world = World::new();
    assert_eq!(world.status(&world.token()).await, 200);
    for n in 0..50 {
        assert_eq!(world.status(&world.junk(n)).await, 401);
    }
    assert_eq!(world.fetches(), 2);
    world.clock.advance(Duration::from_secs(30));
    for n in 0..50 {
        assert_eq!(world.status(&world.junk(n)).await, 401);
    }
    assert_eq!(world.fetches(), 3);
}

#[tokio::test]
async fn made_up_keys_delay_a_rotation_by_one_cooldown_at_most() {
    let world = World::new();
    assert_eq!(world.status(&world.token()).await, 200);
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.status(&world.junk(0)).await, 401);
    world.issuer.rotate_key();
    let fresh = world.token();
    for second in 0..30 {
        assert_eq!(world.status(&world.junk(second)).await, 401);
        assert_eq!(world.status(&fresh).await, 401, "{second}");
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(world.status(&world.junk(30)).await, 401);
    assert_eq!(world.status(&fresh).await, 200);
}

#[tokio::test]
async fn the_cooldown_counts_attempts_that_failed_or_found_nothing() {
    for odd in [json!({ "keys": [] }), json!({}), json!("x")] {
        let world = World::new();
        assert_eq!(world.status(&world.token()).await, 200);
        world.clock.advance(Duration::from_secs(30));
        world.issuer.respond_at(JWKS, json_response(&odd));
        for n in 0..20 {
            assert_eq!(world.status(&world.junk(n)).await, 503);
        }
        assert_eq!(world.fetches(), 2, "{odd}");
        assert_eq!(world.status(&world.token()).await, 200);
    }
}

#[tokio::test]
async fn the_cooldown_counts_attempts_that_reached_nobody() {
    let world = World::new();
    assert_eq!(world.status(&world.token()).await, 200);
    world.clock.advance(Duration::from_secs(30));
    world.issuer.go_down();
    for attempts in 2..4 {
        for n in 0..20 {
            assert_eq!(world.status(&world.junk(n)).await, 503);
        }
        assert_eq!(world.fetches(), attempts);
        world.clock.advance(Duration::from_secs(30));
    }
    assert_eq!(world.status(&world.token()).await, 200);
}

#[tokio::test]
async fn a_set_that_was_empty_from_the_start_is_an_outage_and_fetched_once_a_second() {
    let world = World::new();
    world.issuer.respond_at(JWKS, json_response(&json!({ "keys": [] })));
    for _ in 0..20 {
        assert_eq!(world.status(&world.token()).await, 503);
    }
    assert_eq!(world.fetches(), 1);
    world.issuer.respond_normally_at(JWKS);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.status(&world.token()).await, 200);
}

#[tokio::test]
async fn made_up_keys_of_one_issuer_do_not_delay_the_rotation_of_another() {
    let clock = TestClock::new();
    let issuers = ["https://flooded.test", "https://calm.test"].map(|url| {
        let issuer = TestIssuer::new(url).with_clock(clock.clone());
        issuer.set_jwks_cache_control(None);
        issuer
    });
    let both = issuers.iter().fold(ByIssuer::new(), |both, issuer| {
        let tokens = JwtValidator::discover(issuer.url(), API).unwrap();
        both.issuer(issuer.url(), tokens.fetch(issuer.clone()))
    });
    let layer = ResourceProtectorLayer::new(both).clock(clock.clone());
    let status = async |token: String| {
        let reply = ask_behind(&layer, request(&[&format!("Bearer {token}")])).await;
        reply.status().as_u16()
    };
    let [flooded, calm] = &issuers;
    for issuer in &issuers {
        assert_eq!(status(issuer.access_token(API).mint()).await, 200);
    }
    clock.advance(Duration::from_secs(30));
    for n in 0..50 {
        let junk = flooded.access_token(API).header("kid", format!("junk-{n}")).mint();
        assert_eq!(status(junk).await, 401);
    }
    calm.rotate_key();
    assert_eq!(status(calm.access_token(API).mint()).await, 200);
    assert_eq!((flooded.requests("/jwks"), calm.requests("/jwks")), (2, 2));
}

#[tokio::test]
async fn the_regular_refresh_does_not_wait_for_the_cooldown() {
    let world = World::with(|validator| {
        let validator = validator.refresh_interval(MINUTE).unwrap();
        validator.refetch_cooldown(10 * MINUTE).unwrap()
    });
    let token = world.token();
    assert_eq!(world.status(&token).await, 200);
    assert_eq!(world.status(&world.junk(0)).await, 401);
    assert_eq!(world.fetches(), 2);
    world.issuer.rotate_key();
    world.issuer.withdraw_old_keys();
    world.clock.advance(MINUTE);
    assert_eq!(world.status(&token).await, 401);
    assert_eq!(world.status(&world.token()).await, 200);
    assert_eq!(world.fetches(), 3);
}

fn json_response(body: &serde_json::Value) -> Response<Bytes> {
    let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
    response.body(body.to_string().into()).unwrap()
}

#[tokio::test]
async fn a_withdrawn_key_stops_working_within_the_refresh_interval() {
    let world = World::new();
    let token = world.token();
    assert_eq!(world.status(&token).await, 200);
    world.issuer.rotate_key();
    world.issuer.withdraw_old_keys();
    world.clock.advance(10 * MINUTE);
    let reply = world.present(&token).await;
    assert_refused(&reply, 401, Some("invalid_token"));
    assert_eq!(
        reply.extensions().get::<Rejection>().unwrap().reason(),
        Some(Reason::UnknownKey)
    );
    assert_eq!(world.status(&world.token()).await, 200);
}

#[tokio::test]
async fn a_set_that_will_soon_be_old_is_refreshed_without_waiting() {
    let world = World::new();
    let token = world.token();
    assert_eq!(world.status(&token).await, 200);
    world.clock.advance(8 * MINUTE);
    assert_eq!(world.status(&token).await, 200);
    while world.fetches() < 2 {
        tokio::task::yield_now().await;
    }
    world.issuer.stall();
    world.clock.advance(9 * MINUTE);
    assert_eq!(world.status(&token).await, 200);
}

#[tokio::test]
async fn max_age_is_honoured_between_one_minute_and_a_day() {
    for (cache_control, fresh, over) in [
        ("max-age=120", 119, 120),
        ("public, max-age=300, must-revalidate", 299, 300),
        ("max-age=1", 59, 60),
        ("no-store", 59, 60),
        ("no-cache, max-age=600", 59, 60),
        ("max-age=999999999", 86_399, 86_400),
    ] {
        for (seconds, expected) in [(fresh, 200), (over, 401)] {
            let world = World::new();
            world.issuer.set_jwks_cache_control(Some(cache_control));
            let token = world.issuer.access_token(API).lifetime(100_000 * MINUTE).mint();
            assert_eq!(world.status(&token).await, 200);
            world.issuer.rotate_key();
            world.issuer.withdraw_old_keys();
            world.clock.advance(Duration::from_secs(seconds));
            assert_eq!(
                world.status(&token).await,
                expected,
                "{cache_control} after {seconds} s"
            );
        }
    }
}

#[tokio::test]
async fn an_etag_spares_the_transfer_and_renews_the_set() {
    let world = World::new();
    let set = |status: u16, body: String| {
        Response::builder()
            .status(status)
            .header(header::ETAG, "\"v1\"")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .unwrap()
    };
    world.issuer.respond_at(JWKS, set(200, world.issuer.jwks()));
    assert_eq!(world.status(&world.token()).await, 200);
    world.issuer.respond_at(JWKS, set(304, String::new()));
    for _ in 0..3 {
        world.clock.advance(10 * MINUTE);
        assert_eq!(world.status(&world.token()).await, 200);
        assert_eq!(
            world.issuer.last_request(JWKS).unwrap().headers()[header::IF_NONE_MATCH],
            "\"v1\""
        );
    }
    assert_eq!(world.fetches(), 4);
}

#[tokio::test]
async fn the_last_good_set_is_used_for_an_hour_while_none_can_be_fetched() {
    let world = World::new();
    let token = world.token();
    assert_eq!(world.status(&token).await, 200);
    world.issuer.go_down();
    world.clock.advance(59 * MINUTE);
    assert_eq!(world.status(&token).await, 200);
    world.clock.advance(MINUTE);
    assert_refused(&world.present(&token).await, 503, Some("temporarily_unavailable"));
    world.issuer.come_back();
    world.clock.advance(MINUTE);
    assert_eq!(world.status(&token).await, 200);
}

#[tokio::test]
async fn any_failure_keeps_the_last_good_set() {
    let failures = [
        Response::builder().status(500).body(Bytes::new()).unwrap(),
        Response::builder().status(404).body(Bytes::new()).unwrap(),
        Response::builder()
            .status(302)
            .header(header::LOCATION, "https://evil.test/jwks")
            .body(Bytes::new())
            .unwrap(),
        Response::builder().status(429).body(Bytes::new()).unwrap(),
        Response::new(Bytes::from("<html>")),
        Response::new(Bytes::from("{\"keys\":[")),
        Response::new(Bytes::from(vec![b' '; 300 * 1024])),
        json_response(&json!({ "keys": [] })),
        json_response(&json!({ "keys": [{ "kty": "oct", "k": "AAAA" }] })),
    ];
    for failure in failures {
        let world = World::new();
        let token = world.token();
        assert_eq!(world.status(&token).await, 200);
        world.issuer.respond_at(JWKS, failure.clone());
        world.clock.advance(11 * MINUTE);
        assert_eq!(world.status(&token).await, 200, "{failure:?}");
        assert_eq!(world.fetches(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_hangs_keeps_the_last_good_set() {
    let world = World::new();
    let token = world.token();
    assert_eq!(world.status(&token).await, 200);
    world.issuer.stall();
    world.clock.advance(11 * MINUTE);
    assert_eq!(world.status(&token).await, 200);
    assert_eq!(world.fetches(), 2);
}

#[tokio::test]
async fn a_failed_refresh_is_tried_again_after_the_cooldown_and_not_after_the_whole_interval() {
    let world = World::new();
    let token = world.token();
    assert_eq!(world.status(&token).await, 200);
    world.issuer.go_down();
    world.clock.advance(11 * MINUTE);
    assert_eq!(world.status(&token).await, 200);
    let failed = world.fetches();
    assert_eq!(world.status(&token).await, 200);
    assert_eq!(world.fetches(), failed);
    world.issuer.come_back();
    world.issuer.rotate_key();
    world.issuer.withdraw_old_keys();
    world.clock.advance(MINUTE / 2);
    // This one starts the refresh, and does not wait for it.
    assert_eq!(world.status(&token).await, 200);
    while world.fetches() == failed {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    assert_eq!(world.status(&token).await, 401);
}

#[tokio::test]
async fn while_no_set_was_ever_fetched_every_token_is_503_and_the_issuer_is_asked_once_a_second() {
    let world = World::new();
    world.issuer.go_down();
    let token = world.token();
    for _ in 0..20 {
        assert_refused(&world.present(&token).await, 503, Some("temporarily_unavailable"));
    }
    assert_eq!(world.issuer.requests(METADATA), 1);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.status(&token).await, 503);
    assert_eq!(world.issuer.requests(METADATA), 2);
    world.issuer.come_back();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.status(&token).await, 200);
}

#[tokio::test]
async fn an_outage_is_no_answer_about_an_unknown_key() {
    let world = World::new();
    assert_eq!(world.status(&world.token()).await, 200);
    world.issuer.go_down();
    world.clock.advance(MINUTE);
    world.issuer.rotate_key();
    let reply = world.present(&world.token()).await;
    assert_eq!(
        reply.extensions().get::<Rejection>().unwrap().kind(),
        RejectionKind::Unavailable
    );
}

#[tokio::test]
async fn a_request_that_goes_away_does_not_take_the_fetch_with_it() {
    let world = World::new();
    world.issuer.stall();
    let token = world.token();
    let ask = || {
        let (layer, token) = (world.layer.clone(), token.clone());
        tokio::spawn(async move {
            ask_behind(&layer, request(&[&format!("Bearer {token}")]))
                .await
                .status()
        })
    };
    let first = ask();
    while world.issuer.requests(METADATA) == 0 {
        tokio::task::yield_now().await;
    }
    let second = ask();
    tokio::task::yield_now().await;
    first.abort();
    world.issuer.come_back();
    assert_eq!(second.await.unwrap(), 200);
    assert_eq!(world.fetches(), 1);
}

#[tokio::test]
async fn a_fetch_whose_request_went_away_serves_the_next_one() {
    let world = World::new();
    world.issuer.stall();
    let (layer, bearer) = (world.layer.clone(), format!("Bearer {}", world.token()));
    let only = tokio::spawn(async move { ask_behind(&layer, request(&[&bearer])).await.status() });
    while world.issuer.requests(METADATA) == 0 {
        tokio::task::yield_now().await;
    }
    only.abort();
    assert!(only.await.unwrap_err().is_cancelled());
    world.issuer.come_back();
    while world.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.status(&world.token()).await, 200);
    assert_eq!((world.issuer.requests(METADATA), world.fetches()), (1, 1));
}

#[tokio::test]
async fn odd_keys_in_the_set_do_not_harm_the_others() {
    let world = World::new();
    for odd in [
        json!({ "kty": "AKP", "alg": "ML-DSA-65", "kid": "pq" }),
        json!({ "kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "oct", "k": "AAAA" }),
        json!(null),
        json!("key"),
        json!({}),
    ] {
        world.issuer.publish_jwk(odd);
    }
    assert_eq!(world.status(&world.token()).await, 200);
}

#[tokio::test]
async fn a_token_without_kid_is_tried_with_the_keys_that_fit() {
    let world = World::new();
    world.issuer.rotate_to("EdDSA");
    world.issuer.rotate_to("ES256");
    let nameless = world.issuer.access_token(API).without_header("kid").mint();
    assert_eq!(world.status(&nameless).await, 200);
    assert_eq!(world.status(&world.nameless_stranger()).await, 401);
    // The stranger's may have been signed by a key that is new.
    assert_eq!(world.fetches(), 2);
}

#[tokio::test]
async fn another_key_under_the_same_kid_does_not_verify() {
    let world = World::new();
    assert_eq!(
        world
            .status(&world.issuer.access_token(API).signed_by_a_stranger().mint())
            .await,
        401
    );
}

#[tokio::test]
async fn metadata_with_another_issuer_are_not_used() {
    for issuer in [
        "https://auth.test/tenant/",
        "https://evil.test",
        "https://auth.test",
        "",
    ] {
        let world = World::new();
        let lie = json_response(&json!({ "issuer": issuer, "jwks_uri": "https://evil.test/jwks" }));
        for place in [
            METADATA,
            "/tenant/.well-known/openid-configuration",
            "/.well-known/openid-configuration/tenant",
            "/tenant/.well-known/oauth-authorization-server",
        ] {
            world.issuer.respond_at(place, lie.clone());
        }
        assert_eq!(world.status(&world.token()).await, 503, "{issuer}");
        assert_eq!(world.fetches(), 0);
    }
}

#[tokio::test]
async fn metadata_are_found_at_the_appended_place_where_the_inserted_one_has_none() {
    let world = World::new();
    let none = Response::builder().status(404).body(Bytes::new()).unwrap();
    world.issuer.respond_at(METADATA, none);
    assert_eq!(world.status(&world.token()).await, 200);
    assert_eq!(world.issuer.requests("/tenant/.well-known/openid-configuration"), 1);
}

#[tokio::test]
async fn a_key_url_in_metadata_must_be_https() {
    for jwks_uri in [
        "http://auth.test/jwks",
        "file:///etc/passwd",
        "https://user@auth.test/jwks",
    ] {
        let world = World::new();
        let metadata = json!({ "issuer": world.issuer.url(), "jwks_uri": jwks_uri });
        world.issuer.respond_at(METADATA, json_response(&metadata));
        assert_eq!(world.status(&world.token()).await, 503, "{jwks_uri}");
        assert_eq!(world.fetches(), 0);
    }
}

#[tokio::test]
async fn metadata_must_be_json_and_may_have_more_members() {
    let world = World::new();
    let metadata =
        json!({ "issuer": world.issuer.url(), "jwks_uri": "https://auth.test/tenant/jwks", "more": { "a": [1] } });
    world.says_of_itself(&metadata);
    assert_eq!(world.status(&world.token()).await, 200);

    let world = World::new();
    let mut html = json_response(&metadata);
    html.headers_mut()
        .insert(header::CONTENT_TYPE, "text/html".parse().unwrap());
    world.issuer.respond_at(METADATA, html);
    assert_eq!(world.status(&world.token()).await, 200);
    assert_eq!(world.issuer.requests("/tenant/.well-known/openid-configuration"), 1);
}

#[tokio::test]
async fn the_keys_of_one_issuer_never_verify_for_another() {
    let (a, b) = (World::new(), World::new());
    let token_of_b = b.issuer.access_token(API).mint();
    assert_eq!(b.status(&token_of_b).await, 200);
    assert_eq!(a.status(&token_of_b).await, 401);
}

#[test]
fn intervals_out_of_bounds_are_setup_errors_that_name_the_option() {
    let validator = || JwtValidator::discover("https://auth.test", API).unwrap();
    let seconds = Duration::from_secs;
    let option = |result: Result<JwtValidator, SetupError>| result.err().map(|error| error.option());
    for (interval, refused) in [(59, true), (60, false), (86_400, false), (86_401, true)] {
        let expected = refused.then_some("refresh_interval");
        assert_eq!(option(validator().refresh_interval(seconds(interval))), expected);
    }
    for (cooldown, refused) in [(0, true), (1, false), (600, false), (601, true)] {
        let expected = refused.then_some("refetch_cooldown");
        assert_eq!(option(validator().refetch_cooldown(seconds(cooldown))), expected);
    }
    for (bound, refused) in [(0, false), (86_400, false), (86_401, true)] {
        let expected = refused.then_some("keep_stale_keys");
        assert_eq!(option(validator().keep_stale_keys(seconds(bound))), expected);
    }
    for (timeout, refused) in [(0, true), (1, false), (60, false), (61, true)] {
        assert_eq!(
            option(validator().timeout(seconds(timeout))),
            refused.then_some("timeout")
        );
    }
}

#[tokio::test]
async fn a_key_without_a_name_is_fetched_anew_when_it_does_not_verify() {
    let world = World::new();
    let nameless = |issuer: &TestIssuer| {
        let mut keys: serde_json::Value = serde_json::from_str(&issuer.jwks()).unwrap();
        for key in keys["keys"].as_array_mut().unwrap() {
            key.as_object_mut().unwrap().remove("kid");
        }
        json_response(&keys)
    };
    let token = || world.issuer.access_token(API).without_header("kid").mint();
    world.issuer.respond_at(JWKS, nameless(&world.issuer));
    assert_eq!(world.status(&token()).await, 200);
    world.clock.advance(MINUTE);
    world.issuer.rotate_key();
    world.issuer.withdraw_old_keys();
    world.issuer.respond_at(JWKS, nameless(&world.issuer));
    assert_eq!(world.status(&token()).await, 200);
    assert_eq!(world.fetches(), 2);
    // The new key has a name; tokens name it.
    world.clock.advance(MINUTE);
    world.issuer.respond_normally_at(JWKS);
    world.issuer.rotate_key();
    assert_eq!(world.status(&world.token()).await, 200);
    for _ in 0..10 {
        assert_eq!(world.status(&world.nameless_stranger()).await, 401);
    }
    assert_eq!(world.fetches(), 3);
}

#[tokio::test]
async fn a_failure_long_ago_does_not_let_an_old_set_pass() {
    let world = World::new();
    let token = world.token();
    assert_eq!(world.status(&token).await, 200);
    world.issuer.go_down();
    world.clock.advance(MINUTE);
    assert_eq!(world.status(&world.junk(0)).await, 503);
    world.issuer.come_back();
    world.issuer.rotate_key();
    world.issuer.withdraw_old_keys();
    world.clock.advance(50 * MINUTE);
    assert_eq!(world.status(&token).await, 401);
}

#[tokio::test]
async fn an_etag_is_sent_only_to_the_endpoint_that_gave_it() {
    let world = World::new();
    let metadata = |path: &str| {
        json_response(&json!({ "issuer": world.issuer.url(), "jwks_uri": format!("https://auth.test{path}") }))
    };
    let tagged = |keys: String| {
        let response = Response::builder().header(header::ETAG, "\"1\"");
        response.body(Bytes::from(keys)).unwrap()
    };
    world.issuer.respond_at(METADATA, metadata("/old"));
    world.issuer.respond_at("/old", tagged(world.issuer.jwks()));
    assert_eq!(world.status(&world.token()).await, 200);
    world.issuer.respond_at(METADATA, metadata("/new"));
    world.issuer.rotate_key();
    world.issuer.respond_at("/new", tagged(world.issuer.jwks()));
    world.clock.advance(61 * MINUTE);
    assert_eq!(world.status(&world.token()).await, 200);
    assert!(
        !world
            .issuer
            .last_request("/new")
            .unwrap()
            .headers()
            .contains_key(header::IF_NONE_MATCH)
    );
}

#[tokio::test]
async fn metadata_that_came_by_https_cannot_send_us_to_this_machine() {
    let world = World::new();
    let metadata = json!({ "issuer": world.issuer.url(), "jwks_uri": "http://127.0.0.1:8500/v1/agent/leave" });
    world.issuer.respond_at(METADATA, json_response(&metadata));
    assert_eq!(world.status(&world.token()).await, 503);
    assert!(world.issuer.last_request("/v1/agent/leave").is_none());
}

#[tokio::test]
async fn metadata_are_found_although_another_place_answers_too_much() {
    let world = World::new();
    let page = Response::new(Bytes::from(vec![b'x'; 300 * 1024]));
    world.issuer.respond_at(METADATA, page);
    assert_eq!(world.status(&world.token()).await, 200);
}

#[tokio::test]
async fn a_token_of_another_issuer_causes_no_fetch_and_is_no_outage() {
    let world = World::new();
    let foreign = || world.issuer.access_token(API).claim("iss", "https://other.test").mint();
    assert_eq!(world.status(&foreign()).await, 401);
    assert_eq!(world.issuer.requests(METADATA), 0);
    world.issuer.go_down();
    assert_eq!(world.status(&world.token()).await, 503);
    assert_eq!(world.status(&foreign()).await, 401);
}

#[tokio::test]
async fn a_fetch_that_panics_is_an_outage_with_the_usual_pause() {
    struct Panics(std::sync::Arc<std::sync::atomic::AtomicUsize>);
    impl resource_protector::Fetch for Panics {
        async fn fetch(
            &self,
            _: http::Request<Bytes>,
            _: usize,
        ) -> Result<Response<Bytes>, resource_protector::FetchError> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            panic!("on purpose")
        }
    }
    let calls = std::sync::Arc::default();
    let world = World::with(|validator| validator.fetch(Panics(std::sync::Arc::clone(&calls))));
    for _ in 0..20 {
        assert_eq!(world.status(&world.token()).await, 503);
    }
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_issuer_that_is_busy_is_left_alone_for_as_long_as_it_asks_and_the_old_keys_are_used() {
    for (asked, seconds) in [("50", 50), ("86400", 60)] {
        let world = World::new();
        let token = world.token();
        assert_eq!(world.status(&token).await, 200);
        let busy = Response::builder().status(429).header(header::RETRY_AFTER, asked);
        world.issuer.respond_at(JWKS, busy.body(Bytes::new()).unwrap());
        world.clock.advance(10 * MINUTE);
        assert_eq!(world.status(&token).await, 200);
        assert_eq!(world.fetches(), 2);
        world.issuer.respond_normally_at(JWKS);
        world.clock.advance(Duration::from_secs(seconds - 1));
        for n in 0..5 {
            assert_eq!(world.status(&token).await, 200);
            // It may be signed by a new key: nobody knows.
            assert_eq!(world.status(&world.junk(n)).await, 503);
        }
        assert_eq!(world.fetches(), 2, "{asked}");
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(world.status(&world.junk(9)).await, 401);
        assert_eq!(world.fetches(), 3, "{asked}");
    }
}

#[tokio::test]
async fn while_there_are_no_keys_an_issuer_is_asked_again_when_it_asked_to_be() {
    let world = World::new();
    let busy = Response::builder().status(503).header(header::RETRY_AFTER, "20");
    world.issuer.respond_at(METADATA, busy.body(Bytes::new()).unwrap());
    for other in [
        "/tenant/.well-known/openid-configuration",
        "/.well-known/openid-configuration/tenant",
        "/tenant/.well-known/oauth-authorization-server",
    ] {
        let missing = Response::builder().status(404).body(Bytes::new()).unwrap();
        world.issuer.respond_at(other, missing);
    }
    let token = world.token();
    assert_eq!(world.status(&token).await, 503);
    let asked = world.issuer.requests(METADATA);
    world.issuer.respond_normally_at(METADATA);
    world.clock.advance(Duration::from_secs(19));
    assert_eq!(world.status(&token).await, 503);
    assert_eq!(world.issuer.requests(METADATA), asked);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.status(&token).await, 200);
}
