//! The service behind its routes.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer as _;
use tower_service::Service;

use super::{
    future::RoutesFuture,
    table::{Decision, Routes},
};
use crate::{
    audit, meter,
    protector::{Anonymous, RefusalBody},
    token::CurrentToken,
};

/// The service that [`RoutesLayer`](crate::config::RoutesLayer) makes: `S`, behind its routes.
#[derive(Clone, Debug)]
pub struct RoutesService<S> {
    inner: S,
    routes: Arc<Routes>,
}

impl<S> RoutesService<S> {
    pub(super) fn new(inner: S, routes: Arc<Routes>) -> Self {
        Self { inner, routes }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RoutesService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<RefusalBody<ResBody>>;
    type Error = S::Error;
    type Future = RoutesFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let asked = (request.method(), request.uri());
        match self.routes.decide(asked.0, asked.1) {
            Decision::BadPath(why) => {
                audit::no_route(asked, 400, why);
                RoutesFuture::bad_path()
            }
            Decision::NotAllowed(allow) => {
                audit::no_route(asked, 405, "no route of this path lists the method");
                RoutesFuture::not_allowed(allow.cloned())
            }
            Decision::Public => {
                audit::anonymous(asked, meter::Decision::Public);
                // Nothing was judged, so nothing is known, whatever an outer layer has put there.
                request.extensions_mut().remove::<CurrentToken>();
                request.extensions_mut().remove::<Anonymous>();
                self.routes.protector().hide_tokens(request.headers_mut());
                RoutesFuture::public(self.inner.call(request))
            }
            Decision::Protected(protector) => {
                // The one that was polled ready goes along; the next request gets another ready.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                RoutesFuture::protected(protector.layer(ready).call(request))
            }
        }
    }
}
