//! What the keys of a configuration do for keeping answers, keys and calls, and for routes that ask again.

use std::time::Duration;

use resource_protector::{
    ResourceProtectorLayer,
    config::ProtectorConfig,
    testing::{TestClock, TestIssuer},
};
use tower::Layer as _;

use crate::support::{ask, ask_behind, assert_refused, hello, request};

const API: &str = "https://api.test";
const INTROSPECT: &str = "/introspect";
const JWKS: &str = "/jwks";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct World {
    clock: TestClock,
    issuer: TestIssuer,
    config: ProtectorConfig,
    protector: ResourceProtectorLayer,
}

impl World {
    fn introspection(more: &str, routes: &str) -> Self {
        let client = "client_id = \"api\"\nclient_secret = \"secret\"";
        Self::of("introspection", &format!("{client}\n{more}\n{routes}"))
    }

    fn jwt(more: &str) -> Self {
        Self::of("jwt", more)
    }

    fn of(kind: &str, more: &str) -> Self {
        let clock = TestClock::new();
        let issuer = TestIssuer::new("https://auth.test").with_clock(clock.clone());
        issuer.set_jwks_cache_control(None);
        let text = format!(
            "[resource]\nidentifier = \"{API}\"\n[[issuer]]\nissuer = \"https://auth.test\"\nkind = {kind:?}\n{more}\n"
        );
        let config = ProtectorConfig::from_toml(&text).unwrap();
        let protector = config.protector_with(issuer.clone()).unwrap().clock(clock.clone());
        Self {
            clock,
            issuer,
            config,
            protector,
        }
    }

    fn opaque(&self) -> String {
        self.issuer.opaque_token(API).lifetime(seconds(100_000)).mint()
    }

    fn jwt_token(&self) -> String {
        self.issuer.access_token(API).lifetime(seconds(100_000)).mint()
    }

    async fn status(&self, token: &str) -> u16 {
        let reply = ask_behind(&self.protector, request(&[&format!("Bearer {token}")])).await;
        reply.status().as_u16()
    }

    /// Asks a path of the configuration.
    async fn status_at(&self, path: &str, token: &str) -> u16 {
        let routes = self.config.routes(self.protector.clone()).unwrap();
        let mut request = request(&[&format!("Bearer {token}")]);
        *request.uri_mut() = path.parse().unwrap();
        let reply = ask(routes.layer(tower::service_fn(hello)), request).await;
        reply.status().as_u16()
    }
}

/// The authorization server itself does not know the token; how often it is asked about it in that time.
async fn calls_about_a_bad_token(more: &str, after: u64) -> usize {
    let world = World::introspection(more, "");
    assert_eq!(world.status("unknown").await, 401);
    world.clock.advance(seconds(after));
    assert_eq!(world.status("unknown").await, 401);
    world.issuer.requests(INTROSPECT)
}

#[tokio::test]
async fn refusals_are_remembered_for_as_long_as_is_said() {
    for (more, after, calls) in [
        ("negative_seconds = 20", 19, 1),
        ("negative_seconds = 20", 20, 2),
        ("negative_seconds = 0", 0, 2),
        ("cache_seconds = 2\nnegative_seconds = 20", 19, 1),
        ("cache_seconds = 0\nnegative_seconds = 20", 19, 1),
    ] {
        assert_eq!(
            calls_about_a_bad_token(more, after).await,
            calls,
            "{more}, after {after} s"
        );
    }
}

#[tokio::test]
async fn an_answer_stands_in_during_an_outage_for_as_long_as_is_said() {
    for (more, after, expected) in [
        ("", 60, 503),
        ("stale_if_error_seconds = 0", 60, 503),
        ("stale_if_error_seconds = 600", 659, 200),
        ("stale_if_error_seconds = 600", 660, 503),
    ] {
        let world = World::introspection(more, "");
        let token = world.opaque();
        assert_eq!(world.status(&token).await, 200);
        world.issuer.go_down();
        world.clock.advance(seconds(after));
        assert_eq!(world.status(&token).await, expected, "{more}, after {after} s");
    }
}

