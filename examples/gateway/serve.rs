//! Connections: HTTP/1.1 and HTTP/2 on one port, each with its limits, until we are told to stop.

use std::{convert::Infallible, future::pending, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tower::{Service, ServiceExt as _};

use crate::reply::Body;

/// Connections at the same time. More wait to be accepted. Together with those to the upstream they stay below the 1024
/// open files that a process usually may have, so that some are left to ask the issuer.
pub(crate) const CONNECTIONS: usize = 600;
/// The same for the admin listener.
pub(crate) const ADMIN_CONNECTIONS: usize = 20;
/// Requests at the same time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 32;
/// What a client may send ahead over HTTP/2, where nobody reads yet.
const WINDOW: u32 = 64 * 1024;
/// The head of a request, and what of a body is held in memory at once.
pub(crate) const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long a client may take for the head of a request, and be silent between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests in flight may still take once we are told to stop: a little less than the 30 s after which
/// Kubernetes kills.
const GRACE: Duration = Duration::from_secs(25);

/// Who opened the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Serves so many connections at a time until `stop`, and then for as long as requests are in flight, within the grace time.
pub(crate) async fn serve<S>(listener: TcpListener, places: usize, service: S, stop: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(places));
    let mut stop = pin!(stop);
    loop {
        let (place, accepted) = tokio::select! {
            next = accept(&listener, &places) => next,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let conversation = converse(stream, Peer(peer), service.clone(), connections.watcher());
                tokio::spawn(async move {
                    conversation.await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly; asking again at once would not help.
                tracing::warn!(%error, "a connection cannot be accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    // From here on new connections are refused.
    drop(listener);
    tracing::info!(connections = connections.count(), "stopping");
    if timeout(GRACE, connections.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight at the end of the grace time");
    }
}

type Accepted = (Option<OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>);

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Accepted {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    (place, listener.accept().await)
}

async fn converse<S>(stream: TcpStream, peer: Peer, service: S, watcher: Watcher)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let asked = Arc::new(Notify::new());
    let ask = Arc::clone(&asked);
    let service = service_fn(move |mut request: Request<Incoming>| {
        ask.notify_one();
        request.extensions_mut().insert(peer);
        service.clone().oneshot(request)
    });
    // Small pieces of a stream are not held back.
    let _ = stream.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .keep_alive_timeout(HEAD_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(MAX_HEAD_BYTES);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = watcher.watch(connection) => if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        },
        // Before the first request it is not even known which HTTP is spoken, and whose timeout holds.
        () = silence(&asked) => tracing::debug!("a connection without a request"),
    }
}

async fn silence(asked: &Notify) {
    if timeout(HEAD_TIMEOUT, asked.notified()).await.is_ok() {
        pending().await
    }
}
