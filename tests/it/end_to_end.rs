//! The validators against an issuer in process, behind protector and guards: several parts at once.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use resource_protector::{
    ByIssuer, ClientAuth, Clock as _, CurrentToken, Fetch, FetchError, IntrospectionValidator, JwtValidator, Reason,
    Rejection, RequireLayer, Requirement, ResourceProtectorLayer, TokenValidator, require, require_scope,
    testing::{Jwt, TestClock, TestIssuer, TokenDraft},
};
use serde_json::json;
use tower::ServiceBuilder;

use crate::support::{Known, Reply, ask, ask_behind, assert_refused, challenge, hello, request};

const API: &str = "https://api.test";
const ISSUER: &str = "https://auth.test";

fn bearer(token: &str) -> Request<Full<Bytes>> {
    request(&[&format!("Bearer {token}")])
}

fn layer(validator: impl TokenValidator, clock: &TestClock) -> ResourceProtectorLayer {
    ResourceProtectorLayer::new(validator).realm("api").clock(clock.clone())
}

fn issuer(clock: &TestClock) -> TestIssuer {
    TestIssuer::new(ISSUER).with_clock(clock.clone())
}

fn of_jwts(issuer: &TestIssuer) -> JwtValidator {
    JwtValidator::discover(issuer.url(), API).unwrap().fetch(issuer.clone())
}

fn of_opaque_tokens(issuer: &TestIssuer, audience: &str) -> IntrospectionValidator {
    IntrospectionValidator::new(
        format!("{}/introspect", issuer.url()),
        ClientAuth::basic("api", "secret"),
        audience,
    )
    .unwrap()
    .fetch(issuer.clone())
}

fn reason(reply: &Reply) -> Option<Reason> {
    reply.extensions().get::<Rejection>().and_then(Rejection::reason)
}

