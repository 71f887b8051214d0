//! What becomes of a request that was let in.

use http::{Method, Request, Response};
use hyper::body::Incoming;

use crate::{
    answer, forward_auth, headers,
    proxy::Proxy,
    reply::{self, Body},
};

pub(crate) enum Inside {
    /// There is nobody behind us: it is described.
    Answer,
    /// It goes on to the upstream.
    Proxy(Box<Proxy>),
    /// It is with another proxy, which only wants to know whether it may go on.
    ForwardAuth,
}

impl Inside {
    pub(crate) async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        let upgrade = request.method() == Method::CONNECT || headers::asks_for_upgrade(request.headers());
        match self {
            Self::ForwardAuth => forward_auth::let_in(&request),
            _ if upgrade => reply::not_implemented("Upgrades and tunnels are not supported"),
            Self::Answer => answer::describe(&request),
            Self::Proxy(proxy) => proxy.pass_on(request).await,
        }
    }
}
