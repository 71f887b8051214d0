//! An authorization server scripted in process, behind a protector with a clock that the test moves.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Empty;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;
use crate::{
    clock::Clock, fetch::FetchError, protector::ResourceProtectorLayer, rejection::Reason, require::Requirement,
};

const ENDPOINT: &str = "https://as.example/introspect";
const API: &str = "https://api.example";
const NOW: u64 = 1_700_000_000;

type Handler = dyn Fn(&Request<Bytes>) -> Result<Response<Bytes>, FetchError> + Send + Sync;

/// The authorization server.
#[derive(Clone)]
struct Server(Arc<Script>);

struct Script {
    handler: Mutex<Arc<Handler>>,
    asked: Mutex<Vec<Request<Bytes>>>,
    /// Each answer takes one permit; there are plenty, unless the server is held up.
    permits: Semaphore,
}

impl Server {
    fn new(answer: Value) -> Self {
        let server = Self(Arc::new(Script {
            handler: Mutex::new(Arc::new(|_: &Request<Bytes>| Err(FetchError::new("nothing scripted")))),
            asked: Mutex::default(),
            permits: Semaphore::new(1_000_000),
        }));
        server.says(answer);
        server
    }

    fn says(&self, answer: Value) {
        self.answers(move |_| Ok(ok(&answer.to_string())));
    }

    fn answers(
        &self,
        handler: impl Fn(&Request<Bytes>) -> Result<Response<Bytes>, FetchError> + Send + Sync + 'static,
    ) {
        *self.0.handler.lock().unwrap() = Arc::new(handler);
    }

    fn hold(&self) {
        self.0.permits.forget_permits(usize::MAX);
    }

    fn release(&self, answers: usize) {
        self.0.permits.add_permits(answers);
    }

    fn calls(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    fn last(&self) -> Request<Bytes> {
        self.0.asked.lock().unwrap().last().unwrap().clone()
    }

    async fn until_asked(&self, calls: usize) {
        for _ in 0..100_000 {
            if self.calls() >= calls {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("the server was not asked {calls} times");
    }
}

impl Fetch for Server {
    async fn fetch(&self, request: Request<Bytes>, _: usize) -> Result<Response<Bytes>, FetchError> {
        let handler = Arc::clone(&self.0.handler.lock().unwrap());
        self.0.asked.lock().unwrap().push(request.clone());
        self.0.permits.acquire().await.unwrap().forget();
        handler(&request)
    }
}

fn ok(json: &str) -> Response<Bytes> {
    with_status(200, json)
}

fn with_status(status: u16, body: &str) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_owned()))
        .unwrap()
}

/// What a good access token's answer says.
fn good() -> Value {
    json!({
        "active": true, "scope": "profile", "aud": API, "sub": "alice", "client_id": "app", "exp": NOW + 3600,
    })
}

/// The good answer with one member changed; `null` takes it away.
fn good_but(name: &str, value: Value) -> Value {
    let mut answer = good();
    match value {
        Value::Null => answer.as_object_mut().unwrap().remove(name),
        value => answer.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    answer
}

#[derive(Clone)]
struct TestClock(Arc<Mutex<Moment>>);

impl TestClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Moment {
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
            monotonic: Instant::now(),
        })))
    }

    fn advance(&self, milliseconds: u64) {
        let mut now = self.0.lock().unwrap();
        now.wall += Duration::from_millis(milliseconds);
        now.monotonic += Duration::from_millis(milliseconds);
    }

    fn set_wall_back(&self, seconds: u64) {
        self.0.lock().unwrap().wall -= Duration::from_secs(seconds);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }
}

/// A protected service.
#[derive(Clone)]
struct Api {
    validator: Arc<IntrospectionValidator>,
    clock: TestClock,
}

impl Api {
    fn new(server: &Server) -> Self {
        Self::with(server, |validator| validator)
    }

    fn with(server: &Server, options: impl FnOnce(IntrospectionValidator) -> IntrospectionValidator) -> Self {
        let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("api", "secret"), API).unwrap();
        Self::of(options(validator.fetch(server.clone())))
    }

    fn of(validator: IntrospectionValidator) -> Self {
        Self {
            validator: Arc::new(validator),
            clock: TestClock::new(),
        }
    }

    async fn present(&self, token: &str) -> Result<CurrentToken, Rejection> {
        self.through(token, |layer| layer).await
    }

    async fn through(
        &self,
        token: &str,
        options: impl FnOnce(ResourceProtectorLayer) -> ResourceProtectorLayer,
    ) -> Result<CurrentToken, Rejection> {
        let inner = service_fn(|request: Request<()>| async move {
            let mut response = Response::new(Empty::<Bytes>::new());
            let token = request.extensions().get::<CurrentToken>().unwrap().clone();
            response.extensions_mut().insert(token);
            Ok::<_, Infallible>(response)
        });
        let layer = ResourceProtectorLayer::new(Arc::clone(&self.validator)).clock(self.clock.clone());
        let request = Request::get("/")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(())
            .unwrap();
        let response = options(layer).layer(inner).oneshot(request).await.unwrap();
        match response.extensions().get::<Rejection>() {
            None => Ok(response.extensions().get::<CurrentToken>().unwrap().clone()),
            Some(rejection) => {
                assert_eq!(rejection.status(), response.status());
                Err(rejection.clone())
            }
        }
    }

    async fn status(&self, token: &str) -> u16 {
        self.present(token)
            .await
            .map_or_else(|refused| refused.status().as_u16(), |_| 200)
    }
}