async fn until_asked(issuer: &TestIssuer, path: &str, times: usize) {
    for _ in 0..100_000 {
        if issuer.requests(path) >= times {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{path} was not asked for {times} times");
}

// Challenges and refusals

#[test]
fn parameters_that_a_challenge_sets_itself_cannot_be_added() {
    for name in ["realm", "Scope", "error", "error_description", "ERROR_URI"] {
        let layer = ResourceProtectorLayer::new(Known::new());
        assert!(layer.challenge_param(name, "x").is_err(), "{name}");
    }
    let named = ResourceProtectorLayer::new(Known::new()).realm("api");
    assert!(named.try_realm("other").is_err());
}

#[tokio::test]
async fn what_a_token_says_about_itself_reaches_no_response() {
    const EVIL: &str = "evil\"\r\nset-cookie: evil=1, Bearer scope=\"evil\\";
    let clock = TestClock::new();
    let issuer = issuer(&clock);
    let good = || issuer.access_token(API);
    let spoilt: [TokenDraft<Jwt>; 10] = [
        good().header("kid", EVIL),
        good().header("alg", EVIL),
        good().header("typ", EVIL),
        good().header("crit", [EVIL]),
        good().claim("iss", EVIL),
        good().claim("aud", EVIL),
        good().claim("exp", EVIL),
        good().claim("scope", [json!({ "evil": EVIL })]),
        good().payload_bytes(EVIL),
        good().subject(EVIL).scope("evil").expired(),
    ];
    for draft in spoilt {
        let reply = ask_behind(&layer(of_jwts(&issuer), &clock), bearer(&draft.mint())).await;
        assert_refused(&reply, 401, Some("invalid_token"));
        assert!(!format!("{reply:?}").contains("evil"), "{reply:?}");
    }
    let guarded = ServiceBuilder::new()
        .layer(layer(of_jwts(&issuer), &clock))
        .layer(require_scope("profile"))
        .service_fn(hello);
    let lacking = good().subject("evil").client_id("evil").scope("evil").mint();
    let reply = ask(guarded, bearer(&lacking)).await;
    assert_refused(&reply, 403, Some("insufficient_scope"));
    assert!(!format!("{reply:?}").contains("evil"), "{reply:?}");
}

#[test]
fn no_refusal_can_be_made_without_a_status_of_400_or_above() {
    let refusals = [
        Rejection::malformed("x"),
        Rejection::invalid_token(Reason::Format, "x"),
        Rejection::unavailable("x"),
        Rejection::misconfigured("x"),
        CurrentToken::vouch_for(&json!({}))
            .unwrap()
            .require(&Requirement::role("x"))
            .unwrap_err(),
    ];
    for refusal in refusals {
        assert!(refusal.status().as_u16() >= 400, "{refusal:?}");
    }
}

#[tokio::test]
async fn where_no_validator_is_registered_every_token_is_refused() {
    let clock = TestClock::new();
    let issuer = issuer(&clock);
    let nobody = layer(ByIssuer::new(), &clock);
    for token in ["opaque".to_owned(), issuer.access_token(API).mint()] {
        let reply = ask_behind(&nobody, bearer(&token)).await;
        assert_refused(&reply, 401, Some("invalid_token"));
    }
    assert_eq!(
        challenge(&ask_behind(&nobody, request(&[])).await),
        r#"Bearer realm="api""#
    );
}

// What a token grants

async fn ask_guarded(guard: RequireLayer, issuer: &TestIssuer, clock: &TestClock, token: &str) -> Reply {
    let service = ServiceBuilder::new()
        .layer(layer(of_jwts(issuer), clock))
        .layer(guard)
        .service_fn(hello);
    ask(service, bearer(token)).await
}

#[tokio::test]
async fn a_token_without_the_role_group_or_entitlement_is_403() {
    let clock = TestClock::new();
    let issuer = issuer(&clock);
    let token = issuer
        .access_token(API)
        .claim("roles", ["doctor"])
        .claim("groups", ["the staff"])
        .claim("entitlements", ["surgery"])
        .mint();
    for (requirement, status) in [
        (Requirement::role("doctor"), 200),
        (Requirement::group("the staff"), 200),
        (Requirement::entitlement("surgery"), 200),
        (Requirement::role("nurse"), 403),
        (Requirement::group("the"), 403),
        (Requirement::group("staff"), 403),
        (Requirement::entitlement("Surgery"), 403),
    ] {
        let reply = ask_guarded(require(requirement.clone()), &issuer, &clock, &token).await;
        assert_eq!(reply.status(), status, "{requirement}");
        if status == 403 {
            assert_refused(&reply, 403, Some("insufficient_scope"));
        }
    }
}

#[tokio::test]
async fn a_jwt_without_scope_is_403_where_one_is_needed() {
    let clock = TestClock::new();
    let issuer = issuer(&clock);
    let draft = || issuer.access_token(API).without("scope");
    for (token, status) in [
        (draft().mint(), 403),
        (draft().claim("scope", "").mint(), 403),
        (draft().claim("scope", ["email", "profile"]).mint(), 200),
        (draft().claim("scope", 1).mint(), 401),
    ] {
        let reply = ask_guarded(require_scope("profile"), &issuer, &clock, &token).await;
        assert_eq!(reply.status(), status);
    }
}

#[tokio::test]
async fn a_handler_sees_the_claims_that_only_the_application_knows() {
    let clock = TestClock::new();
    let issuer = issuer(&clock);
    let tenant = |request: Request<Full<Bytes>>| async move {
        let token = request.extensions().get::<CurrentToken>().unwrap();
        let tenant = token.claim::<String>("urn:example:tenant").unwrap_or_default();
        Ok::<_, std::convert::Infallible>(Response::new(Full::from(tenant)))
    };
    let jwt = issuer.access_token(API).claim("urn:example:tenant", "t1").mint();
    let service = ServiceBuilder::new()
        .layer(layer(of_jwts(&issuer), &clock))
        .service_fn(tenant);
    assert_eq!(ask(service, bearer(&jwt)).await.body().as_ref(), b"t1");
    let opaque = issuer
        .opaque_token(API)
        .claim("urn:example:tenant", "t2")
        .claim("nobody_knows_this", json!({ "deep": [1, { "er": null }] }))
        .mint();
    let service = ServiceBuilder::new()
        .layer(layer(of_opaque_tokens(&issuer, API), &clock))
        .service_fn(tenant);
    assert_eq!(ask(service, bearer(&opaque)).await.body().as_ref(), b"t2");
}

// Keys and issuers

#[tokio::test]
async fn a_token_without_kid_verifies_with_the_only_key() {
    let clock = TestClock::new();
    let issuer = issuer(&clock);
    let token = issuer.access_token(API).without_header("kid").mint();
    let reply = ask_behind(&layer(of_jwts(&issuer), &clock), bearer(&token)).await;
    assert_eq!(reply.status(), 200);
}

#[tokio::test]
async fn the_key_of_one_of_several_issuers_does_not_sign_for_another() {
    let clock = TestClock::new();
    let (a, b) = (
        TestIssuer::new("https://a.test").with_clock(clock.clone()),
        TestIssuer::new("https://b.test").with_clock(clock.clone()),
    );
    let tokens = ByIssuer::new()
        .issuer(a.url(), of_jwts(&a))
        .issuer(b.url(), of_jwts(&b));
    let tokens = layer(tokens, &clock);
    let unknown = a.access_token(API).claim("iss", "https://c.test").mint();
    assert_refused(&ask_behind(&tokens, bearer(&unknown)).await, 401, Some("invalid_token"));
    assert_eq!((a.requests("/jwks"), b.requests("/jwks")), (0, 0));
    for issuer in [&a, &b] {
        let own = issuer.access_token(API).mint();
        assert_eq!(ask_behind(&tokens, bearer(&own)).await.status(), 200);
    }
    for (signer, claimed) in [(&a, &b), (&b, &a)] {
        let forged = signer.access_token(API).claim("iss", claimed.url()).mint();
        let reply = ask_behind(&tokens, bearer(&forged)).await;
        assert_refused(&reply, 401, Some("invalid_token"));
        assert_eq!(reason(&reply), Some(Reason::Signature));
    }
}

// What is remembered, and calls under way

#[tokio::test]
async fn a_wall_clock_that_jumps_is_judged_for_a_remembered_token_too() {
    let clock = TestClock::new();
    let issuer = issuer(&clock);
    let layer = layer(of_opaque_tokens(&issuer, API), &clock);
    let token = issuer.opaque_token(API).mint();
    let start = clock.now().wall;
    let hour = Duration::from_secs(3600);
    for (wall, expected) in [
        (start, None),
        (start + hour, Some(Reason::Expired)),
        (start - hour, Some(Reason::NotYetValid)),
        (start, None),
    ] {
        clock.set_wall(wall);
        let reply = ask_behind(&layer, bearer(&token)).await;
        assert_eq!(reason(&reply), expected);
        assert_eq!(reply.status(), if expected.is_some() { 401 } else { 200 });
    }
    assert_eq!(issuer.requests("/introspect"), 1);
}

#[tokio::test]
async fn an_answer_whose_time_is_up_is_not_used_in_an_outage() {
    let clock = TestClock::new();
    let issuer = issuer(&clock);
    let layer = layer(of_opaque_tokens(&issuer, API), &clock);
    let token = issuer.opaque_token(API).mint();
    assert_eq!(ask_behind(&layer, bearer(&token)).await.status(), 200);
    issuer.go_down();
    clock.advance(Duration::from_secs(59));
    assert_eq!(ask_behind(&layer, bearer(&token)).await.status(), 200);
    clock.advance(Duration::from_secs(1));
    let reply = ask_behind(&layer, bearer(&token)).await;
    assert_refused(&reply, 503, Some("temporarily_unavailable"));
}

#[tokio::test]
async fn a_token_let_in_on_one_route_is_refused_on_a_route_for_another_audience() {
    let clock = TestClock::new();
    let issuer = issuer(&clock);
    let (here, there) = (
        layer(of_opaque_tokens(&issuer, API), &clock),
        layer(of_opaque_tokens(&issuer, "https://other.test"), &clock),
    );
    let token = issuer.opaque_token(API).mint();
    for _ in 0..2 {
        assert_eq!(ask_behind(&here, bearer(&token)).await.status(), 200);
        let reply = ask_behind(&there, bearer(&token)).await;
        assert_refused(&reply, 401, Some("invalid_token"));
        assert_eq!(reason(&reply), Some(Reason::Audience));
    }
}

#[tokio::test]
async fn two_validators_share_no_call_that_is_under_way() {
    let clock = TestClock::new();
    let issuer = issuer(&clock);
    let token = issuer.opaque_token(API).mint();
    issuer.stall();
    let asking: Vec<_> = (0..2)
        .map(|_| {
            let layer = layer(of_opaque_tokens(&issuer, API), &clock);
            let request = bearer(&token);
            tokio::spawn(async move { ask_behind(&layer, request).await.status() })
        })
        .collect();
    until_asked(&issuer, "/introspect", 2).await;
    issuer.come_back();
    for asked in asking {
        assert_eq!(asked.await.unwrap(), 200);
    }
}

tokio::task_local! {
    static CURRENT_REQUEST: &'static str;
}

/// Fails where it can see whose request it runs for, and sends nothing of it on.
#[derive(Clone)]
struct SeesNoRequest(Arc<TestIssuer>);

impl Fetch for SeesNoRequest {
    async fn fetch(&self, request: Request<Bytes>, limit: usize) -> Result<Response<Bytes>, FetchError> {
        assert!(CURRENT_REQUEST.try_with(|_| ()).is_err(), "runs in the request's task");
        assert!(!request.headers().contains_key("x-of-the-request"));
        assert!(!request.headers().contains_key(header::COOKIE));
        self.0.fetch(request, limit).await
    }
}

#[tokio::test]
async fn a_call_takes_nothing_along_from_the_request_that_started_it() {
    let clock = TestClock::new();
    let issuer = issuer(&clock);
    let fetch = SeesNoRequest(Arc::new(issuer.clone()));
    let jwts = layer(of_jwts(&issuer).fetch(fetch.clone()), &clock);
    let opaque = layer(of_opaque_tokens(&issuer, API).fetch(fetch), &clock);
    for (layer, token) in [
        (jwts, issuer.access_token(API).mint()),
        (opaque, issuer.opaque_token(API).mint()),
    ] {
        let mut request = bearer(&token);
        request
            .headers_mut()
            .insert("x-of-the-request", "alice's".parse().unwrap());
        request
            .headers_mut()
            .insert(header::COOKIE, "session=alice's".parse().unwrap());
        let asked = CURRENT_REQUEST.scope("alice's", async { ask_behind(&layer, request).await.status() });
        assert_eq!(asked.await, 200);
    }
    assert_eq!((issuer.requests("/jwks"), issuer.requests("/introspect")), (1, 1));
}
