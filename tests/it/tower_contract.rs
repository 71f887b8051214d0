//! The tower contract: only a service that was polled ready is called, and waiting holds no capacity.

use std::{
    convert::Infallible,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use resource_protector::{
    CurrentToken, Presented, Rejection, ResourceProtectorLayer, TokenValidator, require_token, testing::TestClock,
};
use tokio::sync::Semaphore;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _};

use crate::support::{Gated, Known, Strict, ask, hello, request};

#[tokio::test]
async fn only_a_service_that_was_polled_ready_is_called() {
    let calls = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Semaphore::new(1));
    let mut service = ServiceBuilder::new()
        .layer(ResourceProtectorLayer::new(Gated(gate)))
        .layer(require_token())
        .service(Strict::new(calls.clone()));
    for token in ["known", "slow", "known", "slow"] {
        let ready = service.ready().await.unwrap();
        let response = ready.call(request(&[&format!("Bearer {token}")])).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

/// A request whose token is known gets through at once.
async fn assert_known_enters<S, B>(service: &mut S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
{
    let ready = service.ready().await.unwrap();
    assert_eq!(ready.call(request(&["Bearer known"])).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_slow_authorization_server_holds_no_capacity_of_the_service() {
    let gate = Arc::new(Semaphore::new(0));
    let mut service = ServiceBuilder::new()
        .layer(ResourceProtectorLayer::new(Gated(gate.clone())))
        .concurrency_limit(1)
        .service_fn(hello);
    let slow = service.ready().await.unwrap().call(request(&["Bearer slow"]));
    let slow = tokio::spawn(slow);
    for _ in 0..3 {
        assert_known_enters(&mut service).await;
    }
    gate.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_request_that_goes_away_while_it_waits_gives_everything_back() {
    let gate = Arc::new(Semaphore::new(0));
    let mut service = ServiceBuilder::new()
        .layer(ResourceProtectorLayer::new(Gated(gate)))
        .concurrency_limit(1)
        .service_fn(hello);
    let slow = tokio::spawn(service.ready().await.unwrap().call(request(&["Bearer slow"])));
    tokio::task::yield_now().await;
    slow.abort();
    assert!(slow.await.unwrap_err().is_cancelled());
    assert_known_enters(&mut service).await;
}

#[tokio::test]
async fn an_error_of_the_service_while_it_gets_ready_is_passed_on() {
    #[derive(Clone)]
    struct Fails(Arc<AtomicBool>);
    impl Service<Request<Full<Bytes>>> for Fails {
        type Response = Response<Full<Bytes>>;
        type Error = &'static str;
        type Future = std::future::Ready<Result<Self::Response, &'static str>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            if self.0.swap(true, Ordering::SeqCst) {
                Poll::Ready(Err("closed"))
            } else {
                Poll::Ready(Ok(()))
            }
        }
        fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
            std::future::ready(Ok(Response::default()))
        }
    }
    let gate = Arc::new(Semaphore::new(1));
    let mut service = ResourceProtectorLayer::new(Gated(gate)).layer(Fails(Arc::default()));
    let answer = service.ready().await.unwrap().call(request(&["Bearer slow"])).await;
    assert_eq!(answer.err(), Some("closed"));
}

#[tokio::test]
async fn a_body_need_not_be_send() {
    let handler = |_: Request<Rc<str>>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("ok"))) };
    let service = ServiceBuilder::new()
        .layer(ResourceProtectorLayer::new(Known::new()))
        .layer(require_token())
        .service_fn(handler);
    let (parts, _) = request(&["Bearer a1"]).into_parts();
    let response = service
        .oneshot(Request::from_parts(parts, Rc::from("body")))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_validator_that_logs_what_it_sees_logs_no_token() {
    struct Logs;
    impl TokenValidator for Logs {
        async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
            assert!(!format!("{:?} {presented:?}", presented.request()).contains("the-secret"));
            CurrentToken::vouch_for(&serde_json::json!({}))
        }
    }
    let service = ResourceProtectorLayer::new(Logs).layer(tower::service_fn(hello));
    assert_eq!(ask(service, request(&["Bearer the-secret"])).await.status(), 200);
}

#[tokio::test]
async fn the_authorization_field_is_marked_sensitive() {
    let handler = |request: Request<Full<Bytes>>| async move {
        assert!(request.headers()[http::header::AUTHORIZATION].is_sensitive());
        hello(request).await
    };
    let service = ResourceProtectorLayer::new(Known::new()).layer(tower::service_fn(handler));
    assert_eq!(ask(service, request(&["Bearer a1"])).await.status(), 200);
}

#[tokio::test]
async fn a_token_that_expires_while_the_service_gets_ready_is_refused() {
    /// Takes an hour to get ready.
    #[derive(Clone)]
    struct Slow(TestClock);
    impl Service<Request<Full<Bytes>>> for Slow {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.0.advance(Duration::from_secs(3600));
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
            std::future::ready(Ok(Response::default()))
        }
    }
    struct LastsAMinute;
    impl TokenValidator for LastsAMinute {
        async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
            let now = presented.now().wall.duration_since(UNIX_EPOCH).unwrap().as_secs();
            CurrentToken::vouch_for(&serde_json::json!({ "exp": now + 60 }))
        }
    }
    let clock = TestClock::new();
    let service = ResourceProtectorLayer::new(LastsAMinute)
        .clock(clock.clone())
        .layer(Slow(clock));
    assert_eq!(ask(service, request(&["Bearer t"])).await.status(), 401);
}