/// What is made of one answer to one request.
async fn judged(answer: Value) -> Result<CurrentToken, Rejection> {
    Api::new(&Server::new(answer)).present("t1").await
}

async fn reason(answer: Value) -> Option<Reason> {
    let refused = judged(answer).await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{refused:?}");
    refused.reason()
}

fn presented<T>(token: &str, now: Moment, look: impl FnOnce(&Presented<'_>) -> T) -> T {
    let request = Request::new(()).into_parts().0;
    look(&Presented::new(token, &request, now))
}

// What an answer means

#[tokio::test]
async fn an_active_access_token_for_us_is_let_in_with_what_the_server_says() {
    let token = judged(good()).await.unwrap();
    assert_eq!((token.subject(), token.client_id()), (Some("alice"), Some("app")));
    assert!(token.has_scope("profile"));
    assert_eq!(
        token.expires_at(),
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 3600))
    );
    assert_eq!(token.age(), Duration::ZERO);
}

#[tokio::test]
async fn inactive_is_a_401_whatever_else_the_answer_says() {
    assert_eq!(reason(json!({ "active": false })).await, Some(Reason::Inactive));
    assert_eq!(reason(good_but("active", json!(false))).await, Some(Reason::Inactive));
}

#[tokio::test]
async fn an_answer_whose_active_is_not_a_boolean_is_a_503() {
    for active in [
        Value::Null,
        json!("false"),
        json!("true"),
        json!(1),
        json!([true]),
        json!({}),
    ] {
        let refused = judged(good_but("active", active.clone())).await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::Unavailable, "{active}");
    }
    assert_eq!(judged(json!({})).await.unwrap_err().kind(), RejectionKind::Unavailable);
}

#[tokio::test]
async fn an_answer_that_is_not_one_strict_json_object_is_a_503() {
    let repeated = r#"{"active":false,"active":true,"aud":"https://api.example","sub":"a"}"#;
    let deep = format!(
        r#"{{"active":true,"aud":"{API}","x":{}{}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    for body in ["", "true", "[]", "{", r#"{"active":true} x"#, repeated, &deep] {
        let server = Server::new(json!({}));
        let body = body.to_owned();
        server.answers(move |_| Ok(ok(&body)));
        assert_eq!(Api::new(&server).status("t1").await, 503);
    }
}

#[tokio::test]
async fn a_claim_of_the_wrong_type_in_an_active_answer_is_a_503() {
    for (name, value) in [
        ("exp", json!("1700003600")),
        ("aud", json!({})),
        ("scope", json!(7)),
        ("sub", json!(1)),
        ("token_type", json!(1)),
        ("cnf", json!("x")),
    ] {
        let refused = judged(good_but(name, value)).await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::Unavailable, "{name}");
    }
}

#[tokio::test]
async fn a_member_that_is_null_is_read_as_absent() {
    let mut answer = good();
    for name in ["nbf", "jti", "username", "nonce", "token_type", "iss", "cnf", "acr"] {
        answer[name] = Value::Null;
    }
    assert!(judged(answer).await.is_ok());
    let mut answer = good();
    answer["aud"] = Value::Null;
    assert_eq!(reason(answer).await, Some(Reason::Audience));
}

#[tokio::test]
async fn an_active_answer_whose_exp_has_passed_is_a_401() {
    assert_eq!(reason(good_but("exp", json!(NOW - 11))).await, Some(Reason::Expired));
}

#[tokio::test]
async fn an_active_answer_whose_nbf_or_iat_lies_ahead_is_a_401() {
    assert_eq!(
        reason(good_but("nbf", json!(NOW + 11))).await,
        Some(Reason::NotYetValid)
    );
    assert_eq!(
        reason(good_but("iat", json!(NOW + 11))).await,
        Some(Reason::NotYetValid)
    );
    assert!(judged(good_but("nbf", json!(NOW + 10))).await.is_ok());
}

#[tokio::test]
async fn the_audience_must_have_one_of_the_expected_values() {
    assert_eq!(
        reason(good_but("aud", json!("https://other.example"))).await,
        Some(Reason::Audience)
    );
    assert_eq!(
        reason(good_but("aud", json!("https://api.example/"))).await,
        Some(Reason::Audience)
    );
    assert_eq!(reason(good_but("aud", json!([]))).await, Some(Reason::Audience));
    assert!(
        judged(good_but("aud", json!(["https://other.example", API])))
            .await
            .is_ok()
    );
}

fn for_anybody(server: &Server) -> Api {
    let audience = Audience::dangerous_any_even_tokens_meant_for_others();
    let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("api", "secret"), audience).unwrap();
    Api::of(validator.fetch(server.clone()))
}

#[tokio::test]
async fn an_answer_without_audience_is_refused_unless_that_is_given_up_by_its_long_name() {
    let answer = good_but("aud", Value::Null);
    assert_eq!(reason(answer.clone()).await, Some(Reason::Audience));
    assert_eq!(for_anybody(&Server::new(answer)).status("t1").await, 200);
}

