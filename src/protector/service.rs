//! The service around the protected one.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    admit::{Admission, Policy},
    body::RefusalBody,
    future::ResponseFuture,
    respond::Answering,
};

/// The service that [`ResourceProtectorLayer`](crate::ResourceProtectorLayer) makes: `S`, behind a check of the token.
#[derive(Clone, Debug)]
pub struct ResourceProtector<S> {
    inner: S,
    policy: Arc<Policy>,
}

impl<S> ResourceProtector<S> {
    pub(crate) fn new(inner: S, policy: Arc<Policy>) -> Self {
        Self { inner, policy }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ResourceProtector<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<RefusalBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let policy = &self.policy;
        policy.places.mark_sensitive(&mut parts.headers);
        let form = policy.forms.of(&parts);
        match policy.admit(&parts, policy.clock.now()) {
            Admission::Enter(entered) => {
                let answering = Answering::of(&entered, policy);
                policy.enter(entered, &mut parts);
                let inner = self.inner.call(Request::from_parts(parts, body));
                ResponseFuture::inner(Arc::clone(policy), form, inner, answering)
            }
            Admission::Refuse(rejection) => ResponseFuture::refused(Arc::clone(policy), form, rejection, &parts),
            Admission::Ask(token, place) => {
                // The service that was polled ready gives its reservation back, and another is made ready once the
                // answer is there: while a slow authorization server thinks, the capacity of the protected service
                // belongs to requests whose token is known.
                let clone = self.inner.clone();
                drop(mem::replace(&mut self.inner, clone));
                let asking = Arc::clone(policy).ask(token, place, parts);
                ResponseFuture::asking(Arc::clone(policy), form, asking, body, self.inner.clone())
            }
        }
    }
}
