//! Opaque tokens: an authorization server in this process that takes a fixed time to answer, or a real one on loopback.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use resource_protector::{
    ClientAuth, Fetch, FetchError, IntrospectionValidator, ReqwestFetch, ResourceProtectorLayer, testing::TestIssuer,
};
use tokio::sync::oneshot;
use tower::{Layer as _, Service as _, ServiceExt as _};

use super::{AUDIENCE, Bare, ISSUER, Protected, bearer, request};

/// A `Fetch` with a round trip of fixed length, on real time, that keeps what it sent last and counts.
#[derive(Clone)]
pub struct RoundTrip<F> {
    fetch: F,
    time: Duration,
    calls: Arc<AtomicUsize>,
    last: Arc<Mutex<Option<Request<Bytes>>>>,
}

impl<F: Fetch> RoundTrip<F> {
    pub fn new(fetch: F, time: Duration) -> Self {
        Self {
            fetch,
            time,
            calls: Arc::default(),
            last: Arc::default(),
        }
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The bare exchange, with what the layer sent last.
    pub async fn again(&self) {
        let request = self.last.lock().unwrap().clone().unwrap();
        let answer = self.fetch(request, 100_000).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

impl<F: Fetch> Fetch for RoundTrip<F> {
    async fn fetch(&self, request: Request<Bytes>, max_body: usize) -> Result<Response<Bytes>, FetchError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        *self.last.lock().unwrap() = Some(request.clone());
        if !self.time.is_zero() {
            tokio::time::sleep(self.time).await;
        }
        self.fetch.fetch(request, max_body).await
    }
}

/// A service behind introspection, and who answers.
pub struct Introspected<F> {
    pub issuer: TestIssuer,
    pub exchange: RoundTrip<F>,
    pub protected: Protected,
    /// Stops the server on loopback, if there is one.
    _server: Option<oneshot::Sender<()>>,
}

/// The server is in this process, and takes this long.
pub fn in_process(time: Duration) -> Introspected<TestIssuer> {
    let issuer = TestIssuer::new(ISSUER);
    introspected(issuer.clone(), RoundTrip::new(issuer, time), None)
}

/// The server has a port of this machine and a thread of its own.
pub fn on_loopback() -> Introspected<ReqwestFetch> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (send, receive) = std::sync::mpsc::channel();
    thread::spawn(move || {
        super::runtime().block_on(async {
            let server = TestIssuer::on_loopback().await.unwrap();
            send.send(server.clone()).unwrap();
            let _ = stopped.await;
        });
    });
    let exchange = RoundTrip::new(ReqwestFetch::new().unwrap(), Duration::ZERO);
    introspected(receive.recv().unwrap(), exchange, Some(stop))
}

fn introspected<F: Fetch + Clone>(
    issuer: TestIssuer,
    exchange: RoundTrip<F>,
    server: Option<oneshot::Sender<()>>,
) -> Introspected<F> {
    let validator = IntrospectionValidator::new(
        format!("{}/introspect", issuer.url()),
        ClientAuth::basic(TestIssuer::CLIENT_ID, TestIssuer::CLIENT_SECRET),
        AUDIENCE,
    );
    let validator = validator.unwrap().fetch(exchange.clone());
    Introspected {
        issuer,
        exchange,
        protected: ResourceProtectorLayer::new(validator).layer(Bare),
        _server: server,
    }
}

impl<F> Introspected<F> {
    /// A token that nobody has shown yet.
    pub fn mint(&self) -> HeaderValue {
        bearer(&self.issuer.opaque_token(AUDIENCE).scope("profile email").mint())
    }

    /// A whole call, with its wait.
    pub async fn call(&mut self, authorization: &HeaderValue) {
        let request = request(Some(authorization));
        let response = self.protected.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}