#[tokio::test]
async fn the_issuer_if_named_must_be_the_expected_one() {
    let expecting = |validator: IntrospectionValidator| validator.issuer("https://as.example").unwrap();
    let other = Api::with(&Server::new(good_but("iss", json!("https://as.example/"))), expecting);
    assert_eq!(other.present("t1").await.unwrap_err().reason(), Some(Reason::Issuer));
    let same = Api::with(&Server::new(good_but("iss", json!("https://as.example"))), expecting);
    assert_eq!(same.status("t1").await, 200);
    let unnamed = Api::with(&Server::new(good()), expecting);
    assert_eq!(
        unnamed.present("t1").await.unwrap().issuer(),
        Some("https://as.example")
    );
}

#[tokio::test]
async fn an_active_token_of_another_type_is_a_401() {
    for (name, value) in [
        ("token_type", "refresh_token"),
        ("token_type", "N_A"),
        ("token_type", "mac"),
        ("token_use", "refresh_token"),
        ("token_use", "id"),
        ("typ", "ID"),
        ("typ", "Refresh"),
        ("typ", "Offline"),
        ("typ", "Logout"),
    ] {
        assert_eq!(
            reason(good_but(name, json!(value))).await,
            Some(Reason::Type),
            "{name} {value}"
        );
    }
}

#[tokio::test]
async fn the_types_of_access_tokens_are_let_in_in_any_case() {
    for (name, value) in [
        ("token_type", "Bearer"),
        ("token_type", "bearer"),
        ("token_type", "access_token"),
        ("token_use", "access_token"),
        ("token_use", "access"),
        ("typ", "Bearer"),
        ("typ", "at+jwt"),
        ("typ", "JWT"),
    ] {
        assert!(judged(good_but(name, json!(value))).await.is_ok(), "{name} {value}");
    }
}

#[tokio::test]
async fn a_dpop_token_is_bound_or_refused() {
    assert_eq!(
        reason(good_but("token_type", json!("DPoP"))).await,
        Some(Reason::Unbound)
    );
    let mut bound = good_but("token_type", json!("dpop"));
    bound["cnf"] = json!({ "jkt": "x" });
    let server = Server::new(bound);
    // The validator finds it good; the protector has no verifier for `cnf`.
    let api = Api::new(&server);
    assert_eq!(api.present("t1").await.unwrap_err().reason(), Some(Reason::Unbound));
    let known = presented("t1", api.clock.now(), |presented| api.validator.validate_now(presented));
    assert!(known.unwrap().is_ok());
}

#[tokio::test]
async fn the_signs_of_an_id_token_or_an_event_are_refused_unless_they_are_named() {
    for sign in ["nonce", "at_hash", "c_hash", "events"] {
        let answer = good_but(sign, json!("x"));
        assert_eq!(reason(answer.clone()).await, Some(Reason::Type), "{sign}");
        let named = Api::with(&Server::new(answer.clone()), |validator| {
            validator.access_tokens_may_carry(sign).unwrap()
        });
        assert_eq!(named.status("t1").await, 200);
    }
    let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("api", "secret"), API).unwrap();
    assert!(validator.access_tokens_may_carry("other").is_err());
}

#[tokio::test]
async fn an_answer_with_nothing_but_active_is_refused_even_without_an_expected_audience() {
    for bare in [json!({ "active": true }), json!({ "active": true, "scope": null })] {
        let refused = for_anybody(&Server::new(bare)).present("t1").await.unwrap_err();
        assert_eq!(refused.reason(), Some(Reason::Type));
    }
}

#[tokio::test]
async fn without_scope_a_token_enters_where_none_is_needed_and_nowhere_else() {
    let api = Api::new(&Server::new(good_but("scope", Value::Null)));
    assert_eq!(api.status("t1").await, 200);
    let requiring = |layer: ResourceProtectorLayer| layer.requiring(Requirement::scope("profile").unwrap());
    let refused = api.through("t1", requiring).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::InsufficientScope);
}

#[tokio::test]
async fn scopes_may_be_an_array() {
    let token = judged(good_but("scope", json!(["profile", "email"]))).await.unwrap();
    assert!(token.has_scope("email"));
}

#[tokio::test]
async fn claims_may_have_other_names() {
    let answer = json!({ "active": true, "resource": API, "azp": "app", "scp": ["profile"], "scope": "admin" });
    let api = Api::with(&Server::new(answer), |validator| {
        validator
            .audience_claim("resource")
            .client_id_claim("azp")
            .scope_claim("scp")
    });
    let token = api.present("t1").await.unwrap();
    assert_eq!(token.client_id(), Some("app"));
    assert!(token.has_scope("profile") && !token.has_scope("admin"));
}

#[tokio::test]
async fn an_answer_that_names_its_audience_is_judged_by_that() {
    let answer = json!({ "active": true, "aud": "https://other.example", "resource": API });
    let api = Api::with(&Server::new(answer), |validator| validator.audience_claim("resource"));
    assert_eq!(api.present("t1").await.unwrap_err().reason(), Some(Reason::Audience));
}

// What is not an answer