#[tokio::test]
async fn a_token_in_use_is_asked_about_a_little_earlier_unless_that_is_switched_off() {
    for (more, calls) in [("", 2), ("refresh_ahead = true", 2), ("refresh_ahead = false", 1)] {
        let world = World::introspection(more, "");
        let token = world.opaque();
        assert_eq!(world.status(&token).await, 200);
        world.clock.advance(seconds(59));
        assert_eq!(world.status(&token).await, 200);
        // Whatever was started gets its turn.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.issuer.requests(INTROSPECT), calls, "{more}");
    }
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_is_said() {
    let world = World::introspection("max_calls_in_flight = 1", "");
    let (first, second) = (world.opaque(), world.opaque());
    // The endpoint is known by then.
    assert_eq!(world.status("unknown").await, 401);
    world.issuer.stall();
    let layer = world.protector.clone();
    let waiting = tokio::spawn(async move { ask_behind(&layer, request(&[&format!("Bearer {first}")])).await });
    while world.issuer.requests(INTROSPECT) < 2 {
        tokio::task::yield_now().await;
    }
    let shed = ask_behind(&world.protector, request(&[&format!("Bearer {second}")])).await;
    assert_refused(&shed, 503, Some("temporarily_unavailable"));
    world.issuer.come_back();
    assert_eq!(waiting.await.unwrap().status(), 200);
    assert_eq!(world.status(&second).await, 200);
}

#[tokio::test(start_paused = true)]
async fn each_exchange_has_the_time_that_is_said() {
    for (kind, more, limit) in [
        ("jwt", "", 10),
        ("jwt", "timeout_seconds = 2", 4),
        ("introspection", "", 5),
        ("introspection", "timeout_seconds = 2", 2),
    ] {
        let world = match kind {
            "jwt" => World::jwt(&format!("jwks_uri = \"https://auth.test/jwks\"\n{more}")),
            _ => World::introspection(
                &format!("introspection_endpoint = \"https://auth.test/introspect\"\n{more}"),
                "",
            ),
        };
        world.issuer.stall();
        let token = if kind == "jwt" {
            world.jwt_token()
        } else {
            world.opaque()
        };
        let began = tokio::time::Instant::now();
        assert_eq!(world.status(&token).await, 503);
        assert!(
            began.elapsed() <= seconds(limit) + Duration::from_millis(50),
            "{kind} {more}: {:?}",
            began.elapsed()
        );
        assert!(
            began.elapsed() >= seconds(limit) / 2,
            "{kind} {more}: {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn keys_are_fetched_again_after_the_time_that_is_said() {
    for (more, after, fetches) in [
        ("", 599, 2),
        ("", 400, 1),
        ("jwks_refresh_seconds = 3600", 2400, 1),
        ("jwks_refresh_seconds = 60", 60, 2),
    ] {
        let world = World::jwt(more);
        assert_eq!(world.status(&world.jwt_token()).await, 200);
        world.clock.advance(seconds(after));
        assert_eq!(world.status(&world.jwt_token()).await, 200);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.issuer.requests(JWKS), fetches, "{more}, after {after} s");
    }
}

#[tokio::test]
async fn old_keys_are_used_during_an_outage_for_as_long_as_is_said() {
    for (more, after, expected) in [
        ("", 3599, 200),
        ("", 3600, 503),
        ("jwks_stale_seconds = 7200", 7199, 200),
        ("jwks_stale_seconds = 0", 600, 503),
    ] {
        let world = World::jwt(more);
        let token = world.jwt_token();
        assert_eq!(world.status(&token).await, 200);
        world.issuer.go_down();
        world.clock.advance(seconds(after));
        assert_eq!(world.status(&token).await, expected, "{more}, after {after} s");
    }
}

const ROUTES: &str = r#"
[[route]]
path = "/transfers"
max_age_seconds = 5
scope = "profile"

[[route]]
path = "/maybe"
max_age_seconds = 5
optional = true
"#;

#[tokio::test]
async fn a_route_asks_again_where_what_is_known_is_older_than_it_says() {
    let world = World::introspection("", ROUTES);
    let token = world.issuer.opaque_token(API).scope("profile").mint();
    assert_eq!(world.status_at("/", &token).await, 200);
    world.clock.advance(seconds(5));
    assert_eq!(world.status_at("/transfers", &token).await, 200);
    assert_eq!(world.issuer.requests(INTROSPECT), 1);
    world.clock.advance(seconds(1));
    assert_eq!(world.status_at("/", &token).await, 200);
    assert_eq!(world.issuer.requests(INTROSPECT), 1);
    world.issuer.revoke(&token);
    for (path, expected) in [("/transfers", 401), ("/maybe", 401), ("/", 401)] {
        assert_eq!(world.status_at(path, &token).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_route_that_asks_again_bears_no_outage_and_lets_the_anonymous_in_where_it_says_so() {
    let world = World::introspection("stale_if_error_seconds = 600", ROUTES);
    let token = world.issuer.opaque_token(API).scope("profile").mint();
    assert_eq!(world.status_at("/", &token).await, 200);
    world.issuer.go_down();
    world.clock.advance(seconds(61));
    assert_eq!(world.status_at("/", &token).await, 200);
    assert_eq!(world.status_at("/transfers", &token).await, 503);
    assert_eq!(world.status_at("/maybe", &token).await, 503);
    let routes = world.config.routes(world.protector.clone()).unwrap();
    let mut anonymous = request(&[]);
    *anonymous.uri_mut() = "/maybe".parse().unwrap();
    let reply = ask(routes.layer(tower::service_fn(hello)), anonymous).await;
    assert_eq!(reply.body(), "anonymous");
}
