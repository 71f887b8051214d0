//! An authorization server scripted in process, behind a protector with a clock that the test moves.

mod answers;
mod asking;
mod bounds;
mod breaking;
mod discovery;
mod freshness;
mod log;
mod memory;
mod outages;
mod stale;

use std::{
    collections::HashMap,
    convert::Infallible,
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Empty;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::{remembered::Lifetimes, *};
use crate::{
    audience::Audience,
    clock::Clock,
    error::SetupError,
    fetch::{Fetch, FetchError},
    harness::{MovedClock, present},
    protector::ResourceProtectorLayer,
    rejection::{Reason, RejectionKind},
    require::Requirement,
    secret::Secret,
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

    /// Nobody is there.
    fn goes_down(&self) {
        self.answers(|_| Err(FetchError::new("the connection broke")));
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

/// Lets what was started get as far as it can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
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

/// A protected service.
#[derive(Clone)]
struct Api {
    validator: Arc<IntrospectionValidator>,
    clock: MovedClock,
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
            clock: MovedClock::at(NOW),
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
        let layer = ResourceProtectorLayer::new(Arc::clone(&self.validator)).clock(self.clock.clone());
        present(options(layer), token).await
    }

    /// Presents it where the answer may be no older than this.
    async fn present_within(&self, token: &str, max_age: Duration) -> Result<CurrentToken, Rejection> {
        let request = Request::new(()).into_parts().0;
        let presented = Presented::new(token, &request, self.clock.now()).no_older_than(max_age);
        match self.validator.validate_now(&presented) {
            Some(answer) => answer,
            None => self.validator.validate(&presented).await,
        }
    }

    /// What is answered without waiting, as a status; `None` where it takes a call.
    fn status_at_once(&self, token: &str) -> Option<u16> {
        let answer = presented(token, self.clock.now(), |presented| {
            self.validator.validate_now(presented)
        })?;
        Some(answer.map_or_else(|refused| refused.status().as_u16(), |_| 200))
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