#[tokio::test]
async fn an_outage_is_a_503_and_never_remembered() {
    let server = Server::new(good());
    let api = Api::new(&server);
    let html = || {
        let mut response = ok(&good().to_string());
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, "text/html".parse().unwrap());
        response
    };
    let outages: Vec<Box<Handler>> = vec![
        Box::new(|_| Err(FetchError::new("connection refused"))),
        Box::new(|_| Ok(with_status(500, "{}"))),
        Box::new(|_| Ok(with_status(503, "{}"))),
        Box::new(|_| Ok(with_status(429, "{}"))),
        Box::new(|_| Ok(with_status(404, "{}"))),
        Box::new(|_| Ok(with_status(302, &good().to_string()))),
        Box::new(|_| Ok(with_status(201, &good().to_string()))),
        Box::new(move |_| Ok(html())),
        // One byte more than the 64 KiB that are read.
        Box::new(|_| {
            Ok(ok(&format!(
                "{}{}",
                good(),
                " ".repeat(65_537 - good().to_string().len())
            )))
        }),
    ];
    for (calls, outage) in outages.into_iter().enumerate() {
        server.answers(outage);
        assert_eq!(api.status("t1").await, 503, "{calls}");
        assert_eq!(server.calls(), calls + 1);
    }
    server.says(good());
    assert_eq!(api.status("t1").await, 200);
}

#[tokio::test]
async fn a_server_that_refuses_our_own_request_is_our_fault_and_not_a_401() {
    for status in [400, 401, 403] {
        let server = Server::new(json!({}));
        server.answers(move |_| Ok(with_status(status, r#"{"error":"invalid_client"}"#)));
        let api = Api::new(&server);
        let refused = api.present("t1").await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::Misconfigured);
        assert!(refused.detail().contains(&status.to_string()) && !refused.detail().contains("invalid_client"));
        // It may be the token's doing: one odd token does not become many calls.
        for _ in 0..10 {
            assert_eq!(api.status("t1").await, 500);
        }
        assert_eq!(server.calls(), 1);
        server.says(good());
        assert_eq!(api.status("t2").await, 200);
        api.clock.advance(5_000);
        assert_eq!(api.status("t1").await, 200);
    }
}

#[tokio::test]
async fn a_busy_server_tells_our_clients_when_to_come_again() {
    for (said, told) in [("7", "7"), ("soon", "1"), ("-1", "1"), ("99999999999", "3600")] {
        let server = Server::new(json!({}));
        server.answers(move |_| {
            let mut response = with_status(429, "{}");
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, said.parse().unwrap());
            Ok(response)
        });
        let api = Api::new(&server);
        let layer = ResourceProtectorLayer::new(Arc::clone(&api.validator)).clock(api.clock.clone());
        let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) });
        let request = Request::get("/").header("authorization", "Bearer t1").body(()).unwrap();
        let response = layer.layer(inner).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], told);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_within_the_timeout_is_a_503() {
    let server = Server::new(good());
    server.hold();
    let started = tokio::time::Instant::now();
    let api = Api::with(&server, |validator| validator.timeout(Duration::from_secs(2)).unwrap());
    assert_eq!(api.status("t1").await, 503);
    assert_eq!(started.elapsed().as_secs(), 2);
}

#[test]
fn outside_a_runtime_a_token_is_refused_and_nothing_panics() {
    let api = Api::new(&Server::new(good()));
    presented("t1", api.clock.now(), |presented| {
        let mut validate = std::pin::pin!(api.validator.validate(presented));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match validate.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(Err(refused)) => assert_eq!(refused.kind(), RejectionKind::Unavailable),
            other => panic!("{other:?}"),
        }
    });
}

// What is remembered

#[tokio::test]
async fn three_requests_with_one_token_make_one_call_and_the_token_ages() {
    let server = Server::new(good());
    let api = Api::new(&server);
    for _ in 0..3 {
        assert_eq!(api.status("t1").await, 200);
    }
    assert_eq!(server.calls(), 1);
    api.clock.advance(20_000);
    assert_eq!(api.present("t1").await.unwrap().age(), Duration::from_secs(20));
}

#[tokio::test]
async fn remembering_for_no_time_asks_on_every_request() {
    let server = Server::new(good());
    let api = Api::with(&server, |validator| {
        validator
            .remember_for(Duration::ZERO)
            .unwrap()
            .remember_refusals_for(Duration::ZERO)
            .unwrap()
    });
    api.status("t1").await;
    api.status("t1").await;
    assert_eq!(server.calls(), 2);
    server.says(json!({ "active": false }));
    api.status("t1").await;
    api.status("t1").await;
    assert_eq!(server.calls(), 4);
}

#[tokio::test]
async fn a_remembered_token_is_refused_when_its_exp_has_passed() {
    let server = Server::new(good_but("exp", json!(NOW + 30)));
    let api = Api::with(&server, |validator| validator.leeway(Duration::ZERO).unwrap());
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(29_999);
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(1);
    assert_eq!(api.present("t1").await.unwrap_err().reason(), Some(Reason::Expired));
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn between_exp_and_the_leeway_after_it_the_server_is_asked_anew() {
    let server = Server::new(good_but("exp", json!(NOW + 30)));
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(30_000);
    server.says(json!({ "active": false }));
    assert_eq!(api.present("t1").await.unwrap_err().reason(), Some(Reason::Inactive));
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn an_answer_that_has_expired_already_is_remembered_as_a_refusal_only() {
    let server = Server::new(good_but("exp", json!(NOW - 11)));
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 401);
    assert_eq!(api.status("t1").await, 401);
    assert_eq!(server.calls(), 1);
    api.clock.advance(5_000);
    assert_eq!(api.status("t1").await, 401);
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn a_refusal_is_remembered_for_five_seconds() {
    let server = Server::new(json!({ "active": false }));
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 401);
    server.says(good());
    api.clock.advance(4_999);
    assert_eq!(api.status("t1").await, 401);
    assert_eq!(server.calls(), 1);
    api.clock.advance(1);
    assert_eq!(api.status("t1").await, 200);
}

#[tokio::test]
async fn a_token_that_is_revoked_at_the_server_is_refused_after_sixty_seconds_at_the_latest() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    server.says(json!({ "active": false }));
    api.clock.advance(59_999);
    assert_eq!(api.status("t1").await, 200);
    api.clock.advance(1);
    assert_eq!(api.status("t1").await, 401);
}

