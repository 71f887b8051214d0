//! JWTs that were verified before, on a moved clock.

use std::{sync::Arc, time::Duration};

use resource_protector::{
    CurrentToken, JwtValidator, Reason, Rejection, Requirement, ResourceProtectorLayer, testing::TestIssuer,
};

use crate::support::{World, ask, ask_behind, assert_refused, request};

const API: &str = World::API;
const JWKS: &str = World::JWKS;
const MINUTE: Duration = Duration::from_secs(60);

impl World {
    /// Waits until the keys were fetched as often, in the background.
    async fn fetched(&self, times: usize) {
        while self.fetches() < times {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_remembered_token_is_over_at_its_exp_plus_the_leeway() {
    let world = World::new();
    let token = world.token_for(5 * MINUTE);
    assert_eq!(world.status(&token).await, 200);
    world.clock.advance(5 * MINUTE + Duration::from_secs(9));
    assert_eq!(world.status(&token).await, 200);
    world.clock.advance(Duration::from_secs(1));
    assert_refused(&world.present(&token).await, 401, Some("invalid_token"));
    assert_eq!(world.reason(&token).await, Some(Reason::Expired));
}

#[tokio::test]
async fn a_token_that_was_seen_too_early_is_good_when_its_time_has_come() {
    let world = World::new();
    let token = world
        .issuer
        .access_token(API)
        .lifetime(200 * MINUTE)
        .not_yet_valid()
        .mint();
    assert_eq!(world.reason(&token).await, Some(Reason::NotYetValid));
    assert_eq!(world.reason(&token).await, Some(Reason::NotYetValid));
    world.clock.advance(59 * MINUTE);
    assert_eq!(world.reason(&token).await, Some(Reason::NotYetValid));
    world.clock.advance(2 * MINUTE);
    assert_eq!(world.status(&token).await, 200);
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_lengthens_no_remembered_tokens_life() {
    use resource_protector::Clock as _;

    let world = World::new();
    let (seen, unseen) = (world.token_for(5 * MINUTE), world.token_for(5 * MINUTE));
    let start = world.clock.now().wall;
    assert_eq!(world.status(&seen).await, 200);
    world.clock.advance(6 * MINUTE);
    world.clock.set_wall(start);
    assert_eq!(world.reason(&seen).await, Some(Reason::Expired));
    // Of this one nothing else is known than what the wall clock says.
    assert_eq!(world.status(&unseen).await, 200);
}

#[tokio::test]
async fn after_a_clock_was_corrected_tokens_are_accepted_again() {
    use resource_protector::Clock as _;

    let world = World::new();
    let token = world.token_for(60 * MINUTE);
    let start = world.clock.now().wall;
    assert_eq!(world.status(&token).await, 200);
    for wrong in [start + 10_000 * MINUTE, start - 10_000 * MINUTE] {
        world.clock.set_wall(wrong);
        assert_eq!(world.status(&token).await, 401);
        world.clock.set_wall(start);
        assert_eq!(world.status(&token).await, 200);
    }
}

#[tokio::test]
async fn a_token_that_was_first_seen_while_the_clock_was_ahead_is_accepted_when_it_is_corrected() {
    use resource_protector::Clock as _;

    let world = World::new();
    let token = world.token_for(60 * MINUTE);
    let start = world.clock.now().wall;
    world.clock.set_wall(start + 100 * MINUTE);
    for _ in 0..2 {
        assert_eq!(world.reason(&token).await, Some(Reason::Expired));
    }
    world.clock.set_wall(start);
    assert_eq!(world.status(&token).await, 200);
}

#[tokio::test]
async fn a_withdrawn_key_takes_along_what_it_has_verified_and_nothing_else() {
    let world = World::new();
    let of_old_key = world.token_for(100 * MINUTE);
    world.issuer.rotate_key();
    let of_new_key = world.token_for(100 * MINUTE);
    for token in [&of_old_key, &of_new_key] {
        assert_eq!(world.status(token).await, 200);
    }
    world.issuer.withdraw_old_keys();
    world.clock.advance(8 * MINUTE);
    // Remembered tokens alone keep the set fresh: this one starts the refresh that finds the key gone.
    assert_eq!(world.status(&of_old_key).await, 200);
    world.fetched(2).await;
    assert_eq!(world.reason(&of_old_key).await, Some(Reason::UnknownKey));
    assert_eq!(world.status(&of_new_key).await, 200);
}

#[tokio::test]
async fn a_key_that_comes_back_verifies_anew() {
    let world = World::new();
    let token = world.token_for(100 * MINUTE);
    assert_eq!(world.status(&token).await, 200);
    let with_old_key = world.issuer.jwks();
    world.issuer.rotate_key();
    world.issuer.withdraw_old_keys();
    world.clock.advance(10 * MINUTE);
    assert_eq!(world.status(&token).await, 401);
    let set = http::Response::builder()
        .header("content-type", "application/json")
        .body(with_old_key.into())
        .unwrap();
    world.issuer.respond_at(JWKS, set);
    world.clock.advance(10 * MINUTE);
    assert_eq!(world.status(&token).await, 200);
}

#[tokio::test]
async fn a_remembered_token_is_no_way_around_keys_that_are_too_old() {
    let world = World::new();
    let token = world.token_for(1000 * MINUTE);
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
async fn what_the_issuer_signed_for_others_stays_refused_until_its_key_is_withdrawn() {
    let world = World::new();
    let token = world
        .issuer
        .access_token("https://other.test")
        .lifetime(100 * MINUTE)
        .mint();
    for _ in 0..3 {
        assert_eq!(world.reason(&token).await, Some(Reason::Audience));
    }
    world.issuer.rotate_key();
    world.issuer.withdraw_old_keys();
    world.clock.advance(10 * MINUTE);
    assert_eq!(world.reason(&token).await, Some(Reason::UnknownKey));
}

#[tokio::test]
async fn a_remembered_jwt_is_judged_by_the_route_of_each_request() {
    let issuer = TestIssuer::new("https://auth.test");
    let tokens = JwtValidator::with_jwks(issuer.url(), issuer.jwks(), API).unwrap();
    let tokens = Arc::new(tokens);
    let route = |requirement| ResourceProtectorLayer::new(Arc::clone(&tokens)).requiring(requirement);
    let scope = |scope| Requirement::scope(scope).unwrap();
    let routes = [
        (route(scope("profile")), 200),
        (route(scope("email")), 403),
        (route(Requirement::role("admin")), 403),
        (route(scope("profile")), 200),
    ];
    let bearer = format!("Bearer {}", issuer.access_token(API).scope("profile").mint());
    for (route, expected) in &routes {
        let reply = ask_behind(route, request(&[&bearer])).await;
        assert_eq!(reply.status(), *expected);
    }
}

#[tokio::test]
async fn a_jwt_remembered_on_one_route_is_refused_on_a_route_for_another_audience_or_issuer() {
    let issuer = TestIssuer::new("https://auth.test");
    // The same keys everywhere: nothing but the rules tells the routes apart.
    let route = |issuer_url: &str, audience| {
        ResourceProtectorLayer::new(JwtValidator::with_jwks(issuer_url, issuer.jwks(), audience).unwrap())
    };
    let routes = [
        (route(issuer.url(), API), None),
        (route(issuer.url(), "https://other.test"), Some(Reason::Audience)),
        (route("https://other.test", API), Some(Reason::Issuer)),
    ];
    let bearer = format!("Bearer {}", issuer.access_token(API).mint());
    for _ in 0..2 {
        for (route, expected) in &routes {
            let reply = ask_behind(route, request(&[&bearer])).await;
            assert_eq!(reply.status(), if expected.is_some() { 401 } else { 200 });
            let reason = reply.extensions().get::<Rejection>().and_then(Rejection::reason);
            assert_eq!(reason, *expected);
        }
    }
}

#[tokio::test]
async fn one_changed_bit_of_a_remembered_token_makes_it_another() {
    let world = World::new();
    let token = world.token_for(10 * MINUTE);
    assert_eq!(world.status(&token).await, 200);
    let (signed, _) = token.rsplit_once('.').unwrap();
    for place in [0, token.find('.').unwrap() + 5, signed.len() + 5] {
        let mut other = token.clone().into_bytes();
        other[place] = if other[place] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        assert_eq!(world.status(&other).await, 401, "{place}");
    }
    assert_eq!(world.status(&token).await, 200);
}

#[tokio::test]
async fn without_capacity_every_token_is_verified_anew() {
    let world = World::with(|validator| validator.capacity(0));
    let token = world.token_for(10 * MINUTE);
    for _ in 0..3 {
        assert_eq!(world.status(&token).await, 200);
    }
    world.clock.advance(11 * MINUTE);
    assert_eq!(world.reason(&token).await, Some(Reason::Expired));
}

#[tokio::test]
async fn two_requests_with_one_token_see_the_same_claims_and_each_its_own_token() {
    let world = World::new();
    let token = world
        .issuer
        .access_token(API)
        .subject("alice")
        .claim("tenant", "t1")
        .mint();
    let seen = |request: http::Request<_>| async move {
        let token = request.extensions().get::<CurrentToken>().unwrap();
        let text = format!("{:?} {:?}", token.subject(), token.claim::<String>("tenant"));
        Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::new(bytes::Bytes::from(text))))
    };
    use tower::Layer as _;
    for _ in 0..2 {
        let service = world.layer.layer(tower::service_fn(seen));
        let reply = ask(service, request(&[&format!("Bearer {token}")])).await;
        assert_eq!(reply.body(), r#"Some("alice") Some("t1")"#);
    }
}
