//! The default HTTP client, over real connections.

use std::{io::Write as _, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, header};
use resource_protector::{Fetch as _, ReqwestFetch, Secret, testing::TestIssuer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
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

/// Serves one TLS connection with this certificate: says `hello`, if the client gets that far.
async fn tls_server(certificate: &'static [u8], key: &'static [u8]) -> (String, JoinHandle<bool>) {
    let certificate = CertificateDer::from_pem_slice(certificate).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key).unwrap();
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
        let Ok(mut stream) = acceptor.accept(stream).await else {
            return false;
        };
        let mut head = [0; 1000];
        let _ = stream.read(&mut head).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        stream.write_all(answer).await.is_ok() && stream.shutdown().await.is_ok()
    });
    (format!("https://localhost:{port}/"), server)
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_signed_is_not_talked_to() {
    let (url, server) = tls_server(include_bytes!("self-signed.pem"), include_bytes!("self-signed.key.pem")).await;
    let error = ReqwestFetch::new().unwrap().fetch(get(&url), 1000).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    // The client broke the handshake off: nothing was sent.
    assert!(!server.await.unwrap());
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_named_and_only_there() {
    const SERVER: (&[u8], &[u8]) = (include_bytes!("private.pem"), include_bytes!("private.key.pem"));
    let (url, server) = tls_server(SERVER.0, SERVER.1).await;
    let trusting = ReqwestFetch::trusting(include_bytes!("private-authority.pem")).unwrap();
    assert_eq!(trusting.fetch(get(&url), 1000).await.unwrap().body(), "hello");
    assert!(server.await.unwrap());
    let (url, server) = tls_server(SERVER.0, SERVER.1).await;
    assert!(ReqwestFetch::new().unwrap().fetch(get(&url), 1000).await.is_err());
    assert!(!server.await.unwrap());
    assert!(ReqwestFetch::trusting("no certificate").is_err());
}

#[tokio::test]
async fn a_bearer_token_goes_to_its_server_and_to_no_other_and_never_beside_other_credentials() {
    let (known, other) = (
        TestIssuer::on_loopback().await.unwrap(),
        TestIssuer::on_loopback().await.unwrap(),
    );
    let fetch = ReqwestFetch::new().unwrap().bearer(known.url(), "s3cret").unwrap();
    let sent = async |issuer: &TestIssuer, request| {
        fetch.fetch(request, 10_000).await.unwrap();
        issuer
            .last_request("/jwks")
            .unwrap()
            .headers()
            .get(header::AUTHORIZATION)
            .cloned()
    };
    let jwks = |issuer: &TestIssuer| get(&format!("{}/jwks", issuer.url()));
    assert_eq!(sent(&known, jwks(&known)).await.unwrap(), "Bearer s3cret");
    assert_eq!(sent(&other, jwks(&other)).await, None);
    let mut own = jwks(&known);
    own.headers_mut()
        .insert(header::AUTHORIZATION, "Basic x".parse().unwrap());
    assert_eq!(sent(&known, own).await.unwrap(), "Basic x");
    assert!(!format!("{fetch:?}").contains("s3cret"));
    assert!(
        ReqwestFetch::new()
            .unwrap()
            .bearer("http://as.test/", "s3cret")
            .is_err()
    );
}

#[tokio::test]
async fn a_bearer_token_that_was_replaced_in_its_file_is_read_again_after_a_401() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"old\n").unwrap();
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let token = Secret::from_file(file.path()).unwrap();
    let fetch = ReqwestFetch::new().unwrap().bearer(issuer.url(), token).unwrap();
    let url = format!("{}/keys", issuer.url());
    let refused = Response::builder().status(401).body(Bytes::new()).unwrap();
    issuer.respond_at("/keys", refused.clone());
    assert_eq!(fetch.fetch(get(&url), 1000).await.unwrap().status(), 401);
    assert_eq!(issuer.requests("/keys"), 1);
    std::fs::write(file.path(), "new\n").unwrap();
    issuer.respond_at("/keys", Response::new(Bytes::from_static(b"{}")));
    issuer.respond_once_at("/keys", refused);
    assert_eq!(fetch.fetch(get(&url), 1000).await.unwrap().status(), 200);
    assert_eq!(
        issuer.last_request("/keys").unwrap().headers()[header::AUTHORIZATION],
        "Bearer new"
    );
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