#[tokio::test]
async fn a_good_answer_without_exp_is_remembered_for_the_same_sixty_seconds() {
    let server = Server::new(good_but("exp", Value::Null));
    let api = Api::new(&server);
    api.status("t1").await;
    api.clock.advance(59_999);
    api.status("t1").await;
    assert_eq!(server.calls(), 1);
    api.clock.advance(1);
    api.status("t1").await;
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn setting_the_wall_clock_back_does_not_lengthen_what_is_remembered() {
    let server = Server::new(good());
    let api = Api::new(&server);
    api.status("t1").await;
    api.clock.advance(60_000);
    api.clock.set_wall_back(3_000);
    server.says(json!({ "active": false }));
    assert_eq!(api.status("t1").await, 401);
}

#[tokio::test]
async fn a_thousand_first_requests_with_one_token_make_one_call() {
    let server = Server::new(good());
    server.hold();
    let api = Api::new(&server);
    let wait = |_| {
        let api = api.clone();
        tokio::spawn(async move { api.status("t1").await })
    };
    let waiters: Vec<_> = (0..1000).map(wait).collect();
    server.until_asked(1).await;
    // The one who started the call goes away.
    waiters[0].abort();
    server.release(1);
    for waiter in waiters.into_iter().skip(1) {
        assert_eq!(waiter.await.unwrap(), 200);
    }
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn all_who_joined_a_call_that_failed_share_another_one() {
    let server = Server::new(good());
    server.hold();
    let calls = AtomicU32::new(0);
    server.answers(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Err(FetchError::new("no answer within 5s")),
        _ => Ok(ok(&good().to_string())),
    });
    let api = Api::new(&server);
    let wait = |api: Api| tokio::spawn(async move { api.status("t1").await });
    let first = wait(api.clone());
    server.until_asked(1).await;
    let joined: Vec<_> = (0..9).map(|_| wait(api.clone())).collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    server.release(10);
    assert_eq!(first.await.unwrap(), 503);
    for waiter in joined {
        assert_eq!(waiter.await.unwrap(), 200);
    }
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn an_invalidated_token_is_asked_about_at_once() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert_eq!((api.status("t1").await, api.status("t2").await), (200, 200));
    server.says(json!({ "active": false }));
    api.validator.invalidate("t1");
    assert_eq!((api.status("t1").await, api.status("t2").await), (401, 200));
    server.says(good());
    api.validator.invalidate("t1");
    assert_eq!(api.status("t1").await, 200);
}

#[tokio::test]
async fn an_answer_on_its_way_when_its_token_is_invalidated_is_not_remembered() {
    let server = Server::new(good());
    server.hold();
    let api = Api::new(&server);
    let early = tokio::spawn({
        let api = api.clone();
        async move { api.status("t1").await }
    });
    server.until_asked(1).await;
    api.validator.invalidate("t1");
    server.says(json!({ "active": false }));
    server.release(2);
    assert_eq!(early.await.unwrap(), 200);
    assert_eq!(api.status("t1").await, 401);
}

#[tokio::test]
async fn who_comes_after_an_invalidation_does_not_wait_for_an_answer_from_before() {
    let server = Server::new(good());
    server.hold();
    let api = Api::new(&server);
    let wait = |api: Api| tokio::spawn(async move { api.status("t1").await });
    let early = wait(api.clone());
    server.until_asked(1).await;
    api.validator.invalidate("t1");
    server.says(json!({ "active": false }));
    let late = wait(api.clone());
    server.until_asked(2).await;
    server.release(2);
    assert_eq!((early.await.unwrap(), late.await.unwrap()), (200, 401));
}

#[tokio::test]
async fn two_validators_share_no_answers() {
    let server = Server::new(good());
    let (one, other) = (Api::new(&server), Api::new(&server));
    assert_eq!(one.status("t1").await, 200);
    server.says(json!({ "active": false }));
    assert_eq!(other.status("t1").await, 401);
    assert_eq!(one.status("t1").await, 200);
}

#[tokio::test]
async fn what_a_route_demands_is_judged_of_a_remembered_token_too() {
    let server = Server::new(good());
    let api = Api::new(&server);
    assert_eq!(api.status("t1").await, 200);
    let requiring = |layer: ResourceProtectorLayer| layer.requiring(Requirement::scope("admin").unwrap());
    let refused = api.through("t1", requiring).await.unwrap_err();
    assert_eq!((refused.kind(), server.calls()), (RejectionKind::InsufficientScope, 1));
}

#[tokio::test]
async fn a_flood_of_made_up_tokens_neither_grows_memory_nor_drives_out_a_good_one() {
    let server = Server::new(json!({}));
    server.answers(|request| {
        let known = request.body().starts_with(b"token=good");
        Ok(ok(&if known { good() } else { json!({ "active": false }) }.to_string()))
    });
    let api = Api::with(&server, |validator| validator.capacity(100));
    for token in 0..100 {
        assert_eq!(api.status(&format!("good{token}")).await, 200);
    }
    for token in 0..2_000 {
        assert_eq!(api.status(&format!("made-up-{token}")).await, 401);
    }
    let (good, refused) = api.validator.inner.remembered.counted();
    assert!(good <= 100 && refused <= 10, "{good} {refused}");
    let calls = server.calls();
    for token in 0..100 {
        assert_eq!(api.status(&format!("good{token}")).await, 200);
    }
    assert_eq!(server.calls(), calls);
}

#[tokio::test]
async fn a_full_memory_goes_on_remembering() {
    let server = Server::new(good());
    let api = Api::with(&server, |validator| validator.capacity(10));
    for token in 0..1_000 {
        assert_eq!(api.status(&format!("t{token}")).await, 200);
    }
    let (good, _) = api.validator.inner.remembered.counted();
    assert!((1..=10).contains(&good), "{good}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_remembered_answer_is_used_beyond_its_time_or_its_exp(
        exp in 0_u64..200, lifetime in 0_u64..200, leeway in 0_u64..60, later in 0_u64..400, back in 0_u64..400,
    ) {
        let seconds = Duration::from_secs;
        let lifetimes = Lifetimes { good: seconds(lifetime), refused: seconds(5) };
        let remembered = Remembered::new(10, lifetimes);
        let digest = DigestKey::random().unwrap().digest("t1");
        let clock = TestClock::new();
        let token = CurrentToken::vouch_for(&json!({ "exp": NOW + exp })).unwrap().with_leeway(seconds(leeway));
        remembered.remember(digest, &Ok(token), clock.now(), remembered.epoch(&digest));
        clock.advance(later * 1000);
        clock.set_wall_back(back);
        let now = clock.now();
        if let Some(Ok(token)) = remembered.recall(&digest, now) && token.judge_time(now.wall).is_ok() {
            prop_assert!(later < lifetime);
            prop_assert!(now.wall < SystemTime::UNIX_EPOCH + seconds(NOW + exp));
        }
    }
}

// How it asks

#[tokio::test]
async fn the_token_is_posted_as_a_form_with_our_authentication() {
    let server = Server::new(good());
    Api::new(&server).status("a+b/c=").await;
    let asked = server.last();
    assert_eq!(asked.method(), http::Method::POST);
    assert_eq!(asked.uri(), ENDPOINT);
    assert_eq!(asked.body(), "token=a%2Bb%2Fc%3D&token_type_hint=access_token");
    assert_eq!(
        asked.headers()[header::CONTENT_TYPE],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(asked.headers()[header::ACCEPT], "application/json");
    // `api:secret`
    assert_eq!(asked.headers()[header::AUTHORIZATION], "Basic YXBpOnNlY3JldA==");
    assert!(asked.headers()[header::AUTHORIZATION].is_sensitive());
}

#[tokio::test]
async fn the_hint_can_be_left_out() {
    let server = Server::new(good());
    Api::with(&server, IntrospectionValidator::without_token_type_hint)
        .status("t1")
        .await;
    assert_eq!(server.last().body(), "token=t1");
}

#[tokio::test]
async fn a_secret_can_be_posted_in_the_form() {
    let server = Server::new(good());
    let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::post("my api", "s&t"), API).unwrap();
    assert_eq!(Api::of(validator.fetch(server.clone())).status("t1").await, 200);
    assert_eq!(
        server.last().body(),
        "token=t1&token_type_hint=access_token&client_id=my%20api&client_secret=s%26t"
    );
    assert!(!server.last().headers().contains_key(header::AUTHORIZATION));
}

#[tokio::test]
async fn with_mutual_tls_this_service_names_itself_in_the_form() {
    let server = Server::new(good());
    let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::tls_client_auth("api"), API).unwrap();
    assert_eq!(Api::of(validator.fetch(server.clone())).status("t1").await, 200);
    assert_eq!(
        server.last().body(),
        "token=t1&token_type_hint=access_token&client_id=api"
    );
    assert!(IntrospectionValidator::new(ENDPOINT, ClientAuth::tls_client_auth(""), API).is_err());
}

