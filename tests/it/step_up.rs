//! Step-up authentication (RFC 9470): a good token, whose user did not authenticate recently or strongly enough.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use resource_protector::{
    ClientAuth, CurrentToken, IntrospectionValidator, JwtValidator, Rejection, RejectionKind, Requirement,
    ResourceProtectorLayer,
    config::ProtectorConfig,
    require,
    testing::{TestClock, TestIssuer},
};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceBuilder};

use crate::support::{Reply, ask, ask_behind, assert_refused, challenge, grpc, hello, request};

const ISSUER: &str = "https://auth.test";
const API: &str = "https://api.test";
/// When every test begins, in seconds.
const START: u64 = 1_800_000_000;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const ERROR: &str = "insufficient_user_authentication";

/// An API whose tokens are verified or asked about, on a clock that the test moves.
struct Api {
    opaque: bool,
    clock: TestClock,
    issuer: TestIssuer,
    layer: ResourceProtectorLayer,
}

/// One API of JWTs, and one of opaque tokens.
fn apis() -> [Api; 2] {
    [false, true].map(|opaque| {
        let clock = TestClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(START));
        let issuer = TestIssuer::new(ISSUER).with_clock(clock.clone());
        let layer = match opaque {
            false => ResourceProtectorLayer::new(JwtValidator::discover(ISSUER, API).unwrap().fetch(issuer.clone())),
            true => {
                let auth = ClientAuth::basic(TestIssuer::CLIENT_ID, TestIssuer::CLIENT_SECRET);
                let tokens = IntrospectionValidator::discover(ISSUER, auth, API).unwrap();
                ResourceProtectorLayer::new(tokens.fetch(issuer.clone()).remember_for(24 * HOUR).unwrap())
            }
        };
        Api {
            opaque,
            layer: layer.clock(clock.clone()),
            clock,
            issuer,
        }
    })
}

impl Api {
    /// A token of alice with the scope `profile`, for ten hours, and these claims.
    fn mint(&self, claims: Value) -> String {
        macro_rules! minted {
            ($draft:expr) => {{
                let mut draft = $draft.scope("profile").lifetime(10 * HOUR);
                for (name, value) in claims.as_object().unwrap() {
                    draft = draft.claim(name, value);
                }
                draft.mint()
            }};
        }
        match self.opaque {
            false => minted!(self.issuer.access_token(API)),
            true => minted!(self.issuer.opaque_token(API)),
        }
    }

    async fn ask(&self, demanded: &Requirement, claims: Value) -> Reply {
        self.present(demanded, &self.mint(claims)).await
    }

    async fn present(&self, demanded: &Requirement, token: &str) -> Reply {
        let service = ServiceBuilder::new()
            .layer(self.layer.clone())
            .layer(require(demanded.clone()))
            .service_fn(hello);
        ask(service, bearer(token)).await
    }
}

fn bearer(token: &str) -> Request<Full<Bytes>> {
    request(&[&format!("Bearer {token}")])
}

/// The challenge without the error, which `assert_refused` looks at.
fn named(reply: &Reply) -> &str {
    let (_, named) = challenge(reply).split_once("for this request\"").unwrap();
    named
}

fn within(age: Duration) -> Requirement {
    Requirement::authenticated_within(age)
}

fn acr(values: &[&str]) -> Requirement {
    Requirement::acr(values).unwrap()
}

fn scope(scope: &str) -> Requirement {
    Requirement::scope(scope).unwrap()
}

