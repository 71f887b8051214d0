//! Passing a request on, and the response back, as streams.

use std::{error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{self, Entry},
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    head,
    headers::{self, GatewayOnly},
    reply::{self, Body},
    serve::MAX_HEAD_BYTES,
};

/// How long the upstream may take to accept a connection. To answer it has all the time it needs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests to the upstream at the same time. More wait.
const MAX_IN_FLIGHT: usize = 300;

pub(crate) struct Proxy {
    upstream: Authority,
    gateway_only: GatewayOnly,
    /// As the client sees us: `https` where TLS ends in front of the gateway.
    proto: &'static str,
    client: Client<HttpConnector, Body>,
    /// For requests to the upstream, each with a connection of its own.
    places: Arc<Semaphore>,
}

/// The client's body broke off, which is no fault of the upstream.
#[derive(Debug, thiserror::Error)]
#[error("the request's body cannot be read")]
struct BrokenRequest(#[source] hyper::Error);

impl Proxy {
    pub(crate) fn new(upstream: Authority, gateway_only: GatewayOnly, behind_tls: bool) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(connector);
        Self {
            upstream,
            gateway_only,
            proto: if behind_tls { "https" } else { "http" },
            client,
            places: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
        }
    }

    pub(crate) async fn pass_on(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        if headers::has_unknown_transfer_coding(&parts.headers) {
            return reply::not_implemented("No other transfer coding than `chunked` is understood");
        }
        let Some(mut request) = self.head(&parts) else {
            return reply::bad_request("Host, Connection or the request target cannot be understood");
        };
        // A length goes on as it was understood here, once and in one spelling. Where the client gave none this is how to
        // say so: without it no body is sent with methods that usually have none.
        let length = body.size_hint().exact().map(HeaderValue::from);
        if let (Entry::Occupied(mut field), Some(length)) =
            (request.headers_mut().entry(header::CONTENT_LENGTH), length)
        {
            field.insert(length);
        }
        if !body.is_end_stream() && !request.headers().contains_key(header::CONTENT_LENGTH) {
            let chunked = HeaderValue::from_static("chunked");
            request.headers_mut().insert(header::TRANSFER_ENCODING, chunked);
        }
        let gateway_only = self.gateway_only.clone();
        let body =
            body.map_frame(move |frame| map_trailers(frame, |trailers| gateway_only.remove_from_trailers(trailers)));
        *request.body_mut() = body.map_err(|error| BrokenRequest(error).into()).boxed_unsync();

        // Held for as long as there is anything to pass on. The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        match self.client.request(request).await {
            // We have asked for no other protocol.
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => reply::bad_gateway(),
            Ok(response) if headers::has_unknown_transfer_coding(response.headers()) => reply::bad_gateway(),
            Ok(response) => passed_back(response, place),
            Err(error) if is_broken_request(&error) => reply::bad_request("The body of the request breaks off"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, upstream = %self.upstream, "the upstream does not answer");
                reply::bad_gateway()
            }
        }
    }

    fn head(&self, parts: &Parts) -> Option<Request<Body>> {
        let mut request = Request::new(reply::body(Bytes::new()));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = self.target(parts.uri.path_and_query()?.clone())?;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = head::for_upstream(parts, &self.gateway_only, self.proto)?;
        Some(request)
    }

    fn target(&self, path_and_query: PathAndQuery) -> Option<Uri> {
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.upstream.clone());
        uri.path_and_query = Some(path_and_query);
        Uri::from_parts(uri).ok()
    }
}

fn passed_back(response: Response<Incoming>, place: Option<OwnedSemaphorePermit>) -> Response<Body> {
    let mut response = response.map(|body| {
        let body = body.map_frame(move |frame| {
            let _held = &place;
            map_trailers(frame, headers::hop_from_upstream)
        });
        body.map_err(Into::into).boxed_unsync()
    });
    headers::hop_from_upstream(response.headers_mut());
    // What the upstream speaks is no matter of the client's.
    *response.version_mut() = Version::HTTP_11;
    response
}

fn map_trailers(frame: Frame<Bytes>, change: impl FnOnce(&mut HeaderMap)) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            change(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(data) => data,
    }
}

fn is_broken_request(error: &(dyn Error + 'static)) -> bool {
    error.is::<BrokenRequest>() || error.source().is_some_and(is_broken_request)
}
