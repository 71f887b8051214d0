//! The way of a request, as a future.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    admit::{Asking, Policy},
    body::RefusalBody,
};
use crate::{
    audit,
    rejection::{Form, Rejection},
    token::CurrentToken,
};

pin_project! {
    /// The response of the protected service, or a refusal.
    ///
    /// It is as `Send` as the request's body and the service's own future are.
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
            body: Option<ReqBody>,
            inner: Option<S>,
        },
        // The token is good; the service is not ready yet.
        Readying {
            request: Option<Request<ReqBody>>,
            inner: S,
            token: Option<CurrentToken>,
        },
        Inner {
            #[pin]
            future: F,
            token: Option<CurrentToken>,
        },
        Refused { rejection: Option<Rejection> },
    }
}

impl<S, ReqBody> ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn inner(policy: Arc<Policy>, form: Form, future: S::Future, token: Option<CurrentToken>) -> Self {
        Self {
            state: State::Inner { future, token },
            policy,
            form,
        }
    }

    pub(super) fn refused(policy: Arc<Policy>, form: Form, rejection: Rejection) -> Self {
        Self {
            state: State::Refused {
                rejection: Some(rejection),
            },
            policy,
            form,
        }
    }

    pub(super) fn asking(policy: Arc<Policy>, form: Form, asking: Asking, body: ReqBody, inner: S) -> Self {
        Self {
            state: State::Asking {
                asking,
                body: Some(body),
                inner: Some(inner),
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
                StateProjection::Asking { asking, body, inner } => {
                    let (mut parts, answer) = ready!(asking.as_mut().poll(cx));
                    match (answer, body.take(), inner.take()) {
                        (Ok(entered), Some(body), Some(inner)) => {
                            let token = entered.token_to_name(this.policy);
                            this.policy.enter(entered, &mut parts);
                            State::Readying {
                                request: Some(Request::from_parts(parts, body)),
                                inner,
                                token,
                            }
                        }
                        (Err(mut rejection), ..) => {
                            audit::refused(&mut rejection, Some((&parts.method, &parts.uri)), None);
                            State::Refused {
                                rejection: Some(rejection),
                            }
                        }
                        (Ok(_), ..) => return Poll::Pending,
                    }
                }
                StateProjection::Readying { request, inner, token } => {
                    ready!(inner.poll_ready(cx))?;
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    match this.policy.still_good(&request) {
                        Ok(()) => State::Inner {
                            future: inner.call(request),
                            token: token.take(),
                        },
                        Err(mut rejection) => {
                            audit::refused(&mut rejection, Some((request.method(), request.uri())), None);
                            State::Refused {
                                rejection: Some(rejection),
                            }
                        }
                    }
                }
                StateProjection::Inner { future, token } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(this.policy.pass_on(response, this.form.clone(), token.as_ref())));
                }
                StateProjection::Refused { rejection } => {
                    return match rejection.take() {
                        Some(rejection) => Poll::Ready(Ok(this.policy.refuse(rejection, this.form.clone()))),
                        // Polled after completion, which no executor does.
                        None => Poll::Pending,
                    };
                }
            };
            this.state.set(next);
        }
    }
}
