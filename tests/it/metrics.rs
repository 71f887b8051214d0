//! What is counted: once, under stable names, with labels that nobody who sends requests can choose.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::Response;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use resource_protector::{
    ByIssuer, ClientAuth, CutOff, IntrospectionValidator, JwtValidator, MemoryRevocationList, Requirement,
    ResourceProtectorLayer, RevocationTerms, Revoke as _, RevokedBy,
    config::ProtectorConfig,
    require_scope,
    testing::{TestClock, TestIssuer},
};
use tower::{Layer as _, ServiceBuilder};

use crate::support::{World, ask, ask_behind, hello, preflight, protector, request};

const API: &str = World::API;
const DECISIONS: &str = "resource_protector_decisions_total";
const TOKENS: &str = "resource_protector_tokens_total";
const CALLS: &str = "resource_protector_upstream_calls_total";
const SECONDS: &str = "resource_protector_upstream_seconds";
const BREAKER_CHANGES: &str = "resource_protector_breaker_changes_total";
const BREAKER_STATE: &str = "resource_protector_breaker_state";
const KEY_SET_AGE: &str = "resource_protector_key_set_age_seconds";

/// A value by its name and labels, written `name{label=value,label=value}`. Of a histogram it is how often something was
/// recorded.
type Counted = BTreeMap<String, f64>;

/// What is counted meanwhile, on this thread.
async fn counted_by<T>(doing: impl Future<Output = T>) -> Counted {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    doing.await;
    let values = snapshotter.snapshot().into_vec().into_iter().map(|(key, _, _, value)| {
        let (_, key) = key.into_parts();
        let labels: Vec<String> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let value = match value {
            #[allow(clippy::cast_precision_loss, reason = "small")]
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            #[allow(clippy::cast_precision_loss, reason = "small")]
            DebugValue::Histogram(values) => values.len() as f64,
        };
        (format!("{}{{{}}}", key.name(), labels.join(",")), value)
    });
    values.collect()
}

fn expected(values: &[(&str, &str, f64)]) -> Counted {
    let values = values
        .iter()
        .map(|(name, labels, value)| (format!("{name}{{{labels}}}"), *value));
    values.collect()
}

fn only(name: &str, counted: &Counted) -> Counted {
    let of_name = counted.iter().filter(|(key, _)| key.starts_with(&format!("{name}{{")));
    of_name.map(|(key, value)| (key.clone(), *value)).collect()
}

#[tokio::test]
async fn every_decision_is_counted_once_by_its_kind() {
    for (field, labels) in [
        (Some("Bearer a1"), "decision=admitted,kind=none"),
        (None, "decision=anonymous,kind=none"),
        (Some("Basic x"), "decision=refused,kind=no_credentials"),
        (Some("Bearer"), "decision=refused,kind=malformed"),
        (Some("Bearer nope"), "decision=refused,kind=invalid_token"),
        (Some("Bearer down"), "decision=refused,kind=unavailable"),
        (Some("Bearer broken"), "decision=refused,kind=misconfigured"),
    ] {
        let layer = protector().optional();
        let counted = counted_by(ask_behind(&layer, request(field.as_slice()))).await;
        assert_eq!(counted, expected(&[(DECISIONS, labels, 1.0)]), "{field:?}");
    }
    let layer = protector().allow_cors_preflight();
    let counted = counted_by(ask_behind(&layer, preflight())).await;
    assert_eq!(counted, expected(&[(DECISIONS, "decision=preflight,kind=none", 1.0)]));
}

#[tokio::test]
async fn a_revoked_token_is_counted_as_invalid() {
    let world = World::new();
    let terms = RevocationTerms::new([RevokedBy::TokenId], Duration::from_secs(3600)).unwrap();
    let list = MemoryRevocationList::new(terms).clock(world.clock.clone());
    let layer = world.layer.clone().revocation(list.clone());
    let token = world.issuer.access_token(API).claim("jti", "j").mint();
    let bearer = format!("Bearer {token}");
    assert_eq!(ask_behind(&layer, request(&[&bearer])).await.status(), 200);
    list.revoke(CutOff::token(World::ISSUER, "j")).await.unwrap();
    let counted = counted_by(ask_behind(&layer, request(&[&bearer]))).await;
    let refused = [(DECISIONS, "decision=refused,kind=invalid_token", 1.0)];
    assert_eq!(only(DECISIONS, &counted), expected(&refused));
}

