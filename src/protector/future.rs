//! The way of a request, as a future.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response, Uri, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    admit::{Asking, Policy},
    body::RefusalBody,
    respond::Answering,
};
use crate::{
    audit,
    rejection::{Form, Rejection},
};

pin_project! {
    /// The response of the protected service, or a refusal.
    ///
    /// It is as `Send` as the request's body and the service's own future are. Polled again after it was ready, which no
    /// executor does, it stays pending.
    pub struct ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody, S::Future>,
        policy: Arc<Policy>,
        form: Form,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, ReqBody, F> {
        // The authorization server, or whoever the validator waits for, is being asked.
        Asking {
            asking: Asking,
            waiting: Option<(ReqBody, S)>,
        },
        // The token is good; the service is not ready yet.
        Readying {
            request: Option<Request<ReqBody>>,
            inner: S,
            answering: Answering,
        },
        Inner {
            #[pin]
            future: F,
            answering: Answering,
        },
        Refused { rejection: Option<Rejection> },
    }
}

impl<S, ReqBody, F> State<S, ReqBody, F> {
    fn refused(mut rejection: Rejection, method: &Method, uri: &Uri) -> Self {
        audit::refused(&mut rejection, Some((method, uri)), None);
        Self::Refused {
            rejection: Some(rejection),
        }
    }
}

impl<S, ReqBody> ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn inner(policy: Arc<Policy>, form: Form, future: S::Future, answering: Answering) -> Self {
        Self {
            state: State::Inner { future, answering },
            policy,
            form,
        }
    }

    pub(super) fn refused(policy: Arc<Policy>, form: Form, rejection: Rejection, asked: &Parts) -> Self {
        Self {
            state: State::refused(rejection, &asked.method, &asked.uri),
            policy,
            form,
        }
    }

    pub(super) fn asking(policy: Arc<Policy>, form: Form, asking: Asking, body: ReqBody, inner: S) -> Self {
        Self {
            state: State::Asking {
                asking,
                waiting: Some((body, inner)),
            },
            policy,
            form,
        }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Output = Result<Response<RefusalBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Asking { asking, waiting } => {
                    let (mut parts, answer) = ready!(asking.as_mut().poll(cx));
                    let Some((body, inner)) = waiting.take() else {
                        return Poll::Pending;
                    };
                    match answer {
                        Ok(entered) => {
                            let answering = Answering::of(&entered, this.policy);
                            this.policy.enter(entered, &mut parts);
                            State::Readying {
                                request: Some(Request::from_parts(parts, body)),
                                inner,
                                answering,
                            }
                        }
                        Err(rejection) => State::refused(rejection, &parts.method, &parts.uri),
                    }
                }
                StateProjection::Readying {
                    request,
                    inner,
                    answering,
                } => {
                    ready!(inner.poll_ready(cx))?;
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    match this.policy.still_good(&request) {
                        Ok(()) => State::Inner {
                            future: inner.call(request),
                            answering: std::mem::take(answering),
                        },
                        Err(rejection) => State::refused(rejection, request.method(), request.uri()),
                    }
                }
                StateProjection::Inner { future, answering } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(this.policy.pass_on(response, this.form.clone(), answering)));
                }
                StateProjection::Refused { rejection } => {
                    return match rejection.take() {
                        Some(rejection) => Poll::Ready(Ok(this.policy.refuse(rejection, this.form.clone()))),
                        None => Poll::Pending,
                    };
                }
            };
            this.state.set(next);
        }
    }
}