#[test]
fn times_out_of_bounds_are_set_up_errors() {
    let validator = || IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("api", "secret"), API).unwrap();
    assert!(validator().timeout(Duration::ZERO).is_err());
    assert!(validator().timeout(Duration::MAX).is_err());
    assert!(validator().remember_for(Duration::MAX).is_err());
    assert!(validator().remember_refusals_for(Duration::MAX).is_err());
    assert!(validator().leeway(Duration::MAX).is_err());
    assert!(validator().issuer("").is_err());
}

#[tokio::test]
async fn a_token_that_looks_like_a_jwt_is_asked_about_like_any_other() {
    let server = Server::new(good());
    assert_eq!(Api::new(&server).status("eyJhbGciOiJub25lIn0.e30.x").await, 200);
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn plain_http_beyond_loopback_is_asked_only_if_it_is_chosen_by_name() {
    let server = Server::new(good());
    let auth = || ClientAuth::basic("api", "secret");
    let url = "http://as.internal/introspect";
    assert!(IntrospectionValidator::new(url, auth(), API).is_err());
    assert!(IntrospectionValidator::discover("http://as.internal", auth(), API).is_err());
    for chosen in [
        IntrospectionValidator::new_over_plain_http(url, auth(), API),
        IntrospectionValidator::new("http://127.0.0.1:9/introspect", auth(), API),
    ] {
        assert_eq!(Api::of(chosen.unwrap().fetch(server.clone())).status("t1").await, 200);
    }
    assert!(IntrospectionValidator::discover_over_plain_http("http://as.internal", auth(), API).is_ok());
}

#[test]
fn what_cannot_work_is_a_set_up_error() {
    let auth = || ClientAuth::basic("api", "secret");
    let option = |result: Result<IntrospectionValidator, SetupError>| result.unwrap_err().option();
    for url in [
        "",
        "/introspect",
        "as.example",
        "https://user@as.example/",
        "ftp://as.example/",
    ] {
        assert_eq!(
            option(IntrospectionValidator::new(url, auth(), API)),
            "endpoint",
            "{url}"
        );
    }
    assert_eq!(
        option(IntrospectionValidator::discover("acme.com", auth(), API)),
        "issuer"
    );
    assert_eq!(
        option(IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("", "x"), API)),
        "client_auth"
    );
    assert_eq!(option(IntrospectionValidator::new(ENDPOINT, auth(), "")), "audience");
    assert_eq!(
        option(IntrospectionValidator::new(ENDPOINT, auth(), Vec::<String>::new())),
        "audience"
    );
    let validator = || IntrospectionValidator::new(ENDPOINT, auth(), API).unwrap();
    assert_eq!(option(validator().leeway(Duration::from_secs(301))), "leeway");
    assert!(validator().leeway(Duration::from_secs(300)).is_ok());
}

