//! Real servers and clients over loopback: hyper with HTTP/1.1 and HTTP/2, tonic.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use resource_protector::{CurrentToken, FormTokenLayer, RefusalBody, Requirement, require_by_path, require_scope};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::ServiceBuilder;

use crate::support::protector;

/// Stops the server when it goes out of scope.
struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn echo(request: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let subject = request
        .extensions()
        .get::<CurrentToken>()
        .unwrap()
        .subject()
        .unwrap()
        .to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Ok(Response::new(Full::from(format!("{subject} sent {}", body.len()))))
}

async fn hyper_server() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = ServiceBuilder::new()
        .layer(protector())
        .layer(require_scope("profile"))
        .service_fn(echo);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Server { address, task }
}

#[tokio::test]
async fn hyper_over_http_1_and_http_2() {
    let server = hyper_server().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(version == Version::HTTP_2)
            .build_http::<Full<Bytes>>();
        for (token, status, expected) in [
            (Some("a1"), 200, "alice sent 1000000"),
            (Some("noscope"), 403, "insufficient_scope"),
            (Some("nope"), 401, "invalid_token"),
            (Some("down"), 503, "temporarily_unavailable"),
            (None, 401, ""),
        ] {
            let mut request = Request::post(format!("http://{}/", server.address));
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let body: Full<Bytes> = Full::from(vec![b'x'; 1_000_000]);
            let response = client.request(request.body(body).unwrap()).await.unwrap();
            assert_eq!(
                (response.status(), response.version()),
                (StatusCode::from_u16(status).unwrap(), version)
            );
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(String::from_utf8_lossy(&body).contains(expected), "{body:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_to_head_has_no_body() {
    let server = hyper_server().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::head(format!("http://{}/", server.address)).header(header::AUTHORIZATION, "Bearer nope");
    let response = client.request(request.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

/// The health service stands for any: two copies, one open and one protected, differ by the path they are asked at.
async fn tonic_server() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let per_method = require_by_path(
        Requirement::scope("nobody:has:this").unwrap(),
        [
            ("/grpc.health.v1.Health/Check", Requirement::scope("profile").unwrap()),
            ("/grpc.health.v1.Health/Watch", Requirement::scope("admin").unwrap()),
        ],
    )
    .unwrap();
    let task = tokio::spawn(async move {
        tonic::transport::Server::builder()
            .layer(protector())
            .layer(per_method)
            .add_service(health)
            .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener))
            .await
            .unwrap();
    });
    Server { address, task }
}

async fn health(server: &Server) -> HealthClient<Channel> {
    let channel = Channel::from_shared(format!("http://{}", server.address))
        .unwrap()
        .connect()
        .await
        .unwrap();
    HealthClient::new(channel)
}

fn call(token: Option<&str>) -> tonic::Request<HealthCheckRequest> {
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    if let Some(token) = token {
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

#[tokio::test]
async fn tonic_with_scopes_per_method() {
    let server = tonic_server().await;
    let mut client = health(&server).await;
    assert!(client.check(call(Some("a1"))).await.is_ok());
    for (token, code) in [
        (None, Code::Unauthenticated),
        (Some("nope"), Code::Unauthenticated),
        (Some("a=b"), Code::Unauthenticated),
        (Some("noscope"), Code::PermissionDenied),
        (Some("down"), Code::Unavailable),
        (Some("broken"), Code::Internal),
    ] {
        let status = client.check(call(token)).await.unwrap_err();
        assert_eq!(status.code(), code, "{token:?}");
        assert!(!status.message().is_empty());
        let challenged = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
        assert_eq!(
            status.metadata().contains_key("www-authenticate"),
            challenged,
            "{token:?}"
        );
    }
    let refused = client.watch(call(Some("a1"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let challenge = refused.metadata().get("www-authenticate").unwrap().to_str().unwrap();
    assert!(
        challenge.starts_with(r#"Bearer realm="api", "#) && challenge.ends_with(r#"scope="admin""#),
        "{challenge}"
    );
}

#[tokio::test]
async fn tonic_with_one_service_protected_and_health_left_open() {
    use tonic::service::{LayerExt as _, Routes};

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, open) = tonic_health::server::health_reporter();
    // The reflection of any other service would do; health again, under the path of its own router.
    let (_, inner) = tonic_health::server::health_reporter();
    let protected = ServiceBuilder::new()
        .layer(protector())
        .layer(require_scope("profile"))
        .named_layer(inner);
    let guarded = Routes::new(protected).into_axum_router();
    let routes = Routes::new(open).into_axum_router().nest("/protected", guarded);
    let task = tokio::spawn(async move {
        axum::serve(listener, routes).await.unwrap();
    });
    let server = Server { address, task };
    let mut open = health(&server).await;
    assert!(open.check(call(None)).await.is_ok());

    let origin = Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut protected = HealthClient::with_origin(origin, format!("http://{address}/protected").parse().unwrap());
    assert_eq!(
        protected.check(call(None)).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert_eq!(
        protected.check(call(Some("noscope"))).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    assert!(protected.check(call(Some("a1"))).await.is_ok());
}

#[test]
fn the_body_of_a_refusal_is_a_body_of_bytes() {
    fn assert_body<B: http_body::Body<Data = Bytes>>() {}
    assert_body::<RefusalBody<Full<Bytes>>>();
}

#[tokio::test]
async fn a_websocket_opens_with_its_token_among_the_subprotocols() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let handler = |mut request: Request<axum::body::Body>| async move {
        assert_eq!(request.headers()[header::SEC_WEBSOCKET_PROTOCOL], "chat");
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            stream.write_all(b"opened").await.unwrap();
        });
        let switching = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_PROTOCOL, "chat");
        switching.body(axum::body::Body::empty()).unwrap()
    };
    let app = axum::Router::new()
        .route("/", axum::routing::get(handler))
        .layer(protector().token_in_websocket_protocol("bearer.").unwrap())
        .layer(FormTokenLayer::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    let _server = Server { address, task };
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let handshake = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: chat, bearer.a1\r\n\r\n";
    client.write_all(handshake.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\nopened"),
        "{answer}"
    );
}
