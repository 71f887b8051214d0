//! Routes for users who have just proven who they are.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use resource_protector::{
    Anonymous, Clock, CurrentToken, Reason, Rejection, RequireService, SystemClock, require_token,
};
use serde_json::Value;
use tower_layer::Layer;
use tower_service::Service;

use super::guarded::{GuardedBody, GuardedFuture, OfCookie};
use crate::endpoints::ResponseBody;

/// Guards a route: only fresh tokens get through, as with `@jwt_required(fresh=True)`.
///
/// It stands inside a [`ResourceProtectorLayer`](resource_protector::ResourceProtectorLayer), which finds the token and
/// gives refusals their form; without one it answers 500. A token that is not fresh is 401 `invalid_token`: the page lets the
/// user log in again. Who refreshes a token gets none that is fresh.
#[derive(Clone)]
pub struct FreshTokenLayer {
    clock: Arc<dyn Clock>,
}

/// Demands a token whose claim `fresh` is `true`, or a time that is not over yet.
///
/// ```
/// use axum::{Router, routing::post};
/// use resource_protector_issuer::profiles::require_fresh_token;
///
/// let app: Router = Router::new().route("/password", post(|| async { "changed" }).layer(require_fresh_token()));
/// ```
pub fn require_fresh_token() -> FreshTokenLayer {
    FreshTokenLayer {
        clock: Arc::new(SystemClock),
    }
}

/// Whether the token is fresh at this moment, by its claim `fresh`: `true`, or seconds since 1970 that are not over. Anything
/// else is not.
pub fn is_fresh(token: &CurrentToken, now: SystemTime) -> bool {
    match token.claim("fresh") {
        Some(Value::Bool(fresh)) => fresh,
        Some(Value::Number(until)) => {
            let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            until.as_f64().is_some_and(|until| until >= now)
        }
        _ => false,
    }
}

impl FreshTokenLayer {
    /// Takes the time from another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl<S> Layer<S> for FreshTokenLayer {
    type Service = RequireService<FreshTokenService<S>>;

    /// The guard around it refuses what comes without a token.
    fn layer(&self, inner: S) -> Self::Service {
        require_token().layer(FreshTokenService {
            inner,
            clock: Arc::clone(&self.clock),
        })
    }
}

/// The service that [`FreshTokenLayer`] makes, behind a guard that demands a token.
#[derive(Clone)]
pub struct FreshTokenService<S> {
    inner: S,
    clock: Arc<dyn Clock>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for FreshTokenService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<GuardedBody<ResBody>>;
    type Error = S::Error;
    type Future = GuardedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        match judge(&request, self.clock.now().wall) {
            Ok(()) => GuardedFuture::inner(self.inner.call(request), OfCookie::NotAsked),
            Err(rejection) => {
                // The protector outside makes a whole response of it.
                let mut response = Response::new(ResponseBody::empty());
                *response.status_mut() = rejection.status();
                response.extensions_mut().insert(rejection);
                GuardedFuture::refused(response)
            }
        }
    }
}

fn judge<B>(request: &Request<B>, now: SystemTime) -> Result<(), Rejection> {
    let extensions = request.extensions();
    match (extensions.get::<CurrentToken>(), extensions.get::<Anonymous>()) {
        (Some(token), _) if is_fresh(token, now) => Ok(()),
        (Some(_), _) => Err(Rejection::invalid_token(
            Reason::Claim,
            "the route demands a fresh token",
        )),
        // The guard around it lets these pass, too: no browser sends credentials with them.
        (None, Some(Anonymous::Preflight)) if request.method() == Method::OPTIONS => Ok(()),
        (None, _) => Err(Rejection::misconfigured("a guard for fresh tokens found none")),
    }
}

impl fmt::Debug for FreshTokenLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreshTokenLayer").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for FreshTokenService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreshTokenService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