#[tokio::test]
async fn an_authentication_with_five_minutes_left_is_fresh_and_one_five_minutes_over_is_401() {
    for api in apis() {
        let fresh = json!({ "auth_time": START - 3600 + 300 });
        assert_eq!(api.ask(&within(HOUR), fresh).await.status(), 200);
        let stale = api.ask(&within(HOUR), json!({ "auth_time": START - 3600 - 300 })).await;
        assert_refused(&stale, 401, Some(ERROR));
        assert_eq!(named(&stale), r#", max_age="3600""#);
    }
}

#[tokio::test]
async fn a_token_that_is_still_good_becomes_too_old_a_proof_of_its_user() {
    for api in apis() {
        let token = api.mint(json!({ "auth_time": START }));
        assert_eq!(api.present(&within(HOUR), &token).await.status(), 200);
        // The leeway of both validators is ten seconds.
        api.clock.advance(HOUR + Duration::from_secs(10));
        assert_eq!(api.present(&within(HOUR), &token).await.status(), 200);
        api.clock.advance(Duration::from_secs(1));
        assert_refused(&api.present(&within(HOUR), &token).await, 401, Some(ERROR));
        assert_eq!(api.present(&within(2 * HOUR), &token).await.status(), 200);
        let anew = api.mint(json!({ "auth_time": START + 3611 }));
        assert_eq!(api.present(&within(Duration::ZERO), &anew).await.status(), 200);
    }
}

#[tokio::test]
async fn a_token_that_does_not_say_when_its_user_authenticated_is_not_fresh() {
    for api in apis() {
        let reply = api.ask(&within(24 * HOUR), json!({})).await;
        assert_refused(&reply, 401, Some(ERROR));
        assert_eq!(named(&reply), r#", max_age="86400""#);
        let ahead = api.ask(&within(HOUR), json!({ "auth_time": START + 11 })).await;
        assert_refused(&ahead, 401, Some(ERROR));
    }
}

#[tokio::test]
async fn one_of_the_acr_values_is_enough_and_all_are_named_in_their_order() {
    let demanded = acr(&["phrh", "urn:example:silver", "phr"]);
    for api in apis() {
        for good in ["phr", "urn:example:silver", "phrh"] {
            assert_eq!(api.ask(&demanded, json!({ "acr": good })).await.status(), 200, "{good}");
        }
        for other in [
            json!({}),
            json!({ "acr": "PHR" }),
            json!({ "acr": "phrh phr" }),
            json!({ "acr": "" }),
        ] {
            let reply = api.ask(&demanded, other).await;
            assert_refused(&reply, 401, Some(ERROR));
            assert_eq!(named(&reply), r#", acr_values="phrh urn:example:silver phr""#);
        }
    }
}

#[tokio::test]
async fn one_challenge_names_all_that_a_new_token_needs() {
    let demanded = scope("transfers profile").and(acr(&["phr"])).and(within(5 * MINUTE));
    let whole = r#", scope="transfers profile", acr_values="phr", max_age="300""#;
    for api in apis() {
        for lacking in [
            json!({}),
            json!({ "acr": "phr" }),
            json!({ "auth_time": START }),
            json!({ "scope": "transfers profile", "acr": "phr", "auth_time": START - 500 }),
            json!({ "scope": "transfers profile", "acr": "low", "auth_time": START }),
        ] {
            let reply = api.ask(&demanded, lacking.clone()).await;
            assert_refused(&reply, 401, Some(ERROR));
            assert_eq!(named(&reply), whole, "{lacking}");
        }
        // With the user there is nothing wrong.
        let reply = api.ask(&demanded, json!({ "acr": "phr", "auth_time": START })).await;
        assert_refused(&reply, 403, Some("insufficient_scope"));
        assert!(challenge(&reply).ends_with(r#", scope="transfers profile""#));
        let good = json!({ "scope": "transfers profile", "acr": "phr", "auth_time": START });
        assert_eq!(api.ask(&demanded, good).await.status(), 200);
    }
}

#[tokio::test]
async fn whom_authenticating_would_not_help_is_403() {
    let demanded = Requirement::role("doctor").and(acr(&["phr"]));
    for api in apis() {
        let reply = api.ask(&demanded, json!({ "acr": "low" })).await;
        assert_refused(&reply, 403, Some("insufficient_scope"));
        assert!(!challenge(&reply).contains("acr_values"), "{}", challenge(&reply));
        let doctor = json!({ "acr": "low", "roles": ["doctor"] });
        assert_refused(&api.ask(&demanded, doctor).await, 401, Some(ERROR));
    }
}

#[tokio::test]
async fn a_claim_that_is_true_is_demanded_and_the_word_is_not_enough() {
    let demanded = Requirement::claim("fresh", [true]);
    for api in apis() {
        assert_eq!(api.ask(&demanded, json!({ "fresh": true })).await.status(), 200);
        for other in [
            json!({ "fresh": false }),
            json!({ "fresh": "true" }),
            json!({ "fresh": 1 }),
            json!({}),
        ] {
            let reply = api.ask(&demanded, other).await;
            assert_refused(&reply, 403, Some("insufficient_scope"));
        }
    }
}

#[tokio::test]
async fn layers_further_out_add_what_they_demand_to_the_challenge() {
    let [api, _] = apis();
    let service = ServiceBuilder::new()
        .layer(
            api.layer
                .clone()
                .realm("api")
                .requiring(scope("profile").and(acr(&["phr", "low"]))),
        )
        .layer(require(within(HOUR)))
        .layer(require(scope("profile").and(within(5 * MINUTE))))
        .service_fn(hello);
    let token = api.mint(json!({ "auth_time": START - 600, "acr": "low" }));
    let reply = ask(service.clone(), bearer(&token)).await;
    assert_refused(&reply, 401, Some(ERROR));
    assert_eq!(
        named(&reply),
        r#", scope="profile", acr_values="phr low", max_age="300""#
    );
    assert!(challenge(&reply).starts_with(r#"Bearer realm="api", error="#));
    // A missing scope is a missing scope, whatever stands around it demands of the user.
    let service = ServiceBuilder::new()
        .layer(api.layer.clone())
        .layer(require(within(HOUR)))
        .layer(require(scope("admin")))
        .service_fn(hello);
    let reply = ask(service, bearer(&token)).await;
    assert_refused(&reply, 403, Some("insufficient_scope"));
    assert!(
        challenge(&reply).ends_with(r#", scope="admin""#),
        "{}",
        challenge(&reply)
    );
}

#[tokio::test]
async fn a_request_without_a_token_is_told_from_the_start_and_without_an_error() {
    let [api, _] = apis();
    let demanded = scope("profile").and(acr(&["phr"])).and(within(5 * MINUTE));
    let reply = ask_behind(&api.layer.clone().requiring(demanded.clone()), request(&[])).await;
    assert_refused(&reply, 401, None);
    let bare = r#"Bearer scope="profile", acr_values="phr", max_age="300""#;
    assert_eq!(challenge(&reply), bare);
    let optional = ServiceBuilder::new()
        .layer(api.layer.clone().optional())
        .layer(require(demanded))
        .service_fn(hello);
    assert_eq!(challenge(&ask(optional, request(&[])).await), bare);
}

#[tokio::test]
async fn a_handler_judges_by_the_moment_of_the_request_however_long_it_took() {
    for api in apis() {
        let clock = api.clock.clone();
        let handler = move |request: Request<Full<Bytes>>| {
            let clock = clock.clone();
            async move {
                clock.advance(HOUR);
                let token = request.extensions().get::<CurrentToken>().unwrap();
                let mut response = Response::new(Full::<Bytes>::default());
                if let Err(refusal) = token.require(&within(5 * MINUTE)) {
                    response.extensions_mut().insert(refusal);
                }
                Ok::<_, std::convert::Infallible>(response)
            }
        };
        let service = api.layer.layer(tower::service_fn(handler));
        let token = api.mint(json!({ "auth_time": START }));
        assert_eq!(ask(service.clone(), bearer(&token)).await.status(), 200);
        let reply = ask(service, bearer(&token)).await;
        assert_refused(&reply, 401, Some(ERROR));
        assert_eq!(named(&reply), r#", max_age="300""#);
    }
}

#[tokio::test]
async fn a_grpc_client_is_told_that_its_user_has_to_authenticate() {
    let [api, _] = apis();
    let layer = api.layer.clone().requiring(acr(&["phr"]));
    let reply = ask_behind(&layer, grpc(Some(&api.mint(json!({}))))).await;
    assert_eq!(
        (reply.status(), &reply.headers()["grpc-status"]),
        (StatusCode::OK, &"16".parse().unwrap())
    );
    assert_eq!(named(&reply), r#", acr_values="phr""#);
}

#[tokio::test]
async fn an_expired_token_is_over_whatever_its_user_would_have_to_do() {
    for api in apis() {
        let token = api.mint(json!({ "auth_time": START }));
        api.clock.advance(11 * HOUR);
        assert_refused(&api.present(&within(MINUTE), &token).await, 401, Some("invalid_token"));
    }
}

#[tokio::test]
async fn the_application_and_the_log_see_what_was_demanded_and_what_came() {
    let [api, _] = apis();
    let demanded = acr(&["phrh", "phr"]).and(within(5 * MINUTE));
    let layer = api
        .layer
        .clone()
        .requiring(demanded)
        .replace_refusals(|rejection, mut response| {
            let told = format!("{:?} {:?}", rejection.acr_values(), rejection.max_age());
            response.headers_mut().remove(header::WWW_AUTHENTICATE);
            response.map(|_| told.into())
        });
    let token = api.mint(json!({ "auth_time": START - 600, "acr": "low" }));
    let reply = ask_behind(&layer, bearer(&token)).await;
    assert_eq!(reply.body(), r#"["phrh", "phr"] Some(300s)"#);
    // A 401 keeps its challenge.
    assert_eq!(named(&reply), r#", acr_values="phrh phr", max_age="300""#);
    let rejection = reply.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::InsufficientAuthentication);
    assert_eq!(
        rejection.detail(),
        r#"expected acr one of ["phrh", "phr"] and authenticated within 300 s, got scopes "profile", acr "low", authenticated 600 s ago"#
    );
}

#[tokio::test]
async fn a_route_of_a_configuration_demands_authentication() {
    let config = ProtectorConfig::from_toml(
        r#"
        resource.identifier = "https://api.test"
        [[route]]
        path = "/"
        scope = "profile"
        acr = ["phrh", "phr"]
        authenticated_within_seconds = 300
        "#,
    );
    let config = config.unwrap();
    for api in apis() {
        let routes = config.routes(api.layer.clone()).unwrap();
        for (claims, status) in [
            (json!({ "auth_time": START - 299, "acr": "phr" }), 200),
            (json!({ "auth_time": START - 600, "acr": "phr" }), 401),
            (json!({ "auth_time": START - 299, "acr": "low" }), 401),
        ] {
            let reply = ask(routes.layer(tower::service_fn(hello)), bearer(&api.mint(claims))).await;
            assert_eq!(reply.status(), status);
            if status == 401 {
                assert_eq!(
                    named(&reply),
                    r#", scope="profile", acr_values="phrh phr", max_age="300""#
                );
            }
        }
    }
}
