//! The way of a request through its route, as a future.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    protector::{RefusalBody, ResponseFuture},
    rejection::ErrorSaid,
};

pin_project! {
    /// The response of the service, or a refusal of its route.
    ///
    /// It is as `Send` as the request's body and the service's own future are. Polled again after it was ready, which no
    /// executor does, it stays pending where the route refused.
    pub struct RoutesFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S::Future, ResponseFuture<S, ReqBody>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, P> {
        Refused { refusal: Option<Refusal> },
        Public { #[pin] future: F },
        Protected { #[pin] future: P },
    }
}

/// An answer without any challenge: no token would help.
enum Refusal {
    BadPath,
    /// With the value of `Allow`.
    NotAllowed(Option<HeaderValue>),
}

impl<S, ReqBody> RoutesFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn bad_path() -> Self {
        Self::refused(Refusal::BadPath)
    }

    pub(super) fn not_allowed(allow: Option<HeaderValue>) -> Self {
        Self::refused(Refusal::NotAllowed(allow))
    }

    fn refused(refusal: Refusal) -> Self {
        let refusal = Some(refusal);
        Self {
            state: State::Refused { refusal },
        }
    }

    pub(super) fn public(future: S::Future) -> Self {
        Self {
            state: State::Public { future },
        }
    }

    pub(super) fn protected(future: ResponseFuture<S, ReqBody>) -> Self {
        Self {
            state: State::Protected { future },
        }
    }
}

impl Refusal {
    fn into_response<B>(self) -> Response<RefusalBody<B>> {
        let (status, error, allow) = match self {
            Self::BadPath => (StatusCode::BAD_REQUEST, ErrorSaid::BAD_PATH, None),
            Self::NotAllowed(allow) => (StatusCode::METHOD_NOT_ALLOWED, ErrorSaid::OTHER_METHOD, allow),
        };
        let mut response = Response::new(RefusalBody::refusal(Some(error.json())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(allow.map(|allow| (header::ALLOW, allow)));
        response
    }
}

impl<S, ReqBody, ResBody> Future for RoutesFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Output = Result<Response<RefusalBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Refused { refusal } => match refusal.take() {
                Some(refusal) => Poll::Ready(Ok(refusal.into_response())),
                None => Poll::Pending,
            },
            StateProjection::Public { future } => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(response.map(RefusalBody::inner)))
            }
            StateProjection::Protected { future } => future.poll(cx),
        }
    }
}