// Discovery

const ISSUER: &str = "https://as.example";

/// A server with metadata that name the endpoint, which can be moved.
fn discoverable(server: &Server, endpoint: &'static str) {
    server.answers(move |request| match request.uri().path() {
        "/.well-known/oauth-authorization-server" => {
            let metadata = json!({ "issuer": ISSUER, "introspection_endpoint": endpoint });
            Ok(ok(&metadata.to_string()))
        }
        path if endpoint.ends_with(path) => Ok(ok(&good().to_string())),
        _ => Ok(with_status(404, "{}")),
    });
}

fn discovering(server: &Server, auth: ClientAuth) -> Api {
    Api::of(
        IntrospectionValidator::discover(ISSUER, auth, API)
            .unwrap()
            .fetch(server.clone()),
    )
}

fn paths(server: &Server) -> Vec<String> {
    let asked = server.0.asked.lock().unwrap();
    asked.iter().map(|request| request.uri().path().to_owned()).collect()
}

#[tokio::test]
async fn the_endpoint_is_discovered_at_first_use_and_remembered_for_an_hour() {
    let server = Server::new(json!({}));
    discoverable(&server, "https://as.example/a");
    let api = discovering(&server, ClientAuth::basic("api", "secret"));
    assert_eq!(server.calls(), 0);
    assert_eq!((api.status("t1").await, api.status("t2").await), (200, 200));
    api.clock.advance(3_599_000);
    api.status("t3").await;
    let found = "/.well-known/oauth-authorization-server";
    assert_eq!(paths(&server), [found, "/a", "/a", "/a"]);
    api.clock.advance(1_000);
    api.status("t4").await;
    assert_eq!(paths(&server)[4..], [found, "/a"]);
}

#[tokio::test]
async fn an_endpoint_that_failed_is_looked_up_again_once_a_minute() {
    let server = Server::new(json!({}));
    discoverable(&server, "https://as.example/a");
    let api = discovering(&server, ClientAuth::basic("api", "secret"));
    assert_eq!(api.status("t1").await, 200);
    discoverable(&server, "https://as.example/b");
    for n in 0..10 {
        assert_eq!(api.status(&format!("odd-{n}")).await, 503);
    }
    assert_eq!(server.calls(), 12);
    api.clock.advance(60_000);
    assert_eq!(api.status("t2").await, 200);
    assert_eq!(paths(&server)[12..], ["/.well-known/oauth-authorization-server", "/b"]);
}

#[tokio::test]
async fn an_endpoint_is_used_on_while_the_metadata_cannot_be_had() {
    let server = Server::new(json!({}));
    discoverable(&server, "https://as.example/a");
    let api = discovering(&server, ClientAuth::basic("api", "secret"));
    assert_eq!(api.status("t1").await, 200);
    server.answers(|request| match request.uri().path() {
        "/a" => Ok(ok(&good().to_string())),
        _ => Err(FetchError::new("down")),
    });
    api.clock.advance(3_600_000);
    assert_eq!(api.status("t2").await, 200);
    let calls = server.calls();
    assert_eq!(api.status("t3").await, 200);
    assert_eq!(server.calls(), calls + 1);
    api.clock.advance(24 * 3_600_000);
    assert_eq!(api.status("t4").await, 503);
}

#[tokio::test]
async fn no_more_than_256_calls_are_under_way_and_the_next_is_refused_at_once() {
    let server = Server::new(good());
    server.hold();
    let api = Arc::new(Api::new(&server));
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..256 {
        let api = Arc::clone(&api);
        waiting.spawn(async move { api.status(&format!("t{n}")).await });
    }
    server.until_asked(256).await;
    let refused = api.present("one-too-many").await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::Unavailable);
    server.release(256);
    while let Some(status) = waiting.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(server.calls(), 256);
}