#[tokio::test]
async fn a_refusal_further_in_is_counted_beside_the_admission() {
    let service = ServiceBuilder::new()
        .layer(protector())
        .layer(require_scope("admin"))
        .service_fn(hello);
    let counted = counted_by(ask(service, request(&["Bearer a1"]))).await;
    let both = [
        (DECISIONS, "decision=admitted,kind=none", 1.0),
        (DECISIONS, "decision=refused,kind=insufficient_scope", 1.0),
    ];
    assert_eq!(counted, expected(&both));
}

#[tokio::test]
async fn a_user_who_has_to_authenticate_is_counted_as_such() {
    let layer = protector().requiring(Requirement::acr(["gold"]).unwrap());
    let counted = counted_by(ask_behind(&layer, request(&["Bearer a1"]))).await;
    let refused = [(DECISIONS, "decision=refused,kind=insufficient_authentication", 1.0)];
    assert_eq!(counted, expected(&refused));
}

#[tokio::test]
async fn what_a_route_decides_by_itself_is_counted() {
    let config = ProtectorConfig::from_toml(
        r#"
        resource.identifier = "https://api.test"
        [[route]]
        path = "/open"
        methods = ["GET"]
        public = true
        "#,
    );
    let routes = config.unwrap().routes(protector()).unwrap();
    for (method, path, labels) in [
        ("GET", "/open", "decision=public,kind=none"),
        ("PUT", "/open", "decision=refused,kind=method_not_allowed"),
        ("GET", "/open//", "decision=refused,kind=bad_path"),
    ] {
        let mut request = request(&[]);
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        let counted = counted_by(ask(routes.layer(tower::service_fn(hello)), request)).await;
        assert_eq!(counted, expected(&[(DECISIONS, labels, 1.0)]), "{method} {path}");
    }
}

#[tokio::test]
async fn a_jwt_is_verified_once_and_remembered_from_then_on() {
    let world = World::new();
    let token = world.issuer.access_token(API).mint();
    let counted = counted_by(async {
        for _ in 0..3 {
            world.present(&token).await;
        }
    });
    let counted = only(TOKENS, &counted.await);
    assert_eq!(
        counted,
        expected(&[(TOKENS, "how=verified", 1.0), (TOKENS, "how=remembered", 2.0)])
    );
}

#[tokio::test]
async fn calls_for_keys_and_metadata_are_counted_by_outcome_and_timed() {
    let ok = World::new();
    let counted = counted_by(ok.present(&ok.issuer.access_token(API).mint())).await;
    let calls = [
        (CALLS, "endpoint=jwks,outcome=ok", 1.0),
        (CALLS, "endpoint=metadata,outcome=ok", 1.0),
    ];
    assert_eq!(only(CALLS, &counted), expected(&calls));
    let seconds = [(SECONDS, "endpoint=jwks", 1.0), (SECONDS, "endpoint=metadata", 1.0)];
    assert_eq!(only(SECONDS, &counted), expected(&seconds));

    for (status, outcome) in [(429, "busy"), (503, "busy"), (500, "failed"), (404, "nonsense")] {
        let world = World::new();
        let answer = Response::builder().status(status).body(Bytes::new()).unwrap();
        world.issuer.respond_at(World::JWKS, answer);
        let counted = counted_by(world.present(&world.issuer.access_token(API).mint())).await;
        let key = format!("{CALLS}{{endpoint=jwks,outcome={outcome}}}");
        assert_eq!(counted.get(&key), Some(&1.0), "{status}: {counted:?}");
    }
    let down = World::new();
    down.issuer.go_down();
    let counted = counted_by(down.present(&down.issuer.access_token(API).mint())).await;
    assert_eq!(
        only(CALLS, &counted),
        expected(&[(CALLS, "endpoint=metadata,outcome=failed", 1.0)])
    );
}

