//! What the unit tests of validators share: a clock that is moved, and a protector that shows the token it lets in.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Empty;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::{
    clock::{Clock, Moment},
    protector::ResourceProtectorLayer,
    rejection::Rejection,
    token::CurrentToken,
};

/// Stands still until it is moved. Clones share the time.
#[derive(Clone)]
pub(crate) struct MovedClock(Arc<Mutex<Moment>>);

impl MovedClock {
    /// At so many seconds since 1970.
    pub(crate) fn at(seconds: u64) -> Self {
        Self(Arc::new(Mutex::new(Moment {
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            monotonic: Instant::now(),
        })))
    }

    pub(crate) fn advance(&self, milliseconds: u64) {
        let mut now = self.0.lock().unwrap();
        now.wall += Duration::from_millis(milliseconds);
        now.monotonic += Duration::from_millis(milliseconds);
    }

    pub(crate) fn set_wall_back(&self, seconds: u64) {
        self.0.lock().unwrap().wall -= Duration::from_secs(seconds);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }
}

/// Presents a token: what the handler sees, or the refusal.
pub(crate) async fn present(layer: ResourceProtectorLayer, token: &str) -> Result<CurrentToken, Rejection> {
    let inner = service_fn(|request: Request<()>| async move {
        let mut response = Response::new(Empty::<Bytes>::new());
        let token = request.extensions().get::<CurrentToken>().unwrap().clone();
        response.extensions_mut().insert(token);
        Ok::<_, Infallible>(response)
    });
    let request = Request::get("/")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .unwrap();
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    match response.extensions().get::<Rejection>() {
        None => Ok(response.extensions().get::<CurrentToken>().unwrap().clone()),
        Some(rejection) => {
            assert_eq!(rejection.status(), response.status());
            Err(rejection.clone())
        }
    }
}
