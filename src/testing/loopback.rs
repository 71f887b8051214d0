//! The server on a port of this machine.

use std::{convert::Infallible, fmt, io, net::Ipv4Addr, ops::Deref};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use super::{endpoints::error_response, issuer::TestIssuer};
use crate::clock::Clock;

/// The longest request body that is read.
const MAX_BODY: usize = 1024 * 1024;

/// A [`TestIssuer`] that is served over HTTP on a free port of `127.0.0.1`, until this is dropped.
///
/// It is used like a `TestIssuer`; a clone is one, and does not keep the server running.
#[must_use = "the server stops when this is dropped"]
pub struct LoopbackIssuer {
    issuer: TestIssuer,
    server: JoinHandle<()>,
}

impl TestIssuer {
    /// An issuer at `http://127.0.0.1`, on a free port. It signs by ES256.
    ///
    /// Call it in a task of a tokio runtime with I/O. The server runs for as long as both the runtime and the answer
    /// live.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn on_loopback() -> io::Result<LoopbackIssuer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let issuer = Self::new(&format!("http://{}", listener.local_addr()?));
        let server = tokio::spawn(serve(listener, issuer.clone()));
        Ok(LoopbackIssuer { issuer, server })
    }
}

impl LoopbackIssuer {
    /// As [`TestIssuer::with_algorithm`].
    ///
    /// # Panics
    ///
    /// When the algorithm is not supported.
    #[track_caller]
    pub fn with_algorithm(mut self, algorithm: &str) -> Self {
        self.issuer = self.issuer.clone().with_algorithm(algorithm);
        self
    }

    /// As [`TestIssuer::with_clock`].
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.issuer = self.issuer.clone().with_clock(clock);
        self
    }
}

impl Deref for LoopbackIssuer {
    type Target = TestIssuer;

    fn deref(&self) -> &TestIssuer {
        &self.issuer
    }
}

/// Stops the server: it takes no more connections and closes the ones it has.
impl Drop for LoopbackIssuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for LoopbackIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoopbackIssuer").field(&self.issuer).finish()
    }
}

async fn serve(listener: TcpListener, issuer: TestIssuer) {
    // Dropped with this task, it takes the connections along.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, mostly; asking again at once would not help.
            tokio::task::yield_now().await;
            continue;
        };
        connections.spawn(converse(stream, issuer.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, issuer: TestIssuer) {
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(&issuer, request).await.map(Full::new)) });
    // A connection that breaks is the client's affair.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(issuer: &TestIssuer, request: Request<Incoming>) -> Response<Bytes> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return error_response(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request");
    };
    match issuer.answer(Request::from_parts(parts, body.to_bytes())).await {
        Some(response) => response,
        None => error_response(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
    }
}

#[cfg(test)]
mod tests {
    use http::header;
    use hyper_util::{
        client::legacy::{Client, Error},
        rt::TokioExecutor,
    };
    use serde_json::Value;

    use super::*;

    async fn send(request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Error> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (parts, body) = client.request(request).await?.into_parts();
        Ok(Response::from_parts(parts, body.collect().await.unwrap().to_bytes()))
    }

    fn get(url: &str) -> Request<Full<Bytes>> {
        Request::get(url).body(Full::default()).unwrap()
    }

    #[tokio::test]
    async fn the_loopback_server_answers_as_the_issuer_does_in_process() {
        let issuer = TestIssuer::on_loopback().await.unwrap().with_algorithm("EdDSA");
        let place = format!("{}/.well-known/oauth-authorization-server", issuer.url());
        let metadata = send(get(&place)).await.unwrap();
        assert_eq!(metadata.body(), &issuer.metadata());
        let metadata: Value = serde_json::from_slice(metadata.body()).unwrap();
        let keys = send(get(metadata["jwks_uri"].as_str().unwrap())).await.unwrap();
        assert_eq!(keys.body(), &issuer.jwks());
        assert_eq!(keys.headers()[header::CACHE_CONTROL], "max-age=600");

        let token = issuer.opaque_token("https://api.test").mint();
        let question = Request::post(metadata["introspection_endpoint"].as_str().unwrap())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(format!("client_id=api&client_secret=secret&token={token}")))
            .unwrap();
        let answer: Value = serde_json::from_slice(send(question).await.unwrap().body()).unwrap();
        assert_eq!((&answer["active"], &answer["sub"]), (&true.into(), &"alice".into()));
        assert_eq!(issuer.requests("/introspect"), 1);
    }

    #[tokio::test]
    async fn an_outage_is_status_503_over_http() {
        let issuer = TestIssuer::on_loopback().await.unwrap();
        let keys = format!("{}/jwks", issuer.url());
        issuer.go_down();
        let answer = send(get(&keys)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        issuer.come_back();
        assert_eq!(send(get(&keys)).await.unwrap().status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_dropped_server_takes_no_more_connections() {
        let server = TestIssuer::on_loopback().await.unwrap();
        let issuer: TestIssuer = server.clone();
        let keys = format!("{}/jwks", issuer.url());
        assert!(send(get(&keys)).await.is_ok());
        drop(server);
        // The runtime ends the server's task at its next turn.
        tokio::task::yield_now().await;
        assert!(send(get(&keys)).await.is_err());
    }
}