#[tokio::test]
async fn the_age_of_a_key_set_is_taken_when_readiness_is_asked() {
    let world = World::new();
    let counted = counted_by(async {
        world.layer.ready().await.unwrap();
        world.clock.advance(Duration::from_secs(90));
        world.layer.ready().await.unwrap();
    });
    let age = [(KEY_SET_AGE, "asked=https://auth.test/tenant", 90.0)];
    assert_eq!(only(KEY_SET_AGE, &counted.await), expected(&age));
}

/// What is known about opaque tokens, and how.
struct Asking {
    clock: TestClock,
    issuer: TestIssuer,
    layer: ResourceProtectorLayer,
    token: String,
}

impl Asking {
    fn new(options: impl FnOnce(IntrospectionValidator) -> IntrospectionValidator) -> Self {
        let clock = TestClock::new();
        let issuer = TestIssuer::new("https://auth.test").with_clock(clock.clone());
        let auth = ClientAuth::basic(TestIssuer::CLIENT_ID, TestIssuer::CLIENT_SECRET);
        let tokens = IntrospectionValidator::new("https://auth.test/introspect?a=b", auth, API).unwrap();
        let layer = ResourceProtectorLayer::new(options(tokens.fetch(issuer.clone()))).clock(clock.clone());
        let token = issuer.opaque_token(API).lifetime(Duration::from_secs(10_000)).mint();
        Self {
            clock,
            issuer,
            layer,
            token,
        }
    }

    async fn present(&self) -> u16 {
        let reply = ask_behind(&self.layer, request(&[&format!("Bearer {}", self.token)])).await;
        reply.status().as_u16()
    }
}

#[tokio::test]
async fn answers_about_tokens_are_counted_as_asked_remembered_and_stale() {
    let asking = Asking::new(|tokens| tokens.stale_if_error(Duration::from_secs(600)).unwrap());
    let counted = counted_by(async {
        for _ in 0..3 {
            assert_eq!(asking.present().await, 200);
        }
        asking.issuer.go_down();
        asking.clock.advance(Duration::from_secs(61));
        assert_eq!(asking.present().await, 200);
    });
    let counted = counted.await;
    let tokens = [
        // The last one waited in vain.
        (TOKENS, "how=asked", 2.0),
        (TOKENS, "how=remembered", 2.0),
        (TOKENS, "how=stale", 1.0),
    ];
    assert_eq!(only(TOKENS, &counted), expected(&tokens));
    let calls = [
        (CALLS, "endpoint=introspection,outcome=ok", 1.0),
        (CALLS, "endpoint=introspection,outcome=failed", 1.0),
    ];
    assert_eq!(only(CALLS, &counted), expected(&calls));
    assert_eq!(
        only(SECONDS, &counted),
        expected(&[(SECONDS, "endpoint=introspection", 2.0)])
    );
}

#[tokio::test]
async fn a_breaker_is_counted_when_it_changes_and_told_when_readiness_is_asked() {
    let asking = Asking::new(|tokens| tokens);
    let name = "asked=https://auth.test/introspect";
    let counted = counted_by(async {
        asking.layer.ready().await.unwrap();
    });
    assert_eq!(counted.await, expected(&[(BREAKER_STATE, name, 0.0)]));

    let counted = counted_by(async {
        asking.issuer.go_down();
        for _ in 0..6 {
            assert_eq!(asking.present().await, 503);
        }
        asking.layer.ready().await.unwrap();
    });
    let counted = counted.await;
    assert_eq!(only(BREAKER_STATE, &counted), expected(&[(BREAKER_STATE, name, 2.0)]));
    assert_eq!(
        only(BREAKER_CHANGES, &counted),
        expected(&[(BREAKER_CHANGES, "to=open", 1.0)])
    );
    let failed = format!("{CALLS}{{endpoint=introspection,outcome=failed}}");
    assert_eq!(counted.get(&failed), Some(&5.0), "{counted:?}");

    let counted = counted_by(async {
        asking.issuer.come_back();
        asking.clock.advance(Duration::from_secs(2));
        asking.layer.ready().await.unwrap();
    });
    assert_eq!(counted.await, expected(&[(BREAKER_STATE, name, 1.0)]));
    let counted = counted_by(async {
        assert_eq!(asking.present().await, 200);
        asking.layer.ready().await.unwrap();
    });
    let counted = counted.await;
    assert_eq!(only(BREAKER_STATE, &counted), expected(&[(BREAKER_STATE, name, 0.0)]));
    let changes = [
        (BREAKER_CHANGES, "to=half_open", 1.0),
        (BREAKER_CHANGES, "to=closed", 1.0),
    ];
    assert_eq!(only(BREAKER_CHANGES, &counted), expected(&changes));
}

