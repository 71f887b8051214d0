//! The default HTTP client, over real connections.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, header};
use resource_protector::{Fetch as _, ReqwestFetch, testing::TestIssuer};
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_signed_is_not_talked_to() {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("self-signed.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("self-signed.key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.map(drop)
    });
    let error = ReqwestFetch::new()
        .unwrap()
        .fetch(get(&format!("https://localhost:{port}/")), 1000)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    // The client broke the handshake off: nothing was sent.
    assert!(server.await.unwrap().is_err());
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let elsewhere = Response::builder()
        .status(302)
        .header(header::LOCATION, "/jwks")
        .body(Bytes::new())
        .unwrap();
    issuer.respond_at("/moved", elsewhere);
    let response = ReqwestFetch::new()
        .unwrap()
        .fetch(get(&format!("{}/moved", issuer.url())), 1000)
        .await
        .unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(issuer.requests("/jwks"), 0);
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    issuer.respond_at("/long", Response::new(Bytes::from(vec![b'x'; 1001])));
    let fetch = ReqwestFetch::new().unwrap();
    let url = format!("{}/long", issuer.url());
    assert!(fetch.fetch(get(&url), 1000).await.is_err());
    assert_eq!(fetch.fetch(get(&url), 1001).await.unwrap().body().len(), 1001);
}

#[tokio::test]
async fn an_error_does_not_quote_the_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret-path", listener.local_addr().unwrap());
    drop(listener);
    let error = ReqwestFetch::new().unwrap().fetch(get(&url), 1000).await.unwrap_err();
    assert!(!error.to_string().contains("secret-path"), "{error}");
}