#[tokio::test]
async fn invalidating_one_token_leaves_the_answers_about_others_alone() {
    let server = Server::new(good());
    let api = Api::new(&server);
    for n in 0..50 {
        assert_eq!(api.status("t1").await, 200);
        api.validator.invalidate(&format!("another-{n}"));
    }
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn many_first_requests_with_different_tokens_make_one_discovery() {
    let server = Server::new(json!({}));
    discoverable(&server, "https://as.example/a");
    server.hold();
    let api = discovering(&server, ClientAuth::basic("api", "secret"));
    let wait = |token| {
        let api = api.clone();
        tokio::spawn(async move { api.status(&format!("t{token}")).await })
    };
    let waiters: Vec<_> = (0..50).map(wait).collect();
    server.until_asked(1).await;
    server.release(1000);
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), 200);
    }
    let looked_up = paths(&server).iter().filter(|path| path.contains("well-known")).count();
    assert_eq!(looked_up, 1);
}

#[tokio::test]
async fn a_discovered_issuer_is_the_expected_one() {
    let server = Server::new(json!({}));
    server.answers(|request| {
        let metadata = json!({ "issuer": ISSUER, "introspection_endpoint": "https://as.example/a" });
        let answer = good_but("iss", json!("https://other.example"));
        Ok(ok(
            &if request.uri().path() == "/a" { answer } else { metadata }.to_string()
        ))
    });
    let refused = discovering(&server, ClientAuth::basic("api", "secret"))
        .present("t1")
        .await;
    assert_eq!(refused.unwrap_err().reason(), Some(Reason::Issuer));
}

#[tokio::test]
async fn metadata_that_is_down_or_of_another_issuer_is_a_503_and_metadata_without_endpoint_a_500() {
    let answered = async |metadata: Value| {
        let api = discovering(&Server::new(metadata), ClientAuth::basic("api", "secret"));
        api.status("t1").await
    };
    assert_eq!(
        answered(json!({ "issuer": "https://evil.example", "introspection_endpoint": ENDPOINT })).await,
        503
    );
    assert_eq!(answered(json!({ "issuer": ISSUER })).await, 500);
    assert_eq!(
        answered(json!({ "issuer": ISSUER, "introspection_endpoint": "http://as.example/" })).await,
        500
    );
    let down = Server::new(json!({}));
    down.answers(|_| Err(FetchError::new("connection refused")));
    assert_eq!(
        discovering(&down, ClientAuth::basic("api", "secret"))
            .status("t1")
            .await,
        503
    );
}

#[tokio::test]
async fn an_assertion_is_for_the_discovered_issuer_or_else_for_the_endpoint() {
    use aws_lc_rs::signature::Ed25519KeyPair;
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };

    let key = STANDARD.encode(Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    let auth = || ClientAuth::private_key_jwt("api", &pem).unwrap();
    let audience = |server: &Server| {
        let body = server.last().into_body();
        let form: HashMap<_, _> = std::str::from_utf8(&body)
            .unwrap()
            .split('&')
            .map(|pair| pair.split_once('=').unwrap())
            .collect();
        let claims = form["client_assertion"].split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        claims["aud"].as_str().unwrap().to_owned()
    };
    let server = Server::new(good());
    let direct = IntrospectionValidator::new(ENDPOINT, auth(), API)
        .unwrap()
        .fetch(server.clone());
    assert_eq!(Api::of(direct).status("t1").await, 200);
    assert_eq!(audience(&server), ENDPOINT);
    discoverable(&server, "https://as.example/a");
    assert_eq!(discovering(&server, auth()).status("t1").await, 200);
    assert_eq!(audience(&server), ISSUER);
}

// What is told

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_warning_is_given_once_when_every_token_was_inactive() {
    let log = Log::default();
    let _listening = log.listen();
    let api = Api::new(&Server::new(json!({ "active": false })));
    let warnings = || log.text().matches("almost always a misconfiguration").count();
    for token in 0..9 {
        api.status(&format!("t{token}")).await;
    }
    assert_eq!(warnings(), 0);
    for token in 9..40 {
        api.status(&format!("t{token}")).await;
    }
    assert_eq!(warnings(), 1);
}

#[tokio::test]
async fn no_warning_is_given_when_any_token_was_active() {
    let log = Log::default();
    let _listening = log.listen();
    let server = Server::new(good());
    let api = Api::new(&server);
    api.status("t").await;
    server.says(json!({ "active": false }));
    for token in 0..40 {
        api.status(&format!("t{token}")).await;
    }
    assert!(!log.text().contains("almost always a misconfiguration"));
}

#[tokio::test]
async fn neither_token_nor_secret_is_in_logs_or_debug_forms() {
    let log = Log::default();
    let _listening = log.listen();
    let server = Server::new(good());
    let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::post("api", "s3cret-s3cret"), API).unwrap();
    let api = Api::of(validator.fetch(server.clone()));
    let mut shown = String::new();
    for answer in [good(), json!({ "active": false }), json!({})] {
        server.says(answer);
        api.validator.invalidate("t0ken-t0ken");
        shown += &format!("{:?}", api.present("t0ken-t0ken").await);
    }
    server.answers(|_| Ok(with_status(401, "{}")));
    shown += &format!("{:?} {:?}", api.present("t0ken-t0ken-2").await, api.validator);
    shown += &log.text();
    assert!(
        shown.contains("401") && !shown.contains("t0ken-t0ken") && !shown.contains("s3cret"),
        "{shown}"
    );
}
