//! A service to protect, tokens for it, and a way to ask it; and where the examples are.

use std::{
    collections::HashMap,
    convert::Infallible,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use resource_protector::{
    CurrentToken, Fetch, FetchError, JwtValidator, Presented, Reason, Rejection, ResourceProtectorLayer,
    TokenValidator,
    testing::{TestClock, TestIssuer},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt as _};

/// A validator that knows a few tokens by heart, and counts how often it is asked.
#[derive(Clone, Default)]
pub struct Known {
    tokens: Arc<HashMap<&'static str, Value>>,
    asked: Arc<AtomicUsize>,
}

impl Known {
    /// `a1` has the scope `profile`, `both` also `email`, `noscope` none; `exp` is expired; `bound` has a `cnf`.
    pub fn new() -> Self {
        let token =
            |scope: &str| json!({ "iss": "https://auth.test", "sub": "alice", "client_id": "app", "scope": scope });
        let mut expired = token("profile");
        expired["exp"] = json!(1);
        let mut bound = token("profile");
        bound["cnf"] = json!({ "jkt": "x" });
        Self {
            tokens: Arc::new(HashMap::from([
                ("a1", token("profile")),
                ("both", token("profile email")),
                ("noscope", token("")),
                ("case", token("Profile")),
                ("longer", token("profile:read")),
                ("exp", expired),
                ("bound", bound),
            ])),
            asked: Arc::default(),
        }
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl TokenValidator for Known {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match presented.token() {
            "down" => Err(Rejection::unavailable("the authorization server is down")),
            "broken" => Err(Rejection::misconfigured("the authorization server refuses us")),
            token => match self.tokens.get(token) {
                Some(claims) => CurrentToken::vouch_for(claims),
                None => Err(Rejection::invalid_token(Reason::Inactive, "nobody knows this token")),
            },
        }
    }
}

/// The program of an example, which was built beside the tests.
pub fn example(name: &str) -> PathBuf {
    let mut binary = PathBuf::from(std::env::current_exe().unwrap().parent().unwrap().parent().unwrap());
    binary.extend(["examples", name]);
    assert!(binary.exists(), "{}: build it with --examples", binary.display());
    binary
}

pub type Reply = Response<Bytes>;

/// Asks a service one thing.
pub async fn ask<S, B, E>(service: S, request: Request<Full<Bytes>>) -> Reply
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = E>,
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
    E: std::fmt::Debug,
{
    let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

/// A request with these `Authorization` fields.
pub fn request(authorization: &[&str]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().uri("/me");
    for value in authorization {
        request = request.header(header::AUTHORIZATION, *value);
    }
    request.body(Full::default()).unwrap()
}

/// A gRPC call with this token.
pub fn grpc(token: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = match token {
        Some(token) => request(&[&format!("Bearer {token}")]),
        None => request(&[]),
    };
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    request
        .headers_mut()
        .insert(header::CONTENT_TYPE, "application/grpc+proto".parse().unwrap());
    request
}

/// The protected service: answers with the subject of the token, or `anonymous`.
pub async fn hello(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let subject = match request.extensions().get::<CurrentToken>() {
        Some(token) => token.subject().unwrap_or("nobody").to_owned(),
        None => "anonymous".to_owned(),
    };
    Ok(Response::new(Full::from(subject)))
}

/// Asks `hello` behind this layer.
pub async fn ask_behind(layer: &ResourceProtectorLayer, request: Request<Full<Bytes>>) -> Reply {
    ask(layer.layer(tower::service_fn(hello)), request).await
}

/// A protector with the realm `api`.
pub fn protector() -> ResourceProtectorLayer {
    ResourceProtectorLayer::new(Known::new()).realm("api")
}

pub fn challenge(reply: &Reply) -> &str {
    let mut challenges = reply.headers().get_all(header::WWW_AUTHENTICATE).iter();
    let challenge = challenges.next().expect("a challenge");
    assert!(challenges.next().is_none(), "one challenge");
    challenge.to_str().unwrap()
}

/// The refusal's row of the table: status, error in header and body, scopes; and what every refusal has.
#[track_caller]
pub fn assert_refused(reply: &Reply, status: u16, error: Option<&str>) {
    assert_eq!(reply.status(), StatusCode::from_u16(status).unwrap());
    assert_eq!(reply.headers()[header::CACHE_CONTROL], "no-store");
    match status {
        400 | 401 | 403 => {
            let challenge = challenge(reply);
            assert!(challenge.starts_with("Bearer "), "{challenge}");
            match error {
                Some(error) => assert!(
                    challenge.contains(&format!(r#"error="{error}", error_description=""#)),
                    "{challenge}"
                ),
                None => assert!(!challenge.contains("error"), "{challenge}"),
            }
        }
        _ => assert!(!reply.headers().contains_key(header::WWW_AUTHENTICATE)),
    }
    assert_eq!(reply.headers().contains_key(header::RETRY_AFTER), status == 503);
    match error {
        None => assert!(reply.body().is_empty()),
        Some(error) => {
            assert_eq!(reply.headers()[header::CONTENT_TYPE], "application/json");
            let body: Value = serde_json::from_slice(reply.body()).unwrap();
            assert_eq!(body["error"], error);
            assert!(body["error_description"].as_str().is_some_and(|text| !text.is_empty()));
            assert_eq!(body.as_object().unwrap().len(), 2);
        }
    }
}

/// As a browser asks before it sends a request of its own.
pub fn preflight() -> Request<Full<Bytes>> {
    let mut request = request(&[]);
    *request.method_mut() = http::Method::OPTIONS;
    request
        .headers_mut()
        .insert(header::ORIGIN, "https://app.test".parse().unwrap());
    request
        .headers_mut()
        .insert(header::ACCESS_CONTROL_REQUEST_METHOD, "PUT".parse().unwrap());
    request
}

/// A few JSON documents under their whole URLs, and nothing else.
#[derive(Clone, Default)]
pub struct Web {
    documents: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub fn with(self, url: &str, document: impl ToString) -> Self {
        self.documents
            .lock()
            .unwrap()
            .insert(url.to_owned(), document.to_string());
        self
    }

    /// The URLs that were asked for, in this order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Fetch for Web {
    async fn fetch(&self, request: Request<Bytes>, _: usize) -> Result<Response<Bytes>, FetchError> {
        let url = request.uri().to_string();
        let document = self.documents.lock().unwrap().get(&url).cloned();
        self.asked.lock().unwrap().push(url);
        let mut response = Response::new(Bytes::new());
        match document {
            None => *response.status_mut() = StatusCode::NOT_FOUND,
            Some(document) => {
                *response.body_mut() = document.into();
                let json = "application/json".parse().unwrap();
                response.headers_mut().insert(header::CONTENT_TYPE, json);
            }
        }
        Ok(response)
    }
}

/// An issuer of JWTs and a protector that trusts it, on a clock that the test moves.
pub struct World {
    pub clock: TestClock,
    pub issuer: TestIssuer,
    pub layer: ResourceProtectorLayer,
}

impl World {
    /// What the tokens are for.
    pub const API: &str = "https://api.test";
    /// Below a path, so that it is seen in the place of the metadata.
    pub const ISSUER: &str = "https://auth.test/tenant";
    /// Where the keys are.
    pub const JWKS: &str = "/tenant/jwks";

    pub fn new() -> Self {
        Self::with(|validator| validator)
    }

    pub fn with(options: impl FnOnce(JwtValidator) -> JwtValidator) -> Self {
        let clock = TestClock::new();
        let issuer = TestIssuer::new(Self::ISSUER).with_clock(clock.clone());
        issuer.set_jwks_cache_control(None);
        let layer = ResourceProtectorLayer::new(options(trusting(&issuer))).clock(clock.clone());
        Self { clock, issuer, layer }
    }

    pub async fn present(&self, token: &str) -> Reply {
        ask_behind(&self.layer, request(&[&format!("Bearer {token}")])).await
    }

    pub async fn status(&self, token: &str) -> u16 {
        self.present(token).await.status().as_u16()
    }

    /// Why it is refused; `None` if it is not.
    pub async fn reason(&self, token: &str) -> Option<Reason> {
        self.present(token).await.extensions().get::<Rejection>()?.reason()
    }

    /// A token that outlives every test.
    pub fn token(&self) -> String {
        self.token_for(Duration::from_secs(60_000))
    }

    pub fn token_for(&self, lifetime: Duration) -> String {
        self.issuer.access_token(Self::API).lifetime(lifetime).mint()
    }

    /// How often keys were fetched.
    pub fn fetches(&self) -> usize {
        self.issuer.requests(Self::JWKS)
    }
}

/// Discovers this issuer.
pub fn trusting(issuer: &TestIssuer) -> JwtValidator {
    JwtValidator::discover(issuer.url(), World::API)
        .unwrap()
        .fetch(issuer.clone())
}

/// Answers `known` at once, and everything else when the gate opens.
#[derive(Clone)]
pub struct Gated(pub Arc<Semaphore>);

impl TokenValidator for Gated {
    async fn validate(&self, _: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        let _open = self.0.acquire().await;
        CurrentToken::vouch_for(&serde_json::json!({ "sub": "slow" }))
    }

    fn validate_now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>> {
        (presented.token() == "known").then(|| CurrentToken::vouch_for(&serde_json::json!({ "sub": "known" })))
    }
}

/// Panics when it is called without having been polled ready.
pub struct Strict {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Strict {
    pub fn new(calls: Arc<AtomicUsize>) -> Self {
        Self { ready: false, calls }
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: self.calls.clone(),
        }
    }
}

impl Service<Request<Full<Bytes>>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert!(
            std::mem::replace(&mut self.ready, false),
            "called without having been polled ready"
        );
        self.calls.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Response::default()))
    }
}