#[tokio::test]
async fn a_call_that_is_not_made_is_counted_as_shed() {
    let asking = Asking::new(|tokens| tokens.max_calls_in_flight(1).unwrap());
    let counted = counted_by(async {
        asking.issuer.stall();
        let layer = asking.layer.clone();
        let other = format!("Bearer {}", asking.issuer.opaque_token(API).mint());
        let waiting = tokio::spawn(async move { ask_behind(&layer, request(&[&other])).await.status() });
        while asking.issuer.requests("/introspect") < 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(asking.present().await, 503);
        asking.issuer.come_back();
        assert_eq!(waiting.await.unwrap(), 200);
    });
    let calls = [
        (CALLS, "endpoint=introspection,outcome=ok", 1.0),
        (CALLS, "endpoint=introspection,outcome=shed", 1.0),
    ];
    assert_eq!(only(CALLS, &counted.await), expected(&calls));
}

#[tokio::test]
async fn an_issuer_that_a_client_made_up_becomes_no_label_even_where_tenants_are_made_on_demand() {
    let fetch = TestIssuer::new("https://auth.test");
    let tokens = ByIssuer::new().tenants(10, move |issuer| {
        Some(JwtValidator::discover(issuer, API).ok()?.fetch(fetch.clone()))
    });
    let layer = ResourceProtectorLayer::new(tokens);
    let issuer = TestIssuer::new("https://made-up.test");
    let counted = counted_by(async {
        let token = issuer.access_token(API).mint();
        ask_behind(&layer, request(&[&format!("Bearer {token}")])).await;
        let _ = layer.ready().await;
    });
    let counted = counted.await;
    assert!(
        !counted.is_empty() && !format!("{counted:?}").contains("made-up"),
        "{counted:?}"
    );
}

#[tokio::test]
async fn no_label_has_anything_that_a_client_sent() {
    let world = World::new();
    let draft = || world.issuer.access_token(API);
    let counted = counted_by(async {
        for token in [
            draft().claim("iss", "https://made-up.test").mint(),
            draft().header("kid", "made-up").mint(),
            draft().header("alg", "made-up").mint(),
            draft().claim("aud", "made-up").claim("sub", "made-up").mint(),
            draft()
                .claim("client_id", "made-up")
                .claim("jti", "made-up")
                .claim("scope", "made-up")
                .mint(),
            "made-up".to_owned(),
        ] {
            let mut asked = request(&[&format!("Bearer {token}")]);
            *asked.uri_mut() = "/made-up?made-up".parse().unwrap();
            *asked.method_mut() = "MADE-UP".parse().unwrap();
            ask_behind(&world.layer, asked).await;
        }
        let _ = world.layer.doctor().await;
    });
    let counted = counted.await;
    assert!(!counted.is_empty());
    assert!(
        !format!("{counted:?}").to_ascii_lowercase().contains("made-up"),
        "{counted:?}"
    );
}

#[test]
fn every_name_is_documented() {
    let documented = include_str!("../../src/lib.rs");
    let ours = [
        DECISIONS,
        TOKENS,
        CALLS,
        SECONDS,
        BREAKER_CHANGES,
        BREAKER_STATE,
        KEY_SET_AGE,
    ];
    for name in ours {
        assert!(documented.contains(&format!("//! | `{name}` |")), "{name}");
    }
}
